// Does what is executed for a tiling give the words of the analytical model where the two run the same
// schedule?
#include "dosa/core/targets/gemmini/executed_traffic.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dosa/models/base/error.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using torch::Tensor;

const ArrayMachine& rtl() {
  static const ArrayMachine machine = load_array_machine("gemmini-rtl");
  return machine;
}
const Tensor kSixteen = torch::full({}, 16.0, torch::kFloat64);

struct TrafficCase {
  Layer layer;
  gemmini::Call call;
  std::string mapping;  // in the order of the library
};

Layer conv(std::int64_t kernel, std::int64_t outputs, std::int64_t c, std::int64_t k, std::int64_t stride) {
  Layer layer;
  layer.name = "conv";
  layer.size = {kernel, kernel, outputs, outputs, c, k, 1};
  layer.wstride = layer.hstride = stride;
  layer.padding = 0;
  return layer;
}
Layer matmul(std::int64_t rows, std::int64_t inner, std::int64_t columns) {
  Layer layer;
  layer.name = "matmul";
  layer.size = {1, 1, rows, 1, inner, columns, 1};
  return layer;
}

/// The reduction over C is split in DRAM (or nothing is), so that nothing could stay from tile to tile.
std::vector<TrafficCase> same_schedules() {
  return {
      {conv(3, 16, 64, 64, 1), gemmini::Call::kConv,
       "L3[WIO] Q4 P2 K2 C2 - L2[WI] N1 K16X - L1[O] K2 S3 R3 C2 Q4 P8 C16X - L0[W] N1"},
      {conv(3, 16, 64, 32, 2), gemmini::Call::kConv,
       "L3[WIO] Q2 C4 - L2[WI] N1 K16X - L1[O] K2 S3 R3 Q8 P16 C16X - L0[W] N1"},
      {conv(5, 8, 48, 16, 1), gemmini::Call::kConv,
       "L3[WIO] N1 - L2[WI] N1 K16X - L1[O] S5 R5 C3 Q8 P8 C16X - L0[W] N1"},
      {matmul(128, 256, 96), gemmini::Call::kMatmul,
       "L3[WIO] P2 K3 C4 - L2[WI] N1 K16X - L1[O] K2 C4 P64 C16X - L0[W] N1"},
  };
}

Traffic executed(const Layer& layer, const gemmini::Tile& tile, bool relaxed,
                 const ArrayMachine& machine = rtl()) {
  const RunBatch batch = RunBatch::of({LayerRun::of(layer, tile.call)}, RunRules{});
  const Tensor sizes =
      torch::tensor(std::vector<double>(tile.size.begin(), tile.size.end()), torch::kFloat64).unsqueeze(0);
  return executed_traffic(executed_counts(sizes, kSixteen, batch, relaxed),
                          tile_rows(sizes, kSixteen, batch, relaxed), kSixteen, batch, machine);
}

double number(const Tensor& tensor) { return tensor.item<double>(); }

TEST(ExecutedTraffic, HasTheAnalyticalModelsWordsWhereTheScheduleIsTheSame) {
  const CostModel model(rtl(), torch::kFloat64);
  for (const TrafficCase& c : same_schedules()) {
    SCOPED_TRACE(c.layer.name + " " + c.mapping);
    const Mapping mapping = parse_mapping(c.mapping, rtl());
    check_mapping(mapping, c.layer, rtl());
    const Traffic expected =
        model.traffic(model.nests_of({mapping}), LayerBatch::from({c.layer}, torch::kFloat64), {});
    const gemmini::Tile tile = gemmini::tile_of_mapping(mapping, c.layer, c.call, 16);
    for (const bool relaxed : {false, true}) {
      const Traffic found = executed(c.layer, tile, relaxed);
      const auto same = [&](const Tensor& a, const Tensor& b, const std::string& what) {
        ASSERT_EQ(a.defined(), b.defined()) << what;
        if (!a.defined()) return;
        EXPECT_NEAR(number(a), number(b), 1e-9 * number(b)) << what;
      };
      same(found.macs, expected.macs, "macs");
      same(found.compute_cycles, expected.compute_cycles, "compute cycles");
      same(found.pe_dim, expected.pe_dim, "pe_dim");
      for (std::size_t level = 0; level < 4; ++level) {
        same(found.instances[level], expected.instances[level], fmt::format("instances {}", level));
        for (std::size_t o = 0; o < kOperands; ++o) {
          const Accesses &a = found.accesses[level][o], &b = expected.accesses[level][o];
          same(a.reads, b.reads, fmt::format("reads {} {}", level, kOperandNames[o]));
          same(a.writes, b.writes, fmt::format("writes {} {}", level, kOperandNames[o]));
          same(a.updates, b.updates, fmt::format("updates {} {}", level, kOperandNames[o]));
        }
      }
      same(found.tile_words[1][2], expected.tile_words[1][2], "output tile");
      same(found.tile_words[2][0], expected.tile_words[2][0], "weight tile");
      // The library reserves stride - 1 rows and columns more.
      if (c.layer.wstride == 1) same(found.tile_words[2][1], expected.tile_words[2][1], "input tile");
    }
  }
}

TEST(ExecutedTraffic, DiffersWhereGemminiDoes) {
  const auto words = [](const Traffic& t, std::size_t level, Operand o) {
    return t.accesses[level][static_cast<std::size_t>(o)];
  };
  // Inputs are loaded for each of 4 tiles of output channels, weights for each of 4 tiles of rows.
  Layer layer = conv(1, 16, 32, 64, 1);
  gemmini::Tile tile;
  tile.size = {1, 1, 16, 4, 32, 16, 1};
  Traffic t = executed(layer, tile, false);
  EXPECT_EQ(number(words(t, 3, Operand::I).reads), 16 * 16 * 32 * 4);
  EXPECT_EQ(number(words(t, 3, Operand::W).reads), 32 * 64 * 4);
  // Padding comes from nowhere and goes into the scratchpad.
  layer = conv(3, 8, 16, 16, 1);
  layer.padding = 1;
  tile.size = {3, 3, 8, 8, 16, 16, 1};
  t = executed(layer, tile, false);
  EXPECT_EQ(number(words(t, 3, Operand::I).reads), 8 * 8 * 16);
  EXPECT_EQ(number(words(t, 2, Operand::I).writes), 10 * 10 * 16);
  // 20 channels take two passes of the array, as do 32.
  layer = conv(1, 8, 20, 16, 1);
  tile.size = {1, 1, 8, 8, 20, 16, 1};
  t = executed(layer, tile, false);
  EXPECT_EQ(number(t.compute_cycles), 8 * 8 * 2);
  EXPECT_EQ(number(words(t, 1, Operand::O).updates), 8 * 8 * 16 * 2);
  // Three channels: five of seven kernel columns share a pass.
  layer = conv(7, 8, 3, 16, 1);
  tile.size = {7, 7, 8, 8, 3, 16, 1};
  t = executed(layer, tile, false);
  EXPECT_EQ(number(t.compute_cycles), 8 * 8 * 7 * 2);
}

// Rows of 32 bytes move lines of 64: measured, 4.6 MB of DRAM reads for 2.4 MB of weights.
TEST(ExecutedTraffic, MovesWholeLinesWhereTheMachineSaysSo) {
  ArrayMachine machine = rtl();
  machine.levels.back().whole_lines = true;
  const Layer layer = matmul(128, 768, 3072);
  for (const bool relaxed : {false, true}) {
    for (const auto& [k, lines_per_word] : {std::pair{32, 2.0}, {64, 1.0}}) {
      gemmini::Tile tile;
      tile.call = gemmini::Call::kMatmul;
      tile.size = {1, 1, 128, 1, 768, k, 1};
      const Traffic words = executed(layer, tile, relaxed), lines = executed(layer, tile, relaxed, machine);
      const auto dram = [](const Traffic& t, Operand o) {
        return t.accesses[3][static_cast<std::size_t>(o)];
      };
      EXPECT_NEAR(number(dram(lines, Operand::W).reads),
                  lines_per_word * number(dram(words, Operand::W).reads), 1);
      EXPECT_NEAR(number(dram(lines, Operand::I).reads), number(dram(words, Operand::I).reads), 1);
      EXPECT_NEAR(number(dram(lines, Operand::O).updates),
                  lines_per_word * number(dram(words, Operand::O).updates), 1);
      EXPECT_EQ(number(lines.accesses[2][0].writes), number(words.accesses[2][0].writes));
    }
  }
}

// Of what the search descends: energy and analytical cycles at real-valued tiles.
TEST(ExecutedTraffic, GradientsAreThoseOfFiniteDifferences) {
  const CostModel model(rtl(), torch::kFloat64);
  const HardwareTensors hardware = HardwareTensors::from({16, 256, 64}, torch::kFloat64);
  for (const TrafficCase& c : same_schedules()) {
    const RunBatch batch = RunBatch::of({LayerRun::of(c.layer, c.call)}, RunRules{});
    const auto value = [&](const Tensor& log_tile) {
      const Tensor tile = log_tile.exp().unsqueeze(0);
      const Traffic traffic =
          executed_traffic(executed_counts(tile, kSixteen, batch, true),
                           tile_rows(tile, kSixteen, batch, true), kSixteen, batch, rtl());
      const Cost cost = model.cost(traffic, hardware, Sharpness::relaxed(0));
      return (cost.energy_pj.log() + cost.cycles.log() + traffic.tile_words[2][1].log()).sum();
    };
    const Tensor point = (batch.size[0].log() * 0.81).requires_grad_();  // away from the kinks
    value(point).backward();
    const torch::NoGradGuard no_grad;
    for (int dim = 0; dim < kDims; ++dim) {
      if (batch.size[0][dim].item<double>() == 1) continue;
      const Tensor step = torch::zeros({kDims}, torch::kFloat64);
      step[dim] = 1e-6;
      const double numeric = number(value(point + step) - value(point - step)) / 2e-6;
      EXPECT_NEAR(number(point.grad()[dim]), numeric, 1e-4 * std::max(1.0, std::abs(numeric)))
          << c.mapping << dim;
    }
  }
}

TEST(ExecutedTraffic, RefusesMachinesWithOtherMemories) {
  ArrayMachine machine = rtl();
  machine.levels[1].holds = {true, false, true};
  const RunBatch batch = RunBatch::of({LayerRun::of(matmul(16, 16, 16))}, RunRules{});
  const Tensor tile = torch::ones({1, kDims}, torch::kFloat64) * 16;
  testing::expect_error(
      [&] {
        executed_traffic(executed_counts(tile, kSixteen, batch, false),
                         tile_rows(tile, kSixteen, batch, false), kSixteen, batch, machine);
      },
      ErrorId::kValue, {"gemmini-rtl", "accumulator"});
}

}  // namespace
}  // namespace dosa
