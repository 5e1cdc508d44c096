#include "dosa/core/search/gradient_search.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <set>

#include "dosa/core/search/checkpoint.hpp"
#include "dosa/core/search/ranks.hpp"
#include "dosa/core/targets/mapping/mapper.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using torch::Tensor;
using Clock = std::chrono::steady_clock;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Starts are descended in groups of this size, whatever the number of threads, so that the result does not
// depend on it.
constexpr std::int64_t kGroup = 8;
// Steps between two looks at the clock, the interrupt and the progress line.
constexpr std::int64_t kSegment = 25;
// Nests per layer that a rounding on the way looks at.
constexpr std::int64_t kRoundingNests = 400;
// The least nests per layer that a rounding or polish looks at.
constexpr std::int64_t kLeastNests = 64;
// Share of a limit of time or evaluations that the descent and its roundings may take; the rest is the
// polish's.
constexpr double kDescentShare = 0.7;
// Mappings that the polish may evaluate before it stops trying further arrays.
constexpr std::int64_t kPolishEvaluations = 8'000'000;
// Seconds between two checkpoints.
constexpr double kCheckpointEvery = 10;
// Starts that are rounded, best first.
constexpr std::size_t kRounded = 2;

/// One start of the relaxation, best first.
struct Start {
  double loss;
  Hardware hardware;
  Tensor log_factors;  // [layers, slots], double
};

class GradientSearch {
 public:
  GradientSearch(const SearchProblem& problem, const SearchOptions& options, const ProgressCallback& progress,
                 const std::atomic<bool>* interrupt)
      : problem_(problem),
        options_(options),
        progress_(progress),
        interrupt_(interrupt),
        relaxation_(problem, torch::TensorOptions(torch::kFloat32).device(options.device)),
        mapper_(problem) {
    threads_ = options.threads > 0 ? options.threads : ranks_.cores();
    per_step_ = options.starts * evaluations_per_nest();
    for (std::int64_t first = 0; first < options.starts; first += kGroup) {
      descents_.emplace_back(relaxation_, std::min(kGroup, options.starts - first),
                             group_generator(options.seed, first), options.learning_rate);
      if (ranks_.owns(descents_.size() - 1)) mine_.push_back(descents_.size() - 1);
    }
  }

  SearchSummary run() {
    if (!options_.resume.empty()) resume();
    descend();
    if (!ranks_.is_root()) return std::move(summary_);
    if (summary_.stopped != "interrupt" || best_objective_ == kInfinity) polish();
    if (best_objective_ == kInfinity) find_any();
    summary_.wall_s = elapsed();
    TORCH_CHECK(best_objective_ < kInfinity, "no design found");
    return std::move(summary_);
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  bool stop() {
    if (interrupted()) {
      summary_.stopped = "interrupt";
    } else if (options_.patience > 0 && stale_ >= options_.patience) {
      summary_.stopped = "patience";
    } else if (options_.time_limit_s > 0 && elapsed() > kDescentShare * options_.time_limit_s) {
      summary_.stopped = "time";
    } else if (options_.max_evaluations > 0 && descent_evaluations_left() < per_step_) {
      summary_.stopped = "evaluations";
    } else {
      return false;
    }
    return true;
  }

  std::int64_t descent_evaluations_left() const {
    const std::int64_t share =
        static_cast<std::int64_t>(kDescentShare * static_cast<double>(options_.max_evaluations));
    return std::min(share, options_.max_evaluations - kLeastNests * evaluations_per_nest()) -
           summary_.evaluations;
  }

  bool interrupted() const { return interrupt_ != nullptr && *interrupt_; }
  bool out_of_time() const {
    return interrupted() || (options_.time_limit_s > 0 && elapsed() > options_.time_limit_s);
  }
  /// Whether a rounding or the polish has to end now: interrupted or out of time, and with a design.
  bool cut_short() const { return best_objective_ < kInfinity && out_of_time(); }
  bool note_cut_short() {
    if (!cut_short()) return false;
    limited_ = true;
    summary_.stopped = interrupted() ? "interrupt" : "time";
    return true;
  }

  /// Of one nest of every layer in every order.
  std::int64_t evaluations_per_nest() const {
    return static_cast<std::int64_t>(problem_.workload.layers.size()) * mapper_.model().order_count();
  }

  /// Nests per layer that a limit of evaluations still allows, at most `nests`. 0: none. The first design
  /// gets the least in any case.
  std::int64_t affordable(std::int64_t nests) const {
    if (options_.max_evaluations == 0) return nests;
    const std::int64_t each = (options_.max_evaluations - summary_.evaluations) / evaluations_per_nest();
    if (each < kLeastNests) return best_objective_ < kInfinity ? 0 : kLeastNests;
    return std::min(nests, each);
  }

  /// Steps until the next rounding or the next look at the clock; 0 at the end.
  std::int64_t next_steps() {
    if (summary_.steps == options_.steps || stop()) return 0;
    const std::int64_t to_rounding = options_.round_every - summary_.steps % options_.round_every;
    const std::int64_t steps = std::min({kSegment, to_rounding, options_.steps - summary_.steps});
    return options_.max_evaluations > 0 ? std::min(steps, descent_evaluations_left() / per_step_) : steps;
  }

  void descend() {
    if (ranks_.is_root() && rounding_due()) round();
    while (const std::int64_t steps = ranks_.agree(ranks_.is_root() ? next_steps() : 0)) {
      const std::int64_t to = summary_.steps + steps;
      parallel(static_cast<std::int64_t>(mine_.size()), threads_, [&](std::int64_t i) {
        descents_[mine_[static_cast<std::size_t>(i)]].run(summary_.steps, to, options_.steps);
      });
      for (std::size_t group = 0; group < descents_.size(); ++group)
        ranks_.gather(group, descents_[group].state(group));
      summary_.evaluations += per_step_ * steps;
      summary_.steps = to;
      if (!ranks_.is_root()) continue;
      if (rounding_due()) round();
      report("descent");
      if (elapsed() > next_checkpoint_) checkpoint(state());
    }
    if (ranks_.is_root()) checkpoint(state());
  }

  /// Whether the descent stands where a rounding belongs that has not been done in full.
  bool rounding_due() const {
    return summary_.steps > 0 && summary_.steps < options_.steps &&
           summary_.steps % options_.round_every == 0 && rounded_at_ != summary_.steps;
  }

  /// Looks for integer designs near the best starts. What a limit or an interrupt cuts short counts for the
  /// design of this run only: the last checkpoint is then the state before, so that a resumed run does the
  /// whole rounding and ends like one without a break.
  void round() {
    const SearchState before = state();
    limited_ = false;
    const std::vector<Start> starts = ranked_starts();
    for (std::size_t i = 0; i < std::min(kRounded, starts.size()); ++i)
      realise(starts[i].hardware.pe_dim, {starts[i]}, kRoundingNests);
    stale_ = best_objective_ < before.best_log_objective ? 0 : stale_ + 1;
    if (limited_) {
      checkpoint(before);
      checkpoints_end_ = true;
    } else {
      rounded_at_ = summary_.steps;
    }
  }

  SearchState state() const {
    SearchState state{summary_.steps, summary_.evaluations, stale_, rounded_at_, best_objective_, {}};
    if (best_objective_ < kInfinity) state.best = summary_.best;
    return state;
  }

  void checkpoint(const SearchState& state) {
    if (options_.checkpoint.empty() || checkpoints_end_) return;
    save_checkpoint(options_.checkpoint, problem_, options_, state, descents_);
    next_checkpoint_ = elapsed() + kCheckpointEvery;
  }

  void resume() {
    SearchState state = load_checkpoint(options_.resume, problem_, options_, descents_);
    summary_.steps = state.steps;
    summary_.evaluations = state.evaluations;
    stale_ = state.stale_roundings;
    rounded_at_ = state.rounded_at;
    if (!state.best) return;
    summary_.best = std::move(*state.best);
    best_objective_ = state.best_log_objective;
  }

  /// The best integer designs on the arrays of the best starts, then on the next smaller and larger arrays as
  /// long as that helps.
  void polish() {
    const std::vector<Start> starts = ranked_starts();
    if (starts.empty()) return;
    report("polish");
    // Short of time: first any design, so that the polish can end when it has to.
    if (best_objective_ == kInfinity && (options_.time_limit_s > 0 || interrupted()))
      realise(starts.front().hardware.pe_dim, {starts.front()}, kRoundingNests);
    const std::vector<std::int64_t> arrays = problem_.useful_arrays();
    const std::int64_t allowed = summary_.evaluations + kPolishEvaluations;
    std::set<std::int64_t> tried;
    const auto attempt = [&](std::int64_t pe_dim) {
      if (tried.count(pe_dim) > 0 || note_cut_short()) return;
      if (!tried.empty() && summary_.evaluations > allowed) return;
      tried.insert(pe_dim);
      std::vector<Start> same_array;  // first the starts that found this array, else the best ones
      for (const Start& start : starts) {
        if (start.hardware.pe_dim == pe_dim) same_array.push_back(start);
      }
      if (same_array.empty()) same_array = {starts.front()};
      const bool whole = realise(pe_dim, same_array, options_.polish_nests);
      if (summary_.best.hardware.pe_dim == pe_dim) summary_.polish_complete = whole;
      report("polish");
    };
    for (const Start& start : starts) {
      if (tried.size() < kRounded) attempt(start.hardware.pe_dim);
    }
    for (double before = kInfinity; best_objective_ < before;) {
      before = best_objective_;
      const auto here = std::lower_bound(arrays.begin(), arrays.end(), summary_.best.hardware.pe_dim);
      if (here != arrays.begin()) attempt(*(here - 1));
      const auto above = std::upper_bound(arrays.begin(), arrays.end(), summary_.best.hardware.pe_dim);
      if (above != arrays.end()) attempt(*above);
    }
  }

  /// For when the polish found nothing: with tight bounds, few nests around the best starts need not hold one
  /// that fits. First more nests; then the mappings nearest to every loop at DRAM, which itself fits the
  /// smallest array (SearchProblem::check), so that a design is found.
  void find_any() {
    const std::vector<Start> starts = ranked_starts();
    const auto attempt = [&](std::int64_t pe_dim, const Start& start, std::int64_t nests) {
      if (best_objective_ == kInfinity) summary_.polish_complete = realise(pe_dim, {start}, nests);
    };
    for (std::size_t i = 0; i < std::min(kRounded, starts.size()); ++i)
      attempt(starts[i].hardware.pe_dim, starts[i], 4 * options_.polish_nests);

    const std::vector<Slot>& slots = mapper_.model().slots();
    const std::vector<Layer>& layers = problem_.workload.layers;
    const Tensor factors = torch::zeros(
        {static_cast<std::int64_t>(layers.size()), static_cast<std::int64_t>(slots.size())}, torch::kFloat64);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      for (std::size_t s = 0; s < slots.size(); ++s) {
        if (slots[s].level != problem_.machine.dram() || slots[s].spatial) continue;
        factors[static_cast<std::int64_t>(l)][static_cast<std::int64_t>(s)] =
            std::log(static_cast<double>(layers[l][slots[s].dim]));
      }
    }
    const Start at_dram{kInfinity, problem_.bounds.max, factors};
    if (!starts.empty()) attempt(starts.front().hardware.pe_dim, at_dram, options_.polish_nests);
    attempt(problem_.bounds.min.pe_dim, at_dram, options_.polish_nests);
  }

  std::vector<Start> ranked_starts() const {
    std::vector<Start> starts;
    const std::int64_t largest_array = problem_.useful_arrays().back();
    const double share = static_cast<double>(summary_.steps) / static_cast<double>(options_.steps);
    for (const Descent& descent : descents_) {
      const RelaxedCost cost = descent.cost(share);
      const Tensor factors = descent.log_factors().to(torch::kCPU, torch::kFloat64);
      const auto size = [&](const Tensor& sizes, std::int64_t i, std::int64_t min, std::int64_t max) {
        // A relaxed size slightly over a whole number means that number.
        return std::clamp(static_cast<std::int64_t>(std::ceil(sizes[i].item<double>() - 0.05)), min, max);
      };
      for (std::int64_t i = 0; i < cost.loss.size(0); ++i) {
        const double loss = cost.loss[i].item<double>();
        if (!std::isfinite(loss)) continue;
        const HardwareBounds& bounds = problem_.bounds;
        starts.push_back(
            {loss,
             {size(cost.hardware.pe_dim, i, bounds.min.pe_dim, largest_array),
              size(cost.hardware.scratchpad_kib, i, bounds.min.scratchpad_kib, bounds.max.scratchpad_kib),
              size(cost.hardware.accumulator_kib, i, bounds.min.accumulator_kib, bounds.max.accumulator_kib)},
             factors[i]});
      }
    }
    std::stable_sort(starts.begin(), starts.end(),
                     [](const Start& a, const Start& b) { return a.loss < b.loss; });
    return starts;
  }

  /// The best integer design on an array of `pe_dim`, near the first start where the map space is larger than
  /// `nests`.
  /// True when the whole map space was looked at.
  bool realise(std::int64_t pe_dim, const std::vector<Start>& starts, std::int64_t nests) {
    const std::int64_t wanted = nests;
    nests = affordable(wanted);
    if (nests < wanted) limited_ = true;
    if (nests == 0) {
      summary_.stopped = "evaluations";
      return false;
    }
    // Without a design yet, one that fits matters more than the clock.
    const auto stop = [this] { return cut_short(); };
    std::vector<Frontier> frontiers(problem_.workload.layers.size());
    parallel(static_cast<std::int64_t>(frontiers.size()), threads_, [&](std::int64_t layer) {
      if (stop()) return;
      frontiers[static_cast<std::size_t>(layer)] = mapper_.frontier(
          static_cast<std::size_t>(layer), pe_dim, starts.front().log_factors[layer], nests, stop);
    });
    bool complete = true;
    for (const Frontier& frontier : frontiers) {
      summary_.evaluations += frontier.evaluated;
      complete = complete && frontier.complete;
    }
    std::vector<Hardware> from;
    for (const Start& start : starts) {
      if (std::find(from.begin(), from.end(), start.hardware) == from.end()) from.push_back(start.hardware);
      if (from.size() == 4) break;
    }
    if (note_cut_short()) return false;
    const IntegerDesign integer = best_design(problem_, frontiers, pe_dim, from, stop);
    if (note_cut_short()) complete = false;
    if (integer.entry.empty() || !(integer.log_objective < best_objective_)) return complete;
    best_objective_ = integer.log_objective;
    summary_.best = to_design(problem_, mapper_, frontiers, integer);
    return complete;
  }

  void report(const char* phase) {
    if (!progress_) return;
    SearchProgress now = summary_.progress(options_, phase, elapsed());
    now.best_objective = std::exp(best_objective_);
    now.hardware = summary_.best.hardware;
    if (best_objective_ == kInfinity) {
      const std::vector<Start> starts = ranked_starts();
      if (!starts.empty()) {
        now.hardware = starts.front().hardware;
        now.relaxed_objective = std::exp(starts.front().loss);
      }
    }
    progress_(now);
  }

  const SearchProblem& problem_;
  const SearchOptions& options_;
  const ProgressCallback& progress_;
  const std::atomic<bool>* interrupt_;
  Relaxation relaxation_;
  Mapper mapper_;
  const Ranks& ranks_ = Ranks::here();
  std::vector<Descent> descents_;  ///< the groups of starts; on rank 0 all are up to date
  std::vector<std::size_t> mine_;  ///< the groups that this rank descends
  double next_checkpoint_ = kCheckpointEvery;
  std::int64_t threads_ = 1;
  Clock::time_point begin_ = Clock::now();
  std::int64_t per_step_ = 0;  // evaluations
  SearchSummary summary_;
  double best_objective_ = kInfinity;  // logarithm
  std::int64_t stale_ = 0;             // roundings since it changed
  std::int64_t rounded_at_ = 0;        // step of the last rounding that was done in full
  bool limited_ = false;               // the rounding or polish at work was cut short
  bool checkpoints_end_ = false;       // the last checkpoint is where a resumed run has to go on
};

}  // namespace

bool SearchOptions::is_valid(std::string* error) const {
  const auto in_range = [&](const char* name, double value, double min, double max) {
    if (value >= min && value <= max) return true;
    *error = fmt::format("{}: found {}, expected {} to {}", name, value, min, max);
    return false;
  };
  if (device != "cpu" && device != "cuda") {
    *error = fmt::format("device: found '{}', expected cpu or cuda", device);
    return false;
  }
  return in_range("starts", static_cast<double>(starts), 1, 4096) &&
         in_range("steps", static_cast<double>(steps), 1, 1e7) &&
         in_range("round-every", static_cast<double>(round_every), 1, 1e7) &&
         in_range("patience", static_cast<double>(patience), 0, 1e7) &&
         in_range("learning-rate", learning_rate, 1e-9, 10) &&
         in_range("polish-nests", static_cast<double>(polish_nests), 64, 1e8) &&
         in_range("threads", static_cast<double>(threads), 0, 1024) &&
         in_range("time", time_limit_s, 0, 1e9) &&
         in_range("samples", static_cast<double>(max_evaluations), 0, 1e18);
}

SearchProgress SearchSummary::progress(const SearchOptions& options, const char* phase,
                                       double elapsed_s) const {
  SearchProgress now;
  now.step = steps;
  now.steps = options.steps;
  now.phase = phase;
  now.elapsed_s = elapsed_s;
  now.evaluations = evaluations;
  const double done = static_cast<double>(steps) / static_cast<double>(options.steps);
  now.eta_s = done > 0 ? elapsed_s * (1 / done - 1) : 0;
  return now;
}

std::string SearchSummary::brief_report() const {
  return fmt::format("{} steps, {} evaluations, {:.1f} s, stopped by {}{}\n", steps, evaluations, wall_s,
                     stopped, polish_complete ? "; the polish saw the whole map space" : "");
}

SearchSummary gradient_search(const SearchProblem& problem, const SearchOptions& options,
                              const ProgressCallback& progress, const std::atomic<bool>* interrupt) {
  std::string error;
  if (!options.is_valid(&error)) fail(ErrorId::kValue, "{}", error);
  problem.check();
  if (options.device == "cuda" && !torch::cuda::is_available())
    fail(ErrorId::kValue, "device: found cuda, but this LibTorch sees no CUDA device; allowed: cpu");
  one_thread_per_operation();
  return GradientSearch(problem, options, progress, interrupt).run();
}

}  // namespace dosa
