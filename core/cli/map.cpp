// Fixed hardware: the best mappings by enumeration, how far a design is from them, and what Gemmini's own
// library would choose.
#include <memory>

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/cli/shared.hpp"
#include "dosa/core/explain/explain.hpp"
#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/progress.hpp"
#include "dosa/models/base/text.hpp"
#include "dosa/models/workload.hpp"

namespace dosa::cli {
namespace {

struct MapFlags {
  MachineChoice machine;
  std::vector<std::string> inputs;
  std::string output, objective, combine = "geomean", stages = "auto", baseline;
  double clock_hz = 0;
  bool use_default = false, certify = false, quiet = false, strict = false;
  SizeFlags sizes;
  MapOptions map;
  TargetOptions options;
};

MapProgressCallback shown_on(ProgressLine& line) {
  return [&line](const MapProgress& now) {
    line.show(fmt::format("{} of {}  {}  {:.0f} s", now.layers_done, counted(now.layers, "layer"),
                          counted(now.evaluations, "schedule"), now.elapsed_s));
  };
}

Json coverage_json(const MapSummary& summary) {
  Json layers = Json::array();
  for (std::size_t l = 0; l < summary.coverage.size(); ++l) {
    layers.push_back(to_json(summary.coverage[l]));
    layers.back()["name"] = summary.best.layers[l].layer.name;
    if (summary.has_bounds()) layers.back()["gap"] = summary.gap(l);
  }
  Json json{{"proven", summary.proven()},
            {"orders", summary.orders},
            {"samples", summary.evaluations},
            {"stopped_by", summary.interrupted ? "interrupt" : "end"},
            {"layers", std::move(layers)}};
  if (summary.has_bounds()) json["gap"] = summary.gap();
  return json;
}

/// Maps a network onto the hardware of the bounds; the design has its provenance.
MapSummary mapped(const SearchProblem& problem, const MapFlags& flags) {
  ProgressLine line(flags.quiet);
  MapSummary summary = map_exhaustively(problem, flags.map, shown_on(line), catch_interrupts());
  line.finish();
  const bool descends = summary.has_bounds();
  Json searched{{"max_nests", flags.map.max_nests}};
  if (descends) {
    searched = {{"stages", kStagesNames[static_cast<std::size_t>(flags.map.stages)]},
                {"samples", flags.map.samples},
                {"starts", flags.map.starts},
                {"steps", flags.map.steps},
                {"seed", flags.map.seed}};
  }
  summary.best.provenance = {{"program", fmt::format("dosa {}", DOSA_VERSION)},
                             {"method", descends ? "gradient" : "exhaustive"},
                             {"model", problem.target->model_record()},
                             {"options", std::move(searched)},
                             {"stopped_by", summary.interrupted ? "interrupt" : "end"},
                             {"samples", summary.evaluations},
                             {"whole_map_space", summary.proven()}};
  return summary;
}

void map_networks(const MapFlags& flags, const Output& output) {
  if (!flags.output.empty()) check_writable(flags.output);
  SearchProblem problem =
      problem_of(flags.inputs, load_target(flags.machine.or_else("gemmini-tl"), flags.options),
                 flags.objective.empty() ? "edp" : flags.objective, flags.combine, flags.strict);
  warn_of(*problem.target);
  problem.bounds.min = problem.bounds.max = flags.sizes.hardware(problem.machine());
  problem.target->check_hardware(problem.bounds.max);
  SharedDesign shared;
  shared.combine = flags.combine;
  Json spaces = Json::array(), clocks = Json::array();
  std::string text, of_spaces;
  const std::vector<ProblemNetwork> networks = problem.networks();
  // On fixed hardware networks do not depend on each other.
  for (std::size_t n = 0; n < networks.size(); ++n) {
    MapSummary summary = mapped(problem.is_joint() ? problem.alone(n) : problem, flags);
    spaces.push_back(coverage_json(summary));
    text += (n == 0 ? "" : "\n") + report(summary.best, *problem.target);
    Json at_clock = Json::object();
    add_at_clock(summary.best, flags.clock_hz, at_clock, text);
    clocks.push_back(std::move(at_clock));
    of_spaces += "\n" + report(summary);
    shared.provenance = summary.best.provenance;
    shared.networks.push_back({networks[n].weight, std::move(summary.best), {}});
  }
  const Design& first = shared.networks.front().design;
  Json json;
  if (problem.is_joint()) {
    shared.value = joint_value(shared);
    for (const char* key : {"stopped_by", "samples", "whole_map_space"}) shared.provenance.erase(key);
    if (!flags.output.empty()) save_design(shared, flags.output);
    json = to_json(shared);
    for (std::size_t n = 0; n < networks.size(); ++n) {
      json["networks"][n]["map_space"] = spaces[n];
      json["networks"][n].update(clocks[n]);
    }
    text += "\n" + text_of_joint(shared);
  } else {
    if (!flags.output.empty()) save_design(first, flags.output);
    json = to_json(first);
    json["map_space"] = spaces.front();
    json.update(clocks.front());
  }
  add_remark(*problem.target, json);
  add_as_built(first, problem.machine(), json, text);
  text += of_spaces;
  if (!flags.output.empty()) text += fmt::format("written: {}\n", flags.output);
  output.print(json, text);
}

void certify_design(const MapFlags& flags, const std::string& input, const Output& output) {
  const LoadedDesigns loaded = load_designs(input, flags.machine);
  Json json = Json::array();
  std::string text;
  for (const SharedNetwork& network : loaded.shared.networks) {
    const Design& design = network.design;
    const std::string& objective = flags.objective.empty() ? design.objective : flags.objective;
    ProgressLine line(flags.quiet);
    const Certificate certificate = [&] {
      try {
        TargetOptions options = without_trust(flags.options);
        if (options.surrogate.empty()) {
          options.shipped_surrogate = false;
          options.recorded = design.provenance;
        }
        return certify(design, make_target(loaded.target->shared_machine(), options),
                       Objective::from_name(objective), flags.map, shown_on(line), catch_interrupts());
      } catch (const Error& error) {
        throw error.in(input);
      }
    }();
    line.finish();
    print_remarks(cpu_remarks(design));
    json.push_back(to_json(certificate));
    if (loaded.is_shared) {
      json.back()["workload"] = design.workload;
      text += fmt::format("{}{}:\n", text.empty() ? "" : "\n", printable(design.workload));
    }
    text += report(certificate);
  }
  output.print(loaded.is_shared ? Json{{"networks", json}} : json.front(), text);
}

/// What the target's own software does with a network, as a design.
void map_default(const MapFlags& flags, const std::string& input, const Output& output) {
  if (!flags.output.empty()) check_writable(flags.output);
  const TargetPtr target =
      against(load_target(flags.machine.or_else(gemmini::kTarget), flags.options), flags.baseline);
  warn_of(*target);
  Workload workload = network_of(input);
  if (flags.strict) refuse_cpu_work(workload, *target);
  Design design;
  design.left_to_cpu = take_cpu_layers(workload, *target);
  design.workload = workload.name;
  design.target = target->machine().name;
  design.hardware = flags.sizes.hardware(target->machine());
  target->check_hardware(design.hardware);
  Json problems = Json::object();
  std::string text;
  for (const Layer& layer : workload.layers) {
    const std::optional<DefaultSchedule> own = target->default_schedule(layer, design.hardware);
    if (!own)
      fail(ErrorId::kValue, "--default: {} has no software that maps layers by itself", design.target);
    design.layers.push_back({layer, own->schedule, {}});
    if (own->problem.empty()) continue;
    problems[layer.name] = own->problem;
    text += fmt::format("{}: the library's own tile does not run, this is the nearest: {}\n",
                        printable(layer.name), own->problem);
  }
  evaluate(design, *target);
  design.provenance = {{"program", fmt::format("dosa {}", DOSA_VERSION)},
                       {"method", "default"},
                       {"model", target->model_record()}};
  if (!flags.output.empty()) {
    save_design(design, flags.output);
    text += fmt::format("written: {}\n", flags.output);
  }
  Json json = to_json(design);
  if (!problems.empty()) json["problems"] = std::move(problems);
  add_remark(*target, json);
  std::string clocked;
  add_at_clock(design, flags.clock_hz, json, clocked);
  text = clocked + text;
  if (!flags.baseline.empty()) {
    const std::optional<Explanation> comparison = target->compare_with_default(design);
    json["default_comparison"] = comparison->json;
    text = "\n" + comparison->text + text;
  }
  output.print(json, report(design, *target) + text);
}

/// How a machine whose map spaces are too large is searched.
std::vector<CLI::Option*> add_search(CLI::App& command, MapFlags& flags) {
  return {command
              .add_option("--samples", flags.map.samples,
                          "Chains: evaluations of a layer; half as many again follow where that helps")
              ->capture_default_str()
              ->check(integer_in(64, 1'000'000'000'000)),
          command.add_option("--starts", flags.map.starts, "Chains: random starts of the descent")
              ->capture_default_str()
              ->check(integer_in(1, 4096)),
          command
              .add_option("--steps", flags.map.steps,
                          "Chains: steps of the descent, of which each start is an evaluation; at most half "
                          "of the samples go to it")
              ->capture_default_str()
              ->check(integer_in(1, 10'000'000)),
          command
              .add_option("--stages", flags.stages,
                          "Chains: descent (and rounding), polish (local search from random mappings), or "
                          "both (auto, descent+polish)")
              ->capture_default_str(),
          command.add_option("--seed", flags.map.seed, "Chains: seed of the random numbers")
              ->capture_default_str()
              ->check(integer_in(0, kAnyInteger))};
}

}  // namespace

void add_map(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "map",
      described(
          "Map a network's layers onto given hardware: the best mappings by enumeration, proven where the "
          "whole map space (the machine's tilings and loop orders) was looked at; on chains of memories "
          "(simba, eyeriss, nvdla, tpu), whose map spaces are too large, by gradient descent and local "
          "search, with lower bounds. The objective is that of "
          "the "
          "whole network: for edp the sum of all energies times the sum of all latencies, which is not the "
          "sum "
          "of the layers' EDPs. The mappings of all layers are chosen together, exactly.\n"
          "With --certify: how far a design's mappings are from the best on its own hardware, layer by "
          "layer.\n"
          "With --default: the tilings that Gemmini's own C library picks (gemmini-rtl), with what they "
          "cost: "
          "the chip that you have, as a design.",
          {"dosa map resnet50 --pe 16 --scratchpad 128 --accumulator 32 -o design.json",
           "dosa map bert --objective latency --json", "dosa map resnet50 --machine simba -o design.json",
           "dosa map design.json --certify",
           "dosa map bert --default --pe 32 --scratchpad 1024 --baseline 16x256/64"}));
  const auto flags = std::make_shared<MapFlags>();
  const auto output = std::make_shared<Output>(*command);
  command
      ->add_option(
          "input", flags->inputs,
          "A shipped network's name or a workload JSON or YAML file, or several, each with a weight behind a "
          "colon if it is not 1; with --certify a design JSON")
      ->required();
  const std::vector<CLI::Option*> sizes = flags->sizes.add_fixed(*command, "{} (default: the machine's)");
  add_machine(*command, flags->machine, "--machine",
              "Machine: a shipped name or a file (default: gemmini-tl; with --certify the design's target, "
              "with --default gemmini-rtl)");
  add_remainders(*command, flags->machine);
  CLI::Option* objective =
      command->add_option("--objective", flags->objective,
                          fmt::format("What to minimise: {} (default: edp; with --certify the design's)",
                                      fmt::join(Objective::names(), ", ")));
  CLI::Option* combine = add_combine(*command, flags->combine);
  add_target_options(*command, flags->options);
  CLI::Option* clock = add_clock(*command, flags->clock_hz);
  CLI::Option* file =
      command->add_option("-o,--output", flags->output, "Write the design as JSON to this file");
  CLI::Option* nests =
      command
          ->add_option("--max-nests", flags->map.max_nests,
                       "Most nests to look at for a layer; with more in its map space, those nearest to even "
                       "tilings, and nothing is proven (default: the target's, 20 million for mappings)")
          ->check(integer_in(64, 1'000'000'000'000));
  CLI::Option* threads = add_threads(*command, flags->map.threads);
  std::vector<CLI::Option*> search = add_search(*command, *flags);
  CLI::Option* certify = command->add_flag("--certify", flags->certify,
                                           "Compare a design with the best mappings on its hardware");
  certify->excludes(file)->excludes(clock);
  for (CLI::Option* size : sizes) certify->excludes(size);
  CLI::Option* library = command->add_flag("--default", flags->use_default,
                                           "The tiling that Gemmini's own C library picks (gemmini-rtl)");
  for (CLI::Option* other : {objective, combine, nests, threads, certify}) library->excludes(other);
  certify->excludes(combine);
  for (CLI::Option* other : search) library->excludes(other);
  add_baseline(*command, flags->baseline)->needs(library);
  add_strict(*command, flags->strict);
  command->add_flag("-q,--quiet", flags->quiet, "No progress line");
  command->callback([flags, output] {
    flags->map.stages = stages_from_name(flags->stages);
    if (!flags->use_default && !flags->certify) return map_networks(*flags, *output);
    if (flags->inputs.size() > 1) {
      fail(ErrorId::kUsage, "{} takes one input, found {}", flags->certify ? "--certify" : "--default",
           flags->inputs.size());
    }
    (flags->certify ? certify_design : map_default)(*flags, flags->inputs.front(), *output);
  });
}

}  // namespace dosa::cli
