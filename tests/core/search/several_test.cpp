// One hardware for several networks: the joint objective, that it is no worse than any network's own design
// used for all, and that nothing depends on how the networks are given.
#include "dosa/core/search/several.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "dosa/core/search/chooser.hpp"
#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/search/space.hpp"
#include "dosa/models/base/random.hpp"
#include "tests/core/search/problems.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

/// Tall and flat products, an early and a late convolution: networks that want different hardware.
Workload tall() {
  return {"tall", "", "", {product_layer("a", 2, 96, 48, 64), product_layer("b", 1, 160, 32, 32)}};
}
Workload flat() {
  return {"flat", "", "", {product_layer("a", 3, 2, 256, 320), product_layer("c", 1, 1, 512, 96)}};
}
Workload convolutions() {
  Layer early;
  early.name = "early";
  early.size = {3, 3, 24, 24, 3, 16, 1};
  early.padding = 1;
  Layer late;
  late.name = "late";
  late.count = 2;
  late.size = {3, 3, 6, 6, 48, 64, 1};
  late.padding = 1;
  return {"convolutions", "", "", {early, late}};
}

bool is_chain(const SearchProblem& problem) { return problem.machine().rules == "chain"; }

SearchProblem joint_problem(std::vector<WeightedNetwork> networks, const std::string& machine,
                            Combining combining = Combining::kGeometricMean, const char* objective = "edp") {
  TargetOptions options;
  options.shipped_surrogate = true;
  SearchProblem problem = SearchProblem::of(std::move(networks), load_target(machine, options),
                                            Objective::from_name(objective), combining);
  problem.bounds = {problem.machine().min_hardware, problem.machine().max_hardware};
  const Hardware none{std::vector<std::int64_t>(problem.machine().parameters.size(), 0)};
  problem.target->narrow(problem.bounds, none, none, {});
  // Of a chain two sizes of one buffer alone are searched: every shape takes walks of its own.
  if (is_chain(problem)) {
    Hardware usual = problem.machine().default_hardware;
    problem.bounds.max = usual;
    problem.buffer(usual, 0) /= 4;
    problem.bounds.min = usual;
  }
  return problem;
}

SearchOptions short_search(const SearchProblem& problem) {
  SearchOptions options = problem.target->default_options();
  if (options.stages == Stages::kPolish) options.polish_nests = 1000;
  options.steps = 60;
  // On a chain walks take what they may, also on fixed sizes.
  if (is_chain(problem)) options.max_evaluations = 24'000;
  return options;
}

/// What optimize_several spends on one of its searches, of one network.
SearchOptions one_part(SearchOptions options, std::size_t networks) {
  options.max_evaluations /= static_cast<std::int64_t>(networks * networks + 2 * networks);
  return options;
}

/// Weighted products and sums, written down once more.
double together(const std::vector<double>& values, const std::vector<double>& weights, Combining combining) {
  double product = 1, sum = 0, all = 0;
  for (std::size_t n = 0; n < values.size(); ++n) {
    product *= std::pow(values[n], weights[n]);
    sum += weights[n] * values[n];
    all += weights[n];
  }
  return combining == Combining::kSum ? sum : std::pow(product, 1 / all);
}

TEST(JointObjective, IsTheWeightedMeanOrSumAndItsSharesAreDerivatives) {
  const std::vector<double> logs{1.5, 4, 2.25};
  const std::vector<double> weights{1, 0.5, 3};
  std::vector<double> values;
  for (const double log : logs) values.push_back(std::exp(log));
  for (const Combining combining : {Combining::kGeometricMean, Combining::kSum}) {
    const JointObjective joint{combining, weights};
    EXPECT_NEAR(std::exp(joint.log_value(logs)), together(values, weights, combining),
                1e-9 * together(values, weights, combining));
    torch::Tensor at = torch::tensor(logs, torch::kFloat64).requires_grad_();
    joint.log_value(at).backward();
    EXPECT_TRUE(torch::allclose(at.grad(), joint.shares(at.detach())));
  }
  const JointObjective one{Combining::kSum, {7}};
  EXPECT_EQ(one.log_value(std::vector<double>{1.25}), 1.25) << "of one network it is the network's own";
}

TEST(SeveralNetworks, OneProblemHoweverTheyAreGiven) {
  const auto of = [](std::vector<WeightedNetwork> networks) {
    return joint_problem(std::move(networks), "gemmini-tl");
  };
  const SearchProblem problem = of({{tall(), 1}, {flat(), 2}});
  ASSERT_EQ(problem.parts.size(), 2U);
  EXPECT_EQ(problem.parts[0].name, "flat");
  EXPECT_EQ(problem.parts[0].weight, 2);
  EXPECT_EQ(problem.parts[1].begin, 2U);
  EXPECT_EQ(problem.workload.name, "flat + tall");
  EXPECT_EQ(problem.alone(1).workload.layers[1].name, "b");
  EXPECT_EQ(of({{flat(), 1}, {tall(), 1}, {flat(), 1}}).parts[0].weight, 2);
  EXPECT_FALSE(of({{flat(), 1}, {flat(), 3}}).is_joint()) << "one network, whatever its weight";
  Workload other = tall();
  other.name = "flat";
  expect_error([&] { of({{flat(), 1}, {other, 1}}); }, ErrorId::kValue, {"two different networks", "'flat'"});
  for (const double bad : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()})
    expect_error([&] { of({{flat(), 1}, {tall(), bad}}); }, ErrorId::kValue, {"tall", "weight"});
}

// The best entries on given hardware are those of every network alone.
TEST(SeveralNetworks, OnGivenHardwareEachHasItsOwnBest) {
  const SearchProblem problem = joint_problem({{tall(), 1}, {flat(), 2}}, "gemmini-tl");
  const auto space = problem.target->space(problem, "cpu");
  const Hardware hardware = ArraySizes{16, 16, 8};
  std::vector<Frontier> frontiers;
  for (std::size_t l = 0; l < problem.workload.layers.size(); ++l) {
    Allowance allowance;
    const auto layer = space->layer(l, problem.shape_of(hardware));
    layer->look({}, 100'000, allowance);
    frontiers.push_back(layer->frontier());
  }
  const Choice both = best_entries(problem, frontiers, hardware);
  std::vector<double> values;
  for (std::size_t n = 0; n < 2; ++n) {
    const SearchProblem alone = problem.alone(n);
    const auto& part = problem.parts[n];
    const std::string& name = part.name;
    const std::size_t begin = part.begin, end = part.end;
    const std::vector<Frontier> own(frontiers.begin() + static_cast<std::ptrdiff_t>(begin),
                                    frontiers.begin() + static_cast<std::ptrdiff_t>(end));
    const Choice one = best_entries(alone, own, hardware);
    EXPECT_TRUE(std::equal(one.entry.begin(), one.entry.end(),
                           both.entry.begin() + static_cast<std::ptrdiff_t>(begin)))
        << name;
    values.push_back(std::exp(one.log_objective));
  }
  EXPECT_NEAR(std::exp(both.log_objective), together(values, {2, 1}, Combining::kGeometricMean),
              1e-9 * std::exp(both.log_objective));
}

// A start's relaxed loss is the joint objective of what each network's relaxation says alone, but for
// penalties.
TEST(SeveralNetworks, TheRelaxationHasTheSameObjective) {
  for (const Combining combining : {Combining::kGeometricMean, Combining::kSum}) {
    const SearchProblem problem = joint_problem({{tall(), 1}, {convolutions(), 3}}, "gemmini-tl", combining);
    const auto space = problem.target->space(problem, "cpu");
    const torch::Tensor starts = space->random_starts(3, at::detail::createCPUGenerator(5));
    const RelaxedCost cost = space->relax(starts, 1);
    std::vector<torch::Tensor> logs;
    for (std::size_t n = 0; n < 2; ++n) {
      // With the others' needs as the least, the hardware is the joint one.
      const SearchProblem alone = problem.alone(n);
      const ProblemNetwork& part = problem.parts[n];
      const torch::Tensor own =
          starts.slice(2, static_cast<std::int64_t>(part.begin), static_cast<std::int64_t>(part.end));
      std::vector<torch::Tensor> of_starts;
      for (std::int64_t s = 0; s < 3; ++s) {
        SearchProblem sized = alone;
        for (std::size_t p = 0; p < sized.bounds.min.size(); ++p) {
          sized.bounds.min[p] = std::min<std::int64_t>(
              sized.bounds.max[p],
              std::llround(std::ceil(cost.hardware[s][static_cast<std::int64_t>(p)].item<double>())));
        }
        of_starts.push_back(
            sized.target->space(sized, "cpu")->relax(own.slice(0, s, s + 1), 1).loss.squeeze(0));
      }
      logs.push_back(torch::stack(of_starts));
    }
    const torch::Tensor expected =
        problem.joint().log_value(torch::stack(logs, -1).to(torch::kFloat64)).to(torch::kFloat32);
    // Whole sizes cost a little more than relaxed ones.
    EXPECT_TRUE(torch::allclose(cost.loss, expected, 0.02)) << cost.loss << expected;
  }
}

/// A network of one or two products or convolutions of random sizes.
Workload random_network(Random& random, const std::string& name) {
  Workload network{name, "", "", {}};
  const auto size = [&](std::int64_t most) { return 1 + random.below(most); };
  for (std::int64_t l = 0, layers = size(2); l < layers; ++l) {
    Layer layer = product_layer("", size(3), size(128), size(96), size(96));
    if (random.below(2) == 0) {
      const std::int64_t kernel = random.below(2) == 0 ? 1 : 3;
      layer.size = {kernel, kernel, size(16), size(16), size(32), size(48), size(2)};
      layer.padding = kernel / 2;
    }
    layer.name = fmt::format("l{}", l);
    network.layers.push_back(layer);
  }
  return network;
}

/// Networks and how they count together.
struct JointCase {
  std::vector<WeightedNetwork> networks;
  Combining combining = Combining::kGeometricMean;
  const char* objective = "edp";
};

/// Networks that want different hardware, and random pairs of random weights.
std::vector<JointCase> joint_cases(const std::string& machine) {
  std::vector<JointCase> all{{{{tall(), 1}, {flat(), 1}}}};
  if (load_machine(machine)->rules != "chain") {
    all.push_back({{{flat(), 1}, {convolutions(), 3}}});
    all.push_back({{{tall(), 2}, {flat(), 1}, {convolutions(), 1}}, Combining::kSum});
  }
  constexpr const char* kObjectives[] = {"edp", "energy", "latency"};
  Random random(11);
  for (int pair = 0; pair < cases(3); ++pair) {
    const WeightedNetwork first{random_network(random, "first"), 1};
    const WeightedNetwork second{random_network(random, "second"), 0.5 + 3 * random.uniform()};
    all.push_back({{first, second},
                   random.below(2) == 0 ? Combining::kSum : Combining::kGeometricMean,
                   kObjectives[pair % 3]});
  }
  return all;
}

class OnOneHardware : public ::testing::TestWithParam<const char*> {};

// Every network's own design, its hardware used for all: mapped as the search maps, and by enumeration.
TEST_P(OnOneHardware, IsNoWorseThanAnyOwnDesignUsedForAll) {
  for (const JointCase& joint : joint_cases(GetParam())) {
    const std::vector<WeightedNetwork>& networks = joint.networks;
    const SearchProblem problem = joint_problem(networks, GetParam(), joint.combining, joint.objective);
    const auto value_of = [&](const DesignTotals& totals) {
      return problem.objective.value(totals.energy_uj, totals.cycles);
    };
    const SearchOptions options = short_search(problem);
    const SeveralSummary summary = optimize_several(problem, options);
    const auto space = problem.target->space(problem, "cpu");
    ASSERT_EQ(summary.networks.size(), networks.size());
    std::vector<double> values, own_values, weights;
    for (std::size_t n = 0; n < networks.size(); ++n) {
      const NetworkOnShared& network = summary.networks[n];
      EXPECT_EQ(network.design.workload, problem.parts[n].name);
      EXPECT_EQ(network.design.hardware, summary.networks[0].design.hardware);
      EXPECT_EQ(network.weight, problem.parts[n].weight);
      for (Design design : {network.design, network.own}) {
        const DesignTotals found = design.totals;
        evaluate(design, *problem.target);  // throws where a schedule does not fit
        EXPECT_EQ(design.totals.edp, found.edp);
      }
      EXPECT_LE(value_of(network.own.totals), value_of(network.design.totals))
          << "nothing is better than alone";
      values.push_back(value_of(network.design.totals));
      own_values.push_back(value_of(network.own.totals));
      weights.push_back(network.weight);
    }
    EXPECT_NEAR(summary.value, together(values, weights, problem.combining), 1e-9 * summary.value);
    EXPECT_NEAR(summary.own_value, together(own_values, weights, problem.combining), 1e-9 * summary.value);
    for (std::size_t n = 0; n < networks.size(); ++n) {
      const SearchOptions part = one_part(options, networks.size());
      const Design own = optimize(problem.alone(n), part).best;
      std::vector<double> used;
      for (std::size_t m = 0; m < networks.size(); ++m) {
        if (m == n) {
          used.push_back(value_of(own.totals));
          continue;
        }
        SearchProblem fixed = problem.alone(m);
        fixed.bounds.min = fixed.bounds.max = own.hardware;
        try {
          const DesignTotals mapped = optimize(fixed, part).best.totals;
          if (mapped.cycles > space->most_cycles(m)) break;  // slower than what the library does by itself
          used.push_back(value_of(mapped));
        } catch (const Error& error) {
          ASSERT_EQ(error.id(), ErrorId::kBounds);  // it does not fit
          break;
        }
      }
      if (used.size() < networks.size()) continue;
      EXPECT_LE(summary.value, together(used, weights, problem.combining) * (1 + 1e-9))
          << problem.parts[n].name << "'s own design for all";
    }
  }
}

TEST_P(OnOneHardware, NothingDependsOnOrderNamingTwiceOrThreads) {
  const auto found = [&](const std::vector<WeightedNetwork>& networks, std::int64_t threads) {
    const SearchProblem problem = joint_problem(networks, GetParam());
    SearchOptions options = short_search(problem);
    options.threads = threads;
    const SeveralSummary summary = optimize_several(problem, options);
    Json json{summary.value, summary.evaluations};
    for (const NetworkOnShared& network : summary.networks) {
      json.push_back(to_json(network.design));
      json.push_back(to_json(network.own));
    }
    return json;
  };
  const Json first = found({{tall(), 1}, {flat(), 2}}, 1);
  EXPECT_EQ(first, found({{flat(), 1}, {tall(), 1}, {flat(), 1}}, 3));
}

INSTANTIATE_TEST_SUITE_P(All, OnOneHardware, ::testing::Values("gemmini-tl", "gemmini-rtl", "nvdla", "simba"),
                         [](const auto& machine) {
                           std::string name = machine.param;
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

TEST(SeveralNetworks, GivenOwnDesignsStandForTheirSearch) {
  const SearchProblem problem = joint_problem({{tall(), 1}, {flat(), 1}}, "gemmini-tl");
  const SearchOptions options = short_search(problem);
  SearchProblem small = problem.alone(0);
  small.bounds.max = ArraySizes{4, 4, 4};
  const Design given = optimize(small, options).best;
  const SeveralSummary summary = optimize_several(problem, options, {given, std::nullopt});
  EXPECT_LE(summary.networks[0].own.totals.edp, given.totals.edp);
  EXPECT_LE(summary.networks[0].own.totals.edp, summary.networks[0].design.totals.edp);
}

TEST(SeveralNetworks, SmallerHardwareIsWithinTheJointObjective) {
  const SearchProblem problem = joint_problem({{tall(), 1}, {flat(), 1}}, "gemmini-tl");
  SearchOptions options = short_search(problem);
  options.within = 0.3;
  options.within_everywhere = true;
  const SeveralSummary summary = optimize_several(problem, options);
  ASSERT_EQ(summary.smallest.size(), 2U);
  EXPECT_LT(summary.smallest[0].totals.area_mm2, summary.networks[0].design.totals.area_mm2);
  EXPECT_LE(summary.smallest_value, summary.value * 1.3);
  EXPECT_EQ(summary.smallest[0].hardware, summary.smallest[1].hardware);
}

TEST(SeveralNetworks, AResumedSearchEndsLikeAWholeOne) {
  const TemporaryFolder folder;
  const SearchProblem problem = joint_problem({{tall(), 1}, {flat(), 2}}, "gemmini-tl");
  SearchOptions options = short_search(problem);
  options.stages = Stages::kDescentAndPolish;
  options.polish_nests = 2000;
  options.steps = 40;
  options.round_every = 20;
  const SearchSummary whole = optimize(problem, options);
  std::atomic<bool> interrupt{false};
  options.checkpoint = folder.path() / "state";
  optimize(
      problem, options, [&](const SearchProgress& now) { interrupt = now.step >= 20; }, &interrupt);
  options.checkpoint.clear();
  options.resume = folder.path() / "state";
  EXPECT_EQ(to_json(optimize(problem, options).best), to_json(whole.best));
  const SearchProblem heavier = joint_problem({{tall(), 1}, {flat(), 3}}, "gemmini-tl");
  expect_error([&] { optimize(heavier, options); }, ErrorId::kValue, {"networks", "another run"});
}

}  // namespace
}  // namespace dosa::testing
