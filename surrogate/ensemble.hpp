// Networks that are evaluated together; how they disagree says how sure they are (Lakshminarayanan et al.,
// Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles, NeurIPS 2017).
#pragma once

#include <vector>

#include "dosa/models/base/torch.hpp"

namespace dosa {

/// Networks with two hidden layers. Weights are float32.
struct Ensemble {
  torch::Tensor mean, scale, lowest, highest;  ///< [inputs], of the training rows
  torch::Tensor w1, b1, w2, b2, w3, b3;        ///< [networks, in, out] and [networks, 1, out]

  std::vector<torch::Tensor*> weights() { return {&w1, &b1, &w2, &b2, &w3, &b3}; }
  /// [N, inputs] normalised inputs, or [networks, N, inputs] -> [networks, N]. Differentiable.
  torch::Tensor operator()(const torch::Tensor& normalised) const;
  /// Inputs clamped to the range of the training rows, at most four standard deviations from their mean.
  torch::Tensor within_range(const torch::Tensor& inputs) const;
  torch::Tensor normalise(const torch::Tensor& within_range) const;  ///< mean 0, standard deviation 1
};

/// log cycles from the correction f of the base by a network: log floor + softplus(softplus^-1(log base - log
/// floor) + f). Never below the floor; the base where f is 0. Differentiable in all three.
torch::Tensor combine(const torch::Tensor& correction, const torch::Tensor& log_base,
                      const torch::Tensor& log_floor);

/// combine() by every network, of inputs that are not normalised yet: x [N, inputs] -> [networks, N], as one
/// node of the graph in place of thirty. log base and log(base / floor) are the inputs kLogBase and
/// kLogExcess. Differentiable in x alone. `ensemble` must live until the backward pass.
torch::Tensor fused_combined(const torch::Tensor& x, const Ensemble& ensemble);

}  // namespace dosa
