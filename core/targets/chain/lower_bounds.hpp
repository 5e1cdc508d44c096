// What no mapping of a layer on a chain of memories can undercut.
#pragma once

#include "dosa/models/chain/chain.hpp"
#include "dosa/models/layer.hpp"

namespace dosa {

/// Cycles and energy of one run of one group; no mapping that check_mapping allows has less of either.
struct ChainBound {
  double cycles = 0;
  double energy_pj = 0;
};

/// Cycles: the larger of computing with as many multipliers as the factors of the sizes can occupy, and of
/// moving through the instances of each level what must pass there. Energy: that of the multiplications and,
/// level by level, of the words that must pass.
///
/// What must pass: every word of a tensor enters each level below the outermost that holds it once and
/// leaves it once (tiles of I overlap or leave gaps: the positions that are used); each multiplication reads
/// W and I and updates O at the innermost level that holds them, but for as many at a time as multicast or
/// spatial reduction below it can serve at most; the first read of every partial sum is elided.
/// On machines whose loops are cut it is these alone, on others also what reuse_bound() knows.
ChainBound lower_bound(const Chain& chain, const Layer& layer);

/// How much less the iterations of some dimensions of a layer can become by loops in space at levels first ..
/// last (inclusive) within the fan-outs: the most of the product of size / ceil(size / factors), which is
/// that of the factors where they divide. Where there are too many ways to see them all, and where loops are
/// cut, a larger number.
double most_in_space(const Chain& chain, const Layer& layer, int first, int last, const DimSet& dims);

/// Dimensions whose spatial loops at a level let children share words of an operand: those that it does not
/// depend on, and for windows of I the filter's where outputs may be spread too, since of p x r positions at
/// least max(p, r) differ.
DimSet shared_dims(const Chain& chain, Operand operand, int first, int last);

}  // namespace dosa
