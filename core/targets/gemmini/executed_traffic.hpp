// What Gemmini executes for a tiling as the analytical model's Traffic, so that CostModel::cost prices it
// with the coefficients of the machine's file.
//
// The accesses are counted by the rules of the analytical model, of the tiles that really run. Where a tiling
// divides the layer in whole blocks of the array and the schedule is the same, the two agree to the word.
// They differ, on purpose, where Gemmini does:
//  - It loads inputs and weights again for every tile: nothing stays in the scratchpad from one tile to the
//    next, neither a tile that the next one uses too nor the overlap of two windows.
//  - Padding is written into the scratchpad but read from nowhere; the analytical model reads it from DRAM.
//  - Tiles at the edges are smaller; blocks of less than pe_dim channels take an array pass of their own.
//  - Several kernel columns of a layer with few channels share an array pass (RunRules::first_layer_packing),
//    and a downsampling convolution fetches every second pixel only.
#pragma once

#include "dosa/core/targets/gemmini/counts.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

/// Traffic of tilings: `counts` and `rows` of the same tilings, fields [B..., layers, 1]. Tiles' words are
/// given for the two sized memories: those that a tile occupies, in whole rows. Differentiable where the
/// counts are relaxed. Throws Error{kValue} unless the machine's memories are Gemmini's: register (W),
/// accumulator (O), scratchpad (W, I), DRAM.
Traffic executed_traffic(const Counts& counts, const TileRows& rows, const torch::Tensor& pe_dim,
                         const RunBatch& layers, const ArrayMachine& machine);

}  // namespace dosa
