// The search for a real Gemmini: are its designs legal, exact, reproducible, as good as an enumeration, and
// better than the library's own?
#include "dosa/core/targets/gemmini/search.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "dosa/core/export/exporter.hpp"
#include "dosa/core/targets/gemmini/default_comparison.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

const Machine& rtl() {
  static const Machine machine = load_machine("gemmini-rtl");
  return machine;
}
const Surrogate& surrogate() {
  static const Surrogate shipped = Surrogate::load(shipped_surrogate("gemmini-rtl"));
  return shipped;
}
const RtlModel& model() {
  static const RtlModel both(rtl(), &surrogate());
  return both;
}

Layer layer_of(const char* name, DimSizes size, std::int64_t stride, std::int64_t padding,
               std::int64_t count) {
  Layer layer;
  layer.name = name;
  layer.size = size;
  layer.wstride = layer.hstride = stride;
  layer.padding = padding;
  layer.count = count;
  return layer;
}

/// One layer of every kind: few channels, whole blocks, neither, downsampling, 1x1 (both calls), matmul,
/// groups.
SearchProblem rtl_problem() {
  SearchProblem problem{{}, rtl(), {{16, 16, 4}, {16, 256, 64}}, Objective::from_name("edp")};
  Workload& network = problem.workload;
  network.name = "small";
  network.layers = {layer_of("first", {7, 7, 56, 56, 3, 64, 1}, 2, 3, 1),
                    layer_of("conv", {3, 3, 28, 28, 64, 64, 1}, 1, 1, 2),
                    layer_of("odd", {5, 5, 13, 13, 20, 50, 2}, 1, 2, 1),
                    layer_of("shortcut", {1, 1, 14, 14, 128, 256, 1}, 2, 0, 1),
                    layer_of("pointwise", {1, 1, 14, 14, 256, 128, 1}, 1, 0, 3),
                    layer_of("dense", {1, 1, 128, 1, 300, 200, 1}, 1, 0, 2),
                    layer_of("grouped", {3, 3, 14, 14, 4, 4, 1}, 1, 1, 1)};
  network.layers.back().groups = 32;
  return problem;
}

RtlSearchOptions quick_rtl() {
  RtlSearchOptions options;
  options.search.starts = 8;
  options.search.steps = 30;
  options.search.round_every = 15;
  options.search.polish_nests = 500;
  options.search.threads = 2;
  return options;
}

TEST(RtlSearch, DesignsAreLegalExactAndBetterThanTheDefault) {
  const SearchProblem problem = rtl_problem();
  const SearchSummary summary = rtl_search(problem, model(), quick_rtl());
  EXPECT_GT(summary.evaluations, 8 * 30 * 7);
  EXPECT_TRUE(gemmini::check_hardware(summary.best.hardware).empty());
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "design.json";
  save_design(summary.best, problem.machine, file);
  LoadedDesign loaded = load_design(file.string());
  EXPECT_EQ(to_json(loaded.design, loaded.machine), to_json(summary.best, problem.machine));
  evaluate(loaded.design, loaded.machine, &surrogate());  // throws if a tile is not legal
  EXPECT_EQ(to_json(loaded.design, loaded.machine), to_json(summary.best, problem.machine));
  for (const DesignLayer& entry : summary.best.layers) {
    EXPECT_GT(*entry.analytical_cycles, 0);
    EXPECT_GT(*entry.cycles_sd_log, 0);
    EXPECT_GT(analyse(entry, summary.best.hardware, problem.machine).json["levels"].size(), 3);
  }
  EXPECT_FALSE(gemmini_exporter().files(summary.best, problem.machine).empty());
  const Json comparison = compare_with_default(summary.best, problem.machine, &surrogate()).json;
  EXPECT_EQ(comparison["design"]["edp"].get<double>(), summary.best.totals.edp);
  EXPECT_GE(comparison["gain"]["latency"].get<double>(), 1);
  EXPECT_GT(comparison["gain"]["edp"].get<double>(), 1.2);
}

TEST(RtlSearch, SameSeedSameDesignWhateverTheThreads) {
  const SearchProblem problem = rtl_problem();
  RtlSearchOptions options = quick_rtl();
  options.search.threads = 1;
  const SearchSummary one = rtl_search(problem, model(), options);
  options.search.threads = 3;
  const SearchSummary three = rtl_search(problem, model(), options);
  EXPECT_EQ(to_json(one.best, problem.machine), to_json(three.best, problem.machine));
  EXPECT_EQ(one.evaluations, three.evaluations);
}

// A limit of evaluations holds for everything after the first design, whatever the threads, and what is left
// undone does not count as seen.
TEST(RtlSearch, EvaluatesNoMoreThanItMay) {
  const SearchProblem problem = rtl_problem();
  RtlSearchOptions options = quick_rtl();
  const std::int64_t without_limit = rtl_search(problem, model(), options).evaluations;
  for (const std::int64_t most : {without_limit / 4, without_limit / 2}) {
    options.search.max_evaluations = most;
    options.search.threads = 1;
    const SearchSummary one = rtl_search(problem, model(), options);
    EXPECT_LE(one.evaluations, most);
    EXPECT_GT(one.evaluations, most / 2);
    EXPECT_EQ(one.stopped, "evaluations");
    options.search.threads = 3;
    const SearchSummary three = rtl_search(problem, model(), options);
    EXPECT_EQ(to_json(one.best, problem.machine), to_json(three.best, problem.machine));
    EXPECT_EQ(one.evaluations, three.evaluations);
  }
}

/// The least EDP of a network of one layer over all sizes and calls, tiles of useful sizes and the library's
/// own.
double enumerated_edp(const SearchProblem& problem) {
  const Layer& layer = problem.workload.layers[0];
  double best = INFINITY;
  for (const gemmini::Call call : gemmini::calls_for(layer)) {
    std::vector<gemmini::Tile> tiles(1);
    tiles[0].call = call;
    for (const Dim dim : all_dims()) {
      const std::int64_t most = gemmini::max_tile(layer, call, dim, 16);
      const bool blocks = most > 1 && (call == gemmini::Call::kMatmul || dim == Dim::C || dim == Dim::K);
      std::vector<gemmini::Tile> longer;
      for (const gemmini::Tile& tile : tiles) {
        for (const std::int64_t size : gemmini::useful_tile_sizes(most, blocks ? 16 : 1)) {
          longer.push_back(tile);
          longer.back()[dim] = std::min(size, most);
        }
      }
      tiles = std::move(longer);
    }
    for (const Hardware& built : gemmini::legal_hardware(problem.bounds.min, problem.bounds.max)) {
      std::vector<gemmini::Tile> legal;
      for (const gemmini::Tile& tile : tiles) {
        if (gemmini::tile_is_legal(layer, gemmini::params_of(built), tile)) legal.push_back(tile);
      }
      for (const Hardware& smaller : gemmini::legal_hardware(problem.bounds.min, built))
        legal.push_back(gemmini::runnable_default_tile(layer, smaller, call));
      const TileCosts costs = model().costs(std::vector<Layer>(legal.size(), layer), legal, built);
      best = std::min(best, (costs.cycles * costs.energy_uj).min().item<double>());
    }
  }
  return best;
}

// Without the rule of trust the best design is the least predicted EDP. The second search may not enumerate;
// it can find more, as it also moves from the library's own tiles, whose sizes are not of the useful ones.
TEST(RtlSearch, FindsWhatAnEnumerationFinds) {
  SearchProblem problem = rtl_problem();
  problem.bounds = {{16, 16, 4}, {16, 32, 16}};
  const std::vector<Layer> layers{layer_of("conv", {3, 3, 9, 9, 40, 70, 1}, 1, 1, 1),
                                  layer_of("pointwise", {1, 1, 9, 9, 100, 90, 1}, 1, 0, 1)};
  for (const Layer& layer : layers) {
    problem.workload.layers = {layer};
    const double expected = enumerated_edp(problem);
    RtlSearchOptions options = quick_rtl();
    options.kappa = 0;
    for (const std::int64_t most : {100'000, 64}) {
      options.search.polish_nests = most;
      const SearchSummary summary = rtl_search(problem, model(), options);
      const double ratio = summary.best.totals.edp / expected;
      EXPECT_LT(ratio, 1 + 1e-6) << layer.name << " " << most;  // the networks compute in single precision
      EXPECT_GT(ratio, most > 64 ? 1 - 1e-6 : 0.97) << layer.name << " " << most;
      EXPECT_EQ(summary.polish_complete, most > 64);
    }
  }
}

// Predictions count as much as they are worth: with great doubts only what needs no better latency remains.
TEST(RtlSearch, DoubtfulGainsAreLeft) {
  SearchProblem problem = rtl_problem();
  problem.bounds = {{16, 256, 64}, {16, 256, 64}};
  problem.objective = Objective::from_name("latency");
  RtlSearchOptions options = quick_rtl();
  const Design trusting = rtl_search(problem, model(), options).best;
  options.kappa = 10;
  const Design doubting = rtl_search(problem, model(), options).best;
  std::size_t changed = 0, still_changed = 0;
  for (std::size_t l = 0; l < problem.workload.layers.size(); ++l) {
    const Layer& layer = problem.workload.layers[l];
    const gemmini::Tile own =
        gemmini::runnable_default_tile(layer, problem.bounds.max, gemmini::calls_for(layer).front());
    changed += !(*trusting.layers[l].tile == own);
    still_changed += !(*doubting.layers[l].tile == own);
  }
  EXPECT_GE(changed, 2);
  EXPECT_LT(still_changed, changed);
  EXPECT_LE(trusting.totals.cycles, doubting.totals.cycles);
}

TEST(RtlSearch, RefusesWhatCannotBe) {
  SearchProblem problem = rtl_problem();
  problem.bounds.min.pe_dim = problem.bounds.max.pe_dim = 8;
  expect_error([&] { rtl_search(problem, model(), quick_rtl()); }, ErrorId::kValue, {"pe_dim", "8", "16"});
  problem = rtl_problem();
  problem.bounds.min.scratchpad_kib = problem.bounds.max.scratchpad_kib = 100;
  expect_error([&] { rtl_search(problem, model(), quick_rtl()); }, ErrorId::kBounds, {"128"});
  problem = rtl_problem();
  problem.workload.layers[1].wdilation = problem.workload.layers[1].hdilation = 2;
  expect_error([&] { rtl_search(problem, model(), quick_rtl()); }, ErrorId::kValue, {"conv", "dilation"});
  RtlSearchOptions options = quick_rtl();
  options.kappa = 11;
  expect_error([&] { rtl_search(rtl_problem(), model(), options); }, ErrorId::kValue, {"kappa", "11"});
}

}  // namespace
}  // namespace dosa::testing
