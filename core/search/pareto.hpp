// Trade-offs between energy, latency and area: the designs that no other one beats in all three.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "dosa/core/search/problem.hpp"

namespace dosa {

struct ParetoOptions {
  /// Designs of the front; of more, those that lie furthest apart are kept. 2 to 1000.
  std::int64_t points = 32;
  /// Area limits to begin with, evenly in their logarithm from the most allowed area to the least limit
  /// (min_area_mm2; a 32nd of the most without one). 1 to 100.
  std::int64_t area_limits = 11;
  /// The least area limit, below which no design is kept. 0: none.
  double min_area_mm2 = 0;
  /// Shapes of the machine, the largest first, each about 1/sqrt(2) of the one before. 1 to 100.
  std::int64_t shapes = 9;
  /// Nests per layer and shape that are looked at (see LayerSpace::look). 64 to 100 million.
  std::int64_t nests = 300'000;
  /// Threads; the result does not depend on it. 0: one per core; up to 1024.
  std::int64_t threads = 0;

  /// Names the first field that is out of its range.
  bool is_valid(std::string* error) const;
};

/// A design of the front and what it was found for: the least of its objective (Design::objective) under this
/// area and with its shape.
struct FrontPoint {
  Design design;
  double area_limit_mm2 = std::numeric_limits<double>::infinity();
};

struct ParetoProgress {
  std::size_t shapes_done = 0, shapes = 0;
  std::size_t designs = 0;  ///< that no other one beats so far
  std::int64_t evaluations = 0;
  double elapsed_s = 0;
};
using ParetoProgressCallback = std::function<void(const ParetoProgress&)>;

struct ParetoSummary {
  std::vector<FrontPoint> front;  ///< by area, then latency
  std::size_t found = 0;          ///< designs on the front before some were left out
  std::vector<Shape> shapes;
  std::vector<double> area_limits_mm2;
  std::int64_t evaluations = 0;
  bool complete = true;  ///< the whole map space of every shape was looked at
  double wall_s = 0;
  bool interrupted = false;
};

/// Without gradients: for a row of shapes the frontiers of all layers are enumerated once; from them the best
/// buffers and schedules for every objective under every area limit follow (chooser.hpp). Where neighbours of
/// the front lie far apart in area, limits between them are asked for too, and every design's own area at
/// the end. The problem's own objective does not matter. An interrupt leaves the front of what was looked at,
/// at least of one shape. Throws Error{kBounds} (see Target::space) and Error{kValue} for options out of
/// range.
ParetoSummary pareto_front(const SearchProblem& problem, const ParetoOptions& options,
                           const ParetoProgressCallback& progress = {},
                           const std::atomic<bool>* interrupt = nullptr);

}  // namespace dosa
