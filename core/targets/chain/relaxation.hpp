// The differentiable form of the search on a chain of memories: real-valued factors and loop orders.
//
// After DOSA (MICRO 2023), with products exact by construction instead of penalised: per layer and dimension
// the log factors are log(size) * softmax(logits) over all slots, so they multiply to the size and none is
// below 1. Every loop in time has a place, a real number, which says how far out in its level it stands.
#pragma once

#include <vector>

#include "dosa/models/chain/chain_model.hpp"
#include "dosa/models/cost/objective.hpp"

namespace dosa {

class ChainRelaxation {
 public:
  /// Of layers that need not have anything in common. `options` say where and how precisely it computes.
  ChainRelaxation(const Chain& chain, const std::vector<Layer>& layers, const Objective& objective,
                  torch::TensorOptions options);

  /// Parameters of independent random starts, [starts, layers, levels, 4, 7]: the logits of the loops in
  /// time, on X and on Y, and the places of the loops in time.
  torch::Tensor random_parameters(std::int64_t starts, torch::Generator generator) const;
  /// Parameters -> the same shape with log factors instead of logits. Differentiable.
  torch::Tensor log_factors(const torch::Tensor& parameters) const;
  /// What the rows of log factors as above move and need, [starts * layers], as soft as `sharpness` says.
  /// Differentiable.
  ChainTraffic traffic(const torch::Tensor& log_factors, const Sharpness& sharpness) const;
  /// Logarithms of the loops in space on each axis of a level together, [starts, layers, levels, 2].
  static torch::Tensor log_on_axes(const torch::Tensor& log_factors);
  const ChainModel& model() const { return model_; }
  /// The objective of every layer by itself, summed over the layers, with a penalty for exceeding fan-outs
  /// and capacities: [starts], of log factors as above. `gate` is Sharpness::gate. Differentiable, with
  /// subgradients where maxima meet (the level that bounds a latency).
  torch::Tensor loss(const torch::Tensor& log_factors, const torch::Tensor& gate) const;

 private:
  torch::Tensor excess(const torch::Tensor& log_factors, const ChainTraffic& traffic) const;

  ChainModel model_;
  std::vector<Layer> layers_;
  double energy_power_, latency_power_;
  torch::TensorOptions options_;
  torch::Tensor log_size_;     ///< [layers, 1, 1, 7]
  torch::Tensor slot_mask_;    ///< [levels, 3, 7], 0 or -infinity where a dimension has no such slot
  torch::Tensor log_fan_out_;  ///< [levels, 2]
};

}  // namespace dosa
