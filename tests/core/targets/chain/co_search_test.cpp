// The search for the sizes of a chain of memories together with the mappings.
#include <gtest/gtest.h>

#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/targets/chain/codes.hpp"
#include "dosa/core/targets/chain/sized_layer.hpp"
#include "dosa/models/chain/chain_model.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

std::vector<Layer> some_layers() {
  Layer conv;
  conv.name = "conv";
  conv.size = {3, 3, 14, 14, 32, 48, 1};
  Layer wide;
  wide.name = "wide";
  wide.size = {5, 1, 9, 9, 20, 24, 1};
  wide.wstride = 2;
  wide.groups = 2;
  Layer product;
  product.name = "product";
  product.count = 3;
  product.size = {1, 1, 96, 1, 64, 128, 1};
  return {conv, wide, product};
}

SearchProblem problem_on(const char* machine) {
  SearchProblem problem;
  problem.workload.name = "small";
  problem.workload.layers = some_layers();
  problem.target = load_target(machine);
  problem.objective = Objective::from_name("edp");
  problem.bounds = {problem.machine().min_hardware, problem.machine().max_hardware};
  return problem;
}

SearchOptions quick(const SearchProblem& problem) {
  SearchOptions options = problem.target->default_options();
  options.polish_nests = 3000;
  return options;
}

constexpr const char* kSearched[] = {"simba", "eyeriss", "nvdla", "tpu"};

// What a frontier says of its entries holds on any hardware: they fit where it says so, and their energy is
// affine in the sizes.
TEST(CoSearch, AFrontierSaysWhatTheExactModelSaysOnAnyHardware) {
  Random random(4);
  std::size_t fitting = 0, too_large = 0;
  for (const char* name : kSearched) {
    const SearchProblem problem = problem_on(name);
    const Chain chain = load_chain(name);
    for (std::size_t l = 0; l < problem.workload.layers.size(); ++l) {
      const Layer& layer = problem.workload.layers[l];
      const Shape shape = problem.shape_of(chain.default_hardware);
      SizedLayer sized(problem, chain, l, shape, 1);
      Allowance allowance;
      sized.look({}, 4000, allowance);
      const Frontier& frontier = sized.frontier();
      ASSERT_GT(frontier.numbers.size(0), 0);
      EXPECT_LE(frontier.evaluated, 5000);
      for (int trial = 0; trial < 30; ++trial) {
        Hardware hardware = problem.with_shape(problem.bounds.min, shape);
        for (std::size_t b = 0; b < problem.buffers(); ++b) {
          const auto low = static_cast<double>(problem.buffer(problem.bounds.min, b));
          const auto high = static_cast<double>(problem.buffer(problem.bounds.max, b));
          problem.buffer(hardware, b) = std::llround(low * std::pow(high / low, random.uniform()));
        }
        const std::int64_t row = random.below(frontier.numbers.size(0));
        const torch::Tensor numbers = frontier.numbers.narrow(0, row, 1);
        const std::vector<double> buffers = buffers_of(hardware, problem.buffers());
        const NestModel exact(chain.at(hardware), layer);
        const ChainNest nest =
            nest_of_code(frontier.codes[row].contiguous().data_ptr<double>(), chain.levels.size());
        const NestCost cost = exact.cost(nest);
        ASSERT_EQ(fits(numbers, buffers).item<bool>(), cost.fits) << name << " " << chain.text(hardware);
        ++(cost.fits ? fitting : too_large);
        if (!cost.fits) continue;
        const auto groups = static_cast<double>(layer.groups);
        EXPECT_EQ(numbers[0][Frontier::kCycles].item<double>(), cost.cycles * groups);
        EXPECT_NEAR(energy_at(numbers, buffers).item<double>() / (cost.energy_pj * groups), 1, 1e-9);
      }
    }
  }
  EXPECT_GT(fitting, 30U);
  EXPECT_GT(too_large, 30U);
}

TEST(CoSearch, DesignsAreExactAndWithinTheirBounds) {
  for (const char* name : kSearched) {
    SearchProblem problem = problem_on(name);
    const Hardware& usual = problem.machine().default_hardware;
    problem.bounds.max_area_mm2 = problem.machine().area_mm2(usual);
    problem.bounds.min[0] = problem.bounds.max[0] = usual[0];  // as --size NAME=N fixes it
    Design design = optimize(problem, quick(problem)).best;
    const DesignTotals found = design.totals;
    evaluate(design, *problem.target);  // throws where a mapping does not fit
    EXPECT_EQ(design.totals.edp, found.edp);
    EXPECT_LE(design.totals.area_mm2, problem.bounds.max_area_mm2);
    EXPECT_EQ(design.hardware[0], usual[0]);
    for (std::size_t p = 0; p < usual.size(); ++p) {
      EXPECT_GE(design.hardware[p], problem.bounds.min[p]);
      EXPECT_LE(design.hardware[p], problem.bounds.max[p]);
    }
    const TemporaryFolder folder;
    save_design(design, folder.path() / "design.json");
    const LoadedDesign loaded = load_design(folder.path() / "design.json");
    EXPECT_EQ(to_json(loaded.design), to_json(design));
  }
}

TEST(CoSearch, TheSeedDecidesAndNotTheThreads) {
  const SearchProblem problem = problem_on("nvdla");
  SearchOptions options = quick(problem);
  options.threads = 1;
  const Json one = to_json(optimize(problem, options).best);
  options.threads = 3;
  EXPECT_EQ(to_json(optimize(problem, options).best), one);
  options.seed = 7;
  EXPECT_NE(to_json(optimize(problem, options).best), one);
}

// Also where only the mappings are left to choose, which have a search of their own.
TEST(CoSearch, EvaluationsAreLimitedAndTheSeedDecides) {
  for (const bool fixed : {false, true}) {
    SearchProblem problem = problem_on("simba");
    if (fixed) problem.bounds.min = problem.bounds.max = problem.machine().default_hardware;
    for (const std::int64_t most : {1000, 5000, 20'000}) {
      SearchOptions options = quick(problem);
      options.max_evaluations = most;
      const SearchSummary summary = optimize(problem, options);
      EXPECT_LE(summary.evaluations, most) << fixed;
      EXPECT_FALSE(summary.best.layers.empty());
      EXPECT_EQ(to_json(optimize(problem, options).best), to_json(summary.best));
      options.seed = 3;
      EXPECT_NE(to_json(optimize(problem, options).best)["layers"], to_json(summary.best)["layers"]) << fixed;
    }
  }
}

// At the area of the published sizes, whose mappings are searched as hard.
TEST(CoSearch, FindsBetterSizesThanThePublishedOnes) {
  for (const char* name : {"simba", "eyeriss", "nvdla"}) {
    SearchProblem problem = problem_on(name);
    const Hardware& usual = problem.machine().default_hardware;
    problem.bounds.max_area_mm2 = problem.machine().area_mm2(usual);
    SearchOptions options = quick(problem);
    options.polish_nests = 10'000;
    const Design free = optimize(problem, options).best;
    problem.bounds.min = problem.bounds.max = usual;
    MapOptions map;
    map.samples = 100'000;
    const Design published = map_exhaustively(problem, map).best;
    EXPECT_LT(1.1 * free.totals.edp, published.totals.edp) << name;
  }
}

TEST(CoSearch, DescentIsRefused) {
  const SearchProblem problem = problem_on("tpu");
  SearchOptions options = quick(problem);
  options.stages = Stages::kDescentAndPolish;
  expect_error([&] { optimize(problem, options); }, ErrorId::kValue, {"stages", "polish"});
  SearchProblem fixed = problem_on("tpu");
  fixed.bounds.min = fixed.bounds.max;
  expect_error([&] { optimize(fixed, options); }, ErrorId::kValue, {"stages", "polish"});
}

}  // namespace
}  // namespace dosa::testing
