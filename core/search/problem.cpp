#include "dosa/core/search/problem.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

using torch::Tensor;

struct NamedObjective {
  const char* name;
  double energy, latency;
};
constexpr std::array<NamedObjective, 4> kObjectives{
    {{"edp", 1, 1}, {"energy", 1, 0}, {"latency", 0, 1}, {"ed2p", 1, 2}}};

std::int64_t size_limit(const Hardware& hardware, SizedBy sized_by) {
  return sized_by == SizedBy::kScratchpad ? hardware.scratchpad_kib : hardware.accumulator_kib;
}

}  // namespace

Objective Objective::from_name(const std::string& name) {
  for (const NamedObjective& known : kObjectives) {
    if (name == known.name) return {known.name, known.energy, known.latency};
  }
  fail(ErrorId::kValue, "objective '{}' is not known; allowed: {}", name, fmt::join(names(), ", "));
}

std::vector<std::string> Objective::names() {
  std::vector<std::string> names;
  for (const NamedObjective& known : kObjectives) names.emplace_back(known.name);
  return names;
}

Tensor Objective::log_value(const Tensor& energy_uj, const Tensor& cycles) const {
  return energy * energy_uj.log() + latency * cycles.log();
}

void SearchProblem::check() const {
  for (const HardwareField& field : kHardwareFields) {
    if (bounds.min.*field.value > bounds.max.*field.value) {
      fail(ErrorId::kBounds, "{}: the least allowed is {} and the most {}", field.name,
           bounds.min.*field.value, bounds.max.*field.value);
    }
  }
  // The mapping with every loop at DRAM needs the least of everything; the array counts at its smallest.
  const torch::InferenceMode no_gradients;
  const CostModel model(machine, torch::kFloat64);
  std::vector<Mapping> mappings;
  for (const Layer& layer : workload.layers) {
    Mapping mapping;
    mapping.levels.resize(machine.levels.size());
    for (const Dim dim : all_dims()) {
      if (layer[dim] > 1) mapping.levels.back().temporal.push_back({dim, layer[dim]});
    }
    mappings.push_back(mapping);
  }
  const Traffic traffic =
      model.traffic(model.nests_of(mappings), LayerBatch::from(workload.layers, torch::kFloat64), {});
  const Tensor array = torch::scalar_tensor(static_cast<double>(bounds.min.pe_dim), torch::kFloat64);
  Hardware least = bounds.min;
  for (int level = 0; level <= machine.dram(); ++level) {
    const MemoryLevel& memory = machine.levels[static_cast<std::size_t>(level)];
    if (memory.sized_by == SizedBy::kNothing) continue;
    const Tensor kib = traffic.need_kib(memory, level, array)
                           .squeeze(-1)
                           .expand({static_cast<std::int64_t>(mappings.size())});
    const std::int64_t limit = size_limit(bounds.max, memory.sized_by);
    for (std::size_t i = 0; i < mappings.size(); ++i) {
      const double need = kib[static_cast<std::int64_t>(i)].item<double>();
      if (need > static_cast<double>(limit)) {
        fail(ErrorId::kBounds,
             "layer '{}' has no mapping that fits: {} needs at least {:.0f} KiB of {}, allowed are {}",
             workload.layers[i].name, machine.level_label(level), std::ceil(need),
             memory.sized_by == SizedBy::kScratchpad ? "scratchpad" : "accumulator", limit);
      }
      std::int64_t& size =
          memory.sized_by == SizedBy::kScratchpad ? least.scratchpad_kib : least.accumulator_kib;
      size = std::max(size, static_cast<std::int64_t>(std::ceil(need)));
    }
  }
  if (const double area = area_mm2(machine.area, least); area > bounds.max_area_mm2) {
    fail(ErrorId::kBounds,
         "the area may be {:.6g} mm2 at most, but the least hardware that runs {} (pe_dim {}, scratchpad {} "
         "KiB, accumulator {} KiB) has {:.6g} mm2",
         bounds.max_area_mm2, workload.name, least.pe_dim, least.scratchpad_kib, least.accumulator_kib, area);
  }
}

bool SearchProblem::has_room_for(std::int64_t pe_dim) const {
  Hardware least = bounds.min;
  least.pe_dim = pe_dim;
  return area_mm2(machine.area, least) <= bounds.max_area_mm2;
}

Hardware SearchProblem::within_area(const Hardware& hardware) const {
  const double area = area_mm2(machine.area, hardware);
  if (area <= bounds.max_area_mm2) return hardware;
  Hardware least = bounds.min;
  least.pe_dim = hardware.pe_dim;
  const double least_area = area_mm2(machine.area, least);
  const double share = std::max(0.0, (bounds.max_area_mm2 - least_area) / (area - least_area));
  const auto between = [share](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(std::floor(share * static_cast<double>(high - low)));
  };
  Hardware smaller{hardware.pe_dim, between(least.scratchpad_kib, hardware.scratchpad_kib),
                   between(least.accumulator_kib, hardware.accumulator_kib)};
  if (area_mm2(machine.area, smaller) > bounds.max_area_mm2) {  // by a rounding error
    smaller.scratchpad_kib = std::max(least.scratchpad_kib, smaller.scratchpad_kib - 1);
    smaller.accumulator_kib = std::max(least.accumulator_kib, smaller.accumulator_kib - 1);
  }
  return smaller;
}

std::vector<std::int64_t> SearchProblem::useful_arrays() const {
  std::set<std::int64_t> sizes{bounds.min.pe_dim, bounds.max.pe_dim};
  for (const Slot& slot : search_slots(machine)) {
    if (!slot.spatial) continue;
    for (const Layer& layer : workload.layers) {
      for (std::int64_t d = bounds.min.pe_dim; d <= std::min(layer[slot.dim], bounds.max.pe_dim); ++d) {
        if (layer[slot.dim] % d == 0) sizes.insert(d);
      }
    }
  }
  std::vector<std::int64_t> useful;
  std::copy_if(sizes.begin(), sizes.end(), std::back_inserter(useful),
               [&](std::int64_t pe_dim) { return has_room_for(pe_dim); });
  return useful;
}

Hardware SearchProblem::largest_with(std::int64_t pe_dim) const {
  Hardware wide = bounds.min, deep = bounds.min;
  wide.pe_dim = deep.pe_dim = pe_dim;
  wide.scratchpad_kib = bounds.max.scratchpad_kib;
  deep.accumulator_kib = bounds.max.accumulator_kib;
  return {pe_dim, within_area(wide).scratchpad_kib, within_area(deep).accumulator_kib};
}

LayerNeeds LayerNeeds::of(const Traffic& traffic, const Machine& machine, const HardwareBounds& bounds,
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

HardwareTensors LayerNeeds::hardware(const HardwareBounds& bounds) const {
  const auto largest = [&](const Tensor& need, std::int64_t at_least) {
    return need.defined() ? need.amax(-1).clamp_min(static_cast<double>(at_least))
                          : torch::full_like(array, static_cast<double>(at_least));
  };
  return {array, largest(sizes.scratchpad_kib, bounds.min.scratchpad_kib),
          largest(sizes.accumulator_kib, bounds.min.accumulator_kib)};
}

Tensor LayerNeeds::excess(const HardwareBounds& bounds) const {
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
