// What the gradient search is compared with: searches over the same hardware and mappings, scored by the same
// exact model, counted by one recorder.
//
// Samples. One sample is one exact evaluation of one mapping of one layer in one loop order on one hardware;
// the gradient search counts its relaxed evaluations in the same unit (SearchSummary::evaluations). A random
// draw that does not fit the hardware is drawn again and is no sample: it is counted apart (`rejected`),
// which favours the baselines.
//
// `default` is the machine's own default hardware (gemmini-tl: 16 x 16, 128 / 32 KiB). Published machines are
// no methods but machines of schema 2 (data/hardware/eyeriss.json and others), on which every method runs.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "dosa/core/search/problem.hpp"
#include "dosa/models/base/torch.hpp"

namespace dosa {

/// A best-so-far curve: after `samples` evaluations and `seconds` the best design had `objective`.
struct BestSoFar {
  std::int64_t samples = 0;
  double seconds = 0;
  double objective = 0;
};
using Curve = std::vector<BestSoFar>;

/// A design: hardware with one mapping per layer.
struct DesignDraft {
  Hardware hardware;
  torch::Tensor codes;  ///< [layers, any], as SearchSpace::schedule takes them
};

/// Counts every evaluation of a run, keeps the best design and its curve, says when to stop.
class Recorder {
 public:
  /// `budget` samples, at least one per layer. `improved` is called with every new point of the curve.
  explicit Recorder(std::int64_t budget, const std::atomic<bool>* interrupt = nullptr,
                    std::function<void(const BestSoFar&)> improved = {});

  void evaluated(std::int64_t samples);
  void rejected(std::int64_t draws) { rejected_ += draws; }
  /// A legal design of this objective (not its logarithm), evaluated before.
  void offer(double objective, const DesignDraft& draft);

  std::int64_t left() const { return budget_ - evaluations_; }
  /// No time or not `samples` samples left.
  bool stop(std::int64_t samples) const { return left() < samples || (interrupt_ && *interrupt_); }
  bool interrupted() const { return interrupt_ && *interrupt_; }
  std::int64_t budget() const { return budget_; }
  std::int64_t evaluations() const { return evaluations_; }
  std::int64_t rejections() const { return rejected_; }
  double seconds() const;
  double best() const { return best_; }
  const DesignDraft& draft() const { return draft_; }
  const Curve& curve() const { return curve_; }

 private:
  std::int64_t budget_, evaluations_ = 0, rejected_ = 0;
  const std::atomic<bool>* interrupt_;
  std::function<void(const BestSoFar&)> improved_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double best_ = std::numeric_limits<double>::infinity();
  DesignDraft draft_;
  Curve curve_;
};

/// A search method. Deterministic by its seed.
class Baseline {
 public:
  virtual ~Baseline() = default;
  virtual std::string name() const = 0;
  virtual std::string description() const = 0;
  /// Searches until the recorder says stop or the method is at its end. The result does not depend on the
  /// number of threads.
  virtual void run(const SearchProblem& problem, std::uint64_t seed, std::int64_t threads,
                   Recorder& recorder) const = 0;
};

std::unique_ptr<Baseline> make_random_search();
std::unique_ptr<Baseline> make_bayesian_optimisation();
std::unique_ptr<Baseline> make_annealing();
std::unique_ptr<Baseline> make_default_hardware();

/// All of them, in the order of their names in `--help`.
std::vector<std::unique_ptr<Baseline>> all_baselines();

struct BaselineResult {
  Design design;  ///< evaluated exactly; without layers where an interrupt came before the first one
  double objective = std::numeric_limits<double>::infinity();  ///< of the design
  Curve curve;                                                 ///< the last point is the design's
  std::int64_t evaluations = 0, rejected = 0;
  double wall_s = 0;
  std::string stopped = "samples";  ///< "samples", "end" or "interrupt"
};

/// Runs a baseline on `threads` threads (0: one per core). Throws Error{kBounds} (see SearchProblem::check,
/// and for a budget of less than one sample per layer).
BaselineResult run_baseline(const Baseline& baseline, const SearchProblem& problem, std::int64_t budget,
                            std::uint64_t seed, std::int64_t threads = 0,
                            const std::atomic<bool>* interrupt = nullptr,
                            const std::function<void(const BestSoFar&)>& improved = {});

}  // namespace dosa
