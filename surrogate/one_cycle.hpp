// The one-cycle schedule of learning rates (Smith and Topin, Super-convergence, arXiv 1708.07120).
#pragma once

#include <algorithm>
#include <cmath>

namespace dosa {

/// The share of the highest rate at a step: from 1/25 up to 1 in a fifth of the steps, then down to 1e-5,
/// both along a cosine.
inline double one_cycle(int step, int steps) {
  constexpr double kWarmUp = 0.2, kStart = 1.0 / 25, kEnd = 1e-5;
  const double done = static_cast<double>(step) / std::max(1, steps - 1);
  const auto between = [](double from, double to, double part) {
    return to + (from - to) * (1 + std::cos(M_PI * part)) / 2;
  };
  return done < kWarmUp ? between(kStart, 1, done / kWarmUp)
                        : between(1, kEnd, (done - kWarmUp) / (1 - kWarmUp));
}

}  // namespace dosa
