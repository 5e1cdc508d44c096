// What a search is asked: a network on a target, limits of the hardware, what to minimise.
#pragma once

#include <limits>

#include "dosa/core/design/design.hpp"
#include "dosa/core/search/network_ranges.hpp"
#include "dosa/core/targets/target.hpp"
#include "dosa/models/cost/objective.hpp"
#include "dosa/models/workload.hpp"

namespace dosa {

/// Every hardware size between min and max may be chosen; a fixed size has min = max. A search builds the
/// smallest hardware that its schedules need, not below min.
struct HardwareBounds {
  Hardware min, max;
  double max_area_mm2 = std::numeric_limits<double>::infinity();  ///< by the machine's area model
};

/// The values of the parameters that shape a machine, the first ones of its hardware.
using Shape = std::vector<std::int64_t>;

/// A network of several that share one hardware.
struct ProblemNetwork {
  std::string name;
  double weight = 1;
  std::size_t begin = 0, end = 0;          ///< its layers are [begin, end) of the workload's
  std::vector<CpuLayer> left_to_cpu = {};  ///< layers of it that are not there

  std::size_t layers() const { return end - begin; }
};

/// Sums over a network of what was chosen for its layers.
struct NetworkSums {
  double energy_pj = 0;
  double cycles = 0;           ///< as a search counts them
  double expected_cycles = 0;  ///< as a design's evaluation gives them (Frontier::expected_cycles)
};

/// A network and how much it counts among several.
struct WeightedNetwork {
  Workload workload;
  double weight = 1;
};

struct SearchProblem {
  /// Without the layers that the target leaves to the CPU. Of several networks all layers, one network after
  /// the other.
  Workload workload;
  TargetPtr target;
  HardwareBounds bounds;
  Objective objective;                              ///< of every network
  std::vector<CpuLayer> left_to_cpu{};              ///< layers of the networks that are not in `workload`
  std::vector<ProblemNetwork> parts{};              ///< empty: the workload is one network
  Combining combining = Combining::kGeometricMean;  ///< of several networks

  /// Without bounds yet. Throws Error{kValue} where the target runs none of the layers.
  static SearchProblem of(Workload workload, TargetPtr target, Objective objective);
  /// The same of several networks: by name, whatever their order, equal ones as one with the sum of their
  /// weights; of one network the problem above. Throws Error{kValue} for a weight that is no number over 0
  /// and for different networks of one name.
  static SearchProblem of(std::vector<WeightedNetwork> networks, TargetPtr target, Objective objective,
                          Combining combining);

  const Machine& machine() const { return target->machine(); }
  /// A design of this problem that has neither hardware nor schedules yet.
  Design blank_design() const;

  // ---- Networks.

  bool is_joint() const { return !parts.empty(); }
  /// The parts, or the workload as the only one.
  std::vector<ProblemNetwork> networks() const;
  NetworkRanges ranges() const;
  JointObjective joint() const;
  /// The problem of one network alone.
  SearchProblem alone(std::size_t network) const;
  /// A design of the problem as one of each network, on the same hardware.
  std::vector<Design> split(const Design& design) const;

  /// The logarithm of the objective, of all networks together, from what each takes. Energy in uJ.
  double log_value(const std::vector<LayerCosts>& of_networks) const;
  /// The same of sums, with cycles as counted; with `expected` as a design's evaluation gives them.
  double log_value(const std::vector<NetworkSums>& sums, bool expected = false) const;
  /// The same of an evaluated design of this problem.
  double log_value(const Design& design) const;
  /// The objective itself of an evaluated design of this problem.
  double value(const Design& design) const;
  /// What a little more energy (pJ) or a cycle of each layer costs, by layer; of layers of different networks
  /// they cannot be compared.
  std::vector<Objective::Prices> prices(const std::vector<NetworkSums>& sums) const;

  /// Throws Error{kBounds} unless min <= max everywhere.
  void check_bounds() const;

  std::size_t buffers() const { return machine().buffers(); }
  std::int64_t buffer(const Hardware& hardware, std::size_t b) const {
    return hardware[machine().shape_parameters + b];
  }
  std::int64_t& buffer(Hardware& hardware, std::size_t b) const {
    return hardware[machine().shape_parameters + b];
  }
  Shape shape_of(const Hardware& hardware) const;
  /// `hardware` with another shape.
  Hardware with_shape(Hardware hardware, const Shape& shape) const;

  /// Throws Error{kBounds} where `least`, the smallest hardware that runs the network, has more than the
  /// area.
  void check_area(const Hardware& least) const;
  /// Whether some buffers within the bounds go with a shape within the area.
  bool has_room_for(const Shape& shape) const;
  /// The same hardware, with its buffers no larger than can be built; where it is beyond the area, with all
  /// buffers moved towards their least, as far as needed. Needs has_room_for its shape.
  Hardware within_area(const Hardware& hardware) const;
  /// `least`, which is within the area, with the most of each buffer, up to that of `most`, that keeps within
  /// it while the others are as in `least`.
  Hardware largest_between(const Hardware& least, const Hardware& most) const;
  /// The most of each buffer that goes with a shape while the others are at their least.
  Hardware largest_with(const Shape& shape) const;
};

}  // namespace dosa
