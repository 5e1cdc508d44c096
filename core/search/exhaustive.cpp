#include "dosa/core/search/exhaustive.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "dosa/core/search/chooser.hpp"
#include "dosa/core/search/layers.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

/// value / best - 1, and zero for what is no more than the rounding of sums.
double gap_between(double value, double best) {
  const double gap = value / best - 1;
  return std::abs(gap) < 1e-12 ? 0 : gap;
}

/// A summary with the frontiers behind it.
struct FixedSearch {
  MapSummary summary;
  std::vector<Frontier> frontiers;
};

FixedSearch search(const SearchProblem& problem, const MapOptions& options,
                   const MapProgressCallback& progress, const std::atomic<bool>* interrupt) {
  std::string error;
  if (!options.is_valid(&error)) fail(ErrorId::kValue, "{}", error);
  TORCH_CHECK(problem.bounds.min == problem.bounds.max, "fixed hardware has min = max");
  TORCH_CHECK(!problem.is_joint(), "on fixed hardware networks are mapped one by one");
  one_thread_per_operation();
  Budget budget(0, 0, interrupt);
  const std::unique_ptr<SearchSpace> space = problem.target->space(problem, "cpu");
  const Hardware& hardware = problem.bounds.max;
  space->prepare(options, [&] { return budget.interrupted(); });
  LayerSearch layers(problem, *space, problem.shape_of(hardware), options.threads, budget,
                     [&] { return budget.interrupted(); });
  MapProgress now;
  now.layers = problem.workload.layers.size();
  layers.looked = [&](std::size_t l) {
    ++now.layers_done;
    now.evaluations += layers.frontiers()[l].evaluated;
    now.elapsed_s = budget.elapsed();
    if (progress) progress(now);
  };
  layers.look({}, options.max_nests > 0 ? options.max_nests : problem.target->enumeration_limit(), true);
  FixedSearch fixed;
  MapSummary& summary = fixed.summary;
  summary.orders = space->orders();
  for (std::size_t l = 0; l < now.layers; ++l) {
    const Frontier& frontier = layers.frontiers()[l];
    if (!frontier.numbers.defined()) {
      fail(ErrorId::kBounds,
           "layer '{}': none of the {:.0f} nests looked at fits the hardware; --max-nests allows more",
           problem.workload.layers[l].name, frontier.looked_at);
    }
  }
  // Where not all was looked at, or there is more beyond, local moves may find better ones.
  Choice best = best_entries(problem, layers.frontiers(), hardware);
  for (bool better = true; better && layers.improvable() && !budget.interrupted();) {
    if (!layers.improve(problem.prices(best.sums), hardware)) break;
    const Choice next = best_entries(problem, layers.frontiers(), hardware);
    better = next.log_objective < best.log_objective - 1e-12;
    best = next;  // in any case: the entries of the one before are those of other frontiers
  }
  fixed.frontiers = layers.frontiers();
  for (std::size_t l = 0; l < now.layers; ++l) {
    const Frontier& frontier = fixed.frontiers[l];
    summary.coverage.push_back({frontier.space, frontier.candidates, frontier.looked_at,
                                frontier.over_capacity, frontier.beaten, frontier.evaluated,
                                frontier.complete, frontier.reaches_beyond, space->lower_bound(l)});
  }
  summary.evaluations = budget.spent();
  summary.interrupted = budget.interrupted();
  summary.best = to_design(problem, *space, fixed.frontiers, best);
  summary.wall_s = budget.elapsed();
  return fixed;
}

std::string proof_text(const LayerCoverage& coverage) {
  if (!coverage.proven) return "not proven";
  return coverage.without_padding ? "proven unpadded" : "proven";
}

/// The same of all layers together.
std::string proof_text(const MapSummary& summary) {
  LayerCoverage all;
  all.proven = summary.proven();
  all.without_padding = std::any_of(summary.coverage.begin(), summary.coverage.end(),
                                    [](const LayerCoverage& layer) { return layer.without_padding; });
  return proof_text(all);
}

}  // namespace

bool MapOptions::is_valid(std::string* error) const {
  if ((max_nests < 64 && max_nests != 0) || max_nests > 1'000'000'000'000) {
    *error = fmt::format("max-nests: found {}, expected 64 to 1000000000000", max_nests);
  } else if (threads < 0 || threads > 1024) {
    *error = fmt::format("threads: found {}, expected 0 to 1024", threads);
  } else if (samples < 64 || samples > 1'000'000'000'000) {
    *error = fmt::format("samples: found {}, expected 64 to 1000000000000", samples);
  } else if (starts < 1 || starts > 4096) {
    *error = fmt::format("starts: found {}, expected 1 to 4096", starts);
  } else if (steps < 1 || steps > 10'000'000) {
    *error = fmt::format("steps: found {}, expected 1 to 10000000", steps);
  } else {
    return true;
  }
  return false;
}

double Certificate::gap() const { return gap_between(value, best_value); }

bool MapSummary::proven() const {
  return std::all_of(coverage.begin(), coverage.end(), [](const LayerCoverage& c) { return c.proven; });
}

bool MapSummary::has_bounds() const {
  return !coverage.empty() &&
         std::all_of(coverage.begin(), coverage.end(), [](const LayerCoverage& c) { return c.least; });
}

double MapSummary::gap(std::size_t layer) const {
  const Objective objective = Objective::from_name(best.objective);
  const LayerCosts &own = best.layers[layer].costs, &least = *coverage[layer].least;
  return gap_between(objective.value(own.energy_uj, own.cycles),
                     objective.value(least.energy_uj, least.cycles));
}

double MapSummary::gap() const {
  const Objective objective = Objective::from_name(best.objective);
  double energy_uj = 0, cycles = 0;
  for (std::size_t l = 0; l < coverage.size(); ++l) {
    const auto count = static_cast<double>(best.layers[l].layer.count);
    energy_uj += coverage[l].least->energy_uj * count;
    cycles += coverage[l].least->cycles * count;
  }
  return gap_between(objective.value(best.totals.energy_uj, best.totals.cycles),
                     objective.value(energy_uj, cycles));
}

MapSummary map_exhaustively(const SearchProblem& problem, const MapOptions& options,
                            const MapProgressCallback& progress, const std::atomic<bool>* interrupt) {
  return search(problem, options, progress, interrupt).summary;
}

Certificate certify(const Design& design, const TargetPtr& target, const Objective& objective,
                    const MapOptions& options, const MapProgressCallback& progress,
                    const std::atomic<bool>* interrupt) {
  Certificate certificate{design, {}, objective, 0, 0, {}};
  Design& own = certificate.design;
  evaluate(own, *target);
  SearchProblem problem{
      {design.workload, "", "", layers_of(own)}, target, {design.hardware, design.hardware}, objective};
  FixedSearch fixed = search(problem, options, progress, interrupt);
  certificate.map = std::move(fixed.summary);
  const DesignTotals& best = certificate.map.best.totals;
  certificate.value = objective.value(own.totals.energy_uj, own.totals.cycles);
  certificate.best_value = objective.value(best.energy_uj, best.cycles);
  for (std::size_t l = 0; l < own.layers.size(); ++l) {
    const DesignLayer& entry = own.layers[l];
    const auto count = static_cast<double>(entry.layer.count);
    const FrontierCosts costs = costs_at(fixed.frontiers[l], design.hardware);
    const torch::Tensor energy = (costs.energy_uj - entry.costs.energy_uj) * count + own.totals.energy_uj;
    const torch::Tensor cycles = (costs.cycles - entry.costs.cycles) * count + own.totals.cycles;
    const double least = std::exp(objective.log_value(energy, cycles).min().item<double>());
    certificate.layer_gap.push_back(gap_between(certificate.value, least));
  }
  return certificate;
}

Json to_json(const LayerCoverage& coverage) {
  if (coverage.least) {
    return {{"nests_without_orders", coverage.space},
            {"evaluated_mappings", coverage.evaluated},
            {"least_cycles", coverage.least->cycles},
            {"least_energy_uj", coverage.least->energy_uj},
            {"proven", coverage.proven}};
  }
  return {{"space_nests", coverage.space},
          {"candidate_nests", coverage.candidates},
          {"looked_at_nests", coverage.looked_at},
          {"over_capacity_nests", coverage.over_capacity},
          {"beaten_nests", coverage.beaten},
          {"evaluated_mappings", coverage.evaluated},
          {"without_padding", coverage.without_padding},
          {"proven", coverage.proven}};
}

Json to_json(const Certificate& certificate) {
  const Design& best = certificate.map.best;
  Json layers = Json::array();
  for (std::size_t l = 0; l < best.layers.size(); ++l) {
    const DesignLayer& own = certificate.design.layers[l];
    layers.push_back({{"name", own.layer.name},
                      {"count", own.layer.count},
                      {"cycles", own.costs.cycles},
                      {"energy_uj", own.costs.energy_uj},
                      {"best_mapping", best.layers[l].schedule->text()},
                      {"best_cycles", best.layers[l].costs.cycles},
                      {"best_energy_uj", best.layers[l].costs.energy_uj},
                      {"gap", certificate.layer_gap[l]},
                      {"coverage", to_json(certificate.map.coverage[l])}});
  }
  return {{"objective", certificate.objective.name},
          {"value", certificate.value},
          {"best_value", certificate.best_value},
          {"gap", certificate.gap()},
          {"proven", certificate.map.proven()},
          {"best", to_json(best.totals)},
          {"layers", std::move(layers)}};
}

namespace {

/// What "proven" leaves open, one line or none.
std::string space_text(const MapSummary& summary) {
  const auto without = std::count_if(summary.coverage.begin(), summary.coverage.end(),
                                     [](const LayerCoverage& c) { return c.without_padding; });
  return without == 0 ? "" : "unpadded: of padded or cut mappings only those near the best were looked at\n";
}

/// Where lower bounds are known: how far each layer and the network are from them.
std::string report_bounds(const MapSummary& summary) {
  Table table({{"layer", ColumnKind::kName},
               {"cycles"},
               {"least"},
               {"energy_uJ"},
               {"least"},
               {"gap %"},
               {"", ColumnKind::kText}});
  for (std::size_t l = 0; l < summary.coverage.size(); ++l) {
    const LayerCoverage& c = summary.coverage[l];
    const LayerCosts& own = summary.best.layers[l].costs;
    table.row({summary.best.layers[l].layer.name, fmt::format("{:.0f}", own.cycles),
               fmt::format("{:.0f}", c.least->cycles), fmt::format("{:.3f}", own.energy_uj),
               fmt::format("{:.3f}", c.least->energy_uj), fmt::format("{:.2f}", 100 * summary.gap(l)),
               proof_text(c)});
  }
  return table.text() + fmt::format(
                            "least: lower bounds of all mappings, padded or not; gap: {0} above the bounds'\n"
                            "{1}, {2:.1f} s: the network's {0} is at most {3:.2f} % above the best{4}\n",
                            summary.best.objective, counted(summary.evaluations, "evaluation"),
                            summary.wall_s, 100 * summary.gap(), summary.interrupted ? " (interrupted)" : "");
}

}  // namespace

std::string report(const MapSummary& summary) {
  if (summary.has_bounds()) return report_bounds(summary);
  Table table({{"schedules", ColumnKind::kName},
               {"candidates"},
               {"looked at"},
               {"too large"},
               {"beaten"},
               {"evaluated"},
               {"", ColumnKind::kText}});
  for (std::size_t l = 0; l < summary.coverage.size(); ++l) {
    const LayerCoverage& c = summary.coverage[l];
    const auto number = [](double value) { return fmt::format("{:.0f}", value); };
    table.row({summary.best.layers[l].layer.name, number(c.candidates), number(c.looked_at),
               number(c.over_capacity), number(c.beaten), number(c.looked_at - c.over_capacity - c.beaten),
               proof_text(c)});
  }
  std::string text = table.text() + space_text(summary);
  text += fmt::format(
      "candidates: not beaten in everything by the same one with larger spatial factors\n"
      "beaten: by a known one, even at a lower bound of all loop orders\n"
      "each one evaluated in {}; {}, {:.1f} s: {}{}\n",
      counted(summary.orders, "loop order"), counted(summary.evaluations, "evaluation"), summary.wall_s,
      summary.proven() ? "proven,\nnone of the candidates is better on this hardware" : "not proven",
      summary.interrupted ? " (interrupted)" : "");
  return text;
}

std::string report(const Certificate& certificate) {
  Table table({{"layer", ColumnKind::kName},
               {"count"},
               {"cycles"},
               {"energy_uJ"},
               {"best"},
               {"energy_uJ"},
               {"gap %"},
               {"", ColumnKind::kText}});
  const Design& best = certificate.map.best;
  for (std::size_t l = 0; l < best.layers.size(); ++l) {
    const DesignLayer& own = certificate.design.layers[l];
    const LayerCosts& other = best.layers[l].costs;
    table.row({own.layer.name, fmt::format("{}", own.layer.count), fmt::format("{:.0f}", own.costs.cycles),
               fmt::format("{:.3f}", own.costs.energy_uj), fmt::format("{:.0f}", other.cycles),
               fmt::format("{:.3f}", other.energy_uj), fmt::format("{:.4f}", 100 * certificate.layer_gap[l]),
               proof_text(certificate.map.coverage[l])});
  }
  std::string text = table.text() + space_text(certificate.map);
  text += fmt::format(
      "gap of a layer: how much the network's {0} is above what it would be with this layer's mapping alone "
      "changed\n{0} {1:.6g}, best on this hardware {2:.6g}: gap {3:.4f} %, {4}\n{5}, {6:.1f} s\n",
      certificate.objective.name, certificate.value, certificate.best_value, 100 * certificate.gap(),
      proof_text(certificate.map), counted(certificate.map.evaluations, "evaluation"),
      certificate.map.wall_s);
  if (certificate.gap() < 0) {
    text +=
        "the design is better than all that was looked at: it has loops, orders or padding that were not\n";
  }
  return text;
}

}  // namespace dosa
