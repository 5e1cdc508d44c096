#include "core/measure/sample.hpp"

#include <memory>

#include "core/cli/commands.hpp"
#include "models/error.hpp"

namespace dosa::cli {

void add_sample(CLI::App& app) {
  struct Flags {
    std::string workload, folder;
    SampleOptions options;
  };
  CLI::App* command = app.add_subcommand(
      "sample",
      described("Choose tilings of a network's layers to measure on a real Gemmini, and write the programs.",
                {"dosa sample resnet50 --count 200 --seed 1 -o campaign/",
                 "dosa sample bert --count 50 --pe 8 --scratchpad 64 --accumulator 16 -o campaign/"}));
  const auto flags = std::make_shared<Flags>();
  const auto output = std::make_shared<Output>(*command);
  SampleOptions& options = flags->options;
  command->add_option("workload", flags->workload, "A shipped network's name or a workload JSON or YAML file")
      ->required();
  command->add_option("-o,--output", flags->folder, "New folder, or an earlier sample to replace")
      ->required();
  command->add_option("--count", options.count, "Measurements in all")->capture_default_str();
  command->add_option("--seed", options.seed, "The same seed gives the same sample")->capture_default_str();
  command->add_option("--pe", options.hardware.pe_dim, "Array size of the Gemmini to measure on")
      ->capture_default_str();
  command->add_option("--scratchpad", options.hardware.scratchpad_kib, "Its scratchpad as built, KiB")
      ->capture_default_str();
  command->add_option("--accumulator", options.hardware.accumulator_kib, "Its accumulator as built, KiB")
      ->capture_default_str();
  command->add_option("--max-macs", options.max_macs, "Leave out layers with more multiply-accumulates")
      ->capture_default_str();
  command->callback([flags, output] {
    std::string error;
    if (!flags->options.IsValid(&error)) fail(ErrorId::kUsage, "{}", error);
    const Sample sample = sample_campaign(load_workload(flags->workload), flags->options);
    write_folder(flags->folder, "sample", campaign_files(sample.plan));
    Json left_out = Json::array();
    for (const auto& [layer, reason] : sample.left_out)
      left_out.push_back({{"layer", layer}, {"reason", reason}});
    output->print({{"folder", flags->folder},
                   {"measurements", sample.plan.measurements.size()},
                   {"layers", sample.plan.layers.size()},
                   {"programs", sample.plan.program_count()},
                   {"left_out", left_out}},
                  sample.brief_report());
  });
}

}  // namespace dosa::cli
