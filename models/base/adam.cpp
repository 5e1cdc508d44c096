#include "dosa/models/base/adam.hpp"

#include <cmath>

namespace dosa {

using torch::Tensor;

namespace {
constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
}

std::array<double, 2> Adam::numbers(std::int64_t step, double rate) {
  const auto taken = static_cast<double>(step + 1);
  return {rate / (1 - std::pow(kBeta1, taken)), std::sqrt(1 - std::pow(kBeta2, taken))};
}

void Adam::move(Tensor& values, const Tensor& gradient, const Tensor& numbers) {
  const torch::NoGradGuard no_gradients;
  mean.mul_(kBeta1).add_(gradient, 1 - kBeta1);
  square.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
  const Tensor root = (square.sqrt() / numbers[1]).add_(kEpsilon);
  values.sub_((mean * numbers[0]).div_(root));
}

void Adam::move(Tensor& values, const Tensor& gradient, std::int64_t step, double rate, double weight_decay) {
  const torch::NoGradGuard no_gradients;
  if (weight_decay != 0) values.mul_(1 - rate * weight_decay);
  const std::array<double, 2> of_step = numbers(step, rate);
  move(values, gradient, torch::tensor({of_step[0], of_step[1]}, torch::kFloat64));
}

AdamMinimizer::AdamMinimizer(std::vector<Tensor> values, double weight_decay)
    : values_(std::move(values)), weight_decay_(weight_decay) {
  for (const Tensor& tensor : values_) adams_.emplace_back(tensor);
}

void AdamMinimizer::step(const Tensor& loss, double rate) {
  for (Tensor& tensor : values_) tensor.mutable_grad() = Tensor();
  loss.backward();
  for (std::size_t i = 0; i < values_.size(); ++i)
    adams_[i].move(values_[i], values_[i].grad(), step_, rate, weight_decay_);
  ++step_;
}

}  // namespace dosa
