#include "dosa/core/import/timeloop/values.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "dosa/models/base/error.hpp"

namespace dosa::timeloop {

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string key_of(std::string key) {
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

std::optional<JsonInput> find_any(const JsonInput& object, const std::vector<const char*>& names) {
  std::optional<JsonInput> found;
  for (const auto& [key, member] : object.entries()) {
    if (std::none_of(names.begin(), names.end(),
                     [&, own = key_of(key)](const char* name) { return own == name; }))
      continue;
    if (found) {
      fail(ErrorId::kSchema, "{}: found a second name of what {} says already, one is allowed",
           member.where(), found->where());
    }
    found = member;
  }
  if (found && found->value().is_null()) return std::nullopt;
  return found;
}

JsonInput at_any(const JsonInput& object, const std::vector<const char*>& names) {
  auto found = find_any(object, names);
  if (!found) fail(ErrorId::kSchema, "{}: key '{}' is missing", object.where(), names.front());
  return *found;
}

void Variables::add(const JsonInput& object) {
  for (const auto& entry : object.entries()) named_.push_back(entry);
}

JsonInput Variables::value(const JsonInput& input) const {
  if (!input.is_text()) return input;
  for (const auto& [name, value] : named_) {
    if (name == input.text()) return value;
  }
  return input;
}

std::string shown(const JsonInput& input) {
  std::string text = input.value().dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

double number_of(const JsonInput& input, const Variables& variables, double min, double max) {
  const JsonInput value = variables.value(input);
  if (!value.is_text()) return value.number(min, max);
  const std::string text = value.text();
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(number) || number < min || number > max) {
    fail(ErrorId::kValue,
         "{}: found {}, expected a number in {}..{} or the name of a variable; expressions "
         "are not computed",
         input.where(), shown(input), min, max);
  }
  return number;
}

std::int64_t integer_of(const JsonInput& input, const Variables& variables, std::int64_t min,
                        std::int64_t max) {
  const JsonInput value = variables.value(input);
  if (!value.is_text()) return value.integer(min, max);
  const double number = number_of(input, variables, static_cast<double>(min), static_cast<double>(max));
  if (number != std::floor(number))
    fail(ErrorId::kValue, "{}: found {}, expected an integer in {}..{}", input.where(), shown(input), min,
         max);
  return static_cast<std::int64_t>(number);
}

bool flag_of(const JsonInput& input, const Variables& variables) {
  const JsonInput value = variables.value(input);
  if (!value.is_text()) return value.boolean();
  const std::string word = lower_case(value.text());
  for (const char* yes : {"true", "yes", "on", "y"}) {
    if (word == yes) return true;
  }
  for (const char* no : {"false", "no", "off", "n"}) {
    if (word == no) return false;
  }
  fail(ErrorId::kSchema, "{}: found {}, expected true or false", input.where(), shown(input));
}

std::string word_of(const JsonInput& input) {
  if (input.is_text()) return input.text();
  if (!input.is_number())
    fail(ErrorId::kSchema, "{}: found {}, expected a word", input.where(), shown(input));
  return input.value().dump();
}

std::vector<std::string> words_of(const JsonInput& input) {
  std::vector<std::string> words;
  const auto split = [&](const std::string& text) {
    std::size_t start = 0;
    while ((start = text.find_first_not_of(" \t\n,", start)) != std::string::npos) {
      const std::size_t end = std::min(text.find_first_of(" \t\n,", start), text.size());
      words.push_back(text.substr(start, end - start));
      start = end;
    }
  };
  if (!input.is_array()) {
    split(word_of(input));
    return words;
  }
  for (const JsonInput& item : input.items()) split(word_of(item));
  return words;
}

bool lists_unreused(const std::string& key, const JsonInput& list) {
  if (key != "no_multicast_no_reduction" && key != "no_reuse" && key != "no_temporal_reuse" &&
      key != "rmw_first_update")
    return false;
  if (!list.is_array() || !list.items().empty())
    fail(ErrorId::kValue, "{}: found {}, expected none: tensors are always reused where they can be",
         list.where(), shown(list));
  return true;
}

void check_version(const std::optional<JsonInput>& version) {
  if (!version) return;
  const std::string found = word_of(*version);
  if (found != "0.2" && found != "0.3" && found != "0.4")
    fail(ErrorId::kValue, "{}: found {}, expected 0.2, 0.3 or 0.4", version->where(), found);
}

}  // namespace dosa::timeloop
