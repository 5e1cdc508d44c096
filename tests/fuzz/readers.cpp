#include "tests/fuzz/readers.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "dosa/core/design/design.hpp"
#include "dosa/core/design/validate.hpp"
#include "dosa/core/explain/explain.hpp"
#include "dosa/core/import/file_kind.hpp"
#include "dosa/core/import/importer.hpp"
#include "dosa/core/import/timeloop/stats.hpp"
#include "dosa/core/search/checkpoint.hpp"
#include "dosa/core/targets/gemmini/campaign/collect.hpp"
#include "dosa/core/targets/gemmini/campaign/sample.hpp"
#include "dosa/core/targets/gemmini/measurements.hpp"
#include "dosa/core/targets/gemmini/surrogate.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/chain/chain.hpp"
#include "dosa/models/workload.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {
namespace fs = std::filesystem;

fs::path corpus() { return fs::path(DOSA_TEST_SOURCE) / "tests/fuzz/corpus"; }

/// The files of a folder of the corpus, in the order of their names.
std::vector<std::string> corpus_of(const std::string& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(corpus() / folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> contents;
  for (const fs::path& path : paths) contents.push_back(read_file(path));
  return contents;
}

std::string corpus_file(const std::string& name) { return read_file(corpus() / name); }

std::vector<std::string> shipped_machines() {
  std::vector<std::string> contents;
  for (const std::string& name : shipped_names("hardware"))
    contents.push_back(read_file(resolve_shipped(name, "hardware")));
  return contents;
}

/// For readers that take a path.
class Scratch {
 public:
  fs::path with(const std::string& bytes, const std::string& name = "input") const {
    const fs::path path = folder_->path() / name;
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path;
  }

 private:
  std::shared_ptr<TemporaryFolder> folder_ = std::make_shared<TemporaryFolder>();
};

void require(bool good, const char* what) {
  if (!good) throw std::logic_error(what);
}

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
  const SchedulePtr schedule = target.schedule_of(plain_mapping(layer, levels), layer, hardware);
  const LayerCosts costs = target.costs({layer}, {schedule}, hardware).front();
  require(std::isfinite(costs.cycles) && costs.cycles > 0, "cycles are not a finite number above 0");
  require(std::isfinite(costs.energy_uj) && costs.energy_uj > 0, "energy is not a finite number above 0");
}

Layer small_layer() {
  Layer layer;
  layer.name = "small";
  layer.size = {3, 3, 8, 8, 4, 8, 1};
  layer.padding = 1;
  return layer;
}

void look_at(const Workload& workload) {
  static const TargetPtr array = load_target("gemmini-tl"), chain = load_target("simba");
  const Json json = to_json(workload);
  require(to_json(workload_from_json(JsonInput::from_text(json.dump(), "again"))) == json,
          "a workload is not what its own JSON says");
  for (const Layer& layer : workload.layers) {
    require(layer.macs() >= 1 && layer.repetitions() >= 1, "no multiplications");
    require(layer.input_width() >= 1 && layer.input_height() >= 1, "no input");
    require_costs(*array, layer, 4);
    require_costs(*chain, layer, 6);
  }
}

MachinePtr read_machine(const JsonInput& json) {
  if (is_chain(json)) return std::make_shared<Chain>(read_chain(json));
  return std::make_shared<ArrayMachine>(read_array_machine(json));
}

void look_at(const MachinePtr& machine) {
  for (const Hardware& hardware : {machine->min_hardware, machine->default_hardware, machine->max_hardware}) {
    const double area = machine->area_mm2(hardware);
    require(std::isfinite(area) && area >= 0, "an area is not a finite number");
    require(machine->hardware_from_json(JsonInput::from_text(machine->to_json(hardware).dump(), "again")) ==
                hardware,
            "hardware is not what its own JSON says");
  }
  // Rules of a chip of its own are its target's to check, which loads more than a machine.
  if (machine->rules != "mappings" && machine->rules != "chain") return;
  const auto* chain = dynamic_cast<const Chain*>(machine.get());
  const std::size_t levels =
      chain != nullptr ? chain->levels.size() : dynamic_cast<const ArrayMachine&>(*machine).levels.size();
  require_costs(*make_target(machine), small_layer(), levels);
}

void add_descriptions(std::vector<Reader>& readers) {
  readers.push_back({"network", Form::kPlain, corpus_of("workload"), [](const std::string& bytes) {
                       look_at(workload_from_json(JsonInput::from_text(bytes, "input.json")));
                     }});
  readers.push_back({"network_yaml", Form::kPlain, corpus_of("yaml"), [](const std::string& bytes) {
                       look_at(workload_from_json(JsonInput::from_yaml(bytes, "input.yaml")));
                     }});
  readers.push_back({"machine", Form::kPlain, shipped_machines(), [](const std::string& bytes) {
                       look_at(read_machine(JsonInput::from_text(bytes, "input.json")));
                     }});
  readers.push_back({"mapping", Form::kPlain, corpus_of("mapping"), [](const std::string& bytes) {
                       static const ArrayMachine array = load_array_machine("gemmini-tl");
                       static const Chain chain = load_chain("simba");
                       const auto try_on = [&](const auto& machine) {
                         const Mapping mapping = parse_mapping(bytes, machine);
                         require(parse_mapping(print_mapping(mapping, machine), machine) == mapping,
                                 "a mapping is not what its own text says");
                         check_mapping(mapping, small_layer(), machine);
                       };
                       try {
                         try_on(array);
                       } catch (const Error&) {
                         try_on(chain);
                       }
                     }});
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

/// Reads as dosa import does, and what comes out as every command does.
void import_one(const Importer& importer, const std::string& bytes, const MachinePtr& machine) {
  const ImportSource source{"input", bytes};
  ImportOptions options;
  if (bytes.find("architecture") == std::string::npos)
    options.machine = machine;  // of mappings that bring none
  static_cast<void>(importer.knows(source));
  const Imported imported = importer.read({source}, options);
  if (imported.workload)
    look_at(workload_from_json(JsonInput::from_text(imported.workload->dump(), "imported")));
  if (imported.machine) look_at(read_machine(JsonInput::from_text(imported.machine->dump(), "imported")));
}

void add_importers(std::vector<Reader>& readers) {
  const MachinePtr machine = load_machine("nvdla");
  for (const auto& [folder, importer] : {std::pair{"timeloop", &timeloop_importer()},
                                         {"zigzag", &zigzag_importer()},
                                         {"scale_sim", &scale_sim_importer()},
                                         {"maestro", &maestro_importer()},
                                         {"gamma", &gamma_importer()},
                                         {"onnx", &onnx_importer()}}) {
    readers.push_back(
        {folder, Form::kPlain, corpus_of(folder),
         [machine, own = importer](const std::string& bytes) { import_one(*own, bytes, machine); }});
  }
  readers.push_back(
      {"stats", Form::kPlain, corpus_of("stats"),
       [scratch = Scratch()](const std::string& bytes) { timeloop::read_stats(scratch.with(bytes)); }});
  std::vector<std::string> all;
  for (const Reader& reader : readers) all.insert(all.end(), reader.right.begin(), reader.right.end());
  readers.push_back(
      {"kind", Form::kPlain, all, [scratch = Scratch()](const std::string& bytes) {
         const fs::path path = scratch.with(bytes);
         for (const Wanted wanted : {Wanted::kNetwork, Wanted::kDesign, Wanted::kMachine, Wanted::kImport})
           expect_kind(path, wanted);
       }});
}

void look_at(const Plan& plan) {
  check_plan(plan);
  require(to_json(plan_from_json(JsonInput::from_text(to_json(plan).dump(), "again"))) == to_json(plan),
          "a plan is not what its own JSON says");
  if (plan.measurements.size() < 100) require(!campaign_files(plan).empty(), "no files");
}

void add_measurements(std::vector<Reader>& readers) {
  readers.push_back({"gzip", Form::kGzip, corpus_of("measured"),
                     [scratch = Scratch()](const std::string& bytes) { read_file(scratch.with(bytes)); },
                     false});
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
         const fs::path path = scratch.with(bytes);
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
  std::string checkpoint(const fs::path& path) const {
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
  std::vector<Reader> readers;
  add_descriptions(readers);
  add_importers(readers);
  add_measurements(readers);
  add_states(readers);
  return readers;
}

}  // namespace dosa::testing
