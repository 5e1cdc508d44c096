#include "dosa/core/report/front_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "dosa/core/report/chart.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::html {
namespace {

using DesignList = std::vector<FrontDesign>;

/// The smallest area first.
DesignList by_area(DesignList designs) {
  std::stable_sort(designs.begin(), designs.end(), [](const FrontDesign& a, const FrontDesign& b) {
    return a.design.totals.area_mm2 < b.design.totals.area_mm2;
  });
  return designs;
}

/// The smallest design whose EDP is at most this.
const FrontDesign& smallest_within(const DesignList& sorted, double edp) {
  return *std::find_if(sorted.begin(), sorted.end(),
                       [&](const FrontDesign& one) { return one.design.totals.edp <= edp; });
}

std::string area_of(const FrontDesign& one) { return short_number(one.design.totals.area_mm2) + " mm²"; }

/// What area buys, in a sentence or two.
std::string verdict_on(const DesignList& sorted, double least) {
  const FrontDesign* before = &smallest_within(sorted, least);
  std::string text = fmt::format("The least EDP takes {}.", area_of(*before));
  for (const double factor : {1.1, 2.0}) {
    const FrontDesign& smaller = smallest_within(sorted, factor * least);
    if (smaller.design.totals.area_mm2 < 0.95 * before->design.totals.area_mm2)
      text += fmt::format(" {} are enough for {:.2f} times as much.", area_of(smaller),
                          smaller.design.totals.edp / least);
    before = &smaller;
  }
  return text;
}

/// One of a design's totals, what is best of it for each area.
struct Against {
  double DesignTotals::*total;
  const char* id;
  const char* heading;
  const char* axis;
  const char* colour;
};

Section against_area(const DesignList& sorted, const Against& what) {
  Curve curve{what.heading, what.colour, {}, sorted.back().design.totals.area_mm2};
  double best = std::numeric_limits<double>::infinity();
  for (const FrontDesign& one : sorted) {
    const double value = one.design.totals.*what.total;
    if (value >= best) continue;
    best = value;
    curve.points.push_back(
        {one.design.totals.area_mm2, best, best, best,
         fmt::format("{}: {}, {} {}", one.file, area_of(one), what.heading, short_number(best))});
  }
  const CurvePoint &first = curve.points.front(), &last = curve.points.back();
  return {what.id, fmt::format("{} for an area", what.heading),
          "The least that a design of at most so much area has; every circle is a design that has less than "
          "all smaller ones.",
          draw(Curves{"area, mm²", what.axis, {curve}, true},
               {std::string(what.id) + "-figure", fmt::format("{} against area", what.heading),
                fmt::format("From {} at {} mm² down to {} at {} mm².", short_number(first.median),
                            short_number(first.x), short_number(best), short_number(last.x))})};
}

Section designs_of(const DesignList& sorted, double least) {
  std::vector<std::vector<Cell>> rows;
  for (const FrontDesign& one : sorted) {
    const DesignTotals& totals = one.design.totals;
    rows.push_back({{one.file},
                    number_cell(fmt::format("{:.3f}", totals.area_mm2)),
                    number_cell(fmt::format("{:.0f}", totals.cycles)),
                    number_cell(fmt::format("{:.3f}", totals.energy_uj)),
                    number_cell(fmt::format("{:.6g}", totals.edp)),
                    number_cell(fmt::format("{:.2f}", totals.edp / least)),
                    {one.design.machine->text(one.design.hardware)}});
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

Page front_page(const Front& front) {
  const DesignList sorted = by_area(front.designs);
  Page page;
  page.title = fmt::format("Front: {} on {}", front.workload, front.target);
  page.lead =
      element("p", {{"class", "lead"}},
              {fmt::format("{} for the network {} on the machine {}, of which no other one is better in "
                           "latency, energy and area at once; found: {}{}. EDP is energy times latency.",
                           counted(sorted.size(), "design"), front.workload, front.target,
                           counted(front.found, "such design"),
                           front.interrupted ? " until the search was interrupted" : "")});
  if (!sorted.empty()) {
    double least = std::numeric_limits<double>::infinity();
    for (const FrontDesign& one : sorted) least = std::min(least, one.design.totals.edp);
    page.lead += element("p", {{"class", "verdict"}}, {verdict_on(sorted, least)});
    for (const Against& what : {Against{&DesignTotals::edp, "area-edp", "EDP", "EDP, µJ × cycles", "l1"},
                                {&DesignTotals::cycles, "area-cycles", "Latency", "latency, cycles", "l0"},
                                {&DesignTotals::energy_uj, "area-energy_uj", "Energy", "energy, µJ", "l3"}})
      page.sections.push_back(against_area(sorted, what));
    page.sections.push_back(designs_of(sorted, least));
  }
  Markup repeat;
  if (!front.command.empty()) {
    repeat += element("p", {}, {"The command that makes this front:"});
    repeat += code_block(front.command);
  }
  if (!front.command_note.empty()) repeat += element("p", {}, {front.command_note});
  page.sections.push_back({"provenance", "Where it comes from", "", repeat});
  return page;
}

}  // namespace dosa::html
