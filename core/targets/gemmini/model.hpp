// What a tiling costs on a real Gemmini (target gemmini-rtl): energy by the analytical model from what is
// executed, latency by a surrogate of measurements, or by the analytical model where there is none.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/core/targets/gemmini/surrogate.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

/// Costs of tilings that do not depend on the buffer sizes, for one run of one group, [B..., layers].
struct TilingCosts {
  torch::Tensor cycles;  ///< the surrogate's mean, exp(mean of log cycles); undefined without a surrogate
  torch::Tensor log_sd;  ///< standard deviation of log cycles; undefined without a surrogate or when relaxed
  torch::Tensor networks;  ///< log cycles by every network, [networks, B..., layers]; may be undefined
  /// What the uncertainty grows by for tiles larger than any that was measured, at least 1: a factor per
  /// octave that training has fitted (FeatureSurrogate::growth_per_octave). Undefined without a surrogate.
  torch::Tensor growth;
  TileRows rows;
  Traffic traffic;  ///< fields [B..., layers, 1]
};

/// Exact costs of one tile per layer on one hardware, all groups of one run, [layers].
struct TileCosts {
  torch::Tensor cycles;             ///< the surrogate's mean, or the analytical cycles
  torch::Tensor analytical_cycles;  ///< what the analytical model makes of the executed traffic
  torch::Tensor log_sd;             ///< of cycles, widened (kUnlikeSd); undefined without a surrogate
  torch::Tensor networks;           ///< [networks, layers]; may be undefined
  torch::Tensor growth;             ///< as in TilingCosts
  torch::Tensor energy_uj;
  std::vector<OutsideMeasured> outside;  ///< what was not measured of a layer; empty without a surrogate
  Traffic traffic;                       ///< of one group, fields [layers, 1]
  Cost cost;                             ///< by the analytical model, of one group, fields [layers, 1]
};

/// How many times a tile may double beyond those that the surrogate was trained on before nothing is known of
/// its error: see RtlModel::costs.
inline constexpr int kTestedOctaves = 2;

class RtlModel {
 public:
  /// Without a surrogate latencies are analytical. `surrogate` must outlive this.
  RtlModel(const ArrayMachine& machine, const Surrogate* surrogate);

  const ArrayMachine& machine() const { return price_.machine(); }
  const Surrogate* surrogate() const { return surrogate_; }

  /// A layer as it is run by a call of a machine's library. Throws Error{kValue} for a dilated kernel:
  /// neither the counts nor any measurement know one.
  LayerRun run(const Layer& layer, gemmini::Call call) const;
  RunBatch batch(const std::vector<LayerRun>& runs) const;

  /// `tile` [B..., layers, 7]; relaxed: differentiable in `tile`, as Surrogate::predict and executed_counts.
  TilingCosts costs(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers,
                    bool relaxed) const;
  /// Analytical cycles and energy of one run of one group. Hardware broadcasts to [B..., layers].
  Cost price(const Traffic& traffic, const HardwareTensors& hardware, bool relaxed) const;

  /// Exact; tile i belongs to layer i.
  TileCosts costs(const std::vector<Layer>& layers, const std::vector<gemmini::Tile>& tiles,
                  const ArraySizes& hardware) const;

  /// What the surrogate, which there is, makes of one tile per layer with a DRAM of this bandwidth [], for
  /// one group; differentiable in it (Surrogate::predict_at_dram).
  Estimate predict_at_dram(const std::vector<Layer>& layers, const std::vector<gemmini::Tile>& tiles,
                           const ArraySizes& hardware, const torch::Tensor& words_per_cycle) const;

  /// Standard deviation of log(cycles of a tiling / cycles of another one of the same layer, which is no
  /// larger than what was measured), given what the networks say of each, [networks, B...], and the first
  /// one's growth [B...]. See the definition for the reasoning. Zero without a surrogate.
  torch::Tensor log_sd_of_ratio(const torch::Tensor& networks, const torch::Tensor& growth,
                                const torch::Tensor& other) const;

 private:
  CostModel price_;
  const Surrogate* surrogate_;
  bool keeps_operands_;  ///< the machine's library does
};

/// A tile as a row of numbers, [7] float64.
torch::Tensor to_tensor(const gemmini::Tile& tile);

/// Where the surrogate of a machine is shipped; empty where there is none.
std::filesystem::path shipped_surrogate(const std::string& machine);
/// {"name": "combined", "surrogate": "gemmini-rtl.safetensors", "data_hash": ..., "kappa": ...}: what a
/// design records under provenance.model.
Json model_record(const Surrogate& surrogate, const std::filesystem::path& path, double kappa);
/// The surrogate that a design is to be costed with: the one at `path` if it is not empty, else the shipped
/// one if `provenance` records a surrogate, else none. Throws Error{kValue} where it records another one than
/// the shipped.
std::optional<Surrogate> surrogate_for(const Json& provenance, const std::string& machine,
                                       const std::string& path);

}  // namespace dosa
