// A machine as Timeloop is told of it: architecture, tables of energies and areas, constraints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dosa/core/targets/target.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa::timeloop {

/// A format of Timeloop's files.
enum class Format {
  kTree,   ///< version 0.3: what timeloop-model and timeloop-mapper read
  kNodes,  ///< version 0.4: what the front-end reads, which makes a tree of it
};

struct DescribedMachine {
  Chain chain;                     ///< built with the design's hardware
  std::vector<std::string> names;  ///< of its levels
  /// [level] whether the children of an instance stand in one row. Timeloop's mappings put a dimension on X
  /// or on Y of a level; where one stands on both, they can only be written for a mesh that is one row.
  /// Without link transfers Timeloop counts the same on either.
  std::vector<bool> in_a_row;
  std::vector<std::int64_t> entries;  ///< [level] words of one instance

  /// Children of an instance of a level along an axis, as they are written.
  std::int64_t children(std::size_t level, MeshAxis axis) const;
};

/// Throws Error{kValue} for a memory larger than Timeloop can be told.
DescribedMachine describe(Chain chain, const std::vector<MappedLayer>& layers);

/// What may be spread over the children of a level that has some.
struct Spread {
  DimSet allowed{};
  std::string order;                  ///< dimensions on X in front of those on Y; empty: any order
  std::optional<std::int64_t> split;  ///< how many are on X; nothing: any on either
  bool loose = false;                 ///< allows more than the machine
};
Spread spread_of(const DescribedMachine& machine, std::size_t level);

/// The file with the architecture and its energies and areas.
std::string architecture_file(const DescribedMachine& machine, Format format);
/// The file with what each level holds and may loop over, as constraints (Format::kTree).
std::string constraints_file(const DescribedMachine& machine);

/// Whether a level's loops in time are bound to orders that constraints cannot name: they name one, of the
/// innermost loops. (Newer versions of Timeloop name the outermost, too.)
bool is_loosely_ordered(const ChainLevel& level);

/// Levels whose dimensions on the two axes constraints cannot say apart, by their own names: there is only
/// one order of dimensions, those on X and then those on Y.
std::vector<std::string> loosely_constrained(const DescribedMachine& machine);

}  // namespace dosa::timeloop
