// Pages on what commands found.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/report/design_report.hpp"

namespace dosa::cli {

/// Analyses a design and writes its page atomically. Without a command in `known`, the one that the design's
/// provenance tells is shown. Throws as analyse() and write_file().
struct KnownOfSearch {
  std::vector<html::FoundSoFar> search;
  std::string command;  ///< empty: see above
};
void write_report(const Design& design, const Target& target, const KnownOfSearch& known,
                  const std::string& path);

}  // namespace dosa::cli
