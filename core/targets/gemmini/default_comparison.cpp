#include "dosa/core/targets/gemmini/default_comparison.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/targets/gemmini/model.hpp"
#include "dosa/core/targets/gemmini/space.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/table.hpp"

namespace dosa {
namespace {

struct Sums {
  double cycles = 0, energy_uj = 0;
  double edp() const { return cycles * energy_uj; }
  void add(const Sums& other, double times) {
    cycles += times * other.cycles;
    energy_uj += times * other.energy_uj;
  }
};

Json to_json(const Sums& sums) {
  return {{"cycles", sums.cycles}, {"energy_uj", sums.energy_uj}, {"edp", sums.edp()}};
}

Json gains(const Sums& from, const Sums& to) {
  return {{"latency", from.cycles / to.cycles},
          {"energy", from.energy_uj / to.energy_uj},
          {"edp", from.edp() / to.edp()}};
}

}  // namespace

Explanation compare_with_default(const Design& design, const std::vector<gemmini::Tile>& chosen,
                                 const RtlModel& model) {
  const ArraySizes built = default_gemmini(model.machine(), ArraySizes::of(design.hardware).pe_dim);
  std::vector<Layer> layers;
  std::vector<gemmini::Tile> own;
  std::vector<std::string> problems;  // of the library's tiles, by layer
  for (const DesignLayer& entry : design.layers) {
    layers.push_back(entry.layer);
    gemmini::LibraryChoice choice = gemmini::library_choice(entry.layer, built);
    own.push_back(choice.tile);
    problems.push_back(std::move(choice.problem));
  }
  const TileCosts before = model.costs(layers, own, built);
  const TileCosts after = model.costs(layers, chosen, ArraySizes::of(design.hardware));
  const torch::Tensor sd_of_ratio = model.log_sd_of_ratio(after.networks, after.growth, before.networks)
                                        .expand({static_cast<std::int64_t>(layers.size())});

  Explanation result;
  Json rows = Json::array();
  // What the default takes and how many times less the design does.
  Table table({{"layer", ColumnKind::kName},
               {"count"},
               {"cycles"},
               {"energy_uJ"},
               {"latency"},
               {"", ColumnKind::kText},
               {"energy"},
               {"EDP"}});
  Sums all_before, all_after;
  double variance = 0;  // of the designed cycles' difference to the default's, layers taken as independent
  double variance_after = 0;
  std::int64_t extrapolated = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    const auto at = [&](const torch::Tensor& tensor) { return tensor[row].item<double>(); };
    const Sums from{at(before.cycles), at(before.energy_uj)}, to{at(after.cycles), at(after.energy_uj)};
    const auto count = static_cast<double>(layers[i].count);
    all_before.add(from, count);
    all_after.add(to, count);
    const double sd = own[i] == chosen[i] ? 0 : at(sd_of_ratio);
    variance += std::pow(count * to.cycles * sd, 2);
    Json json{{"name", layers[i].name},
              {"count", layers[i].count},
              {"default", to_json(from)},
              {"design", to_json(to)},
              {"gain", gains(from, to)}};
    json["default"]["tile"] = gemmini::to_json(own[i]);
    if (!problems[i].empty()) json["default"]["problem"] = problems[i];
    const bool beyond = after.growth.defined() && at(after.growth) > 1;
    extrapolated += beyond;
    if (after.log_sd.defined()) {
      json["design"]["cycles_sd_log"] = at(after.log_sd);
      json["design"]["beyond_measured_tiles"] = beyond;
      if (after.outside[i].any()) json["design"]["outside_measured"] = dosa::to_json(after.outside[i]);
      json["gain"]["latency_sd_log"] = sd;
      variance_after += std::pow(count * to.cycles * at(after.log_sd), 2);
    }
    rows.push_back(std::move(json));
    const auto gain = [](double before_it, double with_it) {
      return fmt::format("{:.3f}x", before_it / with_it);
    };
    table.row({layers[i].name, fmt::format("{}", layers[i].count), fmt::format("{:.0f}", from.cycles),
               fmt::format("{:.3f}", from.energy_uj), gain(from.cycles, to.cycles),
               sd > 0 ? fmt::format("+-{:.0f}%{}", 100 * sd, beyond ? "*" : "") : "",
               gain(from.energy_uj, to.energy_uj), gain(from.edp(), to.edp())});
  }
  const double sd = std::sqrt(variance) / all_after.cycles;
  result.text = table.text();
  if (extrapolated > 0) {
    result.text += fmt::format(
        "* the tile is larger than any that the surrogate was trained on ({} layers)\n", extrapolated);
  }
  result.text += text_of(after.outside);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (problems[i].empty()) continue;
    result.text += fmt::format("{}: the library's own tile does not run; compared with {}: {}\n",
                               layers[i].name, gemmini::to_string(own[i]), problems[i]);
  }
  result.text += fmt::format(
      "default: pe_dim {}, scratchpad {} KiB, accumulator {} KiB, the library's tiles\n"
      "cycles {:.0f}   energy {:.6g} uJ   EDP {:.6g} uJ*cycles\n",
      built.pe_dim, built.scratchpad_kib, built.accumulator_kib, all_before.cycles, all_before.energy_uj,
      all_before.edp());
  result.text += fmt::format("the design against it: latency {:.3f}x", all_before.cycles / all_after.cycles);
  if (sd > 0) result.text += fmt::format(" (+-{:.1f} %)", 100 * sd);
  result.text += fmt::format(", energy {:.3f}x, EDP {:.3f}x\n", all_before.energy_uj / all_after.energy_uj,
                             all_before.edp() / all_after.edp());
  result.json = {{"hardware", dosa::to_json(built)},
                 {"default", to_json(all_before)},
                 {"design", to_json(all_after)},
                 {"gain", gains(all_before, all_after)},
                 {"layers", std::move(rows)}};
  if (after.log_sd.defined()) {
    result.json["design"]["cycles_sd_log"] = std::sqrt(variance_after) / all_after.cycles;
    result.json["gain"]["latency_sd_log"] = sd;
  }
  return result;
}

}  // namespace dosa
