#include "dosa/models/base/progress.hpp"

#include <unistd.h>

namespace dosa {
namespace {

ProgressLine::Options options_of_stderr() {
  ProgressLine::Options options;
  options.terminal = isatty(STDERR_FILENO) != 0;
  options.width = terminal_width(STDERR_FILENO);
  // Often enough for an eye, and seldom enough that a slow terminal does not hold up the work.
  if (options.terminal) options.pause = std::chrono::milliseconds(50);
  return options;
}

}  // namespace

ProgressLine::ProgressLine(bool quiet) : ProgressLine(quiet, options_of_stderr()) {}

ProgressLine::ProgressLine(bool quiet, const Options& options)
    : quiet_(quiet), options_(options), next_(Clock::now()) {
  if (!options_.terminal) next_ += std::chrono::duration_cast<Clock::duration>(options_.pause);
}

ProgressLine::~ProgressLine() { finish(); }

void ProgressLine::show(const std::string& text) {
  if (quiet_) return;
  pending_ = text;
  if (Clock::now() < next_) return;
  write(text);
  next_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(options_.pause);
}

void ProgressLine::finish() {
  if (!open_) return;
  if (!pending_.empty()) write(pending_);
  if (options_.terminal) std::fputs("\n", options_.file);
  std::fflush(options_.file);
  open_ = false;
}

void ProgressLine::write(const std::string& text) {
  // The last column stays free: a character in it makes some terminals go to the next line.
  const std::string line = cut_to(printable(text), options_.width > 1 ? options_.width - 1 : 1);
  std::fputs((options_.terminal ? "\r" + line + "\033[K" : line + "\n").c_str(), options_.file);
  std::fflush(options_.file);
  pending_.clear();
  open_ = true;
}

}  // namespace dosa
