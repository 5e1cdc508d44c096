#include "dosa/core/targets/mapping/target.hpp"

#include "dosa/core/design/rows.hpp"
#include "dosa/core/explain/priced.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/targets/mapping/space.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

/// The exact model's view of some layers with their mappings on one hardware.
struct Exact {
  Traffic traffic;
  Cost cost;
};

Exact exact_cost(const std::vector<Layer>& layers, const std::vector<Mapping>& mappings,
                 const ArraySizes& hardware, const ArrayMachine& machine) {
  const torch::InferenceMode no_gradients;
  const CostModel model(machine, torch::kFloat64);
  Exact exact;
  exact.traffic = model.traffic_of(layers, mappings);
  exact.cost = model.cost(exact.traffic, HardwareTensors::from(hardware, torch::kFloat64), Sharpness{});
  return exact;
}

void check_fits(const Traffic& traffic, const ArrayMachine& machine, const ArraySizes& hardware,
                std::size_t row) {
  const double pe_dim = at(traffic.pe_dim, row);
  if (pe_dim > static_cast<double>(hardware.pe_dim)) {
    fail(ErrorId::kCapacity, "needs a spatial factor of {:.0f}, the array has pe_dim {}", pe_dim,
         hardware.pe_dim);
  }
  const torch::Tensor array = torch::scalar_tensor(static_cast<double>(hardware.pe_dim), torch::kFloat64);
  for (int level = 0; level <= machine.dram(); ++level) {
    const MemoryLevel& memory = machine.levels[static_cast<std::size_t>(level)];
    if (memory.sized_by == SizedBy::kNothing) continue;
    const double kib = at(traffic.need_kib(memory, level, array), row);
    if (kib > static_cast<double>(capacity_kib(memory, hardware))) {
      fail(ErrorId::kCapacity, "{} needs {:.6g} KiB of {}, the hardware has {} KiB",
           machine.level_label(level), kib,
           memory.sized_by == SizedBy::kScratchpad ? "scratchpad" : "accumulator",
           capacity_kib(memory, hardware));
    }
  }
}

class MappingTarget : public ArrayTarget {
 public:
  using ArrayTarget::ArrayTarget;

  std::vector<const char*> schedule_keys() const override { return {"mapping"}; }
  SchedulePtr read_schedule(const JsonInput& entry, const Layer& layer, const Hardware&) const override {
    return std::make_shared<MappingSchedule>(read_mapping(entry, layer, array_machine()), array_machine());
  }
  SchedulePtr schedule_of(const Mapping& mapping, const Layer& layer, const Hardware&) const override {
    check_mapping(mapping, layer, array_machine());
    return std::make_shared<MappingSchedule>(mapping, array_machine());
  }
  std::vector<LayerCosts> costs(const std::vector<Layer>& layers, const std::vector<SchedulePtr>& schedules,
                                const Hardware& hardware) const override {
    return costs_of_mappings(layers, mappings_of(schedules), ArraySizes::of(hardware), array_machine());
  }
  std::unique_ptr<PricedSchedules> price(const std::vector<Layer>& layers,
                                         const std::vector<SchedulePtr>& schedules,
                                         const Hardware& hardware) const override {
    const torch::NoGradGuard no_gradients;
    const ArraySizes sizes = ArraySizes::of(hardware);
    const std::vector<Mapping> mappings = mappings_of(schedules);
    costs_of_mappings(layers, mappings, sizes, array_machine());  // checks them
    const CostModel model(array_machine(), torch::kFloat64);
    return priced_mappings(model, model.traffic_of(layers, mappings), sizes, layers, mappings);
  }
  MappedLayer as_mapping(const Layer& layer, const SchedulePtr& schedule, const Hardware&) const override {
    return padded_problem(layer, mapping_of(schedule));
  }
  bool runs_any_mapping() const override { return true; }
  SearchOptions default_options() const override { return {}; }
  std::unique_ptr<SearchSpace> space(const SearchProblem& problem, const std::string& device) const override {
    return std::make_unique<MappingSpace>(problem, device);
  }
};

}  // namespace

TargetPtr make_mapping_target(const MachinePtr& machine, const TargetOptions& options) {
  refuse_surrogate(*machine, options);
  return std::make_shared<MappingTarget>(as_array_machine(machine, "rules: mappings"));
}

std::vector<LayerCosts> costs_of_mappings(const std::vector<Layer>& layers,
                                          const std::vector<Mapping>& mappings, const ArraySizes& hardware,
                                          const ArrayMachine& machine) {
  for (std::size_t i = 0; i < layers.size(); ++i)
    check_layer_of_many(layers[i], [&] { check_mapping(mappings[i], layers[i], machine); });
  const Exact exact = exact_cost(layers, mappings, hardware, machine);
  std::vector<LayerCosts> costs;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    check_layer_of_many(layers[i], [&] { check_fits(exact.traffic, machine, hardware, i); });
    const auto groups = static_cast<double>(layers[i].groups);
    costs.push_back({at(exact.cost.cycles, i) * groups, at(exact.cost.energy_pj, i) * groups * 1e-6, {}, {}});
  }
  return costs;
}

}  // namespace dosa
