// The search for a real Gemmini (target gemmini-rtl): which of the sizes that can be built, and for every
// layer which library call with which tile. Tiles need not divide the layer.
//
// Adam on a relaxation of both models (energy by the analytical model from what is executed, latency by the
// surrogate), rounding to useful tile sizes, exact scoring; then per layer the frontier of tilings (all
// useful ones where there are few, else what local moves reach) and the best sizes and tilings together
// (best_design_among). After DOSA (MICRO 2023, arXiv 2509.10702), section 6.5; the relaxation, which needs no
// divisors, and the rule of trust below are this project's.
//
// Latencies are predictions, and a search finds their mistakes. So a tiling counts with
//   cycles = mean * exp(kappa * sd),
// where sd is that of the ratio to the library's own tiling of the layer on the default hardware
// (RtlModel::log_sd_of_ratio), which itself counts with its mean: another tiling is chosen only where what it
// gains exceeds the model's uncertainty about the gain.
#pragma once

#include "dosa/core/search/gradient_search.hpp"
#include "dosa/core/targets/gemmini/model.hpp"

namespace dosa {

struct RtlSearchOptions {
  /// The fields mean what they mean in gradient_search, but for these: the descent takes at most half of a
  /// limit of time or evaluations; the first design, made in any case, is the library's own tile of every
  /// layer on every hardware of the search; polish_nests are tilings per layer and call; checkpoint, resume
  /// and device are not supported.
  SearchOptions search = default_search();
  /// Standard deviations that a gain in latency must exceed. 0 believes every prediction. 0 to 10.
  double kappa = 1;

  static SearchOptions default_search();
  bool is_valid(std::string* error) const;
};

/// Sizes to build (double-buffered), with what the library runs on them by itself: what every design of
/// gemmini-rtl is compared with. The machine's default, on another array the nearest sizes that can be built.
Hardware default_gemmini(const Machine& machine, std::int64_t pe_dim);

/// Runs the search on the array bounds.min.pe_dim = bounds.max.pe_dim. The predicted latency of the network
/// is at most that of default_gemmini with the library's tiles, and so is its objective, if those sizes are
/// within the bounds. Stops as soon as `*interrupt` becomes true, with the best design so far. Throws
/// Error{kBounds} where no legal sizes lie within the bounds or a layer has no tile that fits, Error{kValue}
/// for options out of range, for an array that the surrogate does not know and for layers that Gemmini cannot
/// run.
SearchSummary rtl_search(const SearchProblem& problem, const RtlModel& model, const RtlSearchOptions& options,
                         const ProgressCallback& progress = {}, const std::atomic<bool>* interrupt = nullptr);

}  // namespace dosa
