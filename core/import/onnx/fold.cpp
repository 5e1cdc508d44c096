#include "dosa/core/import/onnx/fold.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "dosa/models/base/error.hpp"

namespace dosa::onnx_import {
namespace {

using onnx::TensorProto;
using Inputs = std::vector<const Constant*>;
using Result = std::optional<Constant>;

bool is_integer(int type) { return type != TensorProto::FLOAT && type != TensorProto::DOUBLE; }

/// The number of elements, where so many may be kept.
std::optional<std::int64_t> bounded(const Dims& dims) {
  std::int64_t product = 1;
  for (const std::int64_t size : dims) {
    if (size < 0 || size > kMaxKnownElements) return std::nullopt;
    product *= size;
    if (product > kMaxKnownElements) return std::nullopt;
  }
  return product;
}

/// An axis counted from the end where it is negative.
std::optional<std::size_t> axis_of(std::int64_t axis, std::size_t rank) {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < 0) axis += signed_rank;
  if (axis < 0 || axis >= signed_rank) return std::nullopt;
  return static_cast<std::size_t>(axis);
}

/// Steps through all places of a tensor, the last axis fastest.
class Places {
 public:
  explicit Places(Dims dims) : dims_(std::move(dims)), at_(dims_.size(), 0) {}
  const Dims& at() const { return at_; }
  void next() {
    for (std::size_t a = dims_.size(); a-- > 0;) {
      if (++at_[a] < dims_[a]) return;
      at_[a] = 0;
    }
  }

 private:
  Dims dims_, at_;
};

/// The place of `at` in a tensor of `dims`, which is stretched where it has size 1 or no axis.
std::size_t stretched_place(const Dims& dims, const Dims& at) {
  std::size_t place = 0;
  const std::size_t skip = at.size() - dims.size();
  for (std::size_t a = 0; a < dims.size(); ++a)
    place = place * static_cast<std::size_t>(dims[a]) +
            (dims[a] == 1 ? 0 : static_cast<std::size_t>(at[a + skip]));
  return place;
}

/// The common shape of two tensors that are stretched to each other.
std::optional<Dims> stretched(const Dims& a, const Dims& b) {
  Dims dims(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const std::int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const std::int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) return std::nullopt;
    dims[dims.size() - 1 - i] = x == 1 ? y : x;
  }
  return dims;
}

Result elementwise(const Constant& a, const Constant& b, int type,
                   const std::function<std::optional<double>(double, double)>& compute) {
  const auto dims = stretched(a.dims, b.dims);
  if (!dims) return std::nullopt;
  const auto count = bounded(*dims);
  if (!count) return std::nullopt;
  Constant result{*dims, type, {}};
  Places places(*dims);
  for (std::int64_t i = 0; i < *count; ++i, places.next()) {
    const auto value = compute(a.values[stretched_place(a.dims, places.at())],
                               b.values[stretched_place(b.dims, places.at())]);
    if (!value || !std::isfinite(*value)) return std::nullopt;
    result.values.push_back(*value);
  }
  return result;
}

Result binary(const std::string& op, const Constant& a, const Constant& b) {
  const bool whole = is_integer(a.type);
  const auto with = [&](int type, auto compute) {
    return elementwise(a, b, type,
                       [compute](double x, double y) -> std::optional<double> { return compute(x, y); });
  };
  if (op == "Add") return with(a.type, [](double x, double y) { return x + y; });
  if (op == "Sub") return with(a.type, [](double x, double y) { return x - y; });
  if (op == "Mul") return with(a.type, [](double x, double y) { return x * y; });
  if (op == "Min") return with(a.type, [](double x, double y) { return std::min(x, y); });
  if (op == "Max") return with(a.type, [](double x, double y) { return std::max(x, y); });
  if (op == "Pow") return with(a.type, [](double x, double y) { return std::pow(x, y); });
  if (op == "Equal") return with(TensorProto::BOOL, [](double x, double y) { return x == y ? 1.0 : 0.0; });
  if (op == "Less") return with(TensorProto::BOOL, [](double x, double y) { return x < y ? 1.0 : 0.0; });
  if (op == "LessOrEqual")
    return with(TensorProto::BOOL, [](double x, double y) { return x <= y ? 1.0 : 0.0; });
  if (op == "Greater") return with(TensorProto::BOOL, [](double x, double y) { return x > y ? 1.0 : 0.0; });
  if (op == "GreaterOrEqual")
    return with(TensorProto::BOOL, [](double x, double y) { return x >= y ? 1.0 : 0.0; });
  if (op == "And")
    return with(TensorProto::BOOL, [](double x, double y) { return x != 0 && y != 0 ? 1.0 : 0.0; });
  if (op == "Or")
    return with(TensorProto::BOOL, [](double x, double y) { return x != 0 || y != 0 ? 1.0 : 0.0; });
  if (op == "Div" || op == "Mod") {
    return elementwise(a, b, a.type, [&](double x, double y) -> std::optional<double> {
      if (y == 0) return std::nullopt;
      if (op == "Mod") return x - y * std::floor(x / y);
      return whole ? std::trunc(x / y) : x / y;
    });
  }
  return std::nullopt;
}

Result unary(const std::string& op, const Constant& a) {
  Constant result = a;
  for (double& value : result.values) {
    if (op == "Neg") value = -value;
    if (op == "Abs") value = std::abs(value);
    if (op == "Floor") value = std::floor(value);
    if (op == "Ceil") value = std::ceil(value);
    if (op == "Round") value = std::nearbyint(value);
    if (op == "Sqrt") value = std::sqrt(value);
    if (op == "Not") value = value == 0 ? 1 : 0;
    if (!std::isfinite(value)) return std::nullopt;
  }
  return result;
}

Result cast(const Constant& a, std::int64_t to) {
  Constant result = a;
  result.type = static_cast<int>(to);
  const bool known = to == TensorProto::FLOAT || to == TensorProto::DOUBLE || to == TensorProto::INT64 ||
                     to == TensorProto::INT32 || to == TensorProto::BOOL;
  if (!known) return std::nullopt;
  for (double& value : result.values) {
    if (to == TensorProto::BOOL) value = value != 0 ? 1 : 0;
    if (is_integer(result.type)) value = std::trunc(value);
  }
  return result;
}

Result gather(const Constant& data, const Constant& indices, std::int64_t attribute) {
  const auto axis = axis_of(attribute, data.dims.size());
  if (!axis) return std::nullopt;
  Constant result{{}, data.type, {}};
  std::size_t before = 1, after = 1;
  for (std::size_t a = 0; a < data.dims.size(); ++a) {
    if (a < *axis) before *= static_cast<std::size_t>(data.dims[a]);
    if (a > *axis) after *= static_cast<std::size_t>(data.dims[a]);
    if (a != *axis) {
      result.dims.push_back(data.dims[a]);
    } else {
      result.dims.insert(result.dims.end(), indices.dims.begin(), indices.dims.end());
    }
  }
  if (!bounded(result.dims)) return std::nullopt;
  const std::int64_t size = data.dims[*axis];
  for (std::size_t b = 0; b < before; ++b) {
    for (std::size_t i = 0; i < indices.values.size(); ++i) {
      std::int64_t index = indices.integer(i);
      if (index < 0) index += size;
      if (index < 0 || index >= size) return std::nullopt;
      const std::size_t start =
          (b * static_cast<std::size_t>(size) + static_cast<std::size_t>(index)) * after;
      for (std::size_t a = 0; a < after; ++a) result.values.push_back(data.values[start + a]);
    }
  }
  return result;
}

Result concat(const Inputs& inputs, std::int64_t attribute) {
  const auto axis = axis_of(attribute, inputs[0]->dims.size());
  if (!axis) return std::nullopt;
  Constant result = *inputs[0];
  result.dims[*axis] = 0;
  for (const Constant* part : inputs) {
    if (part->dims.size() != result.dims.size()) return std::nullopt;
    for (std::size_t a = 0; a < result.dims.size(); ++a) {
      if (a != *axis && part->dims[a] != result.dims[a]) return std::nullopt;
    }
    result.dims[*axis] += part->dims[*axis];
  }
  if (!bounded(result.dims)) return std::nullopt;
  std::size_t rows = 1;
  for (std::size_t a = 0; a < *axis; ++a) rows *= static_cast<std::size_t>(result.dims[a]);
  result.values.clear();
  for (std::size_t row = 0; row < rows; ++row) {
    for (const Constant* part : inputs) {
      const std::size_t length = part->values.size() / rows;
      for (std::size_t i = 0; i < length; ++i) result.values.push_back(part->values[row * length + i]);
    }
  }
  return result;
}

/// Of one axis of a slice: the first place, the step and how many.
struct SlicedAxis {
  std::int64_t start = 0, step = 1, count = 0;
};

SlicedAxis sliced(std::int64_t size, std::int64_t start, std::int64_t end, std::int64_t step) {
  constexpr std::int64_t kFar = std::int64_t{1} << 40;
  start = std::clamp(start, -kFar, kFar);
  end = std::clamp(end, -kFar, kFar);
  step = std::clamp(step, -kFar, kFar);
  if (start < 0) start += size;
  if (end < 0) end += size;
  SlicedAxis axis{0, step, 0};
  if (step > 0) {
    axis.start = std::clamp<std::int64_t>(start, 0, size);
    axis.count =
        std::max<std::int64_t>(0, (std::clamp<std::int64_t>(end, 0, size) - axis.start + step - 1) / step);
  } else {
    axis.start = std::clamp<std::int64_t>(start, 0, size - 1);
    const std::int64_t last = std::clamp<std::int64_t>(end, -1, size - 1);
    axis.count = std::max<std::int64_t>(0, (axis.start - last - step - 1) / -step);
  }
  return axis;
}

Result slice(const onnx::NodeProto& node, const Inputs& inputs) {
  const Constant& data = *inputs[0];
  const auto list = [&](std::size_t i, const char* name) {
    return inputs.size() > i && inputs[i] != nullptr ? inputs[i]->integers() : integers_of(node, name);
  };
  const Dims starts = list(1, "starts"), ends = list(2, "ends"), steps = list(4, "steps");
  Dims axes = list(3, "axes");
  if (axes.empty()) {
    for (std::size_t a = 0; a < starts.size(); ++a) axes.push_back(static_cast<std::int64_t>(a));
  }
  if (ends.size() != starts.size() || axes.size() != starts.size() ||
      (!steps.empty() && steps.size() != starts.size()))
    return std::nullopt;
  std::vector<SlicedAxis> parts;
  for (const std::int64_t size : data.dims) parts.push_back({0, 1, size});
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto axis = axis_of(axes[i], data.dims.size());
    const std::int64_t step = steps.empty() ? 1 : steps[i];
    if (!axis || step == 0) return std::nullopt;
    parts[*axis] = sliced(data.dims[*axis], starts[i], ends[i], step);
  }
  Constant result{{}, data.type, {}};
  for (const SlicedAxis& part : parts) result.dims.push_back(part.count);
  const auto count = bounded(result.dims);
  if (!count) return std::nullopt;
  Places places(result.dims);
  for (std::int64_t i = 0; i < *count; ++i, places.next()) {
    Dims from(parts.size());
    for (std::size_t a = 0; a < parts.size(); ++a) from[a] = parts[a].start + places.at()[a] * parts[a].step;
    result.values.push_back(data.values[stretched_place(data.dims, from)]);
  }
  return result;
}

Result squeeze(const onnx::NodeProto& node, const Inputs& inputs, bool add) {
  Constant result = *inputs[0];
  const Dims given =
      inputs.size() > 1 && inputs[1] != nullptr ? inputs[1]->integers() : integers_of(node, "axes");
  const std::size_t rank = result.dims.size() + (add ? given.size() : 0);
  std::vector<bool> marked(rank, given.empty() && !add);
  for (const std::int64_t one : given) {
    const auto axis = axis_of(one, rank);
    if (!axis || marked[*axis]) return std::nullopt;
    marked[*axis] = true;
  }
  Dims dims;
  std::size_t from = 0;
  for (std::size_t a = 0; a < rank; ++a) {
    if (add && marked[a]) {
      dims.push_back(1);
    } else {
      const std::int64_t size = result.dims[from++];
      if (add || !marked[a] || (given.empty() && size != 1)) {
        dims.push_back(size);
      } else if (size != 1) {
        return std::nullopt;
      }
    }
  }
  result.dims = dims;
  return result;
}

Result reshape(const Constant& data, const Constant& shape) {
  Constant result = data;
  result.dims = shape.integers();
  std::optional<std::size_t> open;
  for (std::size_t a = 0; a < result.dims.size(); ++a) {
    if (result.dims[a] == 0) {
      if (a >= data.dims.size()) return std::nullopt;
      result.dims[a] = data.dims[a];
    }
    if (result.dims[a] == -1) {
      if (open) return std::nullopt;
      open = a;
      result.dims[a] = 1;
    }
  }
  const auto count = bounded(result.dims);
  const auto size = static_cast<std::int64_t>(data.values.size());
  if (!count || *count == 0) return std::nullopt;
  if (open) result.dims[*open] = size / *count;
  if (bounded(result.dims) != size) return std::nullopt;
  return result;
}

Result filled(const Dims& dims, int type, double value) {
  const auto count = bounded(dims);
  if (!count) return std::nullopt;
  return Constant{dims, type, std::vector<double>(static_cast<std::size_t>(*count), value)};
}

Result expand(const Constant& data, const Constant& shape) {
  const auto ones = filled(shape.integers(), data.type, 1);
  if (!ones) return std::nullopt;
  return elementwise(data, *ones, data.type, [](double x, double) -> std::optional<double> { return x; });
}

Result range(const Inputs& inputs) {
  const double start = inputs[0]->values.at(0), limit = inputs[1]->values.at(0),
               step = inputs[2]->values.at(0);
  if (step == 0) return std::nullopt;
  const double count = std::max(0.0, std::ceil((limit - start) / step));
  if (!(count <= static_cast<double>(kMaxKnownElements))) return std::nullopt;
  Constant result{{static_cast<std::int64_t>(count)}, inputs[0]->type, {}};
  for (std::int64_t i = 0; i < result.dims[0]; ++i)
    result.values.push_back(start + static_cast<double>(i) * step);
  return result;
}

Result where(const Inputs& inputs) {
  const auto chosen =
      elementwise(*inputs[0], *inputs[1], inputs[1]->type,
                  [](double c, double x) -> std::optional<double> { return c != 0 ? x : 0.0; });
  const auto other =
      elementwise(*inputs[0], *inputs[2], inputs[2]->type,
                  [](double c, double y) -> std::optional<double> { return c != 0 ? 0.0 : y; });
  if (!chosen || !other) return std::nullopt;
  return elementwise(*chosen, *other, inputs[1]->type,
                     [](double x, double y) -> std::optional<double> { return x + y; });
}

Result product_of_all(const Constant& a, bool keep) {
  Constant result{keep ? Dims(a.dims.size(), 1) : Dims{}, a.type, {1}};
  for (const double value : a.values) result.values[0] *= value;
  return result;
}

Result transpose(const onnx::NodeProto& node, const Constant& a) {
  Dims order = integers_of(node, "perm");
  const std::size_t rank = a.dims.size();
  if (order.empty()) {
    for (std::size_t i = rank; i-- > 0;) order.push_back(static_cast<std::int64_t>(i));
  }
  if (order.size() != rank) return std::nullopt;
  Constant result{Dims(rank), a.type, {}};
  for (std::size_t i = 0; i < rank; ++i) {
    if (order[i] < 0 || order[i] >= static_cast<std::int64_t>(rank)) return std::nullopt;
    result.dims[i] = a.dims[static_cast<std::size_t>(order[i])];
  }
  Places places(result.dims);
  for (std::size_t i = 0; i < a.values.size(); ++i, places.next()) {
    Dims from(rank, 0);
    for (std::size_t r = 0; r < rank; ++r) from[static_cast<std::size_t>(order[r])] = places.at()[r];
    const std::size_t place = stretched_place(a.dims, from);
    if (place >= a.values.size()) return std::nullopt;
    result.values.push_back(a.values[place]);
  }
  return result;
}

Result fold_one(const onnx::NodeProto& node, const Inputs& inputs) {
  const std::string& op = node.op_type();
  static const std::map<std::string, std::size_t> required{
      {"Identity", 1},        {"Neg", 1},    {"Abs", 1},     {"Floor", 1},     {"Ceil", 1},
      {"Round", 1},           {"Sqrt", 1},   {"Not", 1},     {"Cast", 1},      {"Gather", 2},
      {"Concat", 1},          {"Slice", 1},  {"Squeeze", 1}, {"Unsqueeze", 1}, {"Reshape", 2},
      {"ConstantOfShape", 1}, {"Expand", 2}, {"Range", 3},   {"Where", 3},     {"ReduceProd", 1},
      {"Transpose", 1}};
  const auto count = required.find(op);
  const std::size_t least = count == required.end() ? 2 : count->second;
  if (inputs.size() < least ||
      std::any_of(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(least),
                  [](const Constant* input) { return input == nullptr; }))
    return std::nullopt;
  if (count == required.end()) return inputs.size() == 2 ? binary(op, *inputs[0], *inputs[1]) : std::nullopt;
  const Constant& first = *inputs[0];
  if (op == "Identity") return first;
  if (op == "Cast") return cast(first, integer_of(node, "to", 0));
  if (op == "Gather") return gather(first, *inputs[1], integer_of(node, "axis", 0));
  if (op == "Concat") {
    if (std::find(inputs.begin(), inputs.end(), nullptr) != inputs.end()) return std::nullopt;
    return concat(inputs, integer_of(node, "axis", 0));
  }
  if (op == "Slice") return slice(node, inputs);
  if (op == "Squeeze" || op == "Unsqueeze") return squeeze(node, inputs, op == "Unsqueeze");
  if (op == "Reshape") return reshape(first, *inputs[1]);
  if (op == "Expand") return expand(first, *inputs[1]);
  if (op == "Range") return range(inputs);
  if (op == "Where") return where(inputs);
  if (op == "Transpose") return transpose(node, first);
  if (op == "ReduceProd") {
    if (first.dims.size() > 1 || inputs.size() > 1) return std::nullopt;
    return product_of_all(first, integer_of(node, "keepdims", 1) != 0);
  }
  if (op == "ConstantOfShape") {
    const onnx::AttributeProto* value = attribute_of(node, "value");
    if (value == nullptr || !value->has_t()) return filled(first.integers(), TensorProto::FLOAT, 0);
    const FileTensor tensor = read_tensor(value->t(), node.name());
    if (!tensor.constant || tensor.constant->values.size() != 1) return std::nullopt;
    return filled(first.integers(), tensor.constant->type, tensor.constant->values[0]);
  }
  return unary(op, first);
}

}  // namespace

std::optional<Constant> fold(const onnx::NodeProto& node, const Inputs& inputs) {
  if (!node.domain().empty() && node.domain() != "ai.onnx") return std::nullopt;
  if (node.output_size() != 1 || inputs.empty()) return std::nullopt;
  for (const Constant* input : inputs) {
    if (input != nullptr && input->values.empty() && node.op_type() != "Concat" &&
        node.op_type() != "ConstantOfShape" && node.op_type() != "Reshape" && node.op_type() != "Squeeze")
      return std::nullopt;
  }
  return fold_one(node, inputs);
}

const onnx::AttributeProto* attribute_of(const onnx::NodeProto& node, const char* name) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

std::int64_t integer_of(const onnx::NodeProto& node, const char* name, std::int64_t otherwise) {
  const onnx::AttributeProto* attribute = attribute_of(node, name);
  return attribute != nullptr && attribute->type() == onnx::AttributeProto::INT ? attribute->i() : otherwise;
}

Dims integers_of(const onnx::NodeProto& node, const char* name) {
  const onnx::AttributeProto* attribute = attribute_of(node, name);
  return attribute == nullptr ? Dims{} : Dims(attribute->ints().begin(), attribute->ints().end());
}

}  // namespace dosa::onnx_import
