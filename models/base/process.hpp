// Running other programs: a few at a time, each with a limit, none left behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace dosa {

/// What to run and how.
struct Command {
  std::string line;                    ///< for /bin/sh, as a user types it
  std::vector<std::string> arguments;  ///< go behind it as they are
  std::filesystem::path folder;        ///< to run in; empty: here
  std::filesystem::path output;        ///< what it prints goes to this file, replaced
  std::filesystem::path errors;        ///< what it prints on stderr; empty: to `output`, too
};

/// How a program ended.
struct ProcessEnd {
  int exit_code = 0;       ///< where no signal ended it
  int signal = 0;          ///< what ended it, 0: nothing
  bool timed_out = false;  ///< we ended it because it ran for too long
  bool too_loud = false;   ///< we ended it because it printed too much

  bool is_good() const { return exit_code == 0 && signal == 0 && !timed_out && !too_loud; }
  /// "ended with exit code 3", "ended by signal 11 (Segmentation fault)", "ran for more than 30 s".
  std::string text(double timeout_s) const;
};

/// A program and all that it started: a process group of its own, without a terminal to read from. When this
/// object goes away, or the program has run for too long, it is killed with all its descendants; when it has
/// ended by itself, what still runs of its group is.
class Process {
 public:
  /// Throws Error{kFile} where an output cannot be written or no process can be started.
  explicit Process(const Command& command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Ends it when it has run for more than `timeout_s` seconds (0: any) or has printed more than
  /// `most_bytes` on stdout or on stderr. Returns whether it has ended, without waiting.
  bool poll(double timeout_s, std::uintmax_t most_bytes);
  /// Only after poll() has returned true.
  const ProcessEnd& end() const { return end_; }
  double seconds() const;  ///< since it began, at most until it ended

 private:
  using Clock = std::chrono::steady_clock;
  void kill_group() const;
  void kill_family() const;

  pid_t process_ = -1;
  std::filesystem::path output_, errors_;
  Clock::time_point start_ = Clock::now(), stop_{};
  bool ended_ = false;
  ProcessEnd end_;
};

/// What `work` returns, computed in a process of its own: for libraries that crash on what an attacker or a
/// broken tool wrote. What it prints on stderr is lost; an Error that it throws is thrown here. Where it
/// crashes, takes more than `seconds` or more memory than there should be (8 GiB), throws Error{kValue} that
/// begins with `subject`: "PATH: reading it ended by signal 8 (...)".
std::string run_apart(const std::function<std::string()>& work, double seconds, const std::string& subject);

}  // namespace dosa
