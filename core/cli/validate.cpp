#include "dosa/core/design/validate.hpp"

#include <memory>

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/import/file_kind.hpp"
#include "dosa/core/targets/array_target.hpp"
#include "dosa/core/targets/gemmini/measurements.hpp"
#include "dosa/core/targets/gemmini/validate_surrogate.hpp"

namespace dosa::cli {

void add_validate(CLI::App& app) {
  struct Flags {
    MachineChoice machine = "gemmini-tl";
    std::string table, surrogate, library;
    bool measurements = false;
    std::size_t worst = 5;
  };
  CLI::App* command = app.add_subcommand(
      "validate",
      described("Compare the model with a CSV table (.csv or .csv.gz) of reference results.",
                {"dosa validate timeloop_train.csv.gz", "dosa validate table.csv --worst 20 --json",
                 "dosa validate simba.csv.gz --machine simba",
                 "dosa validate measurements.csv --surrogate gemmini.safetensors"}));
  const auto flags = std::make_shared<Flags>();
  const auto output = std::make_shared<Output>(*command);
  command->add_option("table", flags->table, "Mappings with cycles and energy, one a line")->required();
  add_machine(*command, flags->machine, "--machine", "Machine the mappings run on: a shipped name or a file")
      ->capture_default_str();
  command->add_option("--worst", flags->worst, "How many of the worst rows to list")
      ->capture_default_str()
      ->check(integer_in(0, kAnyInteger));
  command->add_option("--surrogate", flags->surrogate,
                      "Compare this surrogate with measured latencies instead");
  command->add_flag("--measured", flags->measurements,
                    "Compare the analytical roofline with measured latencies instead");
  command
      ->add_option("--library", flags->library,
                   "Measured latencies: month of the gemmini-rocc-tests that ran, for rows that do not say")
      ->default_str(gemmini::kTodaysLibrary);
  command->callback([flags, output] {
    expect_kind(flags->table, Wanted::kTable);
    if (flags->measurements || !flags->surrogate.empty()) {
      const SurrogateValidation v = validate_surrogate(flags->table, flags->surrogate,
                                                       gemmini::given_library(flags->library, "--library"));
      return output->print(v.to_json(), v.full_report());
    }
    const MachinePtr machine = load_machine(flags->machine);
    const auto* chain = dynamic_cast<const Chain*>(machine.get());
    const ValidationReport report =
        chain != nullptr ? validate_table(flags->table, *chain, flags->worst)
                         : validate_table(flags->table, *as_array_machine(machine, "validate"), flags->worst);
    output->print(report.to_json(), report.full_report());
  });
}

}  // namespace dosa::cli
