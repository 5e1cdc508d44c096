// The operators of ONNX that are convolutions and products of matrices, as layers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dosa/core/import/onnx/tensor.hpp"
#include "dosa/models/layer.hpp"

namespace dosa::onnx_import {

/// An input of a node.
struct Input {
  bool is_there = false;
  std::optional<Dims> dims;  ///< where they are known
  bool is_constant = false;  ///< the same for every input of the network: weights
};

/// What a node computes, as layers in the order in which they run.
struct Products {
  std::vector<Layer> layers;
  /// Sizes of its first output, for operators that the library has no shapes for.
  std::optional<Dims> output;
  /// What of it the layers do not say, in a line without the node's name; empty: nothing.
  std::string remark;
};

/// The layers of a node whose operator is one of these; nothing for any other. `name` becomes that of the
/// layers. Throws Error{kValue} at `where` for sizes that are not known, do not fit each other or have no
/// counterpart.
///
/// Convolutions of one dimension run along the width. A convolution of three is one of two for every place of
/// the third, over the channels of all its taps. A transposed convolution is the convolutions of stride 1
/// that compute its interleaved outputs. Of a product of two activations, the second one (for the scores of
/// attention the keys, for its context the values) stands where weights do, a group for each matrix.
std::optional<Products> products_of(const onnx::NodeProto& node, const std::vector<Input>& inputs,
                                    const std::string& name, const std::string& where);

}  // namespace dosa::onnx_import
