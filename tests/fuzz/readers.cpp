// The readers that compute with tensors.
#include "tests/fuzz/readers.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "dosa/core/design/design.hpp"
#include "dosa/core/design/validate.hpp"
#include "dosa/core/explain/explain.hpp"
#include "dosa/core/search/checkpoint.hpp"
#include "dosa/core/targets/gemmini/campaign/collect.hpp"
#include "dosa/core/targets/gemmini/campaign/sample.hpp"
#include "dosa/core/targets/gemmini/measurements.hpp"
#include "dosa/core/targets/gemmini/surrogate.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/chain/chain.hpp"
#include "dosa/models/workload.hpp"
#include "tests/fuzz/inputs.hpp"

namespace dosa::testing {
namespace {

/// Everything at the outermost level, which every machine can run.
Mapping plain_mapping(const Layer& layer, std::size_t levels) {
  Mapping mapping;
  mapping.levels.resize(levels);
  for (const Dim dim : all_dims()) {
    if (layer[dim] > 1) mapping.levels.back().temporal.push_back({dim, layer[dim]});
  }
  return mapping;
}

void require_costs(const Target& target, const Layer& layer, std::size_t levels) {
  const Hardware& hardware = target.machine().default_hardware;
  Mapping mapping = plain_mapping(layer, levels);
  const auto* chain = dynamic_cast<const Chain*>(&target.machine());
  if (chain != nullptr && !chain->levels.back().orders.empty()) {
    const LoopRule& order = chain->levels.back().orders.front();
    std::vector<Loop>& loops = mapping.levels.back().temporal;  // the outermost first
    std::stable_sort(loops.begin(), loops.end(),
                     [&](const Loop& a, const Loop& b) { return order.place(a.dim) > order.place(b.dim); });
  }
  const SchedulePtr schedule = target.schedule_of(mapping, layer, hardware);
  const LayerCosts costs = target.costs({layer}, {schedule}, hardware).front();
  require(std::isfinite(costs.cycles) && costs.cycles > 0, "cycles are not a finite number above 0");
  require(std::isfinite(costs.energy_uj) && costs.energy_uj > 0, "energy is not a finite number above 0");
}

void require_costs_of(const Workload& workload) {
  static const TargetPtr array = load_target("gemmini-tl"), chain = load_target("simba");
  for (const Layer& layer : workload.layers) {
    require_costs(*array, layer, 4);
    require_costs(*chain, layer, 6);
  }
}

void require_costs_on(const MachinePtr& machine) {
  // Rules of a chip of its own are its target's to check, which loads more than a machine.
  if (machine->rules != "mappings" && machine->rules != "chain") return;
  const auto* chain = dynamic_cast<const Chain*>(machine.get());
  const std::size_t levels =
      chain != nullptr ? chain->levels.size() : dynamic_cast<const ArrayMachine&>(*machine).levels.size();
  require_costs(*make_target(machine), small_layer(), levels);
}

void add_designs(std::vector<Reader>& readers) {
  readers.push_back(
      {"design", Form::kPlain, corpus_of("design"), [scratch = Scratch()](const std::string& bytes) {
         LoadedDesign loaded = load_design(scratch.with(bytes, "design.json"));
         evaluate(loaded.design, *loaded.target);
         const DesignTotals& totals = loaded.design.totals;
         require(std::isfinite(totals.edp) && totals.edp > 0, "an EDP is not a finite number above 0");
         require(!report(loaded.design, *loaded.target).empty() && !to_json(loaded.design).empty(),
                 "no report");
       }});
}

void look_at(const Plan& plan) {
  check_plan(plan);
  require(to_json(plan_from_json(JsonInput::from_text(to_json(plan).dump(), "again"))) == to_json(plan),
          "a plan is not what its own JSON says");
  if (plan.measurements.size() < 100) require(!campaign_files(plan).empty(), "no files");
}

void add_measurements(std::vector<Reader>& readers) {
  readers.push_back(
      {"measured", Form::kPlain, corpus_of("measured"), [scratch = Scratch()](const std::string& bytes) {
         const Measurements all = read_measurements(scratch.with(bytes));
         require(all.layer_ids().size() == all.rows.size(), "a row without a layer");
       }});
  readers.push_back(
      {"tilings", Form::kPlain, corpus_of("tilings"), [scratch = Scratch()](const std::string& bytes) {
         TilingsOptions options;
         options.table = scratch.with(bytes);
         options.hardware = {0, 0, 0};
         look_at(sample_tilings(options).plan);
       }});
  readers.push_back(
      {"reference", Form::kPlain, corpus_of("validate"), [scratch = Scratch()](const std::string& bytes) {
         static const ArrayMachine array = load_array_machine("gemmini-tl");
         static const Chain chain = load_chain("simba");
         const std::filesystem::path path = scratch.with(bytes);
         if (bytes.find("pe_dim") != std::string::npos) {
           validate_table(path, array, 5);
         } else {
           validate_table(path, chain, 5);
         }
       }});
  readers.push_back({"plan", Form::kPlain, corpus_of("plan"), [](const std::string& bytes) {
                       look_at(plan_from_json(JsonInput::from_text(bytes, "plan.json")));
                     }});
  readers.push_back({"log", Form::kPlain, corpus_of("log"), [](const std::string& bytes) {
                       static const Plan plan =
                           plan_from_json(JsonInput::from_text(corpus_file("plan/plan.json"), "plan.json"));
                       const Collected collected = collect(plan, bytes);
                       require(!collected.full_report().empty(), "no report");
                       collected_csv(plan, collected);
                     }});
}

/// A state's tensors are held a few times while they are read; its header is JSON, of which two characters
/// are a value of some tens of bytes.
constexpr std::size_t kMostTimesOfState = 32;

/// A search of two starts, of which checkpoints are read and written.
struct SmallSearch {
  SearchProblem problem;
  SearchOptions options;
  std::unique_ptr<SearchSpace> space;

  SmallSearch() {
    Workload workload;
    workload.name = "small";
    workload.layers = {small_layer()};
    problem = SearchProblem::of(workload, load_target("gemmini-tl"), Objective::from_name("edp"));
    problem.bounds = {problem.machine().min_hardware, problem.machine().max_hardware};
    options.starts = 2;
    space = problem.target->space(problem, options.device);
  }
  std::vector<Descent> descents() const {
    std::vector<Descent> all;
    all.emplace_back(*space, 0, options.starts, options.starts, options.seed, options.learning_rate);
    return all;
  }
  std::string checkpoint(const std::filesystem::path& path) const {
    SearchState state;
    state.steps = 10;
    Design design = problem.blank_design();
    design.hardware = problem.machine().default_hardware;
    const Layer& layer = design.layers.front().layer;
    design.layers.front().schedule =
        problem.target->schedule_of(plain_mapping(layer, 4), layer, design.hardware);
    evaluate(design, *problem.target);
    state.best = design;
    state.best_sums = {{design.totals.energy_uj * 1e6, design.totals.cycles, design.totals.cycles}};
    std::vector<Descent> group = descents();
    save_checkpoint(path, problem, options, state, group);
    return read_file(path);
  }
};

void add_states(std::vector<Reader>& readers) {
  const auto search = std::make_shared<SmallSearch>();
  const Scratch scratch;
  readers.push_back({"checkpoint",
                     Form::kTensors,
                     {search->checkpoint(scratch.with(""))},
                     [scratch, search](const std::string& bytes) {
                       std::vector<Descent> descents = search->descents();
                       const SearchState state =
                           load_checkpoint(scratch.with(bytes), search->problem, search->options, descents);
                       require(std::isfinite(state.best_log_objective),
                               "an objective is not a finite number");
                     },
                     true,
                     kMostTimesOfState});
  readers.push_back({"surrogate",
                     Form::kTensors,
                     {read_file(data_folder() / "surrogate/gemmini-rtl.safetensors")},
                     [scratch](const std::string& bytes) { Surrogate::load(scratch.with(bytes)); },
                     false,
                     kMostTimesOfState});
}

}  // namespace

std::vector<Reader> all_readers() {
  std::vector<Reader> readers = plain_readers({require_costs_of, require_costs_on});
  add_designs(readers);
  add_measurements(readers);
  add_states(readers);
  return readers;
}

}  // namespace dosa::testing
