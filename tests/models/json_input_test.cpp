#include "models/json_input.hpp"

#include <gtest/gtest.h>

#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

JsonInput parse(const std::string& text) { return JsonInput::from_text(text, "in.json"); }

TEST(JsonInput, ReadsValues) {
  const JsonInput json =
      parse(R"({"a": 3, "b": 3.0, "c": 2.5, "d": "x", "e": true, "f": [1, 2], "g": null})");
  EXPECT_EQ(json.at("a").integer(1, 5), 3);
  EXPECT_EQ(json.at("b").integer(1, 5), 3) << "3.0 is an integer";
  EXPECT_DOUBLE_EQ(json.at("c").number(), 2.5);
  EXPECT_EQ(json.at("d").text(), "x");
  EXPECT_TRUE(json.at("e").boolean());
  EXPECT_EQ(json.at("f").items()[1].integer(0, 9), 2);
  EXPECT_FALSE(json.find("g")) << "null counts as absent";
  EXPECT_FALSE(json.find("h"));
  EXPECT_EQ(json.at("f").items()[1].where(), "in.json: f[1]");
}

TEST(JsonInput, SyntaxErrorsHaveAPosition) {
  expect_error([] { parse("{\n  \"a\": 1,\n  \"b\" 2\n}"); }, ErrorId::kSyntax,
               {"in.json", "line 3, column"});
  expect_error([] { parse(""); }, ErrorId::kSyntax, {"in.json", "line 1, column 1"});
  expect_error([] { parse("{\"a\": 1"); }, ErrorId::kSyntax, {"in.json", "line 1"});
  expect_error([] { parse("\"\xff\""); }, ErrorId::kSyntax, {"in.json", "line 1"});
  expect_error([] { parse("[1, 2] 3"); }, ErrorId::kSyntax, {"in.json", "line 1, column 8"});
}

TEST(JsonInput, IntegersAreStrict) {
  const auto integer = [](const std::string& text) {
    return parse("{\"n\": " + text + "}").at("n").integer(1, 100);
  };
  EXPECT_EQ(integer("100"), 100);
  for (const char* bad : {"0", "-1", "101", "1.5", "1e30", "9223372036854775808", "18446744073709551615"}) {
    expect_error([&] { integer(bad); }, ErrorId::kValue, {"in.json: n: found ", "an integer in 1..100"});
  }
  for (const char* bad : {"\"3\"", "true", "[3]", "{}"}) {
    expect_error([&] { integer(bad); }, ErrorId::kSchema,
                 {"in.json: n: found ", bad, "an integer in 1..100"});
  }
}

TEST(JsonInput, OtherTypesAreStrict) {
  expect_error([] { parse("[1]").at("a"); }, ErrorId::kSchema, {"in.json: found [1]", "an object"});
  expect_error([] { parse("{}").at("a"); }, ErrorId::kSchema, {"in.json", "'a' is missing"});
  expect_error([] { parse("{\"a\": 1}").at("a").text(); }, ErrorId::kSchema, {"in.json: a: found 1", "text"});
  expect_error([] { parse("{\"a\": 1}").at("a").boolean(); }, ErrorId::kSchema, {"true or false"});
  expect_error([] { parse("{\"a\": 1}").at("a").items(); }, ErrorId::kSchema, {"an array"});
  expect_error([] { parse("{\"a\": \"x\"}").at("a").number(); }, ErrorId::kSchema, {"a number"});
  expect_error([] { parse("{\"a\": -1}").at("a").number(0); }, ErrorId::kValue, {"in.json: a: found -1"});
}

TEST(JsonInput, UnknownKeysAreNamedWithTheAllowedOnes) {
  expect_error(
      [] {
        parse("{\"a\": 1, \"x\": 2}").allow_only({"a", "b"});
      },
      ErrorId::kSchema, {"in.json: unknown key", "x", "allowed: a, b"});
  expect_error([] { parse("{\"line\\nbreak\": 2}").allow_only({"a"}); }, ErrorId::kSchema, {"unknown key"});
}

TEST(JsonInput, SchemaIsRequired) {
  expect_error([] { parse("{}").require_schema("dosa-x/1"); }, ErrorId::kSchema, {"'schema' is missing"});
  expect_error([] { parse("{\"schema\": \"dosa-x/2\"}").require_schema("dosa-x/1"); }, ErrorId::kSchema,
               {"in.json: schema", "\"dosa-x/2\"", "\"dosa-x/1\""});
}

TEST(JsonInput, LongValuesAreShortenedInErrors) {
  const std::string text = "{\"a\": \"" + std::string(1000, 'z') + "\"}";
  expect_error([&] { parse(text).at("a").boolean(); }, ErrorId::kSchema, {"zzz..."});
}

TEST(JsonInput, YamlIsReadLikeJson) {
  const TemporaryFolder folder;
  const std::string path =
      folder.file("in.yaml", "# comment\na: 3\nb: [1, 2.5]\nc: text\nd: \"7\"\ne: true\nf: {g: x}\n");
  const JsonInput yaml = JsonInput::from_file(path);
  EXPECT_EQ(yaml.at("a").integer(1, 5), 3);
  EXPECT_DOUBLE_EQ(yaml.at("b").items()[1].number(), 2.5);
  EXPECT_EQ(yaml.at("c").text(), "text");
  EXPECT_EQ(yaml.at("d").text(), "7") << "quoted: text";
  EXPECT_TRUE(yaml.at("e").boolean());
  EXPECT_EQ(yaml.at("f").at("g").text(), "x");
  expect_error([&] { yaml.at("c").integer(1, 2); }, ErrorId::kSchema, {path + ": c", "\"text\""});
}

TEST(JsonInput, YamlErrorsHaveAPosition) {
  const TemporaryFolder folder;
  const std::string path = folder.file("bad.yml", "a: 1\nb: [1, 2\nc: 3\n");
  expect_error([&] { JsonInput::from_file(path); }, ErrorId::kSyntax, {path, "line ", "column ", "not YAML"});
  const std::string empty = folder.file("empty.yaml", "");
  expect_error([&] { JsonInput::from_file(empty).at("a"); }, ErrorId::kSchema, {empty, "an object"});
}

}  // namespace
}  // namespace dosa
