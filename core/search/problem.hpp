// What a search is asked: a network on a machine, limits of the hardware, what to minimise.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "dosa/core/design/design.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/cost/cost_model.hpp"
#include "dosa/models/workload.hpp"

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
  double max_area_mm2 = std::numeric_limits<double>::infinity();  ///< by the machine's area model
};

struct SearchProblem {
  Workload workload;
  Machine machine;
  HardwareBounds bounds;
  Objective objective;

  /// Throws Error{kBounds} unless min <= max everywhere, every layer has a mapping that fits into max, and
  /// the least hardware with such mappings is within the area; names the layer, the level and the least size
  /// that would do, or the least area.
  void check() const;

  /// Whether some buffers within the bounds go with an array of `pe_dim` within the area.
  bool has_room_for(std::int64_t pe_dim) const;
  /// The same hardware where it is within the area, else with both buffers moved towards their least, as far
  /// as needed. Needs has_room_for(pe_dim).
  Hardware within_area(const Hardware& hardware) const;
  /// The array sizes within the bounds that some layer can fill and that have room, ascending: divisors of
  /// what can be spatial, and the bounds. Not empty after check().
  std::vector<std::int64_t> useful_arrays() const;
  /// The most of each buffer that goes with an array of `pe_dim` while the other one is at its least.
  Hardware largest_with(std::int64_t pe_dim) const;
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
