// A descent on disk: everything that the rest of the run depends on, so that it continues to the bit.
#pragma once

#include <filesystem>
#include <optional>

#include "dosa/core/search/descent.hpp"
#include "dosa/core/search/gradient_search.hpp"

namespace dosa {

/// Where a descent stands.
struct SearchState {
  std::int64_t steps = 0;
  std::int64_t evaluations = 0;
  std::int64_t stale_roundings = 0;  ///< since the best design changed
  /// Step of the last rounding that was done in full. A rounding that is due at `steps` and was not done in
  /// full is done again.
  std::int64_t rounded_at = 0;
  double best_log_objective = 0;
  std::optional<Design> best;  ///< the best integer design so far
};

/// Writes a checkpoint of this problem and these options ("dosa-checkpoint/3"). Throws Error{kFile}.
void save_checkpoint(const std::filesystem::path& path, const SearchProblem& problem,
                     const SearchOptions& options, const SearchState& state, std::vector<Descent>& descents);

/// Reads one back into descents of the same groups. Throws Error{kValue} naming the field when it is of
/// another version, workload, machine, bounds, objective or option that the result depends on, and the errors
/// of TensorFile. Limits, threads and device may differ.
SearchState load_checkpoint(const std::filesystem::path& path, const SearchProblem& problem,
                            const SearchOptions& options, std::vector<Descent>& descents);

}  // namespace dosa
