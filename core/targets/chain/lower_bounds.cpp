#include "dosa/core/targets/chain/lower_bounds.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "dosa/core/targets/chain/reuse_bound.hpp"
#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

// Combinations of factors on all axes that are worth looking at for a bound.
constexpr std::size_t kMostCombinations = 4000;
// Bounds are sums and quotients rounded otherwise than the model's: this much less is surely below.
constexpr double kRounding = 1 - 1e-12;

struct Axis {
  std::int64_t size;
  DimSet dims;
};

/// Products of the spatial factors so far, by axis, with the most that these occupy of them.
using OnAxes = std::map<std::vector<std::int64_t>, double>;

/// Every way to spread one dimension over the axes from `axis` on, on top of what is on them now. Factors are
/// those that are the least for a number of iterations.
class Spreading {
 public:
  Spreading(const std::vector<Axis>& axes, Dim dim, std::int64_t size, OnAxes& all)
      : axes_(axes), dim_(static_cast<std::size_t>(dim)), size_(size), all_(all) {}

  void run(std::vector<std::int64_t> now, double occupied) {
    now_ = std::move(now);
    occupied_ = occupied;
    next(0, size_);
  }

 private:
  void next(std::size_t axis, std::int64_t iterations) {
    if (all_.size() > kMostCombinations) return;
    if (axis == axes_.size()) {
      double& most = all_[now_];
      most = std::max(most, occupied_ * static_cast<double>(size_) / static_cast<double>(iterations));
      return;
    }
    next(axis + 1, iterations);
    if (!axes_[axis].dims[dim_]) return;
    const std::int64_t before = now_[axis], room = axes_[axis].size / before;
    for (std::int64_t factor = 2; factor <= std::min(room, iterations); ++factor) {
      const std::int64_t left = ceil_div(iterations, factor);
      if (ceil_div(iterations, factor - 1) == left) continue;
      now_[axis] = before * factor;
      next(axis + 1, left);
    }
    now_[axis] = before;
  }

  const std::vector<Axis>& axes_;
  std::size_t dim_;
  std::int64_t size_;
  OnAxes& all_;
  std::vector<std::int64_t> now_;
  double occupied_ = 1;
};

/// How many different positions {i * step + j * other_step, i < count, j < other} there are: those of one
/// axis of the input that are used.
double positions(std::int64_t count, std::int64_t step, std::int64_t other, std::int64_t other_step) {
  const std::int64_t extent = (count - 1) * step + (other - 1) * other_step + 1;
  constexpr std::int64_t kMostMarked = std::int64_t{1} << 24;
  if (extent > kMostMarked || count * other > kMostMarked) return static_cast<double>(std::max(count, other));
  std::vector<bool> used(static_cast<std::size_t>(extent), false);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t j = 0; j < other; ++j) used[static_cast<std::size_t>(i * step + j * other_step)] = true;
  }
  return static_cast<double>(std::count(used.begin(), used.end(), true));
}

/// Words of a tensor that take part.
double words_of(const Layer& layer, Operand operand) {
  double words = 1;
  for (const Dim dim : all_dims()) {
    const bool in_window = dim == Dim::R || dim == Dim::S || dim == Dim::P || dim == Dim::Q;
    if (relevant(operand, dim) && !(operand == Operand::I && in_window))
      words *= static_cast<double>(layer[dim]);
  }
  if (operand != Operand::I) return words;
  return words * positions(layer[Dim::P], layer.wstride, layer[Dim::R], layer.wdilation) *
         positions(layer[Dim::Q], layer.hstride, layer[Dim::S], layer.hdilation);
}

/// Words that must be read, filled and updated at a level for one tensor, all instances together.
struct Passing {
  double reads = 0, fills = 0, updates = 0;
};

Passing passing(const Chain& chain, const Layer& layer, Operand operand, int level) {
  const auto holds = [&](int l) { return chain.levels[static_cast<std::size_t>(l)].holds_operand(operand); };
  bool innermost = true;
  for (int inner = 0; inner < level; ++inner) innermost = innermost && !holds(inner);
  const double words = words_of(layer, operand);
  double content = words;  // that leaves towards the inside
  if (innermost) {
    const double shared = most_in_space(chain, layer, 0, level, shared_dims(chain, operand, 0, level));
    content = std::max(words, static_cast<double>(layer.macs()) / shared);
  }
  Passing all;
  all.fills = level == chain.dram() ? 0 : words;
  if (operand != Operand::O) {
    all.reads = content;
    return all;
  }
  all.updates = content;
  // Partial sums of one output in several instances each save their first read.
  const double copies = most_in_space(chain, layer, level + 1, chain.dram(),
                                      shared_dims(chain, operand, level + 1, chain.dram()));
  all.reads = std::max(0.0, content - words * copies);
  return all;
}

}  // namespace

double most_in_space(const Chain& chain, const Layer& layer, int first, int last, const DimSet& dims) {
  std::vector<Axis> axes;
  double limit = 1, sizes = 1;
  for (int l = first; l <= last; ++l) {
    for (const FanOut& fan_out : chain.levels[static_cast<std::size_t>(l)].fan_out) {
      if (fan_out.size == 1) continue;
      axes.push_back({fan_out.size, fan_out.dims});
      limit *= static_cast<double>(fan_out.size);
    }
  }
  for (const Dim dim : all_dims()) {
    if (dims[static_cast<std::size_t>(dim)]) sizes *= static_cast<double>(layer[dim]);
  }
  const double any = std::min(limit, sizes);
  if (chain.remainders == Remainders::kCut) return any;
  OnAxes all{{std::vector<std::int64_t>(axes.size(), 1), 1}};
  for (const Dim dim : all_dims()) {
    if (!dims[static_cast<std::size_t>(dim)] || layer[dim] == 1) continue;
    OnAxes wider;
    Spreading spreading(axes, dim, layer[dim], wider);
    for (const auto& [now, occupied] : all) spreading.run(now, occupied);
    if (wider.size() > kMostCombinations) return any;
    all = std::move(wider);
  }
  double most = 1;
  for (const auto& [on_axes, occupied] : all) most = std::max(most, occupied);
  return std::min(most, any);
}

DimSet shared_dims(const Chain& chain, Operand operand, int first, int last) {
  DimSet dims{};
  for (const Dim dim : all_dims()) dims[static_cast<std::size_t>(dim)] = !relevant(operand, dim);
  if (operand != Operand::I) return dims;
  for (int l = first; l <= last; ++l) {
    const auto spreads = [&](Dim dim) {
      const auto& fan_out = chain.levels[static_cast<std::size_t>(l)].fan_out;
      return std::any_of(fan_out.begin(), fan_out.end(), [&](const FanOut& axis) {
        return axis.size > 1 && axis.dims[static_cast<std::size_t>(dim)];
      });
    };
    for (const auto& [outputs, filter] : {std::pair{Dim::P, Dim::R}, std::pair{Dim::Q, Dim::S}}) {
      if (spreads(outputs) && spreads(filter)) dims[static_cast<std::size_t>(filter)] = true;
    }
  }
  return dims;
}

ChainBound lower_bound(const Chain& chain, const Layer& layer) {
  DimSet every{};
  every.fill(true);
  const auto macs = static_cast<double>(layer.macs());
  ChainBound bound;
  bound.cycles = macs / most_in_space(chain, layer, 0, chain.dram(), every);
  double accesses_pj = 0;
  for (int l = 0; l <= chain.dram(); ++l) {
    const ChainLevel& level = chain.levels[static_cast<std::size_t>(l)];
    double reads = 0, writes = 0;
    for (const Operand operand : all_operands()) {
      if (!level.holds_operand(operand)) continue;
      const Passing words = passing(chain, layer, operand, l);
      reads += words.reads;
      writes += words.fills + words.updates;
    }
    accesses_pj += (reads + writes) / level.vector_words * level.vector_pj;
    const double instances = most_in_space(chain, layer, l + 1, chain.dram(), every);
    const auto bind = [&](const std::optional<double>& words_per_cycle, double words) {
      if (words_per_cycle) bound.cycles = std::max(bound.cycles, words / instances / *words_per_cycle);
    };
    bind(level.read_words_per_cycle, reads);
    bind(level.write_words_per_cycle, writes);
    bind(level.words_per_cycle, reads + writes);
  }
  // Cycles are whole.
  bound.cycles = std::ceil(bound.cycles * kRounding);
  if (chain.remainders == Remainders::kPadded)
    accesses_pj = std::max(accesses_pj, reuse_bound(chain, layer, accesses_pj));
  bound.energy_pj = (macs * chain.mac_energy_pj + accesses_pj) * kRounding;
  return bound;
}

}  // namespace dosa
