// The differentiable form of the search for the sizes of a chain of memories together with the mappings: the
// nests of all layers as in ChainRelaxation, and the parameters that shape the machine, as real numbers
// between their bounds. Buffers have no parameters of their own: they are what the neediest layer needs.
#pragma once

#include "dosa/core/search/problem.hpp"
#include "dosa/core/search/space.hpp"
#include "dosa/core/targets/chain/relaxation.hpp"

namespace dosa {

class SizedRelaxation {
 public:
  /// `chain` is the problem's machine, `nests` the relaxation of its layers' nests on the largest hardware.
  /// All references must outlive this.
  SizedRelaxation(const SearchProblem& problem, const Chain& chain, const ChainRelaxation& nests,
                  torch::TensorOptions options);

  /// Parameters of independent random starts, [starts, layers * levels * 4 * 7 + shape parameters]: those of
  /// the nests, then what the shape follows from.
  torch::Tensor random_parameters(std::int64_t starts, torch::Generator generator) const;
  /// The objective of the network on the hardware of every start, with a penalty for exceeding fan-outs,
  /// capacities, bounds and the area; and the hardware, its shape at the nearest that is searched. `gate` is
  /// Sharpness::gate. Differentiable, with subgradients where maxima meet (the layer that sizes a buffer).
  RelaxedCost cost(const torch::Tensor& parameters, const torch::Tensor& gate) const;
  /// What a search near a start needs of it: the same shape, with log factors instead of logits and at the
  /// end the logarithm of the hardware, [starts, layers * levels * 4 * 7 + parameters].
  torch::Tensor decode(const torch::Tensor& parameters, const torch::Tensor& gate) const;
  /// Of a row of it, the log factors and places of a layer's loops, [1, levels * 4 * 7], and the hardware.
  static torch::Tensor nest_of(const torch::Tensor& decoded, std::size_t layer, const Chain& chain);
  static Hardware hardware_of(const torch::Tensor& decoded, const Chain& chain);

 private:
  torch::Tensor log_factors(const torch::Tensor& parameters) const;
  /// The parameters of the machine, in its order, each [starts].
  std::vector<torch::Tensor> shapes(const torch::Tensor& parameters) const;
  /// Instances of every level of machines of these shapes, each [starts * layers].
  std::vector<torch::Tensor> instances(const std::vector<torch::Tensor>& shape, std::int64_t starts) const;
  /// What each layer needs of a buffer, [starts, layers].
  torch::Tensor need(const ChainTraffic& traffic, std::size_t parameter,
                     const std::vector<torch::Tensor>& instances) const;
  torch::Tensor hardware(const std::vector<torch::Tensor>& sizes) const;

  const SearchProblem& problem_;
  const Chain& chain_;
  const ChainRelaxation& nests_;
  torch::TensorOptions options_;
  std::int64_t numbers_of_nests_;  ///< of a start
  NetworkRanges networks_;
  JointObjective joint_;
  torch::Tensor repetitions_;  ///< [layers]
};

}  // namespace dosa
