// Is what is sampled legal, reproducible and varied, and does a log come back as measurements, whatever is in
// it?
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "dosa/core/targets/gemmini/campaign/collect.hpp"
#include "dosa/core/targets/gemmini/campaign/disagreement.hpp"
#include "dosa/core/targets/gemmini/campaign/program.hpp"
#include "dosa/core/targets/gemmini/campaign/sample.hpp"
#include "dosa/core/targets/gemmini/measurements.hpp"
#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::TemporaryFolder;

Sample sample(const char* network, std::int64_t count, std::uint64_t seed = 1) {
  SampleOptions options;
  options.count = count;
  options.seed = seed;
  return sample_campaign(load_workload(network), options);
}

// ---- Samples.

TEST(Samples, EveryShippedNetworkGivesLegalTilings) {
  for (const std::string& network : shipped_names("workloads")) {
    const Sample drawn = sample(network.c_str(), 300);
    EXPECT_NO_THROW(check_plan(drawn.plan)) << network;
    EXPECT_EQ(drawn.plan.measurements.size(), 300u) << network;
    std::set<std::string> distinct;
    std::map<std::string, int> kinds;
    std::vector<int> of_layer(drawn.plan.layers.size(), 0);
    for (const PlannedCall& m : drawn.plan.measurements) {
      distinct.insert(fmt::format("{} {}", m.layer, gemmini::to_string(m.tile)));
      ++kinds[m.tiling];
      ++of_layer[m.layer];
    }
    EXPECT_EQ(distinct.size(), 300u);
    EXPECT_EQ(kinds.size(), 4u) << drawn.brief_report();
    for (const int count : of_layer) EXPECT_GE(count, 1);
  }
}

TEST(Samples, TheSeedDecides) {
  const std::string first = to_json(sample("resnet50", 100).plan).dump();
  EXPECT_EQ(to_json(sample("resnet50", 100).plan).dump(), first);
  EXPECT_NE(to_json(sample("resnet50", 100, 2).plan).dump(), first);
}

TEST(Samples, AConvolutionOfOnePixelIsMeasuredAsAMatrixProduct) {
  Layer layer;
  layer.name = "pixel";
  layer.size = {7, 7, 1, 1, 20, 40, 5};
  layer.padding = 3;
  layer.wstride = layer.hstride = 2;
  layer.known_input_width = layer.known_input_height = 1;
  Workload workload;
  workload.name = "pixels";
  workload.layers = {layer};
  SampleOptions options;
  options.count = 1;
  const Plan plan = sample_campaign(workload, options).plan;
  EXPECT_NE(tile_table(plan).find(".conv = 0, .i = 5, .j = 40, .k = 20, .tile_i = 1"), std::string::npos);
  const Collected collected = collect(plan, "dosa,0,0,900\n");
  ASSERT_EQ(collected.rows.size(), 1u) << collected.full_report();
  const TemporaryFolder folder;
  const Measurements m = read_measurements(folder.file("m.csv", collected_csv(plan, collected)));
  ASSERT_EQ(m.rows.size(), 1u);
  EXPECT_TRUE(m.rows[0].matmul);
  EXPECT_EQ(m.rows[0].layer.size, (DimSizes{1, 1, 5, 1, 20, 40, 1}));
}

TEST(Samples, AskForWhatIsUncertain) {
  SampleOptions options;
  options.count = 200;
  // Least sure of large tiles of output channels.
  options.uncertainty = [](const std::vector<std::pair<Layer, gemmini::Tile>>& calls) {
    std::vector<double> spread;
    for (const auto& call : calls) spread.push_back(static_cast<double>(call.second[Dim::K]));
    return spread;
  };
  const Sample drawn = sample_campaign(load_workload("resnet50"), options);
  double uncertain = 0, random = 0;
  int uncertain_count = 0, random_count = 0;
  for (const PlannedCall& m : drawn.plan.measurements) {
    const auto k = static_cast<double>(m.tile[Dim::K]);
    if (m.tiling == "uncertain") uncertain += k, ++uncertain_count;
    if (m.tiling == "random") random += k, ++random_count;
  }
  ASSERT_GT(uncertain_count, 50);
  ASSERT_GT(random_count, 5);
  EXPECT_GT(uncertain / uncertain_count, 2 * random / random_count);
}

TEST(Samples, TheUncertainOnesAreLessCertainThanTheMedianRandomOne) {
  const Surrogate surrogate = Surrogate::load(shipped_surrogate(gemmini::kTarget));
  const RtlModel model(load_array_machine(gemmini::kTarget), &surrogate);
  for (const char* network : {"resnet50", "bert", "mobilenet_v2"}) {
    SampleOptions options;
    options.count = 200;
    options.pool = 5;
    options.uncertainty = disagreement(model, options.hardware, "test");
    const Sample drawn = sample_campaign(load_workload(network), options);
    EXPECT_EQ(to_json(sample_campaign(load_workload(network), options).plan), to_json(drawn.plan));
    EXPECT_NO_THROW(check_plan(drawn.plan));
    std::vector<std::pair<Layer, gemmini::Tile>> calls;
    for (const PlannedCall& m : drawn.plan.measurements)
      calls.emplace_back(drawn.plan.layers[m.layer], m.tile);
    const std::vector<double> sd = options.uncertainty(calls);
    std::vector<double> random;
    double least = INFINITY;
    for (std::size_t i = 0; i < sd.size(); ++i) {
      const std::string& kind = drawn.plan.measurements[i].tiling;
      if (kind == "random") random.push_back(sd[i]);
      if (kind == "uncertain") least = std::min(least, sd[i]);
    }
    ASSERT_GT(drawn.kinds()["uncertain"], 40u) << drawn.brief_report();
    ASSERT_GT(random.size(), 10u) << drawn.brief_report();
    std::sort(random.begin(), random.end());
    EXPECT_GE(least, random[random.size() / 2]) << network;
  }
}

TEST(Samples, OnlyANetworkOfThisTargetCanBeUnsure) {
  Surrogate surrogate = Surrogate::load(shipped_surrogate(gemmini::kTarget));
  const ArrayMachine machine = load_array_machine(gemmini::kTarget);
  const RtlModel none(machine, nullptr), model(machine, &surrogate);
  testing::expect_error(
      [&] {
        disagreement(none, {16, 256, 64}, "x");
      },
      ErrorId::kValue, {"x: no surrogate"});
  surrogate.predictor = Predictor::kAnalytical;
  testing::expect_error(
      [&] {
        disagreement(model, {16, 256, 64}, "x");
      },
      ErrorId::kValue, {"x: predictor: found analytical"});
  surrogate.target.name = "firesim-artefact";
  testing::expect_error(
      [&] {
        disagreement(model, {16, 256, 64}, "x");
      },
      ErrorId::kValue, {"x: target.name: found firesim-artefact"});
}

TEST(Samples, AFewTilingsAreAllThereIs) {
  Workload workload;
  workload.name = "tiny";
  Layer layer;
  layer.name = "product";
  layer.size = {1, 1, 16, 1, 16, 32, 1};
  workload.layers = {layer};
  SampleOptions options;
  EXPECT_EQ(sample_campaign(workload, options).plan.measurements.size(), 2u);
  layer.size = {3, 3, 8, 4, 16, 16, 1};
  workload.layers = {layer};
  testing::expect_error([&] { sample_campaign(workload, options); }, ErrorId::kValue,
                        {"tiny: no layer can be measured", "product", "square images only"});
  options.hardware.scratchpad_kib = 100;
  std::string error;
  EXPECT_FALSE(options.is_valid(&error));
  EXPECT_NE(error.find("nearest legal: scratchpad_kib 128"), std::string::npos);
}

TEST(Samples, EveryLegalSizeOfEveryArrayHasTilings) {
  int sizes = 0;
  for (const std::int64_t pe_dim : {2, 4, 8, 16, 32, 64}) {
    for (const ArraySizes& built : gemmini::legal_hardware({pe_dim, 1, 1}, {pe_dim, 1024, 1024})) {
      if (built.scratchpad_kib > 512 && built.accumulator_kib > 512)
        continue;  // a few of the largest will do
      SampleOptions options;
      options.count = 60;
      options.hardware = built;
      for (const char* network : {"mobilenet_v2", "bert"}) {
        const Sample drawn = sample_campaign(load_workload(network), options);
        ASSERT_NO_THROW(check_plan(drawn.plan)) << to_json(built);
        // Where a block of the array is all that fits, there is no choice, and the sample says so.
        const bool has_choice = drawn.brief_report().find("have no others") == std::string::npos;
        EXPECT_EQ(drawn.kinds().size() > 1, has_choice) << to_json(built) << drawn.brief_report();
        EXPECT_TRUE(has_choice || built.scratchpad_kib < pe_dim * pe_dim / 16) << to_json(built);
        ++sizes;
      }
    }
  }
  EXPECT_GT(sizes, 100);
}

TEST(Samples, ASampleOfTheLibrarysOwnTilingsSaysSo) {
  SampleOptions options;
  options.count = 30;
  const Sample few = sample_campaign(load_workload("resnet50"), options);
  ASSERT_EQ(few.kinds().size(), 1u);
  const std::vector<std::string> warnings = few.warnings();
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_NE(warnings[0].find("6 of the 36 tilings that the library chooses"), std::string::npos)
      << warnings[0];
  EXPECT_NE(warnings[1].find("--count 72 or more draws others"), std::string::npos) << warnings[1];
  EXPECT_NE(few.brief_report().find("warning: these are the library's own tilings alone"), std::string::npos);
  options.count = 72;
  EXPECT_TRUE(sample_campaign(load_workload("resnet50"), options).warnings().empty());
  Workload tiny;
  tiny.layers.resize(1);
  tiny.layers[0].size = {1, 1, 4, 1, 4, 4, 1};
  EXPECT_NE(sample_campaign(tiny, options).brief_report().find("have no others"), std::string::npos);
}

// Operands are filled once where the tilings of a layer follow each other.
TEST(Samples, TheTilingsOfALayerStandTogether) {
  for (const char* network : {"resnet50", "bert"}) {
    const Plan plan = sample(network, 120).plan;
    std::set<std::pair<std::size_t, gemmini::Call>> seen;
    for (std::size_t i = 0; i < plan.measurements.size(); ++i) {
      const PlannedCall& m = plan.measurements[i];
      const bool is_new = seen.emplace(m.layer, m.tile.call).second;
      EXPECT_TRUE(is_new || (plan.measurements[i - 1].layer == m.layer &&
                             plan.measurements[i - 1].tile.call == m.tile.call))
          << i;
    }
  }
}

TEST(Samples, BatchesKeepToMeasurementsAndCycles) {
  Plan plan = sample("resnet50", 100).plan;
  EXPECT_EQ(plan.programs().size(), 7u);  // of 16
  plan.assign_programs({3, 0});
  EXPECT_EQ(plan.programs().size(), 34u);
  EXPECT_EQ(plan.programs().back().count, 1u);
  const std::int64_t limit = 10'000'000;
  plan.assign_programs({16, limit});
  const std::vector<Program> programs = plan.programs();
  std::size_t next = 0;
  for (const Program& program : programs) {
    EXPECT_EQ(program.first, next);
    next += program.count;
    std::int64_t cycles = 0;
    for (std::size_t i = program.first; i < next; ++i) {
      const PlannedCall& m = plan.measurements[i];
      const Layer& layer = plan.layers[m.layer];
      const ProgramCycles around = ProgramCycles::of(layer, m.tile.call);
      const bool is_prepared = i > program.first && plan.measurements[i - 1].layer == m.layer &&
                               plan.measurements[i - 1].tile.call == m.tile.call;
      cycles += least_cycles(layer, m.tile.call, 16) + around.surround + (is_prepared ? 0 : around.prepare) +
                (i == program.first ? around.start : 0);
    }
    EXPECT_TRUE(cycles <= limit || program.count == 1) << program.name << cycles;
  }
  EXPECT_EQ(next, 100u);
  EXPECT_GT(programs.size(), 20u);
  const Plan read = plan_from_json(JsonInput::from_text(to_json(plan).dump(), "plan.json"));
  EXPECT_EQ(to_json(read), to_json(plan));
  // A file may not name other programs.
  Json json = to_json(plan);
  json["measurements"][1]["program"] = "../dosa_batch_000.c";
  testing::expect_error(
      [&] { plan_from_json(JsonInput::from_text(json.dump(), "plan.json")); }, ErrorId::kValue,
      {"plan.json: measurements[1].program", "expected \"dosa_batch_000.c\" or the one behind"});
  testing::expect_error([&] { plan.assign_programs({0, 0}); }, ErrorId::kValue, {"batch: found 0"});
  // The ideal of a 3x3 layer, and of a depthwise one that uses a single column of the array.
  Layer layer;
  layer.size = {3, 3, 56, 56, 64, 64, 1};
  layer.padding = 1;
  EXPECT_EQ(least_cycles(layer, gemmini::Call::kConv, 16), 9 * 56 * 56 * 16);
  layer.size = {3, 3, 56, 56, 1, 1, 1};
  EXPECT_EQ(least_cycles(layer, gemmini::Call::kConv, 16), 9 * 56 * 56);
}

// ---- Tilings of a table.

const std::string kTilingsHeader =
    "kind,R,S,P,Q,C,K,N,wstride,hstride,padding,in_dim,tile_R,tile_S,tile_P,tile_Q,tile_C,tile_K,tile_N,"
    "scratchpad_kib,accumulator_kib,pe_dim\n";
const std::string kConvRow = "conv,3,3,56,56,64,64,1,1,1,1,56,3,3,14,14,64,32,1,256,64,16\n";
const std::string kProductRow = "matmul,1,1,3136,1,64,256,1,1,1,0,0,1,1,128,1,64,64,1,256,64,16\n";

TEST(Tilings, ATableBecomesAPlan) {
  const TemporaryFolder folder;
  TilingsOptions options;
  options.table = folder.file("next.csv", kTilingsHeader + kConvRow + kProductRow + kConvRow);
  const Sample listed = sample_tilings(options);
  ASSERT_EQ(listed.plan.measurements.size(), 2u);
  EXPECT_EQ(listed.repeated, 1u);
  EXPECT_EQ(listed.plan.hardware, (ArraySizes{16, 256, 64}));
  EXPECT_EQ(listed.plan.layers[0].name, "conv 3x3 64->64 on 56x56");
  EXPECT_EQ(gemmini::to_string(listed.plan.measurements[1].tile), "matmul P128 C64 K64");
  EXPECT_EQ(listed.kinds(), (std::map<std::string, std::size_t>{{"proposed", 2}}));
  EXPECT_NO_THROW(check_plan(listed.plan));
  // The network that has these layers names them; other buffers are the user's.
  const Workload network = load_workload("resnet50");
  options.network = &network;
  options.hardware.scratchpad_kib = 512;
  const Sample named = sample_tilings(options);
  EXPECT_EQ(named.plan.layers[0].name, "conv2_x.3x3b");
  EXPECT_EQ(named.plan.layers[1].name, "conv2_x.1x1c");
  EXPECT_EQ(named.plan.hardware, (ArraySizes{16, 512, 64}));
  EXPECT_NO_THROW(check_plan(named.plan));
}

TEST(Tilings, TheTableSaysTheLibrary) {
  const TemporaryFolder folder;
  const std::string header = testing::replaced(kTilingsHeader, "pe_dim", "pe_dim,library");
  const std::string older = testing::replaced(kConvRow, "64,16\n", "64,16,2023-04\n");
  const std::string newer = testing::replaced(kProductRow, "64,16\n", "64,16,2023-10\n");
  TilingsOptions options;
  options.table = folder.file("next.csv", header + older);
  EXPECT_EQ(sample_tilings(options).plan.library.month(), "2023-04");
  options.table = folder.file("next.csv", header + older + newer);
  testing::expect_error([&] { sample_tilings(options); }, ErrorId::kValue,
                        {"line 3", "library", "found 2023-10, the rows before have 2023-04"});
  options.library = gemmini::LibraryVersion("2023-03", "test");
  EXPECT_EQ(sample_tilings(options).plan.library.month(), "2023-03");
}

TEST(Tilings, BadTablesAreRefusedByLine) {
  const TemporaryFolder folder;
  const auto refuses = [&](const std::string& rows, const std::vector<std::string>& parts, ErrorId id,
                           ArraySizes hardware = {0, 0, 0}) {
    TilingsOptions options;
    options.table = folder.file("next.csv", rows);
    options.hardware = hardware;
    testing::expect_error([&] { sample_tilings(options); }, id, parts);
  };
  const auto changed = [&](const std::string& row, const std::string& from, const std::string& to) {
    return kTilingsHeader + kConvRow + testing::replaced(row, from, to);
  };
  refuses(kTilingsHeader, {"found 0 rows"}, ErrorId::kValue);
  refuses("kind,R\nconv,3\n", {"tile_N"}, ErrorId::kSchema);
  refuses(changed(kConvRow, "256,64,16", "128,64,16"), {"line 3", "scratchpad_kib", "found 128", "have 256"},
          ErrorId::kValue);
  refuses(changed(kConvRow, "14,14,64,32", "56,56,64,32"), {"line 3", "scratchpad"}, ErrorId::kValue);
  refuses(changed(kConvRow, "14,14,64,32", "14,0,64,32"), {"line 3", "tile_Q", "found '0'"}, ErrorId::kValue);
  refuses(changed(kConvRow, "conv,", "pool,"), {"line 3", "found 'pool'"}, ErrorId::kValue);
  refuses(changed(kConvRow, ",1,56,3", ",1,0,3"), {"line 3", "in_dim", "found 0"}, ErrorId::kValue);
  refuses(changed(kConvRow, "conv,3", "matmul,3"), {"line 3", "found matmul"}, ErrorId::kValue);
  refuses(kTilingsHeader + kConvRow, {"hardware", "scratchpad_kib 128"}, ErrorId::kValue, {16, 100, 64});
}

// ---- Logs.

/// A log in which every measurement of the plan stands once, one line each.
std::vector<std::string> perfect_log(const Plan& plan) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < plan.measurements.size(); ++i)
    lines.push_back(fmt::format("dosa,{},{},{}", plan.measurements[i].layer, i, 1000000000 + i));
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  return fmt::format("{}\n", fmt::join(lines, "\n"));
}

TEST(Logs, APerfectLogGivesEveryMeasurement) {
  const Plan plan = sample("bert", 20).plan;
  std::vector<std::string> lines = perfect_log(plan);
  lines.insert(lines.begin(), "[UART] UART0 is here (stdin/stdout).");
  for (const char* end : {"\n", "\r\n"}) {
    const Collected collected = collect(plan, fmt::format("{}{}", fmt::join(lines, end), end));
    ASSERT_EQ(collected.rows.size(), 20u) << collected.full_report();
    for (std::size_t i = 0; i < 20; ++i) {
      EXPECT_EQ(collected.rows[i].cycles, static_cast<std::int64_t>(1000000000 + i));
      EXPECT_EQ(collected.rows[i].line, i + 2);
    }
    for (const auto* problems : {&collected.lost, &collected.repeated, &collected.interleaved,
                                 &collected.garbled, &collected.wrong, &collected.left_out}) {
      EXPECT_TRUE(problems->empty()) << collected.full_report();
    }
  }
}

TEST(Logs, EveryKindOfDamageIsCountedAndNamedByLine) {
  const Plan plan = sample("bert", 12).plan;
  std::vector<std::string> lines = perfect_log(plan);
  lines[1] = "other text" + lines[1];                                 // interleaved, line 2
  lines[2] = lines[2] + lines[3];                                     // interleaved, line 3
  lines[3] = "";                                                      // lost
  lines[4] = "dosa,0";                                                // garbled, line 5
  lines[5] = "dosa,99,5,1000000000";                                  // garbled: another layer, line 6
  lines[6] = "dosa,0,777,1000000000";                                 // garbled: no such mapping, line 7
  lines[7] = fmt::format("dosa,{},7,3", plan.measurements[7].layer);  // garbled: impossible, line 8
  lines[8] = fmt::format("dosa-wrong,{},8,17,1,2", plan.measurements[8].layer);  // wrong, line 9
  lines.push_back(lines[0]);                                                     // repeated, line 13
  const Collected collected = collect(plan, joined(lines) + "dosa,0,11,12");     // cut off, line 14
  const auto numbers = [](const std::vector<LogProblem>& problems) {
    std::vector<std::size_t> list;
    for (const LogProblem& p : problems) list.push_back(p.line);
    return list;
  };
  EXPECT_EQ(numbers(collected.interleaved), (std::vector<std::size_t>{2, 3}));
  EXPECT_EQ(numbers(collected.garbled), (std::vector<std::size_t>{5, 6, 7, 8, 14}));
  EXPECT_EQ(numbers(collected.wrong), std::vector<std::size_t>{9});
  EXPECT_EQ(numbers(collected.repeated), std::vector<std::size_t>{13});
  EXPECT_EQ(collected.lost.size(), 7u);  // mappings 1 to 7
  EXPECT_EQ(collected.rows.size(), 4u);  // 0, 9, 10, 11
  EXPECT_NE(collected.full_report().find("line 13: mapping 0 was measured in line 1"), std::string::npos)
      << collected.full_report();
}

TEST(Logs, RandomDamageNeverInventsAMeasurement) {
  const Plan plan = sample("bert", 30).plan;
  const std::string log = joined(perfect_log(plan));
  Random random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = log;
    for (std::uint64_t n = random.bits() % 20; n > 0; --n) {
      const std::size_t at = random.bits() % damaged.size();
      switch (random.bits() % 3) {
        case 0:
          damaged.erase(at, random.bits() % 40);
          break;
        case 1:
          damaged.insert(at, "noise\n");
          break;
        default:
          damaged[at] = static_cast<char>(random.bits());
      }
    }
    const Collected collected = collect(plan, damaged);
    ASSERT_LE(collected.rows.size() + collected.lost.size(), plan.measurements.size());
    for (const auto& row : collected.rows) ASSERT_GT(row.cycles, 0);
  }
}

TEST(Logs, AProgramsLogHoldsItsOwnMeasurementsAlone) {
  const Plan plan = sample("bert", 20).plan;
  const Program second = plan.programs()[1];
  ASSERT_EQ(second.first, 16u);
  const Collected all = collect(plan, second, joined(perfect_log(plan)));
  EXPECT_EQ(all.rows.size(), 4u);
  EXPECT_EQ(all.garbled.size(), 16u);
  EXPECT_NE(all.garbled[0].text.find("dosa_batch_001 has mappings 16..19"), std::string::npos);
  const Collected none = collect(plan, second, "");
  ASSERT_EQ(none.lost.size(), 4u);
  EXPECT_EQ(none.lost[1].measurement, 17u);
  Collected both = collect(plan, plan.programs()[0], "dosa,0\n");
  both.add(all, "other.log");
  EXPECT_EQ(both.garbled.size(), 17u);
  EXPECT_NE(both.garbled[1].text.find("other.log: line 1: "), std::string::npos) << both.garbled[1].text;
}

TEST(Logs, TheCsvHasTheColumnsAndRowsOfTheMeasurements) {
  Plan plan;
  plan.workload = "two";
  plan.hardware = {16, 256, 64};
  Layer layer;
  layer.name = "3x3";
  layer.size = {3, 3, 14, 14, 64, 32, 1};
  layer.wstride = layer.hstride = 2;
  layer.padding = 1;
  plan.layers.push_back(layer);
  layer.name = "pointwise";
  layer.size = {1, 1, 7, 7, 64, 32, 2};
  layer.wstride = layer.hstride = 1;
  layer.padding = 0;
  plan.layers.push_back(layer);
  plan.measurements = {{0, {gemmini::Call::kConv, {3, 3, 14, 7, 64, 32, 1}}, "random"},
                       {1, {gemmini::Call::kMatmul, {1, 1, 48, 1, 64, 32, 1}}, "auto"}};
  const std::string csv = collected_csv(plan, collect(plan, "dosa,0,0,123456\ndosa,1,1,65432\n"));
  EXPECT_EQ(
      csv,
      "id,kind,R,S,P,Q,C,K,N,wstride,hstride,padding,in_dim,tile_R,tile_S,tile_P,tile_Q,tile_C,tile_K,tile_N,"
      "tiling,scratchpad_kib,accumulator_kib,pe_dim,cycles,checked,library\n"
      "0,conv,3,3,14,14,64,32,1,2,2,1,28,3,3,14,7,64,32,1,random,256,64,16,123456,1,2023-10\n"
      "1,matmul,1,1,98,1,64,32,1,1,1,0,0,1,1,48,1,64,32,1,auto,256,64,16,65432,1,2023-10\n");
  const auto measured = testing::reference_data("gemmini_rtl.csv");
  const TemporaryFolder folder;
  const std::string file = folder.file("m.csv", csv);
  if (measured) {
    std::vector<std::string> columns = CsvInput::from_file(*measured).columns();
    if (columns.back() != "library") columns.emplace_back("library");  // not every table says it
    EXPECT_EQ(CsvInput::from_file(file).columns(), columns);
  }
  // Read with an older library as the one of tables that do not say: these do.
  for (const Measurement& row : read_measurements(file, gemmini::LibraryVersion("2023-04", "--library")).rows)
    EXPECT_TRUE(row.keeps);
  // A plan's own library stands in its rows.
  plan.library = {"2023-04", "test"};
  const Plan read = plan_from_json(JsonInput::from_text(to_json(plan).dump(), "plan.json"));
  EXPECT_EQ(read.library, plan.library);
  const std::string older = collected_csv(read, collect(read, "dosa,0,0,123456\ndosa,1,1,65432\n"));
  EXPECT_EQ(older, testing::replaced(testing::replaced(csv, "123456,1,2023-10", "123456,1,2023-04"),
                                     "65432,1,2023-10", "65432,1,2023-04"));
  for (const Measurement& row : read_measurements(folder.file("o.csv", older)).rows) EXPECT_FALSE(row.keeps);
  testing::expect_error(
      [&] {
        Json json = to_json(plan);
        json["library"] = "old";
        plan_from_json(JsonInput::from_text(json.dump(), "plan.json"));
      },
      ErrorId::kValue, {"plan.json: library: found 'old'"});
  testing::expect_error([&] { collected_csv(plan, collect(plan, "nothing")); }, ErrorId::kValue,
                        {"no measurement of the plan is in the log", "2 lost"});
}

}  // namespace
}  // namespace dosa
