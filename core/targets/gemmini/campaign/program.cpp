#include "dosa/core/targets/gemmini/campaign/program.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

using gemmini::Call;

std::string origin(const char* comment) {
  return fmt::format("{0} Written by dosa for {1} and {2}.\n", comment, gemmini::kHardwareCommit,
                     gemmini::kLibraryCommit);
}

/// Bytes of the three operands as the harness lays them out: rows without gaps.
struct Bytes {
  std::int64_t input = 0, weights = 0, output = 0;
};
Bytes operand_bytes(const Layer& l, Call call) {
  const DimSizes e = gemmini::extents(l, call);
  const auto at = [&](Dim d) { return e[static_cast<std::size_t>(d)]; };
  const std::int64_t pixels =
      call == Call::kMatmul ? at(Dim::P) : at(Dim::N) * l.input_height() * l.input_width();
  return {pixels * at(Dim::C), at(Dim::R) * at(Dim::S) * at(Dim::C) * at(Dim::K),
          at(Dim::P) * at(Dim::Q) * at(Dim::N) * at(Dim::K)};
}

/// A name inside a C comment: it may neither end the comment nor the line.
std::string comment(std::string text) {
  for (char& c : text) {
    if (c == '*' || c == '/' || c == '\\' || c == '?' || static_cast<unsigned char>(c) < ' ') c = '_';
  }
  return text;
}

std::string row_text(const Plan& plan, std::size_t index) {
  const PlannedCall& m = plan.measurements[index];
  const Layer& l = plan.layers[m.layer];
  const gemmini::Tile& t = m.tile;
  std::string text =
      fmt::format("    {{.layer = {}, .mapping = {}, .shift = {}, ", m.layer, index, output_shift(l, t.call));
  if (t.call == Call::kMatmul) {
    const DimSizes e = gemmini::extents(l, t.call);
    const auto at = [&](Dim d) { return e[static_cast<std::size_t>(d)]; };
    const std::int64_t dim = plan.hardware.pe_dim;
    text +=
        fmt::format(".conv = 0, .i = {}, .j = {}, .k = {}, .tile_i = {}, .tile_j = {}, .tile_k = {}",
                    at(Dim::P), at(Dim::K), at(Dim::C), t[Dim::P] / dim, t[Dim::K] / dim, t[Dim::C] / dim);
  } else {
    text += fmt::format(
        ".conv = 1, .batch = {}, .in_rows = {}, .in_cols = {}, .in_channels = {}, .out_channels = {}, "
        ".out_rows = {}, .out_cols = {}, .stride = {}, .dilation = {}, .padding = {}, .kernel = {},\n     "
        ".batches = {}, .porows = {}, .pocols = {}, .pochs = {}, .krows = {}, .kcols = {}, .kchs = {}",
        l[Dim::N], l.input_height(), l.input_width(), l[Dim::C], l[Dim::K], l[Dim::Q], l[Dim::P], l.hstride,
        l[Dim::S] == 1 ? 1 : l.hdilation, l.padding.value_or(0), l[Dim::S], t[Dim::N], t[Dim::Q], t[Dim::P],
        t[Dim::K], t[Dim::S], t[Dim::R], t[Dim::C]);
  }
  return text + fmt::format("}},  /* {}: {}{} */\n", comment(l.name), comment(m.tiling),
                            gemmini::sees_one_pixel(l) ? ", weights of the kernel's centre" : "");
}

constexpr const char* kHarness = R"(#ifndef DOSA_HARNESS_H
#define DOSA_HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "include/gemmini_testutils.h"

#include "dosa_tiles.h"

/* Outputs compared with a reference after each measurement; all of them if negative (slow on a simulator). */
#ifndef DOSA_CHECK_POINTS
#define DOSA_CHECK_POINTS 32
#endif

/* Read through before each measurement, so that operands come from DRAM. At least twice the last-level cache. */
#ifndef DOSA_EVICT_BYTES
#define DOSA_EVICT_BYTES (1 << 20)
#endif

/* Operands are small, so that sums of products spread over the int8 outputs without all of them saturating. */
static void dosa_fill(elem_t *data, size_t count, uint64_t seed) {
  uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
  for (size_t i = 0; i < count; i += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    /* Eight values in -4..3: three bits each, the third one copied into the rest of the byte. */
    const uint64_t low = state & UINT64_C(0x0707070707070707);
    const uint64_t sign = state & UINT64_C(0x0404040404040404);
    const uint64_t values = low | sign << 1 | sign << 2 | sign << 3 | sign << 4 | sign << 5;
    memcpy(data + i, &values, 8);
  }
}

static void dosa_evict(void) {
  static volatile unsigned char lines[DOSA_EVICT_BYTES] __attribute__((aligned(64)));
  for (size_t i = 0; i < sizeof lines; i += 64) (void)lines[i];
}

/* What the accumulator's scaling makes of a sum: times 2^-shift, rounded to nearest even, saturated. */
static elem_t dosa_scaled(acc_t sum, int shift) {
  int64_t value = sum;
  if (shift > 0) {
    const int64_t rest = value & ((INT64_C(1) << shift) - 1), half = INT64_C(1) << (shift - 1);
    value >>= shift;
    if (rest > half || (rest == half && (value & 1))) ++value;
  }
  return (elem_t)(value > 127 ? 127 : value < -128 ? -128 : value);
}

/* One output, computed on the core. */
static elem_t dosa_reference(const struct dosa_row *row, size_t index, const elem_t *input, const elem_t *weights) {
  acc_t sum = 0;
  if (!row->conv) {
    const size_t i = index / row->j, j = index % row->j;
    for (int k = 0; k < row->k; ++k)
      sum += (acc_t)input[i * row->k + k] * weights[(size_t)k * row->j + j];
    return dosa_scaled(sum, row->shift);
  }
  const int channel = index % row->out_channels, out_col = index / row->out_channels % row->out_cols;
  const int out_row = index / row->out_channels / row->out_cols % row->out_rows;
  const size_t image = index / row->out_channels / row->out_cols / row->out_rows;
  for (int krow = 0; krow < row->kernel; ++krow) {
    for (int kcol = 0; kcol < row->kernel; ++kcol) {
      const int in_row = out_row * row->stride + krow * row->dilation - row->padding;
      const int in_col = out_col * row->stride + kcol * row->dilation - row->padding;
      if (in_row < 0 || in_row >= row->in_rows || in_col < 0 || in_col >= row->in_cols) continue;
      const elem_t *pixel = input + ((image * row->in_rows + in_row) * row->in_cols + in_col) * row->in_channels;
      const elem_t *weight =
          weights + ((size_t)krow * row->kernel + kcol) * row->in_channels * row->out_channels + channel;
      for (int c = 0; c < row->in_channels; ++c) sum += (acc_t)pixel[c] * weight[(size_t)c * row->out_channels];
    }
  }
  return dosa_scaled(sum, row->shift);
}

static void dosa_call(const struct dosa_row *row, const elem_t *input, const elem_t *weights, elem_t *output) {
  const acc_scale_t scale = (acc_scale_t)1 / (acc_scale_t)(1 << row->shift);
  if (!row->conv) {
    tiled_matmul(row->i, row->j, row->k, input, weights, NULL, output, row->k, row->j, row->j, row->j,
                 MVIN_SCALE_IDENTITY, MVIN_SCALE_IDENTITY, MVIN_SCALE_IDENTITY, NO_ACTIVATION, scale, 0, false,
                 row->tile_i, row->tile_j, row->tile_k, false, false, false, false, 0, WS);
    return;
  }
  tiled_conv(row->batch, row->in_rows, row->in_cols, row->in_channels, row->out_channels, row->out_rows,
             row->out_cols, row->stride, 1, row->dilation, row->padding, row->kernel,
#ifndef DOSA_CONV_WITHOUT_STRIDES /* define it for a library whose tiled_conv takes no row strides */
             row->in_channels, row->out_channels, row->out_channels,
#endif
             false, false, false, false, false, row->batches, row->porows, row->pocols, row->pochs, row->krows,
             row->kcols, row->kchs, input, weights, NULL, output, NO_ACTIVATION, scale, 0, 0, 0, WS);
}

/* A small unrelated call of the same function: the library's code and Gemmini's configuration are then warm. */
static void dosa_warm_up(bool conv) {
  static elem_t input[16 * DIM] __attribute__((aligned(64)));
  static elem_t weights[9 * DIM * DIM] __attribute__((aligned(64)));
  static elem_t output[16 * DIM] __attribute__((aligned(64)));
  static const struct dosa_row rows[2] = {
      {.conv = 0, .i = 16, .j = DIM, .k = DIM, .tile_i = 1, .tile_j = 1, .tile_k = 1},
      {.conv = 1, .batch = 1, .in_rows = 4, .in_cols = 4, .in_channels = DIM, .out_channels = DIM, .out_rows = 4,
       .out_cols = 4, .stride = 1, .dilation = 1, .padding = 1, .kernel = 3, .batches = 1, .porows = 1, .pocols = 1,
       .pochs = DIM, .krows = 3, .kcols = 3, .kchs = DIM}};
  dosa_call(&rows[conv], input, weights, output);
  gemmini_fence();
}

/* Runs one row. Prints "dosa,<layer id>,<mapping id>,<cycles>" if the result is right. */
static int dosa_measure(const struct dosa_row *row, elem_t *input, elem_t *weights, elem_t *output) {
  const size_t pixels = row->conv ? (size_t)row->batch * row->in_rows * row->in_cols : (size_t)row->i;
  const size_t inputs = pixels * (row->conv ? row->in_channels : row->k);
  const size_t taps = row->conv ? (size_t)row->kernel * row->kernel * row->in_channels : (size_t)row->k;
  const size_t channels = row->conv ? row->out_channels : row->j;
  const size_t outputs = (row->conv ? (size_t)row->batch * row->out_rows * row->out_cols : (size_t)row->i) * channels;
  dosa_fill(input, inputs, row->layer + 1);
  dosa_fill(weights, taps * channels, row->layer + 1000003);
  memset(output, 0x55, outputs); /* a result left by an earlier mapping of the layer must not pass */
  dosa_warm_up(row->conv);
  dosa_evict();
  gemmini_fence();
  const uint64_t start = read_cycles();
  dosa_call(row, input, weights, output);
  gemmini_fence();
  const uint64_t cycles = read_cycles() - start;

  const bool all = DOSA_CHECK_POINTS < 0 || outputs <= (size_t)DOSA_CHECK_POINTS;
  const size_t points = all ? outputs : (size_t)DOSA_CHECK_POINTS;
  uint64_t state = row->mapping;
  for (size_t p = 0; p < points; ++p) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    /* The first and the last output, and any others. */
    const size_t index = all ? p : p == 0 ? 0 : p == 1 ? outputs - 1 : (size_t)(state >> 16) % outputs;
    const elem_t expected = dosa_reference(row, index, input, weights);
    if (output[index] != expected) {
      printf("dosa-wrong,%d,%d,%llu,%d,%d\n", row->layer, row->mapping, (unsigned long long)index, output[index],
             expected);
      return 1;
    }
  }
  printf("dosa,%d,%d,%llu\n", row->layer, row->mapping, (unsigned long long)cycles);
  return 0;
}

/* Runs `count` rows of the table from `first`; the number of wrong results. */
static int dosa_run(int first, int count, elem_t *input, elem_t *weights, elem_t *output) {
  int wrong = 0;
  gemmini_flush(0);
  for (int i = first; i < first + count; ++i) wrong += dosa_measure(&dosa_rows[i], input, weights, output);
  return wrong;
}

#endif /* DOSA_HARNESS_H */
)";

}  // namespace

int output_shift(const Layer& layer, Call call) {
  // A product of two values in -4..3 has mean 0.25 and standard deviation 5.5.
  const DimSizes e = gemmini::extents(layer, call);
  const auto at = [&](Dim d) { return static_cast<double>(e[static_cast<std::size_t>(d)]); };
  const double terms = at(Dim::R) * at(Dim::S) * at(Dim::C);
  const double reach = 0.25 * terms + 2 * 5.5 * std::sqrt(terms);
  return std::clamp(static_cast<int>(std::ceil(std::log2(reach / 100))), 0, 30);
}

std::string scala_config(const Hardware& built) {
  return origin("//") + fmt::format(R"(
// Into src/main/scala/gemmini/CustomConfigs.scala, object GemminiCustomConfigs:

  val dosa = defaultConfig.copy(
    meshRows = {0}, meshColumns = {0}, tileRows = 1, tileColumns = 1,
    dataflow = Dataflow.WS,
    sp_capacity = CapacityInKilobytes({1}), acc_capacity = CapacityInKilobytes({2}),
    sp_banks = 4, acc_banks = 2,
    has_training_convs = false
  )

// And point customConfig at it:

  val customConfig = dosa
)",
                                    built.pe_dim, built.scratchpad_kib, built.accumulator_kib);
}

std::string scala_soc(const Hardware& built) {
  return origin("//") +
         fmt::format(
             R"(// An SoC around GemminiCustomConfigs.customConfig ({} x {}); beside Chipyard's own configurations.
package chipyard

import org.chipsalliance.cde.config.Config

class DosaGemminiConfig extends Config(
  new gemmini.GemminiCustomConfig ++
  new freechips.rocketchip.rocket.WithNHugeCores(1) ++
  new chipyard.config.WithSystemBusWidth(128) ++
  new chipyard.config.AbstractConfig)
)",
             built.pe_dim, built.pe_dim);
}

Json expected_params(const Hardware& built) {
  const gemmini::Params params = gemmini::params_of(built);
  return {{"built_from", gemmini::kHardwareCommit},
          {"file", "gemmini_params.h"},
          {"DIM", params.dim},
          {"BANK_NUM", params.bank_num},
          {"BANK_ROWS", params.bank_rows},
          {"ACC_ROWS", params.acc_rows},
          {"elem_t", "int8_t"},
          {"acc_t", "int32_t"},
          {"HAS_FIRST_LAYER_OPTIMIZATIONS", true}};
}

std::string tile_table(const Plan& plan) {
  const gemmini::Params params = gemmini::params_of(plan.hardware);
  std::string text = "/*" + origin("").substr(0, origin("").size() - 1) + " */\n";
  text += R"(#ifndef DOSA_TILES_H
#define DOSA_TILES_H

#include "include/gemmini_params.h"

)";
  const auto expect = [&](const char* name, std::int64_t value) {
    text += fmt::format("_Static_assert({} == {}, \"the tiles are for a Gemmini with {} {}\");\n", name,
                        value, name, value);
  };
  expect("DIM", params.dim);
  expect("BANK_NUM", params.bank_num);
  expect("BANK_ROWS", params.bank_rows);
  expect("ACC_ROWS", params.acc_rows);
  text +=
      R"(_Static_assert(sizeof(elem_t) == 1 && sizeof(acc_t) == 4, "the tiles are for int8 operands and int32 sums");

/* One measurement: a layer, the call that runs it, and its tile. */
struct dosa_row {
  int layer, mapping; /* positions in plan.json */
  int shift;          /* outputs are sums times 2^-shift */
  int conv;           /* 1: tiled_conv, 0: tiled_matmul */
  int i, j, k;                /* tiled_matmul: rows, columns, inner */
  int tile_i, tile_j, tile_k; /* in blocks of DIM */
  int batch, in_rows, in_cols, in_channels, out_channels, out_rows, out_cols, stride, dilation, padding, kernel;
  int batches, porows, pocols, pochs, krows, kcols, kchs; /* the tile of tiled_conv, in elements */
};

static const struct dosa_row dosa_rows[] = {
)";
  for (std::size_t i = 0; i < plan.measurements.size(); ++i) text += row_text(plan, i);
  text += "};\n\n#endif /* DOSA_TILES_H */\n";
  return text;
}

std::string harness() { return "/*" + origin("").substr(0, origin("").size() - 1) + " */\n" + kHarness; }

std::string program_text(const Plan& plan, std::size_t program) {
  const std::size_t first = program * plan.per_program;
  const std::size_t end = std::min(plan.measurements.size(), first + plan.per_program);
  Bytes most;
  std::string rows;
  for (std::size_t i = first; i < end; ++i) {
    const PlannedCall& m = plan.measurements[i];
    const Layer& layer = plan.layers[m.layer];
    const Bytes bytes = operand_bytes(layer, m.tile.call);
    most.input = std::max(most.input, bytes.input);
    most.weights = std::max(most.weights, bytes.weights);
    most.output = std::max(most.output, bytes.output);
    rows += fmt::format("   {:>5} {}: {} ({})\n", i, comment(layer.name), gemmini::to_string(m.tile),
                        comment(m.tiling));
  }
  if (most.input + most.weights + most.output > std::int64_t{1} << 30) {
    fail(ErrorId::kValue,
         "program {}: its operands need {} bytes; a bare-metal program has room for 1 GiB; "
         "nearest legal: fewer or smaller layers",
         program, most.input + most.weights + most.output);
  }
  return "/*" + origin("").substr(0, origin("").size() - 1) +
         fmt::format(R"(
   mapping id, layer, tile:
{0}*/
#include "dosa_harness.h"

static elem_t input[{1}] __attribute__((aligned(64)));
static elem_t weights[{2}] __attribute__((aligned(64)));
static elem_t output[{3}] __attribute__((aligned(64)));

int main(void) {{ return dosa_run({4}, {5}, input, weights, output) != 0; }}
)",
                     rows, round_up(most.input, 64), round_up(most.weights, 64), round_up(most.output, 64),
                     first, end - first);
}

std::string makefile_notes(const Plan& plan) {
  std::string programs;
  for (std::size_t program = 0; program < plan.program_count(); ++program) {
    const std::string name = plan.program_of(program * plan.per_program);
    programs += " \\\n\t" + name.substr(0, name.size() - 2);
  }
  return origin("#") +
         R"(# 1. Hardware: paste CustomConfigs.scala and DosaSoCConfig.scala as they say, then elaborate DosaGemminiConfig.
#    Elaboration rewrites gemmini-rocc-tests/include/gemmini_params.h; expected_params.json holds what must be
#    in it. The programs check that at compile time.
# 2. Programs: copy dosa_*.c and dosa_*.h into gemmini-rocc-tests/bareMetalC, append the list below to `tests` in
#    bareMetalC/Makefile, and run gemmini-rocc-tests/build.sh.
# 3. Run dosa_batch_*-baremetal on the simulator, on FireSim or on the chip, and collect what they print:
#      dosa collect uart.log --plan plan.json -o measurements.csv
#    One line for each measurement with a right result: dosa,<layer id>,<mapping id>,<cycles>
# Options, for CFLAGS: -DDOSA_EVICT_BYTES=8388608 with a last-level cache of 4 MiB; -DDOSA_CHECK_POINTS=-1 compares
# every output; -DDOSA_CONV_WITHOUT_STRIDES for a library whose tiled_conv takes no row strides.
tests +=)" +
         programs + "\n";
}

}  // namespace dosa
