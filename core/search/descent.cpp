#include "dosa/core/search/descent.hpp"

#include <fmt/format.h>

#include <cmath>

namespace dosa {
namespace {

using torch::Tensor;

double cosine_rate(double first, double share) { return first * 0.5 * (1 + std::cos(M_PI * share)); }

}  // namespace

Descent::Descent(const SearchSpace& space, std::int64_t first, std::int64_t starts, std::uint64_t seed,
                 double learning_rate)
    : space_(space),
      parameters_(space.random_starts(
          starts, at::detail::createCPUGenerator(seed * 1'000'003 + static_cast<std::uint64_t>(first)))),
      adam_(parameters_),
      learning_rate_(learning_rate) {}

void Descent::run(std::int64_t from, std::int64_t to, std::int64_t steps) {
  Tensor parameters = parameters_.detach().requires_grad_();
  for (std::int64_t step = from; step < to; ++step) {
    const double share = static_cast<double>(step) / static_cast<double>(steps);
    parameters.mutable_grad() = Tensor();
    space_.relax(parameters, share).loss.sum().backward();
    const torch::NoGradGuard no_gradients;
    Tensor gradient = parameters.grad();
    if (!gradient.isfinite().all().item<bool>()) {
      std::vector<std::int64_t> of_start(static_cast<std::size_t>(gradient.dim()), 1);
      of_start[0] = -1;
      const Tensor sound = gradient.isfinite().flatten(1).all(1).view(of_start);
      const Tensor none = torch::zeros_like(gradient);
      gradient = torch::where(sound, gradient, none);
      parameters.copy_(torch::where(sound, parameters, none));
    }
    adam_.move(parameters, gradient, step, cosine_rate(learning_rate_, share));
  }
  parameters_ = parameters.detach();
}

RelaxedCost Descent::cost(double share) const {
  const torch::NoGradGuard no_gradients;
  RelaxedCost cost = space_.relax(parameters_, share);
  for (Tensor* field : {&cost.loss, &cost.hardware}) *field = field->to(torch::kCPU);
  return cost;
}

Tensor Descent::decoded() const {
  const torch::NoGradGuard no_gradients;
  return space_.decode(parameters_);
}

std::vector<NamedTensor> Descent::state(std::size_t group) {
  const std::vector<std::int64_t> shape = parameters_.sizes().vec();
  const auto type = parameters_.scalar_type();
  return {{fmt::format("{}.parameters", group), &parameters_, type, shape},
          {fmt::format("{}.mean", group), &adam_.mean, type, shape},
          {fmt::format("{}.square", group), &adam_.square, type, shape}};
}

}  // namespace dosa
