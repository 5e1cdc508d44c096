// The search on chains of memories: its pieces, and what they find together.
#include <gtest/gtest.h>

#include <cmath>

#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/targets/chain/local_search.hpp"
#include "dosa/core/targets/chain/lower_bounds.hpp"
#include "dosa/core/targets/chain/relaxation.hpp"
#include "dosa/core/targets/chain/rounding.hpp"
#include "dosa/models/base/threads.hpp"
#include "tests/models/random_mappings.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

using torch::Tensor;

constexpr std::array<const char*, 4> kMachines{"simba", "tpu", "nvdla", "eyeriss"};

/// The layers and what another annealer found for them in 100 s each, EDP in uJ x cycles, by machine.
struct KnownLayer {
  const char* name;
  DimSizes size;
  std::array<double, 4> edp;
};
constexpr std::array<KnownLayer, 4> kLayers{
    {{"conv2_3x3", {3, 3, 56, 56, 64, 64, 1}, {6.0252e6, 1.4621e6, 7.6367e6, 7.5397e8}},
     {"conv4_1x1", {1, 1, 14, 14, 1024, 256, 1}, {1.7460e6, 3.1988e5, 2.0127e6, 2.6138e8}},
     {"conv5_3x3", {3, 3, 7, 7, 512, 512, 1}, {1.7859e7, 5.3878e6, 1.4902e7, 1.1341e9}},
     {"bert_ffn", {1, 1, 512, 1, 768, 3072, 1}, {7.3486e8, 5.2483e7, 7.9589e8, 1.0713e11}}}};

Layer layer_of(const KnownLayer& known) {
  Layer layer;
  layer.name = known.name;
  layer.size = known.size;
  return layer;
}

SearchProblem problem_of(const char* machine, const std::vector<Layer>& layers) {
  SearchProblem problem{{"layers", "", "", layers}, load_target(machine), {}, Objective{}};
  problem.bounds.min = problem.bounds.max = problem.machine().default_hardware;
  return problem;
}

void expect_legal(const LayerNests& nests, const ChainNest& nest) {
  const Mapping mapping = nests.model().mapping_of(nest);
  EXPECT_NO_THROW(check_mapping(mapping, nests.layer(), nests.chain()))
      << print_mapping(mapping, nests.chain());
  EXPECT_TRUE(nests.within_fan_outs(nest));
  EXPECT_TRUE(nests.model().cost(nest).fits);
}

TEST(LayerNests, RandomRoundedAndAnnealedOnesAreLegal) {
  for (const char* machine : kMachines) {
    const Chain chain = load_chain(machine);
    for (const KnownLayer& known : kLayers) {
      const LayerNests nests(chain, layer_of(known));
      Random random(3);
      NestFront front;
      for (int i = 0; i < 20; ++i) {
        const LayerNests::Placed placed = nests.random(random);
        expect_legal(nests, placed.nest);
        EXPECT_EQ(nests.placed(placed.nest).nest.factors, placed.nest.factors);
        std::vector<double> relaxed(chain.levels.size() * 4 * kDims);
        for (double& value : relaxed) value = 2 * random.uniform();
        expect_legal(nests, round_nest(nests, relaxed.data(), 0.3, random).nest);
      }
      const ChainNest start = nests.random(random).nest;
      NestWalk walk(nests, 5, front);
      const LayerGoal goal;
      const ChainNest end = walk.anneal(start, goal, 500, 0.1, 0.01);
      expect_legal(nests, end);
      const auto value = [&](const ChainNest& nest) {
        const NestCost cost = nests.model().cost(nest);
        return goal.value(cost.energy_pj, cost.cycles);
      };
      EXPECT_LE(value(end), value(start));
      EXPECT_EQ(walk.evaluated(), 501);
      ASSERT_TRUE(front.best(goal));
      EXPECT_DOUBLE_EQ(goal.value(front.best(goal)->energy_pj, front.best(goal)->cycles), value(end));
      for (std::size_t i = 1; i < front.entries().size(); ++i) {
        EXPECT_LT(front.entries()[i - 1].cycles, front.entries()[i].cycles);
        EXPECT_GT(front.entries()[i - 1].energy_pj, front.entries()[i].energy_pj);
      }
    }
  }
}

TEST(ChainRelaxation, GradientIsThatOfFiniteDifferences) {
  const ChainRelaxation relaxation(load_chain("simba"), {layer_of(kLayers[0]), layer_of(kLayers[3])},
                                   Objective{}, torch::kFloat64);
  const Tensor start = relaxation.random_parameters(2, at::detail::createCPUGenerator(1));
  Tensor parameters = start.detach().clone().requires_grad_();
  const auto loss = [&](const Tensor& at) { return relaxation.loss(relaxation.log_factors(at), 3).sum(); };
  loss(parameters).backward();
  const Tensor gradient = parameters.grad().flatten();
  const torch::NoGradGuard no_gradients;
  EXPECT_TRUE(gradient.isfinite().all().item<bool>());
  EXPECT_GT(gradient.count_nonzero().item<std::int64_t>(), gradient.size(0) / 4);
  constexpr double kStep = 1e-6;
  for (std::int64_t i = 0; i < gradient.size(0); i += 7) {
    const Tensor there = start.clone(), back = start.clone();
    there.flatten()[i] += kStep;
    back.flatten()[i] -= kStep;
    const double slope = (loss(there) - loss(back)).item<double>() / (2 * kStep);
    EXPECT_NEAR(gradient[i].item<double>(), slope, 1e-5 * (1 + std::abs(slope))) << i;
  }
}

TEST(ChainBound, NoLegalMappingIsBelow) {
  RandomCases random(17);
  for (int c = 0; c < 40; ++c) {
    const ChainModel model(c < 4 ? load_chain(kMachines[static_cast<std::size_t>(c)]) : random.chain());
    std::vector<Layer> layers;
    std::vector<Mapping> mappings;
    std::vector<ChainBound> bounds;
    for (int l = 0; l < 5; ++l) {
      const Layer layer = random.layer();
      const ChainBound bound = lower_bound(model.chain(), layer);
      for (int i = 0; i < 60; ++i) {
        bounds.push_back(bound);
        layers.push_back(layer);
        mappings.push_back(random.mapping(layer, model.chain()));
      }
    }
    const ChainCost cost =
        model.cost(model.traffic(model.nests_of(mappings), LayerBatch::from(layers, torch::kFloat64)));
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const ChainBound& bound = bounds[i];
      const auto row = static_cast<std::int64_t>(i);
      const std::string where =
          print_mapping(mappings[i], model.chain()) + " for " + to_json(layers[i]).dump();
      ASSERT_GE(cost.cycles[row].item<double>(), bound.cycles) << where;
      ASSERT_GE(cost.energy_pj[row].item<double>(), bound.energy_pj) << where;
    }
  }
}

TEST(ChainBound, CountsWhatFactorsCanOccupy) {
  const Chain simba = load_chain("simba");
  DimSet every{};
  every.fill(true);
  Layer layer;
  layer.size = {1, 1, 1, 1, 12, 5, 1};
  // C and K below the accumulation buffer, 8 x 8; P, Q, C, K below the global buffer, 4 x 4.
  EXPECT_EQ(most_in_space(simba, layer, 1, 1, every), 30) << "C6 K5, or C4 K5 and C3 of the other axis: no";
  EXPECT_EQ(most_in_space(simba, layer, 0, simba.dram(), every), 60);
  layer.size = {3, 3, 7, 7, 3, 512, 1};
  EXPECT_EQ(most_in_space(simba, layer, 0, simba.dram(), every), 768) << "K 64 and 4, C 3";
  layer.size = {1, 1, 7, 7, 1, 1, 1};
  EXPECT_EQ(most_in_space(simba, layer, 0, simba.dram(), every), 1) << "7 is more than 4";
}

TEST(ChainSearch, SameSeedSameDesignWhateverTheThreads) {
  const SearchProblem problem =
      problem_of("simba", {layer_of(kLayers[0]), layer_of(kLayers[1]), layer_of(kLayers[3])});
  MapOptions options;
  options.samples = 4000;
  options.steps = 20;
  const auto design = [&](std::int64_t threads, std::uint64_t seed) {
    options.threads = threads;
    options.seed = seed;
    return to_json(map_exhaustively(problem, options).best).dump();
  };
  const std::string first = design(1, 0);
  EXPECT_EQ(first, design(2, 0));
  EXPECT_EQ(first, design(3, 0));
  EXPECT_NE(first, design(1, 1));
}

TEST(ChainSearch, ReachesWhatIsKnownAndProvesWhatItCan) {
  for (const std::size_t m : {std::size_t{1}, std::size_t{2}}) {
    for (const KnownLayer& known : kLayers) {
      MapOptions options;
      options.samples = 100'000;
      const MapSummary found = map_exhaustively(problem_of(kMachines[m], {layer_of(known)}), options);
      EXPECT_LE(found.best.totals.edp, known.edp[m] * 1.0001) << kMachines[m] << ' ' << known.name;
      ASSERT_TRUE(found.has_bounds());
      EXPECT_GE(found.gap(), 0);
      EXPECT_LT(found.gap(), 0.03);
    }
  }
}

/// The geometric mean over all machines and layers of the EDP over the known one.
double quality(Stages stages, std::int64_t samples) {
  double logs = 0;
  for (std::size_t m = 0; m < kMachines.size(); ++m) {
    for (const KnownLayer& known : kLayers) {
      MapOptions options;
      options.stages = stages;
      options.samples = samples;
      const MapSummary found = map_exhaustively(problem_of(kMachines[m], {layer_of(known)}), options);
      EXPECT_LE(found.evaluations, samples * 3 / 2 + 100);
      logs += std::log(found.best.totals.edp / known.edp[m]);
    }
  }
  return std::exp(logs / static_cast<double>(kMachines.size() * kLayers.size()));
}

TEST(ChainSearch, DescentIsWorthItAtSmallBudgets) {
  const double both = quality(Stages::kAutomatic, 500), polish = quality(Stages::kPolish, 500);
  EXPECT_GT(polish / both, 1.2) << "both " << both << ", local search alone " << polish;
}

TEST(ChainSearch, SaysWhatDoesNotFit) {
  const TemporaryFolder folder;
  const std::string machine =
      folder.file("small.json",
                  R"({"schema": "dosa-hardware/2", "name": "small", "mac": {"energy_pj": 1}, "levels": [
          {"name": "register", "holds": "I", "capacity_words": 8, "word_bits": 8, "vector_pj": 1, "temporal": "C",
           "fan_out": {"X": {"size": 4, "dims": "K"}}},
          {"name": "dram", "holds": "WIO", "word_bits": 8, "vector_pj": 100}]})");
  Layer layer = layer_of(kLayers[1]);
  MapOptions options;
  options.samples = 500;
  const MapSummary found = map_exhaustively(problem_of(machine.c_str(), {layer}), options);
  EXPECT_GE(found.gap(), 0);
}

}  // namespace
}  // namespace dosa::testing
