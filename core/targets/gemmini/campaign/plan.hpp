// A measurement campaign: which layers run with which tiles on which Gemmini, and the files that run it.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/core/targets/gemmini/library_version.hpp"
#include "dosa/models/base/folder.hpp"
#include "dosa/models/base/json_input.hpp"

namespace dosa {

/// One call to time. Its position in the plan is the mapping id of the printed line.
struct PlannedCall {
  std::size_t layer = 0;  ///< position in Plan::layers, the layer id of the printed line
  gemmini::Tile tile;
  std::string tiling;       ///< where the tile comes from: auto, random, small64, uncertain, design, ...
  std::size_t program = 0;  ///< the bare-metal program that runs it; see Plan::assign_programs
};

/// How much one bare-metal program runs: simulated RTL takes a minute for some million cycles.
struct BatchLimits {
  std::int64_t measurements = 16;  ///< at most, 1 to 4096
  /// Their least_cycles() and what surrounds them (ProgramCycles) add up to at most this; one that alone
  /// takes more has a program of its own. 0: any.
  std::int64_t cycles = 0;

  /// Throws Error{kValue} naming the field.
  void check() const;
};

/// "dosa_batch_003"
std::string program_name(std::size_t program);

/// Neighbours of a plan that run in one program.
struct Program {
  std::string name;                  ///< "dosa_batch_003"
  std::size_t first = 0, count = 0;  ///< of Plan::measurements
  bool holds(std::uint64_t measurement) const { return measurement >= first && measurement - first < count; }
};

/// Schema "dosa-plan/1".
struct Plan {
  std::string workload;
  ArraySizes hardware;              ///< as built
  gemmini::LibraryVersion library;  ///< that the programs are compiled with; today's where a file names none
  double area_mm2 = 0;  ///< of this hardware, by the machine of the design; 0 where a plan is of no design
  std::vector<Layer> layers;
  std::vector<PlannedCall> measurements;
  /// What of a design's network no program runs: one line each (cpu_remarks).
  std::vector<std::string> remarks;

  /// Brings together the measurements of a layer and call, whose operands a program fills once, and
  /// distributes them over programs. Throws as BatchLimits::check.
  void assign_programs(const BatchLimits& limits);
  /// In order; every measurement belongs to one.
  std::vector<Program> programs() const;
};

/// Bytes of the three operands as the programs lay them out, rows without gaps.
struct OperandBytes {
  std::int64_t input = 0, weights = 0, output = 0;
};
OperandBytes operand_bytes(const Layer& layer, gemmini::Call call);

/// Cycles that a call takes at least: a row of pe_dim products a cycle, and 8 bytes of every operand's first
/// transfer a cycle. What surrounds the measured call is not in it.
std::int64_t least_cycles(const Layer& layer, gemmini::Call call, std::int64_t pe_dim);

/// Roughly, the cycles that an in-order core takes for what a program does beside the calls that it measures,
/// with the harness's own settings: an estimate, to keep programs short.
struct ProgramCycles {
  std::int64_t start = 0;  ///< until the first measurement
  std::int64_t prepare =
      0;  ///< once for all tilings of a layer: its operands, what is expected of its outputs
  std::int64_t surround =
      0;  ///< each measurement: evicting the operands, warming the code, comparing, printing

  static ProgramCycles of(const Layer& layer, gemmini::Call call);
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
