// Bars whose lengths are shares of a width, in rows of tables or alone: inline SVG that stretches with the
// page while its letters stay as they are.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dosa/core/report/markup.hpp"

namespace dosa::html {

/// One part of a stacked bar.
struct Segment {
  std::string name;
  double value = 0;    ///< at least 0
  std::string colour;  ///< a class of style.css
};

/// The sum of their values.
double total_of(const std::vector<Segment>& segments);

/// The segments beside one another; `full` is the value of the whole width. What a pointer over one tells is
/// its name and `told(value)`. Readers who cannot see it are told nothing: the numbers stand beside it.
Markup bar(const std::vector<Segment>& segments, double full, const std::function<std::string(double)>& told);

/// The same alone, with a list of names, shares and colours below it, the parts of nothing left out.
Markup summary_bar(const std::vector<Segment>& segments, const std::string& label);

/// A list of names with their colours, those without a value left out.
Markup legend(const std::vector<Segment>& entries);

/// A change to the left or right of a middle line, in shares of `most` on either side.
struct Change {
  double value = 0;
  std::string colour;
  std::string told;
};
/// Bars of the changes from the middle, one below the other, and points on them for `marks`.
Markup changes(const std::vector<Change>& bars, const std::vector<Change>& marks, double most);

}  // namespace dosa::html
