// dosa compare --timeloop-mapper: what Timeloop's mapper found, as one more row.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/import/timeloop/stats.hpp"
#include "dosa/core/search/problem.hpp"

namespace dosa::cli {

/// A mapping that timeloop-mapper found for a layer.
struct MapperResult {
  std::string path;       ///< of its map file
  std::size_t layer = 0;  ///< of the network
  timeloop::Stats stats;  ///< what Timeloop says that it costs, one run of one group
};

/// A network mapped by timeloop-mapper. Costs are by the target's own model.
struct MapperRow {
  Design design;
  std::vector<MapperResult> results;  ///< by layer
  double objective = 0;
};

/// Reads the results for all layers of the problem's network on `hardware`. A path is a folder with
/// timeloop-mapper.map.yaml and timeloop-mapper.stats.txt, or another such map file, whose report stands
/// beside it. A result is that of the layer whose sizes its factors multiply to. Throws Error where that is
/// none or several, where a layer has no result or two, and for a mapping that the machine cannot run.
MapperRow read_mapper_row(const std::vector<std::string>& paths, const SearchProblem& problem,
                          const Hardware& hardware);

/// Every layer's costs beside those of its report, and in how many they agree: cycles to the cycle, energies
/// to the report's last digit.
Json to_json(const MapperRow& row);
std::string report(const MapperRow& row);

}  // namespace dosa::cli
