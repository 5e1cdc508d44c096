#include "core/search/gradient_search.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <thread>

#include "core/search/mapper.hpp"
#include "core/search/relaxation.hpp"
#include "core/search/threads.hpp"
#include "models/error.hpp"

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
// Mappings that the polish may evaluate before it stops trying further arrays.
constexpr std::int64_t kPolishEvaluations = 8'000'000;
// Starts that are rounded, best first.
constexpr std::size_t kRounded = 2;

/// How soft the relaxation is after a share of the run: the gates sharpen, the mixture of orders cools.
Softness softness_at(double share) { return {3 + 20 * share, 0.5 * std::pow(0.04, share)}; }

/// A group of starts with its own optimizer.
class Descent {
 public:
  Descent(const Relaxation& relaxation, std::int64_t starts, at::Generator generator, double learning_rate)
      : relaxation_(relaxation),
        logits_(relaxation.random_logits(starts, std::move(generator)).requires_grad_(true)),
        optimizer_({logits_}, torch::optim::AdamOptions(learning_rate)),
        learning_rate_(learning_rate) {}

  void run(std::int64_t from, std::int64_t to, std::int64_t steps) {
    for (std::int64_t step = from; step < to; ++step) {
      const double share = static_cast<double>(step) / static_cast<double>(steps);
      for (auto& group : optimizer_.param_groups()) {
        static_cast<torch::optim::AdamOptions&>(group.options())
            .lr(learning_rate_ * 0.5 * (1 + std::cos(M_PI * share)));
      }
      optimizer_.zero_grad();
      const RelaxedCost cost = relaxation_.cost(relaxation_.log_factors(logits_), softness_at(share));
      cost.loss.sum().backward();
      // A start whose numbers ran away goes back to where every factor is even, instead of poisoning
      // anything.
      if (!logits_.grad().isfinite().all().item<bool>()) restart_broken();
      optimizer_.step();
    }
  }

  /// The starts as they stand: costs and log factors.
  RelaxedCost cost(double share) const {
    const torch::NoGradGuard no_gradients;
    return relaxation_.cost(relaxation_.log_factors(logits_), softness_at(share));
  }
  Tensor log_factors() const {
    const torch::NoGradGuard no_gradients;
    return relaxation_.log_factors(logits_);
  }

 private:
  void restart_broken() {
    const torch::NoGradGuard no_gradients;
    const Tensor sound = logits_.grad().isfinite().flatten(1).all(1).view({-1, 1, 1, 1});
    logits_.mutable_grad().copy_(torch::where(sound, logits_.grad(), torch::zeros_like(logits_)));
    logits_.copy_(torch::where(sound, logits_, torch::zeros_like(logits_)));
  }

  const Relaxation& relaxation_;
  Tensor logits_;
  torch::optim::Adam optimizer_;
  double learning_rate_;
};

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
        relaxation_(problem, torch::kFloat32),
        mapper_(problem) {
    threads_ = options.threads > 0 ? options.threads
                                   : std::max<std::int64_t>(1, std::thread::hardware_concurrency());
    for (std::int64_t first = 0; first < options.starts; first += kGroup) {
      // Every group draws from its own generator.
      const auto group_seed = options.seed * 1'000'003 + static_cast<std::uint64_t>(first);
      descents_.emplace_back(relaxation_, std::min(kGroup, options.starts - first),
                             at::detail::createCPUGenerator(group_seed), options.learning_rate);
    }
  }

  SearchSummary run() {
    descend();
    if (summary_.stopped != "interrupt" || best_objective_ == kInfinity) polish();
    if (best_objective_ == kInfinity) find_any();
    summary_.wall_s = elapsed();
    TORCH_CHECK(best_objective_ < kInfinity, "no design found");
    return std::move(summary_);
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  bool stop() {
    if (interrupt_ != nullptr && *interrupt_) {
      summary_.stopped = "interrupt";
    } else if (options_.time_limit_s > 0 && elapsed() > 0.7 * options_.time_limit_s) {
      summary_.stopped = "time";  // the rest is for the polish
    } else if (options_.max_evaluations > 0 && summary_.evaluations >= options_.max_evaluations) {
      summary_.stopped = "evaluations";
    } else {
      return false;
    }
    return true;
  }

  void descend() {
    const std::int64_t per_step = options_.starts *
                                  static_cast<std::int64_t>(problem_.workload.layers.size()) *
                                  relaxation_.model().order_count();
    while (summary_.steps < options_.steps && !stop()) {
      const std::int64_t to_rounding = options_.round_every - summary_.steps % options_.round_every;
      const std::int64_t to =
          std::min({summary_.steps + kSegment, summary_.steps + to_rounding, options_.steps});
      parallel(static_cast<std::int64_t>(descents_.size()), threads_, [&](std::int64_t group) {
        descents_[static_cast<std::size_t>(group)].run(summary_.steps, to, options_.steps);
      });
      summary_.evaluations += per_step * (to - summary_.steps);
      summary_.steps = to;
      if (to % options_.round_every == 0 && to < options_.steps) {
        const std::vector<Start> starts = ranked_starts();
        for (std::size_t i = 0; i < std::min(kRounded, starts.size()); ++i)
          realise(starts[i].hardware.pe_dim, {starts[i]}, kRoundingNests);
      }
      report("descent");
    }
  }

  /// The best integer designs on the arrays of the best starts, then on the next smaller and larger arrays as
  /// long as that helps.
  void polish() {
    const std::vector<Start> starts = ranked_starts();
    if (starts.empty()) return;
    report("polish");
    const std::vector<std::int64_t> arrays = useful_arrays();
    const std::int64_t allowed = summary_.evaluations + kPolishEvaluations;
    std::set<std::int64_t> tried;
    const auto attempt = [&](std::int64_t pe_dim) {
      // An interrupt has to leave a design.
      const bool cut_short = best_objective_ < kInfinity && interrupt_ != nullptr && *interrupt_;
      if (cut_short) summary_.stopped = "interrupt";
      if (cut_short || (!tried.empty() && summary_.evaluations > allowed) || !tried.insert(pe_dim).second)
        return;
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

  /// The array sizes within the bounds that some layer can fill: divisors of what can be spatial, ascending.
  std::vector<std::int64_t> useful_arrays() const {
    std::set<std::int64_t> sizes{problem_.bounds.min.pe_dim, problem_.bounds.max.pe_dim};
    for (const Slot& slot : mapper_.model().slots()) {
      if (!slot.spatial) continue;
      for (const Layer& layer : problem_.workload.layers) {
        for (std::int64_t d = problem_.bounds.min.pe_dim;
             d <= std::min(layer[slot.dim], problem_.bounds.max.pe_dim); ++d) {
          if (layer[slot.dim] % d == 0) sizes.insert(d);
        }
      }
    }
    return {sizes.begin(), sizes.end()};
  }

  std::vector<Start> ranked_starts() const {
    std::vector<Start> starts;
    const double share = static_cast<double>(summary_.steps) / static_cast<double>(options_.steps);
    for (const Descent& descent : descents_) {
      const RelaxedCost cost = descent.cost(share);
      const Tensor factors = descent.log_factors().to(torch::kFloat64);
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
             {size(cost.hardware.pe_dim, i, bounds.min.pe_dim, bounds.max.pe_dim),
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
    std::vector<Frontier> frontiers(problem_.workload.layers.size());
    parallel(static_cast<std::int64_t>(frontiers.size()), threads_, [&](std::int64_t layer) {
      frontiers[static_cast<std::size_t>(layer)] =
          mapper_.frontier(static_cast<std::size_t>(layer), pe_dim, starts.front().log_factors[layer], nests);
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
    const IntegerDesign integer = best_design(problem_, frontiers, pe_dim, from);
    if (integer.entry.empty() || !(integer.log_objective < best_objective_)) return complete;
    best_objective_ = integer.log_objective;
    summary_.best = to_design(problem_, mapper_, frontiers, integer);
    return complete;
  }

  void report(const char* phase) {
    if (!progress_) return;
    SearchProgress now;
    now.step = summary_.steps;
    now.steps = options_.steps;
    now.phase = phase;
    now.elapsed_s = elapsed();
    now.evaluations = summary_.evaluations;
    const double done = static_cast<double>(summary_.steps) / static_cast<double>(options_.steps);
    now.eta_s = done > 0 ? now.elapsed_s * (1 / done - 1) : 0;
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
  std::vector<Descent> descents_;
  std::int64_t threads_ = 1;
  Clock::time_point begin_ = Clock::now();
  SearchSummary summary_;
  double best_objective_ = kInfinity;  // logarithm
};

}  // namespace

bool SearchOptions::is_valid(std::string* error) const {
  const auto in_range = [&](const char* name, double value, double min, double max) {
    if (value >= min && value <= max) return true;
    *error = fmt::format("{}: found {}, expected {} to {}", name, value, min, max);
    return false;
  };
  return in_range("starts", static_cast<double>(starts), 1, 4096) &&
         in_range("steps", static_cast<double>(steps), 1, 1e7) &&
         in_range("round-every", static_cast<double>(round_every), 1, 1e7) &&
         in_range("learning-rate", learning_rate, 1e-9, 10) &&
         in_range("polish-nests", static_cast<double>(polish_nests), 64, 1e8) &&
         in_range("threads", static_cast<double>(threads), 0, 1024) &&
         in_range("time", time_limit_s, 0, 1e9) &&
         in_range("samples", static_cast<double>(max_evaluations), 0, 1e18);
}

std::string SearchSummary::brief_report() const {
  return fmt::format("{} steps, {} mappings evaluated, {:.1f} s, stopped by {}{}\n", steps, evaluations,
                     wall_s, stopped, polish_complete ? "; the polish saw the whole map space" : "");
}

SearchSummary gradient_search(const SearchProblem& problem, const SearchOptions& options,
                              const ProgressCallback& progress, const std::atomic<bool>* interrupt) {
  std::string error;
  if (!options.is_valid(&error)) fail(ErrorId::kValue, "{}", error);
  problem.check();
  one_thread_per_operation();
  return GradientSearch(problem, options, progress, interrupt).run();
}

}  // namespace dosa
