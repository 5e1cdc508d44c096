// dosa compare --timeloop-mapper: are its mappings costed as ours are, and is a report that says something
// else named?
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/core/cli/program.hpp"

namespace dosa::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// Results as timeloop-mapper writes them, of mappings of our own.
class CompareMapper : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.file("net.json", R"({"schema": "dosa-workload/1", "name": "net", "layers": [
      {"name": "conv", "dims": {"R": 3, "S": 3, "P": 14, "Q": 14, "C": 64, "K": 64}},
      {"name": "fc", "dims": {"P": 64, "C": 256, "K": 128}, "count": 2}]})");
    const std::vector<std::string> map{"map",    "net.json", "--machine", "simba",  "--samples", "1000",
                                       "--seed", "1",        "-q",        "--json", "-o",        "d.json"};
    mapped_ = json::parse(run_dosa(folder_.path(), map).out);
    ASSERT_EQ(run_dosa(folder_.path(), {"export", "d.json", "--format", "timeloop", "-o", "out"}).code, 0);
    for (std::size_t l = 0; l < 2; ++l) {
      const json& layer = mapped_["layers"][l];
      write(layer["name"],
            content_of(folder_.path() / "out" / (l == 0 ? "000_conv.mapping.yaml" : "001_fc.mapping.yaml")),
            layer["cycles"], layer["energy_uj"]);
    }
  }
  void write(const std::string& name, const std::string& mapping, double cycles, double energy_uj) {
    std::filesystem::create_directory(folder_.path() / name);
    folder_.file(name + "/timeloop-mapper.map.yaml", mapping);
    char report[200];
    std::snprintf(report, sizeof report, "Summary Stats\nUtilization: 0.50\nCycles: %.0f\nEnergy: %.2f uJ\n",
                  cycles, energy_uj);
    folder_.file(name + "/timeloop-mapper.stats.txt", report);
  }
  Finished compare(const std::string& results, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"compare",  "net.json",          "--machine", "simba",   "--methods",
                                       "gradient", "--samples",         "20000",     "--seeds", "1",
                                       "-q",       "--timeloop-mapper", results};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_dosa(folder_.path(), arguments);
  }

  TemporaryFolder folder_;
  json mapped_;
};

TEST_F(CompareMapper, ItsMappingsAreARowByOurModel) {
  const Finished finished = compare("fc,conv/timeloop-mapper.map.yaml", {"--json"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  const json compared = json::parse(finished.out);
  const json& row = compared["timeloop_mapper"];
  EXPECT_EQ(row["agreeing"], 2);
  EXPECT_EQ(row["design"]["totals"], mapped_["totals"]);
  EXPECT_EQ(row["design"]["hardware"], mapped_["hardware"]) << "the machine's default";
  EXPECT_EQ(row["objective"], mapped_["totals"]["edp"]);
  EXPECT_EQ(compared["min"], mapped_["hardware"]) << "the search has no other hardware";
  EXPECT_EQ(compared["max"], mapped_["hardware"]);
  EXPECT_DOUBLE_EQ(
      row["ratio"].get<double>(),
      row["objective"].get<double>() / compared["methods"][0]["objective"]["median"].get<double>());
  EXPECT_EQ(row["layers"][1]["name"], "fc");
  EXPECT_EQ(row["layers"][1]["file"], "fc/timeloop-mapper.map.yaml");
  EXPECT_EQ(row["layers"][1]["cycles"], row["layers"][1]["stats"]["cycles"]);
}

// What the real mapper wrote (timeloop_mapper/README.md).
TEST_F(CompareMapper, WhatTheMapperFoundCostsWhatItSays) {
  const std::string found = std::string(DOSA_TEST_SOURCE) + "/tests/core/cli/timeloop_mapper/";
  const Finished finished =
      run_dosa(folder_.path(), {"compare", found + "net.json", "--machine", "simba", "--samples", "20000",
                                "--seeds", "1", "-q", "--timeloop-mapper", found + "conv," + found + "fc"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("timeloop-mapper: its report and dosa agree on 2 of 2 layers"));
}

TEST_F(CompareMapper, AReportThatSaysSomethingElseIsNamed) {
  const json& fc = mapped_["layers"][1];
  const std::string mapping = content_of(folder_.path() / "fc" / "timeloop-mapper.map.yaml");
  write("fc", mapping, fc["cycles"].get<double>() + 1, fc["energy_uj"]);
  const Finished one = compare("conv,fc");
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("timeloop-mapper: its report and dosa agree on 1 of 2 layers"));
  EXPECT_THAT(one.out, HasSubstr("counts no link transfers"));
  EXPECT_THAT(one.out, HasSubstr("\nfc "));
  write("fc", mapping, fc["cycles"], fc["energy_uj"].get<double>() + 0.02);
  EXPECT_THAT(compare("conv,fc").out, HasSubstr("1 of 2 layers"));
}

TEST_F(CompareMapper, RefusesResultsThatAreNotThoseOfTheNetwork) {
  const std::string mapping = content_of(folder_.path() / "fc" / "timeloop-mapper.map.yaml");
  write("other", std::string(mapping).replace(mapping.find("P=1 "), 4, "P=3 "), 1, 1);
  for (const auto& [results, message] : std::vector<std::pair<std::string, std::string>>{
           {"conv", "[mapping] --timeloop-mapper: no mapping of fc is there"},
           {"conv,fc,fc", "found a second mapping of fc, fc/timeloop-mapper.map.yaml is the first"},
           {"conv,other", "multiply to R=1 S=1 P=192 Q=1 C=256 K=128 N=1, which no layer of net has"},
           {"net.json", "--timeloop-mapper: found net.json, expected a folder or a file NAME.map.yaml"}}) {
    const Finished finished = compare(results);
    EXPECT_EQ(finished.code, 2);
    EXPECT_THAT(finished.err, HasSubstr(message));
    EXPECT_EQ(finished.out, "");
  }
}

}  // namespace
}  // namespace dosa::testing
