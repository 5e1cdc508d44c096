#include "dosa/core/search/descent.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace dosa {
namespace {

using torch::Tensor;

// Steps that are taken before one is recorded: libraries of the device set themselves up in the first.
constexpr int kWarmUp = 3;
// Steps that are replayed between two visits of the processor.
constexpr std::int64_t kRows = 64;

double cosine_rate(double first, double share) { return first * 0.5 * (1 + std::cos(M_PI * share)); }

Tensor random_starts(const SearchSpace& space, std::int64_t first, std::int64_t starts, std::int64_t group,
                     std::uint64_t seed) {
  std::vector<Tensor> groups;
  for (std::int64_t begin = first; begin < first + starts; begin += group) {
    groups.push_back(space.random_starts(
        std::min(group, first + starts - begin),
        at::detail::createCPUGenerator(seed * 1'000'003 + static_cast<std::uint64_t>(begin))));
  }
  return groups.size() == 1 ? groups.front() : torch::cat(groups);
}

}  // namespace

Descent::Descent(const SearchSpace& space, std::int64_t first, std::int64_t starts, std::int64_t group,
                 std::uint64_t seed, double learning_rate)
    : space_(space),
      parameters_(random_starts(space, first, starts, group, seed)),
      adam_(parameters_),
      learning_rate_(learning_rate) {}

Tensor Descent::numbers(std::int64_t from, std::int64_t to, std::int64_t steps) const {
  Tensor numbers = torch::empty({to - from, 3}, torch::kFloat64);
  auto rows = numbers.accessor<double, 2>();
  for (std::int64_t step = from; step < to; ++step) {
    const double share = static_cast<double>(step) / static_cast<double>(steps);
    const auto of_adam = Adam::numbers(step, cosine_rate(learning_rate_, share));
    auto row = rows[step - from];
    row[0] = share;
    row[1] = of_adam[0];
    row[2] = of_adam[1];
  }
  return numbers;
}

void Descent::take(const Tensor& numbers, bool waits) {
  const Tensor parameters = parameters_.detach().requires_grad_();
  const Tensor loss = space_.relax(parameters, numbers[0]).loss.sum();
  Tensor gradient = torch::autograd::grad({loss}, {parameters}).front();
  const torch::NoGradGuard no_gradients;
  if (!waits || !gradient.isfinite().all().item<bool>()) {
    std::vector<std::int64_t> of_start(static_cast<std::size_t>(gradient.dim()), 1);
    of_start[0] = -1;
    const Tensor sound = gradient.isfinite().flatten(1).all(1).view(of_start);
    const Tensor none = torch::zeros_like(gradient);
    gradient = torch::where(sound, gradient, none);
    parameters_.copy_(torch::where(sound, parameters_, none));
  }
  adam_.move(parameters_, gradient, numbers.slice(0, 1));
}

void Descent::run(std::int64_t from, std::int64_t to, std::int64_t steps) {
  const bool records = parameters_.is_cuda() && space_.relax_can_be_recorded() && RecordedWork::available();
  if (records && !recorded_ && to - from > kWarmUp) {
    const Tensor rows = numbers(from, from + kWarmUp, steps).to(parameters_.device());
    recorded_.emplace(Recorded{torch::constant_pad_nd(rows, {0, 0, 0, kRows - kWarmUp}),
                               torch::zeros({1}, rows.options().dtype(torch::kInt64)), RecordedWork()});
    recorded_->step.record(
        [this] {
          take(recorded_->rows.index_select(0, recorded_->next)[0], false);
          recorded_->next.add_(1);
        },
        kWarmUp);
    from += kWarmUp;
  }
  while (from < to) {
    const std::int64_t until = std::min(to, from + kRows);
    const Tensor rows = numbers(from, until, steps);
    if (recorded_) {
      recorded_->rows.slice(0, 0, until - from).copy_(rows);
      recorded_->next.zero_();
      recorded_->step.replay(until - from);
    } else {
      for (std::int64_t row = 0; row < until - from; ++row) take(rows[row], true);
    }
    from = until;
  }
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

std::vector<NamedTensor> Descent::state(std::size_t batch) {
  const std::vector<std::int64_t> shape = parameters_.sizes().vec();
  const auto type = parameters_.scalar_type();
  return {{fmt::format("{}.parameters", batch), &parameters_, type, shape},
          {fmt::format("{}.mean", batch), &adam_.mean, type, shape},
          {fmt::format("{}.square", batch), &adam_.square, type, shape}};
}

}  // namespace dosa
