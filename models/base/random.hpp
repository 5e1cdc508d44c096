// The random numbers of every search, sample and training.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace dosa {

/// Random numbers that are the same on every platform: the generator's raw output is prescribed by the
/// standard, its distributions are not, so none of them is used.
class Random {
 public:
  explicit Random(std::uint64_t seed) : raw_(seed) {}

  /// The generator's next 64 bits.
  std::uint64_t bits() { return raw_(); }
  /// In 0..n-1, for n > 0: the remainder of the raw number.
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(raw_() % static_cast<std::uint64_t>(n));
  }
  /// In [0, 1), a multiple of 2^-53.
  double uniform() { return static_cast<double>(raw_() >> 11) * 0x1p-53; }
  /// In 0..n-1, for n > 0: a uniform number scaled. As good as below(), another sequence: the shipped
  /// surrogate was trained with it, so training keeps it.
  std::int64_t scaled_below(std::int64_t n) {
    return static_cast<std::int64_t>(uniform() * static_cast<double>(n));
  }
  /// Standard normal, by Box and Muller's transform of two uniform numbers.
  double normal();
  /// The numbers 0..n-1 in a random order (Fisher and Yates), drawn with scaled_below().
  std::vector<std::int64_t> permutation(std::int64_t n);

 private:
  std::mt19937_64 raw_;
};

}  // namespace dosa
