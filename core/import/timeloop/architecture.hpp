// Timeloop's architectures: a tree or a list of nodes with memories, containers and multipliers, constraints
// on their mappings, and tables of energies and areas.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dosa/core/import/importer.hpp"
#include "dosa/core/import/timeloop/problem.hpp"

namespace dosa::timeloop {

/// All that files say of one architecture.
struct ArchitectureInput {
  std::optional<JsonInput> architecture;
  std::vector<JsonInput> constraints;  ///< lists of targets, beside those in the architecture
  std::optional<JsonInput> ert, art;   ///< tables of energies and areas
  Variables variables;
  /// What a mapping keeps at a level, for levels of which no constraint says it: name and operands.
  std::vector<std::pair<std::string, OperandSet>> kept;
};

/// The content of a machine's file (schema dosa-hardware/2), which read_chain() has yet to accept. `remarks`
/// gets one line for each thing that has no part in it. Throws Error with file and key, what was found and
/// what is allowed, for what would change costs and has no counterpart: sparsity, networks, clusters, trees
/// that branch.
Json machine_of(const ArchitectureInput& input, const Shape& shape, const ImportOptions& options,
                const std::string& name, std::vector<std::string>& remarks);

}  // namespace dosa::timeloop
