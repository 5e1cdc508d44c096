// The surrogate of Gemmini: the generic one on the features of tilings, and the paper's roofline.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/domain.hpp"
#include "dosa/core/targets/gemmini/features.hpp"
#include "dosa/surrogate/surrogate.hpp"

namespace dosa {

/// What measurements were taken on and of. A prediction for anything else is marked and wide
/// (MeasuredDomain).
struct MeasuredTarget {
  std::string name;                  ///< "gemmini-rtl", "firesim-artefact"
  std::vector<ArraySizes> hardware;  ///< Measurements::hardware
  RunRules rules;
  MeasuredDomain domain;  ///< the layers and arrays that were measured

  bool knows(std::int64_t pe_dim) const;
  /// The buffers that an array was measured with; of one that was not, those of the next smaller one, or of
  /// the smallest.
  const ArraySizes& nearest(std::int64_t pe_dim) const;
};
Json to_json(const MeasuredTarget& target);
MeasuredTarget target_from_json(const JsonInput& json);

/// How many times what was measured a tile needs, double-buffered, of the scratchpad or the accumulator,
/// whichever it needs more of, but at least `least`; a buffer of unknown size counts as large enough.
/// Differentiable. [B..., layers].
torch::Tensor share_of_measured(const TileRows& rows, const torch::Tensor& pe_dim,
                                const MeasuredTarget& measured, double least);

class Surrogate : public FeatureSurrogate {
 public:
  MeasuredTarget target;
  /// Bandwidth of DRAM over that of the measured one; see for_dram().
  double dram_speed = 1;

  Surrogate() = default;
  /// What was trained on features, and the hardware that those were measured on.
  Surrogate(const FeatureSurrogate& trained, MeasuredTarget measured)
      : FeatureSurrogate(trained), target(std::move(measured)) {}

  using FeatureSurrogate::predict;
  /// Latency of tilings. `tile` [B..., layers, 7] elements, `pe_dim` broadcasts to [B..., layers]. Relaxed:
  /// differentiable in `tile` (not in pe_dim's DMA queue depth), for searching; else exact, for scoring.
  Estimate predict(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers,
                   bool relaxed) const;
  /// The same from the counts of these tilings; not for the analytical predictor.
  Estimate predict(const Counts& counts, const torch::Tensor& tile, const torch::Tensor& pe_dim,
                   const RunBatch& layers, bool relaxed) const;

  /// The same for a DRAM of another bandwidth than the measured one, in words (of a byte) a cycle:
  /// predictions times the ratio of two physical bases, one of which charges for lines of DRAM in inverse
  /// proportion to the bandwidth; never below the floor, nor below the time that the DRAM takes to move
  /// inputs and weights once. Nothing of that is measured, so every layer counts as unlike what was
  /// (outside()). Throws Error{kValue} where there is no base (the learned predictor).
  Surrogate for_dram(double words_per_cycle) const;
  /// The exact predict() of these counts as for_dram(words_per_cycle) says it, differentiable in
  /// `words_per_cycle` []; also at the measured bandwidth, where it is never below the time that the DRAM
  /// takes either. Without a base (the learned predictor) the same for every bandwidth.
  Estimate predict_at_dram(const Counts& counts, const torch::Tensor& tile, const torch::Tensor& pe_dim,
                           const RunBatch& layers, const torch::Tensor& words_per_cycle) const;
  /// MeasuredDomain::outside, and DRAM of another bandwidth. Throws as that.
  OutsideMeasured outside(const LayerRun& run, std::int64_t pe_dim) const;

  /// For relaxed tiles of this type, on this device, with the first `networks` alone: faster, and a little
  /// less sure.
  Surrogate lighter(const torch::TensorOptions& options, std::int64_t networks) const;

  /// Layers as this target runs them.
  RunBatch batch(const std::vector<LayerRun>& runs) const { return RunBatch::of(runs, target.rules); }

  /// A file in the layout of safetensors. Loading executes nothing and refuses, by field, what it does not
  /// understand. Throws Error.
  static Surrogate load(const std::filesystem::path& path);
  /// Writes the file and its card (the same name with .json in place of its extension), each atomically.
  void save(const std::filesystem::path& path) const;

 private:
  Features features_for(const Counts& counts, const torch::Tensor& tile, const torch::Tensor& pe_dim,
                        const RunBatch& layers, bool relaxed) const;
  Estimate scaled_to_dram(Estimate estimate, const Features& features, const RunBatch& layers,
                          const torch::Tensor& speed) const;
};

/// Which part of row `row` of a base takes longest: "load", "execute", "store" or "overhead"; "unknown" where
/// there is no base.
std::string dominant_part(const BaseLatency& base, std::int64_t row);

/// The paper's roofline on a tiling: max(MACs / used PEs, DRAM words / 8), [B..., layers]. Differentiable in
/// `tile`.
torch::Tensor roofline_cycles(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers);

}  // namespace dosa
