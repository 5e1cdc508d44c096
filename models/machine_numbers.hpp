// The numbers of a machine by name: what a user may change in its file, and what a design is sensitive to.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dosa/models/base/json_input.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa {

/// What a number of a machine is. kConstant: nothing that a file or a design gives, such as the 1 of a level
/// that does not fan out.
enum class NumberKind { kConstant, kParameter, kCapacity, kFanOut, kBandwidth, kEnergy, kArea };
/// "parameter", "capacity", "fan-out", "bandwidth", "energy", "area"; empty for a constant.
const char* to_string(NumberKind kind);

struct MachineNumber {
  NumberKind kind = NumberKind::kConstant;
  double value = 0;
  /// As NumberChange names it; of a parameter, its name.
  std::string name;
  std::string unit;  ///< "pJ/word"
};

/// The keys under which the levels of these names are found in names of numbers: a level's name where no
/// other level has it and nothing else of a machine's file is called so, else "levels.N".
std::vector<std::string> level_keys(const std::vector<std::string>& level_names);

/// A number of a machine's file that is to be another one. Named by its keys with dots between, where a level
/// goes by its name: "mac.energy_pj", "dram.words_per_cycle", "scratchpad.energy.pj", "area_mm2.per_pe",
/// "hardware.max.pe_dim"; "levels.3.words_per_cycle" names a level by its place.
struct NumberChange {
  std::string name;
  double value = 0;
};
using NumberChanges = std::vector<NumberChange>;

/// "dram.words_per_cycle=16". Throws Error{kUsage} for another form or a number that is not finite.
NumberChange change_from_text(const std::string& text);
/// {"dram.words_per_cycle": 16}
Json to_json(const NumberChanges& changes);
NumberChanges changes_from_json(const JsonInput& json);
/// Both, where the later ones take the place of earlier ones of the same name.
NumberChanges joined(NumberChanges earlier, const NumberChanges& later);

/// A machine as a user names it: a shipped name or the path of a file, with other numbers than that says.
struct MachineChoice {
  std::string name_or_path;
  NumberChanges set;
  std::optional<Remainders> remainders;  ///< other than the file says

  MachineChoice() = default;
  // Most callers have a name alone.
  MachineChoice(std::string name) : name_or_path(std::move(name)) {}
  MachineChoice(const char* name) : name_or_path(name) {}
  MachineChoice(std::string name, NumberChanges changes)
      : name_or_path(std::move(name)), set(std::move(changes)) {}

  /// This one, or where it names no machine, `name` with the same numbers.
  MachineChoice or_else(const std::string& name) const {
    MachineChoice choice = *this;
    if (name_or_path.empty()) choice.name_or_path = name;
    return choice;
  }
};

/// The content of a machine's file with these changes. A key that is not there is added; whether it and its
/// value are allowed is for the reader of the machine to say. Throws Error{kValue} for a name that leads to
/// no number.
JsonInput with_changes(const JsonInput& file, const NumberChanges& changes);

}  // namespace dosa
