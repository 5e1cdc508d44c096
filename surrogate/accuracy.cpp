#include "dosa/surrogate/accuracy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "dosa/models/base/table.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr double kFloorSlack = 1e-6;  // of log cycles: rounding alone takes no prediction below the floor

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> rank(values.size());
  for (std::size_t i = 0; i < order.size();) {
    std::size_t j = i;
    while (j < order.size() && values[order[j]] == values[order[i]]) ++j;
    for (std::size_t k = i; k < j; ++k) rank[order[k]] = static_cast<double>(i + j - 1) / 2;
    i = j;
  }
  return rank;
}

/// Nothing where one of both does not vary.
std::optional<double> correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const auto n = static_cast<double>(a.size());
  const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / n;
  const double mean_b = std::accumulate(b.begin(), b.end(), 0.0) / n;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  if (!(aa > 0 && bb > 0)) return std::nullopt;
  return ab / std::sqrt(aa * bb);
}

std::optional<double> spearman(const std::vector<double>& a, const std::vector<double>& b) {
  return correlation(ranks(a), ranks(b));
}

std::optional<double> kendall(const std::vector<double>& a, const std::vector<double>& b) {
  double agree = 0, pairs_a = 0, pairs_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const int da = (a[i] > a[j]) - (a[i] < a[j]);
      const int db = (b[i] > b[j]) - (b[i] < b[j]);
      agree += da * db;
      pairs_a += da != 0;
      pairs_b += db != 0;
    }
  }
  if (pairs_a == 0 || pairs_b == 0) return std::nullopt;
  return agree / std::sqrt(pairs_a * pairs_b);
}

std::string percent(const Accuracy::Figure& share, int digits) {
  return share ? fmt::format("{:.{}f} %", 100 * *share, digits) : "-";
}
std::string number(const Accuracy::Figure& value, int digits) {
  return value ? fmt::format("{:.{}f}", *value, digits) : "-";
}

}  // namespace

Json to_json(const Accuracy& a) {
  const auto json = [](const Accuracy::Figure& figure) { return figure ? Json(*figure) : Json(); };
  return {{"rows", a.rows},
          {"spearman", json(a.spearman)},
          {"spearman_per_mac", json(a.spearman_per_mac)},
          {"spearman_within_layer", json(a.spearman_within_layer)},
          {"kendall", json(a.kendall)},
          {"mape", json(a.mape)},
          {"median_ape", json(a.median_ape)},
          {"gef", json(a.gef)},
          {"top1_regret", json(a.top1_regret)},
          {"below_floor", json(a.below_floor)},
          {"within_1sd", json(a.within_1sd)},
          {"within_2sd", json(a.within_2sd)}};
}

std::string accuracy_table(const std::vector<std::pair<std::string, Accuracy>>& parts) {
  std::vector<Table::Column> columns{{"", ColumnKind::kText}};
  std::vector<std::vector<std::string>> rows{
      {"rows"},     {"Spearman"}, {"  per MAC"},    {"  within layers"}, {"Kendall"},     {"MAPE"},
      {"  median"}, {"GEF"},      {"top-1 regret"}, {"below floor"},     {"within 1 sd"}, {"within 2 sd"}};
  for (const auto& [what, a] : parts) {
    if (a.rows == 0) continue;
    columns.push_back({what});
    const std::vector<std::string> cells{
        fmt::format("{}", a.rows),          number(a.spearman, 4),    number(a.spearman_per_mac, 4),
        number(a.spearman_within_layer, 4), number(a.kendall, 4),     percent(a.mape, 1),
        percent(a.median_ape, 1),           number(a.gef, 3),         number(a.top1_regret, 3),
        percent(a.below_floor, 1),          percent(a.within_1sd, 0), percent(a.within_2sd, 0)};
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].push_back(cells[i]);
  }
  Table table(std::move(columns));
  for (std::vector<std::string>& row : rows) table.row(std::move(row));
  return table.text() +
         "Spearman, Kendall: agreement in rank, of cycles per MAC, of one layer's tilings\n"
         "MAPE: mean error, and the median; GEF: exp of the mean |ln(predicted/measured)|\n"
         "top-1 regret: the tiling predicted best over the best one, as measured\n"
         "below floor: predicted less than the multipliers alone would take\n"
         "within 1 (2) sd: measured within the uncertainty; 68 % (95 %) if that is right\n";
}

std::string accuracy_lines(const std::vector<std::pair<std::string, Accuracy>>& parts) {
  Table table(
      {{"held out", ColumnKind::kText}, {"rows"}, {"Spearman"}, {"MAPE"}, {"GEF"}, {"in 1 sd"}, {"in 2 sd"}});
  for (const auto& [what, a] : parts) {
    if (a.rows == 0) continue;
    table.row({what, fmt::format("{}", a.rows), number(a.spearman, 4), percent(a.mape, 1), number(a.gef, 3),
               percent(a.within_1sd, 0), percent(a.within_2sd, 0)});
  }
  return table.text();
}

Accuracy accuracy_of(const Tensor& log_predicted, const Tensor& log_sd, const TrainingSet& set) {
  Accuracy a;
  a.rows = set.rows();
  if (a.rows == 0) return a;
  const Tensor error = log_predicted - set.log_cycles;
  const std::vector<double> predicted = to_vector(log_predicted), measured = to_vector(set.log_cycles);
  a.spearman = spearman(predicted, measured);
  a.spearman_per_mac =
      spearman(to_vector(log_predicted - set.macs.log()), to_vector(set.log_cycles - set.macs.log()));
  a.kendall = kendall(predicted, measured);
  const Tensor ape = torch::expm1(error).abs();
  a.mape = ape.mean().item<double>();
  a.median_ape = ape.median().item<double>();
  a.gef = std::exp(error.abs().mean().item<double>());
  a.below_floor =
      (log_predicted < set.features.floor.log() - kFloorSlack).to(torch::kFloat64).mean().item<double>();
  if (log_sd.defined()) {
    const Tensor deviations = error.abs() / log_sd;
    a.within_1sd = (deviations <= 1).to(torch::kFloat64).mean().item<double>();
    a.within_2sd = (deviations <= 2).to(torch::kFloat64).mean().item<double>();
  }
  // Within layers: tilings with their repeats averaged; what ran in another state is not compared.
  struct Tiling {
    double predicted = 0, measured = 0;
    int rows = 0;
  };
  std::map<std::int64_t, std::map<std::int64_t, Tiling>> layers;
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    Tiling& t = layers[set.comparable[i]][set.tilings[i]];
    t.predicted += predicted[i];
    t.measured += measured[i];
    ++t.rows;
  }
  double regret = 0, within = 0;
  int regret_layers = 0, within_layers = 0;
  for (const auto& [layer, tilings] : layers) {
    if (tilings.size() < 2) continue;
    std::vector<double> p, m;
    for (const auto& [id, t] : tilings) {
      p.push_back(t.predicted / t.rows);
      m.push_back(t.measured / t.rows);
    }
    const auto chosen = std::min_element(p.begin(), p.end()) - p.begin();
    regret += m[static_cast<std::size_t>(chosen)] - *std::min_element(m.begin(), m.end());
    ++regret_layers;
    if (tilings.size() < 3) continue;
    const std::optional<double> ranked = spearman(p, m);
    within += ranked.value_or(0);
    within_layers += ranked.has_value();
  }
  if (regret_layers > 0) a.top1_regret = std::exp(regret / regret_layers);
  if (within_layers > 0) a.spearman_within_layer = within / within_layers;
  return a;
}

}  // namespace dosa
