#include "dosa/core/export/exporter.hpp"

#include "dosa/models/base/error.hpp"

namespace dosa {

gemmini::Tile tile_of(const DesignLayer& design, const Hardware& built) {
  const std::vector<gemmini::Call> calls = gemmini::calls_for(design.layer);
  gemmini::Tile tile;
  if (design.tile) {
    tile = *design.tile;
    const auto violations = gemmini::check_call(design.layer, tile.call);
    if (!violations.empty())
      fail(ErrorId::kValue, "layer {}: {}", design.layer.name, gemmini::summary(violations));
  } else {
    try {
      tile = gemmini::tile_of_mapping(design.mapping, design.layer, calls.front(), built.pe_dim);
    } catch (const Error& error) {
      throw error.in(fmt::format("layer {}", design.layer.name));
    }
  }
  const auto violations = gemmini::check_tile(design.layer, built, tile);
  if (!violations.empty()) {
    const bool fits = gemmini::fits(design.layer, tile, gemmini::params_of(built));
    fail(fits ? ErrorId::kMapping : ErrorId::kCapacity, "layer {}: {}", design.layer.name,
         gemmini::summary(violations));
  }
  return tile;
}

const std::vector<const Exporter*>& exporters() {
  static const std::vector<const Exporter*> all{&gemmini_exporter(), &timeloop_exporter(), &json_exporter(),
                                                &csv_exporter()};
  return all;
}

const Exporter& exporter(const std::string& name) {
  std::vector<std::string> names;
  for (const Exporter* candidate : exporters()) {
    if (name == candidate->name()) return *candidate;
    names.emplace_back(candidate->name());
  }
  fail(ErrorId::kValue, "'{}' is no export format; formats: {}", name, fmt::join(names, ", "));
}

}  // namespace dosa
