// dosa optimize --pareto: the front of energy, latency and area as a folder of designs.
#include "dosa/core/cli/pareto.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSchema = "dosa-front/1";
constexpr const char* kFrontJson = "front.json";
constexpr const char* kFrontCsv = "front.csv";

std::string file_name(std::size_t index) { return fmt::format("design_{:02}.json", index + 1); }

Json limit_json(double area) { return std::isfinite(area) ? Json(area) : Json(nullptr); }

Json front_json(const SearchProblem& problem, const ParetoOptions& options, const ParetoSummary& summary) {
  Json designs = Json::array();
  for (std::size_t i = 0; i < summary.front.size(); ++i) {
    const FrontPoint& point = summary.front[i];
    const DesignTotals& totals = point.design.totals;
    designs.push_back({{"file", file_name(i)},
                       {"objective", point.design.objective},
                       {"area_limit_mm2", limit_json(point.area_limit_mm2)},
                       {"hardware", to_json(point.design.hardware)},
                       {"totals",
                        {{"cycles", totals.cycles},
                         {"energy_uj", totals.energy_uj},
                         {"edp", totals.edp},
                         {"area_mm2", totals.area_mm2}}}});
  }
  return {{"schema", kSchema},
          {"workload", problem.workload.name},
          {"target", problem.machine().name},
          {"program", fmt::format("dosa {}", DOSA_VERSION)},
          {"options",
           {{"points", options.points},
            {"polish_nests", options.nests},
            {"min", to_json(problem.bounds.min)},
            {"max", to_json(problem.bounds.max)},
            {"max_area_mm2", limit_json(problem.bounds.max_area_mm2)}}},
          {"objectives", Objective::names()},
          {"area_limits_mm2", summary.area_limits_mm2},
          {"arrays", summary.arrays},
          {"samples", summary.evaluations},
          {"whole_map_space", summary.complete},
          {"stopped_by", summary.interrupted ? "interrupt" : "end"},
          {"found", summary.found},
          {"designs", std::move(designs)}};
}

std::string front_csv(const ParetoSummary& summary) {
  std::string csv =
      "file,objective,area_limit_mm2,pe_dim,scratchpad_kib,accumulator_kib,cycles,energy_uj,edp,area_mm2\n";
  for (std::size_t i = 0; i < summary.front.size(); ++i) {
    const FrontPoint& point = summary.front[i];
    const Design& design = point.design;
    csv += fmt::format("{},{},{:.17g},{},{},{},{:.17g},{:.17g},{:.17g},{:.17g}\n", file_name(i),
                       design.objective, point.area_limit_mm2, design.hardware.pe_dim,
                       design.hardware.scratchpad_kib, design.hardware.accumulator_kib, design.totals.cycles,
                       design.totals.energy_uj, design.totals.edp, design.totals.area_mm2);
  }
  return csv;
}

std::string front_text(const SearchProblem& problem, const ParetoSummary& summary) {
  std::string text = fmt::format("{:<15} {:>9} {:>14} {:>14} {:>12}  {:>4} {:>10} {:>11}  least\n", "design",
                                 "area_mm2", "cycles", "energy_uJ", "EDP", "pe", "scratchpad", "accumulator");
  for (std::size_t i = 0; i < summary.front.size(); ++i) {
    const FrontPoint& point = summary.front[i];
    const Design& design = point.design;
    text += fmt::format(
        "{:<15} {:>9.3f} {:>14.0f} {:>14.6g} {:>12.5g}  {:>4} {:>10} {:>11}  {} under {:.3g} mm2\n",
        file_name(i), design.totals.area_mm2, design.totals.cycles, design.totals.energy_uj,
        design.totals.edp, design.hardware.pe_dim, design.hardware.scratchpad_kib,
        design.hardware.accumulator_kib, design.objective, point.area_limit_mm2);
  }
  text += fmt::format(
      "\n{} on {}: {} designs that no other one beats in area, latency and energy, of {} found\n"
      "arrays {}; {} evaluations, {:.1f} s{}{}\n",
      problem.workload.name, problem.machine().name, summary.front.size(), summary.found,
      fmt::join(summary.arrays, " "), summary.evaluations, summary.wall_s,
      summary.complete ? "; the whole map space on each" : "", summary.interrupted ? "; interrupted" : "");
  return text;
}

/// A folder that appears under its name when it is complete, or not at all.
class NewFolder {
 public:
  /// Throws Error{kFile} unless the folder can be made: nothing there, an empty folder or an older front.
  explicit NewFolder(fs::path path) : path_(fs::absolute(path).lexically_normal()) {
    if (!path_.has_filename()) path_ = path_.parent_path();  // a slash at the end
    std::error_code ignored;
    if (fs::exists(path_, ignored) && !fs::is_directory(path_, ignored))
      fail(ErrorId::kFile, "{}: is no folder", path.string());
    for (const auto& entry : fs::directory_iterator(path_, ignored)) {
      const std::string name = entry.path().filename().string();
      const bool ours = name == kFrontJson || name == kFrontCsv ||
                        (name.rfind("design_", 0) == 0 && entry.path().extension() == ".json");
      if (!ours || !entry.is_regular_file(ignored)) {
        fail(ErrorId::kFile, "{}: holds '{}'; expected a new folder, an empty one, or an older front alone",
             path.string(), name);
      }
    }
    std::string temporary = path_.string() + ".XXXXXX";
    if (mkdtemp(temporary.data()) == nullptr)
      fail(ErrorId::kFile, "{}: cannot be written: {}", path.string(), std::strerror(errno));
    temporary_ = temporary;
    fs::permissions(
        temporary_,
        fs::perms::group_read | fs::perms::group_exec | fs::perms::others_read | fs::perms::others_exec,
        fs::perm_options::add, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  ~NewFolder() {
    std::error_code ignored;
    if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
  }

  const fs::path& path() const { return temporary_; }

  void finish() {
    std::error_code error, ignored;
    const fs::path old = temporary_.string() + ".old";
    const bool replaces = fs::exists(path_, ignored);
    if (replaces) fs::rename(path_, old, error);
    if (!error) fs::rename(temporary_, path_, error);
    if (error) {
      if (replaces && !fs::exists(path_, ignored)) fs::rename(old, path_, ignored);
      fail(ErrorId::kFile, "{}: cannot be written: {}", path_.string(), error.message());
    }
    temporary_.clear();
    fs::remove_all(old, ignored);
  }

 private:
  fs::path path_, temporary_;
};

}  // namespace

void write_pareto_front(const SearchProblem& problem, const ParetoOptions& options, const std::string& folder,
                        bool quiet, const Output& output) {
  problem.check_bounds();
  NewFolder target(folder);
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const ParetoSummary summary = pareto_front(
      problem, options,
      [&](const ParetoProgress& now) {
        if (quiet) return;
        fmt::print(stderr, "{}array {}/{}  {} designs  {} mappings  {:.1f} s{}", terminal ? "\r" : "",
                   now.arrays_done, now.arrays, now.designs, now.evaluations, now.elapsed_s,
                   terminal ? "\033[K" : "\n");
        if (terminal && now.arrays_done == now.arrays) fmt::print(stderr, "\n");
        std::fflush(stderr);
      },
      catch_interrupts());
  const Json json = front_json(problem, options, summary);
  for (std::size_t i = 0; i < summary.front.size(); ++i) {
    Design design = summary.front[i].design;
    design.provenance = {{"program", fmt::format("dosa {}", DOSA_VERSION)},
                         {"method", "pareto"},
                         {"model", problem.target->model_record()},
                         {"area_limit_mm2", limit_json(summary.front[i].area_limit_mm2)},
                         {"options", json["options"]}};
    save_design(design, target.path() / file_name(i));
  }
  write_file(target.path() / kFrontJson, json.dump(2) + "\n");
  write_file(target.path() / kFrontCsv, front_csv(summary));
  target.finish();
  output.print(json, front_text(problem, summary) + fmt::format("written: {}\n", folder));
}

}  // namespace dosa::cli
