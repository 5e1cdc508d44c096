// Tests of the search: relaxation, mapper, and the whole.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dosa/core/search/descent.hpp"
#include "dosa/core/targets/mapping/enumeration.hpp"
#include "dosa/core/targets/mapping/relaxation.hpp"
#include "tests/core/search/problems.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

using torch::Tensor;

/// A small network: a strided convolution with an odd size, a matrix product, a depthwise convolution.
SearchProblem small_problem() {
  Workload workload;
  workload.name = "small";
  Layer conv;
  conv.name = "conv";
  conv.size = {3, 3, 6, 6, 4, 8, 1};
  conv.wstride = conv.hstride = 2;
  Layer matmul;
  matmul.name = "matmul";
  matmul.count = 3;
  matmul.size = {1, 1, 12, 1, 16, 20, 1};
  Layer depthwise;
  depthwise.name = "depthwise";
  depthwise.groups = 8;
  depthwise.size = {3, 3, 6, 6, 1, 1, 1};
  workload.layers = {conv, matmul, depthwise};
  return on_gemmini_tl(workload);
}

TEST(Relaxation, FactorsMultiplyToTheLayerAndStayAboveOne) {
  SearchProblem problem = small_problem();
  problem.bounds.max[kPeParameter] = 4;
  const Relaxation relaxation(problem, torch::kFloat64);
  const Tensor logits = 3 * relaxation.random_logits(5, at::detail::createCPUGenerator(1));
  const Tensor factors = relaxation.log_factors(logits);
  EXPECT_GE(factors.min().item<double>(), -1e-12);
  for (std::size_t l = 0; l < problem.workload.layers.size(); ++l) {
    for (const Dim dim : all_dims()) {
      Tensor sum = torch::zeros({5}, torch::kFloat64);
      for (std::size_t s = 0; s < relaxation.model().slots().size(); ++s) {
        const Slot& slot = relaxation.model().slots()[s];
        const Tensor factor =
            factors.select(1, static_cast<std::int64_t>(l)).select(1, static_cast<std::int64_t>(s));
        if (slot.spatial) {
          EXPECT_LE(factor.max().item<double>(), std::log(4.0) + 1e-6);
        }
        if (slot.dim == dim) sum = sum + factor;
      }
      const double expected = std::log(static_cast<double>(problem.workload.layers[l][dim]));
      EXPECT_LT((sum - expected).abs().max().item<double>(), 1e-9);
    }
  }
}

TEST(Relaxation, LossHasFiniteGradientsEverywhere) {
  const SearchProblem problem = small_problem();
  const Relaxation relaxation(problem, torch::kFloat32);
  const Tensor logits =
      (20 * relaxation.random_logits(16, at::detail::createCPUGenerator(2))).requires_grad_(true);
  for (const double gate : {1.0, 30.0}) {
    const RelaxedCost cost = relaxation.cost(relaxation.log_factors(logits), Softness::of(gate, 0.01));
    cost.loss.sum().backward();
    EXPECT_TRUE(cost.loss.isfinite().all().item<bool>());
    EXPECT_TRUE(logits.grad().isfinite().all().item<bool>());
  }
}

/// Where starts stand after some steps, in batches of `batch`.
Tensor descended(const SearchSpace& space, std::int64_t starts, std::int64_t batch, std::int64_t steps) {
  constexpr std::int64_t kGroup = 8;
  std::vector<Tensor> all;
  for (std::int64_t first = 0; first < starts; first += batch) {
    Descent descent(space, first, std::min(batch, starts - first), kGroup, 1, 0.3);
    descent.run(0, steps / 2, steps);
    descent.run(steps / 2, steps, steps);
    all.push_back(descent.decoded());
  }
  return torch::cat(all);
}

TEST(Descent, StartsDoNotDependOnTheBatchThatTheyDescendIn) {
  const SearchProblem problem = small_problem();
  const auto space = problem.target->space(problem, "cpu");
  EXPECT_TRUE(torch::allclose(descended(*space, 20, 8, 0), descended(*space, 20, 24, 0), 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(descended(*space, 20, 8, 10), descended(*space, 20, 24, 10), 1e-3, 1e-3));
}

TEST(Descent, OnADeviceItDescendsAsOnTheProcessor) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "there is no CUDA device";
  const SearchProblem problem = small_problem();
  const auto here = problem.target->space(problem, "cpu"), there = problem.target->space(problem, "cuda");
  const Tensor expected = descended(*here, 24, 8, 20);
  EXPECT_TRUE(torch::allclose(descended(*there, 24, 24, 20), expected, 1e-2, 1e-2));
  EXPECT_TRUE(torch::equal(descended(*there, 24, 24, 20), descended(*there, 24, 24, 20)));
}

TEST(Enumeration, FrontierHoldsTheBestOfAllMappings) {
  // Against a plain enumeration of every split, spatial factors included, in every order.
  SearchProblem problem = small_problem();
  const EnumerationModels models(array_machine(problem));
  const CostModel& model = models.all;
  constexpr std::int64_t kPe = 4;
  for (std::size_t l = 0; l < problem.workload.layers.size(); ++l) {
    const Layer& layer = problem.workload.layers[l];
    const auto slot_count = static_cast<std::int64_t>(model.slots().size());
    Enumeration all_mappings(problem, models, l, kPe);
    Allowance allowance;
    all_mappings.look({}, 1'000'000, allowance);
    const Frontier& frontier = all_mappings.frontier();
    ASSERT_TRUE(frontier.complete);
    std::vector<std::vector<double>> nests{std::vector<double>(static_cast<std::size_t>(slot_count), 0)};
    for (const Dim dim : all_dims()) {
      std::vector<std::size_t> places;
      for (std::size_t s = 0; s < model.slots().size(); ++s) {
        if (model.slots()[s].dim == dim) places.push_back(s);
      }
      std::vector<std::vector<double>> longer;
      const std::function<void(std::vector<double>, std::size_t, std::int64_t)> spread =
          [&](std::vector<double> nest, std::size_t i, std::int64_t left) {
            if (i + 1 == places.size()) {
              if (model.slots()[places[i]].spatial && left > kPe) return;
              nest[places[i]] = std::log(static_cast<double>(left));
              longer.push_back(nest);
              return;
            }
            for (std::int64_t f = 1; f <= left; ++f) {
              if (left % f != 0 || (model.slots()[places[i]].spatial && f > kPe)) continue;
              nest[places[i]] = std::log(static_cast<double>(f));
              spread(nest, i + 1, left / f);
            }
          };
      for (const auto& nest : nests) spread(nest, 0, layer[dim]);
      nests = std::move(longer);
    }
    std::vector<double> flat;
    for (const auto& nest : nests) flat.insert(flat.end(), nest.begin(), nest.end());
    const Tensor all = torch::tensor(flat, torch::kFloat64).view({-1, slot_count});
    const Traffic traffic = model.traffic({all, {}}, LayerBatch::from({layer}, torch::kFloat64), {});
    for (const auto& [s, a] : {std::pair{1.0, 1.0}, std::pair{2.0, 1.0}, std::pair{64.0, 64.0}}) {
      const HardwareTensors hardware{torch::scalar_tensor(4.0, torch::kFloat64),
                                     torch::scalar_tensor(s, torch::kFloat64),
                                     torch::scalar_tensor(a, torch::kFloat64)};
      const Cost cost = model.cost(traffic, hardware, {});
      const Tensor fits = (traffic.need_kib(array_machine(problem).levels[2], 2, hardware.pe_dim) <= s) &
                          (traffic.need_kib(array_machine(problem).levels[1], 1, hardware.pe_dim) <= a);
      const Tensor edp =
          torch::where(fits, cost.energy_pj * cost.cycles, torch::full({1}, 1e300, torch::kFloat64));
      const Tensor& n = frontier.numbers;
      const Tensor frontier_edp = energy_at(n, {s, a}) * n.select(1, Frontier::kCycles) +
                                  (~dosa::fits(n, {s, a})).to(torch::kFloat64) * 1e300;
      const double groups = static_cast<double>(layer.groups * layer.groups);
      EXPECT_NEAR(frontier_edp.min().item<double>() / (edp.min().item<double>() * groups), 1, 1e-9)
          << layer.name;
    }
  }
}

TEST(Optimizer, SameSeedSameDesignWhateverTheThreads) {
  const SearchProblem problem = small_problem();
  SearchOptions options = quick();
  options.starts = 12;
  options.threads = 1;
  const SearchSummary one = optimize(problem, options);
  options.threads = 3;
  const SearchSummary three = optimize(problem, options);
  EXPECT_EQ(to_json(one.best), to_json(three.best));
  EXPECT_EQ(one.evaluations, three.evaluations);
}

TEST(Optimizer, DesignsAreLegalExactAndWithinTheirBounds) {
  SearchProblem problem = small_problem();
  problem.bounds.max = ArraySizes{8, 3, 2};
  problem.bounds.min[kAccumulatorParameter] = 2;  // fixed
  const SearchSummary summary = optimize(problem, quick());
  Design again = summary.best;
  evaluate(again, *problem.target);  // throws if a mapping does not fit
  EXPECT_EQ(again.totals.edp, summary.best.totals.edp);
  for (std::size_t p = 0; p < again.hardware.size(); ++p) {
    EXPECT_LE(again.hardware[p], problem.bounds.max[p]);
    EXPECT_GE(again.hardware[p], problem.bounds.min[p]);
  }
}

// What nearly no mapping fits, and a polish that looks at next to nothing.
TEST(Optimizer, FindsADesignWhereverOneFits) {
  SearchProblem problem = small_problem();
  SearchOptions options = quick();
  options.starts = options.steps = options.round_every = 1;
  options.polish_nests = 64;
  problem.workload.layers[0].size = {7, 7, 56, 56, 96, 120, 1};
  problem.workload.layers[1].size = {1, 1, 720, 1, 840, 960, 1};
  problem.bounds.max[kScratchpadParameter] = problem.bounds.max[kAccumulatorParameter] = 1;
  for (const std::int64_t pe_dim : {1, 128}) {
    problem.bounds.max[kPeParameter] = pe_dim;
    for (options.seed = 0; options.seed < 5; ++options.seed) {
      Design design = optimize(problem, options).best;
      evaluate(design, *problem.target);  // throws if a mapping does not fit
      EXPECT_EQ(design.hardware[kScratchpadParameter], 1);
      EXPECT_EQ(design.hardware[kAccumulatorParameter], 1);
    }
  }
}

TEST(Optimizer, ObjectivesAreWhatIsMinimised) {
  // Little area, so that fewer cycles cost energy.
  Workload workload;
  workload.name = "small";
  Layer conv;
  conv.name = "conv";
  conv.size = {3, 3, 14, 14, 16, 24, 1};
  conv.padding = 1;
  workload.layers = {conv, product_layer("product", 2, 48, 64, 80)};
  SearchProblem problem = on_gemmini_tl(workload);
  problem.bounds.max_area_mm2 = 0.6;
  const auto best_for = [&](const char* objective) {
    problem.objective = Objective::from_name(objective);
    return optimize(problem, quick()).best.totals;
  };
  const DesignTotals edp = best_for("edp"), latency = best_for("latency"), energy = best_for("energy");
  EXPECT_LT(latency.cycles, energy.cycles);
  EXPECT_LT(energy.energy_uj, latency.energy_uj);
  EXPECT_LT(edp.edp, latency.edp);
  EXPECT_LE(edp.edp, energy.edp);
  EXPECT_LE(latency.cycles, edp.cycles);
  EXPECT_LE(energy.energy_uj, edp.energy_uj);
}

TEST(Optimizer, RefusesWhatCannotBe) {
  SearchProblem problem = small_problem();
  SearchOptions options = quick();
  options.starts = 0;
  expect_error([&] { optimize(problem, options); }, ErrorId::kValue, {"starts", "found 0", "1 to 4096"});
  problem.bounds.min[kPeParameter] = 9;
  problem.bounds.max[kPeParameter] = 8;
  expect_error([&] { optimize(problem, quick()); }, ErrorId::kBounds, {"pe_dim", "9", "8"});
  problem = small_problem();
  problem.workload.layers[0].size = {64, 64, 2, 2, 1, 1, 1};
  problem.workload.layers[0].wstride = 2000;
  problem.bounds.max[kScratchpadParameter] = 1;
  problem.bounds.min[kPeParameter] = 512;
  problem.bounds.max[kPeParameter] = 512;
  problem.bounds.max[kAccumulatorParameter] = 1;
  expect_error([&] { optimize(problem, quick()); }, ErrorId::kBounds,
               {"layer 'conv'", "L1[O]", "at least 2 KiB", "allowed are 1"});
}

}  // namespace
}  // namespace dosa::testing
