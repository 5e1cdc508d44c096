// The machine description: memory levels, what they hold, what they cost. Nothing of it is compiled in.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dosa/models/layer.hpp"

namespace dosa {

struct Chain;

/// The sizes that a design chooses. Buffers are the single-buffered need in KiB of 1024 bytes.
struct ArraySizes {
  std::int64_t pe_dim = 0;  ///< the array is pe_dim x pe_dim
  std::int64_t scratchpad_kib = 0;
  std::int64_t accumulator_kib = 0;
  bool operator==(const ArraySizes& o) const {
    return pe_dim == o.pe_dim && scratchpad_kib == o.scratchpad_kib && accumulator_kib == o.accumulator_kib;
  }
};

/// What the rooms outside the targets call them.
using Hardware = ArraySizes;

/// The largest sizes that any file or flag may give.
inline constexpr std::int64_t kMaxPeDim = 1 << 14;
inline constexpr std::int64_t kMaxKib = 1 << 24;
/// The largest energy of one access or operation.
inline constexpr double kMaxPicojoules = 1e9;

/// The sizes by name, for reading, writing and bounding them in one loop.
struct ArraySizeField {
  const char* name;
  std::int64_t ArraySizes::*value;
  std::int64_t max;
};
inline constexpr std::array<ArraySizeField, 3> kArraySizes{
    {{"pe_dim", &ArraySizes::pe_dim, kMaxPeDim},
     {"scratchpad_kib", &ArraySizes::scratchpad_kib, kMaxKib},
     {"accumulator_kib", &ArraySizes::accumulator_kib, kMaxKib}}};

/// A quantity that is constant or grows with the array: constant + per_pe_dim * pe_dim.
struct Quantity {
  double constant = 0;
  double per_pe_dim = 0;
  /// For a number or a tensor; costs no operation where it is pe_dim itself.
  template <typename T>
  T at(const T& pe_dim) const {
    const T scaled = per_pe_dim == 1 ? pe_dim : T(pe_dim * per_pe_dim);
    return constant == 0 ? scaled : T(scaled + constant);
  }
};

/// Energy of one word: pj + pj_per_kib * (KiB of one instance - at_kib).
struct WordEnergy {
  double pj = 0;
  double pj_per_kib = 0;
  double at_kib = 0;
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
  WordEnergy energy;

  bool holds_operand(Operand o) const { return holds[static_cast<std::size_t>(o)]; }
};

/// Linear area model in mm^2.
struct AreaModel {
  double base = 0, per_pe = 0, per_scratchpad_kib = 0, per_accumulator_kib = 0;
};

/// A permutation of the seven dimensions, innermost first.
using LoopOrder = std::array<Dim, kDims>;

/// Schema "dosa-hardware/1", documented in data/hardware/README.md.
struct Machine {
  std::string name;
  std::string description;
  std::string hash;  ///< content_hash of what its file says
  /// The rules by which layers run on it, one of core/targets/registry.cpp: "mappings" (loop nests),
  /// "chain" (loop nests on a machine of schema 2), "gemmini".
  std::string rules = "mappings";
  /// How many tiles the sizes of the buffers hold: 1, a design's sizes are the need of one tile; 2, they are
  /// as built, double-buffered.
  int buffering = 1;
  double mac_energy_pj = 0;
  std::vector<MemoryLevel> levels;  ///< innermost first; the last one is DRAM
  AreaModel area;
  ArraySizes default_hardware;
  ArraySizes min_hardware, max_hardware;  ///< what a search may choose unless the user says otherwise
  /// Loop orders that a search tries, per level; one canonical order where the file gives none.
  std::vector<std::vector<LoopOrder>> search_orders;
  /// Dimensions that a search tiles at a level; a subset of what may loop there.
  std::vector<DimSet> search_temporal;
  /// A machine of schema 2 (rules "chain") has all of its levels here, and nothing but its name, description
  /// and hash above.
  std::shared_ptr<const Chain> chain;

  int dram() const { return static_cast<int>(levels.size()) - 1; }
  /// "L2[WI]"
  std::string level_label(int level) const;
};

/// The size in hardware of what sizes a level, which is sized by something.
std::int64_t capacity_kib(const MemoryLevel& memory, const ArraySizes& hardware);

/// "L2[WI]": how mappings name a level that holds these tensors.
std::string level_label(int level, const OperandSet& holds);

/// A shipped machine's name or the path of a JSON or YAML file, of either schema. Throws Error.
Machine load_machine(const std::string& name_or_path);

/// Reads {pe_dim, scratchpad_kib, accumulator_kib}. Throws Error.
ArraySizes hardware_from_json(const JsonInput& json);
Json to_json(const ArraySizes& hardware);

}  // namespace dosa
