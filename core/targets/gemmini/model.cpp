#include "dosa/core/targets/gemmini/model.hpp"

#include <cmath>

#include "dosa/core/targets/gemmini/executed_traffic.hpp"
#include "dosa/core/targets/gemmini/machine_file.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {

using torch::Tensor;

RtlModel::RtlModel(const ArrayMachine& machine, const Surrogate* surrogate)
    : price_(machine, torch::kFloat64),
      surrogate_(surrogate),
      keeps_operands_(gemmini::library_of(machine).keeps_operands()) {}

LayerRun RtlModel::run(const Layer& layer, gemmini::Call call) const {
  if (call == gemmini::Call::kConv && gemmini::is_dilated(layer)) {
    fail(ErrorId::kValue,
         "layer {}: dilation: found {} x {}, tiled_conv has costs for kernels without dilation only; nearest "
         "legal: an im2col tile",
         layer.name, layer.wdilation, layer.hdilation);
  }
  LayerRun run = LayerRun::of(layer, call);
  run.keeps = keeps_operands_;
  return run;
}

RunBatch RtlModel::batch(const std::vector<LayerRun>& runs) const {
  return RunBatch::of(runs, surrogate_ != nullptr ? surrogate_->target.rules : RunRules{});
}

TilingCosts RtlModel::costs(const Tensor& tile, const Tensor& pe_dim, const RunBatch& layers,
                            bool relaxed) const {
  TilingCosts costs;
  const Counts counts = executed_counts(tile, pe_dim, layers, relaxed, surrogate_ != nullptr);
  costs.rows = tile_rows(tile, pe_dim, layers, relaxed);
  costs.traffic = executed_traffic(counts, costs.rows, pe_dim, layers, machine());
  if (surrogate_ == nullptr) return costs;
  const Estimate estimate = surrogate_->predictor == Predictor::kAnalytical
                                ? surrogate_->predict(tile, pe_dim, layers, relaxed)
                                : surrogate_->predict(counts, tile, pe_dim, layers, relaxed);
  costs.growth = share_of_measured(costs.rows, pe_dim, surrogate_->target, 1)
                     .pow(std::log2(surrogate_->growth_per_octave));
  costs.cycles = estimate.log_cycles.exp();
  if (estimate.log_sd.defined()) costs.log_sd = estimate.log_sd * costs.growth;
  costs.networks = estimate.networks;
  return costs;
}

Cost RtlModel::price(const Traffic& traffic, const HardwareTensors& hardware, bool relaxed) const {
  return price_.cost(traffic, hardware, relaxed ? Sharpness::relaxed(0) : Sharpness{});
}

TileCosts RtlModel::costs(const std::vector<Layer>& layers, const std::vector<gemmini::Tile>& tiles,
                          const ArraySizes& hardware) const {
  TORCH_CHECK(layers.size() == tiles.size() && !layers.empty(), "one tile per layer");
  const torch::NoGradGuard no_gradients;
  std::vector<LayerRun> runs;
  std::vector<Tensor> rows;
  std::vector<double> group_counts;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    runs.push_back(run(layers[i], tiles[i].call));
    rows.push_back(to_tensor(tiles[i]));
    group_counts.push_back(static_cast<double>(layers[i].groups));
  }
  const Tensor groups = torch::tensor(group_counts, torch::kFloat64);
  const HardwareTensors sizes = HardwareTensors::from(hardware, torch::kFloat64);
  const TilingCosts tiling = costs(torch::stack(rows), sizes.pe_dim, batch(runs), false);
  TileCosts result;
  result.traffic = tiling.traffic;
  result.cost = price(tiling.traffic, sizes, false);
  result.analytical_cycles = result.cost.cycles.squeeze(-1) * groups;
  result.energy_uj = result.cost.energy_pj.squeeze(-1) * groups * 1e-6;
  result.cycles = tiling.cycles.defined() ? tiling.cycles * groups : result.analytical_cycles;
  result.log_sd = tiling.log_sd;
  if (surrogate_ != nullptr) {
    std::vector<double> least;
    for (const LayerRun& one : runs) {
      result.outside.push_back(surrogate_->outside(one, hardware.pe_dim));
      least.push_back(result.outside.back().least_log_sd());
    }
    result.log_sd = torch::maximum(result.log_sd, torch::tensor(least, torch::kFloat64));
  }
  result.networks = tiling.networks;
  result.growth = tiling.growth;
  return result;
}

Estimate RtlModel::predict_at_dram(const std::vector<Layer>& layers, const std::vector<gemmini::Tile>& tiles,
                                   const ArraySizes& hardware, const Tensor& words_per_cycle) const {
  std::vector<LayerRun> runs;
  std::vector<Tensor> rows;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    runs.push_back(run(layers[i], tiles[i].call));
    rows.push_back(to_tensor(tiles[i]));
  }
  const RunBatch of_layers = batch(runs);
  const Tensor tile = torch::stack(rows);
  const Tensor pe_dim = torch::scalar_tensor(static_cast<double>(hardware.pe_dim), torch::kFloat64);
  if (surrogate_->predictor == Predictor::kAnalytical)
    return surrogate_->predict(tile, pe_dim, of_layers, false);
  const Counts counts = executed_counts(tile, pe_dim, of_layers, false);
  return surrogate_->predict_at_dram(counts, tile, pe_dim, of_layers, words_per_cycle);
}

// Let log cycles = prediction + e for each of the two tilings. Their ratio errs by e1 - e2, and that is less
// uncertain than either: the ensemble's networks err alike where the tilings are alike, so what counts is how
// the networks disagree about the ratio, not about the latencies. What no network sees (sd_floor, calibrated
// on layers that were held out) is partly common to the tilings of a layer, too, but how much depends on the
// pair; it is taken as independent, which overstates the uncertainty rather than understating it:
//   variance = growth^2 * (sd_scale^2 * var over networks (f(1) - f(2)) + sd_floor^2) + sd_floor^2.
// On the shipped measurements, cross-validated by whole layers, e1 - e2 between a tiling and the library's
// own has a root mean square of 0.091 (0.085 * sqrt 2 = 0.120 if the e were independent); of the predicted
// gains of more than 0.043, the least that this formula gives, 95.6 % are real, and their mean is not
// overstated (570 pairs: 0.189 predicted, 0.191 measured).
Tensor RtlModel::log_sd_of_ratio(const Tensor& networks, const Tensor& growth, const Tensor& other) const {
  if (surrogate_ == nullptr || !networks.defined()) return torch::zeros({}, torch::kFloat64);
  const Tensor ratio = networks - other;
  const Tensor variance = (ratio - ratio.mean(0)).square().mean(0);
  const double scale = surrogate_->sd_scale, floor = surrogate_->sd_floor;
  return (growth.square() * (scale * scale * variance + floor * floor) + floor * floor).sqrt();
}

Tensor to_tensor(const gemmini::Tile& tile) {
  return torch::tensor(std::vector<double>(tile.size.begin(), tile.size.end()), torch::kFloat64);
}

std::filesystem::path shipped_surrogate(const std::string& machine) {
  const std::filesystem::path path = data_folder() / "surrogate" / (machine + ".safetensors");
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) ? path : std::filesystem::path{};
}

Json model_record(const Surrogate& surrogate, const std::filesystem::path& path, double kappa) {
  return {{"name", kPredictorNames[static_cast<int>(surrogate.predictor)]},
          {"surrogate", path.filename().string()},
          {"data_hash", surrogate.data_hash},
          {"kappa", kappa}};
}

std::optional<Surrogate> surrogate_for(const Json& provenance, const std::string& machine,
                                       const std::string& path) {
  if (!path.empty()) return Surrogate::load(path);
  if (!provenance.is_object() || !provenance.contains("model")) return std::nullopt;
  const Json& model = provenance["model"];
  if (!model.is_object() || !model.contains("data_hash") || !model["data_hash"].is_string())
    return std::nullopt;
  const std::string recorded = model["data_hash"].get<std::string>();
  const std::filesystem::path shipped = shipped_surrogate(machine);
  std::optional<Surrogate> surrogate;
  if (!shipped.empty()) surrogate = Surrogate::load(shipped);
  if (!surrogate || surrogate->data_hash != recorded) {
    fail(ErrorId::kValue,
         "provenance.model.data_hash: the design was costed with the surrogate {} ({}), which is not the "
         "shipped "
         "one; give its file with --surrogate",
         recorded, model.value("surrogate", "unnamed"));
  }
  return surrogate;
}

}  // namespace dosa
