#include <memory>

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/cli/write_report.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa::cli {
namespace {

struct ReportFlags {
  std::string design, page, surrogate, baseline;
  MachineChoice machine;
};

void report_on(const ReportFlags& flags, const Output& output) {
  check_writable(flags.page);
  auto [design, target] = load_design(flags.design, flags.machine);
  try {
    TargetOptions options;
    options.surrogate = flags.surrogate;
    options.recorded = design.provenance;
    target = against(make_target(target->shared_machine(), options), flags.baseline);
    KnownOfSearch known;
    known.on_other_machine = !flags.machine.name_or_path.empty() || !flags.machine.set.empty();
    write_report(design, *target, known, flags.page);
  } catch (const Error& error) {
    throw error.in(flags.design);
  }
  warn_of(*target);
  output.print({{"design", flags.design}, {"report", flags.page}}, fmt::format("written: {}\n", flags.page));
}

}  // namespace

void add_report(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "report",
      described("One page on a design: what limits it, its hardware, its layers, what a change would "
                "do. The file is HTML, needs no network, and prints.",
                {"dosa report design.json -o report.html",
                 "dosa report design.json --set dram.words_per_cycle=16 -o faster.html"}));
  const auto flags = std::make_shared<ReportFlags>();
  const auto output = std::make_shared<Output>(*command);
  command
      ->add_option("design", flags->design,
                   "A design file of dosa optimize; of several networks one, as in shared.json:bert")
      ->required();
  command->add_option("-o,--output", flags->page, "Write the page to this file")->required();
  add_machine(*command, flags->machine, "--machine",
              "Machine: a shipped name or a file (default: the design's target)");
  add_surrogate_of_design(*command, flags->surrogate);
  add_baseline(*command, flags->baseline);
  command->callback([flags, output] { report_on(*flags, *output); });
}

}  // namespace dosa::cli
