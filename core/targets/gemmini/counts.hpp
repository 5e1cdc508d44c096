// What Gemmini executes for a tiling: instructions, rows, memory requests, tiles, the compute floor, cache
// misses.
//
// Two modes. Exact: tile sizes are whole numbers, tiles at the edges are partial. Relaxed: every tile is
// full, their number is a real number, ceilings become max(., 1); piecewise smooth and differentiable in the
// logarithms of the tile sizes and in pe_dim. They are the same formulas, but in the relaxed mode every count
// is a product, and it is written as such for speed (relaxed_counts.cpp); tests hold the two together.
//
// Per dimension there are at most two distinct tile sizes (full and edge), so every sum over tiles is a
// product of short sums per dimension; nothing here loops over layers, rows or tiles.
//
// Facts about the machine: ucb-bar/gemmini (LoopConv, LoopMatmul) and gemmini-rocc-tests (tiled_conv,
// tiled_matmul).
#pragma once

#include <vector>

#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/models/array_machine.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/layer.hpp"

namespace dosa {

/// How a measured machine runs the library's calls; part of every surrogate's file.
struct RunRules {
  bool first_layer_packing =
      true;                  ///< several kernel columns share an array row when a tile has few channels
  bool downsampling = true;  ///< 1x1 stride-2 convolutions fetch every second pixel only
  double l2_kib = 512;       ///< first cache on the way to DRAM
  double llc_kib = 4096;     ///< last-level cache, in effect only where the machine has one
  bool operator==(const RunRules& o) const {
    return first_layer_packing == o.first_layer_packing && downsampling == o.downsampling &&
           l2_kib == o.l2_kib && llc_kib == o.llc_kib;
  }
};

/// The library's own order of the loops over tiles, innermost first: C R S K P Q N (output-stationary).
inline constexpr LoopOrder kLibraryOrder{Dim::C, Dim::R, Dim::S, Dim::K, Dim::P, Dim::Q, Dim::N};

/// One layer as it is handed to Gemmini.
struct LayerRun {
  /// Sizes, strides, padding (unknown: none, with the input stored padded, see Layer::input_width).
  Layer layer;
  bool matmul = false;           ///< tiled_matmul instead of tiled_conv
  std::int64_t input_width = 0;  ///< without padding, as measured; 0: Layer::input_width()
  std::int64_t input_height = 0;
  LoopOrder order = kLibraryOrder;  ///< of the loops over tiles
  bool cold = true;                 ///< operands are in DRAM; else what fits is in the last-level cache
  bool keeps = true;  ///< the library keeps operands across calls (kept_operands): since May 2023, bd7de20

  /// A layer run by a call that can run it. By tiled_matmul its sizes are those that the call sees, its P*Q*N
  /// pixels rows (gemmini::extents).
  static LayerRun of(const Layer& layer, gemmini::Call call);
  /// By tiled_matmul where Layer::is_matmul, else by tiled_conv.
  static LayerRun of(const Layer& layer);
};

/// Constants of layers in the relaxed mode's formulas, derived from a RunBatch; see relaxed_counts.cpp.
struct RelaxedLayers {
  std::vector<torch::Tensor*> all();

  torch::Tensor one, log_narrow, miss_offset;                              ///< []
  torch::Tensor log_size;                                                  ///< [layers, 7]
  torch::Tensor halo_image, halo_kernel, halo_offset;                      ///< [layers, 2]
  torch::Tensor clip, clip_per_tile;                                       ///< [layers, 2], rows of padding
  torch::Tensor flanks, packs, minus_half_c4;                              ///< [layers]
  torch::Tensor footprint;                                                 ///< [layers], bytes in whole lines
  torch::Tensor channel_lines;                                             ///< [layers, 2]
  torch::Tensor output_rows;                                               ///< [layers, 1]
  torch::Tensor piece_grain, per_piece, least_cycles;                      ///< [layers, 2, 2]; [2]; [2]
  torch::Tensor window_image, window_kernel, window_offset, window_limit;  ///< [layers, 4]
  torch::Tensor walk;          ///< [features, columns], or [layers, features, columns]
  torch::Tensor walk_offset;   ///< [layers, columns]
  torch::Tensor cache_levels;  ///< [2, 1]
  torch::Tensor count_offset;  ///< [layers, counts]
  torch::Tensor to_reloads;    ///< [7, 4]: logarithms of the tiles of inputs and weights, and of their loads
  torch::Tensor loads_anew;    ///< [layers, 1], 1 where nothing is kept
  torch::Tensor refetched, refetched_if_loaded;            ///< [2 caches * refetches]; [2, the same], 0 or 1
  torch::Tensor to_counts, to_terms;                       ///< [factors, counts]; [counts, terms + 2]
  torch::Tensor ratio_matrix, ratio_offset, pe_dim_ratio;  ///< [factors, ratios]; [layers, ratios]; [ratios]
  torch::Tensor term_constants;                            ///< [layers, terms + 2]
  torch::Tensor plain_terms, latency_terms, pipeline_terms;  ///< [terms + 2], 0 or 1
};

/// Layers as constant tensors, float64 unless converted. `layers` may also be one entry per measurement.
/// Pairs are (width, height) of the image or (C, K) of the channels.
struct RunBatch {
  torch::Tensor size;    ///< [layers, 7]
  torch::Tensor dim_at;  ///< [layers, 7] int64: the dimension of the tile loop at each place, innermost first
  torch::Tensor stride;  ///< [layers, 2]
  torch::Tensor input;   ///< [layers, 2], width and height without padding
  torch::Tensor padding;              ///< [layers]
  torch::Tensor matmul, cold, keeps;  ///< [layers], 0 or 1
  torch::Tensor skips;                ///< [layers] bool: fetches every second pixel only
  torch::Tensor pow2;                 ///< [layers, 2], largest power of two <= 64 dividing C and K
  torch::Tensor
      set_lines;  ///< [layers, 2], cache sets from one row of C or K to the next; 0 where rows share lines
  RunRules rules;
  std::int64_t max_padding = 0, max_kernel = 1;

  // Derived from the above.
  torch::Tensor kernel, image, channels;  ///< [layers, 2] of `size`
  torch::Tensor is_matmul;                ///< [layers] bool
  torch::Tensor walked;           ///< [8, layers, 7] bool: loops that lie inside the n innermost places
  torch::Tensor reduces;          ///< [7, layers] bool: the loop at a place is over R, S or C
  bool reduces_inside = true;     ///< the loops over R, S and C are the innermost ones of every layer
  torch::Tensor in_blocks;        ///< [layers, 7] bool: tiles are whole blocks of pe_dim
  torch::Tensor log_caches, one;  ///< [2] log bytes; []
  torch::Tensor outer_places;     ///< [8, 7], 1 where a place lies outside the n innermost
  RelaxedLayers relaxed;

  static RunBatch of(const std::vector<LayerRun>& runs, const RunRules& rules);
  /// For tiles of this type, on this device. Counts that are to be exact need float64 on the CPU.
  RunBatch to(const torch::TensorOptions& options) const;
  /// The layers (or measurements) with these indices, int64 [n].
  RunBatch select(const torch::Tensor& index) const;

 private:
  void complete();
  void complete_relaxed();
  void complete_walk();
  void complete_loads();
  torch::Tensor lines_of_layer() const;
};

/// DMA work of one operand, all [B..., layers].
struct Transfers {
  torch::Tensor instructions;  ///< mvin or mvout that move data
  torch::Tensor rows;          ///< rows of at most 64 bytes
  torch::Tensor requests;      ///< 64-byte lines touched by those rows, mean over their alignments
  torch::Tensor beats;         ///< 16-byte beats touched, likewise
  torch::Tensor l2_misses;     ///< lines that the L2 does not hold
  torch::Tensor llc_misses;    ///< lines that the last-level cache does not hold
  torch::Tensor page_misses;   ///< llc_misses that open a DRAM page; undefined for outputs
  torch::Tensor words;         ///< elements that those rows carry
};

namespace counting {

/// Names of the fields of Counts, for tables over them. The first nine are those of the traffic.
enum Count : int {
  kTiles,
  kOutBlocks,
  kReductionBlocks,
  kArrayRows,
  kInputWords,
  kPaddedWords,
  kWeightWords,
  kWeightUses,
  kOutputWords,
  kTrafficCounts,
  kInputInstructions = kTrafficCounts,
  kPaddedInstructions,
  kInputRows,
  kPaddedRows,
  kInputRequests,
  kInputBeats,
  kInputL2Misses,
  kInputLlcMisses,
  kInputPageMisses,
  kWeightInstructions,
  kWeightRows,
  kWeightRequests,
  kWeightBeats,
  kWeightL2Misses,
  kWeightLlcMisses,
  kWeightPageMisses,
  kSteps,
  kPreloads,
  kExecutes,
  kOutputInstructions,
  kOutputRows,
  kOutputRequests,
  kOutputBeats,
  kOutputL2Misses,
  kOutputLlcMisses,
  kFloor,
  kFloor8,
  kProducts,               ///< those above are products of factors of the tile
  kColdLines = kProducts,  ///< a constant of the layer
  kRuns,                   ///< 1
  kNoCount
};

}  // namespace counting

/// Executed counts, all [B..., layers].
struct Counts {
  torch::Tensor tiles;
  torch::Tensor preloads;          ///< weight blocks brought into the array
  torch::Tensor executes;          ///< compute instructions
  torch::Tensor steps;             ///< weight block x output row pairs
  torch::Tensor floor;             ///< compute floor E in cycles: >= 4 per instruction, >= pe_dim per preload
  torch::Tensor floor8;            ///< the same with 8 cycles per instruction
  torch::Tensor out_blocks;        ///< blocks of at most pe_dim output channels, over the tiles of K
  torch::Tensor reduction_blocks;  ///< blocks of at most pe_dim products, over the tiles of R, S and C
  torch::Tensor array_rows;        ///< rows of products fed to the array: output pixels x weight blocks
  Transfers input, weight, output;
  torch::Tensor padded_instructions;  ///< mvin of inputs and of the padding around them
  torch::Tensor padded_rows, padded_words;
  torch::Tensor weight_uses;  ///< weights brought into the array, all tiles together
  torch::Tensor cold_lines;   ///< lines of the layer that a cold run fetches from DRAM for the first time
  torch::Tensor footprint;    ///< bytes of all three tensors of the layer, in whole lines
  torch::Tensor hangs;        ///< exact mode: > 0 where a tile lies wholly inside the padding
  /// Relaxed mode: what everything above is made of, for relaxed_features.
  torch::Tensor log_factors, values;

  /// Of padding alone, which is written to the scratchpad and read from nowhere.
  torch::Tensor zero_instructions() const { return padded_instructions - input.instructions; }
  torch::Tensor zero_rows() const { return padded_rows - input.rows; }
  torch::Tensor zero_words() const { return padded_words - input.words; }

  /// The field of this name, which is neither kRuns nor kNoCount.
  torch::Tensor& field(counting::Count count);
  /// Its value; ones for kRuns.
  torch::Tensor at(counting::Count count) const;
};

/// The tiles that run: at most the layer; of a matrix product P, C and K in whole blocks of pe_dim (relaxed:
/// at least one block). `tile` [B..., layers, 7]; `pe_dim` broadcasts to [B..., layers].
torch::Tensor run_tiles(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers,
                        bool relaxed);

/// Whole tiles per dimension, [B..., layers, 7], of tiles as run_tiles gives them.
torch::Tensor tiles_along(const torch::Tensor& tile, const RunBatch& layers);

/// How unevenly a run stores, [B..., layers]: 0 where stores are evenly spaced, towards 1 where they come in
/// bursts, 1 - (tiles from one store to the next in a burst) / (the same on average). An output is stored in
/// the last of its reductions, so that is where reductions are not the innermost loops; here a reduction
/// outside loops of n iterations counts with its power 1 - 1 / n, which is smooth. `log_number` [B...,
/// layers, 7] are logarithms of tiles per dimension.
torch::Tensor store_burstiness(const torch::Tensor& log_number, const RunBatch& layers);

/// Which operands the library leaves in the scratchpad between its calls, [B..., layers] bool. It loads the
/// two halves of the scratchpad in turn, so an operand that has at most two tiles is loaded once: the inputs
/// not again for every tile of output channels, the weights not again for every tile of pixels. Of tilings in
/// whole tiles along each dimension [B..., layers, 7]. Source: gemmini-rocc-tests bd7de20, tiled_matmul and
/// tiled_conv of weight-stationary calls.
struct KeptOperands {
  torch::Tensor input, weight;
};
KeptOperands kept_operands(const torch::Tensor& number, const RunBatch& layers);

/// Counts of tilings. `tile` [B..., layers, 7]: elements per tile and dimension (whole numbers when exact; a
/// tile larger than its dimension counts as the dimension). `pe_dim` broadcasts to [B..., layers]. Relaxed:
/// differentiable in `tile` and `pe_dim`; minima and maxima have subgradients. Without `misses`, which only a
/// surrogate needs, those of the caches and DRAM pages (and, exact, the
/// footprint and cold lines) are left undefined.
Counts executed_counts(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers,
                       bool relaxed, bool misses = true);

/// Rows of pe_dim words that a tile occupies in the scratchpad (inputs, weights) and in the accumulator, all
/// [B..., layers]; the arguments are those of executed_counts. Exact: gemmini::rows_needed. Relaxed:
/// differentiable, with max(., 1) in place of the ceilings.
struct TileRows {
  torch::Tensor input, weight, output;
};
TileRows tile_rows(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers,
                   bool relaxed);

/// Whether Gemmini with these (full, double-buffered) buffers runs a whole-numbered tiling: capacity and what
/// gemmini::runs_right asks. gemmini::tile_is_legal for whole batches. [B..., layers] bool.
torch::Tensor legal_tilings(const torch::Tensor& tile, const RunBatch& layers, const ArraySizes& buffers);

}  // namespace dosa
