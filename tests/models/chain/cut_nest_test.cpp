// Nests whose last iterations are cut: against a literal walk through the nest, against the model of nests
// that divide, and never above the padded nest.
#include "dosa/models/chain/cut_nest.hpp"

#include <gtest/gtest.h>

#include "dosa/models/base/math.hpp"
#include "dosa/models/chain/chain_model.hpp"
#include "dosa/models/cost/cost_model.hpp"
#include "tests/models/cost/oracle.hpp"
#include "tests/models/random_mappings.hpp"

namespace dosa::testing {
namespace {

/// A layer and a mapping of it in which some dimensions are cut.
struct CutCase {
  Layer layer;
  Mapping mapping;
};

CutCase random_cut(RandomCases& random, const Chain& chain) {
  CutCase found{random.layer(3000), {}};
  found.mapping = random.mapping(found.layer, chain);
  for (const Dim dim : all_dims()) {
    std::int64_t& size = found.layer[dim];
    if (size > 2 && random.below(2) == 0)
      size -= static_cast<std::int64_t>(random.below(static_cast<std::size_t>(size) / 2));
  }
  found.mapping.set_remainders(found.layer, Remainders::kCut);
  EXPECT_NO_THROW(check_mapping(found.mapping, found.layer, chain));
  found.layer = found.mapping.padded(found.layer);
  found.mapping.padded_from = {};
  return found;
}

CutNest cut_to(const ChainNest& nest, const Chain& chain, const Layer& layer) {
  return {nest, chain.levels.size(), layer.size, steps_of(layer)};
}

TEST(CutNestOracle, ThousandsOfRandomNestsOnRandomChains) {
  RandomCases random(11);
  int cut = 0, in_space = 0;
  for (int i = 0; i < 300; ++i) {
    const Chain chain = random.chain();
    for (int m = 0; m < 10; ++m) {
      const auto [layer, mapping] = random_cut(random, chain);
      cut += mapping.is_cut();
      const CutNest nest = CutNest::of(layer, mapping);
      const OracleCounts oracle = count_accesses(layer, mapping, chain);
      std::array<int, kOperands> inner;
      inner.fill(-1);
      for (std::size_t l = 0; l < chain.levels.size(); ++l) {
        for (const Dim dim : all_dims())
          in_space += mapping.cut_to[static_cast<std::size_t>(dim)] != 0 &&
                      mapping.spatial(static_cast<int>(l), dim) > 1;
        for (const Operand operand : all_operands()) {
          const auto o = static_cast<std::size_t>(operand);
          if (!chain.levels[l].holds_operand(operand)) continue;
          const int level = static_cast<int>(l);
          const CutAccesses found = nest.accesses(operand, l, inner[o], true);
          const AccessCounts& expected = oracle.at(level, operand);
          const std::string where = chain.level_label(level) + " " + kOperandNames[o] + " of " +
                                    print_mapping(mapping, chain) + " for " + to_json(layer).dump();
          ASSERT_EQ(found.reads, static_cast<double>(expected.reads)) << where;
          ASSERT_EQ(found.fills, static_cast<double>(expected.writes)) << where;
          ASSERT_EQ(found.updates, static_cast<double>(expected.updates)) << where;
          if (level < chain.dram()) {
            ASSERT_EQ(nest.tile_words(operand, l), static_cast<double>(oracle.words(level, operand)))
                << where;
          }
          inner[o] = level;
        }
      }
    }
  }
  EXPECT_GT(cut, 1000);
  EXPECT_GT(in_space, 500);
}

TEST(CutNest, CostsWhatTheExactModelSaysWhereFactorsDivide) {
  RandomCases random(12);
  for (int i = 0; i < 500; ++i) {
    Chain chain = random.chain();
    for (ChainLevel& level : chain.levels) level.capacity_words.reset();
    const Layer layer = random.layer();
    const NestModel model(chain, layer, Remainders::kCut);
    const ChainNest nest = dosa::nest_of(random.mapping(layer, chain));
    const NestCost cut = model.cost(cut_to(nest, chain, layer)), whole = model.cost(nest);
    ASSERT_DOUBLE_EQ(cut.cycles, whole.cycles);
    ASSERT_NEAR(cut.energy_pj, whole.energy_pj, 1e-12 * whole.energy_pj);
  }
}

// What designs cost and what a search is told.
TEST(CutNest, TensorsAndNumbersAgree) {
  RandomCases random(14);
  const ArrayMachine machine = load_array_machine("gemmini-tl");
  const ArraySizes sizes{8, 4096, 4096};
  const CostModel array(machine, torch::kFloat64);
  int cut = 0;
  for (int i = 0; i < 150; ++i) {
    Chain chain = i % 2 == 0 ? random.chain() : chain_of(machine, sizes);
    for (ChainLevel& level : chain.levels) level.capacity_words.reset();
    const auto [layer, mapping] = random_cut(random, chain);
    cut += mapping.is_cut();
    const NestCost expected = NestModel(chain, layer, Remainders::kCut).cost(dosa::nest_of(mapping));
    const ChainModel model(chain);
    const ChainCost found = model.cost(model.traffic_of({layer}, {mapping}));
    ASSERT_EQ(found.cycles.item<double>(), expected.cycles);
    ASSERT_NEAR(found.energy_pj.item<double>(), expected.energy_pj, 1e-12 * expected.energy_pj);
    if (i % 2 == 0) continue;
    const Cost of_array = array.cost(array.traffic_of({layer}, {mapping}),
                                     HardwareTensors::from(sizes, torch::kFloat64), Sharpness{});
    ASSERT_EQ(of_array.cycles.item<double>(), expected.cycles);
    ASSERT_NEAR(of_array.energy_pj.item<double>(), expected.energy_pj, 1e-12 * expected.energy_pj);
  }
  EXPECT_GT(cut, 40);
}

// Of the words that a level moves, those of one instance are at most all of them and at least the average.
TEST(CutNest, NothingCostsMoreThanOnALargerLayerOrPadded) {
  RandomCases random(13);
  for (int i = 0; i < 2000; ++i) {
    Chain chain = random.chain();
    for (ChainLevel& level : chain.levels) level.vector_words = 1;
    const auto [layer, mapping] = random_cut(random, chain);
    Layer larger = layer;
    for (const Dim dim : all_dims()) larger[dim] = std::min(larger[dim] + 1, mapping.total(dim));
    Layer whole = layer;
    for (const Dim dim : all_dims()) whole[dim] = mapping.total(dim);
    const auto cut_of = [&](const Layer& of) {
      const NestModel model(chain, of, Remainders::kCut);
      return std::pair{model, dosa::nest_of(mapping)};
    };
    const auto [model, nest] = cut_of(layer);
    const NestCost own = model.cost(cut_to(nest, chain, layer));
    for (const Layer& other : {larger, whole}) {
      const auto [other_model, same] = cut_of(other);
      const NestCost more = other_model.cost(cut_to(same, chain, other));
      const std::string where = print_mapping(mapping, chain) + " for " + to_json(layer).dump();
      ASSERT_LE(own.cycles, more.cycles) << where;
      ASSERT_LE(own.energy_pj, more.energy_pj * (1 + 1e-12)) << where;
      for (std::size_t l = 0; l < chain.levels.size(); ++l)
        ASSERT_LE(model.need_words(nest, l), other_model.need_words(same, l)) << where;
    }
    const CutNest cut = cut_to(nest, chain, layer);
    for (std::size_t l = 0; l < chain.levels.size(); ++l) {
      if (!chain.levels[l].holds_operand(Operand::W)) continue;
      const CutAccesses all = cut.accesses(Operand::W, l, -1, true),
                        most = cut.accesses(Operand::W, l, -1, false);
      ASSERT_LE(most.reads, all.reads);
      ASSERT_GE(most.reads * cut.used(l), all.reads);
    }
  }
}

}  // namespace
}  // namespace dosa::testing
