/* Written by dosa for ucb-bar/gemmini 8c3f992 and the version of ucb-bar/gemmini-rocc-tests that plan.json
   names.

   How one row of dosa_tiles.h is run, timed, checked and printed on a Gemmini without an operating system.
   This file is the same for every design; what depends on it, rows, sizes and assertions on gemmini_params.h,
   stands in dosa_tiles.h, and a program (dosa_batch_*.c) names its rows and includes this file. Compiled by
   itself it measures all rows. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "include/gemmini_testutils.h"

/* One measurement: a layer, the call that runs it, and its tile. */
struct dosa_row {
  int layer, mapping;         /* positions in plan.json */
  int shift;                  /* outputs are sums times 2^-shift */
  int conv;                   /* 1: tiled_conv, 0: tiled_matmul */
  int i, j, k;                /* tiled_matmul: rows, columns, inner */
  int tile_i, tile_j, tile_k; /* in blocks of DIM */
  int batch, in_rows, in_cols, in_channels, out_channels, out_rows, out_cols, stride, dilation, padding,
      kernel;
  int batches, porows, pocols, pochs, krows, kcols, kchs; /* the tile of tiled_conv, in elements */
};

#include "dosa_tiles.h"

/* Outputs compared with a reference after each measurement; all of them if negative (slow on a simulator). */
#ifndef DOSA_CHECK_POINTS
#define DOSA_CHECK_POINTS 32
#endif

/* Operands must come from DRAM. Where the last-level cache is SiFive's inclusive one, as in Chipyard, it is
   told to give up their lines, at its registers here (0: never). */
#ifndef DOSA_CACHE_CONTROL
#define DOSA_CACHE_CONTROL 0x2010000
#endif

/* Elsewhere, before each measurement, what competes with the operands for the caches is read out of so many
   bytes. A power of two, at least twice the last-level cache. */
#ifndef DOSA_EVICT_BYTES
#define DOSA_EVICT_BYTES (1 << 20)
#endif
_Static_assert(DOSA_EVICT_BYTES >= 1024 && (DOSA_EVICT_BYTES & (DOSA_EVICT_BYTES - 1)) == 0,
               "DOSA_EVICT_BYTES is a power of two of at least 1024");

/* The rows that this program measures. */
#ifndef DOSA_FIRST
#define DOSA_FIRST 0
#define DOSA_COUNT (int)(sizeof dosa_rows / sizeof dosa_rows[0])
#endif

static elem_t dosa_input[DOSA_INPUT_BYTES] __attribute__((aligned(64)));
static elem_t dosa_weights[DOSA_WEIGHT_BYTES] __attribute__((aligned(64)));
static elem_t dosa_output[DOSA_OUTPUT_BYTES] __attribute__((aligned(64)));
/* What the outputs that are compared must be. */
static elem_t dosa_expected[DOSA_CHECK_POINTS < 0 ? DOSA_OUTPUT_BYTES : DOSA_CHECK_POINTS + 1];

/* Elements of a row's operands. */
struct dosa_sizes {
  size_t input, weights, output;
};

static struct dosa_sizes dosa_sizes_of(const struct dosa_row* row) {
  struct dosa_sizes sizes;
  if (row->conv) {
    sizes.input = (size_t)row->batch * row->in_rows * row->in_cols * row->in_channels;
    sizes.weights = (size_t)row->kernel * row->kernel * row->in_channels * row->out_channels;
    sizes.output = (size_t)row->batch * row->out_rows * row->out_cols * row->out_channels;
  } else {
    sizes.input = (size_t)row->i * row->k;
    sizes.weights = (size_t)row->k * row->j;
    sizes.output = (size_t)row->i * row->j;
  }
  return sizes;
}

/* Operands are small, so that sums of products spread over the int8 outputs without all of them saturating.
 */
static void dosa_fill(elem_t* data, size_t count, uint64_t seed) {
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

/* Whether a line at `at` competes for a place in a cache with one of these bytes. Of DOSA_EVICT_BYTES, 16
   lines do so for each of theirs, twice as many as there are places in a cache of 8 ways or fewer and half
   the bytes or fewer. */
static bool dosa_competes(uintptr_t at, const elem_t* data, size_t bytes) {
  return ((at - (uintptr_t)data) & (DOSA_EVICT_BYTES / 16 - 1)) < bytes;
}

/* Reads what takes the place of the operands in the caches. */
static void dosa_displace(const struct dosa_sizes* sizes) {
  static volatile unsigned char lines[DOSA_EVICT_BYTES] __attribute__((aligned(64)));
  for (size_t i = 0; i < sizeof lines / 16; i += 64) {
    const uintptr_t at = (uintptr_t)&lines[i];
    if (!dosa_competes(at, dosa_input, sizes->input) && !dosa_competes(at, dosa_weights, sizes->weights) &&
        !dosa_competes(at, dosa_output, sizes->output))
      continue;
    for (size_t way = 0; way < 16; ++way) (void)lines[i + way * (sizeof lines / 16)];
  }
}

/* Whether the last-level cache can be told to give up lines of 64 bytes. Its first register holds the numbers
   of banks and ways and the logarithms of sets and bytes a line, one byte each; on other systems the read
   gives something else or traps, to the instruction behind it. */
static bool dosa_has_cache_control(void) {
#if defined(__riscv) && DOSA_CACHE_CONTROL
  uint32_t found = 0;
  uintptr_t handler;
  asm volatile(
      "la %1, 1f\n"
      "csrrw %1, mtvec, %1\n"
      "lw %0, 0(%2)\n"
      ".balign 4\n"
      "1: csrw mtvec, %1"
      : "+r"(found), "=&r"(handler)
      : "r"((uintptr_t)DOSA_CACHE_CONTROL)
      : "memory");
  return (found & 0xff) != 0 && (found >> 8 & 0xff) != 0 && found >> 24 == 6;
#else
  return false;
#endif
}

/* Writes the lines of these bytes back to DRAM and leaves no copy in a cache; the last store waits for it. */
static void dosa_flush(const elem_t* data, size_t bytes) {
  volatile uint64_t* const flush = (volatile uint64_t*)(uintptr_t)(DOSA_CACHE_CONTROL + 0x200);
  for (size_t i = 0; i < bytes; i += 64) *flush = (uintptr_t)data + i;
}

/* Brings the operands from the caches to DRAM. */
static void dosa_evict(const struct dosa_sizes* sizes) {
  if (!dosa_has_cache_control()) {
    dosa_displace(sizes);
    return;
  }
  __sync_synchronize();
  dosa_flush(dosa_input, sizes->input);
  dosa_flush(dosa_weights, sizes->weights);
  dosa_flush(dosa_output, sizes->output);
  __sync_synchronize();
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
static elem_t dosa_reference(const struct dosa_row* row, size_t index) {
  const elem_t *input = dosa_input, *weights = dosa_weights;
  acc_t sum = 0;
  if (!row->conv) {
    const size_t i = index / row->j, j = index % row->j;
    for (int k = 0; k < row->k; ++k) sum += (acc_t)input[i * row->k + k] * weights[(size_t)k * row->j + j];
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
      const elem_t* pixel =
          input + ((image * row->in_rows + in_row) * row->in_cols + in_col) * row->in_channels;
      const elem_t* weight =
          weights + ((size_t)krow * row->kernel + kcol) * row->in_channels * row->out_channels + channel;
      for (int c = 0; c < row->in_channels; ++c)
        sum += (acc_t)pixel[c] * weight[(size_t)c * row->out_channels];
    }
  }
  return dosa_scaled(sum, row->shift);
}

static void dosa_call(const struct dosa_row* row, const elem_t* input, const elem_t* weights,
                      elem_t* output) {
  const acc_scale_t scale = (acc_scale_t)1 / (acc_scale_t)(1 << row->shift);
  if (!row->conv) {
    tiled_matmul(row->i, row->j, row->k, input, weights, NULL, output, row->k, row->j, row->j, row->j,
                 MVIN_SCALE_IDENTITY, MVIN_SCALE_IDENTITY, MVIN_SCALE_IDENTITY, NO_ACTIVATION, scale, 0,
                 false, row->tile_i, row->tile_j, row->tile_k, false, false, false, false, 0, WS);
    return;
  }
  tiled_conv(row->batch, row->in_rows, row->in_cols, row->in_channels, row->out_channels, row->out_rows,
             row->out_cols, row->stride, 1, row->dilation, row->padding, row->kernel,
#ifndef DOSA_CONV_WITHOUT_STRIDES /* define it for a library whose tiled_conv takes no row strides */
             row->in_channels, row->out_channels, row->out_channels,
#endif
             false, false, false, false, false, row->batches, row->porows, row->pocols, row->pochs,
             row->krows, row->kcols, row->kchs, input, weights, NULL, output, NO_ACTIVATION, scale, 0, 0, 0,
             WS);
}

/* A small unrelated call of the same function: the library's code and Gemmini's configuration are then warm.
 */
static void dosa_warm_up(bool conv) {
  static elem_t input[16 * DIM] __attribute__((aligned(64)));
  static elem_t weights[9 * DIM * DIM] __attribute__((aligned(64)));
  static elem_t output[16 * DIM] __attribute__((aligned(64)));
  static const struct dosa_row rows[2] = {
      {.conv = 0, .i = 16, .j = DIM, .k = DIM, .tile_i = 1, .tile_j = 1, .tile_k = 1},
      {.conv = 1,
       .batch = 1,
       .in_rows = 4,
       .in_cols = 4,
       .in_channels = DIM,
       .out_channels = DIM,
       .out_rows = 4,
       .out_cols = 4,
       .stride = 1,
       .dilation = 1,
       .padding = 1,
       .kernel = 3,
       .batches = 1,
       .porows = 1,
       .pocols = 1,
       .pochs = DIM,
       .krows = 3,
       .kcols = 3,
       .kchs = DIM}};
  dosa_call(&rows[conv], input, weights, output);
  gemmini_fence();
}

/* How many outputs are compared, and which one is at a place among them: the first, the last, and any others.
 */
static size_t dosa_points(size_t outputs) {
  return DOSA_CHECK_POINTS < 0 || outputs <= (size_t)DOSA_CHECK_POINTS ? outputs : (size_t)DOSA_CHECK_POINTS;
}
static size_t dosa_point(size_t place, size_t outputs) {
  if (dosa_points(outputs) == outputs) return place;
  if (place < 2) return place == 0 ? 0 : outputs - 1;
  return (size_t)(place * UINT64_C(0x9e3779b97f4a7c15) >> 20) % outputs;
}

/* What all tilings of a layer have in common: its operands, and what is expected of its outputs. */
static void dosa_prepare(const struct dosa_row* row) {
  const struct dosa_sizes sizes = dosa_sizes_of(row);
  dosa_fill(dosa_input, sizes.input, row->layer + 1);
  dosa_fill(dosa_weights, sizes.weights, row->layer + 1000003);
  for (size_t p = 0; p < dosa_points(sizes.output); ++p)
    dosa_expected[p] = dosa_reference(row, dosa_point(p, sizes.output));
}

/* Runs a row whose layer is prepared. Prints "dosa,<layer id>,<mapping id>,<cycles>" if the result is right.
 */
static int dosa_measure(const struct dosa_row* row) {
  const struct dosa_sizes sizes = dosa_sizes_of(row);
  const size_t points = dosa_points(sizes.output);
  /* What an earlier tiling has left there must not pass. */
  for (size_t p = 0; p < points; ++p) dosa_output[dosa_point(p, sizes.output)] = dosa_expected[p] ^ 0x55;
  dosa_evict(&sizes);
  const struct dosa_row now = *row; /* on the stack, which no eviction has touched since */
  dosa_warm_up(now.conv);
  const uint64_t start = read_cycles();
  dosa_call(&now, dosa_input, dosa_weights, dosa_output);
  gemmini_fence();
  const uint64_t cycles = read_cycles() - start;

  for (size_t p = 0; p < points; ++p) {
    const size_t index = dosa_point(p, sizes.output);
    if (dosa_output[index] != dosa_expected[p]) {
      printf("dosa-wrong,%d,%d,%llu,%d,%d\n", row->layer, row->mapping, (unsigned long long)index,
             dosa_output[index], dosa_expected[p]);
      return 1;
    }
  }
  printf("dosa,%d,%d,%llu\n", row->layer, row->mapping, (unsigned long long)cycles);
  return 0;
}

/* The exit code says whether some result was wrong. */
int main(void) {
  int wrong = 0;
  gemmini_flush(0);
  for (int i = DOSA_FIRST; i < DOSA_FIRST + DOSA_COUNT; ++i) {
    const struct dosa_row* row = &dosa_rows[i];
    if (i == DOSA_FIRST || row->layer != row[-1].layer || row->conv != row[-1].conv) dosa_prepare(row);
    wrong += dosa_measure(row);
  }
  return wrong != 0;
}
