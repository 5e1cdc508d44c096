// Which tilings to measure next: those with the largest expected improvement (Jones, Schonlau and Welch,
// Efficient Global Optimization of Expensive Black-Box Functions, 1998).
#pragma once

#include <vector>

#include "dosa/core/targets/gemmini/measurements.hpp"
#include "dosa/core/targets/gemmini/surrogate.hpp"

namespace dosa {

/// The next `count` tilings worth a measurement: of random legal tilings of the measured layers those with
/// the largest expected improvement over the best known one, under the surrogate's mean and uncertainty. At
/// most a fifth (and at least one) of them for any one layer. Their cycles are the predictions.
std::vector<Measurement> propose_measurements(const Surrogate& surrogate, const Measurements& measured,
                                              const ArraySizes& buffers, int count, std::uint64_t seed);

/// Random legal tilings of every run on Gemmini with these buffers, [at most `count`, 7] each: those that its
/// seed gives, whatever runs are beside it. The runs are looked at together, which is fast where kernels and
/// paddings are alike.
std::vector<torch::Tensor> random_tilings(const std::vector<LayerRun>& runs, const RunRules& rules,
                                          const ArraySizes& buffers, int count,
                                          const std::vector<std::uint64_t>& seeds);

}  // namespace dosa
