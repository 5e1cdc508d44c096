#include <unistd.h>

#include <cmath>
#include <memory>

#include "core/cli/pareto.hpp"
#include "core/cli/search_flags.hpp"
#include "core/search/exhaustive.hpp"
#include "core/search/gradient_search.hpp"
#include "core/search/ranks.hpp"
#include "models/error.hpp"
#include "models/files.hpp"

namespace dosa::cli {
namespace {

struct Flags {
  std::string workload, machine = "gemmini-tl", output, objective = "edp";
  std::string pareto;  // a folder
  SizeFlags sizes;
  SearchOptions search;
  ParetoOptions front;
  bool quiet = false, record_time = false, certify = false;
};

/// One line on a terminal that is written over, one line every few seconds elsewhere.
class ProgressLine {
 public:
  explicit ProgressLine(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0) {}

  void show(const SearchProgress& now) {
    if (quiet_ || (!terminal_ && now.elapsed_s < next_)) return;
    next_ = now.elapsed_s + 2;
    const std::string best = std::isfinite(now.best_objective)
                                 ? fmt::format("best {:.4g}", now.best_objective)
                                 : fmt::format("relaxed {:.4g}", now.relaxed_objective);
    fmt::print(stderr, "{}{} {}/{}  {}  pe {} scratchpad {} accumulator {}  {:.1f} s{}{}",
               terminal_ ? "\r" : "", now.phase, now.step, now.steps, best, now.hardware.pe_dim,
               now.hardware.scratchpad_kib, now.hardware.accumulator_kib, now.elapsed_s,
               now.phase == "descent" ? fmt::format("  ETA {:.0f} s", now.eta_s) : "",
               terminal_ ? "\033[K" : "\n");
    std::fflush(stderr);
    shown_ = true;
  }
  ~ProgressLine() {
    if (shown_ && terminal_) fmt::print(stderr, "\n");
  }

 private:
  bool quiet_, terminal_, shown_ = false;
  double next_ = 2;
};

Json provenance(const Flags& flags, const SearchProblem& problem, const SearchSummary& summary) {
  Json json{{"program", fmt::format("dosa {}", DOSA_VERSION)},
            {"method", "gradient"},
            {"model", "analytical"},
            {"seed", flags.search.seed},
            {"options",
             {{"starts", flags.search.starts},
              {"steps", flags.search.steps},
              {"round_every", flags.search.round_every},
              {"learning_rate", flags.search.learning_rate},
              {"polish_nests", flags.search.polish_nests},
              {"min", to_json(problem.bounds.min)},
              {"max", to_json(problem.bounds.max)}}},
            {"stopped_by", summary.stopped},
            {"steps", summary.steps},
            {"samples", summary.evaluations},
            {"whole_map_space", summary.polish_complete}};
  if (std::isfinite(problem.bounds.max_area_mm2))
    json["options"]["max_area_mm2"] = problem.bounds.max_area_mm2;
  if (flags.record_time) json["wall_time_s"] = summary.wall_s;
  return json;
}

void optimize(const Flags& flags, const Output& output) {
  const bool is_root = Ranks::here().is_root();
  for (const std::string& path : {flags.output, flags.search.checkpoint.string()}) {
    if (!path.empty() && is_root) check_writable(path);
  }
  SearchProblem problem{
      load_workload(flags.workload), load_machine(flags.machine), {}, Objective::from_name(flags.objective)};
  problem.bounds = flags.sizes.bounds(problem.machine);
  if (!flags.pareto.empty()) {
    ParetoOptions front = flags.front;
    front.nests = flags.search.polish_nests;
    front.threads = flags.search.threads;
    return write_pareto_front(problem, front, flags.pareto, flags.quiet, output);
  }
  const std::atomic<bool>* interrupted = catch_interrupts();
  SearchSummary summary;
  {
    ProgressLine line(flags.quiet);
    summary = gradient_search(
        problem, flags.search, [&](const SearchProgress& now) { line.show(now); }, interrupted);
  }
  if (!is_root) return;
  summary.best.provenance = provenance(flags, problem, summary);
  if (!flags.output.empty()) save_design(summary.best, problem.machine, flags.output);
  Json json = to_json(summary.best, problem.machine);
  json["provenance"]["wall_time_s"] = summary.wall_s;
  std::string text = report(summary.best, problem.machine) + summary.brief_report();
  if (flags.certify) {
    MapOptions map;
    map.threads = flags.search.threads;
    const Certificate certificate =
        certify(summary.best, problem.machine, problem.objective, map, {}, interrupted);
    json["certificate"] = to_json(certificate, problem.machine);
    text += "\n" + report(certificate);
  }
  if (!flags.output.empty()) text += fmt::format("written: {}\n", flags.output);
  output.print(json, text);
}

}  // namespace

void add_optimize(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "optimize",
      described("Find the hardware and the mappings of a network together, by gradient descent.",
                {"dosa optimize resnet50 -o design.json",
                 "dosa optimize bert --pe 16 --scratchpad 128 --accumulator 32",
                 "dosa optimize my_network.json --max-pe 64 --objective latency --seed 3 --json",
                 "dosa optimize resnet50 --max-area 2 --certify", "dosa optimize resnet50 --pareto front",
                 "mpirun -n 4 dosa optimize unet --starts 64 --checkpoint unet.ckpt -o design.json"}));
  const auto flags = std::make_shared<Flags>();
  const auto output = std::make_shared<Output>(*command);
  command
      ->add_option("workload", flags->workload,
                   "A shipped network's name (see dosa workloads) or a workload JSON or YAML file")
      ->required();
  CLI::Option* file =
      command->add_option("-o,--output", flags->output, "Write the design as JSON to this file");
  command->add_option("--machine", flags->machine, "Machine: a shipped name or a file")
      ->capture_default_str();
  add_objective(*command, flags->objective);
  flags->sizes.add_all(*command);
  SearchOptions& search = flags->search;
  command->add_option("--starts", search.starts, "Independent random starts")
      ->capture_default_str()
      ->check(integer_in(1, 4096));
  command->add_option("--steps", search.steps, "Adam steps")
      ->capture_default_str()
      ->check(integer_in(1, 10'000'000));
  command->add_option("--round-every", search.round_every, "Steps between roundings to integer designs")
      ->capture_default_str()
      ->check(integer_in(1, 10'000'000));
  command->add_option("--learning-rate", search.learning_rate, "Adam's first step size")
      ->capture_default_str();
  command->add_option("--polish-nests", search.polish_nests, "Nests per layer that the final polish looks at")
      ->capture_default_str()
      ->check(integer_in(64, 100'000'000));
  command->add_option("--seed", search.seed, "Same seed, same machine: the same design, byte for byte")
      ->capture_default_str()
      ->check(integer_in(0, kAnyInteger));
  command
      ->add_option("--threads", search.threads,
                   "Threads, 0 for one per core; the result does not depend on it")
      ->capture_default_str()
      ->check(integer_in(0, 1024));
  add_time_limit(*command, search.time_limit_s);
  command
      ->add_option("--samples", search.max_evaluations,
                   "Evaluate at most this many mappings, polish included")
      ->check(integer_in(1, kAnyInteger));
  CLI::Option* certificate = command->add_flag(
      "--certify", flags->certify,
      "Compare with the proven best mappings on the hardware found, as dosa map DESIGN --certify does");
  command
      ->add_option(
          "--pareto", flags->pareto,
          "Instead of one design, write those that no other one beats in energy, latency and area into "
          "this folder: design_01.json ..., front.json, front.csv; without gradients, for every "
          "objective under a row of area limits on a row of arrays")
      ->excludes(file)
      ->excludes(certificate);
  command->add_option("--pareto-points", flags->front.points, "Most designs of the front")
      ->capture_default_str()
      ->check(integer_in(2, 1000));
  command->add_option("--checkpoint", search.checkpoint,
                      "Save the state of the descent to this file every 10 s and at its end");
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
