#include "tests/core/targets/gemmini/walk.hpp"

#include <algorithm>

namespace dosa::testing {
namespace {

using Int = std::int64_t;

/// One DMA row of `bytes` at an address.
void row_at(WalkDma& dma, Int address, Int bytes) {
  ++dma.rows;
  dma.words += bytes;
  dma.requests += (address + bytes - 1) / 64 - address / 64 + 1;
  dma.beats += (address + bytes - 1) / 16 - address / 16 + 1;
}

struct Span {
  Int first, size;
};

/// Rows (or columns) of an image that a tile needs, from `first`, some of them outside of the image.
struct Window {
  Int first, size, step;
  bool hangs;
};

Window window(const WalkLayer& l, Span outputs, Span kernel, bool downsampled) {
  const Int first = outputs.first * l.stride + kernel.first - l.padding;
  if (downsampled) return {first, outputs.size, 2, false};
  const Int size = (outputs.size - 1) * l.stride + kernel.size;
  const Int before = std::max<Int>(0, -first), after = std::max<Int>(0, first + size - l.input);
  // The library's window is stride - 1 longer than what the outputs need.
  return {first, size, 1, before > size + l.stride - 1 || after > size};
}

}  // namespace

Walked walk(const WalkLayer& l, const WalkTile& t, Int D) {
  Walked w;
  const bool downsampled =
      l.downsampling && !l.matmul && l.R == 1 && l.stride == 2 && l.padding == 0 && l.input % 2 == 0;
  const Int width = l.matmul ? l.P : l.input;
  const Int height = l.matmul ? 1 : l.input;
  const Int chunk = std::max<Int>(64, D);
  const auto tiles = [](Int size, Int tile) { return (size + tile - 1) / tile; };
  const Int reductions = tiles(l.R, t.R) * tiles(l.S, t.S) * tiles(l.C, t.C);
  const bool keeps_inputs = l.keeps && reductions * tiles(l.N, t.N) * tiles(l.Q, t.Q) * tiles(l.P, t.P) <= 2;
  const bool keeps_weights = l.keeps && reductions * tiles(l.K, t.K) <= 2;
  for (Int n0 = 0; n0 < l.N; n0 += t.N)
    for (Int q0 = 0; q0 < l.Q; q0 += t.Q)
      for (Int p0 = 0; p0 < l.P; p0 += t.P)
        for (Int k0 = 0; k0 < l.K; k0 += t.K)
          for (Int s0 = 0; s0 < l.S; s0 += t.S)
            for (Int r0 = 0; r0 < l.R; r0 += t.R)
              for (Int c0 = 0; c0 < l.C; c0 += t.C) {
                ++w.tiles;
                const Int n = std::min(t.N, l.N - n0), q = std::min(t.Q, l.Q - q0),
                          p = std::min(t.P, l.P - p0);
                const Int k = std::min(t.K, l.K - k0), s = std::min(t.S, l.S - s0),
                          r = std::min(t.R, l.R - r0);
                const Int c = std::min(t.C, l.C - c0);
                // Loads of the input: an image row at a time, D pixels at a time, padding before, inside,
                // after.
                WalkLayer image = l;
                const Window rows = window(image, {q0, q}, {s0, s}, downsampled);
                image.input = width;
                const Window columns = window(image, {p0, p}, {r0, r}, downsampled);
                w.hangs = w.hangs || (!l.matmul && (rows.hangs || columns.hangs));
                const bool loads_inputs = !keeps_inputs || k0 == 0;
                for (Int b = n0; b < n0 + (loads_inputs ? n : 0); ++b)
                  for (Int y = 0; y < rows.size; ++y) {
                    const Int row = rows.first + y * rows.step;
                    const bool outside = row < 0 || row >= height;
                    w.written_inputs += columns.size * c;
                    Int before = 0, after = 0, inside = 0;
                    for (Int x = 0; x < columns.size; ++x) {
                      const Int column = columns.first + x * columns.step;
                      (column < 0 ? before : column >= width ? after : inside) += 1;
                    }
                    for (Int c1 = 0; c1 < c; c1 += chunk) {
                      const Int chunks = (inside + D - 1) / D;
                      const Int flanks = (before > 0) + (after > 0);
                      (outside ? w.zero_instructions : w.input.instructions) += chunks;
                      w.zero_instructions += flanks;
                      w.zero_rows += before + after + (outside ? inside : 0);
                      if (outside) continue;
                      for (Int x = 0; x < columns.size; ++x) {
                        const Int column = columns.first + x * columns.step;
                        if (column < 0 || column >= width) continue;
                        row_at(w.input, ((b * height + row) * width + column) * l.C + c0 + c1,
                               std::min(chunk, c - c1));
                      }
                    }
                  }
                // Loads of the weights: D rows of channels at a time.
                const bool loads_weights = !keeps_weights || (n0 == 0 && q0 == 0 && p0 == 0);
                w.weight_uses += s * r * c * k;
                for (Int f = 0; f < (loads_weights ? s * r : 0); ++f)
                  for (Int c1 = 0; c1 < c; c1 += D)
                    for (Int k1 = 0; k1 < k; k1 += chunk) {
                      ++w.weight.instructions;
                      const Int filter = (s0 + f / r) * l.R + r0 + f % r;
                      for (Int i = c1; i < std::min(c, c1 + D); ++i)
                        row_at(w.weight, (filter * l.C + c0 + i) * l.K + k0 + k1, std::min(chunk, k - k1));
                    }
                // Compute: a block of weights, then every output row, D columns at a time.
                const Int fit = l.packing && !l.matmul && !downsampled ? std::max<Int>(1, D / c) : 1;
                const Int packed = std::min(fit, t.R);
                for (Int k1 = 0; k1 < k; k1 += D)
                  for (Int y = 0; y < s; ++y)
                    for (Int x = 0; x < r; x += packed)
                      for (Int c1 = 0; c1 < c; c1 += D) {
                        ++w.preloads;
                        const Int pixels = n * q * p, inner = std::min(D, c - c1);
                        w.array_rows += pixels;
                        w.read_inputs += pixels * std::min(packed, r - x) * inner;
                        w.accumulated += pixels * std::min(D, k - k1);
                        bool fresh = true;
                        for (Int line = 0; line < n * q; ++line) {
                          ++w.steps;
                          for (Int p1 = 0; p1 < p; p1 += D) {
                            ++w.executes;
                            const Int cycles = std::max<Int>(4, std::min(D, p - p1));
                            w.floor += fresh ? std::max(D, cycles) : cycles;
                            fresh = false;
                          }
                        }
                      }
                // Stores, after the last reduction.
                if (s0 + s < l.S || r0 + r < l.R || c0 + c < l.C) continue;
                const Int wide = l.matmul ? chunk : D;
                for (Int b = n0; b < n0 + n; ++b)
                  for (Int y = q0; y < q0 + q; ++y)
                    for (Int p1 = 0; p1 < p; p1 += D)
                      for (Int k1 = 0; k1 < k; k1 += wide) {
                        ++w.output.instructions;
                        for (Int x = p0 + p1; x < p0 + std::min(p, p1 + D); ++x)
                          row_at(w.output, ((b * l.Q + y) * l.P + x) * l.K + k0 + k1, std::min(wide, k - k1));
                      }
              }
  return w;
}

}  // namespace dosa::testing
