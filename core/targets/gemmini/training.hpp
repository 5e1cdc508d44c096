// Training the surrogate of Gemmini from measurements: what the generic training sees of them.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "dosa/core/targets/gemmini/measurements.hpp"
#include "dosa/core/targets/gemmini/surrogate.hpp"
#include "dosa/surrogate/training.hpp"

namespace dosa {

/// How the layer of a measurement is run.
LayerRun run_of(const Measurement& measurement);

/// Measurements as tensors, one entry of every tensor per row.
struct MeasuredRuns {
  MeasuredTarget target;
  RunBatch runs;
  torch::Tensor tile, pe_dim;  ///< [rows, 7], [rows]
  TrainingSet set;

  /// Throws Error{kValue} with the file and line of a row that took less than its floor by more than
  /// rounding, or that would hang.
  static MeasuredRuns of(const Measurements& measurements);
};

/// Trains on all rows; see dosa::train.
Surrogate train_surrogate(const Measurements& measurements, const TrainOptions& options,
                          TrainSummary* summary, const Progress& progress);

/// Which part of the measurements a row belongs to: its place among the parts, and its name.
using PartOfRow = std::function<std::pair<std::int64_t, std::string>(const Measurement&)>;
std::pair<std::int64_t, std::string> array_of_row(const Measurement& row);  ///< "pe_dim 8"
std::pair<std::int64_t, std::string> file_of_row(const Measurement& row);   ///< "gemmini_rtl_large"

/// Accuracies of each cross-validation but that of rows, by part, where there are several, as "layers, pe_dim
/// 8". `set` is of these measurements.
std::vector<std::pair<std::string, Accuracy>> accuracy_by(const std::vector<CrossValidation>& validations,
                                                          const Measurements& measurements,
                                                          const TrainingSet& set, const PartOfRow& part_of);

/// Adapts the networks of a surrogate to a few rows of the same target; see dosa::fine_tuned. Throws Error
/// naming the field in which the targets differ.
Surrogate fine_tune(const Surrogate& from, const Measurements& measurements, const TrainOptions& options,
                    TrainSummary* summary, const Progress& progress);

}  // namespace dosa
