#include "dosa/models/base/json_input.hpp"

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

TEST(JsonInput, NestingAndMembersAreBounded) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(parse(nested(64)).value().is_array());
  expect_error([&] { parse(nested(65)); }, ErrorId::kSyntax,
               {"in.json: line 1, column 65", "more than 64 nested values"});
  expect_error([] { parse(std::string(1000000, '[')); }, ErrorId::kSyntax, {"line 1, column 65"});
  EXPECT_EQ(parse("\"" + std::string(100, '[') + "\\\"[\"").text().size(), 102u) << "text does not nest";
  std::string object = "{\"k\": 1";
  for (int i = 1; i < 10000; ++i) object += fmt::format(",\n\"k{}\": 1", i);
  EXPECT_EQ(parse(object + "}").entries().size(), 10000u);
  expect_error([&] { parse(object + ", \"x\": 1}"); }, ErrorId::kSyntax,
               {"in.json: line 10000, column", "more than 10000 members"});
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

TEST(JsonInput, YamlThatUnfoldsWithoutEndIsRefused) {
  const TemporaryFolder folder;
  const auto refuses = [&](const std::string& content, ErrorId id, const std::vector<std::string>& parts) {
    const std::string path = folder.file("in.yaml", content);
    expect_error([&] { JsonInput::from_file(path); }, id, parts);
  };
  refuses("a: 1\nb: &a [*a]\n", ErrorId::kSyntax,
          {"in.yaml: line 2, column 4", "an anchor that contains itself", "at most 64"});
  refuses("&a {k: *a}", ErrorId::kSyntax, {"in.yaml: line 1", "an anchor that contains itself"});
  std::string aliases = "a: &a [x, x, x, x, x, x, x, x, x]\n";
  std::string text = "a: &a " + std::string(100000, 'x') + "\n";
  for (char name = 'b'; name <= 'i'; ++name) {
    const std::string line = fmt::format("{0}: &{0} [*{1}, *{1}, *{1}, *{1}, *{1}, *{1}, *{1}, *{1}, *{1}]\n",
                                         name, static_cast<char>(name - 1));
    aliases += line;
    text += line;
  }
  refuses(aliases, ErrorId::kSyntax, {"in.yaml: line ", "more than 1000000 values with aliases written out"});
  refuses(text, ErrorId::kSyntax, {"in.yaml: line ", "bytes of text with aliases written out"});
  refuses(std::string(65, '[') + std::string(65, ']'), ErrorId::kSyntax, {"line 1, column 65", "at most 64"});
  refuses(std::string(100000, '['), ErrorId::kSyntax, {"in.yaml: line 1", "nested too deeply", "at most 64"});
  refuses(std::string((4 << 20) + 1, ' '), ErrorId::kFile, {"in.yaml", "4194305 bytes of YAML", "4 MiB"});
  const std::string twice = folder.file("twice.yaml", "a: &a [1, 2]\nb: [*a, *a]\n");
  EXPECT_EQ(JsonInput::from_file(twice).at("b").value().dump(), "[[1,2],[1,2]]") << "aliases are allowed";
}

TEST(JsonInput, LargeFilesAreRefused) {
  const TemporaryFolder folder;
  const std::string path = folder.file("in.json", "{}");
  std::filesystem::resize_file(path, (64 << 20) + 1);
  expect_error([&] { JsonInput::from_file(path); }, ErrorId::kFile,
               {"in.json", "67108865 bytes of JSON", "at most 64 MiB"});
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

TEST(JsonInput, YamlThatBeginsWithACommaEnds) {
  for (const char* text : {", a: 1", ",", ", C: 4, K:schema: x\nname: net\n"}) {
    expect_error([&] { JsonInput::from_yaml(text, "in.yaml"); }, ErrorId::kSyntax,
                 {"in.yaml: line 1: found a second document"});
  }
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
