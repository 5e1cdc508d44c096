#include <algorithm>
#include <cmath>

#include "dosa/core/design/validate.hpp"
#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/chain/chain_model.hpp"

namespace dosa {
namespace {

constexpr double kLeast = 1e-30, kMost = 1e30;  // of reference numbers
constexpr double kSameEnergy = 1e-9;            // relative

/// A column of counts and where the model has the same.
struct CountColumn {
  std::size_t column;
  std::size_t level;
  std::optional<Operand> operand;  ///< nothing: the instances in use
  torch::Tensor ChainAccesses::*kind = nullptr;

  torch::Tensor of(const ChainTraffic& traffic) const {
    if (!operand) return traffic.used[level].contiguous();
    return (traffic.accesses[level][static_cast<std::size_t>(*operand)].*kind).contiguous();
  }
};

std::vector<CountColumn> count_columns(const CsvInput& table, const Chain& chain) {
  std::vector<CountColumn> columns;
  for (std::size_t level = 0; level < chain.levels.size(); ++level) {
    if (const auto column = table.find(fmt::format("L{}.instances", level)))
      columns.push_back({*column, level, std::nullopt});
    for (const Operand operand : all_operands()) {
      if (!chain.levels[level].holds_operand(operand)) continue;
      for (const auto& [name, kind] :
           {std::pair{"reads", &ChainAccesses::reads}, std::pair{"fills", &ChainAccesses::fills},
            std::pair{"updates", &ChainAccesses::updates}}) {
        const char letter = kOperandNames[static_cast<std::size_t>(operand)];
        if (const auto column = table.find(fmt::format("L{}.{}.{}", level, letter, name)))
          columns.push_back({*column, level, operand, kind});
      }
    }
  }
  return columns;
}

/// Throws Error{kSchema} for a column that looks like a count ("L3.W.reads") and is none of this chain.
void check_count_columns(const CsvInput& table, const std::vector<CountColumn>& known, const Chain& chain) {
  const auto is_digit = [](char letter) { return letter >= '0' && letter <= '9'; };
  for (std::size_t i = 0; i < table.columns().size(); ++i) {
    const std::string& name = table.columns()[i];
    if (name.size() < 3 || name[0] != 'L' || !is_digit(name[1])) continue;
    if (std::any_of(known.begin(), known.end(), [&](const CountColumn& c) { return c.column == i; }))
      continue;
    std::vector<std::string> labels;
    for (int level = 0; level <= chain.dram(); ++level) labels.push_back(chain.level_label(level));
    fail(ErrorId::kSchema,
         "{}: found column {}, expected reads, fills or updates of a tensor that a level of {} holds ({}), "
         "such "
         "as L0.W.reads, or its instances",
         table.file(), name, chain.name, fmt::join(labels, " "));
  }
}

Layer layer_of_row(const CsvInput& table, std::size_t row) {
  Layer layer;
  for (const Dim dim : all_dims())
    layer[dim] =
        table.integer(row, std::string_view(&kDimNames[static_cast<std::size_t>(dim)], 1), 1, kMaxDim);
  for (const auto& [name, field] :
       {std::pair{"Wstride", &Layer::wstride}, std::pair{"Hstride", &Layer::hstride},
        std::pair{"Wdilation", &Layer::wdilation}, std::pair{"Hdilation", &Layer::hdilation}}) {
    if (table.has(name)) layer.*field = table.integer(row, name, 1, kMaxStep);
  }
  try {
    check_layer(layer);
  } catch (const Error& error) {
    throw error.in(table.where(row));
  }
  return layer;
}

Mapping mapping_of_row(const CsvInput& table, std::size_t row, const Layer& layer, const Chain& chain) {
  try {
    Mapping mapping = parse_mapping(std::string(table.text(row, "mapping")), chain);
    check_mapping(mapping, layer, chain);
    return mapping;
  } catch (const Error& error) {
    throw error.in(table.where(row, "mapping"));
  }
}

/// Compares the counts of rows begin.. with the model's; at most `listed` differences are described.
void compare_counts(const CsvInput& table, std::size_t begin, const std::vector<CountColumn>& columns,
                    const ChainTraffic& traffic, std::size_t listed, AccessValidation& result) {
  const auto rows = static_cast<std::size_t>(traffic.macs.size(0));
  std::vector<bool> equal(rows, true);
  for (const CountColumn& column : columns) {
    const torch::Tensor counts = column.of(traffic);
    for (std::size_t i = 0; i < rows; ++i) {
      const double found = counts.data_ptr<double>()[i];
      const double reference = table.number(begin + i, column.column, 0, kMost);
      if (found == reference) continue;
      equal[i] = false;
      if (result.differences.size() < listed) {
        result.differences.push_back(fmt::format("{}: {:.0f} (reference {:.0f})",
                                                 table.where(begin + i, column.column), found, reference));
      }
    }
  }
  result.exact_rows += static_cast<std::size_t>(std::count(equal.begin(), equal.end(), true));
}

}  // namespace

ValidationReport validate_table(const std::filesystem::path& path, const Chain& chain, std::size_t worst) {
  const CsvInput table = CsvInput::from_file(path);
  table.require({"R", "S", "P", "Q", "C", "K", "N", "mapping", "cycles", "energy_uj"});
  const std::vector<CountColumn> columns = count_columns(table, chain);
  check_count_columns(table, columns, chain);
  const torch::InferenceMode no_gradients;
  const ChainModel model(chain);
  AccessValidation accesses;
  accesses.columns = columns.size();
  ValidationRows rows;
  constexpr std::size_t kChunk = 2048;  // keeps the tensors in cache
  for (std::size_t begin = 0; begin < table.rows(); begin += kChunk) {
    std::vector<Layer> layers;
    std::vector<Mapping> mappings;
    for (std::size_t row = begin; row < std::min(begin + kChunk, table.rows()); ++row) {
      layers.push_back(layer_of_row(table, row));
      mappings.push_back(mapping_of_row(table, row, layers.back(), chain));
    }
    const ChainTraffic traffic =
        model.traffic(model.nests_of(mappings), LayerBatch::from(layers, torch::kFloat64));
    const torch::Tensor fits = model.fits(traffic);
    const ChainCost cost = model.cost(traffic);
    const torch::Tensor cycles = cost.cycles.contiguous(), energy = (cost.energy_pj * 1e-6).contiguous();
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (!fits.data_ptr<bool>()[i]) {
        try {
          model.check_fits(traffic, i);
        } catch (const Error& error) {
          throw error.in(table.where(begin + i, "mapping"));
        }
      }
      ValidationRow row{begin + i,
                        table.where(begin + i),
                        std::string(table.text(begin + i, "mapping")),
                        cycles.data_ptr<double>()[i],
                        table.number(begin + i, "cycles", 1, kMost),
                        energy.data_ptr<double>()[i],
                        table.number(begin + i, "energy_uj", kLeast, kMost)};
      const bool exact_cycles = row.cycles == row.reference_cycles;
      const bool exact_energy =
          std::abs(row.energy_uj - row.reference_energy_uj) <= kSameEnergy * row.reference_energy_uj;
      rows.add(std::move(row), exact_cycles, exact_energy);
    }
    compare_counts(table, begin, columns, traffic, worst, accesses);
  }
  ValidationReport report = rows.report(path, worst);
  report.energy_agrees = "within 1e-9";
  if (!columns.empty()) report.accesses = std::move(accesses);
  return report;
}

}  // namespace dosa
