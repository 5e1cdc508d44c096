#include "dosa/models/base/text.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <cstdint>

namespace dosa {
namespace {

/// One code point at the beginning of `text`.
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 0;  ///< 0: the text does not begin with valid UTF-8
};

CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]));
  };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
  std::uint32_t value = lead & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3f);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < kLeast[length] || value > 0x10ffff || surrogate) return {};
  return {value, length};
}

/// Marks and overrides of the direction of text, and separators that begin a new line.
bool steers_text(std::uint32_t c) {
  return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

bool continues_code_point(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

/// The first byte of the `column`-th code point.
std::size_t byte_of_column(std::string_view text, std::size_t column) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if (continues_code_point(text[at])) continue;
    if (column-- == 0) break;
  }
  return at;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    const std::size_t bytes = c.bytes == 0 ? 1 : c.bytes;
    if (c.bytes == 0) {
      clean += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    } else if (c.value == '\n') {
      clean += "\\n";
    } else if (c.value == '\r') {
      clean += "\\r";
    } else if (c.value == '\t') {
      clean += "\\t";
    } else if (c.value < 0x20 || (c.value >= 0x7f && c.value < 0xa0)) {
      clean += fmt::format("\\x{:02x}", c.value);
    } else if (steers_text(c.value)) {
      clean += fmt::format("\\u{:04x}", c.value);
    } else {
      clean += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return clean;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (const char byte : text) width += continues_code_point(byte) ? 0 : 1;
  return width;
}

std::string shortened_in_the_middle(std::string_view text, std::size_t width) {
  const std::size_t full = display_width(text);
  if (full <= width) return std::string(text);
  const std::size_t kept = width - 3;
  const std::size_t front = kept - kept / 2, back = kept / 2;
  return fmt::format("{}...{}", text.substr(0, byte_of_column(text, front)),
                     text.substr(byte_of_column(text, full - back)));
}

std::string counted(std::int64_t number, std::string_view what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

std::string cut_to(std::string_view text, std::size_t width) {
  return std::string(text.substr(0, byte_of_column(text, width)));
}

std::size_t terminal_width(int descriptor) {
  winsize size{};
  const bool known = ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kTextWidth;
}

}  // namespace dosa
