#include "dosa/core/search/checkpoint.hpp"

#include <cmath>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {

constexpr const char* kSchema = "dosa-checkpoint/3";
constexpr const char* kKind = "dosa checkpoint";

/// What a run is: two runs with the same fields and state go on in the same way.
Json identity(const SearchProblem& problem, const SearchOptions& options) {
  Json layers = Json::array();
  for (const Layer& layer : problem.workload.layers) layers.push_back(to_json(layer));
  return {{"program", DOSA_VERSION},
          {"workload", problem.workload.name},
          {"layers", content_hash(layers.dump())},
          {"machine", problem.machine.name},
          {"machine_content", problem.machine.hash},
          {"objective", problem.objective.name},
          {"min", to_json(problem.bounds.min)},
          {"max", to_json(problem.bounds.max)},
          {"max_area_mm2",
           std::isfinite(problem.bounds.max_area_mm2) ? Json(problem.bounds.max_area_mm2) : "none"},
          {"starts", options.starts},
          {"steps", options.steps},
          {"round_every", options.round_every},
          {"patience", options.patience},
          {"learning_rate", options.learning_rate},
          {"polish_nests", options.polish_nests},
          {"seed", options.seed}};
}

std::vector<NamedTensor> tensors_of(std::vector<Descent>& descents) {
  std::vector<NamedTensor> all;
  for (std::size_t group = 0; group < descents.size(); ++group) {
    for (NamedTensor& named : descents[group].state(group)) all.push_back(std::move(named));
  }
  return all;
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const SearchProblem& problem,
                     const SearchOptions& options, const SearchState& state, std::vector<Descent>& descents) {
  Json header{{"schema", kSchema},
              {"run", identity(problem, options)},
              {"steps", state.steps},
              {"evaluations", state.evaluations},
              {"stale_roundings", state.stale_roundings},
              {"rounded_at", state.rounded_at}};
  if (state.best) {
    Json mappings = Json::array();
    for (const DesignLayer& layer : state.best->layers)
      mappings.push_back(print_mapping(layer.mapping, problem.machine));
    header["best"] = {{"log_objective", state.best_log_objective},
                      {"hardware", to_json(state.best->hardware)},
                      {"mappings", mappings}};
  }
  TensorFile::write(path, kKind, header, tensors_of(descents));
}

SearchState load_checkpoint(const std::filesystem::path& path, const SearchProblem& problem,
                            const SearchOptions& options, std::vector<Descent>& descents) {
  const TensorFile file(path, kKind);
  file.allow_only({"schema", "run", "steps", "evaluations", "stale_roundings", "rounded_at", "best"});
  const JsonInput& header = file.header();
  header.require_schema(kSchema);
  const Json wanted = identity(problem, options);
  const JsonInput run = header.at("run");
  for (const auto& [key, value] : wanted.items()) {
    const JsonInput found = run.at(key);
    if (found.value() != value) {
      fail(ErrorId::kValue, "{}: the checkpoint is of another run: found {}, this run has {}", found.where(),
           found.value().dump(), value.dump());
    }
  }
  SearchState state;
  state.steps = header.at("steps").integer(0, options.steps);
  state.evaluations = header.at("evaluations").integer(0, std::numeric_limits<std::int64_t>::max());
  state.stale_roundings = header.at("stale_roundings").integer(0, options.steps);
  state.rounded_at = header.at("rounded_at").integer(0, state.steps);
  if (const auto best = header.find("best")) {
    best->allow_only({"log_objective", "hardware", "mappings"});
    state.best_log_objective = best->at("log_objective").number();
    Design design;
    design.workload = problem.workload.name;
    design.target = problem.machine.name;
    design.objective = problem.objective.name;
    design.hardware = hardware_from_json(best->at("hardware"));
    const std::vector<JsonInput> mappings = best->at("mappings").items();
    if (mappings.size() != problem.workload.layers.size()) {
      fail(ErrorId::kSchema, "{}: found {} mappings, expected {}", best->at("mappings").where(),
           mappings.size(), problem.workload.layers.size());
    }
    for (std::size_t l = 0; l < mappings.size(); ++l) {
      DesignLayer layer;
      layer.layer = problem.workload.layers[l];
      layer.mapping = parse_mapping(mappings[l].text(), problem.machine);
      design.layers.push_back(std::move(layer));
    }
    try {
      evaluate(design, problem.machine);
    } catch (const Error& error) {
      throw error.in(best->where());
    }
    state.best = std::move(design);
  }
  file.read(tensors_of(descents));
  return state;
}

}  // namespace dosa
