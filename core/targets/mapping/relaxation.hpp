// The differentiable form of the search: real-valued factors, all loop orders at once.
//
// After DOSA (MICRO 2023), with products exact by construction instead of penalised: per layer and dimension
// the log factors are log(size) * softmax(logits), so they multiply to the size and none is below 1.
#pragma once

#include "dosa/core/search/problem.hpp"
#include "dosa/core/search/space.hpp"
#include "dosa/core/targets/array_target.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

/// How soft the relaxation is, as scalars; changes during a run.
struct Softness {
  torch::Tensor gate;  ///< sharpness of the reuse gates (Sharpness::relaxed)
  /// Of the softmax that mixes the loop orders; towards 0 the best order alone counts.
  torch::Tensor order_temperature;

  static Softness of(double gate, double order_temperature) {
    return {torch::scalar_tensor(gate, torch::kFloat64),
            torch::scalar_tensor(order_temperature, torch::kFloat64)};
  }
};

/// What layers need of hardware, in traffic of shape [..., layers, 1]: the array of a design is the largest
/// of theirs and sizes the buffers' instances. Differentiable when the traffic is (maxima have subgradients).
struct LayerNeeds {
  torch::Tensor array;    ///< [...], pe_dim of the design, at least bounds.min
  HardwareTensors sizes;  ///< [..., layers], of every layer on that array; whole KiB when exact

  static LayerNeeds of(const Traffic& traffic, const ArrayMachine& machine, const ArrayBounds& bounds,
                       bool exact);

  /// The hardware of the designs: what the neediest layer needs, at least bounds.min. Fields of shape [...].
  HardwareTensors hardware(const ArrayBounds& bounds) const;

  /// How far the needs of each layer lie beyond bounds.max: sum over the sizes of max(0, log(need / max)),
  /// [..., layers]. Zero when legal.
  torch::Tensor excess(const ArrayBounds& bounds) const;
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
  ArrayBounds bounds_;
  CostModel model_;
  LayerBatch layers_;
  NetworkRanges networks_;  ///< of the layers
  JointObjective joint_;
  torch::Tensor log_size_;       ///< [layers, 7]
  torch::Tensor place_mask_;     ///< [places, layers, 7], 0 or -infinity where a dimension has no such place
  torch::Tensor to_slots_;       ///< [places * 7, slots], 0/1
  torch::Tensor spatial_limit_;  ///< [slots], log of the largest array for spatial slots, else infinity
  torch::Tensor overflow_;       ///< [slots, slots], 0/1: where a spatial factor beyond the limit goes on
};

}  // namespace dosa
