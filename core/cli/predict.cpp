#include <memory>

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/design/design.hpp"
#include "dosa/core/targets/gemmini/machine_file.hpp"
#include "dosa/core/targets/gemmini/model.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/table.hpp"

namespace dosa::cli {
namespace {

struct PredictFlags {
  std::string design, surrogate;
  MachineChoice machine;
  double sigmas = 1;
};

/// How a layer runs: by its tile on a real Gemmini, else by all factors inside the DRAM loops of its mapping.
gemmini::Tile tile_on(const DesignLayer& entry, const Design& design, const Target& target) {
  if (gemmini::is_gemmini(target))
    return gemmini::tile_of(entry.layer, entry.schedule, ArraySizes::of(design.hardware));
  const Mapping mapping = target.as_mapping(entry.layer, entry.schedule, design.hardware).mapping;
  const int dram = as_array_machine(target.shared_machine(), "predict")->dram();
  gemmini::Tile tile;
  tile.call = entry.layer.is_matmul() ? gemmini::Call::kMatmul : gemmini::Call::kConv;
  for (const Dim dim : all_dims()) {
    tile[dim] = mapping.spatial(dram, dim);
    for (int level = 0; level < dram; ++level)
      tile[dim] *= mapping.temporal(level, dim) * mapping.spatial(level, dim);
    tile[dim] = std::min(tile[dim], entry.layer[dim]);  // the library pads no tile
  }
  return tile;
}

/// The surrogate of a file, for the DRAM of the target.
Surrogate surrogate_of(const std::string& path, const Target& target) {
  const Surrogate surrogate = Surrogate::load(path);
  try {
    return surrogate.for_dram(
        gemmini::dram_words_per_cycle(*as_array_machine(target.shared_machine(), "predict")));
  } catch (const Error& error) {
    throw error.in(fmt::format("machine {}", target.machine().name));
  }
}

void run_predict(const PredictFlags& flags, const Output& output) {
  auto [design, target] = load_design(flags.design, flags.machine);
  const Surrogate surrogate = surrogate_of(flags.surrogate, *target);
  try {
    evaluate(design, *target);
  } catch (const Error& error) {
    throw error.in(flags.design);
  }
  const RtlModel model(*as_array_machine(target->shared_machine(), "predict"), &surrogate);
  std::vector<LayerRun> runs;
  std::vector<torch::Tensor> tiles;
  for (const DesignLayer& entry : design.layers) {
    const gemmini::Tile tile = tile_on(entry, design, *target);
    runs.push_back(model.run(entry.layer, tile.call));
    tiles.push_back(to_tensor(tile));
  }
  const ArraySizes built = ArraySizes::of(design.hardware);
  const torch::NoGradGuard no_grad;
  const RunBatch batch = surrogate.batch(runs);
  const torch::Tensor tile = torch::stack(tiles);
  const torch::Tensor pe_dim = torch::full({}, static_cast<double>(built.pe_dim), torch::kFloat64);
  const torch::Tensor hangs = executed_counts(tile, pe_dim, batch, false).hangs;
  const Estimate e = surrogate.predict(tile, pe_dim, batch, false);
  Json json{{"design", flags.design}, {"surrogate", flags.surrogate}, {"layers", Json::array()}};
  Table table({{"layer", ColumnKind::kName},
               {"runs"},
               {"analytical"},
               {"predicted"},
               {"+-"},
               {"dominated by", ColumnKind::kText}});
  std::vector<OutsideMeasured> outside;  // by layer
  double analytical = 0, predicted = 0;
  for (std::size_t i = 0; i < design.layers.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    const DesignLayer& entry = design.layers[i];
    const Layer& layer = entry.layer;
    if (hangs[row].item<double>() > 0) {
      fail(ErrorId::kMapping,
           "{}: layer '{}': a tile lies wholly inside the padding; Gemmini never finishes it", flags.design,
           layer.name);
    }
    outside.push_back(surrogate.outside(runs[i], built.pe_dim));
    const auto groups = static_cast<double>(layer.groups);
    const double cycles = groups * std::exp(e.log_cycles[row].item<double>());
    const double log_sd = std::max(outside.back().least_log_sd(), e.log_sd[row].item<double>());
    const double spread = std::expm1(flags.sigmas * log_sd);
    const std::string dominant = dominant_part(e.base, row);
    const double count = static_cast<double>(layer.count);
    analytical += count * entry.costs.cycles;
    predicted += count * cycles;
    Json one{{"name", layer.name},         {"count", layer.count},  {"analytical_cycles", entry.costs.cycles},
             {"predicted_cycles", cycles}, {"relative_sd", spread}, {"dominated_by", dominant}};
    if (e.floor.defined()) one["floor_cycles"] = groups * e.floor[row].item<double>();
    if (outside.back().any()) one["outside_measured"] = to_json(outside.back());
    json["layers"].push_back(one);
    table.row({layer.name, fmt::format("{}", layer.count), fmt::format("{:.0f}", entry.costs.cycles),
               fmt::format("{:.0f}", cycles), fmt::format("{:.1f}%", 100 * spread), dominant});
  }
  json["analytical_cycles"] = analytical;
  json["predicted_cycles"] = predicted;
  json["energy_uj"] = design.totals.energy_uj;
  json["predicted_edp"] = predicted * design.totals.energy_uj;
  table.row({"network", "", fmt::format("{:.0f}", analytical), fmt::format("{:.0f}", predicted)});
  print_remarks(cpu_remarks(design));
  output.print(json,
               table.text() +
                   fmt::format("predicted EDP {:.6g} uJ*cycles\n", predicted * design.totals.energy_uj) +
                   text_of(outside));
}

}  // namespace

void add_predict(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "predict", described("Latency of a design on real hardware, as a surrogate predicts it.",
                           {"dosa predict design.json --surrogate gemmini.safetensors"}));
  const auto flags = std::make_shared<PredictFlags>();
  const auto output = std::make_shared<Output>(*command);
  command
      ->add_option("design", flags->design, "A design JSON; of several networks one, as in shared.json:bert")
      ->required();
  add_machine(*command, flags->machine, "--machine",
              "Machine: a shipped name or a file (default: the design's target)");
  command->add_option("--surrogate", flags->surrogate, "Trained by dosa train (default: the shipped one)");
  command->add_option("--sigmas", flags->sigmas, "Standard deviations of the uncertainty that is shown")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 10.0));
  command->callback([flags, output] {
    if (flags->surrogate.empty()) flags->surrogate = shipped_surrogate(gemmini::kTarget).string();
    run_predict(*flags, *output);
  });
}

}  // namespace dosa::cli
