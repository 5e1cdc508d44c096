// The forms of the model of chains of memories against each other: one mapping at a time, and relaxed.
#include <gtest/gtest.h>

#include <cmath>

#include "dosa/models/chain/chain_model.hpp"
#include "dosa/models/chain/nest_model.hpp"
#include "tests/models/random_mappings.hpp"
#include "tests/models/values.hpp"

namespace dosa::testing {
namespace {

using torch::Tensor;

/// Expects the plain numbers of random mappings of random layers on a chain to be those of the tensors.
int expect_plain_is_exact(Chain chain, RandomCases& random, int mappings) {
  for (ChainLevel& level : chain.levels) {
    if (letters_of(level.holds).empty()) level.capacity_words.reset();  // nothing to fit
  }
  const ChainModel model(chain);
  std::vector<Layer> layers;
  std::vector<Mapping> nests;
  for (int i = 0; i < mappings; ++i) {
    layers.push_back(random.layer());
    nests.push_back(random.mapping(layers.back(), chain));
  }
  const ChainTraffic traffic =
      model.traffic(model.nests_of(nests), LayerBatch::from(layers, torch::kFloat64));
  const ChainCost cost = model.cost(traffic);
  const Tensor fits = model.fits(traffic);
  int fitting = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const NestModel plain(chain, layers[i]);
    const ChainNest nest = nest_of(nests[i]);
    EXPECT_EQ(print_mapping(plain.mapping_of(nest), chain), print_mapping(nests[i], chain));
    const NestCost found = plain.cost(nest);
    EXPECT_EQ(found.fits, fits[static_cast<std::int64_t>(i)].item<bool>());
    EXPECT_EQ(found.fits, plain.fill(nest) <= 1);
    if (!found.fits) continue;
    ++fitting;
    EXPECT_EQ(found.cycles, at(cost.cycles, i)) << print_mapping(nests[i], chain);
    EXPECT_EQ(found.energy_pj, at(cost.energy_pj, i)) << print_mapping(nests[i], chain);
  }
  return fitting;
}

TEST(NestModel, IsTheExactModelToTheLastBit) {
  RandomCases random(11);
  int fitting = 0;
  for (int chain = 0; chain < 60 && !HasFailure(); ++chain)
    fitting += expect_plain_is_exact(random.chain(), random, 50);
  for (const char* machine : {"simba", "eyeriss", "nvdla", "tpu"})
    fitting += expect_plain_is_exact(load_chain(machine), random, 300);
  EXPECT_GT(fitting, 1000);
}

/// The same mappings for the relaxed model: places are whole numbers.
ChainNests relaxed(const ChainNests& nests) {
  const Tensor rank = torch::arange(kDims, torch::kFloat64).expand(nests.order.sizes());
  return {nests.temporal, nests.spatial, {}, torch::zeros_like(rank).scatter(2, nests.order, rank)};
}

/// Whether some windows may slide as one, or meet in space: what the relaxed model leaves out.
bool has_coincidences(const Mapping& mapping) {
  int in_time = 0, in_space = 0;
  for (std::size_t l = 0; l < mapping.levels.size(); ++l) {
    for (const Dim dim : {Dim::R, Dim::S, Dim::P, Dim::Q}) {
      in_time += mapping.temporal(static_cast<int>(l), dim) > 1;
      in_space += mapping.spatial(static_cast<int>(l), dim) > 1;
    }
  }
  return in_time > 1 || in_space > 1;
}

TEST(RelaxedChainModel, EveryTermApproachesTheExactOneAsTheGateCloses) {
  RandomCases random(13);
  int cases = 0;
  for (int c = 0; c < 400 && cases < 300; ++c) {
    const ChainModel model(random.chain());
    std::vector<Layer> layers;
    std::vector<Mapping> mappings;
    for (int i = 0; i < 20; ++i) {
      const Layer layer = random.layer();
      const Mapping mapping = random.mapping(layer, model.chain());
      if (has_coincidences(mapping)) continue;
      layers.push_back(layer);
      mappings.push_back(mapping);
    }
    if (layers.empty()) continue;
    cases += static_cast<int>(layers.size());
    const LayerBatch batch = LayerBatch::from(layers, torch::kFloat64);
    const ChainNests nests = model.nests_of(mappings);
    const ChainTraffic exact = model.traffic(nests, batch);
    double before = 1e30;
    for (const double gate : {2.0, 8.0, 100.0}) {
      const ChainTraffic soft = model.traffic(relaxed(nests), batch, Sharpness::relaxed(gate));
      double error = 0;
      const auto compare = [&](const Tensor& found, const Tensor& expected) {
        const double off = ((found - expected).abs() / (expected.abs() + 1)).max().item<double>();
        error = std::max(error, off);
        if (gate == 100) {
          EXPECT_LT(off, 1e-9);
        }
      };
      for (std::size_t l = 0; l < exact.accesses.size(); ++l) {
        compare(soft.used[l], exact.used[l]);
        for (std::size_t o = 0; o < kOperands; ++o) {
          if (!exact.accesses[l][o].reads.defined()) continue;
          compare(soft.accesses[l][o].reads, exact.accesses[l][o].reads);
          compare(soft.accesses[l][o].fills, exact.accesses[l][o].fills);
          compare(soft.accesses[l][o].updates, exact.accesses[l][o].updates);
          compare(soft.tile_words[l][o], exact.tile_words[l][o]);
        }
      }
      EXPECT_LE(error, before + 1e-12);
      before = error;
    }
  }
  EXPECT_GE(cases, 300);
}

}  // namespace
}  // namespace dosa::testing
