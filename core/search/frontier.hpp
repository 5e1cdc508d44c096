// The schedules of a layer that can be part of an optimal design.
//
// With the shape of the machine fixed, a schedule enters a design only through a few numbers: what it needs
// of every buffer, its cycles, and its energy, which is an affine function of the buffers' sizes. A schedule
// that another one matches or beats in all of them is never needed; what remains is the layer's frontier.
// Choosing buffers and one entry per layer is then cheap, whatever the size of the space of schedules.
#pragma once

#include <cstdint>
#include <vector>

#include "dosa/models/base/torch.hpp"
#include "dosa/models/machine.hpp"

namespace dosa {

/// The sizes of a machine's buffers, the last ones of its parameters (Machine::shape_parameters).
std::vector<double> buffers_of(const Hardware& hardware, std::size_t buffers);

struct Frontier {
  /// Columns of `numbers`; a need and a slope for every buffer follow. For all groups of one run of the
  /// layer.
  enum Column : std::int64_t {
    kCycles,  ///< as the search counts them
    kEnergy,  ///< pJ with buffers of size zero
    kFixed    ///< columns before the buffers'
  };
  static std::int64_t need(std::size_t b) { return kFixed + static_cast<std::int64_t>(2 * b); }
  /// pJ per unit of this buffer's size.
  static std::int64_t slope(std::size_t b) { return need(b) + 1; }
  /// With so many buffers.
  static std::int64_t columns(std::size_t buffers) { return need(buffers); }
  bool is_improvable() const { return !complete || reaches_beyond; }
  std::size_t buffers() const { return static_cast<std::size_t>(numbers.size(1) - kFixed) / 2; }

  torch::Tensor numbers;  ///< [entries, columns], float64; undefined: nothing found
  torch::Tensor codes;    ///< [entries, any], float64: the schedules in the space's own form
  /// [entries], cycles that a design's evaluation gives where they are not those that the search counts
  /// (which may hold a prediction's uncertainty); else undefined.
  torch::Tensor expected_cycles;
  bool complete = false;        ///< the whole space of schedules was looked at
  bool reaches_beyond = false;  ///< LayerSpace::improve may find schedules beyond that space
  std::int64_t evaluated = 0;   ///< evaluations of the model, lower bounds too

  // What was covered, in nests (or calls with tiles); every one goes with every loop order.
  double space = 0;          ///< all that the shape allows
  double candidates = 0;     ///< without those that larger spatial factors match or beat in everything
  double looked_at = 0;      ///< of the candidates
  double over_capacity = 0;  ///< of those looked at, larger than the buffers may be: never evaluated
  double beaten = 0;  ///< of those looked at, beaten by a known one even at a lower bound of all orders

  /// Adds entries and keeps what nothing beats by `columns` of the numbers (see undominated).
  template <typename Columns>
  void add(const torch::Tensor& more, const torch::Tensor& more_codes, const torch::Tensor& more_expected,
           const Columns& columns);
};

/// Indices of the rows of `numbers` [n, columns], none negative, that no other row matches or beats in every
/// column; of equal rows the first.
torch::Tensor undominated(const torch::Tensor& numbers);
/// Indices of the rows of `numbers` that no row of `front` [m, columns] matches or beats in every column.
torch::Tensor unbeaten(const torch::Tensor& numbers, const torch::Tensor& front);
/// Sums of logarithms of the rows: what beats a row is never above it.
torch::Tensor sum_of_logs(const torch::Tensor& numbers);

/// Energy [n] in pJ of `numbers` [n, Frontier::columns] with buffers of these sizes.
torch::Tensor energy_at(const torch::Tensor& numbers, const std::vector<double>& buffers);
/// Which entries [n] fit these buffers, bool.
torch::Tensor fits(const torch::Tensor& numbers, const std::vector<double>& buffers);

/// A range of buffer sizes.
struct BufferRange {
  std::vector<double> lo, hi;

  static BufferRange of(const Hardware& min, const Hardware& max, std::size_t buffers) {
    return {buffers_of(min, buffers), buffers_of(max, buffers)};
  }
  bool is_one_point() const { return lo == hi; }
  /// The corners, those with the largest buffers first; each once.
  std::vector<std::vector<double>> corners() const;
  /// What decides which of two entries that fit into the range is at least as good everywhere in it, [n,
  /// any]: a row with no column above another one's fits wherever that one fits and takes no more cycles, and
  /// no more energy at the corners, hence anywhere, since energy is affine.
  torch::Tensor columns(const torch::Tensor& numbers) const;
};

template <typename Columns>
void Frontier::add(const torch::Tensor& more, const torch::Tensor& more_codes,
                   const torch::Tensor& more_expected, const Columns& columns) {
  const auto append = [](torch::Tensor& all, const torch::Tensor& some) {
    if (some.defined()) all = all.defined() ? torch::cat({all, some}) : some;
  };
  const torch::Tensor chosen = undominated(columns(more));
  const auto pick = [&](const torch::Tensor& t) { return t.defined() ? t.index_select(0, chosen) : t; };
  append(numbers, pick(more));
  append(codes, pick(more_codes));
  append(expected_cycles, pick(more_expected));
  const torch::Tensor kept = std::get<0>(undominated(columns(numbers)).sort());
  for (torch::Tensor* field : {&numbers, &codes, &expected_cycles}) {
    if (field->defined()) *field = field->index_select(0, kept);
  }
}

}  // namespace dosa
