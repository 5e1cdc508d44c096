// dosa compare with several arrays: the best design on each of them within the same limits.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/cli/search_flags.hpp"

namespace dosa::cli {

/// What the designs of several arrays have in common.
struct ArraysAsked {
  std::string workload;
  MachineChoice machine;
  std::string objective, baseline;
  std::vector<std::int64_t> arrays;  ///< --pe
  SizeFlags sizes;                   ///< without an array
  TargetOptions options;
  SearchLimits limits;
  bool quiet = false;
};

/// Searches a design on every array and prints a row for each: hardware, area, latency, energy, EDP, and the
/// gains over the library's tiles on its default buffers with the same array (or over `baseline`). An array
/// on which nothing fits has the reason in its row. Throws Error where that holds for all.
void compare_arrays(const ArraysAsked& asked, const Output& output);

}  // namespace dosa::cli
