// Designs for a real Gemmini as programs to build and measure, and as loop nests.
#pragma once

#include "dosa/core/design/design.hpp"
#include "dosa/core/targets/gemmini/campaign/plan.hpp"

namespace dosa {

/// The design as a plan with one measurement per layer. Throws Error{kValue} for a design of another target,
/// and naming rule, layer and nearest legal alternative where the hardware cannot run a layer.
Plan plan_of(const Design& design, const Target& target);

/// A layer as the library call sees it (gemmini::extents; stride 1 where the call loads only what it needs),
/// every dimension as many whole tiles as the call runs, with the tile as a mapping in the library's loop
/// order. Tiles of C and K larger than the array are whole blocks of it; where such blocks of C would not
/// fit, of narrower ones. `tile` is legal on `built`; one larger than its dimension counts as the dimension.
/// Throws Error{kCapacity} where it needs more than half of a memory, and Error{kValue} where the padded
/// problem is too large.
MappedLayer padded_problem(const Layer& layer, const gemmini::Tile& tile, const ArrayMachine& machine,
                           const ArraySizes& built);

}  // namespace dosa
