#include "dosa/core/design/validate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {
namespace {

/// Half a unit of the last digit that was printed: "1542.19" -> 0.005, "210164.0" (a whole number that passed
/// through floating point) -> 0.5.
double half_last_digit(std::string_view printed) {
  if (printed.size() > 2 && printed.substr(printed.size() - 2) == ".0") printed.remove_suffix(2);
  const std::size_t dot = printed.find('.');
  const std::size_t decimals = dot == std::string_view::npos ? 0 : printed.size() - dot - 1;
  return 0.5 * std::pow(10.0, -static_cast<double>(decimals));
}

struct Reference {
  std::vector<Layer> layers;
  std::vector<Mapping> mappings;
  std::vector<ArraySizes> hardware;
  std::vector<double> cycles, cycles_tolerance, energy_uj, energy_tolerance;
};

/// Where each quantity stands in one of the two kinds of table.
class ReferenceReader {
 public:
  ReferenceReader(const CsvInput& table, const ArrayMachine& machine) : table_(table), machine_(machine) {
    artefact_ = table.find("mapping.mapping").has_value();
    std::vector<std::string> names;
    for (const Dim dim : all_dims())
      names.push_back((artefact_ ? "prob." : "") + std::string(1, name_of(dim)));
    if (artefact_) {
      names.insert(names.end(),
                   {"prob.Wstride", "prob.Hstride", "prob.Wdilation", "prob.Hdilation", "mapping.mapping",
                    "target.cycle", "target.energy", "arch.meshX", "arch.mem2_entries", "arch.mem2_word-bits",
                    "arch.mem1_entries", "arch.mem1_instances", "arch.mem1_word-bits"});
      measured_ = table.find("target.gemmini_cycle").has_value();
      if (measured_) names.emplace_back("target.edp");
    } else {
      if (table.find("tile_R")) {
        fail(ErrorId::kSchema,
             "{}: measured latencies of tiles: compare them with --surrogate FILE or --measured",
             table.file());
      }
      names.insert(names.end(), {"wstride", "hstride", "mapping", "cycles", "energy_uj", "pe_dim",
                                 "scratchpad_kib", "accumulator_kib"});
    }
    const std::vector<std::size_t> indices = table.require(names);
    for (std::size_t i = 0; i < names.size(); ++i) columns_.emplace(names[i], indices[i]);
  }

  std::size_t mapping_column() const { return column(artefact_ ? "mapping.mapping" : "mapping"); }

  void read(std::size_t row, Reference& reference) const {
    reference.layers.push_back(layer(row));
    try {
      const Mapping mapping = parse_mapping(std::string(table_.text(row, mapping_column())), machine_);
      check_mapping(mapping, reference.layers.back(), machine_);
      reference.mappings.push_back(mapping);
    } catch (const Error& error) {
      throw error.in(table_.where(row) + ": mapping");
    }
    reference.hardware.push_back(hardware(row));
    const std::size_t energy = column(artefact_ ? "target.energy" : "energy_uj");
    reference.energy_uj.push_back(table_.number(row, energy, kTiny, kHuge));
    reference.energy_tolerance.push_back(half_last_digit(table_.text(row, energy)));
    if (measured_) {
      const std::size_t edp = column("target.edp");
      const double scale = 1e6 / reference.energy_uj.back();
      reference.cycles.push_back(table_.number(row, edp, kTiny, kHuge) * scale);
      reference.cycles_tolerance.push_back(half_last_digit(table_.text(row, edp)) * scale + 0.5);
    } else {
      reference.cycles.push_back(table_.number(row, column(artefact_ ? "target.cycle" : "cycles"), 1, kHuge));
      reference.cycles_tolerance.push_back(0);
    }
  }

 private:
  static constexpr double kTiny = 1e-30, kHuge = 1e30;

  std::size_t column(const std::string& name) const { return columns_.at(name); }

  Layer layer(std::size_t row) const {
    Layer layer;
    const std::string prefix = artefact_ ? "prob." : "";
    for (const Dim dim : all_dims()) {
      layer[dim] = table_.integer(row, column(prefix + name_of(dim)), 1, kMaxDim);
    }
    layer.wstride = table_.integer(row, column(artefact_ ? "prob.Wstride" : "wstride"), 1, kMaxStep);
    layer.hstride = table_.integer(row, column(artefact_ ? "prob.Hstride" : "hstride"), 1, kMaxStep);
    if (artefact_) {
      layer.wdilation = table_.integer(row, column("prob.Wdilation"), 1, kMaxStep);
      layer.hdilation = table_.integer(row, column("prob.Hdilation"), 1, kMaxStep);
    }
    try {
      check_layer(layer);
    } catch (const Error& error) {
      throw error.in(table_.where(row));
    }
    return layer;
  }

  ArraySizes hardware(std::size_t row) const {
    const auto value = [&](const char* name, std::int64_t max) {
      return table_.integer(row, column(name), 1, max);
    };
    if (!artefact_) {
      return {value("pe_dim", kMaxPeDim), value("scratchpad_kib", kMaxKib),
              value("accumulator_kib", kMaxKib)};
    }
    // The products of the largest stay in 64 bits.
    constexpr std::int64_t kMaxEntries = std::int64_t{1} << 34, kMaxBits = 1 << 10;
    return {value("arch.meshX", kMaxPeDim),
            value("arch.mem2_entries", kMaxEntries) * value("arch.mem2_word-bits", kMaxBits) / 8 / 1024,
            value("arch.mem1_entries", kMaxEntries) * value("arch.mem1_instances", kMaxPeDim) *
                value("arch.mem1_word-bits", kMaxBits) / 8 / 1024};
  }

  const CsvInput& table_;
  const ArrayMachine& machine_;
  bool artefact_ = false, measured_ = false;
  std::map<std::string, std::size_t> columns_;
};

HardwareTensors hardware_rows(const std::vector<ArraySizes>& rows) {
  std::array<torch::Tensor, kArraySizes.size()> columns;
  for (std::size_t f = 0; f < columns.size(); ++f) {
    std::vector<double> values;
    for (const ArraySizes& hardware : rows)
      values.push_back(static_cast<double>(hardware.*kArraySizes[f].value));
    columns[f] = torch::tensor(values, torch::kFloat64);
  }
  return {columns[0], columns[1], columns[2]};
}

ErrorStatistics statistics(std::vector<double> errors) {
  if (errors.empty()) return {};
  std::sort(errors.begin(), errors.end());
  const std::size_t at =
      std::min(errors.size() - 1, static_cast<std::size_t>(0.99 * static_cast<double>(errors.size())));
  return {std::accumulate(errors.begin(), errors.end(), 0.0) / static_cast<double>(errors.size()), errors[at],
          errors.back()};
}

double percent(double found, double expected) { return 100 * std::abs(found - expected) / expected; }

}  // namespace

double ValidationRow::worst_error() const {
  return std::max(percent(cycles, reference_cycles), percent(energy_uj, reference_energy_uj));
}

void ValidationRows::add(ValidationRow row, bool exact_cycles, bool exact_energy) {
  if (exact_cycles) ++report_.exact_cycles;
  if (exact_energy) ++report_.exact_energy;
  latency_errors_.push_back(percent(row.cycles, row.reference_cycles));
  energy_errors_.push_back(percent(row.energy_uj, row.reference_energy_uj));
  edp_errors_.push_back(percent(row.cycles * row.energy_uj, row.reference_cycles * row.reference_energy_uj));
  rows_.push_back(std::move(row));
}

ValidationReport ValidationRows::report(const std::filesystem::path& path, std::size_t worst) {
  report_.rows = rows_.size();
  if (report_.rows == 0)
    fail(ErrorId::kValue, "{}: found a header and no rows, expected at least one", path.string());
  report_.latency = statistics(latency_errors_);
  report_.energy = statistics(energy_errors_);
  report_.edp = statistics(edp_errors_);
  worst = std::min(worst, rows_.size());
  std::partial_sort(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(worst), rows_.end(),
                    [](const auto& a, const auto& b) { return a.worst_error() > b.worst_error(); });
  rows_.resize(worst);
  report_.worst = std::move(rows_);
  return std::move(report_);
}

ValidationReport validate_table(const std::filesystem::path& path, const ArrayMachine& machine,
                                std::size_t worst) {
  const CsvInput table = CsvInput::from_file(path);
  const ReferenceReader reader(table, machine);
  const torch::InferenceMode no_gradients;
  const CostModel model(machine, torch::kFloat64);
  ValidationRows rows;
  constexpr std::size_t kChunk = 2048;  // keeps the tensors in cache
  for (std::size_t begin = 0; begin < table.rows(); begin += kChunk) {
    Reference reference;
    for (std::size_t row = begin; row < std::min(begin + kChunk, table.rows()); ++row)
      reader.read(row, reference);
    const auto exact = Sharpness{};
    const Traffic traffic = model.traffic(model.nests_of(reference.mappings),
                                          LayerBatch::from(reference.layers, torch::kFloat64), exact);
    const Cost cost = model.cost(traffic, hardware_rows(reference.hardware), exact);
    const torch::Tensor cycles = cost.cycles.squeeze(-1).contiguous();
    const torch::Tensor energy = (cost.energy_pj.squeeze(-1) * 1e-6).contiguous();
    for (std::size_t i = 0; i < reference.layers.size(); ++i) {
      ValidationRow row{begin + i,
                        table.where(begin + i),
                        std::string(table.text(begin + i, reader.mapping_column())),
                        cycles.data_ptr<double>()[i],
                        reference.cycles[i],
                        energy.data_ptr<double>()[i],
                        reference.energy_uj[i]};
      const bool exact_cycles = std::abs(row.cycles - row.reference_cycles) <= reference.cycles_tolerance[i];
      // Decimal text to binary and back costs a few units in the last place.
      const double slack = 1e-13 * row.reference_energy_uj;
      const bool exact_energy =
          std::abs(row.energy_uj - row.reference_energy_uj) <= reference.energy_tolerance[i] + slack;
      rows.add(std::move(row), exact_cycles, exact_energy);
    }
  }
  return rows.report(path, worst);
}

std::string ValidationReport::full_report() const {
  const auto share = [&](std::size_t count) {
    return 100.0 * static_cast<double>(count) / static_cast<double>(rows);
  };
  std::string text = fmt::format("rows                          {}\n", rows);
  text += fmt::format("cycles exact                  {} ({:.2f} %)\n", exact_cycles, share(exact_cycles));
  text +=
      fmt::format("{:<28}  {} ({:.2f} %)\n", "energy " + energy_agrees, exact_energy, share(exact_energy));
  if (accesses) {
    text += fmt::format("accesses exact                {} ({:.2f} %), in {} columns\n", accesses->exact_rows,
                        share(accesses->exact_rows), accesses->columns);
  }
  Table errors({{"error in %", ColumnKind::kText}, {"mean"}, {"p99"}, {"max"}});
  for (const auto& [name, s] :
       {std::pair{"latency", latency}, std::pair{"energy", energy}, std::pair{"EDP", edp}}) {
    const auto cell = [](double percent) { return fmt::format("{:.5f}", percent); };
    errors.row({name, cell(s.mean), cell(s.p99), cell(s.max)});
  }
  text += errors.text();
  if (accesses && !accesses->differences.empty()) {
    text += "first accesses that differ\n";
    for (const std::string& difference : accesses->differences) text += "  " + printable(difference) + "\n";
  }
  constexpr double kRounding = 1e-10;  // in %: what adding up in another order makes of the same energy
  if (!worst.empty() && worst.front().worst_error() > kRounding) {
    text += "worst rows\n";
    for (const ValidationRow& row : worst) {
      text += fmt::format(
          "  {}: cycles {:.0f} (reference {:.0f}),\n    energy {:.6f} uJ (reference {:.6f})\n    {}\n",
          printable(row.where), row.cycles, row.reference_cycles, row.energy_uj, row.reference_energy_uj,
          printable(row.mapping));
    }
  }
  return text;
}

Json ValidationReport::to_json() const {
  const auto stats = [](const ErrorStatistics& s) {
    return Json{{"mean", s.mean}, {"p99", s.p99}, {"max", s.max}};
  };
  Json json{{"rows", rows},
            {"exact_cycles", exact_cycles},
            {"exact_energy", exact_energy},
            {"energy_agrees", energy_agrees},
            {"error_percent", {{"latency", stats(latency)}, {"energy", stats(energy)}, {"edp", stats(edp)}}},
            {"worst", Json::array()}};
  if (accesses) {
    json["exact_accesses"] = accesses->exact_rows;
    json["access_columns"] = accesses->columns;
    json["access_differences"] = accesses->differences;
  }
  for (const ValidationRow& row : worst) {
    json["worst"].push_back({{"where", row.where},
                             {"mapping", row.mapping},
                             {"cycles", row.cycles},
                             {"reference_cycles", row.reference_cycles},
                             {"energy_uj", row.energy_uj},
                             {"reference_energy_uj", row.reference_energy_uj}});
  }
  return json;
}

}  // namespace dosa
