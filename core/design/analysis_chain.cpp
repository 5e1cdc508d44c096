#include "dosa/core/design/analysis.hpp"

namespace dosa {
namespace {

/// One level of a mapping whose traffic and cost are the only ones of their batch: its entry in the JSON, and
/// its rows of the table, one for each tensor.
Json explain_level(const Chain& chain, int index, const ChainTraffic& traffic, const ChainCost& cost,
                   Table& table) {
  const auto level = static_cast<std::size_t>(index);
  const ChainLevel& memory = chain.levels[level];
  const double used = at(traffic.used[level], 0), need = at(traffic.need_words(index), 0);
  const double energy_uj = at(cost.level_energy_pj[level], 0) * 1e-6;
  const double cycles = cost.level_cycles[level].defined() ? at(cost.level_cycles[level], 0) : 0;
  Json entry{{"level", chain.level_label(index)},
             {"name", memory.name},
             {"energy_uj", energy_uj},
             {"cycles", cycles},
             {"used_instances", used},
             {"instances", chain.instances(index)},
             {"used_words", need}};
  if (memory.capacity_words) entry["capacity_words"] = *memory.capacity_words;
  const std::string words =
      memory.capacity_words ? fmt::format("{:.0f}/{}", need, *memory.capacity_words) : "";
  const auto moved = [&](Operand operand) {
    const ChainAccesses& accesses = traffic.accesses[level][static_cast<std::size_t>(operand)];
    return std::array<double, 3>{at(accesses.reads, 0) * used, at(accesses.fills, 0) * used,
                                 at(accesses.updates, 0) * used};
  };
  explain_accesses({memory.name,
                    memory.holds,
                    moved,
                    energy_uj,
                    cycles,
                    {fmt::format("{:.0f}/{}", used, chain.instances(index)), words}},
                   entry, table);
  return entry;
}

}  // namespace

Explanation analyse_mapping(const Layer& layer, const Mapping& mapping, const ChainModel& model) {
  const Chain& chain = model.chain();
  check_mapping(mapping, layer, chain);
  const torch::InferenceMode no_gradients;
  const ChainTraffic traffic = model.traffic_of({layer}, {mapping});
  model.check_fits(traffic, 0);
  const ChainCost cost = model.cost(traffic);
  const double cycles = at(cost.cycles, 0), compute = at(traffic.compute_cycles, 0);
  const double energy_uj = at(cost.energy_pj, 0) * 1e-6;
  const double utilisation =
      static_cast<double>(layer.macs()) / (cycles * static_cast<double>(chain.instances(-1)));
  std::string bound = "compute";
  Json levels = Json::array();
  Table table = access_table({{"instances", ColumnKind::kText}, {"words", ColumnKind::kText}});
  for (int level = chain.dram(); level >= 0; --level) {
    levels.push_back(explain_level(chain, level, traffic, cost, table));
    if (levels.back()["cycles"].get<double>() == cycles && cycles > compute)
      bound = chain.levels[static_cast<std::size_t>(level)].name;
  }
  Explanation analysis;
  const std::string text = print_mapping(mapping, chain);
  analysis.json = {{"layer", to_json(layer)},    {"machine", chain.name},  {"mapping", text},
                   {"cycles", cycles},           {"energy_uj", energy_uj}, {"edp", cycles * energy_uj},
                   {"compute_cycles", compute},  {"bound_by", bound},      {"utilisation", utilisation},
                   {"levels", std::move(levels)}};
  analysis.text =
      fmt::format(
          "{} on {}:\n{}\n{:.0f} cycles (bound by {}, compute alone {:.0f}),\n{:.6f} uJ, EDP {:.6g}, "
          "utilisation {:.1f} %\n",
          printable(layer.name), printable(chain.name), text, cycles, printable(bound), compute, energy_uj,
          cycles * energy_uj, 100 * utilisation) +
      table.text();
  return analysis;
}

}  // namespace dosa
