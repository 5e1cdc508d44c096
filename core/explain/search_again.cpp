#include "dosa/core/explain/search_again.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

/// A machine that is searched: the design's as it is, or with one number at another value.
struct Place {
  TargetPtr target;
  Hardware hardware;
};

/// The machine with another value of a number. Throws Error where it cannot be that.
Place place_with(const MachineNumber& number, double value, const Place& here, const SearchAgain& options) {
  Place place = here;
  if (number.kind == NumberKind::kParameter) {
    place.hardware[here.target->machine().parameter(number.name, "explain")] =
        static_cast<std::int64_t>(value);
  } else {
    place.target = options.target_with({number.name, value});
  }
  place.target->check_hardware(place.hardware);
  return place;
}

/// What the search finds there.
Design best_on(const Place& place, const DesignAnalysis& analysis, const SearchAgain& options) {
  Workload workload;
  workload.name = analysis.design.workload;
  for (const LayerAnalysis& layer : analysis.layers) workload.layers.push_back(layer.layer);
  SearchProblem problem =
      SearchProblem::of(std::move(workload), place.target, Objective::from_name(analysis.design.objective));
  problem.bounds.min = problem.bounds.max = place.hardware;
  return map_exhaustively(problem, options.map, {}, options.interrupt).best;
}

/// The least that the schedules of any of these designs cost there. Designs whose schedules do not run there
/// are passed over; one has to.
DesignTotals least_on(const Place& place, const std::vector<Design>& designs) {
  std::optional<DesignTotals> least;
  const Objective objective = Objective::from_name(designs.front().objective);
  const auto value = [&](const DesignTotals& totals) {
    return objective.value(totals.energy_uj, totals.cycles);
  };
  for (Design design : designs) {
    design.hardware = place.hardware;
    try {
      evaluate(design, *place.target);
    } catch (const Error&) {  // larger tiles than this machine has room for
      continue;
    }
    design.totals.area_mm2 = place.target->machine().area_mm2(place.hardware);
    if (!least || value(design.totals) < value(*least)) least = design.totals;
  }
  return least.value();
}

bool is_whole(NumberKind kind) {
  return kind == NumberKind::kParameter || kind == NumberKind::kCapacity || kind == NumberKind::kFanOut;
}

/// Where to look above or below a value, the first that can be built.
std::vector<double> places(const MachineNumber& number, bool above) {
  const double step = above ? 1.1 : 0.9;
  if (!is_whole(number.kind)) return {number.value * step};
  const double next = above ? number.value + 1 : number.value - 1;
  const double near = std::nearbyint(number.value * step);
  std::vector<double> found{near == number.value ? next : near,
                            above ? number.value * 2 : std::floor(number.value / 2)};
  found.erase(std::remove_if(found.begin(), found.end(), [](double value) { return value < 1; }),
              found.end());
  return found;
}

Effects changes(const DesignTotals& before, const DesignTotals& after) {
  const auto relative = [](double from, double to) { return from == 0 ? 0 : to / from - 1; };
  return {relative(before.edp, after.edp), relative(before.energy_uj, after.energy_uj),
          relative(before.cycles, after.cycles), relative(before.area_mm2, after.area_mm2)};
}

/// A number at another value, and the machine with it or why there is none.
struct Asked {
  std::size_t number;  ///< its place among the sensitivities
  double value;
  Place place;
  std::string problem;
};

}  // namespace

void search_again(DesignAnalysis& analysis, const TargetPtr& target, const SearchAgain& options) {
  const Place here{target, analysis.design.hardware};
  std::vector<Design> designs{analysis.design};
  std::vector<Asked> asked;
  // Whether the search came to its end; what an interrupted one has found tells nothing.
  const auto search = [&](const Place& place, const std::string& what) {
    if (options.progress) options.progress(what);
    Design found = best_on(place, analysis, options);
    if (options.interrupt != nullptr && *options.interrupt) return false;
    designs.push_back(std::move(found));
    return true;
  };
  const std::size_t count = std::min(options.numbers, analysis.sensitivities.size());
  // Asks for the first of the values that can be built; false: interrupted.
  const auto ask = [&](std::size_t n, const std::vector<double>& values) {
    const MachineNumber& number = analysis.sensitivities[n].number;
    for (const double value : values) {
      Asked one{n, value, {}, ""};
      try {
        one.place = place_with(number, value, here, options);
        if (!search(one.place, fmt::format("{} of {}: {} = {:.6g}", n + 1, count, number.name, value)))
          return false;
      } catch (const Error& error) {
        one.problem = error.what();
      }
      const bool built = one.problem.empty();
      // A place where nothing can be built is only of interest where there is no other one.
      if (built || value == values.back()) asked.push_back(std::move(one));
      if (built) break;
    }
    return true;
  };
  if (!search(here, "searching for the machine as it is")) return;
  for (std::size_t n = 0; n < count; ++n) {
    if (!ask(n, places(analysis.sensitivities[n].number, true)) ||
        !ask(n, places(analysis.sensitivities[n].number, false)))
      break;
  }
  analysis.searched = least_on(here, designs);
  for (const Asked& one : asked) {
    Sensitivity::Searched result{one.value, {}, one.problem};
    if (one.problem.empty()) result.change = changes(*analysis.searched, least_on(one.place, designs));
    analysis.sensitivities[one.number].searched.push_back(std::move(result));
  }
}

}  // namespace dosa
