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

struct SearchProblem {
  Workload workload;
  TargetPtr target;
  HardwareBounds bounds;
  Objective objective;

  const Machine& machine() const { return target->machine(); }
  /// A design of this problem that has neither hardware nor schedules yet.
  Design blank_design() const;

  /// Throws Error{kBounds} unless min <= max everywhere.
  void check_bounds() const;
  /// Whether some buffers within the bounds go with an array of `pe_dim` within the area.
  bool has_room_for(std::int64_t pe_dim) const;
  /// The same hardware where it is within the area, else with all buffers moved towards their least, as far
  /// as needed. Needs has_room_for(pe_dim).
  Hardware within_area(const Hardware& hardware) const;
  /// The most of each buffer that goes with an array of `pe_dim` while the others are at their least.
  Hardware largest_with(std::int64_t pe_dim) const;
};

}  // namespace dosa
