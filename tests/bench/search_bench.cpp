// Benchmarks of the search, single-threaded: one optimisation step, its forward part, the exact mapper.
// Run with scripts/bench; prints the machine, iterations, and with --benchmark_repetitions=N the median.
#include <benchmark/benchmark.h>

#include "core/search/mapper.hpp"
#include "core/search/relaxation.hpp"
#include "core/search/threads.hpp"

namespace dosa {
namespace {

SearchProblem network(const char* name) {
  const Machine machine = load_machine("gemmini-tl");
  return {load_workload(name),
          machine,
          {machine.min_hardware, machine.max_hardware},
          Objective::from_name("edp")};
}

/// Layer evaluations per call: starts x layers x orders.
void count(benchmark::State& state, const SearchProblem& problem, const CostModel& model) {
  const auto layers = static_cast<std::int64_t>(problem.workload.layers.size());
  state.counters["evaluations/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * state.range(0) * layers * model.order_count()),
      benchmark::Counter::kIsRate);
  state.counters["layers"] = static_cast<double>(layers);
  state.counters["orders"] = static_cast<double>(model.order_count());
}

/// A whole Adam step, as gradient_search does it: forward, backward, update.
void OptimisationStep(benchmark::State& state) {
  one_thread_per_operation();
  const SearchProblem problem = network("resnet50");
  const Relaxation relaxation(problem, torch::kFloat32);
  torch::Tensor logits =
      relaxation.random_logits(state.range(0), at::detail::createCPUGenerator(0)).requires_grad_(true);
  torch::optim::Adam optimizer({logits}, torch::optim::AdamOptions(0.3));
  for (auto step : state) {
    optimizer.zero_grad();
    relaxation.cost(relaxation.log_factors(logits), {5, 0.3}).loss.sum().backward();
    optimizer.step();
  }
  count(state, problem, relaxation.model());
}
BENCHMARK(OptimisationStep)
    ->Name("OptimisationStep/resnet50/starts")
    ->RangeMultiplier(4)
    ->Range(1, 64)
    ->Unit(benchmark::kMillisecond);

void Forward(benchmark::State& state) {
  one_thread_per_operation();
  const torch::NoGradGuard no_gradients;
  const SearchProblem problem = network("resnet50");
  const Relaxation relaxation(problem, torch::kFloat32);
  const torch::Tensor logits = relaxation.random_logits(state.range(0), at::detail::createCPUGenerator(0));
  for (auto step : state) {
    benchmark::DoNotOptimize(
        relaxation.cost(relaxation.log_factors(logits), {5, 0.3}).loss.sum().item<float>());
  }
  count(state, problem, relaxation.model());
}
BENCHMARK(Forward)
    ->Name("Forward/resnet50/starts")
    ->RangeMultiplier(4)
    ->Range(1, 64)
    ->Unit(benchmark::kMillisecond);

/// Enumeration of every mapping of one layer of ResNet-50 (3x3, 256 channels), exact, and its frontier.
void ExhaustiveMapper(benchmark::State& state) {
  one_thread_per_operation();
  const SearchProblem problem = network("resnet50");
  const Mapper mapper(problem);
  const torch::Tensor centre =
      torch::zeros({static_cast<std::int64_t>(mapper.model().slots().size())}, torch::kFloat64);
  std::int64_t evaluated = 0;
  for (auto step : state) evaluated += mapper.frontier(16, 128, centre, 10'000'000).evaluated;
  state.counters["mappings/s"] =
      benchmark::Counter(static_cast<double>(evaluated), benchmark::Counter::kIsRate);
}
BENCHMARK(ExhaustiveMapper)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dosa

BENCHMARK_MAIN();
