#include "dosa/core/import/onnx/tensor.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "dosa/models/base/error.hpp"

namespace dosa::onnx_import {
namespace {

using onnx::TensorProto;

template <typename T>
void append_raw(const std::string& raw, std::vector<double>& values) {
  for (std::size_t at = 0; at + sizeof(T) <= raw.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, raw.data() + at, sizeof(T));
    values.push_back(static_cast<double>(value));
  }
}

template <typename Field>
void append_field(const Field& field, std::vector<double>& values) {
  for (const auto value : field) values.push_back(static_cast<double>(value));
}

/// Whether values of this type are read; half-precision floats and text are not.
bool is_readable(int type) {
  switch (type) {
    case TensorProto::FLOAT:
    case TensorProto::DOUBLE:
    case TensorProto::INT64:
    case TensorProto::INT32:
    case TensorProto::INT16:
    case TensorProto::INT8:
    case TensorProto::UINT8:
    case TensorProto::BOOL:
      return true;
    default:
      return false;
  }
}

std::vector<double> values_of(const TensorProto& tensor) {
  std::vector<double> values;
  const std::string& raw = tensor.raw_data();
  const bool is_raw = tensor.has_raw_data() && !raw.empty();
  switch (tensor.data_type()) {
    case TensorProto::FLOAT:
      is_raw ? append_raw<float>(raw, values) : append_field(tensor.float_data(), values);
      break;
    case TensorProto::DOUBLE:
      is_raw ? append_raw<double>(raw, values) : append_field(tensor.double_data(), values);
      break;
    case TensorProto::INT64:
      is_raw ? append_raw<std::int64_t>(raw, values) : append_field(tensor.int64_data(), values);
      break;
    case TensorProto::INT32:
      is_raw ? append_raw<std::int32_t>(raw, values) : append_field(tensor.int32_data(), values);
      break;
    case TensorProto::INT16:
      is_raw ? append_raw<std::int16_t>(raw, values) : append_field(tensor.int32_data(), values);
      break;
    case TensorProto::INT8:
      is_raw ? append_raw<std::int8_t>(raw, values) : append_field(tensor.int32_data(), values);
      break;
    default:
      is_raw ? append_raw<std::uint8_t>(raw, values) : append_field(tensor.int32_data(), values);
      break;
  }
  return values;
}

}  // namespace

std::int64_t elements_of(const Dims& dims, const std::string& where) {
  constexpr std::int64_t kMost = std::int64_t{1} << 62;
  std::int64_t product = 1;
  for (const std::int64_t size : dims) {
    if (size == 0) return 0;
    if (size < 0 || size > kMost / product)
      fail(ErrorId::kValue, "{}: found a tensor of [{}], more than 2^62 elements", where,
           fmt::join(dims, ", "));
    product *= size;
  }
  return product;
}

std::int64_t Constant::integer(std::size_t i) const {
  const double value = values[i];
  if (!(value > -9.2e18)) return std::numeric_limits<std::int64_t>::min();
  if (value > 9.2e18) return std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(value);
}

Dims Constant::integers() const {
  Dims list;
  for (std::size_t i = 0; i < values.size(); ++i) list.push_back(integer(i));
  return list;
}

FileTensor read_tensor(const TensorProto& tensor, const std::string& where) {
  const Dims dims(tensor.dims().begin(), tensor.dims().end());
  for (const std::int64_t size : dims) {
    if (size < 0) fail(ErrorId::kValue, "{}: found a tensor '{}' of size {}", where, tensor.name(), size);
  }
  const std::int64_t elements = elements_of(dims, where);
  FileTensor read;
  read.type = type_of(tensor.data_type(), dims);
  const bool is_elsewhere = tensor.data_location() == TensorProto::EXTERNAL;
  if (is_elsewhere || elements > kMaxKnownElements || !is_readable(tensor.data_type())) return read;
  Constant constant{dims, tensor.data_type(), values_of(tensor)};
  // Weights may be left out of a file that is about shapes.
  if (constant.values.empty() && elements > 0) return read;
  if (static_cast<std::int64_t>(constant.values.size()) != elements) {
    fail(ErrorId::kValue, "{}: found {} values in the tensor '{}', expected {}", where,
         constant.values.size(), tensor.name(), elements);
  }
  read.constant = std::move(constant);
  return read;
}

TensorProto tensor_of(const Constant& constant) {
  TensorProto tensor;
  tensor.set_data_type(constant.type);
  for (const std::int64_t size : constant.dims) tensor.add_dims(size);
  for (std::size_t i = 0; i < constant.values.size(); ++i) {
    switch (constant.type) {
      case TensorProto::FLOAT:
        tensor.add_float_data(static_cast<float>(constant.values[i]));
        break;
      case TensorProto::DOUBLE:
        tensor.add_double_data(constant.values[i]);
        break;
      case TensorProto::INT64:
        tensor.add_int64_data(constant.integer(i));
        break;
      default:
        tensor.add_int32_data(static_cast<std::int32_t>(
            std::clamp<std::int64_t>(constant.integer(i), std::numeric_limits<std::int32_t>::min(),
                                     std::numeric_limits<std::int32_t>::max())));
        break;
    }
  }
  return tensor;
}

onnx::TypeProto type_of(int element, const Dims& dims) {
  onnx::TypeProto type;
  type.mutable_tensor_type()->set_elem_type(element);
  auto* shape = type.mutable_tensor_type()->mutable_shape();
  for (const std::int64_t size : dims) shape->add_dim()->set_dim_value(size);
  return type;
}

std::optional<Dims> dims_of(const onnx::TypeProto& type) {
  if (!type.has_tensor_type() || !type.tensor_type().has_shape()) return std::nullopt;
  Dims dims;
  for (const auto& dim : type.tensor_type().shape().dim()) {
    if (!dim.has_dim_value() || dim.dim_value() < 0) return std::nullopt;
    dims.push_back(dim.dim_value());
  }
  return dims;
}

int element_of(const onnx::TypeProto& type) {
  return type.has_tensor_type() ? type.tensor_type().elem_type() : static_cast<int>(TensorProto::UNDEFINED);
}

double bytes_of(int element) {
  switch (element) {
    case TensorProto::DOUBLE:
    case TensorProto::INT64:
    case TensorProto::UINT64:
    case TensorProto::COMPLEX64:
      return 8;
    case TensorProto::COMPLEX128:
      return 16;
    case TensorProto::FLOAT16:
    case TensorProto::BFLOAT16:
    case TensorProto::INT16:
    case TensorProto::UINT16:
      return 2;
    case TensorProto::INT8:
    case TensorProto::UINT8:
    case TensorProto::BOOL:
      return 1;
    default:
      return 4;
  }
}

}  // namespace dosa::onnx_import
