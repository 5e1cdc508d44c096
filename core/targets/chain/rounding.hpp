// From the relaxed form of a mapping to one that can run.
#pragma once

#include "dosa/core/targets/chain/nests.hpp"

namespace dosa {

/// A nest near log factors and places [levels][4][7] (see ChainRelaxation::log_factors), as a row of numbers:
/// slots in space get the divisors that are nearest among those that the fan-outs allow, the other primes,
/// the largest first, go where most of a dimension's log factor is still missing; loops stand in the order of
/// their places; what does not fit is moved outwards. Every log factor and place is changed at random by
/// about `noise` before.
LayerNests::Placed round_nest(const LayerNests& nests, const double* relaxed, double noise, Random& random);

}  // namespace dosa
