// A loop nest as a schedule, on machines whose layers run as loop nests: key "mapping".
#pragma once

#include <string>
#include <utility>

#include "dosa/core/targets/target.hpp"

namespace dosa {

class MappingSchedule : public Schedule {
 public:
  /// On an ArrayMachine or a Chain, whose levels its text names.
  template <typename AnyMachine>
  MappingSchedule(Mapping mapping, const AnyMachine& machine)
      : mapping_(std::move(mapping)), text_(print_mapping(mapping_, machine)) {}

  const Mapping& mapping() const { return mapping_; }
  const char* key() const override { return "mapping"; }
  Json json() const override { return text_; }
  std::string text() const override { return text_; }

 private:
  Mapping mapping_;
  std::string text_;
};

}  // namespace dosa
