// Machines whose layers run as loop nests: all that is particular to one stands in its file.
#pragma once

#include <string>

#include "dosa/core/targets/array_target.hpp"
#include "dosa/core/targets/mapping_schedule.hpp"

namespace dosa {

TargetPtr make_mapping_target(const MachinePtr& machine, const TargetOptions& options);

/// Exact costs of mappings, which belong to their layers. Throws Error{kCapacity} as Target::costs.
std::vector<LayerCosts> costs_of_mappings(const std::vector<Layer>& layers,
                                          const std::vector<Mapping>& mappings, const ArraySizes& hardware,
                                          const ArrayMachine& machine);
}  // namespace dosa
