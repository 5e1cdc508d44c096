// How predictions compare with measurements.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dosa/models/base/json_input.hpp"
#include "dosa/surrogate/training_set.hpp"

namespace dosa {

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
/// For people: a column for each part that has rows.
std::string accuracy_table(const std::vector<std::pair<std::string, Accuracy>>& parts);
/// In short: a line for each part that has rows.
std::string accuracy_lines(const std::vector<std::pair<std::string, Accuracy>>& parts);

/// `log_sd` may be undefined. All [rows].
Accuracy accuracy_of(const torch::Tensor& log_predicted, const torch::Tensor& log_sd,
                     const TrainingSet& measured);

}  // namespace dosa
