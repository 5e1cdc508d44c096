#include "dosa/core/report/compare_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "dosa/core/report/bars.hpp"
#include "dosa/core/report/chart.hpp"
#include "dosa/core/report/words.hpp"
#include "dosa/models/cost/objective.hpp"

namespace dosa::html {
namespace {

/// A number, or a dash where the comparison has none.
std::string figure_text(const Json& value) {
  return value.is_number() ? short_number(value.get<double>()) : "–";
}

std::string text_member(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

/// Objectives as axes and columns name them.
std::string with_unit(const std::string& objective) {
  if (objective == "edp") return "EDP, µJ × cycles";
  if (objective == "ed2p") return "ED²P, µJ × cycles²";
  return objective == "energy" ? "energy, µJ" : objective == "latency" ? "latency, cycles" : objective;
}

Section how_to_repeat(const Json& comparison, const std::string& command) {
  Markup content = element("p", {}, {"The command that makes this comparison:"});
  content += code_block(command);
  if (comparison.value("interrupted", false))
    content += element("p", {}, {"It was interrupted: what would have come after that is left out."});
  return {"provenance", "Where it comes from", "", content};
}

/// A value, and whose it is.
using Valued = std::pair<double, std::string>;

/// Who has the least, and by how much.
std::string verdict_on(std::vector<Valued> values, const std::string& of) {
  if (values.empty()) return "None of them has a design.";
  std::sort(values.begin(), values.end());
  std::string text =
      fmt::format("The least {}: {}, with {}", of, values.front().second, short_number(values.front().first));
  if (values.size() > 1)
    text += fmt::format(". The next, {}, has {:.2f} times as much", values[1].second,
                        values[1].first / values[0].first);
  return text + ".";
}

std::string name_of_aim(const std::string& objective) {
  return objective == "edp" ? "EDP" : objective == "ed2p" ? "ED²P" : objective;
}

// ---- Methods.

/// The objective that a run had by then; infinity before its first design. `axis` is the place of samples or
/// seconds in a point of a run's curve, whose last entry is the objective.
double best_by(const Json& run, std::size_t axis, double limit) {
  double best = std::numeric_limits<double>::infinity();
  for (const Json& point : run.at("curve")) {
    if (point.at(axis).get<double>() <= limit) best = point.at(2).get<double>();
  }
  return best;
}

double median_of(std::vector<double> sorted) {
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : 0.5 * (sorted[middle - 1] + sorted[middle]);
}

/// Median and range of a method's runs wherever one of them found something better and half of them have a
/// design.
std::vector<CurvePoint> points_of(const Json& runs, std::size_t axis) {
  std::set<double> places;
  for (const Json& run : runs) {
    for (const Json& point : run.at("curve")) places.insert(point.at(axis).get<double>());
  }
  std::vector<CurvePoint> points;
  for (const double place : places) {
    std::vector<double> values;
    for (const Json& run : runs) values.push_back(best_by(run, axis, place));
    std::sort(values.begin(), values.end());
    const double median = median_of(values);
    if (!std::isfinite(median)) continue;
    while (!std::isfinite(values.back())) values.pop_back();
    points.push_back({place, median, values.front(), values.back()});
  }
  return points;
}

/// What runs are drawn against.
struct RunAxis {
  const char* id;
  const char* title;
  std::size_t place;  ///< in a point of a run's curve
  const char* whole;  ///< the key of a run's whole
};
constexpr RunAxis kSamplesAxis{"samples", "samples", 0, "samples"},
    kTimeAxis{"time", "wall time, s", 1, "wall_s"};

Section curves_of(const Json& comparison, const RunAxis& axis) {
  Curves curves{axis.title, "best " + with_unit(comparison.at("objective")), {}};
  std::vector<Segment> names;
  std::size_t colour = 0;
  for (const Json& method : comparison.at("methods")) {
    Curve curve{method.at("name"), level_colour(colour), points_of(method.at("runs"), axis.place)};
    for (const Json& run : method["runs"]) curve.end = std::max(curve.end, run.at(axis.whole).get<double>());
    if (!curve.points.empty()) {
      names.push_back({curve.name, 1, level_colour(colour)});
      curves.curves.push_back(std::move(curve));
    }
    ++colour;
  }
  const std::string id = std::string("against-") + axis.id;
  Markup content;
  if (curves.curves.empty()) {
    content = element("p", {}, {"No method found a design."});
  } else {
    content = draw(curves,
                   {id + "-figure", std::string("Best design so far against ") + axis.title,
                    "One line for each method: the median of its runs; the area around it is their range."});
    content += legend(names);
  }
  return {
      id, std::string("Against ") + axis.title,
      "Lower is better. Lines are medians over the seeds, areas their ranges; a line ends where the method's "
      "slowest run did. First designs that are many times worse than the last ones are above the chart.",
      content};
}

Page methods_page(const Json& comparison, const std::string& command) {
  std::vector<std::vector<Cell>> rows;
  std::vector<Valued> medians;
  double most = 0;
  for (const Json& method : comparison.at("methods")) {
    const Json& median = method.at("objective").at("median");
    if (!median.is_number()) continue;
    most = std::max(most, median.get<double>());
    medians.emplace_back(median, method.at("name"));
  }
  std::size_t colour = 0;
  for (const Json& method : comparison.at("methods")) {
    const Json& objective = method.at("objective");
    const Json& median = objective.at("median");
    const double value = median.is_number() ? median.get<double>() : 0;
    rows.push_back(
        {{method.at("name").get<std::string>()},
         {bar({{"median", value, level_colour(colour++)}}, most, short_number)},
         number_cell(figure_text(median)),
         number_cell(figure_text(objective.at("min"))),
         number_cell(figure_text(objective.at("max"))),
         number_cell(method.at("ratio").is_number() ? fmt::format("{:.2f}", method["ratio"].get<double>())
                                                    : "–"),
         number_cell(figure_text(method.at("wall_s").at("median"))),
         {method.at("description").get<std::string>()}});
  }
  if (const auto mapper = comparison.find("timeloop_mapper"); mapper != comparison.end()) {
    const Json& ratio = mapper->at("ratio");
    rows.push_back({{"timeloop-mapper"},
                    {},
                    number_cell(figure_text(mapper->at("objective"))),
                    {},
                    {},
                    number_cell(ratio.is_number() ? fmt::format("{:.2f}", ratio.get<double>()) : "–"),
                    {},
                    {"results of Timeloop's mapper, as given"}});
  }
  Page page;
  page.title = fmt::format("Search methods: {} on {}", comparison.at("workload").get<std::string>(),
                           comparison.at("target").get<std::string>());
  const Json& samples = comparison.at("samples");
  page.lead = element(
      "p", {{"class", "lead"}},
      {fmt::format("The same model, the same limits of the hardware, and as many samples for each: {}. A "
                   "sample is one evaluation of one schedule of one layer. The objective is {}.",
                   samples.is_number() ? short_number(samples.get<double>()) : samples.get<std::string>(),
                   with_unit(comparison.at("objective")))});
  page.lead += element("p", {{"class", "verdict"}},
                       {verdict_on(std::move(medians), "median " + name_of_aim(comparison.at("objective")))});
  page.sections = {{"results", "Results", "Ratio: the median over that of the first method.",
                    scrolling("Results", table("What each method found",
                                               {{"Method"},
                                                {"Median"},
                                                {"", true},
                                                {"Least", true},
                                                {"Most", true},
                                                {"Ratio", true},
                                                {"Seconds", true},
                                                {"What it is"}},
                                               rows))},
                   curves_of(comparison, kSamplesAxis),
                   curves_of(comparison, kTimeAxis),
                   how_to_repeat(comparison, command)};
  return page;
}

// ---- Designs of several arrays or machines.

struct ComparedDesign {
  std::string name;
  std::string problem;  ///< why there is no design
  Json design;          ///< as its file would be
  std::string note;
};

/// A quantity of a design's totals.
struct Total {
  const char* key;
  const char* title;
  const char* colour;
};
constexpr std::array<Total, 4> kTotals{{{"edp", "EDP, µJ × cycles", "l1"},
                                        {"cycles", "Latency, cycles", "l0"},
                                        {"energy_uj", "Energy, µJ", "l3"},
                                        {"area_mm2", "Area, mm²", "l2"}}};

Markup bars_of(const std::vector<ComparedDesign>& designs, const Total& total) {
  double most = 0;
  for (const ComparedDesign& design : designs) {
    if (design.problem.empty()) most = std::max(most, design.design.at("totals").at(total.key).get<double>());
  }
  std::vector<std::vector<Cell>> rows;
  for (const ComparedDesign& design : designs) {
    if (!design.problem.empty()) continue;
    const double value = design.design["totals"][total.key];
    rows.push_back({{design.name},
                    {bar({{total.title, value, total.colour}}, most, short_number)},
                    number_cell(short_number(value))});
  }
  return table(fmt::format("{}: less is better", total.title), {{"Design"}, {total.title}, {"", true}}, rows,
               "bars single");
}

Section design_bars(const std::vector<ComparedDesign>& designs) {
  Markup content;
  for (const Total& total : kTotals) content += bars_of(designs, total);
  return {"results", "Results", "", content};
}

Section design_table(const std::vector<ComparedDesign>& designs) {
  std::vector<std::vector<Cell>> rows;
  for (const ComparedDesign& design : designs) {
    if (!design.problem.empty()) {
      rows.push_back({{design.name}, {}, {}, {}, {}, {design.problem}});
      continue;
    }
    const Json& totals = design.design.at("totals");
    const auto number = [&](const char* key, int digits) {
      return number_cell(fmt::format("{:.{}f}", totals.at(key).get<double>(), digits));
    };
    rows.push_back(
        {{design.name},
         number("cycles", 0),
         number("energy_uj", 3),
         number_cell(fmt::format("{:.6g}", totals.at("edp").get<double>())),
         number("area_mm2", 3),
         {sizes_text(design.design.at("hardware")) + (design.note.empty() ? "" : "; " + design.note)}});
  }
  return {"tables", "Tables", "",
          scrolling("Designs", table("The best design of each",
                                     {{"Design"},
                                      {"Cycles", true},
                                      {"Energy, µJ", true},
                                      {"EDP, µJ × cycles", true},
                                      {"Area, mm²", true},
                                      {"Sizes and notes"}},
                                     rows, "prose"))};
}

/// Which design is best, and by how much.
std::string verdict_on(const std::vector<ComparedDesign>& designs, const std::string& objective) {
  const Objective aim = Objective::from_name(objective);
  std::vector<Valued> values;
  for (const ComparedDesign& design : designs) {
    if (!design.problem.empty()) continue;
    const Json& totals = design.design.at("totals");
    values.emplace_back(aim.value(totals.at("energy_uj"), totals.at("cycles")), design.name);
  }
  return verdict_on(std::move(values), name_of_aim(objective));
}

Markup lead_of(const Json& comparison, const std::string& of, const std::vector<ComparedDesign>& designs,
               const std::string& note = "") {
  const Json& area = comparison.at("max_area_mm2");
  const std::string objective = comparison.at("objective");
  Markup lead =
      element("p", {{"class", "lead"}},
              {fmt::format("The best design of {} for {}, searched for the least {}{}.", of,
                           comparison.at("workload").get<std::string>(), aim_in_words(objective),
                           area.is_number() ? fmt::format(", on at most {} mm²", area.get<double>()) : "")});
  lead += element("p", {{"class", "verdict"}}, {verdict_on(designs, objective) + note});
  return lead;
}

Page arrays_page(const Json& comparison, const std::string& command) {
  std::vector<ComparedDesign> designs;
  for (const Json& row : comparison.at("arrays")) {
    ComparedDesign design{fmt::format("array {0} × {0}", row.at("pe_dim").get<std::int64_t>()),
                          text_member(row, "problem"), row.value("design", Json()), ""};
    if (const auto against = row.find("comparison"); against != row.end()) {
      const Json& gain = against->at("gain");
      design.note = fmt::format("latency {:.3f}×, energy {:.3f}×, EDP {:.3f}× better than {}",
                                gain.at("latency").get<double>(), gain.at("energy").get<double>(),
                                gain.at("edp").get<double>(), against->at("reference").get<std::string>());
    }
    designs.push_back(std::move(design));
  }
  Page page;
  page.title = fmt::format("Arrays: {} on {}", comparison.at("workload").get<std::string>(),
                           comparison.at("target").get<std::string>());
  page.lead = lead_of(comparison, "each array", designs);
  page.sections = {design_bars(designs), design_table(designs), how_to_repeat(comparison, command)};
  return page;
}

/// What tells whether the machines' energies and areas can be compared.
Section basis_of(const Json& comparison) {
  std::vector<std::vector<Cell>> rows;
  std::vector<Cell> titles{{"Machine"}};
  for (const Json& machine : comparison.at("machines")) {
    std::vector<Cell> row{{machine.at("machine").get<std::string>()}};
    for (const auto& [key, value] : machine.at("cost_basis").items()) {
      if (rows.empty()) titles.push_back({key, true});
      row.push_back(number_cell(fmt::format("{:.4g}", value.get<double>())));
    }
    rows.push_back(std::move(row));
  }
  std::vector<std::string> differing;
  for (const Json& key : comparison.at("cost_basis_differs_in")) differing.push_back(key);
  const std::string verdict =
      differing.empty()
          ? "These are the same in all files: energies and areas can be compared, as far as the files' "
            "other figures are of one technology too."
          : fmt::format(
                "The files differ in {}: what one machine gains over another in energy, EDP or area "
                "is its file's doing as much as the machine's.",
                fmt::join(differing, ", "));
  return {"basis", "Whether they can be compared", verdict,
          scrolling("Figures", table("Figures of each machine's own file", titles, rows))};
}

Page machines_page(const Json& comparison, const std::string& command) {
  std::vector<ComparedDesign> designs;
  for (const Json& row : comparison.at("machines")) {
    ComparedDesign design{row.at("machine"), text_member(row, "problem"), row.value("design", Json()),
                          text_member(row, "remark")};
    if (row.value("predicted_cycles", false)) design.note += "cycles are predicted, from measurements";
    designs.push_back(std::move(design));
  }
  Page page;
  page.title = fmt::format("Machines: {}", comparison.at("workload").get<std::string>());
  page.lead =
      lead_of(comparison, "each machine", designs,
              comparison.at("cost_basis_differs_in").empty()
                  ? ""
                  : " How much of that is the machines' doing, and how much their files': see below.");
  page.sections = {design_bars(designs), basis_of(comparison), design_table(designs),
                   how_to_repeat(comparison, command)};
  return page;
}

}  // namespace

Page comparison_page(const Json& comparison, const std::string& command) {
  const std::string schema = comparison.at("schema");
  if (schema == "dosa-compare-arrays/1") return arrays_page(comparison, command);
  if (schema == "dosa-compare-machines/1") return machines_page(comparison, command);
  return methods_page(comparison, command);
}

}  // namespace dosa::html
