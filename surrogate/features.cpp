#include "dosa/surrogate/features.hpp"

namespace dosa {

Features Features::select(const torch::Tensor& index) const {
  const auto chosen = [&](const torch::Tensor& t) { return t.defined() ? t.index_select(0, index) : t; };
  return {chosen(terms), chosen(ratios), chosen(floor), chosen(tiles), chosen(kind), chosen(raw), relaxed};
}

}  // namespace dosa
