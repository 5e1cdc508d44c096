// What an export for Timeloop says, read back by the importer.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/import/timeloop/mapping.hpp"
#include "dosa/core/import/timeloop/problem.hpp"

namespace dosa::testing {

inline Layer layer_from_timeloop(const std::string& yaml) {
  const JsonInput problem = JsonInput::from_yaml(yaml, "problem.yaml").at("problem");
  std::vector<std::string> remarks;
  return timeloop::layer_of_problem(problem, timeloop::shape_of_problem(problem), "", remarks);
}

inline Mapping mapping_from_timeloop(const std::string& yaml, const Machine& machine) {
  std::vector<std::string> remarks;
  return timeloop::mapping_of(JsonInput::from_yaml(yaml, "mapping.yaml").at("mapping"),
                              timeloop::levels_of(machine), timeloop::convolution(), {}, remarks);
}

}  // namespace dosa::testing
