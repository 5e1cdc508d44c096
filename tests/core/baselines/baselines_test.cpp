// Are the baselines honest? The same seed gives the same run, every evaluation is counted and the budget
// kept, what they report is what their design costs, and they search.
#include <gtest/gtest.h>

#include <cmath>

#include "dosa/core/baselines/baseline.hpp"
#include "dosa/core/baselines/map_space.hpp"
#include "tests/core/search/problems.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

SearchProblem problem() { return testing::on_gemmini_tl(load_workload("bert")); }

constexpr std::int64_t kBudget = 20'003;  // no multiple of anything

class Baselines : public ::testing::TestWithParam<std::size_t> {
 protected:
  std::unique_ptr<Baseline> baseline() const { return std::move(all_baselines()[GetParam()]); }
};

TEST_P(Baselines, KeepTheBudgetAndReportWhatTheirDesignCosts) {
  const SearchProblem asked = problem();
  const BaselineResult result = run_baseline(*baseline(), asked, kBudget, 1);
  EXPECT_LE(result.evaluations, kBudget);
  EXPECT_LE(result.curve.back().samples, result.evaluations);
  Design again = result.design;
  evaluate(again, *asked.target);  // throws unless legal
  EXPECT_EQ(again.totals.edp, result.objective);
  EXPECT_EQ(result.curve.back().objective, result.objective);
  for (std::size_t p = 0; p < result.design.hardware.size(); ++p) {
    EXPECT_GE(result.design.hardware[p], asked.bounds.min[p]);
    EXPECT_LE(result.design.hardware[p], asked.bounds.max[p]);
  }
}

TEST_P(Baselines, ImproveOnTheirFirstDesign) {
  const BaselineResult result = run_baseline(*baseline(), problem(), kBudget, 2);
  ASSERT_GE(result.curve.size(), 2U);
  for (std::size_t i = 1; i < result.curve.size(); ++i) {
    EXPECT_LT(result.curve[i].objective, result.curve[i - 1].objective);
    EXPECT_GE(result.curve[i].samples, result.curve[i - 1].samples);
  }
}

TEST_P(Baselines, AreDeterminedByTheSeedWhateverTheThreads) {
  const BaselineResult a = run_baseline(*baseline(), problem(), 5'000, 3, 1);
  const BaselineResult b = run_baseline(*baseline(), problem(), 5'000, 3, 2);
  EXPECT_EQ(a.evaluations, b.evaluations);
  EXPECT_EQ(a.rejected, b.rejected);
  EXPECT_EQ(a.objective, b.objective);
  ASSERT_EQ(a.curve.size(), b.curve.size());
  for (std::size_t i = 0; i < a.curve.size(); ++i) {
    EXPECT_EQ(a.curve[i].samples, b.curve[i].samples);
    EXPECT_EQ(a.curve[i].objective, b.curve[i].objective);
  }
}

TEST_P(Baselines, RespectFixedAndTightBounds) {
  SearchProblem tight = problem();
  tight.bounds.min = ArraySizes{16, 8, 8};
  tight.bounds.max = ArraySizes{16, 8, 8};
  const BaselineResult result = run_baseline(*baseline(), tight, 2'000, 0);
  EXPECT_EQ(result.design.hardware, (ArraySizes{16, 8, 8}));
}

TEST_P(Baselines, GiveADesignForTheLeastBudget) {
  const SearchProblem asked = problem();
  const auto layers = static_cast<std::int64_t>(asked.workload.layers.size());
  const BaselineResult result = run_baseline(*baseline(), asked, layers, 0);
  EXPECT_EQ(result.evaluations, layers);
  EXPECT_EQ(result.curve.size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(All, Baselines, ::testing::Range(std::size_t{0}, all_baselines().size()),
                         [](const auto& of) { return all_baselines()[of.param]->name(); });

TEST(BaselineBudget, OfLessThanASamplePerLayerIsRefused) {
  testing::expect_error([] { run_baseline(*make_random_search(), problem(), 3, 0); }, ErrorId::kBounds,
                        {"samples", "found 3", "bert"});
}

// Scores of a batch in many orders are those of the design that holds the same mappings.
TEST(BaselineMapSpace, ScoresAreTheExactCosts) {
  const SearchProblem asked = problem();
  const MapSpace space(asked, 2);
  Random random(5);
  Recorder recorder(1'000'000);
  const ArraySizes hardware{20, 64, 40};
  const torch::InferenceMode no_gradients;
  const auto [candidates, scores] = space.random_mappings(hardware, 30, random, recorder);
  EXPECT_EQ(recorder.evaluations(), candidates.size());
  EXPECT_EQ(candidates.size(), 30 * space.layers());
  const CostModel model(array_machine(asked), search_slots(array_machine(asked)),
                        search_orders(array_machine(asked)), torch::kFloat64);
  for (std::int64_t i = 0; i < candidates.size(); i += 7) {
    Design design;
    design.target = asked.machine().name;
    design.hardware = hardware;
    DesignLayer entry;
    entry.layer = asked.workload.layers[static_cast<std::size_t>(candidates.layer[i].item<std::int64_t>())];
    entry.schedule = asked.target->schedule_of(
        model.mapping_of(candidates.log_factors[i], candidates.order[i].item<std::int64_t>()), entry.layer,
        hardware);
    design.layers.push_back(entry);
    evaluate(design, *asked.target);
    EXPECT_EQ(design.layers[0].costs.cycles, scores.cycles[i].item<double>());
    EXPECT_DOUBLE_EQ(design.layers[0].costs.energy_uj, scores.energy_uj[i].item<double>());
  }
}

TEST(BaselineMapSpace, DrawsEveryLoopOrderAndFillsWideArrays) {
  const SearchProblem asked = problem();
  const MapSpace space(asked, 2);
  Random random(6);
  Recorder recorder(1'000'000);
  const torch::InferenceMode no_gradients;
  const auto [candidates, scores] = space.random_mappings(ArraySizes{128, 2048, 2048}, 300, random, recorder);
  for (std::int64_t order = 0; order < space.orders(); ++order)
    EXPECT_GT((candidates.order == order).sum().item<std::int64_t>(), candidates.size() / space.orders() / 2);
  EXPECT_TRUE(scores.fits.all().item<bool>());
}

}  // namespace
}  // namespace dosa
