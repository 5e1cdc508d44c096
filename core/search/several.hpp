// One hardware for several networks: the joint search, and what each network loses by it.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dosa/core/search/optimizer.hpp"

namespace dosa {

/// A network on the hardware of several.
struct NetworkOnShared {
  double weight = 1;
  Design design;
  /// The best design known for the network by itself: of its own search with the same options, or what was
  /// given, or what the other searches came by.
  Design own;
};

struct SeveralSummary {
  SearchSummary joint;                    ///< of the joint search; `best` and `smallest` hold all layers
  std::vector<NetworkOnShared> networks;  ///< in the problem's order
  double value = 0;                       ///< the joint objective of `networks`
  double own_value = 0;                   ///< what it would be if each network had its own design
  /// Of every network on the smallest hardware within options.within, where it is smaller than that of
  /// `networks`.
  std::vector<Design> smallest;
  double smallest_value = 0;     ///< its joint objective
  std::string hardware_from;     ///< empty: the joint search; else the network whose own hardware it is
  std::int64_t evaluations = 0;  ///< of all searches
  double wall_s = 0;
};

/// How far optimize_several is: which of its searches runs, and how far that is.
using SeveralProgress = std::function<void(const std::string& search, const SearchProgress& now)>;

/// Searches a joint problem (SearchProblem::is_joint). Each network is searched alone, unless `own` has a
/// design of it (by network; may be empty), then all together; then every network is mapped onto the hardware
/// of each of these designs, with sizes fixed and as many schedules looked at as dosa map does, and the
/// hardware whose joint objective is best is taken. So in the joint objective no network's own design, used
/// for all of them as these searches map them, is better. Limits of time and evaluations are shared out: of n
/// networks the joint search gets n parts, every other one of the n + n^2 searches one. options.within,
/// checkpoint and resume are the joint search's alone. Throws as optimize does. After an interrupt what
/// remains of the searches makes their first designs only, and nothing is mapped onto other hardware.
SeveralSummary optimize_several(const SearchProblem& problem, const SearchOptions& options,
                                const std::vector<std::optional<Design>>& own = {},
                                const SeveralProgress& progress = {},
                                const std::atomic<bool>* interrupt = nullptr);

}  // namespace dosa
