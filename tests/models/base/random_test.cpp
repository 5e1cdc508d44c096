#include "dosa/models/base/random.hpp"

#include <gmock/gmock.h>

namespace dosa {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

// The standard prescribes the 10,000th number of a generator with the default seed; what is made of the raw
// numbers is recorded, so that results stay what they are.
TEST(Random, TheSameNumbersOnEveryPlatform) {
  Random random(5489);
  for (int i = 1; i < 10000; ++i) random.bits();
  EXPECT_EQ(random.bits(), 9981545732273789042ULL);

  Random below(7);
  EXPECT_THAT((std::vector<std::int64_t>{below.below(1000), below.below(1000), below.below(1000)}),
              ElementsAre(15, 250, 878));
  Random scaled(7);
  EXPECT_THAT((std::vector<std::int64_t>{scaled.scaled_below(1000), scaled.scaled_below(1000),
                                         scaled.scaled_below(1000)}),
              ElementsAre(754, 949, 117));
  EXPECT_DOUBLE_EQ(Random(7).uniform(), 0.75438530415285798);
  EXPECT_THAT(Random(7).normal(), DoubleNear(1.5913998756469563, 1e-12));
  EXPECT_THAT(Random(7).permutation(6), ElementsAre(1, 3, 2, 0, 5, 4));
}

TEST(Random, NumbersAreWhereTheyShouldBe) {
  Random random(1);
  double sum = 0, squares = 0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const double uniform = random.uniform();
    EXPECT_TRUE(uniform >= 0 && uniform < 1) << uniform;
    const std::int64_t below = random.below(3), scaled = random.scaled_below(3);
    EXPECT_TRUE(below >= 0 && below < 3 && scaled >= 0 && scaled < 3) << below << " " << scaled;
    const double normal = random.normal();
    sum += normal;
    squares += normal * normal;
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.03);
  EXPECT_NEAR(squares / kDraws, 1, 0.05);
  EXPECT_EQ(random.below(1), 0);
  EXPECT_TRUE(random.permutation(0).empty());
}

}  // namespace
}  // namespace dosa
