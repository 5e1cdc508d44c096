#include "dosa/models/chain/array_form.hpp"

#include <algorithm>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

[[noreturn]] void refuse(const JsonInput& json, const std::string& expected) {
  fail(ErrorId::kValue, "{}: found {}, expected {}", json.where(), cut_to(json.value().dump(), 60), expected);
}

/// An ArrayMachine while it is made of a chain, level by level, the outermost first.
class ArrayForm {
 public:
  ArrayForm(const Chain& chain, const JsonInput& json) : chain_(chain), json_(json) {}

  ArrayMachine machine() {
    const std::vector<Parameter> parameters = machine_.parameters;
    static_cast<Machine&>(machine_) = chain_;  // what every machine has
    machine_.parameters = parameters;
    machine_.of_chain = true;
    machine_.buffering = 2;
    machine_.mac_energy_pj = chain_.mac_energy_pj;
    machine_.area.base = chain_.area.base;
    machine_.area.per_pe = chain_.area.per_mac;
    check_parameters();
    const std::vector<JsonInput> items = json_.at("levels").items();
    const std::size_t count = items.size();
    machine_.levels.resize(count);
    machine_.search_orders.resize(count);
    machine_.search_temporal.resize(count);
    for (std::size_t l = count; l-- > 0;) read_level(items[l], l);
    return machine_;
  }

 private:
  /// An ArrayMachine's, in its order; a chain's reader has seen to min <= default <= max.
  void check_parameters() const {
    const JsonInput list = json_.at("parameters");
    const std::vector<JsonInput> items = list.items();
    if (items.size() != kArraySizes.size()) refuse(list, "pe_dim, scratchpad_kib and accumulator_kib");
    for (std::size_t p = 0; p < items.size(); ++p) {
      const ArraySizeField& field = kArraySizes[p];
      items[p].allow_only({"name", "unit", "default", "min", "max"});
      const auto unit = items[p].find("unit");
      if (items[p].at("name").text() != field.name)
        refuse(items[p].at("name"), fmt::format("\"{}\"", field.name));
      if (unit && unit->text() != field.unit) refuse(*unit, fmt::format("\"{}\"", field.unit));
      items[p].at("max").integer(1, field.max);
    }
  }

  void read_level(const JsonInput& item, std::size_t l) {
    item.allow_only({"name", "holds", "temporal", "orders", "capacity_words", "buffering", "word_bits",
                     "fan_out", "words_per_cycle", "vector_words", "word_pj", "whole_lines", "area_mm2"});
    const ChainLevel& from = chain_.levels[l];
    MemoryLevel& level = machine_.levels[l];
    level.name = from.name;
    level.holds = from.holds;
    level.temporal = from.temporal;
    level.word_bits = from.word_bits;
    const bool outermost = l + 1 == machine_.levels.size();
    if (!outermost) read_capacity(item, from, level);
    read_area(item, chain_.area.levels[l].per_kib, level.sized_by);
    level.energy = energy_of(item, from);
    if (from.words_per_cycle) {
      level.words_per_cycle =
          quantity_of(item.at("words_per_cycle"), *from.words_per_cycle, from.rules.words_per_cycle);
    }
    if (const auto words = item.find("vector_words"))
      level.vector_words = quantity_of(*words, from.vector_words, from.rules.vector_words);
    if (const auto lines = item.find("whole_lines")) level.whole_lines = lines->boolean();
    // A search loops where a size, or none, limits what the loops hold.
    DimSet& searched = machine_.search_temporal[l];
    if (outermost || level.sized_by != SizedBy::kNothing) searched = level.temporal;
    std::vector<LoopOrder>& orders = machine_.search_orders[l];
    if (searched != DimSet{}) item.at("orders");
    for (std::size_t o = 0; o < from.orders.size(); ++o)
      orders.push_back(order_of(item.at("orders").items()[o], from.orders[o]));
    if (orders.empty()) orders.push_back(all_dims());
    if (const auto fan_out = item.find("fan_out")) read_fan_out(*fan_out, from, level);
  }

  bool follows(const std::optional<ByParameter>& rule, std::size_t parameter) const {
    return rule && chain_.parameters[rule->parameter].name == kArraySizes[parameter].name;
  }

  void read_capacity(const JsonInput& item, const ChainLevel& from, MemoryLevel& level) const {
    const JsonInput json = item.at("capacity_words");
    const std::optional<ByParameter>& rule = from.rules.built_words;
    if (!rule) {
      if (from.built_words != 1) refuse(json, "1, or words by scratchpad_kib or accumulator_kib");
      return;
    }
    const double words_of_kib = 8.0 * 1024 / level.word_bits;
    if (follows(rule, kPeParameter) || rule->times != words_of_kib || rule->constant != 0 ||
        rule->shared != (spread_ > 0)) {
      refuse(json, fmt::format("{} times scratchpad_kib or accumulator_kib, as {} says{}", words_of_kib,
                               item.at("word_bits").where(), spread_ > 0 ? ", shared by all instances" : ""));
    }
    level.sized_by = follows(rule, kScratchpadParameter) ? SizedBy::kScratchpad : SizedBy::kAccumulator;
    if (spread_ > 0) level.instances = {0, 1};
    if (from.buffering != 2) refuse(item.at("buffering"), "2: it is double-buffered");
  }

  void read_area(const JsonInput& item, double per_kib, SizedBy sized_by) {
    const auto area = item.find("area_mm2");
    if (!area) return;
    area->allow_only({"per_kib"});
    if (sized_by == SizedBy::kScratchpad) {
      machine_.area.per_scratchpad_kib = per_kib;
    } else if (sized_by == SizedBy::kAccumulator) {
      machine_.area.per_accumulator_kib = per_kib;
    } else {
      refuse(*area, "none where no parameter is the level's capacity");
    }
  }

  /// As it is, or linear in what the capacity follows from.
  static WordEnergy energy_of(const JsonInput& item, const ChainLevel& from) {
    const JsonInput json = item.at("word_pj");
    const std::optional<ByParameter>&rule = from.rules.word_pj, &capacity = from.rules.built_words;
    if (!rule) return {*from.word_pj, 0, 0};
    if (!rule->table.empty() || !capacity || rule->parameter != capacity->parameter ||
        rule->shared != capacity->shared)
      refuse(json, "a number, or one by the same parameter as capacity_words, shared where that is");
    return {rule->constant, rule->times, 0};
  }

  Quantity quantity_of(const JsonInput& json, double value, const std::optional<ByParameter>& rule) const {
    if (!rule) return {value, 0};
    if (!follows(rule, kPeParameter)) refuse(json, "a number, or one by pe_dim");
    return {rule->constant, rule->times};
  }

  static LoopOrder order_of(const JsonInput& json, const LoopRule& rule) {
    std::vector<Dim> dims = rule.inner;
    dims.insert(dims.end(), rule.outer.begin(), rule.outer.end());
    LoopOrder order{};
    if (dims.size() != order.size()) refuse(json, "a permutation of RSPQCKN");
    std::copy(dims.begin(), dims.end(), order.begin());
    return order;
  }

  /// Columns on X, and further in rows on Y.
  void read_fan_out(const JsonInput& json, const ChainLevel& from, MemoryLevel& level) {
    if (spread_ == kAxes) refuse(json, "none below the rows and columns of the array");
    const std::string axis(1, name_of(mesh_axes()[spread_]));
    json.allow_only({axis.c_str()});
    const std::optional<ByParameter>& rule = from.rules.fan_out[spread_];
    if (!follows(rule, kPeParameter) || rule->times != 1 || rule->constant != 0)
      refuse(json.at(axis).at("size"), "pe_dim: {\"parameter\": \"pe_dim\"}");
    level.spatial = from.fan_out[spread_].dims;
    ++spread_;
  }

  const Chain& chain_;
  const JsonInput& json_;
  ArrayMachine machine_;
  std::size_t spread_ = 0;  ///< fan-outs outside of the level
};

}  // namespace

ArrayMachine array_machine_of(const Chain& chain, const JsonInput& json) {
  return ArrayForm(chain, json).machine();
}

}  // namespace dosa
