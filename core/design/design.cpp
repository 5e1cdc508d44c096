#include "dosa/core/design/design.hpp"

#include <algorithm>

#include "dosa/core/import/file_kind.hpp"
#include "dosa/core/targets/registry.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/cost/objective.hpp"

namespace dosa {
namespace {

constexpr const char* kSchema = "dosa-design/1";
constexpr double kMostWeight = 1e9;  // of a network among several
constexpr const char* kSharedSchema = "dosa-design/2";
/// How a layer's design file calls the rule by which its schedule pads sizes that do not divide.
constexpr const char* kPadded = "padded";

DesignTotals totals_from_json(const JsonInput& json) {
  json.allow_only({"cycles", "energy_uj", "edp", "area_mm2"});
  return {json.at("cycles").number(0), json.at("energy_uj").number(0), json.at("edp").number(0),
          json.at("area_mm2").number(0)};
}

}  // namespace

void sum_up(Design& design) {
  DesignTotals totals{0, 0, 0, design.totals.area_mm2};
  for (const DesignLayer& entry : design.layers) {
    totals.cycles += entry.costs.cycles * static_cast<double>(entry.layer.count);
    totals.energy_uj += entry.costs.energy_uj * static_cast<double>(entry.layer.count);
  }
  totals.edp = totals.cycles * totals.energy_uj;
  design.totals = totals;
}

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
  for (std::size_t i = 0; i < costs.size(); ++i) design.layers[i].costs = costs[i];
  sum_up(design);
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
    if (rule->text() != kPadded || !entry.schedule->is_padded()) {
      fail(ErrorId::kValue, "{}: found {}, allowed: {}, where the schedule pads a dimension", rule->where(),
           rule->value().dump(), kPadded);
    }
  }
  entry.costs.cycles = item.at("cycles").number(0);
  entry.costs.energy_uj = item.at("energy_uj").number(0);
  if (const auto cycles = item.find("analytical_cycles")) entry.costs.analytical_cycles = cycles->number(0);
  if (const auto sd = item.find("cycles_sd_log")) entry.costs.cycles_sd_log = sd->number(0);
  return entry;
}

/// The workload, totals and layers of a network, of which the rest is in `common`.
Design network_of(const JsonInput& json, const Design& common, const Target& target) {
  Design design = common;
  design.workload = json.at("workload").text();
  design.totals = totals_from_json(json.at("totals"));
  for (const JsonInput& item : json.at("layers").items())
    design.layers.push_back(layer_of(item, target, design.hardware));
  if (design.layers.empty()) {
    fail(ErrorId::kValue, "{}: found an empty list, expected at least one layer", json.at("layers").where());
  }
  return design;
}

}  // namespace

LoadedDesigns load_designs(const std::filesystem::path& path, const std::string& machine_override) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    fail(ErrorId::kFile, "{}: No such file; expected a design, as dosa optimize -o writes it", path.string());
  expect_kind(path, Wanted::kDesign);
  const JsonInput json = JsonInput::from_file(path);
  LoadedDesigns loaded;
  const auto schema = json.find("schema");
  loaded.is_shared = schema && schema->value() == kSharedSchema;
  if (loaded.is_shared) {
    json.allow_only(
        {"schema", "target", "hardware", "objective", "combine", "value", "networks", "provenance"});
  } else {
    json.require_schema(kSchema);
    json.allow_only(
        {"schema", "workload", "target", "hardware", "objective", "totals", "layers", "provenance"});
  }
  loaded.target = make_target(machine_of(json.at("target"), path, machine_override));
  Design common;
  common.machine = loaded.target->shared_machine();
  common.target = json.at("target").text();
  common.hardware = common.machine->hardware_from_json(json.at("hardware"));
  common.objective = json.at("objective").text();
  if (const auto provenance = json.find("provenance")) common.provenance = provenance->value();
  SharedDesign& shared = loaded.shared;
  shared.provenance = common.provenance;
  if (!loaded.is_shared) {
    shared.networks.push_back({1, network_of(json, common, *loaded.target), {}});
    return loaded;
  }
  shared.combine = json.at("combine").text();
  if (std::find(kCombiningNames.begin(), kCombiningNames.end(), shared.combine) == kCombiningNames.end()) {
    fail(ErrorId::kValue, "{}: found '{}', allowed: {}", json.at("combine").where(), shared.combine,
         fmt::join(kCombiningNames, ", "));
  }
  shared.value = json.at("value").number(0);
  for (const JsonInput& network : json.at("networks").items()) {
    network.allow_only({"workload", "weight", "totals", "own", "layers"});
    shared.networks.push_back(
        {network.at("weight").number(0), network_of(network, common, *loaded.target), {}});
    const double weight = shared.networks.back().weight;
    if (!(weight > 0) || weight > kMostWeight) {
      fail(ErrorId::kValue, "{}: found {}, expected a number over 0 to {}", network.at("weight").where(),
           weight, kMostWeight);
    }
    if (const auto own = network.find("own")) {
      own->allow_only({"hardware", "totals"});
      common.machine->hardware_from_json(own->at("hardware"));
      totals_from_json(own->at("totals"));
      shared.networks.back().own = own->value();
    }
  }
  if (shared.networks.size() < 2) {
    fail(ErrorId::kValue, "{}: found {} networks, expected several; one is \"{}\"",
         json.at("networks").where(), shared.networks.size(), kSchema);
  }
  return loaded;
}

LoadedDesign load_design(const std::filesystem::path& path, const std::string& machine_override) {
  LoadedDesigns loaded = load_designs(path, machine_override);
  if (loaded.is_shared) {
    fail(ErrorId::kSchema,
         "{}: found a design of {} networks ({}), expected one of one network; dosa evaluate, export and map "
         "--certify take it",
         path.string(), loaded.shared.networks.size(), kSharedSchema);
  }
  return {std::move(loaded.shared.networks.front().design), std::move(loaded.target)};
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
    if (entry.schedule->is_padded()) layer["remainders"] = kPadded;
    layer["cycles"] = entry.costs.cycles;
    layer["energy_uj"] = entry.costs.energy_uj;
    if (entry.costs.analytical_cycles) layer["analytical_cycles"] = *entry.costs.analytical_cycles;
    if (entry.costs.cycles_sd_log) layer["cycles_sd_log"] = *entry.costs.cycles_sd_log;
    layers.push_back(std::move(layer));
  }
  return {{"schema", kSchema},
          {"workload", design.workload},
          {"target", design.target},
          {"hardware", design.machine->to_json(design.hardware)},
          {"objective", design.objective},
          {"totals", to_json(design.totals)},
          {"layers", std::move(layers)},
          {"provenance", design.provenance}};
}

Json to_json(const SharedDesign& shared) {
  const Design& first = shared.networks.front().design;
  Json networks = Json::array();
  for (const SharedNetwork& network : shared.networks) {
    Json whole = to_json(network.design);
    Json json{{"workload", whole["workload"]}, {"weight", network.weight}, {"totals", whole["totals"]}};
    if (!network.own.is_null()) json["own"] = network.own;
    json["layers"] = std::move(whole["layers"]);
    networks.push_back(std::move(json));
  }
  return {{"schema", kSharedSchema},
          {"target", first.target},
          {"hardware", first.machine->to_json(first.hardware)},
          {"objective", first.objective},
          {"combine", shared.combine},
          {"value", shared.value},
          {"networks", std::move(networks)},
          {"provenance", shared.provenance}};
}

void save_design(const SharedDesign& shared, const std::filesystem::path& path) {
  write_file(path, to_json(shared).dump(2) + "\n");
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
  if (std::any_of(design.layers.begin(), design.layers.end(),
                  [](const DesignLayer& entry) { return entry.schedule->is_padded(); }))
    text += "P57/113: P, of size 113, is padded to what its factors multiply to\n";
  const std::string sizes = design.machine->text(design.hardware);
  text += fmt::format("\n{} on {}: {}{}{:.3f} mm2\n", printable(design.workload), printable(design.target),
                      sizes, sizes.empty() ? "" : ", ", design.totals.area_mm2);
  text += fmt::format("cycles {:.0f}   energy {:.6g} uJ   EDP {:.6g} uJ*cycles\n", design.totals.cycles,
                      design.totals.energy_uj, design.totals.edp);
  return text;
}

}  // namespace dosa
