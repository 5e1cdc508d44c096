#include "dosa/core/export/timeloop/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "dosa/models/base/text.hpp"

namespace dosa::timeloop {
namespace {

/// A number with a point or an exponent: Timeloop's front-end takes no whole number for one that may have
/// a fraction.
std::string fraction(double value) {
  const std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

void emit(YAML::Emitter& out, const Json& json) {
  const auto nested = [](const Json& value) {
    return std::any_of(value.begin(), value.end(), [](const Json& member) {
      return member.is_object() ||
             (member.is_array() &&
              std::any_of(member.begin(), member.end(), [](const Json& inner) { return inner.is_object(); }));
    });
  };
  if (json.is_object()) {
    if (const auto tag = json.find(kYamlTag); tag != json.end())
      out << YAML::LocalTag(tag->get<std::string>());
    if (!nested(json)) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& [key, value] : json.items()) {
      if (key == kYamlTag) continue;
      out << YAML::Key << key << YAML::Value;
      emit(out, value);
    }
    out << YAML::EndMap;
  } else if (json.is_array()) {
    if (!nested(json)) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const Json& value : json) emit(out, value);
    out << YAML::EndSeq;
  } else {
    out << (json.is_number_float() ? fraction(json.get<double>())
            : json.is_string()     ? json.get<std::string>()
                                   : json.dump());
  }
}

}  // namespace

std::string yaml_of(const Json& json, const std::string& comment) {
  YAML::Emitter out;
  if (!comment.empty()) out << YAML::Comment(printable(comment)) << YAML::Newline;
  emit(out, json);
  return std::string(out.c_str()) + "\n";
}

}  // namespace dosa::timeloop
