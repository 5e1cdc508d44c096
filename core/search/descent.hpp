// Adam on a batch of starts of the relaxation, whose state can be saved, resumed and moved between processes.
#pragma once

#include <optional>
#include <vector>

#include "dosa/core/search/space.hpp"
#include "dosa/models/base/adam.hpp"
#include "dosa/models/base/recorded_work.hpp"
#include "dosa/models/base/tensor_file.hpp"

namespace dosa {

class Descent {
 public:
  /// `starts` random starts, which descend in one batch. They are drawn in groups of `group`, each with
  /// random numbers that belong to the group which begins with this number of a start, from `first` on, so
  /// that they do not depend on the size of the batch. `learning_rate` is Adam's first step size, which falls
  /// to zero along a cosine.
  Descent(const SearchSpace& space, std::int64_t first, std::int64_t starts, std::int64_t group,
          std::uint64_t seed, double learning_rate);

  /// Steps `from` (inclusive) to `to` (exclusive) of a run of `steps`. A start whose gradient is not finite
  /// begins again at the middle of the space. On a CUDA device a step is recorded once and replayed, where
  /// the relaxation allows it.
  void run(std::int64_t from, std::int64_t to, std::int64_t steps);

  /// Costs of the starts as they stand, as soft as after a share of the run; fields on the CPU.
  RelaxedCost cost(double share) const;
  /// Where the starts point: SearchSpace::decode of them.
  torch::Tensor decoded() const;

  /// The tensors that make up the state of batch number `batch`, float32 where the relaxation is.
  std::vector<NamedTensor> state(std::size_t batch);

 private:
  /// What depends on the number of a step: the share of the run and Adam::numbers, float64 [to - from, 3].
  torch::Tensor numbers(std::int64_t from, std::int64_t to, std::int64_t steps) const;
  /// One step with its row of these. `waits`: whether it may wait for the device.
  void take(const torch::Tensor& numbers, bool waits);

  const SearchSpace& space_;
  torch::Tensor parameters_;
  Adam adam_;
  double learning_rate_;

  /// A step on the device, with the next of the rows there.
  struct Recorded {
    torch::Tensor rows, next;  ///< float64 [kRows, 3], int64 [1]
    RecordedWork step;
  };
  std::optional<Recorded> recorded_;
};

}  // namespace dosa
