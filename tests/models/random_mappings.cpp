#include "tests/models/random_mappings.hpp"

#include <algorithm>
#include <vector>

#include "dosa/models/base/math.hpp"

namespace dosa::testing {
namespace {

void multiply(std::vector<Loop>& loops, Dim dim, std::int64_t factor) {
  const auto found =
      std::find_if(loops.begin(), loops.end(), [&](const Loop& loop) { return loop.dim == dim; });
  if (found == loops.end()) {
    loops.push_back({dim, factor});
  } else {
    found->factor *= factor;
  }
}

std::int64_t product(const std::vector<Loop>& loops) {
  std::int64_t all = 1;
  for (const Loop& loop : loops) all *= loop.factor;
  return all;
}

}  // namespace

Layer RandomCases::layer(std::int64_t max_macs) {
  const auto pick = [&](const std::vector<std::int64_t>& from) { return from[below(from.size())]; };
  while (true) {
    Layer layer;
    layer.name = "random";
    const bool matmul = below(5) == 0;
    layer[Dim::R] = matmul ? 1 : pick({1, 2, 3, 4, 6});
    layer[Dim::S] = matmul ? 1 : pick({1, 2, 3, 4});
    layer[Dim::P] = pick({1, 2, 3, 4, 5, 6, 8, 9});
    layer[Dim::Q] = matmul ? 1 : pick({1, 2, 3, 4, 6, 8});
    layer[Dim::C] = pick({1, 2, 3, 4, 6, 8});
    layer[Dim::K] = pick({1, 2, 3, 4, 6, 8});
    layer[Dim::N] = pick({1, 1, 1, 2, 3});
    if (!matmul) {
      layer.wstride = pick({1, 1, 2, 3});
      layer.hstride = pick({1, 1, 2, 3});
      layer.wdilation = pick({1, 1, 1, 2});
      layer.hdilation = pick({1, 1, 1, 2});
    }
    if (layer.macs() <= max_macs) return layer;
  }
}

Mapping RandomCases::mapping(const Layer& layer, const Machine& machine, std::int64_t max_spatial) {
  Mapping mapping;
  mapping.levels.resize(machine.levels.size());
  for (const Dim dim : all_dims()) {
    const auto d = static_cast<std::size_t>(dim);
    for (const std::int64_t prime : prime_factors_of(layer[dim])) {
      std::vector<std::vector<Loop>*> places;
      for (std::size_t level = 0; level < machine.levels.size(); ++level) {
        LevelNest& nest = mapping.levels[level];
        if (machine.levels[level].temporal[d]) places.push_back(&nest.temporal);
        if (machine.levels[level].spatial[d] && product(nest.spatial) * prime <= max_spatial)
          places.push_back(&nest.spatial);
      }
      multiply(*places[below(places.size())], dim, prime);
    }
  }
  for (LevelNest& nest : mapping.levels) {
    for (std::size_t i = nest.temporal.size(); i > 1; --i)
      std::swap(nest.temporal[i - 1], nest.temporal[below(i)]);
  }
  return mapping;
}

}  // namespace dosa::testing
