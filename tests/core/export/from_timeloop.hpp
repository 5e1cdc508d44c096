// What an export says, and an export for Timeloop as the importer reads it back.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dosa/core/export/exporter.hpp"
#include "dosa/core/import/timeloop/mapping.hpp"
#include "dosa/core/import/timeloop/problem.hpp"

namespace dosa::testing {

/// The content of one of the files of an export; fails the test where it has none of that name.
inline std::string content_of(const std::vector<OutputFile>& files, const std::string& name) {
  for (const OutputFile& file : files) {
    if (file.name == name) return file.content;
  }
  ADD_FAILURE() << "no file " << name;
  return "";
}

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
