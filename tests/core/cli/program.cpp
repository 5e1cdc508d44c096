#include "tests/core/cli/program.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <thread>

#include "dosa/core/cli/program.hpp"
#include "dosa/models/base/text.hpp"
#include "tests/core/cli/json_keys.hpp"

namespace dosa::testing {
namespace fs = std::filesystem;
namespace {

/// Lines of a text for people that speak of "1 layers"; "1 process" is one.
std::vector<std::string> misnumbered(const std::string& text) {
  static const std::regex kOneOfSeveral("(^| )1 (?!is |has |does |[mnu]?s\\b)[a-z]*[a-rt-z]s\\b");
  std::vector<std::string> lines;
  if (text.rfind('{', 0) == 0) return lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.size() < 1000 && std::regex_search(line, kOneOfSeveral)) lines.push_back(line);
  }
  return lines;
}

}  // namespace

RunningProgram::RunningProgram(const fs::path& folder, const std::vector<std::string>& arguments,
                               std::vector<std::string> launcher) {
  if (std::find(arguments.begin(), arguments.end(), "--json") != arguments.end())
    json_of_ = arguments.front();
  const bool here = launcher.empty();
  std::vector<std::string> words = std::move(launcher);
  words.push_back(here ? "dosa" : DOSA_PROGRAM);
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const std::string out = (outputs_.path() / "out").string(), err = (outputs_.path() / "err").string();
  std::fflush(nullptr);  // or the copy would write what is buffered here, too
  process_ = fork();
  if (process_ != 0) return;
  const int in_file = open("/dev/null", O_RDONLY);
  const int out_file = open(out.c_str(), O_WRONLY | O_CREAT, 0666);
  const int err_file = open(err.c_str(), O_WRONLY | O_CREAT, 0666);
  if (in_file < 0 || out_file < 0 || err_file < 0 || chdir(folder.c_str()) != 0) _exit(126);
  dup2(in_file, STDIN_FILENO);
  dup2(out_file, STDOUT_FILENO);
  dup2(err_file, STDERR_FILENO);
  if (here) {
    const int code = cli::program(static_cast<int>(words.size()), pointers.data());
    std::fflush(nullptr);
    _exit(code);  // without destroying what LibTorch made when it was loaded, which would copy all of it
  }
  execv(pointers[0], pointers.data());
  _exit(127);
}

RunningProgram::~RunningProgram() {
  if (process_ <= 0 || ended_) return;
  kill(process_, SIGKILL);
  waitpid(process_, &status_, 0);
}

bool RunningProgram::poll() {
  if (!ended_) ended_ = waitpid(process_, &status_, WNOHANG) == process_;
  if (!ended_) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return ended_;
}

bool RunningProgram::wait_for_stderr(const std::string& text, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!poll() && std::chrono::steady_clock::now() < end) {
    if (fs::exists(outputs_.path() / "err") &&
        content_of(outputs_.path() / "err").find(text) != std::string::npos)
      return true;
  }
  return false;
}

void RunningProgram::signal(int number) const { kill(process_, number); }

Finished RunningProgram::finish(std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!poll()) {
    if (std::chrono::steady_clock::now() < end) continue;
    ADD_FAILURE() << "the program runs after " << limit.count() << " s";
    kill(process_, SIGKILL);
  }
  Finished finished{WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_),
                    content_of(outputs_.path() / "out"), content_of(outputs_.path() / "err")};
  // Whatever a test asks for as JSON is documented.
  if (!json_of_.empty() && finished.out.rfind('{', 0) == 0) {
    for (const std::string& problem : undocumented(json_of_, finished.out))
      ADD_FAILURE() << "core/cli/README.md: dosa " << json_of_ << ": " << problem;
  }
  for (const std::string& text : {finished.out, finished.err}) {
    for (const std::string& line : misnumbered(text)) ADD_FAILURE() << "one of several: " << line;
  }
  return finished;
}

Finished run_dosa(const fs::path& folder, const std::vector<std::string>& arguments,
                  std::vector<std::string> launcher) {
  return RunningProgram(folder, arguments, std::move(launcher)).finish(std::chrono::seconds(120));
}

Finished run_well(const std::filesystem::path& folder, const std::vector<std::string>& arguments) {
  Finished finished = run_dosa(folder, arguments);
  EXPECT_EQ(finished.code, 0) << finished.err;
  // The words of a JSON object may be longer.
  std::istringstream text(finished.out.rfind('{', 0) == 0 ? "" : finished.out);
  for (std::string line; std::getline(text, line);) EXPECT_LE(display_width(line), kTextWidth) << line;
  return finished;
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::pair<std::string, std::string>> snapshot(const fs::path& folder) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    files.emplace_back(entry.path().string(), entry.is_regular_file() ? content_of(entry.path()) : "");
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace dosa::testing
