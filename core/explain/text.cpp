#include <algorithm>
#include <cmath>

#include "dosa/core/explain/explain.hpp"
#include "dosa/core/explain/priced.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/table.hpp"

namespace dosa {
namespace {

/// Numbers of the machine that are listed for people, and the least change that is worth a line.
constexpr std::size_t kMostNumbers = 14;
constexpr double kLeastChange = 0.0005;
/// Parts of the energy that are named.
constexpr std::size_t kMostShares = 4;

std::string percent(double share) { return fmt::format("{:.1f}", 100 * share); }

/// "-3.1 %"; a dot where nothing changes.
std::string change(double relative) {
  const std::string text = fmt::format("{:+.1f}", 100 * relative);
  return std::abs(relative) < kLeastChange ? "." : text;
}

std::string text_of(const std::vector<EnergyShare>& shares) {
  std::string text;
  for (std::size_t i = 0; i < std::min(kMostShares, shares.size()); ++i)
    text += fmt::format("{}{} {:.0f} %", i == 0 ? "" : ", ", shares[i].text(), 100 * shares[i].share);
  return text;
}

std::string text_of(const std::vector<Reason>& reasons) {
  std::string text;
  for (const Reason& reason : reasons) text += (text.empty() ? "" : "; ") + reason.text;
  return text;
}

std::string head(const Design& design) {
  const std::string sizes = design.machine->text(design.hardware);
  std::string text =
      fmt::format("{} on {}: {}{}{:.3f} mm2\n", printable(design.workload), printable(design.target), sizes,
                  sizes.empty() ? "" : ", ", design.totals.area_mm2);
  for (const NumberChange& change : design.machine->set)
    text += fmt::format("with {} = {}\n", printable(change.name), change.value);
  return text + fmt::format("cycles {:.0f}   energy {:.6g} uJ   EDP {:.6g} uJ*cycles\n", design.totals.cycles,
                            design.totals.energy_uj, design.totals.edp);
}

std::string text_of_cpu_work(const Design& design) {
  std::string text;
  for (const std::string& remark : cpu_remarks(design)) text += remark + "\n";
  return text;
}

std::string text_of_totals(const DesignAnalysis& analysis) {
  const Utilisation& use = analysis.utilisation;
  const double cycles = analysis.design.totals.cycles;
  std::string text = fmt::format(
      "utilisation {} %: {} % of the MACs are no padding, {} % of the multipliers work while any does, {} % "
      "of the cycles wait for nothing\n",
      percent(use.value()), percent(use.unpadded), percent(use.spread), percent(use.busy));
  text += fmt::format("cycles are {:.2f}x those of a full array", cycles / analysis.compute_bound_cycles);
  if (analysis.traffic_bound_cycles > 0)
    text += fmt::format(", {:.2f}x those of moving every word once", cycles / analysis.traffic_bound_cycles);
  text += fmt::format(", {:.2f}x the larger of the two, layer by layer\n", cycles / analysis.bound_cycles);
  text += fmt::format("DRAM moves {:.2f}x the words that it must\n",
                      analysis.dram_words / analysis.compulsory_words);
  text += "bound by:";
  for (std::size_t i = 0; i < std::min(kMostShares, analysis.bounds.size()); ++i)
    text += fmt::format("{} {} {} %", i == 0 ? "" : ",", analysis.bounds[i].bound.text(),
                        percent(analysis.bounds[i].share));
  text += " of the cycles\nenergy: " + text_of(analysis.energy) + "\n";
  return text;
}

std::string text_of_sensitivities(const DesignAnalysis& analysis) {
  Table table(
      {{"10 % more", ColumnKind::kName}, {"is now"}, {"EDP %"}, {"energy %"}, {"latency %"}, {"area %"}});
  std::size_t left = 0;
  for (const Sensitivity& one : analysis.sensitivities) {
    const double largest = std::max({std::abs(one.more.edp), std::abs(one.more.energy),
                                     std::abs(one.more.latency), std::abs(one.more.area)});
    if (largest < kLeastChange) continue;
    if (table.rows() == kMostNumbers) {
      ++left;
      continue;
    }
    table.row({one.number.name, fmt::format("{:.4g}", one.number.value), change(one.more.edp),
               change(one.more.energy), change(one.more.latency), change(one.more.area)});
  }
  std::string text = table.text();
  if (left > 0) text += fmt::format("and {} more that matter less (--json has all)\n", left);
  for (const Sensitivity& one : analysis.sensitivities) {
    if (one.latency_sd && *one.latency_sd > 0) {
      text +=
          fmt::format("{}: d log latency / d log of it {:.3f} +- {:.3f} over the networks of the surrogate\n",
                      one.number.name, one.slope.latency, *one.latency_sd);
    }
  }
  return text + "schedules as they are: a larger buffer costs, but no larger tile is put into it\n";
}

/// What a search on the changed machine gives, beside what the slopes say.
std::string text_of_search(const DesignAnalysis& analysis) {
  Table table({{"searched again", ColumnKind::kName},
               {"from"},
               {"to"},
               {"EDP %"},
               {"", ColumnKind::kText},
               {"by slope %"},
               {"energy %"},
               {"latency %"}});
  std::string notes;
  bool any_other = false;
  for (const Sensitivity& one : analysis.sensitivities) {
    for (const Sensitivity::Searched& searched : one.searched) {
      if (!searched.problem.empty()) {
        notes += fmt::format("{} = {:.6g}: {}\n", one.number.name, searched.value, searched.problem);
        continue;
      }
      const bool other = !one.agrees(searched);
      any_other = any_other || other;
      table.row({one.number.name, fmt::format("{:.5g}", one.number.value),
                 fmt::format("{:.5g}", searched.value), change(searched.change.edp), other ? "*" : "",
                 change(one.by_slope(searched.value)), change(searched.change.energy),
                 change(searched.change.latency)});
    }
  }
  if (any_other) {
    notes +=
        "*: another sign than the slope's, or 1.5 times as much or as little: within the step another memory "
        "begins to bind, schedules need room that a capacity gives or takes, or a better schedule is found\n";
  }
  const double better = analysis.searched->edp / analysis.design.totals.edp - 1;
  return "\n" + table.text() + notes +
         fmt::format(
             "on the same hardware, with the best of all schedules that were found, against the best with "
             "nothing changed ({:+.2f} % of this design's EDP)\n",
             100 * better);
}

Json to_json(const Utilisation& use) {
  return {{"value", use.value()}, {"unpadded", use.unpadded}, {"spread", use.spread}, {"busy", use.busy}};
}

Json to_json(const Bound& bound) {
  Json json{{"by", bound.by}};
  if (bound.tensor) json["tensor"] = std::string(1, kOperandNames[static_cast<std::size_t>(*bound.tensor)]);
  return json;
}

Json to_json(const std::vector<EnergyShare>& shares) {
  Json list = Json::array();
  for (const EnergyShare& share : shares) {
    Json json{{"of", share.tensor ? share.level : "macs"}};
    if (share.tensor) json["tensor"] = std::string(1, kOperandNames[static_cast<std::size_t>(*share.tensor)]);
    json["energy_uj"] = share.energy_uj;
    json["share"] = share.share;
    list.push_back(std::move(json));
  }
  return list;
}

Json to_json(const Effects& effects) {
  return {
      {"edp", effects.edp}, {"energy", effects.energy}, {"latency", effects.latency}, {"area", effects.area}};
}

Json to_json(const Sensitivity& one) {
  Json json{{"name", one.number.name},           {"kind", to_string(one.number.kind)},
            {"unit", one.number.unit},           {"value", one.number.value},
            {"slope", to_json(one.slope)},       {"at_110_percent", to_json(one.more)},
            {"at_90_percent", to_json(one.less)}};
  if (one.latency_sd) json["slope"]["latency_sd"] = *one.latency_sd;
  for (const Sensitivity::Searched& searched : one.searched) {
    Json entry{{"value", searched.value}};
    if (searched.problem.empty()) {
      entry["change"] = to_json(searched.change);
      entry["by_slope"] = one.by_slope(searched.value);
      entry["agrees"] = one.agrees(searched);
    } else {
      entry["problem"] = searched.problem;
    }
    json["searched"].push_back(std::move(entry));
  }
  return json;
}

Json to_json(const LevelBreakdown& level, double groups) {
  Json json{{"level", level.label},
            {"name", level.name},
            {"energy_uj", level.energy_uj * groups},
            {"cycles", level.cycles * groups},
            {"used_instances", level.used_instances},
            {"instances", level.instances}};
  if (level.capacity) {
    json["used"] = level.used;
    json["capacity"] = *level.capacity;
    json["size_unit"] = level.size_unit;
  }
  json["tensors"] = Json::object();
  for (const Operand operand : all_operands()) {
    const auto o = static_cast<std::size_t>(operand);
    if (!level.holds[o]) continue;
    const TensorAccesses& tensor = level.tensors[o];
    json["tensors"][std::string(1, kOperandNames[o])] = {{"reads", tensor.reads * groups},
                                                         {"writes", tensor.writes * groups},
                                                         {"updates", tensor.updates * groups},
                                                         {"energy_uj", tensor.energy_uj * groups},
                                                         {"cycles", tensor.cycles * groups}};
  }
  return json;
}

}  // namespace

Json to_json(const LayerAnalysis& layer) {
  Json json{{"name", layer.layer.name},
            {"count", layer.layer.count},
            {"schedule", layer.schedule},
            {"cycles", layer.cycles},
            {"energy_uj", layer.energy_uj},
            {"share_of_cycles", layer.share_of_cycles},
            {"share_of_energy", layer.share_of_energy},
            {"share_of_edp", layer.share_of_edp},
            {"utilisation", to_json(layer.utilisation)},
            {"bound", to_json(layer.bound)},
            {"compute_cycles", layer.breakdown.compute_cycles * static_cast<double>(layer.layer.groups)},
            {"compute_bound_cycles", layer.compute_bound_cycles},
            {"traffic_bound_cycles", layer.traffic_bound_cycles},
            {"dram_words", layer.dram_words},
            {"compulsory_words", layer.compulsory_words},
            {"energy", to_json(layer.energy)},
            {"reasons", Json::array()},
            {"levels", Json::array()}};
  for (const Reason& reason : layer.reasons)
    json["reasons"].push_back(
        {{"kind", to_string(reason.kind)}, {"factor", reason.factor}, {"text", reason.text}});
  for (std::size_t l = layer.breakdown.levels.size(); l-- > 0;)
    json["levels"].push_back(to_json(layer.breakdown.levels[l], static_cast<double>(layer.layer.groups)));
  if (layer.breakdown.cycles_sd_log) json["cycles_sd_log"] = *layer.breakdown.cycles_sd_log;
  return json;
}

std::string details(const LayerAnalysis& layer) {
  Table table({{"level", ColumnKind::kName},
               {"of", ColumnKind::kText},
               {"reads"},
               {"writes"},
               {"updates"},
               {"uJ"},
               {"cycles"},
               {"used %"},
               {"full %"}});
  const auto groups = static_cast<double>(layer.layer.groups);
  const auto count = [&](double words) { return fmt::format("{:.0f}", words * groups); };
  for (std::size_t l = layer.breakdown.levels.size(); l-- > 0;) {
    const LevelBreakdown& level = layer.breakdown.levels[l];
    bool first = true;
    for (const Operand operand : all_operands()) {
      const auto o = static_cast<std::size_t>(operand);
      if (!level.holds[o]) continue;
      const TensorAccesses& tensor = level.tensors[o];
      std::vector<std::string> cells{first ? level.name : "", std::string(1, kOperandNames[o]),
                                     count(tensor.reads), count(tensor.writes), count(tensor.updates)};
      if (first) {
        cells.push_back(fmt::format("{:.5g}", level.energy_uj * groups));
        cells.push_back(level.cycles > 0 ? count(level.cycles) : "");
        cells.push_back(percent(level.used_instances / level.instances));
        cells.push_back(level.capacity ? percent(level.fill()) : "");
      }
      table.row(std::move(cells));
      first = false;
    }
  }
  return fmt::format(
             "{}:\n{}\n{:.0f} cycles (bound by {}, compute alone {:.0f}),\n{:.6f} uJ, EDP {:.6g}, "
             "utilisation "
             "{:.1f} %\n",
             printable(layer.layer.name), layer.schedule, layer.cycles, layer.bound.text(),
             layer.breakdown.compute_cycles * groups, layer.energy_uj, layer.cycles * layer.energy_uj,
             100 * layer.utilisation.value()) +
         table.text() + "used %: of the memories that are built; full %: of what a tile may take\n";
}

std::string report(const Design& design, const Target& target) {
  const std::vector<SchedulePtr> schedules = schedules_of(design);
  Table table({{"layer", ColumnKind::kName},
               {"count"},
               {"cycles"},
               {"energy_uJ"},
               {"share %"},
               {"use %"},
               {"bound by", ColumnKind::kName},
               {"schedule", ColumnKind::kBelow}});
  for (const LayerAnalysis& layer : analyse_layers(design, target)) {
    table.row({layer.layer.name, fmt::format("{}", layer.layer.count), fmt::format("{:.0f}", layer.cycles),
               fmt::format("{:.3f}", layer.energy_uj), fmt::format("{:.2f}", 100 * layer.share_of_edp),
               percent(layer.utilisation.value()), layer.bound.text(), layer.schedule});
  }
  std::string text = table.text();
  text +=
      "share %: half the layer's share of the cycles and half that of the energy\n"
      "use %: MACs of the layer over what all multipliers could do in its cycles\n";
  const auto any = [&](Remainders remainders) {
    return std::any_of(schedules.begin(), schedules.end(),
                       [&](const SchedulePtr& schedule) { return schedule->remainders() == remainders; });
  };
  if (any(Remainders::kPadded))
    text += "P57/113: P, of size 113, is padded to what its factors multiply to\n";
  if (any(Remainders::kCut)) text += "P7,3: the last run of this loop has 3 iterations\n";
  return text + text_of_cpu_work(design) + "\n" + head(design);
}

std::string report(const DesignAnalysis& analysis) {
  Table why({{"layer", ColumnKind::kName},
             {"share %"},
             {"use %"},
             {"x least"},
             {"bound by", ColumnKind::kName},
             {"why", ColumnKind::kProse}});
  Table energy({{"layer", ColumnKind::kName}, {"energy %"}, {"of which", ColumnKind::kProse}});
  for (const LayerAnalysis& layer : analysis.layers) {
    why.row({layer.layer.name, percent(layer.share_of_edp), percent(layer.utilisation.value()),
             fmt::format("{:.2f}", layer.over_bound()), layer.bound.text(), text_of(layer.reasons)});
    energy.row({layer.layer.name, percent(layer.share_of_energy), text_of(layer.energy)});
  }
  return head(analysis.design) + text_of_cpu_work(analysis.design) + "\n" + text_of_totals(analysis) + "\n" +
         why.text() +
         "share %: half the layer's share of the cycles and half that of the energy\n"
         "x least: cycles over the larger of a full array's and of moving every word once\n\n" +
         energy.text() + "\n" + text_of_sensitivities(analysis) +
         (analysis.searched ? text_of_search(analysis) : "");
}

Json to_json(const DesignAnalysis& analysis) {
  const Design& design = analysis.design;
  Json json{{"schema", "dosa-explain/1"}, {"workload", design.workload}, {"target", design.target}};
  if (!design.machine->set.empty()) json["set"] = to_json(design.machine->set);
  json["hardware"] = design.machine->to_json(design.hardware);
  json["totals"] = to_json(design.totals);
  for (const CpuLayer& layer : design.left_to_cpu) json["left_to_cpu"].push_back(to_json(layer));
  json["utilisation"] = to_json(analysis.utilisation);
  json["compute_bound_cycles"] = analysis.compute_bound_cycles;
  json["traffic_bound_cycles"] = analysis.traffic_bound_cycles;
  json["bound_cycles"] = analysis.bound_cycles;
  json["dram_words"] = analysis.dram_words;
  json["compulsory_words"] = analysis.compulsory_words;
  json["bounds"] = Json::array();
  for (const DesignAnalysis::CyclesShare& bound : analysis.bounds) {
    json["bounds"].push_back(to_json(bound.bound));
    json["bounds"].back()["share_of_cycles"] = bound.share;
  }
  json["energy"] = to_json(analysis.energy);
  json["layers"] = Json::array();
  for (const LayerAnalysis& layer : analysis.layers) json["layers"].push_back(to_json(layer));
  json["sensitivities"] = Json::array();
  for (const Sensitivity& one : analysis.sensitivities) json["sensitivities"].push_back(to_json(one));
  if (analysis.searched) json["searched_unchanged"] = to_json(*analysis.searched);
  return json;
}

}  // namespace dosa
