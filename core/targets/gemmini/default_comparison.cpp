#include "dosa/core/targets/gemmini/default_comparison.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/targets/gemmini/model.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"
#include "dosa/models/cost/cost_model.hpp"

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

/// How probable it is that a gain of `ratio`, uncertain by the standard deviation `sd` of its logarithm, is a
/// loss. Over 0 to 1; 0 where the two are the same and certain.
double probability_of_loss(double ratio, double sd) {
  if (sd > 0) return 0.5 * std::erfc(std::log(ratio) / (sd * std::sqrt(2.0)));
  return ratio < 1 ? 1 : 0;
}

/// A layer's cycles by default and in the design, the standard deviation of the logarithm of their ratio, and
/// that of an error that both have in common.
struct Uncertain {
  double before, after, log_sd_of_ratio, common_log_sd;
};

/// Standard deviation of the logarithm of the network's gain, errors of layers taken as independent. What a
/// layer's two predictions have in common cancels in its own ratio, but not in the network's where the layer
/// has another share of the cycles before than after: an error e of both moves the gain's logarithm by
/// (share before - share after) e. An error of the ratio moves it by the share of the prediction that is off;
/// the larger of the two is taken.
double log_sd_of_gain(const std::vector<Uncertain>& layers, double before, double after) {
  double variance = 0;
  for (const Uncertain& layer : layers) {
    const double share_before = layer.before / before, share_after = layer.after / after;
    variance += std::pow(std::max(share_before, share_after) * layer.log_sd_of_ratio, 2) +
                std::pow((share_before - share_after) * layer.common_log_sd, 2);
  }
  return std::sqrt(variance);
}

/// "latency 1.012x, energy 1.173x, EDP 1.187x", and in a line of its own how sure that is of the latency.
std::string text_of_gains(const Sums& before, const Sums& after, double sd) {
  const double latency = before.cycles / after.cycles;
  std::string text = fmt::format("latency {:.3f}x, energy {:.3f}x, EDP {:.3f}x\n", latency,
                                 before.energy_uj / after.energy_uj, before.edp() / after.edp());
  if (!(sd > 0)) return text;
  const double slower = 100 * probability_of_loss(latency, sd);
  return text + fmt::format("its latency is uncertain by {:.1f} %; slower with a probability {} %\n",
                            100 * sd, slower < 0.1 ? "under 0.1" : fmt::format("of {:.2g}", slower));
}

/// What of the layers is to be said below their table.
std::string notes_on(const Reference& reference, const std::vector<Layer>& layers, const TileCosts& design,
                     std::int64_t extrapolated) {
  std::string text;
  if (extrapolated > 0) {
    text = fmt::format("* the tile is larger than any that the surrogate was trained on ({})\n",
                       counted(extrapolated, "layer"));
  }
  text += text_of(design.outside);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (reference.problems[i].empty()) continue;
    text += fmt::format("{}: the library's own tile does not run; compared with {}: {}\n", layers[i].name,
                        gemmini::to_string(reference.tiles[i]), reference.problems[i]);
  }
  return text;
}

}  // namespace

Explanation compare_with(const Reference& reference, const Design& design,
                         const std::vector<gemmini::Tile>& chosen, const RtlModel& model) {
  const ArraySizes& built = reference.hardware;
  const std::vector<gemmini::Tile>& own = reference.tiles;
  const std::vector<Layer> layers = layers_of(design);
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
  std::vector<Uncertain> uncertain;
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
    const auto sd_of = [&](const TileCosts& costs) { return costs.log_sd.defined() ? at(costs.log_sd) : 0; };
    uncertain.push_back({count * from.cycles, count * to.cycles, sd, std::min(sd_of(before), sd_of(after))});
    Json json{{"name", layers[i].name},
              {"count", layers[i].count},
              {"default", to_json(from)},
              {"design", to_json(to)},
              {"gain", gains(from, to)}};
    json["default"]["tile"] = gemmini::to_json(own[i]);
    if (!reference.problems[i].empty()) json["default"]["problem"] = reference.problems[i];
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
  const double sd = log_sd_of_gain(uncertain, all_before.cycles, all_after.cycles);
  result.text = table.text() + notes_on(reference, layers, after, extrapolated);
  const double area = model.machine().area_mm2(built);
  result.text += fmt::format("{}, {:.3f} mm2\ncycles {:.0f}   energy {:.6g} uJ   EDP {:.6g} uJ*cycles\n",
                             reference.text, area, all_before.cycles, all_before.energy_uj, all_before.edp());
  result.text += "the design against it: " + text_of_gains(all_before, all_after, sd);
  result.json = {{"reference", reference.text},
                 {"hardware", dosa::to_json(built)},
                 {"area_mm2", area},
                 {"default", to_json(all_before)},
                 {"design", to_json(all_after)},
                 {"gain", gains(all_before, all_after)},
                 {"layers", std::move(rows)}};
  if (after.log_sd.defined()) {
    result.json["design"]["cycles_sd_log"] = std::sqrt(variance_after) / all_after.cycles;
    result.json["gain"]["latency_sd_log"] = sd;
    result.json["gain"]["probability_slower"] = probability_of_loss(all_before.cycles / all_after.cycles, sd);
  }
  return result;
}

}  // namespace dosa
