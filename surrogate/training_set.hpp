// Measurements as a surrogate is trained on them, of any chip.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "dosa/surrogate/features.hpp"

namespace dosa {

/// Measurements as tensors.
struct TrainingSet {
  Features features;                     ///< [rows]
  torch::Tensor log_cycles, macs;        ///< [rows]
  std::vector<std::int64_t> layers;      ///< layer of every row, counted from 0
  std::vector<std::int64_t> tilings;     ///< rows with the same number executed the very same thing
  std::vector<std::int64_t> comparable;  ///< rows with the same number: one layer, state and array
  /// log2 of how many times what was built the row needs of it, so at most 0, [rows]. Undefined where that is
  /// not known.
  torch::Tensor octaves;

  std::int64_t rows() const { return log_cycles.size(0); }
  /// The rows with these indices.
  TrainingSet select(const std::vector<std::int64_t>& rows) const;
};

/// Pairs of runs of which the second takes longer: no measurement is needed to know that.
struct OrderedPairs {
  Features shorter, longer;          ///< [pairs]
  std::vector<std::int64_t> layers;  ///< measured layer that a pair was derived from

  std::int64_t size() const { return static_cast<std::int64_t>(layers.size()); }
  /// The pairs of these layers.
  OrderedPairs select(const std::set<std::int64_t>& chosen) const;
};

/// How many numbers differ.
std::int64_t distinct(const std::vector<std::int64_t>& numbers);
/// A list of indices as int64 [n].
torch::Tensor index_tensor(const std::vector<std::int64_t>& list);
/// A tensor of one dimension as a list.
std::vector<double> to_vector(const torch::Tensor& tensor);
/// The entries of a list at these indices.
std::vector<std::int64_t> entries_at(const std::vector<std::int64_t>& list,
                                     const std::vector<std::int64_t>& indices);

}  // namespace dosa
