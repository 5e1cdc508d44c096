// Files of chains: schema "dosa-hardware/2".
#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/text.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa {
namespace {

constexpr const char* kChainSchema = "dosa-hardware/2";

// Beyond these a description is a mistake.
constexpr double kLeastBandwidth = 1e-6, kMostBandwidth = 1e12;
constexpr std::int64_t kMostBuffers = 16;
constexpr std::size_t kMostParameters = 16, kMostOrders = 64, kMostEntries = 64;

constexpr DimSet every_dim() {
  DimSet all{};
  for (bool& allowed : all) allowed = true;
  return all;
}

/// A chain's parameters while its file is read, and what each is used for.
class Parameters {
 public:
  enum Use : unsigned { kShape = 1, kCapacity = 2, kCost = 4 };

  /// Of a list that may be absent.
  explicit Parameters(const std::optional<JsonInput>& list) {
    if (!list) return;
    for (const JsonInput& item : list->items()) add(item);
    if (declared_.size() > kMostParameters)
      fail(ErrorId::kValue, "{}: found {} parameters, expected at most {}", list->where(), declared_.size(),
           kMostParameters);
  }

  /// A number, or {"parameter": name, "times": a, "constant": b} for a * value + b, which becomes `rule` (the
  /// place of its parameter is still that in the file) and has to be within the range from the parameter's
  /// least to its most. Where `shares`, also with "shared": true; then the number is as of one instance.
  /// Returns it for the default value.
  double number(const JsonInput& json, double min, double max, Use use, std::optional<ByParameter>& rule,
                bool shares = false) {
    if (!json.is_object()) return json.number(min, max);
    std::vector<const char*> keys{"parameter", "times", "constant"};
    if (shares) keys.push_back("shared");
    json.allow_only(keys);
    const auto times = json.find("times"), constant = json.find("constant"), shared = json.find("shared");
    rule = ByParameter{place_of(json.at("parameter")), times ? times->number(0, max) : 1,
                       constant ? constant->number(0, max) : 0, shared && shared->boolean()};
    Declared& parameter = declared_[rule->parameter];
    parameter.used |= use;
    for (const std::int64_t size : {parameter.min, parameter.max}) {
      if (rule->of(size, 1) < min || rule->of(size, 1) > max) {
        fail(ErrorId::kValue, "{}: found {} where {} is {}, expected a number in {}..{}", json.where(),
             rule->of(size, 1), parameter.parameter.name, size, min, max);
      }
    }
    return rule->of(parameter.standard, 1);
  }
  std::int64_t integer(const JsonInput& json, std::int64_t max, Use use, std::optional<ByParameter>& rule,
                       bool shares = false) {
    if (!json.is_object()) return json.integer(1, max);
    const double value = number(json, 1, static_cast<double>(max), use, rule, shares);
    if (rule->times != std::floor(rule->times) || rule->constant != std::floor(rule->constant)) {
      fail(ErrorId::kValue, "{}: found {} times a parameter plus {}, expected whole numbers", json.where(),
           rule->times, rule->constant);
    }
    return static_cast<std::int64_t>(value);
  }
  /// An energy: a number by a parameter, or {"parameter": name, "table": {value: pJ, ...}}, which lists all
  /// values that the parameter may have.
  double energy(const JsonInput& json, std::optional<ByParameter>& rule) {
    const auto table = json.is_object() ? json.find("table") : std::nullopt;
    if (!table) return number(json, 0, kMaxPicojoules, kCost, rule, true);
    json.allow_only({"parameter", "table"});
    rule = ByParameter{place_of(json.at("parameter"))};
    Declared& parameter = declared_[rule->parameter];
    for (const auto& [key, energy] : table->entries()) {
      std::int64_t value = 0;
      const auto [stop, code] = std::from_chars(key.data(), key.data() + key.size(), value);
      if (code != std::errc() || stop != key.data() + key.size() || value < 1 || value > kMostWords) {
        fail(ErrorId::kValue, "{}: found the key \"{}\", expected values of {}: whole numbers in 1..{}",
             table->where(), printable(key), parameter.parameter.name, kMostWords);
      }
      rule->table.push_back({value, energy.number(0, kMaxPicojoules)});
    }
    std::sort(rule->table.begin(), rule->table.end(),
              [](const auto& a, const auto& b) { return a.value < b.value; });
    std::vector<std::int64_t> values;
    for (const ByParameter::Entry& entry : rule->table) values.push_back(entry.value);
    if (values.empty() || values.size() > kMostEntries ||
        std::adjacent_find(values.begin(), values.end()) != values.end()) {
      fail(ErrorId::kValue, "{}: found {} values, expected 1..{} different ones", table->where(),
           values.size(), kMostEntries);
    }
    std::vector<std::int64_t>& only = parameter.parameter.only;
    if (only.empty()) only = values;
    if (only != values) {
      fail(ErrorId::kValue, "{}: found the values {}, but another table of {} has {}", table->where(),
           fmt::join(values, ", "), parameter.parameter.name, fmt::join(only, ", "));
    }
    // Between its values there is nothing to weigh: each is another machine.
    parameter.used |= kShape;
    for (const ByParameter::Entry& entry : rule->table) {
      if (entry.value == parameter.standard) return entry.number;
    }
    return 0;  // describe() says what is wrong
  }

  /// Gives them to a machine, those that shape it first. Call when all of the file has been read.
  void describe(Chain& chain) const {
    for (const bool shapes : {true, false}) {
      for (const Declared& declared : declared_) {
        if (((declared.used & kShape) != 0) != shapes) continue;
        const Parameter& parameter = declared.parameter;
        if ((declared.used & (kShape | kCapacity)) == 0) {
          fail(ErrorId::kSchema, "{}: '{}' is declared, but no fan-out, bandwidth, capacity or table uses it",
               declared.where, parameter.name);
        }
        for (const auto& [key, value] :
             {std::pair{"default", declared.standard}, {"max", declared.max}, {"min", declared.min}}) {
          if (!parameter.allows(value)) {
            fail(ErrorId::kValue, "{}.{}: found {}, expected {}", declared.where, key, value,
                 parameter.allowed_text());
          }
        }
        chain.parameters.push_back(parameter);
        chain.default_hardware.values.push_back(declared.standard);
        chain.min_hardware.values.push_back(declared.min);
        chain.max_hardware.values.push_back(declared.max);
        if (shapes) chain.shape_values.push_back(values_to_try(declared));
        chain.shape_parameters += shapes;
      }
    }
    for (ChainLevel& level : chain.levels) {
      ChainLevel::Rules& rules = level.rules;
      for (std::optional<ByParameter>* rule :
           {&rules.built_words, &rules.vector_words, &rules.vector_pj, &rules.word_pj, &rules.fan_out[0],
            &rules.fan_out[1], &rules.read_words_per_cycle, &rules.write_words_per_cycle,
            &rules.words_per_cycle}) {
        if (*rule)
          (*rule)->parameter = chain.parameter(declared_[(*rule)->parameter].parameter.name, chain.name);
      }
    }
  }

 private:
  struct Declared {
    Parameter parameter;
    std::string where;
    std::int64_t standard = 0, min = 0, max = 0;
    unsigned used = 0;
  };

  void add(const JsonInput& json) {
    json.allow_only({"name", "unit", "default", "min", "max", "step"});
    Declared declared;
    declared.where = json.where();
    Parameter& parameter = declared.parameter;
    parameter.name = parameter.label = json.at("name").name();
    for (const Declared& other : declared_) {
      if (other.parameter.name == parameter.name)
        fail(ErrorId::kValue, "{}: found \"{}\" twice", json.at("name").where(), other.parameter.name);
    }
    if (const auto unit = json.find("unit")) parameter.unit = unit->text();
    parameter.limit = kMostWords;
    declared.standard = json.at("default").integer(1, kMostWords);
    declared.min = json.at("min").integer(1, declared.standard);
    declared.max = json.at("max").integer(declared.standard, kMostWords);
    parameter.first = declared.min;
    if (const auto step = json.find("step")) parameter.step = step->integer(1, kMostWords);
    declared_.push_back(std::move(declared));
  }

  /// Of a parameter that shapes the machine: all of a table; else four to an octave from the least and from
  /// the default, where they are whole and on a step.
  static std::vector<std::int64_t> values_to_try(const Declared& declared) {
    std::vector<std::int64_t> values{declared.standard, declared.max};
    for (const std::int64_t from : {declared.min, declared.standard}) {
      for (std::int64_t octave = from; octave < declared.max; octave *= 2) {
        for (std::int64_t quarters = 4 * octave; quarters < 8 * octave; quarters += octave) {
          if (quarters % 4 == 0) values.push_back(quarters / 4);
        }
      }
    }
    const std::vector<std::int64_t>& only = declared.parameter.only;
    if (!only.empty()) values = only;
    values.erase(std::remove_if(values.begin(), values.end(),
                                [&](std::int64_t value) {
                                  return value < declared.min || value > declared.max ||
                                         !declared.parameter.allows(value);
                                }),
                 values.end());
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    return values;
  }

  std::size_t place_of(const JsonInput& name) const {
    std::vector<std::string> names;
    for (std::size_t p = 0; p < declared_.size(); ++p) {
      names.push_back(declared_[p].parameter.name);
      if (names.back() == name.text()) return p;
    }
    fail(ErrorId::kValue, "{}: found \"{}\", expected one of 'parameters': {}", name.where(), name.text(),
         names.empty() ? "there are none" : fmt::to_string(fmt::join(names, ", ")));
  }

  std::vector<Declared> declared_;
};

FanOut fan_out_from_json(const JsonInput& json, Parameters& parameters, std::optional<ByParameter>& rule) {
  json.allow_only({"size", "dims"});
  FanOut fan_out;
  fan_out.size = parameters.integer(json.at("size"), kMostChildren, Parameters::kShape, rule);
  fan_out.dims = dims_from_json(json.at("dims"));
  if (letters_of(fan_out.dims).empty()) {
    fail(ErrorId::kValue, "{}: found \"\", expected letters of {}", json.at("dims").where(), kDimNames);
  }
  return fan_out;
}

LoopRule loop_rule_from_json(const JsonInput& json) {
  const std::string text = json.text();
  LoopRule rule;
  DimSet named{};
  std::vector<Dim>* part = &rule.inner;
  bool understood = true;
  for (const char letter : text) {
    const std::optional<Dim> dim = dim_from_name(letter);
    if (letter == '_' && part == &rule.inner) {
      part = &rule.outer;
    } else if (dim && !named[static_cast<std::size_t>(*dim)]) {
      named[static_cast<std::size_t>(*dim)] = true;
      part->push_back(*dim);
    } else {
      understood = false;
    }
  }
  if (!understood || rule.inner.size() + rule.outer.size() == 0) {
    fail(ErrorId::kValue,
         "{}: found \"{}\", expected different letters of {}, the innermost first, _ where all others stand",
         json.where(), printable(text), kDimNames);
  }
  return rule;
}

/// The capacity of one instance; `outermost` levels have none, all others must say theirs.
void read_capacity(const JsonInput& json, bool outermost, Parameters& parameters, ChainLevel& level) {
  const auto built = json.find("capacity_words");
  const auto buffering = json.find("buffering");
  if (outermost) {
    if (built || buffering) {
      fail(ErrorId::kSchema, "{}: found a size at the outermost level, which holds everything; expected none",
           (built ? *built : *buffering).where());
    }
    return;
  }
  level.built_words = parameters.integer(json.at("capacity_words"), kMostWords, Parameters::kCapacity,
                                         level.rules.built_words, true);
  level.buffering = buffering ? buffering->integer(1, kMostBuffers) : 1;
  level.capacity_words = level.built_words / level.buffering;
}

/// Of the machine with its default hardware.
void check_capacity(const JsonInput& json, const ChainLevel& level) {
  const std::string held = letters_of(level.holds);
  if (!level.capacity_words || *level.capacity_words >= static_cast<std::int64_t>(held.size())) return;
  fail(ErrorId::kValue, "{}: found {} words in {} buffers, expected at least one word for each of {}",
       json.at("capacity_words").where(), level.built_words, level.buffering, held);
}

ChainLevel chain_level_from_json(const JsonInput& json, bool outermost, Parameters& parameters,
                                 ChainArea::PerLevel& area) {
  json.allow_only({"name", "holds", "temporal", "orders", "capacity_words", "buffering", "word_bits",
                   "fan_out", "read_words_per_cycle", "write_words_per_cycle", "words_per_cycle",
                   "vector_words", "vector_pj", "word_pj", "whole_lines", "area_mm2"});
  ChainLevel level;
  level.name = json.at("name").name();
  level.holds = operands_from_json(json.at("holds"));
  if (const std::string held = letters_of(level.holds); outermost ? held != kOperandNames : held.empty()) {
    fail(ErrorId::kValue, "{}: found \"{}\", expected {}", json.at("holds").where(), held,
         outermost ? "WIO: the outermost level holds every tensor" : "at least one letter of WIO");
  }
  const auto temporal = json.find("temporal");
  level.temporal = temporal ? dims_from_json(*temporal) : every_dim();
  if (outermost && level.temporal != every_dim()) {
    fail(ErrorId::kValue, "{}: found \"{}\", expected loops over every dimension at the outermost level",
         temporal->where(), letters_of(level.temporal));
  }
  if (const auto orders = json.find("orders")) {
    for (const JsonInput& order : orders->items()) level.orders.push_back(loop_rule_from_json(order));
    if (level.orders.empty() || level.orders.size() > kMostOrders) {
      fail(ErrorId::kValue, "{}: found {} orders, expected 1..{}", orders->where(), level.orders.size(),
           kMostOrders);
    }
  }
  read_capacity(json, outermost, parameters, level);
  level.word_bits = static_cast<int>(json.at("word_bits").integer(1, kMaxWordBits));
  if (const auto fan_out = json.find("fan_out")) {
    fan_out->allow_only({"X", "Y"});
    for (const MeshAxis axis : mesh_axes()) {
      if (const auto on_axis = fan_out->find(std::string(1, name_of(axis))))
        level.fan_out[static_cast<std::size_t>(axis)] =
            fan_out_from_json(*on_axis, parameters, level.rules.fan_out[static_cast<std::size_t>(axis)]);
    }
  }
  ChainLevel::Rules& rules = level.rules;
  const auto read_bandwidth = [&](const char* key, std::optional<double>& words_per_cycle,
                                  std::optional<ByParameter>& rule) {
    if (const auto value = json.find(key))
      words_per_cycle = parameters.number(*value, kLeastBandwidth, kMostBandwidth, Parameters::kShape, rule);
  };
  read_bandwidth("read_words_per_cycle", level.read_words_per_cycle, rules.read_words_per_cycle);
  read_bandwidth("write_words_per_cycle", level.write_words_per_cycle, rules.write_words_per_cycle);
  read_bandwidth("words_per_cycle", level.words_per_cycle, rules.words_per_cycle);
  if (const auto vector = json.find("vector_words")) {
    level.vector_words = static_cast<double>(
        parameters.integer(*vector, kMostVectorWords, Parameters::kShape, rules.vector_words));
  }
  if (const auto word = json.find("word_pj")) {
    if (const auto vector = json.find("vector_pj"))
      fail(ErrorId::kSchema, "{}: found it beside 'word_pj', expected one of them", vector->where());
    level.word_pj = parameters.energy(*word, rules.word_pj);
    level.vector_pj = *level.word_pj * level.vector_words;
  } else {
    level.vector_pj = parameters.energy(json.at("vector_pj"), rules.vector_pj);
  }
  if (const auto size = json.find("area_mm2")) {
    size->allow_only({"per_instance", "per_kib"});
    if (const auto value = size->find("per_instance")) area.per_instance = value->number(0, kMaxAreaMm2);
    if (const auto value = size->find("per_kib")) area.per_kib = value->number(0, kMaxAreaMm2);
  }
  return level;
}

}  // namespace

bool is_chain(const JsonInput& json) {
  if (!json.is_object()) return false;
  const auto schema = json.value().find("schema");
  return schema != json.value().end() && *schema == kChainSchema;
}

Chain load_chain(const std::string& name_or_path) { return read_chain(machine_file(name_or_path)); }

Chain read_chain(const JsonInput& json) {
  json.require_schema(kChainSchema);
  json.allow_only({"schema", "name", "description", "source", "rules", "library", "parameters", "remainders",
                   "mac", "levels", "area_mm2"});
  Chain chain;
  chain.hash = content_hash(json.value().dump());
  chain.name = json.at("name").name();
  if (const auto text = json.find("description")) chain.description = text->text();
  if (const auto source = json.find("source")) source->text();
  chain.rules = "mappings";
  read_rules(json, chain);
  if (chain.rules == "mappings") {
    chain.rules = "chain";
  } else if (chain.rules != "gemmini") {
    fail(ErrorId::kValue, "{}: found \"{}\", expected \"mappings\" or \"gemmini\"", json.at("rules").where(),
         printable(chain.rules));
  }
  json.at("mac").allow_only({"energy_pj"});
  chain.mac_energy_pj = json.at("mac").at("energy_pj").number(0, kMaxPicojoules);
  Parameters parameters(json.find("parameters"));
  const JsonInput levels = json.at("levels");
  const std::vector<JsonInput> items = levels.items();
  if (items.size() < 2 || items.size() > kMostLevels) {
    fail(ErrorId::kValue, "{}: found {} levels, expected 2..{}", levels.where(), items.size(), kMostLevels);
  }
  chain.area.levels.resize(items.size());
  for (std::size_t l = 0; l < items.size(); ++l) {
    chain.levels.push_back(
        chain_level_from_json(items[l], l + 1 == items.size(), parameters, chain.area.levels[l]));
  }
  if (const auto area = json.find("area_mm2")) {
    area->allow_only({"base", "per_mac"});
    if (const auto value = area->find("base")) chain.area.base = value->number(0, kMaxAreaMm2);
    if (const auto value = area->find("per_mac")) chain.area.per_mac = value->number(0, kMaxAreaMm2);
  }
  parameters.describe(chain);
  try {
    chain.at(chain.max_hardware);
    chain = chain.at(chain.default_hardware);
  } catch (const Error& error) {
    throw error.in(levels.where());
  }
  for (std::size_t l = 0; l < items.size(); ++l) check_capacity(items[l], chain.levels[l]);
  if (chain.mac_energy_pj + chain.levels.back().vector_pj == 0) {
    fail(ErrorId::kValue, "{}: found 0, and 0 at the outermost level: designs would cost nothing",
         json.at("mac").at("energy_pj").where());
  }
  return chain;
}

}  // namespace dosa
