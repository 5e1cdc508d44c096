// A measurement campaign: which layers run with which tiles on which Gemmini, and the files that run it.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/models/base/folder.hpp"
#include "dosa/models/base/json_input.hpp"

namespace dosa {

/// One call to time. Its position in the plan is the mapping id of the printed line.
struct PlannedCall {
  std::size_t layer = 0;  ///< position in Plan::layers, the layer id of the printed line
  gemmini::Tile tile;
  std::string tiling;  ///< where the tile comes from: auto, random, small64, uncertain, design, ...
};

/// Schema "dosa-plan/1".
struct Plan {
  std::string workload;
  Hardware hardware;  ///< as built
  std::vector<Layer> layers;
  std::vector<PlannedCall> measurements;
  std::size_t per_program = 16;  ///< measurements in one bare-metal program

  std::size_t program_count() const;
  /// "dosa_batch_003.c" of a measurement.
  std::string program_of(std::size_t measurement) const;
};

Plan plan_from_json(const JsonInput& json);
Json to_json(const Plan& plan);

/// Throws Error naming rule, layer and nearest legal alternative unless everything in the plan can be built,
/// fits and finishes.
void check_plan(const Plan& plan);

/// Everything that is needed to build the hardware, run the campaign and read its log: Scala fragments, C
/// programs with their headers, expected parameters, notes, plan.json. Checks the plan first.
std::vector<OutputFile> campaign_files(const Plan& plan);

}  // namespace dosa
