// Charts with two axes as inline SVG: a roofline, and curves of what searches found.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/report/axis.hpp"
#include "dosa/core/report/markup.hpp"

namespace dosa::html {

/// What a reader who cannot see a figure is told of it, and where links find it.
struct FigureText {
  std::string id;           ///< of the page's own; not twice on a page
  std::string title;        ///< a few words
  std::string description;  ///< what is to be seen, in sentences
};
/// `<svg>` of this size in its own units, which shrinks with the page, with title and description.
Markup figure(const FigureText& text, double width, double height, const std::vector<Markup>& marks);

/// A layer in a roofline.
struct RooflinePoint {
  std::string name;
  double macs_per_word = 0;  ///< of DRAM
  double macs_per_cycle = 0;
  double share = 0;    ///< of the network's cycles
  std::string colour;  ///< a class of style.css
  std::string note;    ///< what else a pointer over it tells
};

/// Multiply-accumulates per cycle against multiply-accumulates per word of DRAM, both logarithmic.
struct Roofline {
  double peak = 0;             ///< multipliers
  double words_per_cycle = 0;  ///< of DRAM; 0: no limit
  std::vector<RooflinePoint> points;
};
/// The area of a point is its share. The names of the largest ones stand beside them where there is room.
Markup draw(const Roofline& roofline, const FigureText& text);

/// What runs of one method had found by then.
struct CurvePoint {
  double x = 0;
  double median = 0, low = 0, high = 0;
  std::string note{};  ///< what a pointer over its mark tells, where there are marks
};
struct Curve {
  std::string name;
  std::string colour;
  std::vector<CurvePoint> points;  ///< at least one; x ascends; a value holds until the next point
  double end = 0;                  ///< until where the last value holds
};
struct Curves {
  std::string x_title, y_title;
  std::vector<Curve> curves;  ///< at least one
  bool whole = false;         ///< y shows all of the curves, with a mark at every point
};
/// Axes are logarithmic where they range wide. Unless it shows all, y shows where the curves end and what led
/// there: first designs that are many times worse leave the chart at its top.
Markup draw(const Curves& curves, const FigureText& text);

}  // namespace dosa::html
