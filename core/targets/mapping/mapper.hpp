// The integer side of the search: which mappings of a layer can be part of an optimal design, and which
// hardware and mappings together are best.
//
// With the array fixed, a mapping enters a design only through six numbers: the scratchpad and the
// accumulator it needs, its cycles, and its energy, which is an affine function of the two buffer sizes. A
// mapping that another one matches or beats in all six is never needed; what remains is the layer's frontier.
// Choosing buffers and one entry per layer is then cheap, whatever the size of the map space.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dosa/core/search/problem.hpp"
#include "dosa/models/base/torch.hpp"

namespace dosa {

/// The mappings of one layer on one array that no other mapping beats in everything.
struct Frontier {
  torch::Tensor log_factors;  ///< [entries, slots], whole factors
  torch::Tensor order;        ///< [entries], index of the loop order
  /// What a mapping needs and costs: scratchpad and accumulator in KiB (whole, what hardware must have),
  /// cycles, energy in pJ with buffers of size zero, energy per KiB of scratchpad and of accumulator. For all
  /// groups of one run of the layer.
  enum Column : std::int64_t {
    kScratchpad,
    kAccumulator,
    kCycles,
    kEnergy,
    kPerScratchpad,
    kPerAccumulator,
    kColumns
  };
  torch::Tensor numbers;       ///< [entries, columns]
  bool complete = true;        ///< the whole map space was enumerated
  std::int64_t evaluated = 0;  ///< evaluations of the model: nests times orders, and lower bounds

  // The map space in nests; every nest goes with every loop order.
  double space = 0;          ///< all splits of all dimensions with spatial factors up to the array
  double candidates = 0;     ///< of these, the nests whose spatial factors are the largest (see Mapper)
  double looked_at = 0;      ///< of the candidates; less than all where there were too many or a stop
  double over_capacity = 0;  ///< of those looked at, larger than the buffers may be: never evaluated
  /// Of those looked at, beaten in everything by a known mapping even at the lower bound of all their orders:
  /// never evaluated beyond that bound.
  double beaten = 0;
};

/// Indices of the rows of `numbers` [n, columns], none negative, that no other row matches or beats in every
/// column; of equal rows the first.
torch::Tensor undominated(const torch::Tensor& numbers);

/// Energy [n] in pJ of `numbers` [n, Frontier::kColumns] on buffers of these sizes.
torch::Tensor energy_at(const torch::Tensor& numbers, double scratchpad_kib, double accumulator_kib);

/// Enumerates integer mappings of the layers of a problem with the exact model.
class Mapper {
 public:
  explicit Mapper(const SearchProblem& problem);

  const CostModel& model() const { return model_; }

  /// The frontier of a layer on an array of `pe_dim`, all buffers up to the problem's bounds. Temporal
  /// factors run over all factorisations; spatial factors are the largest that divide the tile and fit the
  /// array (a loop that becomes spatial never adds an access, a cycle or a word of need). When more than
  /// `max_nests` nests would have to be looked at, each dimension keeps the choices nearest to `centre`
  /// ([slots] log factors). Nests that are larger than the buffers may be are left out before they are
  /// evaluated, whole branches of them at once: tiles only grow with the factors of further dimensions. On
  /// fixed buffers so are nests that a known mapping beats even at a lower bound of all their orders
  /// (Sharpness::lower_bound), best bounds first.
  /// Deterministic, unless `stop` (asked every few thousand nests) ends it with what was found so far.
  Frontier frontier(std::size_t layer, std::int64_t pe_dim, const torch::Tensor& centre,
                    std::int64_t max_nests, const std::function<bool()>& stop = {}) const;
  /// Without a wish where to look: the centre has even splits.
  Frontier frontier(std::size_t layer, std::int64_t pe_dim, std::int64_t max_nests,
                    const std::function<bool()>& stop = {}) const;

 private:
  const SearchProblem& problem_;
  CostModel model_;
  CostModel bound_;  ///< one order only: for what does not depend on it
};

/// Hardware with one frontier entry per layer.
struct IntegerDesign {
  Hardware hardware;
  std::vector<std::int64_t> entry;  ///< per layer, an index into its frontier
  double log_objective = 0;
};

/// Costs of those entries of a frontier that fit given hardware, each [fitting]: one run of the layer with
/// all its groups.
struct FrontierCosts {
  torch::Tensor energy_uj, cycles;
};
FrontierCosts costs_at(const Frontier& frontier, const Hardware& hardware);

/// The entries that together are best on given hardware, exactly. The objective is quasi-concave in the sums
/// of energy and latency, so over all combinations of entries its minimum lies at a vertex of the lower
/// convex hull of these sums; at a vertex every layer minimises energy + price * latency for one and the same
/// price. Going through all prices visits all vertices. `entry` is empty when some layer does not fit.
IntegerDesign best_entries(const SearchProblem& problem, const std::vector<Frontier>& frontiers,
                           const Hardware& hardware);

/// The best buffers and entries for frontiers of an array of `pe_dim`: local searches over buffer sizes from
/// `starts`, from the largest buffers and from the best point of a coarse grid. For given buffers the entries
/// are chosen by fixed-point iteration on the shares of energy and latency, at last by best_entries. Within
/// the problem's area. `entry` is empty when some layer fits nowhere. `stop` (asked every few milliseconds)
/// ends it with the best so far, which there need not be.
IntegerDesign best_design(const SearchProblem& problem, const std::vector<Frontier>& frontiers,
                          std::int64_t pe_dim, const std::vector<Hardware>& starts,
                          const std::function<bool()>& stop = {});

/// The best of these hardware sizes, which share an array, with the best entries of frontiers on it. `entry`
/// is empty when some layer fits nowhere.
IntegerDesign best_design_among(const SearchProblem& problem, const std::vector<Frontier>& frontiers,
                                const std::vector<Hardware>& hardware);

/// A frontier design as a Design with exact costs.
Design to_design(const SearchProblem& problem, const Mapper& mapper, const std::vector<Frontier>& frontiers,
                 const IntegerDesign& integer);

}  // namespace dosa
