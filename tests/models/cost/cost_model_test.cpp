// Property and fidelity tests of the cost model.
#include "dosa/models/cost/cost_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "dosa/core/design/design.hpp"
#include "dosa/core/design/validate.hpp"
#include "dosa/core/targets/mapping/target.hpp"
#include "tests/models/cost/oracle.hpp"
#include "tests/models/random_mappings.hpp"
#include "tests/models/values.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

using torch::Tensor;

const ArrayMachine& gemmini() {
  static const ArrayMachine machine = load_array_machine("gemmini-tl");
  return machine;
}

struct Cases {
  std::vector<Layer> layers;
  std::vector<Mapping> mappings;
};

Cases random_cases(std::uint64_t seed, std::size_t count) {
  RandomCases random(seed);
  Cases cases;
  for (std::size_t i = 0; i < count; ++i) {
    cases.layers.push_back(random.layer());
    cases.mappings.push_back(random.mapping(cases.layers.back(), gemmini()));
  }
  return cases;
}

Traffic traffic_of(const Cases& cases, const Sharpness& sharpness) {
  const CostModel model(gemmini(), torch::kFloat64);
  return model.traffic(model.nests_of(cases.mappings), LayerBatch::from(cases.layers, torch::kFloat64),
                       sharpness);
}

/// Compares every access count and tile with the oracle's; relative difference at most `tolerance`.
void expect_oracle(const Cases& cases, const Traffic& traffic, InputReuse reuse, double tolerance) {
  for (std::size_t i = 0; i < cases.layers.size(); ++i) {
    const OracleCounts oracle = count_accesses(cases.layers[i], cases.mappings[i], gemmini(), reuse);
    for (int level = 0; level <= gemmini().dram(); ++level) {
      const auto l = static_cast<std::size_t>(level);
      for (const Operand operand : all_operands()) {
        if (!gemmini().levels[l].holds_operand(operand)) continue;
        const auto o = static_cast<std::size_t>(operand);
        const Accesses& model = traffic.accesses[l][o];
        const AccessCounts& counted = oracle.at(level, operand);
        const auto expect = [&](const char* kind, const Tensor& modelled, std::int64_t expected) {
          if (!modelled.defined()) return;  // an access that the machine does not charge
          ASSERT_NEAR(at(modelled, i), static_cast<double>(expected),
                      tolerance * static_cast<double>(expected) + tolerance)
              << kind << " of " << kOperandNames[o] << " at " << gemmini().level_label(level) << " in "
              << print_mapping(cases.mappings[i], gemmini()) << " of stride " << cases.layers[i].wstride
              << ", " << cases.layers[i].hstride;
        };
        expect("reads", model.reads, counted.reads);
        expect("writes", model.writes, counted.writes);
        expect("updates", model.updates, counted.updates);
        if (level < gemmini().dram()) {
          ASSERT_NEAR(at(traffic.tile_words[l][o], i), static_cast<double>(oracle.words(level, operand)),
                      tolerance * 1e3);
        }
      }
    }
  }
}

TEST(CostModelProperty, ExactCountsAreThoseOfTheOracle) {
  const Cases cases = random_cases(11, 3000);
  expect_oracle(cases, traffic_of(cases, Sharpness{}), InputReuse::kTimeloop, 0);
}

TEST(CostModelProperty, RelaxedCountsWithSharpGatesAreThoseOfTheOracle) {
  const Cases cases = random_cases(12, 1000);
  expect_oracle(cases, traffic_of(cases, Sharpness::relaxed(200)), InputReuse::kInnermostLoop, 1e-6);
}

/// The scalar that the derivative tests look at: log energy + log latency of each nest on hardware that fits
/// it.
Tensor log_edp(const CostModel& model, const Tensor& log_factors, const Tensor& position,
               const LayerBatch& layers, const HardwareTensors& hardware) {
  const Sharpness sharpness = Sharpness::relaxed(2.5);
  const Traffic traffic = model.traffic({log_factors, position}, layers, sharpness);
  const Cost cost = model.cost(traffic, hardware, sharpness);
  return (cost.energy_pj.log() + cost.cycles.log()).sum();
}

TEST(CostModelProperty, GradientsAreFiniteDifferences) {
  const Cases cases = random_cases(13, 40);
  const CostModel model(gemmini(), torch::kFloat64);
  const Nests nests = model.nests_of(cases.mappings);
  const LayerBatch layers = LayerBatch::from(cases.layers, torch::kFloat64);
  // Away from whole factors, where two loops can be equally innermost or two levels bound the latency
  // together.
  at::Generator generator = at::detail::createCPUGenerator(3);
  const Tensor point =
      nests.log_factors + 0.1 + 0.5 * torch::rand(nests.log_factors.sizes(), generator, torch::kFloat64);
  const HardwareTensors hardware = HardwareTensors::from({16, 128, 32}, torch::kFloat64);
  const Tensor x = point.clone().requires_grad_(true);
  log_edp(model, x, nests.position, layers, hardware).backward();
  const Tensor gradient = x.grad();
  constexpr double kStep = 1e-6;
  int compared = 0;
  for (std::int64_t slot = 0; slot < point.size(1); ++slot) {
    const auto shifted = [&](double by) {
      Tensor moved = point.clone();
      moved.select(1, slot) += by;
      return moved;
    };
    for (std::int64_t i = 0; i < point.size(0); ++i) {
      const auto value = [&](double by) {
        const auto row = [&](const Tensor& t) { return t.slice(0, i, i + 1); };
        return log_edp(model, row(shifted(by)), row(nests.position),
                       {row(layers.log_size), row(layers.wstride), row(layers.hstride), row(layers.wdilation),
                        row(layers.hdilation), row(layers.repetitions)},
                       hardware)
            .item<double>();
      };
      const double numeric = (value(kStep) - value(-kStep)) / (2 * kStep);
      ASSERT_NEAR(gradient[i][slot].item<double>(), numeric, 1e-5 * std::max(1.0, std::abs(numeric)))
          << "nest " << i << ", slot " << slot;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 40 * static_cast<int>(model.slots().size()));
}

TEST(CostModelProperty, SharedOrdersAgreeWithOrdersOfTheirOwn) {
  // The same nests through a model with the search's orders and through one where every nest brings its
  // order.
  RandomCases random(14);
  const std::vector<NestOrder> orders = search_orders(gemmini());
  const CostModel shared(gemmini(), all_slots(gemmini()), orders, torch::kFloat64);
  const CostModel own(gemmini(), torch::kFloat64);
  for (int i = 0; i < 40; ++i) {
    const Layer layer = random.layer();
    const Nests nests = own.nests_of({random.mapping(layer, gemmini())});
    const LayerBatch batch = LayerBatch::from({layer}, torch::kFloat64);
    const HardwareTensors hardware = HardwareTensors::from({16, 64, 32}, torch::kFloat64);
    const Cost together = shared.cost(shared.traffic({nests.log_factors, {}}, batch, {}), hardware, {});
    for (std::size_t o = 0; o < orders.size(); ++o) {
      const Mapping mapping = shared.mapping_of(nests.log_factors[0], static_cast<std::int64_t>(o));
      const Cost alone = own.cost(own.traffic(own.nests_of({mapping}), batch, {}), hardware, {});
      const auto index = static_cast<std::int64_t>(o);
      EXPECT_EQ(together.cycles.expand({1, shared.order_count()})[0][index].item<double>(),
                alone.cycles.item<double>());
      EXPECT_NEAR(together.energy_pj[0][index].item<double>(), alone.energy_pj.item<double>(),
                  1e-9 * alone.energy_pj.item<double>());
    }
  }
}

TEST(CostModelProperty, FactorsMultiplyAndUnitLoopsDoNotMatter) {
  RandomCases random(15);
  for (int i = 0; i < 200; ++i) {
    const Layer layer = random.layer();
    const Mapping mapping = random.mapping(layer, gemmini());
    Mapping padded = mapping;
    for (std::size_t level = 0; level < padded.levels.size(); ++level) {
      std::vector<Loop>& loops = padded.levels[level].temporal;
      for (const Dim dim : all_dims()) {
        if (mapping.temporal(static_cast<int>(level), dim) > 1) continue;
        loops.insert(loops.begin() + static_cast<std::ptrdiff_t>(random.below(loops.size() + 1)), {dim, 1});
      }
    }
    const CostModel model(gemmini(), torch::kFloat64);
    const HardwareTensors hardware = HardwareTensors::from({16, 64, 32}, torch::kFloat64);
    const auto energy = [&](const Mapping& m) {
      const Traffic traffic =
          model.traffic(model.nests_of({m}), LayerBatch::from({layer}, torch::kFloat64), {});
      EXPECT_EQ(traffic.macs.item<double>(), static_cast<double>(layer.macs()));
      return model.cost(traffic, hardware, {}).energy_pj.item<double>();
    };
    EXPECT_EQ(energy(mapping), energy(padded));
  }
}

// Sums of logarithms do not tell integers beyond 2^43 apart: such counts are right to 36 bits, and neither
// they nor those of other layers depend on what else is in the batch.
TEST(CostModelProperty, CountsOfLargeLayersAreRightToThirtySixBits) {
  const CostModel model(gemmini(), torch::kFloat64);
  const std::pair<DimSizes, const char*> cases[] = {
      {{1, 1, 65536, 1, 12288, 49152, 1}, "L3[WIO] P4096 C96 K768 - L2[WI] K64X - L1[O] C128X - L0[W] P16"},
      {{1, 1, 1162261467, 1, 1162261467, 1, 1},
       "L3[WIO] P43046721 C14348907 - L2[WI] N1 - L1[O] C81X - L0[W] P27"},
      {{1, 1, 2147483647, 1, 2147483647, 1, 1},
       "L3[WIO] P2147483647 C2147483647 - L2[WI] N1 - L1[O] N1 - L0[W] N1"},
      {{3, 3, 12, 8, 10, 4, 1}, "L3[WIO] P12 Q8 - L2[WI] K4X - L1[O] R3 S3 C10X - L0[W] N1"}};
  std::vector<Layer> layers;
  std::vector<Mapping> mappings;
  for (const auto& [size, text] : cases) {
    layers.emplace_back();
    layers.back().size = size;
    mappings.push_back(parse_mapping(text, gemmini()));
  }
  const Traffic all = model.traffic(model.nests_of(mappings), LayerBatch::from(layers, torch::kFloat64), {});
  const int dram = gemmini().dram();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Traffic one =
        model.traffic(model.nests_of({mappings[i]}), LayerBatch::from({layers[i]}, torch::kFloat64), {});
    const auto row = static_cast<std::int64_t>(i);
    double macs = 1;
    for (const Dim dim : all_dims()) macs *= static_cast<double>(mappings[i].total(dim));
    const double found = all.macs[row].item<double>();
    EXPECT_NEAR(found, macs, macs * std::exp2(-36)) << i;
    EXPECT_EQ(one.macs.item<double>(), found) << i;
    for (const Operand operand : all_operands()) {
      const auto o = static_cast<std::size_t>(operand);
      const Accesses &alone = one.accesses[static_cast<std::size_t>(dram)][o],
                     &among = all.accesses[static_cast<std::size_t>(dram)][o];
      EXPECT_EQ(alone.reads.item<double>(), among.reads[row].item<double>()) << i;
      EXPECT_GE(alone.reads.item<double>(), 0) << i;
    }
  }
}

TEST(CostModelProperty, MakingALoopSpatialNeverCosts) {
  // The mapper relies on it: moving a factor of C or K from the accumulator's loops to the array.
  RandomCases random(16);
  const CostModel model(gemmini(), torch::kFloat64);
  int moved = 0;
  for (int i = 0; i < 400; ++i) {
    const Layer layer = random.layer();
    Mapping mapping = random.mapping(layer, gemmini());
    for (const auto& [dim, level] : {std::pair{Dim::C, std::size_t{1}}, std::pair{Dim::K, std::size_t{2}}}) {
      Mapping spatial = mapping;
      auto& loops = spatial.levels[1].temporal;
      const auto loop =
          std::find_if(loops.begin(), loops.end(), [d = dim](const Loop& l) { return l.dim == d; });
      if (loop == loops.end()) continue;
      const std::int64_t factor = loop->factor;
      loops.erase(loop);
      auto& fanout = spatial.levels[level].spatial;
      const auto existing =
          std::find_if(fanout.begin(), fanout.end(), [d = dim](const Loop& l) { return l.dim == d; });
      if (existing == fanout.end()) {
        fanout.push_back({dim, factor});
      } else {
        existing->factor *= factor;
      }
      const LayerBatch batch = LayerBatch::from({layer}, torch::kFloat64);
      const Traffic before = model.traffic(model.nests_of({mapping}), batch, {});
      const Traffic after = model.traffic(model.nests_of({spatial}), batch, {});
      EXPECT_LE(after.compute_cycles.item<double>(), before.compute_cycles.item<double>());
      for (std::size_t l = 0; l < gemmini().levels.size(); ++l) {
        for (std::size_t o = 0; o < kOperands; ++o) {
          const auto not_more = [&](const Tensor& a, const Tensor& b) {
            if (!a.defined()) return;
            EXPECT_LE(a.item<double>(), b.item<double>()) << print_mapping(mapping, gemmini());
          };
          not_more(after.accesses[l][o].reads, before.accesses[l][o].reads);
          not_more(after.accesses[l][o].writes, before.accesses[l][o].writes);
          not_more(after.accesses[l][o].updates, before.accesses[l][o].updates);
          not_more(after.tile_words[l][o], before.tile_words[l][o]);
        }
      }
      ++moved;
    }
  }
  EXPECT_GT(moved, 100);
}

TEST(CostModelProperty, NoOrderIsBelowTheLowerBound) {
  // The mapper relies on it: what is beaten at the bound is not evaluated.
  const Cases cases = random_cases(17, 3000);
  const CostModel one_order(gemmini(), all_slots(gemmini()), {search_orders(gemmini()).front()},
                            torch::kFloat64);
  const CostModel own(gemmini(), torch::kFloat64);
  const Nests nests = own.nests_of(cases.mappings);
  const LayerBatch layers = LayerBatch::from(cases.layers, torch::kFloat64);
  const HardwareTensors hardware = HardwareTensors::from({16, 64, 32}, torch::kFloat64);
  const Traffic least = one_order.traffic({nests.log_factors, {}}, layers, Sharpness::lower_bound());
  const Traffic exact = own.traffic(nests, layers, {});
  const auto expect_below = [](const Tensor& bound, const Tensor& value) {
    if (!value.defined()) return;
    EXPECT_LE((bound - value).max().item<double>(), 1e-6);
  };
  for (std::size_t level = 0; level < gemmini().levels.size(); ++level) {
    for (std::size_t o = 0; o < kOperands; ++o) {
      const Accesses &below = least.accesses[level][o], &above = exact.accesses[level][o];
      expect_below(below.reads, above.reads);
      expect_below(below.writes, above.writes);
      expect_below(below.updates, above.updates);
    }
  }
  const Cost bound = one_order.cost(least, hardware, Sharpness::lower_bound());
  const Cost cost = own.cost(exact, hardware, {});
  expect_below(bound.cycles, cost.cycles);
  expect_below(bound.energy_pj, cost.energy_pj);
  // Nor is it far below: these mappings have loops at all levels in random orders.
  EXPECT_GT((bound.energy_pj / cost.energy_pj).mean().item<double>(), 0.3);
}

TEST(CostModelProperty, GroupsAndCountsScaleADesign) {
  Design design;
  design.hardware = ArraySizes{16, 128, 32};
  DesignLayer entry;
  entry.layer.name = "layer";
  entry.layer.size = {3, 3, 8, 8, 4, 16, 1};
  const TargetPtr target = make_target(std::make_shared<ArrayMachine>(gemmini()));
  entry.schedule = target->schedule_of(
      parse_mapping("L3[WIO] Q8 - L2[WI] N1 K16X - L1[O] S3 R3 P8 C4X - L0[W] N1", gemmini()), entry.layer,
      design.hardware);
  design.layers = {entry};
  evaluate(design, *target);
  const DesignTotals once = design.totals;
  design.layers[0].layer.groups = 3;
  design.layers[0].layer.count = 2;
  evaluate(design, *target);
  EXPECT_EQ(design.totals.cycles, 6 * once.cycles);
  EXPECT_NEAR(design.totals.energy_uj, 6 * once.energy_uj, 1e-12 * once.energy_uj);
  design.hardware[kAccumulatorParameter] = 0;
  expect_error([&] { evaluate(design, *target); }, ErrorId::kCapacity,
               {"layer 'layer'", "L1[O]", "needs", "has 0 KiB"});
}

/// Thirty rows drawn at random from the dataset published with DOSA (ucb-bar/dosa, BSD-2-Clause, Copyright
/// 2022 Charles Hong): what Timeloop and Accelergy gave for these mappings, energies as printed.
struct Published {
  ArraySizes hardware;
  DimSizes size;
  std::int64_t stride;
  const char* mapping;
  double cycles;
  const char* energy_uj;
};
const std::vector<Published> kPublished{
    {{16, 512, 1},
     {3, 3, 240, 24, 16, 32, 1},
     1,
     "L3[WIO] C4 Q12 P40 K4 - L2[WI] N1 K8X - L1[O] S3 R3 Q2 C4X - L0[W] P6",
     864000,
     "537.369"},
    {{128, 512, 512},
     {1, 1, 128, 1, 512, 2048, 1},
     1,
     "L3[WIO] P16 K64 C128 - L2[WI] N1 K2X - L1[O] K16 C2 P4 C2X - L0[W] P2",
     33554432,
     "3987.921062"},
    {{32, 256, 8},
     {3, 3, 224, 224, 3, 64, 1},
     1,
     "L3[WIO] Q112 S3 K16 P8 R3 - L2[WI] N1 K4X - L1[O] C3 Q2 - L0[W] P28",
     22478848,
     "3206.375497"},
    {{128, 64, 256},
     {3, 3, 224, 224, 3, 64, 1},
     1,
     "L3[WIO] P56 S3 Q32 K32 - L2[WI] N1 - L1[O] K2 R3 C3 Q7 P4 - L0[W] N1",
     89915392,
     "2658.280593"},
    {{2, 1, 8},
     {1, 1, 128, 1, 2048, 512, 1},
     1,
     "L3[WIO] P4 K32 C128 - L2[WI] N1 - L1[O] K16 C8 P2 C2X - L0[W] P16",
     67108864,
     "1800.626785"},
    {{16, 2048, 32},
     {3, 3, 7, 7, 256, 512, 1},
     1,
     "L3[WIO] S3 R3 C128 K128 - L2[WI] N1 - L1[O] K4 C2 Q7 - L0[W] P7",
     72240896,
     "9409.898311"},
    {{8, 512, 128},
     {1, 1, 28, 28, 512, 256, 1},
     1,
     "L3[WIO] K64 Q2 C32 - L2[WI] N1 - L1[O] K4 C16 Q14 P28 - L0[W] N1",
     102760448,
     "5176.384662"},
    {{4, 2048, 64},
     {3, 3, 56, 56, 128, 256, 1},
     1,
     "L3[WIO] K256 P2 Q2 C128 R3 - L2[WI] N1 - L1[O] S3 Q28 P28 - L0[W] N1",
     924844032,
     "73836.54932"},
    {{128, 1024, 256},
     {2, 2, 7, 7, 512, 512, 1},
     1,
     "L3[WIO] P7 K32 S2 C8 R2 - L2[WI] N1 K2X - L1[O] K8 C2 Q7 C32X - L0[W] N1",
     1322048,
     "2264.51748"},
    {{2, 1024, 256},
     {3, 3, 240, 24, 16, 32, 1},
     1,
     "L3[WIO] C16 K4 R3 Q4 P4 S3 - L2[WI] N1 K2X - L1[O] K4 Q6 P30 - L0[W] P2",
     15436800,
     "3238.892704"},
    {{128, 1, 128},
     {3, 3, 480, 48, 1, 16, 1},
     1,
     "L3[WIO] K8 R3 Q24 P4 - L2[WI] N1 K2X - L1[O] S3 Q2 P4 - L0[W] P30",
     1843201,
     "314.956262"},
    {{32, 1, 8},
     {1, 1, 1, 1, 512, 256, 1},
     1,
     "L3[WIO] K128 C32 - L2[WI] N1 - L1[O] K2 C16X - L0[W] N1",
     24608,
     "20.155186"},
    {{128, 1, 8},
     {3, 3, 112, 112, 128, 128, 1},
     1,
     "L3[WIO] P8 S3 K128 Q112 C16 R3 - L2[WI] N1 - L1[O] P2 C8X - L0[W] P7",
     232816640,
     "88838.029798"},
    {{32, 256, 8},
     {3, 3, 28, 28, 8, 256, 1},
     1,
     "L3[WIO] K8 Q28 S3 C2 P2 - L2[WI] N1 K16X - L1[O] K2 R3 C4 P2 - L0[W] P7",
     934529,
     "381.300753"},
    {{2, 1024, 2},
     {1, 1, 1024, 1, 1024, 1024, 1},
     1,
     "L3[WIO] K1024 P32 C16 - L2[WI] N1 - L1[O] C64 P4 - L0[W] P8",
     1073741824,
     "174437.218555"},
    {{32, 32, 512},
     {1, 1, 1, 1, 134, 1024, 1},
     1,
     "L3[WIO] K1024 C134 - L2[WI] N1 - L1[O] N1 - L0[W] N1",
     137216,
     "29.441531"},
    {{16, 2048, 32},
     {1, 1, 1, 1, 134, 1024, 1},
     1,
     "L3[WIO] K1024 - L2[WI] N1 - L1[O] C134 - L0[W] N1",
     137216,
     "36.034583"},
    {{16, 128, 128},
     {3, 3, 28, 28, 256, 512, 1},
     1,
     "L3[WIO] P4 C128 K128 - L2[WI] N1 - L1[O] K4 S3 R3 C2 Q28 - L0[W] P7",
     950333440,
     "20402.338033"},
    {{32, 2048, 1},
     {3, 3, 112, 112, 128, 128, 1},
     1,
     "L3[WIO] P56 K128 S3 R3 Q56 C32 - L2[WI] N1 - L1[O] C4 Q2 P2 - L0[W] N1",
     1856110592,
     "483558.348365"},
    {{2, 4, 256},
     {1, 1, 56, 56, 64, 128, 1},
     1,
     "L3[WIO] K4 Q8 C8 - L2[WI] N1 - L1[O] K32 C8 Q7 P8 - L0[W] P7",
     25690112,
     "930.741467"},
    {{32, 8, 512},
     {1, 1, 7, 7, 2048, 1024, 1},
     1,
     "L3[WIO] K32 C16 Q7 - L2[WI] N1 K4X - L1[O] K8 C32 C4X - L0[W] P7",
     6516608,
     "1018.187812"},
    {{64, 1, 256},
     {1, 1, 7, 7, 1024, 2048, 1},
     1,
     "L3[WIO] P7 K64 C64 Q7 - L2[WI] N1 K2X - L1[O] K16 C16 - L0[W] N1",
     52960768,
     "3807.795843"},
    {{2, 32, 1},
     {1, 1, 14, 14, 1024, 1024, 1},
     1,
     "L3[WIO] K1024 Q7 C16 - L2[WI] N1 - L1[O] C64 Q2 P14 - L0[W] N1",
     205520896,
     "22897.06605"},
    {{16, 16, 1024},
     {3, 3, 108, 108, 3, 64, 1},
     2,
     "L3[WIO] C3 K16 R3 Q6 - L2[WI] N1 - L1[O] K4 S3 Q18 P3 - L0[W] P36",
     23141376,
     "2374.034128"},
    {{32, 8, 1},
     {3, 3, 54, 54, 64, 64, 1},
     1,
     "L3[WIO] P27 R3 S3 C4 Q54 K8 - L2[WI] N1 K2X - L1[O] K4 C16 P2 - L0[W] N1",
     55380672,
     "7551.41871"},
    {{2, 1024, 64},
     {3, 3, 240, 24, 16, 32, 1},
     1,
     "L3[WIO] C16 K4 Q4 P4 - L2[WI] N1 K2X - L1[O] K4 S3 R3 Q6 P30 - L0[W] P2",
     13962241,
     "1300.740995"},
    {{128, 512, 512},
     {1, 1, 1, 1, 25088, 4096, 1},
     1,
     "L3[WIO] C4 K128 - L2[WI] N1 - L1[O] K32 C448 C14X - L0[W] N1",
     12851776,
     "14590.218412"},
    {{64, 16, 4},
     {3, 3, 120, 12, 32, 64, 1},
     1,
     "L3[WIO] Q6 S3 K16 P24 - L2[WI] N1 K4X - L1[O] R3 C8 Q2 C4X - L0[W] P5",
     1681920,
     "347.807"},
    {{128, 1, 2048},
     {1, 1, 28, 28, 256, 512, 1},
     2,
     "L3[WIO] P2 K32 C64 Q14 - L2[WI] N1 K2X - L1[O] K8 Q2 P2 C4X - L0[W] P7",
     19167232,
     "7402.19651"},
    {{16, 512, 1},
     {1, 1, 56, 56, 64, 128, 1},
     1,
     "L3[WIO] Q56 C8 K8 P14 - L2[WI] N1 K8X - L1[O] K2 C4 C2X - L0[W] P4",
     1781248,
     "1050.549119"},
};

TEST(CostModelFidelity, PublishedTimeloopResults) {
  for (const Published& row : kPublished) {
    Layer layer;
    layer.name = "layer";
    layer.size = row.size;
    layer.wstride = layer.hstride = row.stride;
    // Mappings of the dataset can need more than the hardware that they were evaluated on has.
    const CostModel model(gemmini(), torch::kFloat64);
    const Cost cost = model.cost(model.traffic_of({layer}, {parse_mapping(row.mapping, gemmini())}),
                                 HardwareTensors::from(row.hardware, torch::kFloat64), {});
    EXPECT_EQ(cost.cycles.item<double>(), row.cycles) << row.mapping;
    const std::string printed = row.energy_uj;
    const double half_digit =
        0.5 * std::pow(10.0, -static_cast<double>(printed.size() - printed.find('.') - 1));
    EXPECT_NEAR(1e-6 * cost.energy_pj.item<double>(), std::stod(printed), half_digit * (1 + 1e-6))
        << row.mapping;
  }
}

TEST(CostModelFidelity, EveryRowOfTheReferenceTable) {
  const auto table = reference_data("timeloop_train.csv.gz");
  DOSA_SKIP_WITHOUT(table, "timeloop_train.csv.gz");
  const ValidationReport report = validate_table(*table, gemmini(), 3);
  EXPECT_EQ(report.rows, 14540u);
  EXPECT_EQ(report.exact_cycles, report.rows) << report.full_report();
  EXPECT_EQ(report.exact_energy, report.rows) << report.full_report();
}

}  // namespace
}  // namespace dosa::testing
