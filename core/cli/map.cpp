#include <memory>

#include "core/cli/commands.hpp"
#include "models/error.hpp"
#include "models/gemmini.hpp"
#include "models/workload.hpp"

namespace dosa::cli {

void add_map(CLI::App& app) {
  struct Flags {
    std::string workload;
    bool use_default = false;
    Hardware hardware{16, 256, 64};
  };
  CLI::App* command = app.add_subcommand(
      "map",
      described("Map a network's layers onto given hardware, without a search.",
                {"dosa map resnet50 --default", "dosa map bert --default --pe 32 --scratchpad 1024 --json"}));
  const auto flags = std::make_shared<Flags>();
  const auto output = std::make_shared<Output>(*command);
  command->add_option("workload", flags->workload, "A shipped network's name or a workload JSON or YAML file")
      ->required();
  command
      ->add_flag("--default", flags->use_default,
                 "The tiling that Gemmini's own C library picks (gemmini-rtl)")
      ->required();
  command->add_option("--pe", flags->hardware.pe_dim, "Array size")->capture_default_str();
  command->add_option("--scratchpad", flags->hardware.scratchpad_kib, "Scratchpad as built, KiB")
      ->capture_default_str();
  command->add_option("--accumulator", flags->hardware.accumulator_kib, "Accumulator as built, KiB")
      ->capture_default_str();
  command->callback([flags, output] {
    const Hardware& built = flags->hardware;
    const auto violations = gemmini::check_hardware(built);
    if (!violations.empty()) fail(ErrorId::kValue, "hardware: {}", gemmini::summary(violations));
    const Workload workload = load_workload(flags->workload);
    const gemmini::Params params = gemmini::params_of(built);
    Json layers = Json::array();
    std::string text =
        fmt::format("{:<24} {:>5} {:>10} {:>11}  tile\n", "layer", "count", "scratchpad", "accumulator");
    for (const Layer& layer : workload.layers) {
      const gemmini::Tile tile = gemmini::default_tile(layer, built);
      const gemmini::Rows rows = gemmini::rows_needed(layer, tile, built.pe_dim);
      const auto share = [](std::int64_t used, std::int64_t all) {
        return 100 * static_cast<double>(used) / static_cast<double>(all);
      };
      // The library itself can pick what the hardware never finishes.
      const std::string problem = gemmini::summary(gemmini::check_tile(layer, built, tile));
      layers.push_back({{"name", layer.name},
                        {"count", layer.count},
                        {"tile", gemmini::to_json(tile)},
                        {"scratchpad_rows", rows.scratchpad},
                        {"accumulator_rows", rows.accumulator}});
      if (!problem.empty()) layers.back()["problem"] = problem;
      text += fmt::format("{:<24} {:>5} {:>9.0f}% {:>10.0f}%  {}{}\n", layer.name, layer.count,
                          share(rows.scratchpad, params.scratchpad_rows_per_tile()),
                          share(rows.accumulator, params.accumulator_rows_per_tile()),
                          gemmini::to_string(tile), problem.empty() ? "" : "  " + problem);
    }
    output->print({{"workload", workload.name}, {"hardware", to_json(built)}, {"layers", layers}}, text);
  });
}

}  // namespace dosa::cli
