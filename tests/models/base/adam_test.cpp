#include "dosa/models/base/adam.hpp"

#include <gtest/gtest.h>
#include <torch/optim.h>

namespace dosa {
namespace {

using torch::Tensor;

constexpr int kSteps = 20;

/// A learning rate that changes from step to step, as every schedule here does.
double rate_at(int step) { return 0.03 / (1 + step); }

/// The tensors that are fitted: of either type, and of more numbers than a vector instruction holds.
std::vector<Tensor> starts() {
  at::Generator generator = at::detail::createCPUGenerator(7);
  return {torch::randn({17, 5}, generator, torch::kFloat64), torch::randn({41}, generator, torch::kFloat32)};
}

/// A loss whose gradients are of very different sizes.
Tensor loss_of(const std::vector<Tensor>& values) {
  Tensor loss = torch::zeros({}, torch::kFloat64);
  for (const Tensor& value : values) {
    const Tensor weight = torch::logspace(-6, 3, value.numel(), 10, value.options()).view(value.sizes());
    loss = loss + (weight * (value - 0.5).square() + value.sin()).sum().to(torch::kFloat64);
  }
  return loss;
}

/// Where torch's optimizer takes the starts.
template <typename Optimizer, typename Options>
std::vector<Tensor> by_torch(const Options& options) {
  std::vector<Tensor> values;
  for (const Tensor& start : starts()) values.push_back(start.clone().requires_grad_());
  Optimizer optimizer(values, options);
  for (int step = 0; step < kSteps; ++step) {
    static_cast<Options&>(optimizer.param_groups()[0].options()).lr(rate_at(step));
    optimizer.zero_grad();
    loss_of(values).backward();
    optimizer.step();
  }
  return values;
}

void expect_equal(const std::vector<Tensor>& found, const std::vector<Tensor>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(torch::equal(found[i].detach(), expected[i].detach())) << i;
    EXPECT_GT((found[i].detach() - starts()[i]).abs().min().item<double>(), 0) << i;
  }
}

std::vector<Tensor> minimized(double weight_decay) {
  std::vector<Tensor> values;
  for (const Tensor& start : starts()) values.push_back(start.clone().requires_grad_());
  AdamMinimizer minimizer(values, weight_decay);
  for (int step = 0; step < kSteps; ++step) minimizer.step(loss_of(values), rate_at(step));
  return values;
}

TEST(Adam, TwentyStepsAreThoseOfTorchToTheLastBit) {
  expect_equal(minimized(0), by_torch<torch::optim::Adam>(torch::optim::AdamOptions(1)));
}

TEST(Adam, TwentyStepsWithWeightDecayAreThoseOfTorchsAdamW) {
  constexpr double kWeightDecay = 0.01;
  expect_equal(minimized(kWeightDecay),
               by_torch<torch::optim::AdamW>(torch::optim::AdamWOptions(1).weight_decay(kWeightDecay)));
}

TEST(Adam, ItsStateIsAllThatTheRestOfTheStepsNeeds) {
  std::vector<Tensor> values = starts();
  Tensor& value = values[0];
  Adam adam(value);
  const auto gradient = [&] { return (value - 0.5).sin(); };
  for (int step = 0; step < kSteps / 2; ++step) adam.move(value, gradient(), step, rate_at(step));
  Tensor saved = value.clone();
  Adam resumed(saved);
  resumed.mean = adam.mean.clone();
  resumed.square = adam.square.clone();
  for (int step = kSteps / 2; step < kSteps; ++step) {
    resumed.move(saved, (saved - 0.5).sin(), step, rate_at(step));
    adam.move(value, gradient(), step, rate_at(step));
  }
  EXPECT_TRUE(torch::equal(saved, value));
}

}  // namespace
}  // namespace dosa
