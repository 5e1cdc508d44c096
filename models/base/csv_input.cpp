#include "dosa/models/base/csv_input.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {

/// Larger tables are not ours, and their cells would fill the memory.
constexpr std::size_t kMaxTableBytes = std::size_t{64} << 20;

/// The fields of one line.
std::vector<std::string> split(std::string_view line, const std::string& where) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      const bool doubled = quoted && i + 1 < line.size() && line[i + 1] == '"';
      if (doubled) {
        fields.back() += c;
        ++i;
      } else {
        quoted = !quoted;
      }
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (quoted) fail(ErrorId::kSyntax, "{}: a quote is opened and not closed", where);
  return fields;
}

}  // namespace

CsvInput CsvInput::from_file(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  if (content.size() > kMaxTableBytes) {
    fail(ErrorId::kFile, "{}: found {} bytes of CSV, at most {} MiB are allowed", path.string(),
         content.size(), kMaxTableBytes >> 20);
  }
  CsvInput table;
  table.file_ = path.string();
  std::size_t line = 0;
  for (std::size_t start = 0; start < content.size();) {
    const std::size_t end = std::min(content.find('\n', start), content.size());
    std::string_view text(content.data() + start, end - start);
    start = end + 1;
    ++line;
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    if (text.empty()) continue;
    const std::string where = fmt::format("{}: line {}", table.file_, line);
    std::vector<std::string> fields = split(text, where);
    if (table.columns_.empty()) {
      const std::set<std::string> distinct(fields.begin(), fields.end());
      if (distinct.size() != fields.size())
        fail(ErrorId::kSyntax, "{}: the header names a column twice", where);
      table.columns_ = std::move(fields);
      continue;
    }
    if (fields.size() != table.columns_.size()) {
      fail(ErrorId::kSyntax, "{}: found {} fields, the header has {}", where, fields.size(),
           table.columns_.size());
    }
    table.rows_.push_back({line, std::move(fields)});
  }
  if (table.columns_.empty()) fail(ErrorId::kSyntax, "{}: is empty, expected a header line", table.file_);
  return table;
}

std::optional<std::size_t> CsvInput::find(const std::string& column) const {
  const auto found = std::find(columns_.begin(), columns_.end(), column);
  if (found == columns_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns_.begin());
}

std::vector<std::size_t> CsvInput::require(const std::vector<std::string>& columns) const {
  std::vector<std::size_t> indices;
  std::vector<std::string> missing;
  for (const std::string& column : columns) {
    if (const auto index = find(column)) {
      indices.push_back(*index);
    } else {
      missing.push_back(column);
    }
  }
  if (!missing.empty()) {
    fail(ErrorId::kSchema, "{}: columns missing: {}; found: {}", file_, fmt::join(missing, ", "),
         fmt::join(columns_, ", "));
  }
  return indices;
}

double CsvInput::number(std::size_t row, std::size_t column, double min, double max) const {
  const std::string_view field = text(row, column);
  double value = 0;
  const auto [stop, code] = std::from_chars(field.data(), field.data() + field.size(), value);
  const bool good = code == std::errc() && stop == field.data() + field.size() && std::isfinite(value);
  if (!good || value < min || value > max) {
    fail(ErrorId::kValue, "{}: {}: found '{}', expected a number in {}..{}", where(row), columns_[column],
         field, min, max);
  }
  return value;
}

std::int64_t CsvInput::integer(std::size_t row, std::size_t column, std::int64_t min,
                               std::int64_t max) const {
  // Written as 16 or as 16.0: tables that passed through floating point are common.
  const double value = number(row, column, static_cast<double>(min), static_cast<double>(max));
  if (value != std::nearbyint(value)) {
    fail(ErrorId::kValue, "{}: {}: found '{}', expected an integer in {}..{}", where(row), columns_[column],
         text(row, column), min, max);
  }
  return static_cast<std::int64_t>(value);
}

std::string CsvInput::where(std::size_t row) const {
  return fmt::format("{}: line {}", file_, rows_[row].line);
}

}  // namespace dosa
