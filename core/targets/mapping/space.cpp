#include "dosa/core/targets/mapping/space.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "dosa/core/targets/mapping/target.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

using torch::Tensor;

// The least nests of a layer that a rounding or polish looks at.
constexpr std::int64_t kLeastNests = 64;

/// How soft the relaxation is after a share of the run: the gates sharpen, the mixture of orders cools.
Softness softness_at(const Tensor& share) { return {3 + 20 * share, mixing_temperature(share)}; }

}  // namespace

MappingSpace::MappingSpace(const SearchProblem& problem, const std::string& device)
    : problem_(problem),
      models_(array_machine(problem)),
      relaxation_(problem, torch::TensorOptions(torch::kFloat32).device(device)) {
  check_fits();
}

// The mapping with every loop at DRAM needs the least of everything; the array counts at its smallest.
void MappingSpace::check_fits() const {
  const torch::InferenceMode no_gradients;
  const ArrayMachine& machine = array_machine(problem_);
  const HardwareBounds& bounds = problem_.bounds;
  const std::vector<Layer>& layers = problem_.workload.layers;
  const Traffic tiles =
      models_.all.tiles({least_demanding(), {}}, LayerBatch::from(layers, torch::kFloat64), {});
  Hardware least = bounds.min;
  const Tensor array =
      torch::scalar_tensor(static_cast<double>(ArraySizes::of(least).pe_dim), torch::kFloat64);
  for (int level = 0; level <= machine.dram(); ++level) {
    const MemoryLevel& memory = machine.levels[static_cast<std::size_t>(level)];
    if (memory.sized_by == SizedBy::kNothing) continue;
    const std::size_t b = memory.sized_by == SizedBy::kScratchpad ? 0 : 1;
    const Tensor kib =
        tiles.need_kib(memory, level, array).squeeze(-1).expand({static_cast<std::int64_t>(layers.size())});
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const double need = std::ceil(kib[static_cast<std::int64_t>(i)].item<double>());
      if (need > static_cast<double>(problem_.buffer(bounds.max, b))) {
        fail(ErrorId::kBounds,
             "layer '{}' has no mapping that fits: {} needs at least {:.0f} KiB of {}, allowed are {}",
             layers[i].name, machine.level_label(level), need,
             memory.sized_by == SizedBy::kScratchpad ? "scratchpad" : "accumulator",
             problem_.buffer(bounds.max, b));
      }
      problem_.buffer(least, b) = std::max(problem_.buffer(least, b), static_cast<std::int64_t>(need));
    }
  }
  problem_.check_area(least);
}

std::vector<Shape> MappingSpace::shapes() const {
  const ArrayBounds bounds = ArrayBounds::of(problem_.bounds);
  std::set<std::int64_t> sizes{bounds.min.pe_dim, bounds.max.pe_dim};
  for (const Slot& slot : models_.all.slots()) {
    if (!slot.spatial) continue;
    for (const Layer& layer : problem_.workload.layers) {
      for (std::int64_t d = bounds.min.pe_dim; d <= std::min(layer[slot.dim], bounds.max.pe_dim); ++d) {
        if (layer[slot.dim] % d == 0) sizes.insert(d);
      }
    }
  }
  std::vector<Shape> useful;
  for (const std::int64_t pe_dim : sizes) {
    if (problem_.has_room_for({pe_dim})) useful.push_back({pe_dim});
  }
  return useful;
}

// With every loop in the innermost level and all gates closed, every word is moved once, and only the padding
// of the spatial factors is left out. Inputs are counted as if no stride or dilation left gaps between those
// that are used: fewer than any tiles touch.
std::vector<LayerCosts> MappingSpace::least_costs(const Shape& shape) const {
  const torch::InferenceMode no_gradients;
  const std::vector<Slot>& slots = models_.all.slots();
  std::vector<Layer> layers = problem_.workload.layers;
  const Tensor nests = torch::zeros(
      {static_cast<std::int64_t>(layers.size()), static_cast<std::int64_t>(slots.size())}, torch::kFloat64);
  auto cell = nests.accessor<double, 2>();
  Tensor repetitions = torch::empty({static_cast<std::int64_t>(layers.size())}, torch::kFloat64);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    Layer& layer = layers[l];
    layer.wdilation = layer.hdilation = 1;
    layer.wstride = std::min(layer.wstride, layer[Dim::R]);
    layer.hstride = std::min(layer.hstride, layer[Dim::S]);
    const auto row = static_cast<std::int64_t>(l);
    repetitions[row] = static_cast<double>(layer.repetitions());
    for (const Dim dim : all_dims()) {
      // Temporal slots come first, the innermost level's before the others'.
      std::int64_t temporal = -1, spatial = -1;
      for (std::size_t s = slots.size(); s-- > 0;) {
        if (slots[s].dim == dim) (slots[s].spatial ? spatial : temporal) = static_cast<std::int64_t>(s);
      }
      const auto size = static_cast<double>(layer[dim]);
      const double side_by_side = spatial < 0 ? 1 : std::min(size, static_cast<double>(shape.front()));
      if (spatial >= 0) cell[row][spatial] = std::log(side_by_side);
      cell[row][temporal] = std::log(size / side_by_side);
    }
  }
  const Hardware least = problem_.with_shape(problem_.bounds.min, shape);
  const Traffic traffic =
      models_.bound.traffic({nests, {}}, LayerBatch::from(layers, torch::kFloat64), Sharpness::lower_bound());
  const Cost cost = models_.bound.cost(traffic, HardwareTensors::from(ArraySizes::of(least), torch::kFloat64),
                                       Sharpness::lower_bound());
  const auto totals = [&](const Tensor& costs) {
    return problem_.ranges().sum(costs.squeeze(-1) * repetitions).contiguous();
  };
  const Tensor cycles = totals(cost.cycles), energy_pj = totals(cost.energy_pj);
  // A little less, since sums are rounded otherwise than those of designs.
  constexpr double kLess = 1 - 1e-9;
  std::vector<LayerCosts> of_networks;
  for (std::int64_t n = 0; n < cycles.size(0); ++n) {
    of_networks.push_back(
        {cycles[n].item<double>() * kLess, energy_pj[n].item<double>() * kLess * 1e-6, {}, {}});
  }
  return of_networks;
}

Tensor MappingSpace::random_starts(std::int64_t starts, at::Generator generator) const {
  return relaxation_.random_logits(starts, std::move(generator));
}

RelaxedCost MappingSpace::relax(const Tensor& parameters, const Tensor& share) const {
  return relaxation_.cost(relaxation_.log_factors(parameters), softness_at(share));
}

Tensor MappingSpace::decode(const Tensor& parameters) const {
  return relaxation_.log_factors(parameters).to(torch::kCPU, torch::kFloat64);
}

std::int64_t MappingSpace::evaluations_per_step() const {
  return static_cast<std::int64_t>(problem_.workload.layers.size()) * orders();
}

std::unique_ptr<LayerSpace> MappingSpace::layer(std::size_t layer, const Shape& shape) const {
  return std::make_unique<Enumeration>(problem_, models_, layer, shape.front());
}

std::int64_t MappingSpace::least_evaluations(std::size_t) const { return kLeastNests * orders(); }

SchedulePtr MappingSpace::schedule(std::size_t layer, const Tensor& code) const {
  const std::int64_t slots = code.size(0) - 1;
  Mapping mapping =
      models_.all.mapping_of(code.narrow(0, 0, slots), static_cast<std::int64_t>(code[slots].item<double>()));
  mapping.set_remainders(problem_.workload.layers[layer], array_machine(problem_).remainders);
  return std::make_shared<MappingSchedule>(mapping, array_machine(problem_));
}

Tensor MappingSpace::least_demanding() const {
  const std::vector<Slot>& slots = models_.all.slots();
  const std::vector<Layer>& layers = problem_.workload.layers;
  const Tensor factors = torch::zeros(
      {static_cast<std::int64_t>(layers.size()), static_cast<std::int64_t>(slots.size())}, torch::kFloat64);
  auto cell = factors.accessor<double, 2>();
  for (std::size_t l = 0; l < layers.size(); ++l) {
    for (std::size_t s = 0; s < slots.size(); ++s) {
      if (slots[s].level == array_machine(problem_).dram() && !slots[s].spatial)
        cell[static_cast<std::int64_t>(l)][static_cast<std::int64_t>(s)] =
            std::log(static_cast<double>(layers[l][slots[s].dim]));
    }
  }
  return factors;
}

}  // namespace dosa
