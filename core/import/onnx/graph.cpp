#include "dosa/core/import/onnx/graph.hpp"

#include <algorithm>
#include <map>

#include "dosa/core/import/onnx/fold.hpp"
#include "dosa/core/import/onnx/products.hpp"
#include "dosa/core/import/onnx/shapes.hpp"
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

class Walker {
 public:
  Walker(const onnx::ModelProto& model, const std::string& path, const ImportOptions& options)
      : model_(model), path_(path), sizes_(options), opsets_(model) {
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
    const auto own = opsets_.versions.find("");
    if (own == opsets_.versions.end() || own->second <= opsets_.newest) return;
    network_.remarks.push_back(fmt::format(
        "{}: opset {} is newer than {}, the newest that the ONNX library here knows; operators that "
        "have changed since are read as of {}",
        path_, own->second, opsets_.newest, opsets_.newest));
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
    Tensors inputs;
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
    std::vector<Tensor> outputs = computed(node, inputs, where(node));
    if (outputs.empty()) {
      // Constants are computed once, before the network runs.
      const auto products =
          constant ? std::nullopt : products_of(node, operands_of(inputs), name_of(node), where(node));
      outputs = outputs_of(node, inputs, scope);
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

  /// The types of a node's outputs: those that follow from its inputs, else those that the file states.
  std::vector<Tensor> outputs_of(const NodeProto& node, const Tensors& inputs, const Scope& scope) const {
    std::vector<Tensor> outputs = inferred(node, inputs, opsets_);
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      if (dims_of(outputs[o].type)) continue;
      if (auto stated = stated_type(node.output(static_cast<int>(o)), scope))
        outputs[o].type = std::move(*stated);
    }
    return outputs;
  }

  // Layers, and what is none.

  static std::vector<Input> operands_of(const Tensors& inputs) {
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

  void count(const NodeProto& node, const Products& products, const Tensors& inputs,
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

  void leave_out(const NodeProto& node, const Tensors& inputs, const std::vector<Tensor>& outputs) {
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
    const std::string name =
        printable(is_standard(node.domain()) ? node.op_type() : node.domain() + "::" + node.op_type());
    network_.left_out.add(name, repeats_, elements, read + written, !is_known(node));
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
  bool walk_control(const NodeProto& node, const Tensors& inputs, Scope& scope) {
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

  std::vector<Tensor> walk_if(const NodeProto& node, const Tensors& inputs, const Scope& scope) {
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
  std::vector<Tensor> walk_loop(const NodeProto& node, const Tensors& inputs, const Scope& scope) {
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
  static std::optional<std::int64_t> trips_of(const Tensors& inputs, bool is_scan, std::size_t scanned) {
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
  Opsets opsets_;
  std::map<FunctionName, const onnx::FunctionProto*> functions_;
  Network network_;
  std::size_t nodes_ = 0;
  int depth_ = 0;
  double repeats_ = 1;
};

}  // namespace

Network read_network(const onnx::ModelProto& model, const std::string& path, const ImportOptions& options) {
  return Walker(model, path, options).walk();
}

}  // namespace dosa::onnx_import
