#include "dosa/models/chain/chain.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "dosa/models/base/files.hpp"
#include "dosa/models/mapping.hpp"
#include "tests/models/chain/ruled_machine.hpp"
#include "tests/models/random_mappings.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::expect_each_refused;
using testing::expect_error;
using testing::Mistake;
using testing::replaced;
using testing::TemporaryFolder;

constexpr const char* kText =
    "L5[WIO] C4 P4 - L4[IO] N1 Q2Y K3X - L3[I] N1 - L2[W] R3 - L1[O] N1 C8Y K2X - L0[W] P7";

Layer layer_of_text() {
  Layer layer;
  layer.size = {3, 1, 28, 2, 32, 6, 1};
  return layer;
}

TEST(Chain, ShippedMachines) {
  const Chain simba = load_chain("simba");
  ASSERT_EQ(simba.levels.size(), 6u);
  EXPECT_EQ(simba.level_label(4), "L4[IO]");
  EXPECT_EQ(simba.levels[1].name, "accumulation_buffer");
  EXPECT_EQ(simba.levels[1].capacity_words, 1024);
  EXPECT_EQ(simba.levels[1].children(), 64);
  EXPECT_EQ(simba.levels[1].write_words_per_cycle, 16.0);
  EXPECT_FALSE(simba.levels[1].words_per_cycle);
  EXPECT_EQ(simba.levels[1].vector_words, 8);
  EXPECT_DOUBLE_EQ(simba.levels[1].vector_pj, 4.8);
  EXPECT_FALSE(simba.levels[5].capacity_words);
  EXPECT_EQ(letters_of(simba.levels[0].temporal), "PQN");
  EXPECT_EQ(letters_of(simba.levels[1].fan_out_on(MeshAxis::Y).dims), "CK");
  EXPECT_EQ(simba.instances(-1), 1024);
  EXPECT_EQ(simba.instances(3), 16);
  EXPECT_EQ(simba.instances(4), 1);
  EXPECT_EQ(load_chain("eyeriss").instances(-1), 168);
  EXPECT_EQ(load_chain("nvdla").instances(-1), 1024);
  EXPECT_EQ(load_chain("tpu").instances(-1), 16384);
  EXPECT_EQ(load_chain("tpu").levels[2].capacity_words, 32768) << "two buffers share the words";
}

TEST(Chain, TheTwoSchemasAreToldApart) {
  EXPECT_TRUE(is_chain(machine_file("simba")));
  EXPECT_FALSE(is_chain(machine_file("gemmini-tl")));
  expect_error([] { load_array_machine("simba"); }, ErrorId::kSchema,
               {"simba.json: schema", "dosa-hardware/2", "dosa-hardware/1"});
  expect_error([] { load_chain("gemmini-tl"); }, ErrorId::kSchema, {"gemmini-tl.json", "dosa-hardware/2"});
  expect_error([] { is_chain(machine_file("simbba")); }, ErrorId::kValue, {"'simbba'", "simba"});
}

TEST(Chain, OfAMachineOfSchemaOne) {
  const Chain chain = chain_of(load_array_machine("gemmini-tl"), {16, 128, 32});
  ASSERT_EQ(chain.levels.size(), 4u);
  EXPECT_EQ(chain.instances(-1), 256);
  EXPECT_EQ(chain.instances(1), 16);
  EXPECT_EQ(chain.levels[1].capacity_words, 512) << "32 KiB in 16 banks of 4-byte words";
  EXPECT_EQ(chain.levels[2].capacity_words, 131072);
  EXPECT_EQ(chain.levels[2].words_per_cycle, 32.0);
  EXPECT_FALSE(chain.levels[3].capacity_words);
}

TEST(Chain, LoopsRunInTheOrdersThatALevelAllows) {
  Json json = machine_file("simba").value();
  json["levels"][5]["orders"] = {"PQ_K", "PK_C"};
  const Chain chain = read_chain(JsonInput::from_text(json.dump(), "simba"));
  const ChainLevel& dram = chain.levels[5];
  ASSERT_EQ(dram.orders.size(), 2u);
  EXPECT_EQ(dram.orders[0].text(), "PQ_K");
  EXPECT_EQ(dram.orders[1].text(), "PK_C");
  // The innermost first.
  using Loops = std::vector<Dim>;
  for (const Loops& allowed :
       {Loops{}, Loops{Dim::K}, Loops{Dim::P, Dim::C, Dim::K}, Loops{Dim::Q, Dim::C, Dim::R, Dim::K},
        Loops{Dim::P, Dim::R, Dim::C}, Loops{Dim::P, Dim::K, Dim::Q}, Loops{Dim::K, Dim::R, Dim::C}})
    EXPECT_TRUE(dram.allows_order(allowed)) << allowed.size();
  for (const Loops& refused :
       {Loops{Dim::Q, Dim::P}, Loops{Dim::C, Dim::P}, Loops{Dim::K, Dim::P}, Loops{Dim::K, Dim::C, Dim::Q}})
    EXPECT_FALSE(dram.allows_order(refused)) << name_of(refused[0]);
  const auto check = [&](const std::string& outermost) {
    check_mapping(parse_mapping(replaced(kText, "C4 P4", outermost), chain), layer_of_text(), chain);
  };
  EXPECT_NO_THROW(check("C4 P4"));
  expect_error([&] { check("P4 C4"); }, ErrorId::kMapping,
               {"L5[WIO] has loops in the order CP, the innermost first", "allows there: PQ_K, PK_C"});
}

TEST(Chain, EachMistakeIsNamed) {
  const TemporaryFolder folder;
  const std::string good = read_file(data_folder() / "hardware" / "simba.json");
  const std::vector<Mistake> mistakes{
      {"dosa-hardware/2", "dosa-hardware/3", ErrorId::kSchema, {"schema", "dosa-hardware/3"}},
      {"\"mac\"", "\"mca\"", ErrorId::kSchema, {"unknown key", "mca"}},
      {"0.12}", "-1}", ErrorId::kValue, {"mac.energy_pj: found -1"}},
      {"\"holds\": \"W\"", "\"holds\": \"X\"", ErrorId::kValue, {"levels[0].holds: found 'X'", "WIO"}},
      {"\"holds\": \"W\"", "\"holds\": \"\"", ErrorId::kValue, {"levels[0].holds: found \"\"", "WIO"}},
      {"\"WIO\"", "\"WI\"", ErrorId::kValue, {"levels[5].holds: found \"WI\"", "outermost", "WIO"}},
      {"\"PQN\"", "\"PQZ\"", ErrorId::kValue, {"levels[0].temporal: found 'Z'", "RSPQCKN"}},
      {"\"holds\": \"WIO\"",
       "\"holds\": \"WIO\", \"orders\": []",
       ErrorId::kValue,
       {"levels[5].orders: found 0 orders", "1..64"}},
      {"\"holds\": \"WIO\"",
       "\"holds\": \"WIO\", \"orders\": [\"PQ_K\", \"PQ_P\"]",
       ErrorId::kValue,
       {"levels[5].orders[1]: found \"PQ_P\"", "different letters of RSPQCKN"}},
      {"\"holds\": \"WIO\"",
       "\"holds\": \"WIO\", \"orders\": [\"P_Q_K\"]",
       ErrorId::kValue,
       {"levels[5].orders[0]: found \"P_Q_K\""}},
      {"\"holds\": \"WIO\"",
       "\"holds\": \"WIO\", \"orders\": [\"_\"]",
       ErrorId::kValue,
       {"levels[5].orders[0]: found \"_\""}},
      {"\"holds\": \"WIO\"",
       "\"holds\": \"WIO\", \"temporal\": \"RS\"",
       ErrorId::kValue,
       {"levels[5].temporal: found \"RS\"", "every dimension"}},
      {"\"holds\": \"WIO\"",
       "\"holds\": \"WIO\", \"capacity_words\": 7",
       ErrorId::kSchema,
       {"levels[5].capacity_words", "outermost level", "none"}},
      {"\"capacity_words\": 1,", "", ErrorId::kSchema, {"levels[0]", "'capacity_words' is missing"}},
      {"\"capacity_words\": 1,",
       "\"capacity_words\": 0,",
       ErrorId::kValue,
       {"levels[0].capacity_words", "0"}},
      {"\"capacity_words\": 1,",
       "\"capacity_words\": 1, \"buffering\": 2,",
       ErrorId::kValue,
       {"levels[0].capacity_words: found 1 words in 2 buffers", "W"}},
      {"\"size\": 8,", "\"size\": 0,", ErrorId::kValue, {"levels[1].fan_out.X.size: found 0"}},
      {"\"dims\": \"CK\"", "\"dims\": \"\"", ErrorId::kValue, {"levels[1].fan_out.X.dims", "RSPQCKN"}},
      {"{\"X\": {\"size\": 8",
       "{\"Z\": {\"size\": 8",
       ErrorId::kSchema,
       {"levels[1].fan_out: unknown key", "Z"}},
      {"\"read_words_per_cycle\": 8",
       "\"read_words_per_cycle\": 0",
       ErrorId::kValue,
       {"levels[1].read_words"}},
      {"\"vector_words\": 8",
       "\"vector_words\": 0.5",
       ErrorId::kValue,
       {"levels[1].vector_words: found 0.5"}},
      {"\"vector_pj\": 0.02", "\"vector_pj\": \"x\"", ErrorId::kSchema, {"levels[0].vector_pj", "a number"}},
      {"\"parameter\": \"weight_words\"}",
       "\"parameter\": \"weigth_words\"}",
       ErrorId::kValue,
       {"levels[2].capacity_words.parameter: found \"weigth_words\"", "weight_words"}},
      {"{\"parameter\": \"input_words\"}, \"word_bits\": 8",
       "8192, \"word_bits\": 8",
       ErrorId::kSchema,
       {"parameters", "'input_words' is declared, but no"}},
      {"{\"name\": \"pe_rows\"",
       "{\"name\": \"pe_columns\"",
       ErrorId::kValue,
       {"parameters[1].name: found \"pe_columns\" twice"}},
      {"\"default\": 4, \"min\": 1",
       "\"default\": 4, \"min\": 5",
       ErrorId::kValue,
       {"parameters[0].min: found 5", "1..4"}},
      {"\"max\": 4096}", "\"max\": 512}", ErrorId::kValue, {"parameters[2].max: found 512", "1024.."}},
      {"{\"parameter\": \"pe_rows\"}",
       "{\"parameter\": \"pe_rows\", \"times\": 1.5}",
       ErrorId::kValue,
       {"levels[4].fan_out.Y.size: found", "whole numbers"}},
      {"\"max\": 4096}",
       "\"max\": 4096, \"step\": 1000}",
       ErrorId::kValue,
       {"parameters[2].default: found 1024", "256 and every 1000 from there"}},
      {"\"max\": 4096}", "\"max\": 4096, \"step\": 0}", ErrorId::kValue, {"parameters[2].step: found 0"}},
      {"{\"parameter\": \"accumulation_words\", \"times\": 0.00234375, \"constant\": 2.4}",
       "{\"parameter\": \"accumulation_words\", \"table\": {\"256\": 3, \"1k\": 4}}",
       ErrorId::kValue,
       {"levels[1].vector_pj.table: found the key \"1k\"", "accumulation_words"}},
      {"{\"parameter\": \"accumulation_words\", \"times\": 0.00234375, \"constant\": 2.4}",
       "{\"parameter\": \"accumulation_words\", \"table\": {}}",
       ErrorId::kValue,
       {"levels[1].vector_pj.table: found 0 values", "1..64"}},
      {"{\"parameter\": \"accumulation_words\", \"times\": 0.00234375, \"constant\": 2.4}",
       "{\"parameter\": \"accumulation_words\", \"table\": {\"256\": 3, \"0256\": 4}}",
       ErrorId::kValue,
       {"levels[1].vector_pj.table: found 2 values", "different"}},
      {"{\"parameter\": \"accumulation_words\", \"times\": 0.00234375, \"constant\": 2.4}",
       "{\"parameter\": \"accumulation_words\", \"table\": {\"256\": 3, \"4096\": 4}}",
       ErrorId::kValue,
       {"parameters[2].default: found 1024", "256, 4096"}},
      {"{\"parameter\": \"accumulation_words\", \"times\": 0.00234375, \"constant\": 2.4}",
       "{\"parameter\": \"accumulation_words\", \"table\": {\"256\": 3}, \"times\": 2}",
       ErrorId::kSchema,
       {"levels[1].vector_pj: unknown key", "times"}},
      {"{\"parameter\": \"accumulation_words\", \"times\": 0.00234375, \"constant\": 2.4}",
       "{\"parameter\": \"accumulation_words\", \"table\": {\"256\": 3, \"1024\": 4, \"4096\": -1}}",
       ErrorId::kValue,
       {"levels[1].vector_pj.table.4096: found -1"}},
      {"\"vector_pj\": 0.02",
       "\"vector_pj\": 0.02, \"word_pj\": 0.02",
       ErrorId::kSchema,
       {"levels[0].vector_pj", "word_pj", "one of them"}},
      {"{\"parameter\": \"pe_rows\"}",
       "{\"parameter\": \"pe_rows\", \"shared\": true}",
       ErrorId::kSchema,
       {"levels[4].fan_out.Y.size: unknown key", "shared"}},
      {"\"capacity_words\": {\"parameter\": \"input_words\"}",
       "\"capacity_words\": {\"parameter\": \"input_words\", \"shared\": 1}",
       ErrorId::kSchema,
       {"levels[3].capacity_words.shared", "true"}},
      {"\"per_mac\": 0.0004", "\"per_mac\": -1", ErrorId::kValue, {"area_mm2.per_mac: found -1"}},
      {"\"word_bits\": 24", "\"word_bits\": 65", ErrorId::kValue, {"levels[1].word_bits: found 65", "1..64"}},
  };
  expect_each_refused(good, mistakes, [](const std::string& path) { load_chain(path); });
  Json json = Json::parse(good);
  for (Json& level : json["levels"]) level["fan_out"] = {{"X", {{"size", 1 << 20}, {"dims", "K"}}}};
  for (int i = 0; i < 2; ++i) json["parameters"].erase(0);  // of fan-outs
  const std::string wide = folder.file("wide.json", json.dump());
  expect_error([&] { load_chain(wide); }, ErrorId::kValue, {"wide.json: levels", "MACs", "at most"});
  json = Json::parse(good);
  for (Json& parameter : json["parameters"]) parameter["max"] = 1 << 20;
  for (Json& level : json["levels"]) {
    for (Json& axis : level["fan_out"]) axis["size"] = {{"parameter", "pe_rows"}};
  }
  json["levels"][4]["fan_out"] = {{"X", {{"size", {{"parameter", "pe_columns"}}}, {"dims", "K"}}},
                                  {"Y", {{"size", {{"parameter", "pe_columns"}}}, {"dims", "C"}}}};
  const std::string grows = folder.file("grows.json", json.dump());
  expect_error([&] { load_chain(grows); }, ErrorId::kValue, {"grows.json: levels", "MACs", "at most"});
  json = Json::parse(good);
  json["mac"]["energy_pj"] = json["levels"].back()["vector_pj"] = 0;
  const std::string nothing = folder.file("nothing.json", json.dump());
  expect_error([&] { load_chain(nothing); }, ErrorId::kValue,
               {"mac.energy_pj: found 0, and 0 at the outermost"});
  json = Json::parse(good);
  json["parameters"][4].update({{"default", 15}, {"min", 15}});
  json["levels"][3]["capacity_words"]["shared"] = true;
  const std::string few = folder.file("few.json", json.dump());
  expect_error([&] { load_chain(few); }, ErrorId::kValue,
               {"few.json: levels[3].capacity_words: found 0 words in 1 buffers", "each of I"});
  json = Json::parse(good);
  json["levels"][2]["vector_pj"] = {{"parameter", "weight_words"},
                                    {"table", {{"4096", 1}, {"32768", 2}, {"131072", 3}}}};
  json["levels"][3]["vector_pj"] = {{"parameter", "weight_words"}, {"table", {{"4096", 1}, {"131072", 3}}}};
  const std::string two = folder.file("two.json", json.dump());
  expect_error([&] { load_chain(two); }, ErrorId::kValue,
               {"two.json: levels[3].vector_pj.table: found the values 4096, 131072",
                "another table of weight_words has 4096, 32768, 131072"});
  json = Json::parse(good);
  for (int i = 0; i < 11; ++i) json["levels"].insert(json["levels"].begin(), json["levels"][0]);
  const std::string deep = folder.file("deep.json", json.dump());
  expect_error([&] { load_chain(deep); }, ErrorId::kValue, {"levels: found 17 levels", "2..16"});
}

TEST(Chain, IsBuiltWithTheValuesOfItsParameters) {
  const Chain simba = load_chain("simba");
  EXPECT_EQ(simba.shape_parameters, 2u);
  EXPECT_EQ(simba.shape_values[0], (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(load_chain("eyeriss").shape_values[0],
            (std::vector<std::int64_t>{4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 21, 24, 28, 32}));
  EXPECT_EQ(simba.text(simba.default_hardware),
            "pe_columns 4, pe_rows 4, accumulation_words 1024 words, weight_words 32768 words, "
            "input_words 8192 words, global_words 65536 words");
  const Chain same = simba.at(simba.default_hardware);
  EXPECT_EQ(same.levels[4].vector_pj, simba.levels[4].vector_pj);
  Hardware other = simba.default_hardware;
  other[0] = 8;
  other[simba.parameter("weight_words", "test")] = 4096;
  const Chain built = simba.at(other);
  EXPECT_EQ(built.instances(-1), 2048);
  EXPECT_EQ(built.levels[2].capacity_words, 4096);
  EXPECT_DOUBLE_EQ(built.levels[2].vector_pj, 2.25);
  EXPECT_EQ(built.levels[1].vector_pj, simba.levels[1].vector_pj);
  // By hand, in KiB of all instances: accumulation 16 of 3, weights 16 of 32, inputs 16 of 8, global 64.
  EXPECT_DOUBLE_EQ(simba.area_mm2(simba.default_hardware),
                   0.2 + 1024 * 0.0004 + 48 * 0.004 + (512 + 128 + 64) * 0.002);
  EXPECT_DOUBLE_EQ(simba.area_mm2(other), 0.2 + 2048 * 0.0004 + 96 * 0.004 + (128 + 256 + 64) * 0.002);
  expect_error([&] { simba.parameter("pe_dim", "--pe"); }, ErrorId::kValue,
               {"--pe: simba has no 'pe_dim'", "pe_columns"});
}

TEST(Chain, NumbersFollowFromParametersInEveryWayThatAFileHas) {
  const Chain ruled = load_chain(testing::ruled_machine_file());
  // What fan-outs, bandwidths, vectors or tables use comes first.
  EXPECT_EQ(ruled.parameter_names(),
            (std::vector<std::string>{"pe_columns", "pe_rows", "accumulation_words", "weight_words",
                                      "input_words", "global_words"}));
  EXPECT_EQ(ruled.shape_parameters, 3u);
  EXPECT_EQ(ruled.shape_values[0], (std::vector<std::int64_t>{2, 4, 6, 8}));
  EXPECT_EQ(ruled.shape_values[2], (std::vector<std::int64_t>{256, 1024, 4096})) << "those of its table";
  EXPECT_EQ(ruled.levels[1].vector_pj, 3.0);
  EXPECT_EQ(ruled.levels[3].built_words, 131000 / 16);
  EXPECT_EQ(ruled.levels[4].vector_words, 32);
  const Chain built = ruled.at({{6, 5, 4096, 32600, 131000, 65536}});
  EXPECT_EQ(built.levels[1].capacity_words, 4096);
  EXPECT_EQ(built.levels[1].vector_pj, 11.5);
  EXPECT_EQ(built.levels[2].capacity_words, 32600);
  EXPECT_EQ(built.levels[3].capacity_words, 131000 / 30) << "shared by 6 x 5";
  EXPECT_DOUBLE_EQ(built.levels[3].vector_pj, 0.0001 * 131000 / 30 + 1.1);
  EXPECT_EQ(built.levels[4].vector_words, 48);
  EXPECT_DOUBLE_EQ(built.levels[4].vector_pj, 48 * (0.00000625 * 65536 + 0.4));
  expect_error([&] { ruled.at({{6, 5, 2048, 32600, 131000, 65536}}); }, ErrorId::kValue, {"2048", "table"});
}

TEST(Chain, OnlySizesThatCanBeBuiltAreRead) {
  const Chain ruled = load_chain(testing::ruled_machine_file());
  const auto read = [&](const char* name, std::int64_t value) {
    Json json = ruled.to_json(ruled.default_hardware);
    json[name] = value;
    return ruled.hardware_from_json(JsonInput::from_text(json.dump(), "sizes"));
  };
  EXPECT_EQ(read("weight_words", 5100)[3], 5100);
  EXPECT_EQ(read("weight_words", 100)[3], 100) << "also below the least that a search chooses";
  expect_error([&] { read("weight_words", 5101); }, ErrorId::kValue,
               {"sizes: weight_words: found 5101", "ruled", "100 and every 500 from there"});
  expect_error([&] { read("accumulation_words", 512); }, ErrorId::kValue, {"found 512", "256, 1024, 4096"});
  expect_error([&] { read("pe_columns", 3); }, ErrorId::kValue, {"found 3", "2 and every 2 from there"});
}

TEST(Parameter, DownAndUpAreTheNearestThatCanBeBuilt) {
  Random random(3);
  int off = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    Parameter parameter;
    parameter.first = 1 + random.below(50);
    parameter.step = 1 + random.below(20);
    if (trial % 3 == 0) {
      std::set<std::int64_t> only;
      for (int i = 0; i < 4; ++i) only.insert(1 + random.below(100));
      parameter.only.assign(only.begin(), only.end());
    }
    std::vector<std::int64_t> all;
    for (std::int64_t value = -5; value < 200; ++value) {
      if (parameter.allows(value)) all.push_back(value);
    }
    ASSERT_GT(all.front(), 0);
    ASSERT_TRUE(parameter.only.empty() ? parameter.allows(parameter.first) : all == parameter.only);
    const std::int64_t value = random.below(150) - 2;
    off += parameter.allows(value) ? 0 : 1;
    const auto above = std::lower_bound(all.begin(), all.end(), value);
    const std::int64_t up = above == all.end() ? all.back() : *above;
    const std::int64_t down = above != all.end() && *above == value ? value
                              : above == all.begin()                ? all.front()
                                                                    : *(above - 1);
    EXPECT_EQ(parameter.up(value), up) << value << " of " << parameter.allowed_text();
    EXPECT_EQ(parameter.down(value), down) << value << " of " << parameter.allowed_text();
  }
  EXPECT_GT(off, 500);
}

// The same machine in both schemas, at every size of its array.
TEST(Chain, GemminiTlIsTheSameInBothSchemas) {
  const ArrayMachine array = load_array_machine("gemmini-tl");
  const Chain chain = load_chain("gemmini-tl-chain");
  EXPECT_EQ(chain.default_hardware, array.default_hardware);
  EXPECT_EQ(chain.min_hardware, array.min_hardware);
  EXPECT_EQ(chain.max_hardware, array.max_hardware);
  Random random(6);
  for (int trial = 0; trial < 300; ++trial) {
    const Hardware sizes{{1 + random.below(128), 1 + random.below(2048), 1 + random.below(2048)}};
    const Chain one = chain_of(array, ArraySizes::of(sizes)), other = chain.at(sizes);
    EXPECT_NEAR(array.area_mm2(sizes) / chain.area_mm2(sizes), 1, 1e-12);
    ASSERT_EQ(one.levels.size(), other.levels.size());
    EXPECT_EQ(one.mac_energy_pj, other.mac_energy_pj);
    for (std::size_t l = 0; l < one.levels.size(); ++l) {
      const ChainLevel &a = one.levels[l], &b = other.levels[l];
      EXPECT_EQ(a.holds, b.holds);
      // The array's file does not say how many weights a register holds.
      if (l > 0) {
        EXPECT_EQ(a.capacity_words, b.capacity_words) << array.text(sizes);
      }
      EXPECT_EQ(a.children(), b.children());
      EXPECT_EQ(a.words_per_cycle, b.words_per_cycle);
      EXPECT_EQ(a.vector_words, b.vector_words);
      EXPECT_NEAR(a.vector_pj / b.vector_pj, 1, 1e-12);
    }
  }
}

TEST(Chain, BetweenTheValuesOfATableItIsALineToTheNext) {
  const std::vector<ByParameter::Entry> table{{2, 5.3}, {4, 3.1}, {10, 7.7}};
  const std::vector<double> numbers{5.3, 3.1, 7.7};
  for (const ByParameter::Entry& entry : table)
    EXPECT_EQ(interpolated(table, numbers, static_cast<double>(entry.value)), entry.number) << "exactly";
  EXPECT_DOUBLE_EQ(interpolated(table, numbers, 3.0), 4.2);
  EXPECT_DOUBLE_EQ(interpolated(table, numbers, 7.0), 5.4);
  EXPECT_EQ(interpolated({{8, 2.5}}, std::vector<double>{2.5}, 8.0), 2.5);
}

TEST(ChainMapping, TextOfTwoAxes) {
  const Chain simba = load_chain("simba");
  const Mapping mapping = parse_mapping(kText, simba);
  EXPECT_EQ(mapping.levels[4].spatial_y, (std::vector<Loop>{{Dim::Q, 2}}));
  EXPECT_EQ(mapping.levels[4].spatial, (std::vector<Loop>{{Dim::K, 3}}));
  EXPECT_EQ(mapping.spatial(1, Dim::C), 8);
  EXPECT_EQ(mapping.total(Dim::K), 6);
  EXPECT_NO_THROW(check_mapping(mapping, layer_of_text(), simba));
  EXPECT_EQ(print_mapping(mapping, simba), kText);
  testing::RandomCases random(2);
  for (int i = 0; i < 300; ++i) {
    const Chain chain = random.chain();
    const Layer layer = random.layer();
    const Mapping other = random.mapping(layer, chain);
    EXPECT_NO_THROW(check_mapping(other, layer, chain));
    EXPECT_TRUE(parse_mapping(print_mapping(other, chain), chain) == other) << print_mapping(other, chain);
  }
}

TEST(ChainMapping, MustBelongToLayerAndChain) {
  const Chain simba = load_chain("simba");
  const auto expect = [&](const std::string& from, const std::string& to, ErrorId id,
                          const std::vector<std::string>& parts) {
    expect_error(
        [&] { check_mapping(parse_mapping(replaced(kText, from, to), simba), layer_of_text(), simba); }, id,
        parts);
  };
  expect("C4 P4", "C8 P4", ErrorId::kMapping, {"factors of C multiply to 64", "C = 32"});
  expect("L0[W] P7", "L0[W] N1", ErrorId::kMapping, {"factors of P multiply to 4"});
  expect("R3 - L1[O] N1", "N1 - L1[O] N1 R3X", ErrorId::kMapping,
         {"L1[O]", "spatial X loop over R", "allows there: CK"});
  expect("L2[W] R3 - L1[O] N1 C8Y K2X - L0[W] P7", "L2[W] N1 - L1[O] N1 C8Y K2X - L0[W] R3 P7",
         ErrorId::kMapping, {"L0[W]", "temporal loop over R", "PQN"});
  expect("C4 P4 - L4[IO] N1 Q2Y K3X", "C1 P4 - L4[IO] N1 C4Y Q2Y K3X", ErrorId::kCapacity,
         {"L4[IO] global_buffer", "needs a fan-out of 8 on Y", "has 4"});
  expect("C8Y K2X", "C8Y C1Y C2Y K2X", ErrorId::kMapping, {"L1[O]", "two spatial loops over C on Y"});
  expect("L5[WIO]", "L5[WI]", ErrorId::kMapping, {"'L5[WI]'", "L5[WIO]", "simba"});
  const ArrayMachine gemmini = load_array_machine("gemmini-tl");
  Layer layer;
  layer[Dim::K] = 4;
  expect_error(
      [&] {
        check_mapping(parse_mapping("L3[WIO] N1 - L2[WI] N1 K4Y - L1[O] N1 - L0[W] N1", gemmini), layer,
                      gemmini);
      },
      ErrorId::kMapping, {"L2[WI]", "spatial Y loop over K", "none"});
}

}  // namespace
}  // namespace dosa
