// Files of named tensors with a JSON header: surrogates and checkpoints.
//
// A line that names the kind, the length of the header in 8 bytes, the JSON header, the tensors as they lie
// in memory, little-endian. Reading executes nothing and refuses, by field, what it does not understand.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dosa/models/base/json_input.hpp"
#include "dosa/models/base/torch.hpp"

namespace dosa {

/// A tensor of such a file: where it lives in the program and what it must look like.
struct NamedTensor {
  std::string name;
  torch::Tensor* tensor;
  torch::ScalarType type;           ///< kFloat32 or kFloat64
  std::vector<std::int64_t> shape;  ///< 0: any size
};

class TensorFile {
 public:
  /// Writes atomically; adds "tensors" and "data_hash" to the header. `kind` is one line, such as "dosa
  /// surrogate". Throws Error{kFile}.
  static void write(const std::filesystem::path& path, const std::string& kind, Json header,
                    const std::vector<NamedTensor>& tensors);

  /// Opens a file of this kind. Throws Error{kFile}, Error{kSyntax}, or Error{kSchema} when it is of another
  /// kind or ends within the header.
  TensorFile(const std::filesystem::path& path, const std::string& kind);

  const JsonInput& header() const { return header_; }
  /// Throws unless the header has no keys but these and those that write() adds.
  void allow_only(std::vector<const char*> keys) const;

  /// Reads exactly these tensors. Throws Error{kSchema} for other names, types, shapes or lengths, and
  /// Error{kValue} for a damaged file or a number that is not finite.
  void read(const std::vector<NamedTensor>& tensors) const;

 private:
  std::string path_;
  std::string content_;
  std::size_t data_begin_ = 0;
  JsonInput header_;
};

}  // namespace dosa
