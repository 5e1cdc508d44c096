// The physical base of a surrogate: constants in cycles per unit of what a run does, and how much load,
// execution and store overlap.
#pragma once

#include <string>
#include <vector>

#include "dosa/surrogate/features.hpp"

namespace dosa {

/// Latency of the base and what it is made of, in cycles, [B..., layers]. Differentiable in features and
/// constants.
struct BaseLatency {
  torch::Tensor cycles, load, execute, store, overhead;
};

inline constexpr int kOverlapConstants = 5;

/// Constants of the base for each kind of run, as logarithms or unbounded numbers.
struct BaseModel {
  torch::Tensor constants;  ///< [kinds, terms], log of cycles per unit
  torch::Tensor overlap;    ///< [kinds, kOverlapConstants]
  torch::Tensor parts;      ///< [terms, kParts], 1 where a term belongs to a part, else 0; not fitted

  static BaseModel initial(const FeatureTable& table);
  BaseLatency latency(const Features& features) const;
  /// Fits a copy to log cycles [measurements] by Adam on a Huber loss; deterministic.
  BaseModel fit(const Features& features, const torch::Tensor& log_cycles, int steps) const;
};

/// `parts` of a base model of these terms.
torch::Tensor parts_of(const FeatureTable& table);

/// Inputs of the networks that come from the base.
const std::vector<std::string>& base_input_names();
/// Places among them.
inline constexpr int kLogBase = 0, kLogExcess = 5;

/// The inputs that come from the base, [B..., layers, 7]. Differentiable in both.
torch::Tensor base_inputs(const BaseLatency& latency, const torch::Tensor& floor);
/// The same of relaxed features, as one node of the graph in place of forty. Differentiable in the terms, the
/// floor and the number of tiles, not in the base's constants. `base` must live until the backward pass.
torch::Tensor fused_base_inputs(const BaseModel& base, const Features& features);

}  // namespace dosa
