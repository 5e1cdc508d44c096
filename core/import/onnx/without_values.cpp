#include "dosa/core/import/onnx/without_values.hpp"

#include <cstdint>

namespace dosa::onnx_import {
namespace {

/// Messages on the way to a tensor.
enum class Message { kModel, kGraph, kNode, kAttribute, kTensor };

/// Wire types of protocol buffers.
enum Wire : std::uint64_t { kVarint = 0, kEightBytes = 1, kBytes = 2, kFourBytes = 5 };

constexpr int kMaxDepth = 100;  // as protocol buffers have it
constexpr std::uint64_t kMaxKept = std::uint64_t{1} << 30;

/// What a field of a message is where there may be tensors in it.
std::optional<Message> inner_of(Message outer, std::uint64_t field) {
  switch (outer) {
    case Message::kModel:
      if (field == 7) return Message::kGraph;
      break;
    case Message::kGraph:
      if (field == 1) return Message::kNode;
      if (field == 5) return Message::kTensor;  // initializer
      break;
    case Message::kNode:
      if (field == 5) return Message::kAttribute;
      break;
    case Message::kAttribute:
      if (field == 5 || field == 10) return Message::kTensor;  // t, tensors
      if (field == 6 || field == 11) return Message::kGraph;   // g, graphs
      break;
    case Message::kTensor:
      break;
  }
  return std::nullopt;
}

/// Whether a field of a tensor holds its values: of each type, or raw.
bool is_values(std::uint64_t field) { return (field >= 4 && field <= 7) || (field >= 9 && field <= 11); }

void append_varint(std::uint64_t value, std::string& to) {
  for (; value >= 0x80; value >>= 7) to.push_back(static_cast<char>(value | 0x80));
  to.push_back(static_cast<char>(value));
}

class Copier {
 public:
  explicit Copier(std::istream& in) : in_(in) {
    in_.seekg(0, std::ios::end);
    const auto size = in_.tellg();
    in_.seekg(0);
    size_ = in_ ? static_cast<std::uint64_t>(size) : 0;
  }
  std::uint64_t size() const { return size_; }

  /// Copies the fields of a message that ends at `end`. False where they are none.
  bool copy(Message message, std::uint64_t end, int depth, std::string& to) {
    if (depth > kMaxDepth) return false;
    while (at_ < end) {
      const auto tag = varint(end);
      if (!tag) return false;
      const std::uint64_t field = *tag >> 3;
      std::uint64_t length = 0;
      switch (*tag & 7) {
        case kVarint: {
          const auto value = varint(end);
          if (!value) return false;
          append_varint(*tag, to);
          append_varint(*value, to);
          continue;
        }
        case kEightBytes:
          length = 8;
          break;
        case kFourBytes:
          length = 4;
          break;
        case kBytes: {
          const auto value = varint(end);
          if (!value) return false;
          length = *value;
          break;
        }
        default:
          return false;
      }
      if (length > end - at_) return false;
      const bool is_large = length > kMaxValueBytes;
      if (is_large && message == Message::kTensor && is_values(field)) {
        skip(length);
        continue;
      }
      append_varint(*tag, to);
      const auto inner = is_large ? inner_of(message, field) : std::nullopt;
      if (inner) {
        std::string copied;
        if (!copy(*inner, at_ + length, depth + 1, copied)) return false;
        append_varint(copied.size(), to);
        to += copied;
      } else {
        if ((*tag & 7) == kBytes) append_varint(length, to);
        if (!take(length, to)) return false;
      }
    }
    return true;
  }

 private:
  std::optional<std::uint64_t> varint(std::uint64_t end) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < end; shift += 7) {
      const int byte = in_.get();
      if (byte < 0) return std::nullopt;
      ++at_;
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
  }

  void skip(std::uint64_t bytes) {
    at_ += bytes;
    in_.seekg(static_cast<std::streamoff>(at_));
  }

  bool take(std::uint64_t bytes, std::string& to) {
    const std::size_t before = to.size();
    if (before + bytes > kMaxKept) return false;
    to.resize(before + bytes);
    in_.read(&to[before], static_cast<std::streamsize>(bytes));
    at_ += bytes;
    return static_cast<std::uint64_t>(in_.gcount()) == bytes;
  }

  std::istream& in_;
  std::uint64_t size_ = 0, at_ = 0;
};

}  // namespace

std::optional<std::string> without_values(std::istream& model) {
  Copier copier(model);
  std::string content;
  if (copier.size() == 0 || !copier.copy(Message::kModel, copier.size(), 0, content)) return std::nullopt;
  return content;
}

}  // namespace dosa::onnx_import
