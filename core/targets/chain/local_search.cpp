#include "dosa/core/targets/chain/local_search.hpp"

#include <algorithm>

namespace dosa {

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

NestCost NestWalk::evaluate(const ChainNest& nest) {
  ++evaluated_;
  const NestCost cost = nests_.model().cost(nest);
  front_.offer(cost, nest);
  return cost;
}

void NestWalk::place_in_order(ChainNest& nest, std::size_t level, Dim dim) {
  auto& order = nest.order[level];
  auto* from = std::find(order.begin(), order.end(), static_cast<std::uint8_t>(dim));
  auto* to = order.begin() + random_.below(kDims);
  if (from < to) {
    std::rotate(from, from + 1, to + 1);
  } else {
    std::rotate(to, from, from + 1);
  }
}

bool NestWalk::move_primes(LayerNests::Placed& nest, int count) {
  const auto primes = static_cast<std::int64_t>(nests_.primes().size());
  std::uint32_t touched = 0;  // levels whose loops in space have grown
  for (int i = 0; i < count; ++i) {
    const auto prime = static_cast<std::size_t>(random_.below(primes));
    const Dim dim = nests_.primes()[prime].dim;
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

bool NestWalk::split_again(LayerNests::Placed& nest) {
  const auto primes = static_cast<std::int64_t>(nests_.primes().size());
  const auto prime = static_cast<std::size_t>(random_.below(primes));
  const Dim dim = nests_.primes()[prime].dim;
  const auto slots = static_cast<std::int64_t>(nests_.slots(dim).size());
  const std::uint8_t one = nest.slot[prime], other = static_cast<std::uint8_t>(random_.below(slots));
  if (one == other) return false;
  bool changed = false;
  for (std::size_t i = 0; i < nests_.primes().size(); ++i) {
    if (nests_.primes()[i].dim != dim || (nest.slot[i] != one && nest.slot[i] != other)) continue;
    const std::uint8_t to = random_.bits() % 2 == 0 ? one : other;
    changed = changed || to != nest.slot[i];
    nests_.move(nest, i, to);
  }
  return changed && nests_.within_fan_out(nest.nest, nests_.slots(dim)[one].level) &&
         nests_.within_fan_out(nest.nest, nests_.slots(dim)[other].level);
}

bool NestWalk::exchange_axes(LayerNests::Placed& nest) {
  // Every prime of one dimension on an axis goes to the other axis, and another dimension's back.
  const auto primes = static_cast<std::int64_t>(nests_.primes().size());
  const auto one = static_cast<std::size_t>(random_.below(primes));
  const Dim dim = nests_.primes()[one].dim;
  const std::vector<ChainSlot>& slots = nests_.slots(dim);
  const ChainSlot from = slots[nest.slot[one]];
  if (from.kind == LoopKind::kTime) return false;
  const LoopKind other = from.kind == LoopKind::kX ? LoopKind::kY : LoopKind::kX;
  const auto find = [&](Dim of, LoopKind kind) {
    const std::vector<ChainSlot>& all = nests_.slots(of);
    for (std::size_t s = 0; s < all.size(); ++s) {
      if (all[s].level == from.level && all[s].kind == kind) return static_cast<int>(s);
    }
    return -1;
  };
  const auto second = static_cast<std::size_t>(random_.below(primes));
  const Dim partner = nests_.primes()[second].dim;
  const auto transfer = [&](Dim of, LoopKind source, LoopKind target) {
    const int a = find(of, source), b = find(of, target);
    if (a < 0 || b < 0) return false;
    for (std::size_t i = 0; i < nests_.primes().size(); ++i) {
      if (nests_.primes()[i].dim == of && nest.slot[i] == a)
        nests_.move(nest, i, static_cast<std::uint8_t>(b));
    }
    return true;
  };
  if (!transfer(dim, from.kind, other)) return false;
  if (partner != dim && nest.nest.at(from.level, other, partner) > 1) transfer(partner, other, from.kind);
  return nests_.within_fan_out(nest.nest, from.level);
}

bool NestWalk::reorder(LayerNests::Placed& nest) {
  const auto level =
      static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(nests_.chain().levels.size())));
  std::array<Dim, kDims> loops;
  std::int64_t count = 0;
  for (const Dim dim : all_dims()) {
    if (nest.nest.at(level, LoopKind::kTime, dim) > 1) loops[static_cast<std::size_t>(count++)] = dim;
  }
  if (count < 2) return false;
  place_in_order(nest.nest, level, loops[static_cast<std::size_t>(random_.below(count))]);
  return true;
}

bool NestWalk::step(LayerNests::Placed& nest) {
  const std::int64_t kind = random_.below(100);
  if (kind < 35) return move_primes(nest, 1);
  if (kind < 60) return move_primes(nest, 2);
  if (kind < 67) return move_primes(nest, 3);
  if (kind < 80) return split_again(nest);
  if (kind < 84) return exchange_axes(nest);
  return reorder(nest);
}

ChainNest NestWalk::anneal(const ChainNest& start, const LayerGoal& goal, std::int64_t evaluations,
                           double begin_temperature, double end_temperature) {
  LayerNests::Placed now = nests_.placed(start);
  if (now.slot.empty()) return start;
  const NestCost first = evaluate(start);
  double value = goal.value(first.energy_pj, first.cycles), best_value = value;
  ChainNest best = start;
  const double cooling = std::log(end_temperature / begin_temperature);
  const std::int64_t end = evaluated_ + evaluations;
  double temperature = begin_temperature;
  LayerNests::Placed next = now;
  for (std::int64_t tried = 0; evaluated_ < end && tried < 20 * evaluations; ++tried) {
    if (tried % 256 == 0) {
      if (tried % 4096 == 0 && stop && stop()) break;
      temperature =
          begin_temperature *
          std::exp(cooling * (1 - static_cast<double>(end - evaluated_) / static_cast<double>(evaluations)));
    }
    if (step(next)) {
      const NestCost cost = evaluate(next.nest);
      const double found = cost.fits ? goal.value(cost.energy_pj, cost.cycles) : 0;
      if (cost.fits && (found <= value || random_.uniform() < std::exp((value - found) / temperature))) {
        now = next;
        value = found;
        if (value < best_value - 1e-13) {
          best_value = value;
          best = now.nest;
        }
        continue;
      }
    }
    next = now;
  }
  return best;
}

}  // namespace dosa
