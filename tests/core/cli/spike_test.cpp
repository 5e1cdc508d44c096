// Do the programs that are written compute the right values? In Spike with Gemmini's own functional model, as
// scripts/spike runs them: arrays of every size, tiles whose operands the library keeps, awkward layers.
#include <gtest/gtest.h>

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
  // Small buffers: more tiles, and the library's own ones among them.
  dosa({"sample", network, "--pe", pe, "--scratchpad", "32", "--accumulator", GetParam() == 32 ? "8" : "16",
        "--count", "80", "--uncertain", "0", "-o", "sample"});
  EXPECT_GT(kept(Json::parse(read_file(folder.path() / "sample" / "plan.json"))), 3);
  const std::string command =
      "cd " + folder.path().string() + " && " DOSA_TEST_SOURCE "/scripts/spike check design sample >log 2>&1";
  const int code = std::system(command.c_str());
  const std::string log = read_file(folder.path() / "log");
  EXPECT_EQ(code, 0) << log;
  EXPECT_NE(log.find("design: " + pe + "x" + pe), std::string::npos) << log;
  std::printf("%s", log.c_str());
}

INSTANTIATE_TEST_SUITE_P(Arrays, SpikeRuns, ::testing::Values(4, 8, 16, 32));

}  // namespace
}  // namespace dosa
