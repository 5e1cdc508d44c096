#include "dosa/core/search/hardware_bound.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/search/size_ranges.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

// The design in hand need not be proven better than this.
const double kEnough = std::log1p(0.001);

}  // namespace

std::optional<HardwareBound> bound_hardware(const SearchProblem& problem, double log_value_in_hand,
                                            const HardwareBoundOptions& options,
                                            const std::function<void(const HardwareBoundProgress&)>& progress,
                                            const std::atomic<bool>* interrupt) {
  Budget budget(0, 0, interrupt);
  const std::unique_ptr<SearchSpace> space = problem.target->space(problem, "cpu");
  SizeRanges ranges(problem, *space, options.threads);
  if (!ranges.known()) return std::nullopt;
  const auto gap = [&] { return std::max(0.0, std::expm1(log_value_in_hand - ranges.log_value())); };
  HardwareBound bound;
  for (;;) {
    if (progress) progress({ranges.bounded(), options.max_ranges, gap(), budget.elapsed()});
    bound.whole = log_value_in_hand - ranges.log_value() <= kEnough;
    if (bound.whole || budget.interrupted() || ranges.bounded() >= options.max_ranges) break;
    bound.whole = !ranges.halve();
    if (bound.whole) break;
  }
  bound.log_value = std::min(ranges.log_value(), log_value_in_hand);
  bound.gap = gap();
  bound.ranges = ranges.bounded();
  bound.wall_s = budget.elapsed();
  return bound;
}

Json to_json(const HardwareBound& bound) {
  return {{"gap", bound.gap},
          {"least_value", std::exp(bound.log_value)},
          {"ranges", bound.ranges},
          {"whole", bound.whole},
          {"wall_time_s", bound.wall_s}};
}

std::string report(const HardwareBound& bound, const std::string& objective) {
  return fmt::format(
      "no sizes that are tried within the limits, with any mappings, have an {} below\n{:.5e}: the "
      "design's is at most {:.2f} % above the least\n({} of sizes bounded, {:.1f} s)\n",
      objective, std::exp(bound.log_value), 100 * bound.gap, counted(bound.ranges, "range"), bound.wall_s);
}

}  // namespace dosa
