#include <memory>

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/explain/search_again.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/progress.hpp"

namespace dosa::cli {
namespace {

struct ExplainFlags {
  std::string design, surrogate;
  MachineChoice machine;
  SearchAgain again;
  bool search_again = false, quiet = false;
  double clock_hz = 0;
};

/// The target of a design with its own surrogate, or that of the flags.
TargetPtr target_with(const ExplainFlags& flags, const Json& provenance, const TargetPtr& target) {
  TargetOptions options;
  options.surrogate = flags.surrogate;
  options.recorded = provenance;
  return make_target(target->shared_machine(), options);
}

void search_again_for(const ExplainFlags& flags, const TargetPtr& target, DesignAnalysis& analysis) {
  ProgressLine line(flags.quiet);
  SearchAgain options = flags.again;
  options.progress = [&](const std::string& text) { line.show(text); };
  options.interrupt = catch_interrupts();
  options.target_with = [&](const NumberChange& change) {
    const MachineChoice changed{flags.machine.name_or_path, joined(flags.machine.set, {change})};
    return target_with(flags, analysis.design.provenance, load_design(flags.design, changed).target);
  };
  search_again(analysis, target, options);
}

void explain(const ExplainFlags& flags, const Output& output) {
  auto [design, target] = load_design(flags.design, flags.machine);
  DesignAnalysis analysis;
  try {
    target = target_with(flags, design.provenance, target);
    warn_of(*target);
    analysis = analyse(std::move(design), *target);
    if (flags.search_again) search_again_for(flags, target, analysis);
  } catch (const Error& error) {
    throw error.in(flags.design);
  }
  Json json = to_json(analysis);
  add_remark(*target, json);
  std::string clocked;
  add_at_clock(analysis.design, flags.clock_hz, json, clocked);
  output.print(json, report(analysis) + clocked);
}

}  // namespace

void add_explain(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "explain",
      described(
          "What limits a design, layer by layer and in all: utilisation, what binds the latency, where the "
          "energy goes, how far it is from its bounds and why; and what 10 % more of every number of the "
          "machine would change.",
          {"dosa explain design.json", "dosa explain design.json --set dram.words_per_cycle=16",
           "dosa explain design.json --resolve 5 --clock 1GHz", "dosa explain design.json --json"}));
  const auto flags = std::make_shared<ExplainFlags>();
  const auto output = std::make_shared<Output>(*command);
  command
      ->add_option("design", flags->design, "A design JSON; of several networks one, as in shared.json:bert")
      ->required();
  add_machine(*command, flags->machine, "--machine",
              "Machine: a shipped name or a file (default: the design's target)");
  add_surrogate_of_design(*command, flags->surrogate);
  command
      ->add_option(
          "--resolve", flags->again.numbers,
          "Search the schedules again with 10 % more and less of this many numbers, those that matter "
          "most to the EDP, on the same hardware, and print it beside the slopes")
      ->check(integer_in(1, 1000))
      ->each([flags](const std::string&) { flags->search_again = true; });
  command
      ->add_option("--max-nests", flags->again.map.max_nests,
                   "With --resolve: most nests to look at for a layer (default: the target's)")
      ->check(integer_in(64, 1'000'000'000'000));
  command
      ->add_option("--samples", flags->again.map.samples, "With --resolve, on chains: evaluations of a layer")
      ->capture_default_str()
      ->check(integer_in(64, 1'000'000'000'000));
  command
      ->add_option("--seed", flags->again.map.seed, "With --resolve, on chains: seed of the random numbers")
      ->capture_default_str()
      ->check(integer_in(0, kAnyInteger));
  add_threads(*command, flags->again.map.threads);
  add_clock(*command, flags->clock_hz);
  command->add_flag("-q,--quiet", flags->quiet, "No progress line");
  command->callback([flags, output] { explain(*flags, *output); });
}

}  // namespace dosa::cli
