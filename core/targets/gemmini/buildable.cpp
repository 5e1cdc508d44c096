#include "dosa/core/targets/gemmini/buildable.hpp"

#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/core/targets/gemmini/machine_file.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

std::optional<Explanation> as_built(const Design& design, const Machine& machine) {
  if (machine.buffering != 1 || !gemmini::has_gemminis_memories(machine)) return std::nullopt;
  const ArraySizes built = gemmini::hardware_for_need(design.hardware);
  const double area = area_mm2(machine.area, built);
  Json json = to_json(built);
  json["area_mm2"] = area;
  return Explanation{std::move(json),
                     fmt::format("built double-buffered: pe_dim {}, scratchpad {} KiB, accumulator {} KiB, "
                                 "{:.3f} mm2\n",
                                 built.pe_dim, built.scratchpad_kib, built.accumulator_kib, area)};
}

}  // namespace dosa
