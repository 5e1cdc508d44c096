// What cycles and energy are at a clock: latency in ms, operations per second and per joule.
#pragma once

#include "dosa/core/design/design.hpp"
#include "dosa/core/targets/target.hpp"

namespace dosa {

/// {hz, latency_ms, tops, tops_per_w, power_w} of a whole network, and the same as a line for people. A
/// multiply-accumulate is two operations; the power is that of the model's accesses and MACs alone: no
/// leakage, no clock tree. Throws Error{kValue} unless `hz` is over 0 and finite.
Explanation at_clock(const Design& design, double hz);

}  // namespace dosa
