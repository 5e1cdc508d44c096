#include "dosa/core/search/descent.hpp"

#include <fmt/format.h>

#include <cmath>

namespace dosa {

using torch::Tensor;

double cosine_rate(double first, double share) { return first * 0.5 * (1 + std::cos(M_PI * share)); }

at::Generator group_generator(std::uint64_t seed, std::int64_t first) {
  return at::detail::createCPUGenerator(seed * 1'000'003 + static_cast<std::uint64_t>(first));
}

Softness softness_at(double share) { return {3 + 20 * share, 0.5 * std::pow(0.04, share)}; }

Descent::Descent(const Relaxation& relaxation, std::int64_t starts, at::Generator generator,
                 double learning_rate)
    : relaxation_(relaxation),
      logits_(relaxation.random_logits(starts, std::move(generator))),
      adam_(logits_),
      learning_rate_(learning_rate) {}

void Descent::run(std::int64_t from, std::int64_t to, std::int64_t steps) {
  Tensor logits = logits_.detach().requires_grad_();
  for (std::int64_t step = from; step < to; ++step) {
    const double share = static_cast<double>(step) / static_cast<double>(steps);
    logits.mutable_grad() = Tensor();
    relaxation_.cost(relaxation_.log_factors(logits), softness_at(share)).loss.sum().backward();
    const torch::NoGradGuard no_gradients;
    Tensor gradient = logits.grad();
    if (!gradient.isfinite().all().item<bool>()) {
      const Tensor sound = gradient.isfinite().flatten(1).all(1).view({-1, 1, 1, 1});
      const Tensor none = torch::zeros_like(gradient);
      gradient = torch::where(sound, gradient, none);
      logits.copy_(torch::where(sound, logits, none));
    }
    adam_.move(logits, gradient, step, cosine_rate(learning_rate_, share));
  }
  logits_ = logits.detach();
}

RelaxedCost Descent::cost(double share) const {
  const torch::NoGradGuard no_gradients;
  return relaxation_.cost(relaxation_.log_factors(logits_), softness_at(share));
}

Tensor Descent::log_factors() const {
  const torch::NoGradGuard no_gradients;
  return relaxation_.log_factors(logits_);
}

std::vector<NamedTensor> Descent::state(std::size_t group) {
  const std::vector<std::int64_t> shape = logits_.sizes().vec();
  const auto type = logits_.scalar_type();
  return {{fmt::format("{}.logits", group), &logits_, type, shape},
          {fmt::format("{}.mean", group), &adam_.mean, type, shape},
          {fmt::format("{}.square", group), &adam_.square, type, shape}};
}

}  // namespace dosa
