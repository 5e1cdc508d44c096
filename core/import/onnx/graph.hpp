// Walking an ONNX graph from its inputs to its outputs: the shapes of all tensors and the layers of its
// nodes.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/import/importer.hpp"
#include "dosa/core/import/layer_list.hpp"
#include "dosa/core/import/onnx/left_out.hpp"
#include "dosa/core/import/onnx/tensor.hpp"

namespace dosa::onnx_import {

struct Network {
  LayerList layers;
  LeftOut left_out;
  std::vector<std::string> remarks;
};

/// Shapes follow node by node by the library's own functions, with the constants that are computed of shapes
/// on the way; where the library has none for an operator, by ours or by those that the file states. Throws
/// Error for open dimensions without a size, a product whose shapes are not known, graphs nested or expanded
/// beyond bounds, loops of unknown length and branches that hold layers.
Network read_network(const onnx::ModelProto& model, const std::string& path, const ImportOptions& options);

}  // namespace dosa::onnx_import
