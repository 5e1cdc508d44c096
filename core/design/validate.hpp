// Comparison of the model with a table of reference results.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dosa/models/array_machine.hpp"
#include "dosa/models/base/json_input.hpp"
#include "dosa/models/chain/chain.hpp"

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

/// How far the access counts of a table agree, where it has them.
struct AccessValidation {
  std::size_t columns = 0;               ///< that were compared
  std::size_t exact_rows = 0;            ///< rows in which every one of them is equal
  std::vector<std::string> differences;  ///< the first ones: file, line, column, what was found
};

struct ValidationReport {
  std::size_t rows = 0;
  std::size_t exact_cycles = 0;  ///< rows whose cycles are equal (to the printed digits where not whole)
  std::size_t exact_energy = 0;  ///< rows whose energy agrees as `energy_agrees` says
  std::string energy_agrees = "in all printed digits";
  std::optional<AccessValidation> accesses;
  ErrorStatistics latency, energy, edp;
  std::vector<ValidationRow> worst;  ///< largest errors first

  std::string full_report() const;
  Json to_json() const;
};

/// Gathers rows into a report.
class ValidationRows {
 public:
  void add(ValidationRow row, bool exact_cycles, bool exact_energy);
  /// The report of all rows, with at most `worst` of them. Throws Error{kValue} where there is none.
  ValidationReport report(const std::filesystem::path& path, std::size_t worst);

 private:
  ValidationReport report_;
  std::vector<double> latency_errors_, energy_errors_, edp_errors_;
  std::vector<ValidationRow> rows_;
};

/// Evaluates every mapping of a CSV table exactly and compares. Columns, by name, are either ours (pe_dim,
/// scratchpad_kib, accumulator_kib, R..N, wstride, hstride, mapping, cycles, energy_uj) or the published DOSA
/// artefact's (target.cycle, target.energy, mapping.mapping, arch.*, prob.*). In an artefact table with
/// measured latencies (target.gemmini_cycle) the analytical latency is restored as 1e6 * target.edp /
/// target.energy. `worst` is how many rows to list. Throws Error with file and line.
ValidationReport validate_table(const std::filesystem::path& path, const ArrayMachine& machine,
                                std::size_t worst);

/// The same on a chain of memories, in validate_chain.cpp. Columns: R..N, mapping, cycles, energy_uj, where
/// they are not 1 Wstride, Hstride, Wdilation, Hdilation; compared where they are there, for a level 0 that
/// holds W: L0.W.reads, L0.W.fills, L0.W.updates (words of one instance) and L0.instances (those in use). An
/// energy agrees within 1e-9. Throws Error with file and line, also for a mapping that does not fit.
ValidationReport validate_table(const std::filesystem::path& path, const Chain& chain, std::size_t worst);

}  // namespace dosa
