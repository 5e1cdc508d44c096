#include "dosa/core/targets/mapping/enumeration.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>

#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

using torch::Tensor;

// Nests that are evaluated before their mappings are first compared with the bounds of the others.
constexpr std::int64_t kFirstBatch = 64;
// Nests that are handled at a time.
constexpr std::int64_t kChunk = 4096;

// Padded nests that are enumerated: on fixed hardware, where bounds leave few of them to be evaluated, and
// where the hardware is searched. Those that are cut, which nothing bounds.
constexpr double kPaddedNests = 500'000, kPaddedNestsOfRange = 2'000, kCutNests = 20'000;
// How many splits of a dimension improve() tries with those of another one.
constexpr std::size_t kNeighbours = 8;

using Split = std::vector<std::int64_t>;

/// The numbers of equal parts that `size` can be cut into so that fewer parts of the same size do not
/// suffice, ascending: one for each size of a part.
std::vector<std::int64_t> parts_of(std::int64_t size) {
  std::vector<std::int64_t> parts;
  for (std::int64_t part = size; part > 0;) {
    parts.push_back(ceil_div(size, part));
    // The largest smaller part that needs more of them.
    part = (size - 1) / parts.back();
  }
  return parts;
}

/// How a tile of one dimension is run: some iterations of a loop around a spatial factor.
struct TileRun {
  std::int64_t iterations, spatial;
};

/// The ways to run a tile on `pe_dim` that no other one matches or beats in iterations and in padding, fewest
/// iterations first.
std::vector<TileRun> runs_of(std::int64_t tile, std::int64_t pe_dim) {
  std::vector<TileRun> runs;
  for (const std::int64_t iterations : parts_of(tile)) {
    const std::int64_t spatial = ceil_div(tile, iterations);
    if (spatial > pe_dim) continue;
    if (!runs.empty() && iterations * spatial >= runs.back().iterations * runs.back().spatial) continue;
    runs.push_back({iterations, spatial});
  }
  return runs;
}

/// Whether the divisors of a size leave a search little choice: no tile between one of them and eight times
/// it, or, where it can be spatial, an array that they fill by less than 90 % of what padding can.
bool divides_badly(std::int64_t size, std::int64_t pe_dim, bool is_spatial) {
  const std::vector<std::int64_t> divisors = divisors_of(size);
  for (std::size_t i = 1; i < divisors.size(); ++i) {
    if (divisors[i] > 8 * divisors[i - 1]) return true;
  }
  const std::int64_t largest = *(std::upper_bound(divisors.begin(), divisors.end(), pe_dim) - 1);
  return is_spatial && 10 * ceil_div(size, pe_dim) < 9 * (size / largest);
}

/// The splits of one dimension over its slots.
struct DimSplits {
  std::vector<Split> all;  ///< in none could a factor be smaller
  /// Of these, those that divide the dimension, with the largest spatial factors, and, where it divides
  /// badly, those that cut it into, or from, powers of two, with the fewest iterations around a spatial
  /// factor.
  std::vector<Split> main;
  double with_smaller_spatial = 0;  ///< number of `all` if no spatial factors were left out
};

/// Splits `size` over `slots`. The first temporal slot and a spatial slot share what the others leave.
DimSplits splits_of(std::int64_t size, const std::vector<Slot>& slots, std::int64_t pe_dim) {
  const auto spatial = static_cast<std::size_t>(
      std::find_if(slots.begin(), slots.end(), [](const Slot& s) { return s.spatial; }) - slots.begin());
  const bool is_shared = spatial < slots.size();
  const bool takes_cuts = divides_badly(size, pe_dim, is_shared);
  DimSplits splits;
  Split split(slots.size(), 1);
  // Whether no factor outside the tile could be smaller: a padded tile may leave less for them.
  const auto is_least = [&] {
    const std::int64_t product =
        std::accumulate(split.begin(), split.end(), std::int64_t{1}, std::multiplies<>());
    return std::all_of(split.begin(), split.end(),
                       [&](std::int64_t factor) { return product / factor * (factor - 1) < size; });
  };
  const auto place_tile = [&](std::int64_t tile, std::int64_t outside) {
    const bool is_cut = takes_cuts && (is_power_of_two(outside) || is_power_of_two(tile));
    bool first = true;
    for (const TileRun& run : is_shared ? runs_of(tile, pe_dim) : std::vector<TileRun>{{tile, 1}}) {
      split[0] = run.iterations;
      if (is_shared) split[spatial] = run.spatial;
      if (is_least()) splits.all.push_back(split);
      const bool divides = outside * run.iterations * run.spatial == size;
      if (divides || (first && is_cut)) splits.main.push_back(split);
      first = false;
    }
    for (const std::int64_t iterations : parts_of(tile)) {
      const std::int64_t side_by_side = is_shared ? ceil_div(tile, iterations) : 1;
      if (side_by_side > pe_dim) continue;
      split[0] = is_shared ? iterations : tile;
      if (is_shared) split[spatial] = side_by_side;
      if (is_least()) splits.with_smaller_spatial += 1;
      if (!is_shared) break;
    }
  };
  const std::function<void(std::size_t, std::int64_t, std::int64_t)> place =
      [&](std::size_t slot, std::int64_t left, std::int64_t outside) {
        if (slot == slots.size()) return place_tile(left, outside);
        if (slot == spatial) return place(slot + 1, left, outside);
        for (const std::int64_t factor : parts_of(left)) {
          split[slot] = factor;
          place(slot + 1, ceil_div(left, factor), outside * factor);
        }
      };
  place(1, size, 1);
  return splits;
}

/// The splits of one dimension whose loops are cut to its size: of every digit of its index, from the
/// innermost one, the smallest factor of those with as many blocks.
std::vector<Split> cut_splits_of(std::int64_t size, const std::vector<Slot>& slots, std::int64_t pe_dim) {
  std::vector<std::size_t> inside_out(slots.size());
  std::iota(inside_out.begin(), inside_out.end(), std::size_t{0});
  const auto place = [&](std::size_t s) { return std::pair{slots[s].level, !slots[s].spatial}; };
  std::sort(inside_out.begin(), inside_out.end(), [&](auto a, auto b) { return place(a) < place(b); });
  std::vector<Split> splits;
  Split split(slots.size(), 1);
  const std::function<void(std::size_t, std::int64_t)> fill = [&](std::size_t digit, std::int64_t left) {
    const std::size_t slot = inside_out[digit];
    const bool is_last = digit + 1 == slots.size();
    for (const std::int64_t blocks : is_last ? std::vector<std::int64_t>{1} : parts_of(left)) {
      split[slot] = ceil_div(left, blocks);
      if (slots[slot].spatial && split[slot] > pe_dim) continue;
      if (is_last) {
        splits.push_back(split);
      } else {
        fill(digit + 1, blocks);
      }
    }
  };
  fill(0, size);
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
                   [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  splits.resize(std::min(splits.size(), count));
}

}  // namespace

EnumerationModels::EnumerationModels(const ArrayMachine& machine)
    : all(machine, search_slots(machine), search_orders(machine), torch::kFloat64),
      bound(machine, search_slots(machine), {search_orders(machine).front()}, torch::kFloat64) {}

Enumeration::Enumeration(const SearchProblem& problem, const EnumerationModels& models, std::size_t layer,
                         std::int64_t pe_dim)
    : problem_(problem),
      models_(models),
      layer_index_(layer),
      layer_(problem.workload.layers[layer]),
      pe_dim_(pe_dim),
      batch_(LayerBatch::from({layer_}, torch::kFloat64)),
      range_(BufferRange::of(problem.bounds.min, problem.largest_with({pe_dim}), problem.buffers())) {
  std::vector<Splits> main;
  double padded_nests = 1;
  for (const Dim dim : all_dims()) {
    std::vector<Slot> own;
    std::vector<std::int64_t> indices;
    for (std::int64_t s = 0; s < slot_count(); ++s) {
      const Slot& slot = models.all.slots()[static_cast<std::size_t>(s)];
      if (slot.dim != dim) continue;
      own.push_back(slot);
      indices.push_back(s);
    }
    DimSplits splits = splits_of(layer_[dim], own, pe_dim);
    if (cuts()) {
      splits.all = cut_splits_of(layer_[dim], own, pe_dim);
      splits.with_smaller_spatial = static_cast<double>(splits.all.size());
    }
    padded_nests *= static_cast<double>(splits.all.size());
    const auto main_count = static_cast<double>(splits.main.size());
    main.push_back({std::move(splits.main), indices, main_count});
    padded_.push_back({std::move(splits.all), indices, splits.with_smaller_spatial});
  }
  if (cuts()) {
    for (const auto& [scratchpad, accumulator] : {std::pair{1, 1}, std::pair{2, 1}, std::pair{1, 2}}) {
      Chain chain = chain_of(array_machine(problem), {pe_dim, scratchpad, accumulator});
      for (ChainLevel& level : chain.levels) level.capacity_words.reset();
      cut_models_.emplace_back(chain, layer_, Remainders::kCut);
    }
  }
  const bool is_fixed = problem.bounds.min == problem.bounds.max;
  const bool all = padded_nests <= (!is_fixed ? kPaddedNestsOfRange : cuts() ? kCutNests : kPaddedNests);
  frontier_.reaches_beyond = !all;
  dims_ = all ? std::move(padded_) : std::move(main);
  if (!frontier_.reaches_beyond) padded_.clear();  // improve() has nothing to do
  frontier_.space = frontier_.candidates = 1;
  for (const Splits& splits : dims_) {
    frontier_.space *= splits.all;
    frontier_.candidates *= static_cast<double>(splits.choices.size());
  }
}

std::vector<double> Enumeration::wanted(const Splits& splits, Dim dim, const Tensor& near) const {
  std::vector<double> log_factors;
  for (const std::int64_t slot : splits.slots) {
    log_factors.push_back(near.defined() ? near[slot].item<double>()
                                         : std::log(static_cast<double>(layer_[dim])) /
                                               static_cast<double>(splits.slots.size()));
  }
  return log_factors;
}

Tensor Enumeration::table_of(const Splits& splits) const {
  const Tensor table =
      torch::zeros({static_cast<std::int64_t>(splits.choices.size()), slot_count()}, torch::kFloat64);
  auto cell = table.accessor<double, 2>();
  for (std::size_t i = 0; i < splits.choices.size(); ++i) {
    for (std::size_t j = 0; j < splits.slots.size(); ++j)
      cell[static_cast<std::int64_t>(i)][splits.slots[j]] =
          std::log(static_cast<double>(splits.choices[i][j]));
  }
  return table;
}

void Enumeration::look(const Tensor& near, std::int64_t limit, Allowance& allowance) {
  const torch::InferenceMode no_gradients;
  if (!problem_.has_room_for({pe_dim_})) return;
  // On fixed buffers every nest is evaluated once more, for the lower bound.
  const std::int64_t of_nest = models_.all.order_count() + (range_.is_one_point() && !cuts() ? 1 : 0);
  std::int64_t most = limit;
  if (allowance.evaluations != kNoLimit) most = std::min(limit, allowance.evaluations / of_nest);
  const Tensor own = near.defined() ? near[static_cast<std::int64_t>(layer_index_)] : near;
  std::vector<Splits> dims = dims_;
  const auto count = [&] {
    double product = 1;
    for (const Splits& splits : dims) product *= static_cast<double>(splits.choices.size());
    return product;
  };
  while (count() > static_cast<double>(std::max<std::int64_t>(most, 1))) {
    const auto widest = std::max_element(dims.begin(), dims.end(), [](const Splits& a, const Splits& b) {
      return a.choices.size() < b.choices.size();
    });
    keep_nearest(widest->choices, wanted(*widest, static_cast<Dim>(widest - dims.begin()), own),
                 widest->choices.size() - 1);
  }
  allowance.fell_short = most < limit && static_cast<double>(most) < frontier_.candidates;
  tables_.clear();
  for (const Splits& splits : dims) tables_.push_back(table_of(splits));
  stop_ = &allowance.stop;
  stopped_ = false;
  frontier_.looked_at = frontier_.over_capacity = frontier_.beaten = 0;
  const std::int64_t before = frontier_.evaluated;
  extend(torch::zeros({1, slot_count()}, torch::kFloat64), tables_.size());
  if (stopped_) {
    frontier_.looked_at -= static_cast<double>(waiting_rows_);
    waiting_.clear();
    waiting_rows_ = 0;
  } else {
    flush();
  }
  tables_.clear();
  frontier_.complete = !stopped_ && count() == frontier_.candidates;
  allowance.spend(frontier_.evaluated - before);
}

ChainNest Enumeration::plain(const double* log_factors, std::int64_t order) const {
  const std::vector<Slot>& slots = models_.all.slots();
  ChainNest nest;
  for (std::size_t s = 0; s < slots.size(); ++s) {
    nest.at(static_cast<std::size_t>(slots[s].level), slots[s].spatial ? LoopKind::kX : LoopKind::kTime,
            slots[s].dim) = std::round(std::exp(log_factors[s]));
  }
  const NestOrder& orders = models_.all.orders()[static_cast<std::size_t>(order)];
  for (std::size_t level = 0; level < orders.size(); ++level) {
    for (std::size_t i = 0; i < kDims; ++i)
      nest.order[level][i] = static_cast<std::uint8_t>(orders[level][i]);
  }
  return nest;
}

Tensor Enumeration::needs_of_cuts(const Tensor& nests) const {
  const ArrayMachine& machine = array_machine(problem_);
  const Tensor all = torch::ones({nests.size(0), static_cast<std::int64_t>(kArrayBuffers)}, torch::kFloat64);
  auto cell = all.accessor<double, 2>();
  const Tensor rows = nests.contiguous();
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    const ChainNest nest = plain(rows.data_ptr<double>() + i * slot_count(), 0);
    for (std::size_t level = 0; level < machine.levels.size(); ++level) {
      const MemoryLevel& memory = machine.levels[level];
      if (memory.sized_by == SizedBy::kNothing) continue;
      double& own = cell[i][memory.sized_by == SizedBy::kScratchpad ? 0 : 1];
      own = std::max(own, std::ceil(cut_models_.front().need_words(nest, level) *
                                    memory.instances.at(static_cast<double>(pe_dim_)) * memory.word_bits /
                                    8.0 / 1024.0));
    }
  }
  return all;
}

Tensor Enumeration::numbers_of_cuts(const Tensor& nests, const Tensor& needed) {
  const std::int64_t orders = models_.all.order_count();
  frontier_.evaluated += nests.size(0) * orders;
  const auto groups = static_cast<double>(layer_.groups);
  const Tensor all = torch::empty(
      {nests.size(0) * orders, Frontier::columns(static_cast<std::int64_t>(kArrayBuffers))}, torch::kFloat64);
  auto cell = all.accessor<double, 2>();
  auto need = needed.accessor<double, 2>();
  const Tensor rows = nests.contiguous();
  for (std::int64_t row = 0; row < all.size(0); ++row) {
    const ChainNest nest = plain(rows.data_ptr<double>() + row / orders * slot_count(), row % orders);
    const NestCost at_one = cut_models_[0].cost(nest);
    cell[row][Frontier::kCycles] = at_one.cycles * groups;
    double without = at_one.energy_pj;
    for (std::size_t b = 0; b < kArrayBuffers; ++b) {
      const double of_kib = cut_models_[1 + b].cost(nest).energy_pj - at_one.energy_pj;
      without -= of_kib;
      const auto column = static_cast<std::int64_t>(2 + 2 * b);
      cell[row][column] = need[row / orders][static_cast<std::int64_t>(b)];
      cell[row][column + 1] = of_kib * groups;
    }
    cell[row][Frontier::kEnergy] = without * groups;
  }
  return all;
}

Tensor Enumeration::needs(const Tensor& nests) const {
  if (cuts()) return needs_of_cuts(nests);
  const ArrayMachine& machine = array_machine(problem_);
  const Traffic tiles = models_.all.tiles({nests, {}}, batch_, Sharpness{});
  const Tensor array = torch::scalar_tensor(static_cast<double>(pe_dim_), torch::kFloat64);
  const Tensor all = torch::ones({nests.size(0), static_cast<std::int64_t>(kArrayBuffers)}, torch::kFloat64);
  for (int level = 0; level <= machine.dram(); ++level) {
    const MemoryLevel& memory = machine.levels[static_cast<std::size_t>(level)];
    if (memory.sized_by == SizedBy::kNothing) continue;
    Tensor own = all.select(1, memory.sized_by == SizedBy::kScratchpad ? 0 : 1);
    own.copy_(torch::maximum(own, tiles.need_kib(memory, level, array).squeeze(-1).ceil()));
  }
  return all;
}

Tensor Enumeration::numbers_of(const CostModel& model, const Tensor& nests, const Tensor& needed,
                               const Sharpness& sharpness) {
  const Traffic traffic = model.traffic({nests, {}}, batch_, sharpness);
  frontier_.evaluated += nests.size(0) * model.order_count();
  // Energy is linear in the sizes: without buffers first, then with 1 KiB of one at a time, in one broadcast.
  constexpr auto kSizes = static_cast<std::int64_t>(kArrayBuffers);
  const Tensor kib =
      torch::cat({torch::zeros({1, kSizes}, torch::kFloat64), torch::eye(kSizes, torch::kFloat64)});
  const auto size = [&](std::int64_t b) { return kib.select(1, b).unsqueeze(-1); };
  const Tensor array = torch::scalar_tensor(static_cast<double>(pe_dim_), torch::kFloat64);
  const Cost cost = model.cost(traffic, {array, size(0), size(1)}, sharpness);
  // [1 + buffers, nests, orders]; not so by itself on a machine whose energies depend on no size.
  const Tensor energy = (cost.energy_pj * static_cast<double>(layer_.groups))
                            .expand({1 + kSizes, nests.size(0), model.order_count()});
  const Tensor without = energy[0];
  std::vector<Tensor> columns{cost.cycles.expand_as(without) * static_cast<double>(layer_.groups), without};
  for (std::int64_t b = 0; b < kSizes; ++b) {
    columns.push_back(needed.select(1, b).unsqueeze(-1).expand_as(without));
    columns.push_back(energy[1 + b] - without);
  }
  return torch::stack(columns, -1).flatten(0, 1);
}

void Enumeration::add(const Tensor& nests, const Tensor& needed) {
  const std::int64_t orders = models_.all.order_count();
  const Tensor numbers =
      cuts() ? numbers_of_cuts(nests, needed) : numbers_of(models_.all, nests, needed, Sharpness{});
  const Tensor order = torch::arange(orders, torch::kFloat64).repeat({nests.size(0)}).unsqueeze(-1);
  frontier_.add(numbers, torch::cat({nests.repeat_interleave(orders, 0), order}, 1), {},
                [&](const Tensor& rows) { return range_.columns(rows); });
}

// Best first: in the order of lower bounds, so that good mappings are known early, and what those beat
// whatever its order is never evaluated. A little less than the bound, since it is rounded otherwise than the
// exact numbers. Over a range of sizes there is nearly always one at which nothing beats the bound (of
// ResNet-50's nests 97 % are evaluated all the same), so there it is not asked for.
void Enumeration::evaluate(const Tensor& nests) {
  const Tensor needed = needs(nests);
  if (!range_.is_one_point() || cuts()) return add(nests, needed);
  const Tensor bounds =
      range_.columns(numbers_of(models_.bound, nests, needed, Sharpness::lower_bound())) * (1 - 1e-9);
  Tensor open = sum_of_logs(bounds).argsort();
  for (std::int64_t size = kFirstBatch; open.size(0) > 0; size *= 2) {
    if (frontier_.numbers.defined()) {
      const Tensor left = unbeaten(bounds.index_select(0, open), range_.columns(frontier_.numbers));
      frontier_.beaten += static_cast<double>(open.size(0) - left.size(0));
      open = open.index_select(0, left);
    }
    const Tensor now = open.slice(0, 0, size);
    if (now.size(0) > 0) add(nests.index_select(0, now), needed.index_select(0, now));
    open = open.slice(0, size);
  }
}

std::pair<double, std::int64_t> Enumeration::best_entry(const Objective::Prices& prices,
                                                        const Hardware& hardware) const {
  const double infinity = std::numeric_limits<double>::infinity();
  if (!frontier_.numbers.defined()) return {infinity, -1};
  const std::vector<double> buffers = buffers_of(hardware, kArrayBuffers);
  const Tensor value = (energy_at(frontier_.numbers, buffers) * prices.energy +
                        frontier_.numbers.select(1, Frontier::kCycles) * prices.cycle)
                           .masked_fill(~fits(frontier_.numbers, buffers), infinity);
  const std::int64_t row = value.argmin().item<std::int64_t>();
  const double least = value[row].item<double>();
  return {least, std::isfinite(least) ? row : -1};
}

void Enumeration::try_nests(const Tensor& nests, const Objective::Prices& prices, const Hardware& hardware,
                            double best) {
  const std::vector<double> buffers = buffers_of(hardware, kArrayBuffers);
  const Tensor needed = needs(nests);
  const Tensor fitting = (needed <= torch::tensor(buffers, torch::kFloat64)).all(1).nonzero().squeeze(-1);
  if (fitting.size(0) == 0) return;
  const Tensor fit_nests = nests.index_select(0, fitting), fit_needed = needed.index_select(0, fitting);
  if (cuts()) return add(fit_nests, fit_needed);
  const Tensor least = numbers_of(models_.bound, fit_nests, fit_needed, Sharpness::lower_bound());
  const Tensor value =
      energy_at(least, buffers) * prices.energy + least.select(1, Frontier::kCycles) * prices.cycle;
  const Tensor open = (value < best).nonzero().squeeze(-1);
  if (open.size(0) > 0) add(fit_nests.index_select(0, open), fit_needed.index_select(0, open));
}

Tensor Enumeration::neighbours(const Tensor& nest) const {
  std::vector<std::size_t> free;  // dimensions that can be split in several ways
  std::vector<Tensor> tables(padded_.size());
  for (std::size_t d = 0; d < padded_.size(); ++d) {
    if (padded_[d].choices.size() == 1) continue;
    Splits near = padded_[d];
    keep_nearest(near.choices, wanted(near, static_cast<Dim>(d), nest), kNeighbours);
    tables[d] = table_of(near);
    free.push_back(d);
  }
  const auto without = [&](const Tensor& from, std::size_t d) {
    return from.index_fill(0, torch::tensor(padded_[d].slots, torch::kInt64), 0);
  };
  std::vector<Tensor> nests;
  for (const std::size_t a : free) {
    if (free.size() == 1) nests.push_back(without(nest, a) + tables[a]);
    for (const std::size_t b : free) {
      if (b <= a) continue;
      const Tensor rest = without(without(nest, a), b);
      nests.push_back((rest + tables[a].unsqueeze(1) + tables[b].unsqueeze(0)).flatten(0, 1));
    }
  }
  return torch::cat(nests);
}

void Enumeration::improve(const Objective::Prices& prices, const Hardware& hardware, Allowance& allowance) {
  const torch::InferenceMode no_gradients;
  if (!frontier_.reaches_beyond) return;
  auto [best, row] = best_entry(prices, hardware);
  for (double last = std::numeric_limits<double>::infinity(); best < last * (1 - 1e-12);) {
    if (allowance.is_spent()) {
      allowance.fell_short = allowance.fell_short || allowance.evaluations <= 0;
      return;
    }
    last = best;
    const std::int64_t before = frontier_.evaluated;
    try_nests(neighbours(frontier_.codes[row].narrow(0, 0, slot_count())), prices, hardware, best);
    allowance.spend(frontier_.evaluated - before);
    std::tie(best, row) = best_entry(prices, hardware);
  }
}

void Enumeration::flush() {
  if (waiting_rows_ == 0) return;
  evaluate(torch::cat(waiting_));
  waiting_.clear();
  waiting_rows_ = 0;
  stopped_ = *stop_ && (*stop_)();
}

void Enumeration::extend(const Tensor& partial, std::size_t dims) {
  if (dims == 0) {
    waiting_.push_back(partial);
    waiting_rows_ += partial.size(0);
    if (waiting_rows_ >= kChunk) flush();
    return;
  }
  const Tensor& table = tables_[dims - 1];
  double completions = 1;  // of a nest of this dimension and those before
  for (std::size_t d = 0; d + 1 < dims; ++d) completions *= static_cast<double>(tables_[d].size(0));
  const std::int64_t slice = std::max<std::int64_t>(1, kChunk / table.size(0));
  const Tensor most = torch::tensor(range_.hi, torch::kFloat64);
  for (std::int64_t begin = 0; begin < partial.size(0) && !stopped_; begin += slice) {
    Tensor nests = (partial.slice(0, begin, begin + slice).unsqueeze(1) + table).flatten(0, 1);
    const std::int64_t before = nests.size(0);
    nests = nests.index_select(0, (needs(nests) <= most).all(1).nonzero().squeeze(-1));
    const double lost = static_cast<double>(before - nests.size(0)) * completions;
    frontier_.over_capacity += lost;
    frontier_.looked_at += lost;
    if (dims == 1) frontier_.looked_at += static_cast<double>(nests.size(0));
    if (nests.size(0) > 0) extend(nests, dims - 1);
  }
}

}  // namespace dosa
