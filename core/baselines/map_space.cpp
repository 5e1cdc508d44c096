#include "dosa/core/baselines/map_space.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "dosa/core/targets/mapping/relaxation.hpp"
#include "dosa/models/base/math.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using torch::Tensor;

// Candidates evaluated at a time: their tensors stay in cache.
constexpr std::int64_t kChunk = 4096;
constexpr std::int64_t kFew = 2048;

}  // namespace

HardwareTensors hardware_tensors(const std::vector<Hardware>& hardware) {
  const auto field = [&](std::int64_t ArraySizes::*size) {
    std::vector<double> values;
    for (const Hardware& one : hardware) values.push_back(static_cast<double>(ArraySizes::of(one).*size));
    return torch::tensor(values, torch::kFloat64);
  };
  return {field(&ArraySizes::pe_dim), field(&ArraySizes::scratchpad_kib),
          field(&ArraySizes::accumulator_kib)};
}

MapSpace::MapSpace(const SearchProblem& problem, std::int64_t threads)
    : problem_(problem),
      threads_(threads),
      machine_(array_machine(problem)),
      slots_(search_slots(machine_)),
      all_orders_(machine_, slots_, search_orders(machine_), torch::kFloat64),
      batch_(LayerBatch::from(problem.workload.layers, torch::kFloat64)) {
  for (const NestOrder& order : search_orders(machine_)) {
    models_.emplace_back(machine_, slots_, std::vector<NestOrder>{order}, torch::kFloat64);
  }
  std::vector<double> groups;
  for (const Layer& layer : problem.workload.layers) {
    repetitions_.push_back(static_cast<double>(layer.count));
    groups.push_back(static_cast<double>(layer.groups));
    splits_.emplace_back();
    for (const Dim dim : all_dims()) {
      if (layer[dim] == 1) continue;
      Splits splits;
      std::vector<bool> is_spatial;
      for (std::size_t s = 0; s < slots_.size(); ++s) {
        if (slots_[s].dim != dim) continue;
        splits.slots.push_back(static_cast<std::int64_t>(s));
        is_spatial.push_back(slots_[s].spatial);
      }
      std::vector<std::pair<std::int64_t, std::vector<double>>> found;
      std::vector<std::int64_t> factors(splits.slots.size());
      const std::function<void(std::size_t, std::int64_t)> place = [&](std::size_t slot, std::int64_t left) {
        if (slot + 1 < factors.size()) {
          for (const std::int64_t factor : divisors_of(left)) {
            factors[slot] = factor;
            place(slot + 1, left / factor);
          }
          return;
        }
        factors[slot] = left;
        std::int64_t widest = 1;
        std::vector<double> logs;
        for (std::size_t i = 0; i < factors.size(); ++i) {
          if (is_spatial[i]) widest = std::max(widest, factors[i]);
          logs.push_back(std::log(static_cast<double>(factors[i])));
        }
        if (widest <= ArraySizes::of(problem.bounds.max).pe_dim) found.emplace_back(widest, std::move(logs));
      };
      place(0, layer[dim]);
      std::stable_sort(found.begin(), found.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
      for (const auto& [widest, logs] : found) {
        splits.spatial.push_back(widest);
        splits.log_factors.insert(splits.log_factors.end(), logs.begin(), logs.end());
      }
      splits_.back().push_back(std::move(splits));
    }
  }
  counts_ = torch::tensor(repetitions_, torch::kFloat64);
  groups_ = torch::tensor(groups, torch::kFloat64);
}

double MapSpace::objective(double energy_uj, double cycles) const {
  return problem_.objective.value(energy_uj, cycles);
}

void MapSpace::random_nest(std::int64_t layer, std::int64_t pe_dim, Random& random, double* row) const {
  std::fill(row, row + slots_.size(), 0.0);
  for (const Splits& splits : splits_[static_cast<std::size_t>(layer)]) {
    const auto allowed =
        std::upper_bound(splits.spatial.begin(), splits.spatial.end(), pe_dim) - splits.spatial.begin();
    const auto chosen = static_cast<std::size_t>(random.below(allowed));
    for (std::size_t i = 0; i < splits.slots.size(); ++i)
      row[splits.slots[i]] = splits.log_factors[chosen * splits.slots.size() + i];
  }
}

void MapSpace::outermost_nest(std::int64_t layer, double* row) const {
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    const bool outermost = !slots_[s].spatial && slots_[s].level == machine_.dram();
    const std::int64_t size = problem_.workload.layers[static_cast<std::size_t>(layer)][slots_[s].dim];
    row[s] = outermost ? std::log(static_cast<double>(size)) : 0;
  }
}

Scores MapSpace::score(const Candidates& candidates, const HardwareTensors& hardware) const {
  const std::int64_t total = candidates.size();
  const Tensor energy = torch::empty({total}, torch::kFloat64);
  const Tensor cycles = torch::empty({total}, torch::kFloat64);
  const Tensor fits = torch::empty({total}, torch::kBool);
  // Few candidates: all orders at once, of which each needs one, cost less than a call for every order.
  const bool few = total <= kFew;
  struct Part {
    const CostModel* model;
    Tensor rows;
  };
  std::vector<Part> parts;
  for (std::int64_t order = 0; order < (few ? 1 : orders()); ++order) {
    const Tensor all = few ? torch::arange(total) : (candidates.order == order).nonzero().squeeze(-1);
    const CostModel* model = few ? &all_orders_ : &models_[static_cast<std::size_t>(order)];
    for (std::int64_t begin = 0; begin < all.size(0); begin += kChunk)
      parts.push_back({model, all.slice(0, begin, std::min(all.size(0), begin + kChunk))});
  }
  const auto work = [&](const Part& part) {
    const CostModel& model = *part.model;
    const Tensor& rows = part.rows;
    const Tensor layer = candidates.layer.index_select(0, rows);
    const auto of = [&](const Tensor& of_layers) { return of_layers.index_select(0, layer); };
    const auto own = [&](const Tensor& size) { return size.dim() == 0 ? size : size.index_select(0, rows); };
    const LayerBatch layers{of(batch_.log_size),  of(batch_.wstride),   of(batch_.hstride),
                            of(batch_.wdilation), of(batch_.hdilation), of(batch_.repetitions)};
    const HardwareTensors sizes{own(hardware.pe_dim), own(hardware.scratchpad_kib),
                                own(hardware.accumulator_kib)};
    const Traffic traffic = model.traffic({candidates.log_factors.index_select(0, rows), {}}, layers, {});
    const Cost cost = model.cost(traffic, sizes, {});
    const auto own_order = [&](const Tensor& values) {
      if (!few || values.size(-1) == 1) return values.squeeze(-1);
      return values.gather(-1, candidates.order.index_select(0, rows).unsqueeze(-1)).squeeze(-1);
    };
    const Tensor groups = of(groups_);
    energy.index_copy_(0, rows, own_order(cost.energy_pj) * groups * 1e-6);
    cycles.index_copy_(0, rows, own_order(cost.cycles) * groups);
    Tensor fit = traffic.pe_dim.squeeze(-1) <= sizes.pe_dim;
    for (int level = 0; level <= machine_.dram(); ++level) {
      const MemoryLevel& memory = machine_.levels[static_cast<std::size_t>(level)];
      if (memory.sized_by == SizedBy::kNothing) continue;
      const Tensor& size =
          memory.sized_by == SizedBy::kScratchpad ? sizes.scratchpad_kib : sizes.accumulator_kib;
      fit = fit & (traffic.need_kib(memory, level, sizes.pe_dim.unsqueeze(-1)).squeeze(-1) <= size);
    }
    fits.index_copy_(0, rows, fit);
  };
  parallel(static_cast<std::int64_t>(parts.size()), threads_, [&](std::int64_t i) {
    const torch::InferenceMode no_gradients;  // a property of the thread
    work(parts[static_cast<std::size_t>(i)]);
  });
  return {energy, cycles, fits};
}

Candidates MapSpace::outermost() const {
  Candidates all{torch::zeros({layers(), static_cast<std::int64_t>(slots_.size())}, torch::kFloat64),
                 torch::zeros({layers()}, torch::kInt64), torch::arange(layers())};
  double* rows = all.log_factors.data_ptr<double>();
  for (std::int64_t l = 0; l < layers(); ++l) outermost_nest(l, rows + l * all.log_factors.size(1));
  return all;
}

bool MapSpace::legal(const Hardware& hardware) const {
  if (machine_.area_mm2(hardware) > problem_.bounds.max_area_mm2) return false;
  const Scores scores = score(outermost(), HardwareTensors::from(ArraySizes::of(hardware), torch::kFloat64));
  return scores.fits.all().item<bool>();
}

Hardware MapSpace::random_hardware(Random& random) const {
  const auto between = [&](std::int64_t min, std::int64_t max, bool logarithmic) {
    if (!logarithmic) return min + random.below(max - min + 1);
    const double low = std::log(static_cast<double>(min)), high = std::log(static_cast<double>(max) + 1);
    const double size = std::exp(low + (high - low) * random.uniform());
    return std::clamp(static_cast<std::int64_t>(size), min, max);
  };
  const ArrayBounds bounds = ArrayBounds::of(problem_.bounds);
  while (true) {
    const ArraySizes hardware{between(bounds.min.pe_dim, bounds.max.pe_dim, false),
                              between(bounds.min.scratchpad_kib, bounds.max.scratchpad_kib, true),
                              between(bounds.min.accumulator_kib, bounds.max.accumulator_kib, true)};
    if (!problem_.has_room_for({hardware.pe_dim})) continue;
    if (const Hardware smaller = problem_.within_area(hardware); legal(smaller)) return smaller;
  }
}

std::pair<Candidates, Scores> MapSpace::random_mappings(const Hardware& hardware, std::int64_t per_layer,
                                                        Random& random, Recorder& recorder) const {
  const auto width = static_cast<std::int64_t>(slots_.size());
  const HardwareTensors sizes = HardwareTensors::from(ArraySizes::of(hardware), torch::kFloat64);
  std::vector<std::int64_t> missing(repetitions_.size(), per_layer), drawn(repetitions_.size(), 0);
  const std::int64_t limit = 64 * per_layer;
  std::vector<Candidates> candidates;
  std::vector<Scores> scores;
  const auto keep = [&](const Candidates& some, const Scores& of_some,
                        const std::vector<std::int64_t>& rows) {
    const Tensor index = torch::tensor(rows, torch::kInt64);
    candidates.push_back(some.at(index));
    scores.push_back({of_some.energy_uj.index_select(0, index), of_some.cycles.index_select(0, index),
                      of_some.fits.index_select(0, index)});
  };
  bool outermost = false;  // the last round: the mapping that always fits, where nothing was found
  while (true) {
    std::vector<std::int64_t> layer;
    for (std::int64_t l = 0; l < layers(); ++l) {
      const auto i = static_cast<std::size_t>(l);
      if (missing[i] <= 0) continue;
      std::int64_t draws = 0;
      if (outermost) {
        draws = missing[i] == per_layer ? 1 : 0;
      } else {
        // As many as should give what is missing, judged by the draws so far.
        const double share = drawn[i] == 0 ? 1
                                           : (static_cast<double>(per_layer - missing[i]) + 0.5) /
                                                 static_cast<double>(drawn[i]);
        draws = std::min({static_cast<std::int64_t>(std::ceil(static_cast<double>(missing[i]) / share)),
                          16 * per_layer, limit - drawn[i]});
        drawn[i] += draws;
      }
      layer.insert(layer.end(), static_cast<std::size_t>(draws), l);
    }
    if (layer.empty()) {
      if (outermost) break;
      outermost = true;
      continue;
    }
    const auto count = static_cast<std::int64_t>(layer.size());
    Candidates some{torch::empty({count, width}, torch::kFloat64), torch::empty({count}, torch::kInt64),
                    torch::tensor(layer, torch::kInt64)};
    double* rows = some.log_factors.data_ptr<double>();
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t l = layer[static_cast<std::size_t>(i)];
      if (outermost) {
        outermost_nest(l, rows + i * width);
      } else {
        random_nest(l, ArraySizes::of(hardware).pe_dim, random, rows + i * width);
      }
      some.order.data_ptr<std::int64_t>()[i] = random.below(orders());
    }
    const Scores of_some = score(some, sizes);
    std::vector<std::int64_t> kept;
    std::int64_t failed = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t& left = missing[static_cast<std::size_t>(layer[static_cast<std::size_t>(i)])];
      if (left <= 0) continue;  // one draw after the other would have ended before this one
      if (!of_some.fits.data_ptr<bool>()[i]) {
        ++failed;
      } else {
        --left;
        kept.push_back(i);
      }
    }
    recorder.rejected(failed);
    keep(some, of_some, kept);
    if (outermost) break;
  }
  Candidates all = candidates.front();
  Scores of_all = scores.front();
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    all = {torch::cat({all.log_factors, candidates[i].log_factors}),
           torch::cat({all.order, candidates[i].order}), torch::cat({all.layer, candidates[i].layer})};
    of_all = {torch::cat({of_all.energy_uj, scores[i].energy_uj}),
              torch::cat({of_all.cycles, scores[i].cycles}), torch::cat({of_all.fits, scores[i].fits})};
  }
  recorder.evaluated(all.size());
  return {all, of_all};
}

NetworkChoice MapSpace::best_of(const Candidates& candidates, const Scores& scores) const {
  const std::int64_t* layer = candidates.layer.data_ptr<std::int64_t>();
  const double* energy = scores.energy_uj.data_ptr<double>();
  const double* cycles = scores.cycles.data_ptr<double>();
  const bool* fits = scores.fits.data_ptr<bool>();
  NetworkChoice best;
  Objective::Prices prices{0, 0};  // of the linearised objective; none yet: each layer's own
  for (int round = 0; round < 12; ++round) {
    std::vector<std::int64_t> entry(repetitions_.size(), -1);
    std::vector<double> lowest(repetitions_.size(), kInfinity);
    for (std::int64_t i = 0; i < candidates.size(); ++i) {
      if (!fits[i]) continue;
      const auto l = static_cast<std::size_t>(layer[i]);
      const double value = round == 0 ? problem_.objective.log_value(energy[i], cycles[i])
                                      : prices.energy * energy[i] + prices.cycle * cycles[i];
      if (value < lowest[l]) {
        lowest[l] = value;
        entry[l] = i;
      }
    }
    double total_energy = 0, total_cycles = 0;
    for (std::size_t l = 0; l < entry.size(); ++l) {
      if (entry[l] < 0) return best;
      total_energy += repetitions_[l] * energy[entry[l]];
      total_cycles += repetitions_[l] * cycles[entry[l]];
    }
    const double value = objective(total_energy, total_cycles);
    if (!(value < best.objective)) break;
    best = {entry, value};
    prices = problem_.objective.prices(total_energy, total_cycles);
  }
  return best;
}

Hardware MapSpace::need(const Candidates& candidates, const std::vector<std::int64_t>& rows) const {
  const Candidates chosen = candidates.at(torch::tensor(rows, torch::kInt64));
  const auto of = [&](const Tensor& of_layers) { return of_layers.index_select(0, chosen.layer); };
  const LayerBatch layers{of(batch_.log_size),  of(batch_.wstride),   of(batch_.hstride),
                          of(batch_.wdilation), of(batch_.hdilation), of(batch_.repetitions)};
  // Tiles do not depend on the order.
  const Traffic traffic = models_.front().traffic({chosen.log_factors, {}}, layers, {});
  const ArrayBounds bounds = ArrayBounds::of(problem_.bounds);
  const HardwareTensors sizes = LayerNeeds::of(traffic, machine_, bounds, true).hardware(bounds);
  const auto whole = [](const Tensor& size) { return std::llround(size.item<double>()); };
  return ArraySizes{whole(sizes.pe_dim), whole(sizes.scratchpad_kib), whole(sizes.accumulator_kib)};
}

DesignDraft MapSpace::draft(const Hardware& hardware, const Candidates& candidates,
                            const std::vector<std::int64_t>& rows) const {
  const Candidates chosen = candidates.at(torch::tensor(rows, torch::kInt64));
  return {hardware, chosen.log_factors, chosen.order};
}

void MapSpace::offer(const Hardware& hardware, const Candidates& candidates, const NetworkChoice& choice,
                     Recorder& recorder) const {
  if (choice.entry.empty()) return;
  recorder.offer(choice.objective, draft(hardware, candidates, choice.entry));
  const Hardware smallest = need(candidates, choice.entry);
  if (smallest == hardware || recorder.stop(layers())) return;
  const Candidates chosen = candidates.at(torch::tensor(choice.entry, torch::kInt64));
  const NetworkChoice smaller =
      best_of(chosen, score(chosen, HardwareTensors::from(ArraySizes::of(smallest), torch::kFloat64)));
  recorder.evaluated(layers());
  recorder.offer(smaller.objective, draft(smallest, candidates, choice.entry));
}

}  // namespace dosa
