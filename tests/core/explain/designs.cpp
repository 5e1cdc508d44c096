#include "tests/core/explain/designs.hpp"

#include <algorithm>
#include <cstdlib>

#include "dosa/core/search/problem.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa::testing {

std::vector<std::string> networks_for(const std::string& machine) {
  constexpr std::ptrdiff_t kEvery = 3;
  const auto& machines = all_machines();
  const std::ptrdiff_t m = std::find(machines.begin(), machines.end(), machine) - machines.begin();
  const std::vector<std::string> all = shipped_names("workloads");
  if (std::getenv("DOSA_ALL_PAIRS") != nullptr) return all;
  std::vector<std::string> networks;
  for (auto n = m % kEvery; n < static_cast<std::ptrdiff_t>(all.size()); n += kEvery)
    networks.push_back(all[static_cast<std::size_t>(n)]);
  return networks;
}

Design quick_design(const std::string& network, const TargetPtr& target) {
  SearchProblem problem = SearchProblem::of(load_workload(network), target, Objective::from_name("edp"));
  problem.bounds.min = problem.bounds.max = target->machine().default_hardware;
  Design design = problem.blank_design();
  design.hardware = problem.bounds.max;
  design.layers.clear();
  for (const Layer& layer : problem.workload.layers) {
    const auto own = target->default_schedule(layer, design.hardware);
    if (!own) break;
    design.layers.push_back({layer, own->schedule, {}});
  }
  if (!design.layers.empty()) {
    evaluate(design, *target);
    return design;
  }
  MapOptions options;
  options.max_nests = 4096;
  options.samples = 64;
  options.stages = Stages::kPolish;
  return map_exhaustively(problem, options).best;
}

}  // namespace dosa::testing
