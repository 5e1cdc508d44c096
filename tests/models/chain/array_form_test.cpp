// Machines of schema 2 with Gemmini's rules: the numbers of schema 1, and all that such a machine has not is
// refused by its key.
#include "dosa/models/chain/array_form.hpp"

#include <gtest/gtest.h>

#include "dosa/models/base/files.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

void expect_same(const std::optional<Quantity>& one, const std::optional<Quantity>& other,
                 const std::string& of) {
  EXPECT_EQ(one.has_value(), other.has_value()) << of;
  const Quantity a = one.value_or(Quantity()), b = other.value_or(Quantity());
  EXPECT_EQ(a.constant, b.constant) << of;
  EXPECT_EQ(a.per_pe_dim, b.per_pe_dim) << of;
}

// To the last bit, as the cost model takes energies: pj_per_kib times a size, plus the energy at 0 KiB.
TEST(ArrayForm, GemminiRtlIsTheSameInBothSchemas) {
  const ArrayMachine one = load_array_machine(gemmini_rtl_of_schema_1()),
                     other = load_array_machine("gemmini-rtl");
  EXPECT_FALSE(one.of_chain);
  EXPECT_TRUE(other.of_chain);
  EXPECT_NE(one.hash, other.hash);
  EXPECT_EQ(one.name, other.name);
  EXPECT_EQ(one.rules, other.rules);
  EXPECT_EQ(one.library, other.library);
  EXPECT_EQ(one.buffering, other.buffering);
  EXPECT_EQ(one.remainders, other.remainders);
  EXPECT_EQ(one.mac_energy_pj, other.mac_energy_pj);
  EXPECT_EQ(one.default_hardware, other.default_hardware);
  EXPECT_EQ(one.min_hardware, other.min_hardware);
  EXPECT_EQ(one.max_hardware, other.max_hardware);
  EXPECT_EQ(one.search_orders, other.search_orders);
  EXPECT_EQ(one.search_temporal, other.search_temporal);
  ASSERT_EQ(one.levels.size(), other.levels.size());
  for (std::size_t l = 0; l < one.levels.size(); ++l) {
    const MemoryLevel &a = one.levels[l], &b = other.levels[l];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.holds, b.holds) << a.name;
    EXPECT_EQ(a.temporal, b.temporal) << a.name;
    EXPECT_EQ(a.spatial, b.spatial) << a.name;
    EXPECT_EQ(a.word_bits, b.word_bits) << a.name;
    EXPECT_EQ(a.sized_by, b.sized_by) << a.name;
    EXPECT_EQ(a.whole_lines, b.whole_lines) << a.name;
    expect_same(a.instances, b.instances, a.name);
    expect_same(a.vector_words, b.vector_words, a.name);
    expect_same(a.words_per_cycle, b.words_per_cycle, a.name);
    EXPECT_EQ(a.energy.pj_per_kib, b.energy.pj_per_kib) << a.name;
    EXPECT_EQ(a.energy.pj - a.energy.at_kib * a.energy.pj_per_kib, b.energy.pj) << a.name;
    EXPECT_EQ(b.energy.at_kib, 0) << a.name;
  }
  for (std::int64_t pe_dim = 1; pe_dim <= 128; ++pe_dim) {
    for (std::int64_t kib = 1; kib <= 4096; kib = 2 * kib + pe_dim % 2) {
      const ArraySizes sizes{pe_dim, kib, 4097 - kib};
      EXPECT_EQ(one.area_mm2(sizes), other.area_mm2(sizes)) << one.text(sizes);
      for (std::size_t l = 0; l < one.levels.size(); ++l) {
        const auto size = static_cast<double>(capacity_kib(one.levels[l], sizes)) /
                          one.levels[l].instances.at(static_cast<double>(pe_dim));
        EXPECT_DOUBLE_EQ(one.levels[l].energy.at(size), other.levels[l].energy.at(size)) << one.text(sizes);
      }
    }
  }
}

TEST(ArrayForm, NumbersGoByTheKeysOfTheFile) {
  std::vector<std::string> names;
  numbers_of(load_array_machine("gemmini-rtl"), [&](const MachineNumber& number) {
    if (number.kind != NumberKind::kConstant && number.value != 0) names.push_back(number.name);
    return number.value;
  });
  EXPECT_THAT(
      names,
      ::testing::UnorderedElementsAre(
          "mac.energy_pj", "register.word_pj", "accumulator.word_pj.constant", "accumulator.word_pj.times",
          "accumulator.words_per_cycle", "scratchpad.word_pj.constant", "scratchpad.word_pj.times",
          "scratchpad.words_per_cycle.times", "dram.word_pj", "dram.words_per_cycle", "area_mm2.base",
          "area_mm2.per_mac", "scratchpad.area_mm2.per_kib", "accumulator.area_mm2.per_kib"));
}

TEST(ArrayForm, WhatTheFileIsFreeToSay) {
  Json json = machine_file("gemmini-rtl").value();
  json["library"] = "2023-04";
  json["levels"][3]["whole_lines"] = true;
  json["levels"][1]["orders"] = {"PQ_NCRSK"};  // leaves nothing open either
  json["levels"][2]["word_pj"] = 1.5;
  json["levels"][1].erase("area_mm2");
  const MachinePtr machine = read_machine(JsonInput::from_text(json.dump(), "mine"));
  const auto& array = dynamic_cast<const ArrayMachine&>(*machine);
  EXPECT_EQ(array.library, "2023-04");
  EXPECT_TRUE(array.levels[3].whole_lines);
  EXPECT_EQ(array.search_orders, load_array_machine("gemmini-rtl").search_orders);
  EXPECT_EQ(array.levels[2].energy.at(64), 1.5);
  EXPECT_EQ(array.area.per_accumulator_kib, 0);
}

// Rules of the file, not its schema, say what a machine is.
TEST(ArrayForm, OtherRulesAreAChain) {
  Json json = machine_file("simba").value();
  json["rules"] = "mappings";
  json["levels"].back()["whole_lines"] = false;
  EXPECT_EQ(read_machine(JsonInput::from_text(json.dump(), "mine"))->rules, "chain");
  json["levels"].back()["whole_lines"] = true;
  expect_error([&] { read_machine(JsonInput::from_text(json.dump(), "mine")); }, ErrorId::kValue,
               {"mine: levels[5].whole_lines: only the DRAM"});
  expect_error([] { load_array_machine("simba"); }, ErrorId::kSchema, {"schema", "dosa-hardware/2"});
}

TEST(ArrayForm, EachMistakeIsNamed) {
  const std::string good = read_file(data_folder() / "hardware" / "gemmini-rtl.json");
  const char* const kRegister = "\"capacity_words\": 1,";
  const char* const kAccumulator =
      "\"capacity_words\": {\"parameter\": \"accumulator_kib\", \"times\": 256, \"shared\": true}";
  const char* const kScratchpad = "\"capacity_words\": {\"parameter\": \"scratchpad_kib\", \"times\": 1024}";
  const char* const kRows = "\"fan_out\": {\"Y\": {\"size\": {\"parameter\": \"pe_dim\"}, \"dims\": \"C\"}}";
  const std::vector<Mistake> mistakes{
      {"\"gemmini\"",
       "\"gemini\"",
       ErrorId::kValue,
       {"rules: found \"gemini\"", "\"mappings\" or \"gemmini\""}},
      {"\"rules\": \"gemmini\"",
       "\"library\": \"2023-10\"",
       ErrorId::kValue,
       {"library: only a machine with the rules \"gemmini\""}},
      {"\"rules\"", "\"remainders\": \"padded\", \"rules\"", ErrorId::kValue, {"remainders", "always cut"}},
      {"\"holds\": \"WI\"",
       "\"whole_lines\": true, \"holds\": \"WI\"",
       ErrorId::kValue,
       {"levels[2].whole_lines: only the DRAM"}},
      {"\"pe_dim\", \"default\"",
       "\"rows\", \"default\"",
       ErrorId::kValue,
       {"levels[1].fan_out.Y.size.parameter: found \"pe_dim\"", "rows"}},
      {"\"min\": 4, \"max\": 128",
       "\"min\": 4, \"max\": 128, \"step\": 4",
       ErrorId::kSchema,
       {"parameters[0]: unknown key \"step\""}},
      {"\"max\": 128", "\"max\": 16385", ErrorId::kValue, {"parameters[0].max: found 16385", "16384"}},
      {"\"KiB\", \"default\": 64",
       "\"MiB\", \"default\": 64",
       ErrorId::kValue,
       {"parameters[2].unit: found \"MiB\", expected \"KiB\""}},
      {"\"name\": \"accumulator_kib\"",
       "\"name\": \"more\", \"default\": 1, \"min\": 1, \"max\": 1}, {\"name\": "
       "\"accumulator_kib\"",
       ErrorId::kSchema,
       {"parameters[2]", "'more' is declared"}},
      {kRegister,
       "\"capacity_words\": 2,",
       ErrorId::kValue,
       {"levels[0].capacity_words: found 2, expected 1"}},
      {kRegister,
       "\"capacity_words\": {\"parameter\": \"pe_dim\"},",
       ErrorId::kValue,
       {"levels[0].capacity_words: found {\"parameter\":\"pe_dim\"}", "1024 times scratchpad_kib"}},
      {kAccumulator,
       "\"capacity_words\": {\"parameter\": \"accumulator_kib\", \"times\": 256}",
       ErrorId::kValue,
       {"levels[1].capacity_words: found", "256 times", "levels[1].word_bits", "shared"}},
      {kAccumulator,
       "\"capacity_words\": {\"parameter\": \"accumulator_kib\", \"times\": 256, \"constant\": 1, "
       "\"shared\": true}",
       ErrorId::kValue,
       {"levels[1].capacity_words: found"}},
      {kScratchpad,
       "\"capacity_words\": {\"parameter\": \"scratchpad_kib\", \"times\": 1024, \"shared\": true}",
       ErrorId::kValue,
       {"levels[2].capacity_words: found", "1024 times"}},
      {"\"word_bits\": 32", "\"word_bits\": 16", ErrorId::kValue, {"levels[1].word_bits", "512 times"}},
      {"\"buffering\": 2", "\"buffering\": 1", ErrorId::kValue, {"levels[1].buffering: found 1, expected 2"}},
      {"\"buffering\": 2,", "", ErrorId::kSchema, {"levels[1]: key 'buffering' is missing"}},
      {kRows,
       "\"fan_out\": {\"X\": {\"size\": {\"parameter\": \"pe_dim\"}, \"dims\": \"C\"}}",
       ErrorId::kSchema,
       {"levels[1].fan_out: unknown key \"X\"", "Y"}},
      {kRows,
       "\"fan_out\": {\"Y\": {\"size\": 16, \"dims\": \"C\"}}",
       ErrorId::kValue,
       {"levels[1].fan_out.Y.size: found 16, expected pe_dim"}},
      {kRows,
       "\"fan_out\": {\"Y\": {\"size\": {\"parameter\": \"pe_dim\", \"times\": 2}, \"dims\": \"C\"}}",
       ErrorId::kValue,
       {"levels[1].fan_out.Y.size: found", "expected pe_dim"}},
      {"\"capacity_words\": 1,",
       "\"capacity_words\": 1, \"fan_out\": {\"X\": {\"size\": 2, \"dims\": \"K\"}},",
       ErrorId::kValue,
       {"levels[0].fan_out: found", "none below the rows and columns"}},
      {"\"orders\": [\"PQNCRSK\"]",
       "\"orders\": [\"PQ_K\"]",
       ErrorId::kValue,
       {"levels[1].orders[0]: found \"PQ_K\", expected a permutation"}},
      {"\"orders\": [\"PQNCRSK\"],", "", ErrorId::kSchema, {"levels[1]: key 'orders' is missing"}},
      {"\"word_pj\": 0.48746",
       "\"vector_pj\": 0.48746",
       ErrorId::kSchema,
       {"levels[0]: unknown key \"vector_pj\"", "word_pj"}},
      {"\"word_pj\": 0.48746",
       "\"word_pj\": {\"parameter\": \"pe_dim\"}",
       ErrorId::kValue,
       {"levels[0].word_pj: found", "capacity_words"}},
      {"\"word_pj\": {\"parameter\": \"scratchpad_kib\", \"times\"",
       "\"word_pj\": {\"parameter\": \"accumulator_kib\", \"times\"",
       ErrorId::kValue,
       {"levels[2].word_pj: found", "the same parameter as capacity_words"}},
      {"\"constant\": 1.949748743718593,\n                  \"shared\": true",
       "\"constant\": 1.949748743718593",
       ErrorId::kValue,
       {"levels[1].word_pj: found", "shared where that is"}},
      {"{\"parameter\": \"scratchpad_kib\", \"times\": 0.02512562814070352, \"constant\": "
       "0.48743718592964824}",
       "{\"parameter\": \"scratchpad_kib\", \"table\": {\"16\": 1, \"256\": 2, \"4096\": 9}}",
       ErrorId::kValue,
       {"levels[2].word_pj: found", "a number, or one by the same parameter"}},
      {"\"words_per_cycle\": 2,",
       "\"words_per_cycle\": {\"parameter\": \"accumulator_kib\"},",
       ErrorId::kValue,
       {"levels[1].words_per_cycle: found", "a number, or one by pe_dim"}},
      {"\"words_per_cycle\": 2,",
       "\"read_words_per_cycle\": 2,",
       ErrorId::kSchema,
       {"levels[1]: unknown key \"read_words_per_cycle\""}},
      {"{\"per_kib\": 0.0026}",
       "{\"per_instance\": 0.0026}",
       ErrorId::kSchema,
       {"levels[2].area_mm2: unknown key \"per_instance\""}},
      {"\"word_pj\": 100",
       "\"word_pj\": 100, \"area_mm2\": {\"per_kib\": 1}",
       ErrorId::kValue,
       {"levels[3].area_mm2: found", "expected none"}},
  };
  expect_each_refused(good, mistakes, [](const std::string& path) { load_machine(path); });
  Json json = Json::parse(good);
  std::swap(json["parameters"][1], json["parameters"][2]);
  expect_error([&] { read_machine(JsonInput::from_text(json.dump(), "mine")); }, ErrorId::kValue,
               {"mine: parameters[1].name: found \"accumulator_kib\", expected \"scratchpad_kib\""});
}

}  // namespace
}  // namespace dosa::testing
