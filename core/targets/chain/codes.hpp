// Mappings on a chain as rows of numbers, which frontiers keep: factors, then orders, level by level.
#pragma once

#include <algorithm>

#include "dosa/models/chain/nest_model.hpp"

namespace dosa {

inline std::int64_t code_size(std::size_t levels) {
  return static_cast<std::int64_t>(levels * (kLoopKinds + 1) * kDims);
}

inline void code_of_nest(const ChainNest& nest, std::size_t levels, double* code) {
  for (std::size_t l = 0; l < levels; ++l) {
    for (const auto& kind : nest.factors[l]) code = std::copy(kind.begin(), kind.end(), code);
    code = std::copy(nest.order[l].begin(), nest.order[l].end(), code);
  }
}

inline ChainNest nest_of_code(const double* code, std::size_t levels) {
  ChainNest nest;
  for (std::size_t l = 0; l < levels; ++l) {
    for (auto& kind : nest.factors[l]) {
      std::copy(code, code + kDims, kind.begin());
      code += kDims;
    }
    std::transform(code, code + kDims, nest.order[l].begin(),
                   [](double dim) { return static_cast<std::uint8_t>(dim); });
    code += kDims;
  }
  return nest;
}

}  // namespace dosa
