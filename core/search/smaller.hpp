// The smallest hardware whose objective is within a share of the best's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "dosa/core/search/budget.hpp"
#include "dosa/core/search/chooser.hpp"
#include "dosa/core/search/layers.hpp"
#include "dosa/core/search/optimizer.hpp"

namespace dosa {

/// The schedules of all layers on a shape as far as a search looked at them, and the best choice of them.
struct ShapeSearch {
  std::unique_ptr<LayerSearch> layers;
  Choice best;
};

/// What a search for smaller hardware begins with.
struct SmallerFrom {
  const Design& best;
  double log_objective;  ///< of the best, as the search counts it
  std::map<Shape, ShapeSearch>& looked_at;
  std::function<void()> report;  ///< called after every further shape
};

/// The design with the least area whose objective is within options.within of the best's; nothing where none
/// smaller than the best is found. On the shapes that were looked at it is the smallest by their frontiers.
/// Of the others those may have a smaller one whose least area is below the smallest so far and whose least
/// costs (SearchSpace::least_costs) are within the limit. Where the costs promise it, they are looked at by
/// bisection of their areas, as if larger shapes were never worse. With options.within_everywhere all that
/// may have it are: first by bisection, then the smallest first, with what improves on the mappings at the
/// small sizes, until as many evaluations are spent as the search took before, or the space's
/// polish_evaluations(). The budget pays.
std::optional<Design> smallest_hardware(const SearchProblem& problem, const SearchSpace& space,
                                        const SearchOptions& options, Budget& budget, std::int64_t threads,
                                        const SmallerFrom& from);

}  // namespace dosa
