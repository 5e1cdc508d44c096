// A machine as one chain of memories: what each level holds, how large, wide and dear it is, and how it fans
// out below. The model of such a machine is chain_model.hpp. Nothing of it is compiled in.
#pragma once

#include <array>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "dosa/models/array_machine.hpp"
#include "dosa/models/layer.hpp"

namespace dosa {

/// More than this is a mistake in a description; products of fan-outs stay whole numbers in double precision.
inline constexpr std::size_t kMostLevels = 16;
inline constexpr std::int64_t kMostChildren = std::int64_t{1} << 20, kMostInstances = std::int64_t{1} << 40;
inline constexpr std::int64_t kMostWords = std::int64_t{1} << 40, kMostVectorWords = std::int64_t{1} << 20;

/// The two axes of the mesh on which the children of an instance stand.
enum class MeshAxis : int { X, Y };
inline constexpr std::size_t kAxes = 2;
inline constexpr std::array<MeshAxis, kAxes> mesh_axes() { return {MeshAxis::X, MeshAxis::Y}; }
inline char name_of(MeshAxis axis) { return axis == MeshAxis::X ? 'X' : 'Y'; }

/// Axes of a tensor: W (r, s, c, k), O (p, q, k, n), I (x, y, c, n), where x slides with P and R, y with Q
/// and S.
inline constexpr std::size_t kTensorAxes = 4;
/// The axis of I that a loop over a dimension moves along; K moves none.
inline constexpr std::array<int, kDims> kAxisOfInput{0, 1, 0, 1, 2, -1, 3};

/// How many children an instance has along one axis, and which dimensions may be spread over them.
struct FanOut {
  std::int64_t size = 1;
  DimSet dims{};
};

/// How a number of a level follows from a parameter: times * parameter + constant, or by a table.
struct ByParameter {
  std::size_t parameter = 0;  ///< its place in Machine::parameters
  double times = 1, constant = 0;
  /// The parameter is of all instances of the level together: times * parameter / instances + constant.
  bool shared = false;
  /// The number for every value that the parameter may have, ascending; empty: it follows as above.
  struct Entry {
    std::int64_t value;
    double number;
  };
  std::vector<Entry> table = {};

  /// With so many instances. Throws Error{kValue} for a value that the table does not have.
  double of(std::int64_t value, double instances) const;
  /// The least real value of the parameter with which the number, not by a table, is at least this one. Of
  /// numbers or of tensors.
  template <typename Number>
  Number least_for(const Number& number, const Number& instances) const {
    const Number value = (number - constant) / times;
    return shared ? value * instances : value;
  }
  /// The least number for values from one to another, both such as it may have, and up to so many instances.
  double least_between(std::int64_t least, std::int64_t most, double most_instances) const;
};

/// An order of a level's loops in time: those over `inner` run inside all others, those over `outer` outside,
/// each in this order, the innermost first. Loops over other dimensions stand between them, in any order.
struct LoopRule {
  std::vector<Dim> inner, outer;

  /// Where a loop stands among others: the further out, the larger; equal where the rule leaves it open.
  std::size_t place(Dim dim) const;
  /// "RS_K", as files have it.
  std::string text() const;
};

/// One level. Words are elements of a tensor; capacities and bandwidths are those of one instance.
struct ChainLevel {
  std::string name;
  OperandSet holds{};            ///< a tensor that it does not hold passes by it
  DimSet temporal{};             ///< dimensions that may loop here
  std::vector<LoopRule> orders;  ///< in one of which its loops run; none: in any order
  /// Words that the tiles of one instance may take together, already divided by the buffering; nothing: no
  /// limit.
  std::optional<std::int64_t> capacity_words;
  std::int64_t built_words = 0;  ///< what is built for that; 0: no limit
  std::int64_t buffering = 1;    ///< tiles that built_words hold
  int word_bits = 8;
  std::array<FanOut, kAxes> fan_out;  ///< by MeshAxis, towards the level below or the MACs
  /// Words per cycle of one instance: reads, writes (fills and updates), both together. Nothing: no limit.
  std::optional<double> read_words_per_cycle, write_words_per_cycle, words_per_cycle;
  double vector_words = 1;  ///< accesses are charged in vectors of this many words
  double vector_pj = 0;     ///< energy of one vector access, of whatever kind
  /// Energy of a word of it, where the file gives that: vector_pj is vector_words times this.
  std::optional<double> word_pj;

  /// What these numbers follow from where a design chooses them.
  struct Rules {
    std::optional<ByParameter> built_words, vector_words, vector_pj, word_pj;
    std::array<std::optional<ByParameter>, kAxes> fan_out;
    std::optional<ByParameter> read_words_per_cycle, write_words_per_cycle, words_per_cycle;
  } rules;

  bool holds_operand(Operand o) const { return holds[static_cast<std::size_t>(o)]; }
  /// Whether loops in time, the innermost first, run in an order that is allowed here.
  bool allows_order(const std::vector<Dim>& loops) const;
  const FanOut& fan_out_on(MeshAxis axis) const { return fan_out[static_cast<std::size_t>(axis)]; }
  /// Children of one instance.
  std::int64_t children() const { return fan_out[0].size * fan_out[1].size; }
};

/// Linear area model of what is built, mm^2.
struct ChainArea {
  struct PerLevel {
    double per_instance = 0, per_kib = 0;  ///< KiB of 1024 bytes of one instance
  };
  double base = 0, per_mac = 0;
  std::vector<PerLevel> levels;  ///< [level]
};

/// The numbers of a chain that what it costs depends on, built with one hardware, as numbers or as tensors of
/// shape []. Those of a level are those of one instance.
template <typename Number>
struct ChainNumbers {
  struct Level {
    std::optional<Number> read_words_per_cycle, write_words_per_cycle, words_per_cycle;
    Number vector_words{}, vector_pj{};
    Number built_words{};
    std::array<Number, kAxes> fan_out{};
    Number per_instance{}, per_kib{};  ///< ChainArea::PerLevel
  };
  Number mac_pj{};
  std::vector<Level> levels;
  Number base{}, per_mac{};  ///< ChainArea
  Number one{};              ///< the constant
};

/// A whole machine: schema "dosa-hardware/2", documented in data/hardware/README.md. The numbers of its
/// levels are those of one hardware, at first of the default one.
class Chain : public Machine {
 public:
  double mac_energy_pj = 0;
  std::vector<ChainLevel> levels;  ///< innermost first; the last one holds everything
  ChainArea area;
  /// [shape parameter] the sizes that a search tries, ascending.
  std::vector<std::vector<std::int64_t>> shape_values;

  Chain() { rules = "chain"; }

  int dram() const { return static_cast<int>(levels.size()) - 1; }
  /// Of a shape parameter, the sizes that a search tries between two, ascending; these two are among them.
  std::vector<std::int64_t> shape_values_between(std::size_t parameter, std::int64_t min,
                                                 std::int64_t max) const;
  /// "L2[WI]"
  std::string level_label(int level) const;
  /// Instances that are built of a level; -1: of the MACs.
  std::int64_t instances(int level) const;
  /// The same machine built with this hardware, of which a level may have no words at all where its
  /// instances share too few. Throws Error{kValue} naming the level for sizes beyond what any machine may
  /// have.
  Chain at(const Hardware& hardware) const;
  double area_mm2(const Hardware& hardware) const override;
  CostBasis cost_basis() const override;
  std::vector<LevelWords> level_words() const override;
};

/// Reads numbers as they are, and wants no names of them, which take most of the time.
struct AsTheyAre {
  double operator()(const MachineNumber& number) const { return number.value; }
};

/// What a table says between its values: on the lines from one to the next. At a value, that number exactly,
/// with the mean of the slopes on both sides, where there are any beyond.
template <typename Number>
Number interpolated(const std::vector<ByParameter::Entry>& table, const std::vector<Number>& numbers,
                    const Number& at) {
  using std::abs;
  Number sum = numbers.front() * 0;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto value = static_cast<double>(table[i].value);
    // From 0 at the value before to 1 at this one, and to 0 at the next.
    Number weight = at * 0 + 1;
    const auto at_most = [&](const Number& line) { weight = (weight + line - abs(weight - line)) / 2; };
    if (i > 0) {
      const auto before = static_cast<double>(table[i - 1].value);
      at_most((at - before) / (value - before));
    }
    if (i + 1 < table.size()) {
      const auto next = static_cast<double>(table[i + 1].value);
      at_most((next - at) / (next - value));
    }
    sum = sum + numbers[i] * ((weight + abs(weight)) / 2);
  }
  return sum;
}

/// The numbers of a chain, each as `read` gives it: a function of a MachineNumber, which is called for every
/// number in the same order whatever it returns. `parameters` are the sizes of the hardware, in the order of
/// the machine, as what `read` returns.
template <typename Read, typename Number>
ChainNumbers<Number> numbers_of(const Chain& chain, const std::vector<Number>& parameters, const Read& read) {
  using Kind = NumberKind;
  constexpr bool kNames = !std::is_same_v<Read, AsTheyAre>;
  std::vector<std::string> keys(chain.levels.size());
  if constexpr (kNames) {
    std::vector<std::string> names;
    for (const ChainLevel& level : chain.levels) names.push_back(level.name);
    keys = level_keys(names);
  }
  const auto number = [&](Kind kind, double value, std::initializer_list<const char*> keys_of_it,
                          const char* unit, const char* per = "") -> Number {
    if constexpr (!kNames) {
      return read(MachineNumber{kind, value, {}, {}});
    } else {
      std::string name;
      for (const char* key : keys_of_it) name += key;
      return read(MachineNumber{kind, value, name, std::string(unit) + per});
    }
  };
  ChainNumbers<Number> numbers;
  numbers.mac_pj = number(Kind::kEnergy, chain.mac_energy_pj, {"mac.energy_pj"}, "pJ");
  numbers.base = number(Kind::kArea, chain.area.base, {"area_mm2.base"}, "mm2");
  numbers.per_mac = number(Kind::kArea, chain.area.per_mac, {"area_mm2.per_mac"}, "mm2/MAC");
  numbers.one = number(Kind::kConstant, 1, {}, "");
  numbers.levels.resize(chain.levels.size());
  Number instances = numbers.one;
  for (std::size_t l = chain.levels.size(); l-- > 0;) {
    const ChainLevel& level = chain.levels[l];
    const char* const key = keys[l].c_str();
    auto& own = numbers.levels[l];
    /// A number that the file gives, or that follows from a parameter by others that it gives.
    const auto given = [&](Kind kind, double value, const std::optional<ByParameter>& rule, const char* name,
                           const char* unit) -> Number {
      if (!rule) return number(kind, value, {key, name}, unit);
      const Number& parameter = parameters[rule->parameter];
      if (!rule->table.empty()) {
        std::vector<Number> listed;
        for (const ByParameter::Entry& entry : rule->table) {
          listed.push_back(
              number(kind, entry.number, {key, name, ".table.", std::to_string(entry.value).c_str()}, unit));
        }
        return interpolated(rule->table, listed, parameter);
      }
      const std::string per = kNames ? " per " + chain.parameters[rule->parameter].name : "";
      const Number times = number(kind, rule->times, {key, name, ".times"}, unit, per.c_str());
      const Number constant = number(kind, rule->constant, {key, name, ".constant"}, unit);
      const Number product = times * parameter;
      return (rule->shared ? Number(product / instances) : product) + constant;
    };
    const auto bandwidth = [&](const std::optional<double>& words, const std::optional<ByParameter>& rule,
                               const char* name, std::optional<Number>& of_level) {
      if (words) of_level = given(Kind::kBandwidth, *words, rule, name, "words/cycle");
    };
    const ChainLevel::Rules& rules = level.rules;
    bandwidth(level.read_words_per_cycle, rules.read_words_per_cycle, ".read_words_per_cycle",
              own.read_words_per_cycle);
    bandwidth(level.write_words_per_cycle, rules.write_words_per_cycle, ".write_words_per_cycle",
              own.write_words_per_cycle);
    bandwidth(level.words_per_cycle, rules.words_per_cycle, ".words_per_cycle", own.words_per_cycle);
    own.vector_words =
        given(Kind::kConstant, level.vector_words, rules.vector_words, ".vector_words", "words");
    own.vector_pj =
        level.word_pj
            ? given(Kind::kEnergy, *level.word_pj, rules.word_pj, ".word_pj", "pJ/word") * own.vector_words
            : given(Kind::kEnergy, level.vector_pj, rules.vector_pj, ".vector_pj", "pJ/vector");
    own.built_words =
        given(level.built_words > 0 ? Kind::kCapacity : Kind::kConstant,
              static_cast<double>(level.built_words), rules.built_words, ".capacity_words", "words");
    for (const MeshAxis axis : mesh_axes()) {
      const auto a = static_cast<std::size_t>(axis);
      const FanOut& fan_out = level.fan_out[a];
      const bool fans = fan_out.dims != DimSet{};
      own.fan_out[a] =
          given(fans ? Kind::kFanOut : Kind::kConstant, static_cast<double>(fan_out.size), rules.fan_out[a],
                axis == MeshAxis::X ? ".fan_out.X.size" : ".fan_out.Y.size", "children");
    }
    const ChainArea::PerLevel& area = chain.area.levels[l];
    own.per_instance =
        number(Kind::kArea, area.per_instance, {key, ".area_mm2.per_instance"}, "mm2/instance");
    own.per_kib = number(Kind::kArea, area.per_kib, {key, ".area_mm2.per_kib"}, "mm2/KiB");
    for (const Number& children : own.fan_out) instances = instances * children;
  }
  return numbers;
}

/// The numbers themselves, of a chain with this hardware.
ChainNumbers<double> numbers_of(const Chain& chain, const Hardware& hardware);

/// mm^2 of what is built of these numbers.
template <typename Number>
Number area_mm2(const Chain& chain, const ChainNumbers<Number>& numbers) {
  Number mm2 = numbers.base;
  Number instances = numbers.one;
  for (std::size_t l = chain.levels.size(); l-- > 0;) {
    const auto& level = numbers.levels[l];
    mm2 = mm2 + instances * (level.per_instance +
                             level.per_kib * level.built_words * chain.levels[l].word_bits / 8 / 1024);
    for (const Number& children : level.fan_out) instances = instances * children;
  }
  return mm2 + numbers.per_mac * instances;
}

/// A machine on which nothing costs more, holds less or is slower than with any hardware between two, both
/// included: each number is the best that it is with either. Such hardware need not exist.
Chain most_favourable(const Chain& machine, const Hardware& least, const Hardware& most);

/// Whether this is a machine of schema 2.
bool is_chain(const JsonInput& json);

/// Reads a machine of schema 2, with its default hardware; where its rules are Gemmini's, the memories that
/// array_machine_of() takes. Throws Error with file and key.
Chain read_chain(const JsonInput& json);
/// The same of machine_file().
Chain load_chain(const std::string& name_or_path);

/// A machine of schema 1 with these sizes as a chain: the array's rows and columns become fan-outs on X.
/// Sizes that are built double-buffered hold two tiles. Bounds of searches and the area model stay behind.
Chain chain_of(const ArrayMachine& machine, const ArraySizes& hardware);
/// The same of a machine of either schema.
Chain chain_of(const Machine& machine, const Hardware& hardware);

}  // namespace dosa
