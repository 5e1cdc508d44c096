#include "core/export/exporter.hpp"

#include "models/error.hpp"
#include "models/files.hpp"

namespace dosa {

DesignView design_view_from_json(const JsonInput& json) {
  json.require_schema("dosa-design/1");
  DesignView design;
  design.json = json.value();
  design.workload = json.at("workload").text();
  design.target = json.at("target").text();
  design.hardware = hardware_from_json(json.at("hardware"));
  const JsonInput totals = json.at("totals");
  design.cycles = totals.at("cycles").number(0);
  design.energy_uj = totals.at("energy_uj").number(0);
  design.edp = totals.at("edp").number(0);
  design.area_mm2 = totals.at("area_mm2").number(0);
  const JsonInput layers = json.at("layers");
  for (const JsonInput& item : layers.items()) {
    LayerDesign layer;
    layer.layer = layer_from_json(item, {"mapping", "tile", "cycles", "energy_uj"});
    if (const auto mapping = item.find("mapping")) layer.mapping = mapping->text();
    if (const auto tile = item.find("tile")) layer.tile = gemmini::tile_from_json(*tile);
    if (layer.mapping.empty() && !layer.tile)
      fail(ErrorId::kSchema, "{}: key 'mapping' is missing", item.where());
    layer.cycles = item.at("cycles").number(0);
    layer.energy_uj = item.at("energy_uj").number(0);
    design.layers.push_back(std::move(layer));
  }
  if (design.layers.empty())
    fail(ErrorId::kValue, "{}: found an empty list, expected at least one layer", layers.where());
  return design;
}

gemmini::Tile tile_of(const LayerDesign& design, const Hardware& built) {
  const std::vector<gemmini::Call> calls = gemmini::calls_for(design.layer);
  gemmini::Tile tile;
  if (design.tile) {
    tile = *design.tile;
    const auto violations = gemmini::check_call(design.layer, tile.call);
    if (!violations.empty())
      fail(ErrorId::kValue, "layer {}: {}", design.layer.name, gemmini::summary(violations));
  } else {
    try {
      tile = gemmini::tile_of_mapping(parse_mapping(design.mapping, load_machine("gemmini-rtl")),
                                      design.layer, calls.front(), built.pe_dim);
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
