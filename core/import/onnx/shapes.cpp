#include "dosa/core/import/onnx/shapes.hpp"

#include <onnx/defs/schema.h>
#include <onnx/defs/shape_inference.h>

#include <algorithm>
#include <memory>
#include <set>

#include "dosa/core/import/onnx/fold.hpp"

namespace dosa::onnx_import {
namespace {

using onnx::NodeProto;
using onnx::TypeProto;

/// What the library's function of one operator sees of a node.
class NodeContext : public onnx::InferenceContext {
 public:
  NodeContext(const NodeProto& node, const Tensors& inputs) : inputs_(inputs) {
    for (const onnx::AttributeProto& attribute : node.attribute()) attributes_[attribute.name()] = &attribute;
    for (const Tensor* input : inputs) {
      data_.push_back(input != nullptr && input->constant
                          ? std::make_unique<onnx::TensorProto>(tensor_of(*input->constant))
                          : nullptr);
    }
    outputs_.resize(static_cast<std::size_t>(node.output_size()));
  }

  const onnx::AttributeProto* getAttribute(const std::string& name) const override {
    const auto found = attributes_.find(name);
    return found == attributes_.end() ? nullptr : found->second;
  }
  std::size_t getNumInputs() const override { return inputs_.size(); }
  const TypeProto* getInputType(std::size_t i) const override {
    if (i >= inputs_.size() || inputs_[i] == nullptr) return nullptr;
    return inputs_[i]->type.value_case() == TypeProto::VALUE_NOT_SET ? nullptr : &inputs_[i]->type;
  }
  const onnx::TensorProto* getInputData(std::size_t i) const override {
    return i < data_.size() ? data_[i].get() : nullptr;
  }
  std::size_t getNumOutputs() const override { return outputs_.size(); }
  TypeProto* getOutputType(std::size_t i) override { return &outputs_.at(i); }
  onnx::GraphInferencer* getGraphAttributeInferencer(const std::string&) override { return nullptr; }
  const onnx::SparseTensorProto* getInputSparseData(std::size_t) const override { return nullptr; }
  const onnx::TensorShapeProto* getSymbolicInput(std::size_t) const override { return nullptr; }

  std::vector<TypeProto>& outputs() { return outputs_; }

 private:
  const Tensors& inputs_;
  std::map<std::string, const onnx::AttributeProto*> attributes_;
  std::vector<std::unique_ptr<onnx::TensorProto>> data_;
  std::vector<TypeProto> outputs_;
};

/// Operators whose output has the shape of their first input, or of all inputs stretched to each other, where
/// the library does not know them.
const std::set<std::string>& pointwise() {
  static const std::set<std::string> names{"Gelu",
                                           "FastGelu",
                                           "BiasGelu",
                                           "QuickGelu",
                                           "Swish",
                                           "Mish",
                                           "BiasAdd",
                                           "BiasSoftmax",
                                           "GroupNorm",
                                           "RotaryEmbedding",
                                           "RMSNormalization",
                                           "LayerNormalization",
                                           "SimplifiedLayerNormalization",
                                           "SkipLayerNormalization",
                                           "SkipSimplifiedLayerNormalization",
                                           "GroupNormalization",
                                           "QLinearSigmoid",
                                           "QLinearLeakyRelu",
                                           "QLinearSoftmax",
                                           "QuantizeLinear",
                                           "DequantizeLinear",
                                           "QLinearAdd",
                                           "QLinearMul"};
  return names;
}

Tensor known(Constant constant) {
  Tensor tensor{type_of(constant.type, constant.dims), std::nullopt, true};
  tensor.constant = std::move(constant);
  return tensor;
}

Constant shape_of(const NodeProto& node, const Dims& dims) {
  const auto rank = static_cast<std::int64_t>(dims.size());
  const auto place = [&](const char* name, std::int64_t otherwise) {
    const std::int64_t at = integer_of(node, name, otherwise);
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  Constant shape{{0}, onnx::TensorProto::INT64, {}};
  for (std::int64_t a = place("start", 0); a < place("end", rank); ++a)
    shape.values.push_back(static_cast<double>(dims[static_cast<std::size_t>(a)]));
  shape.dims[0] = static_cast<std::int64_t>(shape.values.size());
  return shape;
}

std::vector<Tensor> constant_of(const NodeProto& node, const std::string& where) {
  if (const auto* value = attribute_of(node, "value"); value != nullptr && value->has_t()) {
    FileTensor read = read_tensor(value->t(), where);
    return {{std::move(read.type), std::move(read.constant), true}};
  }
  Constant constant;
  if (const auto* value = attribute_of(node, "value_int"))
    constant.values = {static_cast<double>(value->i())};
  if (const auto* value = attribute_of(node, "value_float")) {
    constant.type = onnx::TensorProto::FLOAT;
    constant.values = {static_cast<double>(value->f())};
  }
  const auto list = [&](const auto& values, int type) {
    constant.type = type;
    constant.dims = {static_cast<std::int64_t>(values.size())};
    for (const auto value : values) constant.values.push_back(static_cast<double>(value));
  };
  if (const auto* value = attribute_of(node, "value_ints")) list(value->ints(), onnx::TensorProto::INT64);
  if (const auto* value = attribute_of(node, "value_floats")) list(value->floats(), onnx::TensorProto::FLOAT);
  if (constant.values.empty() && constant.dims.empty()) return {{TypeProto(), std::nullopt, true}};
  return {known(std::move(constant))};
}

}  // namespace

Opsets::Opsets(const onnx::ModelProto& model) {
  for (const auto& opset : model.opset_import()) {
    versions[is_standard(opset.domain()) ? "" : opset.domain()] =
        static_cast<int>(std::clamp<std::int64_t>(opset.version(), 1, 1000));
  }
  const auto range = onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
  if (const auto known = range.find(""); known != range.end()) newest = known->second.second;
}

bool is_standard(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

std::vector<Tensor> computed(const NodeProto& node, const Tensors& inputs, const std::string& where) {
  if (!is_standard(node.domain()) || node.output_size() != 1) return {};
  const std::string& op = node.op_type();
  if (op == "Constant") return constant_of(node, where);
  if ((op == "Shape" || op == "Size") && inputs.size() == 1 && inputs[0] != nullptr) {
    const auto dims = dims_of(inputs[0]->type);
    if (!dims) return {};
    if (op == "Size")
      return {known({{}, onnx::TensorProto::INT64, {static_cast<double>(elements_of(*dims, where))}})};
    return {known(shape_of(node, *dims))};
  }
  std::vector<const Constant*> constants;
  for (const Tensor* input : inputs) {
    if (input != nullptr && !input->constant) return {};
    constants.push_back(input == nullptr ? nullptr : &*input->constant);
  }
  auto result = fold(node, constants);
  if (!result) return {};
  return {known(std::move(*result))};
}

std::vector<Tensor> inferred(const NodeProto& node, const Tensors& inputs, const Opsets& opsets) {
  std::vector<Tensor> outputs(static_cast<std::size_t>(node.output_size()));
  const std::string domain = is_standard(node.domain()) ? "" : node.domain();
  const auto opset = opsets.versions.find(domain);
  const onnx::OpSchema* schema = opset == opsets.versions.end()
                                     ? nullptr
                                     : onnx::OpSchemaRegistry::Schema(node.op_type(), opset->second, domain);
  if (schema != nullptr && schema->has_type_and_shape_inference_function()) {
    NodeContext context(node, inputs);
    try {
      schema->GetTypeAndShapeInferenceFunction()(context);
      for (std::size_t o = 0; o < outputs.size(); ++o) outputs[o].type = std::move(context.outputs()[o]);
    } catch (const std::exception&) {
      // The shapes are not known; a product that needs them says so.
    }
  }
  const bool like_input = pointwise().count(node.op_type()) > 0 && !inputs.empty() && inputs[0] != nullptr;
  if (like_input && !outputs.empty() && !dims_of(outputs[0].type)) outputs[0].type = inputs[0]->type;
  return outputs;
}

bool is_known(const NodeProto& node) {
  const std::string domain = is_standard(node.domain()) ? "" : node.domain();
  if (onnx::OpSchemaRegistry::Schema(node.op_type(), domain) != nullptr) return true;
  return (domain.empty() || domain == "com.microsoft") && pointwise().count(node.op_type()) > 0;
}

}  // namespace dosa::onnx_import
