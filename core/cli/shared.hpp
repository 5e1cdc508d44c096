// What commands print of several networks on one hardware.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/design/design.hpp"
#include "dosa/core/search/problem.hpp"

namespace dosa::cli {

/// The joint objective of designs of several networks on one hardware.
double joint_value(const SharedDesign& shared);

/// The designs of a joint problem's networks, in its order, with their joint objective.
SharedDesign shared_of(const SearchProblem& problem, std::vector<Design> designs);

/// "geometric mean of edp 1.234e+10", and where every network's own design is known what it would be with
/// these, with a table of what each network loses.
std::string text_of_joint(const SharedDesign& shared);

}  // namespace dosa::cli
