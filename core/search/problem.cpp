#include "dosa/core/search/problem.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/error.hpp"

namespace dosa {

SearchProblem SearchProblem::of(Workload workload, TargetPtr target, Objective objective) {
  SearchProblem problem;
  for (const Layer& layer : workload.layers) check_word_bits(layer, target->machine());
  problem.left_to_cpu = take_cpu_layers(workload, *target);
  problem.workload = std::move(workload);
  problem.target = std::move(target);
  problem.objective = std::move(objective);
  return problem;
}

SearchProblem SearchProblem::of(std::vector<WeightedNetwork> networks, TargetPtr target, Objective objective,
                                Combining combining) {
  std::stable_sort(networks.begin(), networks.end(), [](const WeightedNetwork& a, const WeightedNetwork& b) {
    return a.workload.name < b.workload.name;
  });
  std::vector<WeightedNetwork> distinct;
  for (WeightedNetwork& network : networks) {
    const std::string& name = network.workload.name;
    if (!(network.weight > 0) || network.weight > kMostWeight) {
      fail(ErrorId::kValue, "{}: weight: found {}, expected a number over 0 to {}", name, network.weight,
           kMostWeight);
    }
    if (distinct.empty() || distinct.back().workload.name != name) {
      distinct.push_back(std::move(network));
    } else if (to_json(distinct.back().workload)["layers"] == to_json(network.workload)["layers"]) {
      distinct.back().weight += network.weight;
    } else {
      fail(ErrorId::kValue, "two different networks are named '{}'; expected names that tell them apart",
           name);
    }
  }
  if (distinct.size() == 1)
    return of(std::move(distinct.front().workload), std::move(target), std::move(objective));
  SearchProblem problem;
  problem.target = std::move(target);
  problem.objective = std::move(objective);
  problem.combining = combining;
  std::vector<Layer>& layers = problem.workload.layers;
  for (WeightedNetwork& network : distinct) {
    const std::vector<CpuLayer> left = take_cpu_layers(network.workload, *problem.target);
    const std::vector<Layer>& own = network.workload.layers;
    problem.parts.push_back(
        {network.workload.name, network.weight, layers.size(), layers.size() + own.size(), left});
    problem.left_to_cpu.insert(problem.left_to_cpu.end(), left.begin(), left.end());
    layers.insert(layers.end(), own.begin(), own.end());
    problem.workload.name += (problem.workload.name.empty() ? "" : " + ") + network.workload.name;
  }
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

std::vector<ProblemNetwork> SearchProblem::networks() const {
  return is_joint() ? parts
                    : std::vector<ProblemNetwork>{{workload.name, 1, 0, workload.layers.size(), left_to_cpu}};
}

NetworkRanges SearchProblem::ranges() const {
  std::vector<std::pair<std::int64_t, std::int64_t>> ranges;
  for (const ProblemNetwork& network : networks())
    ranges.emplace_back(static_cast<std::int64_t>(network.begin), static_cast<std::int64_t>(network.end));
  return NetworkRanges(std::move(ranges));
}

JointObjective SearchProblem::joint() const {
  JointObjective joint{combining, {}};
  for (const ProblemNetwork& network : networks()) joint.weights.push_back(network.weight);
  return joint;
}

SearchProblem SearchProblem::alone(std::size_t network) const {
  const ProblemNetwork own = networks()[network];
  SearchProblem problem{{own.name, "", "", {}}, target, bounds, objective, own.left_to_cpu};
  const auto layers = workload.layers.begin();
  problem.workload.layers.assign(layers + static_cast<std::ptrdiff_t>(own.begin),
                                 layers + static_cast<std::ptrdiff_t>(own.end));
  return problem;
}

std::vector<Design> SearchProblem::split(const Design& design) const {
  if (!is_joint()) return {design};
  std::vector<Design> designs;
  for (const ProblemNetwork& network : parts) {
    Design own = design;
    own.workload = network.name;
    own.left_to_cpu = network.left_to_cpu;
    const auto layers = design.layers.begin();
    own.layers.assign(layers + static_cast<std::ptrdiff_t>(network.begin),
                      layers + static_cast<std::ptrdiff_t>(network.end));
    sum_up(own);
    designs.push_back(std::move(own));
  }
  return designs;
}

double SearchProblem::log_value(const std::vector<LayerCosts>& of_networks) const {
  std::vector<double> values;
  for (const LayerCosts& costs : of_networks)
    values.push_back(objective.log_value(costs.energy_uj, costs.cycles));
  return joint().log_value(values);
}

double SearchProblem::log_value(const std::vector<NetworkSums>& sums, bool expected) const {
  std::vector<LayerCosts> costs;
  for (const NetworkSums& of_network : sums) {
    costs.push_back(
        {expected ? of_network.expected_cycles : of_network.cycles, of_network.energy_pj * 1e-6, {}, {}});
  }
  return log_value(costs);
}

double SearchProblem::log_value(const Design& design) const {
  std::vector<LayerCosts> costs;
  for (const Design& own : split(design)) costs.push_back({own.totals.cycles, own.totals.energy_uj, {}, {}});
  return log_value(costs);
}

double SearchProblem::value(const Design& design) const {
  return is_joint() ? std::exp(log_value(design))
                    : objective.value(design.totals.energy_uj, design.totals.cycles);
}

std::vector<Objective::Prices> SearchProblem::prices(const std::vector<NetworkSums>& sums) const {
  std::vector<Objective::Prices> prices;
  const std::vector<ProblemNetwork> all = networks();
  for (std::size_t n = 0; n < all.size(); ++n)
    prices.insert(prices.end(), all[n].layers(), objective.prices(sums[n].energy_pj, sums[n].cycles));
  return prices;
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

Hardware SearchProblem::within_area(const Hardware& wanted) const {
  const Hardware least = with_shape(bounds.min, shape_of(wanted));
  const auto built = [&](std::size_t b, std::int64_t size) {
    return std::max(buffer(least, b), machine().parameters[machine().shape_parameters + b].down(size));
  };
  Hardware hardware = wanted;
  for (std::size_t b = 0; b < buffers(); ++b) buffer(hardware, b) = built(b, buffer(wanted, b));
  const double area = machine().area_mm2(hardware);
  if (area <= bounds.max_area_mm2) return hardware;
  const double least_area = machine().area_mm2(least);
  const double share = std::max(0.0, (bounds.max_area_mm2 - least_area) / (area - least_area));
  Hardware smaller = least;
  for (std::size_t b = 0; b < buffers(); ++b) {
    const auto range = static_cast<double>(buffer(hardware, b) - buffer(least, b));
    buffer(smaller, b) = built(b, buffer(least, b) + static_cast<std::int64_t>(std::floor(share * range)));
  }
  if (machine().area_mm2(smaller) > bounds.max_area_mm2) {  // by a rounding error
    for (std::size_t b = 0; b < buffers(); ++b) buffer(smaller, b) = built(b, buffer(smaller, b) - 1);
  }
  return smaller;
}

Hardware SearchProblem::largest_between(const Hardware& least, const Hardware& most) const {
  Hardware largest = least;
  for (std::size_t b = 0; b < buffers(); ++b) {
    Hardware wide = least;
    std::int64_t fits = buffer(least, b), beyond = buffer(most, b) + 1;
    while (beyond - fits > 1) {
      const std::int64_t middle = fits + (beyond - fits) / 2;
      buffer(wide, b) = middle;
      (machine().area_mm2(wide) <= bounds.max_area_mm2 ? fits : beyond) = middle;
    }
    const Parameter& parameter = machine().parameters[machine().shape_parameters + b];
    buffer(largest, b) = std::max(buffer(least, b), parameter.down(fits));
  }
  return largest;
}

Hardware SearchProblem::largest_with(const Shape& shape) const {
  return largest_between(with_shape(bounds.min, shape), with_shape(bounds.max, shape));
}

}  // namespace dosa
