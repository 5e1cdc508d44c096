#include "dosa/models/base/text.hpp"

#include <gtest/gtest.h>

namespace dosa {
namespace {

TEST(Text, NothingSteersTheTerminal) {
  EXPECT_EQ(printable("conv1 3x3, größer ☃ 𝄞"), "conv1 3x3, größer ☃ 𝄞");
  EXPECT_EQ(printable("a\nb\r\tc"), "a\\nb\\r\\tc");
  EXPECT_EQ(printable("\x1b[31mred\x07\x7f"), "\\x1b[31mred\\x07\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "\\x9b2J")
      << "the one-byte form of ESC [";
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b"),
            "a\\u202eb")
      << "from right to left";
  EXPECT_EQ(printable(std::string("\0", 1)), "\\x00");
}

TEST(Text, BytesThatAreNoUtf8AreEscaped) {
  EXPECT_EQ(printable("\xff"
                      "a\xc3"),
            "\\xffa\\xc3");
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b") << "an overlong form";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "half of a surrogate pair";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond Unicode";
}

TEST(Text, ShorteningCountsCodePoints) {
  EXPECT_EQ(display_width("größer"), 6u);
  EXPECT_EQ(shortened_in_the_middle("encoder", 7), "encoder");
  EXPECT_EQ(shortened_in_the_middle("encoder.attention.projection", 13), "encod...ction");
  EXPECT_EQ(shortened_in_the_middle("äöüäöüäöü", 5), "ä...ü");
  EXPECT_EQ(cut_to("äöü", 2), "äö");
  EXPECT_EQ(cut_to("äöü", 3), "äöü");
  EXPECT_EQ(cut_to("", 3), "");
}

TEST(Text, OneIsCountedAsOne) {
  EXPECT_EQ(counted(0, "layer"), "0 layers");
  EXPECT_EQ(counted(1, "loop order"), "1 loop order");
  EXPECT_EQ(counted(12, "layer"), "12 layers");
}

TEST(Text, WhatIsNoTerminalHasTheUsualWidth) { EXPECT_EQ(terminal_width(-1), kTextWidth); }

}  // namespace
}  // namespace dosa
