#include "dosa/core/search/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "dosa/core/search/checkpoint.hpp"
#include "dosa/core/search/chooser.hpp"
#include "dosa/core/search/descent.hpp"
#include "dosa/core/search/layers.hpp"
#include "dosa/core/search/ranks.hpp"
#include "dosa/core/search/size_ranges.hpp"
#include "dosa/core/search/smaller.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/math.hpp"
#include "dosa/models/base/text.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using torch::Tensor;

// Starts are drawn in groups of this size, and descended in batches of it on the CPU, whatever the number of
// threads, so that the result does not depend on it.
constexpr std::int64_t kGroup = 8;
// Steps between two looks at the clock, the interrupt and the progress line.
constexpr std::int64_t kSegment = 25;
// Schedules per layer that a rounding on the way looks at.
constexpr std::int64_t kRoundingNests = 400;
// Share of a limit of time or evaluations that the descent and its roundings may take; the rest is the
// polish's.
constexpr double kDescentShare = 0.7;
// Evaluations up to which a problem is enumerated at once rather than descended.
constexpr std::int64_t kEnumerationEvaluations = 8'000'000;
// Starts that are rounded, best first.
constexpr std::size_t kRounded = 2;
// Shapes in a row, by their lower bounds, without a better design that end the polish.
constexpr int kFruitless = 8;
// How many times as few schedules of every shape a first pass looks at.
constexpr std::int64_t kFirstPass = 30;
// The same where evaluations are limited, and for how many shapes there is room in the pass after it. On BERT
// within the published areas of simba, eyeriss, nvdla and tpu, two seeds, 20,000 to 500,000 evaluations end
// with 1.27 to 1.03 times the best known EDP in the geometric mean; without a first pass with 1.23 to 1.06,
// and then with room for 5 or 25 shapes with 1.27 to 1.11 and 1.53 to 1.12.
constexpr std::int64_t kFirstOfBudget = 8, kShapesOfBudget = 10;

/// Ways from a shape to the next ones, -1, 0 or 1 for each parameter: one down or up, or one up and another
/// down, which may be what an area allows.
std::vector<std::vector<int>> moves_of(std::size_t parameters) {
  std::vector<std::vector<int>> moves;
  const auto add = [&](std::size_t up, std::size_t down) {
    moves.emplace_back(parameters, 0);
    if (up < parameters) moves.back()[up] = 1;
    if (down < parameters) moves.back()[down] = -1;
  };
  for (std::size_t p = 0; p < parameters; ++p) {
    add(parameters, p);
    add(p, parameters);
  }
  for (std::size_t up = 0; up < parameters; ++up) {
    for (std::size_t down = 0; down < parameters; ++down) {
      if (up != down) add(up, down);
    }
  }
  return moves;
}

/// Of the shapes that such a move leads to the nearest one.
std::optional<Shape> neighbour(const std::vector<Shape>& shapes, const Shape& here,
                               const std::vector<int>& move) {
  std::optional<Shape> nearest;
  for (const Shape& shape : shapes) {
    bool is_nearest = true;
    for (std::size_t p = 0; p < here.size(); ++p) {
      const std::int64_t by = shape[p] - here[p];
      is_nearest = is_nearest && (move[p] == 0 ? by == 0 : by * move[p] > 0) &&
                   (!nearest || std::abs(by) <= std::abs((*nearest)[p] - here[p]));
    }
    if (is_nearest) nearest = shape;
  }
  return nearest;
}

/// One start of the relaxation.
struct Start {
  double loss = kInfinity;
  Hardware hardware;
  Tensor near;  // a row of SearchSpace::decode; undefined: nowhere in particular
};

class Optimizer {
 public:
  Optimizer(const SearchProblem& problem, const SearchOptions& options, const ProgressCallback& progress,
            const std::atomic<bool>* interrupt)
      : problem_(problem),
        options_(options),
        progress_(progress),
        budget_(options.time_limit_s, options.max_evaluations, interrupt),
        space_(problem.target->space(problem, options.device)),
        next_checkpoint_(options.checkpoint_every_s) {
    space_->set_seed(options.seed);
    summary_.space = space_->enumerated();
    threads_ = options.threads > 0 ? options.threads : ranks_.cores();
    if (options.stages == Stages::kAutomatic) choose_stages();
    descends_ = options_.stages == Stages::kDescent || options_.stages == Stages::kDescentAndPolish;
    if (!descends_) {
      summary_.stopped = "end";
      return;
    }
    per_step_ = options.starts * space_->evaluations_per_step();
    const std::int64_t batch = batch_size();
    for (std::int64_t first = 0; first < options.starts; first += batch) {
      descents_.emplace_back(*space_, first, std::min(batch, options.starts - first), kGroup, options.seed,
                             options.learning_rate);
      if (ranks_.owns(descents_.size() - 1)) mine_.push_back(descents_.size() - 1);
    }
  }

  SearchSummary run() {
    if (!options_.resume.empty()) resume();
    if (descends_) descend();
    if (!ranks_.is_root()) return std::move(summary_);
    checkpoint(state());
    if (options_.stages == Stages::kDescent) {
      round();
    } else if (!budget_.interrupted() || !has_design()) {
      polish();
    }
    if (!has_design()) find_any();
    TORCH_CHECK(has_design(), "no design found");
    summary_.evaluations = budget_.spent();
    if (options_.within > 0 && !budget_.interrupted()) {
      summary_.smallest = smallest_hardware(
          problem_, *space_, options_, budget_, threads_,
          {summary_.best, best_objective_, looked_at_, [this] { report("smaller hardware"); }});
    }
    summary_.wall_s = budget_.elapsed();
    return std::move(summary_);
  }

 private:
  /// Starts that descend together: on a device that takes as long for few as for many, all that a rank has.
  std::int64_t batch_size() const {
    if (options_.device == "cpu") return kGroup;
    const std::int64_t groups = (options_.starts + kGroup - 1) / kGroup;
    return (groups + ranks_.size() - 1) / ranks_.size() * kGroup;
  }

  bool has_design() const { return best_objective_ < kInfinity; }
  const char* work_name() const { return summary_.enumerated ? "enumeration" : "polish"; }

  /// Enumerates at once or descends: as the run did that is resumed, else what the space and the limits
  /// allow.
  void choose_stages() {
    const bool enumerates = options_.resume.empty()
                                ? can_enumerate()
                                : stages_of_checkpoint(options_.resume) == Stages::kAutomatic;
    summary_.enumerated = enumerates;
    if (!enumerates) options_.stages = Stages::kDescentAndPolish;
  }

  /// Whether the polish of one shape looks at all schedules of all layers, within the limits.
  bool can_enumerate() const {
    const Shape shape = space_->shapes().back();
    double all = 0;
    for (std::size_t l = 0; l < problem_.workload.layers.size(); ++l) {
      const double size = space_->layer(l, shape)->size();
      if (size > static_cast<double>(options_.polish_nests)) return false;
      all += size * static_cast<double>(space_->orders());
    }
    return all <= static_cast<double>(std::min(budget_.left(), kEnumerationEvaluations));
  }

  // ---- The descent.

  bool descent_ends() {
    if (budget_.interrupted()) {
      summary_.stopped = "interrupt";
    } else if (options_.patience > 0 && stale_ >= options_.patience) {
      summary_.stopped = "patience";
    } else if (budget_.out_of_time(kDescentShare)) {
      summary_.stopped = "time";
    } else if (descent_evaluations() < per_step_) {
      summary_.stopped = "evaluations";
    } else {
      return false;
    }
    return true;
  }

  /// Evaluations that the descent may still take: a design has to be possible after it.
  std::int64_t descent_evaluations() const {
    if (options_.max_evaluations == 0) return kNoLimit;
    std::int64_t design = 0;
    for (std::size_t l = 0; l < problem_.workload.layers.size(); ++l) design += space_->least_evaluations(l);
    return std::min(budget_.left(kDescentShare), budget_.left() - design);
  }

  /// Steps until the next rounding or the next look at the clock; 0 at the end.
  std::int64_t next_steps() {
    if (summary_.steps == options_.steps || descent_ends()) return 0;
    const std::int64_t to_rounding = options_.round_every - summary_.steps % options_.round_every;
    return std::min(
        {kSegment, to_rounding, options_.steps - summary_.steps, descent_evaluations() / per_step_});
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
      budget_.spend(per_step_ * steps);
      summary_.steps = to;
      if (!ranks_.is_root()) continue;
      if (rounding_due()) round();
      report("descent");
      if (budget_.elapsed() > next_checkpoint_) checkpoint(state());
    }
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
      realise(shape_of(starts[i]), {starts[i]}, kRoundingNests, false);
    stale_ = best_objective_ < before.best_log_objective ? 0 : stale_ + 1;
    if (limited_) {
      checkpoint(before);
      checkpoints_end_ = true;
    } else {
      rounded_at_ = summary_.steps;
    }
  }

  std::vector<Start> ranked_starts() const {
    std::vector<Start> starts;
    const Hardware& least = problem_.bounds.min;
    const Hardware most = problem_.with_shape(problem_.bounds.max, space_->shapes().back());
    const double share = static_cast<double>(summary_.steps) / static_cast<double>(options_.steps);
    for (const Descent& descent : descents_) {
      const RelaxedCost cost = descent.cost(share);
      const Tensor decoded = descent.decoded();
      for (std::int64_t i = 0; i < cost.loss.size(0); ++i) {
        const double loss = cost.loss[i].item<double>();
        if (!std::isfinite(loss)) continue;
        Hardware hardware = least;
        for (std::size_t p = 0; p < hardware.size(); ++p) {
          const double size = cost.hardware[i][static_cast<std::int64_t>(p)].item<double>();
          // A relaxed size slightly over a whole number means that number.
          hardware[p] = std::clamp(static_cast<std::int64_t>(std::ceil(size - 0.05)), least[p], most[p]);
        }
        starts.push_back({loss, hardware, decoded[i]});
      }
    }
    std::stable_sort(starts.begin(), starts.end(),
                     [](const Start& a, const Start& b) { return a.loss < b.loss; });
    return starts;
  }

  // ---- Integer designs.

  /// Whether a rounding or the polish has to end now: interrupted or out of time, and with a design. The
  /// reason is kept.
  bool cut_short() {
    if (!has_design() || !budget_.has_to_end()) return false;
    limited_ = true;
    summary_.stopped = budget_.interrupted() ? "interrupt" : "time";
    return true;
  }

  /// The best design of a shape, of schedules near the first of `starts`. `improves`: with what improves on
  /// the best of them where a layer has more schedules than `limit`. True when all schedules were looked at.
  bool realise(const Shape& shape, const std::vector<Start>& starts, std::int64_t limit, bool improves) {
    // Without a design yet, one that fits matters more than the clock.
    const std::function<bool()> stop = [this] { return has_design() && budget_.has_to_end(); };
    ShapeSearch search;
    search.layers = std::make_unique<LayerSearch>(problem_, *space_, shape, threads_, budget_, stop);
    const bool whole = look_at(shape, search, starts, limit, improves, stop);
    if (options_.within > 0 && limit >= kept_from_) looked_at_[shape] = std::move(search);
    return whole;
  }

  bool look_at(const Shape& shape, ShapeSearch& search, const std::vector<Start>& starts, std::int64_t limit,
               bool improves, const std::function<bool()>& stop) {
    LayerSearch& layers = *search.layers;
    layers.worked = [this](std::size_t done) { report(work_name(), done); };
    std::vector<Hardware> from;
    for (const Start& start : starts) {
      if (std::find(from.begin(), from.end(), start.hardware) == from.end()) from.push_back(start.hardware);
      if (from.size() == 4) break;
    }
    if (!layers.look(starts.front().near, limit, !has_design())) {
      limited_ = true;
      summary_.stopped = "evaluations";
      return false;
    }
    limited_ = limited_ || layers.fell_short();
    if (cut_short()) return false;
    const auto offer_best = [&] {
      search.best = choose(problem_, *space_, layers.frontiers(), shape, from, stop, threads_);
      offer(layers, search.best);
      report(work_name());
    };
    offer_best();
    while (improves && has_design() && layers.improvable() && !cut_short()) {
      const double before = best_objective_;
      if (!layers.improve(problem_.prices(best_sums_), summary_.best.hardware)) break;
      offer_best();
      // A layer that ran out of evaluations is not at its end: others may have left some for it.
      if (!layers.fell_short() && !(best_objective_ < before - 1e-12)) break;
    }
    return !cut_short() && layers.complete();
  }

  /// Keeps a choice if it is better: first no slower than the space allows, then by the objective.
  void offer(const LayerSearch& layers, const Choice& choice) {
    if (choice.entry.empty()) return;
    const bool fast = is_fast(*space_, choice.sums);
    if (fast == best_is_fast_ ? !(choice.log_objective < best_objective_) : !fast) return;
    best_is_fast_ = fast;
    best_objective_ = choice.log_objective;
    best_sums_ = choice.sums;
    summary_.best = to_design(problem_, *space_, layers.frontiers(), choice);
  }

  /// The best integer designs of the shapes of the best starts, then of all shapes that lower bounds leave
  /// room for; where none are known, of the next smaller and larger shapes as long as that helps.
  void polish() {
    const std::vector<Shape> shapes = space_->shapes();
    std::vector<Start> starts = ranked_starts();
    if (starts.empty()) starts.push_back(anywhere(space_->first_shape()));
    report(work_name());
    // Short of time: first any design, so that the polish can end when it has to.
    if (!has_design() && (budget_.has_time_limit() || budget_.interrupted()))
      realise(shape_of(starts.front()), {starts.front()}, kRoundingNests, false);
    const std::int64_t most = space_->polish_evaluations();
    const std::int64_t enough = most == kNoLimit ? kNoLimit : budget_.spent() + most;
    std::set<Shape> tried;
    Pass now{options_.polish_nests, true};
    const auto attempt = [&](const Shape& shape) {
      if (tried.count(shape) > 0 || cut_short()) return;
      if (!tried.empty() && budget_.spent() > enough) return;
      if (has_design() && best_is_fast_ && cannot_be_better(shape)) return;
      tried.insert(shape);
      std::vector<Start> same_shape;  // first the starts that found this shape, else the best one
      for (const Start& start : starts) {
        if (shape_of(start) == shape) same_shape.push_back(start);
      }
      if (same_shape.empty()) same_shape = {starts.front()};
      const bool whole = realise(shape, same_shape, now.nests, now.improves);
      if (has_design() && problem_.shape_of(summary_.best.hardware) == shape) summary_.complete = whole;
    };
    const auto attempt_starts = [&] {
      for (const Start& start : starts) {
        if (tried.size() < kRounded) attempt(shape_of(start));
      }
    };
    kept_from_ = now.nests;
    const SizeRanges ranges(problem_, *space_, threads_);
    if (ranges.known()) {
      const std::vector<Pass> passes = this->passes();
      kept_from_ = passes.back().nests;
      for (const Pass& pass : passes) {
        now = pass;
        tried.clear();
        if (has_design()) attempt(problem_.shape_of(summary_.best.hardware));
        attempt_starts();
        polish_by_bounds(ranges, attempt);
      }
      look_longer(starts.front(), now.nests);
      return;
    }
    attempt_starts();
    if (cut_short()) return;
    for (double before = kInfinity; best_objective_ < before;) {
      before = best_objective_;
      for (const std::vector<int>& move : moves_of(problem_.machine().shape_parameters)) {
        if (const auto next = neighbour(shapes, problem_.shape_of(summary_.best.hardware), move))
          attempt(*next);
      }
    }
  }

  /// A pass over the shapes.
  struct Pass {
    std::int64_t nests;  ///< schedules of a layer to look at on every shape
    bool improves;
  };

  /// One pass after the other: first few schedules, so that the best shapes are known before much is spent on
  /// any. Where evaluations are limited, as few as leave room for kShapesOfBudget shapes, and nothing is
  /// improved in the first pass.
  std::vector<Pass> passes() const {
    const std::int64_t all = options_.polish_nests;
    if (options_.max_evaluations > 0) {
      const auto layers = static_cast<std::int64_t>(problem_.workload.layers.size());
      const std::int64_t most = std::max<std::int64_t>(budget_.left() / layers / kShapesOfBudget, 64);
      if (most < all) return {{std::max<std::int64_t>(most / kFirstOfBudget, 64), false}, {most, true}};
    }
    return {{std::max<std::int64_t>(all / kFirstPass, 64), true}, {all, true}};
  }

  /// On the best shape again, with more schedules than on each of many.
  void look_longer(const Start& start, std::int64_t nests) {
    const std::int64_t longer = nests * space_->longer_on_the_best();
    if (longer == nests || !has_design() || summary_.complete || cut_short()) return;
    const Shape shape = problem_.shape_of(summary_.best.hardware);
    realise(shape, {{start.loss, summary_.best.hardware, start.near}}, longer, true);
  }

  /// The shapes that lower bounds leave room for, those with the lowest first, until a row of them has given
  /// nothing better.
  void polish_by_bounds(SizeRanges ranges, const std::function<void(const Shape&)>& attempt) {
    const auto stop = [this] { return cut_short() || budget_.left() == 0; };
    for (int fruitless = 0; fruitless < kFruitless && !stop(); ++fruitless) {
      const auto shape = ranges.take_shape(best_objective_, stop);
      if (!shape) return;
      const double before = best_objective_;
      attempt(*shape);
      if (best_objective_ < before) fruitless = -1;
    }
  }

  bool cannot_be_better(const Shape& shape) const {
    const std::vector<LayerCosts> least = space_->least_costs(shape);
    return !least.empty() && problem_.log_value(least) > best_objective_;
  }

  Shape shape_of(const Start& start) const { return problem_.shape_of(start.hardware); }

  Start anywhere(const Shape& shape) const {
    return {kInfinity, problem_.with_shape(problem_.bounds.max, shape), {}};
  }

  /// For when the polish found nothing: with tight bounds, few schedules around the best starts need not hold
  /// one that fits. First more of them; then those nearest to what needs the least, which itself fits the
  /// smallest array (Target::space), so that a design is found.
  void find_any() {
    const std::vector<Start> starts = ranked_starts();
    const auto attempt = [&](const Shape& shape, const Start& start, std::int64_t nests) {
      if (!has_design()) summary_.complete = realise(shape, {start}, nests, false);
    };
    for (std::size_t i = 0; i < std::min(kRounded, starts.size()); ++i)
      attempt(shape_of(starts[i]), starts[i], 4 * options_.polish_nests);
    const Shape smallest = problem_.shape_of(problem_.bounds.min);
    Start least = anywhere(smallest);
    least.near = space_->least_demanding();
    if (!starts.empty()) attempt(shape_of(starts.front()), least, options_.polish_nests);
    attempt(smallest, least, options_.polish_nests);
  }

  // ---- Checkpoints and reports.

  SearchState state() const {
    SearchState state{summary_.steps, budget_.spent(), stale_, rounded_at_, {}, best_objective_, best_sums_};
    if (has_design()) state.best = summary_.best;
    return state;
  }

  void checkpoint(const SearchState& state) {
    if (options_.checkpoint.empty() || checkpoints_end_) return;
    save_checkpoint(options_.checkpoint, problem_, options_, state, descents_);
    next_checkpoint_ = budget_.elapsed() + options_.checkpoint_every_s;
  }

  void resume() {
    SearchState state = load_checkpoint(options_.resume, problem_, options_, descents_);
    summary_.steps = state.steps;
    budget_.set_spent(state.evaluations);
    stale_ = state.stale_roundings;
    rounded_at_ = state.rounded_at;
    if (!state.best) return;
    summary_.best = std::move(*state.best);
    best_objective_ = state.best_log_objective;
    best_sums_ = state.best_sums;
    best_is_fast_ = is_fast(*space_, best_sums_);
  }

  void report(const char* phase, std::size_t layers_done = 0) {
    if (!progress_) return;
    SearchProgress now;
    now.step = summary_.steps;
    now.steps = options_.steps;
    now.phase = phase;
    now.elapsed_s = budget_.elapsed();
    now.evaluations = budget_.spent();
    now.layers_done = layers_done;
    now.layers = layers_done > 0 ? problem_.workload.layers.size() : 0;
    const double done = static_cast<double>(summary_.steps) / static_cast<double>(options_.steps);
    now.eta_s = done > 0 ? now.elapsed_s * (1 / done - 1) : 0;
    now.hardware = summary_.best.hardware;
    now.best_objective = kInfinity;
    if (has_design()) {
      now.best_objective = problem_.value(summary_.best);
    } else if (layers_done == 0) {
      if (const std::vector<Start> starts = ranked_starts(); !starts.empty()) {
        now.hardware = starts.front().hardware;
        now.relaxed_objective = std::exp(starts.front().loss);
      }
    }
    progress_(now);
  }

  const SearchProblem& problem_;
  SearchOptions options_;
  const ProgressCallback& progress_;
  Budget budget_;
  std::unique_ptr<SearchSpace> space_;
  const Ranks& ranks_ = Ranks::here();
  bool descends_ = false;
  std::vector<Descent> descents_;  ///< batches of starts; on rank 0 all are up to date
  std::vector<std::size_t> mine_;  ///< the batches that this rank descends
  double next_checkpoint_ = 0;
  std::int64_t threads_ = 1;
  std::int64_t per_step_ = 0;  // evaluations
  SearchSummary summary_;
  std::int64_t kept_from_ = 0;              // schedules of a layer
  std::map<Shape, ShapeSearch> looked_at_;  // by the polish, where smaller hardware is searched
  double best_objective_ = kInfinity;       // logarithm, with cycles as the search counts them
  std::vector<NetworkSums> best_sums_;
  bool best_is_fast_ = false;
  std::int64_t stale_ = 0;        // roundings since it changed
  std::int64_t rounded_at_ = 0;   // step of the last rounding that was done in full
  bool limited_ = false;          // the rounding or polish at work was cut short
  bool checkpoints_end_ = false;  // the last checkpoint is where a resumed run has to go on
};

}  // namespace

Stages stages_from_name(const std::string& name) {
  const auto* found = std::find(kStagesNames.begin(), kStagesNames.end(), name);
  if (found == kStagesNames.end())
    fail(ErrorId::kValue, "stages: found '{}', allowed: {}", name, fmt::join(kStagesNames, ", "));
  return static_cast<Stages>(found - kStagesNames.begin());
}

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
         in_range("time", time_limit_s, 0, 1e9) && in_range("within", within, 0, 100) &&
         in_range("checkpoint-every", checkpoint_every_s, 0, 1e6) &&
         in_range("samples", static_cast<double>(max_evaluations), 0, 1e18);
}

Json to_json(const SearchOptions& options, const SearchProblem& problem) {
  const HardwareBounds& bounds = problem.bounds;
  Json json{{"stages", kStagesNames[static_cast<std::size_t>(options.stages)]},
            {"starts", options.starts},
            {"steps", options.steps},
            {"round_every", options.round_every},
            {"patience", options.patience},
            {"learning_rate", options.learning_rate},
            {"polish_nests", options.polish_nests},
            {"min", problem.machine().to_json(bounds.min)},
            {"max", problem.machine().to_json(bounds.max)}};
  if (problem.is_joint()) json["combine"] = kCombiningNames[static_cast<std::size_t>(problem.combining)];
  if (std::isfinite(bounds.max_area_mm2)) json["max_area_mm2"] = bounds.max_area_mm2;
  return json;
}

std::string SearchSummary::brief_report() const {
  std::string text = enumerated ? space + " enumerated, no descent needed; " : "";
  if (stopped != "end") text += fmt::format("{}, stopped by {}; ", counted(steps, "step"), stopped);
  text += fmt::format("{}, {:.1f} s{}\n", counted(evaluations, "evaluation"), wall_s,
                      complete && !enumerated ? "; the polish saw " + space : "");
  return text;
}

SearchSummary optimize(const SearchProblem& problem, const SearchOptions& options,
                       const ProgressCallback& progress, const std::atomic<bool>* interrupt) {
  std::string error;
  if (!options.is_valid(&error)) fail(ErrorId::kValue, "{}", error);
  problem.check_bounds();
  if (options.device == "cuda" && !torch::cuda::is_available())
    fail(ErrorId::kValue, "device: found cuda, but this LibTorch sees no CUDA device; allowed: cpu");
  one_thread_per_operation();
  return Optimizer(problem, options, progress, interrupt).run();
}

}  // namespace dosa
