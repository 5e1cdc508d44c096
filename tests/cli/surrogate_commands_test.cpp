// The commands train, predict and validate --surrogate, run as a user runs them.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>

#include "models/files.hpp"
#include "models/json_input.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::TemporaryFolder;

struct Outcome {
  int code;
  std::string out;  ///< stdout, or stderr where asked for
};

Outcome dosa(const std::string& arguments, bool errors = false) {
  const std::string command =
      std::string(DOSA_PROGRAM) + " " + arguments + (errors ? " 2>&1 >/dev/null" : " 2>/dev/null");
  FILE* pipe = popen(command.c_str(), "r");
  Outcome outcome{-1, ""};
  char buffer[4096];
  for (std::size_t n = 0; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.out.append(buffer, n);
  outcome.code = WEXITSTATUS(pclose(pipe));
  return outcome;
}

std::string shipped(const std::string& name) { return (data_folder() / name).string(); }
const std::string kQuick = " --epochs 3 --networks 2 --hidden 8 --folds 2 ";

/// The shipped measurements' header and first rows.
std::string first_rows(int count) {
  const std::string all = read_file(shipped("measurements/gemmini_rtl.csv"));
  std::size_t end = 0;
  for (int line = 0; line <= count; ++line) end = all.find('\n', end) + 1;
  return all.substr(0, end);
}

TEST(TrainCommand, WritesSurrogateCardCurvesAndProposals) {
  const TemporaryFolder folder;
  const std::string table = folder.file("m.csv", first_rows(120));
  const auto at = [&](const char* name) { return (folder.path() / name).string(); };
  const Outcome done =
      dosa("train " + table + kQuick + "-o " + at("s.pt") + " --curves " + at("c.csv") + " --scatter " +
           at("x.csv") + " --active 4 --proposals " + at("p.csv") + " --json");
  ASSERT_EQ(done.code, 0);
  const JsonInput json = JsonInput::from_text(done.out, "stdout");
  EXPECT_EQ(json.at("card").at("data").at("rows").integer(0, 1000), 120);
  EXPECT_EQ(json.at("proposals").items().size(), 4);
  EXPECT_TRUE(JsonInput::from_file(at("s.json")).find("card"));
  EXPECT_EQ(read_file(at("c.csv")).rfind("run,epoch,", 0), 0);
  EXPECT_EQ(read_file(at("x.csv")).rfind("folds,line,", 0), 0);
  EXPECT_EQ(read_file(at("p.csv")).rfind("kind,R,S,", 0), 0);
  const Outcome validated = dosa("validate " + table + " --surrogate " + at("s.pt") + " --json");
  ASSERT_EQ(validated.code, 0);
  EXPECT_EQ(JsonInput::from_text(validated.out, "stdout").at("all").at("rows").integer(0, 1000), 120);
  // Fine-tuning.
  EXPECT_EQ(dosa("train " + folder.file("few.csv", first_rows(6)) + " --from " + at("s.pt") +
                 " --epochs 5 -o " + at("t.pt"))
                .code,
            0);
}

TEST(TrainCommand, BadInputLeavesTheOldFile) {
  const TemporaryFolder folder;
  const std::string old = folder.file("s.pt", "old");
  const auto refused = [&](const std::string& content, const std::vector<std::string>& parts) {
    const Outcome done = dosa("train " + folder.file("m.csv", content) + kQuick + "-o " + old, true);
    EXPECT_EQ(done.code, 2);
    for (const std::string& part : parts)
      EXPECT_NE(done.out.find(part), std::string::npos) << part << " in " << done.out;
    EXPECT_EQ(read_file(old), "old");
  };
  refused(testing::replaced(first_rows(60), "cycles", "ticks"), {"m.csv:1", "missing: cycles"});
  refused(first_rows(20), {"20 usable rows", "50"});
  refused(first_rows(60) + "conv,1\n", {"m.csv:62", "2 cells"});
  EXPECT_EQ(dosa("train absent.csv -o " + old, true).code, 2);
  EXPECT_EQ(dosa("train " + shipped("measurements/gemmini_rtl.csv") + " -o /nowhere/s.pt", true).code, 2);
  EXPECT_EQ(
      dosa("train --predictor guess " + shipped("measurements/gemmini_rtl.csv") + " -o " + old, true).code,
      2);
}

TEST(PredictCommand, SaysWhatDominates) {
  const TemporaryFolder folder;
  const std::string design = R"({"schema": "dosa-design/1", "workload": "one", "target": "gemmini-tl",
    "hardware": {"pe_dim": 16, "scratchpad_kib": 256, "accumulator_kib": 64}, "objective": "edp",
    "totals": {"cycles": 0, "energy_uj": 0, "edp": 0, "area_mm2": 0},
    "layers": [{"name": "a", "count": 2,
      "dims": {"R": 3, "S": 3, "P": 56, "Q": 56, "C": 64, "K": 64},
      "mapping": "L3[WIO] Q4 P2 K4 - L2[WI] N1 K16X - L1[O] S3 R3 C4 Q14 P28 C16X - L0[W] N1",
      "cycles": 0, "energy_uj": 0}]})";
  const std::string file = folder.file("d.json", design);
  const Outcome done = dosa("predict " + file + " --json");
  ASSERT_EQ(done.code, 0) << dosa("predict " + file, true).out;
  const JsonInput layer = JsonInput::from_text(done.out, "stdout").at("layers").items().at(0);
  const double floor = layer.at("floor_cycles").number(), cycles = layer.at("predicted_cycles").number();
  EXPECT_GE(floor, 56 * 56 * 9 * 16);
  EXPECT_GT(cycles, floor);
  EXPECT_LT(cycles, 3 * floor);
  EXPECT_EQ(layer.at("dominated_by").text(), "execute");
  const std::string other =
      folder.file("e.json", testing::replaced(design, "\"pe_dim\": 16", "\"pe_dim\": 32"));
  const Outcome refused = dosa("predict " + other, true);
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.out.find("pe_dim"), std::string::npos);
}

}  // namespace
}  // namespace dosa
