// What every trained surrogate promises, at random legal tilings of the layers that it was trained on.
#pragma once

#include <vector>

#include "dosa/core/targets/gemmini/training.hpp"

namespace dosa::testing {

/// What the shipped surrogate is trained on (scripts/train_surrogate).
Measurements shipped_training_rows();

/// Each layer of the measurements once, as it was run; at most `most`.
std::vector<LayerRun> measured_layers(const Measurements& measurements, std::size_t most = SIZE_MAX);

/// Matrix products and convolutions that nobody measured, with sizes log-uniform up to 2048 channels; the
/// same every time.
std::vector<LayerRun> random_layers(int count);

/// Predictions at `per_layer` random legal tilings of every layer are finite and at least the compute floor.
/// How many were looked at.
std::int64_t expect_none_below_the_floor(const Surrogate& surrogate, const std::vector<LayerRun>& layers,
                                         const ArraySizes& hardware, int per_layer);

/// Predictions with twice as many input or output channels in DRAM, the tile staying the same.
struct Doubled {
  std::int64_t pairs = 0;
  std::int64_t lowered = 0;  ///< pairs of which the larger layer is predicted to take less time
  double worst = 0;          ///< the least log(doubled / single), at most 0
};
Doubled double_channels(const Surrogate& surrogate, const std::vector<LayerRun>& layers,
                        const ArraySizes& hardware, int per_layer);

}  // namespace dosa::testing
