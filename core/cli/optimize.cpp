#include <algorithm>
#include <cmath>
#include <memory>

#include "dosa/core/cli/pareto.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/cli/shared.hpp"
#include "dosa/core/cli/within.hpp"
#include "dosa/core/cli/write_report.hpp"
#include "dosa/core/explain/explain.hpp"
#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/search/hardware_bound.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/search/ranks.hpp"
#include "dosa/core/search/several.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/progress.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::cli {
namespace {

struct OptimizeFlags {
  std::vector<std::string> workloads, own;  // --own: design files
  std::string output, objective = "edp", combine = "geomean", stages;
  MachineChoice target = "gemmini-tl";
  std::string pareto;    // a folder
  std::string baseline;  // see against()
  std::string report;    // a page's path
  SizeFlags sizes;
  TargetOptions target_options;
  // What the target has defaults for.
  std::optional<std::int64_t> starts, steps, round_every, patience, polish_nests;
  std::optional<double> learning_rate;
  SearchOptions search;  // of which the rest is used
  ParetoOptions front;
  double clock_hz = 0;
  double within = 0;  // a share; 0: not asked for
  bool quiet = false, record_time = false, certify = false, strict = false;
};

/// `best` is the best design, which --within leaves for a smaller one.
Json provenance(const OptimizeFlags& flags, const SearchProblem& problem, const SearchOptions& search,
                const SearchSummary& summary, const Design& best) {
  Json json{{"program", fmt::format("dosa {}", DOSA_VERSION)},
            {"method", summary.enumerated ? "enumeration" : "gradient"},
            {"model", problem.target->model_record()},
            {"seed", search.seed},
            {"options", to_json(search, problem)},
            {"stopped_by", summary.stopped},
            {"steps", summary.steps},
            {"samples", summary.evaluations},
            {"whole_map_space", summary.complete}};
  if (flags.record_time && !problem.is_joint()) json["wall_time_s"] = summary.wall_s;
  if (flags.within > 0) {
    json["within"] = flags.within;
    json["best"] = {{"hardware", problem.machine().to_json(best.hardware)},
                    {"area_mm2", best.totals.area_mm2}};
    if (!problem.is_joint()) json["best"]["totals"] = to_json(best.totals);
  }
  return json;
}

/// What the user gave, and the target's own options for the rest.
SearchOptions options_of(const OptimizeFlags& flags, const Target& target) {
  const SearchOptions defaults = target.default_options();
  SearchOptions options = flags.search;
  options.stages = flags.stages.empty() ? defaults.stages : stages_from_name(flags.stages);
  options.starts = flags.starts.value_or(defaults.starts);
  options.steps = flags.steps.value_or(defaults.steps);
  options.round_every = flags.round_every.value_or(defaults.round_every);
  options.patience = flags.patience.value_or(defaults.patience);
  options.learning_rate = flags.learning_rate.value_or(defaults.learning_rate);
  options.polish_nests = flags.polish_nests.value_or(defaults.polish_nests);
  return options;
}

/// Adds what a search has found, where it is better than before.
void add_found(const html::FoundSoFar& now, std::vector<html::FoundSoFar>& found) {
  if (std::isfinite(now.objective) && (found.empty() || now.objective < found.back().objective))
    found.push_back(now);
}

/// What is said of a design beside the table of its layers: the certificate, and how it stands to the
/// default.
void add_more(const OptimizeFlags& flags, const SearchProblem& problem, const SearchOptions& search,
              const Design& design, const std::atomic<bool>* interrupted, Json& json, std::string& text) {
  if (flags.certify) {
    MapOptions map;
    map.threads = search.threads;
    const TargetPtr target =
        make_target(problem.target->shared_machine(), without_trust(flags.target_options));
    const Certificate certificate = certify(design, target, problem.objective, map, {}, interrupted);
    json["certificate"] = to_json(certificate);
    text += "\n" + report(certificate);
  }
  if (const auto comparison = problem.target->compare_with_default(design)) {
    json["default_comparison"] = comparison->json;
    text += "\n" + comparison->text;
  }
}

/// With --certify: how much better any hardware could be, where that is known.
void add_hardware_bound(const OptimizeFlags& flags, const SearchProblem& problem, double log_value,
                        std::int64_t threads, const std::atomic<bool>* interrupted, Json& json,
                        std::string& text) {
  if (!flags.certify) return;
  HardwareBoundOptions options;
  options.threads = threads;
  ProgressLine line(flags.quiet);
  const auto bound = bound_hardware(
      problem, log_value, options,
      [&](const HardwareBoundProgress& now) {
        line.show(fmt::format("{} of at most {} ranges of sizes bounded, {:.2f} % above the least, {:.0f} s",
                              now.ranges, now.max_ranges, 100 * now.gap, now.elapsed_s));
      },
      interrupted);
  if (!bound) return;
  json["hardware_bound"] = to_json(*bound);
  text += report(*bound, problem.objective.name);
}

void optimize_one(const OptimizeFlags& flags, const SearchProblem& problem, const SearchOptions& search,
                  const Output& output) {
  const std::atomic<bool>* interrupted = catch_interrupts();
  SearchSummary summary;
  std::vector<html::FoundSoFar> found;
  {
    ProgressLine line(flags.quiet);
    summary = dosa::optimize(
        problem, search,
        [&](const SearchProgress& now) {
          line.show(text_of(now));
          add_found({static_cast<double>(now.evaluations), now.elapsed_s, now.best_objective}, found);
        },
        interrupted);
  }
  if (!Ranks::here().is_root()) return;
  Design design = flags.within > 0 && summary.smallest ? *summary.smallest : summary.best;
  design.provenance = provenance(flags, problem, search, summary, summary.best);
  if (!flags.output.empty()) save_design(design, flags.output);
  Json json = to_json(design);
  json["provenance"]["wall_time_s"] = summary.wall_s;
  add_remark(*problem.target, json);
  std::string text = report(design, *problem.target);
  add_at_clock(design, flags.clock_hz, json, text);
  add_as_built(design, problem.machine(), json, text);
  const Design* smallest = summary.smallest ? &*summary.smallest : nullptr;
  std::string smaller;
  (flags.within > 0 ? add_within : add_smaller)(
      {problem.objective.name, problem.value(summary.best), summary.best.totals.area_mm2, smallest,
       smallest != nullptr ? problem.value(*smallest) : 0},
      json, smaller);
  text += smaller;
  if (!flags.report.empty()) {
    add_found({static_cast<double>(summary.evaluations), summary.wall_s, problem.value(summary.best)}, found);
    write_report(analyse(design, *problem.target), *problem.target,
                 {std::move(found), command_line(), false, smaller, flags.clock_hz}, flags.report);
  }
  text += summary.brief_report();
  add_more(flags, problem, search, design, interrupted, json, text);
  add_hardware_bound(flags, problem, problem.log_value(design), search.threads, interrupted, json, text);
  for (const std::string& path : {flags.output, flags.report}) {
    if (!path.empty()) text += fmt::format("written: {}\n", path);
  }
  output.print(json, text);
}

/// The designs of --own by network.
std::vector<std::optional<Design>> own_designs(const OptimizeFlags& flags, const SearchProblem& problem) {
  const std::vector<ProblemNetwork> networks = problem.networks();
  std::vector<std::optional<Design>> own(networks.size());
  for (const std::string& path : flags.own) {
    Design design = load_design(path, flags.target).design;
    std::size_t n = 0;
    while (n < networks.size() && networks[n].name != design.workload) ++n;
    const Workload wanted = n < networks.size() ? problem.alone(n).workload : Workload{};
    const Workload found{wanted.name, "", "", layers_of(design)};
    if (to_json(found) != to_json(wanted) || design.target != problem.machine().name) {
      fail(ErrorId::kValue, "--own: {}: found a design of {} on {}, expected one of a network given, on {}",
           path, design.workload, design.target, problem.machine().name);
    }
    try {
      evaluate(design, *problem.target);
    } catch (const Error& error) {
      throw error.in(path);
    }
    own[n] = std::move(design);
  }
  return own;
}

/// What was found, or the smallest that is nearly as good, with every network's own design beside it.
SharedDesign shared_of(const SearchProblem& problem, const SeveralSummary& summary, bool takes_smallest) {
  std::vector<Design> designs = summary.smallest;
  if (!takes_smallest) {
    designs.clear();
    for (const NetworkOnShared& network : summary.networks) designs.push_back(network.design);
  }
  SharedDesign shared = cli::shared_of(problem, std::move(designs));
  for (std::size_t n = 0; n < summary.networks.size(); ++n) {
    const Design& own = summary.networks[n].own;
    shared.networks[n].own = {{"hardware", problem.machine().to_json(own.hardware)},
                              {"totals", to_json(own.totals)}};
  }
  return shared;
}

void optimize_all(const OptimizeFlags& flags, const SearchProblem& problem, const SearchOptions& search,
                  const Output& output) {
  const std::vector<std::optional<Design>> own = own_designs(flags, problem);
  const std::atomic<bool>* interrupted = catch_interrupts();
  SeveralSummary summary;
  {
    ProgressLine line(flags.quiet);
    summary = optimize_several(
        problem, search, own,
        [&](const std::string& name, const SearchProgress& now) {
          line.show(fmt::format("{}: {}", printable(name), text_of(now)));
        },
        interrupted);
  }
  if (!Ranks::here().is_root()) return;
  const bool takes_smallest = flags.within > 0 && !summary.smallest.empty();
  const Design& best = summary.networks.front().design;
  SharedDesign shared = shared_of(problem, summary, takes_smallest);
  shared.provenance = provenance(flags, problem, search, summary.joint, best);
  shared.provenance["samples"] = summary.evaluations;
  shared.provenance["hardware_from"] = summary.hardware_from.empty() ? "joint search" : summary.hardware_from;
  if (flags.record_time) shared.provenance["wall_time_s"] = summary.wall_s;
  if (!flags.output.empty()) save_design(shared, flags.output);
  Json json = to_json(shared);
  json["provenance"]["wall_time_s"] = summary.wall_s;
  add_remark(*problem.target, json);
  std::string text;
  for (std::size_t n = 0; n < shared.networks.size(); ++n) {
    const Design& design = shared.networks[n].design;
    text += report(design, *problem.target);
    add_at_clock(design, flags.clock_hz, json["networks"][n], text);
    add_more(flags, problem, search, design, interrupted, json["networks"][n], text);
    text += "\n";
  }
  text += text_of_joint(shared);
  if (!summary.hardware_from.empty() && !takes_smallest)
    text += fmt::format("the hardware is {}'s own, with which all are better than with another found\n",
                        printable(summary.hardware_from));
  add_as_built(shared.networks.front().design, problem.machine(), json, text);
  const Design* smallest = summary.smallest.empty() ? nullptr : &summary.smallest.front();
  std::string smaller;
  (flags.within > 0 ? add_within : add_smaller)(
      {problem.objective.name, summary.value, best.totals.area_mm2, smallest, summary.smallest_value}, json,
      smaller);
  text += smaller;
  add_hardware_bound(flags, problem, std::log(shared.value), search.threads, interrupted, json, text);
  if (!flags.report.empty())
    write_report(shared, *problem.target, {{}, command_line(), false, smaller, flags.clock_hz}, flags.report);
  if (summary.joint.enumerated) text += summary.joint.space + " enumerated, no descent needed; ";
  text += fmt::format("{}, {:.1f} s{}\n", counted(summary.evaluations, "evaluation"), summary.wall_s,
                      summary.joint.stopped == "interrupt" ? "; interrupted" : "");
  for (const std::string& path : {flags.output, flags.report}) {
    if (!path.empty()) text += fmt::format("written: {}\n", path);
  }
  output.print(json, text);
}

void optimize(const OptimizeFlags& flags, const Output& output) {
  for (const std::string& path : {flags.output, flags.report, flags.search.checkpoint.string()}) {
    if (!path.empty() && Ranks::here().is_root()) check_writable(path);
  }
  SearchProblem problem =
      problem_of(flags.workloads, against(load_target(flags.target, flags.target_options), flags.baseline),
                 flags.objective, flags.combine, flags.strict);
  warn_of(*problem.target);
  problem.bounds = flags.sizes.bounds(*problem.target);
  SearchOptions search = options_of(flags, *problem.target);
  search.within_everywhere = flags.within > 0;
  search.within = flags.within > 0 ? flags.within : kNearlyAsGood;
  if (flags.pareto.empty())
    return (problem.is_joint() ? optimize_all : optimize_one)(flags, problem, search, output);
  if (Ranks::here().size() > 1) fail(ErrorId::kUsage, "--pareto is not there for mpirun");
  ParetoOptions front = flags.front;
  if (front.min_area_mm2 > problem.bounds.max_area_mm2) {
    fail(ErrorId::kBounds, "--min-area {} is more than --max-area {}", front.min_area_mm2,
         problem.bounds.max_area_mm2);
  }
  front.nests = search.polish_nests;
  front.threads = search.threads;
  print_cpu_work(problem);
  write_pareto_front(problem, front, flags.pareto, flags.report, flags.quiet, output);
}

}  // namespace

void add_optimize(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "optimize",
      described("Find the hardware and the mappings of a network together, or of several networks on one "
                "hardware: then every network is searched alone, too, its hardware is tried for all, and the "
                "report says what each loses by sharing.",
                {"dosa optimize resnet50 -o design.json", "dosa optimize resnet50 bert:3 -o shared.json",
                 "dosa optimize bert --pe 16 --scratchpad 128 --accumulator 32",
                 "dosa optimize resnet50 --target gemmini-rtl --pe 16 -o design.json",
                 "dosa optimize bert --target gemmini-rtl --pe 8 --baseline 8x64/16",
                 "dosa optimize my_network.json --max-pe 64 --objective latency --seed 3 --json",
                 "dosa optimize resnet50 --max-area 2 --certify",
                 "dosa optimize resnet50 -o design.json --report report.html",
                 "dosa optimize bert --within 1%", "dosa optimize resnet50 --pareto front",
                 "mpirun -n 4 dosa optimize unet --starts 64 --checkpoint unet.ckpt -o design.json"}));
  const auto flags = std::make_shared<OptimizeFlags>();
  const auto output = std::make_shared<Output>(*command);
  add_workloads(*command, flags->workloads);
  CLI::Option* file =
      command->add_option("-o,--output", flags->output, "Write the design as JSON to this file");
  add_machine(
      *command, flags->target, "--target,--machine",
      "Machine: a shipped name or a file. gemmini-rtl: a Gemmini that can be built, scored by latencies "
      "learnt from its RTL")
      ->capture_default_str();
  add_remainders(*command, flags->target);
  add_target_options(*command, flags->target_options);
  add_baseline(*command, flags->baseline);
  add_strict(*command, flags->strict);
  add_objective(*command, flags->objective);
  add_combine(*command, flags->combine);
  command
      ->add_option(
          "--own", flags->own,
          "Of several networks: design files of networks alone, separated by commas, to compare the shared "
          "one with, instead of searching them")
      ->delimiter(',');
  add_clock(*command, flags->clock_hz);
  flags->sizes.add_all(*command);
  SearchOptions& search = flags->search;
  command
      ->add_option(
          "--stages", flags->stages,
          "auto: enumerate where all schedules can be looked at, else descend and polish; or descent, "
          "descent+polish, polish (default: the target's: gemmini-rtl polish, others auto)")
      ->check(CLI::IsMember(std::vector<std::string>(kStagesNames.begin(), kStagesNames.end())));
  const SearchOptions defaults;
  const auto help = [](const char* meaning, auto value) {
    return fmt::format("{} (default: the target's; for mappings {})", meaning, value);
  };
  command
      ->add_option("--starts", flags->starts,
                   help("Independent random starts of the descent", defaults.starts))
      ->check(integer_in(1, 4096));
  command->add_option("--steps", flags->steps, help("Adam steps", defaults.steps))
      ->check(integer_in(1, 10'000'000));
  command
      ->add_option("--round-every", flags->round_every,
                   help("Steps between roundings to integer designs", defaults.round_every))
      ->check(integer_in(1, 10'000'000));
  command
      ->add_option("--patience", flags->patience,
                   help("Roundings in a row without a better design that end the descent, 0: none does",
                        defaults.patience))
      ->check(integer_in(0, 10'000'000));
  command->add_option("--learning-rate", flags->learning_rate,
                      help("Adam's first step size", defaults.learning_rate));
  command
      ->add_option("--polish-nests", flags->polish_nests,
                   help("Schedules per layer that the polish looks at", defaults.polish_nests))
      ->check(integer_in(64, 100'000'000));
  command->add_option("--seed", search.seed, "Same seed, same machine: the same design, byte for byte")
      ->capture_default_str()
      ->check(integer_in(0, kAnyInteger));
  add_threads(*command, search.threads);
  add_time_limit(*command, search.time_limit_s);
  command
      ->add_option("--samples", search.max_evaluations,
                   "Evaluate at most this many mappings, polish included")
      ->check(integer_in(1, kAnyInteger));
  CLI::Option* certificate = command->add_flag(
      "--certify", flags->certify,
      "Compare with the proven best mappings on the hardware found, as dosa map DESIGN --certify does; on "
      "machines of dosa-hardware/2 also with a lower bound of what any sizes within the limits could give");
  CLI::Option* within = add_percentage(
      *command, "--within", flags->within,
      "Take the smallest hardware whose objective is within so many percent of the best's (1%)");
  command
      ->add_option(
          "--pareto", flags->pareto,
          "Instead of one design, write those that no other one beats in energy, latency and area into "
          "this folder: design_01.json ..., front.json, front.csv; without gradients, for every "
          "objective under a row of area limits for a row of shapes of the machine")
      ->excludes(file)
      ->excludes(certificate)
      ->excludes(within);
  command->add_option("--pareto-points", flags->front.points, "Most designs of the front")
      ->capture_default_str()
      ->check(integer_in(2, 1000));
  command
      ->add_option("--min-area", flags->front.min_area_mm2,
                   "With --pareto: least mm2 of a design (default: area limits down to a 32nd of the most)")
      ->check(over_zero("mm2"));
  command->add_option(
      "--report", flags->report,
      "Write a page on the design to this file, as dosa report does, with the search's progress; "
      "with --pareto a page on the front");
  command->add_option("--checkpoint", search.checkpoint,
                      "Save the state of the descent to this file again and again and at its end");
  command->add_option("--checkpoint-every", search.checkpoint_every_s, "Seconds between two checkpoints")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e6));
  command->add_option("--resume", search.resume,
                      "Go on from a checkpoint of the same network and options, to the same result");
  command->add_option("--device", search.device, "Where the descent runs: cpu or cuda")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "cuda"}));
  command->add_flag("--record-time", flags->record_time,
                    "Record the wall time in the design file (its bytes then differ from run to run)");
  command->add_flag("-q,--quiet", flags->quiet, "No progress line");
  command->callback([flags, output] { optimize(*flags, *output); });
}

}  // namespace dosa::cli
