// The machine's default hardware (gemmini-tl: a 16 x 16 array, 128 and 32 KiB) with the best mapping of every
// layer that the machine's own search of mappings finds: what mapping alone can do. Where mappings are
// enumerated every seed gives the same.
#include <algorithm>
#include <cmath>
#include <optional>

#include "dosa/core/baselines/map_space.hpp"
#include "dosa/core/search/chooser.hpp"
#include "dosa/core/search/exhaustive.hpp"

namespace dosa {
namespace {

// Per layer: as many nests as the gradient search's polish enumerates.
constexpr std::int64_t kMostNests = 300'000;

class DefaultHardware : public Baseline {
 public:
  std::string name() const override { return "default"; }
  std::string description() const override {
    return "the machine's default hardware (within the bounds) with the best mapping of every layer, by "
           "enumeration or, where there are too many, by the descent and walks of dosa map";
  }

  void run(const SearchProblem& problem, std::uint64_t seed, std::int64_t threads,
           Recorder& recorder) const override {
    SearchProblem fixed = problem;
    fixed.bounds.min = fixed.bounds.max = default_within_bounds(problem);
    const Hardware& hardware = fixed.bounds.max;
    const auto layers = static_cast<std::int64_t>(fixed.workload.layers.size());
    std::unique_ptr<SearchSpace> search;
    const auto with_gradients = [](const std::function<void()>& work) {
      const torch::InferenceMode ended(false);
      work();
    };
    with_gradients([&] { search = fixed.target->space(fixed, "cpu"); });
    // Where it begins: all loops at DRAM, which always fits.
    const std::unique_ptr<const MapSpace> space = MapSpace::of(fixed, threads);
    const Candidates outermost = space->outermost();
    const Scores scores = space->score(outermost, {hardware});
    recorder.evaluated(layers);
    const NetworkChoice first = space->best_of(outermost, scores);
    recorder.offer(first.objective, space->draft(hardware, outermost, first.entry));
    if (recorder.stop(layers * space->least_search())) return;
    const auto interrupted = [&] { return recorder.interrupted(); };
    MapOptions options;
    options.samples = std::min(options.samples, recorder.left() / layers);
    options.threads = threads;
    options.seed = seed;
    with_gradients([&] { search->prepare(options, interrupted); });
    std::vector<Frontier> frontiers;
    for (std::int64_t l = 0; l < layers; ++l) {
      const auto own = search->layer(static_cast<std::size_t>(l), problem.shape_of(hardware));
      // What the budget has left is shared by the layers to come; some of it was taken to prepare.
      Allowance allowance{recorder.left() / (layers - l) - own->frontier().evaluated, interrupted};
      own->look({}, kMostNests, allowance);
      frontiers.push_back(own->frontier());
      recorder.evaluated(frontiers.back().evaluated);
    }
    const Choice best = best_entries(fixed, frontiers, hardware);
    if (best.entry.empty()) return;
    std::vector<torch::Tensor> codes;
    for (std::size_t l = 0; l < frontiers.size(); ++l) codes.push_back(frontiers[l].codes[best.entry[l]]);
    recorder.offer(std::exp(best.log_objective), {best.hardware, torch::stack(codes)});
  }

 private:
  /// The default sizes moved into the bounds; where they are too large for the area, the largest number that
  /// shapes the machine falls until there are buffers to go with it.
  static Hardware default_within_bounds(const SearchProblem& problem) {
    const HardwareBounds& bounds = problem.bounds;
    Hardware built = problem.machine().default_hardware;
    for (std::size_t p = 0; p < built.size(); ++p)
      built[p] = std::clamp(built[p], bounds.min[p], bounds.max[p]);
    while (!problem.has_room_for(problem.shape_of(built))) {
      std::optional<std::size_t> largest;
      for (std::size_t p = 0; p < problem.machine().shape_parameters; ++p) {
        if (built[p] > bounds.min[p] && (!largest || built[p] > built[*largest])) largest = p;
      }
      if (!largest) break;
      built[*largest] = problem.machine().parameters[*largest].down(built[*largest] - 1);
    }
    return problem.within_area(built);
  }
};

}  // namespace

std::unique_ptr<Baseline> make_default_hardware() { return std::make_unique<DefaultHardware>(); }

}  // namespace dosa
