#include "dosa/core/search/chooser.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include "dosa/models/base/math.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using torch::Tensor;

// Sums that differ by this share of them are equal but for rounding.
constexpr double kRounding = 1e-12;

bool all_found(const std::vector<Frontier>& frontiers) {
  return std::all_of(frontiers.begin(), frontiers.end(),
                     [](const Frontier& frontier) { return frontier.numbers.defined(); });
}

Tensor expected_of(const Frontier& frontier) {
  return frontier.expected_cycles.defined() ? frontier.expected_cycles
                                            : frontier.numbers.select(1, Frontier::kCycles);
}

/// The frontiers of all layers, and the choice of entries for given buffer sizes.
class FrontierTable {
 public:
  FrontierTable(const SearchProblem& problem, const std::vector<Frontier>& frontiers)
      : objective_(problem.objective), joint_(problem.joint()), networks_(problem.networks()) {
    for (std::size_t l = 0; l < frontiers.size(); ++l) {
      repetitions_.push_back(static_cast<double>(problem.workload.layers[l].count));
      const Tensor& numbers = frontiers[l].numbers;
      layers_.push_back({by_column(numbers), torch::arange(numbers.size(0))});
    }
  }

  /// Only the entries that can be chosen somewhere in a range of hardware and of prices of a cycle in pJ, by
  /// layer: no other entry of the layer fits wherever it fits and is at least as good at all corners (what is
  /// affine is then at least as good everywhere inside).
  FrontierTable within(const BufferRange& range,
                       const std::vector<std::array<double, 2>>& prices_of_layers) const {
    FrontierTable reduced = *this;
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const std::array<double, 2>& prices = prices_of_layers[l];
      const Tensor& own = layers_[l].numbers;
      std::vector<Tensor> columns;
      for (std::size_t b = 0; b < range.lo.size(); ++b)
        columns.push_back(own.select(1, Frontier::need(b)).clamp_min(range.lo[b]));
      for (const std::vector<double>& corner : range.corners()) {
        for (const double price : prices) {
          columns.push_back(energy_at(own, corner) * objective_.energy +
                            own.select(1, Frontier::kCycles) * price);
        }
      }
      const Tensor fitting = fits(own, range.hi).nonzero().squeeze(-1);
      const Tensor kept =
          fitting.index_select(0, undominated(torch::stack(columns, 1).index_select(0, fitting)));
      reduced.layers_[l] = {by_column(own.index_select(0, kept)), layers_[l].index.index_select(0, kept)};
    }
    return reduced;
  }

  struct Best {
    std::vector<std::int64_t> entries;  ///< by layer, rows of this table; empty: some layer does not fit
    std::vector<NetworkSums> sums;      ///< by network, without the expected cycles
    double log_objective = kInfinity;
  };

  /// The best entries for buffers of these sizes, by fixed-point iteration: the logarithm of the objective is
  /// concave in the totals, so an exchange that lowers its linearisation lowers it. Entries are walked one by
  /// one, since tensors over layers, entries and sizes grow with their product.
  Best best(const std::vector<double>& sizes) const {
    Best best;
    std::vector<std::vector<double>> energies;
    for (const LayerTable& layer : layers_) {
      energies.push_back(energies_of(layer, sizes));
      best.entries.push_back(least(layer, energies.back(), [&](double energy, double cycles) {
        return objective_.log_value(energy, cycles);
      }));
      if (best.entries.back() < 0) return {};
    }
    std::vector<double> log_values;
    for (const ProblemNetwork& network : networks_) {
      std::vector<std::int64_t> entries = best.entries;
      log_values.push_back(kInfinity);
      best.sums.emplace_back();
      for (int round = 0; round < 12; ++round) {
        const NetworkSums sums = sums_of(network, entries, energies);
        const double log_value = objective_.log_value(sums.energy_pj * 1e-6, sums.cycles);
        if (!(log_value < log_values.back())) break;
        log_values.back() = log_value;
        best.sums.back() = sums;
        const Objective::Prices prices = objective_.prices(sums.energy_pj, sums.cycles);
        for (std::size_t l = network.begin; l < network.end; ++l) {
          best.entries[l] = entries[l];
          entries[l] = least(layers_[l], energies[l], [&](double energy, double cycles) {
            return energy * prices.energy + cycles * prices.cycle;
          });
        }
      }
    }
    best.log_objective = joint_.log_value(log_values);
    return best;
  }

  /// What chosen rows, one a layer, need of every buffer.
  std::vector<double> needs(const std::vector<std::int64_t>& entries) const {
    std::vector<double> most;
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      most.resize(layers_[l].buffers(), 0);
      for (std::size_t b = 0; b < most.size(); ++b)
        most[b] = std::max(most[b], layers_[l].column(Frontier::need(b))[entries[l]]);
    }
    return most;
  }

  /// Chosen rows, one a layer, as indices into the layers' frontiers.
  std::vector<std::int64_t> frontier_entries(const std::vector<std::int64_t>& entries) const {
    std::vector<std::int64_t> result;
    for (std::size_t l = 0; l < layers_.size(); ++l)
      result.push_back(layers_[l].index.data_ptr<std::int64_t>()[entries[l]]);
    return result;
  }

 private:
  struct LayerTable {
    Tensor numbers;  // [entries, Frontier::columns], each column contiguous
    Tensor index;    // [entries]: rows of the layer's frontier

    std::int64_t size() const { return numbers.size(0); }
    std::size_t buffers() const { return static_cast<std::size_t>(numbers.size(1) - Frontier::kFixed) / 2; }
    const double* column(std::int64_t c) const { return numbers.data_ptr<double>() + c * size(); }
  };

  static Tensor by_column(const Tensor& numbers) { return numbers.t().contiguous().t(); }

  /// pJ of every entry with buffers of these sizes, infinite where it does not fit.
  static std::vector<double> energies_of(const LayerTable& layer, const std::vector<double>& sizes) {
    const double* none = layer.column(Frontier::kEnergy);
    std::vector<double> energies(none, none + layer.size());
    for (std::size_t b = 0; b < sizes.size(); ++b) {
      const double* need = layer.column(Frontier::need(b));
      const double* slope = layer.column(Frontier::slope(b));
      for (std::size_t i = 0; i < energies.size(); ++i)
        energies[i] = need[i] <= sizes[b] ? energies[i] + sizes[b] * slope[i] : kInfinity;
    }
    return energies;
  }

  /// The first entry with the least of what `score` says of its energy and cycles; -1 where none fits.
  template <typename Score>
  static std::int64_t least(const LayerTable& layer, const std::vector<double>& energies,
                            const Score& score) {
    const double* cycles = layer.column(Frontier::kCycles);
    double best = kInfinity;
    std::int64_t at = -1;
    for (std::size_t i = 0; i < energies.size(); ++i) {
      if (energies[i] == kInfinity) continue;
      const double value = score(energies[i], cycles[i]);
      if (!(value < best)) continue;
      best = value;
      at = static_cast<std::int64_t>(i);
    }
    return at;
  }

  NetworkSums sums_of(const ProblemNetwork& network, const std::vector<std::int64_t>& entries,
                      const std::vector<std::vector<double>>& energies) const {
    NetworkSums sums;
    for (std::size_t l = network.begin; l < network.end; ++l) {
      sums.energy_pj += repetitions_[l] * energies[l][static_cast<std::size_t>(entries[l])];
      sums.cycles += repetitions_[l] * layers_[l].column(Frontier::kCycles)[entries[l]];
    }
    return sums;
  }

  Objective objective_;
  JointObjective joint_;
  std::vector<ProblemNetwork> networks_;
  std::vector<double> repetitions_;  // by layer
  std::vector<LayerTable> layers_;
};

/// A design under construction: the best seen so far, and how to look further. With a limit of the
/// objective's logarithm the best is the one with the least area within it.
class BufferSearch {
 public:
  BufferSearch(const SearchProblem& problem, const std::function<bool()>& stopped, const Hardware& largest,
               double log_limit)
      : problem_(problem), log_limit_(log_limit), stopped_(stopped) {
    best.hardware = largest;
  }

  Choice best;
  double score() const { return score_; }

  /// Looks at buffer sizes; keeps the best, with hardware only as large as its entries need.
  bool look(const FrontierTable& table, std::vector<Hardware> sizes) {
    const HardwareBounds& bounds = problem_.bounds;
    for (Hardware& hardware : sizes) {
      hardware = problem_.with_shape(hardware, problem_.shape_of(best.hardware));
      for (std::size_t b = 0; b < buffers_; ++b)
        buffer(hardware, b) = std::clamp(buffer(hardware, b), buffer(bounds.min, b), buffer(bounds.max, b));
      hardware = problem_.within_area(hardware);
    }
    FrontierTable::Best found;
    double least = kInfinity;
    for (auto hardware = sizes.begin(); hardware != sizes.end(); ++hardware) {
      if (std::find(sizes.begin(), hardware, *hardware) != hardware) continue;
      if (hardware != sizes.begin() && stopped_()) break;
      FrontierTable::Best next = table.best(buffers_of(*hardware, buffers_));
      const double score = log_limit_ < kInfinity ? log_area(table, next) : next.log_objective;
      if (!(score < least)) continue;
      least = score;
      found = std::move(next);
    }
    if (!(least < score_ - 1e-12)) return false;
    score_ = least;
    best.log_objective = found.log_objective;
    best.entry = table.frontier_entries(found.entries);
    best.hardware = shrunk(table.needs(found.entries));
    best.sums = std::move(found.sums);
    return true;
  }

  /// From the best, searches a box around it as long as that moves it.
  void descend(const FrontierTable& all) {
    for (int round = 0; round < 20 && !best.entry.empty() && !stopped_(); ++round) {
      const double before = score_;
      BufferRange box;
      for (std::size_t b = 0; b < buffers_; ++b) {
        const auto size = static_cast<double>(buffer(best.hardware, b));
        box.lo.push_back(std::max(static_cast<double>(buffer(problem_.bounds.min, b)), size / 1.6));
        box.hi.push_back(std::min(static_cast<double>(buffer(problem_.bounds.max, b)), size * 1.6));
      }
      const FrontierTable table = all.within(box, prices_around_best());
      look_at_grid(table, box);
      shrink(table);
      for (const double step : {1.03, 1.006}) look_along_lines(table, step);
      if (score_ > before - 1e-9) break;
    }
  }

  /// All sizes from the least to the most, each 1.5 times the one before; with many buffers 4 times.
  void look_at_coarse_grid(const FrontierTable& table) {
    std::vector<std::vector<std::int64_t>> steps(buffers_);
    for (std::size_t b = 0; b < buffers_; ++b) {
      const auto most = static_cast<double>(buffer(problem_.bounds.max, b));
      for (auto s = static_cast<double>(buffer(problem_.bounds.min, b)); s <= most;
           s *= buffers_ > 2 ? 4 : 1.5)
        steps[b].push_back(std::llround(s));
    }
    look_at_product(table, steps);
  }

 private:
  /// Prices of a cycle in pJ around those of the best, by layer.
  std::vector<std::array<double, 2>> prices_around_best() const {
    std::vector<std::array<double, 2>> prices;
    const std::vector<ProblemNetwork> networks = problem_.networks();
    for (std::size_t n = 0; n < networks.size(); ++n) {
      const double price = problem_.objective.latency * best.sums[n].energy_pj / best.sums[n].cycles;
      prices.insert(prices.end(), networks[n].layers(), {price / 1.25, price * 1.25});
    }
    return prices;
  }

  /// The hardware with buffers of these needs.
  Hardware shrunk(const std::vector<double>& needs) const {
    Hardware hardware = best.hardware;
    for (std::size_t b = 0; b < buffers_; ++b)
      buffer(hardware, b) = std::max<std::int64_t>(buffer(problem_.bounds.min, b), std::llround(needs[b]));
    return hardware;
  }

  /// The logarithm of the area that is needed; infinity where the objective is beyond the limit.
  double log_area(const FrontierTable& table, const FrontierTable::Best& found) const {
    if (found.entries.empty() || found.log_objective > log_limit_) return kInfinity;
    return std::log(problem_.machine().area_mm2(shrunk(table.needs(found.entries))));
  }

  /// Scores the best entries again at the sizes they need, which can be less than the sizes looked at.
  void shrink(const FrontierTable& table) {
    while (look(table, {best.hardware})) {
    }
  }

  /// All combinations of sizes, those of one size of the first buffer at a time.
  void look_at_product(const FrontierTable& table, const std::vector<std::vector<std::int64_t>>& sizes) {
    for (const std::int64_t first : sizes[0]) {
      if (stopped_()) return;
      std::vector<Hardware> row(1, best.hardware);
      buffer(row[0], 0) = first;
      for (std::size_t b = 1; b < buffers_; ++b) {
        std::vector<Hardware> wider;
        for (const Hardware& one : row) {
          for (const std::int64_t size : sizes[b]) {
            wider.push_back(one);
            buffer(wider.back(), b) = size;
          }
        }
        row = std::move(wider);
      }
      look(table, row);
    }
  }

  void look_at_grid(const FrontierTable& table, const BufferRange& box) {
    // With many buffers fewer steps of each.
    const int kGrid = buffers_ > 2 ? 3 : 10;
    std::vector<std::vector<std::int64_t>> steps(buffers_);
    for (std::size_t b = 0; b < buffers_; ++b) {
      for (int i = 0; i <= kGrid; ++i)
        steps[b].push_back(std::llround(box.lo[b] * std::pow(box.hi[b] / box.lo[b], 1.0 * i / kGrid)));
    }
    look_at_product(table, steps);
  }

  /// Lines along every size and along every two, in the same and in opposite directions, as long as one
  /// helps.
  void look_along_lines(const FrontierTable& table, double step) {
    std::vector<std::vector<int>> directions;
    for (std::size_t b = 0; b < buffers_; ++b) {
      directions.emplace_back(buffers_, 0);
      directions.back()[b] = 1;
    }
    for (std::size_t b = 0; b < buffers_; ++b) {
      for (std::size_t c = b + 1; c < buffers_; ++c) {
        for (const int sign : {1, -1}) {
          directions.emplace_back(buffers_, 0);
          directions.back()[b] = 1;
          directions.back()[c] = sign;
        }
      }
    }
    for (bool improved = true; improved && !stopped_();) {
      improved = false;
      for (const std::vector<int>& direction : directions) {
        std::vector<Hardware> line;
        for (int i = -12; i <= 12; ++i) {
          line.push_back(best.hardware);
          for (std::size_t b = 0; b < buffers_; ++b) {
            const std::int64_t size = buffer(best.hardware, b);
            const std::int64_t scaled =
                std::llround(static_cast<double>(size) * std::pow(step, i * direction[b]));
            buffer(line.back(), b) = scaled == size ? size + i * direction[b] : scaled;
          }
        }
        improved = look(table, line) || improved;
      }
      shrink(table);
    }
  }

  std::int64_t buffer(const Hardware& hardware, std::size_t b) const { return problem_.buffer(hardware, b); }
  std::int64_t& buffer(Hardware& hardware, std::size_t b) const { return problem_.buffer(hardware, b); }

  const SearchProblem& problem_;
  std::size_t buffers_ = problem_.buffers();
  double log_limit_;
  double score_ = kInfinity;  // of the best: the logarithm of its objective or, with a limit, of its area
  const std::function<bool()>& stopped_;
};

/// The best of searches that begin at every one of `from` and, with `everywhere`, because the objective has
/// several valleys, at the best of a coarse grid. The result does not depend on `threads`.
Choice best_of_searches(const SearchProblem& problem, const FrontierTable& all, const Hardware& largest,
                        const std::vector<Hardware>& from, bool everywhere, double log_limit,
                        const std::function<bool()>& stopped, std::int64_t threads) {
  std::vector<BufferSearch> searches(from.size() + (everywhere ? 1 : 0),
                                     BufferSearch(problem, stopped, largest, log_limit));
  parallel(static_cast<std::int64_t>(searches.size()), threads, [&](std::int64_t i) {
    const torch::InferenceMode no_gradients_here;
    const auto s = static_cast<std::size_t>(i);
    if (stopped()) return;
    if (s < from.size()) {
      searches[s].look(all, {from[s]});
    } else {
      searches[s].look_at_coarse_grid(all);
    }
    searches[s].descend(all);
  });
  const BufferSearch* best = &searches.front();
  for (const BufferSearch& search : searches) {
    if (search.score() < best->score()) best = &search;
  }
  return best->best;
}

/// A layer's energies and cycles [entries] as a lower convex hull, from the fewest cycles to the least
/// energy.
struct Point {
  double cycles, energy;
  std::int64_t entry;
};

std::vector<Point> hull_of(std::vector<Point> points) {
  std::sort(points.begin(), points.end(), [](const Point& x, const Point& y) {
    return std::tie(x.cycles, x.energy, x.entry) < std::tie(y.cycles, y.energy, y.entry);
  });
  std::vector<Point> hull;
  for (const Point& point : points) {
    if (!hull.empty() && point.energy >= hull.back().energy) continue;
    while (hull.size() > 1) {
      const Point& x = hull[hull.size() - 2];
      const Point& y = hull.back();
      if ((y.energy - x.energy) * (point.cycles - x.cycles) <
          (point.energy - x.energy) * (y.cycles - x.cycles))
        break;
      hull.pop_back();
    }
    hull.push_back(point);
  }
  return hull;
}

/// An exchange of neighbours on a layer's hull: less energy for more cycles.
struct Exchange {
  double slope;  // change of energy over change of cycles, below zero
  std::size_t layer;
  Point from, to;
};

void add_sums(const SearchProblem& problem, const std::vector<Frontier>& frontiers, Choice& choice) {
  choice.sums.clear();
  const std::vector<double> buffers = buffers_of(choice.hardware, problem.buffers());
  for (const ProblemNetwork& network : problem.networks()) {
    NetworkSums sums;
    for (std::size_t l = network.begin; l < network.end; ++l) {
      const auto count = static_cast<double>(problem.workload.layers[l].count);
      const Tensor row = frontiers[l].numbers.narrow(0, choice.entry[l], 1);
      sums.energy_pj += count * energy_at(row, buffers).item<double>();
      sums.cycles += count * row.select(1, Frontier::kCycles).item<double>();
      sums.expected_cycles += count * expected_of(frontiers[l])[choice.entry[l]].item<double>();
    }
    choice.sums.push_back(sums);
  }
}

/// The best entries of one network, appended, and the logarithm of its objective; infinity where a layer does
/// not fit.
double add_best_entries(const SearchProblem& problem, const std::vector<Frontier>& frontiers,
                        const Hardware& hardware, const ProblemNetwork& network,
                        std::vector<std::int64_t>& all_entries) {
  const std::vector<double> buffers = buffers_of(hardware, problem.buffers());
  std::vector<Exchange> exchanges;
  std::vector<std::int64_t> entries;
  double energy = 0, cycles = 0;
  for (std::size_t l = network.begin; l < network.end; ++l) {
    const auto count = static_cast<double>(problem.workload.layers[l].count);
    const Tensor fitting = fits(frontiers[l].numbers, buffers).contiguous();
    const Tensor energies = energy_at(frontiers[l].numbers, buffers).contiguous();
    const Tensor latencies = frontiers[l].numbers.select(1, Frontier::kCycles).contiguous();
    std::vector<Point> points;
    for (std::int64_t i = 0; i < fitting.size(0); ++i) {
      if (fitting.data_ptr<bool>()[i])
        points.push_back(
            {latencies.data_ptr<double>()[i] * count, energies.data_ptr<double>()[i] * count, i});
    }
    if (points.empty()) return kInfinity;
    const std::vector<Point> hull = hull_of(std::move(points));
    double before = -kInfinity;  // the slopes of a layer rise, whatever rounding does to them
    for (std::size_t i = 1; i < hull.size(); ++i) {
      before =
          std::max(before, (hull[i].energy - hull[i - 1].energy) / (hull[i].cycles - hull[i - 1].cycles));
      exchanges.push_back({before, l - network.begin, hull[i - 1], hull[i]});
    }
    entries.push_back(hull.front().entry);
    energy += hull.front().energy;
    cycles += hull.front().cycles;
  }
  // From the lowest latency to the lowest energy, the exchange that saves most energy a cycle first.
  std::stable_sort(exchanges.begin(), exchanges.end(),
                   [](const Exchange& x, const Exchange& y) { return x.slope < y.slope; });
  double log_objective = kInfinity;
  std::vector<std::int64_t> best;
  const auto look = [&] {
    const double value = problem.objective.log_value(energy * 1e-6, cycles);
    if (!(value < log_objective)) return;
    log_objective = value;
    best = entries;
  };
  look();
  for (const Exchange& exchange : exchanges) {
    energy += exchange.to.energy - exchange.from.energy;
    cycles += exchange.to.cycles - exchange.from.cycles;
    entries[exchange.layer] = exchange.to.entry;
    look();
  }
  all_entries.insert(all_entries.end(), best.begin(), best.end());
  return log_objective;
}

// How often no_slower tries, and what it makes of the objective for the next time.
constexpr int kSlowAttempts = 12;
void count_latency_more(SearchProblem& problem) {
  problem.objective.latency = std::max(0.25, 2 * problem.objective.latency);
}

/// What `find` finds of a problem, no network slower in expectation than the space allows if that can be had:
/// where the objective would trade latency away, latency counts more and more. log_objective is by the
/// problem's own objective in any case.
Choice no_slower(const SearchProblem& problem, const SearchSpace& space,
                 const std::function<Choice(const SearchProblem& asked)>& find) {
  SearchProblem asked = problem;
  Choice best = find(asked);
  for (int attempt = 0; attempt < kSlowAttempts && !best.entry.empty(); ++attempt) {
    if (is_fast(space, best.sums)) break;
    count_latency_more(asked);
    best = find(asked);
  }
  if (!best.entry.empty()) best.log_objective = problem.log_value(best.sums);
  return best;
}

/// The best entries on given hardware, latency counting more only for the networks that would be too slow.
Choice best_entries_no_slower(const SearchProblem& problem, const SearchSpace& space,
                              const std::vector<Frontier>& frontiers, const Hardware& hardware) {
  Choice choice = best_entries(problem, frontiers, hardware);
  if (choice.entry.empty()) return choice;
  const std::vector<ProblemNetwork> networks = problem.networks();
  SearchProblem asked = problem;
  const auto is_slow = [&](std::size_t n) {
    return choice.sums[n].expected_cycles > space.most_cycles(n) * (1 + kRounding);
  };
  for (int attempt = 0; attempt < kSlowAttempts && !is_fast(space, choice.sums); ++attempt) {
    count_latency_more(asked);
    const Choice faster = best_entries(asked, frontiers, hardware);
    for (std::size_t n = 0; n < networks.size(); ++n) {
      if (!is_slow(n)) continue;
      std::copy(faster.entry.begin() + static_cast<std::ptrdiff_t>(networks[n].begin),
                faster.entry.begin() + static_cast<std::ptrdiff_t>(networks[n].end),
                choice.entry.begin() + static_cast<std::ptrdiff_t>(networks[n].begin));
      choice.sums[n] = faster.sums[n];
    }
  }
  choice.log_objective = problem.log_value(choice.sums);
  return choice;
}

}  // namespace

bool is_fast(const SearchSpace& space, const std::vector<NetworkSums>& sums) {
  for (std::size_t n = 0; n < sums.size(); ++n) {
    if (sums[n].expected_cycles > space.most_cycles(n) * (1 + kRounding)) return false;
  }
  return true;
}

FrontierCosts costs_at(const Frontier& frontier, const Hardware& hardware) {
  const torch::InferenceMode no_gradients;
  const std::vector<double> buffers = buffers_of(hardware, frontier.buffers());
  const Tensor fitting = fits(frontier.numbers, buffers);
  return {energy_at(frontier.numbers, buffers).masked_select(fitting) * 1e-6,
          expected_of(frontier).masked_select(fitting)};
}

Choice best_entries(const SearchProblem& problem, const std::vector<Frontier>& frontiers,
                    const Hardware& hardware) {
  const torch::InferenceMode no_gradients;
  Choice best;
  best.hardware = hardware;
  if (!all_found(frontiers)) return best;
  std::vector<double> log_values;
  for (const ProblemNetwork& network : problem.networks()) {
    log_values.push_back(add_best_entries(problem, frontiers, hardware, network, best.entry));
    if (log_values.back() == kInfinity) {
      best.entry.clear();
      return best;
    }
  }
  best.log_objective = problem.joint().log_value(log_values);
  add_sums(problem, frontiers, best);
  return best;
}

Choice best_of_any(const SearchProblem& problem, const std::vector<Frontier>& frontiers, const Shape& shape,
                   const std::vector<Hardware>& starts, const std::function<bool()>& stop,
                   std::int64_t threads) {
  const torch::InferenceMode no_gradients;
  const Hardware largest = problem.with_shape(problem.bounds.max, shape);
  Choice best;
  best.hardware = largest;
  if (!all_found(frontiers)) return best;
  if (largest == problem.with_shape(problem.bounds.min, shape))
    return best_entries(problem, frontiers, largest);
  const FrontierTable all(problem, frontiers);
  const std::function<bool()> stopped = [&] { return stop && stop(); };
  std::vector<Hardware> from = starts;
  if (std::find(from.begin(), from.end(), largest) == from.end()) from.push_back(largest);
  best = best_of_searches(problem, all, largest, from, true, kInfinity, stopped, threads);
  if (best.entry.empty()) {
    // Tight sizes or a tight area: the least of every buffer that every layer has a schedule for.
    Hardware least = problem.bounds.min;
    for (const Frontier& frontier : frontiers) {
      for (std::size_t b = 0; b < problem.buffers(); ++b) {
        const std::int64_t need =
            std::llround(frontier.numbers.select(1, Frontier::need(b)).min().item<double>());
        problem.buffer(least, b) = std::max(problem.buffer(least, b), need);
      }
    }
    BufferSearch tight(problem, stopped, largest, kInfinity);
    tight.look(all, {least});
    tight.descend(all);
    best = tight.best;
  }
  if (best.entry.empty()) return best;
  const Choice exact = best_entries(problem, frontiers, best.hardware);
  if (exact.log_objective < best.log_objective) return exact;
  add_sums(problem, frontiers, best);
  return best;
}

Choice best_of_list(const SearchProblem& problem, const std::vector<Frontier>& frontiers,
                    const std::vector<Hardware>& hardware) {
  const torch::InferenceMode no_gradients;
  Choice best;
  if (hardware.empty()) return best;
  best.hardware = hardware.front();
  if (!all_found(frontiers)) return best;
  const FrontierTable table(problem, frontiers);
  const Hardware* at = nullptr;
  double least = kInfinity;
  for (const Hardware& sizes : hardware) {
    const double log_objective = table.best(buffers_of(sizes, problem.buffers())).log_objective;
    if (!(log_objective < least)) continue;
    least = log_objective;
    at = &sizes;
  }
  if (at == nullptr) return best;
  return best_entries(problem, frontiers, *at);
}

Choice best_buildable(const SearchProblem& problem, const SearchSpace& space,
                      const std::vector<Frontier>& frontiers, const Shape& shape,
                      const std::vector<Hardware>& starts, const std::function<bool()>& stop,
                      std::int64_t threads) {
  std::vector<Hardware> list = space.buildable(shape);
  if (list.empty()) return best_of_any(problem, frontiers, shape, starts, stop, threads);
  list.erase(std::remove_if(list.begin(), list.end(),
                            [&](const Hardware& sizes) {
                              return problem.machine().area_mm2(sizes) > problem.bounds.max_area_mm2;
                            }),
             list.end());
  return best_of_list(problem, frontiers, list);
}

Choice choose(const SearchProblem& problem, const SearchSpace& space, const std::vector<Frontier>& frontiers,
              const Shape& shape, const std::vector<Hardware>& starts, const std::function<bool()>& stop,
              std::int64_t threads) {
  const Choice best = no_slower(problem, space, [&](const SearchProblem& asked) {
    return best_buildable(asked, space, frontiers, shape, starts, stop, threads);
  });
  if (!problem.is_joint() || best.entry.empty()) return best;
  // Of several networks, those that are fast enough need not have counted latency more.
  const Choice again = best_entries_no_slower(problem, space, frontiers, best.hardware);
  const bool fast = is_fast(space, again.sums);
  return fast == is_fast(space, best.sums) ? (again.log_objective < best.log_objective ? again : best)
                                           : (fast ? again : best);
}

Choice smallest_within(const SearchProblem& problem, const SearchSpace& space,
                       const std::vector<Frontier>& frontiers, const Choice& from,
                       const ObjectiveLimits& limits, bool everywhere, const std::function<bool()>& stop,
                       std::int64_t threads) {
  const torch::InferenceMode no_gradients;
  const std::function<bool()> stopped = [&] { return stop && stop(); };
  const auto area = [&](const Hardware& hardware) { return problem.machine().area_mm2(hardware); };
  Choice smallest = from;
  const auto offer = [&](const Choice& choice) {
    const bool is_within = !choice.entry.empty() && choice.log_objective <= limits.counted &&
                           problem.log_value(choice.sums, true) <= limits.expected &&
                           (is_fast(space, choice.sums) || !is_fast(space, from.sums));
    if (is_within && area(choice.hardware) < area(smallest.hardware)) smallest = choice;
    return is_within;
  };
  const Shape shape = problem.shape_of(from.hardware);
  std::vector<Hardware> list = space.buildable(shape);
  if (!list.empty()) {
    std::stable_sort(list.begin(), list.end(),
                     [&](const Hardware& a, const Hardware& b) { return area(a) < area(b); });
    for (const Hardware& hardware : list) {
      if (stopped() || area(hardware) >= area(from.hardware)) break;
      if (offer(best_entries_no_slower(problem, space, frontiers, hardware))) break;
    }
    return smallest;
  }
  if (problem.buffers() == 0) return smallest;
  Choice found = best_of_searches(problem, FrontierTable(problem, frontiers),
                                  problem.with_shape(problem.bounds.max, shape), {from.hardware}, everywhere,
                                  std::min(limits.counted, limits.expected), stopped, threads);
  if (found.entry.empty()) return smallest;
  add_sums(problem, frontiers, found);
  offer(found);
  offer(best_entries(problem, frontiers, found.hardware));
  return smallest;
}

Design to_design(const SearchProblem& problem, const SearchSpace& space,
                 const std::vector<Frontier>& frontiers, const Choice& choice) {
  Design design = problem.blank_design();
  design.hardware = choice.hardware;
  for (std::size_t l = 0; l < frontiers.size(); ++l)
    design.layers[l].schedule = space.schedule(l, frontiers[l].codes[choice.entry[l]]);
  evaluate(design, *problem.target);
  return design;
}

}  // namespace dosa
