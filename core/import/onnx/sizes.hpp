// Sizes that a graph leaves open, and what the user says they are.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dosa/core/import/importer.hpp"

namespace dosa::onnx_import {

/// Resolves open dimensions by name: "batch", "sequence_length", "past_sequence_length + 1", ...
class OpenSizes {
 public:
  explicit OpenSizes(const ImportOptions& options) : options_(options) {}

  /// The size of a dimension with this name, where the options say it; a name without one is kept for
  /// fail_for_open(). A first dimension without a name is the batch.
  std::optional<std::int64_t> resolve(const std::string& name, const std::string& tensor, std::size_t axis);
  /// The same without keeping.
  std::optional<std::int64_t> find(const std::string& name) const;

  /// Throws Error{kValue} naming all that resolve() found no size for, and Error{kUsage} for options that no
  /// dimension asked for.
  void check(const std::string& path) const;
  /// Whether a batch was taken as 1 because nothing says it.
  bool assumed_batch() const { return assumed_batch_; }

 private:
  enum class Role { kBatch, kSequence, kPast, kTotal, kOther };
  static Role role_of(const std::string& name);
  std::optional<std::int64_t> of_word(const std::string& word) const;

  const ImportOptions& options_;
  std::vector<std::string> open_;
  std::map<Role, bool> used_;
  std::vector<std::string> names_;
  bool assumed_batch_ = false;
};

}  // namespace dosa::onnx_import
