#include "dosa/core/targets/registry.hpp"

#include <array>

#include "dosa/core/import/file_kind.hpp"
#include "dosa/core/targets/chain/target.hpp"
#include "dosa/core/targets/gemmini/machine_file.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/core/targets/mapping/target.hpp"
#include "dosa/core/targets/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {

struct Rules {
  const char* name;
  TargetPtr (*make)(const MachinePtr&, const TargetOptions&);
  void (*check)(const MachinePtr&);  // null: they ask for nothing
};
void check_gemmini(const MachinePtr& machine) {
  gemmini::check_machine(*as_array_machine(machine, "rules: gemmini"));
}
// One line for each folder of core/targets.
constexpr std::array<Rules, 3> kRules{{{"mappings", make_mapping_target, nullptr},
                                       {"chain", make_chain_target, nullptr},
                                       {"gemmini", gemmini::make_gemmini_target, check_gemmini}}};

}  // namespace

TargetPtr make_target(const MachinePtr& machine, const TargetOptions& options) {
  std::vector<std::string> names;
  for (const Rules& rules : kRules) {
    if (machine->rules == rules.name) return rules.make(machine, options);
    names.emplace_back(rules.name);
  }
  fail(ErrorId::kValue, "machine {}: rules: found '{}', allowed: {}", machine->name, machine->rules,
       fmt::join(names, ", "));
}

MachinePtr load_ruled_machine(const MachineChoice& choice) {
  expect_kind(resolve_shipped(choice.name_or_path, "hardware"), Wanted::kMachine);
  MachinePtr machine = load_machine(choice);
  for (const Rules& rules : kRules) {
    if (machine->rules != rules.name || rules.check == nullptr) continue;
    try {
      rules.check(machine);
    } catch (const Error& error) {
      throw error.in(choice.name_or_path);
    }
  }
  return machine;
}

TargetPtr load_target(const MachineChoice& choice, const TargetOptions& options) {
  return make_target(load_ruled_machine(choice), options);
}

}  // namespace dosa
