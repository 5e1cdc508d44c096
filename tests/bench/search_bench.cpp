// Benchmarks of the search, single-threaded: one optimisation step, its forward part, both against a plain
// loop, the exact mapper. Run with scripts/bench; prints the machine, iterations, and with
// --benchmark_repetitions=N the median.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <chrono>

#include "dosa/core/search/descent.hpp"
#include "dosa/core/targets/mapping/space.hpp"
#include "dosa/models/base/memory.hpp"
#include "dosa/models/base/threads.hpp"
#include "tests/bench/plain_model.hpp"
#include "tests/core/search/problems.hpp"

namespace dosa {
namespace {

SearchProblem network(const char* name) { return testing::on_gemmini_tl(load_workload(name)); }

/// Evaluations (starts x layers x orders) a second, and the most memory that the process has held so far.
void count(benchmark::State& state, std::int64_t starts, const SearchProblem& problem,
           const CostModel& model) {
  const auto layers = static_cast<std::int64_t>(problem.workload.layers.size());
  state.counters["evaluations/s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * starts * layers * model.order_count()),
                         benchmark::Counter::kIsRate);
  state.counters["layers"] = static_cast<double>(layers);
  state.counters["orders"] = static_cast<double>(model.order_count());
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  state.counters["peak_MiB"] = static_cast<double>(usage.ru_maxrss) / 1024;
}

constexpr double kGate = 5;
Softness softness() { return Softness::of(kGate, 0.3); }
/// Starts from 1 to 64, layers as the network has them or repeated.
void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"starts", "networks"})->Unit(benchmark::kMillisecond);
  for (const std::int64_t starts : {1, 4, 16, 64}) bench->Args({starts, 1});
  for (const std::int64_t networks : {2, 4}) bench->Args({16, networks});
}
SearchProblem repeated(const char* name, std::int64_t times) {
  SearchProblem problem = network(name);
  const std::vector<Layer> once = problem.workload.layers;
  for (std::int64_t i = 1; i < times; ++i)
    problem.workload.layers.insert(problem.workload.layers.end(), once.begin(), once.end());
  return problem;
}

/// A whole Adam step, as a search does it: forward, backward, update.
void OptimisationStep(benchmark::State& state) {
  one_thread_per_operation();
  const SearchProblem problem = repeated("resnet50", state.range(1));
  const Relaxation relaxation(problem, torch::kFloat32);
  const MappingSpace space(problem, "cpu");
  Descent descent(space, 0, state.range(0), state.range(0), 0, 0.3);
  for (auto step : state) descent.run(100, 101, 1000);
  count(state, state.range(0), problem, relaxation.model());
}
BENCHMARK(OptimisationStep)->Name("OptimisationStep/resnet50")->Apply(shapes);

/// Adam steps of many starts as a search takes them: in groups on all cores (0), or in one batch on a CUDA
/// device (1). Time is that of one step.
void StepOfAllStarts(benchmark::State& state) {
  one_thread_per_operation();
  const bool on_cuda = state.range(0) != 0;
  if (on_cuda && !torch::cuda::is_available()) return state.SkipWithError("there is no CUDA device");
  constexpr std::int64_t kGroup = 8, kSteps = 25;
  const SearchProblem problem = network("resnet50");
  const MappingSpace space(problem, on_cuda ? "cuda" : "cpu");
  const std::int64_t starts = state.range(1), batch = on_cuda ? starts : kGroup;
  std::vector<Descent> descents;
  for (std::int64_t first = 0; first < starts; first += batch)
    descents.emplace_back(space, first, batch, kGroup, 0, 0.3);
  const auto run = [&](std::int64_t from) {
    parallel(static_cast<std::int64_t>(descents.size()), 0,
             [&](std::int64_t i) { descents[static_cast<std::size_t>(i)].run(from, from + kSteps, 1000); });
  };
  run(0);
  std::int64_t from = kSteps;
  for (auto iteration : state) {
    const auto begin = std::chrono::steady_clock::now();
    run(from);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    state.SetIterationTime(took.count() / kSteps);
    from = (from + kSteps) % 1000;
  }
  count(state, starts, problem, Relaxation(problem, torch::kFloat32).model());
}
BENCHMARK(StepOfAllStarts)
    ->Name("StepOfAllStarts/resnet50")
    ->ArgNames({"cuda", "starts"})
    ->ArgsProduct({{0, 1}, {256, 2048}})
    ->Iterations(4)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

void Forward(benchmark::State& state) {
  one_thread_per_operation();
  const torch::NoGradGuard no_gradients;
  const SearchProblem problem = repeated("resnet50", state.range(1));
  const Relaxation relaxation(problem, torch::kFloat32);
  const torch::Tensor logits = relaxation.random_logits(state.range(0), at::detail::createCPUGenerator(0));
  for (auto step : state) {
    benchmark::DoNotOptimize(
        relaxation.cost(relaxation.log_factors(logits), softness()).loss.sum().item<float>());
  }
  count(state, state.range(0), problem, relaxation.model());
}
BENCHMARK(Forward)->Name("Forward/resnet50")->Apply(shapes);

/// The batched model on a network against a plain loop over one of its layers, both per evaluation, taking
/// turns in one run: forward alone (0) or with backward (1).
void RatioToPlainLoop(benchmark::State& state) {
  one_thread_per_operation();
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  constexpr std::int64_t kStarts = 16;
  constexpr std::size_t kLayer = 16;
  const bool with_backward = state.range(0) == 1;
  const SearchProblem problem = network("resnet50");
  const Relaxation relaxation(problem, torch::kFloat32);
  const CostModel& model = relaxation.model();
  const LayerBatch layers = LayerBatch::from(problem.workload.layers, torch::kFloat32);
  const HardwareTensors hardware = HardwareTensors::from({128, 200, 800}, torch::kFloat32);
  const Sharpness sharpness = Sharpness::relaxed(kGate);
  torch::Tensor x =
      relaxation.log_factors(relaxation.random_logits(kStarts, at::detail::createCPUGenerator(0)))
          .detach()
          .requires_grad_(with_backward);
  const torch::Tensor nests = x.detach().select(1, kLayer).contiguous();
  const PlainModel plain(array_machine(problem), model.slots(), search_orders(array_machine(problem)));
  const auto slots = static_cast<std::int64_t>(model.slots().size());
  const auto orders = static_cast<std::size_t>(model.order_count());
  const auto evaluate = [&](std::int64_t start, std::size_t order) {
    return plain(nests.data_ptr<float>() + start * slots, order, problem.workload.layers[kLayer], 128, 200,
                 800, static_cast<float>(kGate));
  };
  const auto batched = [&] {
    return model.cost(model.traffic({x, {}}, layers, sharpness), hardware, sharpness);
  };
  {
    const Cost cost = batched();
    for (std::int64_t start = 0; start < kStarts; ++start) {
      for (std::size_t order = 0; order < orders; ++order) {
        const PlainModel::Result one = evaluate(start, order);
        const auto of = [&](const torch::Tensor& t) {
          return t[start][static_cast<std::int64_t>(kLayer)][static_cast<std::int64_t>(order)].item<float>();
        };
        if (std::abs(one.energy_pj / of(cost.energy_pj) - 1) > 1e-3 ||
            std::abs(one.cycles / of(cost.cycles) - 1) > 1e-3) {
          state.SkipWithError("the plain loop computes something else");
          return;
        }
      }
    }
  }
  double in_plain = 0, in_batched = 0;
  for (auto step : state) {
    const auto begin = Clock::now();
    for (std::int64_t repeat = 0; repeat < 10; ++repeat) {
      for (std::int64_t start = 0; start < kStarts; ++start) {
        for (std::size_t order = 0; order < orders; ++order) benchmark::DoNotOptimize(evaluate(start, order));
      }
    }
    const auto middle = Clock::now();
    const Cost cost = batched();
    if (with_backward) {
      x.mutable_grad() = torch::Tensor();
      (cost.energy_pj * cost.cycles).log().sum().backward();
    }
    in_plain += seconds(middle - begin);
    in_batched += seconds(Clock::now() - middle);
  }
  const auto evaluations = static_cast<double>(state.iterations() * kStarts) * static_cast<double>(orders);
  const double plain_ns = 1e9 * in_plain / (10 * evaluations);
  const double batched_ns =
      1e9 * in_batched / (evaluations * static_cast<double>(problem.workload.layers.size()));
  state.counters["plain_ns"] = plain_ns;
  state.counters["batched_ns"] = batched_ns;
  state.counters["ratio"] = batched_ns / plain_ns;
}
BENCHMARK(RatioToPlainLoop)->ArgName("backward")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

/// Enumeration of every mapping of one layer of ResNet-50 (3x3, 256 channels), exact, and its frontier.
void ExhaustiveMapper(benchmark::State& state) {
  one_thread_per_operation();
  const SearchProblem problem = network("resnet50");
  const EnumerationModels models(array_machine(problem));
  std::int64_t evaluated = 0;
  for (auto step : state) {
    Enumeration enumeration(problem, models, 16, 128);
    Allowance allowance;
    enumeration.look({}, 10'000'000, allowance);
    evaluated += enumeration.frontier().evaluated;
  }
  state.counters["mappings/s"] =
      benchmark::Counter(static_cast<double>(evaluated), benchmark::Counter::kIsRate);
}
BENCHMARK(ExhaustiveMapper)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dosa

int main(int argc, char** argv) {
  dosa::keep_freed_memory();  // as in the program
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
