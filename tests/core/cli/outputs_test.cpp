// Where an output cannot be written: one line, exit code 2, the old file whole and nothing half-written.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/core/cli/program.hpp"

namespace dosa::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Outputs : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.file("net.json",
                 R"({"schema": "dosa-workload/1", "name": "net", "layers": [{"name": "fc", "dims": {"P": 4,
                     "C": 8, "K": 8}}]})");
    std::string topology = "Layer, M, N, K,\n";
    for (int i = 0; i < 40; ++i)
      topology += "fc" + std::to_string(i) + ", " + std::to_string(4 + i) + ", 8, 8,\n";
    folder_.file("topology.csv", topology);
    const Finished design = run_dosa(folder_.path(), {"optimize", "net.json", "-q", "-o", "design.json"});
    ASSERT_EQ(design.code, 0) << design.err;
    fs::create_directory(folder_.path() / "to");
  }

  /// Commands that write to `to`: a search, a quick one, a page.
  static std::vector<std::vector<std::string>> some_commands(const std::string& to) {
    return {{"optimize", "net.json", "-q", "-o", to},
            {"import", "topology.csv", "-o", to},
            {"report", "design.json", "-o", to}};
  }
  /// Everything that writes.
  static std::vector<std::vector<std::string>> commands(const std::string& to) {
    return {{"optimize", "net.json", "-q", "-o", to},
            {"optimize", "net.json", "-q", "--report", to},
            {"optimize", "net.json", "-q", "--stages", "descent", "--steps", "1", "--checkpoint", to},
            {"optimize", "net.json", "-q", "--pe", "4", "--pareto", to},
            {"map", "net.json", "-q", "-o", to},
            {"import", "topology.csv", "-o", to},
            {"compare", "net.json", "-q", "--samples", "200", "--seeds", "20", "--methods", "random", "--csv",
             to},
            {"report", "design.json", "-o", to},
            {"export", "design.json", "--format", "timeloop", "-o", to}};
  }

  void expect_refused(const std::vector<std::string>& arguments, const std::vector<std::string>& launcher,
                      const std::string& reason) const {
    SCOPED_TRACE(::testing::PrintToString(arguments));
    const auto before = snapshot(folder_.path());
    const Finished refused = run_dosa(folder_.path(), arguments, launcher);
    EXPECT_EQ(refused.code, 2) << refused.err;
    EXPECT_THAT(refused.err, StartsWith("dosa: [file] "));
    EXPECT_THAT(refused.err, HasSubstr(reason));
    EXPECT_EQ(refused.err.find('\n'), refused.err.size() - 1) << "one line: " << refused.err;
    EXPECT_TRUE(snapshot(folder_.path()) == before) << "nothing may be written";
  }

  /// Runs a command where `to` is a file system of its own, and fails where that holds anything afterwards.
  static std::vector<std::string> with_mounted(const std::string& options) {
    return {
        "/usr/bin/env",
        "unshare",
        "-m",
        "/bin/sh",
        "-c",
        "mount -t tmpfs -o " + options +
            " none to || exit 77; \"$@\"; code=$?; [ -z \"$(ls -A to)\" ] || echo 'something is left' >&2; "
            "exit $code",
        "sh"};
  }
  bool can_mount() const {
    return run_dosa(folder_.path(), {"--version"}, with_mounted("size=8k")).code == 0;
  }

  TemporaryFolder folder_;
};

TEST_F(Outputs, ALimitOnTheSizeOfFilesIsOneLine) {
  for (const std::vector<std::string>& command : commands("to/out"))
    expect_refused(command, {"/bin/sh", "-c", "ulimit -f 1; exec \"$@\"", "sh"}, "File too large");
}

TEST_F(Outputs, AFullDiskIsOneLine) {
  if (!can_mount()) GTEST_SKIP() << "nothing can be mounted here";
  for (const std::vector<std::string>& command : some_commands("to/out"))
    expect_refused(command, with_mounted("nr_inodes=1"), "No space left on device");
  // The file can be made and not be filled: these write more than a page.
  const std::vector<std::vector<std::string>> all = some_commands("to/out");
  for (std::size_t i = 1; i < all.size(); ++i)
    expect_refused(all[i], with_mounted("size=4k,nr_inodes=3"), "No space left on device");
}

TEST_F(Outputs, AReadOnlyFolderIsOneLine) {
  if (!can_mount()) GTEST_SKIP() << "nothing can be mounted here";
  for (const std::vector<std::string>& command : some_commands("to/out"))
    expect_refused(command, with_mounted("ro"), "Read-only file system");
}

TEST_F(Outputs, AFolderWhereAFileBelongsIsOneLine) {
  fs::create_directory(folder_.path() / "to" / "out");
  for (const std::vector<std::string>& command : some_commands("to/out"))
    expect_refused(command, {}, "is a folder");
}

TEST_F(Outputs, ALinkThatLeadsNowhereIsFollowedOrRefused) {
  fs::create_symlink("no/such/folder", folder_.path() / "broken");
  for (const std::vector<std::string>& command : some_commands("broken"))
    expect_refused(command, {}, "does not exist");
  fs::create_symlink("to/new.json", folder_.path() / "link");
  EXPECT_EQ(run_dosa(folder_.path(), {"import", "topology.csv", "-o", "link"}).code, 0);
  EXPECT_TRUE(fs::is_symlink(folder_.path() / "link"));
  EXPECT_THAT(content_of(folder_.path() / "to" / "new.json"), HasSubstr("dosa-workload/1"));
  fs::create_symlink("itself", folder_.path() / "itself");
  const Finished refused = run_dosa(folder_.path(), {"import", "topology.csv", "-o", "itself"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("itself: cannot be written: leads through more than 40 links"));
}

TEST_F(Outputs, OfTwoRunsThatWriteOneFileOneIsThere) {
  const auto optimize = [](const std::string& seed, const std::string& to) {
    return std::vector<std::string>{
        "optimize", "net.json", "-q",      "--starts",     "2",        "--steps",
        "20",       "--stages", "descent", "--checkpoint", "run.ckpt", "--checkpoint-every",
        "0",        "--seed",   seed,      "-o",           to};
  };
  std::vector<std::string> whole;
  for (const char* seed : {"1", "2"}) {
    ASSERT_EQ(run_dosa(folder_.path(), optimize(seed, "whole.json")).code, 0);
    whole.push_back(content_of(folder_.path() / "whole.json"));
  }
  ASSERT_NE(whole[0], whole[1]);
  const std::size_t files = snapshot(folder_.path()).size();
  RunningProgram first(folder_.path(), optimize("1", "whole.json")),
      second(folder_.path(), optimize("2", "whole.json"));
  EXPECT_EQ(first.finish(std::chrono::seconds(60)).code, 0);
  EXPECT_EQ(second.finish(std::chrono::seconds(60)).code, 0);
  EXPECT_THAT(whole, ::testing::Contains(content_of(folder_.path() / "whole.json")));
  EXPECT_EQ(snapshot(folder_.path()).size(), files);
}

}  // namespace
}  // namespace dosa::testing
