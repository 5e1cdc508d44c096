#include "dosa/core/search/size_ranges.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

// Most of a buffer over its least where halving is of no more use.
constexpr double kNarrow = 1.1;

}  // namespace

SizeRanges::SizeRanges(const SearchProblem& problem, const SearchSpace& space, std::int64_t threads)
    : problem_(problem), space_(space), threads_(threads) {
  add({space.shapes(), problem.bounds.min, problem.bounds.max, -kInfinity});
}

double SizeRanges::log_value() const { return ranges_.empty() ? kInfinity : ranges_.top().log_value; }

bool SizeRanges::halve() { return halve(problem_.machine().parameters.size()); }

std::optional<Shape> SizeRanges::take_shape(double below, const std::function<bool()>& stop) {
  while (log_value() < below && !stop()) {
    if (ranges_.top().shapes.size() > 1) {
      halve(problem_.machine().shape_parameters);
      continue;
    }
    const Shape shape = ranges_.top().shapes.front();
    ranges_.pop();
    return shape;
  }
  return std::nullopt;
}

/// Most over least; 0 where halving is of no use.
double SizeRanges::width(const Range& range, std::size_t parameter) const {
  const std::int64_t least = range.least[parameter], most = range.most[parameter];
  const double ratio = static_cast<double>(most) / static_cast<double>(std::max<std::int64_t>(least, 1));
  const bool is_wide =
      parameter < problem_.machine().shape_parameters ? most > least : most > least + 1 && ratio > kNarrow;
  return is_wide ? ratio : 0;
}

bool SizeRanges::halve(std::size_t parameters) {
  if (ranges_.empty()) return false;
  Range lower = ranges_.top();
  std::size_t widest = 0;
  for (std::size_t p = 0; p < parameters; ++p) {
    if (width(lower, p) > width(lower, widest)) widest = p;
  }
  if (width(lower, widest) == 0) return false;
  ranges_.pop();
  Range upper = lower;
  const auto middle = static_cast<std::int64_t>(std::sqrt(static_cast<double>(lower.least[widest])) *
                                                std::sqrt(static_cast<double>(lower.most[widest])));
  if (widest < problem_.machine().shape_parameters) {
    const auto is_lower = [&](const Shape& shape) { return shape[widest] <= middle; };
    const auto first_upper = std::partition(lower.shapes.begin(), lower.shapes.end(), is_lower);
    upper.shapes.assign(first_upper, lower.shapes.end());
    lower.shapes.erase(first_upper, lower.shapes.end());
  } else {
    const Parameter& parameter = problem_.machine().parameters[widest];
    lower.most[widest] = parameter.down(middle);
    upper.least[widest] = parameter.up(middle + 1);
  }
  add(std::move(lower));
  add(std::move(upper));
  return true;
}

/// Bounds a range, less what is beyond the area.
void SizeRanges::add(Range range) {
  const std::size_t shaping = problem_.machine().shape_parameters;
  const auto beyond_area = [&](const Shape& shape) {
    return problem_.machine().area_mm2(problem_.with_shape(range.least, shape)) >
           problem_.bounds.max_area_mm2;
  };
  range.shapes.erase(std::remove_if(range.shapes.begin(), range.shapes.end(), beyond_area),
                     range.shapes.end());
  if (range.shapes.empty()) return;
  for (std::size_t p = 0; p < shaping; ++p) {
    const auto [least, most] =
        std::minmax_element(range.shapes.begin(), range.shapes.end(),
                            [&](const Shape& a, const Shape& b) { return a[p] < b[p]; });
    range.least[p] = (*least)[p];
    range.most[p] = (*most)[p];
  }
  const Hardware largest = problem_.largest_between(range.least, range.most);
  std::copy(largest.values.begin() + static_cast<std::ptrdiff_t>(shaping), largest.values.end(),
            range.most.values.begin() + static_cast<std::ptrdiff_t>(shaping));
  const auto [bound, is_new] = bounds_->emplace(std::pair{range.least, range.most}, -kInfinity);
  if (is_new) {
    const std::vector<LayerCosts> least = space_.least_costs(range.least, range.most, threads_);
    known_ = known_ && !least.empty();
    if (known_) bound->second = problem_.log_value(least);
  }
  if (!known_) return;
  ++bounded_;
  range.log_value = std::max(range.log_value, bound->second);
  ranges_.push(std::move(range));
}

}  // namespace dosa
