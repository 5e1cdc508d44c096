// Search on the integers: random walks over the mappings of one layer on a chain of memories, costed exactly.
//
// Steps: a prime factor goes from one slot (a level's loops in time, on X or on Y) to another one of its
// dimension, or two or three at once; two of different dimensions change places; what two slots of a
// dimension have together is split anew, by its primes or into any number and what is then missing, rounded
// up; a loop goes to another place in its level's order; the loops of a
// dimension go to a level's other axis, or come in from elsewhere and displace what the axis has no room for
// beside them, by its primes or down to what there is room for; a dimension that divides badly is padded to
// another size.
//
// Short walks anneal, after Kirkpatrick, Gelatt and Vecchi, Science 220 (1983). Long ones temper: replicas
// walk at fixed temperatures and change places, after Geyer, Computing Science and Statistics (1991), and
// Hukushima and Nemoto, J. Phys. Soc. Japan 65 (1996).
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "dosa/core/targets/chain/nests.hpp"

namespace dosa {

/// What a search on one layer minimises.
struct LayerGoal {
  /// energy^a * cycles^b of the layer, or where `linear` energy * a + cycles * b.
  double energy = 1, cycles = 1;
  bool linear = false;

  /// The logarithm of it.
  double value(double energy_pj, double cycle_count) const {
    return linear ? std::log(energy * energy_pj + cycles * cycle_count)
                  : energy * std::log(energy_pj) + cycles * std::log(cycle_count);
  }
};

/// Mappings that fit, none of which another one matches or beats in both cycles and energy; fewest cycles
/// first.
class NestFront {
 public:
  struct Entry {
    double cycles, energy_pj;
    ChainNest nest;
  };
  void offer(const NestCost& cost, const ChainNest& nest);
  void merge(const NestFront& other);
  const std::vector<Entry>& entries() const { return entries_; }
  /// The entry that is best for a goal; null where there is none.
  const Entry* best(const LayerGoal& goal) const;

 private:
  std::vector<Entry> entries_;
};

/// Random steps from one mapping of a layer to another one.
class NestSteps {
 public:
  /// Both must outlive it.
  NestSteps(const LayerNests& nests, Random& random)
      : nests_(nests), random_(random), can_pad_(nests.can_pad()) {}

  /// Changes a nest that has primes; false where it did not, or not within the fan-outs. Of orders that
  /// levels allow it knows nothing (LayerNests::keep_orders), nor whether tiles fit.
  bool step(LayerNests::Placed& nest);

 private:
  // Each is a kind of step.
  bool move_primes(LayerNests::Placed& nest, int count);
  bool split_again(LayerNests::Placed& nest);
  bool exchange_axes(LayerNests::Placed& nest);
  bool displace(LayerNests::Placed& nest);
  bool exchange_places(LayerNests::Placed& nest);
  bool reorder(LayerNests::Placed& nest);
  bool pad(LayerNests::Placed& nest);
  bool cover(LayerNests::Placed& nest);
  /// Gives a dimension's slot in space as much as there is room for beside the others on the axis, and what
  /// is missing to the size to another slot.
  void fill_axis(LayerNests::Placed& nest, Dim dim, std::uint8_t slot, std::uint8_t rest) const;
  std::int64_t size_of(const ChainSlot& axis) const;
  void place_in_order(ChainNest& nest, std::size_t level, Dim dim);

  const LayerNests& nests_;
  Random& random_;
  bool can_pad_;
};

/// A walk over the mappings of one layer. Deterministic: its random numbers are those of its seed.
class NestWalk {
 public:
  NestWalk(const LayerNests& nests, std::uint64_t seed, NestFront& front)
      : nests_(nests), random_(seed), steps_(nests, random_), front_(front) {}
  NestWalk(const NestWalk&) = delete;

  /// Anneals from a nest that fits: temperatures (of the logarithm of the goal) fall geometrically over so
  /// many evaluations. Returns the best nest.
  ChainNest anneal(const ChainNest& start, const LayerGoal& goal, std::int64_t evaluations,
                   double begin_temperature, double end_temperature);

  /// Tempers from nests that fit, which the replicas take in turn, the coldest the first: as many evaluations
  /// as that, or up to kMostBeyond more. Returns the best nest.
  ChainNest temper(const std::vector<ChainNest>& starts, const LayerGoal& goal, std::int64_t evaluations);

  static constexpr std::int64_t kMostBeyond = 450;

  Random& random() { return random_; }
  std::int64_t evaluated() const { return evaluated_; }
  /// Asked every few thousand evaluations; true ends the walk.
  std::function<bool()> stop;

 private:
  /// Where a walk is, and the logarithm of the goal there.
  struct Place {
    LayerNests::Placed nest;
    double value;
  };
  struct Best {
    ChainNest nest;
    double value;
  };

  NestCost evaluate(const ChainNest& nest);
  /// Tries one step at a temperature.
  void advance(Place& place, const LayerGoal& goal, double temperature, Best& best);
  /// Neighbours in temperature, from the first on in pairs, change places as detailed balance asks.
  void exchange_replicas(std::vector<Place>& replicas, std::size_t first);

  const LayerNests& nests_;
  Random random_;
  NestSteps steps_;
  NestFront& front_;
  LayerNests::Placed next_;  ///< what advance() tries
  std::int64_t evaluated_ = 0;
};

}  // namespace dosa
