// What a change of a number gives when the layers are mapped anew for it.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "dosa/core/explain/explain.hpp"
#include "dosa/core/search/exhaustive.hpp"

namespace dosa {

struct SearchAgain {
  /// How many numbers: those whose slope of EDP is the largest, sizes among them.
  std::size_t numbers = 5;
  MapOptions map;
  /// The design's target with one more number changed. Throws Error where the machine cannot be that.
  std::function<TargetPtr(const NumberChange&)> target_with;
  std::function<void(const std::string&)> progress;  ///< may be empty
  const std::atomic<bool>* interrupt = nullptr;
};

/// Searches schedules for the design's hardware, as it is and with the numbers that matter most at 1.1 and
/// 0.9 times their value; of a size, at the nearest whole number, or where the target builds none there, at
/// twice and half. The hardware stays otherwise. The schedules of the design and of every search are tried
/// with all values, and the best counts, so that the luck of a random search is the same for all of them.
/// Fills in DesignAnalysis::searched and Sensitivity::searched, whose changes are relative to the machine as
/// it is: to first order the slopes, where schedules are the best ones and no capacity is in the way (the
/// envelope theorem). Interrupted, it fills in what it had searched until then.
void search_again(DesignAnalysis& analysis, const TargetPtr& target, const SearchAgain& options);

}  // namespace dosa
