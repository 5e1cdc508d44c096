// The differentiable form of the search: real-valued factors, all loop orders at once.
//
// After DOSA (MICRO 2023), with products exact by construction instead of penalised: per layer and dimension
// the log factors are log(size) * softmax(logits), so they multiply to the size and none is below 1.
#pragma once

#include "dosa/core/search/problem.hpp"
#include "dosa/models/base/torch.hpp"

namespace dosa {

/// How soft the relaxation is; changes during a run.
struct Softness {
  double gate = 3;  ///< sharpness of the reuse gates (Sharpness::relaxed)
  double order_temperature =
      1;  ///< of the softmax that mixes the loop orders; towards 0 the best order alone counts
};

/// Costs of the starts of a relaxation, each of shape [starts].
struct RelaxedCost {
  torch::Tensor loss;  ///< log objective, and a penalty for needing more than the bounds allow
  torch::Tensor energy_uj, cycles;
  HardwareTensors hardware;
};

class Relaxation {
 public:
  Relaxation(const SearchProblem& problem, torch::TensorOptions options);

  const CostModel& model() const { return model_; }

  /// Logits [starts, places, layers, 7] of independent random starts.
  torch::Tensor random_logits(std::int64_t starts, torch::Generator generator) const;

  /// Logits -> log factors [starts, layers, slots]. Differentiable in the logits.
  torch::Tensor log_factors(const torch::Tensor& logits) const;

  /// The objective of every start. Differentiable in the log factors, with subgradients where maxima meet
  /// (the level that bounds a latency, the layer that sizes a buffer).
  RelaxedCost cost(const torch::Tensor& log_factors, const Softness& softness) const;

 private:
  const SearchProblem& problem_;
  CostModel model_;
  LayerBatch layers_;
  torch::Tensor log_size_;       ///< [layers, 7]
  torch::Tensor place_mask_;     ///< [places, layers, 7], 0 or -infinity where a dimension has no such place
  torch::Tensor to_slots_;       ///< [places * 7, slots], 0/1
  torch::Tensor spatial_limit_;  ///< [slots], log of the largest array for spatial slots, else infinity
  torch::Tensor overflow_;       ///< [slots, slots], 0/1: where a spatial factor beyond the limit goes on
};

}  // namespace dosa
