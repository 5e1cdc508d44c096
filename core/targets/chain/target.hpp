// Machines that are any chain of memories (schema 2): all that is particular to one stands in its file.
#pragma once

#include "dosa/core/targets/mapping_schedule.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa {

/// The target of a chain. Throws Error{kUsage} for options of targets with surrogates.
TargetPtr make_chain_target(const MachinePtr& machine, const TargetOptions& options);

}  // namespace dosa
