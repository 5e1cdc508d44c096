// What a relaxation of hardware and mappings minimises: the objective of a problem's networks, and penalties
// for what its layers and its hardware exceed.
#pragma once

#include <cmath>

#include "dosa/core/search/problem.hpp"

namespace dosa {

/// What a layer loses by needing e times more of a size than there is, in units of its share of the
/// objective: more than it can gain by it.
inline constexpr double kExcessWeight = 4;

/// [starts] of all runs of each layer: energy in uJ and cycles, and the sum of the logarithms of what it
/// needs over what there is, zero when legal, each [starts, layers]. `networks` and `joint` are the
/// problem's. Differentiable but for how much a layer's excess counts: it is weighed by the layer's share of
/// the objective, so that it stays comparable with the layer's other gradients, since Adam would take long to
/// forget a larger one.
inline torch::Tensor network_loss(const SearchProblem& problem, const NetworkRanges& networks,
                                  const JointObjective& joint, const torch::Tensor& energy,
                                  const torch::Tensor& cycles, const torch::Tensor& excess) {
  const torch::Tensor total_energy = networks.sum(energy), total_cycles = networks.sum(cycles);
  const torch::Tensor log_values = problem.objective.log_value(total_energy, total_cycles);
  torch::Tensor share =
      problem.objective.energy * (energy.detach() / networks.spread(total_energy.detach())) +
      problem.objective.latency * (cycles.detach() / networks.spread(total_cycles.detach()));
  if (problem.is_joint()) share = share * networks.spread(joint.shares(log_values.detach()));
  return joint.log_value(log_values) + kExcessWeight * (share * excess).sum(-1);
}

/// What hardware of this area adds to the loss where the problem limits it; [starts] like the area in mm2.
inline torch::Tensor area_loss(const SearchProblem& problem, const torch::Tensor& area_mm2) {
  return kExcessWeight * torch::relu((area_mm2 / problem.bounds.max_area_mm2).log());
}

}  // namespace dosa
