#include "dosa/models/array_machine.hpp"

#include <gtest/gtest.h>

#include "dosa/models/base/files.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::expect_each_refused;
using testing::expect_error;
using testing::Mistake;
using testing::TemporaryFolder;

TEST(ArrayMachine, GemminiAsShipped) {
  const ArrayMachine machine = load_array_machine("gemmini-tl");
  ASSERT_EQ(machine.levels.size(), 4u);
  EXPECT_EQ(machine.dram(), 3);
  EXPECT_EQ(machine.level_label(0), "L0[W]");
  EXPECT_EQ(machine.level_label(1), "L1[O]");
  EXPECT_EQ(machine.level_label(2), "L2[WI]");
  EXPECT_EQ(machine.level_label(3), "L3[WIO]");
  EXPECT_DOUBLE_EQ(machine.mac_energy_pj, 0.5608);
  const MemoryLevel& scratchpad = machine.levels[2];
  EXPECT_DOUBLE_EQ(scratchpad.words_per_cycle->at(16.0), 32);
  EXPECT_DOUBLE_EQ(scratchpad.vector_words.at(16.0), 16);
  EXPECT_NEAR(scratchpad.energy.pj_per_kib, 0.5 * 5 / 99.5, 1e-15);
  EXPECT_NEAR(machine.levels[1].energy.pj_per_kib, 2 * 5 / 99.5, 1e-15);
  EXPECT_DOUBLE_EQ(machine.levels[1].instances.at(16.0), 16);
  EXPECT_FALSE(machine.levels[0].words_per_cycle);
  EXPECT_EQ(machine.search_orders[3].size(), 6u);
  EXPECT_EQ(machine.search_orders[1].size(), 1u);
  EXPECT_EQ(machine.search_orders[1][0][0], Dim::P) << "innermost first";
  EXPECT_TRUE(ArraySizes::of(machine.default_hardware) == (ArraySizes{16, 128, 32}));
}

TEST(ArrayMachine, HardwareRoundTrip) {
  const ArraySizes hardware{32, 256, 64};
  EXPECT_TRUE(sizes_from_json(JsonInput::from_text(to_json(hardware).dump(), "x")) == hardware);
  const auto read = [](const std::string& text) { return sizes_from_json(JsonInput::from_text(text, "x")); };
  expect_error([&] { read(R"({"pe_dim": 16, "scratchpad_kib": 128})"); }, ErrorId::kSchema,
               {"'accumulator_kib' is missing"});
  expect_error([&] { read(R"({"pe_dim": 0, "scratchpad_kib": 128, "accumulator_kib": 1})"); },
               ErrorId::kValue, {"x: pe_dim: found 0"});
  expect_error([&] { read(R"({"pe": 16, "scratchpad_kib": 128, "accumulator_kib": 1})"); }, ErrorId::kSchema,
               {"unknown key", "pe_dim"});
}

TEST(ArrayMachine, LevelsAndOrdersAreBounded) {
  const TemporaryFolder folder;
  Json machine = Json::parse(read_file(data_folder() / "hardware" / "gemmini-tl.json"));
  Json many = machine;
  for (int i = 0; i < 13; ++i) many["levels"].insert(many["levels"].begin(), machine["levels"][0]);
  const std::string levels = folder.file("levels.json", many.dump());
  expect_error([&] { load_array_machine(levels); }, ErrorId::kValue, {"levels: found 17 levels", "2..16"});
  many["levels"].erase(0);
  EXPECT_EQ(load_array_machine(folder.file("most.json", many.dump())).levels.size(), 16u);
  for (int l = 0; l < 4; ++l) machine["levels"][l]["search_orders"] = machine["levels"][3]["search_orders"];
  const std::string orders = folder.file("orders.json", machine.dump());
  expect_error([&] { load_array_machine(orders); }, ErrorId::kValue,
               {"levels", "more than 1024 combinations"});
}

TEST(ArrayMachine, SomethingHasToCostEnergy) {
  const TemporaryFolder folder;
  Json machine = Json::parse(read_file(data_folder() / "hardware" / "gemmini-tl.json"));
  machine["mac"]["energy_pj"] = 0;
  load_array_machine(folder.file("memory.json", machine.dump()));
  machine["levels"][3]["energy"]["pj"] = 0;
  const std::string nothing = folder.file("nothing.json", machine.dump());
  expect_error([&] { load_array_machine(nothing); }, ErrorId::kValue,
               {"mac.energy_pj: found 0, and 0 at the outermost level"});
}

TEST(ArrayMachine, EachMistakeIsNamed) {
  const std::string good = read_file(data_folder() / "hardware" / "gemmini-tl.json");
  const std::vector<Mistake> mistakes{
      {"dosa-hardware/1", "dosa-hardware/3", ErrorId::kSchema, {"schema", "dosa-hardware/3"}},
      {"\"mac\"", "\"mca\"", ErrorId::kSchema, {"unknown key", "mca"}},
      {"0.5608", "-1", ErrorId::kValue, {"mac.energy_pj: found -1"}},
      {"0.5608", "\"x\"", ErrorId::kSchema, {"mac.energy_pj", "a number"}},
      {"\"holds\": \"WI\"", "\"holds\": \"WX\"", ErrorId::kValue, {"levels[2].holds: found 'X'", "WIO"}},
      {"\"holds\": \"WIO\"", "\"holds\": \"WI\"", ErrorId::kValue, {"levels", "outermost level must hold"}},
      {"\"temporal\": \"PQ\"", "\"temporal\": \"PZ\"", ErrorId::kValue, {"levels[0].temporal: found 'Z'"}},
      {"\"search_temporal\": \"\"",
       "\"search_temporal\": \"K\"",
       ErrorId::kValue,
       {"levels[0].search_temporal", "K"}},
      {"\"PQNCRSK\"", "\"PQNCRS\"", ErrorId::kValue, {"levels[1].search_orders[0]", "permutation"}},
      {"\"PQNCRSK\"", "\"PQNCRSS\"", ErrorId::kValue, {"levels[1].search_orders[0]", "permutation"}},
      {"\"word_bits\": 32", "\"word_bits\": 0", ErrorId::kValue, {"levels[1].word_bits: found 0"}},
      {"\"sized_by\": \"accumulator_kib\"",
       "\"sized_by\": \"cache\"",
       ErrorId::kValue,
       {"sized_by", "\"cache\""}},
      {"\"per_pe_dim\": 1}", "\"per_pe\": 1}", ErrorId::kSchema, {"levels[1].instances", "per_pe_dim"}},
      {"\"at_kib\": 0.5", "\"at\": 0.5", ErrorId::kSchema, {"levels[1].energy: unknown key"}},
      {"\"per_pe\": 0.000422, ", "", ErrorId::kSchema, {"area_mm2", "'per_pe' is missing"}},
      {"\"min\": {\"pe_dim\": 1,", "\"min\": {\"pe_dim\": 129,", ErrorId::kBounds, {"pe_dim", "129", "128"}},
      {"0.5608", "1e300", ErrorId::kValue, {"mac.energy_pj: found 1e+300"}},
      {"\"words_per_cycle\": 2",
       "\"words_per_cycle\": 0",
       ErrorId::kValue,
       {"levels[1].words_per_cycle: found 0"}},
      {"\"words_per_cycle\": 2",
       "\"words_per_cycle\": \"fast\"",
       ErrorId::kSchema,
       {"levels[1].words_per_cycle: found \"fast\", expected a number or an object with per_pe_dim"}},
      {"\"words_per_cycle\": 2",
       "\"words_per_cycle\": -2",
       ErrorId::kValue,
       {"levels[1].words_per_cycle: found -2"}},
      {"\"instances\": {\"per_pe_dim\": 1}",
       "\"instances\": {\"per_pe_dim\": 0}",
       ErrorId::kValue,
       {"levels[1].instances: found 0", "pe_dim is 1"}},
      {"\"vector_words\": 64", "\"vector_words\": 0", ErrorId::kValue, {"levels[3].vector_words: found 0"}},
      {"\"vector_words\": 64",
       "\"whole_lines\": true",
       ErrorId::kValue,
       {"levels[3].whole_lines", "rules \"gemmini\""}},
      {"\"pj\": 100", "\"pj\": -100", ErrorId::kValue, {"levels[3].energy.pj: found -100"}},
      {"\"at_kib\": 0.5", "\"at_kib\": 500", ErrorId::kValue, {"levels[1].energy", "expected 0 or more"}},
      {"\"pj\": 100", "\"pj\": 1e999", ErrorId::kSyntax, {"number overflow", "1e999"}},
      {"\"base\": 0.0196", "\"base\": 1e300", ErrorId::kValue, {"area_mm2.base: found 1e+300"}},
      {"\"per_pe\": 0.000422", "\"per_pe\": 1e308", ErrorId::kValue, {"area_mm2.per_pe: found 1e+308"}},
      {"\"base\": 0.0196", "\"base\": -5", ErrorId::kValue, {"area_mm2", "mm2 for the smallest hardware"}},
      {"\"sized_by\": \"accumulator_kib\",",
       "",
       ErrorId::kSchema,
       {"levels[1].energy", "pj_per_kib needs 'sized_by'"}},
      {"\"holds\": \"W\",\n      \"temporal\": \"PQ\",\n      \"search_temporal\": \"\"",
       "\"holds\": \"W\", \"temporal\": \"RK\"",
       ErrorId::kValue,
       {"levels[0]: ", "loop here over R", "any number of words of W", "'sized_by'"}},
      {"\"spatial\": \"C\"",
       "\"spatial\": \"CK\"",
       ErrorId::kValue,
       {"levels[1].spatial: found \"CK\"", "at most one"}},
      {"\"spatial\": \"K\"",
       "\"spatial\": \"C\"",
       ErrorId::kValue,
       {"levels[2].spatial: found C", "levels[1]"}},
      {"\"default\"", "\"standard\"", ErrorId::kSchema, {"hardware: unknown key"}},
  };
  expect_each_refused(good, mistakes, [](const std::string& path) { load_array_machine(path); });
  expect_error([] { load_array_machine("gemini-tl"); }, ErrorId::kValue, {"'gemini-tl'", "gemmini-tl"});
}

}  // namespace
}  // namespace dosa
