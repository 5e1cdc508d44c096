#include "dosa/core/design/design.hpp"

#include <algorithm>

#include "dosa/core/import/file_kind.hpp"
#include "dosa/core/targets/registry.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/torch.hpp"

namespace dosa {
namespace {

constexpr const char* kSchema = "dosa-design/1";
/// How a layer's design file calls the rule by which its schedule pads sizes that do not divide.

DesignTotals totals_from_json(const JsonInput& json) {
  json.allow_only({"cycles", "energy_uj", "edp", "area_mm2"});
  return {json.at("cycles").number(0), json.at("energy_uj").number(0), json.at("edp").number(0),
          json.at("area_mm2").number(0)};
}

}  // namespace

void evaluate(Design& design, const Target& target) {
  design.machine = target.shared_machine();
  target.check_hardware(design.hardware);
  std::vector<Layer> layers;
  std::vector<SchedulePtr> schedules;
  for (const DesignLayer& entry : design.layers) {
    layers.push_back(entry.layer);
    schedules.push_back(entry.schedule);
  }
  const std::vector<LayerCosts> costs = target.costs(layers, schedules, design.hardware);
  design.totals = {};
  for (std::size_t i = 0; i < costs.size(); ++i) {
    DesignLayer& entry = design.layers[i];
    entry.costs = costs[i];
    design.totals.cycles += entry.costs.cycles * static_cast<double>(entry.layer.count);
    design.totals.energy_uj += entry.costs.energy_uj * static_cast<double>(entry.layer.count);
  }
  design.totals.edp = design.totals.cycles * design.totals.energy_uj;
  design.totals.area_mm2 = target.machine().area_mm2(design.hardware);
}

namespace {

/// The machine that a design names: `machine_override` if it is given, else a shipped one, else a file beside
/// the design or wherever the name leads.
MachinePtr machine_of(const JsonInput& target, const std::filesystem::path& path,
                      const std::string& machine_override) {
  if (!machine_override.empty()) return load_ruled_machine(machine_override);
  const std::string name = target.text();
  const std::vector<std::string> shipped = shipped_names("hardware");
  const std::filesystem::path beside = path.parent_path() / (name + ".json");
  std::error_code ignored;
  const bool is_shipped = std::find(shipped.begin(), shipped.end(), name) != shipped.end();
  if (!is_shipped && std::filesystem::is_regular_file(beside, ignored))
    return load_ruled_machine(beside.string());
  try {
    return load_ruled_machine(name);
  } catch (const Error& error) {
    throw error.in(target.where());
  }
}

DesignLayer layer_of(const JsonInput& item, const Target& target, const Hardware& hardware) {
  std::vector<const char*> keys{"cycles", "energy_uj", "analytical_cycles", "cycles_sd_log"};
  keys.push_back("remainders");
  for (const char* key : target.schedule_keys()) keys.push_back(key);
  DesignLayer entry;
  entry.layer = layer_from_json(item, keys);
  entry.schedule = target.read_schedule(item, entry.layer, hardware);
  if (const auto rule = item.find("remainders")) {
    const auto remainders = entry.schedule->remainders();
    if (!remainders || rule->text() != name_of(*remainders)) {
      fail(ErrorId::kValue, "{}: found {}, expected {}", rule->where(), rule->value().dump(),
           remainders ? fmt::format("\"{}\", as the schedule is", name_of(*remainders))
                      : "none: the schedule's factors divide all sizes");
    }
  }
  entry.costs.cycles = item.at("cycles").number(0);
  entry.costs.energy_uj = item.at("energy_uj").number(0);
  if (const auto cycles = item.find("analytical_cycles")) entry.costs.analytical_cycles = cycles->number(0);
  if (const auto sd = item.find("cycles_sd_log")) entry.costs.cycles_sd_log = sd->number(0);
  return entry;
}

}  // namespace

LoadedDesign load_design(const std::filesystem::path& path, const std::string& machine_override) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    fail(ErrorId::kFile, "{}: No such file; expected a design, as dosa optimize -o writes it", path.string());
  expect_kind(path, Wanted::kDesign);
  const JsonInput json = JsonInput::from_file(path);
  json.require_schema(kSchema);
  json.allow_only({"schema", "workload", "target", "hardware", "objective", "totals", "layers", "left_to_cpu",
                   "provenance"});
  LoadedDesign loaded;
  loaded.target = make_target(machine_of(json.at("target"), path, machine_override));
  Design& design = loaded.design;
  design.machine = loaded.target->shared_machine();
  design.workload = json.at("workload").text();
  design.target = json.at("target").text();
  design.hardware = design.machine->hardware_from_json(json.at("hardware"));
  design.objective = json.at("objective").text();
  design.totals = totals_from_json(json.at("totals"));
  if (const auto provenance = json.find("provenance")) design.provenance = provenance->value();
  for (const JsonInput& item : json.at("layers").items())
    design.layers.push_back(layer_of(item, *loaded.target, design.hardware));
  if (const auto left = json.find("left_to_cpu")) {
    for (const JsonInput& item : left->items()) design.left_to_cpu.push_back(cpu_layer_from_json(item));
  }
  if (design.layers.empty()) {
    fail(ErrorId::kValue, "{}: found an empty list, expected at least one layer", json.at("layers").where());
  }
  return loaded;
}

Json to_json(const DesignTotals& totals) {
  return {{"cycles", totals.cycles},
          {"energy_uj", totals.energy_uj},
          {"edp", totals.edp},
          {"area_mm2", totals.area_mm2}};
}

Json to_json(const Design& design) {
  Json layers = Json::array();
  for (const DesignLayer& entry : design.layers) {
    Json layer = to_json(entry.layer);
    layer[entry.schedule->key()] = entry.schedule->json();
    if (const auto remainders = entry.schedule->remainders()) layer["remainders"] = name_of(*remainders);
    layer["cycles"] = entry.costs.cycles;
    layer["energy_uj"] = entry.costs.energy_uj;
    if (entry.costs.analytical_cycles) layer["analytical_cycles"] = *entry.costs.analytical_cycles;
    if (entry.costs.cycles_sd_log) layer["cycles_sd_log"] = *entry.costs.cycles_sd_log;
    layers.push_back(std::move(layer));
  }
  Json json{{"schema", kSchema},
            {"workload", design.workload},
            {"target", design.target},
            {"hardware", design.machine->to_json(design.hardware)},
            {"objective", design.objective},
            {"totals", to_json(design.totals)},
            {"layers", std::move(layers)},
            {"provenance", design.provenance}};
  for (const CpuLayer& layer : design.left_to_cpu) json["left_to_cpu"].push_back(to_json(layer));
  return json;
}

void save_design(const Design& design, const std::filesystem::path& path) {
  write_file(path, to_json(design).dump(2) + "\n");
}

std::string report(const Design& design) {
  Table table({{"layer", ColumnKind::kName},
               {"count"},
               {"cycles"},
               {"energy_uJ"},
               {"EDP %"},
               {"schedule", ColumnKind::kProse}});
  for (const DesignLayer& entry : design.layers) {
    const auto count = static_cast<double>(entry.layer.count);
    // EDP = sum of cycles x sum of energy: a layer's share is the mean of its shares of the two.
    const double share =
        50 * count *
        (entry.costs.cycles / design.totals.cycles + entry.costs.energy_uj / design.totals.energy_uj);
    table.row({entry.layer.name, fmt::format("{}", entry.layer.count),
               fmt::format("{:.0f}", entry.costs.cycles), fmt::format("{:.3f}", entry.costs.energy_uj),
               fmt::format("{:.2f}", share), entry.schedule->text()});
  }
  std::string text = table.text();
  const auto any = [&](Remainders remainders) {
    return std::any_of(design.layers.begin(), design.layers.end(),
                       [&](const DesignLayer& entry) { return entry.schedule->remainders() == remainders; });
  };
  if (any(Remainders::kPadded))
    text += "P57/113: P, of size 113, is padded to what its factors multiply to\n";
  if (any(Remainders::kCut)) text += "P7,3: the last run of this loop has 3 iterations\n";
  for (const std::string& remark : cpu_remarks(design)) text += remark + "\n";
  const std::string sizes = design.machine->text(design.hardware);
  text += fmt::format("\n{} on {}: {}{}{:.3f} mm2\n", printable(design.workload), printable(design.target),
                      sizes, sizes.empty() ? "" : ", ", design.totals.area_mm2);
  text += fmt::format("cycles {:.0f}   energy {:.6g} uJ   EDP {:.6g} uJ*cycles\n", design.totals.cycles,
                      design.totals.energy_uj, design.totals.edp);
  return text;
}

}  // namespace dosa
