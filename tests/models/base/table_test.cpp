#include "dosa/models/base/table.hpp"

#include <gmock/gmock.h>

#include <stdexcept>

namespace dosa {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Table, ColumnsAreAsWideAsWhatIsInThem) {
  Table table({{"layer", ColumnKind::kName}, {"cycles"}, {"bound", ColumnKind::kText}});
  table.row({"conv1", "1204224", "DRAM"});
  table.row({"fc", "9", ""});
  table.row({"größer", "10"});
  EXPECT_EQ(table.rows(), 3u);
  EXPECT_EQ(table.text(),
            "layer    cycles  bound\n"
            "conv1   1204224  DRAM\n"
            "fc            9\n"
            "größer       10\n");
}

TEST(Table, LongNamesGiveWayInTheMiddle) {
  Table table({{"layer", ColumnKind::kName}, {"cycles"}});
  table.row({"encoder." + std::string(90, 'x') + ".projection", "123456"});
  table.row({"short", "1"});
  const std::string text = table.text(40);
  EXPECT_EQ(text,
            "layer                             cycles\n"
            "encoder.xxxxxxx...xxx.projection  123456\n"
            "short                                  1\n");
}

TEST(Table, ProseIsBrokenBetweenWords) {
  Table table({{"name", ColumnKind::kText}, {"description", ColumnKind::kProse}});
  table.row({"bert", "The encoder of BERT-base with sequences of 512 tokens"});
  table.row({"vgg16", ""});
  EXPECT_EQ(table.text(32),
            "name   description\n"
            "bert   The encoder of BERT-base\n"
            "       with sequences of 512\n"
            "       tokens\n"
            "vgg16\n");
  EXPECT_THROW(Table({{"a", ColumnKind::kProse}, {"b"}}), std::logic_error);
  EXPECT_THROW(table.row({"a", "b", "c"}), std::logic_error);
}

TEST(Table, WhatStandsBelowARowTakesNoColumn) {
  Table table({{"layer", ColumnKind::kName}, {"cycles"}, {"schedule", ColumnKind::kBelow}});
  table.row({"conv1", "614656", "L3[WIO] P8 - L2[WI] N1 K64X - L1[O] S7"});
  table.row({"fc", "9", ""});
  EXPECT_EQ(table.text(24),
            "layer  cycles\n"
            "conv1  614656\n"
            "    L3[WIO] P8 - L2[WI]\n"
            "    N1 K64X - L1[O] S7\n"
            "fc          9\n");
  EXPECT_THROW(Table({{"a", ColumnKind::kBelow}, {"b"}}), std::logic_error);
}

TEST(Table, WhatCannotGiveWayStaysWhole) {
  Table table({{"layer", ColumnKind::kName}, {"cycles"}});
  table.row({"a name of twenty-two..", std::string(40, '9')});
  EXPECT_THAT(table.text(30), HasSubstr("a nam...wo..  " + std::string(40, '9')));
}

TEST(Table, NamesCannotSteerTheTerminal) {
  Table table({{"\x1b[2J", ColumnKind::kName}});
  table.row({"\x1b]0;title\x07\nnext"});
  EXPECT_EQ(table.text(), "\\x1b[2J\n\\x1b]0;title\\x07\\nnext\n");
}

TEST(Table, WordsAreWrapped) {
  EXPECT_THAT(wrapped("a bb  ccc dddddd e", 5), ElementsAre("a bb", "ccc", "dddddd", "e"));
  EXPECT_THAT(wrapped("", 5), ElementsAre());
  EXPECT_EQ(folded("a bb ccc\n\n  dd eee f\nx", 6), "a bb\nccc\n\n  dd\n  eee\n  f\nx");
  EXPECT_EQ(folded("a bb  ccc\n", 4), "a bb  ccc\n");
  EXPECT_EQ(folded("       abc", 4), "       abc");
}

}  // namespace
}  // namespace dosa
