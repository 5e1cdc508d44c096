// Tests of what is exact: enumeration on fixed hardware, its proof, area limits, fronts, limits of the
// search.
#include "dosa/core/targets/mapping/enumeration.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "dosa/core/search/chooser.hpp"
#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/search/pareto.hpp"
#include "dosa/core/targets/mapping/target.hpp"
#include "dosa/models/base/math.hpp"
#include "tests/core/search/problems.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

using torch::Tensor;

/// A strided and dilated convolution with odd sizes, a matrix product, a depthwise convolution.
SearchProblem network() {
  Workload workload;
  workload.name = "small";
  Layer conv;
  conv.name = "conv";
  conv.size = {3, 2, 6, 5, 6, 8, 2};
  conv.wstride = 2;
  conv.hdilation = 2;
  Layer matmul;
  matmul.name = "matmul";
  matmul.count = 3;
  matmul.size = {1, 1, 12, 1, 18, 20, 1};
  Layer depthwise;
  depthwise.name = "depthwise";
  depthwise.groups = 8;
  depthwise.size = {3, 3, 8, 6, 1, 1, 1};
  workload.layers = {conv, matmul, depthwise};
  return on_gemmini_tl(workload);
}

SearchProblem fixed(SearchProblem problem, const ArraySizes& hardware, const std::string& objective = "edp") {
  problem.bounds.min = problem.bounds.max = hardware;
  problem.objective = Objective::from_name(objective);
  return problem;
}

struct Point {
  double energy_uj, cycles;
};

/// Every nest of a layer, literally: in every dimension all factors over its slots that multiply to at least
/// its size and of which none could be smaller, spatial factors up to the array, [nests, slots].
Tensor all_nests(const Layer& layer, const std::vector<Slot>& slots, std::int64_t pe_dim) {
  std::vector<std::vector<double>> nests{std::vector<double>(slots.size(), 0)};
  for (const Dim dim : all_dims()) {
    std::vector<std::size_t> places;
    for (std::size_t s = 0; s < slots.size(); ++s) {
      if (slots[s].dim == dim) places.push_back(s);
    }
    std::vector<std::vector<double>> longer;
    const std::function<void(std::vector<double>, std::size_t, std::int64_t)> spread =
        [&](std::vector<double> nest, std::size_t i, std::int64_t product) {
          const std::int64_t size = layer[dim];
          if (i == places.size()) {
            bool least = product >= size;
            for (const std::size_t place : places) {
              const std::int64_t f = std::llround(std::exp(nest[place]));
              least = least && product / f * (f - 1) < size;
            }
            if (least) longer.push_back(nest);
            return;
          }
          for (std::int64_t f = 1; product * (f - 1) < size; ++f) {
            if (slots[places[i]].spatial && f > pe_dim) continue;
            nest[places[i]] = std::log(static_cast<double>(f));
            spread(nest, i + 1, product * f);
          }
        };
    for (const auto& nest : nests) spread(nest, 0, 1);
    nests = std::move(longer);
  }
  std::vector<double> flat;
  for (const auto& nest : nests) flat.insert(flat.end(), nest.begin(), nest.end());
  return torch::tensor(flat, torch::kFloat64).view({-1, static_cast<std::int64_t>(slots.size())});
}

/// Costs of all nests in all orders that fit, without those that another one matches or beats in both.
std::vector<Point> literal_points(const SearchProblem& problem, const CostModel& model, std::size_t l,
                                  double* count) {
  const Layer& layer = problem.workload.layers[l];
  const ArraySizes hardware = ArraySizes::of(problem.bounds.max);
  const Tensor nests = all_nests(layer, model.slots(), hardware.pe_dim);
  *count = static_cast<double>(nests.size(0));
  const Traffic traffic = model.traffic({nests, {}}, LayerBatch::from({layer}, torch::kFloat64), {});
  const HardwareTensors sizes = HardwareTensors::from(hardware, torch::kFloat64);
  const Cost cost = model.cost(traffic, sizes, {});
  const Tensor fits =
      ((traffic.need_kib(array_machine(problem).levels[2], 2, sizes.pe_dim) <= sizes.scratchpad_kib) &
       (traffic.need_kib(array_machine(problem).levels[1], 1, sizes.pe_dim) <= sizes.accumulator_kib))
          .expand_as(cost.energy_pj);
  const auto groups = static_cast<double>(layer.groups);
  const Tensor energy = (cost.energy_pj.masked_select(fits) * (groups * 1e-6)).contiguous();
  const Tensor cycles = (cost.cycles.expand_as(fits).masked_select(fits) * groups).contiguous();
  std::vector<Point> points;
  for (std::int64_t i = 0; i < energy.size(0); ++i)
    points.push_back({energy.data_ptr<double>()[i], cycles.data_ptr<double>()[i]});
  std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) {
    return std::pair(a.cycles, a.energy_uj) < std::pair(b.cycles, b.energy_uj);
  });
  std::vector<Point> kept;
  for (const Point& point : points) {
    if (kept.empty() || point.energy_uj < kept.back().energy_uj) kept.push_back(point);
  }
  return kept;
}

/// The best value over all combinations of one point per layer.
double best_combination(const SearchProblem& problem, const std::vector<std::vector<Point>>& points) {
  double best = kInfinity;
  const std::function<void(std::size_t, double, double)> choose = [&](std::size_t l, double energy,
                                                                      double cycles) {
    if (l == points.size()) {
      best = std::min(best, problem.objective.value(energy, cycles));
      return;
    }
    const auto count = static_cast<double>(problem.workload.layers[l].count);
    for (const Point& point : points[l])
      choose(l + 1, energy + count * point.energy_uj, cycles + count * point.cycles);
  };
  choose(0, 0, 0);
  return best;
}

void expect_best_of_literal_enumeration(const SearchProblem& any) {
  for (const ArraySizes& hardware : {ArraySizes{4, 64, 64}, ArraySizes{4, 1, 1}, ArraySizes{3, 2, 1},
                                     ArraySizes{16, 1, 2}, ArraySizes{1, 1, 1}}) {
    const SearchProblem problem = fixed(any, hardware);
    const EnumerationModels models(array_machine(problem));
    std::vector<std::vector<Point>> points;
    std::vector<double> counts(problem.workload.layers.size());
    for (std::size_t l = 0; l < counts.size(); ++l)
      points.push_back(literal_points(problem, models.all, l, &counts[l]));
    for (const std::string& objective : Objective::names()) {
      const SearchProblem asked = fixed(any, hardware, objective);
      const MapSummary summary = map_exhaustively(asked, {});
      const DesignTotals& totals = summary.best.totals;
      const double found = asked.objective.value(totals.energy_uj, totals.cycles);
      EXPECT_NEAR(found / best_combination(asked, points), 1, 1e-12)
          << objective << " pe " << hardware.pe_dim << " scratchpad " << hardware.scratchpad_kib;
      EXPECT_TRUE(summary.proven());
      EXPECT_EQ(summary.best.hardware, hardware);
      for (std::size_t l = 0; l < counts.size(); ++l) {
        const LayerCoverage& coverage = summary.coverage[l];
        EXPECT_EQ(coverage.space, counts[l]);
        EXPECT_LE(coverage.candidates, coverage.space);
        EXPECT_EQ(coverage.looked_at, coverage.candidates);
        const double fitting = coverage.looked_at - coverage.over_capacity;
        const double in_orders = (fitting - coverage.beaten) * static_cast<double>(summary.orders);
        EXPECT_EQ(static_cast<double>(coverage.evaluated), in_orders + fitting);
      }
    }
  }
}

TEST(Exhaustive, FindsTheBestOfALiteralEnumeration) { expect_best_of_literal_enumeration(network()); }

// The argument that larger spatial factors are never worse has to hold for other map spaces, too.
TEST(Exhaustive, FindsTheBestOfALiteralEnumerationOnOtherMachines) {
  SearchProblem problem = network();
  ArrayMachine machine = load_array_machine("gemmini-rtl");
  machine.rules = "mappings";
  problem.target = make_target(std::make_shared<ArrayMachine>(machine));
  expect_best_of_literal_enumeration(problem);
  // Loops at the registers and at the scratchpad: more slots, so smaller layers.
  machine = load_array_machine("gemmini-tl");
  for (const Dim dim : {Dim::P, Dim::Q}) machine.search_temporal[0][static_cast<std::size_t>(dim)] = true;
  for (const Dim dim : {Dim::C, Dim::K}) machine.search_temporal[2][static_cast<std::size_t>(dim)] = true;
  problem.target = make_target(std::make_shared<ArrayMachine>(machine));
  problem.workload.layers[0].size = {3, 2, 4, 3, 4, 5, 1};
  problem.workload.layers[1].size = {1, 1, 10, 1, 9, 12, 1};
  expect_best_of_literal_enumeration(problem);
}

TEST(Exhaustive, EntriesOfManyLayersAreTheBestCombination) {
  std::mt19937 random(5);
  SearchProblem problem = network();
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<Frontier> frontiers;
    std::vector<std::vector<Point>> points;
    for (std::size_t l = 0; l < problem.workload.layers.size(); ++l) {
      std::vector<double> flat;
      points.emplace_back();
      for (int i = 0; i < 14; ++i) {
        const auto draw = [&] { return static_cast<double>(1 + random() % 1000); };
        const double need = 1 + static_cast<double>(random() % 3), cycles = draw(), energy = draw() * 1e6;
        for (const double number : {cycles, energy, need, 1e5, 1.0, 0.0}) flat.push_back(number);
        if (need <= 2) points.back().push_back({(energy + 2 * 1e5) * 1e-6, cycles});
      }
      Frontier frontier;
      frontier.numbers = torch::tensor(flat, torch::kFloat64).view({-1, 6});
      frontiers.push_back(frontier);
    }
    for (const std::string& name : Objective::names()) {
      problem.objective = Objective::from_name(name);
      const Choice best = best_entries(problem, frontiers, ArraySizes{4, 2, 1});
      EXPECT_NEAR(std::exp(best.log_objective) / best_combination(problem, points), 1, 1e-9) << name;
    }
  }
}

TEST(Exhaustive, SaysWhatItDidNotLookAt) {
  MapOptions options;
  options.max_nests = 64;
  const MapSummary summary = map_exhaustively(fixed(network(), {4, 64, 64}), options);
  EXPECT_FALSE(summary.proven());
  EXPECT_FALSE(summary.coverage[0].proven);
  EXPECT_LE(summary.coverage[0].looked_at, 64);
  EXPECT_GT(summary.coverage[0].candidates, 64);
  EXPECT_THAT(report(summary), ::testing::HasSubstr("not proven"));
  options.max_nests = 63;
  expect_error(
      [&] {
        map_exhaustively(fixed(network(), {4, 64, 64}), options);
      },
      ErrorId::kValue, {"max-nests", "found 63"});
  SearchProblem large = network();
  large.workload.layers[0].wstride = 2000;
  expect_error(
      [&] {
        map_exhaustively(fixed(large, {512, 1, 1}), {});
      },
      ErrorId::kBounds, {"layer 'conv'", "L1[O]", "at least 2 KiB of accumulator", "allowed are 1"});
}

TEST(Exhaustive, AnInterruptLeavesADesign) {
  const std::atomic<bool> interrupt{true};
  const SearchProblem problem = fixed(network(), {16, 64, 64});
  Design design = map_exhaustively(problem, {}, {}, &interrupt).best;
  EXPECT_NO_THROW(evaluate(design, *problem.target));
}

TEST(Certify, MeasuresTheDistanceToTheBest) {
  const SearchProblem problem = fixed(network(), {4, 8, 2});
  Design best = map_exhaustively(problem, {}).best;
  const Certificate none = certify(best, problem.target, problem.objective, {});
  EXPECT_TRUE(none.map.proven());
  EXPECT_NEAR(none.gap(), 0, 1e-12);
  for (const double gap : none.layer_gap) EXPECT_NEAR(gap, 0, 1e-12);
  // Everything at DRAM in one layer.
  Design worse = best;
  DesignLayer& layer = worse.layers[1];
  Mapping at_dram;
  at_dram.levels.resize(array_machine(problem).levels.size());
  for (const Dim dim : all_dims()) {
    if (layer.layer[dim] > 1) at_dram.levels.back().temporal.push_back({dim, layer.layer[dim]});
  }
  layer.schedule = problem.target->schedule_of(at_dram, layer.layer, worse.hardware);
  const Certificate some = certify(worse, problem.target, problem.objective, {});
  EXPECT_GT(some.gap(), 0.01);
  EXPECT_EQ(some.best_value, none.best_value);
  // The other layers are the best beside the best layer 1, hence the way back is its exchange alone.
  EXPECT_NEAR(some.layer_gap[1], some.gap(), 1e-12);
  const Json json = to_json(some);
  EXPECT_EQ(json["layers"][1]["gap"], some.layer_gap[1]);
  EXPECT_EQ(json["proven"], true);
}

TEST(AreaLimit, DesignsObeyItAndALargeOneChangesNothing) {
  SearchProblem problem = network();
  const Design free = optimize(problem, quick()).best;
  problem.bounds.max_area_mm2 = 1e9;
  EXPECT_EQ(to_json(optimize(problem, quick()).best), to_json(free));
  for (const double share : {0.9, 0.6, 0.3}) {
    problem.bounds.max_area_mm2 = share * free.totals.area_mm2;
    const Design design = optimize(problem, quick()).best;
    EXPECT_LE(design.totals.area_mm2, problem.bounds.max_area_mm2);
    EXPECT_GE(design.totals.edp, free.totals.edp);
  }
}

TEST(AreaLimit, FindsTheBestOfAllHardwareUnderATightOne) {
  // Few enough sizes to try all of them.
  SearchProblem problem = network();
  problem.bounds.max = ArraySizes{8, 4, 4};
  problem.bounds.max_area_mm2 = 0.048;
  const Design found = optimize(problem, quick()).best;
  double best = kInfinity;
  for (std::int64_t pe_dim = 1; pe_dim <= 8; ++pe_dim) {
    for (std::int64_t s = 1; s <= 4; ++s) {
      for (std::int64_t a = 1; a <= 4; ++a) {
        const ArraySizes hardware{pe_dim, s, a};
        if (problem.machine().area_mm2(hardware) > problem.bounds.max_area_mm2) continue;
        best = std::min(best, map_exhaustively(fixed(network(), hardware), {}).best.totals.edp);
      }
    }
  }
  EXPECT_NEAR(found.totals.edp / best, 1, 1e-9);
}

TEST(AreaLimit, RefusesLessThanTheLeastHardwareHas) {
  SearchProblem problem = network();
  problem.bounds.max_area_mm2 = 0.02;
  expect_error([&] { optimize(problem, quick()); }, ErrorId::kBounds,
               {"area", "0.02 mm2 at most", "pe_dim 1, scratchpad 1 KiB, accumulator 1 KiB", "has 0.02817"});
}

TEST(Pareto, NoDesignOfTheFrontIsBeaten) {
  SearchProblem problem = network();
  problem.bounds.max = ArraySizes{32, 64, 64};
  problem.bounds.max_area_mm2 = 0.4;
  ParetoOptions options;
  options.points = 12;
  const ParetoSummary summary = pareto_front(problem, options);
  ASSERT_GE(summary.front.size(), 4U);
  EXPECT_LE(summary.front.size(), 12U);
  EXPECT_GE(summary.found, summary.front.size());
  EXPECT_TRUE(summary.complete);
  for (const FrontPoint& a : summary.front) {
    Design again = a.design;
    evaluate(again, *problem.target);
    EXPECT_EQ(again.totals.edp, a.design.totals.edp);
    EXPECT_LE(again.totals.area_mm2, 0.4);
    for (const FrontPoint& b : summary.front) {
      if (&a == &b) continue;
      EXPECT_FALSE(a.design.totals.area_mm2 <= b.design.totals.area_mm2 &&
                   a.design.totals.cycles <= b.design.totals.cycles &&
                   a.design.totals.energy_uj <= b.design.totals.energy_uj);
    }
  }
  options.threads = 1;
  const ParetoSummary one = pareto_front(problem, options);
  ASSERT_EQ(one.front.size(), summary.front.size());
  for (std::size_t i = 0; i < one.front.size(); ++i)
    EXPECT_EQ(to_json(one.front[i].design), to_json(summary.front[i].design));
  // The least EDP of the front is that of the search.
  double least = kInfinity;
  for (const FrontPoint& point : summary.front) least = std::min(least, point.design.totals.edp);
  EXPECT_LE(least, 1.02 * optimize(problem, quick()).best.totals.edp);
}

TEST(OptimizerLimits, EvaluationsBoundThePolishToo) {
  const SearchProblem problem = network();
  const auto least = static_cast<std::int64_t>(64 * problem.workload.layers.size() * 6);
  for (const std::int64_t limit : {3 * least, 10 * least, 30 * least}) {
    SearchOptions options = quick();
    options.steps = 10'000;
    options.max_evaluations = limit;
    const SearchSummary summary = optimize(problem, options);
    EXPECT_LE(summary.evaluations, limit);
    EXPECT_EQ(summary.stopped, "evaluations");
    SearchOptions threads = options;
    threads.threads = 1;
    EXPECT_EQ(to_json(optimize(problem, threads).best), to_json(summary.best));
  }
}

TEST(OptimizerLimits, AnInterruptLeavesADesignFromTheStart) {
  const SearchProblem problem = network();
  const std::atomic<bool> interrupt{true};
  SearchSummary summary = optimize(problem, quick(), {}, &interrupt);
  EXPECT_EQ(summary.stopped, "interrupt");
  EXPECT_EQ(summary.steps, 0);
  EXPECT_NO_THROW(evaluate(summary.best, *problem.target));
}

}  // namespace
}  // namespace dosa::testing
