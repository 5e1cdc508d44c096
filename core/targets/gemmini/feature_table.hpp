// The features of a run on Gemmini as one table: which counts each term of the base model and each input of
// the networks is made of. Both modes of counting read it, so a term stands here and nowhere else.
#pragma once

#include <iterator>

#include "dosa/core/targets/gemmini/counts.hpp"
#include "dosa/surrogate/features.hpp"

namespace dosa::counting {

inline constexpr double kArrayOfUnitDepth = 16;  // pe_dim of the array whose pipeline counts as 1
inline constexpr double kNarrow = 64;        // channels from which on rows are as wide as the DMA takes them
inline constexpr double kMissOffset = 0.01;  // misses per request that count as none

/// What a count is multiplied by before the base charges for it.
enum class Scale {
  kNone,
  kPerInFlight,  ///< divided by the DMA commands that are in flight at a time: one latency for all of these
  kArray,        ///< times pe_dim / 16: the array's pipeline is as deep as it has rows
};

/// A term: (count - less) * scale.
struct Term {
  const char* name;
  Part part;
  double initial;  ///< cycles per unit before anything is fitted
  Count count;
  Count less = kNoCount;
  Scale scale = Scale::kNone;
  bool of_dram = false;  ///< lines that come from DRAM or go there: its bandwidth divides what they cost
};

inline constexpr Term kTerms[] = {
    {"input.instructions", Part::kInput, 2, kInputInstructions},
    {"input.zero_instructions", Part::kInput, 2, kPaddedInstructions, kInputInstructions},
    {"input.latency", Part::kInput, 5, kInputInstructions, kNoCount, Scale::kPerInFlight},
    {"input.zero_rows", Part::kInput, 0.5, kPaddedRows, kInputRows},
    {"input.rows", Part::kInput, 0.5, kInputRows},
    {"input.requests", Part::kInput, 0.5, kInputRequests},
    {"input.beats", Part::kInput, 0.5, kInputBeats},
    {"input.l2_misses", Part::kInput, 4, kInputL2Misses, kNoCount, Scale::kNone, true},
    {"input.llc_misses", Part::kInput, 4, kInputLlcMisses, kNoCount, Scale::kNone, true},
    {"input.page_misses", Part::kInput, 4, kInputPageMisses, kNoCount, Scale::kNone, true},
    {"weight.instructions", Part::kWeight, 2, kWeightInstructions},
    {"weight.latency", Part::kWeight, 5, kWeightInstructions, kNoCount, Scale::kPerInFlight},
    {"weight.rows", Part::kWeight, 0.5, kWeightRows},
    {"weight.requests", Part::kWeight, 0.5, kWeightRequests},
    {"weight.beats", Part::kWeight, 0.5, kWeightBeats},
    {"weight.l2_misses", Part::kWeight, 4, kWeightL2Misses, kNoCount, Scale::kNone, true},
    {"weight.llc_misses", Part::kWeight, 4, kWeightLlcMisses, kNoCount, Scale::kNone, true},
    {"weight.page_misses", Part::kWeight, 4, kWeightPageMisses, kNoCount, Scale::kNone, true},
    {"execute.steps", Part::kExecute, 3, kSteps},
    {"execute.preloads", Part::kExecute, 3, kPreloads},
    {"execute.instructions", Part::kExecute, 1, kExecutes},
    {"output.instructions", Part::kStore, 2, kOutputInstructions},
    {"output.latency", Part::kStore, 2, kOutputInstructions, kNoCount, Scale::kPerInFlight},
    {"output.rows", Part::kStore, 0.5, kOutputRows},
    {"output.requests", Part::kStore, 1, kOutputRequests},
    {"output.beats", Part::kStore, 0.5, kOutputBeats},
    {"output.l2_misses", Part::kStore, 2, kOutputL2Misses, kNoCount, Scale::kNone, true},
    {"tiles", Part::kOverhead, 50, kTiles},
    {"tiles.pipeline", Part::kOverhead, 5, kTiles, kNoCount, Scale::kArray},
    {"cold.lines", Part::kOverhead, 0.5, kColdLines, kNoCount, Scale::kNone, true},
    {"start", Part::kOverhead, 1000, kRuns},
};
inline constexpr int kTermCount = static_cast<int>(std::size(kTerms));

/// How an input of the networks is computed.
enum class Formula {
  kLog,        ///< log(count / less), or log(count)
  kLogMisses,  ///< log(count / less + kMissOffset)
  kLogPeDim,   ///< log2 pe_dim
  kIsMatmul,   ///< 0 or 1
  kLogPow2K,   ///< log2 of the largest power of two, at most 64, that divides the layer's channels
  kLogPow2C,
  kLogNarrowK,  ///< log2 min(tile's channels, 64)
  kLogNarrowC,
  kExceedsL2,  ///< x^2 / (1 + x^2) of the layer's footprint / the cache = x
  kExceedsLlc,
  kIsCold,    ///< 0 or 1
  kFewK,      ///< max(0, 1 - K / 64)
  kBursts,    ///< store_burstiness
  kLogTiles,  ///< log2 of the number of tiles along a dimension
  kLogTile,   ///< log2 of a tile's size along a dimension
};

struct Ratio {
  const char* name;
  Formula formula;
  Count count = kNoCount, by = kNoCount;
  Dim dim = Dim::R;  ///< of kLogTiles and kLogTile
};

inline constexpr Ratio kRatios[] = {
    {"log2 pe_dim", Formula::kLogPeDim},
    {"is matmul", Formula::kIsMatmul},
    {"log tiles", Formula::kLog, kTiles},
    {"log rows per input mvin", Formula::kLog, kInputRows, kInputInstructions},
    {"log rows per weight mvin", Formula::kLog, kWeightRows, kWeightInstructions},
    {"log rows per mvout", Formula::kLog, kOutputRows, kOutputInstructions},
    {"log beats per input request", Formula::kLog, kInputBeats, kInputRequests},
    {"log beats per weight request", Formula::kLog, kWeightBeats, kWeightRequests},
    {"log L2 misses per input request", Formula::kLogMisses, kInputL2Misses, kInputRequests},
    {"log L2 misses per weight request", Formula::kLogMisses, kWeightL2Misses, kWeightRequests},
    {"log L2 misses per output request", Formula::kLogMisses, kOutputL2Misses, kOutputRequests},
    {"log LLC misses per input request", Formula::kLogMisses, kInputLlcMisses, kInputRequests},
    {"log LLC misses per weight request", Formula::kLogMisses, kWeightLlcMisses, kWeightRequests},
    {"log input L2 misses/floor", Formula::kLogMisses, kInputL2Misses, kFloor},
    {"log weight L2 misses/floor", Formula::kLogMisses, kWeightL2Misses, kFloor},
    {"log output L2 misses/floor", Formula::kLogMisses, kOutputL2Misses, kFloor},
    {"log input page misses/floor", Formula::kLogMisses, kInputPageMisses, kFloor},
    {"log weight page misses/floor", Formula::kLogMisses, kWeightPageMisses, kFloor},
    {"log2 power of two in K", Formula::kLogPow2K},
    {"log2 power of two in C", Formula::kLogPow2C},
    {"log2 min(tile K, 64)", Formula::kLogNarrowK},
    {"log2 min(tile C, 64)", Formula::kLogNarrowC},
    {"exceeds L2", Formula::kExceedsL2},
    {"exceeds LLC", Formula::kExceedsLlc},
    {"runs cold", Formula::kIsCold},
    {"max(0, 1 - K/64)", Formula::kFewK},
    {"log floor with 8 rows/floor", Formula::kLog, kFloor8, kFloor},
    // Along which dimensions the layer is cut, and how large the pieces are.
    {"log2 tiles along R", Formula::kLogTiles, kNoCount, kNoCount, Dim::R},
    {"log2 tiles along S", Formula::kLogTiles, kNoCount, kNoCount, Dim::S},
    {"log2 tiles along P", Formula::kLogTiles, kNoCount, kNoCount, Dim::P},
    {"log2 tiles along Q", Formula::kLogTiles, kNoCount, kNoCount, Dim::Q},
    {"log2 tiles along C", Formula::kLogTiles, kNoCount, kNoCount, Dim::C},
    {"log2 tiles along K", Formula::kLogTiles, kNoCount, kNoCount, Dim::K},
    {"log2 tiles along N", Formula::kLogTiles, kNoCount, kNoCount, Dim::N},
    {"log2 tile R", Formula::kLogTile, kNoCount, kNoCount, Dim::R},
    {"log2 tile S", Formula::kLogTile, kNoCount, kNoCount, Dim::S},
    {"log2 tile P", Formula::kLogTile, kNoCount, kNoCount, Dim::P},
    {"log2 tile Q", Formula::kLogTile, kNoCount, kNoCount, Dim::Q},
    {"log2 tile C", Formula::kLogTile, kNoCount, kNoCount, Dim::C},
    {"log2 tile K", Formula::kLogTile, kNoCount, kNoCount, Dim::K},
    {"log2 tile N", Formula::kLogTile, kNoCount, kNoCount, Dim::N},
    // What is executed and moved for every cycle that the multipliers take at the least.
    {"log input mvins/floor", Formula::kLog, kInputInstructions, kFloor},
    {"log padded input mvins/floor", Formula::kLog, kPaddedInstructions, kFloor},
    {"log input rows/floor", Formula::kLog, kInputRows, kFloor},
    {"log padded input rows/floor", Formula::kLog, kPaddedRows, kFloor},
    {"log input requests/floor", Formula::kLog, kInputRequests, kFloor},
    {"log input beats/floor", Formula::kLog, kInputBeats, kFloor},
    {"log weight mvins/floor", Formula::kLog, kWeightInstructions, kFloor},
    {"log weight rows/floor", Formula::kLog, kWeightRows, kFloor},
    {"log weight requests/floor", Formula::kLog, kWeightRequests, kFloor},
    {"log weight beats/floor", Formula::kLog, kWeightBeats, kFloor},
    {"log steps/floor", Formula::kLog, kSteps, kFloor},
    {"log preloads/floor", Formula::kLog, kPreloads, kFloor},
    {"log executes/floor", Formula::kLog, kExecutes, kFloor},
    {"log mvouts/floor", Formula::kLog, kOutputInstructions, kFloor},
    {"log output rows/floor", Formula::kLog, kOutputRows, kFloor},
    {"log output requests/floor", Formula::kLog, kOutputRequests, kFloor},
    {"log output beats/floor", Formula::kLog, kOutputBeats, kFloor},
    {"burstiness of stores", Formula::kBursts},
};
inline constexpr int kRatioCount = static_cast<int>(std::size(kRatios));

/// Where the first input with a formula stands.
constexpr int first_with(Formula formula) {
  int column = 0;
  while (column < kRatioCount && kRatios[column].formula != formula) ++column;
  return column;
}

/// How many inputs have a formula.
constexpr int count_of(Formula formula) {
  int count = 0;
  for (const Ratio& ratio : kRatios) count += ratio.formula == formula;
  return count;
}

/// DMA commands that are in flight at a time. No gradient: the queue has a whole number of places.
torch::Tensor commands_in_flight(const torch::Tensor& pe_dim);

/// An input that does not depend on the tile, [layers]; `footprint` [layers] in bytes.
torch::Tensor layer_ratio(Formula formula, const RunBatch& layers, const torch::Tensor& footprint);

}  // namespace dosa::counting
