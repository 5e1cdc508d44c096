// Executed counts by walking every tile, row and instruction literally. Shares no code with the program.
#pragma once

#include <array>
#include <cstdint>

namespace dosa::testing {

struct WalkLayer {
  std::int64_t R = 1, S = 1, P = 1, Q = 1, C = 1, K = 1, N = 1;
  std::int64_t stride = 1, padding = 0, input = 0;  // input: width = height
  bool matmul = false, packing = true, downsampling = true;
  bool keeps = true;  // operands of at most two tiles stay in the scratchpad
};
struct WalkTile {
  std::int64_t R = 1, S = 1, P = 1, Q = 1, C = 1, K = 1, N = 1;
};

struct WalkDma {
  std::int64_t instructions = 0, rows = 0, requests = 0, beats = 0, words = 0;
};
struct Walked {
  std::int64_t tiles = 0, preloads = 0, executes = 0, steps = 0, floor = 0;
  WalkDma input, weight, output;
  std::int64_t weight_uses = 0;  // words brought into the array
  std::int64_t zero_instructions = 0, zero_rows = 0;
  std::int64_t written_inputs = 0;               // words into the scratchpad, zeros of the padding among them
  std::int64_t array_rows = 0, read_inputs = 0;  // pixels fed into the array, words read for them
  std::int64_t accumulated = 0;                  // words added to the accumulator
  bool hangs = false;
};

Walked walk(const WalkLayer& layer, const WalkTile& tile, std::int64_t pe_dim);

}  // namespace dosa::testing
