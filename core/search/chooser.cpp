#include "dosa/core/search/chooser.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "dosa/models/base/math.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using torch::Tensor;

bool all_found(const std::vector<Frontier>& frontiers) {
  return std::all_of(frontiers.begin(), frontiers.end(),
                     [](const Frontier& frontier) { return frontier.numbers.defined(); });
}

Tensor expected_of(const Frontier& frontier) {
  return frontier.expected_cycles.defined() ? frontier.expected_cycles
                                            : frontier.numbers.select(1, Frontier::kCycles);
}

/// The frontiers of all layers as one padded table, and the choice of entries for batches of buffer sizes.
class FrontierTable {
 public:
  FrontierTable(const SearchProblem& problem, const std::vector<Frontier>& frontiers)
      : objective_(problem.objective) {
    std::vector<double> counts;
    for (const Layer& layer : problem.workload.layers) counts.push_back(static_cast<double>(layer.count));
    repetitions_ = torch::tensor(counts, torch::kFloat64);
    for (const Frontier& frontier : frontiers) {
      layers_.push_back(frontier.numbers);
      index_.push_back(torch::arange(frontier.numbers.size(0)));
    }
    pad();
  }

  /// Only the entries that can be chosen somewhere in a range of hardware and of prices of a cycle in pJ: no
  /// other entry of the layer fits wherever it fits and is at least as good at all corners (what is affine is
  /// then at least as good everywhere inside).
  FrontierTable within(const BufferRange& range, const std::array<double, 2>& prices) const {
    FrontierTable reduced = *this;
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const Tensor& own = layers_[l];
      std::vector<Tensor> columns;
      for (std::size_t b = 0; b < kBuffers; ++b)
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
      reduced.layers_[l] = own.index_select(0, kept);
      reduced.index_[l] = index_[l].index_select(0, kept);
    }
    reduced.pad();
    return reduced;
  }

  struct Best {
    Tensor entries;                     // [hardware, layers], rows of the padded table
    Tensor log_objective;               // [hardware], infinity where a layer does not fit
    Tensor total_energy, total_cycles;  // [hardware], pJ and cycles of `entries`
  };

  /// The best entries for each of a batch of buffer sizes [hardware, buffers], by fixed-point iteration: the
  /// logarithm of the objective is concave in the totals, so an exchange that lowers its linearisation lowers
  /// it.
  Best best(const Tensor& buffers) const {
    Tensor fitting, energy = numbers_[Frontier::kEnergy];
    for (std::size_t b = 0; b < kBuffers; ++b) {
      const Tensor size = buffers.select(1, static_cast<std::int64_t>(b)).view({-1, 1, 1});
      const Tensor fit = numbers_[Frontier::need(b)] <= size;
      fitting = fitting.defined() ? fitting & fit : fit;
      energy = energy + size * numbers_[Frontier::slope(b)];
    }
    const Tensor infinity = torch::full({1}, kInfinity, torch::kFloat64);
    const auto of_fitting = [&](const Tensor& values) { return torch::where(fitting, values, infinity); };
    energy = of_fitting(energy);
    const Tensor cycles = of_fitting(numbers_[Frontier::kCycles]);
    Best best;
    // First by each layer's own objective, then by the linearised total.
    Tensor score = of_fitting(objective_.log_value(energy, cycles));
    for (int round = 0; round < 12; ++round) {
      const Tensor entries = score.argmin(-1, true);
      const Tensor total_energy = (energy.gather(-1, entries).squeeze(-1) * repetitions_).sum(-1);
      const Tensor total_cycles = (cycles.gather(-1, entries).squeeze(-1) * repetitions_).sum(-1);
      const Tensor value =
          objective_.log_value(total_energy * 1e-6, total_cycles).nan_to_num(kInfinity, kInfinity);
      if (round == 0) {
        best = {entries.squeeze(-1), value, total_energy, total_cycles};
      } else {
        const Tensor better = value < best.log_objective;
        if (!better.any().item<bool>()) break;
        best = {torch::where(better.unsqueeze(-1), entries.squeeze(-1), best.entries),
                torch::where(better, value, best.log_objective),
                torch::where(better, total_energy, best.total_energy),
                torch::where(better, total_cycles, best.total_cycles)};
      }
      score = of_fitting(energy * (objective_.energy / total_energy).view({-1, 1, 1}) +
                         cycles * (objective_.latency / total_cycles).view({-1, 1, 1}))
                  .nan_to_num(kInfinity, kInfinity, kInfinity);  // hardware on which some layer does not fit
    }
    return best;
  }

  /// What chosen rows [layers] need of a buffer.
  std::int64_t need(const Tensor& entries, std::size_t b) const {
    return std::llround(numbers_[Frontier::need(b)].gather(-1, entries.unsqueeze(-1)).max().item<double>());
  }

  /// Chosen rows [layers] as indices into the layers' frontiers.
  std::vector<std::int64_t> frontier_entries(const Tensor& entries) const {
    std::vector<std::int64_t> result;
    for (std::size_t l = 0; l < layers_.size(); ++l)
      result.push_back(index_[l][entries[static_cast<std::int64_t>(l)]].item<std::int64_t>());
    return result;
  }

 private:
  void pad() {
    std::int64_t widest = 1;
    for (const Tensor& own : layers_) widest = std::max(widest, own.size(0));
    numbers_ = torch::full({Frontier::kColumns, static_cast<std::int64_t>(layers_.size()), widest}, kInfinity,
                           torch::kFloat64);
    for (std::size_t l = 0; l < layers_.size(); ++l)
      numbers_.select(1, static_cast<std::int64_t>(l)).slice(1, 0, layers_[l].size(0)).copy_(layers_[l].t());
  }

  Objective objective_;
  Tensor repetitions_;
  std::vector<Tensor> layers_;  // [entries, columns] each
  std::vector<Tensor> index_;   // [entries] each: rows of the layer's frontier
  Tensor numbers_;              // [columns, layers, widest]
};

Tensor table_of(const std::vector<Hardware>& hardware) {
  std::vector<double> values;
  for (const Hardware& sizes : hardware) {
    const std::vector<double> buffers = buffers_of(sizes);
    values.insert(values.end(), buffers.begin(), buffers.end());
  }
  return torch::tensor(values, torch::kFloat64).view({-1, static_cast<std::int64_t>(kBuffers)});
}

/// A design under construction: the best seen so far, and how to look further.
class BufferSearch {
 public:
  BufferSearch(const SearchProblem& problem, const std::function<bool()>& stopped, const Hardware& largest)
      : problem_(problem), stopped_(stopped) {
    best.hardware = largest;
  }

  Choice best;

  /// Looks at buffer sizes; keeps the best, with hardware only as large as its entries need.
  bool look(const FrontierTable& table, std::vector<Hardware> sizes) {
    const HardwareBounds& bounds = problem_.bounds;
    for (Hardware& hardware : sizes) {
      hardware.pe_dim = best.hardware.pe_dim;
      for (std::size_t b = 0; b < kBuffers; ++b)
        buffer(hardware, b) = std::clamp(buffer(hardware, b), buffer(bounds.min, b), buffer(bounds.max, b));
      hardware = problem_.within_area(hardware);
    }
    const FrontierTable::Best found = table.best(table_of(sizes));
    const std::int64_t at = found.log_objective.argmin().item<std::int64_t>();
    const double value = found.log_objective[at].item<double>();
    if (!(value < best.log_objective - 1e-12)) return false;
    const Tensor entries = found.entries[at];
    best.log_objective = value;
    best.entry = table.frontier_entries(entries);
    for (std::size_t b = 0; b < kBuffers; ++b)
      buffer(best.hardware, b) = std::max(buffer(bounds.min, b), table.need(entries, b));
    best.energy_pj = found.total_energy[at].item<double>();
    best.cycles = found.total_cycles[at].item<double>();
    return true;
  }

  /// From the best, searches a box around it as long as that moves it.
  void descend(const FrontierTable& all) {
    for (int round = 0; round < 20 && !best.entry.empty() && !stopped_(); ++round) {
      const double before = best.log_objective;
      BufferRange box;
      for (std::size_t b = 0; b < kBuffers; ++b) {
        const auto size = static_cast<double>(buffer(best.hardware, b));
        box.lo.push_back(std::max(static_cast<double>(buffer(problem_.bounds.min, b)), size / 1.6));
        box.hi.push_back(std::min(static_cast<double>(buffer(problem_.bounds.max, b)), size * 1.6));
      }
      const double price = problem_.objective.latency * best.energy_pj / best.cycles;
      const FrontierTable table = all.within(box, {price / 1.25, price * 1.25});
      look_at_grid(table, box);
      shrink(table);
      for (const double step : {1.03, 1.006}) look_along_lines(table, step);
      if (best.log_objective > before - 1e-9) break;
    }
  }

  /// All sizes from the least to the most, each 1.5 times the one before.
  void look_at_coarse_grid(const FrontierTable& table) {
    std::vector<std::vector<std::int64_t>> steps(kBuffers);
    for (std::size_t b = 0; b < kBuffers; ++b) {
      const auto most = static_cast<double>(buffer(problem_.bounds.max, b));
      for (auto s = static_cast<double>(buffer(problem_.bounds.min, b)); s <= most; s *= 1.5)
        steps[b].push_back(std::llround(s));
    }
    look_at_product(table, steps);
  }

 private:
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
      for (std::size_t b = 1; b < kBuffers; ++b) {
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
    constexpr int kGrid = 10;
    std::vector<std::vector<std::int64_t>> steps(kBuffers);
    for (std::size_t b = 0; b < kBuffers; ++b) {
      for (int i = 0; i <= kGrid; ++i)
        steps[b].push_back(std::llround(box.lo[b] * std::pow(box.hi[b] / box.lo[b], 1.0 * i / kGrid)));
    }
    look_at_product(table, steps);
  }

  /// Lines along every size and along every two, in the same and in opposite directions, as long as one
  /// helps.
  void look_along_lines(const FrontierTable& table, double step) {
    std::vector<std::array<int, kBuffers>> directions;
    for (std::size_t b = 0; b < kBuffers; ++b) {
      directions.emplace_back();
      directions.back()[b] = 1;
    }
    for (std::size_t b = 0; b < kBuffers; ++b) {
      for (std::size_t c = b + 1; c < kBuffers; ++c) {
        for (const int sign : {1, -1}) {
          directions.emplace_back();
          directions.back()[b] = 1;
          directions.back()[c] = sign;
        }
      }
    }
    for (bool improved = true; improved && !stopped_();) {
      improved = false;
      for (const std::array<int, kBuffers>& direction : directions) {
        std::vector<Hardware> line;
        for (int i = -12; i <= 12; ++i) {
          line.push_back(best.hardware);
          for (std::size_t b = 0; b < kBuffers; ++b) {
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

  const SearchProblem& problem_;
  const std::function<bool()>& stopped_;
};

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

void add_totals(const SearchProblem& problem, const std::vector<Frontier>& frontiers, Choice& choice) {
  choice.energy_pj = choice.cycles = choice.expected_cycles = 0;
  const std::vector<double> buffers = buffers_of(choice.hardware);
  for (std::size_t l = 0; l < choice.entry.size(); ++l) {
    const auto count = static_cast<double>(problem.workload.layers[l].count);
    const Tensor row = frontiers[l].numbers.narrow(0, choice.entry[l], 1);
    choice.energy_pj += count * energy_at(row, buffers).item<double>();
    choice.cycles += count * row.select(1, Frontier::kCycles).item<double>();
    choice.expected_cycles += count * expected_of(frontiers[l])[choice.entry[l]].item<double>();
  }
}

}  // namespace

FrontierCosts costs_at(const Frontier& frontier, const Hardware& hardware) {
  const torch::InferenceMode no_gradients;
  const std::vector<double> buffers = buffers_of(hardware);
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
  const std::vector<double> buffers = buffers_of(hardware);
  std::vector<Exchange> exchanges;
  std::vector<std::int64_t> entries;
  double energy = 0, cycles = 0;
  for (std::size_t l = 0; l < frontiers.size(); ++l) {
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
    if (points.empty()) return best;
    const std::vector<Point> hull = hull_of(std::move(points));
    double before = -kInfinity;  // the slopes of a layer rise, whatever rounding does to them
    for (std::size_t i = 1; i < hull.size(); ++i) {
      before =
          std::max(before, (hull[i].energy - hull[i - 1].energy) / (hull[i].cycles - hull[i - 1].cycles));
      exchanges.push_back({before, l, hull[i - 1], hull[i]});
    }
    entries.push_back(hull.front().entry);
    energy += hull.front().energy;
    cycles += hull.front().cycles;
  }
  // From the lowest latency to the lowest energy, the exchange that saves most energy a cycle first.
  std::stable_sort(exchanges.begin(), exchanges.end(),
                   [](const Exchange& x, const Exchange& y) { return x.slope < y.slope; });
  const auto look = [&] {
    const double value = problem.objective.log_value(energy * 1e-6, cycles);
    if (!(value < best.log_objective)) return;
    best.log_objective = value;
    best.entry = entries;
  };
  look();
  for (const Exchange& exchange : exchanges) {
    energy += exchange.to.energy - exchange.from.energy;
    cycles += exchange.to.cycles - exchange.from.cycles;
    entries[exchange.layer] = exchange.to.entry;
    look();
  }
  add_totals(problem, frontiers, best);
  return best;
}

Choice best_of_any(const SearchProblem& problem, const std::vector<Frontier>& frontiers, std::int64_t pe_dim,
                   const std::vector<Hardware>& starts, const std::function<bool()>& stop,
                   std::int64_t threads) {
  const torch::InferenceMode no_gradients;
  Hardware largest = problem.bounds.max;
  largest.pe_dim = pe_dim;
  Choice best;
  best.hardware = largest;
  if (!all_found(frontiers)) return best;
  const FrontierTable all(problem, frontiers);
  const std::function<bool()> stopped = [&] { return stop && stop(); };
  // From every start, from the largest buffers and, because the objective has several valleys, from the best
  // of a coarse grid.
  std::vector<Hardware> from = starts;
  if (std::find(from.begin(), from.end(), largest) == from.end()) from.push_back(largest);
  std::vector<BufferSearch> searches(from.size() + 1, BufferSearch(problem, stopped, largest));
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
  for (const BufferSearch& search : searches) {
    if (search.best.log_objective < best.log_objective) best = search.best;
  }
  if (best.entry.empty()) {
    // Tight sizes or a tight area: the least of every buffer that every layer has a schedule for.
    Hardware least = problem.bounds.min;
    for (const Frontier& frontier : frontiers) {
      for (std::size_t b = 0; b < kBuffers; ++b) {
        const std::int64_t need =
            std::llround(frontier.numbers.select(1, Frontier::need(b)).min().item<double>());
        buffer(least, b) = std::max(buffer(least, b), need);
      }
    }
    BufferSearch tight(problem, stopped, largest);
    tight.look(all, {least});
    tight.descend(all);
    best = tight.best;
  }
  if (best.entry.empty()) return best;
  const Choice exact = best_entries(problem, frontiers, best.hardware);
  if (exact.log_objective < best.log_objective) return exact;
  add_totals(problem, frontiers, best);
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
  const FrontierTable::Best found = table.best(table_of(hardware));
  const std::int64_t at = found.log_objective.argmin().item<std::int64_t>();
  if (found.log_objective[at].item<double>() == kInfinity) return best;
  return best_entries(problem, frontiers, hardware[static_cast<std::size_t>(at)]);
}

Choice best_buildable(const SearchProblem& problem, const SearchSpace& space,
                      const std::vector<Frontier>& frontiers, std::int64_t pe_dim,
                      const std::vector<Hardware>& starts, const std::function<bool()>& stop,
                      std::int64_t threads) {
  std::vector<Hardware> list = space.buildable(pe_dim);
  if (list.empty()) return best_of_any(problem, frontiers, pe_dim, starts, stop, threads);
  list.erase(std::remove_if(list.begin(), list.end(),
                            [&](const Hardware& sizes) {
                              return area_mm2(problem.machine().area, sizes) > problem.bounds.max_area_mm2;
                            }),
             list.end());
  return best_of_list(problem, frontiers, list);
}

Choice choose(const SearchProblem& problem, const SearchSpace& space, const std::vector<Frontier>& frontiers,
              std::int64_t pe_dim, const std::vector<Hardware>& starts, const std::function<bool()>& stop,
              std::int64_t threads) {
  SearchProblem asked = problem;
  const auto best_asked = [&] {
    return best_buildable(asked, space, frontiers, pe_dim, starts, stop, threads);
  };
  Choice best = best_asked();
  for (int attempt = 0; attempt < 12 && !best.entry.empty(); ++attempt) {
    if (best.expected_cycles <= space.most_cycles() * (1 + 1e-12)) break;
    asked.objective.latency = std::max(0.25, 2 * asked.objective.latency);
    best = best_asked();
  }
  if (!best.entry.empty())
    best.log_objective = problem.objective.log_value(best.energy_pj * 1e-6, best.cycles);
  return best;
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
