// How a layer runs on a machine: tiling factors, spatial factors and loop order per memory level.
#pragma once

#include <optional>
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

/// How a dimension is run whose factors multiply to more than its size: *padded*, as if that product were its
/// size, which any machine can do (the data that is added is zero), and every cost is that of the padded
/// layer; or *cut*, where the last iterations of a loop are fewer, which takes a machine whose loops can end
/// early (Ruby, ISPASS 2022).
enum class Remainders { kPadded, kCut };
/// "padded" or "cut".
const char* name_of(Remainders remainders);
/// The rule of this name; nothing for any other text.
std::optional<Remainders> remainders_from_name(const std::string& name);

/// levels[0] is the innermost (registers); the last one is DRAM. Factors need not divide a layer's sizes.
struct Mapping {
  std::vector<LevelNest> levels;
  /// The layer's size in every dimension that is padded, 0 in the others.
  DimSizes padded_from{};
  /// The same of every dimension that is cut.
  DimSizes cut_to{};

  bool operator==(const Mapping& other) const {
    return levels == other.levels && padded_from == other.padded_from && cut_to == other.cut_to;
  }
  bool is_padded() const { return padded_from != DimSizes{}; }
  bool is_cut() const { return cut_to != DimSizes{}; }

  std::int64_t temporal(int level, Dim dim) const;
  /// Along both axes.
  std::int64_t spatial(int level, Dim dim) const;
  /// Iterations of the loop at a level, in time or in space, where all loops over its dimension outside it
  /// are at their last one: its factor, unless the dimension is cut.
  std::int64_t last_run(int level, bool in_space, Dim dim) const;
  /// Product over all levels, temporal and spatial.
  std::int64_t total(Dim dim) const;

  /// Declares every dimension padded, or cut, in which the factors multiply to more than the layer's size.
  /// Cut, no outermost loop has more iterations than there are; a dimension that has_window_in_space() is
  /// padded all the same.
  void set_remainders(const Layer& layer, Remainders remainders);
  /// Whether P and R, or Q and S, of which this is one, are both in space at a level: windows that coincide
  /// there are shared as a whole, so neither of the two can be cut.
  bool has_window_in_space(Dim dim) const;
  /// The layer as it is computed: every padded dimension as large as the product of its factors.
  Layer padded(Layer layer) const;
};

/// Timeloop's text form, outermost level first:
/// "L3[WIO] K8 Q28 - L2[WI] N1 K4X - L1[O] K2 S7 R7 Q4 P7 C3X - L0[W] P16".
/// X and Y mark spatial factors, those on Y before those on X; N1 stands for "no temporal loops"; the
/// outermost loop of a padded dimension says from which size: "Q29/197" (with Q7 inside: 203), "K4/7X"; in a
/// dimension that is cut, every loop says how many of its iterations are left where all loops outside it are
/// at their last one, unless it is all of them: "Q29 ... Q7,1" (197), "K4,3X";
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
  DimSizes padded_from{}, cut_to{};  ///< those of Mapping
};
LabelledNests parse_nests(const std::string& text);
std::string print_mapping(const Mapping& mapping, const ArrayMachine& machine);
std::string print_mapping(const Mapping& mapping, const Chain& chain);

/// Throws Error{kMapping} unless the factors of every dimension multiply to the layer's size, or to more
/// where the mapping declares that it is padded from or cut to that size, the padded layer has at most
/// kMaxMacs, and loops stand only where the machine can run them.
void check_mapping(const Mapping& mapping, const Layer& layer, const ArrayMachine& machine);
/// The same on a chain, and Error{kCapacity} where the loops along an axis exceed its fan-out. Whether the
/// tiles fit is ChainModel::check_fits()'s question.
void check_mapping(const Mapping& mapping, const Layer& layer, const Chain& chain);

}  // namespace dosa
