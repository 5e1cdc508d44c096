#include "dosa/core/search/smaller.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/search/size_ranges.hpp"
#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

// Areas are equal up to this share of them.
constexpr double kSameArea = 1e-9;
// Logarithms of sums in another order are equal up to this.
constexpr double kSameLog = 1e-12;

class SmallerSearch {
 public:
  SmallerSearch(const SearchProblem& problem, const SearchSpace& space, const SearchOptions& options,
                Budget& budget, std::int64_t threads, const SmallerFrom& from)
      : problem_(problem),
        space_(space),
        options_(options),
        budget_(budget),
        threads_(threads),
        from_(from),
        area_(from.best.totals.area_mm2) {
    const double share = std::log1p(options.within);
    limits_ = {from.log_objective + share, problem.log_value(from.best) + share};
    const std::int64_t most = space.polish_evaluations();
    enough_ = budget.spent() + (most == kNoLimit ? budget.spent() : std::max(most, budget.spent()));
  }

  std::optional<Design> run() {
    for (auto& [shape, search] : from_.looked_at) shrink(search);
    std::vector<Shape> others = other_shapes();
    std::size_t low = 0, high = others.size();
    while (low < high && !ends()) {
      const std::size_t middle = (low + high) / 2;
      if (may_be_smaller(others[middle]) && attempt(others[middle])) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    for (const Shape& shape : others) {
      if (!options_.within_everywhere || ends()) break;
      if (may_be_smaller(shape)) attempt(shape);
    }
    return std::move(smallest_);
  }

 private:
  bool ends() const { return budget_.has_to_end() || budget_.spent() > enough_; }

  double least_area(const Shape& shape) const {
    return problem_.machine().area_mm2(problem_.with_shape(problem_.bounds.min, shape));
  }

  bool may_be_smaller(const Shape& shape) const {
    return from_.looked_at.count(shape) == 0 && least_area(shape) < area_ * (1 - kSameArea);
  }

  /// The shapes that were not looked at and may have what is searched, by their least area. Without
  /// within_everywhere those that promise it: least costs that are above those of the best shape by no more
  /// than the best objective may be exceeded.
  std::vector<Shape> other_shapes() const {
    const double of_best = log_least(problem_.shape_of(from_.best.hardware));
    const double promising = of_best + std::log1p(options_.within);
    std::vector<Shape> others;
    if (!options_.within_everywhere || !add_by_bounds(others)) {
      for (const Shape& shape : space_.shapes()) {
        if (!may_be_smaller(shape)) continue;
        const double least = log_least(shape);
        if (options_.within_everywhere ? least <= limits_.expected
                                       : std::isfinite(of_best) && least <= promising)
          others.push_back(shape);
      }
    }
    std::stable_sort(others.begin(), others.end(),
                     [&](const Shape& a, const Shape& b) { return least_area(a) < least_area(b); });
    return others;
  }

  /// The same by bounds of ranges of sizes; false, and nothing added, where the space knows none.
  bool add_by_bounds(std::vector<Shape>& others) const {
    SearchProblem smaller = problem_;
    smaller.bounds.max_area_mm2 = std::min(smaller.bounds.max_area_mm2, area_);
    SizeRanges ranges(smaller, space_, threads_);
    while (const auto shape = ranges.take_shape(limits_.expected, [this] { return ends(); })) {
      if (may_be_smaller(*shape)) others.push_back(*shape);
    }
    return ranges.known();
  }

  /// The logarithm of the objective of a shape's least costs; -infinity where nothing is known of them.
  double log_least(const Shape& shape) const {
    const std::vector<LayerCosts> least = space_.least_costs(shape);
    return least.empty() ? -kInfinity : problem_.log_value(least);
  }

  /// Looks at a shape. Whether it has a design within the limits.
  bool attempt(const Shape& shape) {
    ShapeSearch& search = from_.looked_at[shape];
    const std::function<bool()> stop = [this] { return budget_.has_to_end(); };
    search.layers = std::make_unique<LayerSearch>(problem_, space_, shape, threads_, budget_, stop);
    if (!search.layers->look({}, options_.polish_nests, false)) return false;
    const auto choose_best = [&] {
      return choose(problem_, space_, search.layers->frontiers(), shape, {}, stop, threads_);
    };
    search.best = choose_best();
    while (!search.best.entry.empty() && search.layers->improvable() && !ends()) {
      if (!improve(search, search.best)) break;
      const double before = search.best.log_objective;
      search.best = choose_best();  // in any case: the entries of the one before are those of other frontiers
      if (!(search.best.log_objective < before - 1e-12)) break;
    }
    const bool is_within = shrink(search);
    from_.report();
    return is_within;
  }

  bool improve(ShapeSearch& search, const Choice& at) {
    return search.layers->improve(problem_.prices(at.sums), at.hardware);
  }

  /// Keeps the smallest of a shape. Whether it has a design within the limits.
  bool shrink(ShapeSearch& search) {
    if (search.best.entry.empty() || search.best.log_objective > limits_.counted) return false;
    Choice smallest = search.best;
    for (;;) {
      const double before = area_of(smallest);
      smallest = smallest_within(
          problem_, space_, search.layers->frontiers(), smallest, limits_, options_.within_everywhere,
          [this] { return budget_.has_to_end(); }, threads_);
      if (!keep(search, smallest)) return false;
      const bool goes_on = options_.within_everywhere && area_of(smallest) < before * (1 - kSameArea) &&
                           search.layers->improvable() && !ends();
      if (!goes_on || !improve(search, smallest)) return true;
      // Its entries are those of the frontiers before.
      smallest = best_entries(problem_, search.layers->frontiers(), smallest.hardware);
      if (smallest.entry.empty() || !is_fast(space_, smallest.sums)) return true;
    }
  }

  /// Keeps a choice of a shape's entries where it is smaller than what is kept. False where its design is not
  /// within the limits.
  bool keep(const ShapeSearch& search, const Choice& choice) {
    if (area_of(choice) >= area_ * (1 - kSameArea)) return true;
    Design design = to_design(problem_, space_, search.layers->frontiers(), choice);
    if (problem_.log_value(design) > limits_.expected + kSameLog) return false;
    area_ = design.totals.area_mm2;
    smallest_ = std::move(design);
    return true;
  }

  double area_of(const Choice& choice) const { return problem_.machine().area_mm2(choice.hardware); }

  const SearchProblem& problem_;
  const SearchSpace& space_;
  const SearchOptions& options_;
  Budget& budget_;
  std::int64_t threads_;
  const SmallerFrom& from_;
  ObjectiveLimits limits_{};
  std::int64_t enough_ = 0;  // evaluations after which no further shape is looked at
  double area_;              // the least so far
  std::optional<Design> smallest_;
};

}  // namespace

std::optional<Design> smallest_hardware(const SearchProblem& problem, const SearchSpace& space,
                                        const SearchOptions& options, Budget& budget, std::int64_t threads,
                                        const SmallerFrom& from) {
  return SmallerSearch(problem, space, options, budget, threads, from).run();
}

}  // namespace dosa
