// Results of a cost model for a batch of layers, as numbers.
#pragma once

#include "dosa/models/base/torch.hpp"

namespace dosa {

/// A number of a batch of results [rows] or, where it is the same for all, [].
inline double at(const torch::Tensor& tensor, std::size_t row) {
  return tensor.dim() == 0 ? tensor.item<double>() : tensor[static_cast<std::int64_t>(row)].item<double>();
}

}  // namespace dosa
