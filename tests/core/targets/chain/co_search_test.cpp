// The search for the sizes of a chain of memories together with the mappings.
#include <gtest/gtest.h>

#include "dosa/core/search/descent.hpp"
#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/targets/chain/codes.hpp"
#include "dosa/core/targets/chain/sized_layer.hpp"
#include "dosa/core/targets/chain/sized_relaxation.hpp"
#include "dosa/models/chain/chain_model.hpp"
#include "tests/models/chain/ruled_machine.hpp"
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

const char* const kSearched[] = {"simba", "eyeriss", "nvdla", "tpu", ruled_machine_file()};

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
        hardware = as_built(chain, hardware);
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

// With and without a descent, and where all sizes are fixed.
TEST(CoSearch, DesignsAreExactAndWithinTheirBounds) {
  for (const char* name : kSearched) {
    for (const auto& [stages, fixed] :
         {std::pair{Stages::kPolish, false}, std::pair{Stages::kDescent, false},
          std::pair{Stages::kDescentAndPolish, false}, std::pair{Stages::kDescentAndPolish, true}}) {
      SearchProblem problem = problem_on(name);
      const Hardware& usual = problem.machine().default_hardware;
      problem.bounds.max_area_mm2 = problem.machine().area_mm2(usual);
      problem.bounds.min[0] = problem.bounds.max[0] = usual[0];  // as --size NAME=N fixes it
      if (fixed) problem.bounds.min = problem.bounds.max = usual;
      SearchOptions options = quick(problem);
      options.stages = stages;
      options.steps = 40;
      options.polish_nests = 500;
      Design design = optimize(problem, options).best;
      const DesignTotals found = design.totals;
      evaluate(design, *problem.target);  // throws where a mapping does not fit
      EXPECT_EQ(design.totals.edp, found.edp);
      EXPECT_LE(design.totals.area_mm2, problem.bounds.max_area_mm2);
      EXPECT_EQ(design.hardware[0], usual[0]);
      for (std::size_t p = 0; p < usual.size(); ++p) {
        EXPECT_GE(design.hardware[p], problem.bounds.min[p]);
        EXPECT_LE(design.hardware[p], problem.bounds.max[p]);
        EXPECT_TRUE(problem.machine().parameters[p].allows(design.hardware[p])) << name;
      }
      const TemporaryFolder folder;
      save_design(design, folder.path() / "design.json");
      const LoadedDesign loaded = load_design(folder.path() / "design.json", name);
      EXPECT_EQ(to_json(loaded.design), to_json(design));
    }
  }
}

TEST(CoSearch, TheSeedDecidesAndNotTheThreads) {
  const SearchProblem problem = problem_on("nvdla");
  for (const Stages stages : {Stages::kPolish, Stages::kDescentAndPolish}) {
    SearchOptions options = quick(problem);
    options.stages = stages;
    options.threads = 1;
    const Json one = to_json(optimize(problem, options).best);
    options.threads = 3;
    EXPECT_EQ(to_json(optimize(problem, options).best), one);
    options.seed = 7;
    EXPECT_NE(to_json(optimize(problem, options).best), one);
  }
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

// Not to one shape, though by default a single one may take more than there are.
TEST(CoSearch, FewEvaluationsGoToManyShapes) {
  for (const char* name : {"simba", "nvdla"}) {
    const SearchProblem problem = problem_on(name);
    SearchOptions options = problem.target->default_options();
    const auto layers = static_cast<std::int64_t>(problem.workload.layers.size());
    options.max_evaluations = 4000 * layers;
    ASSERT_LT(options.max_evaluations, options.polish_nests);
    const SearchSummary few = optimize(problem, options);
    EXPECT_LE(few.evaluations, options.max_evaluations);
    options = quick(problem);
    const double known = optimize(problem, options).best.totals.edp;
    EXPECT_LT(few.best.totals.edp, 1.1 * known) << name << " " << problem.machine().text(few.best.hardware);
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

// The relaxed hardware is one that a search may build, of a shape that it tries, with the room that the
// neediest layer needs.
TEST(CoSearch, ADescentLowersTheObjectiveWithinTheBounds) {
  for (const char* name : kSearched) {
    SearchProblem problem = problem_on(name);
    problem.bounds.max_area_mm2 = problem.machine().area_mm2(problem.machine().default_hardware);
    const auto space = problem.target->space(problem, "cpu");
    Descent descent(*space, 0, 4, 4, 1, 0.3);
    const double before = descent.cost(1).loss.mean().item<double>();
    descent.run(0, 60, 60);
    const RelaxedCost after = descent.cost(1);
    EXPECT_LT(after.loss.mean().item<double>(), before - 1) << name;
    const std::vector<Shape> shapes = space->shapes();
    for (std::int64_t start = 0; start < 4; ++start) {
      Shape shape;
      for (std::size_t p = 0; p < problem.bounds.min.size(); ++p) {
        const double size = after.hardware[start][static_cast<std::int64_t>(p)].item<double>();
        EXPECT_GE(size, problem.bounds.min[p]) << name;
        if (p < problem.machine().shape_parameters) shape.push_back(std::llround(size));
      }
      const bool searched = std::find(shapes.begin(), shapes.end(), shape) != shapes.end();
      EXPECT_TRUE(searched || !problem.has_room_for(shape)) << name;
      const Hardware decoded = SizedRelaxation::hardware_of(descent.decoded()[start], load_chain(name));
      EXPECT_EQ(problem.shape_of(decoded), shape) << name;
    }
  }
}

// Of starts whose loops stand far outside, so that nothing exceeds anything but the area: how a layer's
// excess is weighed is not differentiated.
TEST(CoSearch, GradientsAreFiniteDifferences) {
  for (const char* name : kSearched) {
    SearchProblem problem = problem_on(name);
    problem.bounds.max_area_mm2 = 0.02 * problem.machine().area_mm2(problem.machine().default_hardware);
    const Chain chain = load_chain(name);
    const torch::TensorOptions options(torch::kFloat64);
    const ChainRelaxation nests(chain.at(problem.bounds.max), problem.workload.layers, problem.objective,
                                options);
    const SizedRelaxation relaxation(problem, chain, nests, options);
    const torch::Tensor gate = torch::full({}, 4, options);
    const auto generator = at::detail::createCPUGenerator(5);
    const torch::Tensor at = relaxation.random_parameters(3, generator);
    const auto layers = static_cast<std::int64_t>(problem.workload.layers.size());
    const auto levels = static_cast<std::int64_t>(chain.levels.size());
    at.slice(1, 0, layers * levels * 4 * kDims)
        .unflatten(1, {layers, levels, 4, kDims})
        .select(2, levels - 1)
        .select(2, 0)
        .add_(5);
    at.requires_grad_();
    const torch::Tensor gradient =
        torch::autograd::grad({relaxation.cost(at, gate).loss.sum()}, {at}).front();
    const auto shape_parameters = static_cast<std::int64_t>(problem.machine().shape_parameters);
    EXPECT_GT(gradient.slice(1, at.size(1) - shape_parameters).abs().min().item<double>(), 0) << name;
    const torch::NoGradGuard no_gradients;
    for (int trial = 0; trial < 10; ++trial) {
      const torch::Tensor way = torch::randn(at.sizes(), generator, options);
      const auto loss = [&](double step) {
        return relaxation.cost(at + step * way, gate).loss.sum().item<double>();
      };
      constexpr double kStep = 1e-6;
      const double slope = (gradient * way).sum().item<double>();
      EXPECT_NEAR((loss(kStep) - loss(-kStep)) / (2 * kStep), slope, 1e-4 * (1 + std::abs(slope))) << name;
    }
  }
}

TEST(CoSearch, ADescentThatIsResumedEndsLikeAWholeOne) {
  const SearchProblem problem = problem_on("nvdla");
  SearchOptions options = quick(problem);
  options.stages = Stages::kDescentAndPolish;
  options.steps = 40;
  options.round_every = 20;
  const Json whole = to_json(optimize(problem, options).best);
  const TemporaryFolder folder;
  options.checkpoint = folder.path() / "state";
  options.checkpoint_every_s = 0;
  options.max_evaluations = 40 * problem.target->default_options().starts;  // some of the steps
  optimize(problem, options);
  options.max_evaluations = 0;
  options.checkpoint.clear();
  options.resume = folder.path() / "state";
  EXPECT_EQ(to_json(optimize(problem, options).best)["layers"], whole["layers"]);
}

}  // namespace
}  // namespace dosa::testing
