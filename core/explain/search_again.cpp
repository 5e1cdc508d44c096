#include "dosa/core/explain/search_again.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

/// The schedules that the search finds for this hardware, as a design.
Design best_on(const DesignAnalysis& analysis, const TargetPtr& target, const Hardware& hardware,
               const SearchAgain& options) {
  Workload workload;
  workload.name = analysis.design.workload;
  for (const LayerAnalysis& layer : analysis.layers) workload.layers.push_back(layer.layer);
  SearchProblem problem =
      SearchProblem::of(std::move(workload), target, Objective::from_name(analysis.design.objective));
  problem.bounds.min = problem.bounds.max = hardware;
  target->check_hardware(hardware);
  return map_exhaustively(problem, options.map, {}, options.interrupt).best;
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

Sensitivity::Searched searched_at(const DesignAnalysis& analysis, const TargetPtr& target,
                                  const MachineNumber& number, double value, const SearchAgain& options) {
  Sensitivity::Searched result;
  result.value = value;
  try {
    Hardware hardware = analysis.design.hardware;
    TargetPtr changed = target;
    if (number.kind == NumberKind::kParameter) {
      hardware[target->machine().parameter(number.name, "explain")] = static_cast<std::int64_t>(value);
    } else {
      changed = options.target_with({number.name, value});
    }
    result.change = changes(*analysis.searched, best_on(analysis, changed, hardware, options).totals);
  } catch (const Error& error) {
    result.problem = error.what();
  }
  return result;
}

}  // namespace

void search_again(DesignAnalysis& analysis, const TargetPtr& target, const SearchAgain& options) {
  const auto say = [&](const std::string& text) {
    if (options.progress) options.progress(text);
  };
  say("searching for the machine as it is");
  const DesignTotals unchanged = best_on(analysis, target, analysis.design.hardware, options).totals;
  if (options.interrupt != nullptr && *options.interrupt) return;
  analysis.searched = unchanged;
  const std::size_t count = std::min(options.numbers, analysis.sensitivities.size());
  for (std::size_t n = 0; n < count; ++n) {
    Sensitivity& one = analysis.sensitivities[n];
    for (const bool above : {true, false}) {
      for (const double value : places(one.number, above)) {
        say(fmt::format("{} of {}: {} = {:.6g}", n + 1, count, one.number.name, value));
        const Sensitivity::Searched result = searched_at(analysis, target, one.number, value, options);
        // What an interrupted search has found tells nothing.
        if (options.interrupt != nullptr && *options.interrupt) return;
        const bool found = result.problem.empty();
        // A place where nothing can be built is only of interest where there is no other one.
        if (found || value == places(one.number, above).back()) one.searched.push_back(result);
        if (found) break;
      }
    }
  }
}

}  // namespace dosa
