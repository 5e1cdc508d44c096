// Markup of a page, safe by construction: whatever text goes in is escaped, only element() writes tags.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dosa::html {

/// A piece of a page in the common part of HTML and XML: every element is closed, every value quoted.
class Markup {
 public:
  Markup() = default;
  /// Text, from wherever: characters with a meaning in markup are escaped, those that no reader should see
  /// are printed as escapes (printable()).
  Markup(std::string_view text);
  Markup(const std::string& text) : Markup(std::string_view(text)) {}
  Markup(const char* text) : Markup(std::string_view(text)) {}

  bool is_empty() const { return text_.empty(); }
  const std::string& text() const { return text_; }
  Markup& operator+=(const Markup& next);

  /// Markup that was written as such, as the project's templates are; never anything from outside.
  static Markup trusted(std::string text);

 private:
  std::string text_;
};

/// Name and value of an attribute; the value is escaped.
using Attributes = std::vector<std::pair<const char*, std::string>>;

/// `<name attributes>children</name>`
Markup element(const char* name, const Attributes& attributes = {}, const std::vector<Markup>& children = {});

/// All pieces, one after the other.
Markup joined(const std::vector<Markup>& pieces);

/// A coordinate or length: at most two decimals.
std::string coordinate(double value);
/// The same as a share of the whole, 0 to 1: "12.5%".
std::string percent(double share);

}  // namespace dosa::html
