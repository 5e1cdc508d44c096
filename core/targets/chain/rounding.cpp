#include "dosa/core/targets/chain/rounding.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

constexpr std::size_t kRows = kLoopKinds + 1;  // of a level: log factors by kind, places

/// A relaxed nest that becomes a whole one: what of each log factor is still missing.
class Rounding {
 public:
  Rounding(const LayerNests& nests, const double* relaxed, double noise, Random& random)
      : nests_(nests),
        missing_(relaxed, relaxed + nests.chain().levels.size() * kRows * kDims),
        placed_(nests.outermost()) {
    if (noise == 0) return;
    for (double& value : missing_) value += noise * random.normal();
  }

  LayerNests::Placed run() {
    set_orders();
    fill_fan_outs();
    place_the_rest();
    nests_.repair(placed_);
    nests_.keep_orders(placed_.nest);
    return std::move(placed_);
  }

 private:
  double* row(std::size_t level, std::size_t kind) { return &missing_[(level * kRows + kind) * kDims]; }
  double& missing(const ChainSlot& slot, Dim dim) {
    return row(slot.level, static_cast<std::size_t>(slot.kind))[static_cast<std::size_t>(dim)];
  }
  std::uint8_t outermost(Dim dim) const { return static_cast<std::uint8_t>(nests_.slots(dim).size() - 1); }

  void set_orders() {
    for (std::size_t l = 0; l < nests_.chain().levels.size(); ++l) {
      const double* place = row(l, kLoopKinds);
      auto& order = placed_.nest.order[l];
      std::stable_sort(order.begin(), order.end(),
                       [&](std::uint8_t a, std::uint8_t b) { return place[a] < place[b]; });
    }
  }

  /// The slots in space, those that should hold the most first, each with the divisor of what is left of the
  /// size that is nearest to what it should hold, among those that the fan-out allows.
  void fill_fan_outs() {
    struct InSpace {
      Dim dim;
      std::uint8_t slot;
      double wanted;
    };
    std::vector<InSpace> all;
    for (const Dim dim : all_dims()) {
      for (std::uint8_t s = 0; s < nests_.slots(dim).size(); ++s) {
        const ChainSlot& slot = nests_.slots(dim)[s];
        if (slot.kind != LoopKind::kTime) all.push_back({dim, s, missing(slot, dim)});
      }
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const InSpace& a, const InSpace& b) { return a.wanted > b.wanted; });
    for (const InSpace& slot : all) fill(slot.dim, slot.slot);
  }

  void fill(Dim dim, std::uint8_t slot) {
    const std::size_t level = nests_.slots(dim)[slot].level;
    double& wanted = missing(nests_.slots(dim)[slot], dim);
    std::vector<std::size_t> free;  // primes that no slot in space holds
    std::int64_t left = 1;
    for (std::size_t i = 0; i < placed_.primes.size(); ++i) {
      if (placed_.primes[i].dim != dim || placed_.slot[i] != outermost(dim)) continue;
      free.push_back(i);
      left *= static_cast<std::int64_t>(placed_.primes[i].prime);
    }
    std::vector<std::int64_t> divisors = divisors_of(left);
    std::stable_sort(divisors.begin(), divisors.end(), [&](std::int64_t a, std::int64_t b) {
      return std::abs(std::log(static_cast<double>(a)) - wanted) <
             std::abs(std::log(static_cast<double>(b)) - wanted);
    });
    for (const std::int64_t divisor : divisors) {
      std::int64_t rest = divisor;
      for (const std::size_t prime : free) {
        const auto factor = static_cast<std::int64_t>(placed_.primes[prime].prime);
        const bool in = rest % factor == 0;
        if (in) rest /= factor;
        nests_.move(placed_, prime, in ? slot : outermost(dim));
      }
      if (!nests_.within_fan_out(placed_.nest, level)) continue;
      wanted -= std::log(static_cast<double>(divisor));
      return;
    }
  }

  /// The other primes, the largest first, go where most of a dimension's log factor is missing in time.
  void place_the_rest() {
    std::vector<std::size_t> rest;
    for (std::size_t i = 0; i < placed_.primes.size(); ++i) {
      if (placed_.slot[i] == outermost(placed_.primes[i].dim)) rest.push_back(i);
    }
    std::stable_sort(rest.begin(), rest.end(), [&](std::size_t a, std::size_t b) {
      return placed_.primes[a].prime > placed_.primes[b].prime;
    });
    for (const std::size_t prime : rest) {
      const Dim dim = placed_.primes[prime].dim;
      const std::vector<ChainSlot>& slots = nests_.slots(dim);
      std::uint8_t best = outermost(dim);
      for (std::uint8_t s = 0; s + 1u < slots.size(); ++s) {
        if (slots[s].kind == LoopKind::kTime && missing(slots[s], dim) > missing(slots[best], dim)) best = s;
      }
      nests_.move(placed_, prime, best);
      missing(slots[best], dim) -= std::log(placed_.primes[prime].prime);
    }
  }

  const LayerNests& nests_;
  std::vector<double> missing_;
  LayerNests::Placed placed_;
};

}  // namespace

LayerNests::Placed round_nest(const LayerNests& nests, const double* relaxed, double noise, Random& random) {
  return Rounding(nests, relaxed, noise, random).run();
}

}  // namespace dosa
