#include "dosa/surrogate/features.hpp"

namespace dosa {

Features Features::select(const torch::Tensor& index) const {
  const auto chosen = [&](const torch::Tensor& t) { return t.defined() ? t.index_select(0, index) : t; };
  return {chosen(terms), chosen(ratios), chosen(floor), chosen(tiles), chosen(kind), chosen(raw), relaxed};
}

Features Features::cat(const std::vector<Features>& parts) {
  const auto joined = [&](torch::Tensor Features::*field) {
    std::vector<torch::Tensor> fields;
    for (const Features& part : parts) fields.push_back(part.*field);
    return torch::cat(fields);
  };
  return {joined(&Features::terms),
          joined(&Features::ratios),
          joined(&Features::floor),
          joined(&Features::tiles),
          joined(&Features::kind),
          joined(&Features::raw),
          false};
}

}  // namespace dosa
