// What holds of a search on every target: one result whatever the threads, limits that are kept, a design
// whatever happens, the same end after a break, and commands that mean the same.
#include <gtest/gtest.h>
#include <torch/library.h>

#include <atomic>
#include <cmath>

#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/search/pareto.hpp"
#include "dosa/core/search/space.hpp"
#include "dosa/models/base/adam.hpp"
#include "tests/core/search/problems.hpp"
#include "tests/support.hpp"

// What LibTorch's meta device lacks of the relaxations' operations.
TORCH_LIBRARY_IMPL(aten, Meta, m) {
  m.impl("index_select", [](const torch::Tensor& from, std::int64_t dim, const torch::Tensor& index) {
    TORCH_CHECK(index.is_meta(), "index on another device");
    std::vector<std::int64_t> sizes = from.sizes().vec();
    sizes[static_cast<std::size_t>(dim < 0 ? dim + from.dim() : dim)] = index.size(0);
    return torch::empty(sizes, from.options());
  });
  m.impl("logical_and.out",
         [](const torch::Tensor&, const torch::Tensor& b, torch::Tensor& out) -> torch::Tensor& {
           TORCH_CHECK(b.is_meta() && out.is_meta(), "operands on another device");
           return out;
         });
  m.impl("relu", [](const torch::Tensor& x) { return torch::clamp_min(x, 0); });
  m.impl("where.self", [](const torch::Tensor& where, const torch::Tensor& a, const torch::Tensor& b) {
    return torch::add(torch::add(a, b), where);
  });
}

namespace dosa::testing {
namespace {

using torch::Tensor;

constexpr const char* kTargets[] = {"gemmini-tl", "gemmini-rtl"};

class EveryTarget : public ::testing::TestWithParam<const char*> {
 protected:
  static SearchProblem problem() {
    TargetOptions options;
    options.shipped_surrogate = true;
    SearchProblem problem{{}, load_target(GetParam(), options), {}, Objective::from_name("edp")};
    problem.workload.name = "small";
    Layer conv;
    conv.name = "conv";
    conv.size = {3, 3, 12, 12, 24, 32, 1};
    conv.padding = 1;
    problem.workload.layers = {conv, product_layer("product", 3, 48, 64, 80)};
    problem.bounds = {problem.machine().min_hardware, problem.machine().max_hardware};
    const Hardware none{std::vector<std::int64_t>(problem.machine().parameters.size(), 0)};
    problem.target->narrow(problem.bounds, none, none, {});
    return problem;
  }
  static SearchOptions quick() {
    SearchOptions options;
    options.stages = Stages::kDescentAndPolish;
    options.starts = 10;
    options.steps = 40;
    options.round_every = 20;
    options.polish_nests = 2000;
    options.threads = 2;
    return options;
  }
};

TEST_P(EveryTarget, OneResultWhateverTheThreads) {
  const SearchProblem asked = problem();
  for (const Stages stages :
       {Stages::kAutomatic, Stages::kDescent, Stages::kDescentAndPolish, Stages::kPolish}) {
    SearchOptions options = quick();
    options.stages = stages;
    options.threads = 1;
    const SearchSummary one = optimize(asked, options);
    options.threads = 3;
    const SearchSummary three = optimize(asked, options);
    EXPECT_EQ(to_json(one.best), to_json(three.best));
    EXPECT_EQ(one.evaluations, three.evaluations);
  }
}

TEST_P(EveryTarget, RelaxesOnItsDevice) {
  // The meta device, which computes shapes only, stands in for a GPU: operations that mix devices throw.
  const SearchProblem asked = problem();
  const std::unique_ptr<SearchSpace> space = asked.target->space(asked, "meta");
  Tensor parameters = space->random_starts(4, at::detail::createCPUGenerator(1)).requires_grad_();
  const RelaxedCost cost = space->relax(parameters, 0.5);
  EXPECT_TRUE(cost.loss.is_meta());
  EXPECT_TRUE(cost.hardware.is_meta());
  cost.loss.sum().backward();
  Adam(parameters).move(parameters, parameters.grad(), 0, 0.1);
  EXPECT_TRUE(parameters.is_meta());
}

TEST_P(EveryTarget, OnADeviceEverySearchEndsAlike) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "there is no CUDA device";
  const SearchProblem asked = problem();
  SearchOptions options = quick();
  options.device = "cuda";
  const SearchSummary once = optimize(asked, options), again = optimize(asked, options);
  EXPECT_EQ(to_json(once.best), to_json(again.best));
  options.device = "cpu";
  EXPECT_NEAR(asked.log_value(once.best), asked.log_value(optimize(asked, options).best), 0.1);
}

TEST_P(EveryTarget, DesignsAreExactAndWithinTheirBounds) {
  const SearchProblem asked = problem();
  Design design = optimize(asked, asked.target->default_options()).best;
  const DesignTotals found = design.totals;
  evaluate(design, *asked.target);  // throws where a schedule does not fit
  EXPECT_EQ(design.totals.edp, found.edp);
  for (std::size_t p = 0; p < design.hardware.size(); ++p) {
    EXPECT_GE(design.hardware[p], asked.bounds.min[p]);
    EXPECT_LE(design.hardware[p], asked.bounds.max[p]);
  }
}

TEST_P(EveryTarget, EvaluationsAreLimited) {
  const SearchProblem asked = problem();
  const std::int64_t free = optimize(asked, quick()).evaluations;
  std::int64_t least = 0;
  const auto space = asked.target->space(asked, "cpu");
  for (std::size_t l = 0; l < asked.workload.layers.size(); ++l) least += space->least_evaluations(l);
  for (const std::int64_t limit : {2 * least, free / 4, free / 2}) {
    SearchOptions options = quick();
    options.max_evaluations = limit;
    const SearchSummary summary = optimize(asked, options);
    EXPECT_LE(summary.evaluations, limit);
    EXPECT_EQ(summary.stopped, "evaluations") << limit;
  }
}

TEST_P(EveryTarget, AnInterruptLeavesADesign) {
  const std::atomic<bool> interrupt{true};
  const SearchProblem asked = problem();
  SearchSummary summary = optimize(asked, quick(), {}, &interrupt);
  EXPECT_EQ(summary.stopped, "interrupt");
  EXPECT_EQ(summary.steps, 0);
  EXPECT_NO_THROW(evaluate(summary.best, *asked.target));
}

TEST_P(EveryTarget, PatienceEndsTheDescent) {
  SearchOptions options = quick();
  options.steps = 400;
  options.patience = 2;
  const SearchSummary summary = optimize(problem(), options);
  EXPECT_EQ(summary.stopped, "patience");
  EXPECT_LT(summary.steps, 400);
}

TEST_P(EveryTarget, AResumedSearchEndsLikeAWholeOne) {
  const TemporaryFolder folder;
  const SearchProblem asked = problem();
  const SearchSummary whole = optimize(asked, quick());
  std::atomic<bool> interrupt{false};
  SearchOptions options = quick();
  options.checkpoint = folder.path() / "state";
  optimize(
      asked, options, [&](const SearchProgress& now) { interrupt = now.step >= 20; }, &interrupt);
  options.checkpoint.clear();
  options.resume = folder.path() / "state";
  const SearchSummary resumed = optimize(asked, options);
  EXPECT_EQ(to_json(resumed.best), to_json(whole.best));
  EXPECT_EQ(resumed.evaluations, whole.evaluations);
}

TEST_P(EveryTarget, TheFrontObeysItsAreasAndNoDesignIsBeaten) {
  SearchProblem asked = problem();
  const double area = optimize(asked, quick()).best.totals.area_mm2;
  asked.bounds.max_area_mm2 = 1.5 * area;
  ParetoOptions options;
  options.shapes = 3;
  options.nests = 2000;
  const ParetoSummary summary = pareto_front(asked, options);
  ASSERT_FALSE(summary.front.empty());
  for (const FrontPoint& a : summary.front) {
    EXPECT_LE(a.design.totals.area_mm2, asked.bounds.max_area_mm2);
    for (const FrontPoint& b : summary.front) {
      if (&a == &b) continue;
      EXPECT_FALSE(a.design.totals.area_mm2 <= b.design.totals.area_mm2 &&
                   a.design.totals.cycles <= b.design.totals.cycles &&
                   a.design.totals.energy_uj <= b.design.totals.energy_uj);
    }
  }
}

// Neither within the area of a design nor between two does an ordinary search find one that beats a design of
// the front in all three; where neighbours lie far apart, limits between them were asked for.
TEST_P(EveryTarget, NoSearchUnderAnAreaLimitBeatsTheFront) {
  constexpr double kSlack = 1 + 1e-9, kFarApart = 1.15;
  SearchProblem asked = problem();
  asked.bounds.max_area_mm2 = 0.6;
  ParetoOptions options;
  options.points = 1000;
  const ParetoSummary summary = pareto_front(asked, options);
  ASSERT_GT(summary.front.size(), 3U);
  const std::vector<double>& limits = summary.area_limits_mm2;
  const double least_limit = *std::min_element(limits.begin(), limits.end());
  std::vector<double> areas;
  for (const FrontPoint& point : summary.front) {
    const double area = point.design.totals.area_mm2;
    if (!areas.empty() && areas.back() > least_limit && area > kFarApart * areas.back()) {
      EXPECT_TRUE(std::any_of(limits.begin(), limits.end(),
                              [&](double limit) { return limit > areas.back() && limit < area; }))
          << areas.back() << " to " << area;
    }
    if (!areas.empty() && area > kFarApart * areas.back()) areas.push_back(std::sqrt(area * areas.back()));
    if (areas.empty() || area > areas.back()) areas.push_back(area);
  }
  std::size_t compared = 0;
  for (const double area : areas) {
    SearchProblem limited = asked;
    limited.bounds.max_area_mm2 = area;
    const Design best = optimize(limited, asked.target->default_options()).best;
    // The front says which shapes it looked at; a search may find a better one between them.
    const Shape shape = limited.shape_of(best.hardware);
    if (std::count(summary.shapes.begin(), summary.shapes.end(), shape) == 0) continue;
    ++compared;
    const DesignTotals& found = best.totals;
    for (const FrontPoint& point : summary.front) {
      const DesignTotals& own = point.design.totals;
      const bool no_worse = found.area_mm2 <= own.area_mm2 && found.cycles <= own.cycles * kSlack &&
                            found.energy_uj <= own.energy_uj * kSlack;
      EXPECT_FALSE(no_worse && found.edp * kSlack < own.edp)
          << "under " << area << " mm2: EDP " << found.edp << " instead of " << own.edp;
    }
  }
  EXPECT_GT(compared, areas.size() / 2);
}

// On the hardware that a search found, an enumeration finds nothing better than its certificate says, and a
// search that enumerated has no gap.
TEST_P(EveryTarget, CertificatesMeanWhatSearchesMean) {
  const SearchProblem asked = problem();
  TargetOptions trusting;
  trusting.shipped_surrogate = true;
  trusting.kappa = 0;
  const TargetPtr target = load_target(GetParam(), trusting);
  SearchOptions options = asked.target->default_options();
  options.polish_nests = 10'000'000;
  SearchProblem same = asked;
  same.target = target;
  const Design design = optimize(same, options).best;
  MapOptions all;
  all.max_nests = 10'000'000;
  const Certificate certificate = certify(design, target, asked.objective, all);
  EXPECT_TRUE(certificate.map.proven());
  EXPECT_NEAR(certificate.gap(), 0, 1e-9);
}

INSTANTIATE_TEST_SUITE_P(All, EveryTarget, ::testing::ValuesIn(kTargets), [](const auto& target) {
  std::string name = target.param;
  name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
  return name;
});

}  // namespace
}  // namespace dosa::testing
