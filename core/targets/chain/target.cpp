#include "dosa/core/targets/chain/target.hpp"

#include "dosa/core/design/analysis.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/targets/chain/space.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/chain/chain_model.hpp"

namespace dosa {
namespace {

class ChainTarget : public Target {
 public:
  explicit ChainTarget(Machine machine) : machine_(std::move(machine)), model_(*machine_.chain) {}

  const Machine& machine() const override { return machine_; }

  void check_hardware(const Hardware& hardware) const override {
    for (const ArraySizeField& field : kArraySizes) {
      if (hardware.*field.value == machine_.default_hardware.*field.value) continue;
      fail(ErrorId::kUsage, "machine {}: found a {} of {}, but its sizes stand in its file; expected none",
           machine_.name, field.name, hardware.*field.value);
    }
  }

  std::vector<const char*> schedule_keys() const override { return {"mapping"}; }

  SchedulePtr read_schedule(const JsonInput& entry, const Layer& layer,
                            const Hardware& hardware) const override {
    const JsonInput text = entry.at("mapping");
    try {
      return schedule_of(parse_mapping(text.text(), model_.chain()), layer, hardware);
    } catch (const Error& error) {
      throw error.in(text.where());
    }
  }

  SchedulePtr schedule_of(const Mapping& mapping, const Layer& layer, const Hardware&) const override {
    check_mapping(mapping, layer, model_.chain());
    return std::make_shared<ChainSchedule>(mapping, model_.chain());
  }

  std::vector<LayerCosts> costs(const std::vector<Layer>& layers, const std::vector<SchedulePtr>& schedules,
                                const Hardware&) const override {
    const torch::InferenceMode no_gradients;
    std::vector<Mapping> mappings;
    for (const SchedulePtr& schedule : schedules) mappings.push_back(mapping_of(schedule));
    for (std::size_t i = 0; i < layers.size(); ++i)
      in_layer(layers[i], [&] { check_mapping(mappings[i], layers[i], model_.chain()); });
    const ChainTraffic traffic =
        model_.traffic(model_.nests_of(mappings), LayerBatch::from(layers, torch::kFloat64));
    const ChainCost cost = model_.cost(traffic);
    std::vector<LayerCosts> costs;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      in_layer(layers[i], [&] { model_.check_fits(traffic, i); });
      const auto groups = static_cast<double>(layers[i].groups);
      costs.push_back({at(cost.cycles, i) * groups, at(cost.energy_pj, i) * groups * 1e-6, {}, {}});
    }
    return costs;
  }

  Explanation analyse(const Layer& layer, const SchedulePtr& schedule, const Hardware&) const override {
    return analyse_mapping(layer, mapping_of(schedule), model_);
  }

  MappedLayer as_mapping(const Layer&, const SchedulePtr&, const Hardware&) const override {
    fail(ErrorId::kValue,
         "machine {}: a chain of memories (schema \"dosa-hardware/2\") has no levels of schema 1, which is "
         "expected here",
         machine_.name);
  }

  SearchOptions default_options() const override { return {}; }

  void narrow(HardwareBounds&, const Hardware&, const Hardware&,
              const std::function<void(const std::string&)>&) const override {
    fail(ErrorId::kSchema,
         "machine {}: found schema \"dosa-hardware/2\", whose files have no sizes to search yet; expected "
         "\"dosa-hardware/1\" (dosa map finds the mappings on it)",
         machine_.name);
  }

  std::unique_ptr<SearchSpace> space(const SearchProblem& problem, const std::string& device) const override {
    return std::make_unique<ChainSpace>(problem, model_.chain(), device);
  }

 private:
  static const Mapping& mapping_of(const SchedulePtr& schedule) {
    const auto* own = dynamic_cast<const ChainSchedule*>(schedule.get());
    TORCH_CHECK(own != nullptr, "the schedule is of another target");
    return own->mapping();
  }

  template <typename Check>
  static void in_layer(const Layer& layer, const Check& check) {
    try {
      check();
    } catch (const Error& error) {
      throw error.in(fmt::format("layer '{}'", layer.name));
    }
  }

  Machine machine_;
  ChainModel model_;
};

}  // namespace

TargetPtr make_chain_target(Machine machine, const TargetOptions& options) {
  if (!options.surrogate.empty()) {
    fail(ErrorId::kUsage, "--surrogate: the latencies of machine {} are analytical; see dosa predict",
         machine.name);
  }
  return std::make_shared<ChainTarget>(std::move(machine));
}

}  // namespace dosa
