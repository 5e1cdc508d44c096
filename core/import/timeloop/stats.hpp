// What timeloop-mapper and timeloop-model report of a mapping.
#pragma once

#include <filesystem>

namespace dosa::timeloop {

/// The totals of a report, one run of one group.
struct Stats {
  double cycles = 0;
  double energy_uj = 0;     ///< as printed
  double energy_digit = 0;  ///< one of its last digit, uJ
};

/// Reads a file such as timeloop-mapper.stats.txt: the lines "Cycles: N" and "Energy: X uJ" of its summary.
/// Throws Error{kFile} and Error{kSyntax} with file and line.
Stats read_stats(const std::filesystem::path& path);

}  // namespace dosa::timeloop
