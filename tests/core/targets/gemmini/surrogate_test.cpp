#include "dosa/core/targets/gemmini/surrogate.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "dosa/core/targets/gemmini/training.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/core/targets/gemmini/promises.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::double_channels;
using testing::Doubled;
using testing::expect_error;
using testing::expect_none_below_the_floor;
using testing::measured_layers;
using testing::random_layers;
using testing::replaced;
using testing::TemporaryFolder;
using torch::Tensor;

Measurements shipped_measurements() {
  return read_measurements(data_folder() / "measurements" / "gemmini_rtl.csv");
}
std::filesystem::path shipped_path() { return data_folder() / "surrogate" / "gemmini-rtl.safetensors"; }

const ArraySizes kGemmini{16, 256, 64};

Tensor scalar(double value) { return torch::full({}, value, torch::kFloat64); }

TEST(Surrogate, IsTheBaseWhileUntrained) {
  const MeasuredRuns measured = MeasuredRuns::of(shipped_measurements());
  TrainOptions options;
  options.folds = 0;
  options.epochs = 1;
  options.rate = 1e-7;
  options.base_steps = 0;
  options.networks = 2;
  const Surrogate s = train_surrogate(shipped_measurements(), options, nullptr, nullptr);
  const torch::NoGradGuard no_grad;
  const Estimate e = s.predict(measured.tile, measured.pe_dim, measured.runs, false);
  EXPECT_LT(
      (e.log_cycles - BaseModel::initial(gemmini_features()).latency(measured.set.features).cycles.log())
          .abs()
          .max()
          .item<double>(),
      1e-3);
}

TEST(Surrogate, NeverBelowTheFloorAtRandomLegalTilings) {
  const std::vector<LayerRun> layers = measured_layers(shipped_measurements(), 120);
  EXPECT_GE(expect_none_below_the_floor(Surrogate::load(shipped_path()), layers, kGemmini, 60), 5000);
}

TEST(Surrogate, DoublingChannelsAtDramNeverLowersAPrediction) {
  const Surrogate s = Surrogate::load(shipped_path());
  const auto expect_none = [&](const char* name, const std::vector<LayerRun>& layers) {
    const Doubled doubled = double_channels(s, layers, kGemmini, 20);
    RecordProperty(name, std::to_string(doubled.pairs));
    EXPECT_GE(doubled.pairs, 10000) << name;
    EXPECT_EQ(doubled.lowered, 0) << name << " " << doubled.worst;
  };
  expect_none("measured", measured_layers(testing::shipped_training_rows()));
  expect_none("random", random_layers(testing::cases(500)));
}

TEST(Surrogate, RelaxedPredictionsAreCloseAndDifferentiable) {
  const Surrogate s = Surrogate::load(shipped_path());
  const MeasuredRuns measured = MeasuredRuns::of(shipped_measurements());
  Tensor log_tile = torch::minimum(measured.tile, measured.runs.size).log().requires_grad_();
  const Estimate relaxed = s.predict(log_tile.exp(), scalar(16), measured.runs, true);
  (relaxed.log_cycles + relaxed.networks.var(0)).sum().backward();
  EXPECT_TRUE(torch::isfinite(log_tile.grad()).all().item<bool>());
  const torch::NoGradGuard no_grad;
  const Estimate exact = s.predict(measured.tile, scalar(16), measured.runs, false);
  const Tensor error = (relaxed.log_cycles - exact.log_cycles).abs();
  EXPECT_LT(error.median().item<double>(), 0.08);
  EXPECT_LT(error.mean().item<double>(), 0.15);
  EXPECT_TRUE((relaxed.log_cycles >= relaxed.floor.log()).all().item<bool>());
}

TEST(Surrogate, GradientsAreThoseOfFiniteDifferences) {
  const Surrogate s = Surrogate::load(shipped_path());
  const RunBatch batch = s.batch(measured_layers(shipped_measurements(), 8));
  const Tensor log_tile = (batch.size.log() * 0.63).requires_grad_();
  const auto total = [&](const Tensor& point) {
    const Estimate e = s.predict(point.exp(), scalar(16), batch, true);
    return e.log_cycles.sum();
  };
  total(log_tile).backward();
  const torch::NoGradGuard no_grad;
  double worst = 0;
  for (int layer = 0; layer < 8; ++layer) {
    for (int dim = 0; dim < kDims; ++dim) {
      if (batch.size[layer][dim].item<double>() == 1) continue;
      const Tensor step = torch::zeros_like(log_tile);
      step[layer][dim] = 1e-3;  // the networks are float32
      const double numeric = ((total(log_tile + step) - total(log_tile - step)) / 2e-3).item<double>();
      worst = std::max(worst, std::abs(numeric - log_tile.grad()[layer][dim].item<double>()));
    }
  }
  EXPECT_LT(worst, 0.05);
}

TEST(Surrogate, RelaxedFloat32IsCloseToFloat64) {
  const Surrogate s = Surrogate::load(shipped_path());
  const MeasuredRuns measured = MeasuredRuns::of(shipped_measurements());
  const Tensor tile = torch::minimum(measured.tile, measured.runs.size) * 0.93 + 0.07;
  struct Found {
    Tensor log_cycles, gradient;
  };
  const std::int64_t all = s.ensemble.w1.size(0);
  const auto found = [&](torch::ScalarType type) {
    const Tensor log_tile = tile.log().to(type).requires_grad_();
    const Estimate e =
        s.lighter(type, all).predict(log_tile.exp(), scalar(16).to(type), measured.runs.to(type), true);
    EXPECT_EQ(e.log_cycles.scalar_type(), type);  // nothing is computed in a wider type on the way
    e.log_cycles.sum().backward();
    return Found{e.log_cycles.detach().to(torch::kFloat64), log_tile.grad().to(torch::kFloat64)};
  };
  const Found single = found(torch::kFloat32), twice = found(torch::kFloat64);
  EXPECT_LT((single.log_cycles - twice.log_cycles).abs().max().item<double>(), 1e-3);
  // At kinks (tiles that are the whole layer) either side may be taken.
  const Tensor apart = (single.gradient - twice.gradient).abs();
  EXPECT_LT((apart > 1e-2).to(torch::kFloat64).mean().item<double>(), 0.02);
}

TEST(SurrogateFile, RoundTrip) {
  const TemporaryFolder folder;
  const Surrogate s = Surrogate::load(shipped_path());
  const auto path = folder.path() / "copy.safetensors";
  s.save(path);
  EXPECT_EQ(read_file(path), read_file(shipped_path()));
  EXPECT_EQ(folder.count(), 2);  // and the card
  const JsonInput card = JsonInput::from_file(folder.path() / "copy.json");
  EXPECT_EQ(card.at("schema").text(), "dosa-surrogate/5");
  EXPECT_EQ(card.at("card").at("data").at("rows").integer(0, 1 << 20), 3446);
  const MeasuredRuns measured = MeasuredRuns::of(shipped_measurements());
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(torch::equal(s.predict(measured.set.features).log_cycles,
                           Surrogate::load(path).predict(measured.set.features).log_cycles));
}

TEST(SurrogateFile, IsRefusedByField) {
  const TemporaryFolder folder;
  const std::string good = read_file(shipped_path());
  const auto refused = [&](const std::string& content, ErrorId id, const std::vector<std::string>& parts) {
    const std::string path = folder.file("s.safetensors", content);
    expect_error([&] { Surrogate::load(path); }, id, parts);
  };
  const auto changed = [&](const std::string& from, const std::string& to) {
    EXPECT_EQ(from.size(), to.size());  // the header's length stays
    return replaced(good, from, to);
  };
  refused("PK", ErrorId::kSchema, {"s.safetensors", "not a dosa surrogate"});
  refused("", ErrorId::kSchema, {"s.safetensors", "not a dosa surrogate"});
  refused("dosa surrogate\n", ErrorId::kSchema, {"s.safetensors", "earlier versions", "dosa train"});
  refused(changed("dosa-surrogate/5", "dosa-surrogate/4"), ErrorId::kSchema, {"schema", "dosa-surrogate/4"});
  refused(changed(R"(\"log2 pe_dim\")", R"(\"log3 pe_dim\")"), ErrorId::kSchema,
          {"inputs[7]", "log3 pe_dim", "log2 pe_dim"});
  refused(changed("input.requests", "input.rEquests"), ErrorId::kSchema, {"terms[5]", "input.rEquests"});
  refused(changed(R"(\"combined\",\"target\")", R"(\"combIned\",\"target\")"), ErrorId::kValue,
          {"predictor", "combIned"});
  refused(changed(R"(\"downsampling\")", R"(\"downsAmpling\")"), ErrorId::kSchema,
          {"target", "downsAmpling"});
  refused(changed(R"(\"growth_per_octave\":1.)", R"(\"growth_per_octave\":0.)"), ErrorId::kValue,
          {"growth_per_octave", "1..100"});
  refused(changed("\"shape\":[2,31]", "\"shape\":[3,20]"), ErrorId::kSchema, {"shape", "3, 20", "2, 31"});
}

TEST(SurrogateFile, AnyTruncationIsAnError) {
  const TemporaryFolder folder;
  const std::string good = read_file(shipped_path());
  for (std::size_t length = 0; length < good.size(); length += 997) {
    const std::string path = folder.file("s.safetensors", good.substr(0, length));
    EXPECT_THROW(Surrogate::load(path), Error) << length;
  }
}

TEST(MeasuredTarget, AnArrayThatWasNotMeasuredCountsAsTheNextSmallerOne) {
  MeasuredTarget target;
  target.hardware = {{4, 64, 32}, {16, 1024, 256}};
  EXPECT_TRUE(target.knows(4) && target.knows(16));
  EXPECT_FALSE(target.knows(2) || target.knows(8) || target.knows(64));
  for (const auto& [pe_dim, kib] : {std::pair{2, 64}, {4, 64}, {8, 64}, {16, 1024}, {64, 1024}}) {
    EXPECT_EQ(target.nearest(pe_dim).scratchpad_kib, kib) << pe_dim;
    const auto scalar = [](double value) { return torch::full({}, value, torch::kFloat64); };
    const double rows = 100;
    EXPECT_NEAR(
        share_of_measured({scalar(rows), scalar(0), scalar(0)}, scalar(pe_dim), target, 0).item<double>(),
        2 * rows * pe_dim / 1024 / kib, 1e-12);
  }
}

}  // namespace
}  // namespace dosa
