#include "dosa/core/targets/gemmini/library.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/math.hpp"

namespace dosa::gemmini {
namespace {

constexpr std::int64_t kIteratorMax = (1 << 16) - 1;             // the loop unroller counts in 16 bits
constexpr std::int64_t kByteMax = (1 << 8) - 1;                  // stride and padding travel in 8 bits
constexpr std::int64_t kDilationMax = (1 << 10) - 1;             // kernel dilation in 10
constexpr std::int64_t kIndexMax = (std::int64_t{1} << 31) - 1;  // tiled_conv computes offsets in int
// Programs have the lower half of Rocket's virtual addresses, which are of 39 bits (RISC-V's Sv39).
constexpr std::int64_t kAddressMax = std::int64_t{1} << 38;
constexpr std::array<const char*, 3> kCallNames{"matmul", "conv", "im2col"};
/// The order in which the library counts a convolution's tile sizes.
constexpr std::array<Dim, kDims> kCountingOrder{Dim::N, Dim::Q, Dim::P, Dim::K, Dim::S, Dim::R, Dim::C};

std::int64_t granule_of(Call call, std::int64_t pe_dim) { return is_product(call) ? pe_dim : 1; }

bool used_by(Call call, Dim dim) {
  return call == Call::kConv || dim == Dim::P || dim == Dim::C || dim == Dim::K;
}

/// One axis of a convolution as the library walks it: kernel tiles over output tiles.
struct WindowAxis {
  std::int64_t outputs, kernel, input, stride, dilation, padding;

  /// Whether some tile's window of real input has negative size. A window starts at
  /// output*stride + kernel*dilation - padding and has tile*stride + (kernel tile - 1)*dilation rows, so the
  /// first tiles reach lowest above the image and the last ones start furthest below it.
  bool hangs(std::int64_t output_tile, std::int64_t kernel_tile) const {
    const std::int64_t first_end =
        std::min(output_tile, outputs) * stride + (std::min(kernel_tile, kernel) - 1) * dilation - padding;
    const std::int64_t last_output = (outputs - 1) / output_tile * output_tile;
    const std::int64_t last_kernel = (kernel - 1) / kernel_tile * kernel_tile;
    return first_end < 0 || last_output * stride + last_kernel * dilation - padding > input;
  }
};

WindowAxis row_axis(const Layer& l) {
  return {l[Dim::Q], l[Dim::S], l.input_height(), l.hstride, l.hdilation, l.padding.value_or(0)};
}
WindowAxis column_axis(const Layer& l) {
  return {l[Dim::P], l[Dim::R], l.input_width(), l.wstride, l.wdilation, l.padding.value_or(0)};
}

/// The size of a dimension's smallest tile: the last one, which may be narrower than the others.
std::int64_t least_tile(const Layer& layer, const Tile& tile, Dim dim) {
  const std::int64_t full = std::min(tile[dim], layer[dim]), rest = layer[dim] % full;
  return rest == 0 ? full : rest;
}

/// Moves the tiles of one axis off a hang by the fewest steps, preferring to grow; false if nothing fits.
bool leave_hang(const Layer& layer, const Params& params, const WindowAxis& axis, Dim output, Dim kernel,
                Tile& tile) {
  if (!axis.hangs(tile[output], tile[kernel])) return true;
  const auto legal = [&](std::int64_t output_tile, std::int64_t kernel_tile) {
    if (output_tile < 1 || output_tile > axis.outputs || kernel_tile < 1 || kernel_tile > axis.kernel)
      return false;
    if (axis.hangs(output_tile, kernel_tile)) return false;
    Tile candidate = tile;
    candidate[output] = output_tile;
    candidate[kernel] = kernel_tile;
    if (!fits(layer, candidate, params)) return false;
    tile = candidate;
    return true;
  };
  const std::int64_t from_output = tile[output], from_kernel = tile[kernel];
  for (std::int64_t distance = 1; distance <= axis.outputs + axis.kernel; ++distance) {
    for (std::int64_t step = distance; step >= -distance; --step) {
      const std::int64_t rest = distance - std::abs(step);
      if (legal(from_output + rest, from_kernel + step) || legal(from_output - rest, from_kernel + step))
        return true;
    }
  }
  return false;
}

/// Moves a tile that gives wrong values to one that does not, along one dimension by the fewest steps,
/// preferring to grow; false if nothing fits.
bool leave_wrong(const Layer& layer, const Params& params, Tile& tile) {
  if (!computes_wrong(layer, tile, params.dim)) return true;
  const auto legal = [&](Dim d, std::int64_t size) {
    if (size < 1 || size > layer[d]) return false;
    Tile candidate = tile;
    candidate[d] = size;
    if (!runs_right(layer, candidate, params.dim) || !fits(layer, candidate, params)) return false;
    tile = candidate;
    return true;
  };
  // More columns, channels that leave no room to share rows, kernel columns one at a time, more than a block.
  for (const Dim d : {Dim::P, Dim::C, Dim::R, Dim::K}) {
    const std::int64_t from = tile[d];
    for (std::int64_t distance = 1; distance < layer[d]; ++distance) {
      if (legal(d, from + distance) || legal(d, from - distance)) return true;
    }
  }
  return false;
}

/// The library's way of making a convolution's tile smaller by one step; false where it would loop forever.
bool shrink(Tile& tile, std::int64_t dim) {
  int largest = -1;
  std::int64_t largest_value = -1;
  for (int i = 0; i < kDims; ++i) {
    const Dim d = kCountingOrder[static_cast<std::size_t>(i)];
    // Columns feed the array, so they are kept while there are rows to give up instead.
    if (d == Dim::P && tile[Dim::P] <= dim && tile[Dim::Q] > 1) continue;
    if (tile[d] > largest_value) {
      largest_value = tile[d];
      largest = i;
    }
  }
  if (largest_value <= 1) return false;
  const Dim d = kCountingOrder[static_cast<std::size_t>(largest)];
  std::int64_t& size = tile[d];
  if (d == Dim::K || d == Dim::C) {
    size = std::max<std::int64_t>(1, size % dim != 0 ? size / dim * dim : size - dim);
  } else {
    --size;
  }
  return true;
}

[[noreturn]] void fail_nothing_fits(const Layer& layer, const Tile& smallest, const ArraySizes& built) {
  const Rows rows = rows_needed(layer, smallest, built.pe_dim);
  const Params params = params_of(built);
  fail(ErrorId::kCapacity,
       "layer {}: not even the tile {} fits: it needs {} scratchpad and {} accumulator rows, half of the "
       "memories "
       "has {} and {}",
       layer.name, to_string(smallest), rows.scratchpad, rows.accumulator, params.scratchpad_rows_per_tile(),
       params.accumulator_rows_per_tile());
}

/// Few channels are what makes kernel columns share rows.
[[noreturn]] void fail_nothing_runs_right(const Layer& layer, std::int64_t pe_dim) {
  fail(ErrorId::kCapacity,
       "layer {}: every tile that fits never finishes or gives wrong values on an array of {}; nearest "
       "legal: C {}, filled up with zero channels",
       layer.name, pe_dim, pe_dim / 2 + 1);
}

Tile default_product(const Layer& layer, const Params& params, Call call) {
  const std::int64_t dim = params.dim;
  const DimSizes extent = extents(layer, call);
  const auto blocks = [&](Dim d) { return ceil_div(extent[static_cast<std::size_t>(d)], dim); };
  const std::int64_t square =
      static_cast<std::int64_t>(std::sqrt(static_cast<double>(params.accumulator_rows_per_tile() / dim)));
  const std::int64_t inner = params.bank_num * params.bank_rows / 4 / dim / square;
  Tile tile;
  tile.call = call;
  tile[Dim::P] = dim * std::min(blocks(Dim::P), square);
  tile[Dim::K] = dim * std::min(blocks(Dim::K), square);
  tile[Dim::C] = dim * std::min(blocks(Dim::C), inner);
  for (bool grown = true; grown;) {
    grown = false;
    for (const Dim d : {Dim::K, Dim::P, Dim::C}) {
      Tile larger = tile;
      larger[d] += dim;
      if (larger[d] <= blocks(d) * dim && fits(layer, larger, params)) {
        tile = larger;
        grown = true;
      }
    }
  }
  return tile;
}

Tile default_conv(const Layer& layer, const ArraySizes& built) {
  const Params params = params_of(built);
  Tile tile;
  tile.size = layer.size;
  while (!fits(layer, tile, params)) {
    if (!shrink(tile, params.dim)) fail_nothing_fits(layer, tile, built);
  }
  const auto grow = [&](Dim d) {
    if (tile[d] == layer[d]) return false;
    ++tile[d];
    if (fits(layer, tile, params)) return true;
    --tile[d];
    return false;
  };
  while (grow(Dim::P)) {
  }
  for (bool grown = true; grown;) {
    grown = false;
    for (const Dim d : kCountingOrder) grown = grow(d) || grown;
  }
  return tile;
}

/// Throws unless the loops that are there stand in this order, given outermost first.
void check_order(const std::vector<Loop>& loops, const char* order, const char* level) {
  const std::string_view names = order;
  std::size_t last = 0;
  for (const Loop& loop : loops) {
    if (loop.factor == 1) continue;
    const std::size_t at = names.find(dosa::name_of(loop.dim));
    if (at < last) {
      fail(ErrorId::kMapping,
           "the {} loops have {} outside of {}; gemmini-rtl runs a fixed order, outermost first {}; nearest "
           "legal: "
           "the same factors in this order",
           level, names[last], names[at], names);
    }
    last = at;
  }
}

/// A list of the rules that do not hold.
struct Rules {
  std::vector<Violation> violations;

  void require(bool holds, std::string rule, std::string found, std::string nearest) {
    if (!holds) violations.push_back({std::move(rule), std::move(found), std::move(nearest)});
  }
};

/// Of a layer that sees_one_pixel(), which only tiled_matmul may run: why it cannot.
std::vector<Violation> check_pixel(const Layer& layer, Call call) {
  const auto size = [&](Dim d) { return layer[d]; };
  const std::int64_t padding = layer.padding.value_or(0);
  // Of a kernel of one output, the position that lies on the pixel.
  const bool centred = padding % layer.wdilation == 0 && padding / layer.wdilation < size(Dim::R) &&
                       padding % layer.hdilation == 0 && padding / layer.hdilation < size(Dim::S);
  const bool product = size(Dim::P) == 1 && size(Dim::Q) == 1 && centred;
  Rules rules;
  rules.require(
      call == Call::kMatmul && product,
      "a convolution of a single pixel with padding runs as the matrix product of the kernel's centre",
      fmt::format("input 1 x 1, padding {}, P {}, Q {}", padding, size(Dim::P), size(Dim::Q)),
      product ? "the matmul call"
              : fmt::format("a matrix product with P {}, C {}, K {}, the weights that lie on the pixel "
                            "for each output",
                            size(Dim::N), size(Dim::C),
                            saturating_product({size(Dim::P), size(Dim::Q), size(Dim::K)})));
  return rules.violations;
}

/// Padding whose sides differ; tiled_conv has one number for all.
std::string text_of(const Sides& sides) {
  return fmt::format("padding left {}, right {}, top {}, bottom {}", sides.left, sides.right, sides.top,
                     sides.bottom);
}

std::vector<Violation> check_matmul(const Layer& layer) {
  if (sees_one_pixel(layer)) return check_pixel(layer, Call::kMatmul);
  Rules rules;
  rules.require(layer[Dim::R] == 1 && layer[Dim::S] == 1, "tiled_matmul runs 1x1 kernels only",
                fmt::format("R {}, S {}", layer[Dim::R], layer[Dim::S]), "the conv call");
  rules.require(layer.wstride == 1 && layer.hstride == 1, "tiled_matmul has no stride",
                fmt::format("wstride {}, hstride {}", layer.wstride, layer.hstride), "the conv call");
  rules.require(!layer.uneven_padding && layer.padding.value_or(0) == 0, "tiled_matmul has no padding",
                layer.uneven_padding ? text_of(*layer.uneven_padding)
                                     : fmt::format("padding {}", layer.padding.value_or(0)),
                "padding 0");
  return rules.violations;
}

/// The kernel, the strides and the padding as tiled_conv takes them.
void check_window(const Layer& layer, Rules& rules) {
  const std::int64_t kernel = std::max(layer[Dim::R], layer[Dim::S]), padding = layer.padding.value_or(0);
  rules.require(layer[Dim::R] == layer[Dim::S], "tiled_conv has square kernels",
                fmt::format("R {}, S {}", layer[Dim::R], layer[Dim::S]),
                fmt::format("R {}, S {}, the smaller side filled up with zero weights", kernel, kernel));
  const std::int64_t stride = std::max(layer.wstride, layer.hstride);
  rules.require(layer.wstride == layer.hstride, "tiled_conv has one stride",
                fmt::format("wstride {}, hstride {}", layer.wstride, layer.hstride),
                fmt::format("{} for both", stride));
  rules.require(layer.wdilation == layer.hdilation || kernel == 1, "tiled_conv has one kernel dilation",
                fmt::format("wdilation {}, hdilation {}", layer.wdilation, layer.hdilation),
                fmt::format("{} for both", std::max(layer.wdilation, layer.hdilation)));
  const std::int64_t dilation = kernel == 1 ? 1 : std::max(layer.wdilation, layer.hdilation);
  rules.require(dilation <= kDilationMax, "kernel dilation has 10 bits", fmt::format("{}", dilation),
                fmt::format("{}", kDilationMax));
  rules.require(padding < kernel, "padding is smaller than the kernel",
                fmt::format("padding {}, kernel {}", padding, kernel), fmt::format("padding {}", kernel - 1));
  rules.require(padding <= kByteMax, "padding has 8 bits", fmt::format("{}", padding),
                fmt::format("{}", kByteMax));
  rules.require(stride <= kByteMax, "stride has 8 bits", fmt::format("{}", stride),
                fmt::format("{}", kByteMax));
  // The last tile's window may end this far below the input, in 8 bits too.
  const std::int64_t below =
      layer[Dim::Q] * stride + (layer[Dim::S] - 1) * dilation - padding - layer.input_height();
  rules.require(below <= kByteMax, "padding below the input, stride included, has 8 bits",
                fmt::format("{}", below),
                fmt::format("stride {}", std::max<std::int64_t>(1, stride - (below - kByteMax))));
}

std::vector<Violation> check_conv(const Layer& layer) {
  Rules rules;
  if (layer.uneven_padding) {
    rules.require(false, "tiled_conv has one padding for all sides", text_of(*layer.uneven_padding),
                  "no padding, the input stored with it");
    return rules.violations;
  }
  if (sees_one_pixel(layer)) return check_pixel(layer, Call::kConv);
  const auto size = [&](Dim d) { return layer[d]; };
  rules.require(!layer.is_matmul(), "a matrix product (R = S = Q = 1) runs as tiled_matmul",
                fmt::format("P {}, C {}, K {}", size(Dim::P), size(Dim::C), size(Dim::K)), "the matmul call");
  check_window(layer, rules);
  for (const Dim d : all_dims()) {
    rules.require(size(d) <= kIteratorMax, fmt::format("iterators have 16 bits: {}", dosa::name_of(d)),
                  fmt::format("{}", size(d)), fmt::format("{}, in several calls", kIteratorMax));
  }
  const std::int64_t height = layer.input_height(), width = layer.input_width();
  rules.require(height <= kIteratorMax && width <= kIteratorMax,
                "iterators have 16 bits: input height and width", fmt::format("{} x {}", height, width),
                fmt::format("{}", kIteratorMax));
  if (!rules.violations.empty()) return rules.violations;
  const std::int64_t largest =
      std::max({saturating_product({size(Dim::N), height, width, size(Dim::C)}),
                saturating_product({size(Dim::N), size(Dim::P), size(Dim::Q), size(Dim::K)}),
                saturating_product({size(Dim::R), size(Dim::S), size(Dim::C), size(Dim::K)})});
  rules.require(largest <= kIndexMax, "the library indexes a tensor of tiled_conv with 31 bits",
                fmt::format("{} elements", largest), fmt::format("{} elements, in several calls", kIndexMax));
  return rules.violations;
}

}  // namespace

std::string Violation::message() const {
  return fmt::format("{}; found {}; nearest legal: {}", rule, found, nearest);
}

std::string summary(const std::vector<Violation>& violations) {
  if (violations.empty()) return "";
  std::string text = violations.front().message();
  if (violations.size() > 1) text += fmt::format(" (and {} more)", violations.size() - 1);
  return text;
}

Params params_of(const ArraySizes& built) {
  Params params;
  params.dim = built.pe_dim;
  params.bank_rows = built.scratchpad_kib * 1024 / (params.bank_num * built.pe_dim);
  params.acc_rows = built.accumulator_kib * 1024 / (4 * built.pe_dim);
  return params;
}

bool is_legal(const ArraySizes& built) {
  const std::int64_t dim = built.pe_dim;
  if (dim < 2 || !is_power_of_two(dim)) return false;
  // `row_bytes`: one row of every bank.
  const auto banks_are_legal = [&](std::int64_t kib, std::int64_t row_bytes) {
    const std::int64_t bank_rows = kib * 1024 / row_bytes;
    return bank_rows * row_bytes == kib * 1024 && is_power_of_two(bank_rows) && bank_rows % dim == 0;
  };
  return banks_are_legal(built.scratchpad_kib, 4 * dim) &&       // 4 banks of dim bytes
         banks_are_legal(built.accumulator_kib, 2 * 4 * dim) &&  // 2 banks of dim 32-bit words
         built.accumulator_kib * 1024 / (4 * dim) / dim <= built.scratchpad_kib * 1024 / dim / dim - 2;
}

std::vector<Violation> check_hardware(const ArraySizes& built) {
  if (is_legal(built)) return {};
  std::vector<Violation> violations;
  const ArraySizes near = nearest_hardware(built);
  const std::int64_t dim = built.pe_dim;
  if (!is_power_of_two(dim) || dim < 2) {
    violations.push_back({"pe_dim is a power of two of at least 2", fmt::format("pe_dim {}", dim),
                          fmt::format("pe_dim {}", near.pe_dim)});
  }
  if (dim < 1 || built.scratchpad_kib < 1 || built.accumulator_kib < 1) {
    violations.push_back({"sizes are positive",
                          fmt::format("pe_dim {}, scratchpad_kib {}, accumulator_kib {}", dim,
                                      built.scratchpad_kib, built.accumulator_kib),
                          fmt::format("pe_dim {}, scratchpad_kib {}, accumulator_kib {}", near.pe_dim,
                                      near.scratchpad_kib, near.accumulator_kib)});
    return violations;
  }
  // A memory of `banks` banks with rows of `row_bytes` bytes.
  const auto check_memory = [&](const char* what, const char* field, std::int64_t kib, std::int64_t near_kib,
                                std::int64_t banks, std::int64_t row_bytes) {
    const double rows = static_cast<double>(kib) * 1024 / static_cast<double>(banks * row_bytes);
    const std::int64_t whole = kib * 1024 / (banks * row_bytes);
    const std::string found = fmt::format("{} ({} {})", rows, field, kib);
    const std::string nearest = fmt::format("{} {}", field, near_kib);
    if (whole * banks * row_bytes != kib * 1024 || !is_power_of_two(whole))
      violations.push_back({fmt::format("rows per {} bank are a power of two", what), found, nearest});
    if (whole * banks * row_bytes != kib * 1024 || whole % dim != 0 || whole == 0)
      violations.push_back({fmt::format("rows per {} bank are a multiple of pe_dim", what), found, nearest});
  };
  check_memory("scratchpad", "scratchpad_kib", built.scratchpad_kib, near.scratchpad_kib, 4, dim);
  check_memory("accumulator", "accumulator_kib", built.accumulator_kib, near.accumulator_kib, 2, 4 * dim);
  const std::int64_t scratchpad_blocks = built.scratchpad_kib * 1024 / dim / dim;
  const std::int64_t accumulator_blocks = built.accumulator_kib * 1024 / (4 * dim) / dim;
  if (accumulator_blocks > scratchpad_blocks - 2) {
    violations.push_back(
        {"accumulator rows / pe_dim are at most scratchpad rows / pe_dim - 2",
         fmt::format("{} and {} (accumulator_kib {}, scratchpad_kib {})", accumulator_blocks,
                     scratchpad_blocks, built.accumulator_kib, built.scratchpad_kib),
         fmt::format("accumulator_kib {}, scratchpad_kib {}", near.accumulator_kib, near.scratchpad_kib)});
  }
  return violations;
}

ArraySizes nearest_hardware(const ArraySizes& built) {
  ArraySizes near;
  near.pe_dim = power_of_two_from(std::max<std::int64_t>(2, built.pe_dim));
  const std::int64_t square = near.pe_dim * near.pe_dim;
  // At least one block of pe_dim rows in each of the 4 and 2 banks.
  near.scratchpad_kib = power_of_two_from(std::max(built.scratchpad_kib, ceil_div(4 * square, 1024)));
  near.accumulator_kib = power_of_two_from(std::max(built.accumulator_kib, ceil_div(8 * square, 1024)));
  // All are powers of two with enough rows: what can still be wrong is the scratchpad next to the
  // accumulator.
  while (!is_legal(near)) near.scratchpad_kib *= 2;
  return near;
}

ArraySizes hardware_for_need(const ArraySizes& need) {
  return nearest_hardware({need.pe_dim, 2 * need.scratchpad_kib, 2 * need.accumulator_kib});
}

std::vector<ArraySizes> legal_hardware(const ArraySizes& min, const ArraySizes& max) {
  // Every legal size is a power of two, because rows are and pe_dim is.
  const auto powers = [](std::int64_t from, std::int64_t to) {
    std::vector<std::int64_t> list;
    for (std::int64_t power = power_of_two_from(from); power <= to; power *= 2) list.push_back(power);
    return list;
  };
  std::vector<ArraySizes> legal;
  for (const std::int64_t pe_dim : powers(min.pe_dim, max.pe_dim)) {
    for (const std::int64_t scratchpad : powers(min.scratchpad_kib, max.scratchpad_kib)) {
      for (const std::int64_t accumulator : powers(min.accumulator_kib, max.accumulator_kib)) {
        const ArraySizes hardware{pe_dim, scratchpad, accumulator};
        if (is_legal(hardware)) legal.push_back(hardware);
      }
    }
  }
  return legal;
}

const char* name_of(Call call) { return kCallNames[static_cast<std::size_t>(call)]; }

bool sees_one_pixel(const Layer& layer) {
  return layer.padding.value_or(0) > 0 && layer.input_width() == 1 && layer.input_height() == 1;
}

std::vector<Violation> check_call(const Layer& layer, Call call) {
  if (call == Call::kConv) return check_conv(layer);
  std::vector<Violation> violations;
  if (call == Call::kMatmul) {
    violations = check_matmul(layer);
    if (!violations.empty()) return violations;
  } else if (check_call(layer, Call::kMatmul).empty()) {
    return {{"a matrix product needs no im2col",
             fmt::format("P {}, C {}, K {}", layer[Dim::P], layer[Dim::C], layer[Dim::K]),
             "the matmul call"}};
  }
  const DimSizes extent = extents(layer, call);
  const auto at = [&](Dim d) { return extent[static_cast<std::size_t>(d)]; };
  const std::int64_t largest =
      std::max({saturating_product({at(Dim::P), at(Dim::C)}), saturating_product({at(Dim::C), at(Dim::K)}),
                saturating_product({at(Dim::P), at(Dim::K)})});
  if (largest > kAddressMax) {
    violations.push_back(
        {"a program addresses 2^38 bytes",
         fmt::format("a matrix of {} bytes ({} x {} x {})", largest, at(Dim::P), at(Dim::C), at(Dim::K)),
         fmt::format("{} bytes, in several layers", kAddressMax)});
  }
  return violations;
}

bool is_dilated(const Layer& layer) {
  return (layer[Dim::R] > 1 && layer.wdilation > 1) || (layer[Dim::S] > 1 && layer.hdilation > 1);
}

namespace {

/// The calls that take the layer's inputs as they are and have costs.
std::vector<Call> calls_without_cpu(const Layer& layer) {
  std::vector<Call> calls;
  if (check_call(layer, Call::kMatmul).empty()) calls.push_back(Call::kMatmul);
  if (check_call(layer, Call::kConv).empty() && !is_dilated(layer)) calls.push_back(Call::kConv);
  return calls;
}

}  // namespace

std::vector<Call> calls_for(const Layer& layer) {
  std::vector<Call> calls = calls_without_cpu(layer);
  if (!calls.empty()) return calls;
  if (const std::string reason = why_not_at_all(layer); !reason.empty())
    fail(ErrorId::kValue, "layer {}: Gemmini's library cannot run it: {}", layer.name, reason);
  return {Call::kIm2col};
}

std::string why_not_at_all(const Layer& layer) {
  return calls_without_cpu(layer).empty() ? summary(check_call(layer, Call::kIm2col)) : "";
}

std::string why_im2col(const Layer& layer) {
  if (!calls_without_cpu(layer).empty() || !check_call(layer, Call::kIm2col).empty()) return "";
  const std::vector<Violation> violations = check_conv(layer);
  if (!violations.empty()) return fmt::format("{}; found {}", violations[0].rule, violations[0].found);
  return fmt::format("tiled_conv has costs for kernels without dilation only; found {} x {}", layer.wdilation,
                     layer.hdilation);
}

DimSizes extents(const Layer& layer, Call call) {
  if (call == Call::kConv) return layer.size;
  DimSizes sizes{1, 1, 1, 1, 1, 1, 1};
  sizes[static_cast<std::size_t>(Dim::P)] = layer[Dim::P] * layer[Dim::Q] * layer[Dim::N];
  const std::int64_t positions = call == Call::kIm2col ? layer[Dim::R] * layer[Dim::S] : 1;
  sizes[static_cast<std::size_t>(Dim::C)] = positions * layer[Dim::C];
  sizes[static_cast<std::size_t>(Dim::K)] = layer[Dim::K];
  return sizes;
}

bool downsamples(const Layer& layer) {
  return layer[Dim::R] == 1 && layer[Dim::S] == 1 && layer.wstride == 2 && layer.hstride == 2 &&
         layer.padding.value_or(0) == 0 && layer.input_width() % 2 == 0 && layer.input_height() % 2 == 0;
}

Tile tile_from_json(const JsonInput& json) {
  Tile tile;
  const JsonInput call = json.at("call");
  const std::string name = call.text();
  const auto known = std::find(kCallNames.begin(), kCallNames.end(), name);
  if (known == kCallNames.end()) {
    fail(ErrorId::kValue, "{}: found \"{}\", expected {}", call.where(), name, fmt::join(kCallNames, ", "));
  }
  tile.call = static_cast<Call>(known - kCallNames.begin());
  if (is_product(tile.call)) {
    json.allow_only({"call", "P", "C", "K"});
  } else {
    json.allow_only({"call", "R", "S", "P", "Q", "C", "K", "N"});
  }
  for (const Dim d : all_dims()) {
    if (used_by(tile.call, d)) tile[d] = json.at(std::string(1, dosa::name_of(d))).integer(1, kMaxDim);
  }
  return tile;
}

Json to_json(const Tile& tile) {
  Json json{{"call", name_of(tile.call)}};
  for (const Dim d : all_dims()) {
    if (used_by(tile.call, d)) json[std::string(1, dosa::name_of(d))] = tile[d];
  }
  return json;
}

std::string to_string(const Tile& tile) {
  std::string text = name_of(tile.call);
  for (const Dim d : all_dims()) {
    if (used_by(tile.call, d)) text += fmt::format(" {}{}", dosa::name_of(d), tile[d]);
  }
  return text;
}

Rows rows_needed(const Layer& layer, const Tile& tile, std::int64_t pe_dim) {
  if (is_product(tile.call)) {
    const std::int64_t rows = ceil_div(tile[Dim::P], pe_dim), inner = ceil_div(tile[Dim::C], pe_dim),
                       columns = ceil_div(tile[Dim::K], pe_dim);
    return {(rows * inner + inner * columns) * pe_dim, rows * columns * pe_dim};
  }
  const int halved = downsamples(layer) ? 1 : 0;
  const std::int64_t rows = (tile[Dim::Q] * layer.hstride + (tile[Dim::S] - 1) * layer.hdilation) >> halved;
  const std::int64_t columns =
      (tile[Dim::P] * layer.wstride + (tile[Dim::R] - 1) * layer.wdilation) >> halved;
  const std::int64_t in_blocks = ceil_div(tile[Dim::C], pe_dim), out_blocks = ceil_div(tile[Dim::K], pe_dim);
  return {in_blocks * tile[Dim::N] * rows * columns + out_blocks * tile[Dim::R] * tile[Dim::S] * tile[Dim::C],
          out_blocks * tile[Dim::N] * tile[Dim::Q] * tile[Dim::P]};
}

bool fits(const Layer& layer, const Tile& tile, const Params& params) {
  const Rows rows = rows_needed(layer, tile, params.dim);
  return rows.scratchpad <= params.scratchpad_rows_per_tile() &&
         rows.accumulator <= params.accumulator_rows_per_tile();
}

bool hangs(const Layer& layer, const Tile& tile) {
  return tile.call == Call::kConv && (row_axis(layer).hangs(tile[Dim::Q], tile[Dim::S]) ||
                                      column_axis(layer).hangs(tile[Dim::P], tile[Dim::R]));
}

bool computes_wrong(const Layer& layer, const Tile& tile, std::int64_t pe_dim) {
  if (tile.call != Call::kConv || pe_dim >= kRightFromPeDim || layer.padding.value_or(0) == 0) return false;
  const auto least = [&](Dim d) { return least_tile(layer, tile, d); };
  const bool shares_rows = std::min(pe_dim / least(Dim::C), std::min(tile[Dim::R], layer[Dim::R])) > 1;
  return shares_rows && least(Dim::P) == 1 && least(Dim::K) <= pe_dim;
}

bool runs_right(const Layer& layer, const Tile& tile, std::int64_t pe_dim) {
  return !hangs(layer, tile) && !computes_wrong(layer, tile, pe_dim);
}

std::int64_t max_tile(const Layer& layer, Call call, Dim dim, std::int64_t pe_dim) {
  if (!used_by(call, dim)) return 1;
  return round_up(extents(layer, call)[static_cast<std::size_t>(dim)], granule_of(call, pe_dim));
}

std::vector<std::int64_t> useful_tile_sizes(std::int64_t extent, std::int64_t granule) {
  std::set<std::int64_t> sizes;
  const std::int64_t blocks = ceil_div(extent, granule);
  for (std::int64_t size = 1; size <= blocks;) {
    sizes.insert(size * granule);
    // The next size that needs fewer tiles.
    const std::int64_t tiles = ceil_div(blocks, size);
    size = tiles == 1 ? blocks + 1 : ceil_div(blocks, tiles - 1);
  }
  std::vector<std::int64_t> list(sizes.begin(), sizes.end());
  for (std::int64_t& size : list) size = std::min(size, granule == 1 ? extent : round_up(extent, granule));
  return list;
}

bool tile_is_legal(const Layer& layer, const Params& params, const Tile& tile) {
  const std::int64_t granule = granule_of(tile.call, params.dim);
  for (const Dim d : all_dims()) {
    const std::int64_t size = tile[d];
    if (size < 1 || size > max_tile(layer, tile.call, d, params.dim)) return false;
    if (used_by(tile.call, d) && size % granule != 0) return false;
  }
  return fits(layer, tile, params) && runs_right(layer, tile, params.dim);
}

bool only_lacks_room(const Layer& layer, const ArraySizes& built, const Tile& tile) {
  for (const Dim d : all_dims()) {
    if (tile[d] < 1 || tile[d] > max_tile(layer, tile.call, d, built.pe_dim)) return false;
  }
  return !fits(layer, tile, params_of(built));
}

std::vector<Violation> check_tile(const Layer& layer, const ArraySizes& built, const Tile& tile) {
  const Params params = params_of(built);
  if (tile_is_legal(layer, params, tile)) return {};
  std::string nearest;
  try {
    nearest = to_string(nearest_tile(layer, built, tile));
  } catch (const Error&) {
    nearest = "none on this hardware";
  }
  std::vector<Violation> violations;
  for (const Dim d : all_dims()) {
    const std::int64_t size = tile[d], max = max_tile(layer, tile.call, d, params.dim);
    if (size < 1 || size > max) {
      violations.push_back(
          {fmt::format("a tile of {} is in 1..{}", dosa::name_of(d), max), fmt::format("{}", size), nearest});
    } else if (used_by(tile.call, d) && size % granule_of(tile.call, params.dim) != 0) {
      violations.push_back({fmt::format("the tile of {} of a {} is a multiple of pe_dim {}", dosa::name_of(d),
                                        name_of(tile.call), params.dim),
                            fmt::format("{}", size), nearest});
    }
  }
  if (!violations.empty()) return violations;
  const Rows rows = rows_needed(layer, tile, params.dim);
  if (rows.scratchpad > params.scratchpad_rows_per_tile()) {
    violations.push_back({fmt::format("a tile's inputs and weights fit into half of the scratchpad, {} rows",
                                      params.scratchpad_rows_per_tile()),
                          fmt::format("{} rows ({})", rows.scratchpad, to_string(tile)), nearest});
  }
  if (rows.accumulator > params.accumulator_rows_per_tile()) {
    violations.push_back({fmt::format("a tile's outputs fit into half of the accumulator, {} rows",
                                      params.accumulator_rows_per_tile()),
                          fmt::format("{} rows ({})", rows.accumulator, to_string(tile)), nearest});
  }
  if (hangs(layer, tile)) {
    violations.push_back({"no kernel tile lies wholly in the padding (the hardware would never finish)",
                          to_string(tile), nearest});
  }
  if (computes_wrong(layer, tile, params.dim)) {
    violations.push_back(
        {fmt::format("no tile of few channels has a single column of padded outputs in one block of output "
                     "channels (an array of less than {} would compute wrong values)",
                     kRightFromPeDim),
         fmt::format("pe_dim {}, {}", params.dim, to_string(tile)), nearest});
  }
  return violations;
}

Tile nearest_tile(const Layer& layer, const ArraySizes& built, const Tile& tile) {
  const Params params = params_of(built);
  const std::int64_t granule = granule_of(tile.call, params.dim);
  Tile near = tile;
  for (const Dim d : all_dims()) {
    const std::int64_t max = max_tile(layer, tile.call, d, params.dim);
    near[d] =
        used_by(tile.call, d)
            ? std::clamp(round_up(std::max<std::int64_t>(1, std::min(near[d], max)), granule), granule, max)
            : 1;
  }
  while (!fits(layer, near, params)) {
    if (tile.call == Call::kConv) {
      if (!shrink(near, params.dim)) fail_nothing_fits(layer, near, built);
      continue;
    }
    Dim largest = Dim::P;
    for (const Dim d : {Dim::K, Dim::C}) {
      if (near[d] > near[largest]) largest = d;
    }
    if (near[largest] == granule) fail_nothing_fits(layer, near, built);
    near[largest] -= granule;
  }
  if (is_product(tile.call)) return near;
  // Moving one axis needs room that the others may have to give up: shrink further until it works.
  for (;;) {
    Tile candidate = near;
    if (leave_hang(layer, params, row_axis(layer), Dim::Q, Dim::S, candidate) &&
        leave_hang(layer, params, column_axis(layer), Dim::P, Dim::R, candidate) &&
        leave_wrong(layer, params, candidate)) {
      return candidate;
    }
    if (shrink(near, params.dim)) continue;
    if (params.dim < kRightFromPeDim && 2 * layer[Dim::C] <= params.dim)
      fail_nothing_runs_right(layer, params.dim);
    fail_nothing_fits(layer, near, built);
  }
}

Tile default_tile(const Layer& layer, const ArraySizes& built, Call call) {
  return is_product(call) ? default_product(layer, params_of(built), call) : default_conv(layer, built);
}

Tile default_tile(const Layer& layer, const ArraySizes& built) {
  return default_tile(layer, built, calls_for(layer).front());
}

Tile runnable_default_tile(const Layer& layer, const ArraySizes& built, Call call) {
  const Tile tile = default_tile(layer, built, call);
  return runs_right(layer, tile, built.pe_dim) ? tile : nearest_tile(layer, built, tile);
}

LibraryChoice library_choice(const Layer& layer, const ArraySizes& built) {
  const Call call = calls_for(layer).front();
  return {runnable_default_tile(layer, built, call),
          summary(check_tile(layer, built, default_tile(layer, built, call)))};
}

Tile tile_of_mapping(const Mapping& mapping, const Layer& layer, Call call, std::int64_t pe_dim) {
  if (mapping.levels.size() != 4)
    fail(ErrorId::kMapping, "found {} levels, gemmini-rtl has 4", mapping.levels.size());
  for (const Loop& loop : mapping.levels[2].temporal) {
    if (loop.factor != 1) {
      fail(ErrorId::kMapping,
           "the scratchpad has a temporal loop {}{}; gemmini-rtl has none there; nearest legal: the loop in "
           "DRAM",
           dosa::name_of(loop.dim), loop.factor);
    }
  }
  check_order(mapping.levels[3].temporal, "NQPKSRC", "DRAM");
  check_order(mapping.levels[1].temporal, "KSRCNQP", "accumulator");
  // The library's last tile of a dimension is as small as what is left: it pads nothing.
  const auto inside = [&](Dim d) {
    return std::min(layer[d], mapping.temporal(0, d) * mapping.temporal(1, d) * mapping.spatial(1, d) *
                                  mapping.spatial(2, d));
  };
  Tile tile;
  tile.call = call;
  if (call == Call::kConv) {
    for (const Dim d : all_dims()) tile[d] = inside(d);
    return tile;
  }
  // Rows are P inside Q inside N, the inner products of an im2col C inside R inside S: a tile of them is one
  // block only if whatever is further in is whole.
  const auto block_of = [&](Dim inner, Dim middle, Dim outer, const char* what) {
    const std::int64_t i = inside(inner), m = inside(middle), o = inside(outer);
    if ((i != layer[inner] && m * o != 1) || (m != layer[middle] && o != 1)) {
      fail(ErrorId::kMapping,
           "tiles of {} {}, {} {}, {} {} are no block of consecutive {} of a {}; nearest legal: a tile that "
           "takes whole {} before more of {}",
           dosa::name_of(inner), i, dosa::name_of(middle), m, dosa::name_of(outer), o, what, name_of(call),
           dosa::name_of(inner), dosa::name_of(middle));
    }
    return i * m * o;
  };
  const DimSizes extent = extents(layer, call);
  const auto whole = [&](Dim d, std::int64_t size) {
    return size == extent[static_cast<std::size_t>(d)] ? round_up(size, pe_dim) : size;
  };
  tile[Dim::P] = whole(Dim::P, block_of(Dim::P, Dim::Q, Dim::N, "rows"));
  tile[Dim::C] =
      whole(Dim::C, call == Call::kIm2col ? block_of(Dim::C, Dim::R, Dim::S, "products") : inside(Dim::C));
  tile[Dim::K] = whole(Dim::K, inside(Dim::K));
  return tile;
}

}  // namespace dosa::gemmini
