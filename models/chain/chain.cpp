#include "dosa/models/chain/chain.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "dosa/models/base/error.hpp"

namespace dosa {

double ByParameter::of(std::int64_t value, double instances) const {
  const auto size = static_cast<double>(value);
  if (table.empty()) return (shared ? times * size / instances : times * size) + constant;
  for (const Entry& entry : table) {
    if (entry.value == value) return entry.number;
  }
  fail(ErrorId::kValue, "found {}, which a table does not have", value);
}

double ByParameter::least_between(std::int64_t least, std::int64_t most, double most_instances) const {
  if (table.empty()) return of(least, most_instances);
  double number = std::numeric_limits<double>::infinity();
  for (const Entry& entry : table) {
    if (entry.value >= least && entry.value <= most) number = std::min(number, entry.number);
  }
  return number;
}

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

Chain Chain::at(const Hardware& hardware) const {
  Chain built = *this;
  double instances = 1;
  for (std::size_t l = levels.size(); l-- > 0;) {
    ChainLevel& level = built.levels[l];
    const ChainLevel::Rules& of = level.rules;
    const auto follow = [&](const std::optional<ByParameter>& rule, auto& number) {
      if (rule) number = rule->of(hardware[rule->parameter], instances);
    };
    const auto whole = [&](const std::optional<ByParameter>& rule, std::int64_t most, auto& number) {
      if (!rule) return;
      const double value = rule->of(hardware[rule->parameter], instances);
      if (value > static_cast<double>(most)) {
        fail(ErrorId::kValue, "{}: {} {} makes {} at level {}, allowed are {}", name,
             parameters[rule->parameter].name, hardware[rule->parameter], value, level.name, most);
      }
      number = static_cast<std::decay_t<decltype(number)>>(std::floor(value));
    };
    whole(of.built_words, kMostWords, level.built_words);
    if (level.capacity_words) level.capacity_words = level.built_words / level.buffering;
    for (std::size_t axis = 0; axis < kAxes; ++axis)
      whole(of.fan_out[axis], kMostChildren, level.fan_out[axis].size);
    whole(of.vector_words, kMostVectorWords, level.vector_words);
    follow(of.vector_pj, level.vector_pj);
    follow(of.word_pj, level.word_pj);
    if (level.word_pj) level.vector_pj = *level.word_pj * level.vector_words;
    follow(of.read_words_per_cycle, level.read_words_per_cycle);
    follow(of.write_words_per_cycle, level.write_words_per_cycle);
    follow(of.words_per_cycle, level.words_per_cycle);
    instances *= static_cast<double>(level.children());
  }
  if (instances > static_cast<double>(kMostInstances)) {
    fail(ErrorId::kValue, "found fan-outs that multiply to {:g} MACs, expected at most {}", instances,
         kMostInstances);
  }
  return built;
}

ChainNumbers<double> numbers_of(const Chain& chain, const Hardware& hardware) {
  const std::vector<double> sizes(hardware.values.begin(), hardware.values.end());
  return numbers_of(chain, sizes, AsTheyAre{});
}

Chain most_favourable(const Chain& machine, const Hardware& least, const Hardware& most) {
  // Every number that does not follow from a table grows with its parameter; one that is shared shrinks with
  // the instances, which grow with all parameters.
  const Chain with_least = machine.at(least);
  Chain best = machine.at(most);
  for (std::size_t l = 0; l < best.levels.size(); ++l) {
    ChainLevel& level = best.levels[l];
    const auto instances = [&](const Chain& chain) {
      return static_cast<double>(chain.instances(static_cast<int>(l)));
    };
    const auto least_pj = [&](const std::optional<ByParameter>& rule, double pj) {
      return rule ? rule->least_between(least[rule->parameter], most[rule->parameter], instances(best)) : pj;
    };
    level.vector_pj = least_pj(level.rules.vector_pj, level.vector_pj);
    if (level.word_pj) {
      level.word_pj = least_pj(level.rules.word_pj, *level.word_pj);
      level.vector_pj = *level.word_pj * level.vector_words;
    }
    if (const auto& rule = level.rules.built_words; rule && rule->shared) {
      level.built_words = static_cast<std::int64_t>(rule->of(most[rule->parameter], instances(with_least)));
      level.capacity_words = level.built_words / level.buffering;
    }
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
