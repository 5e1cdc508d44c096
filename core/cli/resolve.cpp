#include "dosa/core/cli/resolve.hpp"

#include "dosa/models/base/progress.hpp"

namespace dosa::cli {

TargetPtr DesignChoice::target_with(const Json& provenance, const MachinePtr& on) const {
  TargetOptions options;
  options.surrogate = surrogate;
  options.recorded = provenance;
  return make_target(on, options);
}

void ResolveFlags::add_to(CLI::App& command) {
  command
      .add_option(
          "--resolve", again.numbers,
          "Search the schedules again with 10 % more and less of this many numbers, those that matter "
          "most to the EDP, on the same hardware, and show it beside the slopes")
      ->check(integer_in(1, 1000))
      ->each([this](const std::string&) { wanted = true; });
  command
      .add_option("--max-nests", again.map.max_nests,
                  "With --resolve: most nests to look at for a layer (default: the target's)")
      ->check(integer_in(64, 1'000'000'000'000));
  command.add_option("--samples", again.map.samples, "With --resolve, on chains: evaluations of a layer")
      ->capture_default_str()
      ->check(integer_in(64, 1'000'000'000'000));
  command.add_option("--seed", again.map.seed, "With --resolve, on chains: seed of the random numbers")
      ->capture_default_str()
      ->check(integer_in(0, kAnyInteger));
  add_threads(command, again.map.threads);
  command.add_flag("-q,--quiet", quiet, "No progress line");
}

void ResolveFlags::search(const DesignChoice& choice, const TargetPtr& target,
                          DesignAnalysis& analysis) const {
  if (!wanted) return;
  ProgressLine line(quiet);
  SearchAgain options = again;
  options.progress = [&](const std::string& text) { line.show(text); };
  options.interrupt = catch_interrupts();
  options.target_with = [&](const NumberChange& change) {
    const MachineChoice changed{choice.machine.name_or_path, joined(choice.machine.set, {change})};
    return choice.target_with(analysis.design.provenance,
                              load_design(choice.path, changed).target->shared_machine());
  };
  search_again(analysis, target, options);
}

}  // namespace dosa::cli
