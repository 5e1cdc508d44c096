#include "dosa/models/chain/chain.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {

constexpr const char* kChainSchema = "dosa-hardware/2";

// Beyond these a description is a mistake; products of fan-outs stay whole numbers in double precision.
constexpr std::int64_t kMostChildren = std::int64_t{1} << 20, kMostInstances = std::int64_t{1} << 40;
constexpr std::int64_t kMostWords = std::int64_t{1} << 40;
constexpr double kLeastBandwidth = 1e-6, kMostBandwidth = 1e12;
constexpr std::int64_t kMostVectorWords = 1 << 20;
constexpr std::int64_t kMostBuffers = 16;
constexpr std::size_t kMostParameters = 16, kMostOrders = 64;

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
  /// least to its most. Returns it for the default value.
  double number(const JsonInput& json, double min, double max, Use use, std::optional<ByParameter>& rule) {
    if (!json.is_object()) return json.number(min, max);
    json.allow_only({"parameter", "times", "constant"});
    const auto times = json.find("times"), constant = json.find("constant");
    rule = ByParameter{place_of(json.at("parameter")), times ? times->number(0, max) : 1,
                       constant ? constant->number(0, max) : 0};
    Declared& parameter = declared_[rule->parameter];
    parameter.used |= use;
    for (const std::int64_t size : {parameter.values.front(), parameter.values.back()}) {
      if (rule->of(size) < min || rule->of(size) > max) {
        fail(ErrorId::kValue, "{}: found {} where {} is {}, expected a number in {}..{}", json.where(),
             rule->of(size), parameter.parameter.name, size, min, max);
      }
    }
    return rule->of(parameter.standard);
  }
  std::int64_t integer(const JsonInput& json, std::int64_t max, Use use, std::optional<ByParameter>& rule) {
    if (!json.is_object()) return json.integer(1, max);
    const double value = number(json, 1, static_cast<double>(max), use, rule);
    if (rule->times != std::floor(rule->times) || rule->constant != std::floor(rule->constant)) {
      fail(ErrorId::kValue, "{}: found {} times a parameter plus {}, expected whole numbers", json.where(),
           rule->times, rule->constant);
    }
    return static_cast<std::int64_t>(value);
  }

  /// Gives them to a machine, those that shape it first. Call when all of the file has been read.
  void describe(Chain& chain) const {
    for (const bool shapes : {true, false}) {
      for (const Declared& declared : declared_) {
        if (((declared.used & kShape) != 0) != shapes) continue;
        if ((declared.used & (kShape | kCapacity)) == 0) {
          fail(ErrorId::kSchema, "{}: '{}' is declared, but no fan-out, bandwidth or capacity uses it",
               declared.where, declared.parameter.name);
        }
        chain.parameters.push_back(declared.parameter);
        chain.default_hardware.values.push_back(declared.standard);
        chain.min_hardware.values.push_back(declared.values.front());
        chain.max_hardware.values.push_back(declared.values.back());
        if (shapes) chain.shape_values.push_back(declared.values);
        chain.shape_parameters += shapes;
      }
    }
    for (ChainLevel& level : chain.levels) {
      ChainLevel::Rules& rules = level.rules;
      for (std::optional<ByParameter>* rule :
           {&rules.built_words, &rules.vector_pj, &rules.fan_out[0], &rules.fan_out[1],
            &rules.read_words_per_cycle, &rules.write_words_per_cycle, &rules.words_per_cycle}) {
        if (*rule)
          (*rule)->parameter = chain.parameter(declared_[(*rule)->parameter].parameter.name, chain.name);
      }
    }
  }

 private:
  struct Declared {
    Parameter parameter;
    std::string where;
    std::int64_t standard = 0;
    std::vector<std::int64_t> values;  // ascending; of a buffer only the ends count
    unsigned used = 0;
  };

  void add(const JsonInput& json) {
    json.allow_only({"name", "unit", "default", "min", "max"});
    Declared declared;
    declared.where = json.where();
    declared.parameter.name = declared.parameter.label = json.at("name").name();
    for (const Declared& other : declared_) {
      if (other.parameter.name == declared.parameter.name)
        fail(ErrorId::kValue, "{}: found \"{}\" twice", json.at("name").where(), other.parameter.name);
    }
    if (const auto unit = json.find("unit")) declared.parameter.unit = unit->text();
    declared.parameter.limit = kMostWords;
    declared.standard = json.at("default").integer(1, kMostWords);
    const std::int64_t min = json.at("min").integer(1, declared.standard);
    const std::int64_t max = json.at("max").integer(declared.standard, kMostWords);
    // Four to an octave from the least and from the default, where they are whole.
    for (const std::int64_t from : {min, declared.standard}) {
      for (std::int64_t octave = from; octave < max; octave *= 2) {
        for (std::int64_t quarters = 4 * octave; quarters < 8 * octave; quarters += octave) {
          if (quarters % 4 == 0 && quarters / 4 < max) declared.values.push_back(quarters / 4);
        }
      }
    }
    declared.values.push_back(max);
    declared.values.push_back(declared.standard);
    std::sort(declared.values.begin(), declared.values.end());
    declared.values.erase(std::unique(declared.values.begin(), declared.values.end()), declared.values.end());
    declared_.push_back(std::move(declared));
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
  std::optional<ByParameter>& rule = level.rules.built_words;
  level.built_words = parameters.integer(json.at("capacity_words"), kMostWords, Parameters::kCapacity, rule);
  level.buffering = buffering ? buffering->integer(1, kMostBuffers) : 1;
  const std::string held = letters_of(level.holds);
  level.capacity_words = level.built_words / level.buffering;
  if (*level.capacity_words < static_cast<std::int64_t>(held.size())) {
    fail(ErrorId::kValue, "{}: found {} words in {} buffers, expected at least one word for each of {}",
         built->where(), level.built_words, level.buffering, held);
  }
}

ChainLevel chain_level_from_json(const JsonInput& json, bool outermost, Parameters& parameters,
                                 ChainArea::PerLevel& area) {
  json.allow_only({"name", "holds", "temporal", "orders", "capacity_words", "buffering", "word_bits",
                   "fan_out", "read_words_per_cycle", "write_words_per_cycle", "words_per_cycle",
                   "vector_words", "vector_pj", "area_mm2"});
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
  if (const auto vector = json.find("vector_words"))
    level.vector_words = static_cast<double>(vector->integer(1, kMostVectorWords));
  level.vector_pj =
      parameters.number(json.at("vector_pj"), 0, kMaxPicojoules, Parameters::kCost, level.rules.vector_pj);
  if (const auto size = json.find("area_mm2")) {
    size->allow_only({"per_instance", "per_kib"});
    if (const auto value = size->find("per_instance")) area.per_instance = value->number(0, kMaxAreaMm2);
    if (const auto value = size->find("per_kib")) area.per_kib = value->number(0, kMaxAreaMm2);
  }
  return level;
}

void check_instances(const Chain& chain) {
  double macs = 1;
  for (const ChainLevel& level : chain.levels) macs *= static_cast<double>(level.children());
  if (macs > static_cast<double>(kMostInstances)) {
    fail(ErrorId::kValue, "found fan-outs that multiply to {:g} MACs, expected at most {}", macs,
         kMostInstances);
  }
}

}  // namespace

std::size_t LoopRule::place(Dim dim) const {
  const auto in = std::find(inner.begin(), inner.end(), dim);
  if (in != inner.end()) return static_cast<std::size_t>(in - inner.begin());
  const auto out = std::find(outer.begin(), outer.end(), dim);
  return inner.size() + (out == outer.end() ? 0 : 1 + static_cast<std::size_t>(out - outer.begin()));
}

bool ChainLevel::allows_order(const std::vector<Dim>& loops) const {
  return orders.empty() || std::any_of(orders.begin(), orders.end(), [&](const LoopRule& rule) {
           return std::is_sorted(loops.begin(), loops.end(),
                                 [&](Dim a, Dim b) { return rule.place(a) < rule.place(b); });
         });
}

std::string LoopRule::text() const {
  std::string text;
  for (const Dim dim : inner) text += name_of(dim);
  if (!outer.empty()) text += '_';
  for (const Dim dim : outer) text += name_of(dim);
  return text;
}

std::string Chain::level_label(int level) const {
  return dosa::level_label(level, levels[static_cast<std::size_t>(level)].holds);
}

std::vector<std::int64_t> Chain::shape_values_between(std::size_t parameter, std::int64_t min,
                                                      std::int64_t max) const {
  std::vector<std::int64_t> values{min};
  for (const std::int64_t value : shape_values[parameter]) {
    if (value > min && value < max) values.push_back(value);
  }
  if (max > min) values.push_back(max);
  return values;
}

std::int64_t Chain::instances(int level) const {
  std::int64_t count = 1;
  for (int outer = dram(); outer > level; --outer)
    count *= levels[static_cast<std::size_t>(outer)].children();
  return count;
}

bool is_chain(const JsonInput& json) {
  if (!json.is_object()) return false;
  const auto schema = json.value().find("schema");
  return schema != json.value().end() && *schema == kChainSchema;
}

Chain load_chain(const std::string& name_or_path) { return read_chain(machine_file(name_or_path)); }

Chain read_chain(const JsonInput& json) {
  json.require_schema(kChainSchema);
  json.allow_only(
      {"schema", "name", "description", "source", "parameters", "remainders", "mac", "levels", "area_mm2"});
  Chain chain;
  chain.hash = content_hash(json.value().dump());
  chain.name = json.at("name").name();
  if (const auto text = json.find("description")) chain.description = text->text();
  if (const auto source = json.find("source")) source->text();
  if (const auto remainders = json.find("remainders")) chain.remainders = remainders_from_json(*remainders);
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
  if (chain.mac_energy_pj + chain.levels.back().vector_pj == 0) {
    fail(ErrorId::kValue, "{}: found 0, and 0 at the outermost level: designs would cost nothing",
         json.at("mac").at("energy_pj").where());
  }
  parameters.describe(chain);
  try {
    check_instances(chain.at(chain.max_hardware));
  } catch (const Error& error) {
    throw error.in(levels.where());
  }
  return chain;
}

Chain Chain::at(const Hardware& hardware) const {
  Chain built = *this;
  if (parameters.empty()) return built;
  for (ChainLevel& level : built.levels) {
    const ChainLevel::Rules& of = level.rules;
    const auto whole = [&](const std::optional<ByParameter>& rule, std::int64_t most, std::int64_t& number) {
      if (!rule) return;
      const double value = rule->at(hardware);
      if (value > static_cast<double>(most)) {
        fail(ErrorId::kValue, "{}: {} {} makes {} at level {}, allowed are {}", name,
             parameters[rule->parameter].name, hardware[rule->parameter], value, level.name, most);
      }
      number = static_cast<std::int64_t>(value);
    };
    whole(of.built_words, kMostWords, level.built_words);
    if (level.capacity_words) level.capacity_words = level.built_words / level.buffering;
    for (std::size_t axis = 0; axis < kAxes; ++axis)
      whole(of.fan_out[axis], kMostChildren, level.fan_out[axis].size);
    if (of.vector_pj) level.vector_pj = of.vector_pj->at(hardware);
    if (of.read_words_per_cycle) level.read_words_per_cycle = of.read_words_per_cycle->at(hardware);
    if (of.write_words_per_cycle) level.write_words_per_cycle = of.write_words_per_cycle->at(hardware);
    if (of.words_per_cycle) level.words_per_cycle = of.words_per_cycle->at(hardware);
  }
  check_instances(built);
  return built;
}

ChainNumbers<double> numbers_of(const Chain& chain, const Hardware& hardware) {
  // Without the names, which take most of the time: a search asks for areas all the time.
  const auto of = [&](const std::optional<ByParameter>& rule, double number) {
    return rule ? rule->at(hardware) : number;
  };
  ChainNumbers<double> numbers;
  numbers.mac_pj = chain.mac_energy_pj;
  numbers.levels.resize(chain.levels.size());
  for (std::size_t l = 0; l < chain.levels.size(); ++l) {
    const ChainLevel& level = chain.levels[l];
    const ChainLevel::Rules& rules = level.rules;
    ChainNumbers<double>::Level& own = numbers.levels[l];
    const auto bandwidth = [&](const std::optional<double>& words, const std::optional<ByParameter>& rule,
                               std::optional<double>& number) {
      if (words) number = of(rule, *words);
    };
    bandwidth(level.read_words_per_cycle, rules.read_words_per_cycle, own.read_words_per_cycle);
    bandwidth(level.write_words_per_cycle, rules.write_words_per_cycle, own.write_words_per_cycle);
    bandwidth(level.words_per_cycle, rules.words_per_cycle, own.words_per_cycle);
    own.vector_pj = of(rules.vector_pj, level.vector_pj);
    own.built_words = of(rules.built_words, static_cast<double>(level.built_words));
    for (std::size_t axis = 0; axis < kAxes; ++axis)
      own.fan_out[axis] = of(rules.fan_out[axis], static_cast<double>(level.fan_out[axis].size));
    own.per_instance = chain.area.levels[l].per_instance;
    own.per_kib = chain.area.levels[l].per_kib;
  }
  numbers.base = chain.area.base;
  numbers.per_mac = chain.area.per_mac;
  numbers.one = 1;
  return numbers;
}

Chain most_favourable(const Chain& machine, const Hardware& least, const Hardware& most) {
  // Every number depends on one parameter, linearly: it is the best at one end.
  const Chain other = machine.at(least);
  Chain best = machine.at(most);
  for (std::size_t l = 0; l < best.levels.size(); ++l) {
    ChainLevel& level = best.levels[l];
    const ChainLevel& at_least = other.levels[l];
    const auto more = [](auto& number, const auto& another) { number = std::max(number, another); };
    level.vector_pj = std::min(level.vector_pj, at_least.vector_pj);
    more(level.capacity_words, at_least.capacity_words);
    more(level.built_words, at_least.built_words);
    more(level.read_words_per_cycle, at_least.read_words_per_cycle);
    more(level.write_words_per_cycle, at_least.write_words_per_cycle);
    more(level.words_per_cycle, at_least.words_per_cycle);
    for (std::size_t axis = 0; axis < kAxes; ++axis)
      more(level.fan_out[axis].size, at_least.fan_out[axis].size);
  }
  return best;
}

double Chain::area_mm2(const Hardware& hardware) const {
  return dosa::area_mm2(*this, numbers_of(*this, hardware));
}

CostBasis Chain::cost_basis() const {
  const ChainLevel& memory = levels.back();
  return {memory.word_bits, mac_energy_pj, memory.vector_pj / memory.vector_words / memory.word_bits,
          area.per_mac};
}

std::vector<LevelWords> Chain::level_words() const {
  std::vector<LevelWords> words;
  for (const ChainLevel& level : levels) words.push_back({level.name, level.holds, level.word_bits});
  return words;
}

Chain chain_of(const ArrayMachine& machine, const ArraySizes& hardware) {
  const auto pe_dim = static_cast<double>(hardware.pe_dim);
  Chain chain;
  chain.name = machine.name;
  chain.description = machine.description;
  chain.hash = machine.hash;
  chain.remainders = machine.remainders;
  chain.mac_energy_pj = machine.mac_energy_pj;
  for (const MemoryLevel& memory : machine.levels) {
    ChainLevel level;
    level.name = memory.name;
    level.holds = memory.holds;
    level.temporal = memory.temporal;
    level.word_bits = memory.word_bits;
    if (!letters_of(memory.spatial).empty()) level.fan_out[0] = {hardware.pe_dim, memory.spatial};
    level.vector_words = memory.vector_words.at(pe_dim);
    double word_pj = memory.energy.pj;
    if (memory.sized_by != SizedBy::kNothing) {
      const double instance_kib =
          static_cast<double>(capacity_kib(memory, hardware)) / memory.instances.at(pe_dim);
      word_pj += memory.energy.pj_per_kib * (instance_kib - memory.energy.at_kib);
      level.built_words = static_cast<std::int64_t>(instance_kib * 1024 * 8 / memory.word_bits);
      level.buffering = machine.buffering;
      level.capacity_words = level.built_words / level.buffering;
    }
    level.vector_pj = word_pj * level.vector_words;
    if (memory.words_per_cycle) level.words_per_cycle = memory.words_per_cycle->at(pe_dim);
    chain.levels.push_back(std::move(level));
  }
  return chain;
}

Chain chain_of(const Machine& machine, const Hardware& hardware) {
  if (const auto* chain = dynamic_cast<const Chain*>(&machine)) return chain->at(hardware);
  return chain_of(dynamic_cast<const ArrayMachine&>(machine), ArraySizes::of(hardware));
}

}  // namespace dosa
