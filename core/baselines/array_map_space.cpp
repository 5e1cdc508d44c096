#include "dosa/core/baselines/array_map_space.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "dosa/core/targets/array_target.hpp"
#include "dosa/core/targets/mapping/relaxation.hpp"
#include "dosa/models/base/math.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using torch::Tensor;

// Candidates evaluated at a time: their tensors stay in cache.
constexpr std::int64_t kChunk = 4096;
constexpr std::int64_t kFew = 2048;
// Times that mappings of other hardware give up a factor.
constexpr int kRepairs = 24;

std::int64_t whole(double log_factor) { return std::llround(std::exp(log_factor)); }

std::size_t pick(std::size_t count, Random& random) {
  return static_cast<std::size_t>(random.below(static_cast<std::int64_t>(count)));
}

/// Fields of shape [N].
HardwareTensors hardware_tensors(const std::vector<Hardware>& hardware) {
  const auto field = [&](std::int64_t ArraySizes::*size) {
    std::vector<double> values;
    for (const Hardware& one : hardware) values.push_back(static_cast<double>(ArraySizes::of(one).*size));
    return torch::tensor(values, torch::kFloat64);
  };
  return {field(&ArraySizes::pe_dim), field(&ArraySizes::scratchpad_kib),
          field(&ArraySizes::accumulator_kib)};
}

/// Of one hardware [], of several [candidates], each for as many of these.
HardwareTensors sizes_of(const std::vector<Hardware>& hardware, std::int64_t candidates) {
  if (hardware.size() == 1) return HardwareTensors::from(ArraySizes::of(hardware.front()), torch::kFloat64);
  const std::int64_t each = candidates / static_cast<std::int64_t>(hardware.size());
  const HardwareTensors one = hardware_tensors(hardware);
  return {one.pe_dim.repeat_interleave(each), one.scratchpad_kib.repeat_interleave(each),
          one.accumulator_kib.repeat_interleave(each)};
}

HardwareTensors at(const HardwareTensors& sizes, const Tensor& index) {
  const auto of = [&](const Tensor& size) { return size.dim() == 0 ? size : size.index_select(0, index); };
  return {of(sizes.pe_dim), of(sizes.scratchpad_kib), of(sizes.accumulator_kib)};
}

}  // namespace

ArrayMapSpace::ArrayMapSpace(const SearchProblem& problem, std::int64_t threads)
    : MapSpace(problem, threads),
      machine_(array_machine(problem)),
      slots_(search_slots(machine_)),
      all_orders_(machine_, slots_, search_orders(machine_), torch::kFloat64),
      batch_(LayerBatch::from(problem.workload.layers, torch::kFloat64)) {
  for (const NestOrder& order : search_orders(machine_)) {
    models_.emplace_back(machine_, slots_, std::vector<NestOrder>{order}, torch::kFloat64);
  }
  std::vector<double> groups;
  for (const Layer& layer : problem.workload.layers) {
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
  groups_ = torch::tensor(groups, torch::kFloat64);
}

void ArrayMapSpace::random_nest(std::int64_t layer, std::int64_t pe_dim, Random& random,
                                double* factors) const {
  std::fill(factors, factors + slots_.size(), 0.0);
  for (const Splits& splits : splits_[static_cast<std::size_t>(layer)]) {
    const auto allowed =
        std::upper_bound(splits.spatial.begin(), splits.spatial.end(), pe_dim) - splits.spatial.begin();
    const auto chosen = static_cast<std::size_t>(random.below(allowed));
    for (std::size_t i = 0; i < splits.slots.size(); ++i)
      factors[splits.slots[i]] = splits.log_factors[chosen * splits.slots.size() + i];
  }
}

void ArrayMapSpace::outermost_nest(std::int64_t layer, double* factors) const {
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    const bool outermost = !slots_[s].spatial && slots_[s].level == machine_.dram();
    const std::int64_t size = problem_.workload.layers[static_cast<std::size_t>(layer)][slots_[s].dim];
    factors[s] = outermost ? std::log(static_cast<double>(size)) : 0;
  }
}

Scores ArrayMapSpace::score(const Candidates& candidates, const std::vector<Hardware>& hardware) const {
  return score_on(candidates, sizes_of(hardware, candidates.size()));
}

Scores ArrayMapSpace::score_on(const Candidates& candidates, const HardwareTensors& hardware) const {
  const Tensor log_factors = candidates.codes.slice(1, 0, -1);
  const Tensor order_of = candidates.codes.select(1, -1).to(torch::kInt64);
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
    const Tensor all = few ? torch::arange(total) : (order_of == order).nonzero().squeeze(-1);
    const CostModel* model = few ? &all_orders_ : &models_[static_cast<std::size_t>(order)];
    for (std::int64_t begin = 0; begin < all.size(0); begin += kChunk)
      parts.push_back({model, all.slice(0, begin, std::min(all.size(0), begin + kChunk))});
  }
  const auto work = [&](const Part& part) {
    const CostModel& model = *part.model;
    const Tensor& rows = part.rows;
    const Tensor layer = candidates.layer.index_select(0, rows);
    const auto of = [&](const Tensor& of_layers) { return of_layers.index_select(0, layer); };
    const LayerBatch layers{of(batch_.log_size),  of(batch_.wstride),   of(batch_.hstride),
                            of(batch_.wdilation), of(batch_.hdilation), of(batch_.repetitions)};
    const HardwareTensors sizes = at(hardware, rows);
    const Traffic traffic = model.traffic({log_factors.index_select(0, rows), {}}, layers, {});
    const Cost cost = model.cost(traffic, sizes, {});
    const auto own_order = [&](const Tensor& values) {
      if (!few || values.size(-1) == 1) return values.squeeze(-1);
      return values.gather(-1, order_of.index_select(0, rows).unsqueeze(-1)).squeeze(-1);
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

Candidates ArrayMapSpace::outermost() const {
  Candidates all{torch::zeros({layers(), width()}, torch::kFloat64), torch::arange(layers())};
  for (std::int64_t l = 0; l < layers(); ++l) outermost_nest(l, all.codes.data_ptr<double>() + l * width());
  return all;
}

std::pair<Candidates, Scores> ArrayMapSpace::random_mappings(const Hardware& hardware, std::int64_t per_layer,
                                                             Random& random, Recorder& recorder) const {
  const HardwareTensors sizes = HardwareTensors::from(ArraySizes::of(hardware), torch::kFloat64);
  std::vector<std::int64_t> missing(static_cast<std::size_t>(layers()), per_layer);
  std::vector<std::int64_t> drawn(missing.size(), 0);
  const std::int64_t limit = 64 * per_layer;
  std::optional<std::pair<Candidates, Scores>> found;
  const auto keep = [&](const Candidates& some, const Scores& of_some,
                        const std::vector<std::int64_t>& rows) {
    const Tensor index = torch::tensor(rows, torch::kInt64);
    if (!found) {
      found.emplace(some.at(index), of_some.at(index));
    } else {
      found->first = Candidates::cat(found->first, some.at(index));
      found->second = Scores::cat(found->second, of_some.at(index));
    }
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
    const Candidates some{torch::empty({count, width()}, torch::kFloat64),
                          torch::tensor(layer, torch::kInt64)};
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t l = layer[static_cast<std::size_t>(i)];
      double* code = some.codes.data_ptr<double>() + i * width();
      if (outermost) {
        outermost_nest(l, code);
      } else {
        random_nest(l, ArraySizes::of(hardware).pe_dim, random, code);
      }
      code[slots_.size()] = static_cast<double>(random.below(orders()));
    }
    const Scores of_some = score_on(some, sizes);
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
  recorder.evaluated(found->first.size());
  return *found;
}

template <typename From, typename To>
void ArrayMapSpace::move_prime(double* factors, Random& random, From from, To to) const {
  std::vector<std::size_t> sources;
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    if (factors[s] > 0.1 && from(slots_[s])) sources.push_back(s);
  }
  if (sources.empty()) return;
  const std::size_t source = sources[pick(sources.size(), random)];
  std::vector<std::size_t> targets;
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    if (s != source && slots_[s].dim == slots_[source].dim && to(slots_[s])) targets.push_back(s);
  }
  if (targets.empty()) return;
  const std::size_t target = targets[pick(targets.size(), random)];
  const std::vector<std::int64_t> primes = prime_factors_of(whole(factors[source]));
  const std::int64_t prime = primes[pick(primes.size(), random)];
  factors[target] = std::log(static_cast<double>(whole(factors[target]) * prime));
  factors[source] = std::log(static_cast<double>(whole(factors[source]) / prime));
}

void ArrayMapSpace::move(std::int64_t layer, const Hardware& hardware, Random& random, double* code) const {
  const double kind = random.uniform();
  if (kind < 0.12 && orders() > 1) {
    double& order = code[slots_.size()];
    order =
        static_cast<double>((static_cast<std::int64_t>(order) + 1 + random.below(orders() - 1)) % orders());
    return;
  }
  const auto any = [](const Slot&) { return true; };
  if (kind < 0.8) {
    for (int moves = random.below(3) == 0 ? 2 : 1; moves > 0; --moves) move_prime(code, random, any, any);
    return;
  }
  std::vector<double> other(slots_.size());
  random_nest(layer, ArraySizes::of(hardware).pe_dim, random, other.data());
  const auto dim = static_cast<Dim>(random.below(kDims));
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    if (slots_[s].dim == dim) code[s] = other[s];
  }
}

Scores ArrayMapSpace::cut_down(Candidates& candidates, const std::vector<Hardware>& hardware, Random& random,
                               Recorder& recorder) const {
  const HardwareTensors sizes = sizes_of(hardware, candidates.size());
  const auto each = static_cast<std::size_t>(candidates.size()) / hardware.size();
  Scores scores = score_on(candidates, sizes);
  // Those too wide for the array are narrowed first.
  for (int repair = 0; repair < kRepairs && !scores.fits.all().item<bool>(); ++repair) {
    for (std::int64_t i = 0; i < candidates.size(); ++i) {
      if (scores.fits.data_ptr<bool>()[i]) continue;
      double* own = candidates.codes.data_ptr<double>() + i * width();
      const auto outermost = [&](const Slot& s) { return !s.spatial && s.level == machine_.dram(); };
      const std::int64_t pe_dim = ArraySizes::of(hardware[static_cast<std::size_t>(i) / each]).pe_dim;
      bool too_wide = false;
      for (std::size_t s = 0; s < slots_.size(); ++s) too_wide |= slots_[s].spatial && whole(own[s]) > pe_dim;
      move_prime(
          own, random, [&](const Slot& s) { return !outermost(s) && (!too_wide || s.spatial); }, outermost);
    }
    const Tensor cut = (~scores.fits).nonzero().squeeze(-1);
    recorder.rejected(cut.size(0));
    const Scores again = score_on(candidates.at(cut), at(sizes, cut));
    scores.energy_uj.index_copy_(0, cut, again.energy_uj);
    scores.cycles.index_copy_(0, cut, again.cycles);
    scores.fits.index_copy_(0, cut, again.fits);
  }
  return scores;
}

Hardware ArrayMapSpace::need(const Hardware& /*hardware*/, const Candidates& candidates,
                             const std::vector<std::int64_t>& rows) const {
  const Candidates chosen = candidates.at(torch::tensor(rows, torch::kInt64));
  const auto of = [&](const Tensor& of_layers) { return of_layers.index_select(0, chosen.layer); };
  const LayerBatch layers{of(batch_.log_size),  of(batch_.wstride),   of(batch_.hstride),
                          of(batch_.wdilation), of(batch_.hdilation), of(batch_.repetitions)};
  // Tiles do not depend on the order.
  const Traffic traffic = models_.front().traffic({chosen.codes.slice(1, 0, -1), {}}, layers, {});
  const ArrayBounds bounds = ArrayBounds::of(problem_.bounds);
  const HardwareTensors sizes = LayerNeeds::of(traffic, machine_, bounds, true).hardware(bounds);
  const auto number = [](const Tensor& size) { return std::llround(size.item<double>()); };
  return ArraySizes{number(sizes.pe_dim), number(sizes.scratchpad_kib), number(sizes.accumulator_kib)};
}

}  // namespace dosa
