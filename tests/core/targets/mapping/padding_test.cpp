// Sizes that do not divide: does a layer ever cost more than a larger one, and do known cliffs stay away?
#include <gtest/gtest.h>

#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/targets/mapping/enumeration.hpp"
#include "dosa/core/targets/mapping/space.hpp"
#include "dosa/models/base/random.hpp"
#include "tests/core/search/problems.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

SearchProblem one_layer(const DimSizes& size, const ArraySizes& hardware,
                        Remainders remainders = Remainders::kPadded) {
  Workload workload;
  workload.name = "one";
  Layer layer;
  layer.name = "layer";
  layer.size = size;
  workload.layers = {layer};
  SearchProblem problem = on_gemmini_tl(workload);
  ArrayMachine machine = array_machine(problem);
  machine.remainders = remainders;
  problem.target = make_target(std::make_shared<ArrayMachine>(std::move(machine)));
  problem.bounds.min = problem.bounds.max = hardware;
  return problem;
}

DimSizes matmul(std::int64_t rows, std::int64_t inner, std::int64_t columns) {
  return {1, 1, rows, 1, inner, columns, 1};
}

struct Best {
  double cycles = kInfinity, energy = kInfinity, edp = kInfinity;
};

/// The best of a layer on fixed hardware: nothing where it is too large to be enumerated with all padding, or
/// all cuts.
Best best_of(const SearchProblem& problem, const EnumerationModels& models) {
  const ArraySizes hardware = ArraySizes::of(problem.bounds.max);
  Enumeration layer(problem, models, 0, hardware.pe_dim);
  Allowance allowance;
  Best best;
  if (layer.frontier().reaches_beyond) return best;
  layer.look({}, 1'000'000, allowance);
  const Frontier& frontier = layer.frontier();
  if (!frontier.numbers.defined()) return best;
  EXPECT_TRUE(frontier.complete);
  const torch::Tensor energy = energy_at(frontier.numbers, buffers_of(problem.bounds.max, kArrayBuffers));
  const torch::Tensor cycles = frontier.numbers.select(1, Frontier::kCycles);
  best.cycles = cycles.min().item<double>();
  best.energy = energy.min().item<double>();
  best.edp = (cycles * energy).min().item<double>();
  return best;
}

class EveryRemainders : public ::testing::TestWithParam<Remainders> {};

INSTANTIATE_TEST_SUITE_P(Padding, EveryRemainders, ::testing::Values(Remainders::kPadded, Remainders::kCut),
                         [](const auto& each) { return std::string(name_of(each.param)); });

// Random layers of up to some dozens in one dimension and little in the others, on small arrays. A cut space
// is larger, and nothing bounds it: fewer and smaller ones.
TEST_P(EveryRemainders, NoLayerCostsMoreThanALargerOne) {
  const bool cuts = GetParam() == Remainders::kCut;
  Random random(5);
  const auto draw = [&](std::int64_t least, std::int64_t most) {
    return least + random.below(most - least + 1);
  };
  const EnumerationModels models(array_machine(one_layer(matmul(1, 1, 1), {4, 64, 64}, GetParam())));
  const int rounds = cases(cuts ? 30 : 100);
  int compared = 0;
  for (int round = 0; round < rounds; ++round) {
    const std::int64_t pe_dim = draw(2, 16), most = cuts ? 8 : 20;
    const ArraySizes hardware{pe_dim, draw(1, 64), draw(1, 64)};
    DimSizes size{draw(1, 3), 1, draw(1, cuts ? 3 : 12), draw(1, 4), draw(1, most), draw(1, most), 1};
    const auto dim = static_cast<std::size_t>(draw(0, kDims - 1));
    size[dim] = draw(1, dim < 2 ? 4 : cuts ? 30 : 60);
    SearchProblem problem = one_layer(size, hardware, GetParam());
    Layer& layer = problem.workload.layers.front();
    layer.wstride = draw(1, 2);
    layer.wdilation = draw(1, 2);
    const Best own = best_of(problem, models);
    if (own.edp == kInfinity) continue;
    for (const std::int64_t more : {std::int64_t{1}, draw(2, pe_dim), pe_dim}) {
      layer.size = size;
      layer.size[dim] += more;
      const Best larger = best_of(problem, models);
      const std::string what =
          to_json(layer).dump() + fmt::format(" less {} of {}, pe {}", more, kDimNames[dim], pe_dim);
      constexpr double kRounding = 1 + 1e-12;
      EXPECT_LE(own.cycles, larger.cycles * kRounding) << what;
      EXPECT_LE(own.energy, larger.energy * kRounding) << what;
      EXPECT_LE(own.edp, larger.edp * kRounding) << what;
      compared += larger.edp < kInfinity;
    }
  }
  EXPECT_GT(compared, cuts ? rounds * 4 / 3 : rounds * 5 / 2);
  RecordProperty("compared", compared);
}

/// The least EDP of all integer factors of a matrix product whose loops are cut, one by one, in the search's
/// loop orders, on gemmini-tl: rows P at L0, L1 and L3; C at L1 in time and space and L3; K at L1, in space
/// at L2, and L3.
double literal_best(const SearchProblem& problem, const EnumerationModels& models) {
  const ArraySizes hardware = ArraySizes::of(problem.bounds.max);
  const Layer& layer = problem.workload.layers.front();
  const NestModel model(chain_of(array_machine(problem), hardware), layer, Remainders::kCut);
  const std::vector<Slot>& slots = models.all.slots();
  double best = kInfinity;
  ChainNest nest;
  const std::function<void(std::size_t)> fill = [&](std::size_t s) {
    if (s == slots.size()) {
      for (const Dim dim : all_dims()) {
        double product = 1;
        for (const Slot& slot : slots) {
          if (slot.dim == dim)
            product *= nest.at(static_cast<std::size_t>(slot.level),
                               slot.spatial ? LoopKind::kX : LoopKind::kTime, dim);
        }
        if (product < static_cast<double>(layer[dim])) return;
      }
      for (const NestOrder& order : models.all.orders()) {
        for (std::size_t l = 0; l < order.size(); ++l) {
          for (std::size_t i = 0; i < kDims; ++i) nest.order[l][i] = static_cast<std::uint8_t>(order[l][i]);
        }
        const NestCost cost = model.cost(nest);
        if (cost.fits) best = std::min(best, cost.cycles * cost.energy_pj);
      }
      return;
    }
    const Slot& slot = slots[s];
    double& factor = nest.at(static_cast<std::size_t>(slot.level),
                             slot.spatial ? LoopKind::kX : LoopKind::kTime, slot.dim);
    const std::int64_t most = slot.spatial ? std::min(layer[slot.dim], hardware.pe_dim) : layer[slot.dim];
    for (std::int64_t f = 1; f <= most; ++f) {
      factor = static_cast<double>(f);
      fill(s + 1);
    }
    factor = 1;
  };
  fill(0);
  return best;
}

TEST(Cutting, TheSpaceHoldsTheBestOfAllIntegerFactors) {
  for (const auto& [size, hardware] :
       {std::pair{matmul(5, 3, 1), ArraySizes{2, 1, 1}}, std::pair{matmul(3, 1, 5), ArraySizes{4, 1, 1}},
        std::pair{matmul(1, 5, 3), ArraySizes{2, 1, 1}}, std::pair{matmul(7, 1, 3), ArraySizes{2, 1, 1}}}) {
    const SearchProblem problem = one_layer(size, hardware, Remainders::kCut);
    const EnumerationModels models(array_machine(problem));
    const double literal = literal_best(problem, models);
    EXPECT_NEAR(best_of(problem, models).edp, literal, 1e-9 * literal);
  }
}

// Of what is found on the same hardware, cut and padded.
TEST(Cutting, IsNeverAbovePadding) {
  double ratio = 1;
  for (const DimSizes& size : {matmul(197, 331, 147), DimSizes{3, 3, 57, 13, 257, 72, 1}}) {
    const auto edp = [&](Remainders remainders) {
      return map_exhaustively(one_layer(size, {16, 128, 32}, remainders), {}).best.totals.edp;
    };
    const double cut = edp(Remainders::kCut), padded = edp(Remainders::kPadded);
    EXPECT_LE(cut, padded);
    ratio *= cut / padded;
  }
  EXPECT_LT(ratio, 0.9);
}

double edp_of(const std::vector<Layer>& layers, std::int64_t pe_dim) {
  Workload workload;
  workload.name = "network";
  workload.layers = layers;
  SearchProblem problem = on_gemmini_tl(workload);
  ArraySizes min = ArraySizes::of(problem.bounds.min), max = ArraySizes::of(problem.bounds.max);
  min.pe_dim = max.pe_dim = pe_dim;
  problem.bounds.min = min;
  problem.bounds.max = max;
  return optimize(problem, problem.target->default_options()).best.totals.edp;
}

Layer product(std::int64_t rows, std::int64_t inner, std::int64_t columns, std::int64_t count = 1) {
  Layer layer;
  layer.name = fmt::format("{}x{}x{}", rows, inner, columns);
  layer.count = count;
  layer.size = matmul(rows, inner, columns);
  return layer;
}

/// The block of a ViT-B/16 with this many tokens.
std::vector<Layer> vit_block(std::int64_t tokens) {
  return {product(tokens, 768, 2304), product(tokens, 64, tokens, 12), product(tokens, tokens, 64, 12),
          product(tokens, 768, 768),  product(tokens, 768, 3072),      product(tokens, 3072, 768)};
}

// Without padding, primes were up to ten thousand times slower.
TEST(Padding, PrimesHaveNoCliff) {
  // A convolution of which every size is a prime; with multiples of the array it takes 1.56 M cycles.
  const MapSummary primes = map_exhaustively(one_layer({1, 1, 113, 127, 257, 509, 1}, {128, 512, 512}), {});
  EXPECT_LE(primes.best.totals.cycles, 1.56e6);
  for (const std::int64_t pe_dim : {16, 128}) {
    EXPECT_LE(edp_of(vit_block(197), pe_dim), edp_of(vit_block(208), pe_dim)) << pe_dim;
    EXPECT_LE(edp_of({product(1024, 768, 50257)}, pe_dim), edp_of({product(1024, 768, 50304)}, pe_dim))
        << pe_dim;
    // 257 take 17 iterations of an array of 16 and three of 128, where 256 take 16 and two.
    EXPECT_LE(edp_of({product(1500, 257, 512)}, pe_dim),
              (pe_dim == 16 ? 1.13 : 1.03) * edp_of({product(1500, 256, 512)}, pe_dim));
  }
}

// What a shape cannot undercut is no more than what enumerations find on it, whatever the buffers.
TEST(Padding, NoDesignOfAShapeUndercutsItsBound) {
  Random random(6);
  const auto draw = [&](std::int64_t least, std::int64_t most) {
    return least + random.below(most - least + 1);
  };
  for (int round = 0; round < 60; ++round) {
    const ArraySizes hardware{draw(1, 16), draw(1, 64), draw(1, 64)};
    SearchProblem problem =
        one_layer({draw(1, 3), draw(1, 3), draw(1, 9), draw(1, 7), draw(1, 20), draw(1, 20), 1}, hardware);
    Layer& layer = problem.workload.layers.front();
    layer.wstride = draw(1, 3);
    layer.hstride = draw(1, 3);
    layer.wdilation = draw(1, 3);
    layer.groups = draw(1, 2);
    const EnumerationModels models(array_machine(problem));
    const Best best = best_of(problem, models);
    if (best.edp == kInfinity) continue;
    const MappingSpace space(problem, "cpu");
    const LayerCosts least = space.least_costs({hardware.pe_dim}).front();
    EXPECT_LE(least.cycles, best.cycles) << to_json(layer).dump();
    EXPECT_LE(least.energy_uj, best.energy * 1e-6) << to_json(layer).dump();
    EXPECT_GT(least.energy_uj, 0);
  }
}

}  // namespace
}  // namespace dosa::testing
