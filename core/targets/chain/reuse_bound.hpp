// A lower bound of the energy of moving words that weighs reuse at one memory against reuse at the others.
#pragma once

#include "dosa/models/chain/chain.hpp"
#include "dosa/models/layer.hpp"

namespace dosa {

/// Energy in pJ of all accesses to all levels in one run of one group: no mapping that check_mapping allows
/// and that fits has less, with the sizes that lower_bound() speaks of. Where it is surely below `enough`, or
/// there are too many cases, it may return any lower number.
///
/// All mappings are relaxed to real factors of at least 1 that multiply to the sizes (those of a padded
/// mapping can be made smaller until they do, and nothing grows) and keep within fan-outs and capacities.
/// Words of W that reach a level are multiplications divided by the loops P, Q, N inside it and by such loops
/// right outside it (a run); the same of O with R, S, C and of I with K. Only one tensor has a run right
/// outside a level, and the run leaves a level of the machine only where that has no other loops in time: for
/// each choice of these the energy is a convex function of the logarithms of the factors, whose least value
/// ConvexProgram bounds.
double reuse_bound(const Chain& chain, const Layer& layer, double enough);

}  // namespace dosa
