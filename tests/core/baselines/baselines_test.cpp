// Are the baselines honest? The same seed gives the same run, every evaluation is counted and the budget
// kept, what they report is what their design costs, and they search.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "dosa/core/baselines/array_map_space.hpp"
#include "dosa/core/baselines/chain_map_space.hpp"
#include "dosa/core/search/space.hpp"
#include "tests/core/search/problems.hpp"
#include "tests/models/chain/ruled_machine.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using torch::Tensor;

SearchProblem problem() { return testing::on_gemmini_tl(load_workload("bert")); }

/// A strided convolution in groups, one whose sizes divide badly, and a product.
Workload small_network() {
  Layer strided;
  strided.name = "strided";
  strided.size = {3, 3, 14, 14, 16, 24, 1};
  strided.wstride = strided.hstride = 2;
  strided.groups = 2;
  Layer odd;
  odd.name = "odd";
  odd.size = {3, 1, 13, 11, 20, 34, 1};
  return {"small", "", "", {strided, odd, testing::product_layer("product", 3, 96, 64, 128)}};
}

/// BERT on gemmini-tl, the small network on any other machine, by name or file.
SearchProblem problem_on(const std::string& machine) {
  if (machine == "gemmini-tl") return problem();
  const TargetPtr target = load_target(machine);
  return {small_network(),
          target,
          {target->machine().min_hardware, target->machine().max_hardware},
          Objective::from_name("edp")};
}

constexpr std::int64_t kBudget = 20'003;  // no multiple of anything

/// A baseline by its place, and a machine.
class Baselines : public ::testing::TestWithParam<std::tuple<std::size_t, const char*>> {
 protected:
  std::unique_ptr<Baseline> baseline() const { return std::move(all_baselines()[std::get<0>(GetParam())]); }
  SearchProblem problem() const { return problem_on(std::get<1>(GetParam())); }
  bool is_on_gemmini_tl() const { return std::get<1>(GetParam()) == std::string("gemmini-tl"); }
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

// But for the enumeration of mappings on the default hardware, which draws nothing.
TEST_P(Baselines, DifferForOtherSeeds) {
  if (is_on_gemmini_tl() && baseline()->name() == "default") return;
  std::set<double> objectives;
  for (std::uint64_t seed = 0; seed < 3; ++seed)
    objectives.insert(run_baseline(*baseline(), problem(), 1'000, seed).objective);
  EXPECT_GT(objectives.size(), 1U);
}

TEST_P(Baselines, RespectFixedAndTightBounds) {
  SearchProblem tight = problem();
  const Hardware fixed =
      is_on_gemmini_tl() ? Hardware(ArraySizes{16, 8, 8}) : tight.machine().default_hardware;
  tight.bounds.min = tight.bounds.max = fixed;
  const BaselineResult result = run_baseline(*baseline(), tight, 2'000, 0);
  EXPECT_EQ(result.design.hardware, fixed);
}

TEST_P(Baselines, KeepWithinAnArea) {
  SearchProblem small = problem();
  const Machine& machine = small.machine();
  small.bounds.max_area_mm2 =
      0.7 * machine.area_mm2(small.bounds.min) + 0.3 * machine.area_mm2(machine.default_hardware);
  const BaselineResult result = run_baseline(*baseline(), small, 2'000, 0);
  EXPECT_LE(machine.area_mm2(result.design.hardware), small.bounds.max_area_mm2);
  for (std::size_t p = 0; p < result.design.hardware.size(); ++p)
    EXPECT_GE(result.design.hardware[p], small.bounds.min[p]);
}

TEST_P(Baselines, GiveADesignForTheLeastBudget) {
  const SearchProblem asked = problem();
  const auto layers = static_cast<std::int64_t>(asked.workload.layers.size());
  const BaselineResult result = run_baseline(*baseline(), asked, layers, 0);
  EXPECT_EQ(result.evaluations, layers);
  EXPECT_EQ(result.curve.size(), 1U);
}

std::string name_of_case(const ::testing::TestParamInfo<Baselines::ParamType>& of) {
  std::string name = all_baselines()[std::get<0>(of.param)]->name() + "_on_" + std::get<1>(of.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, Baselines,
                         ::testing::Combine(::testing::Range(std::size_t{0}, all_baselines().size()),
                                            ::testing::Values("gemmini-tl", "simba", "nvdla")),
                         name_of_case);

// The default hardware is searched as soon as the machine's own search of mappings can be.
TEST(BaselineBudget, IsKeptHoweverSmall) {
  for (const char* machine : {"gemmini-tl", "simba"}) {
    const SearchProblem asked = problem_on(machine);
    const auto layers = static_cast<std::int64_t>(asked.workload.layers.size());
    const std::int64_t least = MapSpace::of(asked, 1)->least_search() + 1;
    for (const auto& baseline : all_baselines()) {
      for (std::int64_t budget = layers * least - 3; budget < layers * least + 3; ++budget) {
        const BaselineResult result = run_baseline(*baseline, asked, budget, 1);  // throws above it
        EXPECT_GE(result.evaluations, layers) << machine << " " << baseline->name();
        if (baseline->name() != "default") continue;
        EXPECT_EQ(result.evaluations > layers, budget >= layers * least) << machine << " " << budget;
      }
    }
  }
}

TEST(BaselineBudget, OfARandomSearchIsAContinuationOfASmallerOne) {
  for (const char* machine : {"gemmini-tl", "simba", "nvdla"}) {
    const SearchProblem asked = problem_on(machine);
    const auto layers = static_cast<std::int64_t>(asked.workload.layers.size());
    const auto random = make_random_search();
    // Two looks at the best of 200 mappings per layer.
    const BaselineResult small = run_baseline(*random, asked, 400 * layers, 7);
    const BaselineResult large = run_baseline(*random, asked, 3'000 * layers, 7);
    ASSERT_GT(large.curve.size(), small.curve.size()) << machine;
    for (std::size_t i = 0; i < small.curve.size(); ++i)
      EXPECT_NEAR(small.curve[i].objective / large.curve[i].objective, 1, 1e-12) << machine;
    EXPECT_LT(large.objective, small.objective) << machine;
  }
}

/// A machine's file without those of its parameters that are not named: their defaults stand in it instead.
Json with_parameters(Json machine, const std::set<std::string>& kept) {
  const Json parameters = machine["parameters"];
  machine["parameters"] = Json::array();
  std::map<std::string, std::int64_t> values;
  for (const Json& parameter : parameters) {
    if (kept.count(parameter["name"]) != 0) {
      machine["parameters"].push_back(parameter);
    } else {
      values[parameter["name"]] = parameter["default"];
    }
  }
  if (machine["parameters"].empty()) machine.erase("parameters");
  const std::function<void(Json&)> replace = [&](Json& json) {
    if (json.is_object() && json.contains("parameter")) {
      if (const auto value = values.find(json["parameter"]); value != values.end())
        json = json.value("times", 1.0) * static_cast<double>(value->second) + json.value("constant", 0.0);
      return;
    }
    if (json.is_structured()) {
      for (Json& entry : json) replace(entry);
    }
  };
  replace(machine);
  return machine;
}

TEST(BaselineMachines, MayHaveOneSizeOrNone) {
  const Json simba = machine_file("simba").value();
  for (const std::set<std::string>& kept :
       {std::set<std::string>{}, std::set<std::string>{"pe_rows"}, std::set<std::string>{"weight_words"}}) {
    const testing::TemporaryFolder folder;
    const SearchProblem asked = problem_on(folder.file("machine.json", with_parameters(simba, kept).dump()));
    ASSERT_EQ(asked.machine().parameters.size(), kept.size());
    for (const auto& baseline : all_baselines()) {
      // Enough for Bayesian optimisation to ask its process.
      const BaselineResult result = run_baseline(*baseline, asked, 8'000, 1);
      EXPECT_EQ(result.design.hardware.size(), kept.size()) << baseline->name();
      EXPECT_EQ(result.objective, result.design.totals.edp) << baseline->name();
    }
  }
}

TEST(BaselineBudget, OfLessThanASamplePerLayerIsRefused) {
  testing::expect_error([] { run_baseline(*make_random_search(), problem(), 3, 0); }, ErrorId::kBounds,
                        {"samples", "found 3", "bert"});
}

// Scores of a batch in many orders are those of the design that holds the same mappings.
TEST(BaselineMapSpace, ScoresAreTheExactCosts) {
  const SearchProblem asked = problem();
  const ArrayMapSpace space(asked, 2);
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
        model.mapping_of(candidates.codes[i].slice(0, 0, -1), candidates.codes[i][-1].item<std::int64_t>()),
        entry.layer, hardware);
    design.layers.push_back(entry);
    evaluate(design, *asked.target);
    EXPECT_EQ(design.layers[0].costs.cycles, scores.cycles[i].item<double>());
    EXPECT_DOUBLE_EQ(design.layers[0].costs.energy_uj, scores.energy_uj[i].item<double>());
  }
}

TEST(BaselineMapSpace, DrawsEveryLoopOrderAndFillsWideArrays) {
  const SearchProblem asked = problem();
  const ArrayMapSpace space(asked, 2);
  Random random(6);
  Recorder recorder(1'000'000);
  const torch::InferenceMode no_gradients;
  const auto [candidates, scores] = space.random_mappings(ArraySizes{128, 2048, 2048}, 300, random, recorder);
  for (std::int64_t order = 0; order < space.orders(); ++order)
    EXPECT_GT((candidates.codes.select(1, -1) == order).sum().item<std::int64_t>(),
              candidates.size() / space.orders() / 2);
  EXPECT_TRUE(scores.fits.all().item<bool>());
}

const char* const kChains[] = {
    "simba", "nvdla", "eyeriss", "tpu", "gemmini-tl-chain", testing::ruled_machine_file()};

/// The layer of a candidate on some hardware, by the target's own exact model. Throws Error unless it is
/// legal.
LayerCosts exact(const SearchProblem& asked, const Hardware& hardware, const Candidates& candidates,
                 std::int64_t row) {
  const auto layer = static_cast<std::size_t>(candidates.layer[row].item<std::int64_t>());
  const SchedulePtr schedule = asked.target->space(asked, "cpu")->schedule(layer, candidates.codes[row]);
  return asked.target->costs({asked.workload.layers[layer]}, {schedule}, hardware).front();
}

void expect_exact(const SearchProblem& asked, const Hardware& hardware, const Candidates& candidates,
                  const Scores& scores, std::int64_t row) {
  const LayerCosts costs = exact(asked, hardware, candidates, row);
  EXPECT_EQ(costs.cycles, scores.cycles[row].item<double>());
  EXPECT_DOUBLE_EQ(costs.energy_uj, scores.energy_uj[row].item<double>());
}

std::vector<std::int64_t> rows_where(const Tensor& condition) {
  const Tensor rows = condition.nonzero().squeeze(-1).contiguous();
  return {rows.data_ptr<std::int64_t>(), rows.data_ptr<std::int64_t>() + rows.numel()};
}

// Legal, within the fan-outs and the buffers, and nearly all different.
TEST(BaselineChains, RandomMappingsAreLegalAndScoredExactly) {
  const torch::InferenceMode no_gradients;
  for (const char* name : kChains) {
    const SearchProblem asked = problem_on(name);
    const ChainMapSpace space(asked, 2);
    Random random(5);
    Recorder recorder(1'000'000);
    const std::int64_t count = 120 * space.layers();
    for (int trial = 0; trial < 3; ++trial) {
      const Hardware hardware = space.random_hardware(random);
      const auto [candidates, scores] = space.random_mappings(hardware, 120, random, recorder);
      ASSERT_EQ(candidates.size(), count);
      ASSERT_TRUE(scores.fits.all().item<bool>());
      for (std::int64_t row = trial; row < count; row += 23)
        expect_exact(asked, hardware, candidates, scores, row);
      const Tensor different = std::get<0>(torch::unique_dim(candidates.codes, 0));
      EXPECT_GT(different.size(0), count * 9 / 10) << name;
    }
    EXPECT_EQ(recorder.evaluations(), 3 * count);
  }
}

// What is said to fit is legal and costs what is said; what is not is refused by the target.
TEST(BaselineChains, MovesLeadToOtherMappingsThatFitWhereTheySaySo) {
  const torch::InferenceMode no_gradients;
  int too_large = 0;
  for (const char* name : kChains) {
    const SearchProblem asked = problem_on(name);
    const ChainMapSpace space(asked, 2);
    Random random(6);
    Recorder recorder(1'000'000);
    int moved = 0;
    for (int trial = 0; trial < 4; ++trial) {
      const Hardware hardware = space.random_hardware(random);
      Candidates now = space.random_mappings(hardware, 1, random, recorder).first;
      for (int step = 0; step < 30; ++step) {
        const Candidates next{now.codes.clone(), now.layer};
        for (std::int64_t l = 0; l < space.layers(); ++l)
          space.move(l, hardware, random, next.codes.data_ptr<double>() + l * space.width());
        const Scores scores = space.score(next, {hardware});
        for (std::int64_t l = 0; l < space.layers(); ++l) {
          if (!scores.fits[l].item<bool>()) {
            testing::expect_error([&] { exact(asked, hardware, next, l); }, ErrorId::kCapacity, {"needs"});
            ++too_large;
            continue;
          }
          if (step % 5 == 0) expect_exact(asked, hardware, next, scores, l);
          moved += !torch::equal(next.codes[l], now.codes[l]);
          now.codes[l].copy_(next.codes[l]);
        }
      }
    }
    EXPECT_GT(moved, 100) << name;
  }
  EXPECT_GT(too_large, 30);
}

TEST(BaselineChains, CutDownMappingsFitSmallerHardware) {
  const torch::InferenceMode no_gradients;
  for (const char* name : kChains) {
    const SearchProblem asked = problem_on(name);
    const ChainMapSpace space(asked, 2);
    Random random(7);
    Recorder recorder(1'000'000);
    const Hardware small = asked.bounds.min;
    Candidates candidates = space.random_mappings(asked.bounds.max, 30, random, recorder).first;
    const Candidates before{candidates.codes.clone(), candidates.layer};
    const Tensor fitted = space.score(before, {small}).fits;
    ASSERT_FALSE(fitted.all().item<bool>()) << name;
    const Scores scores = space.cut_down(candidates, {small}, random, recorder);
    EXPECT_TRUE(scores.fits.all().item<bool>());
    for (std::int64_t row = 0; row < candidates.size(); row += 7)
      expect_exact(asked, small, candidates, scores, row);
    for (const std::int64_t row : rows_where(fitted))
      EXPECT_TRUE(torch::equal(candidates.codes[row], before.codes[row])) << name;
  }
}

// On less of any size than what is needed, something does not fit.
TEST(BaselineChains, NeedsAreTheLeastSizes) {
  const torch::InferenceMode no_gradients;
  int looked_at = 0;
  for (const char* name : kChains) {
    const SearchProblem asked = problem_on(name);
    const ChainMapSpace space(asked, 2);
    Random random(8);
    Recorder recorder(1'000'000);
    for (int trial = 0; trial < 20; ++trial) {
      const Hardware hardware = space.random_hardware(random);
      const Candidates candidates = space.random_mappings(hardware, 1, random, recorder).first;
      const Hardware least = space.need(hardware, candidates, {0, 1, 2});
      EXPECT_TRUE(space.score(candidates, {least}).fits.all().item<bool>()) << name;
      for (std::size_t p = 0; p < least.size(); ++p) {
        EXPECT_LE(least[p], hardware[p]);
        if (!asked.machine().parameters[p].only.empty()) continue;  // chosen for its energy, not its room
        Hardware less = least;
        less[p] = space.allowed(p, least[p] - 1, least[p]);
        if (less[p] == least[p]) continue;  // the least within the bounds
        EXPECT_FALSE(space.score(candidates, {less}).fits.all().item<bool>())
            << name << ": " << asked.machine().text(less) << " instead of " << least[p];
        ++looked_at;
      }
    }
  }
  EXPECT_GT(looked_at, 100);
}

// Where the area has no room for the default shape, the next smaller one that can be built.
TEST(BaselineChains, DefaultHardwareCanBeBuiltInATightArea) {
  SearchProblem asked = problem_on(testing::ruled_machine_file());
  const Machine& machine = asked.machine();
  const Hardware least = asked.with_shape(asked.bounds.min, asked.shape_of(machine.default_hardware));
  asked.bounds.max_area_mm2 = 0.95 * machine.area_mm2(least);
  for (const auto& baseline : all_baselines()) {
    const Hardware built = run_baseline(*baseline, asked, 3000, 1).design.hardware;
    EXPECT_LE(machine.area_mm2(built), asked.bounds.max_area_mm2) << baseline->name();
    for (std::size_t p = 0; p < built.size(); ++p)
      EXPECT_TRUE(machine.parameters[p].allows(built[p])) << baseline->name() << " " << machine.text(built);
  }
}

TEST(BaselineChains, HardwareIsOfTheShapesThatASearchTries) {
  const SearchProblem asked = problem_on("simba");
  const Chain chain = load_chain("simba");
  const ChainMapSpace space(asked, 1);
  Random random(9);
  const std::vector<std::int64_t> values =
      chain.shape_values_between(0, asked.bounds.min[0], asked.bounds.max[0]);
  std::set<std::int64_t> drawn;
  for (int draw = 0; draw < 300; ++draw) {
    const Hardware hardware = space.random_hardware(random);
    EXPECT_TRUE(space.legal(hardware));
    drawn.insert(hardware[0]);
  }
  EXPECT_EQ(drawn, std::set<std::int64_t>(values.begin(), values.end()));
  ASSERT_GT(values.size(), 2U);
  EXPECT_EQ(space.allowed(0, values[1] + 1, values[1]), values[2]);
  EXPECT_EQ(space.allowed(0, values[1] - 1, values[1]), values[0]);
  EXPECT_EQ(space.allowed(0, values.back() + 1, values.back()), values.back());
  EXPECT_EQ(space.allowed(2, 1, 300), asked.bounds.min[2]);
}

}  // namespace
}  // namespace dosa
