// Reading single numbers out of a model's tensors.
#pragma once

#include "dosa/models/base/torch.hpp"

namespace dosa::testing {

/// Value `i` of a vector; 0 where the model counts nothing and so has no tensor.
inline double at(const torch::Tensor& values, std::size_t i) {
  return values.defined() ? values[static_cast<std::int64_t>(i)].item<double>() : 0;
}

}  // namespace dosa::testing
