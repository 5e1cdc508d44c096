#include "dosa/core/report/bars.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "dosa/core/report/axis.hpp"

namespace dosa::html {
namespace {

Markup swatch(const std::string& colour) {
  return element("svg", {{"class", "swatch"}, {"viewBox", "0 0 10 10"}, {"aria-hidden", "true"}},
                 {element("rect", {{"width", "10"}, {"height", "10"}, {"class", colour}})});
}

}  // namespace

double total_of(const std::vector<Segment>& segments) {
  double sum = 0;
  for (const Segment& segment : segments) sum += segment.value;
  return sum;
}

Markup bar(const std::vector<Segment>& segments, double full,
           const std::function<std::string(double)>& told) {
  std::vector<Markup> parts;
  double from = 0;
  for (const Segment& segment : segments) {
    if (!(segment.value > 0) || !(full > 0)) continue;
    parts.push_back(element("rect",
                            {{"x", percent(from / full)},
                             {"width", percent(segment.value / full)},
                             {"height", "100%"},
                             {"class", segment.colour}},
                            {element("title", {}, {segment.name + ": " + told(segment.value)})}));
    from += segment.value;
  }
  return element("svg", {{"class", "bar"}, {"aria-hidden", "true"}}, parts);
}

Markup summary_bar(const std::vector<Segment>& segments, const std::string& label) {
  const double full = total_of(segments);
  const auto share = [full](double value) { return percentage(full > 0 ? value / full : 0); };
  std::vector<Markup> items;
  for (const Segment& segment : segments) {
    if (!(segment.value > 0)) continue;
    items.push_back(element(
        "li", {}, {swatch(segment.colour), element("b", {}, {share(segment.value)}), " ", segment.name}));
  }
  return element(
      "div", {{"class", "summary"}},
      {bar(segments, full, share), element("ul", {{"class", "legend"}, {"aria-label", label}}, items)});
}

Markup legend(const std::vector<Segment>& entries) {
  std::vector<Markup> items;
  for (const Segment& entry : entries) {
    if (entry.value > 0) items.push_back(element("li", {}, {swatch(entry.colour), entry.name}));
  }
  return element("ul", {{"class", "legend"}}, items);
}

Markup changes(const std::vector<Change>& bars, const std::vector<Change>& marks, double most) {
  const auto place = [most](double value) {
    return 0.5 + 0.5 * (most > 0 ? std::clamp(value / most, -1.0, 1.0) : 0);
  };
  std::vector<Markup> parts;
  const double height = 1.0 / std::max<double>(1, static_cast<double>(bars.size()));
  double top = 0;
  for (const Change& change : bars) {
    const double from = std::min(0.5, place(change.value)), to = std::max(0.5, place(change.value));
    parts.push_back(element("rect",
                            {{"x", percent(from)},
                             {"width", percent(to - from)},
                             {"y", percent(top)},
                             {"height", percent(height)},
                             {"class", change.colour}},
                            {element("title", {}, {change.told})}));
    top += height;
  }
  parts.push_back(
      element("line", {{"x1", "50%"}, {"x2", "50%"}, {"y1", "0"}, {"y2", "100%"}, {"class", "middle-line"}}));
  for (const Change& mark : marks) {
    parts.push_back(element(
        "circle", {{"cx", percent(place(mark.value))}, {"cy", "50%"}, {"r", "4"}, {"class", mark.colour}},
        {element("title", {}, {mark.told})}));
  }
  return element("svg", {{"class", "bar changes"}, {"aria-hidden", "true"}}, parts);
}

}  // namespace dosa::html
