#include "dosa/core/search/pareto.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <set>

#include "dosa/core/search/chooser.hpp"
#include "dosa/core/search/layers.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

// Without a least area limit, it is this much less than the most.
constexpr double kDefaultSpan = 32;
// Neighbours on the front whose areas differ by more than this factor have a gap between them.
constexpr double kWidestGap = 1.15;
// Every one narrows gaps to a third.
constexpr int kMostRefinements = 3;

using Axes = std::array<double, 3>;

Axes axes_of(const FrontPoint& point) {
  const DesignTotals& totals = point.design.totals;
  return {totals.area_mm2, totals.cycles, totals.energy_uj};
}

bool matches_or_beats(const Axes& a, const Axes& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return false;
  }
  return true;
}

/// Adds a design unless one matches or beats it; takes out what it beats.
void add(std::vector<FrontPoint>& front, FrontPoint point) {
  const Axes own = axes_of(point);
  for (const FrontPoint& other : front) {
    if (matches_or_beats(axes_of(other), own)) return;
  }
  front.erase(std::remove_if(front.begin(), front.end(),
                             [&](const FrontPoint& other) { return matches_or_beats(own, axes_of(other)); }),
              front.end());
  front.push_back(std::move(point));
}

/// Keeps the least of each axis and of the EDP, then again and again the design that lies furthest, in the
/// logarithms of the axes, from all those kept.
void thin(std::vector<FrontPoint>& front, std::size_t count) {
  if (front.size() <= count) return;
  std::vector<Axes> places;
  for (const FrontPoint& point : front) {
    Axes place = axes_of(point);
    for (double& coordinate : place) coordinate = std::log(coordinate);
    places.push_back(place);
  }
  std::vector<double> distance(front.size(), std::numeric_limits<double>::infinity());
  std::vector<bool> kept(front.size(), false);
  const auto keep = [&](std::size_t index) {
    kept[index] = true;
    for (std::size_t i = 0; i < places.size(); ++i) {
      double squares = 0;
      for (std::size_t a = 0; a < 3; ++a) squares += std::pow(places[i][a] - places[index][a], 2);
      distance[i] = std::min(distance[i], squares);
    }
  };
  const auto least = [&](auto value_of) {
    return static_cast<std::size_t>(
        std::min_element(places.begin(), places.end(),
                         [&](const Axes& a, const Axes& b) { return value_of(a) < value_of(b); }) -
        places.begin());
  };
  const std::array<std::size_t, 4> ends{
      least([](const Axes& a) { return a[1] + a[2]; }), least([](const Axes& a) { return a[0]; }),
      least([](const Axes& a) { return a[1]; }), least([](const Axes& a) { return a[2]; })};
  std::size_t chosen = 0;
  for (const std::size_t end : ends) {
    if (kept[end] || chosen == count) continue;
    keep(end);
    ++chosen;
  }
  for (; chosen < count; ++chosen) {
    keep(static_cast<std::size_t>(std::max_element(distance.begin(), distance.end()) - distance.begin()));
  }
  std::size_t index = 0;
  front.erase(std::remove_if(front.begin(), front.end(), [&](const FrontPoint&) { return !kept[index++]; }),
              front.end());
}

/// The geometric mean of a shape's parameters.
double size_of(const Shape& shape) {
  double log_size = 0;
  for (const std::int64_t size : shape) log_size += std::log(static_cast<double>(size));
  return std::exp(log_size / static_cast<double>(std::max<std::size_t>(1, shape.size())));
}

/// The largest useful shape, and those nearest to each 1/sqrt(2) of the one before.
std::vector<Shape> some_shapes(const std::vector<Shape>& useful, std::int64_t count) {
  std::vector<Shape> shapes;
  double wanted = size_of(useful.back());
  for (std::int64_t i = 0; i < count && wanted >= size_of(useful.front()); ++i) {
    const Shape& nearest =
        *std::min_element(useful.begin(), useful.end(), [&](const Shape& a, const Shape& b) {
          return std::abs(std::log(size_of(a) / wanted)) < std::abs(std::log(size_of(b) / wanted));
        });
    if (shapes.empty() || nearest < shapes.back()) shapes.push_back(nearest);
    wanted /= std::sqrt(2);
  }
  return shapes;
}

/// The front under construction: frontiers of some shapes, and the questions that are asked of them.
class FrontSearch {
 public:
  FrontSearch(const SearchProblem& problem, const ParetoOptions& options,
              const ParetoProgressCallback& progress, const std::atomic<bool>* interrupt)
      : problem_(problem),
        options_(options),
        progress_(progress),
        budget_(0, 0, interrupt),
        space_(problem.target->space(problem, "cpu")) {
    summary_.shapes = some_shapes(space_->shapes(), options.shapes);
    const double most = std::min(problem.bounds.max_area_mm2, problem.machine().area_mm2(problem.bounds.max));
    const double least = options.min_area_mm2 > 0 ? options.min_area_mm2 : most / kDefaultSpan;
    const std::int64_t steps = std::max<std::int64_t>(1, options.area_limits - 1);
    for (std::int64_t i = 0; i < options.area_limits; ++i)
      limits_.push_back(most * std::pow(least / most, static_cast<double>(i) / static_cast<double>(steps)));
    summary_.area_limits_mm2 = limits_;
  }

  ParetoSummary run() {
    for (const Shape& shape : summary_.shapes) {
      if (stop()) break;
      look_at(shape);
      report();
    }
    if (summary_.front.empty()) {  // tight sizes: the least shape has a schedule of every layer
      summary_.shapes.push_back(problem_.shape_of(problem_.bounds.min));
      look_at(summary_.shapes.back());
    }
    refine();
    settle();
    summary_.interrupted = stop();
    summary_.complete = summary_.complete && !summary_.interrupted;
    TORCH_CHECK(!summary_.front.empty(), "no design found");
    if (options_.min_area_mm2 > 0) drop_below(options_.min_area_mm2);
    challenge();
    summary_.found = summary_.front.size();
    thin(summary_.front, static_cast<std::size_t>(options_.points));
    sort_by_area();
    summary_.evaluations = budget_.spent();
    summary_.wall_s = budget_.elapsed();
    return std::move(summary_);
  }

 private:
  struct OnShape {
    Shape shape;
    std::unique_ptr<LayerSearch> layers;
  };

  bool stop() const { return !summary_.front.empty() && budget_.interrupted(); }

  void look_at(const Shape& shape) {
    shapes_.push_back({shape, std::make_unique<LayerSearch>(problem_, *space_, shape, options_.threads,
                                                            budget_, [this] { return stop(); })});
    LayerSearch& layers = *shapes_.back().layers;
    layers.look({}, options_.nests, true);
    // What was not looked at is improved on for every objective.
    for (const std::string& name : Objective::names()) {
      if (!layers.improvable() || stop()) break;
      SearchProblem asked = problem_;
      asked.objective = Objective::from_name(name);
      const Choice best = choose(asked, *space_, layers.frontiers(), shape, {});
      if (!best.entry.empty()) layers.improve(asked.prices(best.sums), best.hardware);
    }
    summary_.complete = summary_.complete && layers.complete() && !stop();
    for (const double limit : limits_) ask(limit, shapes_.back(), false);
  }

  /// The best design of a shape under an area limit for every objective, into the front; `improves`: with
  /// what improves on its schedules.
  void ask(double limit, const OnShape& on, bool improves) {
    std::vector<SearchProblem> questions;
    for (const std::string& name : Objective::names()) {
      questions.push_back(problem_);
      questions.back().objective = Objective::from_name(name);
      questions.back().bounds.max_area_mm2 = limit;
    }
    std::vector<Choice> best(questions.size());
    const auto answer = [&](std::size_t q) {
      if (!questions[q].has_room_for(on.shape) || stop()) return;
      best[q] = best_buildable(questions[q], *space_, on.layers->frontiers(), on.shape, {});
    };
    const auto keep = [&](std::size_t q) {
      if (best[q].entry.empty()) return;
      add(summary_.front, {to_design(questions[q], *space_, on.layers->frontiers(), best[q]), limit});
    };
    parallel(static_cast<std::int64_t>(questions.size()), options_.threads,
             [&](std::int64_t q) { answer(static_cast<std::size_t>(q)); });
    for (std::size_t q = 0; q < questions.size(); ++q) keep(q);
    if (!improves || !on.layers->improvable()) return;
    for (std::size_t q = 0; q < questions.size(); ++q) {
      answer(q);  // of frontiers that the questions before have changed
      for (double before = kInfinity; !best[q].entry.empty() && best[q].log_objective < before - 1e-12;) {
        before = best[q].log_objective;
        if (!on.layers->improve(questions[q].prices(best[q].sums), best[q].hardware)) break;
        answer(q);
      }
      keep(q);
    }
  }

  void sort_by_area() {
    std::sort(summary_.front.begin(), summary_.front.end(),
              [](const FrontPoint& a, const FrontPoint& b) { return axes_of(a) < axes_of(b); });
  }

  void drop_below(double area) {
    auto& front = summary_.front;
    const auto is_less = [&](const FrontPoint& point) { return point.design.totals.area_mm2 < area; };
    if (std::all_of(front.begin(), front.end(), is_less)) return;
    front.erase(std::remove_if(front.begin(), front.end(), is_less), front.end());
  }

  /// Asks again in the middle of every gap between the areas of neighbours, until none is wide or nothing new
  /// comes.
  void refine() {
    std::set<double> asked(limits_.begin(), limits_.end());
    for (int round = 0; round < kMostRefinements && !stop(); ++round) {
      sort_by_area();
      std::vector<double> limits;
      for (std::size_t i = 0; i + 1 < summary_.front.size(); ++i) {
        const double low = summary_.front[i].design.totals.area_mm2;
        const double high = summary_.front[i + 1].design.totals.area_mm2;
        if (low < limits_.back() || high / low < kWidestGap) continue;
        for (const double share : {1.0 / 3, 2.0 / 3}) {
          const double limit = low * std::pow(high / low, share);
          if (asked.insert(limit).second) limits.push_back(limit);
        }
      }
      if (limits.empty()) return;
      for (const double limit : limits) {
        for (const OnShape& on : shapes_) ask(limit, on, false);
      }
      summary_.area_limits_mm2.insert(summary_.area_limits_mm2.end(), limits.begin(), limits.end());
      report();
    }
  }

  /// Asks for what is best within every design's own area and shape: the least of one objective under a
  /// limit leaves open what the others come to, and of several designs with the same latency any may have
  /// been found.
  void settle() {
    std::set<std::pair<double, Shape>> asked;
    for (int round = 0; round < kMostRefinements && !stop(); ++round) {
      std::vector<std::pair<double, Shape>> places;
      for (const FrontPoint& point : summary_.front) {
        const std::pair<double, Shape> place{point.design.totals.area_mm2,
                                             problem_.shape_of(point.design.hardware)};
        if (asked.insert(place).second) places.push_back(place);
      }
      if (places.empty()) return;
      for (const auto& [area, shape] : places) {
        for (const OnShape& on : shapes_) {
          if (on.shape == shape) ask(area, on, false);
        }
      }
      report();
    }
  }

  /// Asks for what is best within the area of every design that will be kept: on its own shape, with what
  /// improves on that, and on the others where one of their designs may beat it.
  void challenge() {
    std::set<std::pair<double, Shape>> asked;
    for (int round = 0; round < kMostRefinements && !stop(); ++round) {
      std::vector<FrontPoint> kept = summary_.front;
      thin(kept, static_cast<std::size_t>(options_.points));
      const std::size_t before = asked.size();
      for (const FrontPoint& point : kept) {
        for (const OnShape& on : shapes_) {
          const bool own = on.shape == problem_.shape_of(point.design.hardware);
          if ((own || may_beat(on.shape, point.design)) &&
              asked.insert({point.design.totals.area_mm2, on.shape}).second)
            ask(point.design.totals.area_mm2, on, own && round == 0);
        }
      }
      if (asked.size() == before) return;
      report();
    }
  }

  /// Whether a shape may have a design that beats this one in area, latency and energy.
  bool may_beat(const Shape& shape, const Design& design) const {
    SearchProblem within = problem_;
    within.bounds.max_area_mm2 = design.totals.area_mm2;
    const std::vector<LayerCosts> least = space_->least_costs(shape);
    return within.has_room_for(shape) &&
           (least.empty() || (least.front().cycles <= design.totals.cycles &&
                              least.front().energy_uj <= design.totals.energy_uj));
  }

  void report() const {
    if (!progress_) return;
    ParetoProgress now;
    now.shapes = summary_.shapes.size();
    now.shapes_done = shapes_.size();
    now.designs = summary_.front.size();
    now.evaluations = budget_.spent();
    now.elapsed_s = budget_.elapsed();
    progress_(now);
  }

  const SearchProblem& problem_;
  const ParetoOptions& options_;
  const ParetoProgressCallback& progress_;
  Budget budget_;
  std::unique_ptr<SearchSpace> space_;
  std::vector<double> limits_;  // descending
  std::vector<OnShape> shapes_;
  ParetoSummary summary_;
};

}  // namespace

bool ParetoOptions::is_valid(std::string* error) const {
  const auto in_range = [&](const char* name, std::int64_t value, std::int64_t min, std::int64_t max) {
    if (value >= min && value <= max) return true;
    *error = fmt::format("{}: found {}, expected {} to {}", name, value, min, max);
    return false;
  };
  return in_range("points", points, 2, 1000) && in_range("area-limits", area_limits, 1, 100) &&
         in_range("arrays", shapes, 1, 100) && in_range("polish-nests", nests, 64, 100'000'000) &&
         in_range("threads", threads, 0, 1024);
}

ParetoSummary pareto_front(const SearchProblem& problem, const ParetoOptions& options,
                           const ParetoProgressCallback& progress, const std::atomic<bool>* interrupt) {
  std::string error;
  if (!options.is_valid(&error)) fail(ErrorId::kValue, "{}", error);
  if (problem.is_joint())
    fail(ErrorId::kUsage, "a front is of one network, here are {}", problem.parts.size());
  problem.check_bounds();
  one_thread_per_operation();
  return FrontSearch(problem, options, progress, interrupt).run();
}

}  // namespace dosa
