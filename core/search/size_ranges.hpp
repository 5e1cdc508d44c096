// The sizes that a search may choose, as ranges with a lower bound each: where the best ones can be.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

#include "dosa/core/search/space.hpp"

namespace dosa {

/// Branch and bound over shapes and buffers. What is left to look at is a heap of ranges: some of the shapes
/// that the search tries (SearchSpace::shapes), with buffers between two sizes, as far as the area allows. A
/// range's bound is the logarithm of the objective of the space's least costs in it, and no lower than that
/// of the range that it is a part of.
class SizeRanges {
 public:
  /// All that the problem's limits allow, as one range.
  SizeRanges(const SearchProblem& problem, const SearchSpace& space, std::int64_t threads);

  /// Whether the space knows least costs of ranges; if not, there is nothing to do here.
  bool known() const { return known_; }
  /// The lowest bound of what is left; infinity where nothing is.
  double log_value() const;
  /// Ranges that were bounded so far.
  std::int64_t bounded() const { return bounded_; }

  /// Halves the lowest range where it is the widest; false, and nothing done, where no size is so wide that
  /// this is of use.
  bool halve();
  /// Takes out the shape with the lowest bound, if that is below a value; every shape comes once at most.
  /// `stop` may end it early, with nothing.
  std::optional<Shape> take_shape(double below, const std::function<bool()>& stop);

 private:
  struct Range {
    std::vector<Shape> shapes;
    Hardware least, most;
    double log_value;

    /// Of two, the one with the higher bound comes later.
    bool operator<(const Range& other) const { return log_value > other.log_value; }
  };

  double width(const Range& range, std::size_t parameter) const;
  /// Halves the lowest range at one of the first so many parameters, the widest of them.
  bool halve(std::size_t parameters);
  void add(Range range);

  const SearchProblem& problem_;
  const SearchSpace& space_;
  std::int64_t threads_;
  bool known_ = true;
  std::priority_queue<Range> ranges_;
  /// The bounds of ranges from one hardware to another, which copies have in common: they take most of the
  /// time.
  std::shared_ptr<std::map<std::pair<Hardware, Hardware>, double>> bounds_ =
      std::make_shared<std::map<std::pair<Hardware, Hardware>, double>>();
  std::int64_t bounded_ = 0;
};

}  // namespace dosa
