#include "dosa/core/design/analysis.hpp"

namespace dosa {

double at(const torch::Tensor& tensor, std::size_t row) {
  return tensor.dim() == 0 ? tensor.item<double>() : tensor[static_cast<std::int64_t>(row)].item<double>();
}

const char* capacity_name(const MemoryLevel& memory) {
  return memory.sized_by == SizedBy::kScratchpad ? "scratchpad" : "accumulator";
}

double need_kib(const Traffic& traffic, const MemoryLevel& memory, int level, const ArraySizes& hardware,
                std::size_t row) {
  const torch::Tensor array = torch::scalar_tensor(static_cast<double>(hardware.pe_dim), torch::kFloat64);
  return at(traffic.need_kib(memory, level, array), row);
}

Table access_table(std::initializer_list<Table::Column> more) {
  std::vector<Table::Column> columns{{"level", ColumnKind::kName},
                                     {"of", ColumnKind::kText},
                                     {"reads"},
                                     {"writes"},
                                     {"updates"},
                                     {"energy_uJ"},
                                     {"cycles"}};
  columns.insert(columns.end(), more);
  return Table(columns);
}

void explain_accesses(const LevelAccesses& level, Json& entry, Table& table) {
  const auto count = [](double words) { return fmt::format("{:.0f}", words); };
  bool first = true;
  for (const Operand operand : all_operands()) {
    if (!level.holds[static_cast<std::size_t>(operand)]) continue;
    const std::string tensor(1, kOperandNames[static_cast<std::size_t>(operand)]);
    const auto [reads, writes, updates] = level.words(operand);
    entry["accesses"][tensor] = {{"reads", reads}, {"writes", writes}, {"updates", updates}};
    std::vector<std::string> cells{first ? level.name : "", tensor, count(reads), count(writes),
                                   count(updates)};
    if (first) {
      cells.push_back(fmt::format("{:.4f}", level.energy_uj));
      cells.push_back(level.cycles > 0 ? count(level.cycles) : "");
      cells.insert(cells.end(), level.more.begin(), level.more.end());
    }
    table.row(std::move(cells));
    first = false;
  }
}

Explanation explain_layer(const Layer& layer, const Schedule& schedule, const Traffic& traffic,
                          const Cost& cost, const ArraySizes& hardware, const ArrayMachine& machine) {
  const double cycles = at(cost.cycles, 0);
  const double energy = at(cost.energy_pj, 0) * 1e-6;
  const double compute = at(traffic.compute_cycles, 0);
  const double utilisation =
      static_cast<double>(layer.macs()) /
      (cycles * static_cast<double>(hardware.pe_dim) * static_cast<double>(hardware.pe_dim));
  std::string bound = "compute";
  Explanation analysis;
  Json levels = Json::array();
  Table table = access_table({{"KiB", ColumnKind::kText}});
  for (int index = machine.dram(); index >= 0; --index) {
    const auto level = static_cast<std::size_t>(index);
    const MemoryLevel& memory = machine.levels[level];
    Json entry{{"level", machine.level_label(index)}, {"name", memory.name}};
    const torch::Tensor& level_cycles = cost.level_cycles[level];
    const double bound_cycles = level_cycles.defined() ? at(level_cycles, 0) : 0;
    if (bound_cycles == cycles && cycles > compute) bound = memory.name;
    entry["energy_uj"] =
        cost.level_energy_pj[level].defined() ? at(cost.level_energy_pj[level], 0) * 1e-6 : 0;
    entry["cycles"] = bound_cycles;
    std::string capacity;
    if (memory.sized_by != SizedBy::kNothing) {
      const double used = need_kib(traffic, memory, index, hardware, 0);
      entry["used_kib"] = used;
      entry["capacity_kib"] = capacity_kib(memory, hardware);
      capacity = fmt::format("{:.4g} of {}", used, capacity_kib(memory, hardware));
    }
    const auto words = [&](Operand operand) {
      const Accesses& accesses = traffic.accesses[level][static_cast<std::size_t>(operand)];
      const auto count = [](const torch::Tensor& kind) { return kind.defined() ? at(kind, 0) : 0; };
      return std::array<double, 3>{count(accesses.reads), count(accesses.writes), count(accesses.updates)};
    };
    explain_accesses(
        {memory.name, memory.holds, words, entry["energy_uj"].get<double>(), bound_cycles, {capacity}}, entry,
        table);
    levels.push_back(std::move(entry));
  }
  analysis.json = {
      {"layer", to_json(layer)}, {schedule.key(), schedule.json()}, {"cycles", cycles},
      {"energy_uj", energy},     {"edp", cycles * energy},          {"compute_cycles", compute},
      {"bound_by", bound},       {"utilisation", utilisation},      {"levels", std::move(levels)}};
  analysis.text =
      fmt::format(
          "{}: {}\n{} cycles (bound by {}, compute alone {}),\n{:.6f} uJ, EDP {:.6g}, utilisation {:.1f} "
          "%{}\n",
          printable(layer.name), schedule.text(), cycles, bound, compute, energy, cycles * energy,
          100 * utilisation, layer.groups > 1 ? fmt::format("; per group, of {} groups", layer.groups) : "") +
      table.text();
  return analysis;
}

}  // namespace dosa
