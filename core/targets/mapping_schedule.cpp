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

void refuse_surrogate(const Machine& machine, const TargetOptions& options) {
  if (options.surrogate.empty()) return;
  fail(ErrorId::kUsage, "--surrogate: the latencies of machine {} are analytical; see dosa predict",
       machine.name);
}

}  // namespace dosa
