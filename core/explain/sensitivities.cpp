#include <algorithm>
#include <cmath>

#include "dosa/core/explain/explain.hpp"
#include "dosa/core/explain/priced.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr double kStep = 0.1;  // of the changes that are shown

/// The network's costs, [], and cycles by every network of an ensemble, [networks].
struct NetworkCosts {
  Tensor cycles, energy, area, cycles_by_network;
};

NetworkCosts costs_of(const PricedSchedules& priced, const Tensor& values, const Tensor& runs) {
  const PricedCosts costs = priced.at(values);
  NetworkCosts sums{(costs.cycles * runs).sum(), (costs.energy_pj * runs).sum(), costs.area_mm2, {}};
  if (costs.cycles_by_network.defined()) sums.cycles_by_network = (costs.cycles_by_network * runs).sum(-1);
  return sums;
}

/// d log(cost) / d log(values), [numbers].
std::vector<double> slopes(const Tensor& cost, const Tensor& values) {
  const auto count = static_cast<std::size_t>(values.size(0));
  if (!cost.requires_grad() || cost.item<double>() == 0) return std::vector<double>(count, 0);
  const Tensor slope = torch::autograd::grad({cost.log()}, {values}, {}, true, false, true)[0];
  if (!slope.defined()) return std::vector<double>(count, 0);
  const Tensor relative = (slope * values.detach()).contiguous();
  return {relative.data_ptr<double>(), relative.data_ptr<double>() + count};
}

double standard_deviation(const std::vector<std::vector<double>>& rows, std::size_t column) {
  double mean = 0, variance = 0;
  const auto count = static_cast<double>(rows.size());
  for (const std::vector<double>& row : rows) mean += row[column] / count;
  for (const std::vector<double>& row : rows) variance += std::pow(row[column] - mean, 2) / count;
  return std::sqrt(variance);
}

/// Relative changes of the costs with number `n` at `factor` times its value.
Effects effects_at(const PricedSchedules& priced, const NetworkCosts& now, const Tensor& values,
                   const Tensor& runs, std::size_t n, double factor) {
  const torch::NoGradGuard no_gradients;
  Tensor other = values.detach().clone();
  other[static_cast<std::int64_t>(n)] *= factor;
  const NetworkCosts costs = costs_of(priced, other, runs);
  const auto ratio = [](const Tensor& after, const Tensor& before) {
    return before.item<double>() == 0 ? 1 : after.item<double>() / before.item<double>();
  };
  const double energy = ratio(costs.energy, now.energy), latency = ratio(costs.cycles, now.cycles);
  return {energy * latency - 1, energy - 1, latency - 1, ratio(costs.area, now.area) - 1};
}

}  // namespace

double Sensitivity::by_slope(double value) const {
  return std::expm1(slope.edp * std::log(value / number.value));
}

bool Sensitivity::agrees(const Searched& found) const {
  constexpr double kFactor = 1.5, kNothing = 0.0005;
  const double searched_log = std::log1p(found.change.edp), slope_log = std::log1p(by_slope(found.value));
  if (std::abs(searched_log) < kNothing && std::abs(slope_log) < kNothing) return true;
  return searched_log * slope_log > 0 && searched_log / slope_log < kFactor &&
         slope_log / searched_log < kFactor;
}

std::vector<Sensitivity> sensitivities(const Design& design, const PricedSchedules& priced) {
  std::vector<double> runs_of, values_of;
  for (const DesignLayer& entry : design.layers)
    runs_of.push_back(static_cast<double>(entry.layer.repetitions()));
  for (const MachineNumber& number : priced.numbers()) values_of.push_back(number.value);
  const torch::AutoGradMode with_gradients(true);
  const Tensor runs = torch::tensor(runs_of, torch::kFloat64);
  const Tensor values = torch::tensor(values_of, torch::kFloat64).requires_grad_(true);
  const NetworkCosts now = costs_of(priced, values, runs);
  const std::vector<double> latency = slopes(now.cycles, values), energy = slopes(now.energy, values),
                            area = slopes(now.area, values);
  std::vector<std::vector<double>> by_network;
  if (now.cycles_by_network.defined()) {
    for (std::int64_t n = 0; n < now.cycles_by_network.size(0); ++n)
      by_network.push_back(slopes(now.cycles_by_network[n], values));
  }
  std::vector<Sensitivity> all;
  for (std::size_t n = 0; n < priced.numbers().size(); ++n) {
    Sensitivity one;
    one.number = priced.numbers()[n];
    one.slope = {energy[n] + latency[n], energy[n], latency[n], area[n]};
    one.more = effects_at(priced, now, values, runs, n, 1 + kStep);
    one.less = effects_at(priced, now, values, runs, n, 1 - kStep);
    if (!by_network.empty()) one.latency_sd = standard_deviation(by_network, n);
    all.push_back(std::move(one));
  }
  std::stable_sort(all.begin(), all.end(), [](const Sensitivity& a, const Sensitivity& b) {
    return std::abs(a.slope.edp) > std::abs(b.slope.edp);
  });
  return all;
}

}  // namespace dosa
