#include "dosa/models/base/csv.hpp"

#include <gmock/gmock.h>

#include "tests/support.hpp"

namespace dosa {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::TemporaryFolder;

class Csv : public ::testing::Test {
 protected:
  std::string file(const std::string& content) const { return folder_.file("table.csv", content); }
  CsvInput table(const std::string& content) const { return CsvInput::from_file(file(content)); }

  TemporaryFolder folder_;
};

TEST_F(Csv, FieldsAreFoundByTheNameOfTheirColumn) {
  const CsvInput csv = table("name, size ,note\r\n\"a, \"\"b\"\"\",4, loose text \r\n\n\" kept \",16.0,\n");
  EXPECT_THAT(csv.columns(), ElementsAre("name", "size", "note"));
  ASSERT_EQ(csv.rows(), 2u);
  EXPECT_EQ(csv.text(0, "name"), "a, \"b\"");
  EXPECT_EQ(csv.text(0, "note"), "loose text");
  EXPECT_EQ(csv.text(1, "name"), " kept ");
  EXPECT_EQ(csv.text(1, "note"), "");
  EXPECT_EQ(csv.integer(1, "size", 1, 16), 16) << "a whole number that passed through floating point";
  EXPECT_THAT(csv.require({"note", "name"}), ElementsAre(2, 0));
  EXPECT_TRUE(csv.has("size"));
  EXPECT_FALSE(csv.has("sizes"));
  EXPECT_EQ(csv.where(1, "size"), folder_.path() / "table.csv: line 4: size");
}

TEST_F(Csv, ErrorsNameFileLineAndColumn) {
  const auto refuses = [&](const std::string& content, ErrorId id, const std::vector<std::string>& parts) {
    expect_error([&] { table(content); }, id, parts);
  };
  refuses("", ErrorId::kSyntax, {"table.csv: is empty, expected a header"});
  refuses("a,b,a\n", ErrorId::kSyntax, {"line 1: the header names a column twice"});
  refuses("a,b\n1,2\n3\n", ErrorId::kSyntax, {"line 3: found 1 fields, the header has 2"});
  refuses("a\n\"1\n", ErrorId::kSyntax, {"line 2: a quote is opened and not closed"});
  const CsvInput csv = table("a,b\nx,1e999\n-1,2.5\n");
  expect_error(
      [&] {
        csv.require({"a", "c", "d"});
      },
      ErrorId::kSchema, {"columns missing: c, d; found: a, b"});
  expect_error([&] { csv.number(0, "a", 0, 1); }, ErrorId::kValue,
               {"line 2: a: found 'x', expected a number in 0..1"});
  expect_error([&] { csv.number(0, "b", 0, 1); }, ErrorId::kValue, {"line 2: b: found '1e999'"});
  expect_error([&] { csv.number(1, "a", 0, 1); }, ErrorId::kValue, {"line 3: a: found '-1'"});
  expect_error([&] { csv.integer(1, "b", 0, 9); }, ErrorId::kValue,
               {"line 3: b: found '2.5', expected an integer in 0..9"});
}

TEST_F(Csv, WhatIsWrittenIsReadBack) {
  CsvWriter csv({"name", "cycles", "count"});
  const std::string name = "a \"quoted\", odd name";
  csv.add(name).add(0.1, std::int64_t{1} << 40).end_row();
  csv.add(" blanks ", 1e300, 0).end_row();
  EXPECT_EQ(csv.text(),
            "name,cycles,count\n\"a \"\"quoted\"\", odd name\",0.1,1099511627776\n\" blanks \",1e+300,0\n");
  const CsvInput read = table(csv.text());
  EXPECT_EQ(read.text(0, "name"), name);
  EXPECT_EQ(read.text(1, "name"), " blanks ");
  EXPECT_EQ(read.number(1, "cycles", 0, 1e301), 1e300);
  EXPECT_EQ(read.integer(0, "count", 0, std::int64_t{1} << 41), std::int64_t{1} << 40);
  EXPECT_THROW(csv.add("alone").end_row(), std::logic_error);
}

}  // namespace
}  // namespace dosa
