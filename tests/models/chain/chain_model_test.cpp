// The model of chains of memories: against a literal walk through the nest, against the model of gemmini-tl,
// against Timeloop's results.
#include "dosa/models/chain/chain_model.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "dosa/core/design/validate.hpp"
#include "tests/models/cost/oracle.hpp"
#include "tests/models/random_mappings.hpp"
#include "tests/models/values.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

using torch::Tensor;

ChainTraffic traffic_of(const ChainModel& model, const std::vector<Layer>& layers,
                        const std::vector<Mapping>& mappings) {
  return model.traffic(model.nests_of(mappings), LayerBatch::from(layers, torch::kFloat64));
}

/// What a batch of random cases has, so that a test can tell whether it asked what it meant to ask.
struct Seen {
  int cases = 0, multicast = 0, reduction = 0, bypass = 0, both_axes = 0, windows_in_space = 0;
};

/// Compares every access and tile of random mappings on one random chain with the oracle's.
void expect_oracle(RandomCases& random, int mappings, Seen& seen) {
  const ChainModel model(random.chain());
  const Chain& chain = model.chain();
  std::vector<Layer> layers;
  std::vector<Mapping> nests;
  for (int i = 0; i < mappings; ++i) {
    layers.push_back(random.layer(1500));
    nests.push_back(random.mapping(layers.back(), chain));
    ASSERT_NO_THROW(check_mapping(nests.back(), layers.back(), chain));
  }
  const ChainTraffic traffic = traffic_of(model, layers, nests);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const OracleCounts oracle = count_accesses(layers[i], nests[i], chain);
    ++seen.cases;
    for (std::size_t l = 0; l < chain.levels.size(); ++l) {
      const LevelNest& nest = nests[i].levels[l];
      seen.both_axes += !nest.spatial.empty() && !nest.spatial_y.empty();
      const int level = static_cast<int>(l);
      seen.windows_in_space += nests[i].spatial(level, Dim::P) > 1 && nests[i].spatial(level, Dim::R) > 1;
      seen.multicast += nests[i].spatial(level, Dim::K) > 1;
      seen.reduction += nests[i].spatial(level, Dim::C) > 1;
      for (const Operand operand : all_operands()) {
        const auto o = static_cast<std::size_t>(operand);
        if (!chain.levels[l].holds_operand(operand)) {
          ++seen.bypass;
          continue;
        }
        const AccessCounts& expected = oracle.at(level, operand);
        const ChainAccesses& found = traffic.accesses[l][o];
        const double used = at(traffic.used[l], i);
        const std::string where = chain.level_label(level) + " " + kOperandNames[o] + " of " +
                                  print_mapping(nests[i], chain) + " for " + to_json(layers[i]).dump();
        ASSERT_EQ(at(found.reads, i) * used, static_cast<double>(expected.reads)) << where;
        ASSERT_EQ(at(found.fills, i) * used, static_cast<double>(expected.writes)) << where;
        ASSERT_EQ(at(found.updates, i) * used, static_cast<double>(expected.updates)) << where;
        if (level < chain.dram()) {
          ASSERT_EQ(at(traffic.tile_words[l][o], i), static_cast<double>(oracle.words(level, operand)))
              << where;
        }
      }
    }
  }
}

TEST(ChainModelOracle, ThousandsOfRandomTilingsOnRandomChains) {
  RandomCases random(7);
  Seen seen;
  for (int chain = 0; chain < 200 && !HasFatalFailure(); ++chain) expect_oracle(random, 20, seen);
  EXPECT_EQ(seen.cases, 4000);
  for (const int count : {seen.multicast, seen.reduction, seen.bypass, seen.both_axes, seen.windows_in_space})
    EXPECT_GT(count, 50);
}

TEST(ChainModel, IsTheModelOfGemminiWhereBothApply) {
  const ArrayMachine machine = load_array_machine("gemmini-tl");
  const ArraySizes hardware{16, 128, 32};
  const ChainModel chain(chain_of(machine, hardware));
  const CostModel model(machine, torch::kFloat64);
  RandomCases random(3);
  std::vector<Layer> layers;
  std::vector<Mapping> mappings;
  for (int i = 0; i < 1000; ++i) {
    layers.push_back(random.layer());
    mappings.push_back(random.mapping(layers.back(), machine, hardware.pe_dim));
  }
  const ChainTraffic traffic = traffic_of(chain, layers, mappings);
  const ChainCost cost = chain.cost(traffic);
  const Cost expected =
      model.cost(model.traffic(model.nests_of(mappings), LayerBatch::from(layers, torch::kFloat64), {}),
                 HardwareTensors::from(hardware, torch::kFloat64), {});
  EXPECT_TRUE(torch::equal(cost.cycles, expected.cycles.squeeze(-1)));
  EXPECT_TRUE(torch::allclose(cost.energy_pj, expected.energy_pj.squeeze(-1), 1e-12));
}

TEST(ChainModel, ALayerForEveryMappingOrOneForAll) {
  const ChainModel model(load_chain("simba"));
  RandomCases random(5);
  const Layer layer = random.layer();
  std::vector<Mapping> mappings;
  for (int i = 0; i < 20; ++i) mappings.push_back(random.mapping(layer, model.chain()));
  const ChainCost one = model.cost(traffic_of(model, {layer}, mappings));
  const ChainCost each = model.cost(traffic_of(model, std::vector<Layer>(20, layer), mappings));
  EXPECT_TRUE(torch::equal(one.cycles, each.cycles));
  EXPECT_TRUE(torch::equal(one.energy_pj, each.energy_pj));
}

TEST(ChainModel, SaysWhatDoesNotFit) {
  const ChainModel model(load_chain("simba"));
  Layer layer;
  layer.size = {1, 1, 1, 1, 64, 32, 1};
  const std::string text = "L5[WIO] N1 - L4[IO] N1 - L3[I] N1 - L2[W] N1 - L1[O] C8 K4 C8Y K8X - L0[W] N1";
  const Mapping good = parse_mapping(text, model.chain());
  check_mapping(good, layer, model.chain());
  ChainTraffic traffic = traffic_of(model, {layer}, {good});
  EXPECT_TRUE(model.fits(traffic).item<bool>());
  EXPECT_NO_THROW(model.check_fits(traffic, 0));
  EXPECT_EQ(traffic.need_words(1).item<double>(), 32);
  layer[Dim::P] = 64;
  const Mapping bad = parse_mapping(replaced(text, "C8 K4", "P64 C8 K4"), model.chain());
  traffic = traffic_of(model, {layer}, {bad});
  EXPECT_FALSE(model.fits(traffic).item<bool>());
  expect_error([&] { model.check_fits(traffic, 0); }, ErrorId::kCapacity,
               {"L1[O] accumulation_buffer", "needs 2048 words", "has 1024"});
}

TEST(ChainModel, IsDifferentiableInTheFactors) {
  const ChainModel model(load_chain("eyeriss"));
  RandomCases random(9);
  std::vector<Layer> layers;
  std::vector<Mapping> mappings;
  for (int i = 0; i < 20; ++i) {
    layers.push_back(random.layer());
    mappings.push_back(random.mapping(layers.back(), model.chain()));
  }
  ChainNests nests = model.nests_of(mappings);
  nests.temporal.requires_grad_();
  nests.spatial.requires_grad_();
  const ChainTraffic traffic = model.traffic(nests, LayerBatch::from(layers, torch::kFloat64));
  Tensor words = traffic.macs;
  for (const auto& level : traffic.accesses) {
    for (const ChainAccesses& accesses : level) {
      if (accesses.reads.defined()) words = words + accesses.reads + accesses.fills + accesses.updates;
    }
  }
  words.sum().backward();
  for (const Tensor& gradient : {nests.temporal.grad(), nests.spatial.grad()}) {
    EXPECT_TRUE(gradient.isfinite().all().item<bool>());
    EXPECT_GT(gradient.abs().sum().item<double>(), 0);
  }
}

class ChainFidelity : public ::testing::TestWithParam<const char*> {};

TEST_P(ChainFidelity, EveryRowOfTheReferenceTable) {
  const std::string name = std::string("machines/") + GetParam() + ".csv.gz";
  const auto table = reference_data(name);
  DOSA_SKIP_WITHOUT(table, name);
  const ValidationReport report = validate_table(*table, load_chain(GetParam()), 3);
  EXPECT_EQ(report.rows, 500u);
  EXPECT_EQ(report.exact_cycles, report.rows) << report.full_report();
  EXPECT_EQ(report.exact_energy, report.rows) << report.full_report();
  ASSERT_TRUE(report.accesses);
  EXPECT_EQ(report.accesses->exact_rows, report.rows) << report.full_report();
  EXPECT_GE(report.accesses->columns, 25u);
}

INSTANTIATE_TEST_SUITE_P(Machines, ChainFidelity, ::testing::Values("eyeriss", "simba", "nvdla", "tpu"),
                         [](const auto& machine) { return std::string(machine.param); });

TEST(ChainValidation, TellsWhatDiffers) {
  const TemporaryFolder folder;
  // Two rows by hand: 4 x 4 products on one lane; the second row claims other counts than the model has.
  const std::string mapping = "L5[WIO] C2 K2 - L4[IO] N1 - L3[I] N1 - L2[W] N1 - L1[O] C2 K2 - L0[W] N1";
  const std::string header = "R,S,P,Q,C,K,N,mapping,L0.W.reads,L0.instances,cycles,energy_uj\n";
  const std::string good = "1,1,1,1,4,4,1," + mapping + ",16,1,16,1\n";
  const std::string bad = "1,1,1,1,4,4,1," + mapping + ",17,1,15,1\n";
  const Chain simba = load_chain("simba");
  const auto validate = [&](const std::string& text) {
    return validate_table(folder.file("table.csv", header + text), simba, 3);
  };
  const ValidationReport report = validate(good + bad);
  EXPECT_EQ(report.rows, 2u);
  EXPECT_EQ(report.exact_cycles, 1u);
  EXPECT_EQ(report.exact_energy, 0u);
  ASSERT_TRUE(report.accesses);
  EXPECT_EQ(report.accesses->columns, 2u);
  EXPECT_EQ(report.accesses->exact_rows, 1u);
  ASSERT_EQ(report.accesses->differences.size(), 1u);
  EXPECT_THAT(report.accesses->differences[0], ::testing::HasSubstr("line 3: L0.W.reads: 16 (reference 17)"));
  EXPECT_EQ(report.to_json()["exact_accesses"], 1);
  EXPECT_THAT(report.full_report(), ::testing::HasSubstr("accesses exact"));

  expect_error([&] { validate(replaced(good, "C2 K2 -", "C2 K4 -")); }, ErrorId::kMapping,
               {"table.csv", "line 2", "mapping", "factors of K multiply to 8"});
  expect_error([&] { validate(replaced(good, "L3[I] N1", "L3[W] N1")); }, ErrorId::kMapping,
               {"line 2", "'L3[W]'", "L3[I]", "simba"});
  expect_error([&] { validate(replaced(good, ",16,1,16", ",16,1,-16")); }, ErrorId::kValue,
               {"line 2: cycles", "-16"});
  expect_error([&] { validate_table(folder.file("t.csv", "R,S,P,Q,C,K,N,mapping,cycles\n"), simba, 3); },
               ErrorId::kSchema, {"energy_uj"});
  const std::string other = replaced(header, "L0.W.reads", "L0.I.reads");
  expect_error([&] { validate_table(folder.file("t.csv", other + good), simba, 3); }, ErrorId::kSchema,
               {"t.csv", "L0.I.reads", "L0[W] L1[O]", "simba"});
  const std::string large =
      replaced(replaced(good, "1,1,1,1,4", "1,1,2048,1,4"), "- L1[O] C2", "- L1[O] P2048 C2");
  expect_error([&] { validate(large); }, ErrorId::kCapacity,
               {"line 2: mapping: L1[O] accumulation_buffer", "needs 4096 words", "has 1024"});
  expect_error([&] { validate(""); }, ErrorId::kValue, {"table.csv", "no rows"});
}

}  // namespace
}  // namespace dosa::testing
