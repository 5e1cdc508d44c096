#include "dosa/core/targets/mapping_schedule.hpp"

namespace dosa {

const Mapping& mapping_of(const SchedulePtr& schedule) {
  const auto* own = dynamic_cast<const MappingSchedule*>(schedule.get());
  TORCH_CHECK(own != nullptr, "the schedule is of another target");
  return own->mapping();
}

std::vector<Mapping> mappings_of(const std::vector<SchedulePtr>& schedules) {
  std::vector<Mapping> mappings;
  for (const SchedulePtr& schedule : schedules) mappings.push_back(mapping_of(schedule));
  return mappings;
}

MappedLayer padded_problem(const Layer& layer, Mapping mapping) {
  MappedLayer problem{mapping.padded(layer), {}, ""};
  for (const Dim dim : all_dims()) {
    if (problem.layer[dim] == layer[dim]) continue;
    problem.comment += fmt::format("{}{} {} for {}", problem.comment.empty() ? "padded: " : ", ",
                                   name_of(dim), problem.layer[dim], layer[dim]);
  }
  mapping.padded_from = {};
  problem.mapping = std::move(mapping);
  return problem;
}

void refuse_surrogate(const Machine& machine, const TargetOptions& options) {
  if (options.surrogate.empty()) return;
  fail(ErrorId::kUsage, "--surrogate: the latencies of machine {} are analytical; see dosa predict",
       machine.name);
}

}  // namespace dosa
