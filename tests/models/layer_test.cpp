#include "dosa/models/layer.hpp"

#include <gtest/gtest.h>

#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::expect_error;

Layer read(const std::string& text) { return layer_from_json(JsonInput::from_text(text, "in.json")); }
Layer with_dims(const std::string& dims) { return read(R"({"name": "a", "dims": {)" + dims + "}}"); }

TEST(Layer, DefaultsAndDerivedSizes) {
  const Layer layer = with_dims(R"("R": 3, "S": 5, "P": 10, "Q": 7, "C": 4, "wstride": 2, "hdilation": 3)");
  EXPECT_EQ(layer.count, 1);
  EXPECT_EQ(layer.groups, 1);
  EXPECT_FALSE(layer.padding);
  EXPECT_EQ(layer[Dim::K], 1);
  EXPECT_EQ(layer[Dim::N], 1);
  EXPECT_EQ(layer.macs(), 3 * 5 * 10 * 7 * 4);
  EXPECT_EQ(layer.padded_width(), 9 * 2 + 2 + 1);
  EXPECT_EQ(layer.padded_height(), 6 + 4 * 3 + 1);
  EXPECT_FALSE(layer.is_matmul());
  EXPECT_TRUE(with_dims(R"("P": 128, "C": 768, "K": 3072)").is_matmul());
}

TEST(Layer, GroupsRepeatASmallerLayer) {
  const Layer layer = read(
      R"({"name": "dw", "count": 2, "groups": 96, "padding": 1, "dims": {"R": 3, "S": 3, "P": 56, "Q": 56}})");
  EXPECT_EQ(layer.repetitions(), 192);
  EXPECT_EQ(layer.macs(), 9 * 56 * 56);
  EXPECT_EQ(layer.padding, 1);
}

TEST(Layer, JsonRoundTrip) {
  for (const char* text :
       {R"({"name": "a", "count": 3, "dims": {"R": 3, "P": 8, "K": 4, "wstride": 2, "hdilation": 2}})",
        R"({"name": "b", "groups": 32, "padding": 0, "dims": {"C": 4, "K": 4}})"}) {
    const Layer layer = read(text);
    const std::string written = to_json(layer).dump();
    EXPECT_EQ(to_json(read(written)).dump(), written);
    EXPECT_EQ(read(written).size, layer.size);
    EXPECT_EQ(read(written).padding, layer.padding);
  }
}

TEST(Layer, RelevantDimensions) {
  const auto names = [](Operand operand) {
    std::string text;
    for (const Dim dim : all_dims()) {
      if (relevant(operand, dim)) text += name_of(dim);
    }
    return text;
  };
  EXPECT_EQ(names(Operand::W), "RSCK");
  EXPECT_EQ(names(Operand::I), "RSPQCN");
  EXPECT_EQ(names(Operand::O), "PQKN");
}

TEST(Layer, BadSizes) {
  for (const char* bad : {"0", "-4", "2.5", "2147483649", "99999999999999999999"}) {
    expect_error([&] { with_dims(std::string("\"K\": ") + bad); }, ErrorId::kValue,
                 {"in.json: dims.K: found ", "an integer in 1..2147483648"});
  }
  EXPECT_EQ(with_dims("\"K\": 2147483648")[Dim::K], std::int64_t{1} << 31);
  expect_error([] { with_dims("\"K\": \"64\""); }, ErrorId::kSchema, {"in.json: dims.K", "\"64\""});
  expect_error([] { with_dims("\"wstride\": 0"); }, ErrorId::kValue, {"in.json: dims.wstride"});
}

TEST(Layer, TooManyMacs) {
  expect_error([] { with_dims(R"("P": 2147483648, "C": 2147483648, "K": 2147483648)"); }, ErrorId::kValue,
               {"in.json: dims", "R*S*P*Q*C*K*N", "4611686018427387904", "2^62"});
  expect_error([] { with_dims(R"("P": 2, "C": 2147483648, "K": 1073741825)"); }, ErrorId::kValue,
               {"in.json: dims"});
  EXPECT_EQ(with_dims(R"("P": 2, "C": 2147483648, "K": 1073741824)").macs(), kMaxMacs);
  // The largest steps: an input of 2^47 columns, none of whose sizes overflows.
  const Layer wide = with_dims(R"("P": 2147483648, "R": 1073741824, "wstride": 65536, "wdilation": 65536)");
  EXPECT_EQ(wide.padded_width(), ((std::int64_t{1} << 31) - 1 + (std::int64_t{1} << 30) - 1) * 65536 + 1);
  EXPECT_EQ(wide.input_width(), wide.padded_width());
}

TEST(Layer, TooLargeAnInput) {
  const char* const steps = R"("P": 2097152, "Q": 2097152, "wstride": 65536, "hstride": )";
  expect_error([&] { with_dims(steps + std::string("65536")); }, ErrorId::kValue,
               {"in.json: dims", "the input has 1.889e+22 words", "9007199254740992"});
  EXPECT_EQ(with_dims(R"("P": 2048, "wstride": 65536, "C": 67108864)").padded_width(), 134152193);
}

TEST(Layer, LongNames) {
  const auto with_name = [](std::size_t bytes) {
    return layer_from_json(
        JsonInput::from_text(R"({"dims": {}, "name": ")" + std::string(bytes, 'n') + "\"}", "in.json"));
  };
  EXPECT_EQ(with_name(kMaxNameBytes).name.size(), kMaxNameBytes);
  expect_error([&] { with_name(kMaxNameBytes + 1); }, ErrorId::kValue,
               {"in.json: name: found a name of 1001 bytes", "at most 1000"});
  expect_error([&] { with_name(0); }, ErrorId::kValue, {"in.json: name", "expected a name"});
}

TEST(Layer, PaddingOfEachSide) {
  // Inputs of 10 x 11 with 3 x 3 taps: 10 + 1 + 2 - 2 columns, 11 + 3 - 2 rows.
  const Layer layer = read(
      R"({"name": "a", "dims": {"R": 3, "S": 3, "P": 11, "Q": 12}, "padding": {"left": 1, "right": 2, "bottom": 3},
          "input_width": 10, "input_height": 11})");
  EXPECT_FALSE(layer.padding);
  EXPECT_EQ(layer.sides().right, 2);
  EXPECT_EQ(layer.sides().top, 0);
  EXPECT_EQ(layer.input_width(), 10);
  EXPECT_EQ(layer.input_height(), 11);
  EXPECT_EQ(to_json(layer)["padding"], (Json{{"left", 1}, {"right", 2}, {"bottom", 3}}));
  EXPECT_EQ(read(to_json(layer).dump()).sides().bottom, 3);
  const Layer even = read(
      R"({"name": "a", "dims": {"R": 3, "S": 3}, "padding": {"left": 1, "right": 1, "top": 1, "bottom": 1}})");
  EXPECT_EQ(even.padding, 1) << "the same on all sides is one number";
  EXPECT_FALSE(even.uneven_padding);
  expect_error([] { read(R"({"name": "a", "dims": {}, "padding": {"left": -1}})"); }, ErrorId::kValue,
               {"in.json: padding.left: found -1"});
  expect_error([] { read(R"({"name": "a", "dims": {}, "padding": {"below": 1}})"); }, ErrorId::kSchema,
               {"in.json: padding: unknown key", "below"});
  expect_error(
      [] { read(R"({"name": "a", "dims": {"R": 3, "P": 4}, "padding": {"left": 1}, "input_width": 9})"); },
      ErrorId::kValue, {"input_width: found 9", "need 5..5 with padding 1 and 0"});
}

TEST(Layer, UnknownMissingAndWrong) {
  expect_error([] { with_dims("\"W\": 3"); }, ErrorId::kSchema,
               {"in.json: dims: unknown key", "W", "allowed: R"});
  expect_error([] { read(R"({"name": "a", "dims": {}, "cuont": 2})"); }, ErrorId::kSchema,
               {"in.json: unknown key", "cuont", "count"});
  expect_error([] { read(R"({"dims": {}})"); }, ErrorId::kSchema, {"in.json", "'name' is missing"});
  expect_error([] { read(R"({"name": "a"})"); }, ErrorId::kSchema, {"in.json", "'dims' is missing"});
  expect_error([] { read(R"({"name": "", "dims": {}})"); }, ErrorId::kValue, {"in.json: name"});
  expect_error([] { read(R"({"name": 3, "dims": {}})"); }, ErrorId::kSchema, {"in.json: name", "text"});
  for (const char* key : {"count", "groups"}) {
    expect_error([&] { read(fmt::format(R"({{"name": "a", "dims": {{}}, "{}": 0}})", key)); },
                 ErrorId::kValue, {std::string("in.json: ") + key + ": found 0"});
  }
  expect_error([] { read(R"({"name": "a", "dims": {}, "padding": -1})"); }, ErrorId::kValue,
               {"in.json: padding: found -1"});
  expect_error([] { read("[]"); }, ErrorId::kSchema, {"in.json: found []", "an object"});
}

}  // namespace
}  // namespace dosa
