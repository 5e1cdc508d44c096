#include <filesystem>
#include <memory>

#include "dosa/core/cli/pareto.hpp"
#include "dosa/core/cli/resolve.hpp"
#include "dosa/core/cli/write_report.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa::cli {
namespace {

struct ReportFlags {
  DesignChoice design;
  std::string page, baseline;
  ResolveFlags resolve;
  double clock_hz = 0;
};

/// A page on the front in a folder of dosa optimize --pareto.
void report_on_front(const ReportFlags& flags, const Output& output) {
  const MachineChoice& machine = flags.design.machine;
  if (!machine.name_or_path.empty() || !machine.set.empty() || !flags.design.surrogate.empty() ||
      !flags.baseline.empty() || flags.resolve.wanted || flags.clock_hz > 0)
    fail(ErrorId::kUsage, "{} is a folder: of a front only --output is taken", flags.design.path);
  write_file(flags.page, html::document(html::front_page(read_front(flags.design.path))));
  output.print({{"design", flags.design.path}, {"report", flags.page}},
               fmt::format("written: {}\n", flags.page));
}

void report_on(const ReportFlags& flags, const Output& output) {
  check_writable(flags.page);
  if (std::filesystem::is_directory(flags.design.path)) return report_on_front(flags, output);
  const std::string& path = flags.design.path;
  LoadedDesigns loaded = load_designs(path, flags.design.machine);
  const Design& first = loaded.shared.networks.front().design;
  TargetPtr target;
  try {
    target =
        against(flags.design.target_with(first.provenance, loaded.target->shared_machine()), flags.baseline);
    KnownOfSearch known;
    known.on_other_machine = !flags.design.machine.name_or_path.empty() || !flags.design.machine.set.empty();
    known.clock_hz = flags.clock_hz;
    if (loaded.is_shared) {
      if (flags.resolve.wanted)
        fail(ErrorId::kUsage, "--resolve is of one network, here are {}", loaded.shared.networks.size());
      write_report(loaded.shared, *target, known, flags.page);
    } else {
      DesignAnalysis analysis = analyse(first, *target);
      flags.resolve.search(flags.design, target, analysis);
      write_report(analysis, *target, known, flags.page);
    }
  } catch (const Error& error) {
    throw error.in(path);
  }
  warn_of(*target);
  output.print({{"design", path}, {"report", flags.page}}, fmt::format("written: {}\n", flags.page));
}

}  // namespace

void add_report(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "report",
      described("One page on a design: what limits it, its hardware, its layers, what a change would "
                "do. The file is HTML, needs no network, and prints.",
                {"dosa report design.json -o report.html",
                 "dosa report design.json --clock 1GHz --resolve 5 -o report.html",
                 "dosa report design.json --set dram.words_per_cycle=16 -o faster.html",
                 "dosa report front -o front.html"}));
  const auto flags = std::make_shared<ReportFlags>();
  const auto output = std::make_shared<Output>(*command);
  command
      ->add_option("design", flags->design.path,
                   "A design file of dosa optimize, of one network or several; of several one, as in "
                   "shared.json:bert; or a folder of dosa optimize --pareto")
      ->required();
  command->add_option("-o,--output", flags->page, "Write the page to this file")->required();
  add_machine(*command, flags->design.machine, "--machine",
              "Machine: a shipped name or a file (default: the design's target)");
  add_surrogate_of_design(*command, flags->design.surrogate);
  add_baseline(*command, flags->baseline);
  add_clock(*command, flags->clock_hz);
  flags->resolve.add_to(*command);
  command->callback([flags, output] { report_on(*flags, *output); });
}

}  // namespace dosa::cli
