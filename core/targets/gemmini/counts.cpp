#include "dosa/core/targets/gemmini/counts.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "dosa/core/targets/gemmini/relaxed_counts.hpp"

namespace dosa {
namespace {

using namespace counting;

using torch::Tensor;
using torch::indexing::Ellipsis;
using torch::indexing::None;
using torch::indexing::Slice;

constexpr double kEpsilon = 1e-9;  // room for rounding in divisions of whole numbers
constexpr double kSets = 1024;     // sets of either cache

constexpr int index(Dim dim) { return static_cast<int>(dim); }

double largest_pow2_divisor(double number, double cap) {
  double power = 1;
  while (power * 2 <= cap && std::fmod(number, power * 2) == 0) power *= 2;
  return power;
}

/// The largest power of two <= 64 that divides whole numbers.
Tensor pow2_divisor(const Tensor& number) {
  Tensor power = torch::ones_like(number);
  for (double next = 2; next <= kLine; next *= 2) {
    power = torch::where(torch::remainder(number, next) == 0, torch::full_like(number, next), power);
  }
  return power;
}

Tensor ceil_div(const Tensor& number, const Tensor& by, bool relaxed) {
  const Tensor ratio = number / by;
  return relaxed ? ratio.clamp_min(1) : (ratio - kEpsilon).ceil();
}

/// The distinct tile sizes of every dimension, [2, B..., layers, 7], and how often each occurs: the full tile
/// and the edge (occurring 0 or 1 times).
struct TileSizes {
  Tensor size, times;
};

TileSizes distinct_tiles(const Tensor& tile, const Tensor& size) {
  const Tensor full = (size / tile + kEpsilon).floor();
  const Tensor edge = size - full * tile;
  return {torch::stack({tile, edge.clamp_min(1)}), torch::stack({full, (edge > 0.5).to(tile.scalar_type())})};
}

/// Sum over tile sizes (the first dimension).
Tensor over_tiles(const Tensor& times, const Tensor& value) { return (times * value).sum(0); }

/// Dimensions in groups that share formulas. Taken apart once: the gradient of a split is one concatenation.
struct DimGroups {
  Tensor kernel;    ///< [..., 2], R and S
  Tensor image;     ///< [..., 2], P and Q
  Tensor channels;  ///< [..., 2], C and K
  Tensor batch;     ///< [...], N

  static DimGroups of(const Tensor& dims) {
    const std::vector<Tensor> parts = dims.split_with_sizes({2, 2, 2, 1}, -1);
    return {parts[0], parts[1], parts[2], parts[3].squeeze(-1)};
  }
};

struct Pair {
  Tensor first, second;
};
Pair apart(const Tensor& pair) {
  const std::vector<Tensor> parts = pair.unbind(-1);
  return {parts[0], parts[1]};
}

/// Input rows (or columns) over all pairs of an output tile and a kernel tile of one axis of the image.
struct Axis {
  Tensor padded;  ///< rows with padding
  Tensor valid;   ///< rows without
  Tensor chunks;  ///< groups of pe_dim of the valid rows of a tile
  Tensor flanks;  ///< sides of tiles that are padding
  Tensor hangs;   ///< pairs wholly inside the padding
};

struct AxisLayer {
  Tensor outputs, output_tile, kernel, kernel_tile, stride, padding, input, downsampled, pe_dim;
};

/// Only tiles within `max_padding` of either end of the image can meet padding: those are enumerated, all
/// others are alike.
Axis axis_of(const AxisLayer& a, std::int64_t max_padding, std::int64_t max_kernel) {
  const auto options = a.outputs.options();
  const std::int64_t ends = max_padding + 1;
  const Tensor tiles = ceil_div(a.outputs, a.output_tile, false).unsqueeze(-1);
  const Tensor step = torch::arange(ends, options);
  const Tensor first = step + torch::zeros_like(tiles);
  const Tensor last = tiles - 1 - step;
  const Tensor which = torch::cat({first, last, torch::full_like(tiles, static_cast<double>(ends))}, -1);
  const Tensor times = torch::cat({(first < tiles).to(first.scalar_type()),
                                   (last >= static_cast<double>(ends)).to(first.scalar_type()),
                                   (tiles - 2.0 * static_cast<double>(ends)).clamp_min(0)},
                                  -1)
                           .unsqueeze(-1);
  const auto grid = [](const Tensor& t) { return t.unsqueeze(-1).unsqueeze(-1); };
  const Tensor output_start = which * a.output_tile.unsqueeze(-1);
  const Tensor output_size =
      torch::minimum(a.output_tile.unsqueeze(-1), a.outputs.unsqueeze(-1) - output_start)
          .clamp_min(1)
          .unsqueeze(-1);
  const Tensor kernel_start = torch::arange(max_kernel, options) * a.kernel_tile.unsqueeze(-1);
  const Tensor kernel_size =
      torch::minimum(a.kernel_tile.unsqueeze(-1), a.kernel.unsqueeze(-1) - kernel_start)
          .clamp_min(1)
          .unsqueeze(-2);
  const Tensor kernel_times = (kernel_start < a.kernel.unsqueeze(-1)).to(times.scalar_type()).unsqueeze(-2);
  const Tensor weight = times * kernel_times;

  const Tensor start =
      output_start.unsqueeze(-1) * grid(a.stride) + kernel_start.unsqueeze(-2) - grid(a.padding);
  const Tensor rows = (output_size - 1) * grid(a.stride) + kernel_size;
  const Tensor before = (-start).clamp_min(0);
  const Tensor after = (start + rows - grid(a.input)).clamp_min(0);
  const Tensor skip = grid(a.downsampled);
  const Tensor padded = torch::where(skip, output_size.expand_as(rows), rows);
  const Tensor valid = torch::where(skip, output_size.expand_as(rows), (rows - before - after).clamp_min(0));
  const auto sum = [&](const Tensor& value) { return (weight * value).sum({-1, -2}); };
  const auto flag = [&](const Tensor& condition) { return condition.to(weight.scalar_type()); };
  return {sum(padded), sum(valid), sum(ceil_div(valid, grid(a.pe_dim), false)),
          sum(flag(before > 0) + flag(after > 0)),
          // The library's windows are stride - 1 longer than what the outputs need.
          sum(flag((before > rows + grid(a.stride) - 1).logical_or(after > rows)))};
}

/// Mean number of `unit`-byte pieces that rows of `bytes` touch when they start at multiples of `grain`.
Tensor pieces_touched(const Tensor& bytes, const Tensor& grain, double unit) {
  const Tensor covered = (bytes / grain - kEpsilon).ceil() * grain;
  return 1 + (covered - grain) / unit;
}

/// The same for a tile's row of channels, cut into DMA rows of at most `chunk` bytes.
Tensor row_pieces(const Tensor& channels, const Tensor& chunk, const Tensor& grain, double unit) {
  const Tensor fine = grain.clamp_max(unit);
  const Tensor whole = (channels / chunk + kEpsilon).floor();
  const Tensor rest = channels - whole * chunk;
  return whole * pieces_touched(chunk.expand_as(channels), fine, unit) +
         torch::where(rest > 0.5, pieces_touched(rest.clamp_min(1), fine, unit), torch::zeros_like(rest));
}

/// Lines of the three tensors that parts of the layer touch, and the bytes that they take of a cache (see
/// kUnusedSets).
struct Footprint {
  Tensor input, weight, output, bytes;
};

/// `extent` [..., layers, 7]; `output_share`: how much of the output is written while the part runs.
Footprint footprint_of(const Tensor& extent, const Tensor& output_share, const RunBatch& l) {
  const DimGroups e = DimGroups::of(extent);
  const Tensor halo = torch::minimum((e.image - 1) * l.stride + e.kernel, l.input);
  const auto [columns, rows] = apart(torch::where(l.skips.unsqueeze(-1), e.image, halo));
  const Tensor grain = torch::where(e.channels >= l.channels, l.pow2.expand_as(e.channels),
                                    torch::minimum(l.pow2, pow2_divisor(e.channels)));
  const Tensor lines = torch::minimum(l.channels / kLine, 1 + (e.channels - grain) / kLine);
  const auto [per_pixel, per_row] = apart(lines);
  const auto [spread_pixel, spread_row] =
      apart(lines.pow(1 - kUnusedSets) * torch::maximum(lines, l.set_lines).pow(kUnusedSets));
  const Tensor pixels = e.batch * rows * columns;
  const auto [r, s] = apart(e.kernel);
  const auto [p, q] = apart(e.image);
  const Tensor filter_rows = r * s * e.channels.select(-1, 0);
  const Tensor outputs = e.batch * p * q;
  return {pixels * per_pixel, filter_rows * per_row, outputs * per_row,
          kLine * (pixels * spread_pixel + (filter_rows + outputs * output_share) * spread_row)};
}

struct Misses {
  Tensor input, weight, output;  // [2 caches, B..., layers]
  Tensor footprint;              // [B..., layers]
};

/// A tensor [n, layers, ...] with dimensions of size 1 for the batch after its first.
Tensor with_batch(const Tensor& t, std::int64_t batch_dims) {
  std::vector<std::int64_t> shape = t.sizes().vec();
  shape.insert(shape.begin() + 1, static_cast<std::size_t>(batch_dims), 1);
  return t.view(shape);
}

/// Walks the loops over tiles outwards. A loop multiplies what a tensor fetches by the growth of its
/// footprint while the cache holds what one iteration touches, and by the number of iterations once it does
/// not.
Misses cache_misses(const Tensor& tile, const Tensor& tiles, const KeptOperands& kept, const RunBatch& l) {
  const std::int64_t batch_dims = tile.dim() - 2;
  const Tensor extent = torch::where(with_batch(l.walked, batch_dims), l.size, tile);  // [8, B..., layers, 7]
  // Iterations by place, innermost first: [7, B..., layers].
  const Tensor iterations = tiles.gather(-1, l.dim_at.expand_as(tiles)).movedim(-1, 0);
  // Partial sums stay in the accumulator: the output is written in the last iteration of the reductions
  // outside.
  const Tensor reductions =
      torch::where(with_batch(l.reduces, batch_dims), iterations.log(), torch::zeros_like(l.one));
  const Tensor outside = torch::tensordot(l.outer_places, reductions, {1}, {0});  // log, [8, B..., layers]
  const Footprint foot = footprint_of(extent, (-outside).exp(), l);

  std::vector<std::int64_t> cache_shape(static_cast<std::size_t>(batch_dims) + 3, 1);
  cache_shape[0] = 2;
  // The share that is fetched again (see kMissSharpness), [2, 7, B..., layers].
  const Tensor again =
      torch::sigmoid(kMissSharpness * (foot.bytes.slice(0, 0, kDims).log() - l.log_caches.view(cache_shape)));
  // Loops that pass over an operand which is kept fetch nothing, [7, B..., layers].
  const Tensor loops = with_batch(l.dim_at.t(), batch_dims);
  const Tensor passes_inputs = kept.input.logical_and(loops == index(Dim::K));
  const Tensor passes_weights = kept.weight.logical_and(
      (loops == index(Dim::P)).logical_or(loops == index(Dim::Q)).logical_or(loops == index(Dim::N)));
  const auto fetched = [&](const Tensor& lines, const Tensor& passes, bool output) {
    const Tensor growth = lines.slice(0, 1) / lines.slice(0, 0, kDims);
    Tensor factor = growth + (iterations - growth).clamp_min(0) * again;
    if (passes.defined()) factor = torch::where(passes, l.one, factor);
    if (output) factor = torch::where(with_batch(l.reduces, batch_dims), l.one, factor);
    return lines.select(0, 0) * factor.log().sum(1).exp();
  };
  return {
      fetched(foot.input, passes_inputs, false), fetched(foot.weight, passes_weights, false),
      fetched(foot.output, {}, true),
      kLine * (foot.input.select(0, kDims) + foot.weight.select(0, kDims) + foot.output.select(0, kDims))};
}

/// Both axes of the image at once, [B..., layers, 2]: width (P and R), height (Q and S).
Axis axes_of(const DimGroups& tile, const Tensor& pe_dim, const RunBatch& l) {
  const auto pair = [&](const Tensor& t) { return t.expand_as(tile.image); };
  const auto both = [&](const Tensor& t) { return t.unsqueeze(-1).expand_as(tile.image); };
  const AxisLayer axes{pair(l.image),   tile.image,    pair(l.kernel), tile.kernel, pair(l.stride),
                       both(l.padding), pair(l.input), both(l.skips),  both(pe_dim)};
  return axis_of(axes, l.max_padding, l.max_kernel);
}

}  // namespace

LayerRun LayerRun::of(const Layer& layer, gemmini::Call call) {
  LayerRun run;
  run.layer = layer;
  run.matmul = gemmini::is_product(call);
  if (run.matmul) {
    run.layer.size = gemmini::extents(layer, call);
    run.layer.known_input_width = run.layer.known_input_height = run.layer.padding = std::nullopt;
    run.layer.uneven_padding = std::nullopt;
    run.layer.wstride = run.layer.hstride = run.layer.wdilation = run.layer.hdilation = 1;
  }
  return run;
}

LayerRun LayerRun::of(const Layer& layer) {
  return of(layer, layer.is_matmul() ? gemmini::Call::kMatmul : gemmini::Call::kConv);
}

RunBatch RunBatch::of(const std::vector<LayerRun>& runs, const RunRules& rules) {
  const auto count = static_cast<std::int64_t>(runs.size());
  const auto options = torch::TensorOptions(torch::kFloat64);
  RunBatch batch;
  batch.rules = rules;
  batch.size = torch::empty({count, kDims}, options);
  batch.dim_at = torch::empty({count, kDims}, torch::kInt64);
  batch.stride = torch::empty({count, 2}, options);
  batch.input = torch::empty({count, 2}, options);
  batch.pow2 = torch::empty({count, 2}, options);
  batch.set_lines = torch::empty({count, 2}, options);
  batch.padding = torch::empty({count}, options);
  batch.matmul = torch::empty({count}, options);
  batch.cold = torch::empty({count}, options);
  batch.keeps = torch::empty({count}, options);
  Tensor downsampled = torch::empty({count}, options);
  auto size = batch.size.accessor<double, 2>();
  auto dim_at = batch.dim_at.accessor<std::int64_t, 2>();
  auto stride = batch.stride.accessor<double, 2>();
  auto input = batch.input.accessor<double, 2>();
  auto pow2 = batch.pow2.accessor<double, 2>();
  auto set_lines = batch.set_lines.accessor<double, 2>();
  for (std::int64_t i = 0; i < count; ++i) {
    const LayerRun& run = runs[static_cast<std::size_t>(i)];
    const Layer& layer = run.layer;
    for (const Dim dim : all_dims()) size[i][index(dim)] = static_cast<double>(layer[dim]);
    for (int place = 0; place < kDims; ++place)
      dim_at[i][place] = index(run.order[static_cast<std::size_t>(place)]);
    const std::int64_t padding = run.matmul ? 0 : layer.padding.value_or(0);
    const auto input_of = [&](std::int64_t given, std::int64_t outputs, std::int64_t of_layer) {
      return run.matmul ? outputs : given > 0 ? given : of_layer;
    };
    const std::int64_t width = input_of(run.input_width, layer[Dim::P], layer.input_width());
    const std::int64_t height = input_of(run.input_height, layer[Dim::Q], layer.input_height());
    const bool skips = rules.downsampling && !run.matmul && layer[Dim::R] == 1 && layer[Dim::S] == 1 &&
                       layer.wstride == 2 && layer.hstride == 2 && padding == 0 && width % 2 == 0 &&
                       height % 2 == 0;
    const auto c = static_cast<double>(layer[Dim::C]);
    const auto k = static_cast<double>(layer[Dim::K]);
    // Rows of whole lines leave cache sets unused; a downsampled pixel is two pixels from the next.
    const auto sets_between = [](double row, double step) {
      return std::fmod(row, kLine) == 0 ? largest_pow2_divisor(row * step / kLine, kSets) : 0.0;
    };
    stride[i][0] = static_cast<double>(layer.wstride);
    stride[i][1] = static_cast<double>(layer.hstride);
    input[i][0] = static_cast<double>(width);
    input[i][1] = static_cast<double>(height);
    pow2[i][0] = largest_pow2_divisor(c, kLine);
    pow2[i][1] = largest_pow2_divisor(k, kLine);
    set_lines[i][0] = sets_between(c, skips ? 2 : 1);
    set_lines[i][1] = sets_between(k, 1);
    batch.padding[i] = static_cast<double>(padding);
    batch.matmul[i] = run.matmul ? 1.0 : 0.0;
    batch.cold[i] = run.cold ? 1.0 : 0.0;
    batch.keeps[i] = run.keeps ? 1.0 : 0.0;
    downsampled[i] = skips ? 1.0 : 0.0;
    batch.max_padding = std::max(batch.max_padding, padding);
    batch.max_kernel = std::max({batch.max_kernel, layer[Dim::R], layer[Dim::S]});
  }
  batch.skips = downsampled > 0;
  batch.complete();
  return batch;
}

void RunBatch::complete() {
  const DimGroups groups = DimGroups::of(size);
  kernel = groups.kernel;
  image = groups.image;
  channels = groups.channels;
  is_matmul = matmul > 0;
  one = torch::ones({}, size.options());
  log_caches = torch::tensor({rules.l2_kib * 1024, rules.llc_kib * 1024}, size.options()).log();
  const Tensor reduction = torch::tensor({1, 1, 0, 0, 1, 0, 0}, torch::kBool);
  outer_places = torch::ones({kDims, kDims}, size.options()).triu();
  outer_places = torch::cat({outer_places, torch::zeros({1, kDims}, size.options())});
  reduces = reduction.index({dim_at}).transpose(0, 1).contiguous();
  reduces_inside = reduces.narrow(0, 0, 3).all().item<bool>();
  const Tensor place = dim_at.argsort();
  walked = (place.unsqueeze(0) < torch::arange(kDims + 1).view({-1, 1, 1}));
  const Tensor blocks_of = torch::tensor({0, 0, 1, 0, 1, 1, 0}, torch::kBool);
  in_blocks = is_matmul.unsqueeze(-1).logical_and(blocks_of);
  complete_relaxed();
}

RunBatch RunBatch::to(const torch::TensorOptions& options) const {
  RunBatch converted = *this;
  std::vector<Tensor*> fields = converted.relaxed.all();
  for (Tensor* field : {&converted.size, &converted.stride, &converted.input, &converted.padding,
                        &converted.matmul, &converted.cold, &converted.keeps, &converted.pow2,
                        &converted.set_lines, &converted.kernel, &converted.image, &converted.channels,
                        &converted.log_caches, &converted.one, &converted.outer_places}) {
    fields.push_back(field);
  }
  for (Tensor* field : fields) *field = field->to(options);
  for (Tensor* field : {&converted.dim_at, &converted.skips, &converted.is_matmul, &converted.walked,
                        &converted.reduces, &converted.in_blocks})
    *field = field->to(options.device());
  return converted;
}

RunBatch RunBatch::select(const Tensor& chosen) const {
  RunBatch part = *this;
  for (Tensor* field : {&part.size, &part.dim_at, &part.stride, &part.input, &part.padding, &part.matmul,
                        &part.cold, &part.keeps, &part.skips, &part.pow2, &part.set_lines}) {
    *field = field->index_select(0, chosen);
  }
  part.complete();
  return part;
}

Tensor run_tiles(const Tensor& tile, const Tensor& pe_dim, const RunBatch& l, bool relaxed) {
  const Tensor block = pe_dim.expand_as(tile.select(-1, 0)).unsqueeze(-1);
  const Tensor blocked = relaxed ? torch::maximum(tile, block) : (tile / block - kEpsilon).ceil() * block;
  return torch::minimum(torch::where(l.in_blocks, blocked, tile), l.size);
}

Tensor tiles_along(const Tensor& tile, const RunBatch& l) { return (l.size / tile - kEpsilon).ceil(); }

Tensor store_burstiness(const Tensor& log_number, const RunBatch& l) {
  const Tensor iterations = log_number.gather(-1, l.dim_at.expand_as(log_number));  // by place
  const Tensor reductions = torch::where(l.reduces.t(), iterations, torch::zeros_like(l.one));
  const Tensor others = iterations - reductions;
  const Tensor inside = others.cumsum(-1) - others;
  return -torch::expm1((reductions * torch::expm1(-inside)).sum(-1));
}

Tensor& Counts::field(Count count) {
  switch (count) {
    case kTiles:
      return tiles;
    case kOutBlocks:
      return out_blocks;
    case kReductionBlocks:
      return reduction_blocks;
    case kArrayRows:
      return array_rows;
    case kInputWords:
      return input.words;
    case kPaddedWords:
      return padded_words;
    case kWeightWords:
      return weight.words;
    case kWeightUses:
      return weight_uses;
    case kOutputWords:
      return output.words;
    case kInputInstructions:
      return input.instructions;
    case kPaddedInstructions:
      return padded_instructions;
    case kInputRows:
      return input.rows;
    case kPaddedRows:
      return padded_rows;
    case kInputRequests:
      return input.requests;
    case kInputBeats:
      return input.beats;
    case kInputL2Misses:
      return input.l2_misses;
    case kInputLlcMisses:
      return input.llc_misses;
    case kInputPageMisses:
      return input.page_misses;
    case kWeightInstructions:
      return weight.instructions;
    case kWeightRows:
      return weight.rows;
    case kWeightRequests:
      return weight.requests;
    case kWeightBeats:
      return weight.beats;
    case kWeightL2Misses:
      return weight.l2_misses;
    case kWeightLlcMisses:
      return weight.llc_misses;
    case kWeightPageMisses:
      return weight.page_misses;
    case kSteps:
      return steps;
    case kPreloads:
      return preloads;
    case kExecutes:
      return executes;
    case kOutputInstructions:
      return output.instructions;
    case kOutputRows:
      return output.rows;
    case kOutputRequests:
      return output.requests;
    case kOutputBeats:
      return output.beats;
    case kOutputL2Misses:
      return output.l2_misses;
    case kOutputLlcMisses:
      return output.llc_misses;
    case kFloor:
      return floor;
    case kFloor8:
      return floor8;
    case kColdLines:
      return cold_lines;
    case kRuns:
    case kNoCount:
      break;
  }
  throw std::logic_error("no field of the counts");
}

Tensor Counts::at(Count count) const {
  return count == kRuns ? torch::ones_like(tiles) : const_cast<Counts*>(this)->field(count);
}

KeptOperands kept_operands(const Tensor& number, const RunBatch& l) {
  const std::vector<Tensor> tiles = number.unbind(-1);
  const auto few = [&](std::initializer_list<Dim> dims) {
    Tensor product = l.one;
    for (const Dim dim : dims) product = product * tiles[static_cast<std::size_t>(dim)];
    return (l.keeps > 0).logical_and(product < kKeptTiles + 0.5);
  };
  return {few({Dim::R, Dim::S, Dim::C, Dim::P, Dim::Q, Dim::N}), few({Dim::R, Dim::S, Dim::C, Dim::K})};
}

Counts executed_counts(const Tensor& any_tile, const Tensor& pe_dim_in, const RunBatch& l, bool relaxed,
                       bool misses) {
  const Tensor tile = run_tiles(any_tile, pe_dim_in, l, relaxed);
  if (relaxed) return relaxed_counts(tile, pe_dim_in, l, misses);
  const Tensor number = tiles_along(tile, l);
  const TileSizes sizes = distinct_tiles(tile, l.size);
  const DimGroups t = DimGroups::of(tile), size = DimGroups::of(sizes.size),
                  times = DimGroups::of(sizes.times);
  const std::vector<Tensor> tiles = number.unbind(-1), layer = l.size.unbind(-1);
  const auto tiles_of = [&](Dim dim) { return tiles[static_cast<std::size_t>(dim)]; };
  const auto layer_of = [&](Dim dim) { return layer[static_cast<std::size_t>(dim)]; };
  const Tensor pe_dim = pe_dim_in.expand_as(tiles[0]);
  const Tensor pe_pair = pe_dim.unsqueeze(-1);
  const auto [tile_c, tile_k] = apart(t.channels);
  const Tensor columns = size.image.select(-1, 0), columns_times = times.image.select(-1, 0);
  Counts c;
  c.tiles = number.log().sum(-1).exp();

  // Compute: per weight block (output channels, kernel row, group of kernel columns, input channels) the rows
  // of the tile's output pixels, an output row at a time.
  const Tensor kernel_columns = size.kernel.select(-1, 0);
  const Tensor channel_blocks = times.channels * ceil_div(size.channels, pe_pair, false);  // [2, ..., 2]
  const auto [c_blocks, k_blocks] = apart(channel_blocks.sum(0));
  // Groups of kernel columns by size of the channel tile: a narrow last one packs more of them.
  Tensor groups = kernel_columns.unsqueeze(0);  // [1 or 2 of C, 2 of R, ...]
  if (l.rules.first_layer_packing) {
    const Tensor fitting = (pe_dim / size.channels.select(-1, 0) + kEpsilon).floor();
    const Tensor packed = torch::minimum(fitting, t.kernel.select(-1, 0)).clamp_min(1);
    groups =
        ceil_div(groups, torch::where(l.is_matmul.logical_or(l.skips), l.one, packed).unsqueeze(1), false);
  }
  const Tensor column_groups = (times.kernel.select(-1, 0).unsqueeze(0) * groups).sum(1);
  c.out_blocks = k_blocks;
  c.reduction_blocks = layer_of(Dim::S) * (channel_blocks.select(-1, 0) * column_groups).sum(0);
  const Tensor weight_blocks = c.reduction_blocks * k_blocks;
  const Tensor p_blocks = over_tiles(columns_times, ceil_div(columns, pe_dim, false));
  const Tensor image_tiles = tiles_of(Dim::N) * tiles_of(Dim::Q);
  const Tensor all_image_tiles = image_tiles * tiles_of(Dim::P);
  const Tensor output_rows = layer_of(Dim::N) * layer_of(Dim::Q);
  const Tensor row_chunks = output_rows * p_blocks;
  c.preloads = weight_blocks * all_image_tiles;
  c.executes = weight_blocks * row_chunks;
  c.steps = weight_blocks * output_rows * tiles_of(Dim::P);
  c.array_rows = weight_blocks * output_rows * layer_of(Dim::P);
  const auto floor_with = [&](double at_least) {
    const Tensor whole = (columns / pe_dim + kEpsilon).floor() * pe_dim;
    const Tensor rest = columns - whole;
    // Cycles of one output row of a tile.
    const Tensor row = whole + torch::where(rest > 0.5, rest.clamp_min(at_least), torch::zeros_like(rest));
    // The first instruction after a preload takes at least pe_dim cycles.
    const Tensor wait = (pe_dim - torch::minimum(columns, pe_dim).clamp_min(at_least)).clamp_min(0);
    return weight_blocks * over_tiles(columns_times, output_rows * row + image_tiles * wait);
  };
  c.floor = floor_with(kMinExecuteCycles);
  c.floor8 = floor_with(2 * kMinExecuteCycles);

  // DMA. Rows are at most 64 bytes, or pe_dim where that is more; an input is loaded again for every tile of
  // output channels, a weight for every tile of pixels.
  const Tensor chunk = pe_pair.clamp_min(kLine);
  const Axis axes = axes_of(t, pe_dim, l);
  const auto [padded_w, padded_h] = apart(axes.padded);
  const auto [valid_w, valid_h] = apart(axes.valid);
  const Tensor chunks_w = axes.chunks.select(-1, 0);
  const Tensor grain = torch::where(t.channels >= l.channels, l.pow2.expand_as(t.channels),
                                    torch::minimum(l.pow2, pow2_divisor(t.channels)));
  const auto [c_rows, k_rows] = apart(over_tiles(times.channels, ceil_div(size.channels, chunk, false)));
  const auto touched = [&](double unit) {
    return apart(over_tiles(times.channels, row_pieces(size.channels, chunk, grain, unit)));
  };
  const auto [c_requests, k_requests] = touched(kLine);
  const auto [c_beats, k_beats] = touched(kBeat);
  const KeptOperands kept = kept_operands(number, l);
  const Tensor reload = layer_of(Dim::N) * torch::where(kept.input, l.one, tiles_of(Dim::K));
  const Tensor valid = reload * valid_h * valid_w;
  const Tensor reload_rows = reload * c_rows;
  c.input.instructions = reload_rows * valid_h * chunks_w;
  c.input.rows = valid * c_rows;
  c.input.requests = valid * c_requests;
  c.input.beats = valid * c_beats;
  c.input.words = valid * layer_of(Dim::C);
  c.padded_instructions = reload_rows * padded_h * (chunks_w + axes.flanks.select(-1, 0));
  c.padded_rows = reload_rows * padded_h * padded_w;
  c.padded_words = reload * layer_of(Dim::C) * padded_h * padded_w;
  const Tensor filters =
      layer_of(Dim::R) * layer_of(Dim::S) * torch::where(kept.weight, l.one, all_image_tiles);
  const Tensor filter_rows = filters * layer_of(Dim::C);
  c.weight.instructions = filters * c_blocks * k_rows;
  c.weight.rows = filter_rows * k_rows;
  c.weight.requests = filter_rows * k_requests;
  c.weight.beats = filter_rows * k_beats;
  c.weight.words = filter_rows * layer_of(Dim::K);
  c.weight_uses = layer_of(Dim::R) * layer_of(Dim::S) * layer_of(Dim::C) * layer_of(Dim::K) * all_image_tiles;
  // tiled_matmul stores up to 64 bytes at once, tiled_conv one block of pe_dim channels.
  const Tensor stores = torch::where(l.is_matmul, k_rows, k_blocks);
  const Tensor outputs = output_rows * layer_of(Dim::P);
  c.output.instructions = row_chunks * stores;
  c.output.rows = outputs * stores;
  c.output.requests = outputs * torch::where(l.is_matmul, k_requests, k_blocks);
  c.output.beats = outputs * k_beats;
  c.output.words = outputs * layer_of(Dim::K);
  c.hangs = axes.hangs.sum(-1);

  if (!misses) return c;
  const Misses missed = cache_misses(tile, number, kept, l);
  const auto split = [](Transfers& transfers, const Tensor& lines) {
    const std::vector<Tensor> caches = lines.unbind(0);
    transfers.l2_misses = caches[0];
    transfers.llc_misses = caches[1];
  };
  split(c.input, missed.input);
  split(c.weight, missed.weight);
  split(c.output, missed.output);
  c.footprint = missed.footprint;
  c.cold_lines = l.cold * missed.footprint / kLine;
  // Short rows far apart open a page each; a whole pixel at a time streams.
  const Tensor step = layer_of(Dim::C) * (1 + l.skips.to(tile.scalar_type()));
  const Tensor part = (tile_c / layer_of(Dim::C)).square();
  c.input.page_misses = c.input.llc_misses * (step / kPage).clamp_max(1) * (1 - 0.5 * part.square());
  c.weight.page_misses = c.weight.llc_misses * (layer_of(Dim::K) / kPage).clamp_max(1);
  return c;
}

TileRows tile_rows(const Tensor& any_tile, const Tensor& pe_dim, const RunBatch& l, bool relaxed) {
  const Tensor tile = run_tiles(any_tile, pe_dim, l, relaxed);
  const DimGroups t = DimGroups::of(tile);
  const auto [in_blocks, out_blocks] = apart(ceil_div(t.channels, pe_dim.unsqueeze(-1), relaxed));
  const auto [columns, rows] = apart(t.image);
  // The library reserves the window of its own loop bounds, stride - 1 longer than what the outputs need.
  const auto [width, height] =
      apart(torch::where(l.skips.unsqueeze(-1), t.image, t.image * l.stride + t.kernel - 1));
  const auto [r, s] = apart(t.kernel);
  const Tensor row_blocks = ceil_div(columns, pe_dim, relaxed) * pe_dim;
  const Tensor c = t.channels.select(-1, 0);
  const auto either = [&](const Tensor& matmul, const Tensor& conv) {
    return torch::where(l.is_matmul, matmul, conv);
  };
  return {in_blocks * either(row_blocks, t.batch * width * height),
          out_blocks * either(in_blocks * pe_dim, r * s * c),
          out_blocks * either(row_blocks, t.batch * columns * rows)};
}

namespace {

/// gemmini::computes_wrong, and all of tiled_conv on images of a single pixel (gemmini::sees_one_pixel).
Tensor computes_wrong(const Tensor& tile, std::int64_t pe_dim, const RunBatch& l) {
  const Tensor padded = l.is_matmul.logical_not().logical_and(l.padding > 0);
  const Tensor wrong = padded.logical_and((l.input == 1).all(-1)).expand_as(tile.select(-1, 0));
  if (pe_dim >= gemmini::kRightFromPeDim || !l.rules.first_layer_packing) return wrong;
  const TileSizes sizes = distinct_tiles(tile, l.size);
  const auto some = [&](Dim dim, double most) {
    const Tensor meets = (sizes.size <= most).logical_and(sizes.times > 0.5);
    return meets.select(-1, index(dim)).any(0);
  };
  const auto pe = static_cast<double>(pe_dim);
  const Tensor shares_rows = some(Dim::C, pe / 2).logical_and(tile.select(-1, index(Dim::R)) > 1);
  return wrong.logical_or(
      padded.logical_and(shares_rows).logical_and(some(Dim::P, 1)).logical_and(some(Dim::K, pe)));
}

}  // namespace

Tensor legal_tilings(const Tensor& any_tile, const RunBatch& l, const ArraySizes& buffers) {
  const Tensor pe = torch::full({}, static_cast<double>(buffers.pe_dim), any_tile.options());
  const Tensor tile = run_tiles(any_tile, pe, l, false);
  const gemmini::Params params = gemmini::params_of(buffers);
  const TileRows rows = tile_rows(tile, pe, l, false);
  const Tensor fits =
      (rows.input + rows.weight <= static_cast<double>(params.scratchpad_rows_per_tile()))
          .logical_and(rows.output <= static_cast<double>(params.accumulator_rows_per_tile()));
  const Axis axes = axes_of(DimGroups::of(tile), pe.expand_as(tile.select(-1, 0)), l);
  return fits.logical_and(axes.hangs.sum(-1) == 0)
      .logical_and(computes_wrong(tile, buffers.pe_dim, l).logical_not());
}

}  // namespace dosa
