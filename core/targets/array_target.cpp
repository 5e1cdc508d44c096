#include "dosa/core/targets/array_target.hpp"

#include "dosa/models/base/error.hpp"

namespace dosa {

std::shared_ptr<const ArrayMachine> as_array_machine(const MachinePtr& machine, const std::string& for_what) {
  auto own = std::dynamic_pointer_cast<const ArrayMachine>(machine);
  if (!own) {
    fail(ErrorId::kValue,
         "{}: found machine {}, a chain of memories; expected one of dosa-hardware/1 or with Gemmini's rules",
         for_what, machine->name);
  }
  return own;
}

const ArrayMachine& array_machine(const SearchProblem& problem) {
  return static_cast<const ArrayTarget&>(*problem.target).array_machine();
}

}  // namespace dosa
