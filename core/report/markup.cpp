#include "dosa/core/report/markup.hpp"

#include <fmt/format.h>

#include "dosa/models/base/text.hpp"

namespace dosa::html {
namespace {

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

}  // namespace

Markup::Markup(std::string_view text) : text_(escaped(text)) {}

Markup& Markup::operator+=(const Markup& next) {
  text_ += next.text_;
  return *this;
}

Markup Markup::trusted(std::string text) {
  Markup markup;
  markup.text_ = std::move(text);
  return markup;
}

Markup element(const char* name, const Attributes& attributes, const std::vector<Markup>& children) {
  std::string text = fmt::format("<{}", name);
  for (const auto& [key, value] : attributes) text += fmt::format(" {}=\"{}\"", key, escaped(value));
  text += '>';
  for (const Markup& child : children) text += child.text();
  text += fmt::format("</{}>", name);
  return Markup::trusted(std::move(text));
}

Markup joined(const std::vector<Markup>& pieces) {
  Markup all;
  for (const Markup& piece : pieces) all += piece;
  return all;
}

std::string coordinate(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string percent(double share) { return coordinate(100 * share) + "%"; }

}  // namespace dosa::html
