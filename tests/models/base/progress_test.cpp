#include "dosa/models/base/progress.hpp"

#include <gtest/gtest.h>

namespace dosa {
namespace {

/// What a progress line wrote.
class Progress : public ::testing::Test {
 protected:
  ~Progress() override { std::fclose(file_); }

  ProgressLine::Options options(bool terminal, double pause, std::size_t width = 80) const {
    return {terminal, width, std::chrono::duration<double>(pause), file_};
  }
  std::string written() const {
    std::string text;
    std::rewind(file_);
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) text += static_cast<char>(c);
    return text;
  }

  std::FILE* file_ = std::tmpfile();
};

TEST_F(Progress, OnATerminalTheLineIsWrittenOver) {
  {
    ProgressLine line(false, options(true, 0));
    line.show("step 1");
    line.show("step 2");
  }
  EXPECT_EQ(written(), "\rstep 1\033[K\rstep 2\033[K\n");
}

TEST_F(Progress, ElsewhereThereIsALineAtATime) {
  {
    ProgressLine line(false, options(false, 0));
    line.show("step 1");
    line.show("step 2");
  }
  EXPECT_EQ(written(), "step 1\nstep 2\n");
}

TEST_F(Progress, BetweenTwoLinesThereIsAPauseAndTheLastTextIsShown) {
  ProgressLine line(false, options(true, 1000));
  for (const char* text : {"step 1", "step 2", "step 3"}) line.show(text);
  line.finish();
  EXPECT_EQ(written(), "\rstep 1\033[K\rstep 3\033[K\n");
  line.finish();
  EXPECT_EQ(written(), "\rstep 1\033[K\rstep 3\033[K\n") << "a line ends once";
}

TEST_F(Progress, AShortCommandWritesNothingIntoAFile) {
  {
    ProgressLine line(false, options(false, 1000));
    line.show("step 1");
  }
  EXPECT_EQ(written(), "");
}

TEST_F(Progress, QuietShowsNothing) {
  {
    ProgressLine line(true, options(true, 0));
    line.show("step 1");
  }
  EXPECT_EQ(written(), "");
}

TEST_F(Progress, LinesAreCutToTheTerminal) {
  {
    ProgressLine line(false, options(true, 0, 10));
    line.show("0123456789abc");
    line.show("a\nb\x1b");
  }
  EXPECT_EQ(written(), "\r012345678\033[K\ra\\nb\\x1b\033[K\n");
}

}  // namespace
}  // namespace dosa
