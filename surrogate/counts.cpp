#include "surrogate/counts.hpp"

#include <algorithm>
#include <cmath>

namespace dosa {
namespace {

using torch::Tensor;
using torch::indexing::Ellipsis;
using torch::indexing::None;
using torch::indexing::Slice;

constexpr double kEpsilon = 1e-9;  // room for rounding in divisions of whole numbers
constexpr double kLine = 64;       // bytes of a cache line and of the largest DMA request
constexpr double kBeat = 16;       // bytes of a bus beat
constexpr double kSets = 1024;     // sets of either cache
constexpr double kPage = 4096;     // bytes of a DRAM page
// How fast a share of 1 is fetched again once the footprint exceeds a cache.
constexpr double kMissSharpness = 6;
constexpr double kMinExecuteCycles = 4;  // of one compute instruction

constexpr int index(Dim dim) { return static_cast<int>(dim); }

Tensor of_dim(const Tensor& dims, Dim dim) { return dims.select(-1, index(dim)); }

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

/// The distinct tile sizes of every dimension, [V, B..., layers, 7], and how often each occurs. Exact: the
/// full tile and the edge (occurring 0 or 1 times); relaxed: a real number of full tiles.
struct TileSizes {
  Tensor size, times;

  Tensor of(Dim dim) const { return of_dim(size, dim); }
  /// Sum over the tiles of a dimension of a function of their size that was evaluated on of(dim).
  Tensor sum(Dim dim, const Tensor& value) const { return (of_dim(times, dim) * value).sum(0); }
};

TileSizes distinct_tiles(const Tensor& tile, const Tensor& size, bool relaxed) {
  if (relaxed) return {tile.unsqueeze(0), (size / tile).unsqueeze(0)};
  const Tensor full = (size / tile + kEpsilon).floor();
  const Tensor edge = size - full * tile;
  return {torch::stack({tile, edge.clamp_min(1)}), torch::stack({full, (edge > 0.5).to(tile.scalar_type())})};
}

/// Input rows (or columns) over all pairs of an output tile and a kernel tile of one axis of the image.
struct Axis {
  Tensor padded;  ///< rows with padding
  Tensor valid;   ///< rows without
  Tensor chunks;  ///< groups of pe_dim of the valid rows of a tile
  Tensor flanks;  ///< sides of tiles that are padding
  Tensor hangs;   ///< pairs wholly inside the padding; exact mode only
};

struct AxisLayer {
  Tensor outputs, output_tile, kernel, kernel_tile, stride, padding, input, downsampled, pe_dim;
};

Axis relaxed_axis(const AxisLayer& a) {
  const Tensor pairs = a.outputs / a.output_tile * (a.kernel / a.kernel_tile);
  const Tensor halo =
      torch::where(a.downsampled > 0, a.output_tile, (a.output_tile - 1) * a.stride + a.kernel_tile);
  const Tensor before = a.padding;
  const Tensor after = ((a.outputs - 1) * a.stride + a.kernel - a.padding - a.input).clamp_min(0);
  // A kernel in one piece meets the padding once per side, one in single rows `padding` times, less each
  // time.
  const Tensor pieces = (a.kernel / a.kernel_tile - 1) / (a.kernel - 1).clamp_min(1);
  const auto clipped = [&](const Tensor& side) {
    return side * (1 + pieces * ((side - 1) / 2).clamp_min(0));
  };
  Axis axis;
  axis.padded = pairs * halo;
  axis.valid = (axis.padded - clipped(before) - clipped(after)).clamp_min(1);
  axis.chunks = pairs * (halo * axis.valid / axis.padded / a.pe_dim).clamp_min(1);
  axis.flanks = ((before > 0).to(halo.scalar_type()) + (after > 0).to(halo.scalar_type())) *
                (a.kernel / a.kernel_tile).sqrt();
  return axis;
}

/// Only tiles within `max_padding` of either end of the image can meet padding: those are enumerated, all
/// others are alike.
Axis exact_axis(const AxisLayer& a, std::int64_t max_padding, std::int64_t max_kernel) {
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
  const Tensor skip = grid(a.downsampled) > 0;
  const Tensor padded = torch::where(skip, output_size.expand_as(rows), rows);
  const Tensor valid = torch::where(skip, output_size.expand_as(rows), (rows - before - after).clamp_min(0));
  const auto sum = [&](const Tensor& value) { return (weight * value).sum({-1, -2}); };
  const auto flag = [&](const Tensor& condition) { return condition.to(weight.scalar_type()); };
  return {sum(padded), sum(valid), sum(ceil_div(valid, grid(a.pe_dim), false)),
          sum(flag(before > 0) + flag(after > 0)), sum(flag((before > rows).logical_or(after > rows)))};
}

/// Mean number of `unit`-byte pieces that rows of `bytes` touch when they start at multiples of `grain`.
Tensor pieces_touched(const Tensor& bytes, const Tensor& grain, double unit, bool relaxed) {
  const Tensor covered = relaxed ? torch::maximum(bytes, grain) : (bytes / grain - kEpsilon).ceil() * grain;
  return 1 + (covered - grain) / unit;
}

/// The same for a tile's row of channels, cut into DMA rows of at most `chunk` bytes.
Tensor row_pieces(const Tensor& channels, const Tensor& chunk, const Tensor& grain, double unit,
                  bool relaxed) {
  const Tensor fine = grain.clamp_max(unit);
  if (relaxed) {
    return (channels / chunk).clamp_min(1) *
           pieces_touched(torch::minimum(channels, chunk), fine, unit, relaxed);
  }
  const Tensor whole = (channels / chunk + kEpsilon).floor();
  const Tensor rest = channels - whole * chunk;
  return whole * pieces_touched(chunk.expand_as(channels), fine, unit, relaxed) +
         torch::where(rest > 0.5, pieces_touched(rest.clamp_min(1), fine, unit, relaxed),
                      torch::zeros_like(rest));
}

/// Lines of the three tensors that parts of the layer touch, and the bytes that they take of a cache,
/// counting the sets that large power-of-two strides leave unused.
struct Footprint {
  Tensor input, weight, output, bytes;
};

/// `extent` [..., layers, 7]; `output_share`: how much of the output is written while the part runs.
Footprint footprint_of(const Tensor& extent, const Tensor& output_share, const RunBatch& l, bool relaxed) {
  const auto along = [&](Dim dim) { return of_dim(extent, dim); };
  const Tensor skip = l.downsampled > 0;
  const Tensor rows = torch::where(
      skip, along(Dim::Q), torch::minimum((along(Dim::Q) - 1) * l.hstride + along(Dim::S), l.input_height));
  const Tensor columns = torch::where(
      skip, along(Dim::P), torch::minimum((along(Dim::P) - 1) * l.wstride + along(Dim::R), l.input_width));
  const auto lines = [&](const Tensor& bytes, const Tensor& row, const Tensor& pow2) {
    const Tensor grain = relaxed ? torch::minimum(pow2, bytes)
                                 : torch::where(bytes >= row, pow2.expand_as(bytes),
                                                torch::minimum(pow2, pow2_divisor(bytes)));
    return torch::minimum(row / kLine, 1 + (bytes - grain) / kLine);
  };
  const Tensor per_pixel = lines(along(Dim::C), of_dim(l.size, Dim::C), l.pow2_c);
  const Tensor per_row = lines(along(Dim::K), of_dim(l.size, Dim::K), l.pow2_k);
  const Tensor pixels = along(Dim::N) * rows * columns;
  const Tensor filter_rows = along(Dim::R) * along(Dim::S) * along(Dim::C);
  const Tensor outputs = along(Dim::N) * along(Dim::P) * along(Dim::Q);
  const Tensor spread_row = torch::maximum(per_row, l.set_lines_k);
  return {pixels * per_pixel, filter_rows * per_row, outputs * per_row,
          kLine * (pixels * torch::maximum(per_pixel, l.set_lines_c) +
                   (filter_rows + outputs * output_share) * spread_row)};
}

struct Misses {
  Tensor input, weight, output;  // [2 caches, B..., layers]
  Tensor footprint;              // [B..., layers]
};

/// Walks the loops over tiles outwards. A loop multiplies what a tensor fetches by the growth of its
/// footprint while the cache holds what one iteration touches, and by the number of iterations once it does
/// not.
Misses cache_misses(const Tensor& tile, const Tensor& tiles, const RunBatch& l, bool relaxed) {
  const std::int64_t batch_dims = tile.dim() - 1;
  std::vector<std::int64_t> lead(static_cast<std::size_t>(batch_dims) + 1, 1);
  lead[0] = kDims + 1;
  const Tensor place = torch::arange(kDims + 1, tile.options()).view(lead).unsqueeze(-1);
  const Tensor walked = l.position < place;  // [8, 1..., layers, 7]
  const Tensor extent = torch::where(walked, l.size, tile.unsqueeze(0));
  const auto relevance = [&](std::initializer_list<double> dims) {
    return torch::tensor(std::vector<double>(dims), tile.options());
  };
  const Tensor is_output = relevance({0, 0, 1, 1, 0, 1, 1});
  const Tensor is_reduction = relevance({1, 1, 0, 0, 1, 0, 0});
  // Partial sums stay in the accumulator: the output is written in the last iteration of the reductions
  // outside.
  const Tensor log_tiles = tiles.log().unsqueeze(0);
  const Tensor zero = torch::zeros({}, tile.options());
  const Tensor outside = torch::where(walked, zero, log_tiles * is_reduction).sum(-1);
  const Footprint foot = footprint_of(extent, (-outside).exp(), l, relaxed);

  const auto outer = Slice(0, kDims);
  const Tensor here = (l.position == place.index({outer})).to(tile.scalar_type());  // [7, 1..., layers, 7]
  const Tensor iterations = (log_tiles * here).sum(-1).exp();                       // [7, B..., layers]
  const Tensor writes = (is_output * here).sum(-1);
  std::vector<std::int64_t> cache_shape(static_cast<std::size_t>(batch_dims) + 2, 1);
  cache_shape[0] = 2;
  const Tensor caches =
      torch::tensor({l.rules.l2_kib * 1024, l.rules.llc_kib * 1024}, tile.options()).view(cache_shape);
  // The share that is fetched again, [2, 7, B..., layers]: x^6 / (1 + x^6) for footprint / cache = x.
  const Tensor again =
      torch::sigmoid(kMissSharpness * (foot.bytes.index({outer}).log().unsqueeze(0) - caches.log()));
  const auto fetched = [&](const Tensor& lines, const Tensor* only_where) {
    const Tensor growth = lines.slice(0, 1) / lines.slice(0, 0, kDims);
    Tensor factor = growth + (iterations - growth).clamp_min(0) * again;
    if (only_where) factor = torch::where(*only_where > 0, factor, torch::ones_like(factor));
    return lines.select(0, 0) * factor.prod(1);
  };
  return {
      fetched(foot.input, nullptr), fetched(foot.weight, nullptr), fetched(foot.output, &writes),
      kLine * (foot.input.select(0, kDims) + foot.weight.select(0, kDims) + foot.output.select(0, kDims))};
}

Axis axis_of(const AxisLayer& axis, const RunBatch& l, bool relaxed) {
  return relaxed ? relaxed_axis(axis) : exact_axis(axis, l.max_padding, l.max_kernel);
}

struct Axes {
  Axis width, height;
};

Axes axes_of(const Tensor& tile, const Tensor& pe_dim, const RunBatch& l, bool relaxed) {
  const Tensor shape = of_dim(tile, Dim::P);
  const auto batched = [&](const Tensor& t) { return t.expand_as(shape); };
  const auto axis = [&](Dim outputs, Dim kernel, const Tensor& stride, const Tensor& input) {
    return axis_of({batched(of_dim(l.size, outputs)), of_dim(tile, outputs), batched(of_dim(l.size, kernel)),
                    of_dim(tile, kernel), batched(stride), batched(l.padding), batched(input),
                    batched(l.downsampled), batched(pe_dim)},
                   l, relaxed);
  };
  return {axis(Dim::P, Dim::R, l.wstride, l.input_width), axis(Dim::Q, Dim::S, l.hstride, l.input_height)};
}

}  // namespace

LayerRun LayerRun::of(const Layer& layer) {
  LayerRun run;
  run.layer = layer;
  run.matmul = layer.is_matmul();
  return run;
}

RunBatch RunBatch::of(const std::vector<LayerRun>& runs, const RunRules& rules) {
  const auto count = static_cast<std::int64_t>(runs.size());
  const auto options = torch::TensorOptions(torch::kFloat64);
  RunBatch batch;
  batch.rules = rules;
  batch.size = torch::empty({count, kDims}, options);
  batch.position = torch::empty({count, kDims}, options);
  constexpr int kColumns = 12;
  const Tensor columns = torch::empty({kColumns, count}, options);
  auto size = batch.size.accessor<double, 2>();
  auto position = batch.position.accessor<double, 2>();
  auto column = columns.accessor<double, 2>();
  for (std::int64_t i = 0; i < count; ++i) {
    const LayerRun& run = runs[static_cast<std::size_t>(i)];
    const Layer& layer = run.layer;
    for (const Dim dim : all_dims()) size[i][index(dim)] = static_cast<double>(layer[dim]);
    for (int place = 0; place < kDims; ++place)
      position[i][index(run.order[static_cast<std::size_t>(place)])] = place;
    const std::int64_t padding = run.matmul ? 0 : layer.padding.value_or((layer[Dim::R] - 1) / 2);
    const auto input_of = [&](std::int64_t given, std::int64_t needed, std::int64_t outputs,
                              std::int64_t kernel, std::int64_t stride) {
      if (given > 0) return given;
      // The usual image is stride times as large as its output, also where the last rows are not needed.
      const std::int64_t usual = outputs * stride;
      const bool fits = (usual + 2 * padding - kernel) / stride + 1 == outputs;
      return fits ? usual : std::max<std::int64_t>(1, needed - 2 * padding);
    };
    const std::int64_t width = run.matmul ? layer[Dim::P]
                                          : input_of(run.input_width, layer.padded_width(), layer[Dim::P],
                                                     layer[Dim::R], layer.wstride);
    const std::int64_t height = run.matmul ? layer[Dim::Q]
                                           : input_of(run.input_height, layer.padded_height(), layer[Dim::Q],
                                                      layer[Dim::S], layer.hstride);
    const bool downsampled = rules.downsampling && !run.matmul && layer[Dim::R] == 1 && layer[Dim::S] == 1 &&
                             layer.wstride == 2 && layer.hstride == 2 && padding == 0 && width % 2 == 0 &&
                             height % 2 == 0;
    const auto c = static_cast<double>(layer[Dim::C]);
    const auto k = static_cast<double>(layer[Dim::K]);
    const auto set_lines = [](double bytes) {
      return std::fmod(bytes, kLine) == 0 ? largest_pow2_divisor(bytes / kLine, kSets) : 0.0;
    };
    const double values[kColumns] = {
        static_cast<double>(layer.wstride), static_cast<double>(layer.hstride), static_cast<double>(padding),
        static_cast<double>(width), static_cast<double>(height), run.matmul ? 1.0 : 0.0,
        downsampled ? 1.0 : 0.0, largest_pow2_divisor(c, kLine), largest_pow2_divisor(k, kLine),
        // A downsampled pixel is two pixels from the next.
        std::fmod(c, kLine) == 0 ? set_lines(c * (downsampled ? 2 : 1)) : 0.0, set_lines(k),
        run.cold ? 1.0 : 0.0};
    for (int j = 0; j < kColumns; ++j) column[j][i] = values[j];
    batch.max_padding = std::max(batch.max_padding, padding);
    batch.max_kernel = std::max({batch.max_kernel, layer[Dim::R], layer[Dim::S]});
  }
  Tensor* fields[kColumns] = {&batch.wstride,      &batch.hstride,     &batch.padding,     &batch.input_width,
                              &batch.input_height, &batch.matmul,      &batch.downsampled, &batch.pow2_c,
                              &batch.pow2_k,       &batch.set_lines_c, &batch.set_lines_k, &batch.cold};
  for (int j = 0; j < kColumns; ++j) *fields[j] = columns[j];
  return batch;
}

RunBatch RunBatch::select(const Tensor& chosen) const {
  RunBatch part = *this;
  for (Tensor* field : {&part.size, &part.position, &part.wstride, &part.hstride, &part.padding,
                        &part.input_width, &part.input_height, &part.matmul, &part.downsampled, &part.pow2_c,
                        &part.pow2_k, &part.set_lines_c, &part.set_lines_k, &part.cold}) {
    *field = field->index_select(0, chosen);
  }
  return part;
}

Tensor run_tiles(const Tensor& tile, const Tensor& pe_dim, const RunBatch& l, bool relaxed) {
  const Tensor block = pe_dim.expand_as(tile.select(-1, 0)).unsqueeze(-1);
  const Tensor blocked = relaxed ? torch::maximum(tile, block) : (tile / block - kEpsilon).ceil() * block;
  const Tensor is_blocked = torch::tensor({0, 0, 1, 0, 1, 1, 0}, tile.options().requires_grad(false));
  const Tensor in_blocks = l.matmul.unsqueeze(-1) * is_blocked > 0;
  return torch::minimum(torch::where(in_blocks, blocked, tile), l.size);
}

Counts executed_counts(const Tensor& any_tile, const Tensor& pe_dim_in, const RunBatch& l, bool relaxed) {
  const Tensor tile = run_tiles(any_tile, pe_dim_in, l, relaxed);
  const Tensor pe_dim = pe_dim_in.expand_as(tile.select(-1, 0));
  const TileSizes sizes = distinct_tiles(tile, l.size, relaxed);
  const Tensor number = relaxed ? l.size / tile : (l.size / tile - kEpsilon).ceil();
  const auto tiles_of = [&](Dim dim) { return of_dim(number, dim); };
  const auto layer = [&](Dim dim) { return of_dim(l.size, dim); };
  const auto blocks = [&](Dim dim) { return sizes.sum(dim, ceil_div(sizes.of(dim), pe_dim, relaxed)); };
  Counts c;
  c.tiles = number.prod(-1);

  // Compute: per weight block (output channels, kernel row, group of kernel columns, input channels) the rows
  // of the tile's output pixels, an output row at a time.
  const Tensor tile_c = of_dim(tile, Dim::C);
  const Tensor packed =
      relaxed ? (pe_dim / tile_c).clamp_min(1) : (pe_dim / tile_c + kEpsilon).floor().clamp_min(1);
  const Tensor columns_per_row =
      l.rules.first_layer_packing
          ? torch::where((l.matmul > 0).logical_or(l.downsampled > 0), torch::ones_like(packed),
                         torch::minimum(packed, of_dim(tile, Dim::R)))
          : torch::ones_like(packed);
  const Tensor column_groups = sizes.sum(Dim::R, ceil_div(sizes.of(Dim::R), columns_per_row, relaxed));
  const Tensor c_blocks = blocks(Dim::C);
  const Tensor k_blocks = blocks(Dim::K);
  const Tensor weight_blocks = column_groups * layer(Dim::S) * c_blocks * k_blocks;
  const Tensor p_blocks = blocks(Dim::P);
  const Tensor image_tiles = tiles_of(Dim::N) * tiles_of(Dim::Q);
  const Tensor output_rows = layer(Dim::N) * layer(Dim::Q);
  const Tensor row_chunks = output_rows * p_blocks;
  c.preloads = weight_blocks * image_tiles * tiles_of(Dim::P);
  c.executes = weight_blocks * row_chunks;
  c.steps = weight_blocks * output_rows * tiles_of(Dim::P);
  const Tensor columns = sizes.of(Dim::P);
  const auto floor_with = [&](double at_least) {
    Tensor row;  // cycles of one output row of a tile
    if (relaxed) {
      row = columns.clamp_min(at_least);
    } else {
      const Tensor whole = (columns / pe_dim + kEpsilon).floor() * pe_dim;
      const Tensor rest = columns - whole;
      row = whole + torch::where(rest > 0.5, rest.clamp_min(at_least), torch::zeros_like(rest));
    }
    // The first instruction after a preload takes at least pe_dim cycles.
    const Tensor wait = (pe_dim - torch::minimum(columns, pe_dim).clamp_min(at_least)).clamp_min(0);
    return weight_blocks * (output_rows * sizes.sum(Dim::P, row) + image_tiles * sizes.sum(Dim::P, wait));
  };
  c.floor = floor_with(kMinExecuteCycles);
  c.floor8 = floor_with(2 * kMinExecuteCycles);

  // DMA. Rows are at most 64 bytes, or pe_dim where that is more; an input is loaded again for every tile of
  // output channels, a weight for every tile of pixels.
  const Tensor chunk = pe_dim.clamp_min(kLine);
  const auto [width, height] = axes_of(tile, pe_dim, l, relaxed);
  const auto row_count = [&](Dim dim) { return sizes.sum(dim, ceil_div(sizes.of(dim), chunk, relaxed)); };
  const auto row_lines = [&](Dim dim, const Tensor& pow2, double unit) {
    const Tensor size = of_dim(tile, dim);
    const Tensor grain = relaxed ? torch::minimum(pow2, size)
                                 : torch::where(size >= layer(dim), pow2.expand_as(size),
                                                torch::minimum(pow2, pow2_divisor(size)));
    return sizes.sum(dim, row_pieces(sizes.of(dim), chunk, grain, unit, relaxed));
  };
  const Tensor c_rows = row_count(Dim::C);
  const Tensor reload = layer(Dim::N) * tiles_of(Dim::K);
  const Tensor valid = reload * height.valid * width.valid;
  c.input.instructions = reload * height.valid * width.chunks * c_rows;
  c.input.rows = valid * c_rows;
  c.input.requests = valid * row_lines(Dim::C, l.pow2_c, kLine);
  c.input.beats = valid * row_lines(Dim::C, l.pow2_c, kBeat);
  c.zero_instructions =
      reload * (height.padded * (width.chunks + width.flanks) - height.valid * width.chunks) * c_rows;
  c.zero_rows = reload * (height.padded * width.padded - height.valid * width.valid) * c_rows;
  const Tensor k_rows = row_count(Dim::K);
  const Tensor filters = layer(Dim::R) * layer(Dim::S) * image_tiles * tiles_of(Dim::P);
  const Tensor k_requests = row_lines(Dim::K, l.pow2_k, kLine);
  const Tensor k_beats = row_lines(Dim::K, l.pow2_k, kBeat);
  c.weight.instructions = filters * c_blocks * k_rows;
  c.weight.rows = filters * layer(Dim::C) * k_rows;
  c.weight.requests = filters * layer(Dim::C) * k_requests;
  c.weight.beats = filters * layer(Dim::C) * k_beats;
  // tiled_matmul stores up to 64 bytes at once, tiled_conv one block of pe_dim channels.
  const Tensor matmul = l.matmul > 0;
  const Tensor stores = torch::where(matmul, k_rows, k_blocks);
  const Tensor outputs = output_rows * layer(Dim::P);
  c.output.instructions = row_chunks * stores;
  c.output.rows = outputs * stores;
  c.output.requests = outputs * torch::where(matmul, k_requests, k_blocks);
  c.output.beats = outputs * k_beats;
  if (!relaxed) c.hangs = width.hangs + height.hangs;

  const Misses misses = cache_misses(tile, number, l, relaxed);
  const auto split = [](Transfers& t, const Tensor& lines) {
    t.l2_misses = lines.select(0, 0);
    t.llc_misses = lines.select(0, 1);
  };
  split(c.input, misses.input);
  split(c.weight, misses.weight);
  split(c.output, misses.output);
  c.footprint = misses.footprint;
  c.cold_lines = l.cold * misses.footprint / kLine;
  // Short rows far apart open a page each; a whole pixel at a time streams.
  const Tensor pixel_page = (layer(Dim::C) * (1 + l.downsampled) / kPage).clamp_max(1);
  c.input.page_misses = c.input.llc_misses * pixel_page * (1 - 0.5 * (tile_c / layer(Dim::C)).pow(4));
  c.weight.page_misses = c.weight.llc_misses * (layer(Dim::K) / kPage).clamp_max(1);
  return c;
}

Tensor legal_tilings(const Tensor& any_tile, const RunBatch& l, const Hardware& buffers) {
  const auto pe_dim = static_cast<double>(buffers.pe_dim);
  const Tensor pe = torch::full({}, pe_dim, any_tile.options());
  const Tensor tile = run_tiles(any_tile, pe, l, false);
  const auto along = [&](Dim dim) { return of_dim(tile, dim); };
  const auto blocks = [&](Dim dim) { return (along(dim) / pe_dim - kEpsilon).ceil(); };
  // Rows of pe_dim words, half of each memory for double buffering.
  const double scratchpad_rows = static_cast<double>(buffers.scratchpad_kib) * 1024 / pe_dim / 2;
  const double accumulator_rows = static_cast<double>(buffers.accumulator_kib) * 1024 / (4 * pe_dim) / 2;
  const Tensor halo_rows = (along(Dim::Q) - 1) * l.hstride + along(Dim::S);
  const Tensor halo_columns = (along(Dim::P) - 1) * l.wstride + along(Dim::R);
  const auto halve = [&](const Tensor& rows) {
    return torch::where(l.downsampled > 0, (rows / 2 - kEpsilon).ceil(), rows);
  };
  const Tensor conv_inputs = blocks(Dim::C) * along(Dim::N) * halve(halo_rows) * halve(halo_columns);
  const Tensor conv_weights = blocks(Dim::K) * along(Dim::R) * along(Dim::S) * along(Dim::C);
  const Tensor conv_outputs = blocks(Dim::K) * along(Dim::N) * along(Dim::P) * along(Dim::Q);
  const Tensor matmul_inputs = blocks(Dim::P) * blocks(Dim::C) * pe_dim;
  const Tensor matmul_weights = blocks(Dim::C) * blocks(Dim::K) * pe_dim;
  const Tensor matmul_outputs = blocks(Dim::P) * blocks(Dim::K) * pe_dim;
  const Tensor matmul = l.matmul > 0;
  const Tensor fits =
      (torch::where(matmul, matmul_inputs + matmul_weights, conv_inputs + conv_weights) <= scratchpad_rows)
          .logical_and(torch::where(matmul, matmul_outputs, conv_outputs) <= accumulator_rows);
  const auto [width, height] = axes_of(tile, pe, l, false);
  return fits.logical_and(width.hangs + height.hangs == 0);
}

}  // namespace dosa
