#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "dosa/core/cli/pareto.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/search/gradient_search.hpp"
#include "dosa/core/search/ranks.hpp"
#include "dosa/core/targets/gemmini/default_comparison.hpp"
#include "dosa/core/targets/gemmini/search.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa::cli {
namespace {

struct Flags {
  std::string workload, target = "gemmini-tl", output, objective = "edp", surrogate;
  std::string pareto;  // a folder
  SizeFlags sizes;
  SearchOptions search;
  ParetoOptions front;
  double kappa = RtlSearchOptions{}.kappa;
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

/// gemmini-rtl: one array that the surrogate knows, and buffers up to those for which its error was tested; a
/// user may go beyond that, with a warning.
HardwareBounds rtl_bounds_of(const Flags& flags, const Machine& machine, const Surrogate& surrogate) {
  HardwareBounds bounds = flags.sizes.bounds(machine);
  const MeasuredTarget& measured = surrogate.target;
  if (flags.sizes.fixed.pe_dim > 0) surrogate.check_hardware(flags.sizes.fixed, "--pe");
  std::int64_t& pe_dim = bounds.max.pe_dim;
  const auto knows = [&](std::int64_t size) {
    return size <= pe_dim &&
           std::find(measured.pe_dims.begin(), measured.pe_dims.end(), size) != measured.pe_dims.end();
  };
  const auto largest = std::find_if(measured.pe_dims.rbegin(), measured.pe_dims.rend(), knows);
  if (largest == measured.pe_dims.rend()) {
    fail(ErrorId::kBounds, "--max-pe: found {}, the surrogate was trained on measurements with {}", pe_dim,
         fmt::join(measured.pe_dims, ", "));
  }
  pe_dim = knows(machine.default_hardware.pe_dim) ? machine.default_hardware.pe_dim : *largest;
  if (flags.sizes.fixed.pe_dim > 0) pe_dim = flags.sizes.fixed.pe_dim;
  bounds.min.pe_dim = pe_dim;
  // A tile may take half of a buffer: in larger buffers than measured, larger tiles than any that were.
  const auto limit = [&](std::int64_t Hardware::*size, std::int64_t in_measurements, const char* name) {
    if (in_measurements == 0) return;
    const std::int64_t most = in_measurements << kTestedOctaves;
    const bool given = flags.sizes.fixed.*size > 0 || flags.sizes.max.*size > 0;
    if (!given) bounds.max.*size = std::min(bounds.max.*size, most);
    if (bounds.max.*size > most) {
      fmt::print(
          stderr,
          "dosa: warning: the surrogate was trained on tiles of a {} of {} KiB; how it errs was tested up to "
          "{} KiB\n",
          name, in_measurements, most);
    }
  };
  limit(&Hardware::scratchpad_kib, measured.scratchpad_kib, "scratchpad");
  limit(&Hardware::accumulator_kib, measured.accumulator_kib, "accumulator");
  // Fixed sizes must be legal as they are; what is free is set to what the others go with.
  const Hardware least = gemmini::nearest_hardware({pe_dim, 1, 1});
  Hardware sizes{pe_dim, flags.sizes.fixed.scratchpad_kib, flags.sizes.fixed.accumulator_kib};
  if (sizes.accumulator_kib == 0) sizes.accumulator_kib = least.accumulator_kib;
  if (sizes.scratchpad_kib == 0)
    sizes.scratchpad_kib = std::max(least.scratchpad_kib, gemmini::nearest_hardware(sizes).scratchpad_kib);
  const auto violations = gemmini::check_hardware(sizes);
  if (!violations.empty()) fail(ErrorId::kBounds, "hardware: {}", gemmini::summary(violations));
  return bounds;
}

/// What the search of gemmini-rtl, which takes seconds, does without. Throws Error{kUsage}.
void refuse_for_real(const Flags& flags) {
  const auto refuse = [](bool given, const char* name) {
    if (given) fail(ErrorId::kUsage, "{} is not there for target {}", name, gemmini::kTarget);
  };
  refuse(!flags.pareto.empty(), "--pareto");
  refuse(flags.certify, "--certify");
  refuse(!flags.search.checkpoint.empty(), "--checkpoint");
  refuse(!flags.search.resume.empty(), "--resume");
  refuse(flags.search.device != "cpu", "--device");
  refuse(Ranks::here().size() > 1, "mpirun");
}

Json provenance(const Flags& flags, const HardwareBounds& bounds, const SearchOptions& search,
                const SearchSummary& summary, const Json& model) {
  Json json{{"program", fmt::format("dosa {}", DOSA_VERSION)},
            {"method", "gradient"},
            {"model", model},
            {"seed", search.seed},
            {"options",
             {{"starts", search.starts},
              {"steps", search.steps},
              {"round_every", search.round_every},
              {"patience", search.patience},
              {"learning_rate", search.learning_rate},
              {"polish_nests", search.polish_nests},
              {"min", to_json(bounds.min)},
              {"max", to_json(bounds.max)}}},
            {"stopped_by", summary.stopped},
            {"steps", summary.steps},
            {"samples", summary.evaluations},
            {"whole_map_space", summary.polish_complete}};
  if (std::isfinite(bounds.max_area_mm2)) json["options"]["max_area_mm2"] = bounds.max_area_mm2;
  if (flags.record_time) json["wall_time_s"] = summary.wall_s;
  return json;
}

void optimize(const Flags& flags, const Output& output) {
  const bool is_root = Ranks::here().is_root();
  for (const std::string& path : {flags.output, flags.search.checkpoint.string()}) {
    if (!path.empty() && is_root) check_writable(path);
  }
  SearchProblem problem{
      load_workload(flags.workload), load_machine(flags.target), {}, Objective::from_name(flags.objective)};
  const bool real = problem.machine.name == gemmini::kTarget;
  std::optional<Surrogate> surrogate;
  std::filesystem::path surrogate_path = flags.surrogate;
  if (real) {
    refuse_for_real(flags);
    if (surrogate_path.empty()) surrogate_path = shipped_surrogate(problem.machine.name);
  }
  if (!surrogate_path.empty()) {
    surrogate = Surrogate::load(surrogate_path);
    if (surrogate->target.name != problem.machine.name) {
      fail(ErrorId::kValue, "{}: target.name: found {}, the search is for {}", surrogate_path.string(),
           surrogate->target.name, problem.machine.name);
    }
  }
  problem.bounds =
      real ? rtl_bounds_of(flags, problem.machine, *surrogate) : flags.sizes.bounds(problem.machine);
  if (!flags.pareto.empty()) {
    if (Ranks::here().size() > 1) fail(ErrorId::kUsage, "--pareto is not there for mpirun");
    ParetoOptions front = flags.front;
    front.nests = flags.search.polish_nests;
    front.threads = flags.search.threads;
    return write_pareto_front(problem, front, flags.pareto, flags.quiet, output);
  }
  const std::atomic<bool>* interrupted = catch_interrupts();
  SearchSummary summary;
  {
    ProgressLine line(flags.quiet);
    const auto show = [&](const SearchProgress& now) { line.show(now); };
    summary = real ? rtl_search(problem, RtlModel(problem.machine, &*surrogate), {flags.search, flags.kappa},
                                show, interrupted)
                   : gradient_search(problem, flags.search, show, interrupted);
  }
  if (!is_root) return;
  summary.best.provenance =
      provenance(flags, problem.bounds, flags.search, summary,
                 real ? model_record(*surrogate, surrogate_path, flags.kappa) : Json("analytical"));
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
  if (real) {
    const DefaultComparison comparison = compare_with_default(summary.best, problem.machine, &*surrogate);
    json["default_comparison"] = comparison.json;
    text += "\n" + comparison.text;
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
                 "dosa optimize resnet50 --target gemmini-rtl --pe 16 -o design.json",
                 "dosa optimize my_network.json --max-pe 64 --objective latency --seed 3 --json",
                 "dosa optimize resnet50 --max-area 2 --certify", "dosa optimize resnet50 --pareto front",
                 "mpirun -n 4 dosa optimize unet --starts 64 --checkpoint unet.ckpt -o design.json"}));
  const auto flags = std::make_shared<Flags>();
  const auto output = std::make_shared<Output>(*command);
  add_workload(*command, flags->workload);
  CLI::Option* file =
      command->add_option("-o,--output", flags->output, "Write the design as JSON to this file");
  command
      ->add_option(
          "--target,--machine", flags->target,
          "Machine: a shipped name or a file. gemmini-rtl: a Gemmini that can be built, scored by latencies "
          "learnt from its RTL")
      ->capture_default_str();
  command->add_option("--surrogate", flags->surrogate,
                      "gemmini-rtl: trained by dosa train (default: the shipped one)");
  command
      ->add_option("--kappa", flags->kappa,
                   "gemmini-rtl: standard deviations of the prediction that a gain in latency must exceed")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 10.0));
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
  command
      ->add_option("--patience", search.patience,
                   "Roundings in a row without a better design that end the descent, 0: none does")
      ->capture_default_str()
      ->check(integer_in(0, 10'000'000));
  command->add_option("--learning-rate", search.learning_rate, "Adam's first step size")
      ->capture_default_str();
  command->add_option("--polish-nests", search.polish_nests, "Nests per layer that the final polish looks at")
      ->capture_default_str()
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
  command->callback([flags, output, command] {
    // The search for gemmini-rtl has defaults of its own.
    if (load_machine(flags->target).name == gemmini::kTarget) {
      const SearchOptions own = RtlSearchOptions::default_search();
      SearchOptions& options = flags->search;
      if (command->count("--starts") == 0) options.starts = own.starts;
      if (command->count("--steps") == 0) options.steps = own.steps;
      if (command->count("--round-every") == 0) options.round_every = own.round_every;
      if (command->count("--learning-rate") == 0) options.learning_rate = own.learning_rate;
      if (command->count("--polish-nests") == 0) options.polish_nests = own.polish_nests;
    }
    optimize(*flags, *output);
  });
}

}  // namespace dosa::cli
