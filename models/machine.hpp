// What every machine has, whatever its model: a name, the rules by which layers run on it, and the numbers
// that a design chooses. How it is described beyond that is its family's: array_machine.hpp, chain/chain.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dosa/models/base/json_input.hpp"
#include "dosa/models/machine_numbers.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa {

/// The largest sizes that any file or flag may give.
inline constexpr std::int64_t kMaxPeDim = 1 << 14;
inline constexpr std::int64_t kMaxKib = 1 << 24;
/// The largest energy of one access or operation.
inline constexpr double kMaxPicojoules = 1e9;
/// The largest area of one part.
inline constexpr double kMaxAreaMm2 = 1e6;

/// One whole number that a design chooses.
struct Parameter {
  std::string name;        ///< its key in files: "scratchpad_kib"
  std::string label;       ///< what people read: "scratchpad"
  std::string unit;        ///< "KiB"; empty: a count
  std::int64_t limit = 0;  ///< the largest that any file or flag may give
  /// What can be built: numbers from 1 on that are a multiple of `step` away from `first`.
  std::int64_t first = 1, step = 1;
  std::vector<std::int64_t> only = {};  ///< where there are any: these alone, ascending

  bool allows(std::int64_t value) const;
  /// The largest that can be built up to a value, and the least from a value on. Where there is none, the
  /// nearest that can.
  std::int64_t down(std::int64_t value) const;
  std::int64_t up(std::int64_t value) const;
  /// "256 and every 64 from there", "1024, 4096"
  std::string allowed_text() const;
};

/// A machine's parameters with values, in the order of Machine::parameters.
struct Hardware {
  std::vector<std::int64_t> values;

  /// Throws std::out_of_range beyond the parameters.
  std::int64_t operator[](std::size_t parameter) const { return values.at(parameter); }
  std::int64_t& operator[](std::size_t parameter) { return values.at(parameter); }
  std::size_t size() const { return values.size(); }
  bool operator==(const Hardware& o) const { return values == o.values; }
  bool operator<(const Hardware& o) const { return values < o.values; }
};

/// Figures of a machine's file that tell what technology its energies and areas are of.
struct CostBasis {
  int word_bits = 0;           ///< of a word in DRAM
  double mac_pj = 0;           ///< one multiply-accumulate
  double dram_pj_per_bit = 0;  ///< one access
  double mac_mm2 = 0;          ///< one multiplier with what belongs to it
};

/// The words of one level of memory.
struct LevelWords {
  std::string level;
  OperandSet holds{};
  int bits = 0;
};

class Machine {
 public:
  virtual ~Machine() = default;

  std::string name;
  std::string description;
  std::string hash;  ///< content_hash of what its file says, with `set`
  /// The numbers that are others than in its file. A design records them.
  NumberChanges set;
  /// The rules by which layers run on it, one of core/targets/registry.cpp: "mappings" (loop nests),
  /// "gemmini".
  std::string rules;
  /// Of Gemmini's rules: the month of the C library that runs the layers, as the file gives it; empty: the
  /// one that the rules are written for.
  std::string library;
  /// What its loops do where factors do not divide; "mappings" and "chain" only.
  Remainders remainders = Remainders::kPadded;
  /// First those that shape the machine, so that a schedule costs something else with every value of theirs;
  /// then the sizes of buffers, of which a schedule needs so much and which its energy depends on linearly.
  std::vector<Parameter> parameters;
  std::size_t shape_parameters = 0;
  Hardware default_hardware;
  Hardware min_hardware, max_hardware;  ///< what a search may choose unless the user says otherwise

  std::vector<std::string> parameter_names() const;
  std::size_t buffers() const { return parameters.size() - shape_parameters; }
  /// The place of a parameter of this name or label. Throws Error{kValue} with `where` and what there is.
  std::size_t parameter(const std::string& name_or_label, const std::string& where) const;
  /// mm^2 of hardware as it is built.
  virtual double area_mm2(const Hardware& hardware) const = 0;
  /// With the default hardware.
  virtual CostBasis cost_basis() const = 0;
  /// Of every level, the innermost first.
  virtual std::vector<LevelWords> level_words() const = 0;

  /// Reads an object with one number for every parameter, which can be built. Throws Error.
  Hardware hardware_from_json(const JsonInput& json) const;
  Json to_json(const Hardware& hardware) const;
  /// "pe_dim 16, scratchpad 128 KiB, accumulator 32 KiB"
  std::string text(const Hardware& hardware) const;
};
/// Throws Error{kValue} where a layer says that an element has more bits than a word of a level that holds
/// it: every element takes one word of each such level, as costs count them.
void check_word_bits(const Layer& layer, const Machine& machine);
/// Reads what files of either schema say of the rules by which layers run: `rules`, `library`, `remainders`;
/// and refuses `whole_lines` of a level where the rules have none. Throws Error with file and key.
void read_rules(const JsonInput& json, Machine& machine);
using MachinePtr = std::shared_ptr<const Machine>;

/// The content of a machine's file: a shipped name or the path of a JSON or YAML file. Throws Error.
JsonInput machine_file(const std::string& name_or_path);
/// Reads a machine of any schema: a Chain, or an ArrayMachine. Throws Error with file and key.
std::shared_ptr<Machine> read_machine(const JsonInput& json);
/// The same of a machine's file, with the numbers that were chosen. Throws Error, which names these
/// where the file is not a machine with them.
MachinePtr load_machine(const MachineChoice& choice);

}  // namespace dosa
