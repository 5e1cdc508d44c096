// Random small layers and random legal mappings, for property tests. The same seed gives the same cases on
// every machine.
#pragma once

#include <cstdint>

#include "dosa/models/array_machine.hpp"
#include "dosa/models/base/random.hpp"
#include "dosa/models/chain/chain.hpp"
#include "dosa/models/layer.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa::testing {

class RandomCases {
 public:
  explicit RandomCases(std::uint64_t seed) : random_(seed) {}

  /// A convolution or matrix product of at most `max_macs` MACs, with strides 1 to 3 and dilations 1 to 2.
  Layer layer(std::int64_t max_macs = 3000);

  /// A mapping of `layer` that passes check_mapping: every prime factor of every dimension goes to one of the
  /// places that the machine allows, spatial loops of at most `max_spatial` in all at a level; loop orders
  /// are shuffled. It need not fit any hardware's buffers.
  Mapping mapping(const Layer& layer, const ArrayMachine& machine, std::int64_t max_spatial = 8);

  /// A chain of 2 to 5 levels that hold any tensors, with fan-outs of up to 6 x 4 below every level over any
  /// dimensions, and random sizes, bandwidths and energies.
  Chain chain();
  /// Allows some levels of a chain, on average three of four, one or two orders of loops only.
  void restrict_orders(Chain& chain);

  /// The same on a chain: within its fan-outs, a dimension on one axis of a level. Its tiles need not fit.
  Mapping mapping(const Layer& layer, const Chain& chain);

  /// A number in 0..n-1.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_.bits() % n); }

 private:
  void shuffle_loops(Mapping& mapping);

  Random random_;
};

}  // namespace dosa::testing
