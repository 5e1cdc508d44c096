#include "dosa/core/targets/gemmini/campaign/best_measured.hpp"

#include <algorithm>
#include <limits>

#include "dosa/core/targets/gemmini/campaign/sample.hpp"
#include "dosa/core/targets/gemmini/model.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

using gemmini::Tile;

constexpr int kMostSweeps = 100;  // over the layers; a few are enough

/// A tiling of a layer, all groups of one run.
struct Choice {
  Tile tile;
  double cycles = 0, energy_uj = 0;
  std::optional<double> predicted;
};

struct NetworkSums {
  double cycles = 0, energy_uj = 0, predicted = 0;
  bool has_predictions = true;
  void add(const Choice& choice, double count) {
    cycles += count * choice.cycles;
    energy_uj += count * choice.energy_uj;
    predicted += count * choice.predicted.value_or(0);
    has_predictions = has_predictions && choice.predicted.has_value();
  }
  Json json() const {
    Json result{{"cycles", cycles}, {"energy_uj", energy_uj}, {"edp", cycles * energy_uj}};
    if (has_predictions) result["predicted_cycles"] = predicted;
    return result;
  }
};

/// Energies of tiles of one layer, by the model.
std::vector<Choice> choices_of(const Layer& layer, const std::vector<MeasuredTilings::Entry>& entries,
                               const ArraySizes& built, const ArrayMachine& machine) {
  std::vector<Choice> choices;
  std::vector<Tile> tiles;
  const auto groups = static_cast<double>(layer.groups);
  for (const MeasuredTilings::Entry& entry : entries) {
    if (!gemmini::tile_is_legal(layer, gemmini::params_of(built), entry.tile)) continue;
    choices.push_back({entry.tile, groups * entry.cycles, 0, entry.predicted});
    if (entry.predicted) choices.back().predicted = groups * *entry.predicted;
    tiles.push_back(entry.tile);
  }
  if (tiles.empty()) return choices;
  const TileCosts costs =
      RtlModel(machine, nullptr).costs(std::vector<Layer>(tiles.size(), layer), tiles, built);
  for (std::size_t i = 0; i < choices.size(); ++i)
    choices[i].energy_uj = costs.energy_uj[static_cast<std::int64_t>(i)].item<double>();
  return choices;
}

/// One choice for every layer on one hardware; nothing for layers without any.
struct Selection {
  ArraySizes hardware;
  std::size_t design = 0;  ///< whose hardware it is
  std::vector<std::optional<Choice>> layers;
  NetworkSums sums;
  double value = std::numeric_limits<double>::infinity();
};

Selection select(const Workload& workload, const ArraySizes& built, const MeasuredTilings& measured,
                 const ArrayMachine& machine, const Objective& objective, double most_cycles) {
  Selection selection;
  selection.hardware = built;
  std::vector<std::vector<Choice>> choices;
  for (const Layer& layer : workload.layers) {
    choices.push_back(choices_of(layer, measured.of(layer), built, machine));
    selection.layers.emplace_back();
    if (choices.back().empty()) {
      if (!measured.of(layer).empty()) return selection;  // what was measured of it does not fit
      continue;
    }
    selection.layers.back() =
        *std::min_element(choices.back().begin(), choices.back().end(),
                          [](const Choice& a, const Choice& b) { return a.cycles < b.cycles; });
  }
  const auto total = [&] {
    NetworkSums sums;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if (selection.layers[i]) sums.add(*selection.layers[i], static_cast<double>(workload.layers[i].count));
    }
    return sums;
  };
  // What is slower than the default is worth nothing, unless there is nothing else.
  const auto value = [&] {
    const NetworkSums sums = total();
    const double worth = objective.value(sums.energy_uj, sums.cycles);
    return sums.cycles > most_cycles ? std::numeric_limits<double>::max() : worth;
  };
  selection.value = value();
  bool changed = true;
  for (int sweep = 0; changed && sweep < kMostSweeps; ++sweep) {
    changed = false;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      for (const Choice& choice : choices[i]) {
        const auto before = selection.layers[i];
        selection.layers[i] = choice;
        const double now = value();
        if (now < selection.value) {
          selection.value = now;
          changed = true;
        } else {
          selection.layers[i] = before;
        }
      }
    }
  }
  selection.sums = total();
  return selection;
}

/// The selection as a design; what was not measured is as `found` has it.
Design design_of(const Selection& selection, const Design& found, const ArrayMachine& machine) {
  Design design = found;
  design.hardware = selection.hardware;
  design.totals = {};
  for (std::size_t i = 0; i < design.layers.size(); ++i) {
    DesignLayer& entry = design.layers[i];
    if (const auto& choice = selection.layers[i]) {
      entry.schedule = std::make_shared<gemmini::TileSchedule>(choice->tile);
      entry.costs = {choice->cycles, choice->energy_uj, {}, {}};
    }
    const auto count = static_cast<double>(entry.layer.count);
    design.totals.cycles += count * entry.costs.cycles;
    design.totals.energy_uj += count * entry.costs.energy_uj;
  }
  design.totals.edp = design.totals.cycles * design.totals.energy_uj;
  design.totals.area_mm2 = machine.area_mm2(design.hardware);
  design.provenance["model"] = "measured";
  return design;
}

std::string percent(double predicted, double measured) {
  return fmt::format("{:+.1f}%", 100 * (predicted / measured - 1));
}

/// Fills in sums, tables and gains.
void compare(CampaignEnd& end, const Workload& workload, const Selection& best,
             const std::vector<std::optional<Choice>>& defaults, const ArraySizes& reference) {
  NetworkSums before, after;
  Table table(
      {{"layer", ColumnKind::kName}, {"count"}, {"default"}, {"design"}, {"predicted"}, {"error"}, {"gain"}});
  Json rows = Json::array();
  end.is_measured = true;
  std::size_t missing = 0;
  for (std::size_t i = 0; i < workload.layers.size(); ++i) {
    const Layer& layer = workload.layers[i];
    Json row{{"name", layer.name}, {"count", layer.count}};
    const auto &from = defaults[i], &to = best.layers[i];
    if (from) row["default"] = {{"tile", gemmini::to_json(from->tile)}, {"cycles", from->cycles}};
    if (to) row["design"] = {{"tile", gemmini::to_json(to->tile)}, {"cycles", to->cycles}};
    if (to && to->predicted) row["design"]["predicted_cycles"] = *to->predicted;
    rows.push_back(row);
    const auto cycles = [](const std::optional<Choice>& choice) {
      return choice ? fmt::format("{:.0f}", choice->cycles) : std::string("-");
    };
    table.row({layer.name, fmt::format("{}", layer.count), cycles(from), cycles(to),
               to && to->predicted ? fmt::format("{:.0f}", *to->predicted) : "-",
               to && to->predicted ? percent(*to->predicted, to->cycles) : "-",
               from && to ? fmt::format("{:.3f}x", from->cycles / to->cycles) : "-"});
    if (!from || !to) {
      ++missing;
      end.is_measured = end.is_measured && !to && !from;
      continue;
    }
    before.add(*from, static_cast<double>(layer.count));
    after.add(*to, static_cast<double>(layer.count));
  }
  const double latency = before.cycles / after.cycles, energy = before.energy_uj / after.energy_uj;
  end.json = {{"hardware", to_json(best.hardware)},
              {"default_hardware", to_json(reference)},
              {"default", before.json()},
              {"design", after.json()},
              {"gain", {{"latency", latency}, {"energy", energy}, {"edp", latency * energy}}},
              {"layers_not_measured", missing},
              {"layers", rows}};
  end.text =
      "Cycles of one run of each layer, as measured; predicted before the measurement:\n" + table.text();
  if (missing > 0)
    end.text += fmt::format("in no sum, without both measurements: {}\n", counted(missing, "layer"));
  end.text += fmt::format(
      "default: pe_dim {}, {}/{} KiB: {:.0f} cycles measured, {:.6g} uJ\n"
      "design:  pe_dim {}, {}/{} KiB: {:.0f} cycles measured, {:.6g} uJ\n",
      reference.pe_dim, reference.scratchpad_kib, reference.accumulator_kib, before.cycles, before.energy_uj,
      best.hardware.pe_dim, best.hardware.scratchpad_kib, best.hardware.accumulator_kib, after.cycles,
      after.energy_uj);
  if (before.has_predictions && after.has_predictions) {
    const double predicted = before.predicted / after.predicted;
    end.json["gain"]["latency_predicted"] = predicted;
    end.text += fmt::format("latency {:.3f}x predicted, {:.3f}x measured; ", predicted, latency);
  } else {
    end.text += fmt::format("latency {:.3f}x measured; ", latency);
  }
  end.text += fmt::format("energy {:.3f}x by the model; EDP {:.3f}x\n", energy, latency * energy);
}

}  // namespace

std::string MeasuredTilings::key_of(const Layer& layer, const Tile& tile) {
  return shape_of(layer) + " " + gemmini::to_string(tile);
}

void MeasuredTilings::add(const Layer& layer, const Tile& tile, double cycles,
                          std::optional<double> predicted) {
  by_shape_[shape_of(layer)].push_back({tile, cycles, predicted});
}

void MeasuredTilings::add_failed(const Layer& layer, const Tile& tile) {
  failed_[key_of(layer, tile)] = true;
  failed_names_.push_back(fmt::format("{}: {}", layer.name, gemmini::to_string(tile)));
}

bool MeasuredTilings::has(const Layer& layer, const Tile& tile) const {
  return find(layer, tile) != nullptr || failed_.count(key_of(layer, tile)) > 0;
}

const MeasuredTilings::Entry* MeasuredTilings::find(const Layer& layer, const Tile& tile) const {
  for (const Entry& entry : of(layer)) {
    if (entry.tile == tile) return &entry;
  }
  return nullptr;
}

const std::vector<MeasuredTilings::Entry>& MeasuredTilings::of(const Layer& layer) const {
  static const std::vector<Entry> none;
  const auto found = by_shape_.find(shape_of(layer));
  return found == by_shape_.end() ? none : found->second;
}

std::optional<double> MeasuredTilings::network_cycles(const Design& design) const {
  double cycles = 0;
  for (const DesignLayer& entry : design.layers) {
    const auto count = static_cast<double>(entry.layer.count);
    const Entry* found =
        find(entry.layer, gemmini::tile_of(entry.layer, entry.schedule, ArraySizes::of(design.hardware)));
    if (found == nullptr && !of(entry.layer).empty()) return std::nullopt;
    cycles += count * (found ? static_cast<double>(entry.layer.groups) * found->cycles : entry.costs.cycles);
  }
  return cycles;
}

CampaignEnd best_measured(const Workload& workload, const std::vector<Design>& designs,
                          const ArraySizes& reference, const std::vector<Tile>& own,
                          const MeasuredTilings& measured, const ArrayMachine& machine,
                          const Objective& objective) {
  // Not slower than the default, where all of that is measured.
  double most_cycles = 0;
  for (std::size_t i = 0; i < workload.layers.size(); ++i) {
    const Layer& layer = workload.layers[i];
    const MeasuredTilings::Entry* entry = measured.find(layer, own[i]);
    if (entry != nullptr)
      most_cycles += static_cast<double>(layer.repetitions()) * entry->cycles;
    else if (!measured.of(layer).empty())
      most_cycles = std::numeric_limits<double>::infinity();
  }
  Selection best;
  const auto consider = [&](const ArraySizes& built, std::size_t design) {
    Selection now = select(workload, built, measured, machine, objective, most_cycles);
    now.design = design;
    if (best.layers.empty() || now.value < best.value) best = std::move(now);
  };
  for (std::size_t i = 0; i < designs.size(); ++i) consider(ArraySizes::of(designs[i].hardware), i);
  const bool all_measured = std::all_of(workload.layers.begin(), workload.layers.end(),
                                        [&](const Layer& layer) { return !measured.of(layer).empty(); });
  if (all_measured) consider(reference, designs.size() - 1);
  best.layers.resize(workload.layers.size());
  std::vector<std::optional<Choice>> defaults;
  for (std::size_t i = 0; i < workload.layers.size(); ++i) {
    const MeasuredTilings::Entry* entry = measured.find(workload.layers[i], own[i]);
    defaults.emplace_back();
    if (entry == nullptr) continue;
    const auto choice = choices_of(workload.layers[i], {*entry}, reference, machine);
    if (!choice.empty()) defaults.back() = choice.front();
  }
  CampaignEnd end;
  compare(end, workload, best, defaults, reference);
  end.design = design_of(best, designs[best.design], machine);
  return end;
}

}  // namespace dosa
