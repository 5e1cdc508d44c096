#include "dosa/core/cli/compare_arrays.hpp"

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/progress.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::cli {
namespace {

struct ArrayRow {
  std::int64_t pe_dim = 0;
  std::optional<Design> design;
  std::optional<Explanation> comparison;  ///< with the reference of this array
  std::optional<Error> problem;           ///< why there is no design
};

/// Layers of a comparison that are unlike any that was measured.
std::int64_t unlike_layers(const Json& comparison) {
  std::int64_t count = 0;
  for (const Json& layer : comparison["layers"]) {
    const Json& design = layer["design"];
    count += design.contains("outside_measured") && !design["outside_measured"]["unlike"].empty();
  }
  return count;
}

ArrayRow best_on(std::int64_t pe_dim, const ArraysAsked& asked, const TargetPtr& target,
                 const Workload& workload, const std::atomic<bool>* interrupt) {
  ArrayRow row;
  row.pe_dim = pe_dim;
  SizeFlags sizes = asked.sizes;
  sizes.fixed.push_back({"--pe", "pe_dim", pe_dim});
  try {
    SearchProblem problem = SearchProblem::of(workload, target, Objective::from_name(asked.objective));
    problem.bounds = sizes.bounds(*target);
    problem.check_bounds();
    ProgressLine line(asked.quiet);
    const SearchSummary summary = optimize(
        problem, asked.limits.options_for(*target),
        [&](const SearchProgress& now) { line.show(fmt::format("pe {}  {}", pe_dim, text_of(now))); },
        interrupt);
    row.design = summary.best;
  } catch (const Error& error) {
    if (error.id() != ErrorId::kBounds) throw;
    row.problem = error;
    return row;
  }
  if (gemmini::is_gemmini(*target)) {
    const TargetPtr same = asked.baseline.empty() ? gemmini::with_default_of_array(*target, pe_dim) : target;
    row.comparison = same->compare_with_default(*row.design);
  }
  return row;
}

Json json_of(const ArrayRow& row) {
  Json json{{"pe_dim", row.pe_dim}};
  if (row.problem) {
    json["problem"] = row.problem->what();
    return json;
  }
  json["design"] = to_json(*row.design);
  if (row.comparison) json["comparison"] = row.comparison->json;
  return json;
}

std::string text_of_arrays(const std::vector<ArrayRow>& rows, const ArraysAsked& asked, bool has_reference) {
  std::vector<Table::Column> columns{{"array"}, {"KiB"}, {"mm2"}, {"cycles"}, {"energy_uJ"}, {"EDP"}};
  if (has_reference) columns.insert(columns.end(), {{"latency"}, {"energy"}, {"EDP"}});
  Table table(columns);
  std::string notes;
  for (const ArrayRow& row : rows) {
    if (row.problem) {
      notes += fmt::format("{}: {}\n", row.pe_dim, row.problem->what());
      continue;
    }
    const Design& design = *row.design;
    std::vector<std::string> cells{fmt::format("{}", row.pe_dim),
                                   fmt::format("{}/{}", ArraySizes::of(design.hardware).scratchpad_kib,
                                               ArraySizes::of(design.hardware).accumulator_kib),
                                   fmt::format("{:.3f}", design.totals.area_mm2),
                                   fmt::format("{:.5g}", design.totals.cycles),
                                   fmt::format("{:.5g}", design.totals.energy_uj),
                                   fmt::format("{:.5g}", design.totals.edp)};
    if (row.comparison) {
      const Json& gain = row.comparison->json["gain"];
      for (const char* what : {"latency", "energy", "edp"})
        cells.push_back(fmt::format("{:.3f}", gain[what].get<double>()));
      const Json& reference = row.comparison->json;
      notes += fmt::format("{}: {}, {:.3f} mm2\n", row.pe_dim, reference["reference"].get<std::string>(),
                           reference["area_mm2"].get<double>());
      if (const std::int64_t unlike = unlike_layers(reference); unlike > 0) {
        notes += fmt::format("{}: unlike any measured, cycles may be off by 2x: {} of {}\n", row.pe_dim,
                             unlike, counted(design.layers.size(), "layer"));
      }
    }
    table.row(cells);
  }
  std::string text = table.text() + "KiB: scratchpad/accumulator";
  if (has_reference) {
    text += fmt::format("; gains over {}:",
                        asked.baseline.empty() ? "the library's default on the same array" : "the baseline");
  }
  return text + "\n" + notes;
}

}  // namespace

void compare_arrays(const ArraysAsked& asked, const Output& output) {
  const TargetPtr target = against(load_target(asked.machine, asked.options), asked.baseline);
  warn_of(*target);
  const Workload workload = network_of(asked.workload);
  print_cpu_work(SearchProblem::of(workload, target, Objective::from_name(asked.objective)));
  const std::atomic<bool>* interrupt = catch_interrupts();
  std::vector<ArrayRow> rows;
  for (const std::int64_t pe_dim : asked.arrays) {
    if (*interrupt) break;
    rows.push_back(best_on(pe_dim, asked, target, workload, interrupt));
  }
  bool any = false, has_reference = false;
  for (const ArrayRow& row : rows) {
    any = any || row.design;
    has_reference = has_reference || row.comparison;
  }
  if (!any && !rows.empty()) throw rows.front().problem->in(fmt::format("--pe {}", rows.front().pe_dim));
  Json json{{"schema", "dosa-compare-arrays/1"},
            {"workload", workload.name},
            {"target", target->machine().name},
            {"objective", asked.objective},
            {"max_area_mm2", asked.sizes.max_area_mm2 > 0 ? Json(asked.sizes.max_area_mm2) : Json(nullptr)},
            {"interrupted", interrupt->load()},
            {"arrays", Json::array()}};
  add_remark(*target, json);
  for (const ArrayRow& row : rows) json["arrays"].push_back(json_of(row));
  std::string text = fmt::format("{} on {}, {}", workload.name, target->machine().name, asked.objective);
  if (asked.sizes.max_area_mm2 > 0) text += fmt::format(", at most {} mm2", asked.sizes.max_area_mm2);
  text += "\n" + text_of_arrays(rows, asked, has_reference);
  if (*interrupt) text += "interrupted: the last row is not complete, and later ones are left out\n";
  output.print(json, text);
}

}  // namespace dosa::cli
