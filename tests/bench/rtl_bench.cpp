// Benchmark of the search for a real Gemmini, single-threaded: what prediction costs in the loop.
#include <benchmark/benchmark.h>
#include <time.h>

#include <array>
#include <functional>

#include "dosa/core/search/descent.hpp"
#include "dosa/core/search/problem.hpp"
#include "dosa/models/array_machine.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

SearchProblem resnet50(const char* name, bool predicts) {
  TargetOptions options;
  options.shipped_surrogate = predicts;
  const TargetPtr target = load_target(name, options);
  const Machine& machine = target->machine();
  return {load_workload("resnet50"),
          target,
          {machine.min_hardware, machine.max_hardware},
          Objective::from_name("edp")};
}

/// Seconds that this thread has computed: what other programs do does not count.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Adam steps of 16 starts on ResNet-50, taking turns: for gemmini-rtl with the shipped surrogate and with
/// analytical latency (no prediction), and for gemmini-tl (all loop orders). Iterations are one of each.
void RtlStep(benchmark::State& state) {
  one_thread_per_operation();
  constexpr std::int64_t kStarts = 16, kPeDim = 16;
  SearchProblem predicted = resnet50("gemmini-rtl", true), analytical = resnet50("gemmini-rtl", false);
  for (SearchProblem* problem : {&predicted, &analytical})
    problem->bounds.min[kPeParameter] = problem->bounds.max[kPeParameter] = kPeDim;
  const SearchProblem tl = resnet50("gemmini-tl", false);
  const auto with = predicted.target->space(predicted, "cpu");
  const auto without = analytical.target->space(analytical, "cpu");
  const auto nests = tl.target->space(tl, "cpu");
  Descent with_surrogate(*with, 0, kStarts, kStarts, 0, 0.15);
  Descent without_surrogate(*without, 0, kStarts, kStarts, 0, 0.15);
  Descent of_nests(*nests, 0, kStarts, kStarts, 0, 0.3);

  const std::array<std::function<void()>, 3> steps{[&] { with_surrogate.run(100, 101, 1000); },
                                                   [&] { without_surrogate.run(100, 101, 1000); },
                                                   [&] { of_nests.run(100, 101, 1000); }};
  for (const auto& step : steps) step();
  std::array<double, 3> seconds{};
  for (auto iteration : state) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const double begin = thread_seconds();
      steps[i]();
      seconds[i] += thread_seconds() - begin;
    }
  }
  const auto iterations = static_cast<double>(state.iterations());
  state.counters["surrogate_ms"] = 1e3 * seconds[0] / iterations;
  state.counters["analytical_ms"] = 1e3 * seconds[1] / iterations;
  state.counters["tl_ms"] = 1e3 * seconds[2] / iterations;
  state.counters["ratio"] = seconds[0] / seconds[1];
  state.counters["ratio_to_tl"] = seconds[0] / seconds[2];
}
BENCHMARK(RtlStep)->Name("RtlStep/resnet50")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dosa
