// Does a search that is interrupted and resumed, or spread over processes, end like one that is neither?
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "tests/core/cli/program.hpp"

namespace dosa::testing {
namespace {

using ::testing::HasSubstr;

class Resume : public ::testing::Test {
 protected:
  Finished search(std::vector<std::string> more, std::vector<std::string> launcher = {}) const {
    std::vector<std::string> arguments{"optimize", "bert",     "--starts",      "16",
                                       "--steps",  "120",      "--round-every", "60",
                                       "-q",       "--stages", "descent+polish"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_dosa(folder_.path(), arguments, std::move(launcher));
  }
  std::string content(const std::string& name) const { return content_of(folder_.path() / name); }

  TemporaryFolder folder_;
};

std::ptrdiff_t lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

TEST_F(Resume, ContinuesToTheBit) {
  EXPECT_EQ(search({"-o", "whole.json"}).code, 0);
  // Few samples end the descent within its first half.
  // 17000 do so before the rounding at step 60, which needs up to 24000 after 28800; the others within it.
  for (const char* samples : {"17000", "42000", "48000", "52000"}) {
    const Finished cut = search({"--samples", samples, "--checkpoint", "run.ckpt", "-o", "cut.json"});
    EXPECT_EQ(cut.code, 0) << cut.err;
    EXPECT_THAT(cut.out, HasSubstr("stopped by evaluations"));
    const Finished resumed = search({"--resume", "run.ckpt", "--threads", "1", "-o", "resumed.json"});
    EXPECT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_EQ(content("resumed.json"), content("whole.json")) << samples;
  }
}

// Whatever the moment: most of the time of this search goes into its roundings.
TEST_F(Resume, ContinuesFromAnyInterruptToTheBit) {
  const auto arguments = [](const std::vector<std::string>& more) {
    std::vector<std::string> all{
        "optimize",      "retinanet", "--starts",       "8",   "--steps",    "60", "-q",
        "--round-every", "10",        "--polish-nests", "200", "--patience", "3",  "--stages",
        "descent+polish"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  ASSERT_EQ(run_dosa(folder_.path(), arguments({"-o", "whole.json"})).code, 0);
  for (const int milliseconds : {600, 900, 1200, 1700}) {
    RunningProgram program(folder_.path(), arguments({"--checkpoint", "run.ckpt", "-o", "cut.json"}));
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    program.signal(SIGINT);
    const int code = program.finish(std::chrono::seconds(120)).code;
    EXPECT_TRUE(code == 0 || code == 130) << code;
    // There is nothing to go on from where the signal came before the program listened.
    if (!std::filesystem::exists(folder_.path() / "run.ckpt")) continue;
    ASSERT_EQ(run_dosa(folder_.path(), arguments({"--resume", "run.ckpt", "-o", "resumed.json"})).code, 0);
    EXPECT_EQ(content("resumed.json"), content("whole.json")) << milliseconds;
    std::filesystem::remove(folder_.path() / "run.ckpt");
  }
}

TEST_F(Resume, KnowsHowLongNothingHasImproved) {
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"optimize", "bert",     "--starts",      "16", "--steps",
                                       "400",      "-q",       "--round-every", "10", "--patience",
                                       "4",        "--stages", "descent+polish"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_dosa(folder_.path(), arguments);
  };
  const Finished whole = with({"-o", "whole.json"});
  EXPECT_THAT(whole.out, HasSubstr("stopped by patience"));
  EXPECT_EQ(with({"--samples", "40000", "--checkpoint", "run.ckpt"}).code, 0);
  EXPECT_THAT(with({"--resume", "run.ckpt", "-o", "resumed.json"}).out, HasSubstr("stopped by patience"));
  EXPECT_EQ(content("resumed.json"), content("whole.json"));
}

// A limited search that descended goes on descending, although without its limit it would have enumerated.
TEST_F(Resume, GoesOnAsItBegan) {
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"optimize", "bert", "--steps", "60", "-q"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_dosa(folder_.path(), arguments);
  };
  EXPECT_EQ(with({"--samples", "30000", "--checkpoint", "run.ckpt"}).code, 0);
  const Finished resumed = with({"--resume", "run.ckpt"});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("60 steps, stopped by steps"));
}

TEST_F(Resume, RefusesTheCheckpointOfAnotherRun) {
  ASSERT_EQ(search({"--samples", "5000", "--checkpoint", "run.ckpt"}).code, 0);
  folder_.file("other.ckpt", replaced(content("run.ckpt"), "dosa-checkpoint/5", "dosa-checkpoint/9"));
  folder_.file("short.ckpt", content("run.ckpt").substr(0, content("run.ckpt").size() - 3000));
  folder_.file("text.ckpt", "no checkpoint");
  folder_.file("design.json", "as before");
  const struct {
    std::vector<std::string> arguments;
    const char* says;
  } cases[] = {
      {{"--resume", "run.ckpt", "--seed", "1"}, "run.seed: the checkpoint is of another run: found 0"},
      {{"--resume", "run.ckpt", "--max-pe", "64"}, "run.max"},
      {{"--resume", "run.ckpt", "--patience", "3"}, "run.patience"},
      {{"--resume", "other.ckpt"}, "dosa-checkpoint/9"},
      {{"--resume", "short.ckpt"}, "the file ends within tensor"},
      {{"--resume", "text.ckpt"}, "not a dosa checkpoint"},
      {{"--resume", "none.ckpt"}, "none.ckpt"},
      {{"--checkpoint", "no/folder/run.ckpt"}, "no/folder"},
  };
  for (const auto& one : cases) {
    std::vector<std::string> arguments = one.arguments;
    arguments.insert(arguments.end(), {"-o", "design.json"});
    const Finished refused = search(arguments);
    EXPECT_EQ(refused.code, 2) << one.says;
    EXPECT_THAT(refused.err, HasSubstr(one.says));
    EXPECT_EQ(content("design.json"), "as before");
  }
}

TEST_F(Resume, AFullDiskLeavesTheLastCheckpoint) {
  ASSERT_EQ(search({"--samples", "5000", "--checkpoint", "run.ckpt"}).code, 0);
  const std::string before = content("run.ckpt");
  // A limit of a few KiB on the size of files stands in for a full disk.
  const Finished full = search({"--seed", "1", "--checkpoint", "run.ckpt"},
                               {"/bin/sh", "-c", "ulimit -f 8; exec \"$@\"", "sh"});
  EXPECT_EQ(full.code, 2);
  EXPECT_THAT(full.err, HasSubstr("run.ckpt: cannot be written"));
  EXPECT_EQ(content("run.ckpt"), before);
  EXPECT_EQ(snapshot(folder_.path()).size(), 1u) << "nothing else is left";
}

/// Under mpirun, where this build has MPI.
class Ranks : public Resume {
 protected:
  void SetUp() override {
    if (std::string(DOSA_MPIRUN).empty()) GTEST_SKIP() << "this build has no MPI";
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 0);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 0);
    setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 0);
  }
  /// mpirun of some processes; where there is a line for the shell, the last of them is `$@` within it.
  static std::vector<std::string> mpirun(int ranks, const std::string& last = "") {
    std::vector<std::string> launcher{DOSA_MPIRUN, "-n", std::to_string(ranks)};
    if (last.empty()) return launcher;
    const std::string script =
        "[ $OMPI_COMM_WORLD_RANK = " + std::to_string(ranks - 1) + " ] || exec \"$@\"; " + last;
    launcher.insert(launcher.end(), {"/bin/sh", "-c", script, "sh"});
    return launcher;
  }
};

TEST_F(Ranks, FindWhatOneFinds) {
  const Finished alone = search({"-o", "alone.json"});
  EXPECT_EQ(alone.code, 0);
  for (const int ranks : {1, 2, 4}) {
    const Finished together = search({"-o", "together.json"}, mpirun(ranks));
    EXPECT_EQ(together.code, 0) << together.err;
    EXPECT_EQ(content("together.json"), content("alone.json")) << ranks;
    EXPECT_EQ(lines(together.out), lines(alone.out)) << "one of them prints: " << together.out;
  }
  // All fail, and none waits for the other.
  const Finished refused = search({"--resume", "none.ckpt"}, mpirun(2));
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("none.ckpt"));
}

TEST_F(Ranks, WaitForASlowOne) {
  EXPECT_EQ(search({"-o", "alone.json"}).code, 0);
  const Finished together = search(
      {"-o", "together.json"}, mpirun(2, "\"$@\" & sleep 1; kill -STOP $!; sleep 1; kill -CONT $!; wait $!"));
  EXPECT_EQ(together.code, 0) << together.err;
  EXPECT_EQ(content("together.json"), content("alone.json"));
}

TEST_F(Ranks, EndWhereOneDiesAndGoOnFromTheCheckpoint) {
  EXPECT_EQ(search({"-o", "whole.json"}).code, 0);
  const std::vector<std::string> checkpoint{"--checkpoint", "run.ckpt", "--checkpoint-every", "0",
                                            "-o",           "cut.json"};
  const Finished cut = search(checkpoint, mpirun(2, "\"$@\" & sleep 1.2; kill -KILL $!; wait $!; exit 1"));
  EXPECT_NE(cut.code, 0);
  const bool has_begun = std::filesystem::exists(folder_.path() / "run.ckpt");
  const std::vector<std::string> go_on =
      has_begun ? std::vector<std::string>{"--resume", "run.ckpt"} : std::vector<std::string>{};
  std::vector<std::string> arguments = go_on;
  arguments.insert(arguments.end(), {"-o", "resumed.json"});
  const Finished resumed = search(arguments, mpirun(4));
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(content("resumed.json"), content("whole.json"));
}

// A million steps that nothing makes needless last longer than a second on any machine.
TEST_F(Ranks, AllKeepToALimitOfTime) {
  const Finished timed =
      run_dosa(folder_.path(),
               {"optimize", "bert", "-q", "--starts", "16", "--steps", "1000000", "--patience", "0",
                "--stages", "descent+polish", "--time", "1s", "-o", "timed.json"},
               mpirun(2));
  EXPECT_EQ(timed.code, 0) << timed.err;
  EXPECT_THAT(timed.out, HasSubstr("stopped by time"));
  EXPECT_NE(content("timed.json"), "");
}

}  // namespace
}  // namespace dosa::testing
