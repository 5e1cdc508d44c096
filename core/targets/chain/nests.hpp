// The mappings of one layer on a chain of memories: where each prime factor of its sizes may stand, and the
// steps from one mapping to the next.
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

/// A prime factor of the layer's sizes.
struct PrimeFactor {
  Dim dim;
  double prime;
};

class LayerNests {
 public:
  LayerNests(const Chain& chain, const Layer& layer);

  const NestModel& model() const { return model_; }
  const Chain& chain() const { return chain_; }
  const Layer& layer() const { return layer_; }
  const std::vector<PrimeFactor>& primes() const { return primes_; }
  /// Every place for a dimension, the innermost level first.
  const std::vector<ChainSlot>& slots(Dim dim) const { return slots_[static_cast<std::size_t>(dim)]; }
  /// The index in slots() of a dimension's place at a level; nothing where it may not stand there.
  std::optional<std::uint8_t> slot_at(Dim dim, const ChainSlot& place) const;
  /// Mappings without their loop orders: ways to place the primes, whether they fit or not.
  double size() const;

  /// A nest with the place of every prime factor in it.
  struct Placed {
    ChainNest nest;
    std::vector<std::uint8_t> slot;  ///< of every prime, an index into slots() of its dimension
  };
  /// Every loop in time at the outermost level: what needs the least of every other one.
  Placed outermost() const;
  /// Every prime somewhere, in random orders, within the fan-outs; what does not fit is moved outwards.
  Placed random(Random& random) const;
  /// A nest of this layer, with a place for each of its primes.
  Placed placed(const ChainNest& nest) const;

  /// Puts a prime into another slot. The fan-outs are not looked at.
  void move(Placed& nest, std::size_t prime, std::uint8_t slot) const;
  /// Whether the loops in space of a level are within its fan-outs, no dimension on both axes.
  bool within_fan_out(const ChainNest& nest, std::size_t level) const;
  bool within_fan_outs(const ChainNest& nest) const;
  /// Moves primes outwards, those of the fullest levels first, until every level has room for its tiles.
  void repair(Placed& nest) const;

 private:
  const Chain chain_;
  Layer layer_;
  NestModel model_;
  std::vector<PrimeFactor> primes_;
  std::array<std::vector<ChainSlot>, kDims> slots_;
};

}  // namespace dosa
