// The oracle itself, on nests small enough to count by hand.
#include "tests/models/cost/oracle.hpp"

#include <gtest/gtest.h>

#include "tests/models/random_mappings.hpp"

namespace dosa {
namespace {

using testing::count_accesses;
using testing::InputReuse;
using testing::OracleCounts;

class Oracle : public ::testing::Test {
 protected:
  OracleCounts count(const Layer& layer, const std::string& text,
                     InputReuse reuse = InputReuse::kTimeloop) const {
    const Mapping mapping = parse_mapping(text, machine_);
    check_mapping(mapping, layer, machine_);
    return count_accesses(layer, mapping, machine_, reuse);
  }
  /// Words written into the scratchpad's input tile.
  std::int64_t fills(const Layer& layer, const std::string& outer_loops, const std::string& inner_loops,
                     InputReuse reuse) const {
    return count(layer, "L3[WIO] " + outer_loops + " - L2[WI] N1 - L1[O] " + inner_loops + " - L0[W] N1",
                 reuse)
        .at(2, Operand::I)
        .writes;
  }
  const ArrayMachine machine_ = load_array_machine("gemmini-tl");
};

TEST_F(Oracle, MatrixProduct) {
  // 6 rows, 4 inner, 6 columns; the array takes 2 of the inner and 3 of the columns at a time.
  Layer layer;
  layer.size = {1, 1, 6, 1, 4, 6, 1};
  const OracleCounts counts = count(layer, "L3[WIO] K2 P2 - L2[WI] N1 K3X - L1[O] C2 C2X - L0[W] P3");
  // Weights, 24 words: a scratchpad tile of 12 stays during the P loop, then comes the other half. Registers
  // hold one word each and change with C and K: 2 C steps, 4 outer iterations, 6 registers.
  EXPECT_EQ(counts.words(2, Operand::W), 12);
  EXPECT_EQ(counts.at(2, Operand::W).writes, 24);
  EXPECT_EQ(counts.at(3, Operand::W).reads, 24);
  EXPECT_EQ(counts.at(0, Operand::W).writes, 2 * 4 * 6);
  EXPECT_EQ(counts.at(2, Operand::W).reads, 2 * 4 * 6);
  EXPECT_EQ(counts.at(0, Operand::W).reads, 144);
  // Inputs, 24 words: half of them for each P, all again for the other K. A word feeds 3 columns.
  EXPECT_EQ(counts.words(2, Operand::I), 12);
  EXPECT_EQ(counts.at(2, Operand::I).writes, 48);
  EXPECT_EQ(counts.at(2, Operand::I).reads, 144 / 3);
  // Outputs, 36 words: every tile is finished where it is opened. 2 rows of the array add up on the way.
  EXPECT_EQ(counts.words(1, Operand::O), 3);
  EXPECT_EQ(counts.at(1, Operand::O).writes, 36);
  EXPECT_EQ(counts.at(1, Operand::O).updates, 144 / 2);
  EXPECT_EQ(counts.at(1, Operand::O).reads, 144 / 2 - 36);
  EXPECT_EQ(counts.at(3, Operand::O).updates, 36);
  EXPECT_EQ(counts.at(3, Operand::O).reads, 0);
}

TEST_F(Oracle, PartialSumsComeBack) {
  Layer layer;
  layer.size = {1, 1, 4, 1, 3, 1, 1};
  const OracleCounts counts = count(layer, "L3[WIO] C3 P4 - L2[WI] N1 - L1[O] N1 - L0[W] N1");
  EXPECT_EQ(counts.at(1, Operand::O).writes, 12);
  EXPECT_EQ(counts.at(3, Operand::O).updates, 12);
  EXPECT_EQ(counts.at(3, Operand::O).reads, 8);
}

TEST_F(Oracle, InputsSlide) {
  Layer layer;  // a filter of 3 over 8 outputs: 10 inputs
  layer.size = {3, 1, 8, 1, 1, 2, 1};
  for (const InputReuse reuse : {InputReuse::kLiteral, InputReuse::kInnermostLoop, InputReuse::kTimeloop}) {
    // Tiles of 4 inputs that move by 2: 4 + 3 * 2.
    EXPECT_EQ(fills(layer, "P4", "K2 R3 P2", reuse), 10);
    // K inside keeps the tile; K outside starts over (the first and the last tile have nothing in common).
    EXPECT_EQ(fills(layer, "K2 P4", "R3 P2", reuse), 20);
  }
  // With K inside, an ideal buffer still slides; Timeloop's tile starts anew with every P: 4 * 4.
  EXPECT_EQ(fills(layer, "P4 K2", "R3 P2", InputReuse::kLiteral), 10);
  EXPECT_EQ(fills(layer, "P4 K2", "R3 P2", InputReuse::kInnermostLoop), 16);
  EXPECT_EQ(fills(layer, "P4 K2", "R3 P2", InputReuse::kTimeloop), 16);
  // A stride beyond the filter leaves gaps between the tiles.
  layer.size = {1, 1, 8, 1, 1, 1, 1};
  layer.wstride = 3;
  EXPECT_EQ(fills(layer, "P4", "P2", InputReuse::kLiteral), 4 * 4);
}

TEST_F(Oracle, TimeloopSeesTheSecondIteration) {
  // First coincidence. R moves the tile of 2 by 1, P by 2 = twice as much. After its second R iteration
  // (offset 1), P goes on to offset 2: one new word. That is literally so with two R iterations ...
  Layer layer;
  layer.size = {2, 1, 4, 1, 1, 1, 1};
  EXPECT_EQ(fills(layer, "P2 R2", "P2", InputReuse::kLiteral), 5);
  EXPECT_EQ(fills(layer, "P2 R2", "P2", InputReuse::kInnermostLoop), 6);
  EXPECT_EQ(fills(layer, "P2 R2", "P2", InputReuse::kTimeloop), 5);
  // ... but with three the last tile is the one that P begins with: nothing new. Timeloop still says one.
  layer.size = {3, 1, 4, 1, 1, 1, 1};
  EXPECT_EQ(fills(layer, "P2 R3", "P2", InputReuse::kLiteral), 2 + 2 + 0 + 2);
  EXPECT_EQ(fills(layer, "P2 R3", "P2", InputReuse::kInnermostLoop), 4 + 4);
  EXPECT_EQ(fills(layer, "P2 R3", "P2", InputReuse::kTimeloop), 4 + 3);
  // Second coincidence: K keeps the tile, P and R both move it by 1.
  layer.size = {2, 1, 3, 1, 1, 2, 1};
  EXPECT_EQ(fills(layer, "R2 P3 K2", "N1", InputReuse::kInnermostLoop), 6);
  EXPECT_EQ(fills(layer, "R2 P3 K2", "N1", InputReuse::kTimeloop), 5);
}

TEST_F(Oracle, IdealBufferIsNeverWorse) {
  testing::RandomCases random(5);
  int better = 0;
  for (int i = 0; i < 300; ++i) {
    const Layer layer = random.layer(1000);
    const Mapping mapping = random.mapping(layer, machine_);
    const OracleCounts ideal = count_accesses(layer, mapping, machine_, InputReuse::kLiteral);
    const OracleCounts inner = count_accesses(layer, mapping, machine_, InputReuse::kInnermostLoop);
    const OracleCounts timeloop = count_accesses(layer, mapping, machine_, InputReuse::kTimeloop);
    EXPECT_LE(ideal.at(2, Operand::I).writes, inner.at(2, Operand::I).writes);
    EXPECT_LE(timeloop.at(2, Operand::I).writes, inner.at(2, Operand::I).writes);
    better += ideal.at(2, Operand::I).writes < inner.at(2, Operand::I).writes;
    for (const Operand operand : {Operand::W, Operand::O}) {
      for (int level = 0; level <= machine_.dram(); ++level) {
        EXPECT_EQ(ideal.at(level, operand), inner.at(level, operand));
        EXPECT_EQ(timeloop.at(level, operand), inner.at(level, operand));
      }
    }
  }
  EXPECT_GT(better, 0);
}

}  // namespace
}  // namespace dosa
