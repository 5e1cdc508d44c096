#include "tests/core/cli/json_keys.hpp"

#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace dosa::testing {
namespace {

using nlohmann::json;

/// What may stand at one place of a JSON document.
struct Place {
  std::vector<std::string> types;        ///< as the tables say them; empty: what the children make it
  std::map<std::string, Place> members;  ///< of an object; "*": any key
  std::shared_ptr<Place> elements;       ///< of a list
};

using Documentation = std::map<std::string, Place>;  ///< by heading

/// The place that a path such as "layers[].levels[].name" leads to, made where it is new.
Place& at(Place& from, const std::string& path) {
  Place* place = &from;
  std::string key;
  for (std::size_t i = 0; i <= path.size() && path != "."; ++i) {
    const bool list = path.compare(i, 2, "[]") == 0;
    if (i < path.size() && path[i] != '.' && !list) {
      key += path[i];
      continue;
    }
    if (!key.empty()) place = &place->members[key];
    key.clear();
    if (!list) continue;
    if (!place->elements) place->elements = std::make_shared<Place>();
    place = place->elements.get();
    ++i;
  }
  return *place;
}

Documentation read_documentation() {
  const std::string path = DOSA_TEST_SOURCE "/core/cli/README.md";
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + " cannot be read");
  Documentation documentation;
  Place* section = nullptr;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("## ", 0) == 0) section = &documentation[line.substr(3)];
    if (section == nullptr || line.rfind("| `", 0) != 0) continue;
    std::istringstream cells(line.substr(1));
    std::string keys, type;
    std::getline(cells, keys, '|');
    std::getline(cells, type, '|');
    type = std::regex_replace(type, std::regex("^ +| +$|, .*$"), "");
    const std::regex quoted("`([^`]+)`");
    for (std::sregex_iterator key(keys.begin(), keys.end(), quoted), end; key != end; ++key)
      at(*section, (*key)[1]).types.push_back(type);
  }
  if (documentation.empty()) throw std::runtime_error(path + " has no tables");
  return documentation;
}

const Documentation& documentation() {
  static const Documentation read = read_documentation();
  return read;
}

class Check {
 public:
  void check(const json& value, const std::vector<const Place*>& places, const std::string& where) {
    // The tables of an object in brackets stand for it.
    std::vector<const Place*> all = places;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::vector<std::string>& types = all[i]->types;
      for (const std::string& type : types) {
        if (type.empty() || type.front() != '[') continue;
        const auto named = documentation().find(type.substr(1, type.size() - 2));
        if (named == documentation().end()) throw std::runtime_error("no table for " + type);
        all.push_back(&named->second);
      }
    }
    if (value.is_object()) return check_members(value, all, where);
    if (value.is_array()) return check_elements(value, all, where);
    for (const Place* place : all) {
      for (const std::string& type : place->types) {
        if (is(value, type)) return;
      }
    }
    problems.push_back(where + ": " + value.dump() + " is documented as " + types_of(all));
  }

  std::vector<std::string> problems;

 private:
  static std::string types_of(const std::vector<const Place*>& places) {
    std::string text;
    for (const Place* place : places) {
      for (const std::string& type : place->types) text += "'" + type + "' ";
    }
    return text.empty() ? "no value" : text;
  }

  static bool is(const json& value, const std::string& type) {
    if (type == "anything") return true;
    if (value.is_null()) return type.find("or null") != std::string::npos;
    if (value.is_boolean()) return type == "true or false";
    if (value.is_string()) return type.rfind("text", 0) == 0;
    if (value.is_number_integer()) return type.rfind("integer", 0) == 0 || type.rfind("number", 0) == 0;
    return value.is_number() && type.rfind("number", 0) == 0;
  }

  static bool has(const std::vector<const Place*>& places, const std::string& wanted) {
    for (const Place* place : places) {
      for (const std::string& type : place->types) {
        if (type == wanted) return true;
      }
    }
    return false;
  }

  void check_members(const json& value, const std::vector<const Place*>& places, const std::string& where) {
    if (has(places, "object") || has(places, "anything")) return;
    Place of_any;  // "object of numbers"
    for (const Place* place : places) {
      for (const std::string& type : place->types) {
        std::string one = type.rfind("object of ", 0) == 0 ? type.substr(10) : "";
        if (one == "numbers" || one == "integers") one.pop_back();
        if (!one.empty()) of_any.types.push_back(one);
      }
    }
    for (const auto& [key, member] : value.items()) {
      std::vector<const Place*> next;
      for (const Place* place : places) {
        for (const std::string& name : {key, std::string("*")}) {
          const auto found = place->members.find(name);
          if (found != place->members.end()) next.push_back(&found->second);
        }
      }
      if (next.empty() && !of_any.types.empty()) next.push_back(&of_any);
      const std::string there = where.empty() ? key : where + "." + key;
      if (next.empty()) {
        problems.push_back(there + ": not documented");
      } else {
        check(member, next, there);
      }
    }
  }

  void check_elements(const json& value, const std::vector<const Place*>& places, const std::string& where) {
    if (has(places, "anything")) return;
    std::vector<const Place*> next;
    Place number;
    number.types.emplace_back("number");
    for (const Place* place : places) {
      if (place->elements) next.push_back(place->elements.get());
    }
    if (has(places, "list of numbers")) next.push_back(&number);
    if (next.empty()) {
      problems.push_back(where + ": a list is not documented");
      return;
    }
    for (const json& element : value) check(element, next, where + "[]");
  }
};

}  // namespace

std::vector<std::string> documented_commands() {
  std::vector<std::string> commands;
  for (const auto& [heading, place] : documentation()) {
    if (heading.rfind("dosa ", 0) == 0) commands.push_back(heading.substr(5));
  }
  return commands;
}

std::vector<std::string> undocumented(const std::string& command, const std::string& text) {
  const auto section = documentation().find("dosa " + command);
  if (section == documentation().end()) return {"dosa " + command + " has no table"};
  Check check;
  check.check(json::parse(text), {&section->second}, "");
  return check.problems;
}

}  // namespace dosa::testing
