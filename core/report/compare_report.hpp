// The page of a comparison: of search methods, of arrays or of machines.
#pragma once

#include <string>

#include "dosa/core/report/page.hpp"
#include "dosa/models/base/json_input.hpp"

namespace dosa::html {

/// `comparison` is what dosa compare --json prints: schema dosa-compare/1, dosa-compare-arrays/1 or
/// dosa-compare-machines/1. `command` is what was run.
Page comparison_page(const Json& comparison, const std::string& command);

}  // namespace dosa::html
