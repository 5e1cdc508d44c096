#include "dosa/core/targets/chain/local_search.hpp"

#include <algorithm>

#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

// Temperatures of the replicas, of the logarithm of the goal, and the steps each tries before they may change
// places.
constexpr std::size_t kReplicas = 8;
constexpr double kColdest = 0.01, kHottest = 0.1;
constexpr int kStepsOfRound = 50;
// One of so many steps splits two slots of a dimension into any factors; one of so many others changes what a
// dimension is padded to, where one can be.
constexpr std::int64_t kCoverEvery = 30, kPadEvery = 40;

double temperature_of(std::size_t replica) {
  return kColdest * std::pow(kHottest / kColdest, static_cast<double>(replica) / (kReplicas - 1));
}

}  // namespace

void NestFront::offer(const NestCost& cost, const ChainNest& nest) {
  if (!cost.fits) return;
  // The first entry with more cycles; the one before it has the least energy of those with at most as many.
  const auto after =
      std::upper_bound(entries_.begin(), entries_.end(), cost.cycles,
                       [](double cycles, const Entry& entry) { return cycles < entry.cycles; });
  if (after != entries_.begin() && (after - 1)->energy_pj <= cost.energy_pj) return;
  auto begin = after;
  while (begin != entries_.begin() && (begin - 1)->cycles == cost.cycles) --begin;
  auto end = after;
  while (end != entries_.end() && end->energy_pj >= cost.energy_pj) ++end;
  if (begin != end) {
    *begin = {cost.cycles, cost.energy_pj, nest};
    entries_.erase(begin + 1, end);
  } else {
    entries_.insert(begin, {cost.cycles, cost.energy_pj, nest});
  }
}

void NestFront::merge(const NestFront& other) {
  for (const Entry& entry : other.entries_) offer({true, entry.cycles, entry.energy_pj}, entry.nest);
}

const NestFront::Entry* NestFront::best(const LayerGoal& goal) const {
  const Entry* best = nullptr;
  for (const Entry& entry : entries_) {
    if (!best || goal.value(entry.energy_pj, entry.cycles) < goal.value(best->energy_pj, best->cycles))
      best = &entry;
  }
  return best;
}

std::int64_t NestSteps::size_of(const ChainSlot& axis) const {
  return nests_.chain().levels[axis.level].fan_out[axis.kind == LoopKind::kX ? 0 : 1].size;
}

void NestSteps::place_in_order(ChainNest& nest, std::size_t level, Dim dim) {
  auto& order = nest.order[level];
  auto* from = std::find(order.begin(), order.end(), static_cast<std::uint8_t>(dim));
  auto* to = order.begin() + random_.below(kDims);
  if (from < to) {
    std::rotate(from, from + 1, to + 1);
  } else {
    std::rotate(to, from, from + 1);
  }
}

bool NestSteps::move_primes(LayerNests::Placed& nest, int count) {
  const auto primes = static_cast<std::int64_t>(nest.primes.size());
  std::uint32_t touched = 0;  // levels whose loops in space have grown
  for (int i = 0; i < count; ++i) {
    const auto prime = static_cast<std::size_t>(random_.below(primes));
    const Dim dim = nest.primes[prime].dim;
    const std::vector<ChainSlot>& slots = nests_.slots(dim);
    if (slots.size() < 2) continue;
    auto slot = static_cast<std::uint8_t>(random_.below(static_cast<std::int64_t>(slots.size()) - 1));
    if (slot >= nest.slot[prime]) ++slot;
    const ChainSlot& to = slots[slot];
    const bool is_new = to.kind == LoopKind::kTime && nest.nest.at(to.level, to.kind, dim) == 1;
    nests_.move(nest, prime, slot);
    if (is_new && random_.bits() % 2 == 0) place_in_order(nest.nest, to.level, dim);
    if (to.kind != LoopKind::kTime) touched |= 1u << to.level;
  }
  for (std::size_t level = 0; touched >> level != 0; ++level) {
    if ((touched >> level & 1u) != 0 && !nests_.within_fan_out(nest.nest, level)) return false;
  }
  return true;
}

bool NestSteps::split_again(LayerNests::Placed& nest) {
  const auto primes = static_cast<std::int64_t>(nest.primes.size());
  const auto prime = static_cast<std::size_t>(random_.below(primes));
  const Dim dim = nest.primes[prime].dim;
  const auto slots = static_cast<std::int64_t>(nests_.slots(dim).size());
  const std::uint8_t one = nest.slot[prime], other = static_cast<std::uint8_t>(random_.below(slots));
  if (one == other) return false;
  bool changed = false;
  for (std::size_t i = 0; i < nest.primes.size(); ++i) {
    if (nest.primes[i].dim != dim || (nest.slot[i] != one && nest.slot[i] != other)) continue;
    const std::uint8_t to = random_.bits() % 2 == 0 ? one : other;
    changed = changed || to != nest.slot[i];
    nests_.move(nest, i, to);
  }
  return changed && nests_.within_fan_out(nest.nest, nests_.slots(dim)[one].level) &&
         nests_.within_fan_out(nest.nest, nests_.slots(dim)[other].level);
}

bool NestSteps::exchange_axes(LayerNests::Placed& nest) {
  // Every prime of one dimension on an axis goes to the other axis, and another dimension's back.
  const auto primes = static_cast<std::int64_t>(nest.primes.size());
  const auto one = static_cast<std::size_t>(random_.below(primes));
  const Dim dim = nest.primes[one].dim;
  const ChainSlot from = nests_.slots(dim)[nest.slot[one]];
  if (from.kind == LoopKind::kTime) return false;
  const ChainSlot other{from.level, from.kind == LoopKind::kX ? LoopKind::kY : LoopKind::kX};
  const auto second = static_cast<std::size_t>(random_.below(primes));
  const Dim partner = nest.primes[second].dim;
  const auto transfer = [&](Dim of, const ChainSlot& source, const ChainSlot& target) {
    const auto a = nests_.slot_at(of, source), b = nests_.slot_at(of, target);
    if (!a || !b) return false;
    for (std::size_t i = 0; i < nest.primes.size(); ++i) {
      if (nest.primes[i].dim == of && nest.slot[i] == *a) nests_.move(nest, i, *b);
    }
    return true;
  };
  if (!transfer(dim, from, other)) return false;
  if (partner != dim && nest.nest.at(from.level, other.kind, partner) > 1) transfer(partner, other, from);
  return nests_.within_fan_out(nest.nest, from.level);
}

bool NestSteps::displace(LayerNests::Placed& nest) {
  // A prime goes to an axis, with some probability the others beside it too, as long as their dimension has
  // room there by itself; those of other dimensions make room, to where the first one came from if they may.
  const auto primes = static_cast<std::int64_t>(nest.primes.size());
  const auto first = static_cast<std::size_t>(random_.below(primes));
  const Dim dim = nest.primes[first].dim;
  const std::vector<ChainSlot>& slots = nests_.slots(dim);
  const std::uint8_t source = nest.slot[first];
  const auto target = static_cast<std::uint8_t>(random_.below(static_cast<std::int64_t>(slots.size())));
  const ChainSlot from = slots[source], axis = slots[target];
  if (target == source || axis.kind == LoopKind::kTime) return false;
  const auto room = static_cast<double>(size_of(axis));
  nests_.move(nest, first, target);
  if (random_.bits() % 2 == 0) {
    for (std::size_t i = 0; i < nest.primes.size(); ++i) {
      const PrimeFactor& prime = nest.primes[i];
      if (prime.dim == dim && nest.slot[i] == source &&
          nest.nest.at(axis.level, axis.kind, dim) * prime.prime <= room)
        nests_.move(nest, i, target);
    }
  }
  double used = 1;
  for (const Dim any : all_dims()) used *= nest.nest.at(axis.level, axis.kind, any);
  const std::int64_t begin = random_.below(primes);
  if (used > room && random_.bits() % 2 == 0) {
    // One of the others keeps what there is room for.
    const Dim squeezed = nest.primes[static_cast<std::size_t>(begin)].dim;
    const auto there = nests_.slot_at(squeezed, axis);
    const auto rest =
        static_cast<std::uint8_t>(random_.below(static_cast<std::int64_t>(nests_.slots(squeezed).size())));
    if (squeezed == dim || !there || rest == *there) return false;
    fill_axis(nest, squeezed, *there, rest);
    return nests_.within_fan_outs(nest.nest);
  }
  for (std::int64_t k = 0; k < primes && used > room; ++k) {
    const auto i = static_cast<std::size_t>((begin + k) % primes);
    const Dim other = nest.primes[i].dim;
    if (other == dim || nest.slot[i] != nests_.slot_at(other, axis)) continue;
    const auto anywhere = random_.below(static_cast<std::int64_t>(nests_.slots(other).size()));
    nests_.move(nest, i, nests_.slot_at(other, from).value_or(static_cast<std::uint8_t>(anywhere)));
    used /= nest.primes[i].prime;
  }
  return nests_.within_fan_outs(nest.nest);
}

bool NestSteps::exchange_places(LayerNests::Placed& nest) {
  // Two primes of different dimensions, each to where the other one was.
  const auto primes = static_cast<std::int64_t>(nest.primes.size());
  const auto one = static_cast<std::size_t>(random_.below(primes));
  const auto other = static_cast<std::size_t>(random_.below(primes));
  const Dim dim = nest.primes[one].dim, partner = nest.primes[other].dim;
  if (dim == partner) return false;
  const ChainSlot from = nests_.slots(dim)[nest.slot[one]], to = nests_.slots(partner)[nest.slot[other]];
  if (from.level == to.level && from.kind == to.kind) return false;
  const auto there = nests_.slot_at(dim, to), here = nests_.slot_at(partner, from);
  if (!there || !here) return false;
  const auto put = [&](std::size_t prime, Dim of, const ChainSlot& place, std::uint8_t slot) {
    const bool is_new = place.kind == LoopKind::kTime && nest.nest.at(place.level, place.kind, of) == 1;
    if (is_new && random_.bits() % 2 == 0) place_in_order(nest.nest, place.level, of);
    nests_.move(nest, prime, slot);
  };
  put(one, dim, to, *there);
  put(other, partner, from, *here);
  return nests_.within_fan_out(nest.nest, from.level) && nests_.within_fan_out(nest.nest, to.level);
}

bool NestSteps::reorder(LayerNests::Placed& nest) {
  const auto level =
      static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(nests_.chain().levels.size())));
  std::array<Dim, kDims> loops;
  std::int64_t count = 0;
  for (const Dim dim : all_dims()) {
    if (nest.nest.at(level, LoopKind::kTime, dim) > 1) loops[static_cast<std::size_t>(count++)] = dim;
  }
  if (count < 2) return false;
  place_in_order(nest.nest, level, loops[static_cast<std::size_t>(random_.below(count))]);
  if (const std::vector<LoopRule>& orders = nests_.chain().levels[level].orders; !orders.empty()) {
    LayerNests::obey(
        orders[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(orders.size())))], nest.nest,
        level);
  }
  return true;
}

bool NestSteps::pad(LayerNests::Placed& nest) {
  const Dim dim = all_dims()[static_cast<std::size_t>(random_.below(kDims))];
  const std::vector<std::int64_t>& sizes = nests_.sizes(dim);
  if (sizes.size() < 2) return false;
  nests_.resize(nest, dim,
                sizes[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(sizes.size())))]);
  return nests_.within_fan_outs(nest.nest);
}

bool NestSteps::cover(LayerNests::Placed& nest) {
  // One slot gets as much as takes a number of iterations of the other one, few as likely as many; in space,
  // half of the time as much as the axis has room for.
  const auto prime = static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(nest.primes.size())));
  const Dim dim = nest.primes[prime].dim;
  const std::vector<ChainSlot>& slots = nests_.slots(dim);
  const auto other = static_cast<std::uint8_t>(random_.below(static_cast<std::int64_t>(slots.size())));
  const std::uint8_t one = nest.slot[prime];
  if (one == other) return false;
  if (slots[one].kind != LoopKind::kTime && random_.bits() % 2 == 0) {
    fill_axis(nest, dim, one, other);
  } else {
    const std::int64_t together = nests_.together(nest, dim, one, other);
    const auto iterations =
        static_cast<std::int64_t>(std::pow(static_cast<double>(together), random_.uniform()));
    nests_.cover(nest, dim, one, ceil_div(together, std::clamp<std::int64_t>(iterations, 1, together)),
                 other);
  }
  return nests_.within_fan_out(nest.nest, slots[one].level) &&
         nests_.within_fan_out(nest.nest, slots[other].level);
}

void NestSteps::fill_axis(LayerNests::Placed& nest, Dim dim, std::uint8_t slot, std::uint8_t rest) const {
  const ChainSlot& axis = nests_.slots(dim)[slot];
  double beside = 1;
  for (const Dim any : all_dims()) {
    if (any != dim) beside *= nest.nest.at(axis.level, axis.kind, any);
  }
  const std::int64_t room =
      std::max<std::int64_t>(static_cast<std::int64_t>(static_cast<double>(size_of(axis)) / beside), 1);
  const std::int64_t together = nests_.together(nest, dim, slot, rest);
  nests_.cover(nest, dim, slot, ceil_div(together, ceil_div(together, room)), rest);
}

bool NestSteps::step(LayerNests::Placed& nest) {
  if (random_.below(kCoverEvery) == 0) return cover(nest);
  if (can_pad_ && random_.below(kPadEvery) == 0) return pad(nest);
  const std::int64_t kind = random_.below(100);
  if (kind < 29) return move_primes(nest, 1);
  if (kind < 50) return move_primes(nest, 2);
  if (kind < 57) return move_primes(nest, 3);
  if (kind < 70) return split_again(nest);
  if (kind < 74) return exchange_axes(nest);
  if (kind < 82) return displace(nest);
  if (kind < 92) return exchange_places(nest);
  return reorder(nest);
}

NestCost NestWalk::evaluate(const ChainNest& nest) {
  ++evaluated_;
  const NestCost cost = nests_.model().cost(nest);
  front_.offer(cost, nest);
  return cost;
}

void NestWalk::advance(Place& place, const LayerGoal& goal, double temperature, Best& best) {
  next_ = place.nest;
  if (!steps_.step(next_)) return;
  nests_.keep_orders(next_.nest);
  const NestCost cost = evaluate(next_.nest);
  if (!cost.fits) return;
  const double found = goal.value(cost.energy_pj, cost.cycles);
  if (found > place.value && random_.uniform() >= std::exp((place.value - found) / temperature)) return;
  std::swap(place.nest, next_);
  place.value = found;
  if (found < best.value - 1e-13) best = {place.nest.nest, found};
}

ChainNest NestWalk::anneal(const ChainNest& start, const LayerGoal& goal, std::int64_t evaluations,
                           double begin_temperature, double end_temperature) {
  const NestCost first = evaluate(start);
  Place now{nests_.placed(start), goal.value(first.energy_pj, first.cycles)};
  Best best{start, now.value};
  if (now.nest.slot.empty()) return start;
  const double cooling = std::log(end_temperature / begin_temperature);
  const std::int64_t end = evaluated_ + evaluations;
  double temperature = begin_temperature;
  for (std::int64_t tried = 0; evaluated_ < end && tried < 20 * evaluations; ++tried) {
    if (tried % 256 == 0) {
      if (tried % 4096 == 0 && stop && stop()) break;
      temperature =
          begin_temperature *
          std::exp(cooling * (1 - static_cast<double>(end - evaluated_) / static_cast<double>(evaluations)));
    }
    advance(now, goal, temperature, best);
  }
  return best.nest;
}

void NestWalk::exchange_replicas(std::vector<Place>& replicas, std::size_t first) {
  for (std::size_t r = first; r + 1 < replicas.size(); r += 2) {
    const double colder = 1 / temperature_of(r) - 1 / temperature_of(r + 1);
    const double gain = (replicas[r].value - replicas[r + 1].value) * colder;
    if (gain >= 0 || random_.uniform() < std::exp(gain)) std::swap(replicas[r], replicas[r + 1]);
  }
}

ChainNest NestWalk::temper(const std::vector<ChainNest>& starts, const LayerGoal& goal,
                           std::int64_t evaluations) {
  const std::int64_t end = evaluated_ + evaluations;
  std::vector<Place> replicas;
  Best best{starts[0], kInfinity};
  for (std::size_t r = 0; r < kReplicas; ++r) {
    const ChainNest& start = starts[r % starts.size()];
    const NestCost cost = evaluate(start);
    replicas.push_back({nests_.placed(start), goal.value(cost.energy_pj, cost.cycles)});
    if (replicas[r].value < best.value) best = {start, replicas[r].value};
    if (replicas[r].nest.slot.empty()) return start;
  }
  const std::int64_t most_rounds = 20 * evaluations / kStepsOfRound;
  for (std::int64_t round = 0; evaluated_ < end && round < most_rounds; ++round) {
    if (round % 8 == 0 && stop && stop()) break;
    for (std::size_t r = 0; r < kReplicas; ++r) {
      const double temperature = temperature_of(r);
      for (int tried = 0; tried < kStepsOfRound; ++tried) advance(replicas[r], goal, temperature, best);
    }
    exchange_replicas(replicas, static_cast<std::size_t>(round % 2));
  }
  return best.nest;
}

}  // namespace dosa
