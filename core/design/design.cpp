#include "dosa/core/design/design.hpp"

#include <algorithm>

#include "dosa/core/import/file_kind.hpp"
#include "dosa/core/targets/registry.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/cost/objective.hpp"

namespace dosa {
namespace {

constexpr const char* kSchema = "dosa-design/1";
constexpr const char* kSharedSchema = "dosa-design/2";

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

std::vector<Layer> layers_of(const Design& design) {
  std::vector<Layer> layers;
  for (const DesignLayer& entry : design.layers) layers.push_back(entry.layer);
  return layers;
}

std::vector<SchedulePtr> schedules_of(const Design& design) {
  std::vector<SchedulePtr> schedules;
  for (const DesignLayer& entry : design.layers) schedules.push_back(entry.schedule);
  return schedules;
}

void evaluate(Design& design, const Target& target) {
  design.machine = target.shared_machine();
  target.check_hardware(design.hardware);
  for (const DesignLayer& entry : design.layers) check_word_bits(entry.layer, target.machine());
  const std::vector<LayerCosts> costs =
      target.costs(layers_of(design), schedules_of(design), design.hardware);
  for (std::size_t i = 0; i < costs.size(); ++i) design.layers[i].costs = costs[i];
  sum_up(design);
  design.totals.area_mm2 = target.machine().area_mm2(design.hardware);
}

namespace {

/// The layers of a design file of either form.
std::vector<JsonInput> layer_items(const JsonInput& design) {
  const auto networks = design.find("networks");
  if (!networks) return design.at("layers").items();
  std::vector<JsonInput> all;
  for (const JsonInput& network : networks->items()) {
    for (const JsonInput& layer : network.at("layers").items()) all.push_back(layer);
  }
  return all;
}

/// The machine that a design names: that of `choice` if it names one, else a shipped one, else a file beside
/// the design or wherever the name leads, with the numbers that the design was made with, and cutting loops
/// where a layer of it does.
MachinePtr machine_of(const JsonInput& design, const std::filesystem::path& path,
                      const MachineChoice& choice) {
  const JsonInput target = design.at("target");
  const std::string name = target.text();
  MachineChoice own = choice;
  const std::string cut = name_of(Remainders::kCut);
  for (const JsonInput& layer : layer_items(design)) {
    const auto rule = layer.find("remainders");
    if (!own.remainders && rule && rule->text() == cut) own.remainders = Remainders::kCut;
  }
  if (!own.name_or_path.empty()) return load_ruled_machine(own);
  const auto recorded = design.find("set");
  own.set = joined(recorded ? changes_from_json(*recorded) : NumberChanges(), choice.set);
  const auto named = [&](const std::string& machine) {
    own.name_or_path = machine;
    return load_ruled_machine(own);
  };
  const std::vector<std::string> shipped = shipped_names("hardware");
  const std::filesystem::path beside = path.parent_path() / (name + ".json");
  std::error_code ignored;
  const bool is_shipped = std::find(shipped.begin(), shipped.end(), name) != shipped.end();
  if (!is_shipped && std::filesystem::is_regular_file(beside, ignored)) return named(beside.string());
  try {
    return named(name);
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
  if (const auto left = json.find("left_to_cpu")) {
    for (const JsonInput& item : left->items()) design.left_to_cpu.push_back(cpu_layer_from_json(item));
  }
  return design;
}

/// "shared.json:bert" as the file and the network in it; without such an ending, or where a file has that
/// name, no network.
struct FileAndNetwork {
  std::filesystem::path file;
  std::string network;

  explicit FileAndNetwork(const std::filesystem::path& given) : file(given) {
    const std::string text = given.string();
    const std::size_t colon = text.rfind(':');
    std::error_code ignored;
    if (colon == std::string::npos || colon == 0 || std::filesystem::exists(given, ignored)) return;
    file = text.substr(0, colon);
    network = text.substr(colon + 1);
  }
};

/// All designs of a file.
LoadedDesigns load_all(const std::filesystem::path& path, const MachineChoice& machine) {
  expect_kind(path, Wanted::kDesign);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    fail(ErrorId::kFile, "{}: No such file; expected a design, as dosa optimize -o writes it", path.string());
  const JsonInput json = JsonInput::from_file(path);
  LoadedDesigns loaded;
  const auto schema = json.find("schema");
  loaded.is_shared = schema && schema->value() == kSharedSchema;
  if (loaded.is_shared) {
    json.allow_only(
        {"schema", "target", "set", "hardware", "objective", "combine", "value", "networks", "provenance"});
  } else {
    json.require_schema(kSchema);
    json.allow_only({"schema", "workload", "target", "set", "hardware", "objective", "totals", "layers",
                     "left_to_cpu", "provenance"});
  }
  loaded.target = make_target(machine_of(json, path, machine));
  Design common;
  common.machine = loaded.target->shared_machine();
  common.target = json.at("target").text();
  common.hardware = common.machine->hardware_from_json(json.at("hardware"));
  common.objective = json.at("objective").text();
  if (const auto provenance = json.find("provenance")) {
    common.provenance = provenance->value();
    const auto model = provenance->value().is_object() ? provenance->find("model") : std::nullopt;
    if (model && machine.name_or_path.empty()) loaded.target->check_model_record(*model);
  }
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
    network.allow_only({"workload", "weight", "totals", "own", "layers", "left_to_cpu"});
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
    fail(ErrorId::kValue, "{}: found {}, expected several; one is \"{}\"", json.at("networks").where(),
         counted(shared.networks.size(), "network"), kSchema);
  }
  return loaded;
}

std::string names_of(const std::filesystem::path& file, const SharedDesign& shared) {
  std::vector<std::string> names;
  for (const SharedNetwork& network : shared.networks)
    names.push_back(fmt::format("{}:{}", file.string(), network.design.workload));
  return fmt::format("{}", fmt::join(names, " or "));
}

}  // namespace

LoadedDesigns load_designs(const std::filesystem::path& path, const MachineChoice& machine) {
  const FileAndNetwork wanted(path);
  LoadedDesigns loaded = load_all(wanted.file, machine);
  if (wanted.network.empty()) return loaded;
  std::vector<SharedNetwork>& networks = loaded.shared.networks;
  const auto network = std::find_if(networks.begin(), networks.end(), [&](const SharedNetwork& one) {
    return one.design.workload == wanted.network;
  });
  if (network == networks.end()) {
    fail(ErrorId::kValue, "{}: found no design of '{}', expected {}", wanted.file.string(), wanted.network,
         names_of(wanted.file, loaded.shared));
  }
  LoadedDesigns one;
  one.target = loaded.target;
  one.shared.provenance = loaded.shared.provenance;
  one.shared.networks.push_back({1, std::move(network->design), {}});
  return one;
}

LoadedDesign load_design(const std::filesystem::path& path, const MachineChoice& machine) {
  LoadedDesigns loaded = load_designs(path, machine);
  if (!loaded.is_shared) return {std::move(loaded.shared.networks.front().design), std::move(loaded.target)};
  fail(ErrorId::kSchema,
       "{}: found a design of {} networks ({}), expected that of one: {}; dosa evaluate, export and map "
       "--certify take all",
       path.string(), loaded.shared.networks.size(), kSharedSchema, names_of(path, loaded.shared));
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
  Json json{{"schema", kSchema}, {"workload", design.workload}, {"target", design.target}};
  if (!design.machine->set.empty()) json["set"] = to_json(design.machine->set);
  json["hardware"] = design.machine->to_json(design.hardware);
  json["objective"] = design.objective;
  json["totals"] = to_json(design.totals);
  json["layers"] = std::move(layers);
  json["provenance"] = design.provenance;
  for (const CpuLayer& layer : design.left_to_cpu) json["left_to_cpu"].push_back(to_json(layer));
  return json;
}

Json to_json(const SharedDesign& shared) {
  const Design& first = shared.networks.front().design;
  Json networks = Json::array();
  for (const SharedNetwork& network : shared.networks) {
    Json whole = to_json(network.design);
    Json json{{"workload", whole["workload"]}, {"weight", network.weight}, {"totals", whole["totals"]}};
    if (!network.own.is_null()) json["own"] = network.own;
    json["layers"] = std::move(whole["layers"]);
    if (whole.contains("left_to_cpu")) json["left_to_cpu"] = std::move(whole["left_to_cpu"]);
    networks.push_back(std::move(json));
  }
  Json json{{"schema", kSharedSchema}, {"target", first.target}};
  if (!first.machine->set.empty()) json["set"] = to_json(first.machine->set);
  json["hardware"] = first.machine->to_json(first.hardware);
  json["objective"] = first.objective;
  json["combine"] = shared.combine;
  json["value"] = shared.value;
  json["networks"] = std::move(networks);
  json["provenance"] = shared.provenance;
  return json;
}

void save_design(const SharedDesign& shared, const std::filesystem::path& path) {
  write_file(path, to_json(shared).dump(2) + "\n");
}

void save_design(const Design& design, const std::filesystem::path& path) {
  write_file(path, to_json(design).dump(2) + "\n");
}

}  // namespace dosa
