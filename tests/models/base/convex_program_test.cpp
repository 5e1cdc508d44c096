// Lower bounds of convex programs.
#include "dosa/models/base/convex_program.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "dosa/models/base/random.hpp"

namespace dosa::testing {
namespace {

TEST(ConvexProgram, FindsMinimaThatAreKnown) {
  // x + y = log 16 as factors a * b = 16; a + 4 b is least at a = 8, b = 2.
  ConvexProgram program;
  const std::size_t a = program.add_group(std::log(16.0), 2), b = a + 1;
  program.minimise(Monomial().times(a, 1));
  program.minimise(Monomial{std::log(4.0), {}}.times(b, 1));
  EXPECT_NEAR(program.lower_bound(1e-6), 16, 1e-3);
  EXPECT_LE(program.lower_bound(1e-6), 16);
  // With a at most 4: 4 + 16.
  program.at_most_one({Monomial{-std::log(4.0), {}}.times(a, 1)});
  EXPECT_NEAR(program.lower_bound(1e-6), 20, 1e-3);
  EXPECT_LE(program.lower_bound(1e-6), 20);
  // An affine part: minus 3 log a and plus 2.
  program.minimise(a, -3);
  program.minimise(2);
  EXPECT_NEAR(program.lower_bound(1e-6), 22 - 3 * std::log(4.0), 1e-3);
}

TEST(ConvexProgram, SaysSoWhereItCannotBegin) {
  ConvexProgram program;
  const std::size_t a = program.add_group(1, 2);
  program.minimise(Monomial().times(a, 1));
  program.at_most_one({Monomial{std::log(2.0), {}}});
  EXPECT_EQ(program.lower_bound(1e-3), -std::numeric_limits<double>::infinity());
  ConvexProgram without_variables;
  without_variables.minimise(7);
  EXPECT_DOUBLE_EQ(without_variables.lower_bound(1e-3), 7);
}

TEST(ConvexProgram, NoPointWithinTheLimitsIsBelow) {
  Random random(3);
  for (int c = 0; c < 60; ++c) {
    ConvexProgram program;
    std::size_t variables = 0;
    std::vector<std::pair<std::size_t, double>> groups;
    for (std::int64_t g = 1 + random.below(3); g > 0; --g) {
      const auto size = static_cast<std::size_t>(1 + random.below(4));
      groups.emplace_back(size, 0.5 + 4 * random.uniform());
      program.add_group(groups.back().second, size);
      variables += size;
    }
    const auto any = [&](bool only_growing) {
      Monomial monomial{2 * random.uniform() - (only_growing ? 4 : 1), {}};
      for (std::size_t v = 0; v < variables; ++v)
        monomial.times(v, static_cast<double>(random.below(3)) - (only_growing ? 0 : 1));
      return monomial;
    };
    std::vector<Monomial> objective{any(false), any(false), any(false)}, limit{any(true), any(true)};
    for (const Monomial& monomial : objective) program.minimise(monomial);
    program.at_most_one(limit);
    const double slope = random.uniform() - 0.5;
    program.minimise(0, slope);
    const double bound = program.lower_bound(1e-4);
    const auto sum = [](const std::vector<Monomial>& of, const std::vector<double>& x) {
      double all = 0;
      for (const Monomial& monomial : of) {
        double log = monomial.log;
        for (std::size_t v = 0; v < monomial.powers.size(); ++v) log += monomial.powers[v] * x[v];
        all += std::exp(log);
      }
      return all;
    };
    for (int trial = 0; trial < 500; ++trial) {
      std::vector<double> x;
      for (const auto& [size, total] : groups) {
        std::vector<double> shares;
        double all = 0;
        for (std::size_t v = 0; v < size; ++v) {
          shares.push_back(std::pow(random.uniform(), 8) + 1e-12);
          all += shares.back();
        }
        for (const double share : shares) x.push_back(total * share / all);
      }
      if (sum(limit, x) > 1) continue;
      ASSERT_GE(sum(objective, x) + slope * x[0], bound - 1e-12 * std::abs(bound)) << c;
    }
  }
}

}  // namespace
}  // namespace dosa::testing
