// Random numbers that are the same everywhere, which those of the standard's distributions are not.
#pragma once

#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace dosa {

class Draws {
 public:
  explicit Draws(std::uint64_t seed) : engine_(seed) {}

  /// In [0, 1).
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }
  /// 0 ... n - 1.
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(uniform() * static_cast<double>(n)); }
  /// 1 ... most, as likely in any octave; every other one a power of two.
  std::int64_t size(double most) {
    const double octaves = uniform() * std::log2(most);
    return std::llround(std::exp2(below(2) == 0 ? octaves : std::round(octaves)));
  }
  /// Of mean 0 and standard deviation 1.
  double normal() { return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(2 * M_PI * uniform()); }
  /// 0 ... n - 1 in random order.
  std::vector<std::int64_t> permutation(std::int64_t n) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    for (std::int64_t i = n - 1; i > 0; --i) {
      std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(below(i + 1))]);
    }
    return order;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace dosa
