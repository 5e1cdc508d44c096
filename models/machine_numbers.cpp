#include "dosa/models/machine_numbers.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

/// The keys of machines' files beside their levels (both schemas).
const std::set<std::string>& keys_of_files() {
  static const std::set<std::string> keys{"schema", "name",      "description", "source",
                                          "rules",  "buffering", "library",     "mac",
                                          "levels", "area_mm2",  "parameters",  "hardware"};
  return keys;
}

/// Whole numbers as such, since some keys take nothing else.
Json json_number(double value) {
  constexpr double kMostWhole = 9e15;
  if (std::nearbyint(value) == value && std::abs(value) < kMostWhole) return static_cast<std::int64_t>(value);
  return value;
}

std::vector<std::string> level_names_of(const Json& file) {
  std::vector<std::string> names;
  const auto levels = file.find("levels");
  if (levels == file.end() || !levels->is_array()) return names;
  for (const Json& level : *levels) {
    const bool named = level.is_object() && level.contains("name") && level["name"].is_string();
    names.push_back(named ? level["name"].get<std::string>() : "");
  }
  return names;
}

/// The name with the level that it begins with replaced by its place: "levels.3.words_per_cycle".
std::string by_place(const std::string& name, const Json& file) {
  if (keys_of_files().count(name.substr(0, name.find('.'))) > 0) return name;
  const std::vector<std::string> names = level_names_of(file);
  for (std::size_t l = 0; l < names.size(); ++l) {
    if (names[l].empty() || name.compare(0, names[l].size() + 1, names[l] + ".") != 0) continue;
    if (std::count(names.begin(), names.end(), names[l]) > 1) {
      fail(ErrorId::kValue, "{}: {} levels are called {}; expected levels.{}, by its place", printable(name),
           std::count(names.begin(), names.end(), names[l]), printable(names[l]), l);
    }
    return fmt::format("levels.{}{}", l, name.substr(names[l].size()));
  }
  if (const auto parameters = file.find("parameters"); parameters != file.end() && parameters->is_array()) {
    for (const Json& parameter : *parameters) {
      if (parameter.is_object() && parameter.value("name", Json()) == Json(name))
        fail(ErrorId::kValue, "{}: a size that a design chooses; --size {}=N fixes it", name, name);
    }
  }
  fail(ErrorId::kValue, "{}: expected mac, area_mm2, hardware or a level ({}), a dot and a key, such as {}",
       printable(name), printable(fmt::format("{}", fmt::join(names, ", "))), "dram.words_per_cycle");
}

void change(Json& file, const NumberChange& wanted) {
  std::string rest = by_place(wanted.name, file);
  Json* at = &file;
  while (true) {
    const std::string key = rest.substr(0, rest.find('.'));
    rest = key.size() == rest.size() ? "" : rest.substr(key.size() + 1);
    if (at->is_array()) {
      std::size_t index = 0;
      const auto [stop, code] = std::from_chars(key.data(), key.data() + key.size(), index);
      if (code != std::errc() || stop != key.data() + key.size() || index >= at->size()) {
        fail(ErrorId::kValue, "{}: found '{}', expected 0..{}", printable(wanted.name), printable(key),
             at->size() - 1);
      }
      at = &(*at)[index];
    } else if (at->is_object() && !key.empty() && (rest.empty() || at->contains(key))) {
      at = &(*at)[key];
    } else {
      fail(ErrorId::kValue, "{}: the machine's file has no '{}' there", printable(wanted.name),
           printable(key));
    }
    if (rest.empty()) break;
  }
  // null: a key that is new. An object stands for a number that follows from another one.
  const bool follows = at->is_object() && (at->contains("per_pe_dim") || at->contains("parameter"));
  if (!at->is_number() && !at->is_null() && !follows)
    fail(ErrorId::kValue, "{}: no number of the machine's file", printable(wanted.name));
  *at = json_number(wanted.value);
}

}  // namespace

const char* to_string(NumberKind kind) {
  switch (kind) {
    case NumberKind::kParameter:
      return "parameter";
    case NumberKind::kCapacity:
      return "capacity";
    case NumberKind::kFanOut:
      return "fan-out";
    case NumberKind::kBandwidth:
      return "bandwidth";
    case NumberKind::kEnergy:
      return "energy";
    case NumberKind::kArea:
      return "area";
    default:
      return "";
  }
}

std::vector<std::string> level_keys(const std::vector<std::string>& level_names) {
  std::vector<std::string> keys;
  for (std::size_t l = 0; l < level_names.size(); ++l) {
    const std::string& name = level_names[l];
    const bool taken = name.empty() || keys_of_files().count(name.substr(0, name.find('.'))) > 0 ||
                       std::count(level_names.begin(), level_names.end(), name) > 1;
    keys.push_back(taken ? fmt::format("levels.{}", l) : name);
  }
  return keys;
}

NumberChange change_from_text(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  NumberChange wanted;
  bool good = equals != std::string::npos && equals > 0 && equals + 1 < text.size();
  if (good) {
    wanted.name = text.substr(0, equals);
    char* end = nullptr;
    wanted.value = std::strtod(text.c_str() + equals + 1, &end);
    good = end == text.c_str() + text.size() && std::isfinite(wanted.value);
  }
  if (!good) {
    fail(ErrorId::kUsage, "found '{}', expected NAME=NUMBER, such as dram.words_per_cycle=16",
         printable(text));
  }
  return wanted;
}

Json to_json(const NumberChanges& changes) {
  Json json = Json::object();
  for (const NumberChange& wanted : changes) json[wanted.name] = json_number(wanted.value);
  return json;
}

NumberChanges changes_from_json(const JsonInput& json) {
  NumberChanges changes;
  for (const auto& [name, value] : json.entries()) changes.push_back({name, value.number()});
  return changes;
}

NumberChanges joined(NumberChanges earlier, const NumberChanges& later) {
  for (const NumberChange& wanted : later) {
    const auto same = std::find_if(earlier.begin(), earlier.end(),
                                   [&](const NumberChange& other) { return other.name == wanted.name; });
    if (same == earlier.end()) {
      earlier.push_back(wanted);
    } else {
      same->value = wanted.value;
    }
  }
  return earlier;
}

JsonInput with_changes(const JsonInput& file, const NumberChanges& changes) {
  if (changes.empty()) return file;
  Json json = file.value();
  for (const NumberChange& wanted : changes) change(json, wanted);
  return JsonInput::from_text(json.dump(), file.where());
}

}  // namespace dosa
