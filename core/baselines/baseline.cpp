#include "dosa/core/baselines/baseline.hpp"

#include <cmath>

#include "dosa/core/search/space.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {

Recorder::Recorder(std::int64_t budget, const std::atomic<bool>* interrupt,
                   std::function<void(const BestSoFar&)> improved)
    : budget_(budget), interrupt_(interrupt), improved_(std::move(improved)) {}

void Recorder::evaluated(std::int64_t samples) {
  evaluations_ += samples;
  TORCH_CHECK(evaluations_ <= budget_, "a baseline went over its budget");
}

void Recorder::offer(double objective, const DesignDraft& draft) {
  if (!(objective < best_)) return;
  best_ = objective;
  draft_ = draft;
  curve_.push_back({evaluations_, seconds(), objective});
  if (improved_) improved_(curve_.back());
}

double Recorder::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

std::vector<std::unique_ptr<Baseline>> all_baselines() {
  std::vector<std::unique_ptr<Baseline>> all;
  all.push_back(make_random_search());
  all.push_back(make_bayesian_optimisation());
  all.push_back(make_annealing());
  all.push_back(make_default_hardware());
  return all;
}

BaselineResult run_baseline(const Baseline& baseline, const SearchProblem& problem, std::int64_t budget,
                            std::uint64_t seed, std::int64_t threads, const std::atomic<bool>* interrupt,
                            const std::function<void(const BestSoFar&)>& improved) {
  problem.check_bounds();
  const std::unique_ptr<SearchSpace> space =
      problem.target->space(problem, "cpu");  // throws where nothing fits
  const auto layers = problem.workload.layers.size();
  if (budget < static_cast<std::int64_t>(layers)) {
    fail(ErrorId::kBounds, "samples: found {}, expected at least one for each of {} of {}", budget,
         counted(layers, "layer"), problem.workload.name);
  }
  const torch::InferenceMode no_gradients;
  one_thread_per_operation();
  Recorder recorder(budget, interrupt, improved);
  baseline.run(problem, seed, threads, recorder);
  TORCH_CHECK(!recorder.curve().empty() || recorder.interrupted(), "the baseline found no design");
  BaselineResult result;
  result.wall_s = recorder.seconds();
  result.evaluations = recorder.evaluations();
  result.rejected = recorder.rejections();
  result.curve = recorder.curve();
  // What is left cannot hold another design of the network.
  if (recorder.interrupted()) {
    result.stopped = "interrupt";
  } else if (recorder.left() >= static_cast<std::int64_t>(layers)) {
    result.stopped = "end";
  }
  if (recorder.curve().empty()) return result;

  const DesignDraft& draft = recorder.draft();
  Design& design = result.design = problem.blank_design();
  design.hardware = draft.hardware;
  for (std::size_t l = 0; l < layers; ++l)
    design.layers[l].schedule = space->schedule(l, draft.codes[static_cast<std::int64_t>(l)]);
  evaluate(design, *problem.target);
  result.objective = problem.objective.value(design.totals.energy_uj, design.totals.cycles);
  result.curve.back().objective = result.objective;
  return result;
}

}  // namespace dosa
