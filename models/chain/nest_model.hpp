// The exact model of chains of memories for one mapping at a time, in plain numbers: what ChainModel computes
// in its exact mode, without tensors, for searches that change one loop and ask again a million times a
// second. A test holds the two equal to the last bit.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "dosa/models/chain/chain.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa {

/// Where a loop stands at a level: in time, or in space on one of the two axes.
enum class LoopKind : int { kTime, kX, kY };
inline constexpr std::size_t kLoopKinds = 3;

/// A mapping as arrays. Factors are whole numbers, 1 where there is no loop.
struct ChainNest {
  std::array<std::array<std::array<double, kDims>, kLoopKinds>, kMostLevels> factors;  ///< [level][kind][dim]
  std::array<std::array<std::uint8_t, kDims>, kMostLevels> order;  ///< [level]: dimensions, innermost first

  /// Without loops, in the order of the dimensions.
  ChainNest();

  double& at(std::size_t level, LoopKind kind, Dim dim) {
    return factors[level][static_cast<std::size_t>(kind)][static_cast<std::size_t>(dim)];
  }
  double at(std::size_t level, LoopKind kind, Dim dim) const {
    return factors[level][static_cast<std::size_t>(kind)][static_cast<std::size_t>(dim)];
  }
  /// The loops in time of a level that have more than one iteration, the innermost first.
  std::vector<Dim> loops_in_time(std::size_t level) const;
};

ChainNest nest_of(const Mapping& mapping);

/// Words of I by which one index of a dimension moves it: strides and dilations; 1 where it does not slide.
std::array<double, kDims> steps_of(const Layer& layer);

/// One run of one group of the layer.
struct NestCost {
  bool fits = false;  ///< every level has room for its tiles; else the other numbers are not computed
  double cycles = 0;
  double energy_pj = 0;
};

class CutNest;

/// Pairs of iterations of an outer loop P and a filter loop R in space whose input positions coincide.
double coinciding_windows(double p, double r, double p_words, double r_words);

class NestModel {
 public:
  /// Padded, only strides and dilations of the layer matter: sizes are the products of the factors.
  NestModel(const Chain& chain, const Layer& layer, Remainders remainders = Remainders::kPadded);

  /// Costs as ChainModel::cost() computes them, in the same order of operations; of a nest whose factors
  /// multiply to more than the layer's sizes, cut, those of CutNest. There, energy is charged for vectors of
  /// the average instance, and bandwidth binds the instance that moves the most. Fan-outs are not checked.
  NestCost cost(const ChainNest& nest) const;
  NestCost cost(const CutNest& nest) const;
  /// Words that the tiles of one instance of a level take together.
  double need_words(const ChainNest& nest, std::size_t level) const;
  /// The largest ratio of a level's tiles to its capacity; at most 1 where all fit.
  double fill(const ChainNest& nest) const;

  Mapping mapping_of(const ChainNest& nest) const;

 private:
  struct Level {
    OperandSet holds;
    double capacity_words;                                                ///< infinite: none
    double read_words_per_cycle, write_words_per_cycle, words_per_cycle;  ///< infinite: no limit
    double vector_words, per_vector;  ///< per_vector: the reciprocal where it is exact, else 0
    double vector_pj;
    bool bound;  ///< it has a bandwidth

    /// The share of its words that an instance moves in time, at most 1.
    double slowdown(double read_rate, double write_rate) const;
  };
  struct Loops;

  bool fits(const Loops& loops) const;
  /// The sizes to which a nest is cut whose factors multiply to `product`: the layer's, but for windows of
  /// which both dimensions are in space at a level; those are padded, so that each is shared as a whole.
  /// Nothing where none is cut.
  std::optional<DimSizes> cut_sizes(const ChainNest& nest, const std::array<double, kDims>& product) const;
  double need_words(const Loops& loops, std::size_t level) const;
  double vectors(const Level& level, double words) const;

  std::vector<Level> levels_;
  std::array<double, kDims> step_;  ///< words of I by which one index of P, R, Q or S moves it
  double mac_pj_;
  bool cuts_;
  DimSizes sizes_;  ///< of the layer
};

}  // namespace dosa
