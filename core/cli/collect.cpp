#include "dosa/core/targets/gemmini/campaign/collect.hpp"

#include <memory>

#include "dosa/core/cli/commands.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa::cli {

void add_collect(CLI::App& app) {
  struct Flags {
    std::string log, plan, output;
  };
  CLI::App* command = app.add_subcommand(
      "collect", described("Turn the log of a measurement campaign into a measurements CSV for dosa train.",
                           {"dosa collect uart.log --plan out/plan.json -o measurements.csv"}));
  const auto flags = std::make_shared<Flags>();
  const auto output = std::make_shared<Output>(*command);
  command->add_option("log", flags->log, "What the programs printed, with whatever else is in it")
      ->required();
  command->add_option("--plan", flags->plan, "plan.json of the export or sample that was run")->required();
  command->add_option("-o,--output", flags->output, "Measurements CSV to write")->required();
  command->callback([flags, output] {
    check_writable(flags->output);
    const Plan plan = plan_from_json(JsonInput::from_file(flags->plan));
    const Collected collected = collect(plan, read_file(flags->log));
    try {
      write_file(flags->output, collected_csv(plan, collected));
    } catch (const Error& error) {
      throw error.id() == ErrorId::kValue ? error.in(flags->log) : error;
    }
    output->print(collected.to_json(), collected.full_report());
  });
}

}  // namespace dosa::cli
