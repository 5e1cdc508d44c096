// Pages on what commands found.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/report/design_report.hpp"

namespace dosa::cli {

/// What only the command knows that has the design.
struct KnownOfSearch {
  std::vector<html::FoundSoFar> search;
  std::string command;            ///< empty: the one that the design's provenance tells
  bool on_other_machine = false;  ///< than the design was made for: no command makes it
  std::string smaller;            ///< a line on smaller hardware that is nearly as good; empty: nothing
  double clock_hz = 0;            ///< 0: none
};

/// Writes the page of a design atomically. Throws as write_file().
void write_report(const DesignAnalysis& analysis, const Target& target, const KnownOfSearch& known,
                  const std::string& path);

/// The same of several networks on one hardware. Throws as analyse() and write_file().
void write_report(const SharedDesign& shared, const Target& target, const KnownOfSearch& known,
                  const std::string& path);

}  // namespace dosa::cli
