// Tilings of Gemmini's library as schedules with prices (core/explain/priced.hpp).
#pragma once

#include <memory>
#include <vector>

#include "dosa/core/explain/priced.hpp"
#include "dosa/core/targets/gemmini/model.hpp"

namespace dosa::gemmini {

/// One tile per layer. Energy by the analytical model, latency by the model's surrogate where it has one: of
/// the machine's numbers it depends on DRAM's bandwidth alone. What the library and the hardware fix does not
/// vary, nor does the array: its tiles would be others. `model` must outlive the result.
std::unique_ptr<PricedSchedules> priced_tiles(const RtlModel& model, const std::vector<Layer>& layers,
                                              const std::vector<Tile>& tiles, const ArraySizes& built);

}  // namespace dosa::gemmini
