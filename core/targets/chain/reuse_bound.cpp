#include "dosa/core/targets/chain/reuse_bound.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "dosa/core/targets/chain/lower_bounds.hpp"
#include "dosa/models/base/convex_program.hpp"
#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

// Choices of runs that are worth looking at.
constexpr int kMostCases = 200;
// Share of the energy to which each program is solved.
constexpr double kTolerance = 1e-3;
// Capacities are taken for this much larger, so that there are points strictly within them.
constexpr double kRoom = 1.001;
// Taps of a filter for which the extents of windows are looked at.
constexpr std::int64_t kMostTaps = 1000;

/// The loops in time right outside a level, innermost first, that one tensor does not depend on.
struct Run {
  std::optional<Operand> of;  ///< the only tensor that they spare words
  bool goes_on = false;       ///< the next level has no other loops in time, and the run goes on outside it
};

/// The words of I along one axis that reach a tile, at least, per multiplication in its rows: a tile of p
/// outputs and r filter taps has p * r multiplications there and at least p + (r - 1) words of P's stride 1.
///
/// In the model the words of a tile are those of its extent at its first visit, of its extent again or of a
/// step of the innermost loop at every other one. With a stride s and a size R, of which r are inside:
/// - extent / (p r) and s p / (p r) are at least min(1, s / R);
/// - where the innermost loops are not of I, and the carry into a later loop of R counts as a step of none
///   (so r <= R / 2), at least half of the visits are full: min(1, s / R) / 2 of r, min(1/2, s / R) of R;
/// - where the innermost loop is n of R, a step is n times smaller than all of them, and no less than 1 / 2n
///   of the visits are full: 1 / 2R, and of the others at least min(1, s / R) / 2.
double least_words(std::int64_t outputs, std::int64_t filter, std::int64_t stride) {
  if (outputs == 1 || filter == 1) return 1;
  const auto taps = static_cast<double>(filter);
  const double step = std::min(1.0, static_cast<double>(stride) / taps);
  return std::min(0.5, (step + 1 / taps) / 2);
}

/// Powers for which p^outputs * r^filter is never above the extent of a tile of p outputs and r taps.
struct ExtentPowers {
  double outputs = 1, filter = 1;
};

/// For tiles of up to so many outputs and taps. In p the extent's logarithm minus outputs * log(p) rises, if
/// at all, before it falls: its derivative has the sign of a line that falls in p, for outputs >= 1. So it is
/// least at p = 1 or at the most.
ExtentPowers extent_powers(std::int64_t most_outputs, std::int64_t most_taps, std::int64_t stride,
                           std::int64_t dilation) {
  ExtentPowers powers;
  const auto log_extent = [&](std::int64_t p, std::int64_t r) {
    return std::log(static_cast<double>((p - 1) * stride + (r - 1) * dilation + 1));
  };
  const double log_most = std::log(static_cast<double>(most_outputs));
  if (most_outputs > 1) powers.outputs = log_extent(most_outputs, 1) / log_most;
  if (most_taps > kMostTaps) return {powers.outputs, 0};
  powers.filter = kInfinity;
  for (std::int64_t r = 2; r <= most_taps; ++r) {
    const double log_r = std::log(static_cast<double>(r));
    powers.filter = std::min({powers.filter, log_extent(1, r) / log_r,
                              (log_extent(most_outputs, r) - powers.outputs * log_most) / log_r});
  }
  return powers;
}

/// The convex program of one choice of runs.
class ReuseProgram {
 public:
  /// `runs` are those outside every level but the last.
  ReuseProgram(const Chain& chain, const Layer& layer, const std::vector<Run>& runs)
      : chain_(chain), layer_(layer), runs_(runs), slots_(chain.levels.size()) {
    for (const Dim dim : all_dims()) {
      if (layer[dim] > 1) add_slots(dim);
    }
    for (int level = 0; level <= chain.dram(); ++level) {
      limit_fan_out(level);
      limit_capacity(level);
      for (const Operand operand : all_operands()) {
        if (at(level).holds_operand(operand)) add_accesses(operand, level);
      }
    }
  }

  double lower_bound() const { return program_.lower_bound(kTolerance); }

 private:
  /// Variables of the factors of each dimension at a level.
  struct Slots {
    std::array<std::optional<std::size_t>, kDims> time, space;
  };

  const ChainLevel& at(int level) const { return chain_.levels[static_cast<std::size_t>(level)]; }
  const Slots& slots(int level) const { return slots_[static_cast<std::size_t>(level)]; }
  bool goes_on_through(int level) const {
    return level > 0 && runs_[static_cast<std::size_t>(level - 1)].goes_on;
  }

  /// At most the product of some dimensions' factors in space at these levels. Where other levels spread them
  /// as well, the factors of a padded size may be more than what they occupy by themselves.
  double most(int first, int last, const DimSet& dims) const {
    double axes = 1, sizes = 1;
    bool spread_elsewhere = false;
    for (int level = 0; level <= chain_.dram(); ++level) {
      for (const FanOut& fan_out : at(level).fan_out) {
        double on_axis = 1;
        for (const Dim dim : all_dims()) {
          const auto d = static_cast<std::size_t>(dim);
          if (dims[d] && fan_out.dims[d]) on_axis *= static_cast<double>(layer_[dim]);
        }
        const double most = std::min(on_axis, static_cast<double>(fan_out.size));
        const bool is_here = level >= first && level <= last;
        if (is_here) axes *= most;
        spread_elsewhere = spread_elsewhere || (!is_here && most > 1);
      }
    }
    if (!spread_elsewhere) return most_in_space(chain_, layer_, first, last, dims);
    for (const Dim dim : all_dims()) {
      if (dims[static_cast<std::size_t>(dim)]) sizes *= static_cast<double>(layer_[dim]);
    }
    return std::min(axes, sizes);
  }

  bool may_loop(int level, Dim dim) const {
    if (!at(level).temporal[static_cast<std::size_t>(dim)]) return false;
    return !goes_on_through(level) || !relevant(*runs_[static_cast<std::size_t>(level - 1)].of, dim);
  }

  void add_slots(Dim dim) {
    const auto d = static_cast<std::size_t>(dim);
    DimSet only{};
    only[d] = true;
    std::vector<std::optional<std::size_t>*> places;
    for (int level = 0; level <= chain_.dram(); ++level) {
      Slots& here = slots_[static_cast<std::size_t>(level)];
      if (most(level, level, only) > 1) places.push_back(&here.space[d]);
      if (may_loop(level, dim)) places.push_back(&here.time[d]);
    }
    std::size_t variable = program_.add_group(std::log(static_cast<double>(layer_[dim])), places.size());
    for (std::optional<std::size_t>* place : places) *place = variable++;
  }

  /// The product of the factors in space over some dimensions at a level is at most what divisors allow.
  void limit_space(int level, const DimSet& dims) {
    Monomial product;
    int factors = 0;
    for (std::size_t d = 0; d < kDims; ++d) {
      if (!dims[d] || !slots(level).space[d]) continue;
      product.times(*slots(level).space[d], 1);
      ++factors;
    }
    if (factors == 0) return;
    product.log = -std::log(most(level, level, dims) * kRoom);
    program_.at_most_one({product});
  }

  void limit_fan_out(int level) {
    const auto& [x, y] = at(level).fan_out;
    DimSet every{}, only_x{}, only_y{};
    for (std::size_t d = 0; d < kDims; ++d) {
      const bool on_x = x.size > 1 && x.dims[d], on_y = y.size > 1 && y.dims[d];
      every[d] = on_x || on_y;
      only_x[d] = on_x && !on_y;
      only_y[d] = on_y && !on_x;
      DimSet one{};
      one[d] = true;
      limit_space(level, one);
    }
    limit_space(level, every);
    if (only_x != every) limit_space(level, only_x);
    if (only_y != every) limit_space(level, only_y);
  }

  /// Multiplies by all factors of a dimension inside a level, to a power.
  void times_inside(Monomial& monomial, int level, Dim dim, double power) const {
    const auto d = static_cast<std::size_t>(dim);
    for (int inner = 0; inner <= level; ++inner) {
      if (slots(inner).time[d]) monomial.times(*slots(inner).time[d], power);
      if (slots(inner).space[d]) monomial.times(*slots(inner).space[d], power);
    }
  }

  /// At most the words of an operand's tile at a level.
  Monomial tile(Operand operand, int level) const {
    Monomial words;
    for (const Dim dim : all_dims()) {
      const bool in_window = dim == Dim::R || dim == Dim::S || dim == Dim::P || dim == Dim::Q;
      if (relevant(operand, dim) && !(operand == Operand::I && in_window)) times_inside(words, level, dim, 1);
    }
    if (operand != Operand::I) return words;
    const auto slide = [&](Dim outputs, Dim filter, std::int64_t stride, std::int64_t dilation) {
      // The factors of a padded size, none of which could be smaller, multiply to less than twice the size.
      const auto most = [&](Dim dim) { return 2 * layer_[dim] - 1; };
      const ExtentPowers powers = extent_powers(most(outputs), most(filter), stride, dilation);
      if (layer_[outputs] > 1) times_inside(words, level, outputs, powers.outputs);
      if (layer_[filter] > 1) times_inside(words, level, filter, powers.filter);
    };
    slide(Dim::P, Dim::R, layer_.wstride, layer_.wdilation);
    slide(Dim::Q, Dim::S, layer_.hstride, layer_.hdilation);
    return words;
  }

  void limit_capacity(int level) {
    if (!at(level).capacity_words || level == chain_.dram()) return;
    std::vector<Monomial> tiles;
    bool grows = false;
    for (const Operand operand : all_operands()) {
      if (!at(level).holds_operand(operand)) continue;
      tiles.push_back(tile(operand, level));
      tiles.back().log -= std::log(static_cast<double>(*at(level).capacity_words) * kRoom);
      grows = grows || !tiles.back().powers.empty();
    }
    if (grows) program_.at_most_one(std::move(tiles));
  }

  Monomial multiplications() const {
    Monomial all;
    all.log = std::log(static_cast<double>(layer_.macs()));
    return all;
  }

  /// At most the words of an operand that reach all instances of a level that holds it.
  Monomial fills(Operand operand, int level) const {
    Monomial words = multiplications();
    if (operand == Operand::I) {
      words.log += std::log(least_words(layer_[Dim::P], layer_[Dim::R], layer_.wstride) *
                            least_words(layer_[Dim::Q], layer_[Dim::S], layer_.hstride));
    }
    const bool has_run = runs_[static_cast<std::size_t>(level)].of == operand;
    for (const Dim dim : all_dims()) {
      if (relevant(operand, dim)) continue;
      times_inside(words, level, dim, -1);
      for (int outer = level + 1; has_run && outer <= chain_.dram(); ++outer) {
        if (const auto& loop = slots(outer).time[static_cast<std::size_t>(dim)]) words.times(*loop, -1);
        if (!goes_on_through(outer)) break;
      }
    }
    return words;
  }

  /// At most the words of an operand that a level and those inside it exchange, all its instances together.
  Monomial content(Operand operand, int level) const {
    int inner = level - 1;
    while (inner >= 0 && !at(inner).holds_operand(operand)) --inner;
    Monomial words = inner >= 0 ? fills(operand, inner) : multiplications();
    for (int between = inner + 1; between <= level; ++between) {
      const DimSet shared = shared_dims(chain_, operand, between, between);
      for (std::size_t d = 0; d < kDims; ++d) {
        if (shared[d] && slots(between).space[d]) words.times(*slots(between).space[d], -1);
      }
    }
    return words;
  }

  void add_accesses(Operand operand, int level) {
    const double word_pj = at(level).vector_pj / at(level).vector_words;
    if (word_pj == 0) return;
    const auto add = [&](Monomial words) {
      words.log += std::log(word_pj);
      program_.minimise(words);
    };
    if (level < chain_.dram()) add(fills(operand, level));
    add(content(operand, level));
    if (operand != Operand::O) return;
    add(content(operand, level));  // reads, of which the first of every partial sum is elided, and updates
    DimSet reduced{};
    double outputs = 1;
    for (const Dim dim : all_dims()) {
      reduced[static_cast<std::size_t>(dim)] = !relevant(operand, dim);
      if (relevant(operand, dim)) outputs *= static_cast<double>(layer_[dim]);
    }
    // There are as many partial sums as outputs times the factors of R, S, C in space outside. Minus that is
    // a concave function of their logarithms, which is above its chord between 1 and the most that there can
    // be.
    program_.minimise(-outputs * word_pj);
    const double copies = level < chain_.dram() ? most(level + 1, chain_.dram(), reduced) : 1;
    if (copies == 1) return;
    const double slope = -outputs * word_pj * (copies - 1) / std::log(copies);
    for (int outer = level + 1; outer <= chain_.dram(); ++outer) {
      for (std::size_t d = 0; d < kDims; ++d) {
        if (reduced[d] && slots(outer).space[d]) program_.minimise(*slots(outer).space[d], slope);
      }
    }
  }

  const Chain& chain_;
  const Layer& layer_;
  const std::vector<Run>& runs_;
  std::vector<Slots> slots_;
  ConvexProgram program_;
};

/// Every choice of runs that need be looked at: for each level outside which no run comes from further
/// inside, one for each tensor that it holds, within the next level and going on.
void choose_runs(const Chain& chain, std::size_t level, std::vector<Run>& runs,
                 std::vector<std::vector<Run>>& all) {
  if (level + 1 == chain.levels.size()) {
    all.push_back(runs);
    return;
  }
  std::vector<std::optional<Operand>> choices;
  if (level > 0 && runs[level - 1].goes_on) {
    choices.push_back(runs[level - 1].of);
  } else {
    for (const Operand operand : all_operands()) {
      if (chain.levels[level].holds_operand(operand)) choices.push_back(operand);
    }
    if (choices.empty()) choices.push_back(std::nullopt);
  }
  for (const std::optional<Operand>& choice : choices) {
    for (const bool goes_on : {false, true}) {
      if (goes_on && (!choice || level + 2 == chain.levels.size())) continue;
      if (all.size() > kMostCases) return;
      runs.push_back({choice, goes_on});
      choose_runs(chain, level + 1, runs, all);
      runs.pop_back();
    }
  }
}

}  // namespace

double reuse_bound(const Chain& chain, const Layer& layer, double enough) {
  std::vector<std::vector<Run>> all;
  std::vector<Run> runs;
  choose_runs(chain, 0, runs, all);
  if (all.size() > kMostCases) return 0;
  double least = kInfinity;
  for (const std::vector<Run>& choice : all) {
    least = std::min(least, ReuseProgram(chain, layer, choice).lower_bound());
    if (least <= enough) break;
  }
  return std::max(0.0, least);
}

}  // namespace dosa
