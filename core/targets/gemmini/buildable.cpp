#include "dosa/core/targets/gemmini/buildable.hpp"

#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/core/targets/gemmini/machine_file.hpp"

namespace dosa {

std::optional<Explanation> as_built(const Design& design, const Machine& machine) {
  const auto* array = dynamic_cast<const ArrayMachine*>(&machine);
  if (array == nullptr || array->buffering != 1 || !gemmini::has_gemminis_memories(*array))
    return std::nullopt;
  const ArraySizes built = gemmini::hardware_for_need(ArraySizes::of(design.hardware));
  const double area = machine.area_mm2(built);
  Json json = to_json(built);
  json["area_mm2"] = area;
  return Explanation{std::move(json),
                     fmt::format("built double-buffered: {}, {:.3f} mm2\n", machine.text(built), area)};
}

}  // namespace dosa
