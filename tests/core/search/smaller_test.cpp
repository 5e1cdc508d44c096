// The smallest hardware that is nearly as good: within what was asked, reproducible, and nothing smaller is.
#include <gtest/gtest.h>

#include "dosa/core/search/space.hpp"
#include "dosa/models/base/math.hpp"
#include "tests/core/search/problems.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

/// One token of a decoder of 8 billion weights after 2048 others: products of vectors and matrices.
Workload decode() {
  return {"decode",
          "",
          "",
          {product_layer("query", 64, 1, 4096, 4096), product_layer("key", 64, 1, 4096, 1024),
           product_layer("scores", 256, 4, 128, 2048), product_layer("values", 256, 4, 2048, 128),
           product_layer("gate", 64, 1, 4096, 14336), product_layer("down", 32, 1, 14336, 4096),
           product_layer("head", 1, 1, 4096, 128256)}};
}

/// Least EDP within a machine's bounds.
SearchProblem problem_of(Workload workload, const std::string& machine, double kappa = 1) {
  TargetOptions options;
  options.shipped_surrogate = true;
  options.kappa = kappa;
  SearchProblem problem =
      SearchProblem::of(std::move(workload), load_target(machine, options), Objective::from_name("edp"));
  problem.bounds = {problem.machine().min_hardware, problem.machine().max_hardware};
  const Hardware none{std::vector<std::int64_t>(problem.machine().parameters.size(), 0)};
  problem.target->narrow(problem.bounds, none, none, {});
  return problem;
}

Workload two_layers() {
  return {"two", "", "", {product_layer("first", 1, 12, 48, 64), product_layer("second", 3, 40, 32, 96)}};
}

class SmallerHardware : public ::testing::TestWithParam<const char*> {
 protected:
  static SearchOptions options_for(const SearchProblem& problem) {
    SearchOptions options = problem.target->default_options();
    options.stages = Stages::kPolish;
    options.polish_nests = 600;
    return options;
  }
};

TEST_P(SmallerHardware, IsSmallerAndWithinWhatWasAsked) {
  SearchProblem asked = problem_of(two_layers(), GetParam());
  if (asked.machine().shape_parameters > 1) asked.bounds.min[0] = asked.bounds.max[0];  // fewer shapes
  SearchOptions options = options_for(asked);
  const SearchSummary alone = optimize(asked, options);
  EXPECT_FALSE(alone.smallest);
  for (const double within : {0.01, 0.2}) {
    double few_shapes = 0;
    for (const bool everywhere : {false, true}) {
      options.within = within;
      options.within_everywhere = everywhere;
      options.threads = 1;
      const SearchSummary summary = optimize(asked, options);
      EXPECT_EQ(to_json(summary.best), to_json(alone.best)) << "the best does not depend on it";
      EXPECT_EQ(summary.evaluations, alone.evaluations);
      options.threads = 3;
      const SearchSummary again = optimize(asked, options);
      ASSERT_EQ(again.smallest.has_value(), summary.smallest.has_value());
      double area = summary.best.totals.area_mm2;
      if (summary.smallest) {
        Design smallest = *summary.smallest;
        EXPECT_EQ(to_json(smallest), to_json(*again.smallest)) << "whatever the threads";
        evaluate(smallest, *asked.target);  // throws where a schedule does not fit
        EXPECT_EQ(smallest.totals.edp, summary.smallest->totals.edp);
        EXPECT_LE(smallest.totals.edp, summary.best.totals.edp * (1 + within) * (1 + 1e-9));
        EXPECT_LT(smallest.totals.area_mm2, area);
        area = smallest.totals.area_mm2;
      }
      if (everywhere) {
        EXPECT_LE(area, few_shapes) << "more shapes, and more work on each";
      }
      few_shapes = area;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SmallerHardware,
                         ::testing::Values("gemmini-tl", "gemmini-rtl", "nvdla", "simba"),
                         [](const auto& machine) {
                           std::string name = machine.param;
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

// A decoder's token waits for weights, whatever the array: nearly all of the largest one is for nothing.
TEST(SmallerThanTheBest, ADecoderNeedsNoLargeArray) {
  const SearchProblem asked = problem_of(decode(), "gemmini-tl");
  SearchOptions options = asked.target->default_options();
  options.within = 0.01;
  for (const bool everywhere : {false, true}) {
    options.within_everywhere = everywhere;
    const SearchSummary summary = optimize(asked, options);
    ASSERT_TRUE(summary.smallest);
    EXPECT_GT(summary.best.totals.area_mm2, 6);
    EXPECT_LT(summary.smallest->totals.area_mm2, 0.15);
    EXPECT_LE(summary.smallest->totals.edp, 1.01 * summary.best.totals.edp);
  }
}

// Against every hardware that can be built, each with its best tiles.
TEST(SmallerThanTheBest, OfListedHardwareItIsTheLeast) {
  SearchProblem asked = problem_of(two_layers(), "gemmini-rtl", 0);
  asked.bounds.max = ArraySizes{16, 128, 64};
  SearchOptions options = asked.target->default_options();
  options.within_everywhere = true;
  const auto space = asked.target->space(asked, "cpu");
  const std::vector<Hardware> all = space->buildable(space->shapes().front());
  std::vector<std::pair<double, double>> area_and_edp;
  for (const Hardware& hardware : all) {
    SearchProblem fixed = asked;
    fixed.bounds.min = fixed.bounds.max = hardware;
    const DesignTotals found = optimize(fixed, asked.target->default_options()).best.totals;
    if (found.cycles > space->most_cycles(0)) continue;  // slower than what the library would do by itself
    area_and_edp.emplace_back(found.area_mm2, found.edp);
  }
  ASSERT_GT(area_and_edp.size(), 4U);
  for (const double within : {0.01, 0.1, 0.5}) {
    options.within = within;
    const SearchSummary summary = optimize(asked, options);
    double least = summary.best.totals.area_mm2;
    for (const auto& [area, edp] : area_and_edp) {
      if (edp <= summary.best.totals.edp * (1 + within)) least = std::min(least, area);
    }
    EXPECT_DOUBLE_EQ(summary.smallest.value_or(summary.best).totals.area_mm2, least) << within;
  }
}

// Of whole sizes: a search for the best within a little less area finds nothing within.
TEST(SmallerThanTheBest, NoSearchInLessAreaIsWithin) {
  for (const double within : {0.01, 0.1}) {
    SearchProblem asked = problem_of(two_layers(), "gemmini-tl");
    SearchOptions options = asked.target->default_options();
    options.within = within;
    options.within_everywhere = true;
    const SearchSummary summary = optimize(asked, options);
    ASSERT_TRUE(summary.smallest);
    asked.bounds.max_area_mm2 = 0.99 * summary.smallest->totals.area_mm2;
    EXPECT_GT(optimize(asked, asked.target->default_options()).best.totals.edp,
              summary.best.totals.edp * (1 + within));
  }
}

TEST(SmallerThanTheBest, ASharesRangeIsChecked) {
  const SearchProblem asked = problem_of(two_layers(), "gemmini-tl");
  SearchOptions options;
  options.within = -0.1;
  expect_error([&] { optimize(asked, options); }, ErrorId::kValue, {"within", "-0.1"});
}

}  // namespace
}  // namespace dosa::testing
