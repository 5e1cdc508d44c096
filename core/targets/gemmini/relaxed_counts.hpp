// The relaxed mode of executed_counts and of features_of.
#pragma once

#include "dosa/core/targets/gemmini/counts.hpp"
#include "dosa/surrogate/features.hpp"

namespace dosa {
namespace counting {

constexpr double kLine = 64;    // bytes of a cache line and of the largest DMA request
constexpr double kBeat = 16;    // bytes of a bus beat
constexpr double kPage = 4096;  // bytes of a DRAM page
// A cache that replaces a random way of a set, as Chipyard's does, has lost a share of x^2 / (1 + x^2) of
// what an iteration touches when that is touched again, where all of it takes x caches. Lines that lie a
// large power of two apart share few sets and count for more, by this power of the sets between them. Both
// numbers were fitted to random walks of products through such a cache; counts_test.cpp has such walks, and
// reads on RTL.
constexpr double kMissSharpness = 2;
constexpr double kUnusedSets = 0.4;
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
