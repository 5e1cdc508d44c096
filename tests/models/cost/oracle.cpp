#include "tests/models/cost/oracle.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

namespace dosa::testing {
namespace {

using Point = std::array<std::int64_t, kDims>;  // an index in every dimension
using Word = std::array<std::int64_t, 4>;       // an element of a tensor
using Words = std::vector<Word>;                // sorted, distinct

struct NestLoop {
  Dim dim;
  std::int64_t factor;
  int level;
  std::int64_t step;  // how far one iteration moves the index of `dim`
};
using Nest = std::vector<NestLoop>;  // outermost first

/// All loops of the mapping that do something. The indices of a dimension are dealt out from the inside: the
/// spatial loops below level 0, X before Y, the temporal loop of level 0, the spatial loops below level 1,
/// and so on.
void flatten(const Mapping& mapping, Nest& temporal, Nest& spatial) {
  Point stride;
  stride.fill(1);
  const auto add = [&](const std::vector<Loop>& loops, int level, Nest& nest) {
    for (auto loop = loops.rbegin(); loop != loops.rend(); ++loop) {
      if (loop->factor == 1) continue;
      std::int64_t& step = stride[static_cast<std::size_t>(loop->dim)];
      nest.push_back({loop->dim, loop->factor, level, step});
      step *= loop->factor;
    }
  };
  for (int level = 0; level < static_cast<int>(mapping.levels.size()); ++level) {
    add(mapping.levels[static_cast<std::size_t>(level)].spatial, level, spatial);
    add(mapping.levels[static_cast<std::size_t>(level)].spatial_y, level, spatial);
    add(mapping.levels[static_cast<std::size_t>(level)].temporal, level, temporal);
  }
  std::reverse(temporal.begin(), temporal.end());
  std::reverse(spatial.begin(), spatial.end());
}

Nest outside(const Nest& nest, int level) {
  Nest kept;
  std::copy_if(nest.begin(), nest.end(), std::back_inserter(kept),
               [&](const NestLoop& loop) { return loop.level > level; });
  return kept;
}

Nest inside(const Nest& nest, int level) {
  Nest kept;
  std::copy_if(nest.begin(), nest.end(), std::back_inserter(kept),
               [&](const NestLoop& loop) { return loop.level <= level; });
  return kept;
}

/// The iterations of a nest, one after another.
class Odometer {
 public:
  explicit Odometer(const Nest& nest) : nest_(nest), at_(nest.size(), 0) {}

  /// Steps on; false after the last iteration.
  bool next() {
    for (ticked_ = nest_.size(); ticked_-- > 0;) {
      if (++at_[ticked_] < nest_[ticked_].factor) return true;
      at_[ticked_] = 0;
    }
    return false;
  }
  /// The loop that the last next() moved to its next iteration; those inside it started over.
  std::size_t ticked() const { return ticked_; }
  const std::vector<std::int64_t>& iterations() const { return at_; }

  Point point() const { return point_at(at_); }
  Point point_at(const std::vector<std::int64_t>& iterations) const {
    Point point{};
    for (std::size_t i = 0; i < nest_.size(); ++i) {
      point[static_cast<std::size_t>(nest_[i].dim)] += iterations[i] * nest_[i].step;
    }
    return point;
  }

 private:
  const Nest& nest_;
  std::vector<std::int64_t> at_;
  std::size_t ticked_ = 0;
};

Point sum(Point a, const Point& b) {
  for (std::size_t d = 0; d < kDims; ++d) a[d] += b[d];
  return a;
}

Word difference(Word a, const Word& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return a;
}

/// The element of a tensor that one multiply-accumulate uses.
Word word_at(const Layer& layer, Operand operand, const Point& point) {
  const auto [r, s, p, q, c, k, n] = point;
  switch (operand) {
    case Operand::W:
      return {r, s, c, k};
    case Operand::I:
      return {p * layer.wstride + r * layer.wdilation, q * layer.hstride + s * layer.hdilation, c, n};
    case Operand::O:
      return {p, q, k, n};
  }
  return {};
}

void make_set(Words& words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
}

Words without(const Words& a, const Words& b) {
  Words rest;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(rest));
  return rest;
}

Words common(const Words& a, const Words& b) {
  Words both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return both;
}

/// Every word between the smallest and the largest in each coordinate.
Words box_around(const Words& words) {
  Word low = words.front(), high = words.front();
  for (const Word& word : words) {
    for (std::size_t i = 0; i < word.size(); ++i) {
      low[i] = std::min(low[i], word[i]);
      high[i] = std::max(high[i], word[i]);
    }
  }
  Words box;
  for (std::int64_t x = low[0]; x <= high[0]; ++x)
    for (std::int64_t y = low[1]; y <= high[1]; ++y)
      for (std::int64_t c = low[2]; c <= high[2]; ++c)
        for (std::int64_t n = low[3]; n <= high[3]; ++n) box.push_back({x, y, c, n});
  return box;
}

/// One operand on its way between a level that holds it and the next one inwards that does.
class Link {
 public:
  Link(const Layer& layer, const Mapping& mapping, Operand operand, int parent, int child, InputReuse reuse)
      : layer_(layer), mapping_(mapping), operand_(operand), parent_(parent), reuse_(reuse) {
    Nest temporal, spatial;
    flatten(mapping, temporal, spatial);
    time_ = outside(temporal, child);
    instances_ = outside(spatial, child);
    inner_ = inside(spatial, child);
    const Nest inner_time = inside(temporal, child);
    inner_.insert(inner_.end(), inner_time.begin(), inner_time.end());
  }

  /// Between two memories: the child holds a tile and exchanges what the next one needs.
  void move_tiles(AccessCounts& parent, AccessCounts& child, std::int64_t& resident) const {
    std::map<Point, Words> held;  // by instance, which its offset names
    PartialSums exists;
    Odometer time(time_);
    bool first = true;
    std::size_t ticked = 0;  // the outermost loop that moved since the last step that there was
    do {
      ticked = std::min(ticked, time.ticked());
      if (!is_there(time.point())) continue;
      Deliveries fetched, left;
      Odometer instance(instances_);
      do {
        Words& before = held[instance.point()];
        Words tile = tile_at(sum(time.point(), instance.point()));
        if (tile.empty()) {  // cut: idle
          if (operand_ != Operand::O || first || !moves(ticked)) continue;
          add(left[parent_instance(instance)][place(instance)], before);
          before.clear();
          continue;
        }
        const Words kept = first ? Words{} : kept_words(time, ticked, instance.point(), tile, before);
        const Words in = without(tile, kept);
        child.writes += static_cast<std::int64_t>(in.size());
        resident = std::max(resident, static_cast<std::int64_t>(tile.size()));
        add(fetched[parent_instance(instance)][place(instance)], in);
        add(left[parent_instance(instance)][place(instance)], without(before, kept));
        before = std::move(tile);
      } while (instance.next());
      count_updates(left, exists, parent);
      count_reads(fetched, exists, parent);
      first = false;
      ticked = time_.size();
    } while (time.next());
    Deliveries left;
    Odometer instance(instances_);
    do {
      add(left[parent_instance(instance)][place(instance)], held[instance.point()]);
    } while (instance.next());
    count_updates(left, exists, parent);
  }

  /// Between the innermost memory and the array, which stores nothing.
  void feed_array(AccessCounts& parent) const {
    PartialSums exists;
    Odometer time(time_);
    do {
      Deliveries used;
      Odometer instance(instances_);
      do {
        const Point point = sum(time.point(), instance.point());
        if (is_there(point))
          used[parent_instance(instance)][place(instance)] = {word_at(layer_, operand_, point)};
      } while (instance.next());
      count_reads(used, exists, parent);
      count_updates(used, exists, parent);
    } while (time.next());
  }

 private:
  /// Where the fan-outs on the way from the parent have put a child's tile, one after the other.
  using Place = std::vector<Word>;
  /// What one step moves: by instance of the parent, then by place; the children at one place share it.
  using Deliveries = std::map<Point, std::map<Place, Words>>;
  /// What every instance of the parent has of its outputs.
  using PartialSums = std::map<Point, std::set<Word>>;

  /// Whether an index is below the layer's size in every dimension that is cut, but for one.
  bool is_there(const Point& point, std::size_t uncut = kDims) const {
    for (std::size_t d = 0; d < kDims; ++d) {
      if (d != uncut && mapping_.cut_to[d] != 0 && point[d] >= mapping_.cut_to[d]) return false;
    }
    return true;
  }

  /// Children at one place have the same words, but for those that are idle.
  static void add(Words& words, const Words& more) {
    if (words.size() < more.size()) words = more;
  }

  /// Whether a tick of a loop, or one inside it, moves the operand.
  bool moves(std::size_t ticked) const {
    return std::any_of(time_.begin() + static_cast<std::ptrdiff_t>(ticked), time_.end(),
                       [&](const NestLoop& loop) { return relevant(operand_, loop.dim); });
  }

  Place place(const Odometer& instance) const {
    Place place;
    for (int level = parent_; level >= 0; --level) {
      std::vector<std::int64_t> iterations = instance.iterations();
      for (std::size_t i = 0; i < instances_.size(); ++i) {
        if (instances_[i].level != level) iterations[i] = 0;
      }
      place.push_back(word_at(layer_, operand_, instance.point_at(iterations)));
    }
    return place;
  }

  /// Where in the array the parent of an instance is: the spatial loops outside the parent.
  Point parent_instance(const Odometer& instance) const {
    std::vector<std::int64_t> iterations = instance.iterations();
    for (std::size_t i = 0; i < instances_.size(); ++i) {
      if (instances_[i].level <= parent_) iterations[i] = 0;
    }
    return instance.point_at(iterations);
  }

  /// The words of a tile, or those that it would have if one dimension were not cut.
  Words tile_at(const Point& offset, std::size_t uncut = kDims) const {
    Words words;
    Odometer inner(inner_);
    do {
      const Point point = sum(offset, inner.point());
      if (is_there(point, uncut)) words.push_back(word_at(layer_, operand_, point));
    } while (inner.next());
    make_set(words);
    return operand_ == Operand::I && !words.empty() ? box_around(words) : words;
  }

  /// Which words of `tile` are there already.
  Words kept_words(const Odometer& time, std::size_t ticked, const Point& instance, const Words& tile,
                   const Words& before) const {
    const bool innermost = ticked + 1 == time_.size();
    // Cut, a loop of which one iteration is left still counts as a loop.
    if (operand_ != Operand::I && mapping_.is_cut() && moves(ticked)) return {};
    if (operand_ != Operand::I || reuse_ == InputReuse::kLiteral || innermost) return common(tile, before);
    if (reuse_ == InputReuse::kInnermostLoop) return {};
    // The tile that Timeloop believes to be there: the ticked loop one iteration back, all loops inside it at
    // their second iteration.
    std::vector<std::int64_t> iterations = time.iterations();
    --iterations[ticked];
    std::fill(iterations.begin() + static_cast<std::ptrdiff_t>(ticked) + 1, iterations.end(), 1);
    std::vector<std::int64_t> one_tick(time_.size(), 0);
    one_tick.back() = 1;
    const Word step = word_at(layer_, operand_, time.point_at(one_tick));
    const Word moved = difference(word_at(layer_, operand_, time.point()),
                                  word_at(layer_, operand_, time.point_at(iterations)));
    if (moved != step) return {};
    // Along the loop that slides, the tile before was not cut.
    Words believed = tile_at(sum(time.point(), instance), static_cast<std::size_t>(time_.back().dim));
    for (Word& word : believed) word = difference(word, step);
    return common(tile, believed);
  }

  /// A place is served by one read; a partial sum only if there is one.
  void count_reads(const Deliveries& fetched, const PartialSums& exists, AccessCounts& parent) const {
    for (const auto& [instance, places] : fetched) {
      const auto own = exists.find(instance);
      for (const auto& [ignored, words] : places) {
        for (const Word& word : words) {
          parent.reads += operand_ != Operand::O || (own != exists.end() && own->second.count(word) > 0);
        }
      }
    }
  }

  void count_updates(const Deliveries& left, PartialSums& exists, AccessCounts& parent) const {
    if (operand_ != Operand::O) return;
    for (const auto& [instance, places] : left) {
      for (const auto& [ignored, words] : places) {
        parent.updates += static_cast<std::int64_t>(words.size());
        exists[instance].insert(words.begin(), words.end());
      }
    }
  }

  const Layer& layer_;
  const Mapping& mapping_;
  Operand operand_;
  int parent_;
  InputReuse reuse_;
  Nest time_;       // temporal loops outside the child
  Nest instances_;  // spatial loops outside the child
  Nest inner_;      // all loops inside the child
};

template <typename Any>
OracleCounts count_on(const Layer& layer, const Mapping& mapping, const Any& machine, InputReuse reuse) {
  constexpr int kArray = -1;
  OracleCounts counts;
  counts.accesses.resize(machine.levels.size());
  counts.resident.resize(machine.levels.size());
  for (const Operand operand : all_operands()) {
    const auto index = static_cast<std::size_t>(operand);
    const auto accesses = [&](int level) -> AccessCounts& {
      return counts.accesses[static_cast<std::size_t>(level)][index];
    };
    int parent = machine.dram();
    for (int child = parent - 1; child >= 0; --child) {
      if (!machine.levels[static_cast<std::size_t>(child)].holds_operand(operand)) continue;
      Link(layer, mapping, operand, parent, child, reuse)
          .move_tiles(accesses(parent), accesses(child),
                      counts.resident[static_cast<std::size_t>(child)][index]);
      parent = child;
    }
    Link(layer, mapping, operand, parent, kArray, reuse).feed_array(accesses(parent));
  }
  return counts;
}

}  // namespace

OracleCounts count_accesses(const Layer& layer, const Mapping& mapping, const ArrayMachine& machine,
                            InputReuse reuse) {
  return count_on(layer, mapping, machine, reuse);
}

OracleCounts count_accesses(const Layer& layer, const Mapping& mapping, const Chain& chain,
                            InputReuse reuse) {
  return count_on(layer, mapping, chain, reuse);
}

}  // namespace dosa::testing
