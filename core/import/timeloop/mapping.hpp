// Timeloop's mappings: a list of directives, by the names of a machine's levels.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dosa/core/import/timeloop/problem.hpp"
#include "dosa/models/machine.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa::timeloop {

/// A level of the machine that a mapping is for.
struct MappedLevel {
  std::string name;      ///< in the machine's file
  std::string exported;  ///< as an export names it
  OperandSet holds{};
};
/// The levels of a machine, innermost first. Throws Error{kValue} for one without mappings.
std::vector<MappedLevel> levels_of(const Machine& machine);

/// What the directives keep, by the names that they use; a level of which they say nothing keeps everything
/// and is not in the list.
std::vector<std::pair<std::string, OperandSet>> kept_by(const JsonInput& directives, const Shape& shape);

/// The mapping, with factors as they stand; `layer` gives what a factor 0 stands for. It keeps at every level
/// what the machine holds there. Throws Error with file and key for what has no counterpart: skewed loops,
/// factors with a remainder, tensors that are not reused.
Mapping mapping_of(const JsonInput& directives, const std::vector<MappedLevel>& levels, const Shape& shape,
                   const std::optional<Layer>& layer, std::vector<std::string>& remarks);

}  // namespace dosa::timeloop
