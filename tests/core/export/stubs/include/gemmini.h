/* The two library calls that our programs use, with the library's arguments. On the host they are a plain reference
   that also walks the tiles: what does not fit, or would never finish on the hardware, aborts. Cross-compiled they
   only have to be declared as the library does. */
#ifndef SRC_MAIN_C_GEMMINI_H
#define SRC_MAIN_C_GEMMINI_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "include/gemmini_params.h"

#define NO_ACTIVATION 0
enum tiled_matmul_type_t { OS, WS, CPU };

#define gemmini_flush(skip) ((void)(skip))
#define gemmini_fence() __asm__ volatile("" ::: "memory")

static void stub_require(bool holds, const char *what) {
  if (holds) return;
  printf("stub: %s\n", what);
  exit(3);
}

static size_t stub_blocks(size_t elements) { return (elements + DIM - 1) / DIM; }
static size_t stub_min(size_t a, size_t b) { return a < b ? a : b; }

/* Through float arithmetic, as the hardware does, where the programs use integers. */
static elem_t stub_scaled(acc_t sum, acc_scale_t scale) {
  const double scaled = (double)sum * scale;
  double rounded = floor(scaled);
  const double rest = scaled - rounded;
  if (rest > 0.5 || (rest == 0.5 && fmod(rounded, 2) != 0)) rounded += 1;
  return (elem_t)(rounded > 127 ? 127 : rounded < -128 ? -128 : rounded);
}

static void tiled_matmul(size_t dim_I, size_t dim_J, size_t dim_K, const elem_t *A, const elem_t *B, const void *D,
                         void *C, size_t stride_A, size_t stride_B, size_t stride_D, size_t stride_C,
                         scale_t A_scale_factor, scale_t B_scale_factor, scale_acc_t D_scale_factor, int act,
                         acc_scale_t scale, acc_scale_t bert_scale, bool repeating_bias, size_t tile_I, size_t tile_J,
                         size_t tile_K, bool transpose_A, bool transpose_B, bool full_C, bool low_D, uint8_t weightA,
                         enum tiled_matmul_type_t type) {
  stub_require(D == NULL && stride_D == dim_J && A_scale_factor == 1 && B_scale_factor == 1 && D_scale_factor == 1,
               "matmul: no bias, no input scaling");
  stub_require(act == NO_ACTIVATION && bert_scale == 0 && !repeating_bias && !transpose_A && !transpose_B && !full_C &&
                   !low_D && weightA == 0 && type == WS,
               "matmul: plain weight-stationary product");
  stub_require(tile_I >= 1 && tile_J >= 1 && tile_K >= 1 && tile_I <= stub_blocks(dim_I) &&
                   tile_J <= stub_blocks(dim_J) && tile_K <= stub_blocks(dim_K),
               "matmul: tile out of range");
  stub_require((tile_I * tile_K + tile_K * tile_J) * DIM <= BANK_NUM * BANK_ROWS / 2, "matmul: scratchpad overflow");
  stub_require(tile_I * tile_J * DIM <= ACC_ROWS / 2, "matmul: accumulator overflow");
  acc_t *sums = calloc(dim_I * dim_J, sizeof *sums);
  stub_require(sums != NULL, "memory");
  for (size_t i0 = 0; i0 < dim_I; i0 += tile_I * DIM)
    for (size_t j0 = 0; j0 < dim_J; j0 += tile_J * DIM)
      for (size_t k0 = 0; k0 < dim_K; k0 += tile_K * DIM)
        for (size_t i = i0; i < stub_min(dim_I, i0 + tile_I * DIM); ++i)
          for (size_t j = j0; j < stub_min(dim_J, j0 + tile_J * DIM); ++j)
            for (size_t k = k0; k < stub_min(dim_K, k0 + tile_K * DIM); ++k)
              sums[i * dim_J + j] += (acc_t)A[i * stride_A + k] * B[k * stride_B + j];
  for (size_t i = 0; i < dim_I; ++i)
    for (size_t j = 0; j < dim_J; ++j)
      ((elem_t *)C)[i * stride_C + j] = stub_scaled(sums[i * dim_J + j], scale);
  free(sums);
}

/* The part of a tile's window that is real input; negative is what the hardware never finishes. */
static int stub_window(int start, int size, int input) {
  const int before = start < 0 ? -start : 0, after = start + size > input ? start + size - input : 0;
  return size - before - after;
}

static void tiled_conv(int batch_size, int in_row_dim, int in_col_dim, int in_channels, int out_channels,
                       int out_row_dim, int out_col_dim, int stride, int input_dilation, int kernel_dilation,
                       int padding, int kernel_dim, int in_stride, int weight_stride, int out_stride, bool wrot180,
                       bool trans_output_1203, bool trans_input_3120, bool trans_weight_1203, bool trans_weight_0132,
                       int batches, int porows, int pocols, int pochs, int krows, int kcols, int kchs,
                       const elem_t *input, const elem_t *weights, const acc_t *bias, elem_t *output, int act,
                       acc_scale_t scale, int pool_size, int pool_stride, int pool_padding,
                       enum tiled_matmul_type_t type) {
  stub_require(input_dilation == 1 && !wrot180 && !trans_output_1203 && !trans_input_3120 && !trans_weight_1203 &&
                   !trans_weight_0132 && bias == NULL && act == NO_ACTIVATION && pool_size == 0 && pool_stride == 0 &&
                   pool_padding == 0 && type == WS,
               "conv: plain weight-stationary convolution");
  stub_require(padding < kernel_dim, "conv: padding");
  stub_require(in_stride >= in_channels && weight_stride >= out_channels && out_stride >= out_channels, "conv: strides");
  stub_require(out_row_dim == (in_row_dim + 2 * padding - (kernel_dim - 1) * kernel_dilation - 1) / stride + 1 &&
                   out_col_dim == (in_col_dim + 2 * padding - (kernel_dim - 1) * kernel_dilation - 1) / stride + 1,
               "conv: output size");
  const bool downsample =
      stride == 2 && kernel_dim == 1 && padding == 0 && in_row_dim % 2 == 0 && in_col_dim % 2 == 0;
  const size_t rows = (size_t)(porows * stride + (krows - 1) * kernel_dilation) >> downsample;
  const size_t cols = (size_t)(pocols * stride + (kcols - 1) * kernel_dilation) >> downsample;
  stub_require(stub_blocks(kchs) * batches * rows * cols + stub_blocks(pochs) * kcols * krows * kchs <=
                   BANK_NUM * BANK_ROWS / 2,
               "conv: scratchpad overflow");
  stub_require(stub_blocks(pochs) * batches * porows * pocols <= ACC_ROWS / 2, "conv: accumulator overflow");
  const size_t outputs = (size_t)batch_size * out_row_dim * out_col_dim;
  acc_t *sums = calloc(outputs * out_channels, sizeof *sums);
  stub_require(sums != NULL, "memory");
  for (int b0 = 0; b0 < batch_size; b0 += batches)
    for (int r0 = 0; r0 < out_row_dim; r0 += porows)
      for (int c0 = 0; c0 < out_col_dim; c0 += pocols)
        for (int o0 = 0; o0 < out_channels; o0 += pochs)
          for (int kr0 = 0; kr0 < kernel_dim; kr0 += krows)
            for (int kc0 = 0; kc0 < kernel_dim; kc0 += kcols)
              for (int i0 = 0; i0 < in_channels; i0 += kchs) {
                const int r1 = (int)stub_min(out_row_dim, r0 + porows), c1 = (int)stub_min(out_col_dim, c0 + pocols);
                const int kr1 = (int)stub_min(kernel_dim, kr0 + krows), kc1 = (int)stub_min(kernel_dim, kc0 + kcols);
                const int row_window = (r1 - r0) * stride + (kr1 - kr0 - 1) * kernel_dilation;
                const int col_window = (c1 - c0) * stride + (kc1 - kc0 - 1) * kernel_dilation;
                stub_require(
                    stub_window(r0 * stride + kr0 * kernel_dilation - padding, row_window, in_row_dim) >= 0 &&
                        stub_window(c0 * stride + kc0 * kernel_dilation - padding, col_window, in_col_dim) >= 0,
                    "conv: this tile never finishes");
                for (int b = b0; b < (int)stub_min(batch_size, b0 + batches); ++b)
                  for (int r = r0; r < r1; ++r)
                    for (int c = c0; c < c1; ++c)
                      for (int kr = kr0; kr < kr1; ++kr)
                        for (int kc = kc0; kc < kc1; ++kc) {
                          const int y = r * stride + kr * kernel_dilation - padding;
                          const int x = c * stride + kc * kernel_dilation - padding;
                          if (y < 0 || y >= in_row_dim || x < 0 || x >= in_col_dim) continue;
                          for (int i = i0; i < (int)stub_min(in_channels, i0 + kchs); ++i)
                            for (int o = o0; o < (int)stub_min(out_channels, o0 + pochs); ++o)
                              sums[(((size_t)b * out_row_dim + r) * out_col_dim + c) * out_channels + o] +=
                                  (acc_t)input[(((size_t)b * in_row_dim + y) * in_col_dim + x) * in_stride + i] *
                                  weights[(((size_t)kr * kernel_dim + kc) * in_channels + i) * weight_stride + o];
                        }
              }
  for (size_t pixel = 0; pixel < outputs; ++pixel)
    for (int o = 0; o < out_channels; ++o)
      output[pixel * out_stride + o] = stub_scaled(sums[pixel * out_channels + o], scale);
  free(sums);
}

#ifdef STUB_WITHOUT_STRIDES /* the library before 2023-05 */
static void stub_conv_without_strides(int batch_size, int in_row_dim, int in_col_dim, int in_channels, int out_channels,
                                      int out_row_dim, int out_col_dim, int stride, int input_dilation,
                                      int kernel_dilation, int padding, int kernel_dim, bool wrot180,
                                      bool trans_output_1203, bool trans_input_3120, bool trans_weight_1203,
                                      bool trans_weight_0132, int batches, int porows, int pocols, int pochs, int krows,
                                      int kcols, int kchs, const elem_t *input, const elem_t *weights,
                                      const acc_t *bias, elem_t *output, int act, acc_scale_t scale, int pool_size,
                                      int pool_stride, int pool_padding, enum tiled_matmul_type_t type) {
  tiled_conv(batch_size, in_row_dim, in_col_dim, in_channels, out_channels, out_row_dim, out_col_dim, stride,
             input_dilation, kernel_dilation, padding, kernel_dim, in_channels, out_channels, out_channels, wrot180,
             trans_output_1203, trans_input_3120, trans_weight_1203, trans_weight_0132, batches, porows, pocols, pochs,
             krows, kcols, kchs, input, weights, bias, output, act, scale, pool_size, pool_stride, pool_padding, type);
}
#define tiled_conv stub_conv_without_strides
#endif

#endif
