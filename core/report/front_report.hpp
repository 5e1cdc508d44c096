// The page of a front: designs of which no other one is better in latency, energy and area at once.
#pragma once

#include <string>

#include "dosa/core/report/page.hpp"
#include "dosa/models/base/json_input.hpp"

namespace dosa::html {

/// `front` is what dosa optimize --pareto --json prints, schema dosa-front/1. `command` is what was run.
Page front_page(const Json& front, const std::string& command);

}  // namespace dosa::html
