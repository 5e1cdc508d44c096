// A design for a real Gemmini against the library's own choices on the default hardware.
#pragma once

#include <vector>

#include "dosa/core/design/design.hpp"
#include "dosa/core/targets/gemmini/model.hpp"

namespace dosa {

/// Per layer and in all: cycles, energy and EDP of default_gemmini with the library's tiles and of the
/// design, the gains, and how uncertain the surrogate is. `tiles`: the design's, by layer, which is evaluated
/// with the same model. Throws like Target::costs.
Explanation compare_with_default(const Design& design, const std::vector<gemmini::Tile>& tiles,
                                 const RtlModel& model);

}  // namespace dosa
