// The search for a real Gemmini: are its designs legal, exact, reproducible, as good as an enumeration, and
// better than the library's own?
#include "dosa/core/targets/gemmini/space.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "dosa/core/explain/explain.hpp"
#include "dosa/core/export/exporter.hpp"
#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/targets/gemmini/campaign/sample.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/random.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

TargetPtr target(double kappa = 1) {
  TargetOptions options;
  options.shipped_surrogate = true;
  options.kappa = kappa;
  return load_target("gemmini-rtl", options);
}
const Surrogate& surrogate() {
  static const Surrogate shipped = Surrogate::load(shipped_surrogate("gemmini-rtl"));
  return shipped;
}
const RtlModel& model() {
  static const RtlModel both(load_array_machine("gemmini-rtl"), &surrogate());
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
SearchProblem rtl_problem(double kappa = 1) {
  SearchProblem problem;
  problem.target = target(kappa);
  problem.bounds = {ArraySizes{16, 16, 4}, ArraySizes{16, 256, 64}};
  problem.objective = Objective::from_name("edp");
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

SearchOptions quick_rtl() {
  SearchOptions options;
  options.stages = Stages::kDescentAndPolish;
  options.learning_rate = 0.15;
  options.starts = 8;
  options.steps = 30;
  options.round_every = 15;
  options.polish_nests = 500;
  options.threads = 2;
  return options;
}

TEST(GemminiSpace, DesignsAreLegalExactAndBetterThanTheDefault) {
  const SearchProblem problem = rtl_problem();
  const SearchSummary summary = optimize(problem, quick_rtl());
  EXPECT_GT(summary.evaluations, 8 * 30 * 7);
  EXPECT_TRUE(gemmini::check_hardware(ArraySizes::of(summary.best.hardware)).empty());
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "design.json";
  save_design(summary.best, file);
  LoadedDesign loaded = load_design(file.string());
  EXPECT_EQ(to_json(loaded.design), to_json(summary.best));
  evaluate(loaded.design, *problem.target);  // throws if a tile is not legal
  EXPECT_EQ(to_json(loaded.design), to_json(summary.best));
  for (const DesignLayer& entry : summary.best.layers) {
    EXPECT_GT(*entry.costs.analytical_cycles, 0);
    EXPECT_GT(*entry.costs.cycles_sd_log, 0);
  }
  EXPECT_FALSE(gemmini_exporter().files(summary.best, *problem.target).empty());
  const Json comparison = problem.target->compare_with_default(summary.best)->json;
  EXPECT_EQ(comparison["design"]["edp"].get<double>(), summary.best.totals.edp);
  EXPECT_GE(comparison["gain"]["latency"].get<double>(), 1);
  EXPECT_GT(comparison["gain"]["edp"].get<double>(), 1.2);
}

TEST(GemminiSpace, SameSeedSameDesignWhateverTheThreads) {
  const SearchProblem problem = rtl_problem();
  SearchOptions options = quick_rtl();
  options.threads = 1;
  const SearchSummary one = optimize(problem, options);
  options.threads = 3;
  const SearchSummary three = optimize(problem, options);
  EXPECT_EQ(to_json(one.best), to_json(three.best));
  EXPECT_EQ(one.evaluations, three.evaluations);
}

// A limit of evaluations holds for everything after the first design, whatever the threads, and what is left
// undone does not count as seen.
TEST(GemminiSpace, EvaluatesNoMoreThanItMay) {
  const SearchProblem problem = rtl_problem();
  SearchOptions options = quick_rtl();
  const std::int64_t without_limit = optimize(problem, options).evaluations;
  for (const std::int64_t most : {without_limit / 4, without_limit / 2}) {
    options.max_evaluations = most;
    options.threads = 1;
    const SearchSummary one = optimize(problem, options);
    EXPECT_LE(one.evaluations, most);
    EXPECT_GT(one.evaluations, most / 2);
    EXPECT_EQ(one.stopped, "evaluations");
    options.threads = 3;
    const SearchSummary three = optimize(problem, options);
    EXPECT_EQ(to_json(one.best), to_json(three.best));
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
    for (const ArraySizes& built :
         gemmini::legal_hardware(ArraySizes::of(problem.bounds.min), ArraySizes::of(problem.bounds.max))) {
      std::vector<gemmini::Tile> legal;
      for (const gemmini::Tile& tile : tiles) {
        if (gemmini::tile_is_legal(layer, gemmini::params_of(built), tile)) legal.push_back(tile);
      }
      for (const ArraySizes& smaller : gemmini::legal_hardware(ArraySizes::of(problem.bounds.min), built))
        legal.push_back(gemmini::runnable_default_tile(layer, smaller, call));
      const TileCosts costs = model().costs(std::vector<Layer>(legal.size(), layer), legal, built);
      best = std::min(best, (costs.cycles * costs.energy_uj).min().item<double>());
    }
  }
  return best;
}

// Without the rule of trust the best design is the least predicted EDP. The second search may not enumerate;
// it can find more, as it also moves from the library's own tiles, whose sizes are not of the useful ones.
TEST(GemminiSpace, FindsWhatAnEnumerationFinds) {
  SearchProblem problem = rtl_problem(0);
  problem.bounds = {ArraySizes{16, 16, 4}, ArraySizes{16, 32, 16}};
  const std::vector<Layer> layers{layer_of("conv", {3, 3, 9, 9, 40, 70, 1}, 1, 1, 1),
                                  layer_of("pointwise", {1, 1, 9, 9, 100, 90, 1}, 1, 0, 1)};
  for (const Layer& layer : layers) {
    problem.workload.layers = {layer};
    const double expected = enumerated_edp(problem);
    SearchOptions options = quick_rtl();
    for (const std::int64_t most : {100'000, 64}) {
      options.polish_nests = most;
      const SearchSummary summary = optimize(problem, options);
      const double ratio = summary.best.totals.edp / expected;
      EXPECT_LT(ratio, 1 + 1e-6) << layer.name << " " << most;  // the networks compute in single precision
      EXPECT_GT(ratio, most > 64 ? 1 - 1e-6 : 0.97) << layer.name << " " << most;
      EXPECT_EQ(summary.complete, most > 64);
    }
  }
}

// Predictions count as much as they are worth: with great doubts only what needs no better latency remains.
TEST(GemminiSpace, DoubtfulGainsAreLeft) {
  SearchProblem problem = rtl_problem();
  problem.bounds = {ArraySizes{16, 256, 64}, ArraySizes{16, 256, 64}};
  problem.objective = Objective::from_name("latency");
  SearchOptions options = quick_rtl();
  const Design trusting = optimize(problem, options).best;
  problem.target = target(10);
  const Design doubting = optimize(problem, options).best;
  std::size_t changed = 0, still_changed = 0;
  for (std::size_t l = 0; l < problem.workload.layers.size(); ++l) {
    const Layer& layer = problem.workload.layers[l];
    const gemmini::Tile own = gemmini::runnable_default_tile(layer, ArraySizes::of(problem.bounds.max),
                                                             gemmini::calls_for(layer).front());
    changed +=
        !(gemmini::tile_of(layer, trusting.layers[l].schedule, ArraySizes::of(trusting.hardware)) == own);
    still_changed +=
        !(gemmini::tile_of(layer, doubting.layers[l].schedule, ArraySizes::of(doubting.hardware)) == own);
  }
  EXPECT_GE(changed, 2);
  EXPECT_LT(still_changed, changed);
  EXPECT_LE(trusting.totals.cycles, doubting.totals.cycles);
}

/// The rule as measured, tile by tile: a convolution of one pixel with padding, or a single column of padded
/// outputs and one block of output channels where kernel columns share rows of a small array.
bool runs_wrong(const Layer& layer, const gemmini::Tile& tile, std::int64_t pe_dim) {
  if (tile.call != gemmini::Call::kConv || layer.padding.value_or(0) == 0) return false;
  if (layer.input_width() == 1 && layer.input_height() == 1) return true;
  if (pe_dim >= 16) return false;
  const auto at = [&](Dim d, std::int64_t from) { return std::min(tile[d], layer[d] - from); };
  for (std::int64_t p = 0; p < layer[Dim::P]; p += tile[Dim::P])
    for (std::int64_t k = 0; k < layer[Dim::K]; k += tile[Dim::K])
      for (std::int64_t r = 0; r < layer[Dim::R]; r += tile[Dim::R])
        for (std::int64_t c = 0; c < layer[Dim::C]; c += tile[Dim::C])
          if (std::min(pe_dim / at(Dim::C, c), at(Dim::R, r)) > 1 && at(Dim::P, p) == 1 &&
              at(Dim::K, k) <= pe_dim)
            return true;
  return false;
}

// Random networks of small layers, as searches, samples and the comparison with the default see them.
TEST(GemminiSpace, NoTileThatRunsWrongIsHandedOut) {
  std::mt19937 random(6);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random()) % (high - low + 1);
  };
  const TargetPtr analytical = load_target("gemmini-rtl");
  int one_pixel = 0, defaults_repaired = 0;
  for (int network = 0; network < 12; ++network) {
    const std::int64_t pe_dim = std::int64_t{4} << network % 3;
    const ArraySizes built = gemmini::nearest_hardware({pe_dim, 16, 8});
    SearchProblem problem{{}, analytical, {built, built}, Objective::from_name("edp")};
    problem.bounds.max = gemmini::nearest_hardware({pe_dim, 32, 16});
    problem.workload.name = "small";
    // On an array of 8 the library's own tiles are 32 columns wide and leave one.
    problem.workload.layers = {layer_of("wide", {7, 7, 33, 33, 3, 6, 1}, 2, 3, 1)};
    problem.workload.layers[0].known_input_width = problem.workload.layers[0].known_input_height = 65;
    while (problem.workload.layers.size() < 8) {
      const std::int64_t kernel = 2 * pick(0, 2) + 1, padding = kernel / 2, input = pick(1, 9);
      const std::string name = "layer" + std::to_string(problem.workload.layers.size());
      const std::int64_t stride = pick(1, 2), out = (input + 2 * padding - kernel) / stride + 1;
      Layer layer =
          layer_of(name.c_str(), {kernel, kernel, out, out, pick(1, 6), pick(1, 20), 1}, stride, padding, 1);
      layer.known_input_width = layer.known_input_height = input;
      try {
        gemmini::runnable_default_tile(layer, built, gemmini::calls_for(layer).front());
        gemmini::runnable_default_tile(layer, default_gemmini(load_array_machine("gemmini-rtl"), pe_dim),
                                       gemmini::calls_for(layer).front());
      } catch (const Error& error) {
        EXPECT_EQ(error.id(), ErrorId::kCapacity) << error.what();
        continue;  // no tile of it runs right
      }
      one_pixel += gemmini::sees_one_pixel(layer);
      problem.workload.layers.push_back(layer);
    }
    const Design design = optimize(problem, quick_rtl()).best;
    const Explanation explanation = *analytical->compare_with_default(design);
    const Json& comparison = explanation.json;
    EXPECT_EQ(
        explanation.text.find("wide: the library's own tile does not run; compared with conv R7 S7 P") !=
            std::string::npos,
        pe_dim == 8)
        << explanation.text;
    for (std::size_t l = 0; l < design.layers.size(); ++l) {
      const Layer& layer = problem.workload.layers[l];
      const gemmini::Tile chosen =
          gemmini::tile_of(layer, design.layers[l].schedule, ArraySizes::of(design.hardware));
      EXPECT_FALSE(runs_wrong(layer, chosen, pe_dim)) << gemmini::to_string(chosen);
      const Json& by_default = comparison["layers"][l]["default"];
      const gemmini::Tile own =
          gemmini::tile_from_json(JsonInput::from_text(by_default["tile"].dump(), "tile"));
      EXPECT_FALSE(runs_wrong(layer, own, pe_dim)) << gemmini::to_string(own);
      const ArraySizes sizes = default_gemmini(load_array_machine("gemmini-rtl"), pe_dim);
      const gemmini::Tile of_library = gemmini::default_tile(layer, sizes);
      EXPECT_EQ(by_default.contains("problem"), !(own == of_library));
      defaults_repaired += runs_wrong(layer, of_library, pe_dim);
    }
    SampleOptions options;
    options.hardware = built;
    options.count = 200;
    const Plan plan = sample_campaign(problem.workload, options).plan;
    EXPECT_NO_THROW(campaign_files(plan));
    for (const PlannedCall& call : plan.measurements)
      EXPECT_FALSE(runs_wrong(plan.layers[call.layer], call.tile, pe_dim)) << gemmini::to_string(call.tile);
    for (const Exporter* exporter : {&gemmini_exporter(), &timeloop_exporter()})
      EXPECT_NO_THROW(exporter->files(design, *analytical)) << exporter->name();
  }
  EXPECT_GT(one_pixel, 3);
  EXPECT_GT(defaults_repaired, 0);
}

// A layer that the library does not run as it is costs what the product of its im2col does; one that nothing
// runs is in no total, and is named.
TEST(GemminiSpace, WhatTheCpuDoesIsNamedAndNotCounted) {
  Workload network;
  network.name = "mixed";
  Layer tall = layer_of("tall", {1, 31, 20, 20, 32, 24, 1}, 1, 0, 2);
  Layer dilated = layer_of("dilated", {3, 3, 14, 14, 24, 24, 1}, 1, 2, 1);
  dilated.wdilation = dilated.hdilation = 2;
  const Layer plain = layer_of("plain", {3, 3, 14, 14, 24, 24, 1}, 1, 1, 1);
  const Layer huge = layer_of("huge", {1, 1, 1 << 22, 1, 1 << 17, 1, 1}, 1, 0, 1);
  network.layers = {tall, huge, dilated, plain};
  expect_error([&] { refuse_cpu_work(network, *target()); }, ErrorId::kValue,
               {"mixed: layer tall", "without the CPU", "square kernels"});
  SearchProblem problem = SearchProblem::of(network, target(), Objective::from_name("edp"));
  problem.bounds = {ArraySizes{16, 16, 4}, ArraySizes{16, 256, 64}};
  ASSERT_EQ(problem.workload.layers.size(), 3u);
  SearchOptions options = quick_rtl();
  options.stages = Stages::kPolish;
  Design design = optimize(problem, options).best;
  const TemporaryFolder folder;
  save_design(design, folder.path() / "design.json");
  design = load_design(folder.path() / "design.json").design;
  ASSERT_EQ(design.layers.size(), 3u);
  ASSERT_EQ(design.left_to_cpu.size(), 1u);
  EXPECT_EQ(to_json(design.left_to_cpu[0].layer), to_json(huge));
  EXPECT_NE(design.left_to_cpu[0].reason.find("2^38"), std::string::npos);
  const ArraySizes sizes = ArraySizes::of(design.hardware);
  for (std::size_t i = 0; i < 2; ++i) {
    const gemmini::Tile tile = gemmini::tile_of(design.layers[i].layer, design.layers[i].schedule, sizes);
    ASSERT_EQ(tile.call, gemmini::Call::kIm2col);
    Layer product = layer_of("product", gemmini::extents(design.layers[i].layer, tile.call), 1, 0, 1);
    const auto as_product =
        std::make_shared<gemmini::TileSchedule>(gemmini::Tile{gemmini::Call::kMatmul, tile.size});
    const auto costs = target()->costs({design.layers[i].layer, product},
                                       {design.layers[i].schedule, as_product}, design.hardware);
    EXPECT_EQ(costs[0].cycles, costs[1].cycles);
    EXPECT_EQ(costs[0].energy_uj, costs[1].energy_uj);
  }
  // By hand: 2 * 31 * 400 * 32 * 24, 9 * 196 * 24 * 24 twice, 2^39.
  const double counted = 2.0 * 31 * 400 * 32 * 24, square = 9.0 * 196 * 24 * 24, left = std::ldexp(1, 39);
  const double all = counted + 2 * square + left;
  const std::vector<std::string> remarks = cpu_remarks(design);
  ASSERT_EQ(remarks.size(), 2u);
  EXPECT_EQ(remarks[0],
            fmt::format("im2col on the CPU, which is not counted: tall, dilated ({:.2f} % of the MACs)",
                        100 * (counted + square) / all));
  EXPECT_EQ(
      remarks[1].rfind(fmt::format("left to the CPU, not counted: huge ({:.2f} % of the MACs): a program",
                                   100 * left / all),
                       0),
      0u)
      << remarks[1];
  EXPECT_EQ(remarks, cpu_remarks(problem.workload, problem.left_to_cpu, *target()));
  EXPECT_NE(report(design, *target()).find(remarks[0]), std::string::npos);
  EXPECT_EQ(report(design, *target()).find("huge") != std::string::npos, true);
  // Programs say what they do not run.
  std::string makefile, plan;
  for (const OutputFile& file : exporter("gemmini").files(design, *load_target("gemmini-rtl"))) {
    if (file.name == "Makefile") makefile = file.content;
    if (file.name == "plan.json") plan = file.content;
  }
  EXPECT_NE(makefile.find("# left to the CPU, not counted: huge"), std::string::npos);
  EXPECT_EQ(plan_from_json(JsonInput::from_text(plan, "plan.json")).remarks, remarks);
  network.layers = {huge};
  expect_error([&] { SearchProblem::of(network, target(), Objective::from_name("edp")); }, ErrorId::kValue,
               {"mixed: gemmini-rtl runs none of the layers", "huge", "2^38"});
}

// Energy is counted, and the last tile of a size is as small as what is left. Latency is predicted, and a
// prediction may think a size slower than one that fills its tiles.
TEST(GemminiSpace, ASizeTakesNoMoreThanALargerOneButForTheErrorOfPredictions) {
  Random random(11);
  const auto draw = [&](std::int64_t least, std::int64_t most) {
    return least + random.below(most - least + 1);
  };
  const TargetPtr priced = target(0);
  const auto best = [&](const Layer& layer, const char* objective) {
    SearchProblem problem{{"one", "", "", {layer}}, priced, {}, Objective::from_name(objective)};
    problem.bounds.min = problem.bounds.max = ArraySizes{16, 256, 64};
    MapOptions all;
    all.max_nests = 100'000'000;
    const MapSummary found = map_exhaustively(problem, all);
    EXPECT_TRUE(found.proven());
    return problem.value(found.best);
  };
  const int layers = cases(5);
  int slower = 0;
  double most = 1;
  for (int i = 0; i < layers; ++i) {
    const bool is_product = i % 2 == 0;
    const std::int64_t filter = 2 * draw(0, 2) + 1, pixels = draw(2, 40);
    Layer layer = is_product
                      ? layer_of("product", {1, 1, draw(1, 400), 1, draw(1, 400), draw(1, 400), 1}, 1, 0, 1)
                      : layer_of("convolution",
                                 {filter, filter, pixels, pixels, draw(1, 200), draw(1, 200), draw(1, 2)},
                                 draw(1, 2), filter / 2, 1);
    Layer larger = layer;
    larger[(is_product ? std::array{Dim::P, Dim::C, Dim::K}
                       : std::array{Dim::N, Dim::C, Dim::K})[draw(0, 2)]] += draw(1, 16);
    SCOPED_TRACE(to_json(layer).dump() + " against " + to_json(larger).dump());
    EXPECT_LE(best(layer, "energy"), best(larger, "energy") * (1 + 1e-9));
    for (const char* objective : {"edp", "latency"}) {
      const double over = best(layer, objective) / best(larger, objective);
      EXPECT_LE(over, 1.05) << objective;
      slower += over > 1 + 1e-9 ? 1 : 0;
      most = std::max(most, over);
    }
  }
  EXPECT_LE(slower, layers / 3);
  RecordProperty("slower", slower);
  RecordProperty("most", std::to_string(most));
}

TEST(GemminiSpace, RefusesWhatCannotBe) {
  SearchProblem problem = rtl_problem();
  problem.bounds.min[kScratchpadParameter] = problem.bounds.max[kScratchpadParameter] = 100;
  expect_error([&] { optimize(problem, quick_rtl()); }, ErrorId::kBounds, {"128"});
  expect_error([] { target(11); }, ErrorId::kValue, {"kappa", "11"});
}

}  // namespace
}  // namespace dosa::testing
