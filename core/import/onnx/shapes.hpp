// What is known of the tensors that a node writes: values of constants, and types by the library's own
// functions.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "dosa/core/import/onnx/tensor.hpp"

namespace dosa::onnx_import {

/// A tensor at one place of the walk.
struct Tensor {
  onnx::TypeProto type;
  std::optional<Constant> constant;
  bool is_constant = false;  ///< depends on no input of the network
};

using Tensors = std::vector<const Tensor*>;  ///< a node's inputs, null for one that is left out

/// The versions of the operators that a model uses, by domain; the standard one is "".
struct Opsets {
  explicit Opsets(const onnx::ModelProto& model);

  std::map<std::string, int> versions;
  int newest = 0;  ///< of the standard ones that the library knows
};

bool is_standard(const std::string& domain);

/// The output of a constant, of Shape and Size, and of what is computed of such; empty for other nodes.
/// Throws Error at `where` for tensors that are none.
std::vector<Tensor> computed(const onnx::NodeProto& node, const Tensors& inputs, const std::string& where);

/// The types of a node's outputs, as far as the library knows its operator and what it reads; for some that
/// it does not know, that of the first input.
std::vector<Tensor> inferred(const onnx::NodeProto& node, const Tensors& inputs, const Opsets& opsets);

/// Whether somebody knows what this operator does.
bool is_known(const onnx::NodeProto& node);

}  // namespace dosa::onnx_import
