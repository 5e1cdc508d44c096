// Numbers, flags and lists of names in Timeloop's files, which write them in more than one way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dosa/models/base/json_input.hpp"

namespace dosa::timeloop {

/// Latin letters in lower case.
std::string lower_case(std::string text);

/// "block-size" and "block_size" are one key: hyphens as underscores.
std::string key_of(std::string key);

/// The member of any of these names, whose hyphens may be underscores. Throws Error{kSchema} where two of
/// them are there.
std::optional<JsonInput> find_any(const JsonInput& object, const std::vector<const char*>& names);
/// The same, required; the error names the first of them.
JsonInput at_any(const JsonInput& object, const std::vector<const char*>& names);

/// Values that files give a name (`variables:`) and that stand for it elsewhere.
class Variables {
 public:
  /// Adds the members of an object.
  void add(const JsonInput& object);
  /// The value itself, or what its name stands for.
  JsonInput value(const JsonInput& input) const;

 private:
  std::vector<std::pair<std::string, JsonInput>> named_;
};

/// A number in min..max, also in a form that only YAML has (".5") or the name of a variable. Throws Error,
/// for expressions too.
double number_of(const JsonInput& input, const Variables& variables, double min, double max);
std::int64_t integer_of(const JsonInput& input, const Variables& variables, std::int64_t min,
                        std::int64_t max);
/// true or false, or a word of YAML 1.1 for them.
bool flag_of(const JsonInput& input, const Variables& variables);

/// A number or text as text: of a version, for example.
std::string word_of(const JsonInput& input);
/// The words of a text that stand between blanks or commas, or of a list of texts.
std::vector<std::string> words_of(const JsonInput& input);

/// A short form of a value for errors.
std::string shown(const JsonInput& input);

/// Whether a directive or constraint lists tensors that are not reused under this key ("no_reuse", ...).
/// Throws Error{kValue} where there are any: the model reuses tensors wherever it can.
bool lists_unreused(const std::string& key, const JsonInput& list);

/// Throws Error{kValue} unless it is a version of the format that can be read, or absent.
void check_version(const std::optional<JsonInput>& version);

}  // namespace dosa::timeloop
