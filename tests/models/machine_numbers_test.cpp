#include "dosa/models/machine_numbers.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "dosa/models/array_machine.hpp"
#include "dosa/models/chain/chain.hpp"
#include "tests/models/chain/ruled_machine.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

TEST(MachineNumbers, AreNamedByTheirKeysAndLevels) {
  const ArrayMachine tl = load_array_machine("gemmini-tl");
  std::vector<std::string> names;
  numbers_of(tl, [&](const MachineNumber& number) {
    if (number.value != 0) names.push_back(number.name);
    return number.value;
  });
  for (const char* name : {"mac.energy_pj", "dram.words_per_cycle", "scratchpad.energy.pj_per_kib",
                           "scratchpad.words_per_cycle.per_pe_dim", "area_mm2.per_pe"})
    EXPECT_THAT(names, ::testing::Contains(name));
}

// Whatever is listed can be set, to what it is, and then the machine is the same.
TEST(MachineNumbers, EveryOneOfThemCanBeSet) {
  for (const std::string& machine :
       std::vector<std::string>{"gemmini-tl", "gemmini-rtl", gemmini_rtl_of_schema_1(), "eyeriss", "simba",
                                "nvdla", "tpu", "gemmini-tl-chain", ruled_machine_file()}) {
    const MachinePtr before = load_machine(machine);
    NumberChanges all;
    const auto read = [&](const MachineNumber& number) {
      if (number.kind != NumberKind::kConstant && number.value != 0)
        all.push_back({number.name, number.value * 2});
      return number.value;
    };
    if (const auto* chain = dynamic_cast<const Chain*>(before.get())) {
      const std::vector<double> sizes(chain->default_hardware.values.begin(),
                                      chain->default_hardware.values.end());
      numbers_of(*chain, sizes, read);
    } else {
      numbers_of(dynamic_cast<const ArrayMachine&>(*before), read);
    }
    EXPECT_GT(all.size(), 10U) << machine;
    for (const NumberChange& change : all) {
      const MachinePtr after = load_machine({machine, {change}});
      EXPECT_NE(after->hash, before->hash) << machine << " " << change.name;
      ASSERT_EQ(after->set.size(), 1U);
      EXPECT_EQ(after->set.front().name, change.name);
    }
  }
}

TEST(MachineNumbers, OfAChainAreTheSameWithAndWithoutNames) {
  for (const char* name : {"eyeriss", "simba", "nvdla", "tpu", "gemmini-tl-chain", ruled_machine_file()}) {
    const Chain chain = load_chain(name);
    Hardware hardware = chain.default_hardware;
    for (std::int64_t& size : hardware.values) size *= 2;
    hardware = as_built(chain, hardware);
    const std::vector<double> sizes(hardware.values.begin(), hardware.values.end());
    const ChainNumbers<double> named =
        numbers_of(chain, sizes, [](const MachineNumber& number) { return number.value; });
    const ChainNumbers<double> plain = numbers_of(chain, hardware);
    EXPECT_EQ(area_mm2(chain, named), area_mm2(chain, plain)) << name;
    EXPECT_EQ(named.mac_pj, plain.mac_pj) << name;
    const Chain built = chain.at(hardware);
    for (std::size_t l = 0; l < chain.levels.size(); ++l) {
      EXPECT_EQ(named.levels[l].vector_pj, plain.levels[l].vector_pj) << name;
      EXPECT_EQ(built.levels[l].vector_pj, plain.levels[l].vector_pj) << name;
      EXPECT_EQ(built.levels[l].vector_words, plain.levels[l].vector_words) << name;
      EXPECT_EQ(built.levels[l].built_words, std::floor(plain.levels[l].built_words)) << name;
      for (std::size_t axis = 0; axis < kAxes; ++axis)
        EXPECT_EQ(static_cast<double>(built.levels[l].fan_out[axis].size), plain.levels[l].fan_out[axis])
            << name;
      EXPECT_EQ(named.levels[l].read_words_per_cycle, plain.levels[l].read_words_per_cycle) << name;
      EXPECT_EQ(named.levels[l].write_words_per_cycle, plain.levels[l].write_words_per_cycle) << name;
      EXPECT_EQ(named.levels[l].words_per_cycle, plain.levels[l].words_per_cycle) << name;
    }
  }
}

TEST(MachineNumbers, WhatIsNoNumberIsRefusedByName) {
  const auto load = [](const char* name, double value) {
    return [=] { load_machine({"gemmini-tl", {{name, value}}}); };
  };
  expect_error(load("dram.words_per_cycl", 4), ErrorId::kSchema, {"dram.words_per_cycl", "words_per_cycle"});
  expect_error(load("sram.words_per_cycle", 4), ErrorId::kValue,
               {"sram.words_per_cycle", "scratchpad, dram"});
  expect_error(load("dram.holds", 4), ErrorId::kValue, {"dram.holds", "no number"});
  expect_error(load("dram.words_per_cycle", -4), ErrorId::kValue, {"found -4", "gemmini-tl"});
  expect_error(load("levels.7.word_bits", 8), ErrorId::kValue, {"found '7'", "0..3"});
  expect_error(load("levels.", 8), ErrorId::kValue, {"levels."});
  expect_error(load("schema", 8), ErrorId::kValue, {"no number"});
  expect_error([] { load_machine({"nvdla", {{"atomic_c", 8}}}); }, ErrorId::kValue, {"--size atomic_c=N"});
  for (const char* text : {"", "=", "a=", "=3", "dram.words_per_cycle", "a=1x", "a=nan", "a=inf"})
    expect_error([=] { change_from_text(text); }, ErrorId::kUsage, {"NAME=NUMBER"});
  EXPECT_EQ(change_from_text("dram.words_per_cycle=1e1").value, 10);
}

TEST(MachineNumbers, LevelsOfOneNameGoByPlace) {
  EXPECT_EQ(level_keys({"buffer", "buffer", "mac", "dram"}),
            (std::vector<std::string>{"levels.0", "levels.1", "levels.2", "dram"}));
  Json json = machine_file("simba").value();
  json["levels"][0]["name"] = "dram";
  const JsonInput file = JsonInput::from_text(json.dump(), "twice");
  expect_error([&] { with_changes(file, {{"dram.vector_pj", 1}}); }, ErrorId::kValue, {"levels.0"});
  EXPECT_EQ(
      with_changes(file, {{"levels.0.vector_pj", 0.5}}).at("levels").items()[0].at("vector_pj").number(),
      0.5);
}

TEST(MachineNumbers, LaterChangesWin) {
  const NumberChanges both = joined({{"a", 1}, {"b", 2}}, {{"b", 3}, {"c", 4}});
  EXPECT_EQ(to_json(both).dump(), R"({"a":1,"b":3,"c":4})");
}

}  // namespace
}  // namespace dosa::testing
