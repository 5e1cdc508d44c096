#include "dosa/core/cli/compare_machines.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/cli/shared.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/progress.hpp"
#include "dosa/models/base/table.hpp"

namespace dosa::cli {
namespace {

struct MachineRow {
  std::string given, name;  ///< on the command line; of the machine
  TargetPtr target;
  std::optional<Design> design;
  std::optional<Error> problem;  ///< why there is no design
  double objective = std::numeric_limits<double>::infinity();
  std::optional<SharedDesign> shared;  ///< the design as one of several networks
};

/// A figure of a machine's file by which its energies and areas are told from another's.
struct BasisFigure {
  const char* key;
  const char* title;
  double (*of)(const CostBasis&);
};
constexpr std::array<BasisFigure, 4> kBasisFigures{
    {{"word_bits", "bits/word", [](const CostBasis& basis) { return double(basis.word_bits); }},
     {"mac_pj", "pJ/MAC", [](const CostBasis& basis) { return basis.mac_pj; }},
     {"dram_pj_per_bit", "DRAM pJ/bit", [](const CostBasis& basis) { return basis.dram_pj_per_bit; }},
     {"mac_mm2", "mm2/MAC", [](const CostBasis& basis) { return basis.mac_mm2; }}}};

/// Those in which the machines differ: figures that are meant to be equal are written alike in files, up to
/// rounding.
std::vector<const BasisFigure*> differences(const std::vector<MachineRow>& rows) {
  constexpr double kRounding = 1e-3;
  std::vector<const BasisFigure*> differing;
  for (const BasisFigure& figure : kBasisFigures) {
    const double first = figure.of(rows.front().target->machine().cost_basis());
    if (std::any_of(rows.begin(), rows.end(), [&](const MachineRow& row) {
          const double other = figure.of(row.target->machine().cost_basis());
          return std::abs(other - first) > kRounding * std::max(std::abs(first), std::abs(other));
        }))
      differing.push_back(&figure);
  }
  return differing;
}

/// The machines, each with the target that its file asks for.
std::vector<MachineRow> rows_of(const MachinesAsked& asked) {
  std::vector<MachineRow> rows;
  TargetOptions without_surrogate = asked.options;
  without_surrogate.surrogate.clear();
  bool any_gemmini = false;
  for (const std::string& given : asked.machines) {
    MachineRow row;
    row.given = given;
    row.target = load_target({given, asked.set}, without_surrogate);
    if (gemmini::is_gemmini(*row.target)) {
      any_gemmini = true;
      if (!asked.options.surrogate.empty())
        row.target = make_target(row.target->shared_machine(), asked.options);
    }
    row.name = row.target->machine().name;
    for (MachineRow& other : rows) {
      if (other.given == given) fail(ErrorId::kUsage, "--machines: {} is there twice", given);
      // Files may give one name to two machines.
      if (other.target->machine().name == row.name) {
        other.name = other.given;
        row.name = given;
      }
    }
    rows.push_back(std::move(row));
  }
  if (!asked.options.surrogate.empty() && !any_gemmini)
    fail(ErrorId::kUsage, "--surrogate: none of the machines is a Gemmini");
  return rows;
}

/// Whether an error is about what this machine can do, and not about what the user wrote.
bool is_of_the_machine(const Error& error) {
  return error.id() == ErrorId::kBounds || error.id() == ErrorId::kCapacity ||
         error.id() == ErrorId::kMapping || error.id() == ErrorId::kValue;
}

void search(MachineRow& row, const std::string& place, const MachinesAsked& asked,
            const std::vector<WeightedNetwork>& networks, const std::atomic<bool>* interrupt) {
  ProgressLine line(asked.quiet);
  try {
    SearchProblem problem = SearchProblem::of(networks, row.target, Objective::from_name(asked.objective),
                                              combining_from_name(asked.combine));
    if (!problem.left_to_cpu.empty()) {
      const CpuLayer& first = problem.left_to_cpu.front();
      fail(ErrorId::kValue, "layer {}: {}", first.layer.name, first.reason);
    }
    problem.bounds = asked.sizes.bounds(*row.target);
    row.design = optimize(
                     problem, asked.limits.options_for(*row.target),
                     [&](const SearchProgress& now) {
                       line.show(fmt::format("{} ({})  {}", printable(row.name), place, text_of(now)));
                     },
                     interrupt)
                     .best;
    row.objective = problem.value(*row.design);
    if (problem.is_joint()) row.shared = shared_of(problem, problem.split(*row.design));
  } catch (const Error& error) {
    if (!is_of_the_machine(error)) throw;
    row.problem = error;
  }
}

/// Whether latencies of a design were learnt from measurements.
bool predicts(const Design& design) {
  return std::any_of(design.layers.begin(), design.layers.end(),
                     [](const DesignLayer& entry) { return entry.costs.cycles_sd_log.has_value(); });
}

std::string notes_of(const MachineRow& row, const MachinesAsked& asked) {
  if (row.problem) return row.problem->what();
  std::string notes = row.target->machine().text(row.design->hardware);
  if (notes.empty()) notes = "sizes are fixed by its file";
  if (predicts(*row.design)) notes += "; cycles are predicted, from measurements";
  for (const std::string& remark : cpu_remarks(*row.design)) notes += "; " + remark;
  Json json;
  std::string built;
  add_as_built(*row.design, row.target->machine(), json, built);
  if (json.contains("as_built")) {
    const double area = json["as_built"]["area_mm2"];
    notes += fmt::format("; buffers are the need of one tile, {:.3f} mm2 as built, double-buffered{}", area,
                         asked.sizes.max_area_mm2 > 0 && area > asked.sizes.max_area_mm2
                             ? ", which is more than the limit"
                             : "");
  }
  return notes;
}

Json json_of(const MachineRow& row, double best) {
  const CostBasis basis = row.target->machine().cost_basis();
  Json json{{"machine", row.name}, {"given", row.given}, {"cost_basis", Json::object()}};
  for (const BasisFigure& figure : kBasisFigures) json["cost_basis"][figure.key] = figure.of(basis);
  add_remark(*row.target, json);
  if (row.problem) {
    json["problem"] = row.problem->what();
    return json;
  }
  std::string ignored;
  json["times_best"] = row.objective / best;
  json["design"] = row.shared ? to_json(*row.shared) : to_json(*row.design);
  json["predicted_cycles"] = predicts(*row.design);
  add_as_built(*row.design, row.target->machine(), json, ignored);
  return json;
}

/// What the machines' energies and areas are of, and whether they can be compared.
std::string text_of_basis(const std::vector<MachineRow>& rows) {
  std::vector<Table::Column> columns{{"machine", ColumnKind::kName}};
  for (const BasisFigure& figure : kBasisFigures) columns.push_back({figure.title});
  Table table(columns);
  for (const MachineRow& row : rows) {
    std::vector<std::string> cells{row.name};
    for (const BasisFigure& figure : kBasisFigures)
      cells.push_back(fmt::format("{:.4g}", figure.of(row.target->machine().cost_basis())));
    table.row(cells);
  }
  std::vector<std::string> titles;
  for (const BasisFigure* figure : differences(rows)) titles.emplace_back(figure->title);
  const std::string verdict =
      titles.empty() ? "These are the same in all files: energies and areas can be compared, as far as "
                       "the files' other figures are of one technology too."
                     : fmt::format(
                           "The files differ in {}: what one machine gains over another in energy, "
                           "EDP or area is its file's doing as much as the machine's.",
                           fmt::join(titles, ", "));
  return "\nEnergies and areas are those of each machine's own file, among them:\n" + table.text() +
         fmt::format("{}\n", fmt::join(wrapped(verdict, kTextWidth), "\n"));
}

/// `rows` are ranked; the first has a design.
std::string text_of_machines(const std::vector<MachineRow>& rows, const MachinesAsked& asked) {
  const auto& best = rows.front();
  const std::string name = asked.objective == "edp" ? "EDP" : asked.objective;
  std::vector<Table::Column> columns{{"machine", ColumnKind::kName}, {"mm2"}};
  if (best.shared) {
    for (const SharedNetwork& network : best.shared->networks) columns.push_back({network.design.workload});
    columns.push_back({asked.combine});
  } else {
    columns.insert(columns.end(), {{"cycles"}, {"energy_uJ"}, {"EDP"}});
  }
  columns.push_back({fmt::format("{}/best", best.shared ? asked.combine : name)});
  Table figures(columns);
  Table notes({{"machine", ColumnKind::kName}, {"sizes and notes", ColumnKind::kProse}});
  for (const MachineRow& row : rows) {
    notes.row({row.name, notes_of(row, asked)});
    if (row.problem) {
      std::vector<std::string> nothing(columns.size(), "-");
      nothing.front() = row.name;
      figures.row(nothing);
      continue;
    }
    if (row.shared) {
      std::vector<std::string> cells{row.name, fmt::format("{:.3f}", row.design->totals.area_mm2)};
      const Objective objective = Objective::from_name(asked.objective);
      for (const SharedNetwork& network : row.shared->networks) {
        const DesignTotals& totals = network.design.totals;
        cells.push_back(fmt::format("{:.5g}", objective.value(totals.energy_uj, totals.cycles)));
      }
      cells.insert(cells.end(), {fmt::format("{:.5g}", row.objective),
                                 fmt::format("{:.3f}", row.objective / best.objective)});
      figures.row(cells);
      continue;
    }
    const DesignTotals& totals = row.design->totals;
    figures.row({row.name, fmt::format("{:.3f}", totals.area_mm2), fmt::format("{:.0f}", totals.cycles),
                 fmt::format("{:.5g}", totals.energy_uj), fmt::format("{:.5g}", totals.edp),
                 fmt::format("{:.3f}", row.objective / best.objective)});
  }
  return figures.text() + "\n" + notes.text();
}

}  // namespace

void compare_machines(const MachinesAsked& asked, const Output& output) {
  const std::vector<WeightedNetwork> networks = networks_of(asked.workloads);
  Objective::from_name(asked.objective);  // throws where there is none
  combining_from_name(asked.combine);
  std::vector<MachineRow> rows = rows_of(asked);
  for (const MachineRow& row : rows) warn_of(*row.target);
  const std::atomic<bool>* interrupt = catch_interrupts();
  std::size_t done = 0;
  for (; done < rows.size() && !*interrupt; ++done) {
    MachineRow& row = rows[done];
    search(row, fmt::format("{} of {}", done + 1, rows.size()), asked, networks, interrupt);
  }
  rows.resize(done);
  if (rows.empty()) fail(ErrorId::kUsage, "interrupted before the first search");
  if (std::none_of(rows.begin(), rows.end(), [](const MachineRow& row) { return row.design; }))
    throw rows.front().problem->in(rows.front().name);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const MachineRow& a, const MachineRow& b) { return a.objective < b.objective; });

  const auto with_design =
      std::find_if(rows.begin(), rows.end(), [](const MachineRow& row) { return row.design; });
  const std::string name = with_design->design->workload;
  Json differing = Json::array(), machines = Json::array();
  for (const BasisFigure* figure : differences(rows)) differing.push_back(figure->key);
  for (const MachineRow& row : rows) machines.push_back(json_of(row, rows.front().objective));
  const Json json{
      {"schema", "dosa-compare-machines/1"},
      {"workload", name},
      {"objective", asked.objective},
      {"max_area_mm2", asked.sizes.max_area_mm2 > 0 ? Json(asked.sizes.max_area_mm2) : Json(nullptr)},
      {"seed", asked.limits.seed},
      {"interrupted", interrupt->load()},
      {"cost_basis_differs_in", std::move(differing)},
      {"machines", std::move(machines)}};
  std::string text = fmt::format("{}, {}", printable(name), asked.objective);
  if (asked.sizes.max_area_mm2 > 0) text += fmt::format(", at most {} mm2", asked.sizes.max_area_mm2);
  text += "\n" + text_of_machines(rows, asked) + text_of_basis(rows);
  if (*interrupt) text += "interrupted: the last search is not complete, and later ones are left out\n";
  output.print(json, text);
}

}  // namespace dosa::cli
