// How predictions compare with measurements.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dosa/models/base/json_input.hpp"
#include "dosa/surrogate/training_set.hpp"

namespace dosa {

/// How predictions compare with measurements; errors are shares (0.1 = 10 %) of the measured cycles. Nothing
/// where a figure is not defined: without rows, of an uncertainty where predictions have none, and where
/// there is nothing to rank.
struct Accuracy {
  using Figure = std::optional<double>;
  std::int64_t rows = 0;
  /// Rank correlations, defined where both the predictions and the measurements differ.
  Figure spearman, spearman_per_mac;
  Figure spearman_within_layer;  ///< mean over layers with three tilings or more of which it is defined
  Figure kendall;                ///< tau-b
  Figure mape, median_ape;
  Figure gef;  ///< exp(mean |ln(predicted / measured)|)
  /// Geometric mean over layers with two tilings or more of measured(best predicted tiling) / measured(best
  /// tiling); repeated measurements of one tiling are averaged first.
  Figure top1_regret;
  Figure below_floor;             ///< share of predictions below the compute floor
  Figure within_1sd, within_2sd;  ///< share of measurements, 0.68 and 0.95 when calibrated
};
/// Figures that are not defined are null.
Json to_json(const Accuracy& accuracy);
/// For people: a column for each part that has rows; "-" stands for what is not defined.
std::string accuracy_table(const std::vector<std::pair<std::string, Accuracy>>& parts);
/// In short: a line for each part that has rows.
std::string accuracy_lines(const std::vector<std::pair<std::string, Accuracy>>& parts);

/// `log_sd` may be undefined. All [rows], which may be none.
Accuracy accuracy_of(const torch::Tensor& log_predicted, const torch::Tensor& log_sd,
                     const TrainingSet& measured);

}  // namespace dosa
