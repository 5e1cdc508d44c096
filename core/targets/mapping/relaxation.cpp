#include "dosa/core/targets/mapping/relaxation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace dosa {
namespace {

using torch::Tensor;

// How much a layer loses by needing e times more of a size than there is, in units of its share of the
// objective: more than it can gain by it.
constexpr double kExcessWeight = 4;

}  // namespace

Relaxation::Relaxation(const SearchProblem& problem, torch::TensorOptions options)
    : problem_(problem),
      model_(problem.machine, search_slots(problem.machine), search_orders(problem.machine), options),
      layers_(LayerBatch::from(problem.workload.layers, options)),
      log_size_(layers_.log_size) {
  std::array<std::int64_t, kDims> used{};
  for (const Slot& slot : model_.slots()) ++used[static_cast<std::size_t>(slot.dim)];
  const std::int64_t places = *std::max_element(used.begin(), used.end());
  const Tensor mask =
      torch::full({places, log_size_.size(0), kDims}, -std::numeric_limits<float>::infinity());
  const auto slot_count = static_cast<std::int64_t>(model_.slots().size());
  const Tensor to_slots = torch::zeros({places * kDims, slot_count});
  used.fill(0);
  for (std::int64_t s = 0; s < slot_count; ++s) {
    const auto dim = static_cast<std::int64_t>(model_.slots()[static_cast<std::size_t>(s)].dim);
    const std::int64_t place = used[static_cast<std::size_t>(dim)]++;
    mask.select(0, place).select(-1, dim).fill_(0);
    to_slots[place * kDims + dim][s] = 1;
  }
  // What is left of a spatial factor beyond the largest array goes on as a temporal loop.
  const Tensor limit = torch::full({slot_count}, std::numeric_limits<float>::infinity());
  const Tensor overflow = torch::zeros({slot_count, slot_count});
  for (std::int64_t s = 0; s < slot_count; ++s) {
    const Slot& slot = model_.slots()[static_cast<std::size_t>(s)];
    if (!slot.spatial) continue;
    limit[s] = std::log(static_cast<double>(problem.bounds.max.pe_dim));
    const auto& slots = model_.slots();
    const auto heir = std::find_if(slots.begin(), slots.end(), [&](const Slot& other) {
      return !other.spatial && other.dim == slot.dim;
    });
    overflow[s][heir - slots.begin()] = 1;
  }
  spatial_limit_ = limit.to(options);
  overflow_ = overflow.to(options);
  place_mask_ = mask.to(options);
  to_slots_ = to_slots.to(options);
}

Tensor Relaxation::random_logits(std::int64_t starts, torch::Generator generator) const {
  const std::vector<std::int64_t> shape{starts, place_mask_.size(0), log_size_.size(0), kDims};
  return torch::randn(shape, generator, torch::kFloat32).to(model_.options());
}

Tensor Relaxation::log_factors(const Tensor& logits) const {
  const Tensor shares = torch::softmax(logits + place_mask_, 1);
  const Tensor factors = torch::matmul((log_size_ * shares).transpose(1, 2).flatten(-2), to_slots_);
  const Tensor allowed = torch::minimum(factors, spatial_limit_);
  return allowed + torch::matmul(factors - allowed, overflow_);
}

RelaxedCost Relaxation::cost(const Tensor& log_factors, const Softness& softness) const {
  const Sharpness sharpness = Sharpness::relaxed(softness.gate);
  const Traffic traffic = model_.traffic({log_factors, {}}, layers_, sharpness);
  RelaxedCost result;
  const LayerNeeds needs = LayerNeeds::of(traffic, problem_.machine, problem_.bounds, false);
  result.hardware = needs.hardware(problem_.bounds);
  const HardwareTensors of_layers{result.hardware.pe_dim.unsqueeze(-1),
                                  result.hardware.scratchpad_kib.unsqueeze(-1),
                                  result.hardware.accumulator_kib.unsqueeze(-1)};
  const Cost cost = model_.cost(traffic, of_layers, sharpness);  // [starts, layers, orders]
  const Tensor energy = cost.energy_pj * 1e-6;
  const Tensor weight = torch::softmax(
      problem_.objective.log_value(energy, cost.cycles) * (-1 / softness.order_temperature), -1);
  const auto of_layer = [&](const Tensor& of_orders) {
    return (of_orders * weight).sum(-1) * layers_.repetitions;
  };
  const Tensor layer_energy = of_layer(energy);
  const Tensor layer_cycles = of_layer(cost.cycles);
  result.energy_uj = layer_energy.sum(-1);
  result.cycles = layer_cycles.sum(-1);
  result.loss = problem_.objective.log_value(result.energy_uj, result.cycles);
  // A layer's penalty is weighed by its share of the objective, so that it stays comparable with the layer's
  // other gradients: Adam would take long to forget a larger one.
  const Tensor share =
      problem_.objective.energy * (layer_energy.detach() / result.energy_uj.detach().unsqueeze(-1)) +
      problem_.objective.latency * (layer_cycles.detach() / result.cycles.detach().unsqueeze(-1));
  result.loss = result.loss + kExcessWeight * (share * needs.excess(problem_.bounds)).sum(-1);
  if (std::isfinite(problem_.bounds.max_area_mm2)) {
    const Tensor area = area_mm2(problem_.machine.area, result.hardware) / problem_.bounds.max_area_mm2;
    result.loss = result.loss + kExcessWeight * torch::relu(area.log());
  }
  return result;
}

}  // namespace dosa
