#include <algorithm>
#include <cmath>
#include <memory>

#include "dosa/core/cli/pareto.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/cli/write_report.hpp"
#include "dosa/core/explain/explain.hpp"
#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/search/ranks.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/progress.hpp"

namespace dosa::cli {
namespace {

struct OptimizeFlags {
  std::string workload, output, objective = "edp", stages;
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

Json provenance(const OptimizeFlags& flags, const SearchProblem& problem, const SearchOptions& search,
                const SearchSummary& summary) {
  Json json{{"program", fmt::format("dosa {}", DOSA_VERSION)},
            {"method", summary.enumerated ? "enumeration" : "gradient"},
            {"model", problem.target->model_record()},
            {"seed", search.seed},
            {"options", to_json(search, problem)},
            {"stopped_by", summary.stopped},
            {"steps", summary.steps},
            {"samples", summary.evaluations},
            {"whole_map_space", summary.complete}};
  if (flags.record_time) json["wall_time_s"] = summary.wall_s;
  if (flags.within > 0) {
    json["within"] = flags.within;
    json["best"] = {{"hardware", problem.machine().to_json(summary.best.hardware)},
                    {"totals", to_json(summary.best.totals)}};
  }
  return json;
}

// A smaller design that is said of unasked, and from which share of the best one's area.
constexpr double kNearlyAsGood = 0.01, kMuchSmaller = 0.9;

/// What a design is of the best one in area and objective.
struct AgainstBest {
  double area, objective;
};

AgainstBest against_best(const Design& design, const Design& best, const Objective& objective) {
  const auto value = [&](const Design& of) { return objective.value(of.totals.energy_uj, of.totals.cycles); };
  return {design.totals.area_mm2 / best.totals.area_mm2, value(design) / value(best)};
}

Json to_json(const AgainstBest& ratio) {
  return {{"area_ratio", ratio.area}, {"objective_ratio", ratio.objective}};
}

/// Of a design that was asked for by --within: how it stands to the best one.
void add_within(const SearchSummary& summary, const SearchProblem& problem, Json& json, std::string& text) {
  const Design& best = summary.best;
  if (!summary.smallest) {
    text += "no smaller hardware was found that is nearly as good\n";
    return;
  }
  const AgainstBest ratio = against_best(*summary.smallest, best, problem.objective);
  json["against_best"] = to_json(ratio);
  text += fmt::format("against the best, of {:.3f} mm2: {} {:+.3f} %, area {:+.1f} %\n", best.totals.area_mm2,
                      problem.objective.name, 100 * (ratio.objective - 1), 100 * (ratio.area - 1));
}

/// One line on a much smaller design that is nearly as good, where there is one.
void add_smaller(const SearchSummary& summary, const SearchProblem& problem, Json& json, std::string& text) {
  if (!summary.smallest) return;
  const AgainstBest ratio = against_best(*summary.smallest, summary.best, problem.objective);
  if (ratio.area > kMuchSmaller) return;
  json["smaller"] = to_json(ratio);
  json["smaller"]["hardware"] = problem.machine().to_json(summary.smallest->hardware);
  json["smaller"]["totals"] = to_json(summary.smallest->totals);
  text += fmt::format("--within 1%: {:.3f} mm2 instead, {:.1f} % less, for {:+.2f} % of {}\n",
                      summary.smallest->totals.area_mm2, 100 * (1 - ratio.area), 100 * (ratio.objective - 1),
                      problem.objective.name);
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

void optimize(const OptimizeFlags& flags, const Output& output) {
  const bool is_root = Ranks::here().is_root();
  for (const std::string& path : {flags.output, flags.report, flags.search.checkpoint.string()}) {
    if (!path.empty() && is_root) check_writable(path);
  }
  SearchProblem problem =
      problem_of(flags.workload, against(load_target(flags.target, flags.target_options), flags.baseline),
                 flags.objective, flags.strict);
  warn_of(*problem.target);
  problem.bounds = flags.sizes.bounds(*problem.target);
  SearchOptions search = options_of(flags, *problem.target);
  search.within_everywhere = flags.within > 0;
  search.within = flags.within > 0 ? flags.within : kNearlyAsGood;
  if (!flags.pareto.empty()) {
    if (Ranks::here().size() > 1) fail(ErrorId::kUsage, "--pareto is not there for mpirun");
    ParetoOptions front = flags.front;
    if (front.min_area_mm2 > problem.bounds.max_area_mm2) {
      fail(ErrorId::kBounds, "--min-area {} is more than --max-area {}", front.min_area_mm2,
           problem.bounds.max_area_mm2);
    }
    front.nests = search.polish_nests;
    front.threads = search.threads;
    print_cpu_work(problem);
    return write_pareto_front(problem, front, flags.pareto, flags.quiet, output);
  }
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
  if (!is_root) return;
  Design design = flags.within > 0 && summary.smallest ? *summary.smallest : summary.best;
  design.provenance = provenance(flags, problem, search, summary);
  if (!flags.output.empty()) save_design(design, flags.output);
  if (!flags.report.empty()) {
    const DesignTotals& totals = summary.best.totals;
    add_found({static_cast<double>(summary.evaluations), summary.wall_s,
               problem.objective.value(totals.energy_uj, totals.cycles)},
              found);
    write_report(design, *problem.target, {std::move(found), command_line(), false}, flags.report);
  }
  Json json = to_json(design);
  json["provenance"]["wall_time_s"] = summary.wall_s;
  add_remark(*problem.target, json);
  std::string text = report(design, *problem.target);
  add_at_clock(design, flags.clock_hz, json, text);
  add_as_built(design, problem.machine(), json, text);
  if (flags.within > 0) {
    add_within(summary, problem, json, text);
  } else {
    add_smaller(summary, problem, json, text);
  }
  text += summary.brief_report();
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
  for (const std::string& path : {flags.output, flags.report}) {
    if (!path.empty()) text += fmt::format("written: {}\n", path);
  }
  output.print(json, text);
}

}  // namespace

void add_optimize(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "optimize",
      described("Find the hardware and the mappings of a network together.",
                {"dosa optimize resnet50 -o design.json",
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
  add_workload(*command, flags->workload);
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
      "Compare with the proven best mappings on the hardware found, as dosa map DESIGN --certify does");
  CLI::Option* within = add_percentage(
      *command, "--within", flags->within,
      "Take the smallest hardware whose objective is within so many percent of the best's (1%)");
  CLI::Option* front =
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
  command
      ->add_option("--report", flags->report,
                   "Write a page on the design to this file, as dosa report does, with the search's progress")
      ->excludes(front);
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
