// The state of a search in a file: what a run needs to go on as if it had not been interrupted.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "dosa/core/search/descent.hpp"
#include "dosa/core/search/optimizer.hpp"

namespace dosa {

struct SearchState {
  std::int64_t steps = 0, evaluations = 0;
  std::int64_t stale_roundings = 0;  ///< roundings since the best design changed
  std::int64_t rounded_at = 0;       ///< step of the last rounding that was done in full
  /// The best design so far, with its objective and what the networks take as the search counts it (Choice).
  std::optional<Design> best;
  double best_log_objective = 0;
  std::vector<NetworkSums> best_sums;
};

/// Writes atomically. Throws Error{kFile}.
void save_checkpoint(const std::filesystem::path& path, const SearchProblem& problem,
                     const SearchOptions& options, const SearchState& state, std::vector<Descent>& descents);

/// What the run of a checkpoint does (Stages): a search without --samples may have looked at everything at
/// once where a limited one descended, and a resumed one goes on as it began. Throws as load_checkpoint.
Stages stages_of_checkpoint(const std::filesystem::path& path);

/// Reads a checkpoint into `descents`, which have the shapes of the run. Throws Error{kValue} for a
/// checkpoint of another problem or of other options, naming the first field that differs, and as TensorFile.
SearchState load_checkpoint(const std::filesystem::path& path, const SearchProblem& problem,
                            const SearchOptions& options, std::vector<Descent>& descents);

}  // namespace dosa
