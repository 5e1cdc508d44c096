// Do the programs that are written compute the right values? In Spike with Gemmini's own functional model, as
// scripts/spike runs them: arrays of every size, tiles whose operands the library keeps, awkward layers.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>

#include "dosa/models/base/files.hpp"
#include "dosa/models/base/json_input.hpp"
#include "tests/core/cli/program.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {
namespace fs = std::filesystem;

using testing::Finished;

/// A pixel, few channels and a large kernel, one channel (depthwise), strides, uneven sizes, operands of at
/// most two tiles.
const char* kAwkward = R"({"schema": "dosa-workload/1", "name": "awkward", "layers": [
  {"name": "pixel", "dims": {"R": 3, "S": 3, "P": 1, "Q": 1, "C": 24, "K": 40}, "padding": 1},
  {"name": "large_kernel", "dims": {"R": 11, "S": 11, "P": 13, "Q": 13, "C": 3, "K": 20, "wstride": 4,
   "hstride": 4}, "padding": 2},
  {"name": "depthwise", "groups": 32, "dims": {"R": 3, "S": 3, "P": 14, "Q": 14, "C": 1, "K": 1}, "padding": 1},
  {"name": "first", "dims": {"R": 7, "S": 7, "P": 14, "Q": 14, "C": 3, "K": 16, "wstride": 2,
   "hstride": 2}, "padding": 3},
  {"name": "shortcut", "dims": {"P": 7, "Q": 7, "C": 33, "K": 50, "wstride": 2, "hstride": 2}},
  {"name": "odd", "dims": {"R": 5, "S": 5, "P": 9, "Q": 9, "C": 19, "K": 21, "N": 2}, "padding": 2},
  {"name": "pointwise", "dims": {"P": 14, "Q": 14, "C": 96, "K": 64}},
  {"name": "kept", "dims": {"P": 40, "C": 64, "K": 900}},
  {"name": "kept_weights", "dims": {"P": 900, "C": 64, "K": 40}}]})";

fs::path spike() {
  if (const char* given = std::getenv("DOSA_SPIKE")) return fs::path(given) / "bin" / "spike";
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "/" : home) / ".cache" / "dosa" / "spike" / "bin" / "spike";
}

/// Products of a plan of which the library keeps an operand while the other one changes.
int kept(const Json& plan) {
  int count = 0;
  for (const Json& call : plan["measurements"]) {
    if (call["tile"]["call"] != "matmul") continue;
    const Json& dims = plan["layers"][call["layer"].get<std::size_t>()]["dims"];
    const auto tiles = [&](const char* dim, std::int64_t size) {
      const std::int64_t tile = call["tile"][dim].get<std::int64_t>();
      return (size + tile - 1) / tile;
    };
    const std::int64_t i = tiles("P", dims.value("P", 1) * dims.value("Q", 1) * dims.value("N", 1)),
                       j = tiles("K", dims.value("K", 1)), k = tiles("C", dims.value("C", 1));
    count += (i * k <= 2 && j > 1) || (j * k <= 2 && i > 1);
  }
  return count;
}

/// Runs scripts/spike check in the folder; `err` has all that it prints.
Finished check(const testing::TemporaryFolder& folder, const std::string& environment,
               const std::string& folders) {
  const int status = std::system(("cd " + folder.path().string() + " && " + environment +
                                  " " DOSA_TEST_SOURCE "/scripts/spike check " + folders + " >log 2>&1")
                                     .c_str());
  return {WEXITSTATUS(status), "", read_file(folder.path() / "log")};
}

class SpikeRuns : public ::testing::TestWithParam<int> {};

TEST_P(SpikeRuns, EveryResultIsRight) {
  if (!fs::exists(spike()))
    GTEST_SKIP() << "no " << spike().string() << "; scripts/spike setup brings it, DOSA_SPIKE says where";
  const testing::TemporaryFolder folder;
  const std::string network = folder.file("awkward.json", kAwkward), pe = std::to_string(GetParam());
  const auto dosa = [&](std::vector<std::string> arguments) {
    const Finished done = testing::run_dosa(folder.path(), arguments);
    ASSERT_EQ(done.code, 0) << done.err;
  };
  dosa({"optimize", network, "--target", "gemmini-rtl", "--pe", pe, "--max-scratchpad", "256",
        "--max-accumulator", "64", "-q", "-o", "design.json"});
  dosa({"export", "design.json", "--format", "gemmini", "-o", "design"});
  // Small buffers: more tiles, and the library's own ones among them. A row costs the model some 4 times as
  // long on 32 x 32 as on 16 x 16.
  const bool large = GetParam() == 32;
  dosa({"sample", network, "--pe", pe, "--scratchpad", "32", "--accumulator", large ? "8" : "16", "--count",
        large ? "32" : "80", "--uncertain", "0", "-o", "sample"});
  EXPECT_GT(kept(Json::parse(read_file(folder.path() / "sample" / "plan.json"))), 3);
  const Finished checked = check(folder, "", "design sample");
  EXPECT_EQ(checked.code, 0) << checked.err;
  EXPECT_NE(checked.err.find("design: " + pe + "x" + pe), std::string::npos) << checked.err;
  std::printf("%s", checked.err.c_str());
}

INSTANTIATE_TEST_SUITE_P(Arrays, SpikeRuns, ::testing::Values(4, 8, 16, 32));

// What the script says of a Spike, a model and a compiler that do as the test wants.
TEST(SpikeScript, SaysWhatIsWrong) {
  const testing::TemporaryFolder folder;
  const auto write = [&](const fs::path& name, const std::string& text, bool program = false) {
    const fs::path path = folder.path() / name;
    fs::create_directories(path.parent_path());
    write_file(path, text);
    if (program) fs::permissions(path, fs::perms::owner_exec, fs::perm_options::add);
  };
  // A program is a text of its exit code and what it prints.
  write("root/bin/spike", "#!/bin/sh\nfor last; do :; done\ntail -n +2 $last\nexit $(head -1 $last)\n", true);
  write("root/libgemmini/Makefile", "all:\n");
  write("root/libgemmini/gemmini.cc", "pixel <= spad_row;\n");
  write("root/gemmini-rocc-tests/include/gemmini_params.h", "#define DIM 16\n");
  write("cc", "#!/bin/sh\n", true);
  const auto put = [&](const std::string& name, const std::string& makefile) {
    write(name + "/plan.json", "{\"mapping\": 0}\n{\"mapping\": 1}\n");
    write(name + "/expected_params.json", "{\"DIM\": 8,\n \"BANK_ROWS\": 16, \"ACC_ROWS\": 16}\n");
    write(name + "/a.c", "");
    write(name + "/a.h", "");
    write(name + "/Makefile", makefile);
  };
  const auto prints = [](const std::string& text) {
    return "all:\n\tprintf '" + text + "' >dosa_batch_000-baremetal\n";
  };
  put("right", prints("0\\ndosa,0,0,9\\ndosa,0,1,9\\n"));
  put("wrong", prints("1\\ndosa,0,0,9\\ndosa-wrong,0,1,7,3,4\\n"));
  put("early", prints("3\\ndosa,0,0,9\\nout of memory\\n"));
  put("short", prints("0\\ndosa,0,0,9\\n"));
  put("empty", "all:\n");
  put("broken", "all:\n\tfalse\n");
  put("unplanned", prints("0\\n"));
  fs::remove(folder.path() / "unplanned" / "plan.json");
  put("sizeless", prints("0\\n"));
  write("sizeless/expected_params.json", "{}\n");
  put("old", prints("0\\n"));
  write("old/plan.json", "  \"library\": \"2023-04\",\n{\"mapping\": 0}\n");

  struct Case {
    const char* folders;
    int code;
    const char* says;
  };
  for (const Case& c :
       {Case{"right", 0, "right: 8x8, 1 program, 2 of 2 results right"},
        Case{"wrong", 1, "dosa-wrong,0,1,7,3,4"},
        Case{"early", 1, "dosa_batch_000 ends with 3: out of memory"},
        Case{"short", 1, "1 of 2 results right"}, Case{"empty", 2, "empty: its Makefile makes no program"},
        Case{"broken", 2, "broken: the programs do not compile"},
        Case{"unplanned", 2, "unplanned: holds no plan.json"},
        Case{"sizeless", 2, "sizeless/expected_params.json: has no DIM"},
        Case{"old", 2, "old/plan.json: library: found 2023-04"},
        Case{"nowhere right", 2, "right: 8x8, 1 program, 2 of 2"},
        Case{"empty wrong right", 2, "dosa-wrong"}}) {
    const Finished checked = check(
        folder,
        "DOSA_SPIKE=" + (folder.path() / "root").string() + " RISCV_CC=" + (folder.path() / "cc").string(),
        c.folders);
    EXPECT_EQ(checked.code, c.code) << c.folders << "\n" << checked.err;
    EXPECT_NE(checked.err.find(c.says), std::string::npos) << c.folders << "\n" << checked.err;
  }
  write("root/libgemmini/gemmini.cc", "another commit\n");
  EXPECT_EQ(check(folder, "DOSA_SPIKE=root RISCV_CC=true", "right").code, 2);
}

}  // namespace
}  // namespace dosa
