// Wrong inputs made of right ones: reproducible, each from its number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dosa::testing {

/// What surrounds the text that is worth changing.
enum class Form {
  kPlain,
  kGzip,     ///< the text is packed
  kTensors,  ///< safetensors: the length of a JSON header in 8 bytes, the header, numbers
};

/// Input number `index` of a sequence: one of the right inputs, changed in one to eight places. The same for
/// the same arguments, on every platform.
std::string mutated(const std::vector<std::string>& right, Form form, std::uint64_t seed,
                    std::uint64_t index);

/// Every number in a text that is not part of a word, each replaced by each of hostile_numbers() in turn.
class NumberWalk {
 public:
  explicit NumberWalk(const std::string& text);
  std::size_t size() const;
  std::string at(std::size_t i) const;

 private:
  struct Place {
    std::size_t begin, length;
  };
  std::string text_;
  std::vector<Place> places_;
};

/// Not a number, infinite, zero, negative, not whole, at the edges of integers, and no number at all, as
/// text.
const std::vector<std::string_view>& hostile_numbers();

/// The bytes as a gzip file.
std::string packed(const std::string& bytes);

}  // namespace dosa::testing
