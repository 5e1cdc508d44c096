#include <memory>

#include "dosa/core/cli/resolve.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::cli {
namespace {

struct ExplainFlags {
  DesignChoice design;
  ResolveFlags resolve;
  double clock_hz = 0;
};

void explain(const ExplainFlags& flags, const Output& output) {
  auto [design, target] = load_design(flags.design.path, flags.design.machine);
  DesignAnalysis analysis;
  try {
    target = flags.design.target_with(design.provenance, target->shared_machine());
    warn_of(*target);
    analysis = analyse(std::move(design), *target);
    flags.resolve.search(flags.design, target, analysis);
  } catch (const Error& error) {
    throw error.in(flags.design.path);
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
      ->add_option("design", flags->design.path,
                   "A design JSON; of several networks one, as in shared.json:bert")
      ->required();
  add_machine(*command, flags->design.machine, "--machine",
              "Machine: a shipped name or a file (default: the design's target)");
  add_surrogate_of_design(*command, flags->design.surrogate);
  flags->resolve.add_to(*command);
  add_clock(*command, flags->clock_hz);
  command->callback([flags, output] { explain(*flags, *output); });
}

}  // namespace dosa::cli
