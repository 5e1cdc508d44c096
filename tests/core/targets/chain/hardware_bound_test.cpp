// What no hardware within limits undercuts, with whatever mappings.
#include "dosa/core/search/hardware_bound.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/search/size_ranges.hpp"
#include "dosa/core/targets/chain/nests.hpp"
#include "dosa/core/targets/chain/space.hpp"
#include "tests/models/chain/ruled_machine.hpp"
#include "tests/models/random_mappings.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

const char* const kBounded[] = {"simba", "eyeriss", "nvdla", "tpu", ruled_machine_file()};

SearchProblem problem_on(const std::string& machine, std::vector<Layer> layers) {
  SearchProblem problem;
  problem.workload.name = "small";
  problem.workload.layers = std::move(layers);
  problem.target = load_target(machine);
  problem.objective = Objective::from_name("edp");
  problem.bounds = {problem.machine().min_hardware, problem.machine().max_hardware};
  return problem;
}

Hardware random_between(Random& random, const Machine& machine, const Hardware& least, const Hardware& most) {
  Hardware hardware = least;
  for (std::size_t p = 0; p < hardware.size(); ++p) {
    const double share = random.uniform();
    hardware[p] = std::llround(static_cast<double>(least[p]) *
                               std::pow(static_cast<double>(most[p]) / static_cast<double>(least[p]), share));
  }
  return as_built(machine, hardware);
}

// Random mappings on random hardware within random ranges, shapes included.
TEST(HardwareBound, NoMappingOnAnyHardwareWithinARangeCostsLess) {
  Random random(1);
  RandomCases cases(1);
  int fitting = 0;
  for (int round = 0; round < 200; ++round) {
    const SearchProblem problem = problem_on(kBounded[round % 5], {cases.layer(60'000)});
    const Chain machine = load_chain(kBounded[round % 5]);
    const Layer& layer = problem.workload.layers.front();
    const ChainSpace space(problem, machine, "cpu");
    const Hardware least = random_between(random, machine, problem.bounds.min, problem.bounds.max);
    const Hardware most = random_between(random, machine, least, problem.bounds.max);
    const std::vector<LayerCosts> bound = space.least_costs(least, most, 1);
    ASSERT_EQ(bound.size(), 1U);
    EXPECT_GT(bound.front().energy_uj, 0);
    for (int trial = 0; trial < 20; ++trial) {
      const LayerNests nests(machine.at(random_between(random, machine, least, most)), layer);
      const NestCost cost = nests.model().cost(nests.random(random).nest);
      if (!cost.fits) continue;
      ++fitting;
      const auto repetitions = static_cast<double>(layer.repetitions());
      EXPECT_LE(bound.front().cycles, cost.cycles * repetitions)
          << machine.name << " " << to_json(layer).dump();
      EXPECT_LE(bound.front().energy_uj, cost.energy_pj * 1e-6 * repetitions)
          << machine.name << " " << to_json(layer).dump();
    }
  }
  EXPECT_GT(fitting, 2000);
}

/// A network of which bounds are quick.
SearchProblem small_problem(const std::string& machine) {
  Layer conv, product;
  conv.name = "conv";
  conv.size = {3, 3, 14, 14, 32, 48, 1};
  product.name = "product";
  product.count = 3;
  product.size = {1, 1, 96, 1, 64, 128, 1};
  SearchProblem problem = problem_on(machine, {conv, product});
  problem.bounds.max_area_mm2 = problem.machine().area_mm2(problem.machine().default_hardware);
  return problem;
}

/// The logarithm of the objective of the bounds on one hardware.
double bound_on(const SearchProblem& problem, const SearchSpace& space, const Hardware& hardware) {
  return problem.log_value(space.least_costs(hardware, hardware, 1));
}

TEST(HardwareBound, IsBelowEveryDesignAndTheBoundsOfEveryHardware) {
  Random random(2);
  for (const char* name : kBounded) {
    const SearchProblem problem = small_problem(name);
    SearchOptions options = problem.target->default_options();
    options.polish_nests = 1000;
    const double found = problem.log_value(optimize(problem, options).best);
    HardwareBoundOptions bounding;
    bounding.max_ranges = 40;
    const auto bound = bound_hardware(problem, found, bounding);
    ASSERT_TRUE(bound);
    EXPECT_LE(bound->log_value, found) << name;
    EXPECT_DOUBLE_EQ(bound->gap, std::expm1(found - bound->log_value)) << name;
    EXPECT_LT(bound->gap, 0.5) << name;
    EXPECT_LE(bound->ranges, bounding.max_ranges + 1) << name;
    const auto space = problem.target->space(problem, "cpu");
    int within = 0;
    for (int trial = 0; trial < 200; ++trial) {
      const std::vector<Shape> shapes = space->shapes();
      const Shape& shape =
          shapes[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(shapes.size())))];
      const Hardware hardware = problem.with_shape(
          random_between(random, problem.machine(), problem.bounds.min, problem.bounds.max), shape);
      if (problem.machine().area_mm2(hardware) > problem.bounds.max_area_mm2) continue;
      ++within;
      EXPECT_LE(bound->log_value, bound_on(problem, *space, hardware))
          << name << " " << problem.machine().text(hardware);
    }
    EXPECT_GT(within, 5) << name;
  }
}

TEST(SizeRanges, GivesEveryShapeOnceThoseWithTheLowestBoundFirst) {
  const auto never = [] { return false; };
  for (const char* name : {"eyeriss", "nvdla", ruled_machine_file()}) {
    const SearchProblem problem = small_problem(name);
    const auto space = problem.target->space(problem, "cpu");
    SizeRanges ranges(problem, *space, 1);
    std::vector<Shape> shapes;
    double last = ranges.log_value();
    EXPECT_FALSE(ranges.take_shape(last, never)) << "none is below the lowest bound";
    while (const auto shape = ranges.take_shape(kInfinity, never)) {
      shapes.push_back(*shape);
      EXPECT_GE(ranges.log_value(), last) << name;
      last = ranges.log_value();
    }
    EXPECT_THAT(shapes, ::testing::UnorderedElementsAreArray(space->shapes())) << name;
    EXPECT_GT(shapes.size(), 20U) << name;
    EXPECT_FALSE(SizeRanges(problem, *space, 1).take_shape(kInfinity, [] { return true; }));
  }
}

// More ranges never say less; of fixed hardware it is what a search on that knows.
TEST(HardwareBound, RisesWithTheRanges) {
  SearchProblem problem = small_problem("nvdla");
  double first = 0, last = -kInfinity;
  for (const std::int64_t ranges : {1, 20, 60, 400}) {
    HardwareBoundOptions options;
    options.max_ranges = ranges;
    const auto bound = bound_hardware(problem, 1e9, options);
    ASSERT_TRUE(bound);
    EXPECT_GE(bound->log_value, last);
    if (ranges == 1) first = bound->log_value;
    last = bound->log_value;
  }
  EXPECT_GT(last, first) << "halving is worth something";
  const Hardware fixed = problem.bounds.min = problem.bounds.max = problem.machine().default_hardware;
  const auto space = problem.target->space(problem, "cpu");
  const auto bound = bound_hardware(problem, 1e9, {});
  EXPECT_EQ(bound->log_value, bound_on(problem, *space, fixed));
  EXPECT_EQ(bound->ranges, 1);
  EXPECT_TRUE(bound->whole);
  EXPECT_GE(bound->log_value, last) << "one hardware of those within the limits";
}

TEST(HardwareBound, DependsOnNoThreadsAndCanBeInterrupted) {
  const SearchProblem problem = small_problem("tpu");
  HardwareBoundOptions one, three;
  one.threads = 1;
  three.threads = 3;
  one.max_ranges = three.max_ranges = 60;
  EXPECT_EQ(bound_hardware(problem, 1e9, one)->log_value, bound_hardware(problem, 1e9, three)->log_value);
  const std::atomic<bool> interrupt = true;
  const auto interrupted = bound_hardware(problem, 1e9, one, {}, &interrupt);
  ASSERT_TRUE(interrupted);
  EXPECT_FALSE(interrupted->whole);
  // Machines whose spaces know no bounds of ranges say nothing.
  SearchProblem other = problem;
  other.target = load_target("gemmini-tl");
  other.bounds = {other.machine().min_hardware, other.machine().max_hardware};
  EXPECT_FALSE(bound_hardware(other, 1e9, one));
}

TEST(HardwareBound, OfSeveralNetworksIsThatOfTheirJointObjective) {
  const SearchProblem small = small_problem("nvdla");
  const std::vector<Layer>& layers = small.workload.layers;
  SearchProblem joint =
      SearchProblem::of({{{"one", "", "", {layers[0]}}, 1}, {{"two", "", "", {layers[1]}}, 2}}, small.target,
                        small.objective, Combining::kGeometricMean);
  joint.bounds = {joint.machine().default_hardware, joint.machine().default_hardware};
  double mean = 0;
  for (std::size_t n = 0; n < 2; ++n)
    mean += joint.networks()[n].weight / 3 * bound_hardware(joint.alone(n), 1e9, {})->log_value;
  EXPECT_NEAR(bound_hardware(joint, 1e9, {})->log_value, mean, 1e-12 * mean);
}

}  // namespace
}  // namespace dosa::testing
