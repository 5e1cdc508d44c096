// Comparison of the model with a table of reference results.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dosa/models/base/json_input.hpp"
#include "dosa/models/machine.hpp"

namespace dosa {

/// Absolute relative errors in percent.
struct ErrorStatistics {
  double mean = 0, p99 = 0, max = 0;
};

struct ValidationRow {
  std::size_t row = 0;  ///< index into the table
  std::string where;    ///< file and line
  std::string mapping;
  double cycles = 0, reference_cycles = 0;
  double energy_uj = 0, reference_energy_uj = 0;
  /// The larger of the two relative errors.
  double worst_error() const;
};

struct ValidationReport {
  std::size_t rows = 0;
  std::size_t exact_cycles = 0;  ///< rows whose cycles are equal (to the printed digits where not whole)
  std::size_t exact_energy = 0;  ///< rows whose energy agrees in all printed digits
  ErrorStatistics latency, energy, edp;
  std::vector<ValidationRow> worst;  ///< largest errors first

  std::string full_report() const;
  Json to_json() const;
};

/// Evaluates every mapping of a CSV table exactly and compares. Columns, by name, are either ours (pe_dim,
/// scratchpad_kib, accumulator_kib, R..N, wstride, hstride, mapping, cycles, energy_uj) or the published DOSA
/// artefact's (target.cycle, target.energy, mapping.mapping, arch.*, prob.*). In an artefact table with
/// measured latencies (target.gemmini_cycle) the analytical latency is restored as 1e6 * target.edp /
/// target.energy. `worst` is how many rows to list. Throws Error with file and line.
ValidationReport validate_table(const std::filesystem::path& path, const Machine& machine, std::size_t worst);

}  // namespace dosa
