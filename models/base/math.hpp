// Arithmetic on whole numbers that several parts need.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

namespace dosa {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The quotient rounded up, for number >= 0 and divisor > 0.
constexpr std::int64_t ceil_div(std::int64_t number, std::int64_t divisor) {
  return number / divisor + (number % divisor != 0 ? 1 : 0);
}

/// The smallest multiple of `multiple` that is at least `number`; number >= 0, multiple > 0.
constexpr std::int64_t round_up(std::int64_t number, std::int64_t multiple) {
  return ceil_div(number, multiple) * multiple;
}

/// The product of numbers >= 0, or the largest number there is where it is more than that.
inline std::int64_t saturating_product(std::initializer_list<std::int64_t> numbers) {
  std::int64_t product = 1;
  bool overflows = false;
  for (const std::int64_t number : numbers) {
    if (number == 0) return 0;
    overflows = __builtin_mul_overflow(product, number, &product) || overflows;
  }
  return overflows ? std::numeric_limits<std::int64_t>::max() : product;
}

constexpr bool is_power_of_two(std::int64_t number) { return number > 0 && (number & (number - 1)) == 0; }

/// The smallest power of two that is at least `number`; number <= 2^62.
constexpr std::int64_t power_of_two_from(std::int64_t number) {
  std::int64_t power = 1;
  while (power < number) power *= 2;
  return power;
}

/// All divisors of a number > 0, ascending, 1 and the number among them.
std::vector<std::int64_t> divisors_of(std::int64_t number);

/// The prime factors of a number > 0, ascending, each as often as it divides: 12 -> 2, 2, 3.
std::vector<std::int64_t> prime_factors_of(std::int64_t number);

}  // namespace dosa
