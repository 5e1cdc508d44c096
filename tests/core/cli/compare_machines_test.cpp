// dosa compare --machines: are rows those of dosa optimize, ranked, and does a machine that cannot take part
// stop nobody else?
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/core/cli/program.hpp"

namespace dosa::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class CompareMachines : public ::testing::Test {
 protected:
  Finished run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"compare", "net.json"});
    return run_dosa(folder_.path(), arguments);
  }
  json compared(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"-q", "--json"});
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.code, 0) << finished.err;
    return json::parse(finished.out);
  }
  void SetUp() override {
    folder_.file("net.json", R"({"schema": "dosa-workload/1", "name": "net", "layers": [
      {"name": "conv", "dims": {"R": 3, "S": 3, "P": 14, "Q": 14, "C": 64, "K": 64}},
      {"name": "fc", "dims": {"P": 64, "C": 256, "K": 128}, "count": 2}]})");
  }

  TemporaryFolder folder_;
};

json shipped_machine(const std::string& name) {
  return json::parse(content_of(std::string(DOSA_TEST_DATA) + "/hardware/" + name + ".json"));
}

TEST_F(CompareMachines, RowsAreTheDesignsOfOptimizeTheBestFirst) {
  const std::vector<std::string> limits{"--max-area", "3", "--samples", "4000", "--seed", "5"};
  std::vector<std::string> arguments{"--machines", "eyeriss,simba,gemmini-tl"};
  arguments.insert(arguments.end(), limits.begin(), limits.end());
  const json all = compared(arguments);
  EXPECT_EQ(all["schema"], "dosa-compare-machines/1");
  EXPECT_EQ(all["seed"], 5);
  EXPECT_EQ(all["interrupted"], false);
  ASSERT_EQ(all["machines"].size(), 3U);
  double before = 0;
  for (const json& row : all["machines"]) {
    std::vector<std::string> same{"optimize", "net.json", "--machine", row["given"], "-q", "--json"};
    same.insert(same.end(), limits.begin(), limits.end());
    const json alone = json::parse(run_dosa(folder_.path(), same).out);
    EXPECT_EQ(row["design"]["totals"], alone["totals"]) << row["machine"];
    EXPECT_EQ(row["design"]["layers"], alone["layers"]) << row["machine"];
    EXPECT_EQ(row["design"]["hardware"], alone["hardware"]);
    const double edp = row["design"]["totals"]["edp"];
    EXPECT_GE(edp, before);
    EXPECT_DOUBLE_EQ(row["times_best"].get<double>(),
                     edp / all["machines"][0]["design"]["totals"]["edp"].get<double>());
    before = edp;
  }
}

TEST_F(CompareMachines, AMachineWithoutRoomHasARowThatSaysSo) {
  const std::vector<std::string> arguments{"--machines", "tpu,simba", "--max-area", "1", "--samples", "2000"};
  const json all = compared(arguments);
  ASSERT_EQ(all["machines"].size(), 2U);
  EXPECT_EQ(all["machines"][0]["machine"], "simba");
  EXPECT_EQ(all["machines"][1]["machine"], "tpu");
  EXPECT_FALSE(all["machines"][1].contains("design"));
  EXPECT_THAT(all["machines"][1]["problem"].get<std::string>(), HasSubstr("the area may be 1 mm2 at most"));
  const Finished text = run(arguments);
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.out, HasSubstr("tpu          -"));
  EXPECT_THAT(text.out, HasSubstr("the area may be 1 mm2 at most"));
  EXPECT_THAT(text.err, Not(HasSubstr("[bounds]")));
  for (std::size_t start = 0; start < text.out.size();) {
    const std::size_t end = text.out.find('\n', start);
    EXPECT_LE(end - start, 80U) << text.out.substr(start, end - start);
    start = end + 1;
  }
  // Where that holds for all, nothing was compared.
  const Finished none = run({"--machines", "tpu,eyeriss", "--max-area", "0.1"});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("[bounds] tpu: the area may be 0.1 mm2"));
}

TEST_F(CompareMachines, FilesOfTheSameFiguresAreComparable) {
  json other = shipped_machine("simba");
  other["parameters"][0]["default"] = other["parameters"][0]["max"] = 2;
  folder_.file("narrow.json", other.dump());
  const std::vector<std::string> arguments{"--machines", "simba,narrow.json", "--samples", "2000"};
  const json same = compared(arguments);
  EXPECT_EQ(same["cost_basis_differs_in"], json::array());
  std::vector<std::string> names;
  for (const json& row : same["machines"]) {
    names.push_back(row["machine"]);
    EXPECT_EQ(row["cost_basis"]["mac_pj"], 0.12);
    EXPECT_EQ(row["cost_basis"]["dram_pj_per_bit"], 4.0);
    EXPECT_EQ(row["cost_basis"]["word_bits"], 8);
    EXPECT_EQ(row["cost_basis"]["mac_mm2"], 0.0004);
    if (row["given"] == "narrow.json") {
      EXPECT_LE(row["design"]["hardware"]["pe_columns"], 2);
    }
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("simba", "narrow.json")) << "one name, two machines";
  EXPECT_THAT(run(arguments).out, HasSubstr("These are the same in all files"));

  other["mac"]["energy_pj"] = 0.13;
  folder_.file("narrow.json", other.dump());
  EXPECT_EQ(compared(arguments)["cost_basis_differs_in"], json::array({"mac_pj"}));
  EXPECT_THAT(run(arguments).out, HasSubstr("The files differ in pJ/MAC:"));
}

TEST_F(CompareMachines, PredictedCyclesAndNeedsAreNamed) {
  const Finished text = run(
      {"--machines", "gemmini-tl,gemmini-rtl", "--pe", "16", "--max-area", "1", "--objective", "latency"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("latency/best"));
  EXPECT_THAT(text.out, HasSubstr("cycles are\n             predicted, from measurements"));
  EXPECT_THAT(text.out, HasSubstr("as built, double-buffered"));
}

TEST_F(CompareMachines, RefusesWhatDoesNotGoTogether) {
  for (const auto& [more, message] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--machines", "simba,simba"}, "--machines: simba is there twice"},
           {{"--machines", "simba,none.json"}, "none.json: cannot be read"},
           {{"--machines", "simba", "--seeds", "2"}, "--seeds: --machines compares designs"},
           {{"--machines", "simba", "--machine", "tpu"}, "--machine: --machines names every machine"},
           {{"--machines", "simba", "--surrogate", "x"}, "--surrogate: none of the machines is a Gemmini"},
           {{"--machines", "simba", "--size", "pe_dim=4"}, "simba: --size pe_dim: simba has no 'pe_dim'"},
           {{"--seed", "2"}, "--seed: methods are compared by --seeds"}}) {
    const Finished finished = run(more);
    EXPECT_EQ(finished.code, 2);
    EXPECT_THAT(finished.err, HasSubstr(message));
    EXPECT_EQ(finished.out, "");
  }
}

}  // namespace
}  // namespace dosa::testing
