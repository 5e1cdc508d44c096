// What designs for a real Gemmini are compared with, and never to be slower than: the library's own tiles on
// the default hardware, or what a user has today.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/models/array_machine.hpp"

namespace dosa {

/// A Gemmini that a user has: hardware, and either the library's own tiles or those of a design.
struct GivenBaseline {
  std::string name;     ///< as the user wrote it, "8x64/16" or a file
  std::string label;    ///< what reports call it, "baseline"
  ArraySizes hardware;  ///< as built
  /// Layers and their tiles; empty: the library's own for any layer.
  std::vector<std::pair<Layer, gemmini::Tile>> tiles;
};

/// Hardware, and a tile that runs on it for every layer of a network.
struct Reference {
  ArraySizes hardware;
  std::vector<gemmini::Tile> tiles;   ///< by layer
  std::vector<std::string> problems;  ///< by layer: why the library's own tile does not run; else empty
  /// "default: pe_dim 16, scratchpad 256 KiB, accumulator 64 KiB, the library's tiles"
  std::string text;
};

/// Sizes to build (double-buffered), with what the library runs on them by itself: what a design on an array
/// is compared with. The machine's default; for a smaller array the nearest sizes that can be built with it.
ArraySizes default_gemmini(const ArrayMachine& machine, std::int64_t pe_dim);

/// The library's buffers with this array, or the nearest that can be built: the default of the same array.
ArraySizes default_of_array(const ArrayMachine& machine, std::int64_t pe_dim);

/// `baseline` where it is given, else the library's tiles on default_gemmini(machine, pe_dim). Throws
/// Error{kValue} for a layer that a given design does not have or Gemmini cannot run, Error{kCapacity} where
/// not even the smallest tile fits.
Reference reference_for(const std::vector<Layer>& layers, const ArrayMachine& machine, std::int64_t pe_dim,
                        const std::optional<GivenBaseline>& baseline);

}  // namespace dosa
