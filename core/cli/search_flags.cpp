#include "dosa/core/cli/search_flags.hpp"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "dosa/core/explain/clock.hpp"
#include "dosa/core/import/network.hpp"
#include "dosa/core/targets/gemmini/buildable.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::cli {
namespace {

/// Parameters that have a flag of their own.
struct SizeFlag {
  const char* flag;
  const char* name;
  const char* meaning;
  std::int64_t limit;
};
constexpr std::array<SizeFlag, 3> kSizeFlags{
    {{"pe", "pe_dim", "rows and columns of the array", kMaxPeDim},
     {"scratchpad", "scratchpad_kib", "KiB of scratchpad", kMaxKib},
     {"accumulator", "accumulator_kib", "KiB of accumulator", kMaxKib}}};

/// --size or --max-size: "NAME=N" as often as wanted.
CLI::Option* add_named_sizes(CLI::App& command, const std::string& flag, const std::string& meaning,
                             std::vector<SizeFlags::Given>& given) {
  return command
      .add_option_function<std::vector<std::string>>(
          flag,
          [flag, &given](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              const std::size_t equals = text.find('=');
              std::int64_t value = 0;
              const bool number = equals != std::string::npos && equals > 0 &&
                                  CLI::detail::lexical_cast(text.substr(equals + 1), value) && value > 0;
              if (!number) throw CLI::ValidationError(flag, fmt::format("found '{}', expected NAME=N", text));
              const std::string name = text.substr(0, equals);
              given.push_back({fmt::format("{} {}", flag, name), name, value});
            }
          },
          meaning)
      ->type_name("NAME=N");
}

CLI::Option* add_size(CLI::App& command, const std::string& flag, const SizeFlag& size,
                      const std::string& meaning, std::vector<SizeFlags::Given>& given) {
  return command
      .add_option_function<std::int64_t>(
          flag,
          [flag, &size, &given](const std::int64_t& value) {
            given.push_back({flag, size.name, value});
          },
          meaning)
      ->check(integer_in(1, size.limit));
}

/// Sizes by the machine's parameters, 0 where none was given; `exact` ones have to be such as can be built.
Hardware by_parameter(const std::vector<SizeFlags::Given>& given, const Machine& machine, bool exact) {
  Hardware hardware;
  hardware.values.assign(machine.parameters.size(), 0);
  for (const SizeFlags::Given& size : given) {
    const std::size_t p = machine.parameter(size.name, size.flag);
    if (size.value > machine.parameters[p].limit) {
      fail(ErrorId::kBounds, "{}: {}: found {}, expected 1..{}", size.flag, size.name, size.value,
           machine.parameters[p].limit);
    }
    if (exact && !machine.parameters[p].allows(size.value)) {
      fail(ErrorId::kBounds, "{}: {}: found {}, {} is built with {}", size.flag, size.name, size.value,
           machine.name, machine.parameters[p].allowed_text());
    }
    hardware[p] = size.value;
  }
  return hardware;
}

/// How the user wrote a size, or would have.
std::string flag_of(const std::vector<SizeFlags::Given>& given, const std::string& name) {
  for (const SizeFlags::Given& size : given) {
    if (size.name == name) return size.flag;
  }
  return name;
}

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

void interrupt(int signal) {
  interrupted = true;
  std::signal(signal, SIG_DFL);
}

}  // namespace

CLI::Option* add_machine(CLI::App& command, MachineChoice& machine, const std::string& names,
                         const std::string& meaning) {
  command
      .add_option_function<std::vector<std::string>>(
          "--set",
          [&machine](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              try {
                machine.set = joined(machine.set, {change_from_text(text)});
              } catch (const Error& error) {
                throw CLI::ValidationError("--set", error.what());
              }
            }
          },
          "Another number than the machine's file says, by its keys, where a level goes by its name: "
          "dram.words_per_cycle=16, mac.energy_pj=0.3; as often as wanted")
      ->type_name("NAME=NUMBER");
  return command.add_option(names, machine.name_or_path, meaning);
}

CLI::Option* add_surrogate_of_design(CLI::App& command, std::string& path) {
  return command.add_option(
      "--surrogate", path,
      "Latencies of layers with tiles: trained by dosa train (default: the shipped one where the design "
      "records a surrogate)");
}

void add_remainders(CLI::App& command, MachineChoice& machine) {
  command
      .add_option_function<std::string>(
          "--remainders",
          [&machine](const std::string& name) { machine.remainders = remainders_from_name(name); },
          "Sizes that factors do not divide: padded to what they multiply to, which any machine can run, or "
          "cut, "
          "on a machine whose loops can end early (default: as the machine's file says, else padded)")
      ->check(CLI::IsMember({name_of(Remainders::kPadded), name_of(Remainders::kCut)}))
      ->type_name("padded|cut");
}

CLI::Option* add_clock(CLI::App& command, double& hz) {
  return command
      .add_option("--clock", hz,
                  "Clock (1GHz, 800MHz, 200kHz or plain Hz): ms, TOPS, TOPS/W and W beside cycles and uJ; a "
                  "multiply-accumulate is two operations, power that of the model's accesses and MACs alone")
      ->transform(CLI::AsNumberWithUnit(
          std::map<std::string, double>{{"Hz", 1}, {"kHz", 1e3}, {"MHz", 1e6}, {"GHz", 1e9}},
          CLI::AsNumberWithUnit::UNIT_OPTIONAL, "CLOCK"))
      ->check(over_zero("Hz"));
}

void add_at_clock(const Design& design, double hz, Json& json, std::string& text) {
  if (hz == 0) return;
  const Explanation clocked = at_clock(design, hz);
  json["at_clock"] = clocked.json;
  text += clocked.text;
}

CLI::Validator over_zero(const std::string& unit) {
  return CLI::Validator(
      [unit](std::string& text) {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        const bool number = !text.empty() && end == text.c_str() + text.size();
        return number && value > 0 && std::isfinite(value)
                   ? ""
                   : fmt::format("found '{}', expected a number of {} over 0", text, unit);
      },
      unit);
}

std::vector<CLI::Option*> SizeFlags::add_fixed(CLI::App& command, const std::string& meaning) {
  std::vector<CLI::Option*> options;
  for (const SizeFlag& size : kSizeFlags) {
    options.push_back(add_size(command, fmt::format("--{}", size.flag), size,
                               fmt::format(fmt::runtime(meaning), size.meaning), fixed));
  }
  options.push_back(
      add_named_sizes(command, "--size",
                      fmt::format(fmt::runtime(meaning), "size of this name in the machine's file"), fixed));
  return options;
}

void SizeFlags::add_all(CLI::App& command) {
  add_fixed(command);
  for (const SizeFlag& size : kSizeFlags) {
    add_size(command, fmt::format("--max-{}", size.flag), size,
             fmt::format("Most {} (default: the machine's)", size.meaning), max);
  }
  add_named_sizes(command, "--max-size", "Most of the size of this name (default: the machine's)", max);
  command
      .add_option("--max-area", max_area_mm2,
                  "Most mm2 of the hardware by the machine's area model (default: any); where a report says "
                  "how it is built double-buffered, that chip is larger")
      ->check(over_zero("mm2"));
}

HardwareBounds SizeFlags::bounds(const Target& target) const {
  const Machine& machine = target.machine();
  HardwareBounds bounds{machine.min_hardware, machine.max_hardware};
  const Hardware wanted = by_parameter(fixed, machine, true), most = by_parameter(max, machine, false);
  for (std::size_t p = 0; p < machine.parameters.size(); ++p) {
    const std::string& name = machine.parameters[p].name;
    if (most[p] > 0) bounds.max[p] = machine.parameters[p].down(most[p]);
    if (most[p] > 0 && most[p] < bounds.min[p]) {
      fail(ErrorId::kBounds, "{}: found {}, the least that {} allows is {}", flag_of(max, name), most[p],
           machine.name, bounds.min[p]);
    }
    if (wanted[p] == 0) continue;
    if (most[p] > 0 && wanted[p] > most[p]) {
      fail(ErrorId::kBounds, "{} {} is more than {} {}", flag_of(fixed, name), wanted[p], flag_of(max, name),
           most[p]);
    }
    bounds.min[p] = bounds.max[p] = wanted[p];
  }
  if (max_area_mm2 > 0) bounds.max_area_mm2 = max_area_mm2;
  target.narrow(bounds, wanted, most,
                [](const std::string& warning) { fmt::print(stderr, "dosa: warning: {}\n", warning); });
  return bounds;
}

Hardware SizeFlags::hardware(const Machine& machine) const {
  Hardware hardware = machine.default_hardware;
  const Hardware given = by_parameter(fixed, machine, true);
  for (std::size_t p = 0; p < given.size(); ++p) {
    if (given[p] > 0) hardware[p] = given[p];
  }
  return hardware;
}

void print_remarks(const std::vector<std::string>& remarks) {
  constexpr std::size_t kMost = 20;
  for (std::size_t i = 0; i < std::min(remarks.size(), kMost); ++i)
    fmt::print(stderr, "dosa: {}\n", printable(remarks[i]));
  if (remarks.size() > kMost)
    fmt::print(stderr, "dosa: and {} like these (dosa import --json has all)\n",
               counted(remarks.size() - kMost, "line"));
}

Workload network_of(const std::string& name_or_path) {
  LoadedNetwork network = load_network(name_or_path);
  print_remarks(network.remarks);
  return std::move(network.workload);
}

SearchProblem problem_of(const std::string& workload, TargetPtr target, const std::string& objective,
                         bool strict) {
  Workload network = network_of(workload);
  if (strict) refuse_cpu_work(network, *target);
  return SearchProblem::of(std::move(network), std::move(target), Objective::from_name(objective));
}

void print_cpu_work(const SearchProblem& problem) {
  print_remarks(cpu_remarks(problem.workload, problem.left_to_cpu, *problem.target));
}

void add_strict(CLI::App& command, bool& strict) {
  command.add_flag("--strict", strict,
                   "gemmini-rtl: refuse a network for which the CPU has to do something, im2col or a whole "
                   "layer, none of which is counted");
}

std::vector<WeightedNetwork> networks_of(const std::vector<std::string>& names) {
  std::vector<WeightedNetwork> networks;
  for (const std::string& text : names) {
    const std::size_t colon = text.rfind(':');
    std::error_code ignored;
    if (colon == std::string::npos || std::filesystem::exists(text, ignored)) {
      networks.push_back({network_of(text), 1});
      continue;
    }
    const std::string name = text.substr(0, colon), number = text.substr(colon + 1);
    char* end = nullptr;
    const double weight = std::strtod(number.c_str(), &end);
    const bool is_number = !number.empty() && end == number.c_str() + number.size();
    if (!is_number || !(weight > 0) || weight > kMostWeight) {
      fail(ErrorId::kValue,
           "{}: weight: found '{}', expected a number over 0 to {} behind the colon, as in {}:3", text,
           number, kMostWeight, name.empty() ? "bert" : name);
    }
    networks.push_back({network_of(name), weight});
  }
  return networks;
}

SearchProblem problem_of(const std::vector<std::string>& names, TargetPtr target,
                         const std::string& objective, const std::string& combine, bool strict) {
  std::vector<WeightedNetwork> networks = networks_of(names);
  for (const WeightedNetwork& network : networks) {
    if (strict) refuse_cpu_work(network.workload, *target);
  }
  return SearchProblem::of(std::move(networks), std::move(target), Objective::from_name(objective),
                           combining_from_name(combine));
}

void add_workloads(CLI::App& command, std::vector<std::string>& names) {
  command
      .add_option(
          "workload", names,
          "A shipped network's name (see dosa workloads), a workload JSON or YAML file, or a file of "
          "another program (see dosa import). Several share one hardware, each with a weight behind a "
          "colon if it is not 1: resnet50 bert:3")
      ->required();
}

CLI::Option* add_combine(CLI::App& command, std::string& name) {
  return command
      .add_option(
          "--combine", name,
          "How the objectives of several networks make one: geomean, the geometric mean of their values "
          "to the powers of their weights, or sum, the weighted sum")
      ->capture_default_str()
      ->check(CLI::IsMember(std::vector<std::string>(kCombiningNames.begin(), kCombiningNames.end())));
}

CLI::Option* add_workload(CLI::App& command, std::string& name, const std::string& meaning) {
  return command
      .add_option_function<std::vector<std::string>>(
          "workload",
          [&command, &name](const std::vector<std::string>& given) {
            if (given.size() > 1) {
              fail(ErrorId::kUsage,
                   "{} takes one network, found {} ({}); dosa optimize, map and compare take several",
                   command.get_name(), given.size(), fmt::join(given, ", "));
            }
            name = given.front();
          },
          meaning)
      ->type_name("TEXT");
}

CLI::Option* add_threads(CLI::App& command, std::int64_t& threads) {
  return command
      .add_option("--threads", threads, "Threads, 0 for one per core; the result does not depend on it")
      ->capture_default_str()
      ->check(integer_in(0, 1024));
}

void add_objective(CLI::App& command, std::string& name) {
  command
      .add_option("--objective", name,
                  fmt::format("What to minimise: {}", fmt::join(Objective::names(), ", ")))
      ->capture_default_str();
}

CLI::Option* add_seconds(CLI::App& command, const std::string& name, double& seconds,
                         const std::string& meaning) {
  return command.add_option(name, seconds, meaning + " (30s, 5m, 1h or plain seconds)")
      ->transform(CLI::AsNumberWithUnit(std::map<std::string, double>{{"s", 1}, {"m", 60}, {"h", 3600}},
                                        CLI::AsNumberWithUnit::UNIT_OPTIONAL, "TIME"))
      ->check(over_zero("seconds"));
}

CLI::Option* add_percentage(CLI::App& command, const std::string& name, double& share,
                            const std::string& meaning) {
  return command
      .add_option_function<std::string>(
          name,
          [name, &share](const std::string& text) {
            char* end = nullptr;
            const double percent = std::strtod(text.c_str(), &end);
            const bool is_percentage = end != text.c_str() && std::string(end) == "%";
            if (!is_percentage || !(percent > 0) || percent > 10'000)
              throw CLI::ValidationError(
                  name, fmt::format("found '{}', expected a percentage over 0 to 10000, as 1%", text));
            share = percent / 100;
          },
          meaning)
      ->type_name("N%");
}

void add_time_limit(CLI::App& command, double& seconds) {
  add_seconds(command, "--time", seconds, "Stop after about this long with the best design so far");
}

void add_simulator(CLI::App& command, MeasureOptions& options) {
  command
      .add_option("--simulator", options.simulator,
                  "Command that runs a compiled program, whose path is put behind it, and prints what the "
                  "program prints")
      ->required();
  command
      .add_option("--build", options.build,
                  "Command that compiles the programs, run in their folder where some are not compiled")
      ->capture_default_str();
  command.add_option("-j,--jobs", options.jobs, "Simulators at a time, 0 for one per core")
      ->capture_default_str()
      ->check(integer_in(0, 1024));
  add_seconds(command, "--timeout", options.timeout_s,
              "End a simulator that runs a program for longer than this (default: never)");
}

std::vector<CLI::Option*> add_batch(CLI::App& command, BatchLimits& batch) {
  return {
      command.add_option("--batch", batch.measurements, "Gemmini programs: most measurements in one")
          ->capture_default_str()
          ->check(integer_in(1, 4096)),
      command
          .add_option(
              "--batch-cycles", batch.cycles,
              "Gemmini programs: about this many cycles in one, by what the array and the memory take "
              "at least, and what surrounds the calls; a simulator of RTL runs 10 to 30 thousand a second "
              "(default: any)")
          ->check(integer_in(1, kAnyInteger))};
}

void add_target_options(CLI::App& command, TargetOptions& options) {
  options.shipped_surrogate = true;
  command.add_option(
      "--surrogate", options.surrogate,
      "gemmini-rtl: latencies by this surrogate, trained by dosa train (default: the shipped one)");
  command
      .add_option("--kappa", options.kappa,
                  "gemmini-rtl: standard deviations of the prediction that a gain in latency must exceed")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 10.0));
}

std::string text_of(const SearchProgress& now) {
  std::string text = fmt::format("{}  {:.0f} s", now.phase, now.elapsed_s);
  if (now.phase == "descent") text += fmt::format(" {}/{}, ETA {:.0f} s", now.step, now.steps, now.eta_s);
  if (now.layers > 0) text += fmt::format(" layer {}/{}", now.layers_done, now.layers);
  if (std::isfinite(now.best_objective)) {
    text += fmt::format("  best {:.4g}", now.best_objective);
  } else if (now.relaxed_objective > 0) {
    text += fmt::format("  relaxed {:.4g}", now.relaxed_objective);
  }
  return now.hardware.values.empty() ? text
                                     : fmt::format("{}  {}", text, fmt::join(now.hardware.values, "/"));
}

SearchOptions SearchLimits::options_for(const Target& target) const {
  SearchOptions options = target.default_options();
  if (starts > 0) options.starts = starts;
  if (steps > 0) options.steps = steps;
  options.max_evaluations = samples;
  options.time_limit_s = time_s;
  options.threads = threads;
  options.seed = seed;
  return options;
}

TargetOptions without_trust(TargetOptions options) {
  options.kappa = 0;
  return options;
}

CLI::Option* add_baseline(CLI::App& command, std::string& baseline) {
  return command.add_option(
      "--baseline", baseline,
      "gemmini-rtl: compare with the chip that you have, and be no slower than it: 8x64/16 (array, KiB of "
      "scratchpad and accumulator as built; the library's tiles), or a design file with its tiles (default: "
      "the library's tiles on the machine's default)");
}

TargetPtr against(const TargetPtr& target, const std::string& baseline) {
  if (baseline.empty()) return target;
  GivenBaseline given;
  given.name = baseline;
  given.label = "baseline";
  ArraySizes& sizes = given.hardware;
  int end = 0;
  if (std::sscanf(baseline.c_str(), "%8" SCNd64 "x%8" SCNd64 "/%8" SCNd64 "%n", &sizes.pe_dim,
                  &sizes.scratchpad_kib, &sizes.accumulator_kib, &end) == 3 &&
      end == static_cast<int>(baseline.size())) {
    for (const ArraySizeField& field : kArraySizes) {
      if (sizes.*field.value >= 1 && sizes.*field.value <= field.max) continue;
      fail(ErrorId::kValue, "--baseline: {}: {}: found {}, expected 1 to {}", baseline, field.name,
           sizes.*field.value, field.max);
    }
    return gemmini::with_baseline(*target, std::move(given));
  }
  const auto [design, its_target] = load_design(baseline);
  if (!gemmini::is_gemmini(*its_target)) {
    fail(ErrorId::kValue, "--baseline: {}: target: found {}, expected a design for a Gemmini, or 8x64/16",
         baseline, design.target);
  }
  sizes = ArraySizes::of(design.hardware);
  for (const DesignLayer& entry : design.layers)
    given.tiles.emplace_back(entry.layer, gemmini::tile_of(entry.layer, entry.schedule, sizes));
  return gemmini::with_baseline(*target, std::move(given));
}

void warn_of(const Target& target) {
  const std::string remark = gemmini::remark(target);
  if (!remark.empty()) fmt::print(stderr, "dosa: warning: {}\n", printable(remark));
}

void add_remark(const Target& target, Json& json) {
  const std::string remark = gemmini::remark(target);
  if (!remark.empty()) json["remark"] = remark;
}

void add_as_built(const Design& design, const Machine& machine, Json& json, std::string& text) {
  const std::optional<Explanation> built = as_built(design, machine);
  if (!built) return;
  json["as_built"] = built->json;
  text += built->text;
}

const std::atomic<bool>* catch_interrupts() {
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  return &interrupted;
}

bool was_interrupted() { return interrupted; }

}  // namespace dosa::cli
