// Computing the small constants of a graph: from shapes and numbers of the file follow further shapes.
#pragma once

#include <optional>
#include <vector>

#include "dosa/core/import/onnx/tensor.hpp"

namespace dosa::onnx_import {

/// The output of a node whose inputs are all known (null for one that is left out), for operators that
/// networks compute shapes with; nothing for others, for what would be larger than kMaxKnownElements, and for
/// inputs that do not fit. Attributes are those of the opset in which an operator has them as attributes, or
/// inputs where it has inputs.
std::optional<Constant> fold(const onnx::NodeProto& node, const std::vector<const Constant*>& inputs);

/// An attribute of a node; null where it is not there.
const onnx::AttributeProto* attribute_of(const onnx::NodeProto& node, const char* name);
/// An integer attribute, or `otherwise`.
std::int64_t integer_of(const onnx::NodeProto& node, const char* name, std::int64_t otherwise);
/// A list of integers; empty where it is not there.
Dims integers_of(const onnx::NodeProto& node, const char* name);

}  // namespace dosa::onnx_import
