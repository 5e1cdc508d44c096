// What a search is asked: a network on a machine, limits of the hardware, what to minimise.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/design.hpp"
#include "models/cost_model.hpp"
#include "models/workload.hpp"

namespace dosa {

/// Minimise energy^a * latency^b of the whole network.
struct Objective {
  std::string name = "edp";
  double energy = 1;   ///< a
  double latency = 1;  ///< b

  /// "edp" (1, 1), "energy" (1, 0), "latency" (0, 1) or "ed2p" (1, 2). Throws Error{kValue}.
  static Objective from_name(const std::string& name);
  static std::vector<std::string> names();

  /// Its logarithm, element-wise; differentiable. Energy in uJ, latency in cycles.
  torch::Tensor log_value(const torch::Tensor& energy_uj, const torch::Tensor& cycles) const;
};

/// Every hardware size between min and max may be chosen; a fixed size has min = max. A search builds the
/// smallest hardware that its mappings need, not below min.
struct HardwareBounds {
  Hardware min, max;
};

struct SearchProblem {
  Workload workload;
  Machine machine;
  HardwareBounds bounds;
  Objective objective;

  /// Throws Error{kBounds} unless min <= max everywhere and every layer has a mapping that fits into max;
  /// names the layer, the level and the least size that would do.
  void check() const;
};

/// What layers need of hardware, in traffic of shape [..., layers, 1]: the array of a design is the largest
/// of theirs and sizes the buffers' instances. Differentiable when the traffic is (maxima have subgradients).
struct LayerNeeds {
  torch::Tensor array;    ///< [...], pe_dim of the design, at least bounds.min
  HardwareTensors sizes;  ///< [..., layers], of every layer on that array; whole KiB when exact

  static LayerNeeds of(const Traffic& traffic, const Machine& machine, const HardwareBounds& bounds,
                       bool exact);

  /// The hardware of the designs: what the neediest layer needs, at least bounds.min. Fields of shape [...].
  HardwareTensors hardware(const HardwareBounds& bounds) const;

  /// How far the needs of each layer lie beyond bounds.max: sum over the sizes of max(0, log(need / max)),
  /// [..., layers]. Zero when legal.
  torch::Tensor excess(const HardwareBounds& bounds) const;
};

}  // namespace dosa
