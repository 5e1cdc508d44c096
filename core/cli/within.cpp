#include "dosa/core/cli/within.hpp"

namespace dosa::cli {
namespace {

/// What the smallest design is of the best one in area and objective.
struct AgainstBest {
  double area, objective;

  explicit AgainstBest(const WithinFound& found)
      : area(found.smallest->totals.area_mm2 / found.best_area_mm2),
        objective(found.smallest_value / found.best_value) {}
  Json json() const { return {{"area_ratio", area}, {"objective_ratio", objective}}; }
};

}  // namespace

void add_within(const WithinFound& found, Json& json, std::string& text) {
  if (found.smallest == nullptr) {
    text += "no smaller hardware was found that is nearly as good\n";
    return;
  }
  const AgainstBest ratio(found);
  json["against_best"] = ratio.json();
  text += fmt::format("against the best, of {:.3f} mm2: {} {:+.3f} %, area {:+.1f} %\n", found.best_area_mm2,
                      found.objective, 100 * (ratio.objective - 1), 100 * (ratio.area - 1));
}

void add_smaller(const WithinFound& found, Json& json, std::string& text) {
  if (found.smallest == nullptr) return;
  const AgainstBest ratio(found);
  if (ratio.area > kMuchSmaller || ratio.objective > 1 + kNearlyAsGood) return;
  const Design& design = *found.smallest;
  json["smaller"] = ratio.json();
  json["smaller"]["hardware"] = design.machine->to_json(design.hardware);
  json["smaller"]["area_mm2"] = design.totals.area_mm2;
  text += fmt::format("--within 1%: {:.3f} mm2 instead, {:.1f} % less, for {:+.2f} % of {}\n",
                      design.totals.area_mm2, 100 * (1 - ratio.area), 100 * (ratio.objective - 1),
                      found.objective);
}

}  // namespace dosa::cli
