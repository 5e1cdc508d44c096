// What a surrogate sees of tilings on Gemmini: the features of the one table in feature_table.hpp, exact or
// relaxed.
#pragma once

#include "dosa/core/targets/gemmini/counts.hpp"
#include "dosa/surrogate/features.hpp"

namespace dosa {

/// The names of the features and how the base charges for them.
const FeatureTable& gemmini_features();

/// Features of tilings, float64 unless the layers are converted. The arguments are those of executed_counts;
/// relaxed features are differentiable in `tile` (not in pe_dim's DMA queue depth) and have no `raw`.
Features features_of(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers,
                     bool relaxed);
/// The same from the counts of these tilings, with misses.
Features features_of(const Counts& counts, const torch::Tensor& tile, const torch::Tensor& pe_dim,
                     const RunBatch& layers, bool relaxed);

/// Features::raw of tiles as run_tiles gives them, [B..., layers, 17]: logarithms of sizes, tiles and pe_dim.
torch::Tensor raw_features(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers);

}  // namespace dosa
