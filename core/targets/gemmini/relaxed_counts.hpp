// The relaxed mode of executed_counts and of features_of.
#pragma once

#include "dosa/core/targets/gemmini/counts.hpp"
#include "dosa/surrogate/features.hpp"

namespace dosa {
namespace counting {

constexpr double kLine = 64;             // bytes of a cache line and of the largest DMA request
constexpr double kBeat = 16;             // bytes of a bus beat
constexpr double kPage = 4096;           // bytes of a DRAM page
constexpr double kMissSharpness = 6;     // how fast a share of 1 is fetched again beyond a cache's size
constexpr double kMinExecuteCycles = 4;  // of one compute instruction
constexpr double kKeptTiles = 2;         // an operand of at most so many tiles may be kept in the scratchpad

}  // namespace counting

/// `tile` as run (run_tiles), [B..., layers, 7]; differentiable in it and in pe_dim. `misses` as in
/// executed_counts.
Counts relaxed_counts(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers,
                      bool misses);

/// Features of relaxed counts with misses. Differentiable in the counts.
Features relaxed_features(const Counts& counts, const torch::Tensor& pe_dim, const RunBatch& layers);

}  // namespace dosa
