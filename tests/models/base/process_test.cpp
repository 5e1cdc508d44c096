// Does a program that we start get its arguments, end when it should, and leave nothing behind?
#include "dosa/models/base/process.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "dosa/models/base/files.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

class Processes : public ::testing::Test {
 protected:
  Command command(const std::string& line, std::vector<std::string> arguments = {}) const {
    return {line, std::move(arguments), folder_.path(), folder_.path() / "out", folder_.path() / "err"};
  }
  ProcessEnd run(const Command& what, double timeout_s = 0, std::uintmax_t most_bytes = 1 << 20) const {
    Process process(what);
    while (!process.poll(timeout_s, most_bytes)) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return process.end();
  }
  std::string out() const { return read_file(folder_.path() / "out"); }

  testing::TemporaryFolder folder_;
};

TEST_F(Processes, ArgumentsArriveAsTheyAre) {
  const ProcessEnd end = run(command("printf '<%s>' first", {"a b", "$HOME", "it's", "", "*"}));
  EXPECT_TRUE(end.is_good());
  EXPECT_EQ(out(), "<first><a b><$HOME><it's><><*>");
  EXPECT_TRUE(run(command("echo one; echo two >&2; pwd; cat")).is_good());  // nothing to read either
  EXPECT_EQ(out(), "one\n" + std::filesystem::canonical(folder_.path()).string() + "\n");
  EXPECT_EQ(read_file(folder_.path() / "err"), "two\n");
}

TEST_F(Processes, EveryEndIsTold) {
  EXPECT_EQ(run(command("exit 3")).text(0), "ended with exit code 3");
  EXPECT_EQ(run(command("kill -SEGV $$")).text(0), "ended by signal 11 (Segmentation fault)");
  EXPECT_EQ(run(command("sh -c 'kill -9 $$'; exit $?")).signal, 9);
  EXPECT_EQ(run(command("no-such-program-anywhere")).exit_code, 127);
  const ProcessEnd late = run(command("sleep 100"), 0.05);
  EXPECT_FALSE(late.is_good());
  EXPECT_EQ(late.text(0.05), "ran for more than 0.05 s");
  EXPECT_EQ(run(command("yes"), 0, 1000).text(0), "printed more than is kept");
  EXPECT_EQ(run(command("yes >&2"), 0, 1000).text(0),
            "printed more than is kept");  // as a trace of instructions
  testing::expect_error(
      [&] {
        Command wrong = command("true");
        wrong.output = folder_.path() / "no" / "out";
        Process process(wrong);
      },
      ErrorId::kFile, {"no/out: cannot be written"});
}

TEST_F(Processes, NothingIsLeftBehind) {
  const auto child = [&] { return static_cast<pid_t>(std::stol(read_file(folder_.path() / "child"))); };
  // Gone, or dead and waiting for whoever runs our container to notice.
  const auto is_gone = [](pid_t process) {
    for (int i = 0; i < 500; ++i) {
      std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
      std::string number, name, state;
      if (!(stat >> number >> name >> state) || state == "Z") return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  };
  EXPECT_TRUE(run(command("sleep 100 & echo $! > child")).is_good());
  EXPECT_TRUE(is_gone(child()));
  auto process =
      std::make_unique<Process>(command("sleep 100 & echo $! > child.new; mv child.new child; wait"));
  std::filesystem::remove(folder_.path() / "child");
  while (!std::filesystem::exists(folder_.path() / "child") && !process->poll(10, 1000))
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  process.reset();
  EXPECT_TRUE(is_gone(child()));
  // Nor do programs that ignore a signal to end outlive the limit, nor their children.
  std::filesystem::remove(folder_.path() / "child");
  const std::string stubborn = "trap '' TERM INT HUP; (sleep 100) & echo $! > child; sleep 100; sleep 100";
  EXPECT_TRUE(run(command(stubborn), 0.3).timed_out);
  EXPECT_TRUE(is_gone(child()));
  // Nor what has left their group.
  std::filesystem::remove(folder_.path() / "child");
  EXPECT_TRUE(run(command("timeout 100 sh -c 'echo $$ > child; sleep 100; true'; true"), 1).timed_out);
  EXPECT_TRUE(is_gone(child()));
}

}  // namespace
}  // namespace dosa
