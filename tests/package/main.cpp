// Evaluates one mapping of one layer of a shipped network, once through the designs of dosa::core and once
// through the tensors of the cost model. Exits with 0 where both give the same.
#include <cstdio>
#include <dosa/core/targets/mapping/target.hpp>
#include <dosa/models/array_machine.hpp>
#include <dosa/models/base/torch.hpp>
#include <dosa/models/cost/cost_model.hpp>
#include <dosa/models/mapping.hpp>
#include <dosa/models/workload.hpp>

int main() {
  const dosa::ArrayMachine machine = dosa::load_array_machine("gemmini-tl");
  const dosa::Workload workload = dosa::load_workload("bert");
  const dosa::Layer& layer = workload.layers.at(1);  // P 128, C 64, K 128
  const dosa::Mapping mapping =
      dosa::parse_mapping("L3[WIO] P64 - L2[WI] N1 K16X - L1[O] K8 C4 P2 C16X - L0[W] N1", machine);
  const dosa::ArraySizes sizes = dosa::ArraySizes::of(machine.default_hardware);
  const dosa::LayerCosts costs = dosa::costs_of_mappings({layer}, {mapping}, sizes, machine).front();
  std::printf("%s: %.0f cycles, %.3f uJ\n", layer.name.c_str(), costs.cycles, costs.energy_uj);

  const dosa::CostModel model(machine, torch::kFloat64);
  const dosa::Traffic traffic =
      model.traffic(model.nests_of({mapping}), dosa::LayerBatch::from({layer}, torch::kFloat64), {});
  const dosa::Cost cost = model.cost(traffic, dosa::HardwareTensors::from(sizes, torch::kFloat64), {});
  return cost.cycles.item<double>() == costs.cycles ? 0 : 1;
}
