// Benchmark of the search for a real Gemmini, single-threaded: what prediction costs in the loop.
#include <benchmark/benchmark.h>
#include <time.h>

#include <array>
#include <functional>

#include "dosa/core/targets/gemmini/relaxation.hpp"
#include "dosa/core/targets/mapping/relaxation.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

SearchProblem resnet50(const char* target) {
  const Machine machine = load_machine(target);
  return {load_workload("resnet50"),
          machine,
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
  const auto generator = [] { return at::detail::createCPUGenerator(0); };
  SearchProblem rtl = resnet50("gemmini-rtl");
  rtl.bounds.min.pe_dim = rtl.bounds.max.pe_dim = kPeDim;
  const Surrogate surrogate = Surrogate::load(shipped_surrogate("gemmini-rtl"));
  const RtlModel predicted(rtl.machine, &surrogate), analytical(rtl.machine, nullptr);
  const auto relaxation = [&](const RtlModel& model) {
    // Gains are counted from the library's tiles on the default hardware, as in rtl_search.
    const std::vector<Layer>& layers = rtl.workload.layers;
    const Hardware built = rtl.machine.default_hardware;
    std::vector<gemmini::Tile> tiles;
    for (const Layer& layer : layers)
      tiles.push_back(gemmini::runnable_default_tile(layer, built, gemmini::calls_for(layer).front()));
    const torch::Tensor networks = model.costs(layers, tiles, built).networks;
    std::vector<torch::Tensor> anchors(layers.size());
    for (std::size_t l = 0; networks.defined() && l < layers.size(); ++l)
      anchors[l] = networks.select(-1, static_cast<std::int64_t>(l)).clone();
    return RtlRelaxation(rtl, model, variants_of(rtl, model, kPeDim), anchors, rtl.bounds.max, 1,
                         torch::kFloat32);
  };
  const RtlRelaxation with = relaxation(predicted), without = relaxation(analytical);
  RtlDescent with_surrogate(with, kStarts, generator(), 0.15);
  RtlDescent without_surrogate(without, kStarts, generator(), 0.15);
  const SearchProblem tl = resnet50("gemmini-tl");
  const Relaxation nests(tl, torch::kFloat32);
  Descent of_nests(nests, kStarts, generator(), 0.3);

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
