// The analytical cost model as batched tensor operations: traffic, latency, energy and area of loop nests.
//
// This is the only implementation of the model: the relaxed objective, exact evaluation, the exhaustive
// mapper and the baselines call it. It works on the logarithms of the factors, so that every tile size and
// every refetch count is a sum, and one matrix product with constant 0/1 matrices gives all of them.
//
// Sources: DOSA (MICRO 2023, arXiv 2509.10702) for the relaxed model; Timeloop (ISPASS 2019) for the
// accounting of accesses that the exact mode reproduces.
#pragma once

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "dosa/models/array_machine.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/layer.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa {

class CutNest;

/// Where a factor can stand: a temporal loop or a spatial fan-out at a level.
struct Slot {
  int level;
  Dim dim;
  bool spatial;
};

/// Every slot that a mapping on this machine can use; temporal ones first, by level and dimension.
std::vector<Slot> all_slots(const ArrayMachine& machine);
/// The slots that a search gives values to (`search_temporal` of the machine, and the spatial ones).
std::vector<Slot> search_slots(const ArrayMachine& machine);

/// A loop order for every level, each innermost first.
using NestOrder = std::vector<LoopOrder>;
/// All combinations of the machine's search orders.
std::vector<NestOrder> search_orders(const ArrayMachine& machine);

/// Layers as tensors. Every field but `log_size` broadcasts to the batch shape B of the nests.
struct LayerBatch {
  torch::Tensor log_size;                                ///< [layers, 7]
  torch::Tensor wstride, hstride, wdilation, hdilation;  ///< [layers]
  torch::Tensor repetitions;                             ///< [layers], count * groups

  /// `dtype` is kFloat32 or kFloat64; shapes as above.
  static LayerBatch from(const std::vector<Layer>& layers, torch::TensorOptions options);
};

/// Hardware sizes as tensors that broadcast to the batch shape B; buffers in KiB (real numbers when relaxed).
struct HardwareTensors {
  torch::Tensor pe_dim, scratchpad_kib, accumulator_kib;

  /// Scalars (shape []).
  static HardwareTensors from(const ArraySizes& hardware, torch::TensorOptions options);
};

/// How sharply the model sees a factor: exact, relaxed, or as a lower bound, and nothing between.
struct Sharpness {
  /// Exact: integer factors, hard reuse rule, ceilings, Timeloop's coincidences; every word count is rounded
  /// to the integer that it is. Not differentiable in the nests; costs are in the numbers of the machine.
  Sharpness() = default;
  /// Relaxed: a loop that a tensor does not depend on counts as 1 - exp(-gate * sum of the log factors of the
  /// relevant loops inside it); no ceilings, no coincidences. Differentiable in the log factors and the
  /// hardware; the maxima over levels and the minimum in the input overlap have subgradients.
  static Sharpness relaxed(torch::Tensor gate) { return {std::move(gate), false}; }
  static Sharpness relaxed(double gate) { return relaxed(torch::scalar_tensor(gate, torch::kFloat64)); }
  /// Lower bounds: relaxed with all gates closed, and with inputs that overlap as much as in any loop order.
  /// No exact access count of a nest, in whatever order, is less (but for the rounding of floating point).
  static Sharpness lower_bound() { return {torch::scalar_tensor(0, torch::kFloat64), true}; }

  const bool exact = true;
  const torch::Tensor gate;  ///< a scalar, where the device may read it; undefined where exact
  const bool least = false;  ///< inputs overlap as much as in any loop order

 private:
  Sharpness(torch::Tensor gate_, bool least_) : exact(false), gate(std::move(gate_)), least(least_) {}
};

/// Loop nests of shape B.
struct Nests {
  torch::Tensor log_factors;  ///< [B..., slots], natural logarithms
  /// [B..., slots]: the place of each temporal slot counted from the innermost. Only for a model without
  /// shared orders.
  torch::Tensor position;
};

/// Words moved at one level for one operand, over all instances, [B..., orders] or [B..., 1] where the loop
/// order does not matter. Undefined where the level does not see such an access.
struct Accesses {
  torch::Tensor reads, writes, updates;
  /// What it would be if every instance moved as much as the one that moves the most; undefined where no
  /// mapping is cut, since all move the same.
  torch::Tensor most_read, most_written;

  torch::Tensor read_by_most() const { return most_read.defined() ? most_read : reads; }
  torch::Tensor written_by_most() const;
  /// All of it; undefined where the level sees no access.
  torch::Tensor if_all_move_the_most() const;
};

/// What a nest moves and needs; does not depend on the hardware sizes. O is 1 or the number of shared orders.
struct Traffic {
  std::vector<std::array<Accesses, kOperands>> accesses;  ///< [level][operand]
  std::vector<std::array<torch::Tensor, kOperands>>
      tile_words;                        ///< [level][operand], one instance, [B..., 1]
  std::vector<torch::Tensor> instances;  ///< [level] used instances, [B..., 1]
  torch::Tensor macs;                    ///< [B..., 1]
  torch::Tensor compute_cycles;          ///< [B..., 1], MACs / (product of the spatial factors)
  torch::Tensor pe_dim;                  ///< [B..., 1], the largest spatial factor of a level

  /// KiB that all instances of a level need for these tiles on a pe_dim x pe_dim array, [B..., 1].
  torch::Tensor need_kib(const MemoryLevel& level, int index, const torch::Tensor& array_dim) const;
};

/// Latency in cycles and energy in pJ of one run of one group of each layer.
struct Cost {
  torch::Tensor cycles;                     ///< [B..., O]
  torch::Tensor energy_pj;                  ///< [B..., O]
  std::vector<torch::Tensor> level_cycles;  ///< [level], undefined where the level is never a bottleneck
  std::vector<torch::Tensor> level_energy_pj;
};

/// mm^2 of hardware of any batch shape. Differentiable.
torch::Tensor area_mm2(const AreaModel& area, const HardwareTensors& hardware);

/// The integers that are no less. Where derivatives are wanted, those of the number that is rounded: the
/// slope of the staircase, not of its steps.
torch::Tensor rounded_up(const torch::Tensor& number);

class CostModel {
 public:
  /// A model of nests that share a list of loop orders: results carry a last dimension with one entry per
  /// order.
  CostModel(ArrayMachine machine, std::vector<Slot> slots, const std::vector<NestOrder>& orders,
            torch::TensorOptions options);
  /// A model of nests that each bring their own order (Nests::position) over all slots of the machine.
  CostModel(ArrayMachine machine, torch::TensorOptions options);

  const ArrayMachine& machine() const;
  const std::vector<Slot>& slots() const;
  std::int64_t order_count() const;
  /// The shared orders.
  const std::vector<NestOrder>& orders() const;
  torch::TensorOptions options() const;

  /// Accesses and tiles of nests of shape B; the layers broadcast to B.
  Traffic traffic(const Nests& nests, const LayerBatch& layers, const Sharpness& sharpness) const;

  /// Exact traffic of one mapping for every layer, [layers, 1], those that are cut by the counts of CutNest;
  /// for a model without shared orders.
  Traffic traffic_of(const std::vector<Layer>& layers, const std::vector<Mapping>& mappings) const;

  /// Only the tile words of `traffic`, for a fraction of its time. What the slots of the outermost level hold
  /// does not matter.
  Traffic tiles(const Nests& nests, const LayerBatch& layers, const Sharpness& sharpness) const;

  /// Latency and energy on hardware that broadcasts to B. Exact, differentiable in the hardware as
  /// rounded_up() is.
  Cost cost(const Traffic& traffic, const HardwareTensors& hardware, const Sharpness& sharpness) const;
  /// The same with other numbers than the machine's own, differentiable in them.
  Cost cost(const Traffic& traffic, const HardwareTensors& hardware, const Sharpness& sharpness,
            const ArrayNumbers<torch::Tensor>& numbers) const;

  /// Integer mappings as nests of shape [mappings], for a model without shared orders.
  Nests nests_of(const std::vector<Mapping>& mappings) const;
  /// One nest (log factors [slots] of this model) in one of its shared orders as a mapping. Factors must be
  /// whole.
  Mapping mapping_of(const torch::Tensor& log_factors, std::int64_t order) const;

 private:
  /// Puts the counts of a nest that is cut into a row of the traffic.
  void set_cut(const CutNest& nest, std::int64_t row, Traffic& traffic) const;
  template <typename Number>
  Cost cost_with(const Traffic& traffic, const HardwareTensors& hardware, const Sharpness& sharpness,
                 const ArrayNumbers<Number>& numbers) const;

  struct Plan;
  std::shared_ptr<const Plan> plan_;
};

}  // namespace dosa
