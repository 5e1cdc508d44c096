#include "dosa/core/targets/mapping/mapper.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <tuple>

#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Nests that are evaluated before their mappings are first compared with the bounds of the others.
constexpr std::int64_t kFirstBatch = 64;

/// One way to spread a dimension over its slots.
using Split = std::vector<std::int64_t>;

std::vector<std::int64_t> divisors_of(std::int64_t number) {
  std::vector<std::int64_t> low, high;
  for (std::int64_t d = 1; d * d <= number; ++d) {
    if (number % d != 0) continue;
    low.push_back(d);
    if (d != number / d) high.push_back(number / d);
  }
  low.insert(low.end(), high.rbegin(), high.rend());
  return low;
}

/// All splits of `size` over the slots of one dimension. The first temporal slot and a spatial slot share
/// what the others leave: the spatial one takes its largest divisor up to `pe_dim`. `all` counts the splits
/// with smaller ones too.
std::vector<Split> splits_of(std::int64_t size, const std::vector<Slot>& slots, std::int64_t pe_dim,
                             double& all) {
  const auto spatial =
      std::find_if(slots.begin(), slots.end(), [](const Slot& s) { return s.spatial; }) - slots.begin();
  std::vector<Split> splits;
  Split split(slots.size(), 1);
  all = 0;
  const std::function<void(std::size_t, std::int64_t)> place = [&](std::size_t slot, std::int64_t left) {
    if (slot == slots.size()) {
      split[0] = left;
      if (spatial < static_cast<std::ptrdiff_t>(slots.size())) {
        const std::vector<std::int64_t> divisors = divisors_of(left);
        const auto beyond = std::upper_bound(divisors.begin(), divisors.end(), pe_dim);
        const std::int64_t largest = *(beyond - 1);
        split[static_cast<std::size_t>(spatial)] = largest;
        split[0] = left / largest;
        all += static_cast<double>(beyond - divisors.begin());
      } else {
        ++all;
      }
      splits.push_back(split);
      return;
    }
    if (static_cast<std::ptrdiff_t>(slot) == spatial) return place(slot + 1, left);
    for (const std::int64_t factor : divisors_of(left)) {
      split[slot] = factor;
      place(slot + 1, left / factor);
    }
  };
  place(1, size);
  return splits;
}

/// Keeps the `count` splits nearest to the wanted log factors.
void keep_nearest(std::vector<Split>& splits, const std::vector<double>& wanted, std::size_t count) {
  const auto distance = [&](const Split& split) {
    double sum = 0;
    for (std::size_t i = 0; i < split.size(); ++i) {
      const double difference = std::log(static_cast<double>(split[i])) - wanted[i];
      sum += difference * difference;
    }
    return sum;
  };
  std::stable_sort(splits.begin(), splits.end(),
                   [&](const Split& a, const Split& b) { return distance(a) < distance(b); });
  splits.resize(std::min(splits.size(), count));
}

}  // namespace

namespace {

/// Rows of numbers, none of which matches or beats another one in every column.
class Front {
 public:
  explicit Front(std::int64_t columns) : columns_(static_cast<std::size_t>(columns)) {}

  /// Whether one of the rows is nowhere above this one; most rows fall to one of the first few.
  bool beats(const double* row) {
    for (std::size_t by = 0; by < rows_.size(); ++by) {
      std::size_t c = 0;
      while (c < columns_ && rows_[by][c] <= row[c]) ++c;
      if (c < columns_) continue;
      // The row that beat this one will beat others: move it a step towards the front.
      std::swap(rows_[by], rows_[by / 2]);
      return true;
    }
    return false;
  }
  /// `row` must outlive the front.
  void add(const double* row) { rows_.push_back(row); }

 private:
  std::size_t columns_;
  std::vector<const double*> rows_;
};

/// Sums of logarithms of the rows: what beats a row is never above it.
Tensor sum_of_logs(const Tensor& numbers) { return (numbers + 1e-9).log().sum(1); }

/// Indices of the rows of `numbers` [n, columns] that no row of `front` [m, columns] matches or beats in
/// every column.
Tensor unbeaten(const Tensor& numbers, const Tensor& front) {
  const std::int64_t columns = numbers.size(1);
  const Tensor order = sum_of_logs(front).argsort();
  const Tensor own = numbers.contiguous(), sorted = front.index_select(0, order).contiguous();
  Front by(columns);
  for (std::int64_t i = 0; i < sorted.size(0); ++i) by.add(sorted.data_ptr<double>() + i * columns);
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < own.size(0); ++i) {
    if (!by.beats(own.data_ptr<double>() + i * columns)) indices.push_back(i);
  }
  return torch::tensor(indices, torch::kInt64);
}

}  // namespace

// A scan in the order of the sums of logarithms: a row can only be beaten by an earlier one.
Tensor undominated(const Tensor& numbers) {
  const std::int64_t columns = numbers.size(1);
  const Tensor order = std::get<1>(sum_of_logs(numbers).sort(/*stable=*/true, 0, /*descending=*/false));
  const Tensor sorted = numbers.index_select(0, order).contiguous();
  Front front(columns);
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < sorted.size(0); ++i) {
    const double* row = sorted.data_ptr<double>() + i * columns;
    if (front.beats(row)) continue;
    front.add(row);
    indices.push_back(i);
  }
  return order.index_select(0, torch::tensor(indices, torch::kInt64));
}

Tensor energy_at(const Tensor& numbers, double scratchpad_kib, double accumulator_kib) {
  return numbers.select(1, Frontier::kEnergy) + numbers.select(1, Frontier::kPerScratchpad) * scratchpad_kib +
         numbers.select(1, Frontier::kPerAccumulator) * accumulator_kib;
}

namespace {

/// A range of buffer sizes in KiB.
struct Corners {
  double scratchpad_lo, scratchpad_hi, accumulator_lo, accumulator_hi;

  bool is_one_point() const { return scratchpad_lo == scratchpad_hi && accumulator_lo == accumulator_hi; }
  /// What decides which of two entries that fit into the range is at least as good everywhere in it: a row of
  /// `numbers` with no column above another one's fits wherever that one fits and takes no more cycles, and
  /// no more energy at the corners, hence anywhere, since energy is affine.
  Tensor columns(const Tensor& numbers) const {
    std::vector<Tensor> columns{numbers.select(1, Frontier::kCycles)};
    std::vector<double> scratchpads{scratchpad_hi}, accumulators{accumulator_hi};
    if (scratchpad_lo < scratchpad_hi) {
      columns.push_back(numbers.select(1, Frontier::kScratchpad).clamp_min(scratchpad_lo));
      scratchpads.push_back(scratchpad_lo);
    }
    if (accumulator_lo < accumulator_hi) {
      columns.push_back(numbers.select(1, Frontier::kAccumulator).clamp_min(accumulator_lo));
      accumulators.push_back(accumulator_lo);
    }
    for (const double s : scratchpads) {
      for (const double a : accumulators) columns.push_back(energy_at(numbers, s, a));
    }
    return torch::stack(columns, 1);
  }
};

}  // namespace

Mapper::Mapper(const SearchProblem& problem)
    : problem_(problem),
      model_(problem.machine, search_slots(problem.machine), search_orders(problem.machine), torch::kFloat64),
      bound_(problem.machine, search_slots(problem.machine), {search_orders(problem.machine).front()},
             torch::kFloat64) {}

Frontier Mapper::frontier(std::size_t layer, std::int64_t pe_dim, std::int64_t max_nests,
                          const std::function<bool()>& stop) const {
  const std::vector<Slot>& slots = model_.slots();
  const Tensor even = torch::zeros({static_cast<std::int64_t>(slots.size())}, torch::kFloat64);
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const auto places = std::count_if(slots.begin(), slots.end(),
                                      [&](const Slot& other) { return other.dim == slots[s].dim; });
    even[static_cast<std::int64_t>(s)] =
        std::log(static_cast<double>(problem_.workload.layers[layer][slots[s].dim])) /
        static_cast<double>(places);
  }
  return frontier(layer, pe_dim, even, max_nests, stop);
}

Frontier Mapper::frontier(std::size_t layer_index, std::int64_t pe_dim, const Tensor& centre,
                          std::int64_t max_nests, const std::function<bool()>& stop) const {
  const torch::InferenceMode no_gradients;
  const Layer& layer = problem_.workload.layers[layer_index];
  const auto slot_count = static_cast<std::int64_t>(model_.slots().size());
  Frontier frontier;
  if (!problem_.has_room_for(pe_dim)) return frontier;

  // The choices of every dimension, and which slots they fill.
  std::vector<std::vector<Split>> splits;
  std::vector<std::vector<std::int64_t>> places;
  frontier.space = 1;
  for (const Dim dim : all_dims()) {
    std::vector<Slot> own;
    places.emplace_back();
    for (std::int64_t s = 0; s < slot_count; ++s) {
      if (model_.slots()[static_cast<std::size_t>(s)].dim != dim) continue;
      own.push_back(model_.slots()[static_cast<std::size_t>(s)]);
      places.back().push_back(s);
    }
    double all = 0;
    splits.push_back(splits_of(layer[dim], own, pe_dim, all));
    frontier.space *= all;
  }
  const auto nest_count = [&] {
    double product = 1;
    for (const auto& choices : splits) product *= static_cast<double>(choices.size());
    return product;
  };
  frontier.candidates = nest_count();
  while (nest_count() > static_cast<double>(max_nests)) {
    frontier.complete = false;
    const auto widest = std::max_element(splits.begin(), splits.end(),
                                         [](const auto& a, const auto& b) { return a.size() < b.size(); });
    std::vector<double> wanted;
    for (const std::int64_t s : places[static_cast<std::size_t>(widest - splits.begin())])
      wanted.push_back(centre[s].item<double>());
    keep_nearest(*widest, wanted, widest->size() - 1);
  }

  // Each choice as a row of log factors over all slots; a nest is the sum of one row per dimension.
  std::vector<Tensor> rows;
  for (std::size_t d = 0; d < splits.size(); ++d) {
    const Tensor table =
        torch::zeros({static_cast<std::int64_t>(splits[d].size()), slot_count}, torch::kFloat64);
    auto table_a = table.accessor<double, 2>();
    for (std::size_t i = 0; i < splits[d].size(); ++i) {
      for (std::size_t j = 0; j < places[d].size(); ++j) {
        table_a[static_cast<std::int64_t>(i)][places[d][j]] = std::log(static_cast<double>(splits[d][i][j]));
      }
    }
    rows.push_back(table);
  }

  const LayerBatch batch = LayerBatch::from({layer}, torch::kFloat64);
  const Hardware most = problem_.largest_with(pe_dim);
  const Corners corners{
      static_cast<double>(problem_.bounds.min.scratchpad_kib), static_cast<double>(most.scratchpad_kib),
      static_cast<double>(problem_.bounds.min.accumulator_kib), static_cast<double>(most.accumulator_kib)};
  const Tensor array = torch::scalar_tensor(static_cast<double>(pe_dim), torch::kFloat64);
  const auto groups = static_cast<double>(layer.groups);
  const auto hardware = [&](double scratchpad, double accumulator) {
    return HardwareTensors{array, torch::scalar_tensor(scratchpad, torch::kFloat64),
                           torch::scalar_tensor(accumulator, torch::kFloat64)};
  };
  // Whole KiB that tiles of nests need, each [nests].
  const auto needs = [&](const Tensor& nests) {
    const Traffic tiles = model_.tiles({nests, {}}, batch, Sharpness{});
    Tensor scratchpad = torch::ones({nests.size(0)}, torch::kFloat64);
    Tensor accumulator = torch::ones({nests.size(0)}, torch::kFloat64);
    for (int level = 0; level <= problem_.machine.dram(); ++level) {
      const MemoryLevel& memory = problem_.machine.levels[static_cast<std::size_t>(level)];
      if (memory.sized_by == SizedBy::kNothing) continue;
      Tensor& field = memory.sized_by == SizedBy::kScratchpad ? scratchpad : accumulator;
      field = torch::maximum(field, tiles.need_kib(memory, level, array).squeeze(-1).ceil());
    }
    return std::pair{scratchpad, accumulator};
  };
  // Numbers of nests with these needs, [nests, orders, columns].
  const auto numbers_of = [&](const CostModel& model, const Tensor& nests,
                              const std::pair<Tensor, Tensor>& needed, const Sharpness& sharpness) {
    const Traffic traffic = model.traffic({nests, {}}, batch, sharpness);
    frontier.evaluated += nests.size(0) * model.order_count();
    const auto energy = [&](double scratchpad, double accumulator) {
      return model.cost(traffic, hardware(scratchpad, accumulator), sharpness).energy_pj;
    };
    const Cost none = model.cost(traffic, hardware(0, 0), sharpness);
    const Tensor shape = none.energy_pj;  // [nests, orders]
    return torch::stack({needed.first.unsqueeze(-1).expand_as(shape),
                         needed.second.unsqueeze(-1).expand_as(shape), none.cycles.expand_as(shape) * groups,
                         shape * groups, (energy(1, 0) - shape) * groups, (energy(0, 1) - shape) * groups},
                        -1);
  };
  // Evaluates nests with these needs and merges them into the frontier.
  const auto add = [&](const Tensor& nests, const Tensor& scratchpad, const Tensor& accumulator) {
    const Tensor numbers = numbers_of(model_, nests, {scratchpad, accumulator}, Sharpness{}).flatten(0, 1);
    const Tensor chosen = undominated(corners.columns(numbers));
    const auto append = [](Tensor& all, const Tensor& more) {
      all = all.defined() ? torch::cat({all, more}) : more;
    };
    append(frontier.numbers, numbers.index_select(0, chosen));
    append(frontier.log_factors, nests.index_select(0, chosen.div(model_.order_count(), "floor")));
    append(frontier.order, chosen.remainder(model_.order_count()));
    const Tensor kept = undominated(corners.columns(frontier.numbers));
    for (Tensor* field : {&frontier.numbers, &frontier.log_factors, &frontier.order})
      *field = field->index_select(0, kept);
  };
  // Best first: in the order of lower bounds, so that good mappings are known early, and what those beat
  // whatever its order is never evaluated. A little less than the bound, since it is rounded otherwise than
  // the exact numbers. Over a range of sizes there is nearly always one at which nothing beats the bound
  // (of ResNet-50's nests 97 % are evaluated all the same), so there it is not asked for.
  const auto evaluate_nests = [&](const Tensor& nests) {
    const auto needed = needs(nests);
    if (!corners.is_one_point()) return add(nests, needed.first, needed.second);
    const Tensor bounds =
        corners.columns(numbers_of(bound_, nests, needed, Sharpness::lower_bound()).flatten(0, 1)) *
        (1 - 1e-9);
    Tensor open = sum_of_logs(bounds).argsort();
    for (std::int64_t size = kFirstBatch; open.size(0) > 0; size *= 2) {
      if (frontier.numbers.defined()) {
        const Tensor left = unbeaten(bounds.index_select(0, open), corners.columns(frontier.numbers));
        frontier.beaten += static_cast<double>(open.size(0) - left.size(0));
        open = open.index_select(0, left);
      }
      const Tensor now = open.slice(0, 0, size);
      if (now.size(0) > 0) {
        add(nests.index_select(0, now), needed.first.index_select(0, now),
            needed.second.index_select(0, now));
      }
      open = open.slice(0, size);
    }
  };

  // Depth first, one dimension after the other, in batches. A partial nest has the dimensions to come at DRAM
  // alone, which needs the least; what is too large now stays too large.
  constexpr std::int64_t kChunk = 8192;
  std::vector<Tensor> waiting;
  std::int64_t waiting_rows = 0;
  bool stopped = false;
  const auto flush = [&] {
    if (waiting_rows == 0) return;
    evaluate_nests(torch::cat(waiting));
    waiting.clear();
    waiting_rows = 0;
    stopped = stop && stop();
  };
  const std::function<void(const Tensor&, std::size_t)> extend = [&](const Tensor& partial,
                                                                     std::size_t dims) {
    if (dims == 0) {
      waiting.push_back(partial);
      waiting_rows += partial.size(0);
      if (waiting_rows >= kChunk) flush();
      return;
    }
    const Tensor& table = rows[dims - 1];
    const std::int64_t choices = table.size(0);
    double completions = 1;  // of a nest of this dimension and those before
    for (std::size_t d = 0; d + 1 < dims; ++d) completions *= static_cast<double>(splits[d].size());
    const std::int64_t slice = std::max<std::int64_t>(1, kChunk / choices);
    for (std::int64_t begin = 0; begin < partial.size(0) && !stopped; begin += slice) {
      const Tensor part = partial.slice(0, begin, begin + slice);
      Tensor nests = (part.unsqueeze(1) + table).flatten(0, 1);
      const std::int64_t before = nests.size(0);
      const auto [scratchpad, accumulator] = needs(nests);
      const Tensor fits = (scratchpad <= corners.scratchpad_hi) & (accumulator <= corners.accumulator_hi);
      nests = nests.index_select(0, fits.nonzero().squeeze(-1));
      const double lost = static_cast<double>(before - nests.size(0)) * completions;
      frontier.over_capacity += lost;
      frontier.looked_at += lost;
      if (dims == 1) frontier.looked_at += static_cast<double>(nests.size(0));
      if (nests.size(0) > 0) extend(nests, dims - 1);
    }
  };
  extend(torch::zeros({1, slot_count}, torch::kFloat64), splits.size());
  if (stopped) {
    frontier.complete = false;
    frontier.looked_at -= static_cast<double>(waiting_rows);
  } else {
    flush();
  }
  return frontier;
}

namespace {

/// A range of hardware and of trade-offs between energy and latency.
struct Box {
  double scratchpad_lo, scratchpad_hi, accumulator_lo, accumulator_hi;
  double cycle_price_lo, cycle_price_hi;  // pJ per cycle at which the objective exchanges them
};

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

  /// Only the entries that can be chosen somewhere in the box: no other entry of the layer fits wherever it
  /// fits and is at least as good at all corners (what is affine is then at least as good everywhere inside).
  FrontierTable within(const Box& box) const {
    FrontierTable reduced = *this;
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const Tensor& own = layers_[l];
      std::vector<Tensor> columns{own.select(1, Frontier::kScratchpad).clamp_min(box.scratchpad_lo),
                                  own.select(1, Frontier::kAccumulator).clamp_min(box.accumulator_lo)};
      for (const double s : {box.scratchpad_lo, box.scratchpad_hi}) {
        for (const double a : {box.accumulator_lo, box.accumulator_hi}) {
          for (const double price : {box.cycle_price_lo, box.cycle_price_hi}) {
            columns.push_back(energy_at(own, s, a) * objective_.energy +
                              own.select(1, Frontier::kCycles) * price);
          }
        }
      }
      const Tensor fits =
          ((columns[0] <= box.scratchpad_hi) & (columns[1] <= box.accumulator_hi)).nonzero().squeeze(-1);
      const Tensor kept = fits.index_select(0, undominated(torch::stack(columns, 1).index_select(0, fits)));
      reduced.layers_[l] = own.index_select(0, kept);
      reduced.index_[l] = index_[l].index_select(0, kept);
    }
    reduced.pad();
    return reduced;
  }

  struct Choice {
    Tensor entries;                     // [hardware, layers], rows of the padded table
    Tensor log_objective;               // [hardware], infinity where a layer does not fit
    Tensor total_energy, total_cycles;  // [hardware], pJ and cycles of `entries`
  };

  /// The best entries for each of a batch of buffer sizes [hardware], by fixed-point iteration: the logarithm
  /// of the objective is concave in the totals, so an exchange that lowers its linearisation lowers it.
  Choice choose(const Tensor& scratchpad_kib, const Tensor& accumulator_kib) const {
    const Tensor s = scratchpad_kib.view({-1, 1, 1});
    const Tensor a = accumulator_kib.view({-1, 1, 1});
    const Tensor fits = (numbers_[Frontier::kScratchpad] <= s) & (numbers_[Frontier::kAccumulator] <= a);
    const Tensor infinity = torch::full({1}, kInfinity, torch::kFloat64);
    const Tensor energy = torch::where(fits,
                                       numbers_[Frontier::kEnergy] + s * numbers_[Frontier::kPerScratchpad] +
                                           a * numbers_[Frontier::kPerAccumulator],
                                       infinity);
    const Tensor cycles = torch::where(fits, numbers_[Frontier::kCycles], infinity);
    Choice choice;
    choice.log_objective = torch::full({s.size(0)}, kInfinity, torch::kFloat64);
    // First by each layer's own objective, then by the linearised total.
    const auto of_fitting = [&](const Tensor& values) { return torch::where(fits, values, infinity); };
    Tensor score = of_fitting(energy.log() * objective_.energy + cycles.log() * objective_.latency);
    for (int round = 0; round < 12; ++round) {
      const Tensor entries = score.argmin(-1, true);
      const Tensor total_energy = (energy.gather(-1, entries).squeeze(-1) * repetitions_).sum(-1);
      const Tensor total_cycles = (cycles.gather(-1, entries).squeeze(-1) * repetitions_).sum(-1);
      const Tensor value =
          objective_.log_value(total_energy * 1e-6, total_cycles).nan_to_num(kInfinity, kInfinity);
      const Tensor better = value < choice.log_objective;
      if (round == 0) {
        choice = {entries.squeeze(-1), value, total_energy, total_cycles};
      } else {
        if (!better.any().item<bool>()) break;
        choice = {torch::where(better.unsqueeze(-1), entries.squeeze(-1), choice.entries),
                  torch::where(better, value, choice.log_objective),
                  torch::where(better, total_energy, choice.total_energy),
                  torch::where(better, total_cycles, choice.total_cycles)};
      }
      score = of_fitting(energy * (objective_.energy / total_energy).view({-1, 1, 1}) +
                         cycles * (objective_.latency / total_cycles).view({-1, 1, 1}))
                  .nan_to_num(kInfinity, kInfinity, kInfinity);  // hardware on which some layer does not fit
    }
    return choice;
  }

  /// What chosen rows [layers] need of a buffer.
  std::int64_t need(const Tensor& entries, Frontier::Column column) const {
    return std::llround(numbers_[column].gather(-1, entries.unsqueeze(-1)).max().item<double>());
  }

  /// Chosen rows [layers] as indices into the layers' frontiers.
  std::vector<std::int64_t> frontier_entries(const Tensor& entries) const {
    std::vector<std::int64_t> result;
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      result.push_back(index_[l][entries[static_cast<std::int64_t>(l)]].item<std::int64_t>());
    }
    return result;
  }

 private:
  void pad() {
    std::int64_t widest = 1;
    for (const Tensor& own : layers_) widest = std::max(widest, own.size(0));
    numbers_ = torch::full({Frontier::kColumns, static_cast<std::int64_t>(layers_.size()), widest}, kInfinity,
                           torch::kFloat64);
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      numbers_.select(1, static_cast<std::int64_t>(l)).slice(1, 0, layers_[l].size(0)).copy_(layers_[l].t());
    }
  }

  Objective objective_;
  Tensor repetitions_;
  std::vector<Tensor> layers_;  // [entries, columns] each
  std::vector<Tensor> index_;   // [entries] each: rows of the layer's frontier
  Tensor numbers_;              // [columns, layers, widest]
};

/// A design under construction: the best seen so far, and how to look further.
struct BufferSearch {
  const SearchProblem& problem;
  const std::function<bool()>& stopped;
  IntegerDesign best;
  double energy_pj = 0, cycles = 0;

  using Sizes = std::vector<std::pair<std::int64_t, std::int64_t>>;

  /// Looks at pairs of buffer sizes; keeps the best, with hardware only as large as its entries need.
  bool look(const FrontierTable& table, const Sizes& sizes) {
    const HardwareBounds& bounds = problem.bounds;
    std::vector<double> s, a;
    for (const auto& [scratchpad, accumulator] : sizes) {
      const Hardware built = problem.within_area(
          {best.hardware.pe_dim, std::clamp(scratchpad, bounds.min.scratchpad_kib, bounds.max.scratchpad_kib),
           std::clamp(accumulator, bounds.min.accumulator_kib, bounds.max.accumulator_kib)});
      s.push_back(static_cast<double>(built.scratchpad_kib));
      a.push_back(static_cast<double>(built.accumulator_kib));
    }
    const auto choice = table.choose(torch::tensor(s, torch::kFloat64), torch::tensor(a, torch::kFloat64));
    const std::int64_t at = choice.log_objective.argmin().item<std::int64_t>();
    const double value = choice.log_objective[at].item<double>();
    if (!(value < best.log_objective - 1e-12)) return false;
    const Tensor entries = choice.entries[at];
    best.log_objective = value;
    best.entry = table.frontier_entries(entries);
    best.hardware.scratchpad_kib =
        std::max(bounds.min.scratchpad_kib, table.need(entries, Frontier::kScratchpad));
    best.hardware.accumulator_kib =
        std::max(bounds.min.accumulator_kib, table.need(entries, Frontier::kAccumulator));
    energy_pj = choice.total_energy[at].item<double>();
    cycles = choice.total_cycles[at].item<double>();
    return true;
  }

  /// Scores the best entries again at the sizes they need, which can be less than the sizes looked at.
  void shrink(const FrontierTable& table) {
    while (look(table, {{best.hardware.scratchpad_kib, best.hardware.accumulator_kib}})) {
    }
  }

  /// A grid over the box and then lines along each size and both, with finer and finer steps.
  void search(const FrontierTable& table, const Box& box) {
    constexpr int kGrid = 10;
    for (int i = 0; i <= kGrid && !stopped(); ++i) {
      Sizes row;
      for (int j = 0; j <= kGrid; ++j) {
        row.emplace_back(std::llround(box.scratchpad_lo *
                                      std::pow(box.scratchpad_hi / box.scratchpad_lo, 1.0 * i / kGrid)),
                         std::llround(box.accumulator_lo *
                                      std::pow(box.accumulator_hi / box.accumulator_lo, 1.0 * j / kGrid)));
      }
      look(table, row);
    }
    shrink(table);
    for (const double step : {1.03, 1.006}) {
      for (bool improved = true; improved && !stopped();) {
        improved = false;
        for (const auto& [along_s, along_a] :
             {std::pair{1, 0}, std::pair{0, 1}, std::pair{1, 1}, std::pair{1, -1}}) {
          Sizes line;
          for (int i = -12; i <= 12; ++i) {
            const auto moved = [&](std::int64_t size, int along) {
              const std::int64_t scaled = std::llround(static_cast<double>(size) * std::pow(step, i * along));
              return scaled == size ? size + i * along : scaled;
            };
            line.emplace_back(moved(best.hardware.scratchpad_kib, along_s),
                              moved(best.hardware.accumulator_kib, along_a));
          }
          improved = look(table, line) || improved;
        }
        shrink(table);
      }
    }
  }
};

}  // namespace

FrontierCosts costs_at(const Frontier& frontier, const Hardware& hardware) {
  const torch::InferenceMode no_gradients;
  const Tensor& numbers = frontier.numbers;
  const auto s = static_cast<double>(hardware.scratchpad_kib);
  const auto a = static_cast<double>(hardware.accumulator_kib);
  const Tensor fits =
      ((numbers.select(1, Frontier::kScratchpad) <= s) & (numbers.select(1, Frontier::kAccumulator) <= a));
  return {energy_at(numbers, s, a).masked_select(fits) * 1e-6,
          numbers.select(1, Frontier::kCycles).masked_select(fits)};
}

IntegerDesign best_entries(const SearchProblem& problem, const std::vector<Frontier>& frontiers,
                           const Hardware& hardware) {
  const torch::InferenceMode no_gradients;
  const auto s = static_cast<double>(hardware.scratchpad_kib);
  const auto a = static_cast<double>(hardware.accumulator_kib);
  IntegerDesign best{hardware, {}, kInfinity};
  struct Point {
    double cycles, energy;
    std::int64_t entry;
  };
  // An exchange of neighbours on a layer's hull: less energy for more cycles.
  struct Exchange {
    double slope;  // change of energy over change of cycles, below zero
    std::size_t layer;
    Point from, to;
  };
  std::vector<Exchange> exchanges;
  std::vector<std::int64_t> entries;
  double energy = 0, cycles = 0;
  for (std::size_t l = 0; l < frontiers.size(); ++l) {
    const Frontier& frontier = frontiers[l];
    if (!frontier.numbers.defined()) return best;
    const auto count = static_cast<double>(problem.workload.layers[l].count);
    const Tensor energies = energy_at(frontier.numbers, s, a).contiguous();
    const Tensor numbers = frontier.numbers.contiguous();
    const auto rows = numbers.accessor<double, 2>();
    const auto energies_a = energies.accessor<double, 1>();
    std::vector<Point> points;
    for (std::int64_t i = 0; i < numbers.size(0); ++i) {
      if (rows[i][Frontier::kScratchpad] <= s && rows[i][Frontier::kAccumulator] <= a)
        points.push_back({rows[i][Frontier::kCycles] * count, energies_a[i] * count, i});
    }
    if (points.empty()) return best;
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
    const double value =
        problem.objective.energy * std::log(energy * 1e-6) + problem.objective.latency * std::log(cycles);
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
  return best;
}

IntegerDesign best_design(const SearchProblem& problem, const std::vector<Frontier>& frontiers,
                          std::int64_t pe_dim, const std::vector<Hardware>& starts,
                          const std::function<bool()>& stop) {
  const torch::InferenceMode no_gradients;
  Hardware largest = problem.bounds.max;
  largest.pe_dim = pe_dim;
  IntegerDesign best{largest, {}, kInfinity};
  for (const Frontier& frontier : frontiers) {
    if (!frontier.numbers.defined()) return best;
  }
  const FrontierTable all(problem, frontiers);
  const HardwareBounds& bounds = problem.bounds;

  const std::function<bool()> stopped = [&] { return stop && stop(); };

  // From every start, search a box around the best as long as that moves it.
  const auto descend = [&](BufferSearch search) {
    for (int round = 0; round < 20 && !search.best.entry.empty() && !stopped(); ++round) {
      const Hardware centre = search.best.hardware;
      const double before = search.best.log_objective;
      const auto range = [](std::int64_t size, std::int64_t min, std::int64_t max) {
        return std::pair(std::max(static_cast<double>(min), static_cast<double>(size) / 1.6),
                         std::min(static_cast<double>(max), static_cast<double>(size) * 1.6));
      };
      const auto [s_lo, s_hi] =
          range(centre.scratchpad_kib, bounds.min.scratchpad_kib, bounds.max.scratchpad_kib);
      const auto [a_lo, a_hi] =
          range(centre.accumulator_kib, bounds.min.accumulator_kib, bounds.max.accumulator_kib);
      const double price = problem.objective.latency * search.energy_pj / search.cycles;
      const Box box{s_lo, s_hi, a_lo, a_hi, price / 1.25, price * 1.25};
      search.search(all.within(box), box);
      if (search.best.log_objective > before - 1e-9) break;
    }
    if (search.best.log_objective < best.log_objective) best = search.best;
  };
  std::vector<Hardware> from = starts;
  from.push_back(largest);
  for (const Hardware& start : from) {
    if (stopped()) return best;
    BufferSearch search{problem, stopped, {largest, {}, kInfinity}};
    search.look(all, {{start.scratchpad_kib, start.accumulator_kib}});
    descend(search);
  }
  // And from the best of a coarse grid: the objective has several valleys.
  BufferSearch search{problem, stopped, {largest, {}, kInfinity}};
  for (double s = static_cast<double>(bounds.min.scratchpad_kib);
       s <= static_cast<double>(bounds.max.scratchpad_kib) && !stopped(); s *= 1.5) {
    BufferSearch::Sizes row;
    for (double a = static_cast<double>(bounds.min.accumulator_kib);
         a <= static_cast<double>(bounds.max.accumulator_kib); a *= 1.5) {
      row.emplace_back(std::llround(s), std::llround(a));
    }
    search.look(all, row);
  }
  descend(search);
  if (best.entry.empty()) {
    // Tight sizes or a tight area: the least of both buffers that every layer has a mapping for.
    Hardware least = bounds.min;
    for (const Frontier& frontier : frontiers) {
      const auto size = [&](Frontier::Column column) {
        return std::llround(frontier.numbers.select(1, column).min().item<double>());
      };
      least.scratchpad_kib = std::max<std::int64_t>(least.scratchpad_kib, size(Frontier::kScratchpad));
      least.accumulator_kib = std::max<std::int64_t>(least.accumulator_kib, size(Frontier::kAccumulator));
    }
    BufferSearch tight{problem, stopped, {largest, {}, kInfinity}};
    tight.look(all, {{least.scratchpad_kib, least.accumulator_kib}});
    descend(tight);
  }
  if (best.entry.empty()) return best;
  const IntegerDesign exact = best_entries(problem, frontiers, best.hardware);
  return exact.log_objective < best.log_objective ? exact : best;
}

IntegerDesign best_design_among(const SearchProblem& problem, const std::vector<Frontier>& frontiers,
                                const std::vector<Hardware>& hardware) {
  const torch::InferenceMode no_gradients;
  IntegerDesign best{hardware.front(), {}, kInfinity};
  for (const Frontier& frontier : frontiers) {
    if (!frontier.numbers.defined()) return best;
  }
  std::vector<double> scratchpads, accumulators;
  for (const Hardware& sizes : hardware) {
    scratchpads.push_back(static_cast<double>(sizes.scratchpad_kib));
    accumulators.push_back(static_cast<double>(sizes.accumulator_kib));
  }
  const FrontierTable table(problem, frontiers);
  const auto choice =
      table.choose(torch::tensor(scratchpads, torch::kFloat64), torch::tensor(accumulators, torch::kFloat64));
  const std::int64_t at = choice.log_objective.argmin().item<std::int64_t>();
  best.log_objective = choice.log_objective[at].item<double>();
  if (best.log_objective == kInfinity) return best;
  best.hardware = hardware[static_cast<std::size_t>(at)];
  best.entry = table.frontier_entries(choice.entries[at]);
  return best;
}

Design to_design(const SearchProblem& problem, const Mapper& mapper, const std::vector<Frontier>& frontiers,
                 const IntegerDesign& integer) {
  Design design;
  design.workload = problem.workload.name;
  design.target = problem.machine.name;
  design.objective = problem.objective.name;
  design.hardware = integer.hardware;
  for (std::size_t l = 0; l < frontiers.size(); ++l) {
    DesignLayer entry;
    entry.layer = problem.workload.layers[l];
    entry.mapping = mapper.model().mapping_of(frontiers[l].log_factors[integer.entry[l]],
                                              frontiers[l].order[integer.entry[l]].item<std::int64_t>());
    design.layers.push_back(std::move(entry));
  }
  evaluate(design, problem.machine);
  return design;
}

}  // namespace dosa
