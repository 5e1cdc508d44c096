// Running a plan's programs on the user's simulator or board, and collecting what they print.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/campaign/collect.hpp"

namespace dosa {

struct MeasureOptions {
  /// A command line for the shell; the path of a compiled program is put behind it. It prints what the
  /// program prints.
  std::string simulator;
  /// A command line that compiles the programs, run in the plan's folder where some are missing; empty: none.
  std::string build = "make -k";
  std::filesystem::path programs;  ///< where the compiled ones are; empty: the plan's folder
  std::int64_t jobs = 1;           ///< simulators at a time, 1 to 1024; 0: one per core
  double timeout_s = 0;            ///< of one program; 0: any
  bool restart = false;            ///< forget the logs that are there
};

struct MeasureProgress {
  std::size_t programs = 0, done = 0, failed = 0, running = 0, measurements = 0;
  double elapsed_s = 0, eta_s = 0;  ///< eta_s is 0 as long as nothing is known
};

/// A program whose log lacks measurements.
struct FailedRun {
  std::string program, reason;
  std::vector<std::size_t> missing;  ///< positions in the plan
};

struct Measured {
  Collected collected;  ///< of all logs, lost measurements excepted: those are in `failed` and `not_run`
  std::vector<FailedRun> failed;
  std::vector<std::string> notes;    ///< what went wrong without loss
  std::vector<std::string> not_run;  ///< programs that an interrupt came before
  std::size_t programs = 0;
  std::size_t earlier = 0;  ///< of them, complete in an earlier run
  bool interrupted = false;

  /// Whether everything was measured and right.
  bool is_complete() const;
  std::string report() const;
  Json json() const;
};

/// Runs the programs of the plan in `folder` (plan.json) that have no complete log in its folder logs/ yet,
/// `jobs` at a time, each in a process group of its own that is killed at its end, and collects all logs. A
/// log is complete, and kept for later runs, when every measurement of its program is in it, right or wrong;
/// an incomplete one is kept as *.failed.log and its program run again next time. What a build that was cut
/// off left in the plan's folder is compiled again. Stops soon after
/// `*interrupt` becomes true, with what is done. Throws Error for a plan that cannot run, a folder that
/// another run is using or whose logs are of another plan or simulator, and where no program can be compiled.
Measured measure(const std::filesystem::path& folder, const MeasureOptions& options,
                 const std::function<void(const MeasureProgress&)>& progress,
                 const std::atomic<bool>* interrupt);

/// The plan in a folder, checked. Throws Error.
Plan plan_in(const std::filesystem::path& folder);

}  // namespace dosa
