#include "dosa/models/array_machine.hpp"

#include <algorithm>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

// A description is a file of the user's: what is beyond these is a mistake, and a search could not end or
// would compute with infinities.
constexpr std::size_t kMaxLevels = 16;
constexpr std::size_t kMaxNestOrders = 1024;
constexpr double kMinQuantity = 1e-6, kMaxQuantity = 1e12;

/// A number, or {"per_pe_dim": number}; above 0, since it divides.
Quantity quantity_from_json(const JsonInput& json) {
  if (json.is_number()) return {json.number(kMinQuantity, kMaxQuantity), 0};
  if (!json.is_object()) {
    fail(ErrorId::kSchema, "{}: found {}, expected a number or an object with per_pe_dim", json.where(),
         cut_to(json.value().dump(), 60));
  }
  json.allow_only({"constant", "per_pe_dim"});
  Quantity quantity;
  if (const auto constant = json.find("constant")) quantity.constant = constant->number(0, kMaxQuantity);
  quantity.per_pe_dim = json.at("per_pe_dim").number(0, kMaxQuantity);
  if (quantity.at(1.0) < kMinQuantity) {
    fail(ErrorId::kValue, "{}: found {} where pe_dim is 1, expected a number in {}..{}", json.where(),
         quantity.at(1.0), kMinQuantity, kMaxQuantity);
  }
  return quantity;
}

LoopOrder order_from_json(const JsonInput& json) {
  const std::string text = json.text();
  LoopOrder order{};
  const bool permutation =
      text.size() == kDims && std::all_of(kDimNames.begin(), kDimNames.end(),
                                          [&](char name) { return text.find(name) != std::string::npos; });
  if (!permutation) {
    fail(ErrorId::kValue, "{}: found \"{}\", expected a permutation of RSPQCKN, innermost first",
         json.where(), text);
  }
  for (std::size_t i = 0; i < text.size(); ++i) order[i] = *dim_from_name(text[i]);
  return order;
}

MemoryLevel level_from_json(const JsonInput& json) {
  json.allow_only({"name", "holds", "temporal", "spatial", "word_bits", "sized_by", "instances",
                   "words_per_cycle", "vector_words", "whole_lines", "energy", "search_orders",
                   "search_temporal"});
  MemoryLevel level;
  level.name = json.at("name").name();
  level.holds = operands_from_json(json.at("holds"));
  if (const auto dims = json.find("temporal")) level.temporal = dims_from_json(*dims);
  if (const auto dims = json.find("spatial")) level.spatial = dims_from_json(*dims);
  level.word_bits = static_cast<int>(json.at("word_bits").integer(1, kMaxWordBits));
  if (const auto sized = json.find("sized_by")) {
    const std::string name = sized->text();
    if (name == "scratchpad_kib") {
      level.sized_by = SizedBy::kScratchpad;
    } else if (name == "accumulator_kib") {
      level.sized_by = SizedBy::kAccumulator;
    } else {
      fail(ErrorId::kValue, "{}: found \"{}\", expected scratchpad_kib or accumulator_kib", sized->where(),
           name);
    }
  }
  if (const auto instances = json.find("instances")) level.instances = quantity_from_json(*instances);
  if (const auto bandwidth = json.find("words_per_cycle"))
    level.words_per_cycle = quantity_from_json(*bandwidth);
  if (const auto vector = json.find("vector_words")) level.vector_words = quantity_from_json(*vector);
  if (const auto lines = json.find("whole_lines")) level.whole_lines = lines->boolean();
  const JsonInput energy = json.at("energy");
  energy.allow_only({"pj", "pj_per_kib", "at_kib"});
  level.energy.pj = energy.at("pj").number(0, kMaxPicojoules);
  if (const auto slope = energy.find("pj_per_kib"))
    level.energy.pj_per_kib = slope->number(0, kMaxPicojoules);
  if (const auto at = energy.find("at_kib"))
    level.energy.at_kib = at->number(0, static_cast<double>(kMaxKib));
  if (level.energy.pj_per_kib > 0 && level.sized_by == SizedBy::kNothing) {
    fail(ErrorId::kSchema, "{}: pj_per_kib needs 'sized_by' beside it", energy.where());
  }
  return level;
}

AreaModel area_from_json(const JsonInput& json) {
  json.allow_only({"base", "per_pe", "per_scratchpad_kib", "per_accumulator_kib"});
  const auto slope = [&](const char* key) { return json.at(key).number(0, kMaxAreaMm2); };
  return {json.at("base").number(-kMaxAreaMm2, kMaxAreaMm2), slope("per_pe"), slope("per_scratchpad_kib"),
          slope("per_accumulator_kib")};
}

/// What the cost model and the search assume of the levels beyond what their types say.
void check_levels(const ArrayMachine& machine, const JsonInput& levels) {
  const std::vector<JsonInput> items = levels.items();
  std::array<std::optional<std::size_t>, kDims> spread_at{};
  std::size_t orders = 1;
  for (std::size_t l = 0; l < machine.levels.size(); ++l) {
    const MemoryLevel& level = machine.levels[l];
    orders *= machine.search_orders[l].size();
    if (orders > kMaxNestOrders) {
      fail(ErrorId::kValue,
           "{}: the 'search_orders' of all levels make more than {} combinations, expected at most that",
           levels.where(), kMaxNestOrders);
    }
    if (std::count(level.spatial.begin(), level.spatial.end(), true) > 1) {
      fail(ErrorId::kValue, "{}: found \"{}\", expected at most one dimension below one level",
           items[l].at("spatial").where(), items[l].at("spatial").text());
    }
    for (const Dim dim : all_dims()) {
      const auto d = static_cast<std::size_t>(dim);
      if (level.spatial[d]) {
        if (spread_at[d]) {
          fail(ErrorId::kValue,
               "{}: found {}, which levels[{}] spreads too; expected one level for a dimension",
               items[l].at("spatial").where(), name_of(dim), *spread_at[d]);
        }
        spread_at[d] = l;
      }
      if (l + 1 == machine.levels.size() || level.sized_by != SizedBy::kNothing ||
          !machine.search_temporal[l][d]) {
        continue;
      }
      for (const Operand operand : all_operands()) {
        if (!level.holds_operand(operand) || !relevant(operand, dim)) continue;
        fail(ErrorId::kValue,
             "{}: a search would loop here over {} and hold any number of words of {}; expected 'sized_by', "
             "or "
             "a 'search_temporal' without {}",
             items[l].where(), name_of(dim), kOperandNames[static_cast<std::size_t>(operand)], name_of(dim));
      }
    }
  }
}

/// Throws where something costs less than nothing on the smallest hardware.
void check_signs(const ArrayMachine& machine, const JsonInput& levels, const JsonInput& area) {
  const ArraySizes least = ArraySizes::of(machine.min_hardware);
  for (std::size_t l = 0; l < machine.levels.size(); ++l) {
    const MemoryLevel& level = machine.levels[l];
    if (level.sized_by == SizedBy::kNothing) continue;
    const auto kib = static_cast<double>(level.sized_by == SizedBy::kScratchpad ? least.scratchpad_kib
                                                                                : least.accumulator_kib);
    const double instances =
        level.instances.at(static_cast<double>(ArraySizes::of(machine.max_hardware).pe_dim));
    const double pj = level.energy.at(kib / instances);
    if (pj < 0) {
      fail(ErrorId::kValue, "{}: found {} pJ for a word of the smallest instance, expected 0 or more",
           levels.items()[l].at("energy").where(), pj);
    }
  }
  const double mm2 = machine.area_mm2(machine.min_hardware);
  if (mm2 < 0) {
    fail(ErrorId::kValue, "{}: found {} mm2 for the smallest hardware, expected 0 or more", area.where(),
         mm2);
  }
}

}  // namespace

std::int64_t capacity_kib(const MemoryLevel& memory, const ArraySizes& hardware) {
  return memory.sized_by == SizedBy::kScratchpad ? hardware.scratchpad_kib : hardware.accumulator_kib;
}

std::string level_label(int level, const OperandSet& holds) {
  return fmt::format("L{}[{}]", level, letters_of(holds));
}

std::string ArrayMachine::level_label(int level) const {
  return dosa::level_label(level, levels[static_cast<std::size_t>(level)].holds);
}

ArrayMachine::ArrayMachine() {
  rules = "mappings";
  shape_parameters = 1;
  for (const ArraySizeField& field : kArraySizes)
    parameters.push_back({field.name, field.label, field.unit, field.max});
}

Json to_json(const ArraySizes& sizes) { return ArrayMachine().to_json(sizes); }

ArraySizes sizes_from_json(const JsonInput& json) {
  return ArraySizes::of(ArrayMachine().hardware_from_json(json));
}

std::vector<std::string> ArrayMachine::level_keys() const {
  std::vector<std::string> names;
  for (const MemoryLevel& level : levels) names.push_back(level.name);
  return dosa::level_keys(names);
}

double ArrayMachine::area_mm2(const Hardware& hardware) const {
  const ArraySizes sizes = ArraySizes::of(hardware);
  return area.mm2(static_cast<double>(sizes.pe_dim), static_cast<double>(sizes.scratchpad_kib),
                  static_cast<double>(sizes.accumulator_kib));
}

CostBasis ArrayMachine::cost_basis() const {
  const MemoryLevel& memory = levels.back();
  return {memory.word_bits, mac_energy_pj, memory.energy.pj / memory.word_bits, area.per_pe};
}

std::vector<LevelWords> ArrayMachine::level_words() const {
  std::vector<LevelWords> words;
  for (const MemoryLevel& level : levels) words.push_back({level.name, level.holds, level.word_bits});
  return words;
}

ArrayMachine load_array_machine(const std::string& name_or_path) {
  const JsonInput json = machine_file(name_or_path);
  const auto array = std::dynamic_pointer_cast<const ArrayMachine>(read_machine(json));
  return array ? *array : read_array_machine(json);  // which says what else it is
}

ArrayMachine read_array_machine(const JsonInput& json) {
  json.require_schema("dosa-hardware/1");
  json.allow_only({"schema", "name", "description", "source", "rules", "buffering", "library", "remainders",
                   "mac", "levels", "area_mm2", "hardware"});
  ArrayMachine machine;
  machine.hash = content_hash(json.value().dump());
  machine.name = json.at("name").name();
  if (const auto text = json.find("description")) machine.description = text->text();
  read_rules(json, machine);
  if (const auto buffering = json.find("buffering"))
    machine.buffering = static_cast<int>(buffering->integer(1, 2));
  json.at("mac").allow_only({"energy_pj"});
  machine.mac_energy_pj = json.at("mac").at("energy_pj").number(0, kMaxPicojoules);

  const JsonInput levels = json.at("levels");
  if (const std::size_t found = levels.items().size(); found > kMaxLevels) {
    fail(ErrorId::kValue, "{}: found {} levels, expected 2..{}", levels.where(), found, kMaxLevels);
  }
  for (const JsonInput& item : levels.items()) {
    const MemoryLevel level = level_from_json(item);
    std::vector<LoopOrder> orders;
    if (const auto listed = item.find("search_orders")) {
      for (const JsonInput& order : listed->items()) orders.push_back(order_from_json(order));
    }
    if (orders.empty()) orders.push_back(all_dims());
    const auto searched = item.find("search_temporal");
    machine.search_temporal.push_back(searched ? dims_from_json(*searched) : level.temporal);
    for (std::size_t d = 0; d < kDims; ++d) {
      if (machine.search_temporal.back()[d] && !level.temporal[d]) {
        fail(ErrorId::kValue, "{}: names {}, which 'temporal' does not allow", searched->where(),
             kDimNames[d]);
      }
    }
    machine.search_orders.push_back(orders);
    machine.levels.push_back(level);
  }
  if (machine.levels.size() < 2) {
    fail(ErrorId::kValue, "{}: found {} levels, expected at least 2 (innermost first, DRAM last)",
         levels.where(), machine.levels.size());
  }
  for (const Operand operand : all_operands()) {
    if (!machine.levels.back().holds_operand(operand)) {
      fail(ErrorId::kValue, "{}: the outermost level must hold W, I and O", levels.where());
    }
  }
  for (std::size_t d = 0; d < kDims; ++d) {
    if (!machine.search_temporal.back()[d]) {
      fail(ErrorId::kValue, "{}: the outermost level must allow temporal loops over every dimension",
           levels.where());
    }
  }
  if (machine.mac_energy_pj + machine.levels.back().energy.pj == 0) {
    fail(ErrorId::kValue, "{}: found 0, and 0 at the outermost level: designs would cost nothing",
         json.at("mac").at("energy_pj").where());
  }
  check_levels(machine, levels);
  machine.area = area_from_json(json.at("area_mm2"));
  const JsonInput hardware = json.at("hardware");
  hardware.allow_only({"default", "min", "max"});
  machine.default_hardware = machine.hardware_from_json(hardware.at("default"));
  machine.min_hardware = machine.hardware_from_json(hardware.at("min"));
  machine.max_hardware = machine.hardware_from_json(hardware.at("max"));
  for (std::size_t p = 0; p < machine.parameters.size(); ++p) {
    if (machine.min_hardware[p] > machine.max_hardware[p]) {
      fail(ErrorId::kBounds, "{}: {}: min {} is more than max {}", hardware.where(),
           machine.parameters[p].name, machine.min_hardware[p], machine.max_hardware[p]);
    }
  }
  check_signs(machine, levels, json.at("area_mm2"));
  return machine;
}

}  // namespace dosa
