#include "dosa/core/targets/chain/rounding.hpp"

#include <algorithm>
#include <cmath>

namespace dosa {
namespace {

constexpr std::size_t kRows = kLoopKinds + 1;  // of a level: log factors by kind, places

}  // namespace

LayerNests::Placed round_nest(const LayerNests& nests, const double* relaxed, double noise, Random& random) {
  const std::size_t levels = nests.chain().levels.size();
  std::vector<double> missing(relaxed, relaxed + levels * kRows * kDims);
  if (noise > 0) {
    for (double& value : missing) value += noise * random.normal();
  }
  LayerNests::Placed placed = nests.outermost();
  const auto row = [&](std::size_t level, std::size_t kind) { return &missing[(level * kRows + kind) * kDims]; };
  for (std::size_t l = 0; l < levels; ++l) {
    const double* place = row(l, kLoopKinds);
    std::stable_sort(placed.nest.order[l].begin(), placed.nest.order[l].end(),
                     [&](std::uint8_t a, std::uint8_t b) { return place[a] < place[b]; });
  }
  std::vector<std::size_t> largest_first(nests.primes().size());
  for (std::size_t i = 0; i < largest_first.size(); ++i) largest_first[i] = i;
  std::stable_sort(largest_first.begin(), largest_first.end(), [&](std::size_t a, std::size_t b) {
    return nests.primes()[a].prime > nests.primes()[b].prime;
  });
  for (const std::size_t prime : largest_first) {
    const auto dim = static_cast<std::size_t>(nests.primes()[prime].dim);
    const std::vector<ChainSlot>& slots = nests.slots(nests.primes()[prime].dim);
    const auto missing_in = [&](std::size_t s) -> double& {
      return row(slots[s].level, static_cast<std::size_t>(slots[s].kind))[dim];
    };
    std::size_t best = slots.size() - 1;
    for (std::size_t s = 0; s + 1 < slots.size(); ++s) {
      if (missing_in(s) <= missing_in(best)) continue;
      if (slots[s].kind != LoopKind::kTime) {
        nests.move(placed, prime, static_cast<std::uint8_t>(s));
        const bool fits = nests.within_fan_out(placed.nest, slots[s].level);
        nests.move(placed, prime, static_cast<std::uint8_t>(slots.size() - 1));
        if (!fits) continue;
      }
      best = s;
    }
    nests.move(placed, prime, static_cast<std::uint8_t>(best));
    missing_in(best) -= std::log(nests.primes()[prime].prime);
  }
  nests.repair(placed);
  return placed;
}

}  // namespace dosa
