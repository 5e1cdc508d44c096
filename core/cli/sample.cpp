#include <algorithm>
#include <memory>

#include "dosa/core/cli/commands.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/targets/gemmini/campaign/disagreement.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::cli {

namespace {

struct SampleFlags {
  std::string workload, folder, surrogate, tilings, library;
  SampleOptions options;
  ArraySizes given{0, 0, 0};  ///< sizes that the user gave
};

/// The surrogate that says what is uncertain; none, with a line on stderr, where none was asked for and none
/// is shipped.
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

std::optional<gemmini::LibraryVersion> library_of(const SampleFlags& flags) {
  return gemmini::given_library(flags.library, "--library");
}

Sample drawn_sample(SampleFlags& flags) {
  if (flags.workload.empty()) fail(ErrorId::kUsage, "a network is missing, or --tilings with a table");
  for (const ArraySizeField& field : kArraySizes) {
    if (flags.given.*field.value > 0) flags.options.hardware.*field.value = flags.given.*field.value;
  }
  if (const auto library = library_of(flags)) flags.options.library = *library;
  std::string error;
  if (!flags.options.is_valid(&error)) fail(ErrorId::kUsage, "{}", error);
  const std::optional<Surrogate> surrogate = sampling_surrogate(flags);
  ArrayMachine machine = load_array_machine(gemmini::kTarget);
  machine.library = flags.options.library.month();
  const RtlModel model(machine, surrogate ? &*surrogate : nullptr);
  if (surrogate) {
    flags.options.uncertainty =
        disagreement(model, flags.options.hardware,
                     flags.surrogate.empty() ? std::string("--surrogate") : flags.surrogate);
  }
  Sample sample = sample_campaign(network_of(flags.workload), flags.options);
  flags.options.uncertainty = nullptr;  // it refers to the model
  return sample;
}

Sample listed_sample(const SampleFlags& flags) {
  std::optional<Workload> network;
  if (!flags.workload.empty()) network = network_of(flags.workload);
  return sample_tilings(
      {flags.tilings, flags.given, library_of(flags), network ? &*network : nullptr, flags.options.batch});
}

void run_sample(SampleFlags& flags, const Output& output) {
  const Sample sample = flags.tilings.empty() ? drawn_sample(flags) : listed_sample(flags);
  write_folder(flags.folder, "sample", campaign_files(sample.plan));
  Json left_out = Json::array();
  for (const auto& [layer, reason] : sample.left_out)
    left_out.push_back({{"layer", layer}, {"reason", reason}});
  Json kinds = Json::object();
  for (const auto& [tiling, count] : sample.kinds()) kinds[tiling] = count;
  output.print({{"folder", flags.folder},
                {"measurements", sample.plan.measurements.size()},
                {"tilings", kinds},
                {"layers", sample.plan.layers.size()},
                {"programs", sample.plan.programs().size()},
                {"library", sample.plan.library.month()},
                {"left_out", left_out},
                {"repeated", sample.repeated},
                {"warnings", sample.warnings()}},
               sample.brief_report());
}

}  // namespace

void add_sample(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "sample",
      described("Choose tilings of a network's layers to measure on a real Gemmini, and write the programs.",
                {"dosa sample resnet50 --count 200 --seed 1 -o campaign/",
                 "dosa sample unet --surrogate mine.safetensors --uncertain 0.8 -o campaign/",
                 "dosa sample bert --count 50 --pe 8 --scratchpad 64 --accumulator 16 -o campaign/",
                 "dosa sample resnet50 --library 2023-04 -o campaign/",
                 "dosa sample --tilings next.csv -o next/"}));
  const auto flags = std::make_shared<SampleFlags>();
  const auto output = std::make_shared<Output>(*command);
  SampleOptions& options = flags->options;
  add_workload(*command, flags->workload,
               "A shipped network's name (see dosa workloads) or a workload JSON or YAML file; with "
               "--tilings it only names the layers and may be left out");
  command->add_option("-o,--output", flags->folder, "New folder, or an earlier sample to replace")
      ->required();
  CLI::Option* tilings = command->add_option(
      "--tilings", flags->tilings,
      "Draw nothing: measure the tilings of this CSV, for example of dosa train --active --proposals");
  const auto drawn = [&](CLI::Option* option) { option->capture_default_str()->excludes(tilings); };
  drawn(command->add_option("--count", options.count, "Measurements in all"));
  drawn(command->add_option("--seed", options.seed, "The same seed gives the same sample"));
  const ArraySizes standard = options.hardware;
  const auto add_size = [&](const char* name, std::int64_t ArraySizes::*size, const char* meaning) {
    command
        ->add_option(name, flags->given.*size,
                     fmt::format("{} (default: {}, or as in --tilings)", meaning, standard.*size))
        ->check(integer_in(1, kMaxKib));
  };
  add_size("--pe", &ArraySizes::pe_dim, "Array size of the Gemmini to measure on");
  add_size("--scratchpad", &ArraySizes::scratchpad_kib, "Its scratchpad as built, KiB");
  add_size("--accumulator", &ArraySizes::accumulator_kib, "Its accumulator as built, KiB");
  command->add_option(
      "--library", flags->library,
      fmt::format(
          "Month of the gemmini-rocc-tests that the programs are compiled with; since 2023-05 it keeps "
          "operands in the scratchpad (default: {}, or as in --tilings)",
          gemmini::kTodaysLibrary));
  drawn(
      command->add_option("--max-macs", options.max_macs, "Leave out layers with more multiply-accumulates"));
  command
      ->add_option("--surrogate", flags->surrogate,
                   "Trained by dosa train: says of which tilings it is least sure (default: the shipped "
                   "one)")
      ->excludes(tilings);
  drawn(command->add_option(
      "--uncertain", options.uncertain_share,
      "Of what is drawn, the share of tilings that the surrogate is least sure of, 0 to 1"));
  add_batch(*command, options.batch);
  command->callback([flags, output] { run_sample(*flags, *output); });
}

}  // namespace dosa::cli
