// Runs the program as a user does: a process of its own with a working folder, a command line and two
// outputs.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support.hpp"

namespace dosa::testing {

struct Finished {
  int code = -1;  ///< exit code; 128 + signal where one ended it
  std::string out, err;
};

/// A program that may still run; where it prints JSON, finish() expects that all of it is documented
/// (json_keys.hpp). Its outputs go to files outside of the working folder.
///
/// Its process is a copy of this one that calls cli::program, because LibTorch takes a second to load;
/// nothing here uses LibTorch before. With a launcher it is the built program.
class RunningProgram {
 public:
  /// `launcher` is what stands in front of the program, such as mpirun and its options.
  RunningProgram(const std::filesystem::path& folder, const std::vector<std::string>& arguments,
                 std::vector<std::string> launcher = {});
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  /// Waits until stderr contains the text. False when the program ended or `limit` passed before.
  bool wait_for_stderr(const std::string& text, std::chrono::seconds limit);
  void signal(int number) const;
  /// Waits for the end; kills the program and fails the test when `limit` passes before.
  Finished finish(std::chrono::seconds limit);

 private:
  bool poll();

  std::string json_of_;  ///< the command whose JSON this prints; empty: it prints none
  TemporaryFolder outputs_;
  pid_t process_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

/// `launcher... dosa arguments...` from start to end.
Finished run_dosa(const std::filesystem::path& folder, const std::vector<std::string>& arguments,
                  std::vector<std::string> launcher = {});

/// The same, which has to end with exit code 0; what it prints for people has to keep to 80 columns.
Finished run_well(const std::filesystem::path& folder, const std::vector<std::string>& arguments);

/// What a file holds; a test failure where it cannot be read.
std::string content_of(const std::filesystem::path& path);

/// Every file under a folder with its content, to see that nothing changed.
std::vector<std::pair<std::string, std::string>> snapshot(const std::filesystem::path& folder);

}  // namespace dosa::testing
