// Layers and their mappings as Timeloop's problems and mappings.
#pragma once

#include <string>

#include "dosa/core/export/timeloop/machine.hpp"

namespace dosa::timeloop {

/// The file with a layer; `comment`, if any, is its first line.
std::string problem_file(const Layer& layer, Format format, const std::string& comment);

/// The file with a mapping on the machine, link transfers switched off. Throws Error{kValue} for a factor
/// larger than Timeloop can be told.
std::string mapping_file(const Mapping& mapping, const DescribedMachine& machine, Format format);

}  // namespace dosa::timeloop
