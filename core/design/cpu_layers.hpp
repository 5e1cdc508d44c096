// What of a network its target leaves to the host's CPU. No cost counts it, so every report says it.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/targets/target.hpp"
#include "dosa/models/workload.hpp"

namespace dosa {

struct Design;

/// A layer of which the target runs nothing.
struct CpuLayer {
  Layer layer;
  std::string reason;  ///< in a line, without the layer's name
};

/// The keys of a layer and its "reason". Throws Error with file and key.
CpuLayer cpu_layer_from_json(const JsonInput& json);
Json to_json(const CpuLayer& layer);

/// Takes those layers out of a network. Throws Error{kValue} where none is left.
std::vector<CpuLayer> take_cpu_layers(Workload& network, const Target& target);

/// Throws Error{kValue} with the layer and the reason where the CPU has to do anything for a network: run a
/// layer, or prepare the inputs of one that the target runs.
void refuse_cpu_work(const Workload& network, const Target& target);

/// One line each, which layers are not counted, or not all that is done for them, with their share of the
/// network's multiply-accumulates; empty where the target does everything.
std::vector<std::string> cpu_remarks(const Design& design);
/// The same of a network, from which the layers that are left to the CPU have been taken already.
std::vector<std::string> cpu_remarks(const Workload& network, const std::vector<CpuLayer>& left,
                                     const Target& target);

}  // namespace dosa
