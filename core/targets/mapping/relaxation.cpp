#include "dosa/core/targets/mapping/relaxation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dosa/core/search/network_loss.hpp"

namespace dosa {
namespace {

using torch::Tensor;

}  // namespace

Relaxation::Relaxation(const SearchProblem& problem, torch::TensorOptions options)
    : problem_(problem),
      bounds_(ArrayBounds::of(problem.bounds)),
      model_(array_machine(problem), search_slots(array_machine(problem)),
             search_orders(array_machine(problem)), options),
      layers_(LayerBatch::from(problem.workload.layers, options)),
      networks_(problem.ranges()),
      joint_(problem.joint()),
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
    limit[s] = std::log(static_cast<double>(bounds_.max.pe_dim));
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
  const LayerNeeds needs = LayerNeeds::of(traffic, array_machine(problem_), bounds_, false);
  const HardwareTensors hardware = needs.hardware(bounds_);
  result.hardware = torch::stack({hardware.pe_dim, hardware.scratchpad_kib, hardware.accumulator_kib}, -1);
  const HardwareTensors of_layers{hardware.pe_dim.unsqueeze(-1), hardware.scratchpad_kib.unsqueeze(-1),
                                  hardware.accumulator_kib.unsqueeze(-1)};
  const Cost cost = model_.cost(traffic, of_layers, sharpness);  // [starts, layers, orders]
  const Tensor energy = cost.energy_pj * 1e-6;
  const Tensor weight = torch::softmax(
      problem_.objective.log_value(energy, cost.cycles) * (-1 / softness.order_temperature), -1);
  const auto of_layer = [&](const Tensor& of_orders) {
    return (of_orders * weight).sum(-1) * layers_.repetitions;
  };
  const Tensor layer_energy = of_layer(energy);
  const Tensor layer_cycles = of_layer(cost.cycles);
  result.loss = network_loss(problem_, networks_, joint_, layer_energy, layer_cycles, needs.excess(bounds_));
  if (std::isfinite(problem_.bounds.max_area_mm2))
    result.loss = result.loss + area_loss(problem_, area_mm2(array_machine(problem_).area, hardware));
  return result;
}

LayerNeeds LayerNeeds::of(const Traffic& traffic, const ArrayMachine& machine, const ArrayBounds& bounds,
                          bool exact) {
  LayerNeeds needs;
  needs.sizes.pe_dim = traffic.pe_dim.squeeze(-1);
  needs.array = needs.sizes.pe_dim.amax(-1).clamp_min(static_cast<double>(bounds.min.pe_dim));
  const Tensor array = needs.array.unsqueeze(-1).unsqueeze(-1);
  for (int level = 0; level <= machine.dram(); ++level) {
    const MemoryLevel& memory = machine.levels[static_cast<std::size_t>(level)];
    if (memory.sized_by == SizedBy::kNothing) continue;
    const Tensor kib = traffic.need_kib(memory, level, array).squeeze(-1);
    const Tensor need = exact ? kib.ceil() : kib;
    Tensor& size =
        memory.sized_by == SizedBy::kScratchpad ? needs.sizes.scratchpad_kib : needs.sizes.accumulator_kib;
    size = size.defined() ? torch::maximum(size, need) : need;
  }
  return needs;
}

HardwareTensors LayerNeeds::hardware(const ArrayBounds& bounds) const {
  const auto largest = [&](const Tensor& need, std::int64_t at_least) {
    return need.defined() ? need.amax(-1).clamp_min(static_cast<double>(at_least))
                          : torch::full_like(array, static_cast<double>(at_least));
  };
  return {array, largest(sizes.scratchpad_kib, bounds.min.scratchpad_kib),
          largest(sizes.accumulator_kib, bounds.min.accumulator_kib)};
}

Tensor LayerNeeds::excess(const ArrayBounds& bounds) const {
  Tensor times;  // product of max(1, need / max)
  for (const auto& [need, max] : {std::pair{&sizes.pe_dim, bounds.max.pe_dim},
                                  std::pair{&sizes.scratchpad_kib, bounds.max.scratchpad_kib},
                                  std::pair{&sizes.accumulator_kib, bounds.max.accumulator_kib}}) {
    if (!need->defined()) continue;
    const Tensor beyond = (*need / static_cast<double>(max)).clamp_min(1);
    times = times.defined() ? times * beyond : beyond;
  }
  return times.log();
}

}  // namespace dosa
