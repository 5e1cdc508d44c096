#include "dosa/core/targets/chain/target.hpp"

#include "dosa/core/design/rows.hpp"
#include "dosa/core/explain/priced.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/targets/chain/space.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/chain/chain_model.hpp"

namespace dosa {
namespace {

class ChainTarget : public Target {
 public:
  explicit ChainTarget(std::shared_ptr<const Chain> chain) : Target(chain), chain_(*chain) {}

  Mapping mapping_from_text(const std::string& text) const override { return parse_mapping(text, chain_); }

  std::vector<const char*> schedule_keys() const override { return {"mapping"}; }

  SchedulePtr read_schedule(const JsonInput& entry, const Layer& layer,
                            const Hardware& hardware) const override {
    return std::make_shared<MappingSchedule>(read_mapping(entry, layer, chain_.at(hardware)), chain_);
  }

  SchedulePtr schedule_of(const Mapping& mapping, const Layer& layer,
                          const Hardware& hardware) const override {
    check_mapping(mapping, layer, chain_.at(hardware));
    return std::make_shared<MappingSchedule>(mapping, chain_);
  }

  std::vector<LayerCosts> costs(const std::vector<Layer>& layers, const std::vector<SchedulePtr>& schedules,
                                const Hardware& hardware) const override {
    const ChainModel model(chain_.at(hardware));
    const torch::InferenceMode no_gradients;
    const std::vector<Mapping> mappings = mappings_of(schedules);
    for (std::size_t i = 0; i < layers.size(); ++i)
      check_layer_of_many(layers[i], [&] { check_mapping(mappings[i], layers[i], model.chain()); });
    const ChainTraffic traffic = model.traffic_of(layers, mappings);
    const ChainCost cost = model.cost(traffic);
    std::vector<LayerCosts> costs;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      check_layer_of_many(layers[i], [&] { model.check_fits(traffic, i); });
      const auto groups = static_cast<double>(layers[i].groups);
      costs.push_back({at(cost.cycles, i) * groups, at(cost.energy_pj, i) * groups * 1e-6, {}, {}});
    }
    return costs;
  }

  std::unique_ptr<PricedSchedules> price(const std::vector<Layer>& layers,
                                         const std::vector<SchedulePtr>& schedules,
                                         const Hardware& hardware) const override {
    costs(layers, schedules, hardware);  // checks them
    return priced_on_chain(chain_, hardware, layers, mappings_of(schedules));
  }

  MappedLayer as_mapping(const Layer& layer, const SchedulePtr& schedule, const Hardware&) const override {
    return padded_problem(layer, mapping_of(schedule));
  }

  bool runs_any_mapping() const override { return true; }

  /// Walks on the integers do all the work: a descent before them finds no better designs, on some machines
  /// with fewer evaluations (data/hardware/README.md).
  SearchOptions default_options() const override {
    SearchOptions options;
    options.stages = Stages::kPolish;
    options.starts = 8;
    options.steps = 100;
    options.polish_nests = 60'000;
    return options;
  }

  std::unique_ptr<SearchSpace> space(const SearchProblem& problem, const std::string& device) const override {
    return std::make_unique<ChainSpace>(problem, chain_, device);
  }

 private:
  const Chain& chain_;
};

}  // namespace

TargetPtr make_chain_target(const MachinePtr& machine, const TargetOptions& options) {
  refuse_surrogate(*machine, options);
  auto chain = std::dynamic_pointer_cast<const Chain>(machine);
  if (!chain) {
    fail(ErrorId::kValue,
         "machine {}: rules: found 'chain' in a file of dosa-hardware/1; expected \"dosa-hardware/2\"",
         machine->name);
  }
  return std::make_shared<ChainTarget>(std::move(chain));
}

}  // namespace dosa
