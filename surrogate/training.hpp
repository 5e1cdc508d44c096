// Training a surrogate of any chip: base and ensemble from features of measured runs, cross-validation,
// calibration of the uncertainty, fine-tuning.
//
// Every network of the ensemble (Lakshminarayanan et al., NeurIPS 2017) starts from other weights, is stopped
// early on held-out layers of its own, and is trained by AdamW (Loshchilov and Hutter, ICLR 2019) with a
// one-cycle schedule of the learning rate (Smith and Topin, arXiv 1708.07120). Besides the measured runs it
// sees pairs of runs that were not measured: of these the second has to be predicted to take longer, and its
// prediction is held to the base's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dosa/surrogate/accuracy.hpp"
#include "dosa/surrogate/surrogate.hpp"

namespace dosa {

struct TrainOptions {
  Predictor predictor = Predictor::kCombined;  ///< kCombined or kLearned; the roofline has nothing to train
  int networks = 8;                            ///< of the ensemble, 2 to 32: their spread is the uncertainty
  int hidden = 64;                             ///< units per hidden layer, 1 to 1024
  int epochs = 160;                            ///< passes over the rows, 1 to 100000
  int batch = 128;                             ///< rows per step, 1 to 65536
  double rate = 6e-3;                          ///< highest learning rate of the one-cycle schedule
  double weight_decay = 0.03;                  ///< of AdamW
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

/// A learning curve: mean over the networks after each epoch that was looked at.
struct CurvePoint {
  std::string run;  ///< "rows 1/5", "layers 1/5", "final"
  int epoch;
  double training, held_out;  ///< mean |ln(predicted / measured)|
};

/// Out-of-fold predictions of one cross-validation.
struct CrossValidation {
  std::string
      folds;  ///< "rows"; "layers"; "quality": the fastest runs of layers, from the slower ones of others
  std::vector<std::int64_t> rows;    ///< that were predicted: all, or the fastest ones
  std::vector<std::int64_t> fold;    ///< of each of them, from 0: the fold that it was held out in
  torch::Tensor log_cycles, log_sd;  ///< [rows]
  Accuracy accuracy;
  /// Of the fastest fifth of the runs of a layer that can be compared, where layers are held out: as good as
  /// those that a search chooses, with good runs of other layers trained on. Nothing where there are too few.
  std::optional<Accuracy> fastest;
};

/// The accuracy of those predictions of a cross-validation whose row is chosen; `chosen` has an entry for
/// every row of the set. Nothing where there are none.
std::optional<Accuracy> accuracy_of_chosen(const CrossValidation& validation, const TrainingSet& set,
                                           const std::vector<bool>& chosen);

/// How a surrogate of the smaller runs predicts the larger ones.
struct Extrapolation {
  double octaves;         ///< the largest run that it was trained on, against what was built; below 0
  std::int64_t rows = 0;  ///< that it was trained on; the accuracy has those that are larger
  Accuracy accuracy;      ///< with an uncertainty that does not grow
  double growth = 1;      ///< per octave, from these rows alone
};

struct TrainSummary {
  std::vector<CrossValidation> validations;
  std::vector<Extrapolation> extrapolations;
  std::vector<CurvePoint> curve;
  double seconds = 0;
};

/// Called with a line for the user.
using Progress = std::function<void(const std::string&)>;

/// What is trained on.
struct TrainingData {
  std::string file;  ///< where the measurements stand, for errors
  Json card;         ///< what a surrogate's card says of them
  TrainingSet set;
  OrderedPairs pairs;  ///< may be empty
};

/// Trains on all rows, cross-validated by random rows, by whole layers, and, where there are tilings enough,
/// by whole layers and quality; scalers, base and early stopping of a fold see the fold's training rows only.
/// Two more surrogates, of the rows that need at most half and a quarter of what was built, say how the
/// uncertainty grows with the size of a run. The same seed gives the same surrogate, whatever the number of
/// threads; `progress` may be called on any of them, by one at a time. Throws Error for fewer than 50 rows,
/// or one layer.
FeatureSurrogate train(const TrainingData& data, const FeatureTable& table, const TrainOptions& options,
                       TrainSummary* summary, const Progress& progress);

/// Adapts the networks of a surrogate to a few rows of the same chip (at least 3), held to the old weights;
/// base and inputs stay.
FeatureSurrogate fine_tuned(const FeatureSurrogate& from, const TrainingData& data,
                            const TrainOptions& options, TrainSummary* summary, const Progress& progress);

}  // namespace dosa
