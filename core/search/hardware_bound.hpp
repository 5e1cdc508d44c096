// How much better than a design any other hardware within the limits could be, with whatever mappings.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "dosa/core/search/problem.hpp"

namespace dosa {

struct HardwareBoundOptions {
  std::int64_t threads = 0;  ///< 0: one per core; the result does not depend on it
  /// Ranges of sizes that may be bounded; where these do not do, the bound is lower than it could be.
  std::int64_t max_ranges = 400;
};

struct HardwareBound {
  double log_value = 0;  ///< no design has a lower logarithm of the objective (SearchProblem::log_value)
  double gap = 0;        ///< by how much the design in hand is above that, as a share
  std::int64_t ranges = 0;
  bool whole = false;  ///< all ranges that matter were made as narrow as is of use
  double wall_s = 0;
};

struct HardwareBoundProgress {
  std::int64_t ranges = 0, max_ranges = 0;
  double gap = 0;  ///< so far
  double elapsed_s = 0;
};

/// Bounds the objective of every design whose shape is one that the search tries and whose buffers and area
/// are within the problem's limits: the lowest of SizeRanges is halved until none is below the design in hand
/// by more than 0.1 %, or it is so narrow that halving is of no use. Nothing where the space knows no least
/// costs of ranges. With `*interrupt`, what is known by then.
std::optional<HardwareBound> bound_hardware(
    const SearchProblem& problem, double log_value_in_hand, const HardwareBoundOptions& options,
    const std::function<void(const HardwareBoundProgress&)>& progress = {},
    const std::atomic<bool>* interrupt = nullptr);

/// {gap, least_value, ranges, whole, wall_time_s}, and one sentence.
Json to_json(const HardwareBound& bound);
std::string report(const HardwareBound& bound, const std::string& objective);

}  // namespace dosa
