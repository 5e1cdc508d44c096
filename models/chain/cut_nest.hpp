// What a loop nest moves on a chain of memories when its factors multiply to more than the sizes and the last
// iterations are cut (Mapping), in plain numbers.
//
// Loops of one dimension, in time and in space, are the digits of its index. Cut, they run through the
// indices below the size and no others, so all counts are numbers of different values that some of the digits
// take on below the size (`combinations`), multiplied over the dimensions: cycles are the digits of loops in
// time, instances those in space, words of a tile those inside a level. Hence nothing costs more than
// padded, and nothing costs more than on a larger layer.
//
// The rules are otherwise those of ChainModel: which loops bring a tile and how windows slide is decided by
// the factors, not by how many iterations are left of them at an edge.
#pragma once

#include <array>
#include <cstdint>

#include "dosa/models/chain/nest_model.hpp"

namespace dosa {

/// Words that a level moves for one tensor.
struct CutAccesses {
  double reads = 0, fills = 0, updates = 0;
};

class CutNest {
 public:
  /// A nest of `levels` levels whose factors multiply to at least the sizes, and to the sizes of P and R (Q
  /// and S) where a level has both in space; `step`: words of I by which one index of a dimension moves it.
  CutNest(const ChainNest& nest, std::size_t levels, const DimSizes& sizes,
          const std::array<double, kDims>& step);

  /// A mapping that belongs to the layer, as check_mapping() says.
  static CutNest of(const Layer& layer, const Mapping& mapping);

  double macs() const;
  /// Steps in which at least one instance works.
  double cycles() const;
  /// Instances of a level that do anything at all.
  double used(std::size_t level) const;
  /// Of the largest tile.
  double tile_words(Operand operand, std::size_t level) const;
  /// What a level that holds the operand moves; `inner`: the next level inside that does, -1: the MACs take
  /// the words. Of all instances, or of the one that moves the most: the first one.
  CutAccesses accesses(Operand operand, std::size_t level, int inner, bool all_instances) const;
  /// Calls `use` with every operand and level that holds it, those of an operand from the innermost one, and
  /// what all its instances move there and the one that moves the most. `levels` know holds_operand().
  template <typename Levels, typename Use>
  void for_accesses(const Levels& levels, const Use& use) const {
    for (const Operand operand : all_operands()) {
      int inner = -1;
      for (std::size_t level = 0; level < levels.size(); ++level) {
        if (!levels[level].holds_operand(operand)) continue;
        use(operand, level, accesses(operand, level, inner, true), accesses(operand, level, inner, false));
        inner = static_cast<int>(level);
      }
    }
  }

 private:
  /// Some digits of a dimension, bit i: digit i of those of more than one value, the innermost first.
  using Digits = std::uint32_t;
  /// The same of every dimension.
  using Places = std::array<Digits, kDims>;
  /// What is known of one dimension.
  struct Dimension {
    double size = 1;
    std::size_t count = 0;                           ///< digits of more than one value
    std::array<double, 2 * kMostLevels> factor;      ///< of a digit
    std::array<double, 2 * kMostLevels + 1> inside;  ///< the product of the factors inside it
    std::array<std::size_t, kMostLevels + 1> first;  ///< [level] its first digit
    std::array<Digits, kMostLevels> space;           ///< [level] that of its loop in space; none: 0
  };
  struct Loop {
    std::size_t dim, level;
    Digits digit;
    double inside;  ///< indices that one iteration moves
  };

  /// Values that some digits of a dimension take on together.
  double combinations(std::size_t dim, Digits digits) const;
  static double count(const Dimension& dim, Digits digits);
  double product(const Places& digits) const;
  /// The digits in space of levels above `level`, of every dimension; none if not `all_instances`.
  Places instances(int level, bool all_instances) const;
  /// Adds the digits of the loops in time from loops_[from] on.
  void add_time(Places& digits, std::size_t from) const;
  /// The digits of a dimension up to a level, and what they multiply to.
  Digits up_to(std::size_t dim, int level) const;
  double extent(std::size_t dim, int level) const;
  /// The first loop in time outside a level.
  std::size_t outside(int level) const;
  /// Words that arrive at tiles of a level (-1: at the MACs) which the digits in `spread` tell apart.
  double arriving(Operand operand, int level, const Places& spread) const;
  double arriving_inputs(int level, const Places& spread) const;
  /// How the sizes of one dimension in the tiles of a level add up over the combinations of some digits
  /// outside it: all tiles are full but for, perhaps, one.
  struct Blocks {
    double number, full, last;
  };
  Blocks blocks(std::size_t dim, int level, Digits where) const;
  /// The loop along which tiles slide, and by how many words a time.
  struct Slide {
    std::size_t dim = kDims;  ///< none
    double words = 0;
  };
  /// Widths (or heights) of input windows, added up over tiles of outputs and filter weights; along the loop
  /// that slides, without what they share with the tile before.
  double windows(const Blocks& outputs, const Blocks& filter, std::size_t dim_of_outputs,
                 std::size_t dim_of_filter, const Slide& slide) const;
  /// Words of input tiles, added up over all combinations of the digits in `where`, without what a slide
  /// spares.
  double input_words(int level, const Places& where, const Slide& slide) const;
  /// Of words of children in different places of a level, those whose windows are in different places, too.
  double of_different_windows(double words, std::size_t level) const;

  std::size_t levels_;
  std::array<double, kDims> step_;
  std::array<Dimension, kDims> dims_;
  std::array<Loop, kMostLevels * kDims> loops_;  ///< in time, of more than one iteration, innermost first
  std::size_t loop_count_ = 0;
  /// combinations() of dimensions of few digits, as far as they were asked for; else 0.
  static constexpr std::size_t kKnownDigits = 5;
  mutable std::array<std::array<double, 1 << kKnownDigits>, kDims> known_;
};

}  // namespace dosa
