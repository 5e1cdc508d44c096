// Learning: what a trained surrogate must reach on layers and rows that it has not seen.
#include "dosa/core/targets/gemmini/training.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "dosa/core/targets/gemmini/proposals.hpp"
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
using testing::reference_data;
using testing::shipped_training_rows;
using testing::TemporaryFolder;
using torch::Tensor;

Measurements shipped() { return read_measurements(data_folder() / "measurements" / "gemmini_rtl.csv"); }

struct Bar {
  double spearman, mape, gef;
};

void expect_reached(const CrossValidation& cv, const Bar& bar) {
  SCOPED_TRACE(cv.folds);
  EXPECT_GE(cv.accuracy.spearman.value(), bar.spearman);
  EXPECT_LE(cv.accuracy.mape.value(), bar.mape);
  EXPECT_LE(cv.accuracy.gef.value(), bar.gef);
  EXPECT_EQ(cv.accuracy.below_floor.value(), 0);
  EXPECT_GT(cv.accuracy.within_1sd.value(), 0.55);
  EXPECT_LT(cv.accuracy.within_1sd.value(), 0.85);
}

TEST(Learning, HeldOutAccuracyOnGemminiRtl) {
  TrainSummary summary;
  const Measurements measured = shipped_training_rows();
  const Surrogate s = train_surrogate(measured, TrainOptions{}, &summary, nullptr);
  ASSERT_EQ(summary.validations.size(), 3);
  expect_reached(summary.validations[0], {0.996, 0.06, 1.06});
  expect_reached(summary.validations[1], {0.996, 0.06, 1.065});
  expect_reached(summary.validations[2], {0.995, 0.07, 1.07});
  // Of layers that were held out, by array.
  std::map<std::string, Accuracy> arrays;
  for (const auto& [what, accuracy] :
       accuracy_by(summary.validations, measured, MeasuredRuns::of(measured).set, array_of_row))
    arrays[what] = accuracy;
  struct ArrayBar {
    const char* what;
    double mape, gef;
  };
  for (const ArrayBar& bar :
       {ArrayBar{"layers, pe_dim 4", 0.12, 1.12}, ArrayBar{"layers, pe_dim 8", 0.09, 1.09},
        ArrayBar{"layers, pe_dim 16", 0.07, 1.075}, ArrayBar{"layers, pe_dim 32", 0.09, 1.09}}) {
    EXPECT_LE(arrays.at(bar.what).mape, bar.mape) << bar.what;
    EXPECT_LE(arrays.at(bar.what).gef, bar.gef) << bar.what;
  }
  EXPECT_LE(summary.validations[1].accuracy.top1_regret.value(), 1.03);
  // Tilings as good as those that a search chooses, of layers that were held out.
  ASSERT_TRUE(summary.validations[1].fastest);
  EXPECT_GT(summary.validations[1].fastest->rows, 500);
  EXPECT_LE(summary.validations[1].fastest->mape.value(), 0.05);
  // The shipped surrogate is this one.
  const Surrogate known = Surrogate::load(data_folder() / "surrogate" / "gemmini-rtl.safetensors");
  EXPECT_EQ(known.card["data"]["hash"], s.card["data"]["hash"]);
  for (const char* folds : {"rows", "layers", "quality"}) {
    for (const char* figure : {"spearman", "mape", "gef"}) {
      EXPECT_NEAR(known.card["validation"][folds][figure].get<double>(),
                  s.card["validation"][folds][figure].get<double>(), 0.005)
          << folds << " " << figure;
    }
  }
  ASSERT_EQ(summary.extrapolations.size(), 2);
  for (const Extrapolation& e : summary.extrapolations) {
    EXPECT_GT(e.accuracy.rows, 500);
    EXPECT_LT(e.accuracy.gef.value(), 1.10);
  }
  EXPECT_GT(s.growth_per_octave, 1);
  EXPECT_NEAR(known.growth_per_octave, s.growth_per_octave, 0.15);
}

TEST(Learning, HeldOutAccuracyOnFireSim) {
  const auto path = reference_data("firesim_train.csv");
  DOSA_SKIP_WITHOUT(path, "firesim_train.csv");
  TrainSummary summary;
  const Measurements measurements = read_measurements(*path);
  const Surrogate s = train_surrogate(measurements, TrainOptions{}, &summary, nullptr);
  expect_reached(summary.validations[0], {0.997, 0.09, 1.095});
  expect_reached(summary.validations[1], {0.995, 0.13, 1.14});
  expect_reached(summary.validations[2], {0.992, 0.16, 1.16});
  EXPECT_LE(summary.validations[1].accuracy.top1_regret.value(), 1.03);
  // Every array that was measured, on every layer; the buffers were larger than any tile needs.
  std::int64_t floors = 0;
  Doubled doubled;
  for (const ArraySizes& measured : s.target.hardware) {
    const std::int64_t pe_dim = measured.pe_dim;
    SCOPED_TRACE(pe_dim);
    const ArraySizes hardware{pe_dim, 1024, 1024};
    const std::vector<LayerRun> layers = measured_layers(measurements);
    floors += expect_none_below_the_floor(s, layers, hardware, 40);
    const Doubled now = double_channels(s, layers, hardware, 40);
    doubled = {doubled.pairs + now.pairs, doubled.lowered + now.lowered, std::min(doubled.worst, now.worst)};
  }
  EXPECT_GE(floors, 5000);
  EXPECT_GE(doubled.pairs, 10000);
  // Training penalises what falls, at other tilings of the same layers. None does here; where rounding
  // differs it may, as with seed 2: 2 by at most 3 %.
  EXPECT_LE(doubled.lowered, doubled.pairs / 5000);
  EXPECT_GE(doubled.worst, -0.08);
}

TEST(Learning, CombinedBeatsLearnedBeatsNothing) {
  TrainOptions options;
  options.predictor = Predictor::kLearned;
  options.folds = 2;
  options.epochs = 60;
  TrainSummary learned, combined;
  train_surrogate(shipped(), options, &learned, nullptr);
  options.predictor = Predictor::kCombined;
  train_surrogate(shipped(), options, &combined, nullptr);
  EXPECT_LT(combined.validations[1].accuracy.gef.value(), learned.validations[1].accuracy.gef.value() - 0.03);
  EXPECT_LT(learned.validations[1].accuracy.gef.value(), 2);
  for (const TrainSummary* summary : {&learned, &combined}) {
    for (const CrossValidation& cv : summary->validations)
      EXPECT_EQ(cv.accuracy.below_floor.value(), 0) << cv.folds;
  }
}

/// The shipped measurements' first rows, small enough to train in no time.
Measurements few(std::size_t rows) {
  Measurements m = shipped();
  m.rows.resize(rows);
  return m;
}

TrainOptions quick() {
  TrainOptions options;
  options.networks = 2;
  options.hidden = 8;
  options.epochs = 10;
  options.base_steps = 30;
  options.folds = 0;
  return options;
}

TEST(Training, TheSeedDecidesAndNotTheThreads) {
  const TemporaryFolder folder;
  TrainOptions options = quick();
  const auto file = [&](const char* name) {
    const auto path = folder.path() / name;
    train_surrogate(few(300), options, nullptr, nullptr).save(path);
    return read_file(path);
  };
  options.threads = 1;
  const std::string first = file("a.safetensors");
  options.threads = 3;
  EXPECT_EQ(first, file("b.safetensors"));
  options.seed = 1;
  EXPECT_NE(first, file("c.safetensors"));
}

TEST(Training, BadInputIsNamed) {
  const auto refused = [](const Measurements& m, const TrainOptions& options,
                          const std::vector<std::string>& parts) {
    expect_error([&] { train_surrogate(m, options, nullptr, nullptr); }, ErrorId::kValue, parts);
  };
  refused(few(49), quick(), {"49 usable rows", "50"});
  Measurements one = few(60);
  for (Measurement& m : one.rows) m = one.rows[0];
  refused(one, quick(), {"60 rows", "1 layer"});
  Measurements fast = few(60);
  fast.rows[7].cycles = 100;
  refused(fast, quick(), {"gemmini_rtl.csv:9", "cycles", "100", "at least"});
  TrainOptions options = quick();
  options.networks = 1;
  refused(few(60), options, {"networks", "1", "2..32"});
  options = quick();
  options.predictor = Predictor::kAnalytical;
  refused(few(60), options, {"predictor"});
}

TEST(Training, AHeldOutRowChangesNothingThatItIsPredictedWith) {
  // Cross-validation of rows of which one is wildly wrong: predictions of the rows in its own fold, made by a
  // model that has not seen it, must stay what they are.
  TrainOptions options = quick();
  options.folds = 4;
  const Measurements honest = few(200);
  Measurements wrong = honest;
  wrong.rows[11].cycles *= 1000;
  TrainSummary a, b;
  train_surrogate(honest, options, &a, nullptr);
  train_surrogate(wrong, options, &b, nullptr);
  for (int kind : {0, 1}) {
    const CrossValidation& before = a.validations[static_cast<std::size_t>(kind)];
    const CrossValidation& after = b.validations[static_cast<std::size_t>(kind)];
    ASSERT_EQ(before.fold.size(), 200u) << "every row is held out once";
    EXPECT_EQ(before.fold, after.fold);
    const Tensor same = before.log_cycles == after.log_cycles;
    std::map<std::int64_t, int> rows, changed;  // by fold
    for (std::int64_t row = 0; row < 200; ++row) {
      const std::int64_t fold = before.fold[static_cast<std::size_t>(row)];
      ++rows[fold];
      changed[fold] += !same[row].item<bool>();
    }
    EXPECT_EQ(rows.size(), 4u);
    for (const auto& [fold, count] : changed) {
      if (fold == before.fold[11]) {
        EXPECT_EQ(count, 0) << "the fold of row 11";
      } else {
        EXPECT_GT(count, rows[fold] / 2) << "a fold whose model has seen row 11";
      }
    }
  }
}

// Folds by quality test the fastest fifth of a layer's tilings, and train on none of these.
TEST(Training, FoldsByQualityNeverSeeAGoodRow) {
  TrainOptions options = quick();
  options.folds = 3;
  const Measurements honest = few(300);
  TrainSummary a, b;
  train_surrogate(honest, options, &a, nullptr);
  ASSERT_EQ(a.validations.size(), 3);
  const CrossValidation& quality = a.validations[2];
  const TrainingSet set = MeasuredRuns::of(honest).set;
  const std::set<std::int64_t> good(quality.rows.begin(), quality.rows.end());
  std::map<std::int64_t, std::vector<std::pair<double, bool>>> groups;
  for (std::int64_t row = 0; row < set.rows(); ++row) {
    groups[set.comparable[static_cast<std::size_t>(row)]].emplace_back(set.log_cycles[row].item<double>(),
                                                                       good.count(row) > 0);
  }
  for (auto& [group, rows] : groups) {
    std::sort(rows.begin(), rows.end());
    const auto count = static_cast<std::size_t>(
        std::count_if(rows.begin(), rows.end(), [](const auto& row) { return row.second; }));
    EXPECT_EQ(count, rows.size() < 2 ? 0 : (rows.size() + 4) / 5);
    double slowest_good = 0;
    for (const auto& [log_cycles, is_good] : rows) {
      if (is_good) slowest_good = std::max(slowest_good, log_cycles);
    }
    for (const auto& [log_cycles, is_good] : rows) EXPECT_TRUE(is_good || log_cycles >= slowest_good);
  }
  // Good rows that are better still change no prediction.
  Measurements better = honest;
  int changed = 0;
  for (const std::int64_t row : quality.rows) {
    double& cycles = better.rows[static_cast<std::size_t>(row)].cycles;
    const double less = std::floor(0.97 * cycles);
    if (less < set.features.floor[row].item<double>()) continue;
    cycles = less;
    ++changed;
  }
  EXPECT_GT(changed, 20);
  train_surrogate(better, options, &b, nullptr);
  EXPECT_EQ(quality.rows, b.validations[2].rows);
  EXPECT_TRUE(torch::equal(quality.log_cycles, b.validations[2].log_cycles));
}

TEST(Training, FineTuningFollowsNewRowsAndRefusesOtherTargets) {
  const Surrogate s = Surrogate::load(data_folder() / "surrogate" / "gemmini-rtl.safetensors");
  Measurements slow = few(12);
  for (Measurement& m : slow.rows) m.cycles *= 1.5;
  TrainOptions options;
  options.epochs = 150;
  const Surrogate tuned = fine_tune(s, slow, options, nullptr, nullptr);
  const Json& record = tuned.card["fine_tuned"][0];
  EXPECT_LT(record["error_after"].get<double>(), 0.5 * record["error_before"].get<double>());
  expect_error([&] { fine_tune(s, few(2), options, nullptr, nullptr); }, ErrorId::kValue,
               {"2 usable rows", "3"});
  // What it is tuned on is measured from then on.
  Measurements other = few(12);
  for (Measurement& m : other.rows) m.pe_dim = 64;
  other.hardware = {{64, 512, 128}};
  EXPECT_TRUE(fine_tune(s, other, options, nullptr, nullptr).target.knows(64));
  EXPECT_FALSE(s.target.knows(64));
}

TEST(Training, ProposalsAreLegalNewAndSpread) {
  const Surrogate s = Surrogate::load(data_folder() / "surrogate" / "gemmini-rtl.safetensors");
  const Measurements m = few(200);
  const ArraySizes buffers{16, 256, 64};
  const auto next = propose_measurements(s, m, buffers, 20, 0);
  ASSERT_EQ(next.size(), 20);
  std::map<std::string, int> layers;
  for (const Measurement& p : next) {
    ++layers[p.layer.name];
    const RunBatch batch = s.batch({run_of(p)});
    const std::vector<double> tile(p.tile.begin(), p.tile.end());
    EXPECT_TRUE(
        legal_tilings(torch::tensor(tile, torch::kFloat64).unsqueeze(0), batch, buffers).all().item<bool>());
    for (const Measurement& known : m.rows)
      EXPECT_FALSE(known.layer.size == p.layer.size && known.tile == p.tile);
  }
  EXPECT_GE(layers.size(), 5);
}

TEST(Accuracy, OfKnownPredictions) {
  const TrainingSet set = MeasuredRuns::of(few(60)).set;
  const Accuracy perfect = accuracy_of(set.log_cycles, torch::full_like(set.log_cycles, 0.1), set);
  EXPECT_DOUBLE_EQ(perfect.spearman.value(), 1);
  EXPECT_DOUBLE_EQ(perfect.kendall.value(), 1);
  EXPECT_DOUBLE_EQ(perfect.gef.value(), 1);
  EXPECT_DOUBLE_EQ(perfect.top1_regret.value(), 1);
  EXPECT_DOUBLE_EQ(perfect.within_1sd.value(), 1);
  const Accuracy doubled = accuracy_of(set.log_cycles + std::log(2.0), Tensor(), set);
  EXPECT_NEAR(doubled.mape.value(), 1, 1e-9);
  EXPECT_NEAR(doubled.gef.value(), 2, 1e-9);
  EXPECT_FALSE(doubled.within_1sd);
  const Accuracy reversed = accuracy_of(30 - set.log_cycles, Tensor(), set);
  EXPECT_NEAR(reversed.spearman.value(), -1, 1e-9);
  EXPECT_GT(reversed.top1_regret.value(), 1.05);
  EXPECT_GT(accuracy_of(set.log_cycles - 5, Tensor(), set).below_floor.value(), 0.9);
}

/// The keys of an accuracy that are null.
std::set<std::string> undefined(const Accuracy& accuracy) {
  std::set<std::string> keys;
  const Json json = to_json(accuracy);
  for (const auto& [key, value] : json.items()) {
    if (value.is_null()) keys.insert(key);
  }
  return keys;
}

TEST(Accuracy, WhatIsNotDefinedIsNoNumber) {
  using Keys = std::set<std::string>;
  const Tensor no_sd;
  const TrainingSet some = MeasuredRuns::of(few(60)).set;
  const auto accuracy = [&](const TrainingSet& set) { return accuracy_of(set.log_cycles, no_sd, set); };
  const Keys uncertainty{"within_1sd", "within_2sd"};
  EXPECT_EQ(undefined(accuracy(some)), uncertainty);
  EXPECT_EQ(undefined(accuracy(some.select({}))).size(), to_json(accuracy(some)).size() - 1) << "but rows";
  EXPECT_EQ(undefined(Accuracy{}), undefined(accuracy(some.select({}))));

  // One row of every layer: nothing to compare within layers.
  std::map<std::int64_t, std::int64_t> one_of;
  for (std::int64_t i = 0; i < some.rows(); ++i)
    one_of.emplace(some.comparable[static_cast<std::size_t>(i)], i);
  std::vector<std::int64_t> ones;
  for (const auto& [layer, row] : one_of) ones.push_back(row);
  ASSERT_GT(ones.size(), 2U);
  EXPECT_EQ(undefined(accuracy(some.select(ones))),
            (Keys{"within_1sd", "within_2sd", "spearman_within_layer", "top1_regret"}));

  // All measured alike, or predicted alike: nothing to rank. Of one row no prediction differs from another's.
  const Keys ranks{"within_1sd", "within_2sd", "spearman", "kendall", "spearman_within_layer"};
  TrainingSet alike = some;
  alike.log_cycles = torch::full_like(some.log_cycles, some.log_cycles.max().item<double>());
  EXPECT_EQ(undefined(accuracy_of(some.log_cycles, no_sd, alike)), ranks);
  EXPECT_EQ(undefined(accuracy_of(alike.log_cycles, no_sd, some)), ranks);
  const std::string table = accuracy_table({{"all", accuracy(some.select({0}))}});
  for (const char* what :
       {"Spearman", "per MAC", "within layers", "Kendall", "top-1 regret", "within 1 sd"}) {
    const std::size_t at = table.find(what);
    ASSERT_NE(at, std::string::npos) << what;
    const std::string line = table.substr(at, table.find('\n', at) - at);
    EXPECT_EQ(line.find_last_not_of(' '), line.find('-', std::string(what).size())) << line;
  }
  EXPECT_EQ(table.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace dosa
