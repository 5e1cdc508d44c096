#include "dosa/core/targets/mapping/enumeration.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

using torch::Tensor;

// Nests that are evaluated before their mappings are first compared with the bounds of the others.
constexpr std::int64_t kFirstBatch = 64;
// Nests that are handled at a time.
constexpr std::int64_t kChunk = 4096;

/// All splits of `size` over the slots of one dimension. The first temporal slot and a spatial slot share
/// what the others leave: the spatial one takes its largest divisor up to `pe_dim`. `all` counts the splits
/// with smaller ones too.
std::vector<std::vector<std::int64_t>> splits_of(std::int64_t size, const std::vector<Slot>& slots,
                                                 std::int64_t pe_dim, double& all) {
  const auto spatial =
      std::find_if(slots.begin(), slots.end(), [](const Slot& s) { return s.spatial; }) - slots.begin();
  std::vector<std::vector<std::int64_t>> splits;
  std::vector<std::int64_t> split(slots.size(), 1);
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
void keep_nearest(std::vector<std::vector<std::int64_t>>& splits, const std::vector<double>& wanted,
                  std::size_t count) {
  const auto distance = [&](const std::vector<std::int64_t>& split) {
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
  frontier_.space = frontier_.candidates = 1;
  for (const Dim dim : all_dims()) {
    Splits splits;
    std::vector<Slot> own;
    for (std::int64_t s = 0; s < slot_count(); ++s) {
      const Slot& slot = models.all.slots()[static_cast<std::size_t>(s)];
      if (slot.dim != dim) continue;
      own.push_back(slot);
      splits.slots.push_back(s);
    }
    double all = 0;
    splits.choices = splits_of(layer_[dim], own, pe_dim, all);
    frontier_.space *= all;
    frontier_.candidates *= static_cast<double>(splits.choices.size());
    dims_.push_back(std::move(splits));
  }
}

std::vector<double> Enumeration::wanted(const Splits& splits, Dim dim, const Tensor& near) const {
  std::vector<double> log_factors;
  for (const std::int64_t slot : splits.slots) {
    log_factors.push_back(near.defined() ? near[static_cast<std::int64_t>(layer_index_)][slot].item<double>()
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
  const std::int64_t of_nest = models_.all.order_count() + (range_.is_one_point() ? 1 : 0);
  std::int64_t most = limit;
  if (allowance.evaluations != kNoLimit) most = std::min(limit, allowance.evaluations / of_nest);
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
    keep_nearest(widest->choices, wanted(*widest, static_cast<Dim>(widest - dims.begin()), near),
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
  frontier_.complete = !stopped_ && count() == frontier_.candidates;
  allowance.spend(frontier_.evaluated - before);
}

Tensor Enumeration::needs(const Tensor& nests) const {
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
  const Tensor numbers = numbers_of(models_.all, nests, needed, Sharpness{});
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
  if (!range_.is_one_point()) return add(nests, needed);
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
