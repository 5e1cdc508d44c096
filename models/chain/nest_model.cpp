#include "dosa/models/chain/nest_model.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dosa/models/base/math.hpp"
#include "dosa/models/chain/cut_nest.hpp"

namespace dosa {
namespace {

constexpr std::size_t R = 0, S = 1, P = 2, Q = 3, C = 4, K = 5, N = 6;
constexpr std::size_t kW = 0, kI = 1, kO = 2;

using Sizes = std::array<double, kDims>;

double product_for(std::size_t operand, const Sizes& sizes) {
  switch (operand) {
    case kW:
      return sizes[R] * sizes[S] * sizes[C] * sizes[K];
    case kI:
      return sizes[R] * sizes[S] * sizes[P] * sizes[Q] * sizes[C] * sizes[N];
    default:
      return sizes[P] * sizes[Q] * sizes[K] * sizes[N];
  }
}

}  // namespace

std::array<double, kDims> steps_of(const Layer& layer) {
  return {static_cast<double>(layer.wdilation),
          static_cast<double>(layer.hdilation),
          static_cast<double>(layer.wstride),
          static_cast<double>(layer.hstride),
          1,
          1,
          1};
}

double coinciding_windows(double p, double r, double p_words, double r_words) {
  const auto divisor =
      static_cast<double>(std::gcd(static_cast<std::int64_t>(p_words), static_cast<std::int64_t>(r_words)));
  return std::max(p - r_words / divisor, 0.0) * std::max(r - p_words / divisor, 0.0);
}

ChainNest::ChainNest() {
  for (auto& level : factors) {
    for (auto& kind : level) kind.fill(1);
  }
  for (auto& level : order) std::iota(level.begin(), level.end(), std::uint8_t{0});
}

/// A nest as its loops see it.
struct NestModel::Loops {
  struct Loop {
    std::size_t dim;
    double factor;
    double size;  ///< of its dimension inside it
  };
  std::size_t levels = 0;
  std::array<Sizes, kMostLevels + 1> inside;    ///< sizes inside all loops of a level; [0]: of one MAC
  std::array<Sizes, kMostLevels> spatial;       ///< factors on both axes
  std::array<Loop, kMostLevels * kDims> loops;  ///< in time, of factor > 1, innermost first
  std::array<double, kMostLevels * kDims + 1> outward;  ///< the product of the loops from one on
  std::array<std::size_t, kMostLevels + 1> first;       ///< the first loop of a level
  std::size_t count = 0;
  const std::array<double, kDims>* step = nullptr;

  void set(const ChainNest& nest, std::size_t level_count, const std::array<double, kDims>& steps) {
    levels = level_count;
    step = &steps;
    inside[0].fill(1);
    for (std::size_t l = 0; l < levels; ++l) {
      const auto& [time, x, y] = nest.factors[l];
      for (std::size_t d = 0; d < kDims; ++d) {
        spatial[l][d] = x[d] * y[d];
        inside[l + 1][d] = inside[l][d] * spatial[l][d] * time[d];
      }
    }
  }

  void list(const ChainNest& nest) {
    for (std::size_t l = 0; l < levels; ++l) {
      first[l] = count;
      const Sizes& time = nest.factors[l][0];
      for (const std::uint8_t d : nest.order[l]) {
        if (time[d] > 1) loops[count++] = {d, time[d], inside[l][d] * spatial[l][d]};
      }
    }
    first[levels] = count;
    outward[count] = 1;
    for (std::size_t i = count; i-- > 0;) outward[i] = outward[i + 1] * loops[i].factor;
  }

  std::array<double, kTensorAxes> input_extents(std::size_t level) const {
    const Sizes& sizes = inside[level + 1];
    const std::array<double, kDims>& s = *step;
    return {(sizes[P] - 1) * s[P] + (sizes[R] - 1) * s[R] + 1,
            (sizes[Q] - 1) * s[Q] + (sizes[S] - 1) * s[S] + 1, sizes[C], sizes[N]};
  }

  /// No tile is larger than the layer: the sizes inside are cut to it.
  void cut(const DimSizes& sizes) {
    for (std::size_t l = 1; l <= levels; ++l) {
      for (std::size_t d = 0; d < kDims; ++d)
        inside[l][d] = std::min(inside[l][d], static_cast<double>(sizes[d]));
    }
  }

  double tile_words(std::size_t operand, std::size_t level) const {
    if (operand != kI) return product_for(operand, inside[level + 1]);
    const auto extents = input_extents(level);
    return extents[0] * extents[1] * extents[2] * extents[3];
  }

  double fills(std::size_t operand, std::size_t level) const {
    if (operand == kI) return sliding_fills(level);
    std::size_t from = first[level + 1];
    while (from < count && !relevant(static_cast<Operand>(operand), static_cast<Dim>(loops[from].dim)))
      ++from;
    return tile_words(operand, level) * outward[from];
  }

  // See sliding_fills() of ChainModel.
  double sliding_fills(std::size_t level) const {
    const auto extents = input_extents(level);
    const double full = extents[0] * extents[1] * extents[2] * extents[3];
    const std::size_t begin = first[level + 1];
    if (begin == count) return full;
    std::array<double, kTensorAxes> slide{}, sum{};
    double fresh = 0, words = full;
    for (std::size_t i = begin; i < count; ++i) {
      const int axis = kAxisOfInput[loops[i].dim];
      std::array<double, kTensorAxes> move{};  // of this loop
      if (axis >= 0) {
        const auto a = static_cast<std::size_t>(axis);
        move[a] = loops[i].size * (*step)[loops[i].dim];
        if (i == begin) fresh = move[a] < extents[a] ? full / extents[a] * move[a] : full;
      }
      if (i == begin) slide = move;
      bool slides = true;
      for (std::size_t a = 0; a < kTensorAxes; ++a) {
        if (i > begin) slides = slides && move[a] - sum[a] == slide[a];
        sum[a] += move[a];
      }
      words += (loops[i].factor - 1) * outward[i + 1] * (slides ? fresh : full);
    }
    return words;
  }

  /// Different tiles of an operand among the children of one instance of a level.
  double distinct(std::size_t operand, std::size_t level) const {
    const Sizes& s = spatial[level];
    double tiles = product_for(operand, s);
    if (operand != kI) return tiles;
    for (const auto& [outputs, filter] : {std::pair{P, R}, std::pair{Q, S}}) {
      const double p = s[outputs], r = s[filter];
      if (p > 1 && r > 1) {
        tiles = tiles / (p * r) *
                (p * r - coinciding_windows(p, r, inside[level][outputs] * (*step)[outputs],
                                            inside[level][filter] * (*step)[filter]));
      }
    }
    return tiles;
  }
};

NestModel::NestModel(const Chain& chain, const Layer& layer, Remainders remainders)
    : mac_pj_(chain.mac_energy_pj), cuts_(remainders == Remainders::kCut), sizes_(layer.size) {
  for (const ChainLevel& level : chain.levels) {
    int exponent = 0;
    const bool power_of_two = std::frexp(level.vector_words, &exponent) == 0.5;
    levels_.push_back(
        {level.holds, level.capacity_words ? static_cast<double>(*level.capacity_words) : kInfinity,
         level.read_words_per_cycle.value_or(kInfinity), level.write_words_per_cycle.value_or(kInfinity),
         level.words_per_cycle.value_or(kInfinity), level.vector_words,
         power_of_two ? 1 / level.vector_words : 0, level.vector_pj,
         level.read_words_per_cycle || level.write_words_per_cycle || level.words_per_cycle});
  }
  step_ = steps_of(layer);
}

double NestModel::Level::slowdown(double read_rate, double write_rate) const {
  return std::min({1.0, read_words_per_cycle / read_rate, write_words_per_cycle / write_rate,
                   words_per_cycle / (write_rate + read_rate)});
}

double NestModel::need_words(const Loops& loops, std::size_t level) const {
  double words = 0;
  for (std::size_t o = 0; o < kOperands; ++o) {
    if (levels_[level].holds[o]) words += loops.tile_words(o, level);
  }
  return words;
}

double NestModel::need_words(const ChainNest& nest, std::size_t level) const {
  Loops loops;
  loops.set(nest, levels_.size(), step_);
  if (const auto sizes = cut_sizes(nest, loops.inside[levels_.size()])) loops.cut(*sizes);
  return need_words(loops, level);
}

bool NestModel::fits(const Loops& loops) const {
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    if (levels_[l].capacity_words < kInfinity && need_words(loops, l) > levels_[l].capacity_words)
      return false;
  }
  return true;
}

double NestModel::vectors(const Level& level, double words) const {
  if (level.vector_words == 1) return words;
  return std::ceil(level.per_vector > 0 ? words * level.per_vector : words / level.vector_words);
}

std::optional<DimSizes> NestModel::cut_sizes(const ChainNest& nest, const Sizes& product) const {
  if (!cuts_) return std::nullopt;
  DimSizes sizes = sizes_;
  bool any = false;
  const auto is_cut = [&](std::size_t d) { return product[d] != static_cast<double>(sizes_[d]); };
  for (const auto& [outputs, filter] : {std::pair{P, R}, std::pair{Q, S}}) {
    if (!is_cut(outputs) && !is_cut(filter)) continue;
    for (std::size_t l = 0; l < levels_.size(); ++l) {
      const auto in_space = [&](std::size_t d) { return nest.factors[l][1][d] * nest.factors[l][2][d] > 1; };
      if (!in_space(outputs) || !in_space(filter)) continue;
      for (const std::size_t d : {outputs, filter}) sizes[d] = static_cast<std::int64_t>(product[d]);
    }
  }
  for (std::size_t d = 0; d < kDims; ++d) any = any || product[d] != static_cast<double>(sizes[d]);
  return any ? std::optional(sizes) : std::nullopt;
}

NestCost NestModel::cost(const CutNest& nest) const {
  NestCost cost;
  cost.fits = true;
  const double compute_cycles = nest.cycles();
  cost.cycles = compute_cycles;
  cost.energy_pj = nest.macs() * mac_pj_;
  std::array<int, kOperands> inner;
  inner.fill(-1);
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    const Level& level = levels_[l];
    const double used = nest.used(l);
    double read_rate = 0, write_rate = 0, vector_accesses = 0;
    for (const Operand operand : all_operands()) {
      const auto o = static_cast<std::size_t>(operand);
      if (!level.holds[o]) continue;
      const CutAccesses all = nest.accesses(operand, l, inner[o], true);
      for (const double words : {all.reads, all.fills, all.updates})
        vector_accesses += vectors(level, words / used);
      if (level.bound) {
        const CutAccesses most = nest.accesses(operand, l, inner[o], false);
        read_rate += most.reads / compute_cycles;
        write_rate += (most.fills + most.updates) / compute_cycles;
      }
      inner[o] = static_cast<int>(l);
    }
    if (level.bound) {
      cost.cycles = std::max(cost.cycles, std::ceil(compute_cycles / level.slowdown(read_rate, write_rate)));
    }
    cost.energy_pj += vector_accesses * level.vector_pj * used;
  }
  return cost;
}

NestCost NestModel::cost(const ChainNest& nest) const {
  Loops loops;
  loops.set(nest, levels_.size(), step_);
  NestCost cost;
  const std::optional<DimSizes> sizes = cut_sizes(nest, loops.inside[levels_.size()]);
  if (sizes) loops.cut(*sizes);
  if (!fits(loops)) return cost;
  if (sizes) return this->cost(CutNest(nest, levels_.size(), *sizes, step_));
  loops.list(nest);
  cost.fits = true;

  const std::size_t dram = levels_.size() - 1;
  const Sizes& all = loops.inside[dram + 1];
  const double outputs = product_for(kO, all);
  const double compute_cycles = loops.outward[0];
  std::array<double, kMostLevels> used, partial_sums;
  double instances = 1, output_instances = 1;
  for (std::size_t l = dram + 1; l-- > 0;) {
    const Sizes& s = loops.spatial[l];
    used[l] = instances;
    partial_sums[l] = outputs / output_instances;
    instances *= s[R] * s[S] * s[P] * s[Q] * s[C] * s[K] * s[N];
    output_instances *= product_for(kO, s);
  }

  std::array<double, kOperands> content;  // what leaves towards one child of the level that is next
  content.fill(compute_cycles);
  cost.cycles = compute_cycles;
  cost.energy_pj = product_for(kW, all) * all[P] * all[Q] * all[N] * mac_pj_;
  for (std::size_t l = 0; l <= dram; ++l) {
    const Level& level = levels_[l];
    double read_rate = 0, write_rate = 0, vector_accesses = 0;
    for (std::size_t o = 0; o < kOperands; ++o) {
      content[o] *= loops.distinct(o, l);
      if (!level.holds[o]) continue;
      const double fills = l == dram ? 0 : loops.fills(o, l);
      const double reads = o == kO ? content[o] - partial_sums[l] : content[o];
      const double updates = o == kO ? content[o] : 0;
      if (level.bound) {
        read_rate += reads / compute_cycles;
        write_rate += (fills + updates) / compute_cycles;
      }
      vector_accesses += vectors(level, reads);
      vector_accesses += vectors(level, fills);
      vector_accesses += vectors(level, updates);
      content[o] = fills;
    }
    if (level.bound) {
      cost.cycles = std::max(cost.cycles, std::ceil(compute_cycles / level.slowdown(read_rate, write_rate)));
    }
    cost.energy_pj += vector_accesses * level.vector_pj * used[l];
  }
  return cost;
}

double NestModel::fill(const ChainNest& nest) const {
  Loops loops;
  loops.set(nest, levels_.size(), step_);
  if (const auto sizes = cut_sizes(nest, loops.inside[levels_.size()])) loops.cut(*sizes);
  double worst = 0;
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    worst = std::max(worst, need_words(loops, l) / levels_[l].capacity_words);
  }
  return worst;
}

std::vector<Dim> ChainNest::loops_in_time(std::size_t level) const {
  std::vector<Dim> loops;
  for (const std::uint8_t d : order[level]) {
    if (at(level, LoopKind::kTime, static_cast<Dim>(d)) > 1) loops.push_back(static_cast<Dim>(d));
  }
  return loops;
}

ChainNest nest_of(const Mapping& mapping) {
  ChainNest nest;
  for (std::size_t l = 0; l < mapping.levels.size(); ++l) {
    const LevelNest& level = mapping.levels[l];
    for (const auto& [loops, kind] :
         {std::pair{&level.temporal, LoopKind::kTime}, std::pair{&level.spatial, LoopKind::kX},
          std::pair{&level.spatial_y, LoopKind::kY}}) {
      for (const Loop& loop : *loops) nest.at(l, kind, loop.dim) = static_cast<double>(loop.factor);
    }
    // The loops that there are outermost last, behind those of one iteration.
    std::size_t place = kDims - level.temporal.size();
    for (auto loop = level.temporal.rbegin(); loop != level.temporal.rend(); ++loop)
      nest.order[l][place++] = static_cast<std::uint8_t>(loop->dim);
    place = 0;
    for (const Dim dim : all_dims()) {
      if (mapping.temporal(static_cast<int>(l), dim) == 1)
        nest.order[l][place++] = static_cast<std::uint8_t>(dim);
    }
  }
  return nest;
}

Mapping NestModel::mapping_of(const ChainNest& nest) const {
  Mapping mapping;
  mapping.levels.resize(levels_.size());
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    LevelNest& level = mapping.levels[l];
    const auto add = [&](std::vector<Loop>& loops, LoopKind kind, Dim dim) {
      if (const double factor = nest.at(l, kind, dim); factor > 1)
        loops.push_back({dim, static_cast<std::int64_t>(factor)});
    };
    for (std::size_t i = kDims; i-- > 0;)
      add(level.temporal, LoopKind::kTime, static_cast<Dim>(nest.order[l][i]));
    for (const Dim dim : all_dims()) {
      add(level.spatial, LoopKind::kX, dim);
      add(level.spatial_y, LoopKind::kY, dim);
    }
  }
  return mapping;
}

}  // namespace dosa
