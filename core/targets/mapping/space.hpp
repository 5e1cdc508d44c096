// The search space of a machine whose layers run as loop nests (mappings), described by its file alone.
#pragma once

#include "dosa/core/targets/mapping/enumeration.hpp"
#include "dosa/core/targets/mapping/relaxation.hpp"

namespace dosa {

class MappingSpace : public SearchSpace {
 public:
  /// Throws Error{kBounds} unless every layer has a mapping that fits into the problem's largest hardware,
  /// and the least hardware with such mappings is within the area; names the layer, the level and the least
  /// size that would do, or the least area.
  MappingSpace(const SearchProblem& problem, const std::string& device);

  /// Divisors of what can be spatial, and the bounds, as far as there is room for buffers.
  std::vector<Shape> shapes() const override;
  /// Of mappings that fill the array as well as any size allows, and keep every tile in the innermost level.
  std::vector<LayerCosts> least_costs(const Shape& shape) const override;

  torch::Tensor random_starts(std::int64_t starts, at::Generator generator) const override;
  RelaxedCost relax(const torch::Tensor& parameters, const torch::Tensor& share) const override;
  /// Of one network.
  bool relax_can_be_recorded() const override { return !problem_.is_joint(); }
  /// Log factors [starts, layers, slots].
  torch::Tensor decode(const torch::Tensor& parameters) const override;
  std::int64_t evaluations_per_step() const override;

  std::unique_ptr<LayerSpace> layer(std::size_t layer, const Shape& shape) const override;
  std::int64_t least_evaluations(std::size_t layer) const override;
  SchedulePtr schedule(std::size_t layer, const torch::Tensor& code) const override;
  /// Every loop at DRAM.
  torch::Tensor least_demanding() const override;
  const char* enumerated() const override { return "all mappings without padding"; }
  std::int64_t orders() const override { return models_.all.order_count(); }

 private:
  void check_fits() const;

  const SearchProblem& problem_;
  EnumerationModels models_;
  Relaxation relaxation_;
};

}  // namespace dosa
