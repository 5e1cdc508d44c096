#include "dosa/core/search/checkpoint.hpp"

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

constexpr const char* kSchema = "dosa-checkpoint/5";
constexpr const char* kKind = "dosa checkpoint";

/// What a run is: two runs with the same fields and state go on in the same way.
Json identity(const SearchProblem& problem, const SearchOptions& options) {
  Json layers = Json::array();
  for (const Layer& layer : problem.workload.layers) layers.push_back(to_json(layer));
  Json json{{"program", DOSA_VERSION},
            {"workload", problem.workload.name},
            {"layers", content_hash(layers.dump())},
            {"machine", problem.machine().name},
            {"machine_content", problem.machine().hash},
            {"model", problem.target->model_record()},
            {"objective", problem.objective.name},
            {"seed", options.seed}};
  if (problem.is_joint()) {
    json["networks"] = Json::array();
    for (const ProblemNetwork& network : problem.parts)
      json["networks"].push_back({network.name, network.weight, network.layers()});
  }
  json.update(to_json(options, problem));
  return json;
}

std::vector<NamedTensor> tensors_of(std::vector<Descent>& descents) {
  std::vector<NamedTensor> all;
  for (std::size_t group = 0; group < descents.size(); ++group) {
    for (NamedTensor& named : descents[group].state(group)) all.push_back(std::move(named));
  }
  return all;
}

void read_best(const JsonInput& best, const SearchProblem& problem, SearchState& state) {
  best.allow_only({"log_objective", "networks", "hardware", "layers"});
  state.best_log_objective = best.at("log_objective").number();
  for (const JsonInput& network : best.at("networks").items()) {
    state.best_sums.push_back({network.at("energy_pj").number(0), network.at("cycles").number(0),
                               network.at("expected_cycles").number(0)});
  }
  if (state.best_sums.size() != problem.networks().size()) {
    fail(ErrorId::kSchema, "{}: found {}, expected {}", best.at("networks").where(),
         counted(state.best_sums.size(), "network"), problem.networks().size());
  }
  Design design = problem.blank_design();
  design.hardware = problem.machine().hardware_from_json(best.at("hardware"));
  const std::vector<JsonInput> layers = best.at("layers").items();
  if (layers.size() != design.layers.size()) {
    fail(ErrorId::kSchema, "{}: found {}, expected {}", best.at("layers").where(),
         counted(layers.size(), "layer"), design.layers.size());
  }
  for (std::size_t l = 0; l < layers.size(); ++l)
    design.layers[l].schedule =
        problem.target->read_schedule(layers[l], design.layers[l].layer, design.hardware);
  try {
    evaluate(design, *problem.target);
  } catch (const Error& error) {
    throw error.in(best.where());
  }
  state.best = std::move(design);
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
    Json layers = Json::array();
    for (const DesignLayer& layer : state.best->layers)
      layers.push_back({{layer.schedule->key(), layer.schedule->json()}});
    Json networks = Json::array();
    for (const NetworkSums& sums : state.best_sums) {
      networks.push_back({{"energy_pj", sums.energy_pj},
                          {"cycles", sums.cycles},
                          {"expected_cycles", sums.expected_cycles}});
    }
    header["best"] = {{"log_objective", state.best_log_objective},
                      {"networks", networks},
                      {"hardware", problem.machine().to_json(state.best->hardware)},
                      {"layers", layers}};
  }
  TensorFile::write(path, kKind, header, tensors_of(descents));
}

Stages stages_of_checkpoint(const std::filesystem::path& path) {
  const TensorFile file(path, kKind);
  file.header().require_schema(kSchema);
  return stages_from_name(file.header().at("run").at("stages").text());
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
  if (const auto best = header.find("best")) read_best(*best, problem, state);
  file.read(tensors_of(descents));
  return state;
}

}  // namespace dosa
