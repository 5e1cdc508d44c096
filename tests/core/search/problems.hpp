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

/// A product of `rows` x `inputs` and `inputs` x `outputs`.
inline Layer product_layer(const char* name, std::int64_t count, std::int64_t rows, std::int64_t inputs,
                           std::int64_t outputs) {
  Layer layer;
  layer.name = name;
  layer.count = count;
  layer.padding = 0;
  layer.size = {1, 1, rows, 1, inputs, outputs, 1};
  return layer;
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
