// Does the analysis of a design add up, and are its sensitivities those of the exact model?
#include "dosa/core/explain/explain.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <sstream>

#include "dosa/core/explain/diff.hpp"
#include "dosa/core/explain/priced.hpp"
#include "dosa/core/explain/search_again.hpp"
#include "dosa/models/base/table.hpp"
#include "tests/core/explain/designs.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

/// As the program prints it.
void expect_narrow(const std::string& text) {
  std::istringstream lines(folded(text));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), kTextWidth) << line;
}

struct Logs {
  double edp, energy, latency, area;
};

Logs logs_of(Design design, const Target& target) {
  evaluate(design, target);
  const DesignTotals& t = design.totals;
  return {std::log(t.edp), std::log(t.energy_uj), std::log(t.cycles),
          t.area_mm2 > 0 ? std::log(t.area_mm2) : 0};
}

class ExplainOnMachine : public ::testing::TestWithParam<std::string> {};

TEST_P(ExplainOnMachine, AddsUp) {
  const TargetPtr target = target_of(GetParam());
  for (const std::string& network : networks_for(GetParam())) {
    SCOPED_TRACE(network);
    const DesignAnalysis analysis = analyse(quick_design(network, target), *target);
    const DesignTotals& totals = analysis.design.totals;
    double cycles = 0, edp = 0, energy = 0, bounds = 0;
    for (const LayerAnalysis& layer : analysis.layers) {
      SCOPED_TRACE(layer.layer.name);
      const auto count = static_cast<double>(layer.layer.count);
      cycles += layer.share_of_cycles;
      edp += layer.share_of_edp;
      double parts = 0;
      for (const EnergyShare& share : layer.energy) parts += share.energy_uj;
      EXPECT_NEAR(parts, layer.energy_uj, 1e-9 * layer.energy_uj);
      EXPECT_NEAR(layer.utilisation.value(),
                  static_cast<double>(layer.layer.macs() * layer.layer.groups) /
                      (layer.breakdown.multipliers * layer.cycles),
                  1e-9);
      EXPECT_GT(layer.utilisation.value(), 0);
      EXPECT_LE(layer.utilisation.value(), 1);
      EXPECT_GE(layer.cycles * (1 + 1e-12), layer.compute_bound_cycles);
      // A surrogate's DRAM is not one of so many words a cycle.
      if (layer.breakdown.dominated_by.empty()) {
        EXPECT_GE(layer.cycles * (1 + 1e-12), layer.traffic_bound_cycles);
        EXPECT_GE(layer.dram_words * (1 + 1e-12), layer.compulsory_words);
      }
      energy += count * layer.energy_uj;
    }
    for (const auto& bound : analysis.bounds) bounds += bound.share;
    EXPECT_NEAR(cycles, 1, 1e-9);
    EXPECT_NEAR(edp, 1, 1e-9);
    EXPECT_NEAR(bounds, 1, 1e-9);
    EXPECT_NEAR(energy, totals.energy_uj, 1e-9 * totals.energy_uj);
    expect_narrow(report(analysis));
    expect_narrow(report(analysis.design, *target));
  }
}

// The numbers are changed in the machine's file, and the design is costed on that machine as any design is.
TEST_P(ExplainOnMachine, SlopesAreThoseOfTheExactModel) {
  const std::string machine = GetParam();
  const TargetPtr target = target_of(machine);
  constexpr double kStep = 0.01, kTolerance = 0.01, kNoise = 5e-5;
  std::size_t smooth = 0, kinks = 0;
  for (const std::string& network : networks_for(GetParam())) {
    const Design design = quick_design(network, target);
    const double width = std::log1p(kStep) - std::log1p(-kStep);
    // Every run's cycles are rounded up to whole ones.
    double rounded = 0;
    for (const DesignLayer& entry : design.layers) rounded += static_cast<double>(entry.layer.repetitions());
    const double rounding = rounded / design.totals.cycles / width;
    for (const Sensitivity& one : analyse(design, *target).sensitivities) {
      const MachineNumber& number = one.number;
      // A whole number cannot be changed by a hundredth.
      if (number.kind == NumberKind::kParameter || number.kind == NumberKind::kCapacity ||
          number.kind == NumberKind::kFanOut)
        continue;
      SCOPED_TRACE(network + " " + number.name);
      const auto at = [&](double factor) {
        return target_of({machine, {{number.name, number.value * factor}}});
      };
      const TargetPtr above = at(1 + kStep), below = at(1 - kStep);
      const Logs more = logs_of(design, *above), less = logs_of(design, *below);
      const auto slope_at = [&](const TargetPtr& there) {
        for (const Sensitivity& other : analyse(design, *there).sensitivities) {
          if (other.number.name == number.name) return other.slope;
        }
        return Effects{};
      };
      const auto agrees = [](double slope, double difference, double noise) {
        return std::abs(slope - difference) <= kTolerance * std::abs(difference) + noise;
      };
      const double found[] = {(more.edp - less.edp) / width, (more.energy - less.energy) / width,
                              (more.latency - less.latency) / width, (more.area - less.area) / width};
      const double slopes[] = {one.slope.edp, one.slope.energy, one.slope.latency, one.slope.area};
      const double noise[] = {kNoise + rounding, kNoise, kNoise + rounding, kNoise};
      bool all = true;
      for (int i = 0; i < 4; ++i) all = all && agrees(slopes[i], found[i], noise[i]);
      smooth += all;
      if (all) continue;
      // Not smooth: within the step another memory begins to bind a layer (those of the shipped machines
      // often ask for exactly the cycles of the MACs). The difference lies between the slopes at its ends.
      ++kinks;
      const Effects high = slope_at(above), low = slope_at(below);
      EXPECT_TRUE(agrees(slopes[1], found[1], kNoise)) << slopes[1] << " " << found[1];
      EXPECT_TRUE(agrees(slopes[3], found[3], kNoise)) << slopes[3] << " " << found[3];
      const double least = std::min(high.latency, low.latency), most = std::max(high.latency, low.latency);
      EXPECT_GE(found[2], least - kTolerance * std::abs(least) - noise[2]);
      EXPECT_LE(found[2], most + kTolerance * std::abs(most) + noise[2]);
    }
  }
  std::cout << machine << ": " << smooth << " of " << smooth + kinks
            << " slopes are those of the exact model within 1 %, the others at kinks\n";
  EXPECT_GT(smooth, 8 * kinks);
}

INSTANTIATE_TEST_SUITE_P(Machines, ExplainOnMachine, ::testing::ValuesIn(all_machines()),
                         [](const auto& machine) {
                           std::string name = machine.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// What sizes change is what the target says to larger ones; schedules, which fit, stay.
TEST(Explain, SlopesOfSizesAreThoseOfTheExactModel) {
  for (const std::string& machine : all_machines()) {
    const TargetPtr target = target_of(machine);
    Design design = quick_design("resnet50", target);
    if (machine == "gemmini-tl") {
      // Room for the banks that a larger array has more of.
      for (const std::size_t buffer : {kScratchpadParameter, kAccumulatorParameter})
        design.hardware[buffer] *= 2;
    }
    const DesignAnalysis analysis = analyse(design, *target);
    std::size_t compared = 0;
    for (const Sensitivity& one : analysis.sensitivities) {
      if (one.number.kind != NumberKind::kParameter) continue;
      SCOPED_TRACE(machine + " " + one.number.name);
      const std::size_t p = target->machine().parameter(one.number.name, "");
      const auto at = [&](std::int64_t size) {
        Design other = design;
        other.hardware[p] = size;
        return logs_of(other, *target);
      };
      const auto slope_of = [&](const std::string& name, std::int64_t size) {
        Design other = design;
        other.hardware[p] = size;
        for (const Sensitivity& there : analyse(other, *target).sensitivities) {
          if (there.number.name == name) return there.slope;
        }
        return Effects{};
      };
      const std::int64_t size = design.hardware[p];
      if (machine == "gemmini-rtl") {
        // Sizes are powers of two; energy and area are linear in those of buffers.
        const Logs now = at(size), twice = at(2 * size);
        EXPECT_NEAR(one.slope.energy, std::expm1(twice.energy - now.energy), 1e-9);
        EXPECT_NEAR(one.slope.area, std::expm1(twice.area - now.area), 1e-9);
        EXPECT_EQ(one.slope.latency, 0);
        ++compared;
        continue;
      }
      // Forward differences of second order: smaller sizes may not hold the tiles.
      const std::int64_t step = std::max<std::int64_t>(1, size / 50);
      const Logs now = at(size), next = at(size + step), then = at(size + 2 * step);
      const double scale = static_cast<double>(size) / static_cast<double>(2 * step);
      const auto slope = [&](double Logs::*what) {
        return (4 * next.*what - 3 * now.*what - then.*what) * scale;
      };
      EXPECT_NEAR(one.slope.energy, slope(&Logs::energy), 0.01 * std::abs(one.slope.energy) + 1e-3);
      // Latency is the largest of several times, so within the steps another one may take over: what it
      // changes by lies between what the slopes at both ends say.
      const double end = slope_of(one.number.name, size + 2 * step).latency;
      const double mean = (then.latency - now.latency) / std::log1p(1 / scale);
      const double tolerance = 0.01 * std::abs(mean) + 1e-3;
      EXPECT_GE(mean, std::min(one.slope.latency, end) - tolerance);
      EXPECT_LE(mean, std::max(one.slope.latency, end) + tolerance);
      EXPECT_NEAR(one.slope.area, slope(&Logs::area), 0.02 * std::abs(one.slope.area) + 1e-3);
      ++compared;
    }
    EXPECT_GT(compared, 0U) << machine;
  }
}

TEST(Explain, TenPercentIsWhatTheExactModelSays) {
  const TargetPtr target = target_of("nvdla");
  const Design design = quick_design("bert", target);
  const DesignAnalysis analysis = analyse(design, *target);
  const auto found =
      std::find_if(analysis.sensitivities.begin(), analysis.sensitivities.end(), [](const Sensitivity& one) {
        return one.number.kind == NumberKind::kBandwidth && std::abs(one.slope.latency) > 0.01;
      });
  ASSERT_NE(found, analysis.sensitivities.end());
  const TargetPtr more = target_of({"nvdla", {{found->number.name, 1.1 * found->number.value}}});
  Design there = design;
  evaluate(there, *more);
  EXPECT_NEAR(found->more.latency, there.totals.cycles / analysis.design.totals.cycles - 1, 1e-12);
  EXPECT_NEAR(found->more.edp, there.totals.edp / analysis.design.totals.edp - 1, 1e-12);
}

TEST(Explain, SaysWhatBindsAndWhy) {
  // A matrix product with 3 rows of products on an array of 16 x 16, every word of which is moved for few
  // MACs.
  const TargetPtr target = target_of("gemmini-tl");
  Layer layer;
  layer.name = "narrow";
  layer.size = {1, 1, 64, 1, 3, 64, 1};
  Design design;
  design.workload = "one";
  design.target = "gemmini-tl";
  design.hardware.values = {16, 64, 64};
  const Mapping mapping = target->mapping_from_text("L3[WIO] N1 - L2[WI] K4 K16X - L1[O] P64 C3X - L0[W] N1");
  design.layers.push_back({layer, target->schedule_of(mapping, layer, design.hardware), {}});
  const DesignAnalysis analysis = analyse(design, *target);
  const LayerAnalysis& found = analysis.layers.front();
  EXPECT_EQ(found.compulsory_words, 3 * 64 + 64 * 3 + 64 * 64);
  EXPECT_EQ(found.dram_words, found.compulsory_words);
  EXPECT_EQ(found.traffic_bound_cycles, found.compulsory_words / 8);
  EXPECT_DOUBLE_EQ(found.utilisation.spread, 3.0 / 16);
  EXPECT_EQ(found.bound.text(), "dram O");
  ASSERT_EQ(found.reasons.size(), 2U);
  EXPECT_EQ(found.reasons[0].kind, Reason::Kind::kSpread);
  EXPECT_THAT(found.reasons[0].text, ::testing::HasSubstr("C fills 3 of 16"));
  EXPECT_EQ(found.reasons[1].kind, Reason::Kind::kBandwidth);
  EXPECT_EQ(found.reasons[1].text, "waits for dram, mostly O");
}

TEST(Explain, DifferencesNameWhatChanged) {
  const TargetPtr slow = target_of({"simba", {{"dram.words_per_cycle", 0.5}}});
  const TargetPtr fast = target_of("simba");
  const Design design = quick_design("alexnet", fast);
  const DesignDifference found = difference(analyse(design, *fast), analyse(design, *slow));
  ASSERT_EQ(found.layers.size(), design.layers.size());
  EXPECT_TRUE(found.only_first.empty());
  bool any = false;
  for (const LayerDifference& layer : found.layers) {
    EXPECT_TRUE(layer.same_schedule);
    EXPECT_EQ(layer.energy_ratio, 1);
    EXPECT_GE(layer.cycles_ratio, 1);
    if (layer.cycles_ratio < 1.5) continue;
    any = true;
    ASSERT_FALSE(layer.why.empty());
    EXPECT_THAT(found.second.layers[layer.second].bound.by, "dram");
  }
  EXPECT_TRUE(any);
  expect_narrow(report(found));
  const DesignDifference same = difference(analyse(design, *fast), analyse(design, *fast));
  for (const LayerDifference& layer : same.layers) EXPECT_TRUE(layer.why.empty()) << layer.why.front();
}

// A random search finds something else every time. What one finds is tried with all values, so that with
// another number nothing costs more than the schedules that are known, and cheaper accesses cost less.
TEST(Explain, SearchingAgainIsNeverWorseThanWhatIsKnown) {
  const TargetPtr target = target_of("eyeriss");
  SearchProblem problem = SearchProblem::of(load_workload("bert"), target, Objective::from_name("edp"));
  problem.bounds.min = problem.bounds.max = target->machine().default_hardware;
  SearchAgain options;
  options.map.samples = 100;
  options.numbers = 6;
  options.target_with = [](const NumberChange& change) { return target_of({"eyeriss", {change}}); };
  DesignAnalysis analysis = analyse(map_exhaustively(problem, options.map).best, *target);
  search_again(analysis, target, options);
  ASSERT_TRUE(analysis.searched);
  EXPECT_LE(analysis.searched->edp, analysis.design.totals.edp);
  std::size_t energies = 0;
  for (std::size_t n = 0; n < options.numbers; ++n) {
    const Sensitivity& one = analysis.sensitivities[n];
    SCOPED_TRACE(one.number.name);
    ASSERT_EQ(one.searched.size(), 2U);
    for (const Sensitivity::Searched& searched : one.searched) {
      ASSERT_EQ(searched.problem, "");
      if (one.number.kind == NumberKind::kParameter) continue;
      const bool is_more = searched.value > one.number.value;
      const Effects& fixed = is_more ? one.more : one.less;
      EXPECT_LE((1 + searched.change.edp) * analysis.searched->edp,
                (1 + fixed.edp) * analysis.design.totals.edp * (1 + 1e-12));
      if (one.number.kind != NumberKind::kEnergy) continue;
      ++energies;
      EXPECT_EQ(searched.change.edp > 0, is_more) << searched.change.edp;
    }
  }
  EXPECT_GE(energies, 4U);
}

// The envelope theorem: where schedules are the best ones, searching again changes nothing of first order.
TEST(Explain, SearchingAgainAgreesWithTheSlopes) {
  const TargetPtr target = target_of("gemmini-tl");
  SearchProblem problem = SearchProblem::of(load_workload("bert"), target, Objective::from_name("edp"));
  problem.bounds.min = problem.bounds.max = ArraySizes{16, 128, 64};
  SearchAgain options;
  options.map.max_nests = 4096;
  options.numbers = 3;
  options.target_with = [](const NumberChange& change) { return target_of({"gemmini-tl", {change}}); };
  DesignAnalysis analysis = analyse(map_exhaustively(problem, options.map).best, *target);
  search_again(analysis, target, options);
  ASSERT_TRUE(analysis.searched);
  EXPECT_EQ(analysis.searched->edp, analysis.design.totals.edp);
  std::size_t smooth = 0;
  for (std::size_t n = 0; n < options.numbers; ++n) {
    const Sensitivity& one = analysis.sensitivities[n];
    SCOPED_TRACE(one.number.name);
    ASSERT_EQ(one.searched.size(), 2U);
    for (const Sensitivity::Searched& searched : one.searched) {
      ASSERT_EQ(searched.problem, "");
      // Searching again is at least as good as what was there.
      if (one.number.kind == NumberKind::kParameter) continue;
      const Effects& fixed = searched.value > one.number.value ? one.more : one.less;
      EXPECT_LE(searched.change.edp, fixed.edp + 1e-12);
      // Where nothing else begins to bind within the step, it is also little better.
      const double expected = one.slope.edp * std::log(searched.value / one.number.value);
      if (std::abs(std::log1p(fixed.edp) - expected) > 0.1 * std::abs(expected)) continue;
      ++smooth;
      const double found = std::log1p(searched.change.edp);
      EXPECT_GT(found * expected, 0);
      EXPECT_LT(std::abs(std::log(found / expected)), std::log(1.5)) << found << " " << expected;
    }
  }
  EXPECT_GE(smooth, 3U);
}

}  // namespace
}  // namespace dosa::testing
