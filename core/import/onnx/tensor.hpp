// What is known of a tensor of an ONNX graph before it runs: its type and shape, and of small ones the
// values.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dosa::onnx_import {

using Dims = std::vector<std::int64_t>;

/// Values of more elements than this are not kept: shapes, axes and scales are shorter.
inline constexpr std::int64_t kMaxKnownElements = 1 << 14;

/// The product of sizes. Throws Error{kValue} at `where` where it exceeds 2^62.
std::int64_t elements_of(const Dims& dims, const std::string& where);

/// Known values. Integers beyond 2^53 are rounded, which only "to the end" of a slice uses.
struct Constant {
  Dims dims;
  int type = onnx::TensorProto::INT64;
  std::vector<double> values;

  /// As a whole number, at most the largest or smallest of 64 bits.
  std::int64_t integer(std::size_t i) const;
  Dims integers() const;
};

/// The type, shape and values of a tensor that stands in the file. Values are there where they are few, in
/// the file itself, and numbers. Throws Error{kValue} for a negative size or data of another length.
struct FileTensor {
  onnx::TypeProto type;
  std::optional<Constant> constant;
};
FileTensor read_tensor(const onnx::TensorProto& tensor, const std::string& where);

/// The same values as the library's functions read them.
onnx::TensorProto tensor_of(const Constant& constant);

onnx::TypeProto type_of(int element, const Dims& dims);

/// The sizes of a tensor, where all of them are known.
std::optional<Dims> dims_of(const onnx::TypeProto& type);

/// The element type of a tensor; UNDEFINED for what is no tensor.
int element_of(const onnx::TypeProto& type);

/// Bytes of one element; 4 where the type is not known.
double bytes_of(int element);

}  // namespace dosa::onnx_import
