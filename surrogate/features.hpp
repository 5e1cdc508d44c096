// What a surrogate sees of runs on a chip: numbers that the chip's target computes, and their names. Nothing
// else in this folder knows a chip.
#pragma once

#include <string>
#include <vector>

#include "dosa/models/base/torch.hpp"

namespace dosa {

/// Parts of a run's latency. Input and weight make up the load; load, execute and store overlap.
enum class Part { kInput, kWeight, kExecute, kStore, kOverhead };
inline constexpr int kParts = 5;

/// Kinds of runs that the base model has constants of their own for (on Gemmini convolutions and matrix
/// products).
inline constexpr int kKinds = 2;

/// Something that the base model charges for.
struct BaseTerm {
  std::string name;
  Part part;
  double initial;  ///< cycles per unit before anything is fitted
};

/// What the features of a chip are called, in the order of their columns.
struct FeatureTable {
  std::vector<BaseTerm> terms;
  std::vector<std::string> ratios;
  std::vector<std::string> raw;
};

/// Features of runs: one entry per layer for every entry of a batch, or one per measurement.
struct Features {
  torch::Tensor terms;   ///< [B..., layers, terms]: what the constants of the base model multiply
  torch::Tensor ratios;  ///< [B..., layers, ratios]: inputs of the networks that do not depend on the base
  torch::Tensor floor;   ///< [B..., layers]: cycles that the run takes at the very least
  torch::Tensor
      tiles;           ///< [B..., layers]: pieces that the run consists of, which decide how well it overlaps
  torch::Tensor kind;  ///< [layers]: 0 ... kKinds - 1
  torch::Tensor raw;   ///< [B..., layers, raw]: inputs of the predictor without a base; may be undefined
  /// Smooth versions of the features, to search with gradients.
  bool relaxed = false;

  /// Of features of shape [measurements]: those with these indices, int64 [n].
  Features select(const torch::Tensor& index) const;
  /// Of the measurements of several, one after the other; none is relaxed.
  static Features cat(const std::vector<Features>& parts);
};

}  // namespace dosa
