// The keys of --json as core/cli/README.md lists them, and whether what a command prints keeps to them.
#pragma once

#include <string>
#include <vector>

namespace dosa::testing {

/// The commands that the documentation has a table for.
std::vector<std::string> documented_commands();

/// What of a command's JSON is not documented, or has another type than documented: one text for each such
/// key, with where it stands. Throws std::runtime_error where the documentation cannot be read.
std::vector<std::string> undocumented(const std::string& command, const std::string& json);

}  // namespace dosa::testing
