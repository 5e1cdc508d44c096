// Adam (Kingma and Ba, ICLR 2015) and AdamW (Loshchilov and Hutter, ICLR 2019), with all their state in the
// open, so that it can be saved, resumed and moved between processes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dosa/models/base/torch.hpp"

namespace dosa {

/// Adam with its usual constants, for one tensor. It does what torch::optim::Adam and torch::optim::AdamW do,
/// operation by operation, so that the numbers are the same to the last bit.
struct Adam {
  /// Moving averages of the gradient and of its square, neither corrected for having begun at zero.
  torch::Tensor mean, square;

  explicit Adam(const torch::Tensor& values)
      : mean(torch::zeros_like(values).detach()), square(mean.clone()) {}

  /// What depends on the number of a step, counted from 0, and its learning rate: the rate divided by the
  /// correction of the mean, and the root of the correction of the square.
  static std::array<double, 2> numbers(std::int64_t step, double rate);

  /// Moves `values` in place by the step with these numbers, float64 [2], on the CPU or where the values are.
  /// No gradients are recorded.
  void move(torch::Tensor& values, const torch::Tensor& gradient, const torch::Tensor& numbers);
  /// The same by step number `step` with a learning rate of `rate`. AdamW shrinks the values by the share
  /// rate * weight_decay first.
  void move(torch::Tensor& values, const torch::Tensor& gradient, std::int64_t step, double rate,
            double weight_decay = 0);
};

/// Minimises losses of several tensors that require gradients, with one Adam for each of them.
class AdamMinimizer {
 public:
  explicit AdamMinimizer(std::vector<torch::Tensor> values, double weight_decay = 0);

  /// One step down the gradient of `loss`, a scalar computed from the values as they stand.
  void step(const torch::Tensor& loss, double rate);

 private:
  std::vector<torch::Tensor> values_;
  std::vector<Adam> adams_;
  double weight_decay_;
  std::int64_t step_ = 0;
};

}  // namespace dosa
