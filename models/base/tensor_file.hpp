// Files of named tensors with a JSON header: surrogates and checkpoints.
//
// The layout is that of safetensors (github.com/huggingface/safetensors), which Python's package of that name
// reads: the length of the header in 8 bytes, the header, the numbers, all little-endian. The header is a
// JSON object that gives every tensor its dtype, shape and data_offsets. Its "__metadata__", which may hold
// text only, says the kind of the file under "kind" and has this program's own header, as JSON text, under
// "dosa". Reading executes nothing and refuses, by field, what it does not understand.
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
  /// Writes atomically; adds "data_hash" to the header. `kind` says what the file is, such as "dosa
  /// surrogate". Throws Error{kFile}.
  static void write(const std::filesystem::path& path, const std::string& kind, Json header,
                    const std::vector<NamedTensor>& tensors);

  /// Opens a file of this kind. Throws Error{kFile}, Error{kSyntax}, or Error{kSchema} when it is of another
  /// kind, of the layout that earlier versions wrote, or ends within the header.
  TensorFile(const std::filesystem::path& path, const std::string& kind);

  /// This program's own header.
  const JsonInput& header() const { return header_; }
  /// Throws unless the own header has no keys but these and those that write() adds.
  void allow_only(std::vector<const char*> keys) const;

  /// Reads exactly these tensors, in whatever order the file has them. Throws Error{kSchema} for other names,
  /// types, shapes or offsets, for gaps and overlaps, and Error{kValue} for a damaged file or a number that
  /// is not finite. A tensor that is replaced says on which device; else it is the CPU.
  void read(const std::vector<NamedTensor>& tensors) const;

 private:
  std::string path_;
  std::string content_;
  std::size_t data_begin_ = 0;
  JsonInput layout_;  ///< the header of safetensors
  JsonInput header_;
};

}  // namespace dosa
