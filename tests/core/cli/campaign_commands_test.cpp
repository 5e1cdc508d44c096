// The commands measure and campaign, and sample --tilings, run as a user runs them, with a simulator that
// goes wrong in every way a simulator can.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "dosa/models/base/files.hpp"
#include "dosa/models/base/json_input.hpp"
#include "tests/core/cli/program.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {
namespace fs = std::filesystem;

using testing::content_of;
using testing::Finished;
using testing::run_dosa;
using testing::RunningProgram;

const char* kNetwork = R"({"schema": "dosa-workload/1", "name": "tiny", "layers": [
  {"name": "first", "dims": {"R": 3, "S": 3, "P": 28, "Q": 28, "C": 16, "K": 32}, "padding": 1},
  {"name": "wide", "count": 2, "dims": {"P": 28, "Q": 28, "C": 64, "K": 96}, "padding": 0},
  {"name": "product", "count": 3, "dims": {"P": 200, "C": 300, "K": 120}}]})";
/// What stands for a compiler: the fake simulator reads C files.
const std::string kCopy = "for p in dosa_batch_*.c; do cp $p ${p%.c}-baremetal; done";

class Campaigns : public ::testing::Test {
 protected:
  void SetUp() override { folder_.file("tiny.json", kNetwork); }
  void TearDown() override { unsetenv("FAKE_SIMULATOR"); }

  Finished dosa(const std::vector<std::string>& arguments) const {
    return run_dosa(folder_.path(), arguments);
  }
  void sample(const std::vector<std::string>& more = {}) const {
    fs::remove_all(folder_.path() / "plan");
    std::vector<std::string> all{"sample", "tiny.json",   "--count", "40", "--batch",
                                 "8",      "--uncertain", "0",       "-o", "plan"};
    all.insert(all.end(), more.begin(), more.end());
    const Finished done = dosa(all);
    ASSERT_EQ(done.code, 0) << done.err;
  }
  std::vector<std::string> measure(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all{"measure", "plan", "--simulator", DOSA_FAKE_SIMULATOR, "--build", kCopy};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::vector<std::string> campaign(const std::string& to) const {
    return {"campaign", "tiny.json", "--simulator", DOSA_FAKE_SIMULATOR, "--build", kCopy, "--budget", "60",
            "-o",       to};
  }
  std::string rows() const { return content_of(folder_.path() / "plan" / "measurements.csv"); }
  std::string log_of_runs() const {
    const fs::path path = folder_.path() / "runs";
    return fs::exists(path) ? content_of(path) : "";
  }
  fs::path in_plan(const char* name) const { return folder_.path() / "plan" / name; }

  testing::TemporaryFolder folder_;
};

std::ptrdiff_t lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

TEST_F(Campaigns, MeasureRunsEveryProgramAndCollects) {
  sample();
  const Finished done = dosa(measure({"--json", "-o", "rows.csv"}));
  ASSERT_EQ(done.code, 0) << done.err;
  const Json json = Json::parse(done.out);
  EXPECT_EQ(json["measurements"], 40);
  EXPECT_EQ(json["programs"], 5);
  const std::string csv = content_of(folder_.path() / "rows.csv");
  EXPECT_EQ(lines(csv), 41);
  // The number of jobs changes nothing, and what is complete does not run again.
  setenv("FAKE_SIMULATOR", "nothing", 1);
  const Finished again = dosa(measure());
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.out.find("run: 5 of 5 programs, 5 of them earlier"), std::string::npos) << again.out;
  EXPECT_EQ(rows(), csv);
  unsetenv("FAKE_SIMULATOR");
  EXPECT_EQ(dosa(measure({"--restart", "--jobs", "3"})).code, 0);
  EXPECT_EQ(rows(), csv);
  // A sample does not replace a folder that holds measurements.
  const Finished refused = dosa({"sample", "tiny.json", "--count", "40", "-o", "plan"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(rows(), csv);
}

TEST_F(Campaigns, WhatABuildThatWasCutOffLeftIsCompiledAgain) {
  sample();
  const std::string killed = "printf half > dosa_batch_001-baremetal; kill -9 $PPID; sleep 9";
  EXPECT_NE(dosa({"measure", "plan", "--simulator", DOSA_FAKE_SIMULATOR, "--build", killed}).code, 0);
  ASSERT_EQ(content_of(in_plan("dosa_batch_001-baremetal")), "half");
  EXPECT_EQ(dosa(measure()).code, 0);
  EXPECT_EQ(content_of(in_plan("dosa_batch_001-baremetal")), content_of(in_plan("dosa_batch_001.c")));
  EXPECT_EQ(lines(rows()), 41);
  EXPECT_FALSE(fs::exists(in_plan("logs") / "building"));
}

TEST_F(Campaigns, WhatASimulatorDoesWrongIsNamedAndTheRestKept) {
  struct Case {
    const char *mode, *message;
    int measured;
  };
  sample();
  ASSERT_EQ(dosa(measure()).code, 0);
  const std::string right = rows();
  for (const Case& wrong :
       {Case{"crash", "dosa_batch_001: the simulator ended by signal 6 (Aborted) after 4 of 8", 36},
        {"nothing", "dosa_batch_001: the simulator ended with exit code 0 without a measurement", 32},
        {"hang", "dosa_batch_001: the simulator ran for more than 1 s after 1 of 8", 33},
        {"cut", "dosa_batch_001: the simulator ended with exit code 0 after 7 of 8", 39},
        {"wrong", "dosa_batch_001: line 2: 'dosa-wrong,", 39}}) {
    sample();
    setenv("FAKE_SIMULATOR", (wrong.mode + std::string(":dosa_batch_001")).c_str(), 1);
    const Finished done = dosa(measure({"--timeout", "1s", "--jobs", "2"}));
    EXPECT_EQ(done.code, 3) << wrong.mode << done.err;
    EXPECT_NE(done.out.find(wrong.message), std::string::npos) << done.out;
    EXPECT_EQ(lines(rows()), wrong.measured + 1) << wrong.mode;
    unsetenv("FAKE_SIMULATOR");
    // The same command again runs what is missing; a wrong result stays one.
    const Finished again = dosa(measure());
    const bool is_final = std::string(wrong.mode) == "wrong";
    EXPECT_EQ(again.code, is_final ? 3 : 0) << again.out;
    if (!is_final) {
      EXPECT_EQ(rows(), right) << wrong.mode;
    }
    for (const auto& entry : fs::directory_iterator(in_plan("logs")))
      EXPECT_EQ(entry.path().string().find("failed"), std::string::npos) << entry.path();
  }
  // All at once: nothing is written.
  sample();
  setenv("FAKE_SIMULATOR", "nothing", 1);
  const Finished none = dosa(measure());
  EXPECT_EQ(none.code, 3);
  EXPECT_NE(none.out.find("nothing was measured: no table is written"), std::string::npos) << none.out;
  EXPECT_FALSE(fs::exists(in_plan("measurements.csv")));
  setenv("FAKE_SIMULATOR", "loud:dosa_batch_000", 1);
  const Finished loud = dosa(measure());
  EXPECT_EQ(loud.code, 0) << loud.out;  // all measurements were there
  EXPECT_NE(loud.out.find("dosa_batch_000: the simulator printed more than is kept"), std::string::npos)
      << loud.out;
}

/// Whether all simulators of a log of runs have ended, soon: gone, or dead and waiting to be noticed.
bool all_ended(const std::string& runs) {
  std::istringstream text(runs);
  std::string process, program;
  const auto is_alive = [&] {
    std::ifstream stat("/proc/" + process + "/stat");
    std::string number, name, state;
    return (stat >> number >> name >> state) && state != "Z";
  };
  bool ended = true;
  while (text >> process >> program) {
    for (int i = 0; i < 200 && is_alive(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ended = ended && !is_alive();
  }
  return ended;
}

TEST_F(Campaigns, TheLibraryThatProgramsAreCompiledWithStandsInEveryRow) {
  sample({"--library", "2023-04"});
  EXPECT_EQ(Json::parse(content_of(in_plan("plan.json")))["library"], "2023-04");
  EXPECT_NE(content_of(in_plan("dosa_tiles.h")).find("#define DOSA_CONV_WITHOUT_STRIDES"), std::string::npos);
  EXPECT_NE(content_of(in_plan("dosa_batch_000.c")).find("gemmini-rocc-tests of 2023-04"), std::string::npos);
  ASSERT_EQ(dosa(measure()).code, 0);
  const std::string csv = rows();
  std::ptrdiff_t of_library = 0;
  for (std::size_t at = csv.find(",2023-04\n"); at != std::string::npos; at = csv.find(",2023-04\n", at + 1))
    ++of_library;
  EXPECT_EQ(of_library, 40);
  // By hand, too, and from a table.
  std::string log;
  for (const auto& entry : fs::directory_iterator(in_plan("logs")))
    if (entry.path().extension() == ".log") log += content_of(entry.path());
  folder_.file("uart.log", log);
  ASSERT_EQ(dosa({"collect", "uart.log", "--plan", "plan/plan.json", "-o", "rows.csv", "--json"}).code, 0);
  EXPECT_EQ(content_of(folder_.path() / "rows.csv"), csv);
  ASSERT_EQ(dosa({"sample", "--tilings", "rows.csv", "-o", "again"}).code, 0);
  EXPECT_EQ(Json::parse(content_of(folder_.path() / "again" / "plan.json"))["library"], "2023-04");
  const Finished refused = dosa({"sample", "tiny.json", "--library", "april", "-o", "none"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("--library: found 'april', expected the library's month"), std::string::npos)
      << refused.err;
}

// A chip whose library keeps nothing: its file says so, and campaign, evaluation and export go by it.
TEST_F(Campaigns, ACampaignIsForTheLibraryOfItsMachine) {
  Json machine = Json::parse(content_of(fs::path(DOSA_TEST_SOURCE) / "data/hardware/gemmini-rtl.json"));
  machine["name"] = "old";
  machine["library"] = "2023-04";
  folder_.file("old.json", machine.dump());
  std::vector<std::string> on_old = campaign("c");
  on_old.insert(on_old.end(), {"--json", "--machine", "old.json"});
  const Finished done = dosa(on_old);
  ASSERT_EQ(done.code, 0) << done.err;
  const fs::path c = folder_.path() / "c";
  EXPECT_EQ(Json::parse(content_of(c / "round_01" / "plan.json"))["library"], "2023-04");
  EXPECT_EQ(content_of(c / "measurements.csv").find("2023-10"), std::string::npos);
  const Json design = Json::parse(content_of(c / "design.json"));
  EXPECT_EQ(design["target"], "old");
  // Its energies are of that library: as evaluated with it, more than with one that keeps operands.
  const auto energy = [&](const char* on) {
    const Finished found = dosa({"evaluate", "c/design.json", "--machine", on, "--json"});
    EXPECT_EQ(found.code, 0) << found.err;
    return Json::parse(found.out)["totals"]["energy_uj"].get<double>();
  };
  EXPECT_NEAR(energy("old.json") / design["totals"]["energy_uj"].get<double>(), 1, 1e-9);
  EXPECT_LE(energy("gemmini-rtl"), energy("old.json"));
  const Finished exported =
      dosa({"export", "c/design.json", "--format", "gemmini", "--machine", "old.json", "-o", "programs"});
  ASSERT_EQ(exported.code, 0) << exported.err;
  EXPECT_EQ(Json::parse(content_of(folder_.path() / "programs" / "plan.json"))["library"], "2023-04");
  // Another machine is another campaign; one that measures something else is refused.
  const Finished other = dosa(campaign("c"));
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("machine: the campaign there has"), std::string::npos) << other.err;
  machine["levels"][3]["words_per_cycle"] = 16;
  folder_.file("old.json", machine.dump());
  on_old[9] = "d";
  const Finished faster = dosa(on_old);
  EXPECT_EQ(faster.code, 2);
  EXPECT_NE(faster.err.find("machine old: levels[3].words_per_cycle: found 16"), std::string::npos)
      << faster.err;
  on_old.back() = "gemmini-tl";
  EXPECT_NE(dosa(on_old).err.find("machine gemmini-tl: rules: found mappings"), std::string::npos);
}

TEST_F(Campaigns, AnInterruptKeepsWhatIsDoneAndKillsTheRest) {
  sample();
  setenv("FAKE_SIMULATOR_LOG", (folder_.path() / "runs").c_str(), 1);
  setenv("FAKE_SIMULATOR", "slow", 1);
  RunningProgram program(folder_.path(), measure({"--jobs", "2"}));
  for (int i = 0; i < 3000 && !fs::exists(in_plan("logs/dosa_batch_001.log")); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  program.signal(SIGINT);
  const Finished done = program.finish(std::chrono::seconds(30));
  EXPECT_EQ(done.code, 130) << done.err;
  EXPECT_NE(done.out.find("the same command again runs them"), std::string::npos) << done.out;
  EXPECT_TRUE(all_ended(log_of_runs())) << log_of_runs();
  EXPECT_GE(lines(rows()), 17);
  EXPECT_LT(lines(rows()), 41);
  fs::remove(folder_.path() / "runs");
  setenv("FAKE_SIMULATOR", "leave", 1);  // children of a simulator go with it
  const Finished again = dosa(measure());
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(lines(rows()), 41);
  EXPECT_EQ(log_of_runs().find("dosa_batch_000"), std::string::npos) << log_of_runs();
  EXPECT_NE(log_of_runs().find("dosa_batch_004"), std::string::npos) << log_of_runs();
  unsetenv("FAKE_SIMULATOR_LOG");
}

TEST_F(Campaigns, MeasureRefusesWhatDoesNotBelongTogether) {
  sample();
  const auto refuses = [&](const std::vector<std::string>& arguments, const std::vector<std::string>& parts) {
    const Finished done = dosa(arguments);
    EXPECT_EQ(done.code, 2) << done.out;
    EXPECT_EQ(lines(done.err), 1) << done.err;
    for (const std::string& part : parts) EXPECT_NE(done.err.find(part), std::string::npos) << done.err;
  };
  refuses({"measure", "plan", "--simulator", "true"},
          {"no compiled program", "'make -k' ended with exit code 2", "say where the library is"});
  refuses({"measure", "plan", "--simulator", "true", "--build", "true"}, {"logs/build.log is empty"});
  refuses({"measure", "nowhere", "--simulator", "true"}, {"nowhere/plan.json"});
  refuses({"measure", "plan"}, {"--simulator"});
  refuses({"measure", "plan", "--simulator", "true", "--timeout", "-1"}, {"--timeout", "-1"});
  refuses({"measure", "plan", "--simulator", "true", "-o", "no/rows.csv"}, {"no/rows.csv"});
  ASSERT_EQ(dosa(measure()).code, 0);
  refuses({"measure", "plan", "--simulator", "true"}, {"the logs are of another simulator", "--restart"});
  const std::string plan = content_of(in_plan("plan.json"));
  write_file(in_plan("plan.json"), testing::replaced(plan, "\"pe_dim\": 16", "\"pe_dim\": 15"));
  refuses(measure(), {"plan.json", "pe_dim"});
  write_file(in_plan("plan.json"), plan + "\n");
  refuses(measure(), {"the logs are of another plan"});
}

TEST_F(Campaigns, TheProgramsThemselvesRunOnTheHost) {
  sample({"--batch-cycles", "100000"});
  const std::string stubs = DOSA_TEST_SOURCE "/tests/core/export/stubs";
  const std::string compile = "for p in dosa_batch_*.c; do " DOSA_HOST_CC " -std=gnu99 -O1 -I" + stubs +
                              " -I. -DDOSA_EVICT_BYTES=1024 $p -lm -o ${p%.c}-baremetal; done";
  // The stub's clock ticks once a call: whole lines, but no believable cycles.
  const Finished done = dosa({"measure", "plan", "--simulator", "env", "--build", compile, "--json"});
  EXPECT_EQ(done.code, 3) << done.err;
  const Json json = Json::parse(done.out);
  EXPECT_EQ(json["wrong"].size(), 0u) << done.out;
  EXPECT_EQ(json["measurements"].get<int>() + static_cast<int>(json["garbled"].size()), 40) << done.out;
}

TEST_F(Campaigns, ProposalsBecomeASample) {
  const std::string all = content_of(fs::path(DOSA_TEST_SOURCE) / "data/measurements/gemmini_rtl.csv");
  std::size_t end = 0;
  for (int line = 0; line <= 150; ++line) end = all.find('\n', end) + 1;
  folder_.file("rows.csv", all.substr(0, end));
  const Finished trained =
      dosa({"train", "rows.csv", "-o", "s.safetensors", "--epochs", "3", "--networks", "2", "--hidden", "8",
            "--folds", "0", "-q", "--active", "6", "--proposals", "next.csv"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Finished sampled = dosa({"sample", "--tilings", "next.csv", "-o", "plan", "--json"});
  ASSERT_EQ(sampled.code, 0) << sampled.err;
  EXPECT_EQ(Json::parse(sampled.out)["tilings"], Json({{"proposed", 6}}));
  const Finished measured = dosa(measure());
  EXPECT_EQ(measured.code, 0) << measured.err << measured.out;
  EXPECT_EQ(lines(rows()), 7);
  EXPECT_NE(rows().find(",2023-04\n"), std::string::npos);  // as the rows that they were learnt from
  EXPECT_EQ(dosa({"sample", "-o", "other"}).code, 2);
  EXPECT_EQ(dosa({"sample", "--tilings", "next.csv", "--count", "3", "-o", "other"}).code, 2);
  EXPECT_EQ(dosa({"sample", "--tilings", "next.csv", "--scratchpad", "100", "-o", "other"}).code, 2);
  EXPECT_FALSE(fs::exists(folder_.path() / "other"));
}

TEST_F(Campaigns, ACampaignEndsWithAMeasuredGain) {
  setenv("FAKE_SIMULATOR_LOG", (folder_.path() / "runs").c_str(), 1);
  const Finished done = dosa(campaign("c"));
  ASSERT_EQ(done.code, 0) << done.err;
  const fs::path c = folder_.path() / "c";
  const Json report = Json::parse(content_of(c / "report.json"));
  EXPECT_EQ(report["complete"], true);
  EXPECT_EQ(report["layers_not_measured"], 0);
  EXPECT_LE(report["measurements"].get<int>(), 60);
  EXPECT_GE(report["gain"]["edp"].get<double>(), 1.0);
  EXPECT_GE(report["gain"]["latency"].get<double>(), 1.0);
  ASSERT_GE(report["rounds"].size(), 2u);
  EXPECT_EQ(report["rounds"][0]["measured"], 30);
  // Every layer's cycles stand in the table of measurements, and they make the design's.
  const std::string table = content_of(c / "measurements.csv");
  double cycles = 0;
  for (const Json& layer : report["layers"]) {
    for (const char* side : {"default", "design"}) {
      const std::string number = std::to_string(layer[side]["cycles"].get<std::int64_t>());
      EXPECT_NE(table.find("," + number + ",1,"), std::string::npos) << layer;
    }
    cycles += layer["count"].get<double>() * layer["design"]["cycles"].get<double>();
  }
  EXPECT_EQ(report["design"]["cycles"].get<double>(), cycles);
  EXPECT_EQ(Json::parse(content_of(c / "design.json"))["totals"]["cycles"].get<double>(), cycles);
  EXPECT_NE(done.out.find("x measured; energy"), std::string::npos) << done.out;
  // Cut off anywhere, it goes on to the same end; complete, it runs nothing.
  const std::string text = content_of(c / "report.txt");
  fs::remove_all(c / "round_02");
  for (const char* name : {"report.txt", "report.json", "design.json"}) fs::remove(c / name);
  fs::remove(c / "round_01" / "design.json");
  if (fs::exists(c / "round_03")) fs::remove_all(c / "round_03");
  EXPECT_EQ(dosa(campaign("c")).code, 0);
  EXPECT_EQ(content_of(c / "report.txt"), text);
  const std::string runs = log_of_runs();
  EXPECT_EQ(dosa(campaign("c")).code, 0);
  EXPECT_EQ(log_of_runs(), runs);
  unsetenv("FAKE_SIMULATOR_LOG");
  // Another campaign has another folder.
  std::vector<std::string> other = campaign("c");
  other.insert(other.end(), {"--seed", "2"});
  const Finished refused = dosa(other);
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("seed: the campaign there has 1, now 2"), std::string::npos) << refused.err;
}

TEST_F(Campaigns, ACampaignGoesOnAfterAnInterrupt) {
  ASSERT_EQ(dosa(campaign("whole")).code, 0);
  setenv("FAKE_SIMULATOR", "slow", 1);
  RunningProgram program(folder_.path(), campaign("c"));
  const fs::path first = folder_.path() / "c" / "round_01" / "logs" / "dosa_batch_000.log";
  for (int i = 0; i < 3000 && !fs::exists(first); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  program.signal(SIGTERM);
  const Finished cut = program.finish(std::chrono::seconds(30));
  EXPECT_EQ(cut.code, 130) << cut.err;
  EXPECT_NE(cut.out.find("interrupted; the same command goes on"), std::string::npos) << cut.out;
  unsetenv("FAKE_SIMULATOR");
  EXPECT_EQ(dosa(campaign("c")).code, 0);
  EXPECT_EQ(content_of(folder_.path() / "c" / "report.txt"),
            content_of(folder_.path() / "whole" / "report.txt"));
}

TEST_F(Campaigns, ACampaignSaysWhatFailed) {
  setenv("FAKE_SIMULATOR", "wrong:dosa_batch_000", 1);  // in every round the first tiling
  const Finished done = dosa(campaign("c"));
  EXPECT_EQ(done.code, 3) << done.err << done.out;
  EXPECT_NE(done.out.find("failed: first: "), std::string::npos) << done.out;
  setenv("FAKE_SIMULATOR", "nothing", 1);
  const Finished nothing = dosa(campaign("d"));
  EXPECT_EQ(nothing.code, 2);
  EXPECT_NE(nothing.err.find("nothing was measured; dosa_batch_000: the simulator ended with exit code 0"),
            std::string::npos)
      << nothing.err;
  unsetenv("FAKE_SIMULATOR");
  EXPECT_EQ(dosa(campaign("d")).code, 0);  // mended, it goes on
  std::vector<std::string> few = campaign("e");
  few[7] = "5";
  const Finished refused = dosa(few);
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("budget: found 5"), std::string::npos) << refused.err;
}

}  // namespace
}  // namespace dosa
