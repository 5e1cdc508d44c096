#include <algorithm>
#include <memory>

#include "dosa/core/cli/commands.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/targets/gemmini/campaign/disagreement.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::cli {

namespace {

struct SampleFlags {
  std::string workload, folder, surrogate;
  SampleOptions options;
};

/// The surrogate that says what is uncertain; none, with a line on stderr, where none was asked for and the
/// shipped one does not know the hardware.
std::optional<Surrogate> sampling_surrogate(const SampleFlags& flags) {
  if (flags.options.uncertain_share == 0) return std::nullopt;
  if (!flags.surrogate.empty()) return Surrogate::load(flags.surrogate);
  const std::filesystem::path shipped = shipped_surrogate(gemmini::kTarget);
  if (shipped.empty()) {
    fmt::print(stderr, "dosa: no surrogate is shipped for {}: no uncertain tilings in the sample\n",
               gemmini::kTarget);
    return std::nullopt;
  }
  return Surrogate::load(shipped);
}

}  // namespace

void add_sample(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "sample",
      described("Choose tilings of a network's layers to measure on a real Gemmini, and write the programs.",
                {"dosa sample resnet50 --count 200 --seed 1 -o campaign/",
                 "dosa sample unet --surrogate mine.safetensors --uncertain 0.8 -o campaign/",
                 "dosa sample bert --count 50 --pe 8 --scratchpad 64 --accumulator 16 -o campaign/"}));
  const auto flags = std::make_shared<SampleFlags>();
  const auto output = std::make_shared<Output>(*command);
  SampleOptions& options = flags->options;
  add_workload(*command, flags->workload);
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
  command->add_option("--surrogate", flags->surrogate,
                      "Trained by dosa train: says of which tilings it is least sure (default: the shipped "
                      "one where it knows the array)");
  command
      ->add_option("--uncertain", options.uncertain_share,
                   "Of what is drawn, the share of tilings that the surrogate is least sure of, 0 to 1")
      ->capture_default_str();
  command->callback([flags, output] {
    std::string error;
    if (!flags->options.IsValid(&error)) fail(ErrorId::kUsage, "{}", error);
    const std::optional<Surrogate> surrogate = sampling_surrogate(*flags);
    const RtlModel model(load_machine(gemmini::kTarget), surrogate ? &*surrogate : nullptr);
    if (surrogate) {
      flags->options.uncertainty =
          disagreement(model, flags->options.hardware,
                       flags->surrogate.empty() ? std::string("--surrogate") : flags->surrogate);
    }
    const Sample sample = sample_campaign(load_workload(flags->workload), flags->options);
    write_folder(flags->folder, "sample", campaign_files(sample.plan));
    Json left_out = Json::array();
    for (const auto& [layer, reason] : sample.left_out)
      left_out.push_back({{"layer", layer}, {"reason", reason}});
    flags->options.uncertainty = nullptr;  // it refers to the model
    Json kinds = Json::object();
    for (const auto& [tiling, count] : sample.kinds()) kinds[tiling] = count;
    output->print({{"folder", flags->folder},
                   {"measurements", sample.plan.measurements.size()},
                   {"tilings", kinds},
                   {"layers", sample.plan.layers.size()},
                   {"programs", sample.plan.program_count()},
                   {"left_out", left_out}},
                  sample.brief_report());
  });
}

}  // namespace dosa::cli
