// What `explain`, `diff`, --set and --clock say, in the program that was built.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "dosa/models/base/text.hpp"
#include "tests/core/cli/program.hpp"

namespace dosa::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class ExplainCommands : public ::testing::Test {
 protected:
  Finished run(const std::vector<std::string>& arguments) const {
    return run_well(folder_.path(), arguments);
  }
  json run_json(std::vector<std::string> arguments) const {
    arguments.emplace_back("--json");
    return json::parse(run(arguments).out);
  }
  void refuse(const std::vector<std::string>& arguments, const std::string& part) const {
    const Finished finished = run_dosa(folder_.path(), arguments);
    EXPECT_EQ(finished.code, 2);
    EXPECT_THAT(finished.err, HasSubstr(part));
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
  }
  void map_bert(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments{"map", "bert", "--max-nests", "2000", "-q", "-o"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    run(arguments);
  }

  TemporaryFolder folder_;
};

TEST_F(ExplainCommands, ADesignRecordsWhatWasSet) {
  map_bert({"fast.json", "--set", "dram.words_per_cycle=16", "--set", "mac.energy_pj=0.3"});
  const json design = json::parse(content_of(folder_.path() / "fast.json"));
  EXPECT_EQ(design["set"], json::parse(R"({"dram.words_per_cycle": 16, "mac.energy_pj": 0.3})"));
  const json again = run_json({"evaluate", "fast.json"});
  EXPECT_EQ(again["totals"], design["totals"]);
  EXPECT_EQ(again["totals_as_recorded"], true);
  EXPECT_EQ(again["set"], design["set"]);
  // What is set beside is added to that; another machine has nothing set.
  const json slow = run_json({"evaluate", "fast.json", "--set", "dram.words_per_cycle=0.5"});
  EXPECT_EQ(slow["set"]["dram.words_per_cycle"], 0.5);
  EXPECT_EQ(slow["set"]["mac.energy_pj"], 0.3);
  EXPECT_EQ(slow["totals"]["energy_uj"], design["totals"]["energy_uj"]);
  EXPECT_GT(slow["totals"]["cycles"], design["totals"]["cycles"]);
  EXPECT_FALSE(run_json({"evaluate", "fast.json", "--machine", "gemmini-tl"}).contains("set"));
  EXPECT_THAT(run({"evaluate", "fast.json"}).out, HasSubstr("with dram.words_per_cycle = 16"));
  refuse({"evaluate", "fast.json", "--set", "dram.words=3"}, "unknown key \"words\"");
  refuse({"evaluate", "fast.json", "--set", "dram.words_per_cycle"}, "NAME=NUMBER");
  refuse({"optimize", "bert", "--machine", "nvdla", "--set", "atomic_c=8"}, "--size atomic_c=N");
}

TEST_F(ExplainCommands, ExplainSaysWhatLimits) {
  map_bert({"design.json"});
  const Finished text = run({"explain", "design.json"});
  for (const char* part : {"utilisation", "bound by", "x least", "10 % more", "mac.energy_pj"})
    EXPECT_THAT(text.out, HasSubstr(part));
  const json found = run_json({"explain", "design.json", "--clock", "800MHz"});
  EXPECT_EQ(found["schema"], "dosa-explain/1");
  EXPECT_EQ(found["layers"].size(), 5U);
  EXPECT_EQ(found["at_clock"]["hz"], 8e8);
  // The changes are those of evaluating the design with the number set.
  for (const json& one : found["sensitivities"]) {
    if (one["name"] != "mac.energy_pj") continue;
    const double more = 1.1 * one["value"].get<double>();
    const json there =
        run_json({"evaluate", "design.json", "--set", "mac.energy_pj=" + std::to_string(more)});
    const double change = there["totals"]["edp"].get<double>() / found["totals"]["edp"].get<double>() - 1;
    EXPECT_NEAR(one["at_110_percent"]["edp"].get<double>(), change, 1e-6);
    EXPECT_NEAR(one["slope"]["edp"].get<double>() * std::log(1.1), std::log1p(change), 1e-2);
  }
  const json again = run_json({"explain", "design.json", "--resolve", "1", "--max-nests", "2000", "-q"});
  EXPECT_EQ(again["sensitivities"][0]["searched"].size(), 2U);
  EXPECT_FALSE(again["sensitivities"][1].contains("searched"));
  EXPECT_EQ(again["searched_unchanged"], again["totals"]);
}

TEST_F(ExplainCommands, DiffSaysWhatChanged) {
  map_bert({"small.json", "--pe", "16"});
  map_bert({"large.json", "--pe", "32", "--accumulator", "64"});
  const json found = run_json({"diff", "small.json", "large.json"});
  EXPECT_EQ(found["schema"], "dosa-diff/1");
  EXPECT_EQ(found["first"]["hardware"]["pe_dim"], 16);
  EXPECT_EQ(found["second"]["hardware"]["pe_dim"], 32);
  ASSERT_EQ(found["layers"].size(), 5U);
  for (const json& layer : found["layers"]) {
    EXPECT_DOUBLE_EQ(layer["cycles_ratio"].get<double>(),
                     layer["second"]["cycles"].get<double>() / layer["first"]["cycles"].get<double>());
    EXPECT_FALSE(layer["why"].empty());
  }
  EXPECT_THAT(run({"diff", "small.json", "large.json"}).out, HasSubstr("multipliers"));
  const json set = run_json({"diff", "small.json", "--set", "dram.energy.pj=50"});
  EXPECT_EQ(set["second"]["set"]["dram.energy.pj"], 50);
  for (const json& layer : set["layers"]) {
    EXPECT_EQ(layer["cycles_ratio"], 1);
    EXPECT_LT(layer["energy_ratio"], 1);
    EXPECT_TRUE(layer["same_schedule"]);
  }
  refuse({"diff", "small.json"}, "--machine or --set");
}

TEST_F(ExplainCommands, AClockTurnsCyclesIntoTime) {
  map_bert({"design.json"});
  const json found = run_json({"evaluate", "design.json", "--clock", "1GHz"});
  const json& at = found["at_clock"];
  const double cycles = found["totals"]["cycles"], energy_uj = found["totals"]["energy_uj"];
  EXPECT_NEAR(at["latency_ms"].get<double>(), cycles * 1e-6, 1e-9 * cycles);
  EXPECT_NEAR(at["power_w"].get<double>(), energy_uj * 1e-6 / (cycles * 1e-9), 1e-9);
  EXPECT_NEAR(at["tops_per_w"].get<double>() * at["power_w"].get<double>(), at["tops"].get<double>(), 1e-9);
  EXPECT_EQ(run_json({"evaluate", "design.json", "--clock", "1e9"})["at_clock"], at);
  EXPECT_THAT(run({"evaluate", "design.json", "--clock", "1GHz"}).out, HasSubstr("TOPS/W"));
  EXPECT_THAT(run({"evaluate", "design.json"}).out, Not(HasSubstr("TOPS")));
  refuse({"evaluate", "design.json", "--clock", "0"}, "--clock");
  refuse({"evaluate", "design.json", "--clock", "1THz"}, "--clock");
}

}  // namespace
}  // namespace dosa::testing
