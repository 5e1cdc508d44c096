#include "dosa/core/targets/chain/nests.hpp"

#include <algorithm>

#include "dosa/models/base/math.hpp"

namespace dosa {

LayerNests::LayerNests(const Chain& chain, const Layer& layer)
    : chain_(chain), layer_(layer), model_(chain, layer) {
  for (const Dim dim : all_dims()) {
    const auto d = static_cast<std::size_t>(dim);
    for (const std::int64_t prime : prime_factors_of(layer[dim]))
      primes_.push_back({dim, static_cast<double>(prime)});
    for (std::size_t level = 0; level < chain.levels.size(); ++level) {
      const ChainLevel& memory = chain.levels[level];
      for (const MeshAxis axis : mesh_axes()) {
        const FanOut& fan_out = memory.fan_out_on(axis);
        if (fan_out.size > 1 && fan_out.dims[d]) {
          slots_[d].push_back(
              {static_cast<std::uint8_t>(level), axis == MeshAxis::X ? LoopKind::kX : LoopKind::kY});
        }
      }
      if (memory.temporal[d]) slots_[d].push_back({static_cast<std::uint8_t>(level), LoopKind::kTime});
    }
  }
}

std::optional<std::uint8_t> LayerNests::slot_at(Dim dim, const ChainSlot& place) const {
  const std::vector<ChainSlot>& all = slots(dim);
  for (std::size_t s = 0; s < all.size(); ++s) {
    if (all[s].level == place.level && all[s].kind == place.kind) return static_cast<std::uint8_t>(s);
  }
  return std::nullopt;
}

double LayerNests::size() const {
  double nests = 1;
  for (std::size_t i = 0; i < primes_.size();) {
    std::size_t equal = i;
    while (equal < primes_.size() && primes_[equal].dim == primes_[i].dim &&
           primes_[equal].prime == primes_[i].prime)
      ++equal;
    // Ways to put n equal primes into s slots: n + s - 1 over n.
    const auto slots = static_cast<double>(this->slots(primes_[i].dim).size());
    for (std::size_t k = 1; k <= equal - i; ++k)
      nests *= (slots - 1 + static_cast<double>(k)) / static_cast<double>(k);
    i = equal;
  }
  return nests;
}

LayerNests::Placed LayerNests::outermost() const {
  Placed placed;
  for (const PrimeFactor& prime : primes_) {
    placed.slot.push_back(static_cast<std::uint8_t>(slots(prime.dim).size() - 1));
    placed.nest.at(chain_.levels.size() - 1, LoopKind::kTime, prime.dim) *= prime.prime;
  }
  return placed;
}

LayerNests::Placed LayerNests::random(Random& random) const {
  Placed placed = outermost();
  for (auto& order : placed.nest.order) {
    const std::vector<std::int64_t> shuffled = random.permutation(kDims);
    for (std::size_t i = 0; i < kDims; ++i) order[i] = static_cast<std::uint8_t>(shuffled[i]);
  }
  for (std::size_t i = 0; i < primes_.size(); ++i) {
    const auto count = static_cast<std::int64_t>(slots(primes_[i].dim).size());
    const std::uint8_t before = placed.slot[i];
    move(placed, i, static_cast<std::uint8_t>(random.below(count)));
    if (!within_fan_outs(placed.nest)) move(placed, i, before);
  }
  repair(placed);
  return placed;
}

LayerNests::Placed LayerNests::placed(const ChainNest& nest) const {
  Placed placed{nest, {}};
  ChainNest left = nest;
  for (const PrimeFactor& prime : primes_) {
    const std::vector<ChainSlot>& allowed = slots(prime.dim);
    std::size_t s = 0;
    while (s + 1 < allowed.size()) {
      double& factor = left.at(allowed[s].level, allowed[s].kind, prime.dim);
      const double quotient = factor / prime.prime;
      if (quotient == static_cast<double>(static_cast<std::int64_t>(quotient)) && quotient >= 1) {
        factor = quotient;
        break;
      }
      ++s;
    }
    placed.slot.push_back(static_cast<std::uint8_t>(s));
  }
  return placed;
}

void LayerNests::move(Placed& nest, std::size_t prime, std::uint8_t slot) const {
  const PrimeFactor& factor = primes_[prime];
  const std::vector<ChainSlot>& allowed = slots(factor.dim);
  const ChainSlot &from = allowed[nest.slot[prime]], &to = allowed[slot];
  nest.nest.at(from.level, from.kind, factor.dim) /= factor.prime;
  nest.nest.at(to.level, to.kind, factor.dim) *= factor.prime;
  nest.slot[prime] = slot;
}

bool LayerNests::within_fan_out(const ChainNest& nest, std::size_t level) const {
  const auto& [time, x, y] = nest.factors[level];
  double on_x = 1, on_y = 1;
  for (std::size_t d = 0; d < kDims; ++d) {
    if (x[d] > 1 && y[d] > 1) return false;
    on_x *= x[d];
    on_y *= y[d];
  }
  const auto& [fan_x, fan_y] = chain_.levels[level].fan_out;
  return on_x <= static_cast<double>(fan_x.size) && on_y <= static_cast<double>(fan_y.size);
}

bool LayerNests::within_fan_outs(const ChainNest& nest) const {
  for (std::size_t level = 0; level < chain_.levels.size(); ++level) {
    if (!within_fan_out(nest, level)) return false;
  }
  return true;
}

void LayerNests::repair(Placed& nest) const {
  // The move outwards that lowers the worst overflow the most, again and again; in the end all is outermost.
  for (double fill = model_.fill(nest.nest); fill > 1; fill = model_.fill(nest.nest)) {
    std::size_t best_prime = primes_.size();
    std::uint8_t best_slot = 0;
    double best_fill = kInfinity;
    for (std::size_t i = 0; i < primes_.size(); ++i) {
      const std::vector<ChainSlot>& allowed = slots(primes_[i].dim);
      const std::uint8_t before = nest.slot[i];
      for (std::size_t s = before + 1u; s < allowed.size(); ++s) {
        if (allowed[s].kind != LoopKind::kTime) continue;
        move(nest, i, static_cast<std::uint8_t>(s));
        const double now = model_.fill(nest.nest);
        move(nest, i, before);
        if (now < best_fill) {
          best_fill = now;
          best_prime = i;
          best_slot = static_cast<std::uint8_t>(s);
        }
        if (now <= 1) break;
      }
    }
    if (best_prime == primes_.size()) break;
    move(nest, best_prime, best_slot);
  }
}

}  // namespace dosa
