#include "dosa/core/design/design.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/export/exporter.hpp"
#include "dosa/core/targets/gemmini/model.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {
namespace {

constexpr const char* kSchema = "dosa-design/1";

/// The exact model's view of some layers with their mappings on one hardware.
struct Exact {
  Traffic traffic;
  Cost cost;
};

Exact exact_cost(const std::vector<Layer>& layers, const std::vector<Mapping>& mappings,
                 const Hardware& hardware, const Machine& machine) {
  const torch::InferenceMode no_gradients;
  const CostModel model(machine, torch::kFloat64);
  Exact exact;
  exact.traffic =
      model.traffic(model.nests_of(mappings), LayerBatch::from(layers, torch::kFloat64), Sharpness{});
  exact.cost = model.cost(exact.traffic, HardwareTensors::from(hardware, torch::kFloat64), Sharpness{});
  return exact;
}

double at(const torch::Tensor& tensor, std::size_t row) {
  return tensor.dim() == 0 ? tensor.item<double>() : tensor[static_cast<std::int64_t>(row)].item<double>();
}

std::int64_t capacity_kib(const MemoryLevel& memory, const Hardware& hardware) {
  return memory.sized_by == SizedBy::kScratchpad ? hardware.scratchpad_kib : hardware.accumulator_kib;
}

const char* capacity_name(const MemoryLevel& memory) {
  return memory.sized_by == SizedBy::kScratchpad ? "scratchpad" : "accumulator";
}

/// KiB that the tiles of row `row` need at a sized level of hardware with this array.
double need_kib(const Traffic& traffic, const MemoryLevel& memory, int level, const Hardware& hardware,
                std::size_t row) {
  const torch::Tensor array = torch::scalar_tensor(static_cast<double>(hardware.pe_dim), torch::kFloat64);
  return at(traffic.need_kib(memory, level, array), row);
}

void check_fits(const Traffic& traffic, const Machine& machine, const Hardware& hardware, std::size_t row) {
  const double pe_dim = at(traffic.pe_dim, row);
  if (pe_dim > static_cast<double>(hardware.pe_dim)) {
    fail(ErrorId::kCapacity, "needs a spatial factor of {:.0f}, the array has pe_dim {}", pe_dim,
         hardware.pe_dim);
  }
  for (int level = 0; level <= machine.dram(); ++level) {
    const MemoryLevel& memory = machine.levels[static_cast<std::size_t>(level)];
    if (memory.sized_by == SizedBy::kNothing) continue;
    const double kib = need_kib(traffic, memory, level, hardware, row);
    if (kib > static_cast<double>(capacity_kib(memory, hardware))) {
      fail(ErrorId::kCapacity, "{} needs {:.6g} KiB of {}, the hardware has {} KiB",
           machine.level_label(level), kib, capacity_name(memory), capacity_kib(memory, hardware));
    }
  }
}

DesignTotals totals_from_json(const JsonInput& json) {
  json.allow_only({"cycles", "energy_uj", "edp", "area_mm2"});
  return {json.at("cycles").number(0), json.at("energy_uj").number(0), json.at("edp").number(0),
          json.at("area_mm2").number(0)};
}

}  // namespace

std::string schedule_text(const DesignLayer& layer, const Machine& machine) {
  return layer.tile ? gemmini::to_string(*layer.tile) : print_mapping(layer.mapping, machine);
}

namespace {

/// Costs of the layers `which`, which have mappings.
void evaluate_mappings(Design& design, const std::vector<std::size_t>& which, const Machine& machine) {
  if (which.empty()) return;
  std::vector<Layer> layers;
  std::vector<Mapping> mappings;
  const auto in_layer = [&](std::size_t i, const auto& check) {
    try {
      check();
    } catch (const Error& error) {
      throw error.in(fmt::format("layer '{}'", design.layers[i].layer.name));
    }
  };
  for (const std::size_t i : which) {
    const DesignLayer& entry = design.layers[i];
    in_layer(i, [&] { check_mapping(entry.mapping, entry.layer, machine); });
    layers.push_back(entry.layer);
    mappings.push_back(entry.mapping);
  }
  const Exact exact = exact_cost(layers, mappings, design.hardware, machine);
  for (std::size_t row = 0; row < which.size(); ++row) {
    DesignLayer& entry = design.layers[which[row]];
    in_layer(which[row], [&] { check_fits(exact.traffic, machine, design.hardware, row); });
    const auto groups = static_cast<double>(entry.layer.groups);
    entry.cycles = at(exact.cost.cycles, row) * groups;
    entry.energy_uj = at(exact.cost.energy_pj, row) * groups * 1e-6;
    entry.analytical_cycles = entry.cycles_sd_log = std::nullopt;
  }
}

/// Costs of the layers `which`, which have tiles.
void evaluate_tiles(Design& design, const std::vector<std::size_t>& which, const Machine& machine,
                    const Surrogate* surrogate) {
  if (which.empty()) return;
  const auto violations = gemmini::check_hardware(design.hardware);
  if (!violations.empty()) fail(ErrorId::kValue, "hardware: {}", gemmini::summary(violations));
  if (surrogate != nullptr) surrogate->check_hardware(design.hardware, "hardware");
  std::vector<Layer> layers;
  std::vector<gemmini::Tile> tiles;
  for (const std::size_t i : which) {
    layers.push_back(design.layers[i].layer);
    tiles.push_back(tile_of(design.layers[i], design.hardware));  // throws unless legal
  }
  const TileCosts costs = RtlModel(machine, surrogate).costs(layers, tiles, design.hardware);
  for (std::size_t row = 0; row < which.size(); ++row) {
    DesignLayer& entry = design.layers[which[row]];
    entry.cycles = at(costs.cycles, row);
    entry.energy_uj = at(costs.energy_uj, row);
    entry.analytical_cycles = entry.cycles_sd_log = std::nullopt;
    if (!costs.log_sd.defined()) continue;
    entry.analytical_cycles = at(costs.analytical_cycles, row);
    entry.cycles_sd_log = at(costs.log_sd, row);
  }
}

}  // namespace

void evaluate(Design& design, const Machine& machine, const Surrogate* surrogate) {
  std::vector<std::size_t> mapped, tiled;
  for (std::size_t i = 0; i < design.layers.size(); ++i)
    (design.layers[i].tile ? tiled : mapped).push_back(i);
  evaluate_mappings(design, mapped, machine);
  evaluate_tiles(design, tiled, machine, surrogate);
  design.totals = {};
  for (const DesignLayer& entry : design.layers) {
    design.totals.cycles += entry.cycles * static_cast<double>(entry.layer.count);
    design.totals.energy_uj += entry.energy_uj * static_cast<double>(entry.layer.count);
  }
  design.totals.edp = design.totals.cycles * design.totals.energy_uj;
  design.totals.area_mm2 =
      area_mm2(machine.area, HardwareTensors::from(design.hardware, torch::kFloat64)).item<double>();
}

LoadedDesign load_design(const std::filesystem::path& path, const std::string& machine_override) {
  const JsonInput json = JsonInput::from_file(path);
  json.require_schema(kSchema);
  json.allow_only(
      {"schema", "workload", "target", "hardware", "objective", "totals", "layers", "provenance"});
  LoadedDesign loaded;
  Design& design = loaded.design;
  design.workload = json.at("workload").text();
  design.target = json.at("target").text();
  const std::vector<std::string> shipped = shipped_names("hardware");
  const bool is_shipped = std::find(shipped.begin(), shipped.end(), design.target) != shipped.end();
  const std::filesystem::path beside = path.parent_path() / (design.target + ".json");
  std::error_code ignored;
  if (!machine_override.empty()) {
    loaded.machine = load_machine(machine_override);
  } else if (!is_shipped && std::filesystem::is_regular_file(beside, ignored)) {
    loaded.machine = load_machine(beside.string());
  } else {
    try {
      loaded.machine = load_machine(design.target);
    } catch (const Error& error) {
      throw error.in(json.at("target").where());
    }
  }
  design.hardware = hardware_from_json(json.at("hardware"));
  design.objective = json.at("objective").text();
  design.totals = totals_from_json(json.at("totals"));
  if (const auto provenance = json.find("provenance")) design.provenance = provenance->value();
  for (const JsonInput& item : json.at("layers").items()) {
    DesignLayer entry;
    entry.layer = layer_from_json(
        item, {"mapping", "tile", "cycles", "energy_uj", "analytical_cycles", "cycles_sd_log"});
    if (const auto tile = item.find("tile")) entry.tile = gemmini::tile_from_json(*tile);
    if (const auto mapping = entry.tile ? item.find("mapping") : item.at("mapping")) {
      try {
        entry.mapping = parse_mapping(mapping->text(), loaded.machine);
        check_mapping(entry.mapping, entry.layer, loaded.machine);
      } catch (const Error& error) {
        throw error.in(mapping->where());
      }
    }
    entry.cycles = item.at("cycles").number(0);
    entry.energy_uj = item.at("energy_uj").number(0);
    if (const auto cycles = item.find("analytical_cycles")) entry.analytical_cycles = cycles->number(0);
    if (const auto sd = item.find("cycles_sd_log")) entry.cycles_sd_log = sd->number(0);
    design.layers.push_back(std::move(entry));
  }
  if (design.layers.empty()) {
    fail(ErrorId::kValue, "{}: found an empty list, expected at least one layer", json.at("layers").where());
  }
  return loaded;
}

Json to_json(const Design& design, const Machine& machine) {
  Json layers = Json::array();
  for (const DesignLayer& entry : design.layers) {
    Json layer = to_json(entry.layer);
    if (!entry.mapping.levels.empty()) layer["mapping"] = print_mapping(entry.mapping, machine);
    if (entry.tile) layer["tile"] = gemmini::to_json(*entry.tile);
    layer["cycles"] = entry.cycles;
    layer["energy_uj"] = entry.energy_uj;
    if (entry.analytical_cycles) layer["analytical_cycles"] = *entry.analytical_cycles;
    if (entry.cycles_sd_log) layer["cycles_sd_log"] = *entry.cycles_sd_log;
    layers.push_back(std::move(layer));
  }
  return {{"schema", kSchema},
          {"workload", design.workload},
          {"target", design.target},
          {"hardware", to_json(design.hardware)},
          {"objective", design.objective},
          {"totals",
           {{"cycles", design.totals.cycles},
            {"energy_uj", design.totals.energy_uj},
            {"edp", design.totals.edp},
            {"area_mm2", design.totals.area_mm2}}},
          {"layers", std::move(layers)},
          {"provenance", design.provenance}};
}

void save_design(const Design& design, const Machine& machine, const std::filesystem::path& path) {
  write_file(path, to_json(design, machine).dump(2) + "\n");
}

std::string report(const Design& design, const Machine& machine) {
  std::size_t width = 5;
  for (const DesignLayer& entry : design.layers) width = std::max(width, entry.layer.name.size());
  std::string text = fmt::format("{:<{}}  {:>5}  {:>12}  {:>12}  {:>6}  mapping\n", "layer", width, "count",
                                 "cycles", "energy_uJ", "EDP %");
  for (const DesignLayer& entry : design.layers) {
    const auto count = static_cast<double>(entry.layer.count);
    // EDP = sum of cycles x sum of energy: a layer's share is the mean of its shares of the two.
    const double share =
        50 * count * (entry.cycles / design.totals.cycles + entry.energy_uj / design.totals.energy_uj);
    text +=
        fmt::format("{:<{}}  {:>5}  {:>12.0f}  {:>12.3f}  {:>6.2f}  {}\n", entry.layer.name, width,
                    entry.layer.count, entry.cycles, entry.energy_uj, share, schedule_text(entry, machine));
  }
  text += fmt::format("\n{} on {}: pe_dim {}, scratchpad {} KiB, accumulator {} KiB, {:.3f} mm2\n",
                      design.workload, design.target, design.hardware.pe_dim, design.hardware.scratchpad_kib,
                      design.hardware.accumulator_kib, design.totals.area_mm2);
  text += fmt::format("cycles {:.0f}   energy {:.6g} uJ   EDP {:.6g} uJ*cycles\n", design.totals.cycles,
                      design.totals.energy_uj, design.totals.edp);
  return text;
}

namespace {

LayerAnalysis analysis_of(const Layer& layer, const char* form, const std::string& schedule,
                          const Json& schedule_json, const Exact& exact, const Hardware& hardware,
                          const Machine& machine) {
  const double cycles = at(exact.cost.cycles, 0);
  const double energy = at(exact.cost.energy_pj, 0) * 1e-6;
  const double compute = at(exact.traffic.compute_cycles, 0);
  const double utilisation = at(exact.traffic.macs, 0) / (cycles * static_cast<double>(hardware.pe_dim) *
                                                          static_cast<double>(hardware.pe_dim));
  std::string bound = "compute";
  LayerAnalysis analysis;
  Json levels = Json::array();
  std::string table = fmt::format("{:<16} {:>8} {:>14} {:>14} {:>14} {:>13} {:>12}  {}\n", "level", "tensor",
                                  "reads", "writes", "updates", "energy_uJ", "cycles", "capacity");
  for (int index = machine.dram(); index >= 0; --index) {
    const auto level = static_cast<std::size_t>(index);
    const MemoryLevel& memory = machine.levels[level];
    Json entry{{"level", machine.level_label(index)}, {"name", memory.name}};
    const torch::Tensor& level_cycles = exact.cost.level_cycles[level];
    const double bound_cycles = level_cycles.defined() ? at(level_cycles, 0) : 0;
    if (bound_cycles == cycles && cycles > compute) bound = memory.name;
    entry["energy_uj"] =
        exact.cost.level_energy_pj[level].defined() ? at(exact.cost.level_energy_pj[level], 0) * 1e-6 : 0;
    entry["cycles"] = bound_cycles;
    std::string capacity = "-";
    if (memory.sized_by != SizedBy::kNothing) {
      const double used = need_kib(exact.traffic, memory, index, hardware, 0);
      entry["used_kib"] = used;
      entry["capacity_kib"] = capacity_kib(memory, hardware);
      capacity = fmt::format("{:.4g} of {} KiB", used, capacity_kib(memory, hardware));
    }
    bool first = true;
    for (const Operand operand : all_operands()) {
      if (!memory.holds_operand(operand)) continue;
      const Accesses& accesses = exact.traffic.accesses[level][static_cast<std::size_t>(operand)];
      const std::string name(1, kOperandNames[static_cast<std::size_t>(operand)]);
      std::array<double, 3> counts{};
      std::size_t k = 0;
      for (const auto& [kind, words] :
           {std::pair{"reads", &accesses.reads}, std::pair{"writes", &accesses.writes},
            std::pair{"updates", &accesses.updates}}) {
        counts[k] = words->defined() ? at(*words, 0) : 0;
        entry["accesses"][name][kind] = counts[k++];
      }
      table += fmt::format("{:<16} {:>8} {:>14.0f} {:>14.0f} {:>14.0f} {:>13} {:>12}  {}\n",
                           first ? memory.name : "", name, counts[0], counts[1], counts[2],
                           first ? fmt::format("{:.4f}", entry["energy_uj"].get<double>()) : "",
                           first && bound_cycles > 0 ? fmt::format("{:.0f}", bound_cycles) : "",
                           first ? capacity : "");
      first = false;
    }
    levels.push_back(std::move(entry));
  }
  analysis.json = {{"layer", to_json(layer)}, {form, schedule_json},        {"cycles", cycles},
                   {"energy_uj", energy},     {"edp", cycles * energy},     {"compute_cycles", compute},
                   {"bound_by", bound},       {"utilisation", utilisation}, {"levels", std::move(levels)}};
  analysis.text =
      fmt::format(
          "{}: {}\n{} cycles (bound by {}, compute alone {}), {:.6f} uJ, EDP {:.6g}, utilisation {:.1f} "
          "%{}\n",
          layer.name, schedule, cycles, bound, compute, energy, cycles * energy, 100 * utilisation,
          layer.groups > 1 ? fmt::format("; per group, of {} groups", layer.groups) : "") +
      table;
  return analysis;
}

}  // namespace

LayerAnalysis analyse(const Layer& layer, const Mapping& mapping, const Hardware& hardware,
                      const Machine& machine, bool must_fit) {
  check_mapping(mapping, layer, machine);
  const Exact exact = exact_cost({layer}, {mapping}, hardware, machine);
  if (must_fit) check_fits(exact.traffic, machine, hardware, 0);
  const std::string text = print_mapping(mapping, machine);
  return analysis_of(layer, "mapping", text, text, exact, hardware, machine);
}

LayerAnalysis analyse(const DesignLayer& entry, const Hardware& hardware, const Machine& machine) {
  if (!entry.tile) return analyse(entry.layer, entry.mapping, hardware, machine);
  const TileCosts costs =
      RtlModel(machine, nullptr).costs({entry.layer}, {tile_of(entry, hardware)}, hardware);
  return analysis_of(entry.layer, "tile", gemmini::to_string(*entry.tile), gemmini::to_json(*entry.tile),
                     {costs.traffic, costs.cost}, hardware, machine);
}

}  // namespace dosa
