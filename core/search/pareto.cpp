#include "dosa/core/search/pareto.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "dosa/core/targets/mapping/mapper.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using Clock = std::chrono::steady_clock;
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

/// The largest useful array, and those nearest to each 1/sqrt(2) of the one before.
std::vector<std::int64_t> some_arrays(const std::vector<std::int64_t>& useful, std::int64_t count) {
  std::vector<std::int64_t> arrays;
  double wanted = static_cast<double>(useful.back());
  for (std::int64_t i = 0; i < count && wanted >= static_cast<double>(useful.front()); ++i) {
    const std::int64_t nearest =
        *std::min_element(useful.begin(), useful.end(), [&](std::int64_t a, std::int64_t b) {
          return std::abs(std::log(static_cast<double>(a) / wanted)) <
                 std::abs(std::log(static_cast<double>(b) / wanted));
        });
    if (arrays.empty() || nearest < arrays.back()) arrays.push_back(nearest);
    wanted /= std::sqrt(2);
  }
  return arrays;
}

}  // namespace

bool ParetoOptions::is_valid(std::string* error) const {
  const auto in_range = [&](const char* name, std::int64_t value, std::int64_t min, std::int64_t max) {
    if (value >= min && value <= max) return true;
    *error = fmt::format("{}: found {}, expected {} to {}", name, value, min, max);
    return false;
  };
  return in_range("points", points, 2, 1000) && in_range("area-limits", area_limits, 1, 20) &&
         in_range("arrays", arrays, 1, 100) && in_range("polish-nests", nests, 64, 100'000'000) &&
         in_range("threads", threads, 0, 1024);
}

ParetoSummary pareto_front(const SearchProblem& problem, const ParetoOptions& options,
                           const ParetoProgressCallback& progress, const std::atomic<bool>* interrupt) {
  std::string error;
  if (!options.is_valid(&error)) fail(ErrorId::kValue, "{}", error);
  problem.check();
  one_thread_per_operation();
  const auto begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };

  ParetoSummary summary;
  summary.arrays = some_arrays(problem.useful_arrays(), options.arrays);
  double limit = std::min(problem.bounds.max_area_mm2, area_mm2(problem.machine.area, problem.bounds.max));
  for (std::int64_t i = 0; i < options.area_limits; ++i, limit /= 2) summary.area_limits_mm2.push_back(limit);
  // What best_design is asked on every array.
  std::vector<SearchProblem> questions;
  for (const double area : summary.area_limits_mm2) {
    for (const std::string& name : Objective::names()) {
      questions.push_back(problem);
      questions.back().objective = Objective::from_name(name);
      questions.back().bounds.max_area_mm2 = area;
    }
  }

  const Mapper mapper(problem);
  const auto layers = static_cast<std::int64_t>(problem.workload.layers.size());
  ParetoProgress now;
  now.arrays = summary.arrays.size();
  const auto stop = [&] { return !summary.front.empty() && interrupt != nullptr && *interrupt; };
  const auto look_at = [&](std::int64_t pe_dim) {
    std::vector<Frontier> frontiers(problem.workload.layers.size());
    parallel(layers, options.threads, [&](std::int64_t layer) {
      if (stop()) return;
      frontiers[static_cast<std::size_t>(layer)] =
          mapper.frontier(static_cast<std::size_t>(layer), pe_dim, options.nests, stop);
    });
    for (const Frontier& frontier : frontiers) {
      summary.evaluations += frontier.evaluated;
      summary.complete = summary.complete && frontier.complete;
    }
    if (stop()) summary.complete = false;
    std::vector<IntegerDesign> best(questions.size());
    parallel(static_cast<std::int64_t>(questions.size()), options.threads, [&](std::int64_t i) {
      const auto q = static_cast<std::size_t>(i);
      if (questions[q].has_room_for(pe_dim) && !stop())
        best[q] = best_design(questions[q], frontiers, pe_dim, {});
    });
    for (std::size_t q = 0; q < questions.size(); ++q) {
      if (best[q].entry.empty()) continue;
      add(summary.front,
          {to_design(questions[q], mapper, frontiers, best[q]), questions[q].bounds.max_area_mm2});
    }
  };
  for (const std::int64_t pe_dim : summary.arrays) {
    if (stop()) break;
    look_at(pe_dim);
    ++now.arrays_done;
    now.designs = summary.front.size();
    now.evaluations = summary.evaluations;
    now.elapsed_s = elapsed();
    if (progress) progress(now);
  }
  if (summary.front.empty()) {  // tight sizes: the least array has a mapping of every layer
    summary.arrays.push_back(problem.bounds.min.pe_dim);
    look_at(problem.bounds.min.pe_dim);
  }
  summary.interrupted = stop();
  TORCH_CHECK(!summary.front.empty(), "no design found");
  summary.found = summary.front.size();
  thin(summary.front, static_cast<std::size_t>(options.points));
  std::sort(summary.front.begin(), summary.front.end(),
            [](const FrontPoint& a, const FrontPoint& b) { return axes_of(a) < axes_of(b); });
  summary.wall_s = elapsed();
  return summary;
}

}  // namespace dosa
