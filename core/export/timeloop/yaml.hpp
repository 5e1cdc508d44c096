// JSON as YAML of the kind that Timeloop's files are written in.
#pragma once

#include <string>

#include "dosa/models/base/json_input.hpp"

namespace dosa::timeloop {

/// Lists and objects without objects inside stand in one line. Numbers keep all their digits and no more; an
/// object's member kYamlTag becomes its tag. `comment`, if any, is the first line.
std::string yaml_of(const Json& json, const std::string& comment = "");

}  // namespace dosa::timeloop
