#include "dosa/core/report/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "dosa/models/base/text.hpp"

namespace dosa::html {
namespace {

/// The area of a chart within its figure; room around it for ticks in the large letters of narrow screens.
constexpr double kWidth = 720, kHeight = 420;
constexpr double kLeft = 100, kRight = 24, kTop = 20, kBottom = 72;
constexpr double kInnerWidth = kWidth - kLeft - kRight, kInnerHeight = kHeight - kTop - kBottom;

double x_of(const Axis& axis, double value) { return kLeft + kInnerWidth * axis.place(value); }
double y_of(const Axis& axis, double value) { return kTop + kInnerHeight * (1 - axis.place(value)); }

Markup line(double x1, double y1, double x2, double y2, const std::string& style) {
  return element("line", {{"x1", coordinate(x1)},
                          {"y1", coordinate(y1)},
                          {"x2", coordinate(x2)},
                          {"y2", coordinate(y2)},
                          {"class", style}});
}

Markup label(double x, double y, const std::string& style, const std::string& text) {
  return element("text", {{"x", coordinate(x)}, {"y", coordinate(y)}, {"class", style}}, {text});
}

Markup axes(const Axis& x, const std::string& x_title, const Axis& y, const std::string& y_title) {
  Markup marks;
  for (const Tick& tick : x.ticks()) {
    const double at = x_of(x, tick.value);
    marks += line(at, kTop, at, kTop + kInnerHeight, "grid");
    marks += label(at, kTop + kInnerHeight + 28, "tick middle", tick.label);
  }
  for (const Tick& tick : y.ticks()) {
    const double at = y_of(y, tick.value);
    marks += line(kLeft, at, kLeft + kInnerWidth, at, "grid");
    marks += label(kLeft - 8, at + 5, "tick end", tick.label);
  }
  marks += label(kLeft + kInnerWidth / 2, kHeight - 14, "axis middle", x_title);
  const double middle = kTop + kInnerHeight / 2;
  marks += element("text",
                   {{"x", "26"},
                    {"y", coordinate(middle)},
                    {"class", "axis middle"},
                    {"transform", fmt::format("rotate(-90 26 {})", coordinate(middle))}},
                   {y_title});
  return marks;
}

/// A rectangle that is taken.
struct Box {
  double left, top, right, bottom;
  bool overlaps(const Box& o) const {
    return left < o.right && o.left < right && top < o.bottom && o.top < bottom;
  }
};

/// Places of names beside points: as many as have room.
class Labels {
 public:
  /// Beside a point of this radius, in letters this wide; empty where there is no room.
  Markup place(double x, double y, double radius, const std::string& text, double letter,
               const std::string& style) {
    const double width = letter * static_cast<double>(display_width(text)), height = 1.7 * letter;
    const double gap = radius + 4;
    const Box choices[] = {{x + gap, y - height / 2, x + gap + width, y + height / 2},
                           {x - gap - width, y - height / 2, x - gap, y + height / 2},
                           {x - width / 2, y - gap - height, x + width / 2, y - gap},
                           {x - width / 2, y + gap, x + width / 2, y + gap + height}};
    for (const Box& box : choices) {
      const bool inside = box.left >= kLeft && box.right <= kLeft + kInnerWidth && box.top >= kTop &&
                          box.bottom <= kTop + kInnerHeight;
      const bool is_free =
          std::none_of(taken_.begin(), taken_.end(), [&](const Box& other) { return box.overlaps(other); });
      if (!inside || !is_free) continue;
      taken_.push_back(box);
      return label(box.left, box.bottom - 0.28 * height, style, text);
    }
    return {};
  }
  /// Keeps names off a place.
  void take(const Box& box) { taken_.push_back(box); }
  bool is_free(const Box& box) const {
    return std::none_of(taken_.begin(), taken_.end(), [&](const Box& other) { return box.overlaps(other); });
  }

 private:
  std::vector<Box> taken_;
};

/// Letters of labels, and those of the narrow screens that style.css enlarges.
constexpr double kLetter = 7.9, kLargeLetter = 12.8;

double radius_of(const RooflinePoint& point) { return std::max(4.0, 26 * std::sqrt(point.share)); }

/// The largest first, so that smaller ones are drawn on top and the names of larger ones placed first.
std::vector<const RooflinePoint*> by_share(const Roofline& roofline) {
  std::vector<const RooflinePoint*> sorted;
  for (const RooflinePoint& point : roofline.points) sorted.push_back(&point);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto* a, const auto* b) { return a->share > b->share; });
  return sorted;
}

Markup points_of(const std::vector<const RooflinePoint*>& sorted, const Axis& x, const Axis& y) {
  Markup marks;
  for (const RooflinePoint* point : sorted) {
    const std::string told =
        fmt::format("{}: {} of the time, {} MACs per cycle, {} MACs per word of DRAM{}{}", point->name,
                    percentage(point->share), short_number(point->macs_per_cycle),
                    short_number(point->macs_per_word), point->note.empty() ? "" : "; ", point->note);
    marks += element("circle",
                     {{"cx", coordinate(x_of(x, point->macs_per_word))},
                      {"cy", coordinate(y_of(y, point->macs_per_cycle))},
                      {"r", coordinate(radius_of(*point))},
                      {"class", "point " + point->colour}},
                     {element("title", {}, {told})});
  }
  return marks;
}

Markup names_of(const std::vector<const RooflinePoint*>& sorted, const Axis& x, const Axis& y,
                Labels& labels) {
  constexpr std::size_t kLarge = 3, kMost = 10, kLetters = 24;
  Markup marks;
  for (std::size_t i = 0; i < std::min(sorted.size(), kMost); ++i) {
    const RooflinePoint& point = *sorted[i];
    marks += labels.place(x_of(x, point.macs_per_word), y_of(y, point.macs_per_cycle), radius_of(point),
                          shortened_in_the_middle(printable(point.name), kLetters),
                          i < kLarge ? kLargeLetter : kLetter, i < kLarge ? "name" : "name minor");
  }
  return marks;
}

/// A straight line.
struct Line {
  double x1, y1, x2, y2;
  double length() const { return std::hypot(x2 - x1, y2 - y1); }
  double angle() const { return std::atan2(y2 - y1, x2 - x1); }
};

/// A name along the line and above it, where there is room.
Markup name_along(const Line& line, const std::string& name, Labels& labels) {
  const double length = kLetter * static_cast<double>(display_width(name));
  const double step_x = std::cos(line.angle()), step_y = std::sin(line.angle());
  constexpr double kStep = 12;
  for (const double part : {0.5, 0.3, 0.7, 0.2, 0.8}) {
    const double middle = part * line.length();
    if (middle < 0.5 * length || middle > line.length() - 0.5 * length) continue;
    std::vector<Box> boxes;
    for (double along = middle - 0.5 * length; along <= middle + 0.5 * length; along += kStep) {
      const double x = line.x1 + along * step_x + kStep * step_y,
                   y = line.y1 + along * step_y - kStep * step_x;
      boxes.push_back({x - 0.6 * kStep, y - 0.6 * kStep, x + 0.6 * kStep, y + 0.6 * kStep});
    }
    if (!std::all_of(boxes.begin(), boxes.end(), [&](const Box& box) { return labels.is_free(box); }))
      continue;
    for (const Box& box : boxes) labels.take(box);
    const std::string x = coordinate(line.x1 + middle * step_x), y = coordinate(line.y1 + middle * step_y);
    const std::string degrees = coordinate(line.angle() * 180 / std::acos(-1.0));
    return element("text",
                   {{"x", x},
                    {"y", y},
                    {"dy", "-8"},
                    {"class", "note middle minor"},
                    {"transform", fmt::format("rotate({} {} {})", degrees, x, y)}},
                   {name});
  }
  return {};
}

}  // namespace

Markup figure(const FigureText& text, double width, double height, const std::vector<Markup>& marks) {
  const std::string title = text.id + "-title", description = text.id + "-description";
  std::vector<Markup> children{element("title", {{"id", title}}, {text.title}),
                               element("desc", {{"id", description}}, {text.description})};
  children.insert(children.end(), marks.begin(), marks.end());
  return element("svg",
                 {{"class", "figure"},
                  {"id", text.id},
                  {"viewBox", fmt::format("0 0 {} {}", coordinate(width), coordinate(height))},
                  {"role", "img"},
                  {"aria-labelledby", title + " " + description}},
                 children);
}

Markup draw(const Roofline& roofline, const FigureText& text) {
  // Room above the roof for its name.
  std::vector<double> xs, ys{roofline.peak, 2 * roofline.peak};
  for (const RooflinePoint& point : roofline.points) {
    // Room beside the outermost points.
    xs.push_back(0.7 * point.macs_per_word);
    xs.push_back(1.4 * point.macs_per_word);
    ys.push_back(0.7 * point.macs_per_cycle);
  }
  const bool has_slope = roofline.words_per_cycle > 0;
  const double ridge = has_slope ? roofline.peak / roofline.words_per_cycle : 0;
  if (has_slope) xs.push_back(ridge);
  const Axis x(xs, Spacing::kLogarithmic), y(ys, Spacing::kLogarithmic);
  const double peak_y = y_of(y, roofline.peak), right = kLeft + kInnerWidth;
  Labels labels;
  Markup marks = axes(x, "multiply-accumulates per word of DRAM", y, "multiply-accumulates per cycle");
  marks += line(has_slope ? x_of(x, ridge) : kLeft, peak_y, right, peak_y, "roof");
  const std::string peak_name = fmt::format("all {:.0f} multipliers busy", roofline.peak);
  const double peak_width = kLargeLetter * static_cast<double>(display_width(peak_name));
  marks += label(right - 4, peak_y - 7, "note end", peak_name);
  labels.take({right - 4 - peak_width, peak_y - 24, right, peak_y});
  const std::vector<const RooflinePoint*> sorted = by_share(roofline);
  for (const RooflinePoint* point : sorted) {
    const double r = 0.6 * radius_of(*point);
    const double cx = x_of(x, point->macs_per_word), cy = y_of(y, point->macs_per_cycle);
    labels.take({cx - r, cy - r, cx + r, cy + r});
  }
  if (has_slope) {
    // From where the roof leaves the chart up to the ridge.
    const double from = std::max(x.low(), y.low() / roofline.words_per_cycle);
    const Line slope{x_of(x, from), y_of(y, from * roofline.words_per_cycle), x_of(x, ridge), peak_y};
    marks += line(slope.x1, slope.y1, slope.x2, slope.y2, "roof");
    marks += name_along(
        slope, fmt::format("DRAM: {} words per cycle", short_number(roofline.words_per_cycle)), labels);
  }
  marks += points_of(sorted, x, y);
  marks += names_of(sorted, x, y, labels);
  return figure(text, kWidth, kHeight, {marks});
}

namespace {

double end_of(const Curve& curve) { return std::max(curve.end, curve.points.back().x); }

/// "M x y H ...": a step function of one of a point's values.
std::string steps(const Curve& curve, const Axis& x, const Axis& y, double CurvePoint::*value) {
  std::string path;
  for (const CurvePoint& point : curve.points) {
    const std::string at_x = coordinate(x_of(x, point.x)), at_y = coordinate(y_of(y, point.*value));
    path += path.empty() ? fmt::format("M{} {}", at_x, at_y) : fmt::format("H{}V{}", at_x, at_y);
  }
  return path + fmt::format("H{}", coordinate(x_of(x, end_of(curve))));
}

/// The area between the lows and the highs.
std::string band(const Curve& curve, const Axis& x, const Axis& y) {
  std::string path = steps(curve, x, y, &CurvePoint::low);
  double right = x_of(x, end_of(curve));
  for (auto point = curve.points.rbegin(); point != curve.points.rend(); ++point) {
    path += fmt::format("L{} {}", coordinate(right), coordinate(y_of(y, point->high)));
    right = x_of(x, point->x);
    path += fmt::format("H{}", coordinate(right));
  }
  return path + "Z";
}

/// What the y axis is to show: all ends, and what is at most this many times the worst of them.
std::vector<double> shown_values(const Curves& curves) {
  constexpr double kAboveTheEnds = 3;
  std::vector<double> ends;
  for (const Curve& curve : curves.curves) {
    ends.push_back(curve.points.back().low);
    ends.push_back(curve.points.back().high);
  }
  const double most = curves.whole ? std::numeric_limits<double>::infinity()
                                   : kAboveTheEnds * *std::max_element(ends.begin(), ends.end());
  std::vector<double> values = ends;
  for (const Curve& curve : curves.curves) {
    for (const CurvePoint& point : curve.points) values.push_back(std::min(point.high, most));
  }
  return values;
}

}  // namespace

Markup draw(const Curves& curves, const FigureText& text) {
  std::vector<double> xs;
  for (const Curve& curve : curves.curves) {
    xs.push_back(end_of(curve));
    for (const CurvePoint& point : curve.points) xs.push_back(point.x);
  }
  const std::vector<double> ys = shown_values(curves);
  const Axis x(xs, spacing_for(xs)), y(ys, spacing_for(ys));
  Markup marks = axes(x, curves.x_title, y, curves.y_title);
  for (const Curve& curve : curves.curves) {
    const CurvePoint& last = curve.points.back();
    if (std::any_of(curve.points.begin(), curve.points.end(),
                    [](const CurvePoint& p) { return p.high > p.low; }))
      marks += element("path", {{"d", band(curve, x, y)}, {"class", "band " + curve.colour}});
    const std::string told = fmt::format("{}: {} at the end", curve.name, short_number(last.median));
    marks +=
        element("path", {{"d", steps(curve, x, y, &CurvePoint::median)}, {"class", "curve " + curve.colour}},
                {element("title", {}, {told})});
    for (const CurvePoint& point : curve.points) {
      if (!curves.whole && curve.points.size() > 1) break;
      marks += element("circle",
                       {{"cx", coordinate(x_of(x, point.x))},
                        {"cy", coordinate(y_of(y, point.median))},
                        {"r", "4"},
                        {"class", "point " + curve.colour}},
                       {element("title", {}, {point.note.empty() ? told : point.note})});
    }
  }
  return figure(text, kWidth, kHeight, {marks});
}

}  // namespace dosa::html
