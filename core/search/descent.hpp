// Adam on a group of starts of the relaxation, whose state can be saved, resumed and moved between processes.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/targets/mapping/relaxation.hpp"
#include "dosa/models/base/adam.hpp"
#include "dosa/models/base/tensor_file.hpp"

namespace dosa {

/// How soft the relaxation is after a share of the run: the gates sharpen, the mixture of orders cools.
Softness softness_at(double share);

/// A learning rate that falls from `first` to zero along a cosine, after a share of the run.
double cosine_rate(double first, double share);

/// Starts are descended in groups, each with random numbers of its own: those of the group that begins with
/// start number `first`.
at::Generator group_generator(std::uint64_t seed, std::int64_t first);

class Descent {
 public:
  /// `starts` random starts drawn from `generator`; `learning_rate` is Adam's first step size, which falls to
  /// zero along a cosine.
  Descent(const Relaxation& relaxation, std::int64_t starts, at::Generator generator, double learning_rate);

  /// Steps `from` (inclusive) to `to` (exclusive) of a run of `steps`. A start whose gradient is not finite
  /// goes back to where every factor is even.
  void run(std::int64_t from, std::int64_t to, std::int64_t steps);

  /// The starts as they stand, their softness that of a `share` of the run. No gradients.
  RelaxedCost cost(double share) const;
  torch::Tensor log_factors() const;

  /// Logits and Adam's moments, named after the group, for TensorFile and Ranks. Everything that run()
  /// depends on but the step.
  std::vector<NamedTensor> state(std::size_t group);

 private:
  const Relaxation& relaxation_;
  torch::Tensor logits_;
  Adam adam_;
  double learning_rate_;
};

}  // namespace dosa
