// How unsure a surrogate is of a tiling, for choosing what to measure.
#pragma once

#include "dosa/core/targets/gemmini/campaign/sample.hpp"
#include "dosa/core/targets/gemmini/model.hpp"

namespace dosa {

/// The standard deviation of log(cycles) that `model` predicts for each call on `hardware`
/// (TileCosts::log_sd: the spread of the ensemble, more for tiles larger than any measured). `model` must
/// outlive the result. Throws Error{kValue}, beginning with `where`, unless the model has a surrogate with
/// networks that can disagree.
Uncertainty disagreement(const RtlModel& model, const ArraySizes& hardware, const std::string& where);

}  // namespace dosa
