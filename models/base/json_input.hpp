// Strict reading of JSON (and YAML, which is turned into JSON first): every error names file and key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace dosa {

/// Keys keep the order in which they are written.
using Json = nlohmann::ordered_json;

/// The longest name that a file may give to anything.
inline constexpr std::size_t kMaxNameBytes = 1000;

/// The member under which a YAML object keeps a tag of the file's own: "- !Component {...}" has the member
/// "!" with the text "Component".
inline constexpr const char* kYamlTag = "!";

/// A JSON value together with the place it stands in. Every accessor checks type and range and throws
/// Error{kSchema} or Error{kValue} with "file: key: found ..., allowed ...".
class JsonInput {
 public:
  /// Parses a file: YAML for .yaml and .yml, else JSON. Throws Error{kFile} or Error{kSyntax} with position.
  static JsonInput from_file(const std::filesystem::path& path);
  /// Parses YAML text of one document; `where` stands for the file in errors. Aliases are written out and
  /// merges ("<<: *base", and "<<<: *base" with the objects in it) done. Throws Error{kFile} where it is too
  /// long, Error{kSyntax} with the line where a key stands twice, where it nests too deeply, or an anchor
  /// contains itself or unfolds to too much.
  static JsonInput from_yaml(const std::string& text, const std::string& where);
  /// Parses JSON text; `where` stands for the file in errors.
  static JsonInput from_text(const std::string& text, const std::string& where);

  /// Throws unless this is an object with no other keys than these.
  void allow_only(const std::vector<const char*>& keys) const;
  /// Throws unless key "schema" holds exactly `expected`.
  void require_schema(const std::string& expected) const;

  JsonInput at(const std::string& key) const;                      ///< a required key
  std::optional<JsonInput> find(const std::string& key) const;     ///< an optional key; null counts as absent
  std::vector<JsonInput> items() const;                            ///< the elements of an array
  std::vector<std::pair<std::string, JsonInput>> entries() const;  ///< the members of an object

  bool is_number() const { return value_.is_number(); }
  bool is_object() const { return value_.is_object(); }
  bool is_array() const { return value_.is_array(); }
  bool is_text() const { return value_.is_string(); }
  std::int64_t integer(std::int64_t min, std::int64_t max) const;
  double number(double min = std::numeric_limits<double>::lowest(),
                double max = std::numeric_limits<double>::max()) const;
  std::string text() const;
  /// Text of 1 to kMaxNameBytes bytes.
  std::string name() const;
  bool boolean() const;

  const Json& value() const { return value_; }
  /// "file: key.path", the beginning of every error about this value.
  std::string where() const;

 private:
  JsonInput(Json value, std::string file, std::string path);

  Json value_;
  std::string file_;
  std::string path_;
};

}  // namespace dosa
