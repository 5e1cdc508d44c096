#include "tests/core/explain/designs.hpp"

#include "dosa/core/search/problem.hpp"

namespace dosa::testing {

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
  options.max_nests = 1024;
  options.samples = 64;
  options.stages = Stages::kPolish;
  return map_exhaustively(problem, options).best;
}

}  // namespace dosa::testing
