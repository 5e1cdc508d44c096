#include "dosa/models/base/math.hpp"

#include <gmock/gmock.h>

namespace dosa {
namespace {

using ::testing::ElementsAre;

TEST(Math, QuotientsAndMultiplesAreRoundedUp) {
  EXPECT_EQ(ceil_div(0, 4), 0);
  EXPECT_EQ(ceil_div(8, 4), 2);
  EXPECT_EQ(ceil_div(9, 4), 3);
  EXPECT_EQ(ceil_div(INT64_MAX, 2), INT64_MAX / 2 + 1) << "without overflow";
  EXPECT_EQ(round_up(0, 16), 0);
  EXPECT_EQ(round_up(16, 16), 16);
  EXPECT_EQ(round_up(17, 16), 32);
}

TEST(Math, ProductsSaturate) {
  EXPECT_EQ(saturating_product({}), 1);
  EXPECT_EQ(saturating_product({3, 5, 7}), 105);
  EXPECT_EQ(saturating_product({INT64_MAX, 1}), INT64_MAX);
  EXPECT_EQ(saturating_product({std::int64_t{1} << 31, std::int64_t{1} << 31, 1}), std::int64_t{1} << 62);
  EXPECT_EQ(saturating_product({std::int64_t{1} << 32, std::int64_t{1} << 31}), INT64_MAX);
  EXPECT_EQ(saturating_product({std::int64_t{1} << 40, std::int64_t{1} << 40, 3}), INT64_MAX);
  EXPECT_EQ(saturating_product({std::int64_t{1} << 40, std::int64_t{1} << 40, 0}), 0);
}

TEST(Math, PowersOfTwo) {
  for (const std::int64_t power : {1, 2, 4, 1024}) EXPECT_TRUE(is_power_of_two(power)) << power;
  for (const std::int64_t other : {-2, 0, 3, 6, 1023}) EXPECT_FALSE(is_power_of_two(other)) << other;
  EXPECT_EQ(power_of_two_from(1), 1);
  EXPECT_EQ(power_of_two_from(5), 8);
  EXPECT_EQ(power_of_two_from(std::int64_t{1} << 62), std::int64_t{1} << 62);
}

TEST(Math, DivisorsAndPrimes) {
  EXPECT_THAT(divisors_of(1), ElementsAre(1));
  EXPECT_THAT(divisors_of(12), ElementsAre(1, 2, 3, 4, 6, 12));
  EXPECT_THAT(divisors_of(49), ElementsAre(1, 7, 49)) << "the root once";
  EXPECT_THAT(prime_factors_of(1), ElementsAre());
  EXPECT_THAT(prime_factors_of(12), ElementsAre(2, 2, 3));
  EXPECT_THAT(prime_factors_of(197), ElementsAre(197));
}

}  // namespace
}  // namespace dosa
