// ONNX models without the values of their large tensors, which decide no shape: most of a file is never read.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>

namespace dosa::onnx_import {

/// Values of a tensor that take more bytes than this are left out: more than kMaxKnownElements of any type.
inline constexpr std::uint64_t kMaxValueBytes = std::uint64_t{1} << 18;

/// A serialised onnx.ModelProto as it is, but for the values of large tensors (initializers, attributes of
/// nodes, of subgraphs, too), which are stepped over. Nothing where the stream is no sequence of
/// protocol-buffer fields, is cut off, has messages nested beyond bounds or holds more than 1 GiB besides.
/// Fields: onnx.proto of ONNX, IR version 10.
std::optional<std::string> without_values(std::istream& model);

}  // namespace dosa::onnx_import
