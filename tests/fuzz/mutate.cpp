#include "tests/fuzz/mutate.hpp"

#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <stdexcept>

#include "dosa/models/base/random.hpp"

namespace dosa::testing {
namespace {

constexpr std::size_t kLargest = 1 << 16;  // bytes of an input
constexpr std::size_t kLengthBytes = 8;    // of a safetensors header

/// What the formats are made of.
constexpr std::string_view kWords[] = {"{",
                                       "}",
                                       "[",
                                       "]",
                                       ":",
                                       ",",
                                       "\"",
                                       "\"\"",
                                       "\\",
                                       "\\u0000",
                                       "\\ud800",
                                       "null",
                                       "true",
                                       "false",
                                       "nan",
                                       "inf",
                                       "*a",
                                       "&a ",
                                       "<<: *a",
                                       "- ",
                                       "\n",
                                       "\r\n",
                                       "\t",
                                       "#",
                                       "---\n",
                                       "!Tag ",
                                       "\"a\":",
                                       "'",
                                       "`",
                                       "$(id)",
                                       "%s",
                                       "../",
                                       "\x1b[31m",
                                       "\xff",
                                       "\0",
                                       "\xe2\x80\xae",
                                       "/*",
                                       "//",
                                       "X",
                                       "Y",
                                       " - ",
                                       "L3[WIO]",
                                       "N1",
                                       "K4X",
                                       "Q3/8",
                                       "dosa,",
                                       "dosa-wrong,",
                                       "=",
                                       "*",
                                       "+=",
                                       "<=",
                                       "\"name\"",
                                       "\"dims\"",
                                       "\"size\"",
                                       "\"parameter\"",
                                       "\"levels\"",
                                       "\"layers\"",
                                       "\"holds\"",
                                       "\"schema\"",
                                       "factors",
                                       "permutation",
                                       "data_offsets"};

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// How many characters of a number begin at `at`; 0 where none does.
std::size_t number_length(const std::string& text, std::size_t at) {
  std::size_t end = at;
  if (end < text.size() && text[end] == '-') ++end;
  const std::size_t first = end;
  const auto digits = [&] {
    while (end < text.size() && is_digit(text[end])) ++end;
  };
  digits();
  if (end < text.size() && text[end] == '.') {
    ++end;
    digits();
  }
  if (end == first || (end == first + 1 && text[first] == '.')) return 0;
  const std::size_t mantissa = end;
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    ++end;
    if (end < text.size() && (text[end] == '-' || text[end] == '+')) ++end;
    const std::size_t exponent = end;
    digits();
    if (end == exponent) end = mantissa;
  }
  return end - at;
}

class Mutation {
 public:
  Mutation(std::string text, const std::vector<std::string>& right, Random& random)
      : text_(std::move(text)), right_(right), random_(random) {}

  std::string done() {
    for (std::int64_t i = 1 + random_.below(std::int64_t{1} << random_.below(4)); i > 0; --i) change();
    text_.resize(std::min(text_.size(), kLargest));
    return std::move(text_);
  }

 private:
  std::size_t place() {
    return static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(text_.size()) + 1));
  }
  std::size_t length() {
    return static_cast<std::size_t>(random_.below(std::int64_t{1} << random_.below(8))) + 1;
  }

  void change() {
    const std::size_t at = place(), count = length();
    switch (random_.below(10)) {
      case 0:
        if (at < text_.size()) text_[at] = static_cast<char>(text_[at] ^ (1 << random_.below(8)));
        break;
      case 1:
        if (at < text_.size()) text_[at] = static_cast<char>(random_.below(256));
        break;
      case 2:
        text_.erase(at, count);
        break;
      case 3:
        text_.insert(at, text_.substr(place(), count));
        break;
      case 4:
        text_.insert(at, kWords[random_.below(std::size(kWords))]);
        break;
      case 5:
        text_.insert(at, splice(count));
        break;
      case 6:
        repeat(at, count);
        break;
      case 7:
        text_.resize(random_.below(8) == 0 ? at : text_.size());
        break;
      default:
        change_number(at);
    }
  }

  /// A part of another right input.
  std::string splice(std::size_t count) {
    const std::string& other =
        right_[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(right_.size())))];
    if (other.empty()) return "";
    return other.substr(static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(other.size()))),
                        4 * count);
  }

  /// Nests and lists grow by this.
  void repeat(std::size_t at, std::size_t count) {
    const std::string part = text_.substr(at, count);
    std::string many;
    for (std::int64_t i = random_.below(200); i > 0 && many.size() < kLargest; --i) many += part;
    text_.insert(std::min(at + part.size(), text_.size()), many);
  }

  /// The next number behind a place.
  void change_number(std::size_t from) {
    for (std::size_t at = from; at < text_.size(); ++at) {
      const std::size_t found = number_length(text_, at);
      if (found == 0) continue;
      const auto& hostile = hostile_numbers();
      text_.replace(
          at, found,
          hostile[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(hostile.size())))]);
      return;
    }
  }

  std::string text_;
  const std::vector<std::string>& right_;
  Random& random_;
};

std::uint64_t header_length(const std::string& file) {
  std::uint64_t length = 0;
  for (std::size_t i = std::min(kLengthBytes, file.size()); i-- > 0;)
    length = length << 8 | static_cast<unsigned char>(file[i]);
  return std::min<std::uint64_t>(length, file.size() - std::min(kLengthBytes, file.size()));
}

std::string little_endian(std::uint64_t number) {
  std::string bytes;
  for (std::size_t i = 0; i < kLengthBytes; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xff);
  return bytes;
}

}  // namespace

std::string packed(const std::string& bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("zlib");
  std::string result(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

const std::vector<std::string_view>& hostile_numbers() {
  static const std::vector<std::string_view> numbers{"0",
                                                     "-0.0",
                                                     "-1",
                                                     "1",
                                                     "2",
                                                     "0.5",
                                                     "1e-320",
                                                     "65536",
                                                     "65537",
                                                     "2147483647",
                                                     "2147483648",
                                                     "2147483649",
                                                     "4294967296",
                                                     "1099511627776",
                                                     "8796093022208",
                                                     "9007199254740993",
                                                     "4611686018427387905",
                                                     "9223372036854775807",
                                                     "-9223372036854775808",
                                                     "18446744073709551616",
                                                     "1e18",
                                                     "1e30",
                                                     "1e300",
                                                     "-1e300",
                                                     "1e999",
                                                     "-1e999",
                                                     "nan",
                                                     "inf",
                                                     "-inf",
                                                     ".nan",
                                                     ".inf",
                                                     "NaN",
                                                     "Infinity",
                                                     "null",
                                                     "\"1\"",
                                                     "[]",
                                                     "{}",
                                                     ""};
  return numbers;
}

NumberWalk::NumberWalk(const std::string& text) : text_(text) {
  for (std::size_t at = 0; at < text.size();) {
    const bool within_word = at > 0 && is_word(text[at - 1]) && is_digit(text[at]);
    const bool in_name = within_word && (at < 2 || is_word(text[at - 2]));
    const std::size_t length = in_name ? 0 : number_length(text, at);
    if (length > 0) places_.push_back({at, length});
    at += std::max<std::size_t>(length, 1);
  }
}

std::size_t NumberWalk::size() const { return places_.size() * hostile_numbers().size(); }

std::string NumberWalk::at(std::size_t i) const {
  const Place& place = places_[i / hostile_numbers().size()];
  std::string changed = text_;
  return changed.replace(place.begin, place.length, hostile_numbers()[i % hostile_numbers().size()]);
}

std::string mutated(const std::vector<std::string>& right, Form form, std::uint64_t seed,
                    std::uint64_t index) {
  // Neighbouring numbers begin far apart.
  Random random((seed + 1) * 0x9e3779b97f4a7c15ULL ^ (index + 1) * 0xbf58476d1ce4e5b9ULL);
  const std::string& from =
      right[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(right.size())))];
  const bool inside = form != Form::kPlain && random.below(4) > 0;
  if (!inside) return Mutation(form == Form::kGzip ? packed(from) : from, right, random).done();
  if (form == Form::kGzip) return packed(Mutation(from, right, random).done());
  const std::size_t length = header_length(from);
  const std::string header = Mutation(from.substr(kLengthBytes, length), right, random).done();
  return little_endian(header.size()) + header + from.substr(kLengthBytes + length);
}

}  // namespace dosa::testing
