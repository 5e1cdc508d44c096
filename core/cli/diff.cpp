#include "dosa/core/explain/diff.hpp"

#include <memory>

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::cli {
namespace {

struct DiffFlags {
  std::string first, second;
  MachineChoice machine;
};

DesignAnalysis analysis_of(const std::string& path, const MachineChoice& machine) {
  auto [design, target] = load_design(path, machine);
  try {
    TargetOptions options;
    options.recorded = design.provenance;
    target = make_target(target->shared_machine(), options);
    warn_of(*target);
    print_remarks(cpu_remarks(design));
    return analyse(std::move(design), *target);
  } catch (const Error& error) {
    throw error.in(path);
  }
}

}  // namespace

void add_diff(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "diff",
      described(
          "Two designs side by side: hardware, totals, and per layer what changed and why. With --machine "
          "or --set the second one (where none is given, the first one again) is costed on that machine.",
          {"dosa diff before.json after.json", "dosa diff design.json --set dram.words_per_cycle=16",
           "dosa diff design.json --machine my_dram.json --json"}));
  const auto flags = std::make_shared<DiffFlags>();
  const auto output = std::make_shared<Output>(*command);
  command->add_option("first", flags->first, "A design JSON; of several networks one, as in shared.json:bert")
      ->required();
  command->add_option("second", flags->second, "Another one (default: the first, on another machine)");
  add_machine(*command, flags->machine, "--machine",
              "Machine of the second: a shipped name or a file (default: the design's target)");
  command->callback([flags, output] {
    if (flags->second.empty() && flags->machine.name_or_path.empty() && flags->machine.set.empty()) {
      fail(ErrorId::kUsage,
           "diff: found one design and no --machine or --set, expected what to compare it with");
    }
    const std::string& second = flags->second.empty() ? flags->first : flags->second;
    const DesignDifference found =
        difference(analysis_of(flags->first, {}), analysis_of(second, flags->machine));
    output->print(to_json(found), report(found));
  });
}

}  // namespace dosa::cli
