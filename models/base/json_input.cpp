#include "dosa/models/base/json_input.hpp"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {

// What a file may hold. The formats need a small part of it; what is beyond is a mistake or an attack, and
// would fill the stack or the memory.
constexpr std::size_t kMaxJsonBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxYamlBytes = std::size_t{4} << 20;  // a parsed byte of YAML takes hundreds in memory
constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxMembers = 10000;  // of one object: a look-up passes over all of them
constexpr std::size_t kMaxYamlNodes = 1000000;
constexpr std::size_t kMaxYamlText = std::size_t{64} << 20;

/// Where in a text a byte stands, from 1.
std::pair<std::size_t, std::size_t> line_and_column(const std::string& text, std::size_t byte) {
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(byte), '\n');
  const std::size_t line_start = byte == 0 ? std::string::npos : text.rfind('\n', byte - 1);
  return {static_cast<std::size_t>(line), byte - (line_start == std::string::npos ? 0 : line_start + 1) + 1};
}

/// Throws where brackets nest too deeply or an object has too many members. The text need not be JSON.
void check_extent(const std::string& text, const std::string& where) {
  std::vector<std::pair<bool, std::size_t>> open;  // whether it is an object, and its commas so far
  bool quoted = false;
  const auto refuse = [&](std::size_t byte, const std::string& what) {
    const auto [line, column] = line_and_column(text, byte);
    fail(ErrorId::kSyntax, "{}: line {}, column {}: {}", where, line, column, what);
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') quoted = !quoted;
    if (quoted) {
      if (c == '\\') ++i;
      continue;
    }
    if (c == '[' || c == '{') {
      open.emplace_back(c == '{', 0);
      if (open.size() > kMaxDepth)
        refuse(i, fmt::format("found more than {0} nested values, at most {0} are allowed", kMaxDepth));
    } else if ((c == ']' || c == '}') && !open.empty()) {
      open.pop_back();
    } else if (c == ',' && !open.empty() && open.back().first && ++open.back().second >= kMaxMembers) {
      refuse(i,
             fmt::format("found an object of more than {0} members, at most {0} are allowed", kMaxMembers));
    }
  }
}

Json scalar_from_yaml(const YAML::Node& node) {
  if (node.Tag() == "!") return node.Scalar();  // quoted: text
  const std::string& text = node.Scalar();
  // JSON's own scalar syntax decides what is a number or boolean; everything else is text.
  const Json parsed = Json::parse(text, nullptr, false);
  return parsed.is_primitive() && !parsed.is_discarded() ? parsed : Json(text);
}

/// The name of a tag of the file's own (!Component); empty for none and for YAML's own.
std::string tag_of(const YAML::Node& node) {
  const std::string& tag = node.Tag();
  return tag.size() > 1 && tag[0] == '!' ? tag.substr(1) : "";
}

/// Turns YAML's nodes into JSON. Aliases become copies of what they stand for, so a short file may unfold to
/// more than fits into memory, or without end where an anchor contains itself: what comes out is bounded.
class FromYaml {
 public:
  explicit FromYaml(std::string file) : file_(std::move(file)) {}

  Json operator()(const YAML::Node& node, std::size_t depth = 0) {
    if (++nodes_ > kMaxYamlNodes)
      refuse(node, "found more than {0} values with aliases written out, at most {0} are allowed",
             kMaxYamlNodes);
    const std::string tag = tag_of(node);
    const bool empty = node.IsNull() || (node.IsScalar() && node.Scalar().empty());
    if (!tag.empty() && !node.IsMap() && !empty)
      refuse(node, "found the tag !{} of what is no object, such tags are read for objects only", tag);
    if (!tag.empty() && empty) return {{kYamlTag, tag}};
    if (node.IsScalar()) {
      count_text(node, node.Scalar());
      return scalar_from_yaml(node);
    }
    if (!node.IsSequence() && !node.IsMap()) return nullptr;
    if (depth == kMaxDepth) {
      refuse(node,
             "found more than {0} nested values or an anchor that contains itself, at most {0} are allowed",
             kMaxDepth);
    }
    if (node.IsSequence()) {
      Json array = Json::array();
      for (const auto& element : node) array.push_back((*this)(element, depth + 1));
      return array;
    }
    if (node.size() > kMaxMembers)
      refuse(node, "found an object of more than {0} members, at most {0} are allowed", kMaxMembers);
    Json object = Json::object();
    if (!tag.empty()) object[kYamlTag] = tag;
    std::vector<std::pair<YAML::Node, bool>> merged;  // and whether what is in objects is merged, too
    for (const auto& member : node) {
      const auto key = member.first.as<std::string>();
      count_text(node, key);
      if ((key == "<<" || key == "<<<") && member.first.Tag() != "!") {
        merged.emplace_back(member.second, key == "<<<");
      } else if (object.contains(key)) {
        refuse(member.first, "found the key '{}' twice, each is allowed once", key);
      } else {
        object[key] = (*this)(member.second, depth + 1);
      }
    }
    for (const auto& [other, inside] : merged) merge(object, other, inside, depth);
    return object;
  }

 private:
  /// Adds the members of an object, or of each of a list of objects, that are not there yet: "<<: *base".
  /// With `inside` ("<<<: *base", which Timeloop's files have) so are those of objects that both have.
  void merge(Json& object, const YAML::Node& others, bool inside, std::size_t depth) {
    const Json added = (*this)(others, depth + 1);
    const Json list = added.is_array() ? added : Json::array({added});
    for (const Json& other : list) {
      if (!other.is_object()) refuse(others, "found '<<' with what is no object, expected an object{}", "");
      add_missing(object, other, inside);
      if (object.size() > kMaxMembers)
        refuse(others, "found an object of more than {0} members, at most {0} are allowed", kMaxMembers);
    }
  }

  static void add_missing(Json& object, const Json& other, bool inside) {
    for (const auto& [key, value] : other.items()) {
      if (!object.contains(key)) {
        object[key] = value;
      } else if (inside && object[key].is_object() && value.is_object()) {
        add_missing(object[key], value, inside);
      }
    }
  }

  void count_text(const YAML::Node& node, const std::string& text) {
    text_ += text.size();
    if (text_ > kMaxYamlText)
      refuse(node, "found more than {0} bytes of text with aliases written out, at most {0} are allowed",
             kMaxYamlText);
  }
  template <typename What>
  [[noreturn]] void refuse(const YAML::Node& node, fmt::format_string<const What&> format,
                           const What& what) const {
    fail(ErrorId::kSyntax, "{}: line {}, column {}: {}", file_, node.Mark().line + 1, node.Mark().column + 1,
         fmt::format(format, what));
  }

  std::string file_;
  std::size_t nodes_ = 0, text_ = 0;
};

/// Refuses the first value of a second document. YAML::LoadAll, which reads all of them, finds documents
/// without end where one begins with a comma.
class OneDocument : public YAML::EventHandler {
 public:
  explicit OneDocument(const std::string& where) : where_(where) {}

  void OnDocumentStart(const YAML::Mark&) override { ++documents_; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { check(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { check(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t, const std::string&) override {
    check(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    check(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    check(mark);
  }
  void OnMapEnd() override {}

 private:
  void check(const YAML::Mark& mark) const {
    if (documents_ > 1)
      fail(ErrorId::kSyntax, "{}: line {}: found a second document, one is allowed", where_, mark.line + 1);
  }

  const std::string& where_;
  std::size_t documents_ = 0;
};

void require_one_document(const std::string& text, const std::string& where) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  OneDocument handler(where);
  while (parser.HandleNextDocument(handler)) {
  }
}

/// A value as it may be shown in an error: short.
std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

JsonInput::JsonInput(Json value, std::string file, std::string path)
    : value_(std::move(value)), file_(std::move(file)), path_(std::move(path)) {}

JsonInput JsonInput::from_file(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  const std::string extension = path.extension().string();
  const bool yaml = extension == ".yaml" || extension == ".yml";
  if (!yaml && content.size() > kMaxJsonBytes) {
    fail(ErrorId::kFile, "{}: found {} bytes of JSON, at most {} MiB are allowed", path.string(),
         content.size(), kMaxJsonBytes >> 20);
  }
  if (!yaml) return from_text(content, path.string());
  return from_yaml(content, path.string());
}

JsonInput JsonInput::from_yaml(const std::string& text, const std::string& where) {
  if (text.size() > kMaxYamlBytes) {
    fail(ErrorId::kFile, "{}: found {} bytes of YAML, at most {} MiB are allowed", where, text.size(),
         kMaxYamlBytes >> 20);
  }
  try {
    require_one_document(text, where);
    Json value = FromYaml(where)(YAML::Load(text));
    static_cast<void>(value.dump());  // throws where text is not UTF-8, which YAML's reader lets pass
    return JsonInput(std::move(value), where, "");
  } catch (const Json::exception&) {
    fail(ErrorId::kSyntax, "{}: not UTF-8 text", where);
  } catch (const YAML::DeepRecursion& error) {
    fail(ErrorId::kSyntax, "{}: line {}, column {}: nested too deeply, at most {} values are allowed", where,
         error.mark.line + 1, error.mark.column + 1, kMaxDepth);
  } catch (const YAML::Exception& error) {
    fail(ErrorId::kSyntax, "{}: line {}, column {}: not YAML: {}", where, error.mark.line + 1,
         error.mark.column + 1, error.msg);
  }
}

JsonInput JsonInput::from_text(const std::string& text, const std::string& where) {
  check_extent(text, where);
  try {
    return JsonInput(Json::parse(text), where, "");
  } catch (const Json::parse_error& error) {
    const std::size_t end = std::min(text.size(), error.byte > 0 ? error.byte - 1 : 0);
    const auto [line, column] = line_and_column(text, end);
    // The library's text ends in what it found: "...: syntax error while parsing value - unexpected ..."
    std::string reason = error.what();
    const std::size_t tail = reason.find(": ");
    if (tail != std::string::npos) reason = reason.substr(tail + 2);
    fail(ErrorId::kSyntax, "{}: line {}, column {}: not JSON: {}", where, line, column, reason);
  } catch (const Json::exception& error) {
    fail(ErrorId::kSyntax, "{}: not JSON: {}", where, error.what());
  }
}

std::string JsonInput::where() const { return path_.empty() ? file_ : file_ + ": " + path_; }

void JsonInput::allow_only(const std::vector<const char*>& keys) const {
  if (!value_.is_object()) fail(ErrorId::kSchema, "{}: found {}, expected an object", where(), shown(value_));
  std::vector<std::string> allowed(keys.begin(), keys.end());
  for (const auto& [key, ignored] : value_.items()) {
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
      fail(ErrorId::kSchema, "{}: unknown key {}; allowed: {}", where(), shown(key),
           fmt::join(allowed, ", "));
    }
  }
}

void JsonInput::require_schema(const std::string& expected) const {
  const std::string found = at("schema").text();
  if (found != expected) {
    fail(ErrorId::kSchema, "{}: found \"{}\", this program reads \"{}\" here", at("schema").where(), found,
         expected);
  }
}

std::optional<JsonInput> JsonInput::find(const std::string& key) const {
  if (!value_.is_object()) fail(ErrorId::kSchema, "{}: found {}, expected an object", where(), shown(value_));
  const auto member = value_.find(key);
  if (member == value_.end() || member->is_null()) return std::nullopt;
  return JsonInput(*member, file_, path_.empty() ? key : path_ + "." + key);
}

JsonInput JsonInput::at(const std::string& key) const {
  auto member = find(key);
  if (!member) fail(ErrorId::kSchema, "{}: key '{}' is missing", where(), key);
  return *member;
}

std::vector<JsonInput> JsonInput::items() const {
  if (!value_.is_array()) fail(ErrorId::kSchema, "{}: found {}, expected an array", where(), shown(value_));
  std::vector<JsonInput> elements;
  for (std::size_t i = 0; i < value_.size(); ++i) {
    elements.push_back(JsonInput(value_[i], file_, fmt::format("{}[{}]", path_, i)));
  }
  return elements;
}

std::vector<std::pair<std::string, JsonInput>> JsonInput::entries() const {
  if (!value_.is_object()) fail(ErrorId::kSchema, "{}: found {}, expected an object", where(), shown(value_));
  std::vector<std::pair<std::string, JsonInput>> members;
  for (const auto& [key, member] : value_.items()) {
    members.emplace_back(key, JsonInput(member, file_, path_.empty() ? key : path_ + "." + key));
  }
  return members;
}

std::int64_t JsonInput::integer(std::int64_t min, std::int64_t max) const {
  // 3.0 is an integer, 3.5 and 1e30 are not.
  const bool whole =
      value_.is_number_integer() ||
      (value_.is_number_float() && std::nearbyint(value_.get<double>()) == value_.get<double>() &&
       std::abs(value_.get<double>()) < 9e15);
  const bool too_large =
      value_.is_number_unsigned() &&
      value_.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!whole) {
    fail(value_.is_number() ? ErrorId::kValue : ErrorId::kSchema,
         "{}: found {}, expected an integer in {}..{}", where(), shown(value_), min, max);
  }
  const std::int64_t number = too_large ? max : value_.get<std::int64_t>();
  if (too_large || number < min || number > max) {
    fail(ErrorId::kValue, "{}: found {}, expected an integer in {}..{}", where(), shown(value_), min, max);
  }
  return number;
}

double JsonInput::number(double min, double max) const {
  if (!value_.is_number()) fail(ErrorId::kSchema, "{}: found {}, expected a number", where(), shown(value_));
  const double number = value_.get<double>();
  if (!std::isfinite(number) || number < min || number > max) {
    fail(ErrorId::kValue, "{}: found {}, expected a number in {}..{}", where(), shown(value_), min, max);
  }
  return number;
}

std::string JsonInput::text() const {
  if (!value_.is_string()) fail(ErrorId::kSchema, "{}: found {}, expected text", where(), shown(value_));
  return value_.get<std::string>();
}

std::string JsonInput::name() const {
  std::string name = text();
  if (name.empty()) fail(ErrorId::kValue, "{}: found \"\", expected a name", where());
  if (name.size() > kMaxNameBytes) {
    fail(ErrorId::kValue, "{}: found a name of {} bytes, expected at most {}", where(), name.size(),
         kMaxNameBytes);
  }
  return name;
}

bool JsonInput::boolean() const {
  if (!value_.is_boolean())
    fail(ErrorId::kSchema, "{}: found {}, expected true or false", where(), shown(value_));
  return value_.get<bool>();
}

}  // namespace dosa
