// A loop nest as a schedule, and what the targets have in common whose layers run as loop nests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "dosa/core/targets/target.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {

/// Key "mapping".
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
  std::optional<Remainders> remainders() const override {
    if (mapping_.is_cut()) return Remainders::kCut;
    return mapping_.is_padded() ? std::optional(Remainders::kPadded) : std::nullopt;
  }

 private:
  Mapping mapping_;
  std::string text_;
};

/// The mappings of schedules, all of them MappingSchedules.
const Mapping& mapping_of(const SchedulePtr& schedule);
std::vector<Mapping> mappings_of(const std::vector<SchedulePtr>& schedules);

/// A layer as a mapping computes it, with the mapping that divides it; the comment says what is padded.
MappedLayer padded_problem(const Layer& layer, Mapping mapping);

/// The mapping that a design file's entry holds under "mapping", which belongs to the layer, on an
/// ArrayMachine or a Chain. Throws Error with file and key.
template <typename AnyMachine>
Mapping read_mapping(const JsonInput& entry, const Layer& layer, const AnyMachine& machine) {
  const JsonInput text = entry.at("mapping");
  try {
    Mapping mapping = parse_mapping(text.text(), machine);
    check_mapping(mapping, layer, machine);
    return mapping;
  } catch (const Error& error) {
    throw error.in(text.where());
  }
}

/// Runs a check of one of several layers; its errors name the layer.
template <typename Check>
void check_layer_of_many(const Layer& layer, const Check& check) {
  try {
    check();
  } catch (const Error& error) {
    throw error.in(fmt::format("layer '{}'", layer.name));
  }
}

/// Throws Error{kUsage} where a surrogate is asked for: latencies of mappings are analytical.
void refuse_surrogate(const Machine& machine, const TargetOptions& options);

}  // namespace dosa
