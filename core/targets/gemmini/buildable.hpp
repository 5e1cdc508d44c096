// The chip that is built for a design whose buffers are the need of one tile.
#pragma once

#include <optional>

#include "dosa/core/design/design.hpp"

namespace dosa {

/// The Gemmini that a design of a machine with Gemmini's memories would be built as: both buffers doubled, so
/// that one tile is loaded while another one computes, and rounded up to sizes that elaborate; its area is by
/// the machine's own model. JSON: {"pe_dim", "scratchpad_kib", "accumulator_kib", "area_mm2"}. Nothing for
/// machines with other memories, or whose sizes are as built already (Machine::buffering).
std::optional<Explanation> as_built(const Design& design, const Machine& machine);

}  // namespace dosa
