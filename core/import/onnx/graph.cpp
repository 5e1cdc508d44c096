#include "dosa/core/import/onnx/graph.hpp"

#include <onnx/defs/schema.h>
#include <onnx/defs/shape_inference.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "dosa/core/import/onnx/fold.hpp"
#include "dosa/core/import/onnx/products.hpp"
#include "dosa/core/import/onnx/sizes.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::onnx_import {
namespace {

using onnx::GraphProto;
using onnx::NodeProto;
using onnx::TypeProto;

constexpr std::size_t kMaxNodes = 200000;  // with functions and graphs of graphs written out
constexpr int kMaxDepth = 16;
constexpr double kMaxRepeats = 1 << 24;

/// A tensor at one place of the walk.
struct Tensor {
  TypeProto type;
  std::optional<Constant> constant;
  bool is_constant = false;  ///< depends on no input of the network
};

/// Tensors by name; those of an inner graph hide those outside.
struct Scope {
  const Scope* outer = nullptr;
  std::map<std::string, Tensor> tensors;
  std::map<std::string, const TypeProto*> stated;  ///< types that the file states

  const Tensor* find(const std::string& name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->outer) {
      const auto own = scope->tensors.find(name);
      if (own != scope->tensors.end()) return &own->second;
    }
    return nullptr;
  }
};

/// What the library's function of one operator sees of a node.
class NodeContext : public onnx::InferenceContext {
 public:
  NodeContext(const NodeProto& node, const std::vector<const Tensor*>& inputs) : inputs_(inputs) {
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
  const std::vector<const Tensor*>& inputs_;
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

/// Operators that give their data another shape or name without moving it.
bool is_view(const std::string& op) {
  return op == "Reshape" || op == "Flatten" || op == "Squeeze" || op == "Unsqueeze" || op == "Identity" ||
         op == "Dropout" || op == "Shape" || op == "Size" || op == "Constant";
}

/// Operators that read of their data no more than they write.
bool reads_parts(const std::string& op) {
  return op == "Gather" || op == "GatherElements" || op == "GatherND" || op == "Slice" || op == "Split" ||
         op == "EmbedLayerNormalization";
}

bool is_standard(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

class Walker {
 public:
  Walker(const onnx::ModelProto& model, const std::string& path, const ImportOptions& options)
      : model_(model), path_(path), sizes_(options) {
    for (const auto& opset : model.opset_import()) {
      const std::string domain = is_standard(opset.domain()) ? "" : opset.domain();
      opsets_[domain] = static_cast<int>(std::clamp<std::int64_t>(opset.version(), 1, 1000));
    }
    for (const auto& function : model.functions())
      functions_[{function.domain(), function.name()}] = &function;
  }

  Network walk() {
    check_opset();
    const GraphProto& graph = model_.graph();
    Scope scope;
    add_stated(graph, scope);
    add_file_tensors(graph, scope);
    for (const auto& input : graph.input()) {
      if (scope.tensors.count(input.name()) > 0) continue;  // a weight
      scope.tensors[input.name()] = {resolved(input), std::nullopt, false};
    }
    sizes_.check(path_);
    if (sizes_.assumed_batch())
      network_.remarks.push_back(fmt::format("{}: the batch is open, taken as 1 (--batch)", path_));
    walk_nodes(graph.node(), scope);
    if (network_.layers.empty()) {
      fail(ErrorId::kValue,
           "{}: found no convolution and no product of matrices in {} nodes, expected at least one", path_,
           nodes_);
    }
    return std::move(network_);
  }

 private:
  using Nodes = google::protobuf::RepeatedPtrField<NodeProto>;
  using FunctionName = std::pair<std::string, std::string>;

  void check_opset() {
    const auto own = opsets_.find("");
    if (own == opsets_.end()) return;
    const auto range = onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
    const auto known = range.find("");
    newest_ = known == range.end() ? own->second : known->second.second;
    if (own->second > newest_) {
      network_.remarks.push_back(
          fmt::format("{}: opset {} is newer than {}, the newest that the ONNX library here "
                      "knows; operators that have changed since are read as of {}",
                      path_, own->second, newest_, newest_));
    }
  }

  static void add_stated(const GraphProto& graph, Scope& scope) {
    for (const auto& info : graph.value_info()) scope.stated[info.name()] = &info.type();
    for (const auto& info : graph.output()) scope.stated[info.name()] = &info.type();
  }

  void add_file_tensors(const GraphProto& graph, Scope& scope) const {
    for (const auto& tensor : graph.initializer()) {
      FileTensor read = read_tensor(tensor, path_);
      scope.tensors[tensor.name()] = {std::move(read.type), std::move(read.constant), true};
    }
    for (const auto& sparse : graph.sparse_initializer()) {
      const Dims dims(sparse.dims().begin(), sparse.dims().end());
      scope.tensors[sparse.values().name()] = {type_of(sparse.values().data_type(), dims), std::nullopt,
                                               true};
    }
  }

  /// The type of an input with its open sizes filled in.
  TypeProto resolved(const onnx::ValueInfoProto& input) {
    TypeProto type = input.type();
    if (!type.has_tensor_type() || !type.tensor_type().has_shape()) return type;
    auto* shape = type.mutable_tensor_type()->mutable_shape();
    for (int a = 0; a < shape->dim_size(); ++a) {
      auto* dim = shape->mutable_dim(a);
      if (dim->has_dim_value() && dim->dim_value() >= 0) continue;
      if (const auto size = sizes_.resolve(dim->dim_param(), input.name(), static_cast<std::size_t>(a)))
        dim->set_dim_value(*size);
    }
    return type;
  }

  /// The sizes that the file states for a tensor, where all of them are known.
  std::optional<TypeProto> stated_type(const std::string& name, const Scope& scope) const {
    const auto found = scope.stated.find(name);
    if (found == scope.stated.end() || !found->second->has_tensor_type()) return std::nullopt;
    TypeProto type = *found->second;
    if (!type.tensor_type().has_shape()) return std::nullopt;
    auto* shape = type.mutable_tensor_type()->mutable_shape();
    for (int a = 0; a < shape->dim_size(); ++a) {
      auto* dim = shape->mutable_dim(a);
      if (dim->has_dim_value()) continue;
      const auto size = sizes_.find(dim->dim_param());
      if (dim->dim_param().empty() || !size) return std::nullopt;
      dim->set_dim_value(*size);
    }
    return type;
  }

  void walk_nodes(const Nodes& nodes, Scope& scope) {
    for (const NodeProto& node : nodes) {
      if (++nodes_ > kMaxNodes)
        fail(ErrorId::kValue, "{}: found more than {} nodes, with functions written out", path_, kMaxNodes);
      walk_node(node, scope);
    }
  }

  std::string name_of(const NodeProto& node) const {
    if (!node.name().empty()) return node.name();
    if (node.output_size() > 0 && !node.output(0).empty()) return node.output(0);
    return node.op_type();
  }
  std::string where(const NodeProto& node) const {
    return fmt::format("{}: node '{}' ({})", path_, printable(name_of(node)), printable(node.op_type()));
  }

  void walk_node(const NodeProto& node, Scope& scope) {
    std::vector<const Tensor*> inputs;
    bool constant = node.input_size() > 0;
    for (const std::string& name : node.input()) {
      const Tensor* input = name.empty() ? nullptr : scope.find(name);
      if (!name.empty() && input == nullptr)
        fail(ErrorId::kValue, "{}: reads '{}', which no earlier node writes", where(node), printable(name));
      if (input != nullptr) constant = constant && input->is_constant;
      inputs.push_back(input);
    }
    const auto function = functions_.find({node.domain(), node.op_type()});
    if (function != functions_.end()) {
      walk_function(node, *function->second, scope);
      return;
    }
    if (is_standard(node.domain()) && walk_control(node, inputs, scope)) return;
    std::vector<Tensor> outputs = computed(node, inputs);
    if (outputs.empty()) {
      // Constants are computed once, before the network runs.
      const auto products =
          constant ? std::nullopt : products_of(node, operands_of(inputs), name_of(node), where(node));
      outputs = inferred(node, inputs, scope);
      for (Tensor& output : outputs) output.is_constant = constant;
      if (products) {
        count(node, *products, inputs, outputs);
      } else if (!constant && (!is_view(node.op_type()) || !is_standard(node.domain()))) {
        leave_out(node, inputs, outputs);
      }
    }
    for (int o = 0; o < node.output_size(); ++o) {
      if (!node.output(o).empty())
        scope.tensors[node.output(o)] = std::move(outputs[static_cast<std::size_t>(o)]);
    }
  }

  static Tensor known(Constant constant) {
    Tensor tensor{type_of(constant.type, constant.dims), std::nullopt, true};
    tensor.constant = std::move(constant);
    return tensor;
  }

  /// The output of a constant, of Shape and Size, and of what is computed of such; empty for other nodes.
  std::vector<Tensor> computed(const NodeProto& node, const std::vector<const Tensor*>& inputs) const {
    if (!is_standard(node.domain()) || node.output_size() != 1) return {};
    const std::string& op = node.op_type();
    if (op == "Constant") return constant_of(node);
    if ((op == "Shape" || op == "Size") && inputs.size() == 1 && inputs[0] != nullptr) {
      const auto dims = dims_of(inputs[0]->type);
      if (!dims) return {};
      if (op == "Size")
        return {
            known({{}, onnx::TensorProto::INT64, {static_cast<double>(elements_of(*dims, where(node)))}})};
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

  static Constant shape_of(const NodeProto& node, const Dims& dims) {
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

  std::vector<Tensor> constant_of(const NodeProto& node) const {
    if (const auto* value = attribute_of(node, "value"); value != nullptr && value->has_t()) {
      FileTensor read = read_tensor(value->t(), where(node));
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
    if (const auto* value = attribute_of(node, "value_floats"))
      list(value->floats(), onnx::TensorProto::FLOAT);
    if (constant.values.empty() && constant.dims.empty()) return {{TypeProto(), std::nullopt, true}};
    return {known(std::move(constant))};
  }

  /// The types of a node's outputs: the library's, else the file's.
  std::vector<Tensor> inferred(const NodeProto& node, const std::vector<const Tensor*>& inputs,
                               const Scope& scope) {
    std::vector<Tensor> outputs(static_cast<std::size_t>(node.output_size()));
    infer(node, inputs, outputs);
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      if (dims_of(outputs[o].type)) continue;
      if (auto stated = stated_type(node.output(static_cast<int>(o)), scope))
        outputs[o].type = std::move(*stated);
    }
    if (!outputs.empty() && !dims_of(outputs[0].type) && pointwise().count(node.op_type()) > 0 &&
        !inputs.empty() && inputs[0] != nullptr)
      outputs[0].type = inputs[0]->type;
    return outputs;
  }

  void infer(const NodeProto& node, const std::vector<const Tensor*>& inputs,
             std::vector<Tensor>& outputs) const {
    const std::string domain = is_standard(node.domain()) ? "" : node.domain();
    const auto opset = opsets_.find(domain);
    const onnx::OpSchema* schema =
        opset == opsets_.end() ? nullptr
                               : onnx::OpSchemaRegistry::Schema(node.op_type(), opset->second, domain);
    if (schema == nullptr || !schema->has_type_and_shape_inference_function()) return;
    const NodeProto own = as_known(node, inputs, domain.empty() ? opset->second : 0);
    NodeContext context(own, inputs);
    try {
      schema->GetTypeAndShapeInferenceFunction()(context);
    } catch (const std::exception&) {
      return;  // the shapes are not known; a product that needs them says so
    }
    for (std::size_t o = 0; o < outputs.size(); ++o) outputs[o].type = std::move(context.outputs()[o]);
  }

  /// A node of a newer opset in the form of the newest that the library knows: axes of reductions were
  /// attributes.
  NodeProto as_known(const NodeProto& node, const std::vector<const Tensor*>& inputs, int opset) const {
    NodeProto own = node;
    const bool reduces = node.op_type().rfind("Reduce", 0) == 0 && node.op_type() != "ReduceSum";
    if (opset < 18 || newest_ >= 18 || !reduces || inputs.size() < 2 || inputs[1] == nullptr) return own;
    if (!inputs[1]->constant) return own;
    onnx::AttributeProto* axes = own.add_attribute();
    axes->set_name("axes");
    axes->set_type(onnx::AttributeProto::INTS);
    for (const std::int64_t axis : inputs[1]->constant->integers()) axes->add_ints(axis);
    return own;
  }

  // Layers, and what is none.

  static std::vector<Input> operands_of(const std::vector<const Tensor*>& inputs) {
    std::vector<Input> operands;
    for (const Tensor* input : inputs) {
      if (input == nullptr) {
        operands.emplace_back();
      } else {
        operands.push_back({true, dims_of(input->type), input->is_constant});
      }
    }
    return operands;
  }

  void count(const NodeProto& node, const Products& products, const std::vector<const Tensor*>& inputs,
             std::vector<Tensor>& outputs) {
    if (products.output && !outputs.empty() && !dims_of(outputs[0].type)) {
      const int element = element_of(outputs[0].type);
      outputs[0].type = type_of(element != 0 ? element : element_of(inputs[0]->type), *products.output);
    }
    if (!products.remark.empty()) network_.remarks.push_back(where(node) + ": " + products.remark);
    if (products.output) network_.left_out.add_layer(repeats_ * elements_in(*products.output, node));
    for (Layer layer : products.layers) {
      const double runs = static_cast<double>(layer.count) * repeats_;
      if (runs == 0) continue;
      if (runs > kMaxRepeats)
        fail(ErrorId::kValue, "{}: runs more than {:.0f} times", where(node), kMaxRepeats);
      layer.count = static_cast<std::int64_t>(runs);
      network_.layers.add(std::move(layer), where(node));
    }
  }

  double elements_in(const Dims& dims, const NodeProto& node) const {
    return static_cast<double>(elements_of(dims, where(node)));
  }

  void leave_out(const NodeProto& node, const std::vector<const Tensor*>& inputs,
                 const std::vector<Tensor>& outputs) {
    double elements = 0, written = 0, read = 0;
    for (const Tensor& output : outputs) {
      if (const auto dims = dims_of(output.type)) {
        elements += elements_in(*dims, node);
        written += elements_in(*dims, node) * bytes_of(element_of(output.type));
      }
    }
    for (const Tensor* input : inputs) {
      if (input == nullptr) continue;
      if (const auto dims = dims_of(input->type))
        read += elements_in(*dims, node) * bytes_of(element_of(input->type));
    }
    if (reads_parts(node.op_type())) read = std::min(read, written);
    const bool standard = is_standard(node.domain());
    const bool known = standard ? onnx::OpSchemaRegistry::Schema(node.op_type()) != nullptr ||
                                      pointwise().count(node.op_type()) > 0
                                : node.domain() == "com.microsoft" && pointwise().count(node.op_type()) > 0;
    const bool in_library = onnx::OpSchemaRegistry::Schema(node.op_type(), node.domain()) != nullptr;
    const std::string name = printable(standard ? node.op_type() : node.domain() + "::" + node.op_type());
    network_.left_out.add(name, repeats_, elements, read + written, !known && !in_library);
  }

  // Graphs in graphs.

  /// One level deeper until it goes away.
  class Deeper {
   public:
    Deeper(Walker& walker, const NodeProto& node) : walker_(walker) {
      if (++walker_.depth_ > kMaxDepth) {
        fail(ErrorId::kValue, "{}: found more than {} graphs or functions in each other", walker_.where(node),
             kMaxDepth);
      }
    }
    ~Deeper() { --walker_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Walker& walker_;
  };

  /// A function of the file's own: its nodes with the caller's tensors and attributes in place of its own.
  void walk_function(const NodeProto& node, const onnx::FunctionProto& function, Scope& scope) {
    const Deeper deeper(*this, node);
    Scope inner;
    for (int i = 0; i < function.input_size(); ++i) {
      const bool given = i < node.input_size() && !node.input(i).empty();
      if (given) inner.tensors[function.input(i)] = *scope.find(node.input(i));
    }
    Nodes nodes = function.node();
    for (NodeProto& own : nodes) {
      if (!own.name().empty()) own.set_name(name_of(node) + "/" + own.name());
      take_attributes(node, own);
    }
    walk_nodes(nodes, inner);
    for (int o = 0; o < std::min(node.output_size(), function.output_size()); ++o) {
      const Tensor* result = inner.find(function.output(o));
      if (!node.output(o).empty()) scope.tensors[node.output(o)] = result == nullptr ? Tensor{} : *result;
    }
  }

  /// Attributes of a function's node that stand for those of the call.
  static void take_attributes(const NodeProto& call, NodeProto& own) {
    NodeProto taken = own;
    taken.clear_attribute();
    for (const auto& attribute : own.attribute()) {
      if (attribute.ref_attr_name().empty()) {
        *taken.add_attribute() = attribute;
      } else if (const auto* given = attribute_of(call, attribute.ref_attr_name().c_str())) {
        auto* copy = taken.add_attribute();
        *copy = *given;
        copy->set_name(attribute.name());
      }
    }
    own = std::move(taken);
  }

  /// If, Loop and Scan. Returns whether the node is one of them.
  bool walk_control(const NodeProto& node, const std::vector<const Tensor*>& inputs, Scope& scope) {
    const std::string& op = node.op_type();
    if (op != "If" && op != "Loop" && op != "Scan") return false;
    const Deeper deeper(*this, node);
    std::vector<Tensor> outputs;
    if (op == "If") {
      outputs = walk_if(node, inputs, scope);
    } else {
      outputs = walk_loop(node, inputs, scope);
    }
    outputs.resize(static_cast<std::size_t>(node.output_size()));
    for (int o = 0; o < node.output_size(); ++o) {
      Tensor& output = outputs[static_cast<std::size_t>(o)];
      if (!dims_of(output.type)) {
        if (auto stated = stated_type(node.output(o), scope)) output.type = std::move(*stated);
      }
      if (!node.output(o).empty()) scope.tensors[node.output(o)] = std::move(output);
    }
    return true;
  }

  const GraphProto& graph_of(const NodeProto& node, const char* name) const {
    const auto* attribute = attribute_of(node, name);
    if (attribute == nullptr || !attribute->has_g())
      fail(ErrorId::kValue, "{}: its graph {} is missing", where(node), name);
    return attribute->g();
  }

  /// The outputs of a graph inside `outer`, whose inputs are these.
  std::vector<Tensor> walk_graph(const GraphProto& graph, const Scope& outer, std::vector<Tensor> inputs) {
    Scope scope;
    scope.outer = &outer;
    add_stated(graph, scope);
    add_file_tensors(graph, scope);
    for (int i = 0; i < graph.input_size(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      scope.tensors[graph.input(i).name()] = at < inputs.size() ? std::move(inputs[at]) : Tensor{};
    }
    walk_nodes(graph.node(), scope);
    std::vector<Tensor> outputs;
    for (const auto& output : graph.output()) {
      const Tensor* result = scope.find(output.name());
      outputs.push_back(result == nullptr ? Tensor{} : *result);
    }
    return outputs;
  }

  std::vector<Tensor> walk_if(const NodeProto& node, const std::vector<const Tensor*>& inputs,
                              const Scope& scope) {
    if (!inputs.empty() && inputs[0] != nullptr && inputs[0]->constant &&
        inputs[0]->constant->values.size() == 1)
      return walk_graph(graph_of(node, inputs[0]->constant->values[0] != 0 ? "then_branch" : "else_branch"),
                        scope, {});
    const std::int64_t before = network_.layers.runs();
    std::vector<Tensor> outputs = walk_graph(graph_of(node, "then_branch"), scope, {});
    const std::vector<Tensor> other = walk_graph(graph_of(node, "else_branch"), scope, {});
    if (network_.layers.runs() != before) {
      fail(ErrorId::kValue, "{}: found layers in a branch that is chosen by a value, expected them outside",
           where(node));
    }
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      outputs[o].constant = std::nullopt;
      if (o >= other.size() || dims_of(outputs[o].type) != dims_of(other[o].type))
        outputs[o].type = TypeProto();
    }
    return outputs;
  }

  /// Loop (trip count, condition, carried ...) and Scan (carried ..., scanned ...): the body as often as it
  /// runs.
  std::vector<Tensor> walk_loop(const NodeProto& node, const std::vector<const Tensor*>& inputs,
                                const Scope& scope) {
    const bool is_scan = node.op_type() == "Scan";
    const auto scanned = static_cast<std::size_t>(
        is_scan ? std::clamp<std::int64_t>(integer_of(node, "num_scan_inputs", 1), 0, node.input_size()) : 0);
    std::vector<Tensor> body;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      Tensor tensor = inputs[i] == nullptr ? Tensor{} : *inputs[i];
      tensor.constant = std::nullopt;
      tensor.is_constant = false;
      if (is_scan && i + scanned >= inputs.size()) tensor.type = without_first(tensor.type);
      body.push_back(std::move(tensor));
    }
    const std::optional<std::int64_t> trips = trips_of(inputs, is_scan, scanned);
    const std::int64_t before = network_.layers.runs();
    const double outside = repeats_;
    repeats_ *= static_cast<double>(trips.value_or(1));
    if (repeats_ > kMaxRepeats)
      fail(ErrorId::kValue, "{}: runs more than {:.0f} times", where(node), kMaxRepeats);
    std::vector<Tensor> results = walk_graph(graph_of(node, "body"), scope, std::move(body));
    repeats_ = outside;
    if (!trips && network_.layers.runs() != before)
      fail(ErrorId::kValue, "{}: found layers in a loop whose length is not known", where(node));
    if (!is_scan && !results.empty()) results.erase(results.begin());  // the condition
    const std::size_t carried = inputs.size() - std::min(inputs.size(), is_scan ? scanned : std::size_t{2});
    for (std::size_t o = 0; o < results.size(); ++o) {
      results[o].constant = std::nullopt;
      if (o >= carried) results[o].type = trips ? with_first(results[o].type, *trips) : TypeProto();
    }
    return results;
  }

  /// How often a loop runs: its trip count, or the steps of what it scans.
  static std::optional<std::int64_t> trips_of(const std::vector<const Tensor*>& inputs, bool is_scan,
                                              std::size_t scanned) {
    if (is_scan) {
      if (scanned == 0 || inputs.back() == nullptr) return std::nullopt;
      const auto dims = dims_of(inputs.back()->type);
      if (!dims || dims->empty()) return std::nullopt;
      return dims->front();
    }
    if (inputs.empty() || inputs[0] == nullptr || !inputs[0]->constant ||
        inputs[0]->constant->values.size() != 1)
      return std::nullopt;
    return std::max<std::int64_t>(0, inputs[0]->constant->integer(0));
  }

  static TypeProto without_first(const TypeProto& type) {
    auto dims = dims_of(type);
    if (!dims || dims->empty()) return TypeProto();
    return type_of(element_of(type), Dims(dims->begin() + 1, dims->end()));
  }
  static TypeProto with_first(const TypeProto& type, std::int64_t size) {
    auto dims = dims_of(type);
    if (!dims) return TypeProto();
    dims->insert(dims->begin(), size);
    return type_of(element_of(type), *dims);
  }

  const onnx::ModelProto& model_;
  const std::string& path_;
  OpenSizes sizes_;
  std::map<std::string, int> opsets_;
  std::map<FunctionName, const onnx::FunctionProto*> functions_;
  Network network_;
  int newest_ = 0;
  std::size_t nodes_ = 0;
  int depth_ = 0;
  double repeats_ = 1;
};

}  // namespace

Network read_network(const onnx::ModelProto& model, const std::string& path, const ImportOptions& options) {
  return Walker(model, path, options).walk();
}

}  // namespace dosa::onnx_import
