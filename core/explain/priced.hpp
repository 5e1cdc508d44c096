// Schedules on one hardware with what they cost as a function of the machine's numbers, for a machine of any
// family: what an analysis of a design is made of.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dosa/core/explain/breakdown.hpp"
#include "dosa/core/targets/target.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/chain/chain_model.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

/// One run of one group of every layer, on one hardware.
struct PricedCosts {
  torch::Tensor cycles, energy_pj;  ///< [layers]
  torch::Tensor area_mm2;           ///< []
  torch::Tensor cycles_by_network;  ///< [networks, layers]; undefined where no ensemble predicts them
};

class PricedSchedules {
 public:
  virtual ~PricedSchedules() = default;

  /// By layer.
  const std::vector<Breakdown>& breakdowns() const { return breakdowns_; }
  /// What the costs depend on: the sizes of the hardware, then the numbers of the machine's file; without
  /// those that are 0, and those that the target fixes. A schedule does not change with them, so what it
  /// needs of a buffer does not either.
  const std::vector<MachineNumber>& numbers() const { return numbers_; }
  /// What the schedules cost with these values [numbers] in place of the machine's: by the exact model,
  /// differentiable in the values, where numbers are rounded up with the slope of what is rounded.
  virtual PricedCosts at(const torch::Tensor& values) const = 0;

 protected:
  std::vector<Breakdown> breakdowns_;
  std::vector<MachineNumber> numbers_;
};

/// Which numbers of a machine a target lets vary.
using Varies = std::function<bool(const MachineNumber&)>;

/// Of a machine with one array. `traffic` has fields [layers, 1], of one group of each layer.
class PricedArray : public PricedSchedules {
 public:
  PricedArray(CostModel model, Traffic traffic, const ArraySizes& hardware, const std::vector<Layer>& layers,
              Varies varies);

  PricedCosts at(const torch::Tensor& values) const override;

 protected:
  const CostModel& model() const { return model_; }
  /// The place of the number of this name among numbers(); -1 where it is none of them.
  std::int64_t place_of(const std::string& name) const;

 private:
  CostModel model_;
  Traffic traffic_;
  ArraySizes hardware_;
  Varies varies_;
};

/// The same where the schedules are mappings, of which the breakdowns tell more.
std::unique_ptr<PricedSchedules> priced_mappings(const CostModel& model, Traffic traffic,
                                                 const ArraySizes& hardware, const std::vector<Layer>& layers,
                                                 const std::vector<Mapping>& mappings);

/// Of a chain of memories; `chain` is the machine with its default hardware.
std::unique_ptr<PricedSchedules> priced_on_chain(const Chain& chain, const Hardware& hardware,
                                                 const std::vector<Layer>& layers,
                                                 const std::vector<Mapping>& mappings);

/// Words of each tensor of one group, every element that is used once. `padded`: the zeros around an input
/// count as its elements.
std::array<double, kOperands> words_once(const Layer& layer, bool padded);

}  // namespace dosa
