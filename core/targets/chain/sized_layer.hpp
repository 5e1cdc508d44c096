// The mappings of one layer on a shape of a chain whose buffers a search chooses: walks on the integers at
// many sizes of the buffers, whose best mappings together are the layer's frontier.
#pragma once

#include <vector>

#include "dosa/core/search/space.hpp"
#include "dosa/core/targets/chain/local_search.hpp"
#include "dosa/core/targets/chain/nests.hpp"

namespace dosa {

class SizedLayer : public LayerSpace {
 public:
  /// `chain` is the problem's machine. Equal seeds walk alike.
  SizedLayer(const SearchProblem& problem, const Chain& chain, std::size_t layer, const Shape& shape,
             std::uint64_t seed);

  double size() const override { return frontier_.space; }
  /// Walks at sizes of the buffers around those of `near` (a row of SizedRelaxation::decode), or where it is
  /// undefined the default ones, larger and smaller, together and one by one, that take no more than `limit`
  /// evaluations altogether. The first begins at what `near` rounds to.
  void look(const torch::Tensor& near, std::int64_t limit, Allowance& allowance) override;
  /// Walks on from the best entries at these sizes, at the same and with one buffer smaller or larger.
  void improve(const Objective::Prices& prices, const Hardware& hardware, Allowance& allowance) override;

 private:
  /// Buffers of half and twice a size and so on, within the bounds and the area; each hardware once.
  std::vector<Hardware> around(const Hardware& centre, const std::vector<double>& of_all,
                               const std::vector<double>& of_one) const;
  /// Walks with some evaluations, from the best entry at the goal's prices if it has one, and keeps the best
  /// of what it comes by.
  void walk(const Hardware& hardware, const LayerGoal& goal, std::int64_t evaluations, Allowance& allowance);
  /// A row of the frontier's numbers.
  std::vector<double> numbers_of(const ChainNest& nest) const;
  void keep(const std::vector<ChainNest>& nests);
  const Layer& layer() const { return problem_.workload.layers[layer_]; }

  const SearchProblem& problem_;
  const Chain& chain_;
  std::size_t layer_;
  Shape shape_;
  std::uint64_t seed_;
  torch::Tensor near_;  ///< SizedRelaxation::nest_of what look() was given; undefined: nowhere in particular
  std::int64_t limit_ = 0;
  std::int64_t walks_ = 0;  ///< so far
  Hardware largest_;        ///< with the shape
  Chain largest_chain_;
  NestModel largest_model_;
  /// [buffer], for energies: the largest sizes but for this one, which is at its least; without capacities.
  std::vector<NestModel> models_;
  BufferRange range_;
};

}  // namespace dosa
