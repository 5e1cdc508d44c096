// The command that makes a design again, from what its provenance records.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/design/design.hpp"
#include "dosa/core/targets/target.hpp"

namespace dosa::html {

struct Reproduction {
  std::string command;  ///< for a shell; empty where the provenance does not tell
  std::string note;     ///< what the command leaves open; empty: nothing
};

/// Options that have the target's defaults are left out. A provenance comes from a file: what is not as this
/// program writes it is passed over.
Reproduction reproduction_of(const Design& design, const Target& target);

/// The words as a shell takes them, those with special characters in quotes.
std::string shell_command(const std::vector<std::string>& words);

}  // namespace dosa::html
