// What the targets of machines with one array and two buffers have in common.
#pragma once

#include "dosa/core/search/problem.hpp"
#include "dosa/core/targets/target.hpp"
#include "dosa/models/array_machine.hpp"

namespace dosa {

class ArrayTarget : public Target {
 public:
  explicit ArrayTarget(std::shared_ptr<const ArrayMachine> machine)
      : Target(machine), array_machine_(std::move(machine)) {}

  const ArrayMachine& array_machine() const { return *array_machine_; }
  const std::shared_ptr<const ArrayMachine>& shared_array_machine() const { return array_machine_; }
  Mapping mapping_from_text(const std::string& text) const override {
    return parse_mapping(text, array_machine());
  }

 private:
  std::shared_ptr<const ArrayMachine> array_machine_;
};

/// A machine as one of this family. Throws Error{kValue} naming what asks for it.
std::shared_ptr<const ArrayMachine> as_array_machine(const MachinePtr& machine, const std::string& for_what);

/// The machine of a problem whose target is an ArrayTarget.
const ArrayMachine& array_machine(const SearchProblem& problem);

/// HardwareBounds by name.
struct ArrayBounds {
  ArraySizes min, max;
  double max_area_mm2;

  static ArrayBounds of(const HardwareBounds& bounds) {
    return {ArraySizes::of(bounds.min), ArraySizes::of(bounds.max), bounds.max_area_mm2};
  }
};

}  // namespace dosa
