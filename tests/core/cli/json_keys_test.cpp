// Is every command's JSON documented? program.cpp looks at whatever a test asks a command for; here are the
// commands that no other test asks, and the look itself.
#include "tests/core/cli/json_keys.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "tests/core/cli/program.hpp"

namespace dosa::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

TEST(JsonKeys, UndocumentedKeysAndOtherTypesAreFound) {
  EXPECT_THAT(undocumented("workloads", R"({"workloads": [{"name": "bert", "layers": 5, "gmacs": 1.5}]})"),
              IsEmpty());
  EXPECT_THAT(undocumented("workloads", R"({"workloads": [{"nick": "bert"}], "all": 1})"),
              UnorderedElementsAre("workloads[].nick: not documented", "all: not documented"));
  EXPECT_THAT(undocumented("workloads", R"({"workloads": [{"layers": 5.5}]})"),
              UnorderedElementsAre("workloads[].layers: 5.5 is documented as 'integer' "));
  EXPECT_THAT(
      undocumented("export", R"({"files": ["a", 1], "folder": null})"),
      UnorderedElementsAre("files[]: 1 is documented as 'text' ", "folder: null is documented as 'text' "));
  // Objects that several commands have in common, and those with any key.
  EXPECT_THAT(undocumented("explain", R"({"totals": {"cycles": 1, "edp": null}, "set": {"any": "x"}})"),
              UnorderedElementsAre("totals.edp: null is documented as 'number' ",
                                   "set.any: \"x\" is documented as 'number' "));
  EXPECT_THAT(undocumented("nothing", "{}"), UnorderedElementsAre("dosa nothing has no table"));
}

TEST(JsonKeys, EveryCommandHasATable) {
  const TemporaryFolder folder;
  std::istringstream help(run_dosa(folder.path(), {"--help"}).out);
  std::vector<std::string> commands;
  bool listed = false;
  for (std::string line; std::getline(help, line);) {
    if (line.rfind("Subcommands", 0) == 0) listed = true;
    if (listed && line.rfind("  ", 0) == 0 && line[2] != ' ') commands.push_back(line.substr(2));
  }
  EXPECT_GT(commands.size(), 10U);
  EXPECT_THAT(documented_commands(), UnorderedElementsAreArray(commands));
}

TEST(JsonKeys, OfCommandsThatNoOtherTestAsks) {
  const TemporaryFolder folder;
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Finished done = run_dosa(folder.path(), arguments);
    EXPECT_EQ(done.code, 0) << arguments.front() << ": " << done.err;
    EXPECT_EQ(done.out.rfind('{', 0), 0U) << arguments.front();
  };
  run({"map", "bert", "--default", "--baseline", "16x128/64", "-o", "rtl.json"});
  run({"explain", "rtl.json", "--clock", "1GHz"});
  run({"diff", "rtl.json", "--set", "dram.word_pj=50"});
  run({"export", "rtl.json", "--format", "json", "-o", "out"});
  folder.file("topology.csv",
              "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, "
              "Num Filter, Strides,\nconv1, 8, 8, 3, 3, 4, 8, 1,\n");
  run({"import", "topology.csv", "-o", "net.json"});
  run({"compare", "net.json", "--machine", "gemmini-rtl", "--pe", "8,16", "--max-area", "1.2"});
  run({"optimize", "net.json", "--set", "dram.words_per_cycle=16", "--certify", "-q"});
}

}  // namespace
}  // namespace dosa::testing
