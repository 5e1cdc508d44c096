// The generic surrogate on a chip that does not exist: nothing here knows Gemmini.
#include <gtest/gtest.h>

#include <cmath>

#include "dosa/models/base/random.hpp"
#include "dosa/surrogate/training.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr std::int64_t kLayers = 30, kTilings = 8, kRows = kLayers * kTilings;

const FeatureTable& table() {
  static const FeatureTable names{{{"loads", Part::kInput, 1},
                                   {"weights", Part::kWeight, 1},
                                   {"macs", Part::kExecute, 0.5},
                                   {"stores", Part::kStore, 1},
                                   {"start", Part::kOverhead, 100}},
                                  {"log tiles"},
                                  {"log work", "log tiles"}};
  return names;
}

/// Runs of layers of random sizes in random numbers of tiles.
TrainingSet random_set(Random& random) {
  std::vector<double> work, tiles, kind;
  TrainingSet set;
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    const double size = std::exp(8 + 6 * random.uniform());
    for (std::int64_t tiling = 0; tiling < kTilings; ++tiling) {
      work.push_back(size);
      tiles.push_back(std::exp2(4 * random.uniform()));
      kind.push_back(static_cast<double>(layer % kKinds));
      set.layers.push_back(layer);
      set.comparable.push_back(layer);
      set.tilings.push_back(layer * kTilings + tiling);
    }
  }
  const auto column = [](const std::vector<double>& values) {
    return torch::tensor(values, torch::kFloat64);
  };
  const Tensor w = column(work), t = column(tiles);
  set.features.terms =
      torch::stack({w.pow(0.8) * t, w.pow(0.7) * t.sqrt(), w, w.pow(0.75), torch::ones_like(w)}, -1);
  set.features.ratios = t.log().unsqueeze(-1);
  set.features.raw = torch::stack({w.log(), t.log()}, -1);
  set.features.floor = w;
  set.features.tiles = t;
  set.features.kind = column(kind);
  set.macs = w;
  return set;
}

/// What such runs take: more than the floor, and more for many tiles, with errors whose standard deviation is
/// `noise` up to half of what was built and grows by `growth` per octave from there on.
TrainingData measured(double noise, double growth) {
  Random random(3);
  TrainingData data;
  data.file = "made up";
  data.set = random_set(random);
  TrainingSet& set = data.set;
  set.octaves = -torch::rand({kRows}, at::detail::createCPUGenerator(5), torch::kFloat64) * 4;
  std::vector<double> errors;
  for (std::int64_t row = 0; row < kRows; ++row) errors.push_back(noise * random.normal());
  const Tensor beyond = (set.octaves + 1).clamp_min(0);
  const Tensor error = torch::tensor(errors, torch::kFloat64) * torch::pow(growth, beyond);
  const Tensor terms = set.features.terms;
  const Tensor cycles = terms.select(1, 2) + 0.3 * terms.select(1, 0) + 2 * terms.select(1, 3) + 500;
  set.log_cycles = torch::maximum(cycles.log() + error, set.features.floor.log());
  return data;
}

TrainOptions quick(Predictor predictor) {
  TrainOptions options;
  options.predictor = predictor;
  options.networks = 2;
  options.hidden = 16;
  options.epochs = 60;
  options.base_steps = 200;
  options.folds = 3;
  return options;
}

TEST(AnyChip, IsLearnedFromItsFeatures) {
  TrainSummary summary;
  const TrainingData data = measured(0.02, 1);
  const FeatureSurrogate s = train(data, table(), quick(Predictor::kCombined), &summary, nullptr);
  ASSERT_EQ(summary.validations.size(), 3);
  for (const CrossValidation& cv : summary.validations) {
    EXPECT_LT(cv.accuracy.gef.value(), 1.10) << cv.folds;
    EXPECT_EQ(cv.accuracy.below_floor.value(), 0) << cv.folds;
  }
  EXPECT_EQ(s.card.at("training").at("folds").get<int>(), 3);
}

TEST(AnyChip, UncertaintyGrowsWithSizeAsTheErrorsDo) {
  const auto fitted = [](double growth) {
    TrainSummary summary;
    const FeatureSurrogate s =
        train(measured(0.05, growth), table(), quick(Predictor::kCombined), &summary, nullptr);
    EXPECT_EQ(summary.extrapolations.size(), 2);
    for (const Extrapolation& e : summary.extrapolations) EXPECT_EQ(e.rows + e.accuracy.rows, kRows);
    return s.growth_per_octave;
  };
  const double even = fitted(1);
  EXPECT_GE(even, 1);
  EXPECT_LT(even, 1.25);
  // Cross-validation has seen some of the growing errors: the rest is less than their growth.
  EXPECT_GT(fitted(4), even + 0.15);
}

TEST(AnyChip, GrowthStaysAnAssumptionWhereNothingTellsIt) {
  TrainOptions options = quick(Predictor::kCombined);
  options.epochs = 2;
  TrainSummary summary;
  TrainingData unknown = measured(0.05, 1);
  unknown.set.octaves = Tensor();
  EXPECT_EQ(train(unknown, table(), options, &summary, nullptr).growth_per_octave,
            FeatureSurrogate().growth_per_octave);
  options.folds = 0;
  EXPECT_EQ(train(measured(0.05, 1), table(), options, &summary, nullptr).growth_per_octave,
            FeatureSurrogate().growth_per_octave);
  EXPECT_TRUE(summary.extrapolations.empty());
}

/// A surrogate of networks that nobody trained, whose weights are as large as they are wild.
FeatureSurrogate wild(Predictor predictor, std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  FeatureSurrogate s;
  s.predictor = predictor;
  s.base = BaseModel::initial(table());
  const auto inputs = static_cast<std::int64_t>(input_names(predictor, table()).size());
  const std::int64_t networks = 3, hidden = 8;
  Ensemble& e = s.ensemble;
  e.mean = torch::zeros({inputs}, torch::kFloat64);
  e.scale = torch::ones({inputs}, torch::kFloat64);
  e.lowest = torch::full({inputs}, -1e3, torch::kFloat64);
  e.highest = torch::full({inputs}, 1e3, torch::kFloat64);
  const auto normal = [&](std::vector<std::int64_t> shape) {
    return 3 * torch::randn(shape, generator, torch::kFloat32);
  };
  e.w1 = normal({networks, inputs, hidden});
  e.b1 = normal({networks, 1, hidden});
  e.w2 = normal({networks, hidden, hidden});
  e.b2 = normal({networks, 1, hidden});
  e.w3 = normal({networks, hidden, 1});
  e.b3 = normal({networks, 1, 1});
  return s;
}

TEST(AnyChip, NoPredictionIsBelowTheFloorWhateverTheInputs) {
  Random random(11);
  std::int64_t at_floor = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    TrainingSet set = random_set(random);
    for (const Predictor predictor : {Predictor::kLearned, Predictor::kCombined}) {
      for (const bool relaxed : {false, true}) {
        set.features.relaxed = relaxed;
        const Estimate e = wild(predictor, seed).predict(set.features);
        EXPECT_TRUE(torch::isfinite(e.log_cycles).all().item<bool>());
        EXPECT_TRUE((e.networks >= set.features.floor.log()).all().item<bool>());
        // The mean of equal numbers may be off by their rounding.
        EXPECT_TRUE((e.log_cycles >= set.features.floor.log() - 1e-12).all().item<bool>());
        at_floor += (e.networks == set.features.floor.log()).sum().item<std::int64_t>();
      }
    }
  }
  EXPECT_GT(at_floor, 1000);  // the floor was in the way of many of them
}

TEST(AnyChip, TheFusedBackwardPassesAreThoseOfTheSteps) {
  Random random(13);
  const Features features = random_set(random).features;
  const FeatureSurrogate s = wild(Predictor::kCombined, 1);
  const auto gradients = [&](bool relaxed) {
    Features f = features;
    f.relaxed = relaxed;
    f.terms = features.terms.clone().requires_grad_();
    f.ratios = features.ratios.clone().requires_grad_();
    f.floor = features.floor.clone().requires_grad_();
    f.tiles = features.tiles.clone().requires_grad_();
    s.network_log_cycles(f, nullptr).sum().backward();
    return std::vector<Tensor>{f.terms.grad(), f.ratios.grad(), f.floor.grad(), f.tiles.grad()};
  };
  const std::vector<Tensor> fused = gradients(true), stepwise = gradients(false);
  for (std::size_t i = 0; i < fused.size(); ++i) {
    const Tensor error = (fused[i] - stepwise[i]).abs() / stepwise[i].abs().clamp_min(1e-6);
    EXPECT_LT(error.median().item<double>(), 1e-5) << i;  // the networks are float32
  }
}

}  // namespace
}  // namespace dosa
