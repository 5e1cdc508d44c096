#include "dosa/surrogate/training_set.hpp"

namespace dosa {

using torch::Tensor;

TrainingSet TrainingSet::select(const std::vector<std::int64_t>& rows) const {
  const Tensor index = index_tensor(rows);
  const auto chosen = [&](const Tensor& t) { return t.defined() ? t.index_select(0, index) : t; };
  return {features.select(index),    chosen(log_cycles),           chosen(macs),   entries_at(layers, rows),
          entries_at(tilings, rows), entries_at(comparable, rows), chosen(octaves)};
}

OrderedPairs OrderedPairs::select(const std::set<std::int64_t>& chosen) const {
  std::vector<std::int64_t> which;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (chosen.count(layers[i])) which.push_back(static_cast<std::int64_t>(i));
  }
  const Tensor index = index_tensor(which);
  return {shorter.select(index), longer.select(index), entries_at(layers, which)};
}

std::int64_t distinct(const std::vector<std::int64_t>& numbers) {
  return std::set<std::int64_t>(numbers.begin(), numbers.end()).size();
}

Tensor index_tensor(const std::vector<std::int64_t>& list) {
  return torch::tensor(list, torch::TensorOptions(torch::kInt64));
}

std::vector<double> to_vector(const Tensor& tensor) {
  const Tensor c = tensor.to(torch::kFloat64).contiguous();
  return {c.data_ptr<double>(), c.data_ptr<double>() + c.numel()};
}

std::vector<std::int64_t> entries_at(const std::vector<std::int64_t>& list,
                                     const std::vector<std::int64_t>& indices) {
  std::vector<std::int64_t> part;
  for (const std::int64_t index : indices) part.push_back(list[static_cast<std::size_t>(index)]);
  return part;
}

}  // namespace dosa
