// What the commands that search have in common: the network, sizes to fix or limit, the objective, threads,
// Ctrl-C.
#pragma once

#include <atomic>
#include <string>

#include "dosa/core/cli/commands.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/search/problem.hpp"
#include "dosa/core/targets/gemmini/campaign/measure.hpp"
#include "dosa/models/workload.hpp"

namespace dosa::cli {

/// Sizes of the hardware on the command line.
struct SizeFlags {
  struct Given {
    std::string flag;  ///< as it was written: "--pe", "--size pe_dim"
    std::string name;  ///< of the machine's parameter: "pe_dim"
    std::int64_t value;
  };
  std::vector<Given> fixed, max;
  double max_area_mm2 = 0;

  /// --pe, --scratchpad, --accumulator, and --size NAME=N for any parameter. `meaning` has one {} for the
  /// name of the size. Returns the options.
  std::vector<CLI::Option*> add_fixed(CLI::App& command, const std::string& meaning = "Fix the {}");
  /// The same, --max-pe, --max-scratchpad, --max-accumulator, --max-size NAME=N and --max-area.
  void add_all(CLI::App& command);

  /// The machine's bounds with what was given, narrowed to what the target can build; warnings go to stderr.
  /// Throws Error{kBounds} for what contradicts itself.
  HardwareBounds bounds(const Target& target) const;
  /// The machine's default hardware with what was given. Throws Error{kValue} for a size that the machine has
  /// not.
  Hardware hardware(const Machine& machine) const;
};

/// A machine under the flags `names`, and --set for its numbers. Returns the first option.
CLI::Option* add_machine(CLI::App& command, MachineChoice& machine, const std::string& names,
                         const std::string& meaning);
/// --surrogate, for commands that cost a design. Returns the option.
CLI::Option* add_surrogate_of_design(CLI::App& command, std::string& path);
/// --remainders, for commands that search.
void add_remainders(CLI::App& command, MachineChoice& machine);

/// --clock, in Hz; 0: not given. Returns the option.
CLI::Option* add_clock(CLI::App& command, double& hz);
/// What a design is at this clock, under "at_clock" and as a line for people, where one is given.
void add_at_clock(const Design& design, double hz, Json& json, std::string& text);

/// Prints what of a file is not read, a line each, on stderr: the first of them where there are many.
void print_remarks(const std::vector<std::string>& remarks);

/// The network of a command line (load_network); what of a file is not counted goes to stderr, a line each.
/// Throws Error.
Workload network_of(const std::string& name_or_path);

/// A shipped network or a file on a target, without bounds; `strict` refuses what the target leaves to the
/// CPU. Throws Error.
SearchProblem problem_of(const std::string& workload, TargetPtr target, const std::string& objective,
                         bool strict = false);
/// Says on stderr what of a network the CPU does, for commands that print no report of a design.
void print_cpu_work(const SearchProblem& problem);
/// --strict.
void add_strict(CLI::App& command, bool& strict);

/// The network to work on, as the first argument. Refuses several, with a line that says which commands take
/// them. Returns the option, which is not required.
CLI::Option* add_workload(CLI::App& command, std::string& name, const std::string& meaning);
/// The networks to work on, each with a weight behind a colon if it is not 1, as the first arguments.
void add_workloads(CLI::App& command, std::vector<std::string>& names);
/// --combine.
CLI::Option* add_combine(CLI::App& command, std::string& name);

/// The networks of a command line (network_of), "resnet50" or "bert:3". Throws Error.
std::vector<WeightedNetwork> networks_of(const std::vector<std::string>& names);
/// Them on a target, without bounds. Throws Error.
SearchProblem problem_of(const std::vector<std::string>& names, TargetPtr target,
                         const std::string& objective, const std::string& combine, bool strict = false);

/// --threads, for what does not depend on their number.
CLI::Option* add_threads(CLI::App& command, std::int64_t& threads);

/// --objective.
void add_objective(CLI::App& command, std::string& name);

/// A check for numbers over 0 of this unit.
CLI::Validator over_zero(const std::string& unit);

/// An option with a number of seconds over zero, also as 30s, 5m or 1h.
CLI::Option* add_seconds(CLI::App& command, const std::string& name, double& seconds,
                         const std::string& meaning);

/// An option with a share over zero as a percentage, "1%".
CLI::Option* add_percentage(CLI::App& command, const std::string& name, double& share,
                            const std::string& meaning);

/// --time.
void add_time_limit(CLI::App& command, double& seconds);

/// --batch and --batch-cycles, for commands that write programs for a Gemmini.
std::vector<CLI::Option*> add_batch(CLI::App& command, BatchLimits& batch);

/// --simulator, --build, --jobs and --timeout, for commands that run programs for a Gemmini.
void add_simulator(CLI::App& command, MeasureOptions& options);

/// How far a measurement is, as one line.
std::string text_of(const MeasureProgress& now);
/// The same of a search.
std::string text_of(const SearchProgress& now);

/// Limits of the searches of a comparison; 0: the target's own, or none.
struct SearchLimits {
  std::int64_t starts = 0, steps = 0, samples = 0, threads = 0;
  double time_s = 0;
  std::uint64_t seed = 0;

  /// The target's options within these limits.
  SearchOptions options_for(const Target& target) const;
};

/// --surrogate and --kappa, for targets with latencies that were learnt.
void add_target_options(CLI::App& command, TargetOptions& options);
/// The same for a certificate, which judges a design by what is expected of it, whatever it was trusted for.
TargetOptions without_trust(TargetOptions options);

/// --baseline.
CLI::Option* add_baseline(CLI::App& command, std::string& baseline);
/// The target, whose designs are compared with this baseline: sizes as built, "8x64/16" (array, scratchpad
/// and accumulator KiB), with the library's tiles, or a design file. Empty: the target as it is. Throws
/// Error.
TargetPtr against(const TargetPtr& target, const std::string& baseline);

/// Warns, in a line, of numbers in a machine's file that nothing was measured with.
void warn_of(const Target& target);
/// The same under "remark", where there is something to say.
void add_remark(const Target& target, Json& json);

/// Of a design whose buffers are the need of one tile: the Gemmini that is built for it, as "as_built" and as
/// a line for people (as_built()).
void add_as_built(const Design& design, const Machine& machine, Json& json, std::string& text);

/// From now on true after the first Ctrl-C (SIGINT) or SIGTERM; a second one ends the program at once.
const std::atomic<bool>* catch_interrupts();
/// Whether that has happened.
bool was_interrupted();

}  // namespace dosa::cli
