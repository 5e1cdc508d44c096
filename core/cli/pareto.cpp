// dosa optimize --pareto: the front of energy, latency and area as a folder of designs.
#include "dosa/core/cli/pareto.hpp"

#include <cmath>
#include <filesystem>

#include "dosa/core/report/command.hpp"
#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/folder.hpp"
#include "dosa/models/base/progress.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::cli {
namespace {

constexpr const char* kSchema = "dosa-front/1";
constexpr const char* kFrontJson = "front.json";
constexpr const char* kFrontCsv = "front.csv";

std::string file_name(std::size_t index) { return fmt::format("design_{:02}.json", index + 1); }

Json limit_json(double area) { return std::isfinite(area) ? Json(area) : Json(nullptr); }

Json front_json(const SearchProblem& problem, const ParetoOptions& options, const ParetoSummary& summary) {
  const Machine& machine = problem.machine();
  Json designs = Json::array(), shapes = Json::array();
  for (const Shape& shape : summary.shapes) {
    Json values = Json::object();
    for (std::size_t p = 0; p < shape.size(); ++p) values[machine.parameters[p].name] = shape[p];
    shapes.push_back(std::move(values));
  }
  for (std::size_t i = 0; i < summary.front.size(); ++i) {
    const FrontPoint& point = summary.front[i];
    designs.push_back({{"file", file_name(i)},
                       {"objective", point.design.objective},
                       {"area_limit_mm2", limit_json(point.area_limit_mm2)},
                       {"hardware", machine.to_json(point.design.hardware)},
                       {"totals", to_json(point.design.totals)}});
  }
  Json json{{"schema", kSchema}, {"workload", problem.workload.name}, {"target", machine.name}};
  if (!machine.set.empty()) json["set"] = to_json(machine.set);
  json.update(Json{{"program", fmt::format("dosa {}", DOSA_VERSION)},
                   {"options",
                    {{"points", options.points},
                     {"polish_nests", options.nests},
                     {"min", machine.to_json(problem.bounds.min)},
                     {"max", machine.to_json(problem.bounds.max)},
                     {"max_area_mm2", limit_json(problem.bounds.max_area_mm2)},
                     {"min_area_mm2", options.min_area_mm2}}},
                   {"objectives", Objective::names()},
                   {"area_limits_mm2", summary.area_limits_mm2},
                   {"shapes", std::move(shapes)},
                   {"samples", summary.evaluations},
                   {"whole_map_space", summary.complete},
                   {"stopped_by", summary.interrupted ? "interrupt" : "end"},
                   {"found", summary.found},
                   {"designs", std::move(designs)}});
  return json;
}

std::string front_csv(const SearchProblem& problem, const ParetoSummary& summary) {
  std::vector<std::string> columns{"file", "objective", "area_limit_mm2"};
  for (const std::string& name : problem.machine().parameter_names()) columns.push_back(name);
  columns.insert(columns.end(), {"cycles", "energy_uj", "edp", "area_mm2"});
  CsvWriter csv(columns);
  for (std::size_t i = 0; i < summary.front.size(); ++i) {
    const FrontPoint& point = summary.front[i];
    const Design& design = point.design;
    csv.add(file_name(i), design.objective, point.area_limit_mm2);
    for (const std::int64_t size : design.hardware.values) csv.add(size);
    csv.add(design.totals.cycles, design.totals.energy_uj, design.totals.edp, design.totals.area_mm2)
        .end_row();
  }
  return csv.text();
}

std::string front_text(const SearchProblem& problem, const ParetoSummary& summary) {
  Table table({{"design", ColumnKind::kText},
               {"mm2"},
               {"cycles"},
               {"energy_uJ"},
               {"EDP"},
               {"hardware"},
               {"least", ColumnKind::kText}});
  for (std::size_t i = 0; i < summary.front.size(); ++i) {
    const FrontPoint& point = summary.front[i];
    const Design& design = point.design;
    table.row({fmt::format("{:02}", i + 1), fmt::format("{:.3f}", design.totals.area_mm2),
               fmt::format("{:.5g}", design.totals.cycles), fmt::format("{:.5g}", design.totals.energy_uj),
               fmt::format("{:.5g}", design.totals.edp),
               fmt::format("{}", fmt::join(design.hardware.values, "/")),
               fmt::format("{} under {:.3g}", design.objective, point.area_limit_mm2)});
  }
  return table.text() +
         fmt::format(
             "\n{} on {}: {} that no other one beats in area, latency and energy, of "
             "{} found; hardware: {}\n{} of it, {}, {:.1f} s{}{}\n",
             problem.workload.name, problem.machine().name, counted(summary.front.size(), "design"),
             summary.found, fmt::join(problem.machine().parameter_names(), "/"),
             counted(summary.shapes.size(), "shape"), counted(summary.evaluations, "evaluation"),
             summary.wall_s, summary.complete ? "; the whole space on each" : "",
             summary.interrupted ? "; interrupted" : "");
}

/// What a front leaves in its folder.
bool is_of_front(const std::filesystem::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  std::error_code ignored;
  return entry.is_regular_file(ignored) &&
         (name == kFrontJson || name == kFrontCsv ||
          (name.rfind("design_", 0) == 0 && entry.path().extension() == ".json"));
}

}  // namespace

html::Front read_front(const std::filesystem::path& folder) {
  const JsonInput file = JsonInput::from_file(folder / kFrontJson);
  file.require_schema(kSchema);
  html::Front front{file.at("workload").name(),
                    file.at("target").name(),
                    {},
                    file.at("found").integer(0, kAnyInteger),
                    file.at("stopped_by").text() == "interrupt",
                    "",
                    ""};
  for (const JsonInput& entry : file.at("designs").items()) {
    const JsonInput name = entry.at("file");
    if (std::filesystem::path(name.name()).filename() != name.name())
      fail(ErrorId::kValue, "{}: found \"{}\", allowed is the name of a file in the same folder",
           name.where(), name.name());
    auto [design, target] = load_design(folder / name.name());
    if (design.workload != front.workload || design.target != front.target) {
      fail(ErrorId::kValue, "{}: found a design of {} on {}, allowed is one of {} on {}, as in {}",
           (folder / name.name()).string(), design.workload, design.target, front.workload, front.target,
           kFrontJson);
    }
    if (front.designs.empty()) {
      const html::Reproduction made = html::reproduction_of(design, *target);
      front.command = made.command;
      front.command_note = made.note;
    }
    front.designs.push_back({name.name(), std::move(design)});
  }
  return front;
}

void write_pareto_front(const SearchProblem& problem, const ParetoOptions& options, const std::string& folder,
                        const std::string& page, bool quiet, const Output& output) {
  problem.check_bounds();
  NewFolder target(folder, is_of_front, "an older front");
  ProgressLine line(quiet);
  const ParetoSummary summary = pareto_front(
      problem, options,
      [&](const ParetoProgress& now) {
        line.show(fmt::format("shape {}/{}  {}  {}  {:.0f} s", now.shapes_done, now.shapes,
                              counted(now.designs, "design"), counted(now.evaluations, "evaluation"),
                              now.elapsed_s));
      },
      catch_interrupts());
  line.finish();
  const Json json = front_json(problem, options, summary);
  html::Front front{
      problem.workload.name, problem.machine().name, {}, static_cast<std::int64_t>(summary.found),
      summary.interrupted,   command_line(),         ""};
  for (std::size_t i = 0; i < summary.front.size(); ++i) {
    Design design = summary.front[i].design;
    design.provenance = {{"program", fmt::format("dosa {}", DOSA_VERSION)},
                         {"method", "pareto"},
                         {"model", problem.target->model_record()},
                         {"area_limit_mm2", limit_json(summary.front[i].area_limit_mm2)},
                         {"options", json["options"]}};
    save_design(design, target.path() / file_name(i));
    front.designs.push_back({file_name(i), std::move(design)});
  }
  write_file(target.path() / kFrontJson, json.dump(2) + "\n");
  write_file(target.path() / kFrontCsv, front_csv(problem, summary));
  target.commit();
  std::string written = fmt::format("written: {}\n", folder);
  if (!page.empty()) {
    write_file(page, html::document(html::front_page(front)));
    written += fmt::format("written: {}\n", page);
  }
  output.print(json, front_text(problem, summary) + written);
}

}  // namespace dosa::cli
