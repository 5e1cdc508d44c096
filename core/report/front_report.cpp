#include "dosa/core/report/front_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "dosa/core/report/chart.hpp"
#include "dosa/core/report/words.hpp"

namespace dosa::html {
namespace {

double total(const Json& design, const char* key) { return design.at("totals").at(key).get<double>(); }

/// The designs, the smallest area first.
std::vector<Json> by_area(const Json& front) {
  std::vector<Json> designs(front.at("designs").begin(), front.at("designs").end());
  std::stable_sort(designs.begin(), designs.end(),
                   [](const Json& a, const Json& b) { return total(a, "area_mm2") < total(b, "area_mm2"); });
  return designs;
}

/// The least area whose design is at most `factor` times the least EDP.
double area_within(const std::vector<Json>& sorted, double least, double factor) {
  for (const Json& design : sorted) {
    if (total(design, "edp") <= factor * least) return total(design, "area_mm2");
  }
  return total(sorted.back(), "area_mm2");
}

/// What area buys, in a sentence or two.
std::string verdict_on(const std::vector<Json>& sorted, double least) {
  const double most_area = area_within(sorted, least, 1);
  std::string text = fmt::format("The least EDP takes {} mm².", short_number(most_area));
  double before = most_area;
  for (const auto& [factor, words] : {std::pair(1.1, "come within 10 % of it"), {2.0, "take twice of it"}}) {
    const double area = area_within(sorted, least, factor);
    if (area < 0.95 * before)
      text += fmt::format(" {} mm² {}{}.", short_number(area), factor > 1.5 ? "at most " : "", words);
    before = std::min(before, area);
  }
  return text;
}

/// One of a design's totals, what is best of it for each area.
struct Against {
  const char* key;
  const char* heading;
  const char* axis;
  const char* colour;
};

Section against_area(const std::vector<Json>& sorted, const Against& what) {
  Curve curve{what.heading, what.colour, {}, total(sorted.back(), "area_mm2")};
  double best = std::numeric_limits<double>::infinity();
  for (const Json& design : sorted) {
    if (total(design, what.key) >= best) continue;
    best = total(design, what.key);
    curve.points.push_back({total(design, "area_mm2"), best, best, best});
  }
  const std::string id = std::string("area-") + what.key;
  return {id, fmt::format("{} for an area", what.heading),
          "The least that a design of at most so much area has. Small designs that are many times worse are "
          "above "
          "the chart.",
          draw(Curves{"area, mm²", what.axis, {curve}},
               {id + "-figure", fmt::format("{} against area", what.heading),
                fmt::format("From {} at {} mm² down to {} at {} mm².",
                            short_number(curve.points.front().median), short_number(curve.points.front().x),
                            short_number(best), short_number(curve.points.back().x))})};
}

Section designs_of(const std::vector<Json>& sorted, double least) {
  std::vector<std::vector<Cell>> rows;
  for (const Json& design : sorted) {
    rows.push_back({{design.at("file").get<std::string>()},
                    number_cell(fmt::format("{:.3f}", total(design, "area_mm2"))),
                    number_cell(fmt::format("{:.0f}", total(design, "cycles"))),
                    number_cell(fmt::format("{:.3f}", total(design, "energy_uj"))),
                    number_cell(fmt::format("{:.6g}", total(design, "edp"))),
                    number_cell(fmt::format("{:.2f}", total(design, "edp") / least)),
                    {sizes_text(design.at("hardware"))}});
  }
  return {"designs", "The designs", "dosa report makes a page of each file.",
          scrolling("Designs", table("All designs, the smallest first",
                                     {{"File"},
                                      {"Area, mm²", true},
                                      {"Cycles", true},
                                      {"Energy, µJ", true},
                                      {"EDP, µJ × cycles", true},
                                      {"Times least EDP", true},
                                      {"Sizes"}},
                                     rows, "prose"))};
}

}  // namespace

Page front_page(const Json& front, const std::string& command) {
  const std::vector<Json> sorted = by_area(front);
  Page page;
  page.title = fmt::format("Front: {} on {}", front.at("workload").get<std::string>(),
                           front.at("target").get<std::string>());
  page.lead = element(
      "p", {{"class", "lead"}},
      {fmt::format(
          "{} designs of which no other one is better in latency, energy and area at once, of {} that were "
          "found{}.",
          sorted.size(), front.at("found").get<std::int64_t>(),
          front.at("stopped_by") == "interrupt" ? " until the search was interrupted" : "")});
  Markup repeat = element("p", {}, {"The command that makes this front:"});
  repeat += code_block(command);
  if (!sorted.empty()) {
    double least = std::numeric_limits<double>::infinity();
    for (const Json& design : sorted) least = std::min(least, total(design, "edp"));
    page.lead += element("p", {{"class", "verdict"}}, {verdict_on(sorted, least)});
    for (const Against& what : {Against{"edp", "EDP", "EDP, µJ × cycles", "l1"},
                                {"cycles", "Latency", "latency, cycles", "l0"},
                                {"energy_uj", "Energy", "energy, µJ", "l3"}})
      page.sections.push_back(against_area(sorted, what));
    page.sections.push_back(designs_of(sorted, least));
  }
  page.sections.push_back({"provenance", "Where it comes from", "", repeat});
  return page;
}

}  // namespace dosa::html
