#include "dosa/core/targets/gemmini/priced_tiles.hpp"

#include "dosa/core/targets/gemmini/machine_file.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::gemmini {
namespace {

using torch::Tensor;

std::string bandwidth_of_dram(const ArrayMachine& machine) {
  std::vector<std::string> names;
  for (const MemoryLevel& level : machine.levels) names.push_back(level.name);
  return level_keys(names).back() + ".words_per_cycle";
}

/// What a file of a Gemmini is free to say, and the buffers.
Varies varies_on(const ArrayMachine& machine) {
  return [dram = bandwidth_of_dram(machine),
          array = machine.parameters[kPeParameter].name](const MachineNumber& number) {
    if (number.kind == NumberKind::kBandwidth) return number.name == dram;
    return number.name != array;
  };
}

class PricedTiles : public PricedArray {
 public:
  PricedTiles(const RtlModel& rtl, const TileCosts& costs, const std::vector<Layer>& layers,
              const std::vector<Tile>& tiles, const ArraySizes& built)
      : PricedArray(CostModel(rtl.machine(), torch::kFloat64), costs.traffic, built, layers,
                    varies_on(rtl.machine())),
        rtl_(rtl),
        layers_(layers),
        tiles_(tiles),
        built_(built),
        dram_(place_of(bandwidth_of_dram(rtl.machine()))) {
    add_axes();
    if (rtl_.surrogate() == nullptr) return;
    const torch::NoGradGuard no_gradients;
    const Estimate estimate = rtl_.predict_at_dram(
        layers_, tiles_, built_, torch::scalar_tensor(dram_words_per_cycle(rtl_.machine()), torch::kFloat64));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const auto row = static_cast<std::int64_t>(i);
      Breakdown& layer = breakdowns_[i];
      layer.cycles = costs.cycles[row].item<double>() / static_cast<double>(layers_[i].groups);
      layer.cycles_sd_log = costs.log_sd[row].item<double>();
      layer.dominated_by = dominant_part(estimate.base, row);
    }
  }

  PricedCosts at(const Tensor& values) const override {
    PricedCosts costs = PricedArray::at(values);
    if (rtl_.surrogate() == nullptr) return costs;
    const Estimate estimate = rtl_.predict_at_dram(layers_, tiles_, built_, values[dram_]);
    costs.cycles = estimate.log_cycles.exp();
    if (estimate.networks.defined()) costs.cycles_by_network = estimate.networks.exp();
    return costs;
  }

 private:
  /// Rows take products (C, R, S), columns output channels; both are means over blocks.
  void add_axes() {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const std::vector<LevelBreakdown>& levels = breakdowns_[i].levels;
      const double products = levels[0].used_instances, columns = levels[1].used_instances;
      const auto pe_dim = static_cast<double>(built_.pe_dim);
      breakdowns_[i].axes = {{levels[2].name, "K", pe_dim, columns},
                             {levels[1].name, "C", pe_dim, products / columns}};
    }
  }

  const RtlModel& rtl_;
  std::vector<Layer> layers_;
  std::vector<Tile> tiles_;
  ArraySizes built_;
  std::int64_t dram_;
};

}  // namespace

std::unique_ptr<PricedSchedules> priced_tiles(const RtlModel& model, const std::vector<Layer>& layers,
                                              const std::vector<Tile>& tiles, const ArraySizes& built) {
  TileCosts costs;
  {
    const torch::NoGradGuard no_gradients;
    costs = model.costs(layers, tiles, built);
  }
  return std::make_unique<PricedTiles>(model, costs, layers, tiles, built);
}

}  // namespace dosa::gemmini
