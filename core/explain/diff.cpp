#include "dosa/core/explain/diff.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

/// Ratios nearer to 1 than this are no change that is worth a word.
constexpr double kSame = 0.005;

bool differs(double ratio) { return std::abs(ratio - 1) > kSame; }

double ratio_of(double second, double first) { return first == 0 ? 1 : second / first; }

bool is_same_layer(const Layer& a, const Layer& b) {
  return a.size == b.size && a.wstride == b.wstride && a.hstride == b.hstride && a.wdilation == b.wdilation &&
         a.hdilation == b.hdilation && a.groups == b.groups;
}

/// What changed of one layer, the causes of cycles first, then of energy.
std::vector<std::string> why_of(const LayerAnalysis& a, const LayerAnalysis& b) {
  std::vector<std::string> why;
  if (a.bound.text() != b.bound.text())
    why.push_back(fmt::format("bound by {} -> {}", a.bound.text(), b.bound.text()));
  struct Factor {
    const char* name;
    double ratio;  // of the cycles, by this factor alone
    std::string text;
  };
  std::vector<Factor> factors;
  const auto add = [&](const char* name, double first, double second) {
    if (differs(first / second))
      factors.push_back(
          {name, first / second, fmt::format("{} {:.3g} -> {:.3g} %", name, 100 * first, 100 * second)});
  };
  add("unpadded", a.utilisation.unpadded, b.utilisation.unpadded);
  add("array used", a.utilisation.spread, b.utilisation.spread);
  add("not waiting", a.utilisation.busy, b.utilisation.busy);
  if (const double built = ratio_of(b.breakdown.multipliers, a.breakdown.multipliers); differs(built))
    factors.push_back({"multipliers", 1 / built, fmt::format("{:.3g}x multipliers", built)});
  std::stable_sort(factors.begin(), factors.end(), [](const Factor& x, const Factor& y) {
    return std::abs(std::log(x.ratio)) > std::abs(std::log(y.ratio));
  });
  for (const Factor& factor : factors) why.push_back(factor.text);
  if (const double words = ratio_of(b.dram_words, a.dram_words); differs(words))
    why.push_back(fmt::format("DRAM words {:.3g}x", words));
  // The part of the energy that changed most.
  double most = 0;
  std::string text;
  for (const EnergyShare& part : a.energy) {
    const auto same = std::find_if(b.energy.begin(), b.energy.end(),
                                   [&](const EnergyShare& other) { return other.text() == part.text(); });
    const double after = same == b.energy.end() ? 0 : same->energy_uj;
    if (std::abs(after - part.energy_uj) <= std::max(most, kSame * a.energy_uj)) continue;
    most = std::abs(after - part.energy_uj);
    text = fmt::format("energy of {} {:.3g} -> {:.3g} uJ", part.text(), part.energy_uj, after);
  }
  if (!text.empty()) why.push_back(text);
  return why;
}

std::string times(double ratio) { return fmt::format("{:.3f}x", ratio); }

void row_of(Table& table, const std::string& name, double first, double second) {
  if (first == 0 && second == 0) return;
  table.row({name, fmt::format("{:.6g}", first), fmt::format("{:.6g}", second),
             first == 0 ? "" : times(second / first)});
}

Table table_of_totals(const DesignAnalysis& a, const DesignAnalysis& b) {
  Table table({{"", ColumnKind::kName}, {"first"}, {"second"}, {"ratio"}});
  const auto& names = a.design.machine->parameter_names();
  if (names == b.design.machine->parameter_names()) {
    for (std::size_t p = 0; p < names.size(); ++p)
      row_of(table, names[p], static_cast<double>(a.design.hardware[p]),
             static_cast<double>(b.design.hardware[p]));
  }
  row_of(table, "area_mm2", a.design.totals.area_mm2, b.design.totals.area_mm2);
  row_of(table, "cycles", a.design.totals.cycles, b.design.totals.cycles);
  row_of(table, "energy_uJ", a.design.totals.energy_uj, b.design.totals.energy_uj);
  row_of(table, "EDP", a.design.totals.edp, b.design.totals.edp);
  row_of(table, "utilisation %", 100 * a.utilisation.value(), 100 * b.utilisation.value());
  row_of(table, "DRAM words", a.dram_words, b.dram_words);
  return table;
}

std::string described(const char* which, const Design& design) {
  std::string text = fmt::format("{}: {} on {}", which, printable(design.workload), printable(design.target));
  const std::string sizes = design.machine->text(design.hardware);
  if (!sizes.empty()) text += ": " + sizes;
  for (const NumberChange& change : design.machine->set)
    text += fmt::format(", {} = {}", printable(change.name), change.value);
  return text + "\n";
}

Json side_of(const DesignAnalysis& analysis) {
  const Design& design = analysis.design;
  Json json{{"workload", design.workload}, {"target", design.target}};
  if (!design.machine->set.empty()) json["set"] = to_json(design.machine->set);
  json["hardware"] = design.machine->to_json(design.hardware);
  json["totals"] = to_json(design.totals);
  json["utilisation"] = analysis.utilisation.value();
  json["dram_words"] = analysis.dram_words;
  return json;
}

Json layer_json(const LayerAnalysis& layer) {
  return {{"name", layer.layer.name},       {"count", layer.layer.count},
          {"schedule", layer.schedule},     {"cycles", layer.cycles},
          {"energy_uj", layer.energy_uj},   {"utilisation", layer.utilisation.value()},
          {"bound_by", layer.bound.text()}, {"dram_words", layer.dram_words}};
}

}  // namespace

DesignDifference difference(DesignAnalysis first, DesignAnalysis second) {
  DesignDifference result;
  std::vector<bool> taken(second.layers.size(), false);
  const auto match = [&](const LayerAnalysis& layer, bool by_name) -> std::optional<std::size_t> {
    for (std::size_t s = 0; s < second.layers.size(); ++s) {
      const Layer& other = second.layers[s].layer;
      if (taken[s] || !is_same_layer(layer.layer, other)) continue;
      if (!by_name || layer.layer.name == other.name) return s;
    }
    return std::nullopt;
  };
  std::vector<std::optional<std::size_t>> partner(first.layers.size());
  for (const bool by_name : {true, false}) {
    for (std::size_t f = 0; f < first.layers.size(); ++f) {
      if (partner[f]) continue;
      partner[f] = match(first.layers[f], by_name);
      if (partner[f]) taken[*partner[f]] = true;
    }
  }
  for (std::size_t f = 0; f < first.layers.size(); ++f) {
    const LayerAnalysis& a = first.layers[f];
    if (!partner[f]) {
      result.only_first.push_back(a.layer.name);
      continue;
    }
    const LayerAnalysis& b = second.layers[*partner[f]];
    result.layers.push_back({f, *partner[f], b.cycles / a.cycles, b.energy_uj / a.energy_uj,
                             a.schedule == b.schedule, why_of(a, b)});
  }
  for (std::size_t s = 0; s < second.layers.size(); ++s) {
    if (!taken[s]) result.only_second.push_back(second.layers[s].layer.name);
  }
  result.first = std::move(first);
  result.second = std::move(second);
  return result;
}

Json to_json(const DesignDifference& difference) {
  Json json{{"schema", "dosa-diff/1"},
            {"first", side_of(difference.first)},
            {"second", side_of(difference.second)},
            {"layers", Json::array()},
            {"only_first", difference.only_first},
            {"only_second", difference.only_second}};
  for (const LayerDifference& layer : difference.layers) {
    json["layers"].push_back({{"first", layer_json(difference.first.layers[layer.first])},
                              {"second", layer_json(difference.second.layers[layer.second])},
                              {"cycles_ratio", layer.cycles_ratio},
                              {"energy_ratio", layer.energy_ratio},
                              {"same_schedule", layer.same_schedule},
                              {"why", layer.why}});
  }
  return json;
}

std::string report(const DesignDifference& difference) {
  std::string text = described("first", difference.first.design) +
                     described("second", difference.second.design) + "\n" +
                     table_of_totals(difference.first, difference.second).text() + "\n";
  Table table({{"layer", ColumnKind::kName},
               {"cycles"},
               {"energy"},
               {"schedule", ColumnKind::kText},
               {"why", ColumnKind::kProse}});
  std::size_t same = 0;
  for (const LayerDifference& layer : difference.layers) {
    const bool changed = !layer.same_schedule || differs(layer.cycles_ratio) || differs(layer.energy_ratio);
    same += !changed;
    if (!changed) continue;
    table.row({difference.first.layers[layer.first].layer.name, times(layer.cycles_ratio),
               times(layer.energy_ratio), layer.same_schedule ? "same" : "other",
               fmt::format("{}", fmt::join(layer.why, "; "))});
  }
  if (table.rows() > 0) text += table.text();
  if (same > 0)
    text +=
        fmt::format("{} of {}: the same within 0.5 %\n", same, counted(difference.layers.size(), "layer"));
  for (const auto& [names, which] :
       {std::pair{&difference.only_first, "first"}, std::pair{&difference.only_second, "second"}}) {
    if (!names->empty())
      text +=
          fmt::format("only in the {}: {}\n", which, printable(fmt::format("{}", fmt::join(*names, ", "))));
  }
  return text;
}

}  // namespace dosa
