// Problems and options that several tests of searches use.
#pragma once

#include <utility>

#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/targets/array_target.hpp"

namespace dosa::testing {

/// The workload's least EDP on gemmini-tl, within the machine's bounds.
inline SearchProblem on_gemmini_tl(Workload workload) {
  const TargetPtr target = load_target("gemmini-tl");
  const Machine& machine = target->machine();
  return {
      std::move(workload), target, {machine.min_hardware, machine.max_hardware}, Objective::from_name("edp")};
}

/// A short search of both stages.
inline SearchOptions quick() {
  SearchOptions options;
  options.stages = Stages::kDescentAndPolish;
  options.starts = 4;
  options.steps = 60;
  options.round_every = 30;
  return options;
}

}  // namespace dosa::testing
