// The mappings of one layer on a chain of memories: where each prime factor of its sizes may stand, and the
// steps from one mapping to the next. Factors multiply to at least a size, which is padded to their product
// (Mapping), so the primes belong to the mapping.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dosa/models/base/random.hpp"
#include "dosa/models/chain/nest_model.hpp"

namespace dosa {

/// Where factors of one dimension may stand.
struct ChainSlot {
  std::uint8_t level;
  LoopKind kind;
};

/// A prime factor of a size.
struct PrimeFactor {
  Dim dim;
  double prime;
};

/// The sizes at which a search tries a dimension of a layer as a whole, its own first, and at most a third
/// more than that: where a prime factor is above 7, the next two of which that is not so, on a machine that
/// cuts loops the next four in any case; for every axis where the dimension may stand and of which its
/// divisors leave a tenth unused that padding would use, the size that fills the axis, and the least that
/// takes no more iterations. Filters keep their size. Any other size is met by LayerNests::cover.
std::vector<std::int64_t> searched_sizes(const Chain& chain, const Layer& layer, Dim dim);

/// The least size of a buffer, a parameter of the chain, that can be built and with which every level that it
/// sizes has room for the tiles of a nest. `model` is that of the layer on the chain, which is built with any
/// hardware of the shape.
double needed_size(const Chain& chain, const NestModel& model, const ChainNest& nest, std::size_t parameter);

class LayerNests {
 public:
  LayerNests(const Chain& chain, const Layer& layer);

  const NestModel& model() const { return model_; }
  const Chain& chain() const { return chain_; }
  const Layer& layer() const { return layer_; }
  /// searched_sizes() of a dimension.
  const std::vector<std::int64_t>& sizes(Dim dim) const { return sizes_[static_cast<std::size_t>(dim)]; }
  /// Whether a dimension has more than its own.
  bool can_pad() const;
  /// Every place for a dimension, the innermost level first.
  const std::vector<ChainSlot>& slots(Dim dim) const { return slots_[static_cast<std::size_t>(dim)]; }
  /// The index in slots() of a dimension's place at a level; nothing where it may not stand there.
  std::optional<std::uint8_t> slot_at(Dim dim, const ChainSlot& place) const;
  /// Mappings without padding and without their loop orders: ways to place the primes, whether they fit or
  /// not.
  double size() const;

  /// A nest with the place of every prime factor in it.
  struct Placed {
    ChainNest nest;
    std::vector<PrimeFactor> primes;
    std::vector<std::uint8_t> slot;  ///< of every prime, an index into slots() of its dimension
  };
  /// Every loop in time at the outermost level, unpadded: what needs the least of every other one.
  Placed outermost() const;
  /// Every prime somewhere, in random orders, within the fan-outs; what does not fit is moved outwards.
  Placed random(Random& random) const;
  /// A nest of this layer, padded or not, with a place for each of its primes.
  Placed placed(const ChainNest& nest) const;

  /// Puts a prime into another slot. The fan-outs are not looked at.
  void move(Placed& nest, std::size_t prime, std::uint8_t slot) const;
  /// Gives a dimension another size: its primes, the largest first, go where most is missing to what the
  /// slots had. The fan-outs are not looked at.
  void resize(Placed& nest, Dim dim, std::int64_t size) const;
  /// What two slots of a dimension must hold together for the other ones' sake.
  std::int64_t together(const Placed& nest, Dim dim, std::uint8_t one, std::uint8_t other) const;
  /// Gives a slot of a dimension this factor, and another one what is missing to the size, rounded up. The
  /// fan-outs are not looked at.
  void cover(Placed& nest, Dim dim, std::uint8_t slot, std::int64_t factor, std::uint8_t rest) const;
  /// Whether the loops in space of a level are within its fan-outs, no dimension on both axes.
  bool within_fan_out(const ChainNest& nest, std::size_t level) const;
  bool within_fan_outs(const ChainNest& nest) const;
  /// Makes the loops in time of every level run in an order that it allows: the one in which the fewest pairs
  /// of loops change places.
  void keep_orders(ChainNest& nest) const;
  /// Makes the loops in time of a level obey a rule; those that it leaves open keep their order.
  static void obey(const LoopRule& rule, ChainNest& nest, std::size_t level);
  /// Moves primes outwards, those of the fullest levels first, until every level has room for its tiles.
  void repair(Placed& nest) const;

 private:
  /// Takes the primes of a dimension out that stand in such a slot; its factors there are to be set.
  template <typename Predicate>
  static void remove_primes(Placed& nest, Dim dim, Predicate&& is_in) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < nest.primes.size(); ++i) {
      if (nest.primes[i].dim == dim && is_in(nest.slot[i])) continue;
      nest.primes[kept] = nest.primes[i];
      nest.slot[kept++] = nest.slot[i];
    }
    nest.primes.resize(kept);
    nest.slot.resize(kept);
  }

  const Chain chain_;
  Layer layer_;
  NestModel model_;
  bool has_orders_ = false;  ///< of any level
  std::array<std::vector<std::int64_t>, kDims> sizes_;
  std::array<std::vector<ChainSlot>, kDims> slots_;
};

}  // namespace dosa
