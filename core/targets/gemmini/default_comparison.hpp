// A design for a real Gemmini against the library's own choices on the default hardware, or what a user has.
#pragma once

#include <vector>

#include "dosa/core/design/design.hpp"
#include "dosa/core/targets/gemmini/model.hpp"
#include "dosa/core/targets/gemmini/reference.hpp"

namespace dosa {

/// Per layer and in all: cycles, energy and EDP of the reference (with the same layers) and of the design,
/// the gains, how uncertain the surrogate is of the gain in latency over the network (errors of layers are
/// taken as independent), and how probable it is that the design is the slower one. `tiles`: the design's, by
/// layer, which is evaluated with the same model. Throws like Target::costs.
Explanation compare_with(const Reference& reference, const Design& design,
                         const std::vector<gemmini::Tile>& tiles, const RtlModel& model);

}  // namespace dosa
