#include <algorithm>
#include <cmath>
#include <memory>

#include "dosa/core/baselines/baseline.hpp"
#include "dosa/core/cli/compare_arrays.hpp"
#include "dosa/core/cli/compare_machines.hpp"
#include "dosa/core/cli/compare_mapper.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/report/compare_report.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/search/space.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/math.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::cli {
namespace {

constexpr const char* kGradient = "gradient";
constexpr std::int64_t kMostSamples = std::int64_t{1} << 40;

struct CompareFlags {
  MachineChoice machine = "gemmini-tl";
  std::vector<std::string> workloads;
  std::string objective = "edp", combine = "geomean", csv, baseline;
  std::vector<std::int64_t> arrays;               // --pe: with several, a row for each
  std::vector<std::string> mapper_results;        // --timeloop-mapper
  std::vector<std::string> methods;               // empty: all that the target allows
  std::vector<std::string> machines;              // --machines: a row for each
  std::int64_t samples_per_layer = 0, seeds = 3;  // 0 samples: what the gradient search takes by itself
  SearchLimits limits;
  SizeFlags sizes;
  TargetOptions options;
  bool quiet = false;
};

struct Run {
  std::uint64_t seed = 0;
  Curve curve;
  double objective = kInfinity;
  std::int64_t samples = 0, rejected = 0;
  double wall_s = 0;
  std::string stopped;
  Hardware hardware;
};

struct Method {
  std::string name, description;
  std::vector<Run> runs;
};

struct Spread {
  double median = kInfinity, min = kInfinity, max = kInfinity;
};

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  double median = values[middle];
  if (values.size() % 2 == 0 && std::isfinite(median)) median = 0.5 * (median + values[middle - 1]);
  return {median, values.front(), values.back()};
}

/// Infinity is null: no design yet.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
/// The same for people.
std::string figure(double value) { return std::isfinite(value) ? fmt::format("{:.4g}", value) : "none"; }
/// A method's objective over the first one's; NaN where one of them has no design.
double ratio_of(double objective, double reference) {
  const bool are_known = std::isfinite(objective) && std::isfinite(reference);
  return are_known ? objective / reference : std::numeric_limits<double>::quiet_NaN();
}
std::string ratio_text(double ratio) { return std::isfinite(ratio) ? fmt::format("{:.2f}", ratio) : "-"; }

Json to_json(const Spread& s) {
  return {{"median", number(s.median)}, {"min", number(s.min)}, {"max", number(s.max)}};
}

Spread spread_over(const Method& method, const std::function<double(const Run&)>& value) {
  std::vector<double> values;
  for (const Run& run : method.runs) values.push_back(value(run));
  return spread_of(values);
}

/// The best objective of a run up to a point of an axis.
template <typename Axis>
double best_at(const Run& run, Axis BestSoFar::*axis, double limit) {
  double best = kInfinity;
  for (const BestSoFar& point : run.curve) {
    if (static_cast<double>(point.*axis) <= limit) best = point.objective;
  }
  return best;
}

/// The search's options for a budget: about half of it for the descent, the rest for roundings
/// and the polish of two arrays; fewer steps first, then fewer starts.
SearchOptions within_budget(SearchOptions options, std::int64_t budget, std::int64_t per_step) {
  constexpr std::int64_t kFewSteps = 200;
  const std::int64_t start_steps = std::max<std::int64_t>(1, budget / 2 / per_step);
  options.starts = std::clamp<std::int64_t>(start_steps / kFewSteps, 1, options.starts);
  options.steps = std::clamp<std::int64_t>(start_steps / options.starts, 1, options.steps);
  const std::int64_t descent = options.starts * options.steps * per_step;
  options.polish_nests =
      std::clamp<std::int64_t>((budget - descent) / (2 * per_step), 64, options.polish_nests);
  // Roundings on the way cost as much as the polish of a small budget: only the polish then.
  if (options.polish_nests < 2000) options.round_every = options.steps;
  options.max_evaluations = budget;
  return options;
}

Run run_search(const SearchProblem& problem, const SearchOptions& options, std::int64_t budget,
               const std::atomic<bool>* interrupt) {
  Run run;
  run.seed = options.seed;
  const auto add = [&](std::int64_t samples, double seconds, double objective) {
    const double before = run.curve.empty() ? kInfinity : run.curve.back().objective;
    // A design found beyond the budget does not count.
    if (objective < before && (budget == 0 || samples <= budget))
      run.curve.push_back({samples, seconds, objective});
  };
  const SearchSummary summary = optimize(
      problem, options,
      [&](const SearchProgress& now) { add(now.evaluations, now.elapsed_s, now.best_objective); }, interrupt);
  add(summary.evaluations, summary.wall_s, problem.value(summary.best));
  if (!run.curve.empty()) run.objective = run.curve.back().objective;
  run.samples = summary.evaluations;
  run.wall_s = summary.wall_s;
  run.stopped = summary.stopped;
  run.hardware = summary.best.hardware;
  return run;
}

Run run_one(const Baseline& baseline, const SearchProblem& problem, std::uint64_t seed, std::int64_t budget,
            std::int64_t threads, const std::atomic<bool>* interrupt) {
  const BaselineResult result = run_baseline(baseline, problem, budget, seed, threads, interrupt);
  return {seed,          result.curve,   result.objective,      result.evaluations, result.rejected,
          result.wall_s, result.stopped, result.design.hardware};
}

/// Points of a logarithmic axis from `low` to `high`.
std::vector<double> axis_points(double low, double high) {
  constexpr int kPoints = 40;
  std::vector<double> points;
  for (int i = 0; i <= kPoints; ++i) points.push_back(low * std::pow(high / low, 1.0 * i / kPoints));
  return points;
}

template <typename Axis>
Json curve_json(const Method& method, Axis BestSoFar::*axis, const char* name,
                const std::vector<double>& points) {
  Json json{{name, Json::array()}, {"median", Json::array()}, {"min", Json::array()}, {"max", Json::array()}};
  for (const double point : points) {
    const Spread at = spread_over(method, [&](const Run& run) { return best_at(run, axis, point); });
    json[name].push_back(point);
    json["median"].push_back(number(at.median));
    json["min"].push_back(number(at.min));
    json["max"].push_back(number(at.max));
  }
  return json;
}

/// How a method's runs are made: by this project's search with some of its stages, or by a baseline.
struct Runner {
  const Baseline* baseline = nullptr;
  Stages stages = Stages::kAutomatic;
};

/// dosa's own search and its ablations.
struct OwnMethod {
  const char* name;
  Stages stages;
  const char* description;
};
constexpr std::array<OwnMethod, 4> kOwnMethods{
    {{kGradient, Stages::kAutomatic, "what dosa optimize runs by default"},
     {"descent", Stages::kDescent, "Adam on the relaxation and rounding, without the polish"},
     {"descent+polish", Stages::kDescentAndPolish,
      "the same and the polish, also where all can be enumerated"},
     {"polish", Stages::kPolish, "the polish alone, nowhere in particular"}}};

std::vector<std::string> names_of_own_methods() {
  std::vector<std::string> names;
  for (const OwnMethod& method : kOwnMethods) names.emplace_back(method.name);
  return names;
}

/// The methods that the user asked for, or all that the target allows. Throws Error.
std::vector<std::pair<Method, Runner>> methods_of(const CompareFlags& flags, const SearchProblem& problem,
                                                  const std::vector<std::unique_ptr<Baseline>>& baselines) {
  const Target& target = *problem.target;
  std::vector<std::string> names = flags.methods;
  if (names.empty()) {
    names = {kGradient};
    if (target.runs_any_mapping() && !problem.is_joint()) {
      names.insert(names.end(), {"random", "bayes", "annealing", "default"});
    } else {
      names.insert(names.end(), {"descent+polish", "polish"});
    }
  }
  std::vector<std::pair<Method, Runner>> methods;
  for (const std::string& name : names) {
    const auto own = std::find_if(kOwnMethods.begin(), kOwnMethods.end(),
                                  [&](const OwnMethod& method) { return method.name == name; });
    if (own != kOwnMethods.end()) {
      methods.push_back({{name, own->description, {}}, {nullptr, own->stages}});
      continue;
    }
    const auto found =
        std::find_if(baselines.begin(), baselines.end(), [&](const auto& b) { return b->name() == name; });
    if (found == baselines.end()) {
      std::vector<std::string> known = names_of_own_methods();
      for (const auto& baseline : baselines) known.push_back(baseline->name());
      fail(ErrorId::kValue, "--methods: '{}' is not known; allowed: {}", name, fmt::join(known, ", "));
    }
    if (!target.runs_any_mapping()) {
      fail(ErrorId::kUsage, "--methods: {} draws mappings, and {} runs calls of its own with tiles", name,
           target.machine().name);
    }
    if (problem.is_joint()) {
      fail(ErrorId::kUsage, "--methods: {} is there for one network only; for several: {}", name,
           fmt::join(names_of_own_methods(), ", "));
    }
    methods.push_back({{name, (*found)->description(), {}}, {found->get(), Stages::kAutomatic}});
  }
  return methods;
}

/// All runs: seed by seed, method by method. Without a budget the first search of dosa's own takes what it
/// takes, and the others may take as much. An interrupt ends the run at work, whose best so far is kept; runs
/// not begun are left out.
std::vector<Method> run_all(const CompareFlags& flags, const SearchProblem& problem, std::int64_t asked,
                            std::vector<std::pair<Method, Runner>> methods,
                            const std::atomic<bool>* interrupt) {
  const std::int64_t per_step = asked > 0 ? problem.target->space(problem, "cpu")->evaluations_per_step() : 0;
  for (std::int64_t s = 0; s < flags.seeds && !*interrupt; ++s) {
    std::int64_t budget = asked;
    for (auto& [method, runner] : methods) {
      if (*interrupt) break;
      Run run;
      if (runner.baseline != nullptr) {
        run = run_one(*runner.baseline, problem, static_cast<std::uint64_t>(s), budget, flags.limits.threads,
                      interrupt);
      } else {
        SearchOptions options = flags.limits.options_for(*problem.target);
        if (runner.stages != Stages::kAutomatic) options.stages = runner.stages;
        options.seed = static_cast<std::uint64_t>(s);
        if (asked > 0) options = within_budget(options, asked, per_step);
        run = run_search(problem, options, asked, interrupt);
        if (budget == 0) budget = run.samples;
      }
      if (run.curve.empty() && *interrupt) continue;  // before its first design
      if (!flags.quiet) {
        fmt::print(stderr, "{} seed {}: best {}, {}, {:.1f} s\n", method.name, s, figure(run.objective),
                   counted(run.samples, "sample"), run.wall_s);
      }
      method.runs.push_back(std::move(run));
    }
  }
  std::vector<Method> done;
  for (auto& [method, runner] : methods) {
    if (!method.runs.empty()) done.push_back(std::move(method));
  }
  return done;
}

void compare(const CompareFlags& flags, const Output& output) {
  if (!flags.csv.empty()) check_writable(flags.csv);
  SearchProblem problem =
      problem_of(flags.workloads, against(load_target(flags.machine, flags.options), flags.baseline),
                 flags.objective, flags.combine);
  warn_of(*problem.target);
  print_cpu_work(problem);
  problem.bounds = flags.sizes.bounds(*problem.target);
  problem.check_bounds();
  std::optional<MapperRow> mapper;
  if (!flags.mapper_results.empty() && problem.is_joint())
    fail(ErrorId::kUsage, "--timeloop-mapper is there for one network, found {}", problem.parts.size());
  if (!flags.mapper_results.empty()) {  // on its own hardware, and so are the others
    const Hardware hardware = flags.sizes.hardware(problem.machine());
    problem.bounds = {hardware, hardware};
    mapper = read_mapper_row(flags.mapper_results, problem, hardware);
  }
  const auto layers = static_cast<std::int64_t>(problem.workload.layers.size());
  const auto baselines = all_baselines();
  auto chosen = methods_of(flags, problem, baselines);
  const std::int64_t asked =
      flags.limits.samples > 0 ? flags.limits.samples : flags.samples_per_layer * layers;
  if (asked == 0 && chosen.front().second.baseline != nullptr) {
    fail(ErrorId::kUsage,
         "compare: without a search of dosa's own as the first method, say how many samples: --samples or "
         "--samples-per-layer");
  }
  const std::atomic<bool>* interrupt = catch_interrupts();
  const std::vector<Method> methods = run_all(flags, problem, asked, std::move(chosen), interrupt);

  double most_samples = 0, most_seconds = 0;
  for (const Method& method : methods) {
    for (const Run& run : method.runs) {
      most_samples = std::max(most_samples, static_cast<double>(run.samples));
      most_seconds = std::max(most_seconds, run.wall_s);
    }
  }
  const auto samples_axis =
      axis_points(static_cast<double>(layers), std::max(most_samples, static_cast<double>(layers)));
  const auto seconds_axis = axis_points(std::min(0.05, most_seconds), most_seconds);

  Json json{{"schema", "dosa-compare/1"},
            {"workload", problem.workload.name},
            {"target", problem.machine().name},
            {"objective", problem.objective.name},
            {"layers", layers},
            {"min", problem.machine().to_json(problem.bounds.min)},
            {"max", problem.machine().to_json(problem.bounds.max)},
            {"max_area_mm2", number(problem.bounds.max_area_mm2)},
            {"interrupted", interrupt->load()},
            {"samples", asked > 0 ? Json(asked) : Json("as many as the first method takes")},
            {"methods", Json::array()}};
  if (!problem.machine().set.empty()) json["set"] = to_json(problem.machine().set);
  std::string csv = "method,seed,samples,samples_per_layer,seconds,objective\n";
  Table table({{"method", ColumnKind::kName},
               {"median"},
               {"least"},
               {"most"},
               {"ratio"},
               {"samples"},
               {"rejected"},
               {"s"}});
  const double reference =
      methods.empty() ? kInfinity
                      : spread_over(methods.front(), [](const Run& run) { return run.objective; }).median;
  bool finds_nothing = false;  // any run of any method
  for (const Method& method : methods) {
    const Spread objective = spread_over(method, [](const Run& run) { return run.objective; });
    const Spread samples =
        spread_over(method, [](const Run& run) { return static_cast<double>(run.samples); });
    const Spread rejected =
        spread_over(method, [](const Run& run) { return static_cast<double>(run.rejected); });
    const Spread seconds = spread_over(method, [](const Run& run) { return run.wall_s; });
    Json entry{{"name", method.name},
               {"description", method.description},
               {"objective", to_json(objective)},
               {"ratio", number(ratio_of(objective.median, reference))},
               {"wall_s", to_json(seconds)},
               {"runs", Json::array()},
               {"against_samples", curve_json(method, &BestSoFar::samples, "samples", samples_axis)},
               {"against_seconds", curve_json(method, &BestSoFar::seconds, "seconds", seconds_axis)}};
    for (const Run& run : method.runs) {
      Json curve = Json::array();
      for (const BestSoFar& point : run.curve) {
        curve.push_back({point.samples, point.seconds, point.objective});
        csv += fmt::format("{},{},{},{:.17g},{:.6f},{:.17g}\n", method.name, run.seed, point.samples,
                           static_cast<double>(point.samples) / static_cast<double>(layers), point.seconds,
                           point.objective);
      }
      entry["runs"].push_back(
          {{"seed", run.seed},
           {"objective", number(run.objective)},
           {"samples", run.samples},
           {"samples_per_layer", static_cast<double>(run.samples) / static_cast<double>(layers)},
           {"rejected", run.rejected},
           {"wall_s", run.wall_s},
           {"stopped_by", run.stopped},
           {"hardware", problem.machine().to_json(run.hardware)},
           {"curve", std::move(curve)}});
    }
    json["methods"].push_back(std::move(entry));
    finds_nothing = finds_nothing || !std::isfinite(objective.max);
    table.row({method.name, figure(objective.median), figure(objective.min), figure(objective.max),
               ratio_text(ratio_of(objective.median, reference)), fmt::format("{:.0f}", samples.median),
               fmt::format("{:.0f}", rejected.median), fmt::format("{:.1f}", seconds.median)});
  }
  if (mapper) {
    json["timeloop_mapper"] = to_json(*mapper);
    const double ratio = ratio_of(mapper->objective, reference);
    json["timeloop_mapper"]["ratio"] = number(ratio);
    table.row({"timeloop-mapper", figure(mapper->objective), "-", "-", ratio_text(ratio), "-", "-", "-"});
  }
  std::string text =
      fmt::format("{} on {}, {}; {}, {}\n", problem.workload.name, problem.machine().name,
                  problem.objective.name, counted(layers, "layer"), counted(flags.seeds, "seed")) +
      table.text();
  if (!methods.empty()) {
    text +=
        fmt::format("ratio: median over that of {}\nrejected: random draws that did not fit, no samples\n",
                    methods.front().name);
  }
  if (finds_nothing) text += "none: no design within these samples; more of them may find one\n";
  if (mapper) text += report(*mapper);
  if (*interrupt)
    text += "interrupted: the last run is not complete, and what would have come after it\nis left out\n";
  if (!flags.csv.empty()) {
    write_file(flags.csv, csv);
    text += fmt::format("written: {}\n", flags.csv);
  }
  output.print(json, text);
}

/// Throws Error{kUsage} where one of these options was given, which `what` does not go with.
void refuse_options(const CLI::App& command, std::initializer_list<const char*> names, const char* what) {
  for (const char* name : names) {
    if (command.get_option(name)->count() > 0) fail(ErrorId::kUsage, "{}: {}", name, what);
  }
}

/// Several machines or arrays are compared with one another, by dosa's own search; else its methods are.
void compare_what_was_asked(CompareFlags& flags, const CLI::App& command, const Output& output) {
  output.check_report();
  const std::initializer_list<const char*> of_methods{"--methods", "--samples-per-layer", "--seeds", "--csv",
                                                      "--timeloop-mapper"};
  if (flags.workloads.size() > 1) refuse_options(command, {"--report"}, "a page is of one network");
  if (!flags.machines.empty()) {
    refuse_options(command, of_methods, "--machines compares designs, not methods");
    refuse_options(command, {"--machine", "--baseline"}, "--machines names every machine");
    if (flags.arrays.size() > 1) fail(ErrorId::kUsage, "--pe: --machines takes one array");
  } else if (flags.arrays.size() > 1) {
    refuse_options(command, of_methods, "--pe with several arrays compares designs, not methods");
    if (flags.workloads.size() > 1)
      fail(ErrorId::kUsage, "--pe with several arrays takes one network, found {}", flags.workloads.size());
    return compare_arrays({flags.workloads.front(), flags.machine, flags.objective, flags.baseline,
                           flags.arrays, flags.sizes, flags.options, flags.limits, flags.quiet},
                          output);
  }
  if (!flags.arrays.empty()) flags.sizes.fixed.push_back({"--pe", "pe_dim", flags.arrays.front()});
  if (!flags.machines.empty()) {
    return compare_machines({flags.workloads, flags.objective, flags.combine, flags.machines,
                             flags.machine.set, flags.sizes, flags.options, flags.limits, flags.quiet},
                            output);
  }
  refuse_options(command, {"--seed", "--time"},
                 "methods are compared by --seeds and --samples; --seed and --time are for designs");
  if (!flags.mapper_results.empty() && (flags.sizes.max_area_mm2 > 0 || !flags.sizes.max.empty())) {
    fail(ErrorId::kUsage,
         "--timeloop-mapper: its hardware is fixed (by --size, else the machine's default), expected no "
         "--max-...");
  }
  compare(flags, output);
}

}  // namespace

void add_compare(CLI::App& app) {
  std::string purpose =
      "Compare search methods on one network: the same exact model, the same bounds, the same number of "
      "samples.\n"
      "A sample is one evaluation of one schedule of one layer in one loop order.\n\nMethods:";
  for (const OwnMethod& method : kOwnMethods)
    purpose += fmt::format("\n  {}: {}", method.name, method.description);
  for (const auto& baseline : all_baselines())
    purpose += fmt::format("\n  {}: {}", baseline->name(), baseline->description());
  purpose +=
      "\nThe last four run for one network on every machine whose layers run as loop nests (all but "
      "gemmini-rtl). Eyeriss and NVDLA are no methods but machines; --machines compares the best designs of "
      "several machines.";
  CLI::App* command = app.add_subcommand(
      "compare", described(purpose, {"dosa compare bert --seeds 5 --csv curves.csv",
                                     "dosa compare resnet50 --methods gradient,random,bayes "
                                     "--samples-per-layer 10000 --json >compare.json",
                                     "dosa compare my_network.json --pe 16 --samples 500000",
                                     "dosa compare bert --machine simba --samples-per-layer 10000",
                                     "dosa compare bert --machine gemmini-rtl --pe 8,16,32 --max-area 1.15",
                                     "dosa compare resnet50 --machines eyeriss,simba,nvdla,tpu --max-area 4 "
                                     "--report machines.html",
                                     "dosa compare resnet50 bert:3 --machines simba,nvdla --max-area 4",
                                     "dosa compare bert --methods descent,descent+polish,polish"}));
  const auto flags = std::make_shared<CompareFlags>();
  const auto output = std::make_shared<Output>(*command);
  output->add_report(
      *command, [](const Json& json) { return html::document(html::comparison_page(json, command_line())); });
  add_workloads(*command, flags->workloads);
  command
      ->add_option(
          "--methods", flags->methods,
          "Methods, separated by commas (default: gradient, random, bayes, annealing and default; where the "
          "last four do not run, gradient, descent+polish and polish)")
      ->delimiter(',');
  CLI::Option* total =
      command
          ->add_option("--samples", flags->limits.samples,
                       "Samples for each run (default: what the first method takes by itself)")
          ->check(integer_in(1, kMostSamples));
  command
      ->add_option("--samples-per-layer", flags->samples_per_layer, "The same, for each layer of the network")
      ->check(integer_in(1, kMostSamples))
      ->excludes(total);
  command->add_option("--seeds", flags->seeds, "Runs of each method, with seeds 0, 1, ...")
      ->check(integer_in(1, 1000))
      ->capture_default_str();
  command->add_option("--csv", flags->csv, "Write the curve of every run to this file");
  add_machine(*command, flags->machine, "--machine", "Machine: a shipped name or a file")
      ->capture_default_str();
  add_remainders(*command, flags->machine);
  command
      ->add_option("--machines", flags->machines,
                   "Shipped names or files, separated by commas: instead of methods, compare the best design "
                   "of each machine")
      ->delimiter(',');
  command
      ->add_option("--timeloop-mapper", flags->mapper_results,
                   "Results of Timeloop's mapper as one more row: folders with timeloop-mapper.map.yaml and "
                   "timeloop-mapper.stats.txt, or other such map files, one for each layer; all methods then "
                   "search on the sizes given, else the machine's default")
      ->delimiter(',');
  add_target_options(*command, flags->options);
  add_objective(*command, flags->objective);
  add_combine(*command, flags->combine);
  add_baseline(*command, flags->baseline);
  flags->sizes.add_all(*command);
  command->remove_option(command->get_option("--pe"));
  command
      ->add_option(
          "--pe", flags->arrays,
          "Fix the rows and columns of the array. Several, separated by commas: instead of methods, "
          "compare the best design of each, with what it gains over the library's default on the same "
          "array")
      ->delimiter(',')
      ->check(integer_in(1, kMaxPeDim));
  command
      ->add_option("--starts", flags->limits.starts,
                   "Starts of the searches that descend (default: the target's)")
      ->check(integer_in(1, 4096));
  command
      ->add_option("--steps", flags->limits.steps,
                   "Steps of the searches that descend (default: the target's)")
      ->check(integer_in(1, 10'000'000));
  command->add_option("--seed", flags->limits.seed, "Seed of the searches of arrays or machines")
      ->capture_default_str()
      ->check(integer_in(0, kAnyInteger));
  add_time_limit(*command, flags->limits.time_s);
  add_threads(*command, flags->limits.threads);
  command->add_flag("-q,--quiet", flags->quiet, "No progress lines");
  command->callback([flags, output, command] { compare_what_was_asked(*flags, *command, *output); });
}

}  // namespace dosa::cli
