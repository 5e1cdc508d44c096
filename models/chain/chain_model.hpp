// The analytical model of any chain of memories, as batched tensor operations: words moved, latency, energy.
//
// It counts as Timeloop does (ISPASS 2019): tiles are stationary while the loops outside do not move them, a
// sliding window brings only its new words, a read serves every child that needs the same words (multicast),
// partial sums of one output are added on their way up (spatial reduction), and the first read of a partial
// sum is elided. Neighbours do not pass words to each other. Factors divide their sizes; costs of networks
// and adders are none.
//
// A batch is a list of mappings of one machine, shape [B]. Exact (Sharpness{}), word counts are whole numbers
// in double precision. Relaxed (Sharpness::relaxed), factors are any real numbers from 1 on, of any
// precision, and all is differentiable in them and in the places of the loops: the three rules that are
// marked "hard" in chain_model.cpp are soft, and nothing is rounded up. As the gate closes, the relaxed
// counts of whole factors approach the exact ones but for two coincidences that are left out: windows that
// slide over several loops as one, and windows in space that meet.
#pragma once

#include <array>
#include <vector>

#include "dosa/models/base/torch.hpp"
#include "dosa/models/chain/chain.hpp"
#include "dosa/models/cost/cost_model.hpp"
#include "dosa/models/layer.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa {

class CutNest;

/// Mappings of one chain, shape [B]; dimensions in the order of Dim, levels from the innermost.
struct ChainNests {
  torch::Tensor temporal;  ///< [B, levels, 7] factors of the loops in time
  torch::Tensor spatial;   ///< [B, levels, 7] factors of the loops in space, both axes together
  torch::Tensor order;     ///< [B, levels, 7] int64: the dimension of every loop in time, innermost first
  /// Relaxed, instead of `order`: [B, levels, 7] the places of the loops in time, larger further out; a loop
  /// is inside another one by the sigmoid of the gate times the distance of their places.
  torch::Tensor place;
};

/// Words of one instance of a level for one tensor, each [B]; undefined where the level does not hold it.
/// All used instances of a level move the same; where a mapping is cut, these are means, and one instance
/// moves the most.
struct ChainAccesses {
  torch::Tensor reads, fills, updates;
  torch::Tensor most_read, most_written;  ///< by that one; undefined where no mapping is cut

  torch::Tensor read_by_one() const { return most_read.defined() ? most_read : reads; }
  torch::Tensor written_by_one() const { return most_written.defined() ? most_written : fills + updates; }
};

/// What mappings move and need.
struct ChainTraffic {
  std::vector<std::array<ChainAccesses, kOperands>> accesses;    ///< [level][operand]
  std::vector<std::array<torch::Tensor, kOperands>> tile_words;  ///< [level][operand], [B], where held
  std::vector<torch::Tensor> used;                               ///< [level] instances in use, [B]
  torch::Tensor macs;                                            ///< [B]
  torch::Tensor compute_cycles;                                  ///< [B], one MAC a cycle in every used one

  /// Words that the tiles of one instance take together, [B].
  torch::Tensor need_words(int level) const;
};

/// Latency in cycles and energy in pJ of one run of one group of each layer, [B].
struct ChainCost {
  torch::Tensor cycles;
  torch::Tensor energy_pj;
  std::vector<torch::Tensor> level_cycles;     ///< [level]; undefined where it has no bandwidth
  std::vector<torch::Tensor> level_energy_pj;  ///< [level]
};

class ChainModel {
 public:
  explicit ChainModel(Chain chain);

  const Chain& chain() const { return chain_; }

  /// Mappings, each with a nest for every level of the chain, as tensors of double precision.
  ChainNests nests_of(const std::vector<Mapping>& mappings) const;

  /// Of `layers`, with one entry or one for each mapping, only strides and dilations matter: sizes are the
  /// products of the factors. Exact, differentiable in the factors but for the hard rules; `sharpness.least`
  /// is not known here.
  ChainTraffic traffic(const ChainNests& nests, const LayerBatch& layers,
                       const Sharpness& sharpness = {}) const;

  /// Exact traffic of one mapping for every layer, those that are cut by the counts of CutNest.
  ChainTraffic traffic_of(const std::vector<Layer>& layers, const std::vector<Mapping>& mappings) const;

  /// Exact: vectors and cycles are rounded up as Timeloop rounds them. Relaxed: neither is rounded; the level
  /// that bounds the latency has all the gradient.
  ChainCost cost(const ChainTraffic& traffic, const Sharpness& sharpness = {}) const;
  /// The same with other bandwidths and energies than the chain's own, differentiable in them as rounded_up()
  /// is.
  ChainCost cost(const ChainTraffic& traffic, const Sharpness& sharpness,
                 const ChainNumbers<torch::Tensor>& numbers) const;

  /// Whether every level has room for its tiles, [B] of bool.
  torch::Tensor fits(const ChainTraffic& traffic) const;
  /// Throws Error{kCapacity} with the level, the need and what there is, unless mapping `index` fits.
  void check_fits(const ChainTraffic& traffic, std::size_t index) const;

 private:
  /// Puts the counts of a nest that is cut into a row of the traffic.
  void set_cut(const CutNest& nest, std::int64_t row, ChainTraffic& traffic) const;
  template <typename Number>
  ChainCost cost_with(const ChainTraffic& traffic, const Sharpness& sharpness,
                      const ChainNumbers<Number>& numbers) const;

  Chain chain_;
  ChainNumbers<double> numbers_;  ///< of its levels and MACs; areas are left out
};

}  // namespace dosa
