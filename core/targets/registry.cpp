#include "dosa/core/targets/registry.hpp"

#include <array>

#include "dosa/core/targets/gemmini/machine_file.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/core/targets/mapping/target.hpp"
#include "dosa/core/targets/target.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

struct Rules {
  const char* name;
  TargetPtr (*make)(Machine, const TargetOptions&);
  void (*check)(const Machine&);  // null: they ask for nothing
};
// One line for each folder of core/targets.
constexpr std::array<Rules, 2> kRules{{{"mappings", make_mapping_target, nullptr},
                                       {"gemmini", gemmini::make_gemmini_target, gemmini::check_machine}}};

}  // namespace

TargetPtr make_target(Machine machine, const TargetOptions& options) {
  std::vector<std::string> names;
  for (const Rules& rules : kRules) {
    if (machine.rules == rules.name) return rules.make(std::move(machine), options);
    names.emplace_back(rules.name);
  }
  fail(ErrorId::kValue, "machine {}: rules: found '{}', allowed: {}", machine.name, machine.rules,
       fmt::join(names, ", "));
}

Machine load_ruled_machine(const std::string& name_or_path) {
  Machine machine = load_machine(name_or_path);
  for (const Rules& rules : kRules) {
    if (machine.rules != rules.name || rules.check == nullptr) continue;
    try {
      rules.check(machine);
    } catch (const Error& error) {
      throw error.in(name_or_path);
    }
  }
  return machine;
}

TargetPtr load_target(const std::string& name_or_path, const TargetOptions& options) {
  return make_target(load_ruled_machine(name_or_path), options);
}

}  // namespace dosa
