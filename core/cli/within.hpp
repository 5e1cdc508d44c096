// What reports say of designs with less area that are nearly as good as the best.
#pragma once

#include <string>

#include "dosa/core/design/design.hpp"

namespace dosa::cli {

// A smaller design that is said of unasked: within this share of the best objective, and of no more than this
// share of its area.
inline constexpr double kNearlyAsGood = 0.01, kMuchSmaller = 0.9;

/// The best design of a search and the smallest that is nearly as good.
struct WithinFound {
  std::string objective;  ///< its name
  double best_value, best_area_mm2;
  const Design* smallest;  ///< of several networks any one's; null: none is smaller
  double smallest_value;   ///< of the objective
};

/// Of a smallest design that was asked for (--within): how it stands to the best one.
void add_within(const WithinFound& found, Json& json, std::string& text);
/// One line on a much smaller design that is nearly as good, where there is one.
void add_smaller(const WithinFound& found, Json& json, std::string& text);

}  // namespace dosa::cli
