// Two designs side by side: their hardware, their totals, and per layer what changed and why.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/explain/explain.hpp"

namespace dosa {

/// A layer that both designs have.
struct LayerDifference {
  std::size_t first = 0, second = 0;          ///< its places in the two analyses
  double cycles_ratio = 1, energy_ratio = 1;  ///< second / first
  bool same_schedule = true;
  std::vector<std::string> why;  ///< clauses, what explains most first; empty: nothing changed
};

struct DesignDifference {
  DesignAnalysis first, second;
  std::vector<LayerDifference> layers;               ///< in the order of the first
  std::vector<std::string> only_first, only_second;  ///< names of layers that the other one has not
};

/// Layers are the same where their names are, or, where names differ, their sizes, strides and groups.
DesignDifference difference(DesignAnalysis first, DesignAnalysis second);

/// Schema "dosa-diff/1", documented in core/cli/README.md.
Json to_json(const DesignDifference& difference);
/// For people, in 80 columns.
std::string report(const DesignDifference& difference);

}  // namespace dosa
