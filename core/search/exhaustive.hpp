// Fixed hardware: the best mapping of every layer by enumeration, and how far a given design is from it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/search/problem.hpp"

namespace dosa {

struct MapOptions {
  /// Schedules (nests, or calls with tiles) per layer that may be looked at; of a layer with more, those
  /// nearest to even splits are, and the result is not proven. 64 to 1e12; 0: Target::enumeration_limit.
  std::int64_t max_nests = 0;
  /// Threads; the result does not depend on it. 0: one per core; up to 1024.
  std::int64_t threads = 0;

  // Where a layer's schedules cannot be enumerated (machines of schema 2):
  /// kAutomatic and kDescentAndPolish descend on the relaxation and search on from there on the integers;
  /// kDescent rounds what it descended to, kPolish searches from random mappings.
  Stages stages = Stages::kAutomatic;
  /// Evaluations of the model for a layer, relaxed or exact; half as many again may follow where that lowers
  /// the network's objective. 64 to 1e12.
  std::int64_t samples = 1'200'000;
  /// Random starts of the descent, and its steps; together they take at most half of the samples. 1 to 4096
  /// and 1 to 10 million.
  std::int64_t starts = 8, steps = 100;
  /// Seed of all random numbers. The result depends on nothing else than this, the other options and the
  /// machine.
  std::uint64_t seed = 0;

  /// Names the first field that is out of its range.
  bool is_valid(std::string* error) const;
};

/// What the enumeration of one layer's map space covered, in nests; every nest goes with every loop order.
/// space >= candidates >= looked_at >= over_capacity + beaten.
struct LayerCoverage {
  double space = 0;          ///< all splits of all dimensions that the array allows
  double candidates = 0;     ///< without those that larger spatial factors match or beat in everything
  double looked_at = 0;      ///< candidates that were looked at
  double over_capacity = 0;  ///< of these, too large for the buffers
  double beaten = 0;         ///< of these, beaten by a known mapping even at a lower bound of all orders
  /// Evaluations: the lower bound of every nest that fits, and every loop order of those that it left.
  std::int64_t evaluated = 0;
  bool proven = false;  ///< all candidates were looked at, or the best one is at a lower bound
  /// Of factors that do not divide the layer's sizes, not all are candidates.
  bool without_padding = false;
  /// What no mapping undercuts, where that is known; then the fields above count no nests.
  std::optional<LayerCosts> least;
};

struct MapProgress {
  std::size_t layers_done = 0, layers = 0;
  std::int64_t evaluations = 0;
  double elapsed_s = 0;
};
using MapProgressCallback = std::function<void(const MapProgress&)>;

struct MapSummary {
  Design best;
  std::vector<LayerCoverage> coverage;  ///< by layer
  std::int64_t orders = 0;              ///< loop orders of every nest
  std::int64_t evaluations = 0;
  double wall_s = 0;
  bool interrupted = false;

  /// No combination of mappings of the map space has a lower objective on this hardware.
  bool proven() const;
  /// By how much a layer's objective, or the network's, is above that of its lower bounds, as a share of
  /// them. Only where these are known.
  double gap(std::size_t layer) const;
  double gap() const;
  bool has_bounds() const;
};

/// The mappings with the lowest objective of the whole network on hardware that the bounds fix (min = max).
/// For every layer the schedules are looked at (LayerSpace::look), those that do not fit are left out, those
/// that another one matches or beats are dropped, most of them at a lower bound already; the rest is combined
/// by best_entries, which is exact for every objective. With `*interrupt`, each layer not done yet keeps what
/// a first batch gives. Throws Error{kBounds} (see Target::space) and Error{kValue} for options out of range.
MapSummary map_exhaustively(const SearchProblem& problem, const MapOptions& options,
                            const MapProgressCallback& progress = {},
                            const std::atomic<bool>* interrupt = nullptr);

/// How far a design is from the best mappings on its own hardware.
struct Certificate {
  Design design;   ///< evaluated again
  MapSummary map;  ///< the best on its hardware
  Objective objective;
  double value = 0, best_value = 0;  ///< of the objective, energy in uJ
  /// By how much less the network's objective would be with the best mapping of this layer alone, the others
  /// as they are, by layer: objective / that - 1. Exact: the layer's frontier is searched through.
  std::vector<double> layer_gap;

  /// objective / best - 1. Below zero for a design whose mappings are not of the searched map space.
  double gap() const;
};

/// Throws like evaluate and map_exhaustively.
Certificate certify(const Design& design, const TargetPtr& target, const Objective& objective,
                    const MapOptions& options, const MapProgressCallback& progress = {},
                    const std::atomic<bool>* interrupt = nullptr);

Json to_json(const LayerCoverage& coverage);
/// {objective, value, best_value, gap, proven, best {cycles, energy_uj, edp, area_mm2}, layers: [...]}.
Json to_json(const Certificate& certificate);

/// Tables for people: what was covered layer by layer; design and best side by side.
std::string report(const MapSummary& summary);
std::string report(const Certificate& certificate);

}  // namespace dosa
