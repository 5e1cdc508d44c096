#include "dosa/models/base/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <new>
#include <sstream>

#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

/// A new file for what a program prints: one that an earlier program left, and may still write to, is
/// another. Throws Error{kFile}.
int opened(const std::filesystem::path& path) {
  std::error_code code;
  if (std::filesystem::is_regular_file(path, code)) unlink(path.c_str());
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail(ErrorId::kFile, "{}: cannot be written: {}", path.string(), std::strerror(errno));
  return file;
}

/// Bytes of a file; 0 where there is none.
std::uintmax_t size_of(const std::filesystem::path& path) {
  std::error_code code;
  const std::uintmax_t size = std::filesystem::file_size(path, code);
  return code ? 0 : size;
}

/// The child, with only what is allowed between fork and exec.
[[noreturn]] void become(char* const* words, const char* folder, int output, int errors, pid_t parent) {
  setpgid(0, 0);
  // Should we be killed, it does not go on.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ}) sigaction(number, &standard, nullptr);
  const int input = open("/dev/null", O_RDONLY);
  if (input < 0 || (*folder != '\0' && chdir(folder) != 0)) _exit(126);
  if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
    _exit(126);
  execv("/bin/sh", words);
  _exit(127);
}

/// A process and all that descend from it, as /proc has them: some may have left its group, as what
/// timeout(1) runs does. The process alone where there is no /proc.
std::vector<pid_t> family_of(pid_t process) {
  std::multimap<pid_t, pid_t> children;
  std::error_code code;
  for (std::filesystem::directory_iterator entry("/proc", code), end; !code && entry != end;
       entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry->path() / "stat");
    std::string stat;
    std::getline(file, stat);
    const std::size_t behind_name = stat.rfind(')');  // a name may hold anything
    if (behind_name == std::string::npos) continue;
    std::istringstream fields(stat.substr(behind_name + 1));
    std::string state;
    pid_t parent = 0;
    if (fields >> state >> parent) children.emplace(parent, static_cast<pid_t>(std::stol(name)));
  }
  std::vector<pid_t> family{process};
  for (std::size_t i = 0; i < family.size(); ++i) {
    const auto [first, last] = children.equal_range(family[i]);
    for (auto child = first; child != last; ++child) family.push_back(child->second);
  }
  return family;
}

/// How an answer of run_apart() begins: a result, an Error (its ErrorId follows), or any other exception.
constexpr char kResult = 'R', kError = 'E', kException = 'X';

bool write_all(int file, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = write(file, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

/// The child of run_apart().
[[noreturn]] void answer_apart(const std::function<std::string()>& work, int output, double seconds) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_DUMPABLE, 0);  // a crash is an answer, not a file
  if (const int nowhere = open("/dev/null", O_WRONLY); nowhere >= 0) dup2(nowhere, STDERR_FILENO);
  const auto limit = [](auto resource, rlim_t most) {
    const rlimit both{most, most};
    setrlimit(resource, &both);
  };
  limit(RLIMIT_CPU, static_cast<rlim_t>(seconds) + 1);
#ifndef __SANITIZE_ADDRESS__
  limit(RLIMIT_DATA, rlim_t{8} << 30);
#endif
  std::string answer;
  try {
    answer = kResult + work();
  } catch (const Error& error) {
    answer =
        fmt::format("{}{}{}", kError, static_cast<char>('0' + static_cast<int>(error.id())), error.what());
  } catch (const std::bad_alloc&) {
    answer = fmt::format("{}needs more memory than there should be", kException);
  } catch (const std::exception& error) {
    answer = fmt::format("{}failed: {}", kException, error.what());
  }
  _exit(write_all(output, answer) ? 0 : 1);
}

/// All that comes until the other end closes; false where that takes longer.
bool read_until(int input, std::chrono::steady_clock::time_point end, std::string& text) {
  std::array<char, 1 << 16> buffer;
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd ready{input, POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(left.count())) <= 0) continue;
    const ssize_t count = read(input, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return true;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

std::string ProcessEnd::text(double timeout_s) const {
  if (timed_out) return fmt::format("ran for more than {:g} s", timeout_s);
  if (too_loud) return "printed more than is kept";
  if (signal != 0) return fmt::format("ended by signal {} ({})", signal, strsignal(signal));
  return fmt::format("ended with exit code {}", exit_code);
}

Process::Process(const Command& command) : output_(command.output), errors_(command.errors) {
  // The shell puts the arguments behind the line, whatever characters they hold.
  std::vector<std::string> words{"/bin/sh", "-c", command.line + (command.arguments.empty() ? "" : " \"$@\""),
                                 "sh"};
  words.insert(words.end(), command.arguments.begin(), command.arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const int output = opened(command.output);
  int errors = output;
  if (!command.errors.empty()) {
    try {
      errors = opened(command.errors);
    } catch (...) {
      close(output);
      throw;
    }
  }
  const pid_t parent = getpid();
  process_ = fork();
  if (process_ == 0) become(pointers.data(), command.folder.c_str(), output, errors, parent);
  const int reason = errno;
  close(output);
  if (errors != output) close(errors);
  if (process_ < 0) fail(ErrorId::kFile, "no process can be started: {}", std::strerror(reason));
  setpgid(process_, process_);  // here, too: the group is there when we need it
}

Process::~Process() {
  if (process_ <= 0 || ended_) return;
  kill_family();
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Process::kill_group() const { kill(-process_, SIGKILL); }

void Process::kill_family() const {
  for (const pid_t one : family_of(process_)) kill(one, SIGKILL);
  kill_group();
}

double Process::seconds() const {
  return std::chrono::duration<double>((ended_ ? stop_ : Clock::now()) - start_).count();
}

bool Process::poll(double timeout_s, std::uintmax_t most_bytes) {
  if (ended_) return true;
  int status = 0;
  if (waitpid(process_, &status, WNOHANG) == process_) {
    kill_group();  // what it left behind
    stop_ = Clock::now();
    ended_ = true;
    if (WIFSIGNALED(status)) end_.signal = WTERMSIG(status);
    // A shell that ran the program says so in its own exit code.
    if (WIFEXITED(status)) end_.exit_code = WEXITSTATUS(status);
    if (end_.exit_code > 128 && end_.exit_code <= 128 + SIGSYS) {
      end_.signal = end_.exit_code - 128;
      end_.exit_code = 0;
    }
    return true;
  }
  if (timeout_s > 0 && seconds() > timeout_s) end_.timed_out = true;
  if (size_of(output_) > most_bytes || size_of(errors_) > most_bytes) end_.too_loud = true;
  if (end_.timed_out || end_.too_loud) kill_family();
  return false;
}

std::string run_apart(const std::function<std::string()>& work, double seconds, const std::string& subject) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    fail(ErrorId::kFile, "no process can be started: {}", std::strerror(errno));
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    answer_apart(work, ends[1], seconds);
  }
  const int reason = errno;
  close(ends[1]);
  if (child < 0) {
    close(ends[0]);
    fail(ErrorId::kFile, "no process can be started: {}", std::strerror(reason));
  }
  const auto limit =
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds));
  std::string answer;
  ProcessEnd end;
  end.timed_out = !read_until(ends[0], std::chrono::steady_clock::now() + limit, answer);
  close(ends[0]);
  if (end.timed_out) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
  if (!end.is_good() || answer.empty()) fail(ErrorId::kValue, "{} {}", subject, end.text(seconds));
  const std::string rest = answer.substr(1);
  if (answer.front() == kException) fail(ErrorId::kValue, "{} {}", subject, rest);
  if (answer.front() == kError) throw Error(static_cast<ErrorId>(rest.at(0) - '0'), rest.substr(1));
  return rest;
}

}  // namespace dosa
