// The mappings of machines of schema 1 (ArrayMachine) as the baselines draw them: all splits of every
// dimension over the slots that searches use, in each of the machine's search orders.
#pragma once

#include <vector>

#include "dosa/core/baselines/map_space.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

/// A code: the logarithms of whole factors, one for each of search_slots, and the index of the order in
/// search_orders.
class ArrayMapSpace : public MapSpace {
 public:
  ArrayMapSpace(const SearchProblem& problem, std::int64_t threads);

  std::int64_t orders() const { return static_cast<std::int64_t>(models_.size()); }

  std::int64_t width() const override { return static_cast<std::int64_t>(slots_.size()) + 1; }
  /// An enumeration takes a lower bound and all orders of at least one nest.
  std::int64_t least_search() const override { return orders() + 1; }
  /// Every dimension's split uniform among those whose spatial factor the array allows, the order uniform.
  /// What does not fit is drawn again; a layer for which most draws fail gets what was found in 64 *
  /// per_layer draws, at least the mapping with all loops at DRAM.
  std::pair<Candidates, Scores> random_mappings(const Hardware& hardware, std::int64_t per_layer,
                                                Random& random, Recorder& recorder) const override;
  /// One or two primes elsewhere, another split of a dimension, or another order.
  void move(std::int64_t layer, const Hardware& hardware, Random& random, double* code) const override;
  Scores cut_down(Candidates& candidates, const std::vector<Hardware>& hardware, Random& random,
                  Recorder& recorder) const override;
  Scores score(const Candidates& candidates, const std::vector<Hardware>& hardware) const override;
  Candidates outermost() const override;
  Hardware need(const Hardware& hardware, const Candidates& candidates,
                const std::vector<std::int64_t>& rows) const override;

 private:
  /// `sizes` has fields of shape [N] or [].
  Scores score_on(const Candidates& candidates, const HardwareTensors& sizes) const;
  /// One random nest of a layer: the factors of a code.
  void random_nest(std::int64_t layer, std::int64_t pe_dim, Random& random, double* factors) const;
  void outermost_nest(std::int64_t layer, double* factors) const;
  /// Moves a random prime of a random slot in `from` to a slot in `to` of the same dimension.
  template <typename From, typename To>
  void move_prime(double* factors, Random& random, From from, To to) const;

  /// All splits of a dimension of a layer over its slots, those with small spatial factors first.
  struct Splits {
    std::vector<std::int64_t> slots;
    std::vector<std::int64_t>
        spatial;  ///< spatial factor of each split (1 where the dimension has no such slot)
    std::vector<double> log_factors;  ///< [splits, slots]
  };

  const ArrayMachine& machine_;
  std::vector<Slot> slots_;
  CostModel all_orders_;
  std::vector<CostModel> models_;  ///< one per order
  LayerBatch batch_;
  torch::Tensor groups_;                     ///< [layers]
  std::vector<std::vector<Splits>> splits_;  ///< [layer][dim], dimensions of size 1 left out
};

}  // namespace dosa
