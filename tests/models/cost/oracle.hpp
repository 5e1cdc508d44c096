// A brute-force count of what a mapping moves, for tests only. It runs the loop nest of a small layer one
// iteration at a time, keeps the words that every memory instance holds, and counts what has to be moved. It
// shares no formula with the cost model: no tile sizes, no refetch products, only sets of words.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dosa/models/array_machine.hpp"
#include "dosa/models/chain/chain.hpp"
#include "dosa/models/layer.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa::testing {

/// How many words of the tile before an input tile may keep. Weights and outputs need no such choice: two of
/// their tiles are either the same or have no word in common.
///
/// Let d be the innermost loop with more than one iteration outside the level. A *tick* of a loop is the step
/// from one of its iterations to the next; all loops inside it start over.
///
/// Where the three agree:
/// - kLiteral <= kInnermostLoop and kTimeloop <= kInnermostLoop, always; kLiteral and kTimeloop are not
/// ordered.
/// - kLiteral == kInnermostLoop exactly if after every tick of a loop outside d the new tile has no word in
/// common
///   with the one before: for each such loop e, |shift| >= tile in width or in height, where the shift along
///   an axis is step(e) - sum over the loops f inside e of (factor(f) - 1) * step(f), or the tick changes C
///   or N. Always so if d is C or N, and if no loop outside d is there. Not so, for one, for P4 K2 (d = K,
///   then a P that overlaps).
/// - kTimeloop == kInnermostLoop exactly if there is no coincidence, or what it would save is nothing.
/// - In a coincidence whose inner sliding loop has two iterations, kTimeloop's tick is literally right.
enum class InputReuse {
  /// Every word that the tile before held, whichever loop ticked. What an ideal buffer would do.
  kLiteral,
  /// Ticks of d keep the words that both tiles have; a tick of any loop further out empties the buffer. Equal
  /// to the rules of the relaxed model: a sliding d overlaps, d = K keeps the tile, d = C or N keeps nothing.
  kInnermostLoop,
  /// Timeloop: as if it followed two iterations of every loop and extrapolated the others, so that before a
  /// tick it sees the tile with all inner loops at their *second* iteration, not at their last. It keeps the
  /// common words if the tile moves from there by exactly what a tick of d moves it, else none. Ticks of d
  /// itself come out as above; the ticks further out that happen to qualify are the two coincidences of the
  /// exact model: (1) d slides, e outside it slides on the same axis, step(e) - step(d) = step(d);
  /// (2) d = K moves nothing, f and e outside it slide on one axis, step(e) - step(f) = 0.
  kTimeloop,
};

struct AccessCounts {
  std::int64_t reads = 0;    ///< words that leave the level, partial sums included
  std::int64_t writes = 0;   ///< words that come in from the next level outwards
  std::int64_t updates = 0;  ///< partial sums that come in from below
  bool operator==(const AccessCounts& o) const {
    return reads == o.reads && writes == o.writes && updates == o.updates;
  }
};

/// Totals over all instances of a level; zero where a level does not hold an operand.
struct OracleCounts {
  std::vector<std::array<AccessCounts, kOperands>> accesses;  ///< [level][operand]
  /// The most words that one instance of a level ever holds; not counted for DRAM.
  std::vector<std::array<std::int64_t, kOperands>> resident;  ///< [level][operand]

  const AccessCounts& at(int level, Operand operand) const {
    return accesses[static_cast<std::size_t>(level)][static_cast<std::size_t>(operand)];
  }
  std::int64_t words(int level, Operand operand) const {
    return resident[static_cast<std::size_t>(level)][static_cast<std::size_t>(operand)];
  }
};

/// Counts for one group of the layer. The conventions beside the input reuse:
/// - Instances below one instance that need the same tile in the same step are served by one read
///   (multicast), and their partial sums are added on the way up and update once (spatial reduction). Tiles
///   are the same where the fan-out of every level on the way has put them at the same place; tiles that only
///   overlap share nothing.
/// - The array has no storage of its own: every step reads its operands anew.
/// - An input tile is the box around the words that are used, gaps of stride and dilation included.
/// - Opening an output tile writes its words, also the first time (then zeros); reading a partial sum that an
///   instance does not have yet costs nothing; leaving a tile updates its words one level further out.
/// - Where a mapping is cut, steps and instances without work are not there. A loop that is cut to one
///   iteration at an edge still counts as a loop for what moves a tile.
/// The mapping must have passed check_mapping. Time grows with the MACs: for layers below some 10^5.
OracleCounts count_accesses(const Layer& layer, const Mapping& mapping, const ArrayMachine& machine,
                            InputReuse reuse = InputReuse::kTimeloop);
OracleCounts count_accesses(const Layer& layer, const Mapping& mapping, const Chain& chain,
                            InputReuse reuse = InputReuse::kTimeloop);

}  // namespace dosa::testing
