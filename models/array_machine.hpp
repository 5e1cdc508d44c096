// A machine with one square array and two buffers, as Gemmini is: memory levels, what they hold, what they
// cost, as functions of these three sizes. Its model is cost/cost_model.hpp. Nothing of it is compiled in.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "dosa/models/layer.hpp"
#include "dosa/models/machine.hpp"

namespace dosa {

/// Places of an ArrayMachine's parameters; the array is what shapes it.
inline constexpr std::size_t kPeParameter = 0, kScratchpadParameter = 1, kAccumulatorParameter = 2;

/// The sizes of such a machine. Buffers are the single-buffered need in KiB of 1024 bytes.
struct ArraySizes {
  std::int64_t pe_dim = 0;  ///< the array is pe_dim x pe_dim
  std::int64_t scratchpad_kib = 0;
  std::int64_t accumulator_kib = 0;

  /// Hardware of an ArrayMachine.
  static ArraySizes of(const Hardware& hardware) {
    return {hardware[kPeParameter], hardware[kScratchpadParameter], hardware[kAccumulatorParameter]};
  }
  operator Hardware() const { return {{pe_dim, scratchpad_kib, accumulator_kib}}; }
  bool operator==(const ArraySizes& o) const {
    return pe_dim == o.pe_dim && scratchpad_kib == o.scratchpad_kib && accumulator_kib == o.accumulator_kib;
  }
};

/// The sizes by name, in the order of an ArrayMachine's parameters.
struct ArraySizeField {
  const char* name;
  const char* label;
  const char* unit;
  std::int64_t ArraySizes::*value;
  std::int64_t max;
};
inline constexpr std::array<ArraySizeField, 3> kArraySizes{
    {{"pe_dim", "pe_dim", "", &ArraySizes::pe_dim, kMaxPeDim},
     {"scratchpad_kib", "scratchpad", "KiB", &ArraySizes::scratchpad_kib, kMaxKib},
     {"accumulator_kib", "accumulator", "KiB", &ArraySizes::accumulator_kib, kMaxKib}}};

/// {pe_dim, scratchpad_kib, accumulator_kib}. Reading throws Error.
Json to_json(const ArraySizes& sizes);
ArraySizes sizes_from_json(const JsonInput& json);

/// The buffers among them: 0, the scratchpad; 1, the accumulator.
inline constexpr std::size_t kArrayBuffers = kArraySizes.size() - 1;
inline std::int64_t buffer(const ArraySizes& sizes, std::size_t b) { return sizes.*kArraySizes[b + 1].value; }
inline std::int64_t& buffer(ArraySizes& sizes, std::size_t b) { return sizes.*kArraySizes[b + 1].value; }

/// A quantity that is constant or grows with the array: constant + per_pe_dim * pe_dim. Of numbers or, where
/// derivatives by them are wanted, of tensors of shape [].
template <typename Number>
struct QuantityOf {
  Number constant{};
  Number per_pe_dim{};
  /// For a number or a tensor; of numbers, costs no operation where it is pe_dim itself.
  template <typename T>
  T at(const T& pe_dim) const {
    if constexpr (std::is_arithmetic_v<Number>) {
      const T scaled = per_pe_dim == 1 ? pe_dim : T(pe_dim * per_pe_dim);
      return constant == 0 ? scaled : T(scaled + constant);
    } else {
      return pe_dim * per_pe_dim + constant;
    }
  }
};
using Quantity = QuantityOf<double>;

/// Energy of one word: pj + pj_per_kib * (KiB of one instance - at_kib).
struct WordEnergy {
  double pj = 0;
  double pj_per_kib = 0;
  double at_kib = 0;

  /// Of instances of this size.
  double at(double kib) const { return pj + pj_per_kib * (kib - at_kib); }
};

/// Which design parameter sizes a level.
enum class SizedBy { kNothing, kScratchpad, kAccumulator };

struct MemoryLevel {
  std::string name;    ///< "scratchpad"
  OperandSet holds{};  ///< which tensors it stores
  DimSet temporal{};   ///< dimensions that may loop here
  DimSet spatial{};    ///< dimensions that may fan out below here
  int word_bits = 8;
  SizedBy sized_by = SizedBy::kNothing;
  Quantity instances{1, 0};                 ///< how many the hardware has (a capacity is the sum of all)
  std::optional<Quantity> words_per_cycle;  ///< bandwidth of one instance; absent: never a bottleneck
  Quantity vector_words{1, 0};              ///< accesses are charged per vector of this many words
  /// DRAM of Gemmini's rules: every row of a tile moves the whole vectors that it touches.
  bool whole_lines = false;
  WordEnergy energy;

  bool holds_operand(Operand o) const { return holds[static_cast<std::size_t>(o)]; }
};

/// Linear area model in mm^2, of numbers or of tensors.
template <typename Number>
struct AreaModelOf {
  Number base{}, per_pe{}, per_scratchpad_kib{}, per_accumulator_kib{};

  /// Of sizes that are numbers or tensors.
  template <typename T>
  T mm2(const T& pe_dim, const T& scratchpad_kib, const T& accumulator_kib) const {
    return pe_dim * pe_dim * per_pe + scratchpad_kib * per_scratchpad_kib +
           accumulator_kib * per_accumulator_kib + base;
  }
};
using AreaModel = AreaModelOf<double>;

/// The numbers of an ArrayMachine that what it costs depends on, as numbers or as tensors of shape [].
template <typename Number>
struct ArrayNumbers {
  struct Level {
    Number pj{}, pj_per_kib{}, at_kib{};  ///< WordEnergy
    std::optional<QuantityOf<Number>> words_per_cycle;
  };
  Number mac_pj{};
  std::vector<Level> levels;
  AreaModelOf<Number> area;
};

/// A permutation of the seven dimensions, innermost first.
using LoopOrder = std::array<Dim, kDims>;

/// Schema "dosa-hardware/1", and of "dosa-hardware/2" machines with Gemmini's rules; documented in
/// data/hardware/README.md.
class ArrayMachine : public Machine {
 public:
  /// How many tiles the sizes of the buffers hold: 1, a design's sizes are the need of one tile; 2, they are
  /// as built, double-buffered.
  int buffering = 1;
  /// Whether its file is of schema 2, by whose keys its numbers then go.
  bool of_chain = false;
  double mac_energy_pj = 0;
  std::vector<MemoryLevel> levels;  ///< innermost first; the last one is DRAM
  AreaModel area;
  /// Loop orders that a search tries, per level; one canonical order where the file gives none.
  std::vector<std::vector<LoopOrder>> search_orders;
  /// Dimensions that a search tiles at a level; a subset of what may loop there.
  std::vector<DimSet> search_temporal;

  ArrayMachine();

  int dram() const { return static_cast<int>(levels.size()) - 1; }
  /// "L2[WI]"
  std::string level_label(int level) const;
  /// The names under which its levels' numbers go.
  std::vector<std::string> level_keys() const;
  double area_mm2(const Hardware& hardware) const override;
  CostBasis cost_basis() const override;
  std::vector<LevelWords> level_words() const override;
};

/// The numbers of a machine, each as `read` gives it: a function of a MachineNumber, which is called for
/// every number in the same order whatever it returns.
template <typename Read>
auto numbers_of(const ArrayMachine& machine, const Read& read) {
  using Kind = NumberKind;
  ArrayNumbers<decltype(read(MachineNumber{}))> numbers;
  numbers.mac_pj = read(MachineNumber{Kind::kEnergy, machine.mac_energy_pj, "mac.energy_pj", "pJ"});
  const std::vector<std::string> keys = machine.level_keys();
  const bool chain = machine.of_chain;
  for (std::size_t l = 0; l < machine.levels.size(); ++l) {
    const MemoryLevel& memory = machine.levels[l];
    auto& level = numbers.levels.emplace_back();
    const char* const word_pj = memory.energy.pj_per_kib == 0 ? ".word_pj" : ".word_pj.constant";
    level.pj = read(MachineNumber{Kind::kEnergy, memory.energy.pj, keys[l] + (chain ? word_pj : ".energy.pj"),
                                  "pJ/word"});
    level.pj_per_kib =
        read(MachineNumber{Kind::kEnergy, memory.energy.pj_per_kib,
                           keys[l] + (chain ? ".word_pj.times" : ".energy.pj_per_kib"), "pJ/word/KiB"});
    level.at_kib =  // 0 in schema 2, which has no such key
        read(MachineNumber{Kind::kEnergy, memory.energy.at_kib, keys[l] + ".energy.at_kib", "KiB"});
    if (!memory.words_per_cycle) continue;
    const Quantity& words = *memory.words_per_cycle;
    const std::string key = keys[l] + ".words_per_cycle";
    const bool grows = words.per_pe_dim != 0;
    auto& quantity = level.words_per_cycle.emplace();
    quantity.constant =
        read(MachineNumber{Kind::kBandwidth, words.constant, grows ? key + ".constant" : key, "words/cycle"});
    quantity.per_pe_dim = read(MachineNumber{Kind::kBandwidth, words.per_pe_dim,
                                             key + (chain ? ".times" : ".per_pe_dim"), "words/cycle/pe_dim"});
  }
  const auto area = [&](double value, const std::string& key, const char* unit) {
    return read(MachineNumber{Kind::kArea, value, key, unit});
  };
  const auto area_per_kib = [&](double value, SizedBy of, const char* key) {
    for (std::size_t l = 0; chain && l < machine.levels.size(); ++l) {
      if (machine.levels[l].sized_by == of) return area(value, keys[l] + ".area_mm2.per_kib", "mm2/KiB");
    }
    return area(value, key, "mm2/KiB");
  };
  numbers.area.base = area(machine.area.base, "area_mm2.base", "mm2");
  numbers.area.per_pe = area(machine.area.per_pe, chain ? "area_mm2.per_mac" : "area_mm2.per_pe", "mm2");
  numbers.area.per_scratchpad_kib =
      area_per_kib(machine.area.per_scratchpad_kib, SizedBy::kScratchpad, "area_mm2.per_scratchpad_kib");
  numbers.area.per_accumulator_kib =
      area_per_kib(machine.area.per_accumulator_kib, SizedBy::kAccumulator, "area_mm2.per_accumulator_kib");
  return numbers;
}

/// The size in hardware of what sizes a level, which is sized by something.
std::int64_t capacity_kib(const MemoryLevel& memory, const ArraySizes& hardware);

/// "L2[WI]": how mappings name a level that holds these tensors.
std::string level_label(int level, const OperandSet& holds);

/// Reads a machine of schema 1. Throws Error with file and key.
ArrayMachine read_array_machine(const JsonInput& json);
/// One of either schema, of machine_file().
ArrayMachine load_array_machine(const std::string& name_or_path);

}  // namespace dosa
