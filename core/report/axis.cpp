#include "dosa/core/report/axis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace dosa::html {

std::string short_number(double value) {
  static constexpr std::array<std::pair<double, const char*>, 5> kPrefixes{
      {{1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
  const double size = std::abs(value);
  if (size >= 1e18) return fmt::format("{:.3g}", value);
  for (const auto& [factor, prefix] : kPrefixes) {
    // What three digits would round up to the next thousand belongs to the next prefix.
    if (size < factor * 0.9995) continue;
    const double scaled = value / factor;
    // Three significant digits, which never become an exponent.
    return fmt::format("{:.{}f} {}", scaled,
                       std::abs(scaled) >= 99.95   ? 0
                       : std::abs(scaled) >= 9.995 ? 1
                                                   : 2,
                       prefix);
  }
  return fmt::format("{:.3g}", value);
}

std::string percentage(double share) {
  const double value = 100 * share;
  if (std::abs(value) >= 99.95 || value == 0) return fmt::format("{:.0f} %", value);
  return fmt::format("{:.{}f} %", value, std::abs(value) < 0.995 ? 2 : 1);
}

namespace {

/// A tick's number without the zeros that all of a prefix's numbers would have: "10 k", not "10.0 k".
std::string tick_label(double value) {
  std::string text = short_number(value);
  const std::size_t blank = std::min(text.find(' '), text.size());
  const std::size_t point = text.find('.');
  if (point >= blank) return text;
  std::size_t end = blank;
  while (text[end - 1] == '0') --end;
  if (text[end - 1] == '.') --end;
  return text.erase(end, blank - end);
}

}  // namespace

Axis::Axis(const std::vector<double>& values, Spacing spacing) : spacing_(spacing) {
  if (!values.empty()) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    low_ = *low;
    high_ = *high;
  }
  spacing_ == Spacing::kLogarithmic ? end_at_decades(low_, high_) : end_at_steps(low_, high_);
}

void Axis::end_at_decades(double low, double high) {
  // Over few decades, two numbers within each have ticks too, and the axis may end there.
  const bool few = std::log10(high / low) < 2.5;
  const std::vector<double> within = few ? std::vector<double>{1, 2, 5} : std::vector<double>{1};
  std::vector<double> candidates;
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  for (int exponent = first; exponent <= last; ++exponent) {
    for (const double digit : within) candidates.push_back(digit * std::pow(10, exponent));
  }
  const auto at_or_below = std::upper_bound(candidates.begin(), candidates.end(), low * (1 + 1e-12));
  const auto begin = at_or_below == candidates.begin() ? at_or_below : at_or_below - 1;
  auto end = std::lower_bound(begin, candidates.end(), high * (1 - 1e-12));
  if (end != candidates.end()) ++end;
  std::vector<double> ticks(begin, end);
  if (ticks.size() < 2) ticks.push_back(ticks.front() * 10);
  low_ = ticks.front();
  high_ = ticks.back();
  // A dozen at most: every second decade, or fewer, of many.
  const std::size_t step = (ticks.size() + 11) / 12;
  for (std::size_t i = 0; i < ticks.size(); i += step) ticks_.push_back({ticks[i], tick_label(ticks[i])});
}

void Axis::end_at_steps(double low, double high) {
  if (high <= low) {
    const double around = low == 0 ? 1 : 0.5 * std::abs(low);
    high = low + around;
    low -= around;
  }
  const double rough = (high - low) / 5;
  const double decade = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * decade;
  for (const double digit : {1.0, 2.0, 5.0}) {
    if (digit * decade >= rough * (1 - 1e-9)) {
      step = digit * decade;
      break;
    }
  }
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  low_ = first * step;
  high_ = last * step;
  for (double k = first; k <= last; ++k) {
    const double value = k * step;
    ticks_.push_back({value, step >= 100 || low_ == 0 ? tick_label(value) : fmt::format("{:.6g}", value)});
  }
}

double Axis::place(double value) const {
  const double share = spacing_ == Spacing::kLogarithmic
                           ? std::log(std::max(value, low_) / low_) / std::log(high_ / low_)
                           : (value - low_) / (high_ - low_);
  return std::clamp(share, 0.0, 1.0);
}

Spacing spacing_for(const std::vector<double>& values) {
  if (values.empty()) return Spacing::kLinear;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return *low > 0 && *high >= kLogarithmicFrom * *low ? Spacing::kLogarithmic : Spacing::kLinear;
}

}  // namespace dosa::html
