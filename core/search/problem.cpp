#include "dosa/core/search/problem.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/search/frontier.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

Design SearchProblem::blank_design() const {
  Design design;
  design.workload = workload.name;
  design.target = machine().name;
  design.objective = objective.name;
  for (const Layer& layer : workload.layers) design.layers.push_back({layer, nullptr, {}});
  return design;
}

void SearchProblem::check_bounds() const {
  for (const ArraySizeField& field : kArraySizes) {
    if (bounds.min.*field.value > bounds.max.*field.value) {
      fail(ErrorId::kBounds, "{}: the least allowed is {} and the most {}", field.name,
           bounds.min.*field.value, bounds.max.*field.value);
    }
  }
}

bool SearchProblem::has_room_for(std::int64_t pe_dim) const {
  Hardware least = bounds.min;
  least.pe_dim = pe_dim;
  return area_mm2(machine().area, least) <= bounds.max_area_mm2;
}

Hardware SearchProblem::within_area(const Hardware& hardware) const {
  const double area = area_mm2(machine().area, hardware);
  if (area <= bounds.max_area_mm2) return hardware;
  Hardware least = bounds.min;
  least.pe_dim = hardware.pe_dim;
  const double least_area = area_mm2(machine().area, least);
  const double share = std::max(0.0, (bounds.max_area_mm2 - least_area) / (area - least_area));
  Hardware smaller = least;
  for (std::size_t b = 0; b < kBuffers; ++b) {
    const auto range = static_cast<double>(buffer(hardware, b) - buffer(least, b));
    buffer(smaller, b) = buffer(least, b) + static_cast<std::int64_t>(std::floor(share * range));
  }
  if (area_mm2(machine().area, smaller) > bounds.max_area_mm2) {  // by a rounding error
    for (std::size_t b = 0; b < kBuffers; ++b)
      buffer(smaller, b) = std::max(buffer(least, b), buffer(smaller, b) - 1);
  }
  return smaller;
}

Hardware SearchProblem::largest_with(std::int64_t pe_dim) const {
  Hardware largest = bounds.min;
  largest.pe_dim = pe_dim;
  const Hardware least = largest;
  for (std::size_t b = 0; b < kBuffers; ++b) {
    Hardware wide = least;
    buffer(wide, b) = buffer(bounds.max, b);
    buffer(largest, b) = buffer(within_area(wide), b);
  }
  return largest;
}

}  // namespace dosa
