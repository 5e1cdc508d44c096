// A machine as one chain of memories: what each level holds, how large, wide and dear it is, and how it fans
// out below. The model of such a machine is chain_model.hpp. Nothing of it is compiled in.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "dosa/models/array_machine.hpp"
#include "dosa/models/layer.hpp"

namespace dosa {

/// More levels than this are a mistake in a description.
inline constexpr std::size_t kMostLevels = 16;

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

/// How a number follows from a parameter: times * parameter + constant.
struct ByParameter {
  std::size_t parameter = 0;  ///< its place in Machine::parameters
  double times = 1, constant = 0;

  double of(std::int64_t value) const { return times * static_cast<double>(value) + constant; }
  double at(const Hardware& hardware) const { return of(hardware[parameter]); }
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

  /// What these numbers follow from where a design chooses them.
  struct Rules {
    std::optional<ByParameter> built_words, vector_pj;
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
    Number vector_pj{};
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
  /// The same machine built with this hardware. Throws Error{kValue} naming the level for sizes beyond what
  /// any machine may have.
  Chain at(const Hardware& hardware) const;
  double area_mm2(const Hardware& hardware) const override;
  CostBasis cost_basis() const override;
  std::vector<LevelWords> level_words() const override;
};

/// The numbers of a chain, each as `read` gives it: a function of a MachineNumber, which is called for every
/// number in the same order whatever it returns. `parameters` are the sizes of the hardware, in the order of
/// the machine, as what `read` returns.
template <typename Read, typename Number>
ChainNumbers<Number> numbers_of(const Chain& chain, const std::vector<Number>& parameters, const Read& read) {
  using Kind = NumberKind;
  /// A number that the file gives, or that follows from a parameter by two that it gives.
  const auto given = [&](Kind kind, double value, const std::optional<ByParameter>& rule,
                         const std::string& key, const std::string& unit) -> Number {
    if (!rule) return read(MachineNumber{kind, value, key, unit});
    const Number times = read(MachineNumber{kind, rule->times, key + ".times",
                                            unit + " per " + chain.parameters[rule->parameter].name});
    const Number constant = read(MachineNumber{kind, rule->constant, key + ".constant", unit});
    return times * parameters[rule->parameter] + constant;
  };
  ChainNumbers<Number> numbers;
  numbers.mac_pj = read(MachineNumber{Kind::kEnergy, chain.mac_energy_pj, "mac.energy_pj", "pJ"});
  std::vector<std::string> names;
  for (const ChainLevel& level : chain.levels) names.push_back(level.name);
  const std::vector<std::string> keys = level_keys(names);
  for (std::size_t l = 0; l < chain.levels.size(); ++l) {
    const ChainLevel& level = chain.levels[l];
    const std::string& key = keys[l];
    auto& own = numbers.levels.emplace_back();
    const auto bandwidth = [&](const std::optional<double>& words, const std::optional<ByParameter>& rule,
                               const char* name, std::optional<Number>& number) {
      if (words) number = given(Kind::kBandwidth, *words, rule, key + "." + name, "words/cycle");
    };
    bandwidth(level.read_words_per_cycle, level.rules.read_words_per_cycle, "read_words_per_cycle",
              own.read_words_per_cycle);
    bandwidth(level.write_words_per_cycle, level.rules.write_words_per_cycle, "write_words_per_cycle",
              own.write_words_per_cycle);
    bandwidth(level.words_per_cycle, level.rules.words_per_cycle, "words_per_cycle", own.words_per_cycle);
    own.vector_pj =
        given(Kind::kEnergy, level.vector_pj, level.rules.vector_pj, key + ".vector_pj", "pJ/vector");
    own.built_words = given(level.built_words > 0 ? Kind::kCapacity : Kind::kConstant,
                            static_cast<double>(level.built_words), level.rules.built_words,
                            key + ".capacity_words", "words");
    for (const MeshAxis axis : mesh_axes()) {
      const auto a = static_cast<std::size_t>(axis);
      const FanOut& fan_out = level.fan_out[a];
      const bool fans = fan_out.dims != DimSet{};
      own.fan_out[a] = given(fans ? Kind::kFanOut : Kind::kConstant, static_cast<double>(fan_out.size),
                             level.rules.fan_out[a], key + ".fan_out." + name_of(axis) + ".size", "children");
    }
    const ChainArea::PerLevel& area = chain.area.levels[l];
    own.per_instance =
        read(MachineNumber{Kind::kArea, area.per_instance, key + ".area_mm2.per_instance", "mm2/instance"});
    own.per_kib = read(MachineNumber{Kind::kArea, area.per_kib, key + ".area_mm2.per_kib", "mm2/KiB"});
  }
  numbers.base = read(MachineNumber{Kind::kArea, chain.area.base, "area_mm2.base", "mm2"});
  numbers.per_mac = read(MachineNumber{Kind::kArea, chain.area.per_mac, "area_mm2.per_mac", "mm2/MAC"});
  numbers.one = read(MachineNumber{Kind::kConstant, 1, "", ""});
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

/// Reads a machine of schema 2, with its default hardware. Throws Error with file and key.
Chain read_chain(const JsonInput& json);
/// The same of machine_file().
Chain load_chain(const std::string& name_or_path);

/// A machine of schema 1 with these sizes as a chain: the array's rows and columns become fan-outs on X.
/// Sizes that are built double-buffered hold two tiles. Bounds of searches and the area model stay behind.
Chain chain_of(const ArrayMachine& machine, const ArraySizes& hardware);
/// The same of a machine of either schema.
Chain chain_of(const Machine& machine, const Hardware& hardware);

}  // namespace dosa
