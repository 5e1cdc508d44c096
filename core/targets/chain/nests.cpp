#include "dosa/core/targets/chain/nests.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/math.hpp"

namespace dosa {

namespace {

constexpr std::int64_t kLargestGoodPrime = 7;
// Larger sizes that factors multiply to where loops are cut: any may be worth it.
constexpr int kSizesOfCuts = 4;

bool is_good(std::int64_t size) {
  const std::vector<std::int64_t> primes = prime_factors_of(size);
  return primes.empty() || primes.back() <= kLargestGoodPrime;
}

}  // namespace

std::vector<std::int64_t> searched_sizes(const Chain& chain, const Layer& layer, Dim dim) {
  const std::int64_t size = layer[dim];
  std::vector<std::int64_t> sizes{size};
  if (dim == Dim::R || dim == Dim::S) return sizes;
  const auto add = [&](std::int64_t larger) {
    if (larger <= size + size / 3 && std::find(sizes.begin(), sizes.end(), larger) == sizes.end())
      sizes.push_back(larger);
  };
  const bool cuts = chain.remainders == Remainders::kCut;
  if (cuts || !is_good(size)) {
    std::int64_t good = size;
    for (int i = 0; i < (cuts ? kSizesOfCuts : 2); ++i) {
      do ++good;
      while (!is_good(good));
      add(good);
    }
  }
  const std::vector<std::int64_t> divisors = divisors_of(size);
  for (const ChainLevel& level : chain.levels) {
    for (const FanOut& axis : level.fan_out) {
      if (axis.size == 1 || !axis.dims[static_cast<std::size_t>(dim)]) continue;
      const std::int64_t iterations = ceil_div(size, axis.size);
      const std::int64_t largest = *(std::upper_bound(divisors.begin(), divisors.end(), axis.size) - 1);
      if (10 * iterations >= 9 * (size / largest)) continue;
      add(iterations * axis.size);
      add(round_up(size, iterations));
    }
  }
  return sizes;
}

double needed_size(const Chain& chain, const NestModel& model, const ChainNest& nest, std::size_t parameter) {
  double need = 1;
  for (std::size_t l = 0; l < chain.levels.size(); ++l) {
    const ChainLevel& level = chain.levels[l];
    const std::optional<ByParameter>& rule = level.rules.built_words;
    if (!rule || rule->parameter != parameter) continue;
    const double words = model.need_words(nest, l) * static_cast<double>(level.buffering);
    need = std::max(need, rule->least_for(words, static_cast<double>(chain.instances(static_cast<int>(l)))));
  }
  return static_cast<double>(chain.parameters[parameter].up(static_cast<std::int64_t>(std::ceil(need))));
}

LayerNests::LayerNests(const Chain& chain, const Layer& layer)
    : chain_(chain), layer_(layer), model_(chain, layer, chain.remainders) {
  for (const ChainLevel& level : chain.levels) has_orders_ = has_orders_ || !level.orders.empty();
  for (const Dim dim : all_dims()) {
    const auto d = static_cast<std::size_t>(dim);
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
    sizes_[d] = searched_sizes(chain, layer, dim);
  }
}

bool LayerNests::can_pad() const {
  return std::any_of(sizes_.begin(), sizes_.end(), [](const auto& sizes) { return sizes.size() > 1; });
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
  const std::vector<PrimeFactor> primes = outermost().primes;
  for (std::size_t i = 0; i < primes.size();) {
    std::size_t equal = i;
    while (equal < primes.size() && primes[equal].dim == primes[i].dim &&
           primes[equal].prime == primes[i].prime)
      ++equal;
    // Ways to put n equal primes into s slots: n + s - 1 over n.
    const auto slots = static_cast<double>(this->slots(primes[i].dim).size());
    for (std::size_t k = 1; k <= equal - i; ++k)
      nests *= (slots - 1 + static_cast<double>(k)) / static_cast<double>(k);
    i = equal;
  }
  return nests;
}

LayerNests::Placed LayerNests::outermost() const {
  Placed placed;
  for (const Dim dim : all_dims()) {
    for (const std::int64_t prime : prime_factors_of(layer_[dim])) {
      placed.primes.push_back({dim, static_cast<double>(prime)});
      placed.slot.push_back(static_cast<std::uint8_t>(slots(dim).size() - 1));
    }
    placed.nest.at(chain_.levels.size() - 1, LoopKind::kTime, dim) = static_cast<double>(layer_[dim]);
  }
  keep_orders(placed.nest);
  return placed;
}

LayerNests::Placed LayerNests::random(Random& random) const {
  Placed placed = outermost();
  for (auto& order : placed.nest.order) {
    const std::vector<std::int64_t> shuffled = random.permutation(kDims);
    for (std::size_t i = 0; i < kDims; ++i) order[i] = static_cast<std::uint8_t>(shuffled[i]);
  }
  for (std::size_t i = 0; i < placed.primes.size(); ++i) {
    const auto count = static_cast<std::int64_t>(slots(placed.primes[i].dim).size());
    const std::uint8_t before = placed.slot[i];
    move(placed, i, static_cast<std::uint8_t>(random.below(count)));
    if (!within_fan_outs(placed.nest)) move(placed, i, before);
  }
  repair(placed);
  keep_orders(placed.nest);
  return placed;
}

LayerNests::Placed LayerNests::placed(const ChainNest& nest) const {
  Placed placed{nest, {}, {}};
  for (const Dim dim : all_dims()) {
    const std::vector<ChainSlot>& allowed = slots(dim);
    for (std::size_t s = 0; s < allowed.size(); ++s) {
      for (const std::int64_t prime :
           prime_factors_of(static_cast<std::int64_t>(nest.at(allowed[s].level, allowed[s].kind, dim)))) {
        placed.primes.push_back({dim, static_cast<double>(prime)});
        placed.slot.push_back(static_cast<std::uint8_t>(s));
      }
    }
  }
  return placed;
}

void LayerNests::move(Placed& nest, std::size_t prime, std::uint8_t slot) const {
  const PrimeFactor& factor = nest.primes[prime];
  const std::vector<ChainSlot>& allowed = slots(factor.dim);
  const ChainSlot &from = allowed[nest.slot[prime]], &to = allowed[slot];
  nest.nest.at(from.level, from.kind, factor.dim) /= factor.prime;
  nest.nest.at(to.level, to.kind, factor.dim) *= factor.prime;
  nest.slot[prime] = slot;
}

void LayerNests::resize(Placed& nest, Dim dim, std::int64_t size) const {
  const std::vector<ChainSlot>& allowed = slots(dim);
  std::vector<double> wanted;
  for (const ChainSlot& slot : allowed) {
    double& factor = nest.nest.at(slot.level, slot.kind, dim);
    wanted.push_back(factor);
    factor = 1;
  }
  remove_primes(nest, dim, [](std::uint8_t) { return true; });
  const std::vector<std::int64_t> primes = prime_factors_of(size);
  for (auto prime = primes.rbegin(); prime != primes.rend(); ++prime) {
    const auto most = std::max_element(wanted.begin(), wanted.end());
    const ChainSlot& slot = allowed[static_cast<std::size_t>(most - wanted.begin())];
    *most /= static_cast<double>(*prime);
    nest.nest.at(slot.level, slot.kind, dim) *= static_cast<double>(*prime);
    nest.primes.push_back({dim, static_cast<double>(*prime)});
    nest.slot.push_back(static_cast<std::uint8_t>(most - wanted.begin()));
  }
}

std::int64_t LayerNests::together(const Placed& nest, Dim dim, std::uint8_t one, std::uint8_t other) const {
  const std::vector<ChainSlot>& allowed = slots(dim);
  std::int64_t left = layer_[dim];
  for (std::size_t s = 0; s < allowed.size(); ++s) {
    if (s == one || s == other) continue;
    left = ceil_div(left, static_cast<std::int64_t>(nest.nest.at(allowed[s].level, allowed[s].kind, dim)));
  }
  return left;
}

void LayerNests::cover(Placed& nest, Dim dim, std::uint8_t slot, std::int64_t factor,
                       std::uint8_t rest) const {
  const std::int64_t missing = ceil_div(together(nest, dim, slot, rest), factor);
  remove_primes(nest, dim, [&](std::uint8_t s) { return s == slot || s == rest; });
  for (const auto& [s, value] : {std::pair{slot, factor}, std::pair{rest, missing}}) {
    const ChainSlot& place = slots(dim)[s];
    nest.nest.at(place.level, place.kind, dim) = static_cast<double>(value);
    for (const std::int64_t prime : prime_factors_of(value)) {
      nest.primes.push_back({dim, static_cast<double>(prime)});
      nest.slot.push_back(s);
    }
  }
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

void LayerNests::obey(const LoopRule& rule, ChainNest& nest, std::size_t level) {
  std::stable_sort(nest.order[level].begin(), nest.order[level].end(), [&](std::uint8_t a, std::uint8_t b) {
    return rule.place(static_cast<Dim>(a)) < rule.place(static_cast<Dim>(b));
  });
}

void LayerNests::keep_orders(ChainNest& nest) const {
  if (!has_orders_) return;
  for (std::size_t level = 0; level < chain_.levels.size(); ++level) {
    const std::vector<Dim> loops = nest.loops_in_time(level);
    const LoopRule* nearest = nullptr;
    std::size_t least = loops.size() * loops.size();
    for (const LoopRule& rule : chain_.levels[level].orders) {
      std::size_t changed = 0;
      for (std::size_t i = 0; i < loops.size(); ++i) {
        for (std::size_t j = i + 1; j < loops.size(); ++j)
          changed += rule.place(loops[i]) > rule.place(loops[j]);
      }
      if (nearest && changed >= least) continue;
      nearest = &rule;
      least = changed;
    }
    if (nearest) obey(*nearest, nest, level);
  }
}

void LayerNests::repair(Placed& nest) const {
  // The move outwards that lowers the worst overflow the most, again and again; in the end all is outermost.
  for (double fill = model_.fill(nest.nest); fill > 1; fill = model_.fill(nest.nest)) {
    std::size_t best_prime = nest.primes.size();
    std::uint8_t best_slot = 0;
    double best_fill = kInfinity;
    for (std::size_t i = 0; i < nest.primes.size(); ++i) {
      const std::vector<ChainSlot>& allowed = slots(nest.primes[i].dim);
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
    if (best_prime == nest.primes.size()) break;
    move(nest, best_prime, best_slot);
  }
}

}  // namespace dosa
