// Axes of charts: from numbers to places, with ticks at round numbers.
#pragma once

#include <string>
#include <vector>

namespace dosa::html {

/// A number for people: three significant digits and a prefix of the SI, "6.38 M", "142", "0.025", "1.2e-05".
std::string short_number(double value);

/// A share for people, 0.1234: "12.3 %".
std::string percentage(double share);

enum class Spacing { kLinear, kLogarithmic };

struct Tick {
  double value = 0;
  std::string label;
};

/// One axis of a chart. Its ends are round numbers around all values.
class Axis {
 public:
  /// Values are finite, and over 0 where the spacing is logarithmic; where there is none, the axis is 1..10.
  Axis(const std::vector<double>& values, Spacing spacing);

  /// The place of a value: 0 at the low end, 1 at the high one; values beyond them lie at the ends.
  double place(double value) const;
  double low() const { return low_; }
  double high() const { return high_; }
  /// Two to a dozen, ascending.
  const std::vector<Tick>& ticks() const { return ticks_; }

 private:
  void end_at_decades(double low, double high);
  void end_at_steps(double low, double high);

  Spacing spacing_;
  double low_ = 1, high_ = 10;
  std::vector<Tick> ticks_;
};

/// Logarithmic where the values are all over 0 and the largest is this many times the smallest, else linear.
inline constexpr double kLogarithmicFrom = 20;
Spacing spacing_for(const std::vector<double>& values);

}  // namespace dosa::html
