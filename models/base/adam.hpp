// Adam (Kingma and Ba, ICLR 2015) and AdamW (Loshchilov and Hutter, ICLR 2019), with all their state in the
// open, so that it can be saved, resumed and moved between processes.
#pragma once

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

  /// Moves `values` in place by step number `step`, counted from 0, with a learning rate of `rate`. AdamW
  /// shrinks them by the share rate * weight_decay first. No gradients are recorded.
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
