#include "dosa/core/cli/compare_mapper.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "dosa/core/import/importer.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMapEnd = ".map.yaml";
constexpr const char* kStatsEnd = ".stats.txt";

fs::path map_file(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) ? fs::path(path) / (std::string("timeloop-mapper") + kMapEnd)
                                         : fs::path(path);
}

/// "x/timeloop-mapper.map.yaml" -> "x/timeloop-mapper.stats.txt".
fs::path stats_file(const fs::path& map) {
  const std::string text = map.string(), end = kMapEnd;
  if (text.size() <= end.size() || text.compare(text.size() - end.size(), end.size(), end) != 0) {
    fail(ErrorId::kValue, "--timeloop-mapper: found {}, expected a folder or a file NAME{} beside NAME{}",
         text, kMapEnd, kStatsEnd);
  }
  return text.substr(0, text.size() - end.size()) + kStatsEnd;
}

/// The one layer whose sizes the factors multiply to.
std::size_t layer_of(const Mapping& mapping, const Workload& workload, const std::string& path) {
  std::optional<std::size_t> found;
  for (std::size_t l = 0; l < workload.layers.size(); ++l) {
    const Layer& layer = workload.layers[l];
    const auto dims = all_dims();
    if (!std::all_of(dims.begin(), dims.end(), [&](Dim dim) { return mapping.total(dim) == layer[dim]; }))
      continue;
    if (found) {
      fail(ErrorId::kMapping, "{}: the mapping's factors multiply to the sizes of {} and of {}, expected one",
           path, workload.layers[*found].name, layer.name);
    }
    found = l;
  }
  if (found) return *found;
  std::string sizes;
  for (const Dim dim : all_dims()) sizes += fmt::format(" {}={}", name_of(dim), mapping.total(dim));
  fail(ErrorId::kMapping, "{}: the mapping's factors multiply to{}, which no layer of {} has", path, sizes,
       workload.name);
}

/// One run of one group, by the model.
double cycles_of(const DesignLayer& entry) {
  return entry.costs.cycles / static_cast<double>(entry.layer.groups);
}
double energy_of(const DesignLayer& entry) {
  return entry.costs.energy_uj / static_cast<double>(entry.layer.groups);
}

/// Half a digit is lost in printing; as much again for a number that lies between two.
bool agrees(const DesignLayer& entry, const timeloop::Stats& stats) {
  return cycles_of(entry) == stats.cycles &&
         std::abs(energy_of(entry) - stats.energy_uj) <= stats.energy_digit * 0.5000001;
}

std::size_t agreeing(const MapperRow& row) {
  std::size_t count = 0;
  for (const MapperResult& result : row.results)
    count += agrees(row.design.layers[result.layer], result.stats);
  return count;
}

}  // namespace

MapperRow read_mapper_row(const std::vector<std::string>& paths, const SearchProblem& problem,
                          const Hardware& hardware) {
  MapperRow row;
  row.design = problem.blank_design();
  row.design.hardware = hardware;
  const std::vector<Layer>& layers = problem.workload.layers;
  std::vector<std::optional<MapperResult>> results(layers.size());
  row.design.layers.resize(layers.size());
  for (const std::string& path : paths) {
    const fs::path map = map_file(path);
    MapperResult result;
    result.path = map.string();
    result.stats = timeloop::read_stats(stats_file(map));
    ImportOptions options;
    options.machine = problem.target->shared_machine();
    const std::optional<std::string> text = import_files({result.path}, options).mapping;
    if (!text) fail(ErrorId::kSchema, "{}: found no mapping", result.path);
    const Mapping mapping = problem.target->mapping_from_text(*text);
    result.layer = layer_of(mapping, problem.workload, result.path);
    const Layer& layer = layers[result.layer];
    if (results[result.layer]) {
      fail(ErrorId::kMapping, "{}: found a second mapping of {}, {} is the first", result.path, layer.name,
           results[result.layer]->path);
    }
    try {
      row.design.layers[result.layer] = {layer, problem.target->schedule_of(mapping, layer, hardware), {}};
    } catch (const Error& error) {
      throw error.in(result.path);
    }
    results[result.layer] = std::move(result);
  }
  for (std::size_t l = 0; l < layers.size(); ++l) {
    if (!results[l]) fail(ErrorId::kMapping, "--timeloop-mapper: no mapping of {} is there", layers[l].name);
    row.results.push_back(*results[l]);
  }
  try {
    evaluate(row.design, *problem.target);
  } catch (const Error& error) {
    throw error.in("--timeloop-mapper");
  }
  row.objective = problem.objective.value(row.design.totals.energy_uj, row.design.totals.cycles);
  return row;
}

Json to_json(const MapperRow& row) {
  Json layers = Json::array();
  for (const MapperResult& result : row.results) {
    const DesignLayer& entry = row.design.layers[result.layer];
    layers.push_back({{"name", entry.layer.name},
                      {"file", result.path},
                      {"cycles", cycles_of(entry)},
                      {"energy_uj", energy_of(entry)},
                      {"stats", {{"cycles", result.stats.cycles}, {"energy_uj", result.stats.energy_uj}}},
                      {"agrees", agrees(entry, result.stats)}});
  }
  return {{"objective", row.objective},
          {"agreeing", agreeing(row)},
          {"design", dosa::to_json(row.design)},
          {"layers", std::move(layers)}};
}

std::string report(const MapperRow& row) {
  std::string text = fmt::format("timeloop-mapper: its report and dosa agree on {} of {}\n", agreeing(row),
                                 counted(row.results.size(), "layer"));
  if (agreeing(row) == row.results.size()) return text;
  Table table({{"layer", ColumnKind::kName}, {"cycles"}, {"report"}, {"energy_uJ"}, {"report"}});
  for (const MapperResult& result : row.results) {
    const DesignLayer& entry = row.design.layers[result.layer];
    if (agrees(entry, result.stats)) continue;
    table.row({entry.layer.name, fmt::format("{:.0f}", cycles_of(entry)),
               fmt::format("{:.0f}", result.stats.cycles), fmt::format("{:.3f}", energy_of(entry)),
               fmt::format("{}", result.stats.energy_uj)});
  }
  return text + table.text() +
         "The model counts no link transfers (no_link_transfer in constraints.yaml of an\n"
         "export); other figures of the machine may differ, too.\n";
}

}  // namespace dosa::cli
