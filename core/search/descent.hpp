// Adam on a group of starts of the relaxation, whose state can be saved, resumed and moved between processes.
#pragma once

#include <vector>

#include "dosa/core/search/space.hpp"
#include "dosa/models/base/adam.hpp"
#include "dosa/models/base/tensor_file.hpp"

namespace dosa {

class Descent {
 public:
  /// `starts` random starts, drawn with random numbers that belong to the group which begins with start
  /// number `first`; `learning_rate` is Adam's first step size, which falls to zero along a cosine.
  Descent(const SearchSpace& space, std::int64_t first, std::int64_t starts, std::uint64_t seed,
          double learning_rate);

  /// Steps `from` (inclusive) to `to` (exclusive) of a run of `steps`. A start whose gradient is not finite
  /// begins again at the middle of the space.
  void run(std::int64_t from, std::int64_t to, std::int64_t steps);

  /// Costs of the starts as they stand, as soft as after a share of the run; fields on the CPU.
  RelaxedCost cost(double share) const;
  /// Where the starts point: SearchSpace::decode of them.
  torch::Tensor decoded() const;

  /// The tensors that make up the state of group `group`, float32 on the CPU or where the relaxation is.
  std::vector<NamedTensor> state(std::size_t group);

 private:
  const SearchSpace& space_;
  torch::Tensor parameters_;
  Adam adam_;
  double learning_rate_;
};

}  // namespace dosa
