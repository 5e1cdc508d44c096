// Random search, after the protocol of DOSA (MICRO 2023): random hardware, 1000 random mappings of every
// layer on each, the best mapping of every layer.
#include "dosa/core/baselines/map_space.hpp"

namespace dosa {
namespace {

constexpr std::int64_t kMappingsPerHardware = 1000;  // per layer and hardware
constexpr std::int64_t kMappingsAtOnce = 200;        // mappings per layer between two looks at the best

class RandomSearch : public Baseline {
 public:
  std::string name() const override { return "random"; }
  std::string description() const override {
    return "random hardware, 1000 random mappings per layer on each, the best mapping of every layer";
  }

  void run(const SearchProblem& problem, std::uint64_t seed, std::int64_t threads,
           Recorder& recorder) const override {
    const std::unique_ptr<const MapSpace> space_of_problem = MapSpace::of(problem, threads);
    const MapSpace& space = *space_of_problem;
    Random random(seed);
    while (!recorder.stop(space.layers())) {
      const Hardware hardware = space.random_hardware(random);
      // The best of all on this hardware so far go on beside the next chunk.
      Candidates best;
      Scores of_best;
      NetworkChoice choice;
      for (std::int64_t done = 0; done < kMappingsPerHardware && !recorder.stop(space.layers());
           done += kMappingsAtOnce) {
        const std::int64_t mappings =
            std::min({kMappingsAtOnce, kMappingsPerHardware - done, recorder.left() / space.layers()});
        auto [candidates, scores] = space.random_mappings(hardware, mappings, random, recorder);
        if (best.layer.defined()) {
          candidates = Candidates::cat(best, candidates);
          scores = Scores::cat(of_best, scores);
        }
        best = candidates;
        of_best = scores;
        choice = space.best_of(best, of_best);
        recorder.offer(choice.objective, space.draft(hardware, best, choice.entry));
      }
      space.offer(hardware, best, choice, recorder);
    }
  }
};

}  // namespace

std::unique_ptr<Baseline> make_random_search() { return std::make_unique<RandomSearch>(); }

}  // namespace dosa
