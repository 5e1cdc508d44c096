#include "dosa/models/chain/cut_nest.hpp"

#include <algorithm>
#include <cmath>

namespace dosa {
namespace {

constexpr std::size_t index_of(Dim dim) { return static_cast<std::size_t>(dim); }
constexpr std::size_t kP = index_of(Dim::P), kR = index_of(Dim::R), kQ = index_of(Dim::Q);
constexpr std::size_t kS = index_of(Dim::S), kC = index_of(Dim::C), kK = index_of(Dim::K);
constexpr std::size_t kN = index_of(Dim::N);

}  // namespace

static_assert(2 * kMostLevels <= 32, "a bit for every digit");

CutNest::CutNest(const ChainNest& nest, std::size_t levels, const DimSizes& sizes,
                 const std::array<double, kDims>& step)
    : levels_(levels), step_(step) {
  std::array<std::array<Digits, kMostLevels>, kDims> time;  // that of the loop in time of a level; none: 0
  for (std::size_t d = 0; d < kDims; ++d) {
    Dimension& dim = dims_[d];
    dim.size = static_cast<double>(sizes[d]);
    double inside = 1;
    const auto add = [&](double factor) {
      // Of the outermost loops, no more iterations than there are.
      if (inside * factor > dim.size) factor = std::min(factor, std::ceil(dim.size / inside));
      if (factor == 1) return Digits{0};
      dim.factor[dim.count] = factor;
      dim.inside[dim.count] = inside;
      inside *= factor;
      return Digits{1} << dim.count++;
    };
    for (std::size_t l = 0; l < levels; ++l) {
      const auto& [in_time, x, y] = nest.factors[l];
      dim.first[l] = dim.count;
      dim.space[l] = add(x[d] * y[d]);
      time[d][l] = add(in_time[d]);
    }
    dim.first[levels] = dim.count;
    if (dim.count <= kKnownDigits) std::fill_n(known_[d].begin(), std::size_t{1} << dim.count, 0.0);
    dim.inside[dim.count] = inside;
  }
  for (std::size_t l = 0; l < levels; ++l) {
    for (const std::uint8_t d : nest.order[l]) {
      const Dimension& dim = dims_[d];
      if (time[d][l] == 0) continue;
      const std::size_t digit = dim.first[l] + (dim.space[l] != 0 ? 1 : 0);
      loops_[loop_count_++] = {d, l, time[d][l], dim.inside[digit]};
    }
  }
}

double CutNest::combinations(std::size_t d, Digits digits) const {
  const Dimension& dim = dims_[d];
  digits &= (Digits{1} << dim.count) - 1;
  if (dim.count > kKnownDigits) return count(dim, digits);
  double& known = known_[d][digits];
  if (known == 0) known = count(dim, digits);
  return known;
}

double CutNest::count(const Dimension& dim, Digits digits) {
  // From the outermost digit in: the blocks of a digit are full but for the last. Full ones have all
  // combinations of the digits inside them; of a digit that does not tell them apart, the first block has
  // them.
  double full = 1;
  for (std::size_t i = 0; i < dim.count; ++i) {
    if ((digits >> i & 1u) != 0) full *= dim.factor[i];
  }
  if (dim.inside[dim.count] == dim.size) return full;
  double count = 1, rest = dim.size;
  for (std::size_t i = dim.count; i-- > 0;) {
    if ((digits >> i & 1u) != 0) {
      full /= dim.factor[i];
      const double before = std::ceil(rest / dim.inside[i]) - 1;
      count += before * full;
      rest -= before * dim.inside[i];
    } else {
      rest = std::min(rest, dim.inside[i]);
    }
  }
  return count;
}

double CutNest::product(const Places& digits) const {
  double product = 1;
  for (std::size_t d = 0; d < kDims; ++d) product *= combinations(d, digits[d]);
  return product;
}

CutNest::Places CutNest::instances(int level, bool all_instances) const {
  Places places{};
  if (!all_instances) return places;
  for (std::size_t d = 0; d < kDims; ++d) {
    for (auto l = static_cast<std::size_t>(level + 1); l < levels_; ++l) places[d] |= dims_[d].space[l];
  }
  return places;
}

void CutNest::add_time(Places& digits, std::size_t from) const {
  for (std::size_t i = from; i < loop_count_; ++i) digits[loops_[i].dim] |= loops_[i].digit;
}

CutNest::Digits CutNest::up_to(std::size_t dim, int level) const {
  return (Digits{1} << dims_[dim].first[static_cast<std::size_t>(level + 1)]) - 1;
}

double CutNest::extent(std::size_t dim, int level) const {
  return dims_[dim].inside[dims_[dim].first[static_cast<std::size_t>(level + 1)]];
}

std::size_t CutNest::outside(int level) const {
  std::size_t from = 0;
  while (from < loop_count_ && static_cast<int>(loops_[from].level) <= level) ++from;
  return from;
}

double CutNest::macs() const {
  double macs = 1;
  for (const Dimension& dim : dims_) macs *= dim.size;
  return macs;
}

double CutNest::cycles() const {
  Places time{};
  add_time(time, 0);
  return product(time);
}

double CutNest::used(std::size_t level) const { return product(instances(static_cast<int>(level), true)); }

double CutNest::tile_words(Operand operand, std::size_t level) const {
  const auto size = [&](std::size_t d) {
    return std::min(extent(d, static_cast<int>(level)), dims_[d].size);
  };
  if (operand == Operand::I) {
    return ((size(kP) - 1) * step_[kP] + (size(kR) - 1) * step_[kR] + 1) *
           ((size(kQ) - 1) * step_[kQ] + (size(kS) - 1) * step_[kS] + 1) * size(kC) * size(kN);
  }
  double words = 1;
  for (std::size_t d = 0; d < kDims; ++d) {
    if (relevant(operand, static_cast<Dim>(d))) words *= size(d);
  }
  return words;
}

CutNest::Blocks CutNest::blocks(std::size_t dim, int level, Digits where) const {
  Blocks blocks;
  blocks.full = std::min(extent(dim, level), dims_[dim].size);
  blocks.number = combinations(dim, where);
  blocks.last = combinations(dim, where | up_to(dim, level)) - (blocks.number - 1) * blocks.full;
  return blocks;
}

double CutNest::windows(const Blocks& outputs, const Blocks& filter, std::size_t dim_of_outputs,
                        std::size_t dim_of_filter, const Slide& slide) const {
  const double stride = step_[dim_of_outputs], dilation = step_[dim_of_filter];
  const auto width = [&](double p, double r) { return (p - 1) * stride + (r - 1) * dilation + 1; };
  const auto anew = [&](double p, double r) {
    // The tile before is a full one along the loop that slides.
    const double before = slide.dim == dim_of_outputs  ? width(outputs.full, r)
                          : slide.dim == dim_of_filter ? width(p, filter.full)
                                                       : 0;
    return width(p, r) - std::max(before - slide.words, 0.0);
  };
  const double full_outputs = outputs.number - 1, full_filters = filter.number - 1;
  return full_outputs * full_filters * anew(outputs.full, filter.full) +
         full_outputs * anew(outputs.full, filter.last) + full_filters * anew(outputs.last, filter.full) +
         anew(outputs.last, filter.last);
}

double CutNest::input_words(int level, const Places& where, const Slide& slide) const {
  const auto of = [&](std::size_t dim) { return blocks(dim, level, where[dim]); };
  return windows(of(kP), of(kR), kP, kR, slide) * windows(of(kQ), of(kS), kQ, kS, slide) *
         combinations(kC, where[kC] | up_to(kC, level)) * combinations(kN, where[kN] | up_to(kN, level)) *
         combinations(kK, where[kK]);
}

// See sliding_fills() of ChainModel: the first visit brings the whole tile; a carry into a loop brings what
// is new where the tile moves as the innermost loop moves it, else all of it.
double CutNest::arriving_inputs(int level, const Places& spread) const {
  const std::size_t begin = outside(level);
  double words = input_words(level, spread, {});
  std::array<double, kTensorAxes> first{}, sum{};
  Slide slide;
  double before = 0;  // the words of loops[last] and those outside it, as far as they are known
  std::size_t last = loop_count_, last_slide = kDims;
  for (std::size_t i = begin; i < loop_count_; ++i) {
    const std::size_t dim = loops_[i].dim;
    const double inside = loops_[i].inside;
    std::array<double, kTensorAxes> move{};
    if (kAxisOfInput[dim] >= 0) move[static_cast<std::size_t>(kAxisOfInput[dim])] = inside * step_[dim];
    if (i == begin) {
      first = move;
      slide = {dim, inside * step_[dim]};
    }
    bool slides = true;
    for (std::size_t a = 0; a < kTensorAxes; ++a) {
      if (i > begin) slides = slides && move[a] - sum[a] == first[a];
      sum[a] += move[a];
    }
    if (slides && slide.dim == kK) continue;  // the tile stays
    // The carries into this loop: it is not at its first iteration, those inside it are.
    Places started = spread;
    add_time(started, i + 1);
    Places carried = started;
    carried[dim] |= loops_[i].digit;
    const Slide own = slides ? slide : Slide{};
    if (last_slide != own.dim || last != i) before = input_words(level, carried, own);
    const double after = input_words(level, started, own);
    words += before - after;
    before = after;
    last_slide = own.dim;
    last = i + 1;
  }
  return words;
}

double CutNest::arriving(Operand operand, int level, const Places& spread) const {
  if (level >= 0 && operand == Operand::I) return arriving_inputs(level, spread);
  Places places = spread;
  std::size_t from = outside(level);
  if (level >= 0) {
    while (from < loop_count_ && !relevant(operand, static_cast<Dim>(loops_[from].dim))) ++from;
    for (std::size_t d = 0; d < kDims; ++d) {
      if (relevant(operand, static_cast<Dim>(d))) places[d] |= up_to(d, level);
    }
  }
  add_time(places, from);
  return product(places);
}

// Neither dimension is cut where both are in space.
double CutNest::of_different_windows(double words, std::size_t level) const {
  for (const auto& [outputs, filter] : {std::pair{kP, kR}, std::pair{kQ, kS}}) {
    const Dimension &of_outputs = dims_[outputs], &of_filter = dims_[filter];
    if (of_outputs.space[level] == 0 || of_filter.space[level] == 0) continue;
    const std::size_t i = of_outputs.first[level], j = of_filter.first[level];
    const double p = of_outputs.factor[i], r = of_filter.factor[j];
    words = words / (p * r) *
            (p * r - coinciding_windows(p, r, of_outputs.inside[i] * step_[outputs],
                                        of_filter.inside[j] * step_[filter]));
  }
  return words;
}

CutAccesses CutNest::accesses(Operand operand, std::size_t level, int inner, bool all_instances) const {
  const Places own = instances(static_cast<int>(level), all_instances);
  // The children at the same words are served together.
  Places children = own;
  for (std::size_t d = 0; d < kDims; ++d) {
    if (!relevant(operand, static_cast<Dim>(d))) continue;
    for (auto l = static_cast<std::size_t>(inner + 1); l <= level; ++l) children[d] |= dims_[d].space[l];
  }
  double content = arriving(operand, inner, children);
  if (operand == Operand::I) {
    for (auto l = static_cast<std::size_t>(inner + 1); l <= level; ++l)
      content = of_different_windows(content, l);
  }
  CutAccesses moved;
  if (level + 1 < levels_) moved.fills = arriving(operand, static_cast<int>(level), own);
  moved.reads = content;
  if (operand != Operand::O) return moved;
  moved.updates = content;
  // The first read of every partial sum of an instance is elided.
  const Places outer = instances(static_cast<int>(level), true);
  Places sums = own;
  for (std::size_t d = 0; d < kDims; ++d) {
    if (relevant(operand, static_cast<Dim>(d))) sums[d] = all_instances ? ~Digits{0} : ~outer[d];
  }
  moved.reads -= product(sums);
  return moved;
}

}  // namespace dosa
