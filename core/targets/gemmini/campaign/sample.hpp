// Choosing what to measure: legal tilings of a network's layers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dosa/core/targets/gemmini/campaign/plan.hpp"
#include "dosa/models/base/random.hpp"
#include "dosa/models/workload.hpp"

namespace dosa {

/// How unsure a predictor is of each of these calls, for example the spread of an ensemble; larger is less
/// sure.
using Uncertainty = std::function<std::vector<double>(const std::vector<std::pair<Layer, gemmini::Tile>>&)>;

struct SampleOptions {
  std::int64_t count = 200;  ///< measurements in all
  std::uint64_t seed = 1;
  ArraySizes hardware{16, 256, 64};  ///< as built
  gemmini::LibraryVersion library;   ///< that the programs are compiled with
  /// Layers with more multiply-accumulates are left out: simulated RTL runs some ten thousand cycles a
  /// second.
  std::int64_t max_macs = kMaxMacs;
  /// Of the drawn tilings, the share that is chosen for its uncertainty out of `pool` times as many, from the
  /// less certain half of them.
  double uncertain_share = 0.5;
  std::int64_t pool = 20;
  Uncertainty uncertainty;  ///< empty: nothing is chosen that way
  BatchLimits batch;

  /// False, naming the field, for values that make no sense.
  bool is_valid(std::string* error) const;
};

struct Sample {
  Plan plan;
  /// Layers without measurements and why, such as shapes that the measurement format cannot hold.
  std::vector<std::pair<std::string, std::string>> left_out;
  /// How many measurements there are of each kind of tiling (PlannedCall::tiling).
  std::map<std::string, std::size_t> kinds() const;
  /// How many tilings the library itself would choose for all layers and calls, measured or not.
  std::size_t own_tilings = 0;
  bool full = false;  ///< as many measurements as were asked for, so that there may be other tilings
  /// Rows of a table of tilings that an earlier row repeats.
  std::size_t repeated = 0;
  /// What makes the sample of little use for training, as sentences: nothing but the library's own tilings,
  /// layers without any.
  std::vector<std::string> warnings() const;
  std::string brief_report() const;
};

/// A legal tile: every size drawn from the useful ones, evenly in the logarithm, then shrunk until it fits.
gemmini::Tile random_tile(const Layer& layer, const ArraySizes& built, gemmini::Call call, Random& random);

/// Every layer shape once with the library's own tiling by each call, then in turn random tilings, tilings of
/// half and a quarter of the buffers (the library's own among them), and those that a predictor is least sure
/// of. The same options give the same sample. Throws Error where nothing can be measured.
Sample sample_campaign(const Workload& workload, const SampleOptions& options);

/// What to take from a table of tilings.
struct TilingsOptions {
  std::filesystem::path table;
  ArraySizes hardware;  ///< as built; a size of 0 is the table's
  /// That the programs are compiled with; nothing: the table's (column `library`), or today's.
  std::optional<gemmini::LibraryVersion> library;
  const Workload* network = nullptr;  ///< where its layers are the table's, they name them; may be null
  BatchLimits batch;
};

/// The tilings of a table as a plan: the columns of the measurements CSV (data/measurements/README.md)
/// without cycles, as dosa train --proposals writes it; columns that say nothing about layer, tile or sizes
/// are passed over. A row that repeats an earlier one is dropped. Throws Error with file and line for a row
/// that the hardware cannot run, and where rows disagree about the hardware.
Sample sample_tilings(const TilingsOptions& options);

/// What a measurement depends on: sizes, strides, padding and input, as text that is equal for equal shapes.
std::string shape_of(const Layer& layer);

/// Why a measurement of this layer does not fit the columns of the measurements CSV; empty if it does.
std::string not_measurable(const Layer& layer);

}  // namespace dosa
