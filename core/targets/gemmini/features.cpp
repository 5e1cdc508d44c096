#include "dosa/core/targets/gemmini/features.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "dosa/core/targets/gemmini/feature_table.hpp"
#include "dosa/core/targets/gemmini/relaxed_counts.hpp"

namespace dosa {
namespace {

using torch::Tensor;
using namespace counting;

constexpr double kMinRatio = 1e-6;  // inside logarithms

Tensor log_of(const Tensor& ratio) { return ratio.clamp_min(kMinRatio).log(); }

/// Tilings in the exact mode.
struct ExactRuns {
  const Counts& counts;
  const RunBatch& layers;
  Tensor tile;    ///< as run
  Tensor number;  ///< of tiles along every dimension
  Tensor pe_dim;  ///< [B..., layers]
  Tensor in_flight;

  Tensor value(const Term& term) const {
    Tensor value = counts.at(term.count);
    if (term.less != kNoCount) value = value - counts.at(term.less);
    switch (term.scale) {
      case Scale::kNone:
        return value;
      case Scale::kPerInFlight:
        return value / in_flight;
      case Scale::kArray:
        return value * pe_dim / kArrayOfUnitDepth;
    }
    return value;
  }

  Tensor value(const Ratio& ratio) const {
    const auto quotient = [&] {
      const Tensor count = counts.at(ratio.count);
      return ratio.by == kNoCount ? count : count / counts.at(ratio.by);
    };
    const auto narrow = [&](Dim dim) {
      return tile.select(-1, static_cast<int>(dim)).clamp_max(kNarrow).log2();
    };
    switch (ratio.formula) {
      case Formula::kLog:
        return log_of(quotient());
      case Formula::kLogMisses:
        return log_of(quotient() + kMissOffset);
      case Formula::kLogPeDim:
        return pe_dim.log2();
      case Formula::kLogNarrowK:
        return narrow(Dim::K);
      case Formula::kLogNarrowC:
        return narrow(Dim::C);
      case Formula::kLogTiles:
        return number.select(-1, static_cast<int>(ratio.dim)).log2();
      case Formula::kLogTile:
        return tile.select(-1, static_cast<int>(ratio.dim)).log2();
      case Formula::kBursts:
        return store_burstiness(number.log(), layers);
      default:
        return layer_ratio(ratio.formula, layers, counts.footprint);
    }
  }
};

}  // namespace

Tensor counting::commands_in_flight(const Tensor& pe_dim) {
  constexpr double kQueueBytes = 16;
  return (kQueueBytes / pe_dim.detach()).floor() + 1;
}

Tensor counting::layer_ratio(Formula formula, const RunBatch& layers, const Tensor& footprint) {
  const Tensor &k = layers.size.select(-1, static_cast<int>(Dim::K)), &pow2 = layers.pow2;
  const auto exceeds = [&](double kib) { return torch::sigmoid(2 * (footprint / (kib * 1024)).log()); };
  switch (formula) {
    case Formula::kIsMatmul:
      return layers.matmul;
    case Formula::kLogPow2K:
      return pow2.select(-1, 1).log2();
    case Formula::kLogPow2C:
      return pow2.select(-1, 0).log2();
    case Formula::kExceedsL2:
      return exceeds(layers.rules.l2_kib);
    case Formula::kExceedsLlc:
      return exceeds(layers.rules.llc_kib);
    case Formula::kIsCold:
      return layers.cold;
    case Formula::kFewK:
      return (1 - k / kNarrow).clamp_min(0);
    default:
      throw std::logic_error("depends on the tile");
  }
}

const FeatureTable& gemmini_features() {
  static const FeatureTable table = [] {
    FeatureTable t;
    for (const Term& term : kTerms) t.terms.push_back({term.name, term.part, term.initial});
    for (const Ratio& ratio : kRatios) t.ratios.emplace_back(ratio.name);
    for (const char dim : kDimNames) t.raw.push_back(fmt::format("log2 {}", dim));
    for (const char dim : kDimNames) t.raw.push_back(fmt::format("log2 tile {}", dim));
    t.raw.insert(t.raw.end(), {"log2 pe_dim", "log2 stride", "is matmul"});
    return t;
  }();
  return table;
}

Features features_of(const Tensor& tile, const Tensor& pe_dim, const RunBatch& layers, bool relaxed) {
  return features_of(executed_counts(tile, pe_dim, layers, relaxed), tile, pe_dim, layers, relaxed);
}

Features features_of(const Counts& c, const Tensor& tile, const Tensor& pe_dim_in, const RunBatch& layers,
                     bool relaxed) {
  if (relaxed) return relaxed_features(c, pe_dim_in, layers);
  const Tensor pe_dim = pe_dim_in.expand_as(c.tiles);
  const Tensor as_run = run_tiles(tile, pe_dim_in, layers, relaxed);
  const ExactRuns runs{c, layers, as_run, tiles_along(as_run, layers), pe_dim, commands_in_flight(pe_dim)};
  const auto columns = [&](const auto& table) {
    std::vector<Tensor> values;
    for (const auto& row : table) values.push_back(runs.value(row).expand_as(c.tiles));
    return torch::stack(values, -1);
  };
  return {columns(kTerms), columns(kRatios), c.floor,
          c.tiles,         layers.matmul,    raw_features(runs.tile, pe_dim_in, layers)};
}

Tensor raw_features(const Tensor& tile, const Tensor& pe_dim, const RunBatch& layers) {
  const Tensor one = tile.select(-1, 0);
  return torch::cat(
      {layers.size.log2().expand_as(tile), tile.log2(), pe_dim.expand_as(one).log2().unsqueeze(-1),
       layers.stride.select(-1, 0).log2().expand_as(one).unsqueeze(-1),
       layers.matmul.expand_as(one).unsqueeze(-1)},
      -1);
}

}  // namespace dosa
