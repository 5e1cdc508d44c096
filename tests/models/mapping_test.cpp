#include "dosa/models/mapping.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "dosa/models/array_machine.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/models/random_mappings.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::expect_error;

constexpr const char* kConv1 = "L3[WIO] K8 Q28 - L2[WI] N1 K4X - L1[O] K2 S7 R7 Q4 P7 C3X - L0[W] P16";

Layer conv1() {
  Layer layer;
  layer.name = "conv1";
  layer.size = {7, 7, 112, 112, 3, 64, 1};
  layer.wstride = layer.hstride = 2;
  return layer;
}

class MappingText : public ::testing::Test {
 protected:
  Mapping parse(const std::string& text) const { return parse_mapping(text, machine_); }
  std::string round_trip(const std::string& text) const { return print_mapping(parse(text), machine_); }
  const ArrayMachine machine_ = load_array_machine("gemmini-tl");
};

TEST_F(MappingText, Parse) {
  const Mapping mapping = parse(kConv1);
  ASSERT_EQ(mapping.levels.size(), 4u);
  EXPECT_EQ(mapping.levels[3].temporal, (std::vector<Loop>{{Dim::K, 8}, {Dim::Q, 28}}));
  EXPECT_TRUE(mapping.levels[2].temporal.empty());
  EXPECT_EQ(mapping.levels[2].spatial, (std::vector<Loop>{{Dim::K, 4}}));
  EXPECT_EQ(mapping.temporal(1, Dim::R), 7);
  EXPECT_EQ(mapping.spatial(1, Dim::C), 3);
  EXPECT_EQ(mapping.total(Dim::K), 64);
  EXPECT_EQ(mapping.total(Dim::N), 1);
  check_mapping(mapping, conv1(), machine_);
}

TEST_F(MappingText, PrintOfParseIsTheIdentity) {
  for (const char* text : {kConv1, "L3[WIO] N1 - L2[WI] N1 - L1[O] N1 - L0[W] N1",
                           "L3[WIO] P28 Q56 K8 - L2[WI] C2 K4X - L1[O] K2 S7 R7 Q2 P2 C3X - L0[W] Q3 P2",
                           "L3[WIO] N1 - L2[WI] N1 K64X - L1[O] N1 C64X - L0[W] N1"}) {
    EXPECT_EQ(round_trip(text), text);
  }
}

TEST_F(MappingText, UnitLoopsAndSpacesAreForgiven) {
  EXPECT_EQ(round_trip("  L3[WIO]  K8 P1 Q28  - L2[WI] K4X -  L1[O] K2 S7 R7 Q4 P7 C3X - L0[W] P16 K1X "),
            kConv1);
}

TEST_F(MappingText, RandomMappingsComeBack) {
  testing::RandomCases random(11);
  for (int i = 0; i < 500; ++i) {
    const Layer layer = random.layer();
    const Mapping mapping = random.mapping(layer, machine_);
    check_mapping(mapping, layer, machine_);
    const std::string text = print_mapping(mapping, machine_);
    EXPECT_TRUE(parse(text) == mapping) << text;
    EXPECT_EQ(round_trip(text), text);
  }
}

TEST_F(MappingText, EveryReferenceMappingComesBack) {
  const auto file = testing::reference_data("timeloop_train.csv.gz");
  DOSA_SKIP_WITHOUT(file, "timeloop_train.csv.gz");
  std::istringstream rows(read_file(*file));
  std::string row;
  std::getline(rows, row);
  int count = 0;
  while (std::getline(rows, row)) {
    std::vector<std::string> cells;
    std::istringstream line(row);
    for (std::string cell; std::getline(line, cell, ',');) cells.push_back(cell);
    ASSERT_GE(cells.size(), 13u);
    Layer layer;
    for (std::size_t d = 0; d < kDims; ++d) layer.size[d] = std::stoll(cells[3 + d]);
    ASSERT_EQ(round_trip(cells[12]), cells[12]);
    ASSERT_NO_THROW(check_mapping(parse(cells[12]), layer, machine_)) << row;
    ++count;
  }
  EXPECT_GT(count, 10000);
}

TEST_F(MappingText, SyntaxErrorsShowTheWord) {
  const auto expect = [&](const std::string& from, const std::string& to, ErrorId id,
                          const std::vector<std::string>& parts) {
    expect_error([&] { parse(testing::replaced(kConv1, from, to)); }, id, parts);
  };
  expect("Q28", "Z28", ErrorId::kMapping, {"'Z28'", "unknown dimension", "R S P Q C K N"});
  for (const char* bad : {"Q", "Q0", "Q-2", "Q2.5", "QX", "Q28x", "Q2147483649", "Q99999999999999999999"}) {
    expect("Q28", bad, ErrorId::kSyntax, {std::string("'") + bad + "'", "K8"});
  }
  expect("L2[WI]", "L2[WO]", ErrorId::kMapping, {"'L2[WO]'", "L2[WI]", "gemmini-tl"});
  expect("L3[WIO]", "L4[WIO]", ErrorId::kMapping, {"'L4[WIO]'", "L3[WIO]"});
  expect("Q4 P7", "Q4 Q7", ErrorId::kMapping, {"L1[O]", "two temporal loops over Q"});
  expect(" - L0[W] P16", "", ErrorId::kMapping, {"ends where", "L0[W]"});
  expect("P16", "P16 - L0[W] P1", ErrorId::kMapping, {"'L0[W]'", "the end"});
  expect_error([&] { parse(""); }, ErrorId::kMapping, {"ends where", "L3[WIO]"});
  expect_error([&] { parse("K8"); }, ErrorId::kMapping, {"'K8'", "L3[WIO]"});
}

TEST_F(MappingText, MustBelongToLayerAndMachine) {
  const auto expect = [&](const std::string& from, const std::string& to,
                          const std::vector<std::string>& parts) {
    const Mapping mapping = parse(testing::replaced(kConv1, from, to));
    expect_error([&] { check_mapping(mapping, conv1(), machine_); }, ErrorId::kMapping, parts);
  };
  expect("Q28", "Q14", {"factors of Q multiply to 56", "Q = 112"});
  expect("Q28", "Q28 N2", {"factors of N multiply to 2", "N = 1"});
  expect("K2 S7 R7 Q4 P7 C3X - L0[W] P16", "S7 R7 Q4 P7 C3X - L0[W] P16 K2",
         {"L0[W]", "temporal loop over K", "PQ"});
  expect("K8 Q28 - L2[WI] N1 K4X", "K32 - L2[WI] N1 Q28X", {"L2[WI]", "spatial loop over Q", "K"});
  Mapping shorter = parse(kConv1);
  shorter.levels.pop_back();
  expect_error([&] { check_mapping(shorter, conv1(), machine_); }, ErrorId::kMapping, {"3 levels", "has 4"});
}

TEST_F(MappingText, LoopsThatAreCutSaySo) {
  // Of 29 x 4 = 116 columns the layer has 112, and 64 of 2 x 3 x 11 = 66 channels.
  Layer layer = conv1();
  layer[Dim::Q] = 113;
  const std::string text = testing::replaced(kConv1, "K8 Q28 - L2[WI] N1 K4X - L1[O] K2 S7 R7 Q4",
                                             "K2 Q29 - L2[WI] N1 K3X - L1[O] K11,9 S7 R7 Q4,1");
  const Mapping mapping = parse(text);
  EXPECT_EQ(print_mapping(mapping, machine_), text);
  check_mapping(mapping, layer, machine_);
  EXPECT_EQ(mapping.cut_to[static_cast<std::size_t>(Dim::Q)], 113);
  EXPECT_EQ(mapping.cut_to[static_cast<std::size_t>(Dim::K)], 64);
  EXPECT_TRUE(mapping.is_cut() && !mapping.is_padded());
  EXPECT_EQ(mapping.padded(layer).size, layer.size);
  expect_error([&] { check_mapping(mapping, conv1(), machine_); }, ErrorId::kMapping,
               {"Q is cut to 113", "Q = 112"});
  // With factors alone, and outermost loops of more iterations than there are.
  Mapping again = parse("L3[WIO] K7 Q40 - L2[WI] N1 K3X - L1[O] K11 S7 R7 Q4 P7 C3X - L0[W] P16");
  again.set_remainders(layer, Remainders::kCut);
  EXPECT_EQ(print_mapping(again, machine_), text);

  const auto refused = [&](const std::string& from, const std::string& to,
                           const std::vector<std::string>& parts) {
    expect_error([&] { check_mapping(parse(testing::replaced(text, from, to)), layer, machine_); },
                 ErrorId::kMapping, parts);
  };
  refused("Q29", "Q29,3", {"Q29,3", "outermost", "expected Q3"});
  refused("Q4,1", "Q4,5", {"Q4,5", "more iterations"});
  refused("Q29", "Q29/113", {"Q is padded and cut"});
  // Windows that coincide in space are shared as a whole.
  const Chain eyeriss = load_chain("eyeriss");
  layer.size = {3, 3, 7, 7, 1, 1, 1};
  const std::string in_space = "L4[WIO] Q2 - L3[IO] N1 S3Y Q4,3X - L2[W] N1 - L1[I] P7 - L0[O] R3";
  expect_error([&] { check_mapping(parse_mapping(in_space, eyeriss), layer, eyeriss); }, ErrorId::kMapping,
               {"Q is cut", "padded", "Q/7"});
  Mapping padded = parse_mapping(in_space, eyeriss);
  padded.set_remainders(layer, Remainders::kCut);
  EXPECT_EQ(padded.padded_from[static_cast<std::size_t>(Dim::Q)], 7);
  check_mapping(padded, layer, eyeriss);
}

TEST_F(MappingText, PaddedDimensionsSaySo) {
  // 29 x 4 = 116 columns for the layer's 112, and 2 x 3 x 11 = 66 channels for 64.
  const std::string text = testing::replaced(kConv1, "K8 Q28 - L2[WI] N1 K4X - L1[O] K2",
                                             "K2/64 Q29/112 - L2[WI] N1 K3X - L1[O] K11");
  const Mapping mapping = parse(text);
  EXPECT_EQ(print_mapping(mapping, machine_), text);
  check_mapping(mapping, conv1(), machine_);
  EXPECT_EQ(mapping.padded_from[static_cast<std::size_t>(Dim::Q)], 112);
  EXPECT_EQ(mapping.padded(conv1())[Dim::Q], 116);
  EXPECT_EQ(mapping.padded(conv1())[Dim::K], 66);
  EXPECT_EQ(mapping.padded(conv1())[Dim::P], conv1()[Dim::P]);
  Mapping again = parse(testing::replaced(testing::replaced(text, "/64", ""), "/112", ""));
  expect_error([&] { check_mapping(again, conv1(), machine_); }, ErrorId::kMapping,
               {"factors of Q multiply to 116", "Q = 112", "write /112"});
  again.set_remainders(conv1(), Remainders::kPadded);
  EXPECT_TRUE(again == mapping);
  // At a spatial loop where that is the outermost one.
  const std::string spatial = "L3[WIO] N1 - L2[WI] N1 K5/9X - L1[O] K2 - L0[W] N1";
  EXPECT_EQ(print_mapping(parse(spatial), machine_), spatial);

  const auto expect = [&](const std::string& to, ErrorId id, const std::vector<std::string>& parts) {
    expect_error([&] { check_mapping(parse(testing::replaced(text, "Q29/112", to)), conv1(), machine_); }, id,
                 parts);
  };
  expect("Q29/110", ErrorId::kMapping, {"Q is padded from 110", "Q = 112"});
  expect("Q28/112", ErrorId::kMapping, {"factors of Q multiply to 112", "Q = 112"});
  expect("Q20/112", ErrorId::kMapping, {"factors of Q multiply to 80", "Q = 112"});
  expect("Q29/112 Q3/112X", ErrorId::kMapping, {"'Q3/112X'", "outermost"});
  expect("Q1/112", ErrorId::kMapping, {"'Q1/112'", "more than one iteration"});
  expect("Q2000000000/112 C2000000000/3", ErrorId::kMapping, {"2^62 MACs"});
  for (const char* bad : {"Q29/", "Q/112", "Q29/0", "Q29/-1", "Q29//112", "Q29/1/2"}) {
    expect(bad, ErrorId::kSyntax, {std::string("'") + bad + "'", "K8/61"});
  }
}

TEST_F(MappingText, HugeFactorsDoNotWrapAround) {
  Layer layer;
  layer[Dim::K] = 4;
  const Mapping mapping =
      parse("L3[WIO] K2147483648 - L2[WI] K2147483648 K2147483648X - L1[O] N1 - L0[W] N1");
  expect_error([&] { check_mapping(mapping, layer, machine_); }, ErrorId::kMapping,
               {"factors of K multiply to 9223372036854775807", "K = 4"});
}

}  // namespace
}  // namespace dosa
