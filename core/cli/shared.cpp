#include "dosa/core/cli/shared.hpp"

#include <cmath>

#include "dosa/models/base/table.hpp"

namespace dosa::cli {
namespace {

/// The joint objective where each network has these totals.
double joint_of(const SharedDesign& shared, const std::vector<DesignTotals>& totals) {
  const Objective objective = Objective::from_name(shared.networks.front().design.objective);
  JointObjective joint{combining_from_name(shared.combine), {}};
  std::vector<double> log_values;
  for (std::size_t n = 0; n < totals.size(); ++n) {
    joint.weights.push_back(shared.networks[n].weight);
    log_values.push_back(objective.log_value(totals[n].energy_uj, totals[n].cycles));
  }
  return std::exp(joint.log_value(log_values));
}

DesignTotals totals_of_own(const SharedNetwork& network) {
  const Json& totals = network.own.at("totals");
  return {totals.at("cycles"), totals.at("energy_uj"), totals.at("edp"), totals.at("area_mm2")};
}

}  // namespace

double joint_value(const SharedDesign& shared) {
  std::vector<DesignTotals> totals;
  for (const SharedNetwork& network : shared.networks) totals.push_back(network.design.totals);
  return joint_of(shared, totals);
}

SharedDesign shared_of(const SearchProblem& problem, std::vector<Design> designs) {
  SharedDesign shared;
  shared.combine = kCombiningNames[static_cast<std::size_t>(problem.combining)];
  for (std::size_t n = 0; n < designs.size(); ++n)
    shared.networks.push_back({problem.parts[n].weight, std::move(designs[n]), {}});
  shared.value = joint_value(shared);
  return shared;
}

std::string text_of_joint(const SharedDesign& shared) {
  const std::string& name = shared.networks.front().design.objective;
  const Objective objective = Objective::from_name(name);
  Table table({{"network", ColumnKind::kName},
               {"weight"},
               {"cycles"},
               {"energy_uJ"},
               {name},
               {"mm2"},
               {"own"},
               {"loss %"}});
  std::vector<DesignTotals> own;
  for (const SharedNetwork& network : shared.networks) {
    const DesignTotals& totals = network.design.totals;
    const double value = objective.value(totals.energy_uj, totals.cycles);
    std::vector<std::string> cells{network.design.workload, fmt::format("{}", network.weight),
                                   fmt::format("{:.0f}", totals.cycles),
                                   fmt::format("{:.6g}", totals.energy_uj), fmt::format("{:.5g}", value)};
    if (network.own.is_null()) {
      cells.insert(cells.end(), {"-", "-", "-"});
    } else {
      own.push_back(totals_of_own(network));
      const double own_value = objective.value(own.back().energy_uj, own.back().cycles);
      cells.insert(cells.end(), {fmt::format("{:.3f}", own.back().area_mm2), fmt::format("{:.5g}", own_value),
                                 fmt::format("{:.2f}", 100 * (value / own_value - 1))});
    }
    table.row(cells);
  }
  const bool is_sum = combining_from_name(shared.combine) == Combining::kSum;
  std::string text = table.text();
  text += fmt::format("{} of {} {:.6g}", is_sum ? "weighted sum" : "geometric mean", name, shared.value);
  if (own.size() == shared.networks.size()) {
    const double of_own = joint_of(shared, own);
    text +=
        fmt::format("; with own designs {:.6g}: {:.2f} % lost\n", of_own, 100 * (shared.value / of_own - 1));
    text += "mm2, own: of the best design known for the network alone; loss: of the shared\none against it\n";
  } else {
    text += "\n";
  }
  return text;
}

}  // namespace dosa::cli
