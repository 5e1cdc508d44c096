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

Mapping RandomCases::mapping(const Layer& layer, const ArrayMachine& machine, std::int64_t max_spatial) {
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
  shuffle_loops(mapping);
  return mapping;
}

void RandomCases::shuffle_loops(Mapping& mapping) {
  for (LevelNest& nest : mapping.levels) {
    for (std::size_t i = nest.temporal.size(); i > 1; --i)
      std::swap(nest.temporal[i - 1], nest.temporal[below(i)]);
  }
}

Chain RandomCases::chain() {
  Chain chain;
  chain.name = "random";
  chain.mac_energy_pj = 1 + static_cast<double>(below(8));
  const std::size_t levels = 2 + below(4);
  const auto maybe = [&]() -> std::optional<double> {
    if (below(3) == 0) return std::nullopt;
    return 0.5 * static_cast<double>(1 + below(8));
  };
  for (std::size_t l = 0; l < levels; ++l) {
    ChainLevel level;
    level.name = "level" + std::to_string(l);
    for (bool& held : level.holds) held = l + 1 == levels || below(2) == 0;
    level.temporal.fill(true);
    if (l + 1 < levels) level.capacity_words = 1 + static_cast<std::int64_t>(below(1000));
    level.fan_out[0].size = 1 + static_cast<std::int64_t>(below(6));
    level.fan_out[1].size = 1 + static_cast<std::int64_t>(below(4));
    for (FanOut& fan_out : level.fan_out) {
      for (bool& allowed : fan_out.dims) allowed = below(4) > 0;
    }
    level.read_words_per_cycle = maybe();
    level.write_words_per_cycle = maybe();
    level.words_per_cycle = maybe();
    level.vector_words = static_cast<double>(1 + below(4));
    level.vector_pj = static_cast<double>(1 + below(20));
    chain.levels.push_back(level);
  }
  return chain;
}

void RandomCases::restrict_orders(Chain& chain) {
  for (ChainLevel& level : chain.levels) {
    level.orders.clear();
    if (below(4) == 0) continue;
    for (std::size_t count = 1 + below(4) / 3; count > 0; --count) {
      LoopRule& rule = level.orders.emplace_back();
      const std::vector<std::int64_t> dims = random_.permutation(kDims);
      const std::size_t named = 4 + below(kDims - 3), inner = below(named + 1);
      for (std::size_t i = 0; i < named; ++i)
        (i < inner ? rule.inner : rule.outer).push_back(static_cast<Dim>(dims[i]));
    }
  }
}

Mapping RandomCases::mapping(const Layer& layer, const Chain& chain) {
  Mapping mapping;
  mapping.levels.resize(chain.levels.size());
  for (const Dim dim : all_dims()) {
    const auto d = static_cast<std::size_t>(dim);
    const auto stands_in = [&](const std::vector<Loop>& loops) {
      return std::any_of(loops.begin(), loops.end(), [&](const Loop& loop) { return loop.dim == dim; });
    };
    for (const std::int64_t prime : prime_factors_of(layer[dim])) {
      std::vector<std::vector<Loop>*> places;
      for (std::size_t level = 0; level < chain.levels.size(); ++level) {
        LevelNest& nest = mapping.levels[level];
        if (chain.levels[level].temporal[d]) places.push_back(&nest.temporal);
        const auto spread = [&](std::vector<Loop>& loops, const std::vector<Loop>& others, MeshAxis axis) {
          const FanOut& fan_out = chain.levels[level].fan_out_on(axis);
          if (fan_out.dims[d] && product(loops) * prime <= fan_out.size && !stands_in(others))
            places.push_back(&loops);
        };
        spread(nest.spatial, nest.spatial_y, MeshAxis::X);
        spread(nest.spatial_y, nest.spatial, MeshAxis::Y);
      }
      multiply(*places[below(places.size())], dim, prime);
    }
  }
  shuffle_loops(mapping);
  return mapping;
}

}  // namespace dosa::testing
