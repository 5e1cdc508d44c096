// From the frontiers of all layers: which hardware and which entries together are best.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dosa/core/search/frontier.hpp"
#include "dosa/core/search/problem.hpp"
#include "dosa/core/search/space.hpp"

namespace dosa {

/// Hardware with one frontier entry per layer, and sums over every network.
struct Choice {
  Hardware hardware;
  std::vector<std::int64_t> entry;  ///< per layer, an index into its frontier; empty: some layer does not fit
  double log_objective = std::numeric_limits<double>::infinity();  ///< with cycles as the search counts them
  std::vector<NetworkSums> sums;                                   ///< by network
};

/// Whether no network is slower in expectation than the space allows.
bool is_fast(const SearchSpace& space, const std::vector<NetworkSums>& sums);

/// Costs of those entries of a frontier that fit given hardware, each [fitting], in the order of the entries:
/// one run of the layer with all its groups; cycles are the expected ones.
struct FrontierCosts {
  torch::Tensor energy_uj, cycles;
};
FrontierCosts costs_at(const Frontier& frontier, const Hardware& hardware);

/// The entries that together are best on given hardware, exactly. The objective is quasi-concave in the sums
/// of energy and latency, so over all combinations of entries its minimum lies at a vertex of the lower
/// convex hull of these sums; at a vertex every layer minimises energy + price * latency for one and the same
/// price. Going through all prices visits all vertices. On given hardware networks do not depend on each
/// other, and the joint objective rises with each one's, so what is best for each is best together.
Choice best_entries(const SearchProblem& problem, const std::vector<Frontier>& frontiers,
                    const Hardware& hardware);

/// The best buffers and entries for frontiers of a shape, within the problem's area. Any whole sizes: local
/// searches over buffer sizes from `starts`, from the largest buffers and from the best point of a coarse
/// grid, at last best_entries; where the bounds leave one size of every buffer, best_entries alone. `stop`
/// (asked every few milliseconds, by every thread) ends it with the best so far, which there need not be. The
/// result does not depend on `threads`.
Choice best_of_any(const SearchProblem& problem, const std::vector<Frontier>& frontiers, const Shape& shape,
                   const std::vector<Hardware>& starts, const std::function<bool()>& stop = {},
                   std::int64_t threads = 1);
/// The best of a list of hardware sizes that share a shape, with the best entries on it.
Choice best_of_list(const SearchProblem& problem, const std::vector<Frontier>& frontiers,
                    const std::vector<Hardware>& hardware);

/// One of the two, by what the space can build within the problem's area.
Choice best_buildable(const SearchProblem& problem, const SearchSpace& space,
                      const std::vector<Frontier>& frontiers, const Shape& shape,
                      const std::vector<Hardware>& starts, const std::function<bool()>& stop = {},
                      std::int64_t threads = 1);

/// The same, no network slower in expectation than the space allows if that can be had: where the objective
/// would trade latency away, latency counts more and more. log_objective is by the problem's own objective in
/// any case.
Choice choose(const SearchProblem& problem, const SearchSpace& space, const std::vector<Frontier>& frontiers,
              const Shape& shape, const std::vector<Hardware>& starts, const std::function<bool()>& stop = {},
              std::int64_t threads = 1);

/// What the logarithm of a nearly best objective may be: with cycles as the search counts them, and with
/// those that are expected.
struct ObjectiveLimits {
  double counted, expected;
};

/// The least area of a shape that keeps the limits, with the best entries on it; `from`, which keeps them, is
/// of that shape and is returned where nothing smaller is found. Of hardware that is listed
/// (SearchSpace::buildable) exactly the least for these frontiers; of any whole sizes by the searches of
/// best_of_any. No slower in expectation than the space allows, or than `from`.
Choice smallest_within(const SearchProblem& problem, const SearchSpace& space,
                       const std::vector<Frontier>& frontiers, const Choice& from,
                       const ObjectiveLimits& limits, bool everywhere, const std::function<bool()>& stop = {},
                       std::int64_t threads = 1);

/// A choice as a Design with exact costs.
Design to_design(const SearchProblem& problem, const SearchSpace& space,
                 const std::vector<Frontier>& frontiers, const Choice& choice);

}  // namespace dosa
