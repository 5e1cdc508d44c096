// The relaxed mode of executed_counts, in few operations.
//
// A step of the search costs what its small tensor operations cost to start, not what they compute. With
// every tile full, a count is a product: its logarithm is a sum of logarithms of a few factors, and one
// matrix product gives all counts, another one the ratios that the networks see.
#include "dosa/core/targets/gemmini/relaxed_counts.hpp"

#include <array>
#include <cmath>
#include <map>

#include "dosa/core/targets/gemmini/feature_table.hpp"

namespace dosa {
namespace {

using torch::Tensor;
using namespace counting;

// Columns of the features, as the table has them. The terms are followed by the floor and the number of
// tiles.
constexpr int kFloorColumn = kTermCount, kTilesColumn = kTermCount + 1, kTermColumns = kTermCount + 2;
constexpr double kLog2E = 1.4426950408889634;  // from natural logarithms to those of base 2
constexpr int kFirstMissRatio = first_with(Formula::kLogMisses), kMissRatios = count_of(Formula::kLogMisses);
constexpr int kBurstRatio = first_with(Formula::kBursts);
static_assert(kRatios[kFirstMissRatio + kMissRatios - 1].formula == Formula::kLogMisses,
              "ratios of misses stand together: an offset is added to them alone");
static_assert(kBurstRatio == kRatioCount - 1, "the burstiness, which is not linear, is the last ratio");

// Loops that can make a cache fetch lines again. The footprint of a tensor grows by their iterations along
// all other loops that it depends on. Both channels of a pair and both axes of the image stand together.
enum Refetch : int {
  kInputC,
  kChannelsK,        // weights and outputs
  kInputInnerWidth,  // of P and R the loop inside the other
  kInputInnerHeight,
  kInputOuterWidth,
  kInputOuterHeight,
  kInputK,
  kWeightP,
  kWeightQ,
  kWeightN,
  kRefetches
};

// Columns of the factors' logarithms. The first seven are the number of tiles per dimension.
enum Factor : int {
  kTilesR,
  kTilesS,
  kTilesP,
  kTilesQ,
  kTilesC,
  kTilesK,
  kTilesN,
  kBlocksC,  // of pe_dim in a tile
  kRowsC,    // DMA rows
  kBlocksK,
  kRowsK,
  kBlocksP,
  kColumnGroups,  // groups of kernel columns in a tile
  kLinesC,        // 64-byte requests per DMA row
  kBeatsC,
  kLinesK,
  kBeatsK,
  kValidWidth,  // input columns over all pairs of an output and a kernel tile, without padding
  kValidHeight,
  kPaddedWidth,
  kPaddedHeight,
  kChunksWidth,        // groups of pe_dim of the valid columns
  kChunksFlanksWidth,  // and sides of tiles that are padding
  kFloorRow,           // cycles of the rows of an output column tile, per weight block
  kFloor8Row,
  kPageShare,
  kStores,         // mvout per pixel and tile of K
  kStoreRequests,  // requests of them
  kInputLoads,     // of every input, for tiles of output channels
  kWeightLoads,    // of every weight, for tiles of pixels
  kNarrowC,        // min(tile C, 64)
  kNarrowK,
  kWithoutMisses,
  kL2 = kWithoutMisses,  // what is fetched again into each cache, by Refetch
  kLlc = kL2 + kRefetches,
  kFactorCount = kLlc + kRefetches
};

/// One count: factors and sizes of the layer that it is the product of.
struct Product {
  std::vector<int> factors;
  std::vector<Dim> sizes;
};

const std::array<Product, kProducts>& products() {
  static const std::array<Product, kProducts> table = [] {
    const auto D = [](std::initializer_list<Dim> dims) { return std::vector<Dim>(dims); };
    const auto times = [](std::vector<int> factors, std::initializer_list<int> more) {
      factors.insert(factors.end(), more);
      return factors;
    };
    const std::vector<int> image{kTilesP, kTilesQ, kTilesN}, rows_c{kInputLoads, kTilesC, kRowsC};
    const std::vector<int> reduction{kTilesR, kColumnGroups, kTilesC, kBlocksC};
    const std::vector<int> blocks = times(reduction, {kTilesK, kBlocksK});
    const std::vector<int> valid = times(rows_c, {kValidWidth, kValidHeight});
    const std::vector<int> weight_rows{kWeightLoads, kTilesK, kRowsK};
    const auto input_misses = [](int cache) {
      return std::vector<int>{cache + kInputC,          cache + kInputInnerWidth,  cache + kInputInnerHeight,
                              cache + kInputOuterWidth, cache + kInputOuterHeight, cache + kInputK};
    };
    const auto weight_misses = [](int cache) {
      return std::vector<int>{cache + kChannelsK, cache + kWeightP, cache + kWeightQ, cache + kWeightN};
    };
    std::array<Product, kProducts> p;
    p[kTiles] = {{kTilesR, kTilesS, kTilesP, kTilesQ, kTilesC, kTilesK, kTilesN}, {}};
    p[kOutBlocks] = {{kTilesK, kBlocksK}, {}};
    p[kReductionBlocks] = {reduction, D({Dim::S})};
    p[kArrayRows] = {blocks, D({Dim::S, Dim::N, Dim::Q, Dim::P})};
    p[kInputWords] = {{kInputLoads, kValidWidth, kValidHeight}, D({Dim::N, Dim::C})};
    p[kPaddedWords] = {{kInputLoads, kPaddedWidth, kPaddedHeight}, D({Dim::N, Dim::C})};
    p[kWeightWords] = {{kWeightLoads}, D({Dim::R, Dim::S, Dim::C, Dim::K})};
    p[kWeightUses] = {image, D({Dim::R, Dim::S, Dim::C, Dim::K})};
    p[kOutputWords] = {{}, D({Dim::P, Dim::Q, Dim::K, Dim::N})};
    p[kInputInstructions] = {times(rows_c, {kValidHeight, kChunksWidth}), D({Dim::N})};
    p[kPaddedInstructions] = {times(rows_c, {kPaddedHeight, kChunksFlanksWidth}), D({Dim::N})};
    p[kInputRows] = {valid, D({Dim::N})};
    p[kPaddedRows] = {times(rows_c, {kPaddedHeight, kPaddedWidth}), D({Dim::N})};
    p[kInputRequests] = {times(valid, {kLinesC}), D({Dim::N})};
    p[kInputBeats] = {times(valid, {kBeatsC}), D({Dim::N})};
    p[kInputL2Misses] = {input_misses(kL2), {}};
    p[kInputLlcMisses] = {input_misses(kLlc), {}};
    p[kInputPageMisses] = {times(input_misses(kLlc), {kPageShare}), {}};
    p[kWeightInstructions] = {times(weight_rows, {kTilesC, kBlocksC}), D({Dim::R, Dim::S})};
    p[kWeightRows] = {weight_rows, D({Dim::R, Dim::S, Dim::C})};
    p[kWeightRequests] = {times(weight_rows, {kLinesK}), D({Dim::R, Dim::S, Dim::C})};
    p[kWeightBeats] = {times(weight_rows, {kBeatsK}), D({Dim::R, Dim::S, Dim::C})};
    p[kWeightL2Misses] = {weight_misses(kL2), {}};
    p[kWeightLlcMisses] = {weight_misses(kLlc), {}};
    p[kWeightPageMisses] = {weight_misses(kLlc), {}};
    p[kSteps] = {times(blocks, {kTilesP}), D({Dim::S, Dim::N, Dim::Q})};
    p[kPreloads] = {times(blocks, {kTilesP, kTilesQ, kTilesN}), D({Dim::S})};
    p[kExecutes] = {times(blocks, {kTilesP, kBlocksP}), D({Dim::S, Dim::N, Dim::Q})};
    p[kOutputInstructions] = {{kTilesP, kBlocksP, kTilesK, kStores}, D({Dim::N, Dim::Q})};
    p[kOutputRows] = {{kTilesK, kStores}, D({Dim::N, Dim::Q, Dim::P})};
    p[kOutputRequests] = {{kTilesK, kStoreRequests}, D({Dim::N, Dim::Q, Dim::P})};
    p[kOutputBeats] = {{kTilesK, kRowsK, kBeatsK}, D({Dim::N, Dim::Q, Dim::P})};
    p[kOutputL2Misses] = {{kL2 + kChannelsK}, {}};
    p[kOutputLlcMisses] = {{kLlc + kChannelsK}, {}};
    p[kFloor] = {times(blocks, {kTilesP, kFloorRow}), D({Dim::S})};
    p[kFloor8] = {times(blocks, {kTilesP, kFloor8Row}), D({Dim::S})};
    return p;
  }();
  return table;
}

struct Matrices {
  Tensor counts;        ///< [factors, counts]
  Tensor to_terms;      ///< [counts, terms, the floor and the number of tiles]
  Tensor sizes;         ///< [7, counts]
  Tensor to_ratios;     ///< [counts, ratios]: of logarithms of counts
  Tensor from_factors;  ///< [factors, ratios]: of logarithms of factors
};

const Matrices& matrices() {
  static const Matrices built = [] {
    const torch::InferenceMode off(false);  // whatever the first caller is in, others differentiate
    const auto zeros = [](std::int64_t rows, std::int64_t columns) {
      return torch::zeros({rows, columns}, torch::kFloat64);
    };
    const Tensor counts = zeros(kFactorCount, kProducts), to_terms = zeros(kProducts, kTermColumns),
                 sizes = zeros(kDims, kProducts), to_ratios = zeros(kProducts, kRatioCount),
                 from_factors = zeros(kFactorCount, kRatioCount);
    for (int count = 0; count < kProducts; ++count) {
      const Product& product = products()[static_cast<std::size_t>(count)];
      for (const int factor : product.factors) counts[factor][count] += 1.0;
      for (const Dim dim : product.sizes) sizes[static_cast<int>(dim)][count] += 1.0;
    }
    for (int column = 0; column < kRatioCount; ++column) {
      const Ratio& ratio = kRatios[column];
      if (ratio.count != kNoCount) to_ratios[ratio.count][column] += 1.0;
      if (ratio.by != kNoCount) to_ratios[ratio.by][column] -= 1.0;
      const int tiles_along = static_cast<int>(ratio.dim);  // these factors come first
      if (ratio.formula == Formula::kLogTiles) from_factors[tiles_along][column] = kLog2E;
      if (ratio.formula == Formula::kLogTile) from_factors[tiles_along][column] = -kLog2E;
      if (ratio.formula == Formula::kLogNarrowK) from_factors[kNarrowK][column] = kLog2E;
      if (ratio.formula == Formula::kLogNarrowC) from_factors[kNarrowC][column] = kLog2E;
    }
    for (int column = 0; column < kTermCount; ++column) {
      const Term& term = kTerms[column];
      if (term.count < kProducts) to_terms[term.count][column] += 1.0;
      if (term.less != kNoCount) to_terms[term.less][column] -= 1.0;
    }
    to_terms[kFloor][kFloorColumn] = 1.0;
    to_terms[kTiles][kTilesColumn] = 1.0;
    return Matrices{counts, to_terms, sizes, to_ratios, from_factors};
  }();
  return built;
}

// What the walk of counts.cpp depends on, as logarithms of a tile's (or the whole layer's) numbers. The first
// seven are its extents.
enum Feature : int {
  kWindow = kDims,           // input columns and rows
  kInnerWindow = kDims + 2,  // with the whole layer along the inner one of the loops over an axis
  kLines = kDims + 4,        // cache lines of a row of C and K
  kSets = kDims + 6,         // or sets of the cache, where those are more
  kFeatures = kDims + 8
};
constexpr int kFootprints = 3;  // inputs, weights and outputs

/// By the order of the loops: the logarithms of the footprints inside each Refetch's loop, and of what is
/// fetched there if nothing stays over what is fetched if all stays, are matmul(features of the tile, tile) +
/// matmul(features of the layer, whole). Both [features, (3 + 1) * refetches].
struct Walk {
  Tensor tile, whole;
};

Walk walk_of(const std::array<int, kDims>& place) {
  const torch::InferenceMode off(false);
  Walk walk{torch::zeros({kFeatures, (kFootprints + 1) * kRefetches}, torch::kFloat64), {}};
  walk.whole = torch::zeros_like(walk.tile);
  auto tile = walk.tile.accessor<double, 2>(), whole = walk.whole.accessor<double, 2>();
  const auto at = [&](Dim dim) { return place[static_cast<std::size_t>(dim)]; };
  constexpr Dim kOnAxis[2][2] = {{Dim::P, Dim::R}, {Dim::Q, Dim::S}};
  const auto loop = [&](int refetch, int axis, bool outer) {
    const auto [image, kernel] = kOnAxis[axis];
    return std::pair(refetch, (at(image) < at(kernel)) == outer ? kernel : image);
  };
  const std::pair<int, Dim> loops[] = {{kInputC, Dim::C},
                                       {kChannelsK, Dim::K},
                                       loop(kInputInnerWidth, 0, false),
                                       loop(kInputInnerHeight, 1, false),
                                       loop(kInputOuterWidth, 0, true),
                                       loop(kInputOuterHeight, 1, true),
                                       {kInputK, Dim::K},
                                       {kWeightP, Dim::P},
                                       {kWeightQ, Dim::Q},
                                       {kWeightN, Dim::N}};
  for (const auto& [refetch, dim] : loops) {
    const auto inside = [&, here = at(dim)](Dim other) { return at(other) < here; };
    const auto multiply = [&, column = refetch](int feature, Dim along, int tensor, double power = 1) {
      (inside(along) ? whole : tile)[feature][tensor * kRefetches + column] += power;
    };
    const auto extents = [&](std::initializer_list<Dim> dims, int tensor) {
      for (const Dim d : dims) multiply(static_cast<int>(d), d, tensor);
    };
    const int input = 0, weight = 1, output = 2;
    extents({Dim::N}, input);
    extents({Dim::R, Dim::S, Dim::C}, weight);
    extents({Dim::P, Dim::Q, Dim::N}, output);
    for (const auto& [feature, power] : {std::pair{kLines, 1 - kUnusedSets}, {kSets, kUnusedSets}}) {
      multiply(feature, Dim::C, input, power);
      multiply(feature + 1, Dim::K, weight, power);
      multiply(feature + 1, Dim::K, output, power);
    }
    for (int axis = 0; axis < 2; ++axis) {
      const int walked = inside(kOnAxis[axis][0]) + inside(kOnAxis[axis][1]);
      if (walked == 2) {
        whole[kWindow + axis][refetch] += 1;
      } else {
        tile[(walked == 1 ? kInnerWindow : kWindow) + axis][refetch] += 1;
      }
    }
    const auto iterations = [&](Dim of, int column, double power) {
      whole[static_cast<int>(of)][column] += power;
      tile[static_cast<int>(of)][column] -= power;
    };
    // Partial sums stay in the accumulator: the output is written in the last iteration of the reductions
    // outside.
    for (const Dim reduction : {Dim::R, Dim::S, Dim::C}) {
      if (!inside(reduction)) iterations(reduction, output * kRefetches + refetch, -1);
    }
    iterations(dim, kFootprints * kRefetches + refetch, 1);
  }
  // The footprint's own growth along a loop.
  const auto grows = [&](int refetch, int from, Tensor& of_end, int to) {
    tile[from][kFootprints * kRefetches + refetch] += 1;
    of_end[to][kFootprints * kRefetches + refetch] -= 1;
  };
  for (int i = 0; i < 2; ++i) {
    grows(kInputC + i, kLines + i, walk.whole, kLines + i);
    grows(kInputInnerWidth + i, kWindow + i, walk.tile, kInnerWindow + i);
    grows(kInputOuterWidth + i, kInnerWindow + i, walk.whole, kWindow + i);
  }
  return walk;
}

/// Numbers of tiles whose logarithms are the features, [B..., layers, features].
Tensor walk_numbers(const Tensor& tile, const RunBatch& l) {
  const RelaxedLayers& c = l.relaxed;
  const std::vector<Tensor> parts = tile.split_with_sizes({2, 2, 2, 1}, -1);
  const Tensor &kernel = parts[0], &image = parts[1], &channels = parts[2];
  const auto twice = [](const Tensor& axes) { return torch::cat({axes, axes}, -1); };
  const Tensor windows =
      torch::minimum(torch::addcmul(torch::addcmul(c.window_offset, twice(image), c.window_image),
                                    twice(kernel), c.window_kernel),
                     c.window_limit);
  const Tensor lines = torch::minimum(
      c.channel_lines, torch::add(c.one, channels - torch::minimum(l.pow2, channels), 1 / kLine));
  return torch::cat({tile, windows, lines, torch::maximum(lines, l.set_lines)}, -1);
}

/// numbers [..., layers, n] times a matrix [n, m], or one of every layer [layers, n, m].
Tensor times(const Tensor& numbers, const Tensor& matrix) {
  return matrix.dim() == 2 ? torch::matmul(numbers, matrix)
                           : torch::matmul(numbers.unsqueeze(-2), matrix).squeeze(-2);
}

/// Logarithms of the factors by which the loops of Refetch fetch lines again, [B..., layers, 2 caches *
/// refetches]. Differentiable in the tile, as one node of the graph; minima and maxima have subgradients.
///
/// Walking the loops outwards, a loop multiplies what a tensor fetches by the growth of its footprint, g,
/// while the cache holds what one iteration touches, and by its n iterations once it does not:
///   g + max(0, n - g) s = g (1 + m s) with the surplus m = max(0, n / g - 1),
/// where s = x^e / (1 + x^e) of footprint / cache = x is the share that is fetched again (e: kMissSharpness).
/// The product of all g is the whole tensor, a constant of the layer, which leaves y = log(1 + m s):
///   dy/dm = s / (1 + m s), dy/dlog x = e m s (1 - s) / (1 + m s).
class LogRefetched : public torch::autograd::Function<LogRefetched> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& tile, const RunBatch* l) {
    const RelaxedLayers& c = l->relaxed;
    const Tensor numbers = walk_numbers(tile, *l);
    const Tensor parts = (times(numbers.log(), c.walk) + c.walk_offset).exp();
    const Tensor lines = part(parts, 0) + part(parts, 1) + part(parts, 2);
    const Tensor again = torch::sigmoid((lines.log() * kMissSharpness).unsqueeze(-2) - c.cache_levels);
    const Tensor surplus = torch::relu(part(parts, kFootprints) - 1);
    const Tensor factor = surplus.unsqueeze(-2) * again + 1;
    context->save_for_backward({numbers, parts, lines, again, surplus, factor, c.walk, c.window_image,
                                c.window_kernel, c.window_limit, c.channel_lines, l->pow2, l->set_lines});
    return factor.log().flatten(-2);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const Tensor &numbers = saved[0], &parts = saved[1], &lines = saved[2], &again = saved[3],
                 &surplus = saved[4], &factor = saved[5], &walk = saved[6], &window_image = saved[7],
                 &window_kernel = saved[8], &window_limit = saved[9], &channel_lines = saved[10],
                 &pow2 = saved[11], &set_lines = saved[12];
    const Tensor by_cache = gradients[0].view(again.sizes()) * again / factor;
    const Tensor by_lines =
        over_halves((by_cache * (1 - again)).flatten(-2)).mul_(surplus).mul_(kMissSharpness).div_(lines);
    const Tensor footprints =
        parts.narrow(-1, 0, kFootprints * kRefetches).unflatten(-1, {kFootprints, kRefetches});
    const Tensor by_surplus =
        over_halves(by_cache.flatten(-2)) * torch::where(surplus > 0, surplus + 1, surplus);
    const Tensor by_parts = torch::cat({(footprints * by_lines.unsqueeze(-2)).flatten(-2), by_surplus}, -1);
    const Tensor by_numbers = times(by_parts, walk.transpose(-1, -2)) / numbers;

    const std::vector<Tensor> of = numbers.split_with_sizes({4, 2, 1, 4, 2, 2}, -1);
    const std::vector<Tensor> by = by_numbers.split_with_sizes({kDims, 4, 2, 2}, -1);
    const Tensor by_windows = by[1] * (of[3] < window_limit);
    const Tensor by_rows = by[2] + by[3] * (of[4] >= set_lines);
    Tensor by_tile = by[0].clone();
    by_tile.narrow(-1, 0, 2).add_(over_halves(by_windows * window_kernel));
    by_tile.narrow(-1, 2, 2).add_(over_halves(by_windows * window_image));
    by_tile.narrow(-1, 4, 2).add_(by_rows * ((of[4] < channel_lines) & (of[1] > pow2)), 1 / kLine);
    return {by_tile, Tensor()};
  }

 private:
  static Tensor part(const Tensor& parts, int which) {
    return parts.narrow(-1, which * kRefetches, kRefetches);
  }
  /// Sum of the halves of the last dimension, [..., 2 n] -> [..., n]: faster than sum() over two.
  static Tensor over_halves(const Tensor& t) {
    const std::int64_t half = t.size(-1) / 2;
    return t.narrow(-1, 0, half) + t.narrow(-1, half, half);
  }
};

}  // namespace

std::vector<Tensor*> RelaxedLayers::all() {
  return {&to_reloads,     &loads_anew,   &refetched,    &refetched_if_loaded, &one,          &log_narrow,
          &miss_offset,    &log_size,     &halo_image,   &halo_kernel,         &halo_offset,  &clip,
          &clip_per_tile,  &flanks,       &packs,        &minus_half_c4,       &footprint,    &channel_lines,
          &output_rows,    &piece_grain,  &per_piece,    &least_cycles,        &window_image, &window_kernel,
          &window_offset,  &window_limit, &walk,         &walk_offset,         &cache_levels, &count_offset,
          &ratio_matrix,   &ratio_offset, &pe_dim_ratio, &term_constants,      &plain_terms,  &latency_terms,
          &pipeline_terms, &to_counts,    &to_terms};
}

void RunBatch::complete_relaxed() {
  const torch::NoGradGuard no_gradients;
  const auto f64 = [](const Tensor& t) { return t.to(torch::kFloat64); };
  const auto pair = [](const Tensor& t) { return t.unsqueeze(-1); };
  RelaxedLayers& c = relaxed;
  const Matrices& m = matrices();
  const Tensor every_pixel = f64(skips.logical_not());
  c.log_size = size.log();
  c.one = torch::ones({}, size.options());
  c.count_offset = torch::matmul(c.log_size, m.sizes);
  const auto offset = [&](int count, const Tensor& log) { c.count_offset.select(-1, count).add_(log); };
  const std::vector<Tensor> whole = size.unbind(-1);
  const Tensor &size_c = whole[4], &size_k = whole[5];
  offset(kInputPageMisses, (size_c * (2 - every_pixel) / kPage).clamp_max(1).log());
  offset(kWeightPageMisses, (size_k / kPage).clamp_max(1).log());
  c.packs = every_pixel * f64(is_matmul.logical_not()) * (rules.first_layer_packing ? 1 : 0);

  // Halo of a tile: (output tile - 1) * stride + kernel tile, or the output tile where pixels are skipped.
  c.halo_image = torch::where(pair(skips), one, stride);
  c.halo_kernel = pair(every_pixel).expand_as(stride);
  c.halo_offset = -stride * pair(every_pixel);
  // What padding takes off over all pairs: per side, side * (1 + pieces * max(0, (side - 1) / 2)) with
  // pieces = (kernel tiles - 1) / max(1, kernel - 1), so a constant and a multiple of the kernel tiles.
  const Tensor before = pair(padding).expand_as(stride);
  const Tensor after = ((image - 1) * stride + kernel - before - input).clamp_min(0);
  const auto steps = [](const Tensor& side) { return side * ((side - 1) / 2).clamp_min(0); };
  c.clip_per_tile = (steps(before) + steps(after)) / (kernel - 1).clamp_min(1);
  c.clip = before + after - c.clip_per_tile;
  c.flanks = (f64(before > 0) + f64(after > 0)).select(-1, 0);

  c.piece_grain = torch::minimum(pow2.unsqueeze(-1), torch::tensor({kLine, kBeat}, size.options()));
  c.per_piece = torch::tensor({1 / kLine, 1 / kBeat}, size.options());
  c.least_cycles = torch::tensor({kMinExecuteCycles, 2 * kMinExecuteCycles}, size.options());
  c.output_rows = (whole[6] * whole[3]).unsqueeze(-1);
  c.log_narrow = torch::full({}, std::log(kNarrow), size.options());
  c.minus_half_c4 = -0.5 * size_c.pow(-4);

  c.channel_lines = channels / kLine;
  c.cache_levels = (kMissSharpness * (log_caches - std::log(kLine))).unsqueeze(-1);
  complete_walk();
  const Tensor lines = lines_of_layer();
  const std::vector<Tensor> log_lines = lines.log().unbind(-1);
  for (const int count : {kInputL2Misses, kInputLlcMisses, kInputPageMisses}) offset(count, log_lines[0]);
  for (const int count : {kWeightL2Misses, kWeightLlcMisses, kWeightPageMisses}) offset(count, log_lines[1]);
  for (const int count : {kOutputL2Misses, kOutputLlcMisses}) offset(count, log_lines[2]);

  complete_loads();
  c.to_counts = m.counts;
  c.to_terms = m.to_terms;
  c.ratio_matrix = torch::matmul(m.counts, m.to_ratios) + m.from_factors;
  c.ratio_offset = torch::matmul(c.count_offset, m.to_ratios);
  c.footprint = lines.sum(-1) * kLine;
  for (int column = 0; column < kRatioCount; ++column) {
    switch (kRatios[column].formula) {
      case Formula::kLog:
      case Formula::kLogMisses:
      case Formula::kLogPeDim:
      case Formula::kLogNarrowK:
      case Formula::kLogNarrowC:
      case Formula::kLogTiles:
      case Formula::kBursts:
        break;                 // of the tile
      case Formula::kLogTile:  // the layer's size over the number of tiles
        c.ratio_offset.select(-1, column)
            .copy_(c.log_size.select(-1, static_cast<int>(kRatios[column].dim)) * kLog2E);
        break;
      default:
        c.ratio_offset.select(-1, column).copy_(layer_ratio(kRatios[column].formula, *this, c.footprint));
    }
  }
  c.pe_dim_ratio = torch::zeros({kRatioCount}, size.options());
  c.pe_dim_ratio[first_with(Formula::kLogPeDim)] = 1.0;
  c.term_constants = torch::zeros({size.size(0), kTermColumns}, size.options());
  c.plain_terms = torch::zeros({kTermColumns}, size.options());
  c.latency_terms = torch::zeros_like(c.plain_terms);
  c.pipeline_terms = torch::zeros_like(c.plain_terms);
  for (const int column : {kFloorColumn, kTilesColumn}) c.plain_terms[column] = 1.0;
  for (int column = 0; column < kTermCount; ++column) {
    const Term& term = kTerms[column];
    if (term.count == kColdLines) c.term_constants.select(-1, column).copy_(cold * c.footprint / kLine);
    if (term.count == kRuns) c.term_constants.select(-1, column).fill_(1);
    switch (term.scale) {
      case Scale::kNone:
        c.plain_terms[column] = 1.0;
        break;
      case Scale::kPerInFlight:
        c.latency_terms[column] = 1.0;
        break;
      case Scale::kArray:
        c.pipeline_terms[column] = 1.0;
        break;
    }
  }
  c.miss_offset = torch::full({}, kMissOffset, size.options());
}

/// How often operands are loaded.
void RunBatch::complete_loads() {
  RelaxedLayers& c = relaxed;
  constexpr int kInput = 0, kWeight = 1, kOperandsLoaded = 2;
  c.loads_anew = (1 - keeps).unsqueeze(-1);
  c.to_reloads = torch::zeros({kDims, 2 * kOperandsLoaded}, size.options());
  const auto ones = [&](int column, std::initializer_list<Dim> dims) {
    for (const Dim dim : dims) c.to_reloads[static_cast<int>(dim)][column] = 1.0;
  };
  ones(kInput, {Dim::R, Dim::S, Dim::C, Dim::P, Dim::Q, Dim::N});
  ones(kWeight, {Dim::R, Dim::S, Dim::C, Dim::K});
  ones(kOperandsLoaded + kInput, {Dim::K});
  ones(kOperandsLoaded + kWeight, {Dim::P, Dim::Q, Dim::N});
  c.refetched = torch::ones({2 * kRefetches}, size.options());
  c.refetched_if_loaded = torch::zeros({kOperandsLoaded, 2 * kRefetches}, size.options());
  const std::pair<int, int> passing[] = {
      {kInputK, kInput}, {kWeightP, kWeight}, {kWeightQ, kWeight}, {kWeightN, kWeight}};
  for (const auto& [refetch, operand] : passing) {
    for (const int cache : {0, static_cast<int>(kRefetches)}) {
      c.refetched[cache + refetch] = 0.0;
      c.refetched_if_loaded[operand][cache + refetch] = 1.0;
    }
  }
}

/// The walks of the layers' orders: one for all layers where they share it, else one each.
void RunBatch::complete_walk() {
  RelaxedLayers& c = relaxed;
  // The image's or the kernel's extent is the whole one where its loop is the inner one of the two.
  const Tensor place = dim_at.argsort();
  const Tensor kernel_inside = place.narrow(1, 0, 2) < place.narrow(1, 2, 2);
  const Tensor none = torch::zeros_like(c.halo_image);
  const auto both = [](const Tensor& window, const Tensor& inner) { return torch::cat({window, inner}, -1); };
  c.window_image = both(c.halo_image, torch::where(kernel_inside, c.halo_image, none));
  c.window_kernel = both(c.halo_kernel, torch::where(kernel_inside, none, c.halo_kernel));
  c.window_offset = both(c.halo_offset, c.halo_offset + torch::where(kernel_inside, kernel * c.halo_kernel,
                                                                     image * c.halo_image));
  const Tensor limit = torch::where(skips.unsqueeze(-1), torch::full_like(input, HUGE_VAL), input);
  c.window_limit = both(limit, limit);
  std::map<std::array<int, kDims>, std::int64_t> known;
  std::vector<Tensor> tiles, wholes;
  std::vector<std::int64_t> walk_of_layer;
  const auto places = place.accessor<std::int64_t, 2>();
  for (std::int64_t i = 0; i < place.size(0); ++i) {
    std::array<int, kDims> order{};
    for (int d = 0; d < kDims; ++d) order[static_cast<std::size_t>(d)] = static_cast<int>(places[i][d]);
    const auto [found, fresh] = known.emplace(order, static_cast<std::int64_t>(known.size()));
    walk_of_layer.push_back(found->second);
    if (!fresh) continue;
    const Walk walk = walk_of(order);
    tiles.push_back(walk.tile);
    wholes.push_back(walk.whole);
  }
  const auto of_layers = [&](const std::vector<Tensor>& walks) {
    return walks.size() == 1
               ? walks[0]
               : torch::stack(walks).index_select(0, torch::tensor(walk_of_layer, torch::kInt64));
  };
  c.walk = of_layers(tiles);
  c.walk_offset = times(walk_numbers(size, *this).log(), of_layers(wholes));
}

/// Lines of the three tensors of whole layers, [layers, 3].
Tensor RunBatch::lines_of_layer() const {
  const std::vector<Tensor> f = walk_numbers(size, *this).unbind(-1);
  const auto extent = [&](Dim dim) { return f[static_cast<std::size_t>(dim)]; };
  return torch::stack({extent(Dim::N) * f[kWindow] * f[kWindow + 1] * f[kLines],
                       extent(Dim::R) * extent(Dim::S) * extent(Dim::C) * f[kLines + 1],
                       extent(Dim::N) * extent(Dim::P) * extent(Dim::Q) * f[kLines + 1]},
                      -1);
}

Counts relaxed_counts(const Tensor& tile, const Tensor& pe_dim_in, const RunBatch& l, bool misses) {
  const RelaxedLayers& c = l.relaxed;
  const Tensor log_pe = pe_dim_in.log();
  const Tensor log_tile = tile.log();
  const Tensor log_number = c.log_size - log_tile;
  const std::vector<Tensor> tiles = tile.split_with_sizes({2, 2, 2, 1}, -1);
  const std::vector<Tensor> logs = log_tile.split_with_sizes({1, 1, 1, 1, 2, 1}, -1);
  const std::vector<Tensor> numbers = log_number.split_with_sizes({2, 2, 2, 1}, -1);
  const Tensor &kernel = tiles[0], &image = tiles[1], &channels = tiles[2];
  const Tensor &log_r = logs[0], &log_p = logs[2], &log_channels = logs[4];
  const Tensor log_c = log_channels.narrow(-1, 0, 1);
  const auto last = [](const Tensor& t) { return t.unsqueeze(-1); };

  // Blocks of pe_dim and DMA rows.
  const Tensor chunk = pe_dim_in.clamp_min(kLine);
  const Tensor units = torch::stack({log_pe, chunk.log()}, -1).unsqueeze(-2);  // [..., 1, 2]
  const Tensor blocks = torch::relu(last(log_channels) - units).flatten(-2);   // [..., 4]
  const Tensor blocks_p = torch::relu(log_p - last(log_pe));
  const Tensor packed = torch::relu(torch::minimum(last(log_pe) - log_c, log_r)) * last(c.packs);
  const Tensor groups = torch::relu(log_r - packed);
  // Loads of an operand for the tiles that do not depend on it: one up to kKeptTiles tiles, all from one more
  // on, and a power of all in between.
  const std::vector<Tensor> reloads = torch::matmul(log_number, c.to_reloads).split_with_sizes({2, 2}, -1);
  static const double log_kept = std::log(kKeptTiles), step = std::log((kKeptTiles + 1) / kKeptTiles);
  const Tensor loaded = torch::maximum(((reloads[0] - log_kept) / step).clamp(0, 1), c.loads_anew);
  // Pieces that rows of channels touch.
  const Tensor covered = last(torch::minimum(channels, last(chunk)));
  const Tensor touched =
      torch::addcmul(c.one, covered - torch::minimum(last(channels), c.piece_grain), c.per_piece)
          .log()
          .flatten(-2);

  // Rows and columns of the input.
  const Tensor halo =
      torch::addcmul(torch::addcmul(c.halo_offset, image, c.halo_image), kernel, c.halo_kernel);
  const Tensor log_pairs = numbers[0] + numbers[1];
  const Tensor padded = log_pairs.exp() * halo;
  const Tensor valid =
      (padded - torch::addcmul(c.clip, numbers[0].exp(), c.clip_per_tile)).clamp_min(1).log();
  const Tensor width = log_pairs.narrow(-1, 0, 1);
  const Tensor chunks = width + torch::relu(valid.narrow(-1, 0, 1) - width - last(log_pe));
  const Tensor flanked =
      torch::addcmul(chunks.exp(), (numbers[0].narrow(-1, 0, 1) * 0.5).exp(), last(c.flanks)).log();

  // Cycles of the rows of a column tile: at least 4 (or 8) per instruction, pe_dim after a preload.
  const Tensor rows = torch::maximum(image.narrow(-1, 0, 1), c.least_cycles);
  const Tensor image_tiles = (log_number.narrow(-1, 3, 1) + numbers[3]).exp();
  const Tensor floors =
      torch::addcmul(rows * c.output_rows, image_tiles, torch::relu(last(pe_dim_in) - rows)).log();

  const Tensor page =
      torch::addcmul(c.one, channels.narrow(-1, 0, 1).square().square(), last(c.minus_half_c4)).log();
  const std::vector<Tensor> of_blocks = blocks.split(1, -1);
  const Tensor matmul = last(l.is_matmul);
  const Tensor stores = torch::where(matmul, of_blocks[3], of_blocks[2]);
  const Tensor requests = torch::where(matmul, of_blocks[3] + touched.narrow(-1, 2, 1), of_blocks[2]);
  std::vector<Tensor> factors{log_number,
                              blocks,
                              blocks_p,
                              groups,
                              touched,
                              valid,
                              padded.log(),
                              chunks,
                              flanked,
                              floors,
                              page,
                              stores,
                              requests,
                              loaded * reloads[1],
                              torch::minimum(log_channels, c.log_narrow)};
  if (misses)
    factors.push_back(LogRefetched::apply(tile, &l) *
                      (c.refetched + torch::matmul(loaded, c.refetched_if_loaded)));

  Counts n;
  n.log_factors = torch::cat(factors, -1);
  const Tensor log_counts =
      torch::matmul(n.log_factors, misses ? c.to_counts : c.to_counts.narrow(0, 0, kWithoutMisses));
  n.values = (log_counts + c.count_offset).exp();
  const std::vector<Tensor> parts =
      n.values.split_with_sizes({kTrafficCounts, kProducts - kTrafficCounts}, -1);
  const std::vector<Tensor> traffic = parts[0].unbind(-1), others = parts[1].unbind(-1);
  for (int count = 0; count < kProducts; ++count) {
    n.field(static_cast<Count>(count)) = count < kTrafficCounts
                                             ? traffic[static_cast<std::size_t>(count)]
                                             : others[static_cast<std::size_t>(count - kTrafficCounts)];
  }
  if (!misses) {
    for (Transfers* t : {&n.input, &n.weight, &n.output})
      t->l2_misses = t->llc_misses = t->page_misses = Tensor();
  }
  n.footprint = c.footprint.expand_as(n.tiles);
  n.cold_lines = (l.cold * c.footprint / kLine).expand_as(n.tiles);
  return n;
}

Features relaxed_features(const Counts& n, const Tensor& pe_dim, const RunBatch& l) {
  const RelaxedLayers& c = l.relaxed;
  const Tensor pe = pe_dim.unsqueeze(-1);
  const Tensor scale =
      c.plain_terms + c.latency_terms / commands_in_flight(pe) + c.pipeline_terms * (pe / kArrayOfUnitDepth);
  const Tensor terms = torch::addcmul(c.term_constants, torch::matmul(n.values, c.to_terms), scale);
  Tensor linear =
      torch::matmul(n.log_factors, c.ratio_matrix) + (c.ratio_offset + c.pe_dim_ratio * pe.log2());
  if (!l.reduces_inside) {
    const Tensor bursts = store_burstiness(n.log_factors.narrow(-1, 0, kDims), l);
    linear = torch::cat({linear.narrow(-1, 0, kBurstRatio), bursts.unsqueeze(-1)}, -1);
  }
  const std::vector<Tensor> columns = terms.split_with_sizes({kTermCount, 1, 1}, -1);
  // No ratio here is anywhere near the smallest that counts, but misses can be few.
  const std::vector<Tensor> parts = linear.split_with_sizes(
      {kFirstMissRatio, kMissRatios, kRatioCount - kFirstMissRatio - kMissRatios}, -1);
  const Tensor ratios = torch::cat({parts[0], (parts[1].exp() + c.miss_offset).log(), parts[2]}, -1);
  return {columns[0], ratios, columns[1].squeeze(-1), columns[2].squeeze(-1), l.matmul, {}, true};
}

}  // namespace dosa
