// What the baselines share: random legal hardware and mappings, exact scores of batches of them, and the best
// mapping of every layer.
#pragma once

#include <cstdint>
#include <vector>

#include "dosa/core/baselines/baseline.hpp"
#include "dosa/core/search/problem.hpp"
#include "dosa/models/base/random.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

/// Nests of layers of a problem, each in one loop order: factors whole, N of them.
struct Candidates {
  torch::Tensor log_factors;  ///< [N, slots], float64
  torch::Tensor order;        ///< [N], int64
  torch::Tensor layer;        ///< [N], int64

  std::int64_t size() const { return layer.size(0); }
  Candidates at(const torch::Tensor& index) const {
    return {log_factors.index_select(0, index), order.index_select(0, index), layer.index_select(0, index)};
  }
};

/// Exact results of candidates, each [N]: one run of the layer with all its groups.
struct Scores {
  torch::Tensor energy_uj, cycles;
  torch::Tensor fits;  ///< bool: the hardware has what the candidate needs
};

/// One entry for every layer, and what the network then costs.
struct NetworkChoice {
  std::vector<std::int64_t> entry;  ///< per layer, a row of the candidates
  double objective = std::numeric_limits<double>::infinity();
};

class MapSpace {
 public:
  MapSpace(const SearchProblem& problem, std::int64_t threads);

  std::int64_t layers() const { return static_cast<std::int64_t>(repetitions_.size()); }
  const std::vector<double>& counts() const { return repetitions_; }
  const std::vector<Slot>& slots() const { return slots_; }
  std::int64_t orders() const { return static_cast<std::int64_t>(models_.size()); }
  const SearchProblem& problem() const { return problem_; }

  /// Legal hardware: the array uniform, the buffers log-uniform within the bounds (shrunk into the area where
  /// there is a limit); every layer has a mapping on it.
  Hardware random_hardware(Random& random) const;
  /// Whether the area is allowed and the mapping with all loops at DRAM, which needs the least, fits for
  /// every layer.
  bool legal(const Hardware& hardware) const;

  /// `per_layer` random mappings of every layer that fit the hardware, with their scores: every dimension's
  /// split uniform among those whose spatial factor the array allows, the order uniform. What does not fit is
  /// drawn again (told to the recorder as rejected); a layer for which most draws fail gets what was found in
  /// 64 * per_layer draws, at least the mapping with all loops at DRAM. Every one returned is counted as a
  /// sample; at most layers * per_layer are.
  std::pair<Candidates, Scores> random_mappings(const Hardware& hardware, std::int64_t per_layer,
                                                Random& random, Recorder& recorder) const;

  /// Uncounted: the caller tells the recorder.
  /// `hardware` has fields of shape [N] or [].
  Scores score(const Candidates& candidates, const HardwareTensors& hardware) const;

  /// One random mapping of a layer, log factors into `row` (slots() numbers).
  void random_nest(std::int64_t layer, std::int64_t pe_dim, Random& random, double* row) const;

  /// Every layer with all its loops at DRAM.
  Candidates outermost() const;

  /// The candidates that together are best, one per layer among those that fit: first each layer's own best,
  /// then exchanges that lower the network's objective, found on its linearisation. No evaluations.
  NetworkChoice best_of(const Candidates& candidates, const Scores& scores) const;

  /// Whole sizes that chosen rows need, at least the bounds' minimum.
  Hardware need(const Candidates& candidates, const std::vector<std::int64_t>& rows) const;

  DesignDraft draft(const Hardware& hardware, const Candidates& candidates,
                    const std::vector<std::int64_t>& rows) const;

  /// Offers the choice on `hardware` and, where samples are left, on the smallest hardware that it needs.
  void offer(const Hardware& hardware, const Candidates& candidates, const NetworkChoice& choice,
             Recorder& recorder) const;

  /// Energy and cycles of one network from scores of one candidate per layer.
  double objective(double energy_uj, double cycles) const;

 private:
  void outermost_nest(std::int64_t layer, double* row) const;

  /// All splits of a dimension of a layer over its slots, those with small spatial factors first.
  struct Splits {
    std::vector<std::int64_t> slots;
    std::vector<std::int64_t>
        spatial;  ///< spatial factor of each split (1 where the dimension has no such slot)
    std::vector<double> log_factors;  ///< [splits, slots]
  };

  const SearchProblem& problem_;
  std::int64_t threads_;
  const ArrayMachine& machine_;
  std::vector<Slot> slots_;
  CostModel all_orders_;
  std::vector<CostModel> models_;  ///< one per order
  LayerBatch batch_;
  std::vector<double> repetitions_;          ///< count of each layer
  torch::Tensor counts_, groups_;            ///< [layers]
  std::vector<std::vector<Splits>> splits_;  ///< [layer][dim], dimensions of size 1 left out
};

/// Hardware tensors [N] or [] of whole sizes.
HardwareTensors hardware_tensors(const std::vector<Hardware>& hardware);

}  // namespace dosa
