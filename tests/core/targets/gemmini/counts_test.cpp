#include "dosa/core/targets/gemmini/counts.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <random>

#include "dosa/core/targets/gemmini/executed_traffic.hpp"
#include "dosa/core/targets/gemmini/feature_table.hpp"
#include "dosa/core/targets/gemmini/features.hpp"
#include "dosa/core/targets/gemmini/training.hpp"
#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/random.hpp"
#include "dosa/models/cost/cost_model.hpp"
#include "tests/core/targets/gemmini/walk.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::walk;
using testing::Walked;
using testing::WalkLayer;
using testing::WalkTile;
using torch::Tensor;

struct Case {
  WalkLayer layer;
  WalkTile tile;
  std::int64_t pe_dim;
};

LayerRun run_of(const WalkLayer& l) {
  LayerRun run;
  run.layer.size = {l.R, l.S, l.P, l.Q, l.C, l.K, l.N};
  run.layer.wstride = run.layer.hstride = l.stride;
  run.layer.padding = l.padding;
  run.matmul = l.matmul;
  run.input_width = run.input_height = l.input;
  run.keeps = l.keeps;
  return run;
}

Tensor tensor_of(const WalkTile& t) {
  return torch::tensor(std::vector<double>{double(t.R), double(t.S), double(t.P), double(t.Q), double(t.C),
                                           double(t.K), double(t.N)},
                       torch::kFloat64);
}

/// Small layers of every kind with random tilings, none of which divides anything on purpose.
std::vector<Case> random_cases(int count, unsigned seed) {
  std::mt19937 engine(seed);
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(engine() % static_cast<std::uint32_t>(high - low + 1));
  };
  std::vector<Case> cases;
  while (static_cast<int>(cases.size()) < count) {
    Case c;
    WalkLayer& l = c.layer;
    WalkTile& t = c.tile;
    c.pe_dim = std::int64_t{4} << draw(0, 2);
    l.C = draw(0, 3) ? draw(1, 80) : draw(1, 4);
    l.K = draw(1, 80);
    l.matmul = draw(0, 2) == 0;
    if (l.matmul) {
      l.P = draw(1, 60);
      const auto blocks = [&](std::int64_t size) {
        return draw(1, (size + c.pe_dim - 1) / c.pe_dim) * c.pe_dim;
      };
      t.P = std::min(l.P, blocks(l.P));
      t.C = std::min(l.C, blocks(l.C));
      t.K = std::min(l.K, blocks(l.K));
    } else {
      l.R = l.S = draw(1, 5);
      l.stride = draw(1, 3);
      l.padding = draw(0, l.R - 1);
      l.input = draw(std::max<std::int64_t>(1, l.R - 2 * l.padding), 16);
      if (l.input + 2 * l.padding < l.R) continue;
      l.P = l.Q = (l.input + 2 * l.padding - l.R) / l.stride + 1;
      l.N = draw(1, 3);
      t.R = draw(1, l.R), t.S = draw(1, l.S), t.P = draw(1, l.P), t.Q = draw(1, l.Q);
      t.C = draw(1, l.C), t.K = draw(1, l.K), t.N = draw(1, l.N);
      l.packing = draw(0, 1) > 0;
    }
    l.keeps = draw(0, 3) > 0;
    cases.push_back(c);
  }
  return cases;
}

Counts exact_counts(const Case& c) {
  RunRules rules;
  rules.first_layer_packing = c.layer.packing;
  const RunBatch batch = RunBatch::of({run_of(c.layer)}, rules);
  const Tensor pe_dim = torch::full({}, static_cast<double>(c.pe_dim), torch::kFloat64);
  return executed_counts(tensor_of(c.tile).unsqueeze(0), pe_dim, batch, false);
}

double value(const Tensor& t) { return t[0].item<double>(); }

TEST(ExecutedCounts, AreThoseOfATileByTileWalk) {
  int hanging = 0;
  for (const Case& c : random_cases(2000, 1)) {
    const Walked w = walk(c.layer, c.tile, c.pe_dim);
    const Counts n = exact_counts(c);
    SCOPED_TRACE(fmt::format(
        "R {} P {} C {} K {} N {} stride {} padding {} input {} matmul {} D {} tile {} {} {} {} {} {} {}",
        c.layer.R, c.layer.P, c.layer.C, c.layer.K, c.layer.N, c.layer.stride, c.layer.padding, c.layer.input,
        c.layer.matmul, c.pe_dim, c.tile.R, c.tile.S, c.tile.P, c.tile.Q, c.tile.C, c.tile.K, c.tile.N));
    EXPECT_EQ(value(n.hangs) > 0, w.hangs);
    hanging += w.hangs;
    if (w.hangs) continue;
    EXPECT_NEAR(value(n.tiles), double(w.tiles), 1e-6);
    EXPECT_NEAR(value(n.preloads), double(w.preloads), 1e-6);
    EXPECT_NEAR(value(n.executes), double(w.executes), 1e-6);
    EXPECT_NEAR(value(n.steps), double(w.steps), 1e-6);
    EXPECT_NEAR(value(n.floor), double(w.floor), 1e-6);
    EXPECT_NEAR(value(n.input.instructions), double(w.input.instructions), 1e-6);
    EXPECT_NEAR(value(n.input.rows), double(w.input.rows), 1e-6);
    EXPECT_NEAR(value(n.zero_instructions()), double(w.zero_instructions), 1e-6);
    EXPECT_NEAR(value(n.zero_rows()), double(w.zero_rows), 1e-6);
    EXPECT_NEAR(value(n.weight.instructions), double(w.weight.instructions), 1e-6);
    EXPECT_NEAR(value(n.weight.rows), double(w.weight.rows), 1e-6);
    EXPECT_NEAR(value(n.weight_uses), double(w.weight_uses), 1e-6);
    EXPECT_NEAR(value(n.output.instructions), double(w.output.instructions), 1e-6);
    EXPECT_NEAR(value(n.output.rows), double(w.output.rows), 1e-6);
  }
  EXPECT_GT(hanging, 0);
}

/// Picojoules of one word of a level of this machine, of buffers as built.
double word_pj(const MemoryLevel& level, std::int64_t kib, std::int64_t instances) {
  return level.energy.pj +
         level.energy.pj_per_kib *
             (static_cast<double>(kib) / static_cast<double>(instances) - level.energy.at_kib);
}

// Words of every memory and energy, of tilings and sizes of the hardware at random.
TEST(ExecutedCounts, TrafficAndEnergyAreThoseOfATileByTileWalk) {
  const ArrayMachine machine = load_array_machine("gemmini-rtl");
  const CostModel model(machine, torch::kFloat64);
  const MemoryLevel &in_register = machine.levels[0], &accumulator = machine.levels[1],
                    &scratchpad = machine.levels[2], &dram = machine.levels[3];
  int looked_at = 0, kept = 0;
  for (const Case& c : random_cases(4000, 7)) {
    const Walked w = walk(c.layer, c.tile, c.pe_dim);
    if (w.hangs) continue;
    ++looked_at;
    Case anew = c;
    anew.layer.keeps = false;
    kept += walk(anew.layer, c.tile, c.pe_dim).input.words != w.input.words;
    RunRules rules;
    rules.first_layer_packing = c.layer.packing;
    const RunBatch batch = RunBatch::of({run_of(c.layer)}, rules);
    const ArraySizes built{c.pe_dim, 16 << looked_at % 5, 4 << looked_at % 7};
    const HardwareTensors hardware = HardwareTensors::from(built, torch::kFloat64);
    const Tensor tile = tensor_of(c.tile).unsqueeze(0);
    const Traffic traffic =
        executed_traffic(executed_counts(tile, hardware.pe_dim, batch, false),
                         tile_rows(tile, hardware.pe_dim, batch, false), hardware.pe_dim, batch, machine);
    const std::int64_t macs =
        c.layer.R * c.layer.S * c.layer.P * c.layer.Q * c.layer.C * c.layer.K * c.layer.N;
    SCOPED_TRACE(fmt::format(
        "R {} P {} C {} K {} N {} stride {} padding {} input {} matmul {} D {} tile {} {} {} {} "
        "{} {} {}",
        c.layer.R, c.layer.P, c.layer.C, c.layer.K, c.layer.N, c.layer.stride, c.layer.padding, c.layer.input,
        c.layer.matmul, c.pe_dim, c.tile.R, c.tile.S, c.tile.P, c.tile.Q, c.tile.C, c.tile.K, c.tile.N));
    // What a memory is charged for: words, in whole vectors for each tensor and kind of access.
    const auto expect = [&](const char* what, const Tensor& found, std::int64_t words, std::int64_t vector) {
      EXPECT_NEAR(found.item<double>(), static_cast<double>(words), 1e-6) << what;
      return static_cast<double>((words + vector - 1) / vector * vector);
    };
    constexpr std::size_t kW = 0, kI = 1, kO = 2;
    const auto at = [&](std::size_t level, std::size_t operand) { return traffic.accesses[level][operand]; };
    double energy = static_cast<double>(macs) * machine.mac_energy_pj;
    energy += word_pj(in_register, 0, 1) * (expect("register writes", at(0, kW).writes, w.weight_uses, 1) +
                                            expect("register reads", at(0, kW).reads, macs, 1));
    energy += word_pj(accumulator, built.accumulator_kib, c.pe_dim) *
              (expect("accumulator writes", at(1, kO).writes, w.output.words, 1) +
               expect("accumulator updates", at(1, kO).updates, w.accumulated, 1) +
               expect("accumulator reads", at(1, kO).reads, w.accumulated - w.output.words, 1));
    energy += word_pj(scratchpad, built.scratchpad_kib, 1) *
              (expect("scratchpad writes of weights", at(2, kW).writes, w.weight.words, c.pe_dim) +
               expect("scratchpad reads of weights", at(2, kW).reads, w.weight_uses, c.pe_dim) +
               expect("scratchpad writes of inputs", at(2, kI).writes, w.written_inputs, c.pe_dim) +
               expect("scratchpad reads of inputs", at(2, kI).reads, w.read_inputs, c.pe_dim));
    energy += word_pj(dram, 0, 1) * (expect("DRAM reads of weights", at(3, kW).reads, w.weight.words, 64) +
                                     expect("DRAM reads of inputs", at(3, kI).reads, w.input.words, 64) +
                                     expect("DRAM writes of outputs", at(3, kO).updates, w.output.words, 64));
    EXPECT_EQ(at(3, kO).reads.item<double>(), 0);
    EXPECT_NEAR(traffic.compute_cycles.item<double>(), static_cast<double>(w.array_rows), 1e-6);
    EXPECT_NEAR(model.cost(traffic, hardware, Sharpness{}).energy_pj.item<double>(), energy, 1e-9 * energy);
  }
  EXPECT_GT(looked_at, 3000);
  EXPECT_GT(kept, 50);
}

// Requests depend on how rows lie; the counts take the mean over the alignments that occur. Over many rows
// that is close to what the addresses give.
TEST(ExecutedCounts, RequestsAreTheMeanOverAlignments) {
  double log_error = 0;
  int counted = 0;
  for (const Case& c : random_cases(400, 2)) {
    const Walked w = walk(c.layer, c.tile, c.pe_dim);
    if (w.hangs || w.input.rows < 256 || w.weight.rows < 256) continue;
    const Counts n = exact_counts(c);
    EXPECT_NEAR(value(n.input.requests) / double(w.input.requests), 1, 0.5);
    EXPECT_NEAR(value(n.weight.requests) / double(w.weight.requests), 1, 0.5);
    EXPECT_NEAR(value(n.input.beats) / double(w.input.beats), 1, 0.5);
    EXPECT_NEAR(value(n.weight.beats) / double(w.weight.beats), 1, 0.5);
    log_error += std::abs(std::log(value(n.input.requests) / double(w.input.requests)));
    ++counted;
  }
  EXPECT_GT(counted, 100);
  EXPECT_LT(log_error / counted, 0.03);
}

// 3x3 on 56x56, 16 channels in tiles of 12 and 4: the last tile puts three columns of the kernel into a row
// of the array, the first one puts one. Took 106,090 cycles.
TEST(ExecutedCounts, ANarrowLastChannelTilePacksItsOwnKernelColumns) {
  Case c;
  c.layer = {3, 3, 56, 56, 16, 32, 1, 1, 1, 56, false, true, true};
  c.tile = {3, 3, 56, 56, 12, 32, 1};
  c.pe_dim = 16;
  const Counts n = exact_counts(c);
  EXPECT_EQ(value(n.reduction_blocks), 3 * 3 + 3);
  EXPECT_EQ(value(n.floor), double(walk(c.layer, c.tile, c.pe_dim).floor));
  EXPECT_LT(value(n.floor), 106090);
}

/// A file of measurements on several Gemminis, one file for each of them.
std::vector<Measurements> measurements_by_hardware(const std::filesystem::path& path) {
  const CsvInput table = CsvInput::from_file(path);
  std::map<std::string, CsvWriter> parts;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string hardware = fmt::format("{},{},{}", table.text(row, "scratchpad_kib"),
                                             table.text(row, "accumulator_kib"), table.text(row, "pe_dim"));
    CsvWriter& part = parts.try_emplace(hardware, table.columns()).first->second;
    for (std::size_t column = 0; column < table.columns().size(); ++column) part.add(table.text(row, column));
    part.end_row();
  }
  const testing::TemporaryFolder folder;
  std::vector<Measurements> all;
  for (const auto& [hardware, part] : parts)
    all.push_back(read_measurements(folder.file("part.csv", part.text())));
  return all;
}

TEST(ExecutedCounts, TheFloorHoldsOnEveryMeasuredRow) {
  const auto path = testing::reference_data("gemmini_rtl_sizes.csv");
  DOSA_SKIP_WITHOUT(path, "gemmini_rtl_sizes.csv");
  const torch::NoGradGuard no_gradients;
  std::size_t rows = 0, arrays = 0;
  for (const Measurements& m : measurements_by_hardware(*path)) {
    const MeasuredRuns measured = MeasuredRuns::of(m);  // throws for a row below the floor
    const Tensor ratio = measured.set.log_cycles.exp() / measured.set.features.floor;
    EXPECT_GE(ratio.min().item<double>(), 1) << m.hardware.front().pe_dim;
    rows += m.rows.size();
    ++arrays;
  }
  EXPECT_EQ(rows, 3309);
  EXPECT_GE(arrays, 5);
}

TEST(ExecutedCounts, DownsamplingFetchesEverySecondPixel) {
  Case c;
  c.layer = {1, 1, 14, 14, 64, 32, 1, 2, 0, 28, false, true, true};
  c.tile = {1, 1, 7, 5, 64, 32, 1};
  c.pe_dim = 16;
  const Counts n = exact_counts(c);
  const Walked w = walk(c.layer, c.tile, c.pe_dim);
  EXPECT_EQ(value(n.input.rows), 14 * 14);
  EXPECT_EQ(value(n.input.rows), double(w.input.rows));
  EXPECT_EQ(value(n.input.instructions), double(w.input.instructions));
}

TEST(ExecutedCounts, CacheMissesAreBetweenOneFetchAndOneFetchPerTile) {
  // 1 MiB of input, reused by 8 tiles of output channels: fits a 4 MiB cache, not 512 KiB.
  Case c;
  c.layer = {1, 1, 128, 128, 64, 512, 1, 1, 0, 128, false, true, true};
  c.tile = {1, 1, 16, 16, 64, 64, 1};
  c.pe_dim = 16;
  RunRules rules;
  for (const double kib : {64.0, 1.0e6}) {
    rules.l2_kib = kib;
    LayerRun run = run_of(c.layer);
    run.order = {Dim::P, Dim::Q, Dim::C, Dim::R, Dim::S, Dim::N, Dim::K};  // output channels outermost
    const Counts n = executed_counts(tensor_of(c.tile).unsqueeze(0), torch::full({}, 16.0, torch::kFloat64),
                                     RunBatch::of({run}, rules), false);
    const double lines = 128 * 128;
    EXPECT_NEAR(value(n.input.l2_misses) / lines, kib < 1000 ? 8 : 1, 0.05);
    EXPECT_NEAR(value(n.footprint), 64 * (lines + 64 * 8 + lines * 8), 1);
  }
}

/// Lines that products read into an L2 of 512 KiB with 8 ways of 1024 sets, of which it replaces a random
/// one, when their tiles are walked in the library's order: inputs and weights.
class RandomCache {
 public:
  explicit RandomCache(std::uint64_t seed) : random_(seed) {}

  std::array<double, 2> misses_of_product(std::int64_t p, std::int64_t c, std::int64_t k, const WalkTile& t) {
    std::array<double, 2> misses{};
    const auto start_after = [](std::int64_t start, std::int64_t bytes) {
      return start + (bytes + 63) / 64 * 64;
    };
    const std::int64_t inputs = 0, weights = start_after(inputs, p * c),
                       outputs = start_after(weights, c * k);
    const auto touch = [&](std::int64_t start, std::int64_t row_bytes,
                           std::array<std::int64_t, 4> rows_columns) {
      const auto [first_row, rows, first_column, columns] = rows_columns;
      double missed = 0;
      for (std::int64_t row = first_row; row < first_row + rows; ++row) {
        const std::int64_t from = start + row * row_bytes + first_column;
        for (std::int64_t line = from / 64; line <= (from + columns - 1) / 64; ++line) missed += !hits(line);
      }
      return missed;
    };
    for (std::int64_t row = 0; row < p; row += t.P) {
      const std::int64_t rows = std::min(t.P, p - row);
      for (std::int64_t column = 0; column < k; column += t.K) {
        const std::int64_t columns = std::min(t.K, k - column);
        for (std::int64_t inner = 0; inner < c; inner += t.C) {
          const std::int64_t depth = std::min(t.C, c - inner);
          misses[0] += touch(inputs, c, {row, rows, inner, depth});
          misses[1] += touch(weights, k, {inner, depth, column, columns});
        }
        touch(outputs, k, {row, rows, column, columns});
      }
    }
    return misses;
  }

 private:
  bool hits(std::int64_t line) {
    auto& set = sets_[static_cast<std::size_t>(line % 1024)];
    if (std::find(set.begin(), set.end(), line) != set.end()) return true;
    set[static_cast<std::size_t>(random_.below(8))] = line;
    return false;
  }
  std::vector<std::array<std::int64_t, 8>> sets_ =
      std::vector<std::array<std::int64_t, 8>>(1024, {-1, -1, -1, -1, -1, -1, -1, -1});
  Random random_;
};

/// What is counted is an estimate. Lines counted once in all, or once a tile, would be more than twice as far
/// off.
TEST(ExecutedCounts, CacheMissesAreNearThoseOfACacheThatReplacesAtRandom) {
  Random random(1);
  const auto size = [&] {
    const double octaves = 5 + 7 * random.uniform();
    return static_cast<std::int64_t>(std::exp2(random.below(2) == 0 ? octaves : std::round(octaves)));
  };
  double error = 0, error_of_once = 0, error_of_every_tile = 0;
  int cases = 0;
  while (cases < 300) {
    const std::int64_t p = size(), c = size(), k = size();
    const auto blocks = [&] { return 16 * static_cast<std::int64_t>(std::exp2(5 * random.uniform())); };
    const WalkTile tile{1, 1, blocks(), 1, blocks(), blocks(), 1};
    if (p * c * k > (1 << 28) || (tile.P + tile.K) * tile.C > 131072 || tile.P * tile.K > 8192) continue;
    ++cases;
    const std::array<double, 2> walked =
        RandomCache(static_cast<std::uint64_t>(cases)).misses_of_product(p, c, k, tile);
    const Counts n = exact_counts({{1, 1, p, 1, c, k, 1, 1, 0, 0, true, false, true, false}, tile, 16});
    const double misses = walked[0] + walked[1];
    error += std::abs(std::log((value(n.input.l2_misses) + value(n.weight.l2_misses)) / misses));
    error_of_once += std::abs(std::log(static_cast<double>(p * c + c * k) / 64 / misses));
    error_of_every_tile += std::abs(std::log((value(n.input.requests) + value(n.weight.requests)) / misses));
  }
  RecordProperty("error", fmt::format("{:.3f}", error / cases));
  EXPECT_LT(error / cases, 0.17);
  EXPECT_GT(error_of_once / cases, 0.35);
  EXPECT_GT(error_of_every_tile / cases, 0.35);
}

/// DRAM reads of whole runs on RTL. The count is of inputs and weights; the outputs' lines that are written
/// in part are read, too.
TEST(ExecutedCounts, CacheMissesAreNearTheReadsOnRtl) {
  const auto path = data_folder() / "measurements" / "gemmini_rtl_large.csv";
  const CsvInput table = CsvInput::from_file(path);
  const Measurements m = read_measurements(path);
  ASSERT_EQ(m.rows.size(), table.rows());
  const torch::NoGradGuard no_gradients;
  const MeasuredRuns runs = MeasuredRuns::of(m);
  const Counts n = executed_counts(runs.tile, runs.pe_dim, runs.runs, false);
  const Tensor lines = n.input.l2_misses + n.weight.l2_misses;
  std::vector<double> errors;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const double read = table.number(row, "dram_read_bytes", 64, 1e12) / 64;
    errors.push_back(std::abs(std::log(lines[static_cast<std::int64_t>(row)].item<double>() / read)));
  }
  std::sort(errors.begin(), errors.end());
  EXPECT_LT(errors[errors.size() / 2], 0.1);
  EXPECT_LT(std::accumulate(errors.begin(), errors.end(), 0.0) / static_cast<double>(errors.size()), 0.25);
}

/// Tiles from one store to the next where they are closest, over the mean of the run: a walk over all tiles.
double store_spacing(const LoopOrder& order, const Layer& number) {
  Layer at;
  for (const Dim dim : all_dims()) at[dim] = 0;
  std::int64_t now = 0, stores = 0, last = 0, closest = INT64_MAX;
  for (bool done = false; !done; ++now) {
    const bool reduced = at[Dim::R] == number[Dim::R] - 1 && at[Dim::S] == number[Dim::S] - 1 &&
                         at[Dim::C] == number[Dim::C] - 1;
    if (reduced) {
      if (stores++ > 0) closest = std::min(closest, now - last);
      last = now;
    }
    done = true;
    for (const Dim dim : order) {
      if (++at[dim] < number[dim]) {
        done = false;
        break;
      }
      at[dim] = 0;
    }
  }
  return stores > 1 ? double(closest * stores) / double(now) : 1;
}

/// Fisher and Yates; unlike std::shuffle the same on every platform.
template <class List>
void shuffle(List& list, std::mt19937& engine) {
  for (std::size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[engine() % i]);
}

TEST(ExecutedCounts, BurstsOfStoresAreThoseOfAWalk) {
  std::mt19937 engine(7);
  int even = 0, bursts = 0;
  for (int draw = 0; draw < 300; ++draw) {
    constexpr int kTile = 4;
    LayerRun run;
    Layer number;
    for (const Dim dim : all_dims()) {
      number[dim] = 1 + engine() % 3;
      run.layer[dim] = kTile * number[dim];
    }
    shuffle(run.order, engine);
    const RunBatch batch = RunBatch::of({run}, RunRules{});
    const Tensor tile = torch::full({1, kDims}, double(kTile), torch::kFloat64);
    const double found = 1 - value(store_burstiness(tiles_along(tile, batch).log(), batch));
    const double walked = store_spacing(run.order, number);
    // A reduction outside n iterations counts with its power 1 - 1 / n, between a half and one.
    EXPECT_GE(found, walked - 1e-12);
    EXPECT_LE(found, std::sqrt(walked) + 1e-12);
    (walked == 1 ? even : bursts)++;
  }
  EXPECT_GT(even, 10);
  EXPECT_GT(bursts, 100);
}

TEST(ExecutedCounts, BatchesGiveWhatSingleLayersGive) {
  std::vector<LayerRun> runs;
  std::vector<Tensor> tiles, pe_dims;
  std::vector<Case> cases = random_cases(20, 3);
  for (Case& c : cases) {
    c.layer.packing = true;
    runs.push_back(run_of(c.layer));
    tiles.push_back(tensor_of(c.tile));
    pe_dims.push_back(torch::full({}, double(c.pe_dim), torch::kFloat64));
  }
  const RunBatch batch = RunBatch::of(runs, RunRules{});
  const Tensor twice = torch::stack({torch::stack(tiles), torch::stack(tiles)});
  const Counts all = executed_counts(twice, torch::stack(pe_dims), batch, false);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Counts one = exact_counts(cases[i]);
    for (int copy : {0, 1}) {
      const auto at = [&](const Tensor& t) { return t[copy][static_cast<std::int64_t>(i)].item<double>(); };
      EXPECT_EQ(at(all.floor), value(one.floor));
      EXPECT_EQ(at(all.zero_rows()), value(one.zero_rows()));
      EXPECT_NEAR(at(all.weight.l2_misses), value(one.weight.l2_misses), 1e-9 * value(one.weight.l2_misses));
    }
  }
}

/// Layers without padding whose tiles divide them, in whole blocks.
std::vector<Case> divisible_cases() {
  return {{{3, 3, 16, 16, 64, 64, 1, 1, 0, 18, false, true, true}, {3, 3, 16, 4, 32, 16, 1}, 16},
          {{1, 1, 32, 32, 128, 64, 1, 1, 0, 32, false, true, true}, {1, 1, 16, 8, 64, 64, 1}, 16},
          {{1, 1, 128, 1, 256, 128, 1, 1, 0, 0, true, true, true}, {1, 1, 64, 1, 128, 64, 1}, 16}};
}

TEST(RelaxedCounts, EqualTheExactOnesWhereTilesDivide) {
  for (const Case& c : divisible_cases()) {
    const RunBatch batch = RunBatch::of({run_of(c.layer)}, RunRules{});
    const Tensor pe_dim = torch::full({}, double(c.pe_dim), torch::kFloat64);
    const Tensor tile = tensor_of(c.tile).unsqueeze(0);
    const Counts e = executed_counts(tile, pe_dim, batch, false);
    const Counts r = executed_counts(tile, pe_dim, batch, true);
    EXPECT_NEAR(value(r.floor) / value(e.floor), 1, 1e-9);
    EXPECT_NEAR(value(r.executes) / value(e.executes), 1, 1e-9);
    EXPECT_NEAR(value(r.input.rows) / value(e.input.rows), 1, 1e-9);
    EXPECT_NEAR(value(r.input.requests) / value(e.input.requests), 1, 1e-9);
    EXPECT_NEAR(value(r.weight.requests) / value(e.weight.requests), 1, 1e-9);
    EXPECT_NEAR(value(r.weight.l2_misses) / value(e.weight.l2_misses), 1, 1e-9);
    EXPECT_NEAR(value(r.output.beats) / value(e.output.beats), 1, 1e-9);
  }
}

/// Any order of the loops, caches small enough to miss, two layers of different orders at once.
TEST(RelaxedCounts, MissesAndBurstsEqualTheExactOnesInEveryOrder) {
  std::mt19937 engine(5);
  RunRules rules;
  rules.l2_kib = 16;
  rules.llc_kib = 64;
  int missing = 0, bursty = 0;
  for (int draw = 0; draw < 100; ++draw) {
    std::vector<LayerRun> runs;
    std::vector<Tensor> tiles;
    for (const Case& c : divisible_cases()) {
      runs.push_back(run_of(c.layer));
      shuffle(runs.back().order, engine);
      tiles.push_back(tensor_of(c.tile));
    }
    const RunBatch batch = RunBatch::of(runs, rules);
    const Tensor pe_dim = torch::full({}, 16.0, torch::kFloat64);
    const Counts e = executed_counts(torch::stack(tiles), pe_dim, batch, false);
    const Counts r = executed_counts(torch::stack(tiles), pe_dim, batch, true);
    const auto same = [&](const Tensor& relaxed, const Tensor& exact) {
      EXPECT_LT((relaxed / exact - 1).abs().max().item<double>(), 1e-9);
    };
    same(r.input.l2_misses, e.input.l2_misses);
    same(r.input.llc_misses, e.input.llc_misses);
    same(r.weight.l2_misses, e.weight.l2_misses);
    same(r.weight.llc_misses, e.weight.llc_misses);
    same(r.output.l2_misses, e.output.l2_misses);
    same(r.output.llc_misses, e.output.llc_misses);
    const auto bursts = [&](bool relaxed) {
      return features_of(torch::stack(tiles), pe_dim, batch, relaxed).ratios.select(-1, -1);
    };
    EXPECT_LT((bursts(true) - bursts(false)).abs().max().item<double>(), 1e-12);
    bursty += (bursts(false) > 0).sum().item<int>();
    missing += (e.input.l2_misses > 1.5 * e.input.llc_misses).sum().item<int>();
  }
  EXPECT_GT(missing, 20);
  EXPECT_GT(bursty, 20);
}

TEST(RelaxedCounts, GradientsAreThoseOfFiniteDifferences) {
  for (const Case& c : divisible_cases()) {
    const RunBatch batch = RunBatch::of({run_of(c.layer)}, RunRules{});
    const Tensor pe_dim = torch::full({}, double(c.pe_dim), torch::kFloat64);
    const auto total = [&](const Tensor& log_tile) {
      const Counts n = executed_counts(log_tile.exp().unsqueeze(0), pe_dim, batch, true);
      return n.floor.log() + n.input.requests.log() + n.weight.beats.log() + n.input.l2_misses.log() +
             n.tiles.log() + n.output.llc_misses.log() + n.executes.log();
    };
    // Away from the kinks, which are at whole blocks.
    const Tensor point = (tensor_of(c.tile) * 1.17 + 0.013).log();
    const Tensor log_tile = torch::minimum(point, batch.size[0].log() - 0.01).clamp_min(0).requires_grad_();
    total(log_tile).backward();
    for (int dim = 0; dim < kDims; ++dim) {
      if (c.layer.matmul && batch.size[0][dim].item<double>() == 1) continue;
      if (batch.size[0][dim].item<double>() == 1) continue;
      const Tensor step = torch::zeros({kDims}, torch::kFloat64);
      step[dim] = 1e-6;
      const torch::NoGradGuard no_grad;
      const double numeric = ((total(log_tile + step) - total(log_tile - step)) / 2e-6).item<double>();
      EXPECT_NEAR(log_tile.grad()[dim].item<double>(), numeric, 1e-4 * std::max(1.0, std::abs(numeric)))
          << dim;
    }
  }
}

TEST(LegalTilings, FollowCapacityAndPadding) {
  const ArraySizes buffers{16, 256, 64};
  const auto legal = [&](const WalkLayer& l, const WalkTile& t) {
    return legal_tilings(tensor_of(t).unsqueeze(0), RunBatch::of({run_of(l)}, RunRules{}), buffers)[0]
        .item<bool>();
  };
  // The library's own choice for 3x3 64->64 on 56x56 fits, one row more does not.
  const WalkLayer conv{3, 3, 56, 56, 64, 64, 1, 1, 1, 56, false, true, true};
  EXPECT_TRUE(legal(conv, {3, 3, 23, 22, 64, 16, 1}));
  EXPECT_FALSE(legal(conv, {3, 3, 23, 23, 64, 16, 1}));
  // BERT 128x768x768: tiles of 5, 5 and 48 blocks.
  const WalkLayer matmul{1, 1, 128, 1, 768, 768, 1, 1, 0, 0, true, true, true};
  EXPECT_TRUE(legal(matmul, {1, 1, 80, 1, 768, 80, 1}));
  EXPECT_FALSE(legal(matmul, {1, 1, 96, 1, 768, 96, 1}));
  // Two tilings that hung the hardware, and one that is exactly empty and works.
  const WalkLayer seven{7, 7, 28, 28, 3, 8, 1, 2, 3, 55, false, true, true};
  EXPECT_FALSE(legal(seven, {7, 6, 28, 1, 3, 8, 1}));
  const WalkLayer five{5, 5, 24, 24, 6, 16, 1, 1, 2, 24, false, true, true};
  EXPECT_FALSE(legal(five, {5, 2, 24, 1, 6, 16, 1}));
  const WalkLayer three{3, 3, 8, 8, 16, 16, 1, 1, 1, 8, false, true, true};
  EXPECT_TRUE(legal(three, {1, 1, 8, 1, 16, 16, 1}));
}

/// Random layers as a design has them, with random tiles in and just out of range, on random sizes.
TEST(LegalTilings, AreThoseOfTheExporter) {
  std::mt19937 engine(11);
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(engine() % static_cast<std::uint32_t>(high - low + 1));
  };
  const std::vector<ArraySizes> sizes = gemmini::legal_hardware({4, 4, 4}, {32, 64, 16});
  int legal = 0, hanging = 0, checked = 0;
  while (checked < 4000) {
    Layer layer;
    layer.name = "random";
    const std::int64_t kernel = draw(1, 7);
    layer.size = {kernel, kernel, draw(1, 30), draw(1, 30), draw(1, 100), draw(1, 100), draw(1, 2)};
    layer.wstride = layer.hstride = draw(1, 3);
    if (draw(0, 3) > 0) layer.padding = draw(0, kernel - 1);
    std::vector<gemmini::Call> calls;
    for (const gemmini::Call call : {gemmini::Call::kMatmul, gemmini::Call::kConv}) {
      if (gemmini::check_call(layer, call).empty()) calls.push_back(call);
    }
    if (calls.empty()) continue;
    gemmini::Tile tile;
    tile.call = calls[static_cast<std::size_t>(draw(0, static_cast<std::int64_t>(calls.size()) - 1))];
    const ArraySizes& built =
        sizes[static_cast<std::size_t>(draw(0, static_cast<std::int64_t>(sizes.size()) - 1))];
    const std::int64_t granule = tile.call == gemmini::Call::kMatmul ? built.pe_dim : 1;
    std::vector<double> numbers;
    for (const Dim d : all_dims()) {
      const std::int64_t most = gemmini::max_tile(layer, tile.call, d, built.pe_dim);
      tile[d] = most == 1 ? 1 : draw(1, most / granule) * granule;
      if (draw(0, 2) == 0) tile[d] = most == 1 ? 1 : std::min(most, granule);
      numbers.push_back(static_cast<double>(tile[d]));
    }
    const RunBatch batch = RunBatch::of({LayerRun::of(layer, tile.call)}, RunRules{});
    const Tensor sizes_of_tile = torch::tensor(numbers, torch::kFloat64).unsqueeze(0);
    SCOPED_TRACE(to_json(layer).dump() + gemmini::to_string(tile) + to_json(built).dump());
    const bool expected = gemmini::tile_is_legal(layer, gemmini::params_of(built), tile);
    ASSERT_EQ(legal_tilings(sizes_of_tile, batch, built)[0].item<bool>(), expected);
    const gemmini::Rows need = gemmini::rows_needed(layer, tile, built.pe_dim);
    const TileRows rows =
        tile_rows(sizes_of_tile, torch::full({}, double(built.pe_dim), torch::kFloat64), batch, false);
    ASSERT_EQ(value(rows.input) + value(rows.weight), double(need.scratchpad));
    ASSERT_EQ(value(rows.output), double(need.accumulator));
    legal += expected;
    hanging += gemmini::hangs(layer, tile);
    ++checked;
  }
  EXPECT_GT(legal, 500);
  EXPECT_GT(hanging, 50);
}

}  // namespace
}  // namespace dosa
