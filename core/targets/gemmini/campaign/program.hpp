// The texts of a campaign: Scala fragments, C headers and programs, notes for the Makefile.
#pragma once

#include <string>

#include "dosa/core/targets/gemmini/campaign/plan.hpp"

namespace dosa {

/// Fragment for src/main/scala/gemmini/CustomConfigs.scala.
std::string scala_config(const Plan& plan);
/// Fragment for a Chipyard configuration with this Gemmini.
std::string scala_soc(const Plan& plan);
/// What elaboration must write into gemmini_params.h.
Json expected_params(const ArraySizes& built);
/// dosa_tiles.h: static assertions on the parameters and one row per measurement.
std::string tile_table(const Plan& plan);
/// dosa_harness.c: how one row is run, timed, checked and printed. The same for every plan, from the shipped
/// data. Throws Error{kFile} where that is missing.
std::string harness();
/// One program: which rows it runs and how many bytes their operands take. Throws Error{kValue} for operands
/// of more than 1 GiB.
std::string program_text(const Plan& plan, const Program& program);
/// How to build the hardware and run the programs, and the rules that compile them.
std::string makefile(const Plan& plan);

/// Right shift that scales a layer's int32 sums into int8 for the harness's operands in -4..3.
int output_shift(const Layer& layer, gemmini::Call call);

}  // namespace dosa
