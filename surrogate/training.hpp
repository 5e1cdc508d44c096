// Training a surrogate: base and ensemble from measurements, cross-validation, fine-tuning, what to measure
// next.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/measurements.hpp"
#include "dosa/surrogate/surrogate.hpp"

namespace dosa {

struct TrainOptions {
  Predictor predictor = Predictor::kCombined;  ///< kCombined or kLearned; the roofline has nothing to train
  int networks = 5;                            ///< of the ensemble, 2 to 32: their spread is the uncertainty
  int hidden = 48;                             ///< units per hidden layer, 1 to 1024
  int epochs = 250;                            ///< passes over the rows, 1 to 100000
  int batch = 128;                             ///< rows per step, 1 to 65536
  double rate = 6e-3;                          ///< highest learning rate of the one-cycle schedule
  double weight_decay = 3e-3;                  ///< of AdamW
  double huber = 0.1;                          ///< error in log cycles from which the loss is linear
  double held_out = 0.1;  ///< share of the layers that stops a network early, others per network
  int base_steps = 600;   ///< of the fit of the base's constants; 0 keeps the initial ones
  int folds = 5;          ///< of each cross-validation, 2 to 20; 0 leaves it out
  std::uint64_t seed = 0;
  std::int64_t threads = 0;  ///< fits at a time, 0: one per core; changes nothing but the time
  /// Throws Error{kValue} naming the option.
  void check() const;
};
Json to_json(const TrainOptions& options);

/// Measurements as tensors.
struct TrainingSet {
  MeasuredTarget target;
  RunBatch runs;                      ///< one entry per row
  torch::Tensor tile, pe_dim;         ///< [rows, 7], [rows]
  torch::Tensor log_cycles, macs;     ///< [rows]
  std::vector<std::int64_t> layers;   ///< layer of every row
  std::vector<std::int64_t> tilings;  ///< rows with the same number executed the very same thing
  Executed executed;

  /// Throws Error{kValue} with the file and line of a row that took less than its floor by more than
  /// rounding, or that would hang.
  static TrainingSet of(const Measurements& measurements);
  std::int64_t rows() const { return log_cycles.size(0); }
  /// The rows with these indices.
  TrainingSet select(const std::vector<std::int64_t>& rows) const;
};

/// How predictions compare with measurements; errors are shares (0.1 = 10 %) of the measured cycles.
struct Accuracy {
  std::int64_t rows = 0;
  double spearman = 0, spearman_per_mac = 0;
  double spearman_within_layer = 0;  ///< mean over layers with at least three tilings
  double kendall = 0;                ///< tau-b
  double mape = 0, median_ape = 0;
  double gef = 1;  ///< exp(mean |ln(predicted / measured)|)
  /// Geometric mean over layers of measured(best predicted tiling) / measured(best tiling); repeated
  /// measurements of one tiling are averaged first.
  double top1_regret = 1;
  double below_floor = 0;  ///< share of predictions below the compute floor
  /// Share of measurements, 0.68 and 0.95 when calibrated; none where predictions have no uncertainty.
  std::optional<double> within_1sd, within_2sd;
};
Json to_json(const Accuracy& accuracy);
/// For people: a line for each part that has rows, below a heading.
std::string accuracy_table(const std::vector<std::pair<std::string, Accuracy>>& parts);

/// `log_sd` may be undefined. All [rows].
Accuracy accuracy_of(const torch::Tensor& log_predicted, const torch::Tensor& log_sd,
                     const TrainingSet& measured);

/// A learning curve: mean over the networks after each epoch that was looked at.
struct CurvePoint {
  std::string run;  ///< "rows 1/5", "layers 1/5", "final"
  int epoch;
  double training, held_out;  ///< mean |ln(predicted / measured)|
};

/// Out-of-fold predictions of one cross-validation.
struct CrossValidation {
  std::string folds;                 ///< "rows" or "layers"
  torch::Tensor log_cycles, log_sd;  ///< [rows]
  Accuracy accuracy;
};

struct TrainSummary {
  std::vector<CrossValidation> validations;
  std::vector<CurvePoint> curve;
  double seconds = 0;
};

/// Called with a line for the user.
using Progress = std::function<void(const std::string&)>;

/// Trains on all rows, cross-validated by random rows and by whole layers; scalers, base and early stopping
/// of a fold see the fold's training rows only. The same seed gives the same file, whatever the number of
/// threads; `progress` may be called on any of them, by one at a time. Throws Error for fewer than 50 rows,
/// or one layer.
Surrogate train_surrogate(const Measurements& measurements, const TrainOptions& options,
                          TrainSummary* summary, const Progress& progress);

/// Adapts the networks of a surrogate to a few rows of the same target (at least 3), held to the old weights;
/// base and inputs stay. Throws Error naming the field in which the targets differ.
Surrogate fine_tune(const Surrogate& from, const Measurements& measurements, const TrainOptions& options,
                    TrainSummary* summary, const Progress& progress);

/// The next `count` tilings worth a measurement: of random legal tilings of the measured layers those with
/// the largest expected improvement over the best known one, under the surrogate's mean and uncertainty. At
/// most a fifth (and at least one) of them for any one layer. Their cycles are the predictions.
std::vector<Measurement> propose_measurements(const Surrogate& surrogate, const Measurements& measured,
                                              const Hardware& buffers, int count, std::uint64_t seed);

/// Random legal tilings of a layer on Gemmini with these buffers, [at most `count`, 7].
torch::Tensor random_tilings(const LayerRun& run, const RunRules& rules, const Hardware& buffers, int count,
                             std::uint64_t seed);

/// How the layer of a measurement is run.
LayerRun run_of(const Measurement& measurement);

}  // namespace dosa
