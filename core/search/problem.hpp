// What a search is asked: a network on a target, limits of the hardware, what to minimise.
#pragma once

#include <limits>

#include "dosa/core/design/design.hpp"
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

struct SearchProblem {
  Workload workload;  ///< without the layers that the target leaves to the CPU
  TargetPtr target;
  HardwareBounds bounds;
  Objective objective;
  std::vector<CpuLayer> left_to_cpu{};  ///< layers of the network that are not in `workload`

  /// Without bounds yet. Throws Error{kValue} where the target runs none of the layers.
  static SearchProblem of(Workload workload, TargetPtr target, Objective objective);

  const Machine& machine() const { return target->machine(); }
  /// A design of this problem that has neither hardware nor schedules yet.
  Design blank_design() const;

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
  /// The same hardware where it is within the area, else with all buffers moved towards their least, as far
  /// as needed. Needs has_room_for its shape.
  Hardware within_area(const Hardware& hardware) const;
  /// The most of each buffer that goes with a shape while the others are at their least.
  Hardware largest_with(const Shape& shape) const;
};

}  // namespace dosa
