// How a layer runs on a machine: tiling factors, spatial factors and loop order per memory level.
#pragma once

#include <string>
#include <vector>

#include "dosa/models/layer.hpp"

namespace dosa {

class Chain;
class ArrayMachine;

struct Loop {
  Dim dim;
  std::int64_t factor;
  bool operator==(const Loop& other) const { return dim == other.dim && factor == other.factor; }
};

/// The loops of one level, outermost first; loops of factor 1 are left out.
struct LevelNest {
  std::vector<Loop> temporal;
  std::vector<Loop> spatial;    ///< fan-out below this level, along X
  std::vector<Loop> spatial_y;  ///< the same along Y, on a machine that has two axes (Chain)
  bool operator==(const LevelNest& other) const {
    return temporal == other.temporal && spatial == other.spatial && spatial_y == other.spatial_y;
  }
};

/// levels[0] is the innermost (registers); the last one is DRAM.
///
/// Factors need not divide a layer's sizes. A dimension whose factors multiply to more is *padded*: the layer
/// is computed as if that product were its size, which any machine can do (the data that is added is zero),
/// and every cost is that of the padded layer.
struct Mapping {
  std::vector<LevelNest> levels;
  /// The layer's size in every dimension that is padded, 0 in the others.
  DimSizes padded_from{};

  bool operator==(const Mapping& other) const {
    return levels == other.levels && padded_from == other.padded_from;
  }

  std::int64_t temporal(int level, Dim dim) const;
  /// Along both axes.
  std::int64_t spatial(int level, Dim dim) const;
  /// Product over all levels, temporal and spatial.
  std::int64_t total(Dim dim) const;

  /// Declares every dimension padded in which the factors multiply to more than the layer's size.
  void pad_from(const Layer& layer);
  /// The layer as it is computed: every padded dimension as large as the product of its factors.
  Layer padded(Layer layer) const;
};

/// Timeloop's text form, outermost level first:
/// "L3[WIO] K8 Q28 - L2[WI] N1 K4X - L1[O] K2 S7 R7 Q4 P7 C3X - L0[W] P16".
/// X and Y mark spatial factors, those on Y before those on X; N1 stands for "no temporal loops"; the
/// outermost loop of a padded dimension says from which size: "Q29/197" (with Q7 inside: 203), "K4/7X";
/// print_mapping(parse_mapping(s)) == s for every string in this form. Throws Error{kSyntax} or
/// Error{kMapping} with the offending word.
Mapping parse_mapping(const std::string& text, const ArrayMachine& machine);
Mapping parse_mapping(const std::string& text, const Chain& chain);
/// The same text without a machine: its nests in the order in which they stand, whatever their labels.
struct LabelledNest {
  std::string label;  ///< "L3[WIO]"; empty where the text ends in a separator
  LevelNest nest;
};
struct LabelledNests {
  std::vector<LabelledNest> nests;
  DimSizes padded_from{};  ///< Mapping::padded_from
};
LabelledNests parse_nests(const std::string& text);
std::string print_mapping(const Mapping& mapping, const ArrayMachine& machine);
std::string print_mapping(const Mapping& mapping, const Chain& chain);

/// Throws Error{kMapping} unless the factors of every dimension multiply to the layer's size, or to more
/// where the mapping declares that it is padded from that size, the padded layer has at most kMaxMacs, and
/// loops stand only where the machine can run them.
void check_mapping(const Mapping& mapping, const Layer& layer, const ArrayMachine& machine);
/// The same on a chain, and Error{kCapacity} where the loops along an axis exceed its fan-out. Whether the
/// tiles fit is ChainModel::check_fits()'s question.
void check_mapping(const Mapping& mapping, const Layer& layer, const Chain& chain);

}  // namespace dosa
