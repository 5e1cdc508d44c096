// The search space of a real Gemmini: which of the sizes that can be built, and for every layer which library
// call with which tile. Tiles need not divide the layer.
//
// After DOSA (MICRO 2023, arXiv 2509.10702), section 6.5; the relaxation, which needs no divisors, and the
// rule of trust below are this project's. Energy is the analytical model's of what is executed, latency the
// surrogate's. Latencies are predictions, and a search finds their mistakes. So a tiling counts with
//   cycles = mean * exp(kappa * sd),
// where sd is that of the ratio to the library's own tiling of the layer on the default hardware
// (RtlModel::log_sd_of_ratio), which itself counts with its mean: another tiling is chosen only where what it
// gains exceeds the model's uncertainty about the gain. And no design may be slower in expectation than the
// library's tiles on the default hardware. (With the uncertainty over the network added, networks that the
// array bounds could not be given other tiles to save energy: BERT on 8 x 8 would stay at the default.) A
// baseline that a user gives stands in place of that reference.
#pragma once

#include <memory>
#include <vector>

#include "dosa/core/search/space.hpp"
#include "dosa/core/targets/gemmini/reference.hpp"
#include "dosa/core/targets/gemmini/relaxation.hpp"

namespace dosa {

/// What a problem takes with the tiles of what its designs are compared with.
struct CostedReference : Reference {
  std::vector<torch::Tensor>
      networks;                ///< by layer, what the networks say of it, [networks]; may be undefined
  std::vector<double> cycles;  ///< by network
};

/// What all layers of a problem are scored with on one array.
struct TileScoring {
  const SearchProblem& problem;
  const RtlModel& model;
  double kappa = 1;
  const CostedReference& reference;
  std::vector<ArraySizes> hardware;  ///< all that may be chosen
  ArraySizes largest;                ///< element-wise
};

/// The tilings of one layer by all calls that can run it. Those of a call that has few are enumerated; of
/// others, local moves improve on the best.
class TileSearch : public LayerSpace {
 public:
  TileSearch(const TileScoring& scoring, std::size_t layer, const std::vector<RtlVariant>& variants);

  double size() const override;
  /// The library's own tiles on every hardware of the search, those around `near` [variants of all layers,
  /// 7], and all of the calls that have no more than `limit`.
  void look(const torch::Tensor& near, std::int64_t limit, Allowance& allowance) override;
  void improve(const Objective::Prices& prices, const Hardware& hardware, Allowance& allowance) override;

 private:
  const Layer& layer() const { return scoring_.problem.workload.layers[layer_]; }
  /// Scores those of the tiles that are legal and new, as many as are allowed, and keeps what nothing beats.
  void score(RtlVariant& v, const std::vector<gemmini::Tile>& tiles, Allowance& allowance);
  void score_chunk(RtlVariant& v, const std::vector<gemmini::Tile>& tiles);
  void score_defaults(RtlVariant& v, Allowance& allowance);
  void enumerate(RtlVariant& v, Allowance& allowance);
  void fill(RtlVariant& v, gemmini::Tile& tile, int dim, std::vector<gemmini::Tile>& tiles,
            Allowance& allowance);
  /// The entries that are best on any hardware at and around the prices.
  std::vector<gemmini::Tile> best_tiles(const Objective::Prices& prices) const;
  void count_coverage();

  const TileScoring& scoring_;
  std::size_t layer_;
  std::vector<std::int64_t> index_;  ///< of variants_ among those of all layers
  std::vector<RtlVariant> variants_;
};

class GemminiSpace : public SearchSpace {
 public:
  /// `problem` and `model` must outlive this. Where the bounds allow several arrays, those that the model's
  /// surrogate was trained on are searched. Throws Error{kBounds} where no legal sizes lie within the bounds
  /// or a layer has no tile that fits, Error{kValue} for layers that Gemmini cannot run. Relaxed tensors live
  /// on `device`.
  GemminiSpace(const SearchProblem& problem, const RtlModel& model, double kappa, const std::string& device,
               const std::optional<GivenBaseline>& baseline = std::nullopt);

  std::vector<Shape> shapes() const override;
  std::vector<Hardware> buildable(const Shape& shape) const override {
    const std::vector<ArraySizes>& sizes = on(shape).scoring.hardware;
    return {sizes.begin(), sizes.end()};
  }

  torch::Tensor random_starts(std::int64_t starts, at::Generator generator) const override;
  RelaxedCost relax(const torch::Tensor& parameters, const torch::Tensor& share) const override;
  /// Real-valued tiles [starts, variants, 7].
  torch::Tensor decode(const torch::Tensor& parameters) const override;
  std::int64_t evaluations_per_step() const override { return relaxation_->variants(); }

  std::unique_ptr<LayerSpace> layer(std::size_t layer, const Shape& shape) const override;
  /// The library's own tiles.
  std::int64_t least_evaluations(std::size_t layer) const override;
  SchedulePtr schedule(std::size_t layer, const torch::Tensor& code) const override;
  double most_cycles(std::size_t network) const override { return reference_.cycles[network]; }

 private:
  /// The tilings on one array.
  struct OnArray {
    TileScoring scoring;
    std::vector<RtlVariant> variants;
  };
  const OnArray& on(const Shape& shape) const;
  /// An array for each of those whose hardware is within the bounds, ascending.
  void set_hardware(const SearchProblem& problem, const RtlModel& model, double kappa);
  void set_reference(const SearchProblem& problem, const RtlModel& model,
                     const std::optional<GivenBaseline>& baseline);
  void check_fits();

  CostedReference reference_;
  std::vector<std::unique_ptr<OnArray>> arrays_;
  std::unique_ptr<RtlRelaxation> relaxation_;
};

}  // namespace dosa
