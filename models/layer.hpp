// One layer of a network as seven nested loops.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dosa/models/base/json_input.hpp"

namespace dosa {

/// The loop dimensions, always in this order. R,S filter width and height; P,Q output width and height;
/// C input channels; K output channels; N batch. P pairs with R and the w-stride, Q with S and the h-stride.
enum class Dim : int { R, S, P, Q, C, K, N };
inline constexpr int kDims = 7;
inline constexpr std::string_view kDimNames = "RSPQCKN";
using DimSizes = std::array<std::int64_t, kDims>;
/// A set of dimensions.
using DimSet = std::array<bool, kDims>;

/// The dimension that a letter names, or nothing.
std::optional<Dim> dim_from_name(char name);
inline char name_of(Dim dim) { return kDimNames[static_cast<std::size_t>(dim)]; }
inline constexpr std::array<Dim, kDims> all_dims() {
  return {Dim::R, Dim::S, Dim::P, Dim::Q, Dim::C, Dim::K, Dim::N};
}

/// The three tensors of a layer: weights, inputs, outputs.
enum class Operand : int { W, I, O };
inline constexpr int kOperands = 3;
inline constexpr std::string_view kOperandNames = "WIO";
inline char letter_of(Operand operand) { return kOperandNames[static_cast<std::size_t>(operand)]; }
inline constexpr std::array<Operand, kOperands> all_operands() {
  return {Operand::W, Operand::I, Operand::O};
}

/// A set of operands, by Operand.
using OperandSet = std::array<bool, kOperands>;

/// Reads a set from a text of letters, "RSC" or "WI". Throws Error with file and key at any other letter.
DimSet dims_from_json(const JsonInput& json);
OperandSet operands_from_json(const JsonInput& json);
/// The letters of a set, in the order of the enumeration.
std::string letters_of(const DimSet& dims);
std::string letters_of(const OperandSet& operands);

/// Whether the elements of an operand that are used change along a dimension.
constexpr bool relevant(Operand operand, Dim dim) {
  switch (operand) {
    case Operand::W:
      return dim == Dim::R || dim == Dim::S || dim == Dim::C || dim == Dim::K;
    case Operand::I:
      return dim != Dim::K;
    case Operand::O:
      return dim == Dim::P || dim == Dim::Q || dim == Dim::K || dim == Dim::N;
  }
  return false;
}

/// Zero rows and columns around an input.
struct Sides {
  std::int64_t left = 0, right = 0, top = 0, bottom = 0;

  bool are_even() const { return left == right && left == top && left == bottom; }
};

/// What the operand W of a layer is: weights, which are the same for every input of the network, or
/// activations, as in a product of two of them (attention's scores and context).
enum class LayerKind { kWeights, kActivations };
inline constexpr std::array<const char*, 2> kLayerKinds{"weights", "activations"};

/// Bits of an element of each tensor, where a network says them.
using WordBits = std::array<std::optional<int>, kOperands>;

/// A convolution or matrix product. A matrix product has R = S = Q = 1, P rows, C inner, K columns.
/// A grouped or depthwise convolution is `groups` runs of one smaller layer: `size` is that smaller layer
/// (C and K per group), so every cost of this layer is that of one group, times `groups`.
struct Layer {
  std::string name;
  std::int64_t count = 1;  ///< how often the network runs it
  DimSizes size{1, 1, 1, 1, 1, 1, 1};
  std::int64_t wstride = 1, hstride = 1;
  std::int64_t wdilation = 1, hdilation = 1;
  std::int64_t groups = 1;
  /// Zero rows and columns on every side of the input, where known; the analytical model ignores it (it
  /// counts the padded input), real targets need it.
  std::optional<std::int64_t> padding;
  /// Padding whose sides differ; `padding` is then empty.
  std::optional<Sides> uneven_padding;
  /// Size of the input without padding, where known; otherwise input_width() guesses it.
  std::optional<std::int64_t> known_input_width, known_input_height;
  LayerKind kind = LayerKind::kWeights;  ///< no cost depends on it
  /// An element takes one word of every level that holds it, however few its bits; see check_word_bits().
  WordBits word_bits{};

  std::int64_t operator[](Dim dim) const { return size[static_cast<std::size_t>(dim)]; }
  std::int64_t& operator[](Dim dim) { return size[static_cast<std::size_t>(dim)]; }
  /// Multiply-accumulates of one group: R*S*P*Q*C*K*N.
  std::int64_t macs() const;
  /// How often the smaller layer runs in the network: count * groups.
  std::int64_t repetitions() const { return count * groups; }
  bool is_matmul() const;
  /// Makes this the padding, whether its sides differ or not.
  void pad(const Sides& sides);
  /// The padding on each side; unknown padding is none.
  Sides sides() const;
  /// Width (Q: height) of the input that the outputs need, padding included: (P-1)*stride + (R-1)*dilation
  /// + 1.
  std::int64_t padded_width() const;
  std::int64_t padded_height() const;
  /// Width (Q: height) of the input without padding; unknown padding counts as none, so that an input whose
  /// padding is unknown is stored padded. Where the file does not say: P*stride if that gives P outputs, as
  /// in most networks (56 -> 28 rather than 55 -> 28), else the smallest input that does.
  std::int64_t input_width() const;
  std::int64_t input_height() const;
};

/// MACs of one group may not exceed this: their number, that of its words and small multiples of both are
/// 64-bit integers.
inline constexpr std::int64_t kMaxMacs = std::int64_t{1} << 62;
/// Nor the input of one group, with its padding, this many words.
inline constexpr std::int64_t kMaxInputWords = std::int64_t{1} << 53;
inline constexpr std::int64_t kMaxDim = std::int64_t{1} << 31;
inline constexpr std::int64_t kMaxStep = 1 << 16;  ///< strides and dilations
inline constexpr std::int64_t kMaxWordBits = 64;   ///< of a level's words and of a tensor's elements

/// Reads {name, count?, dims {R,S,P,Q,C,K,N, wstride?, hstride?, wdilation?, hdilation?}, groups?, padding?,
/// input_width?, input_height?, kind?, word_bits?}, padding as a number or as {left?, right?, top?, bottom?},
/// and nothing else but `extra_keys`, which the caller reads. Dimensions left out are 1. Throws Error.
Layer layer_from_json(const JsonInput& json, const std::vector<const char*>& extra_keys = {});
/// The same form back; parts that have their default are left out, except count and the seven sizes.
Json to_json(const Layer& layer);

/// Throws Error{kValue} naming the field unless every field is in range and the MAC count does not overflow.
void check_layer(const Layer& layer);

}  // namespace dosa
