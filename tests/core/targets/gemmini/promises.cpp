#include "tests/core/targets/gemmini/promises.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "dosa/core/targets/gemmini/proposals.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/models/random_mappings.hpp"

namespace dosa::testing {
namespace {

using torch::Tensor;

Tensor pe_dim_of(const ArraySizes& hardware) {
  return torch::full({}, static_cast<double>(hardware.pe_dim), torch::kFloat64);
}

}  // namespace

Measurements shipped_training_rows() {
  const auto folder = data_folder() / "measurements";
  return read_measurements(
      std::vector<std::filesystem::path>{folder / "gemmini_rtl_sizes.csv", folder / "gemmini_rtl_large.csv"},
      gemmini::LibraryVersion());
}

std::vector<LayerRun> measured_layers(const Measurements& m, std::size_t most) {
  const std::vector<std::int64_t> ids = m.layer_ids();
  std::vector<LayerRun> runs;
  std::int64_t next = 0;
  for (std::size_t i = 0; i < ids.size() && runs.size() < most; ++i) {
    if (ids[i] != next) continue;
    ++next;
    runs.push_back(run_of(m.rows[i]));
  }
  return runs;
}

std::vector<LayerRun> random_layers(int count) {
  RandomCases random(1);
  const auto below = [&](std::size_t n) { return static_cast<std::int64_t>(random.below(n)); };
  const auto size = [&](double most) {
    return std::llround(std::pow(most, static_cast<double>(below(1 << 20)) / (1 << 20)));
  };
  std::vector<LayerRun> runs;
  for (int i = 0; i < count; ++i) {
    const bool matmul = i % 2 == 0;
    Layer layer;
    layer.name = "random " + std::to_string(i);
    layer[Dim::C] = size(2048);
    layer[Dim::K] = size(2048);
    layer[Dim::P] = size(matmul ? 1024 : 112);
    if (!matmul) {
      layer[Dim::Q] = layer[Dim::P];
      layer[Dim::R] = layer[Dim::S] = 1 + 2 * below(3);
      layer.padding = layer[Dim::R] / 2;
      layer.wstride = layer.hstride = 1 + below(2);
    }
    runs.push_back(LayerRun::of(layer, matmul ? gemmini::Call::kMatmul : gemmini::Call::kConv));
  }
  return runs;
}

std::int64_t expect_none_below_the_floor(const Surrogate& s, const std::vector<LayerRun>& layers,
                                         const ArraySizes& hardware, int per_layer) {
  const torch::NoGradGuard no_grad;
  std::int64_t checked = 0;
  std::uint64_t seed = 0;
  for (const LayerRun& run : layers) {
    const Tensor tiles = random_tilings({run}, s.target.rules, hardware, per_layer, {++seed})[0];
    if (tiles.size(0) == 0) continue;
    const RunBatch batch = s.batch({run});
    EXPECT_TRUE(legal_tilings(tiles.unsqueeze(1), batch, hardware).all().item<bool>());
    const Estimate e = s.predict(tiles.unsqueeze(1), pe_dim_of(hardware), batch, false);
    // The mean of equal numbers may be off by their rounding.
    EXPECT_TRUE((e.log_cycles >= e.floor.log() - 1e-12).all().item<bool>()) << run.layer.name;
    EXPECT_TRUE(torch::isfinite(e.log_sd).all().item<bool>()) << run.layer.name;
    checked += tiles.size(0);
  }
  return checked;
}

Doubled double_channels(const Surrogate& s, const std::vector<LayerRun>& layers, const ArraySizes& hardware,
                        int per_layer) {
  const torch::NoGradGuard no_grad;
  Doubled result;
  std::uint64_t seed = 1000;
  const Tensor pe_dim = pe_dim_of(hardware);
  for (const LayerRun& run : layers) {
    const Tensor tiles = random_tilings({run}, s.target.rules, hardware, per_layer, {++seed})[0];
    if (tiles.size(0) == 0) continue;
    const Tensor before = s.predict(tiles.unsqueeze(1), pe_dim, s.batch({run}), false).log_cycles;
    for (const Dim dim : {Dim::C, Dim::K}) {
      LayerRun twice = run;
      twice.layer[dim] *= 2;
      const Tensor after = s.predict(tiles.unsqueeze(1), pe_dim, s.batch({twice}), false).log_cycles;
      result.pairs += tiles.size(0);
      result.lowered += (after < before).sum().item<std::int64_t>();
      result.worst = std::min(result.worst, (after - before).min().item<double>());
    }
  }
  return result;
}

}  // namespace dosa::testing
