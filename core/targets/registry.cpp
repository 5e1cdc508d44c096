// The list of rules that machines can name. One line for each folder of core/targets.
#include <array>

#include "dosa/core/targets/chain/target.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/core/targets/mapping/target.hpp"
#include "dosa/core/targets/target.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

struct Rules {
  const char* name;
  TargetPtr (*make)(const MachinePtr&, const TargetOptions&);
};
constexpr std::array<Rules, 3> kRules{{{"mappings", make_mapping_target},
                                       {"chain", make_chain_target},
                                       {"gemmini", gemmini::make_gemmini_target}}};

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

TargetPtr load_target(const std::string& name_or_path, const TargetOptions& options) {
  return make_target(load_machine(name_or_path), options);
}

}  // namespace dosa
