// The search space of a machine that is a chain of memories: far too large to be enumerated, so starts are
// descended on the relaxation, rounded, and searched on from there on the integers.
#pragma once

#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/search/space.hpp"
#include "dosa/core/targets/chain/local_search.hpp"
#include "dosa/core/targets/chain/lower_bounds.hpp"
#include "dosa/core/targets/chain/relaxation.hpp"
#include "dosa/core/targets/chain/sized_relaxation.hpp"

namespace dosa {

class ChainSpace : public SearchSpace {
 public:
  /// Throws Error{kBounds} unless every layer has a mapping that fits; names the layer, the level, what is
  /// needed at least and what there is.
  ChainSpace(const SearchProblem& problem, const Chain& machine, const std::string& device);

  /// Bounds every layer, and descends all layers' starts in one batch.
  void prepare(const MapOptions& options, const std::function<bool()>& stop) override;
  /// Known once prepare() has run.
  std::optional<LayerCosts> lower_bound(std::size_t layer) const override;

  using SearchSpace::least_costs;
  /// Sums of lower_bound(), on a machine that is in every number the best between the two.
  std::vector<LayerCosts> least_costs(const Hardware& least, const Hardware& most,
                                      std::int64_t threads) const override;

  /// All combinations of the machine's values within the bounds, and the bounds.
  std::vector<Shape> shapes() const override;
  /// The one nearest to the default hardware.
  Shape first_shape() const override;
  std::int64_t polish_evaluations() const override { return kNoLimit; }
  std::int64_t longer_on_the_best() const override { return chooses_sizes() ? 8 : 1; }
  void set_seed(std::uint64_t seed) override { seed_ = options_.seed = seed; }
  torch::Tensor random_starts(std::int64_t starts, at::Generator generator) const override;
  /// After prepare() the layers' own objectives, one by one: where the hardware is fixed, nothing else
  /// connects them. Otherwise that of the network, see SizedRelaxation.
  RelaxedCost relax(const torch::Tensor& parameters, const torch::Tensor& share) const override;
  /// After prepare() [starts, layers, levels, 4, 7], see ChainRelaxation; otherwise SizedRelaxation::decode.
  torch::Tensor decode(const torch::Tensor& parameters) const override;
  std::int64_t evaluations_per_step() const override;

  std::unique_ptr<LayerSpace> layer(std::size_t layer, const Shape& shape) const override;
  std::int64_t least_evaluations(std::size_t layer) const override;
  SchedulePtr schedule(std::size_t layer, const torch::Tensor& code) const override;

 private:
  bool chooses_sizes() const { return !(problem_.bounds.min == problem_.bounds.max); }
  void check_fits() const;
  /// What all runs of each layer cost at least on a machine.
  std::vector<LayerCosts> least_of_layers(const Chain& chain, std::int64_t threads) const;

  const SearchProblem& problem_;
  const Chain& machine_;
  Chain chain_;  ///< built with the bounds' largest hardware
  std::uint64_t seed_ = 0;
  ChainRelaxation relaxation_;
  SizedRelaxation sized_relaxation_;
  std::vector<LayerNests> nests_;  ///< by layer
  MapOptions options_;
  std::vector<LayerCosts> least_;  ///< by layer
  bool prepares_ = false;          ///< prepare() was called
  torch::Tensor descended_;        ///< decode() of the starts after the descent; undefined: there was none
  std::int64_t steps_ = 0;         ///< that each start has descended
};

}  // namespace dosa
