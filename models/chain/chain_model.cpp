#include "dosa/models/chain/chain_model.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/error.hpp"
#include "dosa/models/chain/cut_nest.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr auto kAxesOfTensor = static_cast<std::int64_t>(kTensorAxes);

/// Words per cycle that a relaxed level moves at least: keeps quotients finite. An exact rate is 0 or more
/// than the other number, which is there for the derivatives of what moves nothing.
constexpr double kLeastRate = 1e-12, kNoRate = 1e-200;

constexpr std::array<std::array<Dim, 2>, 2> kWindows{{{Dim::P, Dim::R}, {Dim::Q, Dim::S}}};

std::int64_t index_of(Dim dim) { return static_cast<std::int64_t>(dim); }

/// [7] of 0 and 1: the dimensions that an operand depends on.
Tensor relevance(Operand operand) {
  const Tensor values = torch::zeros({kDims}, torch::kFloat64);
  for (const Dim dim : all_dims()) values[index_of(dim)] = relevant(operand, dim) ? 1.0 : 0.0;
  return values;
}

/// The product of the factors [..., 7] of the dimensions that an operand depends on, [...].
Tensor relevant_product(const Tensor& factors, Operand operand) {
  Tensor product;
  for (const Dim dim : all_dims()) {
    if (!relevant(operand, dim)) continue;
    const Tensor factor = factors.select(-1, index_of(dim));
    product = product.defined() ? product * factor : factor;
  }
  return product;
}

/// What one batch of mappings looks like from every loop of theirs.
struct Unfolded {
  Tensor inside;       ///< [B, levels + 1, 7] sizes inside all loops of a level
  Tensor loop_factor;  ///< [B, levels * 7] factors of the loops in time, innermost first
  Tensor loop_dim;     ///< the same, their dimensions, int64
  Tensor loop_size;    ///< the same, the size of the loop's own dimension inside the loop
  Tensor step;         ///< [B, 7] words of I by which one index of P, R, Q or S moves it; else 1
  bool exact = true;
  // Relaxed only:
  Tensor gate;
  Tensor log_factor;  ///< [B, levels, 7] logarithms of the factors in time
  Tensor within;      ///< [B, levels, 7, 7] how far the second loop of a level is inside the first, 0 to 1
  Tensor move;        ///< [B, levels, 7] words of I by which one iteration of a loop in time moves it

  static Unfolded of(const ChainNests& nests, const LayerBatch& layers, const Sharpness& sharpness) {
    const Tensor& factors = nests.temporal;
    const std::int64_t batch = factors.size(0);
    Unfolded u;
    u.inside = torch::cat({torch::ones({batch, 1, kDims}, factors.options()),
                           torch::cumprod(nests.temporal * nests.spatial, 1)},
                          1);
    // The spatial loops of a level are inside its loops in time.
    const Tensor below = u.inside.slice(1, 0, factors.size(1)) * nests.spatial;
    std::vector<Tensor> steps(kDims, torch::ones({batch}, factors.options()));
    steps[static_cast<std::size_t>(Dim::P)] = layers.wstride.expand({batch});
    steps[static_cast<std::size_t>(Dim::Q)] = layers.hstride.expand({batch});
    steps[static_cast<std::size_t>(Dim::R)] = layers.wdilation.expand({batch});
    steps[static_cast<std::size_t>(Dim::S)] = layers.hdilation.expand({batch});
    u.step = torch::stack(steps, 1);
    u.exact = sharpness.exact;
    if (u.exact) {
      u.loop_factor = factors.gather(2, nests.order).flatten(1);
      u.loop_size = below.gather(2, nests.order).flatten(1);
      u.loop_dim = nests.order.flatten(1);
    } else {
      u.gate = sharpness.gate;
      u.log_factor = factors.log();
      const Tensor further_out = nests.place.unsqueeze(-1) - nests.place.unsqueeze(-2);
      u.within = torch::sigmoid(further_out * u.gate) * (1 - torch::eye(kDims, factors.options()));
      u.move = below * u.step.unsqueeze(1);
    }
    return u;
  }

  /// Relaxed: for every loop in time outside `level`, the sum of `values` [B, levels, 7] over the loops
  /// outside the level that are inside it, [B, levels outside, 7].
  Tensor sums_inside(const Tensor& values, int level) const {
    const Tensor outside = values.slice(1, level + 1);
    const Tensor of_level = outside.sum(-1, true);
    const Tensor of_same = torch::matmul(within.slice(1, level + 1), outside.unsqueeze(-1)).squeeze(-1);
    return of_level.cumsum(1) - of_level + of_same;
  }

  /// The extents of an input tile with all loops of levels <= level inside, [B, 4].
  Tensor input_extents(int level) const {
    const Tensor sizes = inside.select(1, level + 1);
    std::vector<Tensor> extents;
    for (const auto& window : kWindows) {
      Tensor extent;
      for (const Dim dim : window) {
        const Tensor span = (sizes.select(1, index_of(dim)) - 1) * step.select(1, index_of(dim));
        extent = extent.defined() ? extent + span + 1 : span;
      }
      extents.push_back(extent);
    }
    extents.push_back(sizes.select(1, index_of(Dim::C)));
    extents.push_back(sizes.select(1, index_of(Dim::N)));
    return torch::stack(extents, 1);
  }

  /// Words of an operand's tile at a level, [B].
  Tensor tile_words(Operand operand, int level) const {
    if (operand == Operand::I) return input_extents(level).prod(1);
    return relevant_product(inside.select(1, level + 1), operand);
  }

  /// How one iteration of every loop in time outside `level` moves the input tile: [B, loops, 4]. Loops of
  /// one iteration move nothing.
  Tensor input_steps(int level) const {
    const Tensor dims = from(loop_dim, level);
    const Tensor moved = from(loop_size, level) * step.gather(1, dims) * (from(loop_factor, level) > 1);
    const Tensor axis =
        torch::tensor(at::ArrayRef<int>(kAxisOfInput.data(), kAxisOfInput.size()), torch::kInt64);
    const Tensor along = axis.index_select(0, dims.flatten()).view_as(dims).unsqueeze(-1);
    return moved.unsqueeze(-1) * (along == torch::arange(kAxesOfTensor, torch::kInt64));
  }

  /// The loops outside `level` of a tensor of all loops.
  static Tensor from(const Tensor& loops, int level) { return loops.slice(1, (level + 1) * kDims); }
};

/// Words of W or O that arrive at one instance of a level, [B]. Two of their tiles are the same or have
/// nothing in common, so the loops inside the innermost one that moves the tile are free, all others bring a
/// tile each.
Tensor exact_disjoint_fills(const Unfolded& u, Operand operand, int level) {
  const Tensor factors = Unfolded::from(u.loop_factor, level);
  const Tensor dims = Unfolded::from(u.loop_dim, level);
  const Tensor moves = relevance(operand).index_select(0, dims.flatten()).view_as(dims) * (factors > 1);
  const Tensor counts = moves.cumsum(1) > 0;
  return u.tile_words(operand, level) * torch::where(counts, factors, torch::ones_like(factors)).prod(1);
}

/// The logarithm of how often the loops outside `level` bring an operand's tile when a loop counts that moves
/// it, and one that does not as far as the gate is open that the relevant loops inside it close, [B].
Tensor gated_visits(const Unfolded& u, Operand operand, int level) {
  const Tensor moves = relevance(operand).to(u.log_factor.options());
  const Tensor inside = u.sums_inside(u.log_factor * moves, level);
  const Tensor counts = moves + (1 - moves) * (1 - torch::exp(inside * -u.gate));
  return (u.log_factor.slice(1, level + 1) * counts).flatten(1).sum(1);
}

/// Words of W or O that arrive at one instance of a level, [B]. Hard where exact: whether a loop moves the
/// tile.
Tensor disjoint_fills(const Unfolded& u, Operand operand, int level) {
  if (u.exact) return exact_disjoint_fills(u, operand, level);
  return u.tile_words(operand, level) * gated_visits(u, operand, level).exp();
}

/// Words of I that arrive at one instance of a level, [B]. The first visit brings the whole tile. A carry
/// into a loop sets the loops inside it one step back each; where what is left of the move is the step of the
/// innermost loop, the tile slides and brings what is new of it, else it is brought whole. (Timeloop looks at
/// the first two iterations of every loop and scales.) Hard: the comparison of the moves.
Tensor exact_sliding_fills(const Unfolded& u, int level) {
  const Tensor extents = u.input_extents(level);
  const Tensor full = extents.prod(1);
  const Tensor factors = Unfolded::from(u.loop_factor, level);
  if (factors.size(1) == 0) return full;
  const Tensor steps = u.input_steps(level);
  // The first loop of more than one iteration; where there is none, nothing is ever multiplied by its step.
  const Tensor first = (factors > 1).to(torch::kInt64).argmax(1);
  const Tensor slide =
      steps.gather(1, first.view({-1, 1, 1}).expand({-1, 1, kAxesOfTensor})).squeeze(1);  // [B, 4]
  const Tensor moves = steps * 2 - steps.cumsum(1);  // s_j less the steps of all loops inside
  const Tensor slides = (moves == slide.unsqueeze(1)).all(-1);
  const Tensor inner = factors.cumprod(1);
  const Tensor carries = (factors - 1) * (inner.select(1, -1).unsqueeze(1) / inner);
  // One loop moves along one axis.
  const Tensor share = torch::where(slide < extents, full.unsqueeze(1) / extents * slide, full.unsqueeze(1));
  const Tensor fresh = (share * (slide > 0)).sum(1);
  return full + (carries * torch::where(slides, fresh.unsqueeze(1), full.unsqueeze(1))).sum(1);
}

/// Words of I that arrive at one instance of a level, [B]. Relaxed: the loops count as for the other tensors,
/// and a loop along an axis on which tiles slide brings after its first iteration only what is new, as far as
/// no loop is inside it. Hard where exact: the comparison of the moves.
Tensor sliding_fills(const Unfolded& u, int level) {
  if (u.exact) return exact_sliding_fills(u, level);
  const Tensor extents = u.input_extents(level);
  Tensor visits = gated_visits(u, Operand::I, level);
  if (u.log_factor.size(1) == level + 1) return extents.prod(1);
  const Tensor innermost = torch::exp(u.sums_inside(u.log_factor, level) * -u.gate);
  const Tensor factors = u.log_factor.slice(1, level + 1).exp();
  const Tensor moves = u.move.slice(1, level + 1);
  for (std::size_t axis = 0; axis < kWindows.size(); ++axis) {
    const Tensor extent = extents.select(1, static_cast<std::int64_t>(axis)).unsqueeze(-1);
    for (const Dim dim : kWindows[axis]) {
      const Tensor factor = factors.select(2, index_of(dim));
      const Tensor fresh = (moves.select(2, index_of(dim)) / extent).clamp_max(1);
      const Tensor known = (1 - fresh) * (factor - 1) / factor;  // share of the words of a lone loop
      visits = visits + torch::log1p(-innermost.select(2, index_of(dim)) * known).sum(1);
    }
  }
  return extents.prod(1) * visits.exp();
}

/// How many different tiles of an operand the children of one instance of a level hold, [B]: the rest comes
/// by multicast, or is added on the way up. Hard where exact, left out where relaxed: the positions of
/// windows that coincide.
Tensor distinct(const Unfolded& u, const ChainNests& nests, Operand operand, int level) {
  const Tensor spatial = nests.spatial.select(1, level);
  Tensor count = relevant_product(spatial, operand);
  if (operand != Operand::I || !u.exact) return count;
  for (const auto& [outputs, filter] : kWindows) {
    const Tensor p = spatial.select(1, index_of(outputs)), r = spatial.select(1, index_of(filter));
    const Tensor both = (p > 1).logical_and(r > 1);
    if (!both.any().item<bool>()) continue;
    // {i * a + j * b, i < p, j < r}: with a and b divided by their common divisor, (i, j) and (i - b, j + a)
    // coincide, so the pairs that have such a predecessor are not counted.
    const Tensor sizes = u.inside.select(1, level) * u.step;
    const Tensor a = sizes.select(1, index_of(outputs)), b = sizes.select(1, index_of(filter));
    const Tensor divisor = torch::gcd(a.to(torch::kInt64), b.to(torch::kInt64)).to(a.dtype());
    const Tensor coincide = (p - b / divisor).clamp_min(0) * (r - a / divisor).clamp_min(0);
    count = count / (p * r) * (p * r - coincide);
  }
  return count;
}

}  // namespace

Tensor ChainTraffic::need_words(int level) const {
  Tensor words;
  for (const Tensor& tile : tile_words[static_cast<std::size_t>(level)]) {
    if (tile.defined()) words = words.defined() ? words + tile : tile;
  }
  return words;
}

ChainModel::ChainModel(Chain chain) : chain_(std::move(chain)) {
  numbers_.mac_pj = chain_.mac_energy_pj;
  for (const ChainLevel& level : chain_.levels) {
    numbers_.levels.push_back({level.read_words_per_cycle, level.write_words_per_cycle, level.words_per_cycle,
                               level.vector_words, level.vector_pj});
  }
}

ChainNests ChainModel::nests_of(const std::vector<Mapping>& mappings) const {
  const auto rows = static_cast<std::int64_t>(mappings.size());
  const auto levels = static_cast<std::int64_t>(chain_.levels.size());
  const ChainNests nests{torch::ones({rows, levels, kDims}, torch::kFloat64),
                         torch::ones({rows, levels, kDims}, torch::kFloat64),
                         torch::empty({rows, levels, kDims}, torch::kInt64),
                         {}};
  auto temporal = nests.temporal.accessor<double, 3>();
  auto spatial = nests.spatial.accessor<double, 3>();
  auto order = nests.order.accessor<std::int64_t, 3>();
  for (std::int64_t i = 0; i < rows; ++i) {
    const Mapping& mapping = mappings[static_cast<std::size_t>(i)];
    TORCH_CHECK(mapping.levels.size() == chain_.levels.size(), "a mapping of another machine");
    for (std::int64_t l = 0; l < levels; ++l) {
      const LevelNest& nest = mapping.levels[static_cast<std::size_t>(l)];
      for (const std::vector<Loop>* loops : {&nest.spatial, &nest.spatial_y}) {
        for (const Loop& loop : *loops) spatial[i][l][index_of(loop.dim)] *= static_cast<double>(loop.factor);
      }
      DimSet placed{};
      std::int64_t place = 0;
      const auto put = [&](Dim dim) {
        placed[static_cast<std::size_t>(dim)] = true;
        order[i][l][place++] = index_of(dim);
      };
      for (auto loop = nest.temporal.rbegin(); loop != nest.temporal.rend(); ++loop) {
        temporal[i][l][index_of(loop->dim)] = static_cast<double>(loop->factor);
        put(loop->dim);
      }
      for (const Dim dim : all_dims()) {
        if (!placed[static_cast<std::size_t>(dim)]) put(dim);  // of one iteration
      }
    }
  }
  return nests;
}

ChainTraffic ChainModel::traffic(const ChainNests& nests, const LayerBatch& layers,
                                 const Sharpness& sharpness) const {
  const Unfolded unfolded = Unfolded::of(nests, layers, sharpness);
  const int dram = chain_.dram();
  ChainTraffic traffic;
  traffic.accesses.resize(chain_.levels.size());
  traffic.tile_words.resize(chain_.levels.size());
  traffic.used.resize(chain_.levels.size());
  traffic.macs = unfolded.inside.select(1, dram + 1).prod(1);
  traffic.compute_cycles = nests.temporal.flatten(1).prod(1);
  const Tensor outputs = relevant_product(unfolded.inside.select(1, dram + 1), Operand::O);

  Tensor used = torch::ones_like(traffic.macs);              // spatial factors outside the level
  Tensor output_instances = torch::ones_like(traffic.macs);  // those of them that O depends on
  std::vector<Tensor> partial_sums(chain_.levels.size());
  for (int level = dram; level >= 0; --level) {
    const Tensor spatial = nests.spatial.select(1, level);
    traffic.used[static_cast<std::size_t>(level)] = used;
    partial_sums[static_cast<std::size_t>(level)] = outputs / output_instances;
    used = used * spatial.prod(1);
    output_instances = output_instances * relevant_product(spatial, Operand::O);
  }

  for (const Operand operand : all_operands()) {
    const auto o = static_cast<std::size_t>(operand);
    Tensor content = traffic.compute_cycles;  // what leaves towards one child of the level that is next
    for (int level = 0; level <= dram; ++level) {
      const auto l = static_cast<std::size_t>(level);
      content = content * distinct(unfolded, nests, operand, level);
      if (!chain_.levels[l].holds_operand(operand)) continue;
      ChainAccesses& accesses = traffic.accesses[l][o];
      const bool outermost = level == dram;
      Tensor fills = torch::zeros_like(content);
      if (!outermost) {
        fills =
            operand == Operand::I ? sliding_fills(unfolded, level) : disjoint_fills(unfolded, operand, level);
      }
      const bool sums = operand == Operand::O;
      accesses.reads = sums ? content - partial_sums[l] : content;
      accesses.fills = fills;
      accesses.updates = sums ? content : torch::zeros_like(content);
      traffic.tile_words[l][o] = unfolded.tile_words(operand, level);
      content = fills;
    }
  }
  return traffic;
}

ChainTraffic ChainModel::traffic_of(const std::vector<Layer>& layers,
                                    const std::vector<Mapping>& mappings) const {
  ChainTraffic traffic = this->traffic(nests_of(mappings), LayerBatch::from(layers, torch::kFloat64));
  if (std::none_of(mappings.begin(), mappings.end(), [](const Mapping& m) { return m.is_cut(); }))
    return traffic;
  const auto own = [](Tensor& tensor) { tensor = tensor.clone(); };
  own(traffic.macs);
  own(traffic.compute_cycles);
  for (std::size_t l = 0; l < chain_.levels.size(); ++l) {
    own(traffic.used[l]);
    for (std::size_t o = 0; o < kOperands; ++o) {
      if (!chain_.levels[l].holds[o]) continue;
      ChainAccesses& accesses = traffic.accesses[l][o];
      accesses.most_read = accesses.read_by_one();
      accesses.most_written = accesses.written_by_one();
      for (Tensor* words :
           {&accesses.reads, &accesses.fills, &accesses.updates, &accesses.most_read, &accesses.most_written})
        own(*words);
      own(traffic.tile_words[l][o]);
    }
  }
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    if (mappings[i].is_cut())
      set_cut(CutNest::of(layers[i], mappings[i]), static_cast<std::int64_t>(i), traffic);
  }
  return traffic;
}

void ChainModel::set_cut(const CutNest& nest, std::int64_t row, ChainTraffic& traffic) const {
  traffic.macs[row] = nest.macs();
  traffic.compute_cycles[row] = nest.cycles();
  for (std::size_t l = 0; l < chain_.levels.size(); ++l) traffic.used[l][row] = nest.used(l);
  nest.for_accesses(chain_.levels,
                    [&](Operand operand, std::size_t l, const CutAccesses& all, const CutAccesses& most) {
                      const auto o = static_cast<std::size_t>(operand);
                      const double used = nest.used(l);
                      ChainAccesses& accesses = traffic.accesses[l][o];
                      accesses.reads[row] = all.reads / used;
                      accesses.fills[row] = all.fills / used;
                      accesses.updates[row] = all.updates / used;
                      accesses.most_read[row] = most.reads;
                      accesses.most_written[row] = most.fills + most.updates;
                      traffic.tile_words[l][o][row] = nest.tile_words(operand, l);
                    });
}

ChainCost ChainModel::cost(const ChainTraffic& traffic, const Sharpness& sharpness) const {
  return cost_with(traffic, sharpness, numbers_);
}

ChainCost ChainModel::cost(const ChainTraffic& traffic, const Sharpness& sharpness,
                           const ChainNumbers<Tensor>& numbers) const {
  return cost_with(traffic, sharpness, numbers);
}

template <typename Number>
ChainCost ChainModel::cost_with(const ChainTraffic& traffic, const Sharpness& sharpness,
                                const ChainNumbers<Number>& numbers) const {
  const Tensor& cycles_of_macs = traffic.compute_cycles;
  const auto whole = [&](const Tensor& number) { return sharpness.exact ? rounded_up(number) : number; };
  ChainCost cost;
  cost.cycles = cycles_of_macs;
  cost.energy_pj = traffic.macs * numbers.mac_pj;
  for (std::size_t l = 0; l < chain_.levels.size(); ++l) {
    const ChainLevel& level = chain_.levels[l];
    const typename ChainNumbers<Number>::Level& of = numbers.levels[l];
    // Timeloop's own order of operations: in a few rows of a hundred, the rounding of these divisions is what
    // makes the last cycle.
    // Relaxed, numbers may be of other sizes than the chain's.
    const bool single = level.vector_words == 1 && (sharpness.exact || !level.rules.vector_words);
    Tensor read_rate = torch::zeros_like(cycles_of_macs), write_rate = read_rate, vectors = read_rate;
    for (const ChainAccesses& accesses : traffic.accesses[l]) {
      if (!accesses.reads.defined()) continue;
      read_rate = read_rate + accesses.read_by_one() / cycles_of_macs;
      write_rate = write_rate + accesses.written_by_one() / cycles_of_macs;
      for (const Tensor* words : {&accesses.reads, &accesses.fills, &accesses.updates})
        vectors = vectors + (single ? *words : whole(*words / of.vector_words));
    }
    Tensor slowdown, cycles;
    const auto bound = [&](const std::optional<Number>& words_per_cycle, const Tensor& rate) {
      if (!words_per_cycle) return;
      // Relaxed, a level may move no words at all, at any rate.
      const Tensor share = *words_per_cycle / (sharpness.exact ? rate.clamp_min(kNoRate) : rate + kLeastRate);
      slowdown = slowdown.defined() ? torch::minimum(slowdown, share) : share.clamp_max(1);
    };
    bound(of.read_words_per_cycle, read_rate);
    bound(of.write_words_per_cycle, write_rate);
    bound(of.words_per_cycle, write_rate + read_rate);
    if (slowdown.defined()) {
      cycles = whole(cycles_of_macs / slowdown);
      cost.cycles = torch::maximum(cost.cycles, cycles);
    }
    cost.level_cycles.push_back(cycles);
    cost.level_energy_pj.push_back(vectors * of.vector_pj * traffic.used[l]);
    cost.energy_pj = cost.energy_pj + cost.level_energy_pj.back();
  }
  return cost;
}

Tensor ChainModel::fits(const ChainTraffic& traffic) const {
  Tensor all = torch::ones_like(traffic.macs, torch::kBool);
  for (int level = 0; level <= chain_.dram(); ++level) {
    const auto& capacity = chain_.levels[static_cast<std::size_t>(level)].capacity_words;
    if (capacity) all = all.logical_and(traffic.need_words(level) <= static_cast<double>(*capacity));
  }
  return all;
}

void ChainModel::check_fits(const ChainTraffic& traffic, std::size_t index) const {
  for (int level = 0; level <= chain_.dram(); ++level) {
    const ChainLevel& memory = chain_.levels[static_cast<std::size_t>(level)];
    if (!memory.capacity_words) continue;
    const double words = traffic.need_words(level)[static_cast<std::int64_t>(index)].item<double>();
    if (words > static_cast<double>(*memory.capacity_words)) {
      fail(ErrorId::kCapacity, "{} {}: needs {:.0f} words, has {}", chain_.level_label(level), memory.name,
           words, *memory.capacity_words);
    }
  }
}

}  // namespace dosa
