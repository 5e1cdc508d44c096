#include "dosa/core/targets/gemmini/surrogate.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/targets/gemmini/feature_table.hpp"
#include "dosa/core/targets/gemmini/machine_file.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr double kDramBytesPerCycle = gemmini::kMeasuredDramWords;  // of the roofline

/// A base that charges 1/speed as much for every line of DRAM; differentiable in speed.
BaseModel with_dram(const BaseModel& base, const Tensor& speed) {
  std::vector<double> of_dram;
  for (const counting::Term& term : counting::kTerms) of_dram.push_back(term.of_dram ? 1 : 0);
  BaseModel other = base;
  other.constants = base.constants - torch::tensor(of_dram, base.constants.options()) * speed.log();
  return other;
}

/// Words of weights and inputs that a run has to read at least, [layers].
Tensor words_read_once(const RunBatch& l) {
  const auto along = [&](Dim dim) { return l.size.select(-1, static_cast<int>(dim)); };
  const Tensor pixels = torch::minimum(along(Dim::P) * along(Dim::Q), l.input.prod(-1));
  return along(Dim::C) * (along(Dim::R) * along(Dim::S) * along(Dim::K) + along(Dim::N) * pixels);
}

}  // namespace

bool MeasuredTarget::knows(std::int64_t pe_dim) const { return nearest(pe_dim).pe_dim == pe_dim; }

const ArraySizes& MeasuredTarget::nearest(std::int64_t pe_dim) const {
  const auto above =
      std::find_if(hardware.begin(), hardware.end(), [&](const ArraySizes& h) { return h.pe_dim > pe_dim; });
  return above == hardware.begin() ? *above : *(above - 1);
}

Json to_json(const MeasuredTarget& target) {
  Json hardware = Json::array();
  for (const ArraySizes& h : target.hardware) hardware.push_back(dosa::to_json(h));
  return {{"name", target.name},
          {"hardware", std::move(hardware)},
          {"first_layer_packing", target.rules.first_layer_packing},
          {"downsampling", target.rules.downsampling},
          {"l2_kib", target.rules.l2_kib},
          {"llc_kib", target.rules.llc_kib},
          {"measured", target.domain.json()}};
}

MeasuredTarget target_from_json(const JsonInput& json) {
  json.allow_only(
      {"name", "hardware", "first_layer_packing", "downsampling", "l2_kib", "llc_kib", "measured"});
  MeasuredTarget target;
  target.name = json.at("name").text();
  std::int64_t last = 0;
  for (const JsonInput& h : json.at("hardware").items()) {
    h.allow_only({"pe_dim", "scratchpad_kib", "accumulator_kib"});
    last = h.at("pe_dim").integer(last + 1, kMaxPeDim);
    target.hardware.push_back(
        {last, h.at("scratchpad_kib").integer(0, kMaxKib), h.at("accumulator_kib").integer(0, kMaxKib)});
  }
  if (target.hardware.empty()) fail(ErrorId::kSchema, "{}: found none", json.at("hardware").where());
  target.rules.first_layer_packing = json.at("first_layer_packing").boolean();
  target.rules.downsampling = json.at("downsampling").boolean();
  target.rules.l2_kib = json.at("l2_kib").number(1, kMaxKib);
  target.rules.llc_kib = json.at("llc_kib").number(1, kMaxKib);
  target.domain = MeasuredDomain::from_json(json.at("measured"));
  return target;
}

Tensor share_of_measured(const TileRows& rows, const Tensor& pe_dim, const MeasuredTarget& measured,
                         double least) {
  const auto share = [&](const Tensor& tile_rows, double bytes, std::int64_t ArraySizes::*kib) {
    const auto per_row = [&](const ArraySizes& h) {
      return h.*kib > 0 ? 2 * bytes / 1024 / static_cast<double>(h.*kib) : 0.0;
    };
    // An array that was not measured counts as the next smaller one, MeasuredTarget::nearest.
    Tensor share_per_row = pe_dim * per_row(measured.hardware.front());
    for (std::size_t i = 1; i < measured.hardware.size(); ++i) {
      const ArraySizes& h = measured.hardware[i];
      share_per_row =
          torch::where(pe_dim < static_cast<double>(h.pe_dim), share_per_row, pe_dim * per_row(h));
    }
    return tile_rows * share_per_row;
  };
  const Tensor in_accumulator = share(rows.output, 4, &ArraySizes::accumulator_kib).clamp_min(least);
  const Tensor in_scratchpad = share(rows.input + rows.weight, 1, &ArraySizes::scratchpad_kib);
  // max(a, b) as b + relu(a - b), whose derivative takes fewer operations.
  return in_accumulator + torch::relu(in_scratchpad - in_accumulator);
}

Estimate Surrogate::predict(const Tensor& tile, const Tensor& pe_dim, const RunBatch& layers,
                            bool relaxed) const {
  if (predictor == Predictor::kAnalytical) {
    Estimate estimate;
    estimate.log_cycles = roofline_cycles(tile, pe_dim, layers).log();
    if (!relaxed) estimate.log_sd = torch::zeros_like(estimate.log_cycles);
    return estimate;
  }
  return predict(executed_counts(tile, pe_dim, layers, relaxed), tile, pe_dim, layers, relaxed);
}

Estimate Surrogate::predict(const Counts& counts, const Tensor& tile, const Tensor& pe_dim,
                            const RunBatch& layers, bool relaxed) const {
  const Features features = features_for(counts, tile, pe_dim, layers, relaxed);
  Estimate estimate = predict(features);
  if (dram_speed == 1) return estimate;
  return scaled_to_dram(std::move(estimate), features, layers,
                        torch::scalar_tensor(dram_speed, base.constants.options()));
}

Features Surrogate::features_for(const Counts& counts, const Tensor& tile, const Tensor& pe_dim,
                                 const RunBatch& layers, bool relaxed) const {
  Features features = features_of(counts, tile, pe_dim, layers, relaxed);
  if (relaxed && predictor == Predictor::kLearned)
    features.raw = raw_features(run_tiles(tile, pe_dim, layers, true), pe_dim, layers);
  return features;
}

Estimate Surrogate::predict_at_dram(const Counts& counts, const Tensor& tile, const Tensor& pe_dim,
                                    const RunBatch& layers, const Tensor& words_per_cycle) const {
  const Features features = features_for(counts, tile, pe_dim, layers, false);
  Estimate estimate = predict(features);
  if (predictor != Predictor::kCombined) return estimate;
  return scaled_to_dram(std::move(estimate), features, layers, words_per_cycle / gemmini::kMeasuredDramWords);
}

Estimate Surrogate::scaled_to_dram(Estimate estimate, const Features& features, const RunBatch& layers,
                                   const Tensor& speed) const {
  const BaseLatency other = with_dram(base, speed).latency(features);
  const Tensor ratio = other.cycles.log() - base.latency(features).cycles.log();
  const Tensor moving = layers.cold * words_read_once(layers) / (kDramBytesPerCycle * speed);
  const Tensor least = torch::maximum(estimate.floor, moving).log();
  estimate.networks = torch::maximum(estimate.networks + ratio, least);
  estimate.log_cycles = torch::maximum(estimate.log_cycles + ratio, least);
  if (estimate.base.cycles.defined()) estimate.base = other;
  return estimate;
}

Surrogate Surrogate::for_dram(double words_per_cycle) const {
  Surrogate other = *this;
  other.dram_speed = words_per_cycle / gemmini::kMeasuredDramWords;
  if (other.dram_speed != 1 && predictor != Predictor::kCombined) {
    fail(ErrorId::kValue,
         "levels[3].words_per_cycle: found {}, the surrogate was measured at {} and has no physical base "
         "that could say more (predictor {})",
         words_per_cycle, gemmini::kMeasuredDramWords, kPredictorNames[static_cast<int>(predictor)]);
  }
  return other;
}

OutsideMeasured Surrogate::outside(const LayerRun& run, std::int64_t pe_dim) const {
  OutsideMeasured outside = target.domain.outside(run, pe_dim);
  if (dram_speed != 1) {
    outside.unlike.push_back(fmt::format("DRAM words per cycle {} (measured: {})",
                                         dram_speed * gemmini::kMeasuredDramWords,
                                         gemmini::kMeasuredDramWords));
  }
  return outside;
}

Surrogate Surrogate::lighter(const torch::TensorOptions& options, std::int64_t networks) const {
  Surrogate converted = *this;
  converted.lighten(options, networks);
  return converted;
}

Surrogate Surrogate::load(const std::filesystem::path& path) {
  Surrogate s;
  s.load_as(gemmini_features(), path, [&](const JsonInput& json) { s.target = target_from_json(json); });
  return s;
}

void Surrogate::save(const std::filesystem::path& path) const {
  save_as(gemmini_features(), path, to_json(target));
}

std::string dominant_part(const BaseLatency& base, std::int64_t row) {
  std::string dominant = "unknown";
  if (!base.cycles.defined()) return dominant;
  double most = -1;
  for (const auto& [name, part] : {std::pair{"load", base.load}, std::pair{"execute", base.execute},
                                   std::pair{"store", base.store}, std::pair{"overhead", base.overhead}}) {
    if (part[row].item<double>() > most)
      std::tie(most, dominant) = std::make_pair(part[row].item<double>(), name);
  }
  return dominant;
}

Tensor roofline_cycles(const Tensor& any_tile, const Tensor& pe_dim, const RunBatch& l) {
  const Tensor tile = torch::minimum(any_tile, l.size);
  const auto along = [&](const Tensor& t, Dim dim) { return t.select(-1, static_cast<int>(dim)); };
  const Tensor number = l.size / tile;
  const auto tiles = [&](std::initializer_list<Dim> dims) {
    Tensor product = along(number, *dims.begin());
    for (auto dim = dims.begin() + 1; dim != dims.end(); ++dim) product = product * along(number, *dim);
    return product;
  };
  const Tensor compute = l.size.prod(-1) / (torch::minimum(along(tile, Dim::C), pe_dim) *
                                            torch::minimum(along(tile, Dim::K), pe_dim));
  // Refetches of the library's order (reductions innermost): a tensor in one tile along its own innermost
  // loops stays.
  const Tensor reductions = tiles({Dim::C, Dim::R, Dim::S});
  const Tensor pixels = tiles({Dim::P, Dim::Q, Dim::N});
  const auto volume = [&](const Tensor& t, std::initializer_list<Dim> dims) {
    Tensor product = along(t, *dims.begin());
    for (auto dim = dims.begin() + 1; dim != dims.end(); ++dim) product = product * along(t, *dim);
    return product;
  };
  const Tensor weights =
      volume(l.size, {Dim::R, Dim::S, Dim::C, Dim::K}) *
      torch::where(reductions * along(number, Dim::K) > 1, pixels, torch::ones_like(pixels));
  const Tensor input_tile = along(tile, Dim::C) * along(tile, Dim::N) *
                            ((along(tile, Dim::P) - 1) * l.stride.select(-1, 0) + along(tile, Dim::R)) *
                            ((along(tile, Dim::Q) - 1) * l.stride.select(-1, 1) + along(tile, Dim::S));
  const Tensor inputs = input_tile * pixels * reductions *
                        torch::where(reductions > 1, along(number, Dim::K), torch::ones_like(pixels));
  const Tensor outputs = volume(l.size, {Dim::P, Dim::Q, Dim::K, Dim::N});
  return torch::maximum(compute, (weights + inputs + outputs) / kDramBytesPerCycle);
}

}  // namespace dosa
