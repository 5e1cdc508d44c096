// The line that says how far a long command is.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "dosa/models/base/text.hpp"

namespace dosa {

/// One line of progress on stderr. On a terminal it is written over in place and cut to the terminal's width,
/// so that nothing is left behind; elsewhere (a file, a pipe) a line appears every few seconds. The last text
/// is always shown at the end, unless the command was so short that nothing was shown before it there.
class ProgressLine {
 public:
  struct Options {
    bool terminal = false;
    std::size_t width = kTextWidth;
    std::chrono::duration<double> pause{2};  ///< between two lines; also before the first one off a terminal
    std::FILE* file = stderr;
  };

  /// For stderr as it is; `quiet` shows nothing at all.
  explicit ProgressLine(bool quiet);
  ProgressLine(bool quiet, const Options& options);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  /// Ends the line, as finish() does.
  ~ProgressLine();

  /// Shows the text if it is time to. To be called from one thread at a time.
  void show(const std::string& text);
  /// Shows the last text if it is not on the screen yet, and ends the line. The next show() begins a new one.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void write(const std::string& text);

  bool quiet_;
  Options options_;
  Clock::time_point next_;
  std::string pending_;  ///< the last text, where it was not shown
  bool open_ = false;    ///< something was shown since the line began
};

}  // namespace dosa
