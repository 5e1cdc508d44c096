#include "dosa/core/design/analysis.hpp"

namespace dosa {

ChainExplanation::ChainExplanation(const Layer& layer, std::string mapping, const Chain& chain, double cycles,
                                   double compute_cycles, double energy_uj)
    : layer_(layer),
      mapping_(std::move(mapping)),
      chain_(chain),
      cycles_(cycles),
      compute_cycles_(compute_cycles),
      energy_uj_(energy_uj),
      table_(access_table({{"instances", ColumnKind::kText}, {"words", ColumnKind::kText}})) {}

void ChainExplanation::add(int index, const LevelNumbers& numbers) {
  const ChainLevel& memory = chain_.levels[static_cast<std::size_t>(index)];
  Json entry{{"level", chain_.level_label(index)}, {"name", memory.name},
             {"energy_uj", numbers.energy_uj},     {"cycles", numbers.cycles},
             {"used_instances", numbers.used},     {"instances", chain_.instances(index)},
             {"used_words", numbers.need_words}};
  if (memory.capacity_words) entry["capacity_words"] = *memory.capacity_words;
  const std::string words =
      memory.capacity_words ? fmt::format("{:.0f}/{}", numbers.need_words, *memory.capacity_words) : "";
  explain_accesses({memory.name,
                    memory.holds,
                    numbers.moved,
                    numbers.energy_uj,
                    numbers.cycles,
                    {fmt::format("{:.0f}/{}", numbers.used, chain_.instances(index)), words}},
                   entry, table_);
  if (numbers.cycles == cycles_ && cycles_ > compute_cycles_) bound_by_ = memory.name;
  levels_.push_back(std::move(entry));
}

Explanation ChainExplanation::finish() {
  const double utilisation =
      static_cast<double>(layer_.macs()) / (cycles_ * static_cast<double>(chain_.instances(-1)));
  Explanation analysis;
  analysis.json = {{"layer", to_json(layer_)},
                   {"machine", chain_.name},
                   {"mapping", mapping_},
                   {"cycles", cycles_},
                   {"energy_uj", energy_uj_},
                   {"edp", cycles_ * energy_uj_},
                   {"compute_cycles", compute_cycles_},
                   {"bound_by", bound_by_},
                   {"utilisation", utilisation},
                   {"levels", std::move(levels_)}};
  analysis.text =
      fmt::format(
          "{} on {}:\n{}\n{:.0f} cycles (bound by {}, compute alone {:.0f}),\n{:.6f} uJ, EDP {:.6g}, "
          "utilisation {:.1f} %\n",
          printable(layer_.name), printable(chain_.name), mapping_, cycles_, printable(bound_by_),
          compute_cycles_, energy_uj_, cycles_ * energy_uj_, 100 * utilisation) +
      table_.text();
  return analysis;
}

Explanation analyse_mapping(const Layer& layer, const Mapping& mapping, const ChainModel& model) {
  const Chain& chain = model.chain();
  if (mapping.is_cut()) return analyse_cut(layer, mapping, chain);
  check_mapping(mapping, layer, chain);
  const torch::InferenceMode no_gradients;
  const ChainTraffic traffic =
      model.traffic(model.nests_of({mapping}), LayerBatch::from({layer}, torch::kFloat64));
  model.check_fits(traffic, 0);
  const ChainCost cost = model.cost(traffic);
  ChainExplanation explanation(layer, print_mapping(mapping, chain), chain, at(cost.cycles, 0),
                               at(traffic.compute_cycles, 0), at(cost.energy_pj, 0) * 1e-6);
  for (int index = chain.dram(); index >= 0; --index) {
    const auto level = static_cast<std::size_t>(index);
    const double used = at(traffic.used[level], 0);
    const auto moved = [&](Operand operand) {
      const ChainAccesses& accesses = traffic.accesses[level][static_cast<std::size_t>(operand)];
      return std::array<double, 3>{at(accesses.reads, 0) * used, at(accesses.fills, 0) * used,
                                   at(accesses.updates, 0) * used};
    };
    explanation.add(index, {used, at(traffic.need_words(index), 0), at(cost.level_energy_pj[level], 0) * 1e-6,
                            cost.level_cycles[level].defined() ? at(cost.level_cycles[level], 0) : 0, moved});
  }
  return explanation.finish();
}

}  // namespace dosa
