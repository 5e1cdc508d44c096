#include "dosa/core/targets/gemmini/campaign/campaign.hpp"

#include <memory>

#include "dosa/core/cli/commands.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/models/base/progress.hpp"

namespace dosa::cli {
namespace {

struct CampaignFlags {
  std::string workload, folder;
  CampaignOptions options;
  bool quiet = false;
};

void run_campaign_command(const CampaignFlags& flags, const Output& output) {
  const Workload workload = network_of(flags.workload);
  CampaignHooks hooks;
  hooks.interrupt = catch_interrupts();
  ProgressLine line(flags.quiet);
  hooks.say = [&](const std::string& text) {
    line.finish();
    if (!flags.quiet) fmt::print(stderr, "{}\n", text);
  };
  hooks.progress = [&](const MeasureProgress& now) { line.show(text_of(now)); };
  const CampaignResult result = run_campaign(workload, flags.options, flags.folder, hooks);
  line.finish();
  if (result.interrupted) {
    output.print({{"interrupted", true}, {"folder", flags.folder}},
                 fmt::format("interrupted; the same command goes on in {}\n", flags.folder));
    return;
  }
  output.print(result.json, result.text + fmt::format("written to {}: design.json, measurements.csv, "
                                                      "surrogate.safetensors, report.json, report.txt\n",
                                                      flags.folder));
  if (!result.is_complete) end_with(kIncomplete);
}

}  // namespace

void add_campaign(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "campaign",
      described(
          "Find a design whose gain over the default is a measured one: sample tilings, run them on a "
          "simulator or board, train, optimise, and run what the search proposes, until all of it is "
          "measured. The same command again goes on with the folder.",
          {"dosa campaign bert --simulator './simulator-chipyard +permissive +permissive-off' --budget 200 "
           "--jobs 8 -o bert/",
           "dosa campaign my_network.json --simulator 'spike --extension=gemmini' --pe 8 --scratchpad 64 "
           "--accumulator 16 --from-scratch -o mine/"}));
  const auto flags = std::make_shared<CampaignFlags>();
  const auto output = std::make_shared<Output>(*command);
  CampaignOptions& o = flags->options;
  add_workload(*command, flags->workload,
               "A shipped network's name (see dosa workloads), a workload JSON or YAML file, or a file of "
               "another program (see dosa import)")
      ->required();
  command->add_option("-o,--output", flags->folder, "New folder, or that of the campaign to go on with")
      ->required();
  add_machine(*command, o.machine, "--machine",
              "Machine of Gemmini's rules: a shipped name or a file, whose energies and areas, and whose "
              "library, which the programs are compiled with")
      ->capture_default_str();
  add_simulator(*command, o.run);
  command->add_option("--budget", o.budget, "Measurements in all")
      ->capture_default_str()
      ->check(integer_in(2, 100'000));
  const auto add_size = [&](const char* name, std::int64_t ArraySizes::*size, const char* meaning) {
    command->add_option(name, o.hardware.*size, meaning)
        ->capture_default_str()
        ->check(integer_in(1, kMaxKib));
  };
  add_size("--pe", &ArraySizes::pe_dim, "Array size of the Gemmini that is simulated, and of the design");
  add_size("--scratchpad", &ArraySizes::scratchpad_kib,
           "Its scratchpad as built, KiB; the design has at most that (cycles depend on the tile, not on the "
           "capacity, so one large Gemmini measures for all smaller ones)");
  add_size("--accumulator", &ArraySizes::accumulator_kib, "Its accumulator as built, KiB; likewise");
  CLI::Option* surrogate =
      command->add_option("--surrogate", o.surrogate, "Fine-tune this surrogate (default: the shipped one)");
  command->add_flag("--from-scratch", o.from_scratch, "Train on the campaign's measurements alone")
      ->excludes(surrogate);
  add_objective(*command, o.objective);
  command
      ->add_option("--kappa", o.kappa,
                   "Standard deviations of the prediction that a gain in latency must exceed")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 10.0));
  command->add_option("--max-macs", o.max_macs, "Measure no layers with more multiply-accumulates")
      ->capture_default_str();
  command->add_option("--seed", o.seed, "Of sample, training and search")->capture_default_str();
  add_threads(*command, o.threads);
  add_batch(*command, o.batch);
  command->add_flag("-q,--quiet", flags->quiet, "No progress");
  command->callback([flags, output] { run_campaign_command(*flags, *output); });
}

}  // namespace dosa::cli
