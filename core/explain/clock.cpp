#include "dosa/core/explain/clock.hpp"

#include <cmath>

#include "dosa/models/base/error.hpp"

namespace dosa {

Explanation at_clock(const Design& design, double hz) {
  if (!(hz > 0) || !std::isfinite(hz))
    fail(ErrorId::kValue, "clock: found {} Hz, expected a number over 0", hz);
  double operations = 0;
  for (const DesignLayer& entry : design.layers)
    operations +=
        2 * static_cast<double>(entry.layer.macs()) * static_cast<double>(entry.layer.repetitions());
  const double seconds = design.totals.cycles / hz, joules = design.totals.energy_uj * 1e-6;
  const double tops = operations / seconds * 1e-12, per_w = operations / joules * 1e-12;
  Explanation result;
  result.json = {{"hz", hz},
                 {"latency_ms", seconds * 1e3},
                 {"tops", tops},
                 {"tops_per_w", per_w},
                 {"power_w", joules / seconds}};
  result.text = fmt::format("at {:.6g} MHz: {:.4g} ms, {:.4g} TOPS, {:.4g} TOPS/W, {:.4g} W\n", hz * 1e-6,
                            seconds * 1e3, tops, per_w, joules / seconds);
  return result;
}

}  // namespace dosa
