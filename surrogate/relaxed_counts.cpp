// The relaxed mode of executed_counts, in few operations.
//
// A step of the search costs what its small tensor operations cost to start, not what they compute. With
// every tile full, a count is a product: its logarithm is a sum of logarithms of a few factors, and one
// matrix product gives all counts, another one the ratios that the networks see.
#include "surrogate/relaxed_counts.hpp"

#include <array>
#include <cmath>

namespace dosa {
namespace {

using torch::Tensor;
using namespace counting;

// Places among the base's terms and among the inputs that do not depend on the base (base_term_names,
// combined_input_names).
constexpr int kInputLatency = 2, kWeightLatency = 11, kOutputLatency = 22, kPipeline = 28, kCold = 29,
              kStart = 30, kBaseTerms = 31;
constexpr int kPeDimRatio = 0, kMatmulRatio = 1, kFirstCountRatio = 2, kFirstMissRatio = 8, kMissRatios = 5,
              kPow2KRatio = 13, kPow2CRatio = 14, kTileKRatio = 15, kTileCRatio = 16, kL2Ratio = 17,
              kLlcRatio = 18, kColdRatio = 19, kFewKRatio = 20, kFloorRatio = 21, kRatioInputs = 22;

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
  kInputL2,
  kWeightL2,
  kOutputL2,
  kInputLlc,
  kWeightLlc,
  kOutputLlc,
  kPageShare,
  kStores,         // mvout per pixel and tile of K
  kStoreRequests,  // requests of them
  kNarrowC,        // min(tile C, 64)
  kNarrowK,
  kFactorCount
};

/// One count: factors and sizes of the layer that it is the product of.
struct Product {
  std::vector<int> factors;
  std::vector<Dim> sizes;
};

// Columns of the counts; the first eight are those of the traffic.
enum Count : int {
  kTiles,
  kOutBlocks,
  kReductionBlocks,
  kArrayRows,
  kInputWords,
  kPaddedWords,
  kWeightWords,
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
  kCountCount
};

const std::array<Product, kCountCount>& products() {
  static const std::array<Product, kCountCount> table = [] {
    const auto D = [](std::initializer_list<Dim> dims) { return std::vector<Dim>(dims); };
    const auto times = [](std::vector<int> factors, std::initializer_list<int> more) {
      factors.insert(factors.end(), more);
      return factors;
    };
    const std::vector<int> image{kTilesP, kTilesQ, kTilesN}, rows_c{kTilesK, kTilesC, kRowsC};
    const std::vector<int> reduction{kTilesR, kColumnGroups, kTilesC, kBlocksC};
    const std::vector<int> blocks = times(reduction, {kTilesK, kBlocksK});
    const std::vector<int> valid = times(rows_c, {kValidWidth, kValidHeight});
    const std::vector<int> weight_rows = times(image, {kTilesK, kRowsK});
    std::array<Product, kCountCount> p;
    p[kTiles] = {{kTilesR, kTilesS, kTilesP, kTilesQ, kTilesC, kTilesK, kTilesN}, {}};
    p[kOutBlocks] = {{kTilesK, kBlocksK}, {}};
    p[kReductionBlocks] = {reduction, D({Dim::S})};
    p[kArrayRows] = {blocks, D({Dim::S, Dim::N, Dim::Q, Dim::P})};
    p[kInputWords] = {{kTilesK, kValidWidth, kValidHeight}, D({Dim::N, Dim::C})};
    p[kPaddedWords] = {{kTilesK, kPaddedWidth, kPaddedHeight}, D({Dim::N, Dim::C})};
    p[kWeightWords] = {image, D({Dim::R, Dim::S, Dim::C, Dim::K})};
    p[kOutputWords] = {{}, D({Dim::P, Dim::Q, Dim::K, Dim::N})};
    p[kInputInstructions] = {times(rows_c, {kValidHeight, kChunksWidth}), D({Dim::N})};
    p[kPaddedInstructions] = {times(rows_c, {kPaddedHeight, kChunksFlanksWidth}), D({Dim::N})};
    p[kInputRows] = {valid, D({Dim::N})};
    p[kPaddedRows] = {times(rows_c, {kPaddedHeight, kPaddedWidth}), D({Dim::N})};
    p[kInputRequests] = {times(valid, {kLinesC}), D({Dim::N})};
    p[kInputBeats] = {times(valid, {kBeatsC}), D({Dim::N})};
    p[kInputL2Misses] = {{kInputL2}, {}};
    p[kInputLlcMisses] = {{kInputLlc}, {}};
    p[kInputPageMisses] = {{kInputLlc, kPageShare}, {}};
    p[kWeightInstructions] = {times(weight_rows, {kTilesC, kBlocksC}), D({Dim::R, Dim::S})};
    p[kWeightRows] = {weight_rows, D({Dim::R, Dim::S, Dim::C})};
    p[kWeightRequests] = {times(weight_rows, {kLinesK}), D({Dim::R, Dim::S, Dim::C})};
    p[kWeightBeats] = {times(weight_rows, {kBeatsK}), D({Dim::R, Dim::S, Dim::C})};
    p[kWeightL2Misses] = {{kWeightL2}, {}};
    p[kWeightLlcMisses] = {{kWeightLlc}, {}};
    p[kWeightPageMisses] = {{kWeightLlc}, {}};
    p[kSteps] = {times(blocks, {kTilesP}), D({Dim::S, Dim::N, Dim::Q})};
    p[kPreloads] = {times(blocks, {kTilesP, kTilesQ, kTilesN}), D({Dim::S})};
    p[kExecutes] = {times(blocks, {kTilesP, kBlocksP}), D({Dim::S, Dim::N, Dim::Q})};
    p[kOutputInstructions] = {{kTilesP, kBlocksP, kTilesK, kStores}, D({Dim::N, Dim::Q})};
    p[kOutputRows] = {{kTilesK, kStores}, D({Dim::N, Dim::Q, Dim::P})};
    p[kOutputRequests] = {{kTilesK, kStoreRequests}, D({Dim::N, Dim::Q, Dim::P})};
    p[kOutputBeats] = {{kTilesK, kRowsK, kBeatsK}, D({Dim::N, Dim::Q, Dim::P})};
    p[kOutputL2Misses] = {{kOutputL2}, {}};
    p[kOutputLlcMisses] = {{kOutputLlc}, {}};
    p[kFloor] = {times(blocks, {kTilesP, kFloorRow}), D({Dim::S})};
    p[kFloor8] = {times(blocks, {kTilesP, kFloor8Row}), D({Dim::S})};
    return p;
  }();
  return table;
}

/// What the networks see: log(count / another), except that the misses get an offset.
struct RatioColumn {
  int count, by;
};
constexpr RatioColumn kRatioCounts[] = {{kTiles, -1},
                                        {kInputRows, kInputInstructions},
                                        {kWeightRows, kWeightInstructions},
                                        {kOutputRows, kOutputInstructions},
                                        {kInputBeats, kInputRequests},
                                        {kWeightBeats, kWeightRequests},
                                        {kInputL2Misses, kInputRequests},
                                        {kWeightL2Misses, kWeightRequests},
                                        {kOutputL2Misses, kOutputRequests},
                                        {kInputLlcMisses, kInputRequests},
                                        {kWeightLlcMisses, kWeightRequests}};

struct Matrices {
  Tensor counts;       ///< [factors, counts]
  Tensor sizes;        ///< [7, counts]
  Tensor to_ratios;    ///< [counts, ratios]
  Tensor from_narrow;  ///< [factors, ratios]
  Tensor to_terms;     ///< [counts, terms]
};

const Matrices& matrices() {
  static const Matrices m = [] {
    const torch::InferenceMode off(false);  // whatever the first caller is in, others differentiate
    const auto zeros = [](std::int64_t rows, std::int64_t columns) {
      return torch::zeros({rows, columns}, torch::kFloat64);
    };
    Matrices built{zeros(kFactorCount, kCountCount), zeros(kDims, kCountCount),
                   zeros(kCountCount, kRatioInputs), zeros(kFactorCount, kRatioInputs),
                   zeros(kCountCount, kBaseTerms)};
    for (int count = 0; count < kCountCount; ++count) {
      const Product& product = products()[static_cast<std::size_t>(count)];
      for (const int factor : product.factors) built.counts[factor][count] += 1.0;
      for (const Dim dim : product.sizes) built.sizes[static_cast<int>(dim)][count] += 1.0;
    }
    int column = kFirstCountRatio;
    for (const RatioColumn& ratio : kRatioCounts) {
      built.to_ratios[ratio.count][column] += 1.0;
      if (ratio.by >= 0) built.to_ratios[ratio.by][column] -= 1.0;
      ++column;
    }
    built.to_ratios[kFloor8][kFloorRatio] += 1.0;
    built.to_ratios[kFloor][kFloorRatio] -= 1.0;
    built.from_narrow[kNarrowK][kTileKRatio] = 1 / std::log(2.0);
    built.from_narrow[kNarrowC][kTileCRatio] = 1 / std::log(2.0);
    const int terms[] = {kInputInstructions,
                         kPaddedInstructions,
                         kInputInstructions,
                         kPaddedRows,
                         kInputRows,
                         kInputRequests,
                         kInputBeats,
                         kInputL2Misses,
                         kInputLlcMisses,
                         kInputPageMisses,
                         kWeightInstructions,
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
                         kOutputInstructions,
                         kOutputRows,
                         kOutputRequests,
                         kOutputBeats,
                         kOutputL2Misses,
                         kTiles,
                         kTiles};
    for (std::size_t term = 0; term < std::size(terms); ++term)
      built.to_terms[terms[term]][static_cast<std::int64_t>(term)] += 1.0;
    built.to_terms[kInputInstructions][1] -= 1.0;
    built.to_terms[kInputRows][3] -= 1.0;
    return built;
  }();
  return m;
}

/// Misses of the three tensors in both caches, log, [B..., layers, 6]; the walk of counts.cpp.
Tensor log_misses(const Tensor& tile, const Tensor& log_number, const RunBatch& l) {
  const RelaxedLayers& c = l.relaxed;
  const std::int64_t batch_dims = tile.dim() - 2;
  const auto spread = [&](const Tensor& t, int before) {
    // A tensor [before..., layers, ...] with dimensions of size 1 for the batch before its layers.
    std::vector<std::int64_t> shape = t.sizes().vec();
    shape.insert(shape.begin() + before, static_cast<std::size_t>(batch_dims), 1);
    return t.view(shape);
  };
  const Tensor extent = torch::where(spread(l.walked, 1), l.size, tile);  // [8, B..., layers, 7]
  const std::vector<Tensor> e = extent.split_with_sizes({2, 2, 2, 1}, -1);
  const Tensor &kernel = e[0], &image = e[1], &channels = e[2];
  const Tensor batch = e[3].squeeze(-1);
  const Tensor window = torch::minimum(
      torch::addcmul(torch::addcmul(c.halo_offset, image, c.halo_image), kernel, c.halo_kernel),
      c.halo_limit);
  // Pixels of the input, kernel positions and pixels of the output in one product over the last dimension.
  const auto both = [](const Tensor& pair) {
    const std::vector<Tensor> parts = pair.unbind(-1);
    return parts[0] * parts[1];
  };
  const Tensor pixels = both(window) * batch, outputs = both(image) * batch;
  const Tensor lines = torch::minimum(
      c.channel_lines, torch::add(c.one, channels - torch::minimum(l.pow2, channels), 1 / kLine));
  const std::vector<Tensor> each = channels.unbind(-1), per = lines.unbind(-1),
                            sets = torch::maximum(lines, l.set_lines).unbind(-1);
  const Tensor filters = both(kernel) * each[0];
  // Partial sums stay in the accumulator: the output is written in the last iteration of the reductions
  // outside.
  const Tensor written = (log_number * spread(c.reductions_outside, 1)).sum(-1).exp();
  const Tensor log_bytes =
      torch::addcmul(pixels * sets[0], torch::addcmul(filters, outputs, written), sets[1]).log();
  const Tensor log_lines =
      torch::stack({pixels * per[0], filters * per[1], outputs * per[1]}).log();  // [3, 8, B..., layers]
  const Tensor inner = log_lines.narrow(1, 0, kDims);
  const Tensor growth = (log_lines.narrow(1, 1, kDims) - inner).exp();
  const Tensor iterations = log_number.exp().gather(-1, l.dim_at.expand_as(log_number)).movedim(-1, 0);
  // The share that is fetched again, [2, 1, 7, B..., layers].
  const Tensor again =
      torch::sigmoid(log_bytes.narrow(0, 0, kDims) * c.sharpness - spread(c.cache_levels, 3));
  const Tensor factor = torch::addcmul(growth, torch::relu(iterations - growth), again);
  const Tensor fetched = (factor.log() * spread(c.fetches, 3)).sum(2) + log_lines.select(1, 0);
  return fetched.flatten(0, 1).movedim(0, -1);
}

}  // namespace

void RunBatch::complete_relaxed() {
  const torch::NoGradGuard no_gradients;
  const auto f64 = [](const Tensor& t) { return t.to(torch::kFloat64); };
  const auto pair = [](const Tensor& t) { return t.unsqueeze(-1); };
  RelaxedLayers& c = relaxed;
  const Matrices& m = matrices();
  const Tensor keeps = f64(skips.logical_not());
  c.log_size = size.log();
  c.one = torch::ones({}, size.options());
  c.count_offset = torch::matmul(c.log_size, m.sizes);
  const auto offset = [&](int count, const Tensor& log) { c.count_offset.select(-1, count).add_(log); };
  const std::vector<Tensor> whole = size.unbind(-1);
  const Tensor &size_c = whole[4], &size_k = whole[5];
  offset(kInputPageMisses, (size_c * (2 - keeps) / kPage).clamp_max(1).log());
  offset(kWeightPageMisses, (size_k / kPage).clamp_max(1).log());
  c.packs = keeps * f64(is_matmul.logical_not()) * (rules.first_layer_packing ? 1 : 0);

  // Halo of a tile: (output tile - 1) * stride + kernel tile, or the output tile where pixels are skipped.
  c.halo_image = torch::where(pair(skips), one, stride);
  c.halo_kernel = pair(keeps).expand_as(stride);
  c.halo_offset = -stride * pair(keeps);
  c.halo_limit = torch::where(pair(skips), torch::full_like(input, HUGE_VAL), input);
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
  c.log_narrow = torch::full({}, std::log(64.0), size.options());
  c.minus_half_c4 = -0.5 * size_c.pow(-4);

  c.channel_lines = channels / kLine;
  c.sharpness = torch::full({}, kMissSharpness, size.options());
  c.cache_levels = (kMissSharpness * (log_caches - std::log(kLine))).view({2, 1, 1, 1});
  c.fetches = torch::ones({1, 3, kDims, size.size(0)}, size.options());
  c.fetches[0][2].masked_fill_(reduces, 0);
  // Minus 1 where a dimension is a reduction and its loop lies outside the n innermost.
  const Tensor reduction = torch::tensor({1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0}, size.options());
  c.reductions_outside = -f64(walked.logical_not()) * reduction;

  c.ratio_matrix = torch::matmul(m.counts, m.to_ratios) + m.from_narrow;
  c.ratio_offset = torch::matmul(c.count_offset, m.to_ratios);
  c.footprint = lines_of_layer() * kLine;
  const auto ratio = [&](int column, const Tensor& value) { c.ratio_offset.select(-1, column).add_(value); };
  const auto exceeds = [&](double kib) { return torch::sigmoid(2 * (c.footprint / (kib * 1024)).log()); };
  ratio(kMatmulRatio, matmul);
  ratio(kPow2KRatio, pow2.select(-1, 1).log2());
  ratio(kPow2CRatio, pow2.select(-1, 0).log2());
  ratio(kL2Ratio, exceeds(rules.l2_kib));
  ratio(kLlcRatio, exceeds(rules.llc_kib));
  ratio(kColdRatio, cold);
  ratio(kFewKRatio, (1 - size_k / 64).clamp_min(0));
  c.term_constants = torch::zeros({size.size(0), kBaseTerms}, size.options());
  c.term_constants.select(-1, kCold).copy_(cold * c.footprint / kLine);
  c.term_constants.select(-1, kStart).fill_(1);
  const auto mask = [&](std::initializer_list<int> columns) {
    const Tensor list = torch::zeros({kBaseTerms}, size.options());
    for (const int column : columns) list[column] = 1.0;
    return list;
  };
  c.latency_terms = mask({kInputLatency, kWeightLatency, kOutputLatency});
  c.pipeline_terms = mask({kPipeline});
  c.plain_terms = 1 - c.latency_terms - c.pipeline_terms;
  c.pe_dim_ratio = torch::zeros({kRatioInputs}, size.options());
  c.pe_dim_ratio[kPeDimRatio] = 1.0;
  c.miss_offset = torch::full({}, kMissOffset, size.options());
}

/// Lines of the three tensors of whole layers, [layers].
Tensor RunBatch::lines_of_layer() const {
  const RelaxedLayers& c = relaxed;
  const Tensor window = torch::minimum(
      torch::addcmul(torch::addcmul(c.halo_offset, image, c.halo_image), kernel, c.halo_kernel),
      c.halo_limit);
  const Tensor lines =
      torch::minimum(channels / kLine, 1 + (channels - torch::minimum(pow2, channels)) / kLine);
  const Tensor n = size.select(-1, 6);
  const Tensor filters = kernel.prod(-1) * size.select(-1, 4);
  return n * window.prod(-1) * lines.select(-1, 0) + (filters + n * image.prod(-1)) * lines.select(-1, 1);
}

Counts relaxed_counts(const Tensor& tile, const Tensor& pe_dim_in, const RunBatch& l, bool misses) {
  const RelaxedLayers& c = l.relaxed;
  const Matrices& m = matrices();
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
  std::vector<std::int64_t> none = log_number.sizes().vec();
  none.back() = kOutputLlc - kInputL2 + 1;
  const Tensor missed = misses ? log_misses(tile, log_number, l) : torch::zeros(none, log_number.options());
  const Tensor factors =
      torch::cat({log_number, blocks, blocks_p, groups, touched, valid, padded.log(), chunks, flanked, floors,
                  missed, page, stores, requests, torch::minimum(log_channels, c.log_narrow)},
                 -1);

  Counts n;
  n.log_factors = factors;
  n.values = (torch::matmul(factors, m.counts) + c.count_offset).exp();
  const std::vector<Tensor> parts =
      n.values.split_with_sizes({kTrafficCounts, kCountCount - kTrafficCounts}, -1);
  const std::vector<Tensor> traffic = parts[0].unbind(-1), others = parts[1].unbind(-1);
  const auto of = [&](int count) {
    return count < kTrafficCounts ? traffic[static_cast<std::size_t>(count)]
                                  : others[static_cast<std::size_t>(count - kTrafficCounts)];
  };
  n.tiles = of(kTiles);
  n.out_blocks = of(kOutBlocks);
  n.reduction_blocks = of(kReductionBlocks);
  n.array_rows = of(kArrayRows);
  n.steps = of(kSteps);
  n.preloads = of(kPreloads);
  n.executes = of(kExecutes);
  n.floor = of(kFloor);
  n.floor8 = of(kFloor8);
  n.input = {of(kInputInstructions), of(kInputRows),      of(kInputRequests),   of(kInputBeats),
             of(kInputL2Misses),     of(kInputLlcMisses), of(kInputPageMisses), of(kInputWords)};
  n.weight = {of(kWeightInstructions), of(kWeightRows),      of(kWeightRequests),   of(kWeightBeats),
              of(kWeightL2Misses),     of(kWeightLlcMisses), of(kWeightPageMisses), of(kWeightWords)};
  n.output = {of(kOutputInstructions),
              of(kOutputRows),
              of(kOutputRequests),
              of(kOutputBeats),
              of(kOutputL2Misses),
              of(kOutputLlcMisses),
              {},
              of(kOutputWords)};
  if (!misses) {
    for (Transfers* t : {&n.input, &n.weight, &n.output})
      t->l2_misses = t->llc_misses = t->page_misses = Tensor();
  }
  n.zero_instructions = of(kPaddedInstructions) - n.input.instructions;
  n.zero_rows = of(kPaddedRows) - n.input.rows;
  n.zero_words = of(kPaddedWords) - n.input.words;
  n.footprint = c.footprint.expand_as(n.tiles);
  n.cold_lines = (l.cold * c.footprint / kLine).expand_as(n.tiles);
  return n;
}

RelaxedInputs relaxed_inputs(const Counts& n, const Tensor& pe_dim, const RunBatch& l) {
  const RelaxedLayers& c = l.relaxed;
  const Tensor pe = pe_dim.unsqueeze(-1);
  const Tensor in_flight = (kQueueBytes / pe.detach()).floor() + 1;
  const Tensor scale = c.plain_terms + c.latency_terms / in_flight + c.pipeline_terms * (pe / 16);
  const Tensor terms = torch::addcmul(c.term_constants, torch::matmul(n.values, matrices().to_terms), scale);
  const Tensor linear =
      torch::matmul(n.log_factors, c.ratio_matrix) + (c.ratio_offset + c.pe_dim_ratio * pe.log2());
  // No ratio here is anywhere near the smallest that counts, but misses can be few.
  const std::vector<Tensor> parts = linear.split_with_sizes(
      {kFirstMissRatio, kMissRatios, kRatioInputs - kFirstMissRatio - kMissRatios}, -1);
  return {terms, torch::cat({parts[0], (parts[1].exp() + c.miss_offset).log(), parts[2]}, -1)};
}

}  // namespace dosa
