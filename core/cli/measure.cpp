#include <memory>

#include "dosa/core/cli/commands.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/progress.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::cli {

std::string text_of(const MeasureProgress& now) {
  std::string text =
      fmt::format("{}/{}, {} running", now.done, counted(now.programs, "program"), now.running);
  if (now.failed > 0) text += fmt::format(", {} failed", now.failed);
  text += fmt::format("  {}  {:.0f} s", counted(now.measurements, "measurement"), now.elapsed_s);
  return now.eta_s > 0 ? text + fmt::format(", ETA {:.0f} s", now.eta_s) : text;
}

namespace {

struct MeasureFlags {
  std::string folder, output;
  MeasureOptions options;
  bool quiet = false;
};

void run_measure(const MeasureFlags& flags, const Output& output) {
  const std::filesystem::path folder = flags.folder;
  const std::filesystem::path table =
      flags.output.empty() ? folder / "measurements.csv" : std::filesystem::path(flags.output);
  const Plan plan = plan_in(folder);
  check_writable(table);
  const std::atomic<bool>* interrupted = catch_interrupts();
  Measured measured;
  {
    ProgressLine line(flags.quiet);
    measured = measure(
        folder, flags.options, [&](const MeasureProgress& now) { line.show(text_of(now)); }, interrupted);
  }
  Json json = measured.json();
  std::string text = measured.report();
  if (measured.collected.rows.empty()) {
    text += "nothing was measured: no table is written\n";
  } else {
    write_file(table, collected_csv(plan, measured.collected));
    json["output"] = table.string();
    text += fmt::format("written: {}\n", table.string());
  }
  output.print(json, text);
  if (!measured.is_complete()) end_with(kIncomplete);
}

}  // namespace

void add_measure(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "measure",
      described(
          "Run the programs of dosa sample or dosa export on a simulator or board, and collect what they "
          "print as measurements. What is complete is kept: the same command again runs the rest.",
          {"dosa measure campaign/ --simulator './simulator-chipyard +permissive +permissive-off' --jobs 8",
           "dosa measure campaign/ --simulator 'spike --extension=gemmini' --timeout 10m -o rows.csv"}));
  const auto flags = std::make_shared<MeasureFlags>();
  const auto output = std::make_shared<Output>(*command);
  command->add_option("plan", flags->folder, "Folder of dosa sample or dosa export --format gemmini")
      ->required();
  command->add_option("-o,--output", flags->output,
                      "Measurements CSV to write (default: measurements.csv in the folder)");
  add_simulator(*command, flags->options);
  command->add_option(
      "--programs", flags->options.programs,
      "Folder of the compiled programs, dosa_batch_000-baremetal and so on (default: the plan's)");
  command->add_flag("--restart", flags->options.restart, "Forget the logs of earlier runs");
  command->add_flag("-q,--quiet", flags->quiet, "No progress line");
  command->callback([flags, output] { run_measure(*flags, *output); });
}

}  // namespace dosa::cli
