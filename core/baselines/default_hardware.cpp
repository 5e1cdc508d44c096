// The machine's default hardware (gemmini-tl: a 16 x 16 array, 128 and 32 KiB) with the best mapping of every
// layer: what mapping alone can do. It draws nothing at random, so every seed gives the same.
#include <algorithm>
#include <cmath>

#include "dosa/core/baselines/map_space.hpp"
#include "dosa/core/search/chooser.hpp"
#include "dosa/core/targets/mapping/space.hpp"

namespace dosa {
namespace {

constexpr std::int64_t kMostNests = 300'000;  // per layer; as many as the gradient search's polish

class DefaultHardware : public Baseline {
 public:
  std::string name() const override { return "default"; }
  std::string description() const override {
    return "the machine's default hardware (within the bounds) with the best mapping of every layer, by "
           "enumeration";
  }

  void run(const SearchProblem& problem, std::uint64_t /*seed*/, std::int64_t threads,
           Recorder& recorder) const override {
    Hardware built = problem.machine().default_hardware;
    for (std::size_t p = 0; p < built.size(); ++p)
      built[p] = std::clamp(built[p], problem.bounds.min[p], problem.bounds.max[p]);
    std::int64_t& pe_dim = built[kPeParameter];
    while (pe_dim > problem.bounds.min[kPeParameter] && !problem.has_room_for({pe_dim})) --pe_dim;
    SearchProblem fixed = problem;
    fixed.bounds.min = fixed.bounds.max = problem.within_area(built);
    const MappingSpace mappings(fixed, "cpu");
    const Hardware& hardware = fixed.bounds.max;
    const auto layers = static_cast<std::int64_t>(fixed.workload.layers.size());
    // Where it begins: all loops at DRAM, which always fits.
    const MapSpace space(fixed, threads);
    const Candidates outermost = space.outermost();
    const Scores scores =
        space.score(outermost, HardwareTensors::from(ArraySizes::of(hardware), torch::kFloat64));
    recorder.evaluated(layers);
    const NetworkChoice first = space.best_of(outermost, scores);
    recorder.offer(first.objective, space.draft(hardware, outermost, first.entry));
    if (recorder.stop(layers * space.orders())) return;
    std::vector<Frontier> frontiers;
    for (std::int64_t l = 0; l < layers; ++l) {
      // What the budget has left is shared by the layers to come.
      Allowance allowance{recorder.left() / (layers - l), {}};
      const auto own = mappings.layer(static_cast<std::size_t>(l), problem.shape_of(hardware));
      own->look({}, kMostNests, allowance);
      frontiers.push_back(own->frontier());
      recorder.evaluated(frontiers.back().evaluated);
    }
    const Choice best = best_entries(fixed, frontiers, hardware);
    if (best.entry.empty()) return;
    std::vector<torch::Tensor> factors, orders;
    for (std::size_t l = 0; l < frontiers.size(); ++l) {
      const torch::Tensor code = frontiers[l].codes[best.entry[l]];
      factors.push_back(code.slice(0, 0, -1));
      orders.push_back(code[-1].to(torch::kInt64));
    }
    recorder.offer(std::exp(best.log_objective),
                   {best.hardware, torch::stack(factors), torch::stack(orders)});
  }
};

}  // namespace

std::unique_ptr<Baseline> make_default_hardware() { return std::make_unique<DefaultHardware>(); }

}  // namespace dosa
