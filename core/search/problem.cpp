#include "dosa/core/search/problem.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/error.hpp"

namespace dosa {

SearchProblem SearchProblem::of(Workload workload, TargetPtr target, Objective objective) {
  SearchProblem problem;
  problem.left_to_cpu = take_cpu_layers(workload, *target);
  problem.workload = std::move(workload);
  problem.target = std::move(target);
  problem.objective = std::move(objective);
  return problem;
}

Design SearchProblem::blank_design() const {
  Design design;
  design.workload = workload.name;
  design.target = machine().name;
  design.machine = target->shared_machine();
  design.objective = objective.name;
  for (const Layer& layer : workload.layers) design.layers.push_back({layer, nullptr, {}});
  design.left_to_cpu = left_to_cpu;
  return design;
}

void SearchProblem::check_bounds() const {
  for (std::size_t p = 0; p < machine().parameters.size(); ++p) {
    if (bounds.min[p] > bounds.max[p]) {
      fail(ErrorId::kBounds, "{}: the least allowed is {} and the most {}", machine().parameters[p].name,
           bounds.min[p], bounds.max[p]);
    }
  }
}

Shape SearchProblem::shape_of(const Hardware& hardware) const {
  return {hardware.values.begin(),
          hardware.values.begin() + static_cast<std::ptrdiff_t>(machine().shape_parameters)};
}

Hardware SearchProblem::with_shape(Hardware hardware, const Shape& shape) const {
  std::copy(shape.begin(), shape.end(), hardware.values.begin());
  return hardware;
}

void SearchProblem::check_area(const Hardware& least) const {
  const double area = machine().area_mm2(least);
  if (area <= bounds.max_area_mm2) return;
  fail(ErrorId::kBounds,
       "the area may be {:.6g} mm2 at most, but the least hardware that runs {} ({}) has {:.6g} mm2",
       bounds.max_area_mm2, workload.name, machine().text(least), area);
}

bool SearchProblem::has_room_for(const Shape& shape) const {
  return machine().area_mm2(with_shape(bounds.min, shape)) <= bounds.max_area_mm2;
}

Hardware SearchProblem::within_area(const Hardware& hardware) const {
  const double area = machine().area_mm2(hardware);
  if (area <= bounds.max_area_mm2) return hardware;
  const Hardware least = with_shape(bounds.min, shape_of(hardware));
  const double least_area = machine().area_mm2(least);
  const double share = std::max(0.0, (bounds.max_area_mm2 - least_area) / (area - least_area));
  Hardware smaller = least;
  for (std::size_t b = 0; b < buffers(); ++b) {
    const auto range = static_cast<double>(buffer(hardware, b) - buffer(least, b));
    buffer(smaller, b) = buffer(least, b) + static_cast<std::int64_t>(std::floor(share * range));
  }
  if (machine().area_mm2(smaller) > bounds.max_area_mm2) {  // by a rounding error
    for (std::size_t b = 0; b < buffers(); ++b)
      buffer(smaller, b) = std::max(buffer(least, b), buffer(smaller, b) - 1);
  }
  return smaller;
}

Hardware SearchProblem::largest_with(const Shape& shape) const {
  const Hardware least = with_shape(bounds.min, shape);
  Hardware largest = least;
  for (std::size_t b = 0; b < buffers(); ++b) {
    Hardware wide = least;
    buffer(wide, b) = buffer(bounds.max, b);
    buffer(largest, b) = buffer(within_area(wide), b);
  }
  return largest;
}

}  // namespace dosa
