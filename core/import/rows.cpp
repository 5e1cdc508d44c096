#include "dosa/core/import/rows.hpp"

#include <algorithm>
#include <charconv>

#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

constexpr std::size_t kMaxRows = 100000;
constexpr std::size_t kMaxFields = 100;

std::string without_blanks(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\"");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\"") - first + 1);
}

std::vector<std::string> fields_of(const std::string& line, char separator) {
  std::vector<std::string> fields;
  for (std::size_t start = 0; start <= line.size() && fields.size() < kMaxFields;) {
    const std::size_t end = std::min(line.find(separator, start), line.size());
    fields.push_back(without_blanks(line.substr(start, end - start)));
    start = end + 1;
  }
  while (!fields.empty() && fields.back().empty()) fields.pop_back();
  return fields;
}

}  // namespace

std::int64_t Row::integer(std::size_t field, const char* what, std::int64_t min, std::int64_t max) const {
  const std::string& text = fields[field];
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
    fail(ErrorId::kValue, "{}: {}: found '{}', expected an integer in {}..{}", where, what, text, min, max);
  }
  return value;
}

std::vector<Row> rows_of(const ImportSource& source, std::size_t most) {
  const std::string& text = source.content;
  std::vector<Row> rows;
  std::size_t start = text.substr(0, 3) == "\xef\xbb\xbf" ? 3 : 0;
  char separator = '\0';
  for (std::size_t number = 1; start < text.size() && rows.size() < most; ++number) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    std::string line = text.substr(start, end - start);
    start = end + 1;
    line.resize(std::min(line.find('#'), line.size()));
    if (separator == '\0') separator = line.find(',') == std::string::npos ? '\t' : ',';
    std::vector<std::string> fields = fields_of(line, separator);
    if (fields.empty()) {
      if (rows.empty()) separator = '\0';
      continue;
    }
    if (rows.size() == kMaxRows)
      fail(ErrorId::kFile, "{}: found more than the {} rows that are allowed", source.path, kMaxRows);
    rows.push_back({std::move(fields), fmt::format("{}: line {}", source.path, number)});
  }
  return rows;
}

}  // namespace dosa
