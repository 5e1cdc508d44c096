#include "dosa/models/base/csv.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <stdexcept>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {

/// Larger tables are not ours, and their cells would fill the memory.
constexpr std::size_t kMaxTableBytes = std::size_t{64} << 20;

std::string_view without_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") + 1 - first);
}

/// The fields of one line.
std::vector<std::string> split(std::string_view line, const std::string& where) {
  std::vector<std::string> fields(1);
  bool quoted = false, was_quoted = false;
  const auto end_field = [&] {
    if (!was_quoted) fields.back() = without_blanks(fields.back());
    was_quoted = false;
  };
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      const bool doubled = quoted && i + 1 < line.size() && line[i + 1] == '"';
      if (doubled) {
        fields.back() += c;
        ++i;
      } else {
        quoted = !quoted;
        was_quoted = true;
      }
    } else if (c == ',' && !quoted) {
      end_field();
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (quoted) fail(ErrorId::kSyntax, "{}: a quote is opened and not closed", where);
  end_field();
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
  table.hash_ = content_hash(content);
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

std::optional<std::size_t> CsvInput::find(std::string_view column) const {
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
    fail(ErrorId::kValue, "{}: found '{}', expected a number in {}..{}", where(row, column), field, min, max);
  }
  return value;
}

std::int64_t CsvInput::integer(std::size_t row, std::size_t column, std::int64_t min,
                               std::int64_t max) const {
  // Written as 16 or as 16.0: tables that passed through floating point are common.
  const double value = number(row, column, static_cast<double>(min), static_cast<double>(max));
  if (value != std::nearbyint(value)) {
    fail(ErrorId::kValue, "{}: found '{}', expected an integer in {}..{}", where(row, column),
         text(row, column), min, max);
  }
  return static_cast<std::int64_t>(value);
}

std::string CsvInput::where(std::size_t row) const {
  return fmt::format("{}: line {}", file_, rows_[row].line);
}

std::string CsvInput::where(std::size_t row, std::size_t column) const {
  return fmt::format("{}: {}", where(row), columns_[column]);
}

std::size_t CsvInput::at(std::string_view column) const {
  const auto index = find(column);
  if (!index) throw std::logic_error(fmt::format("column {} was not required before it is read", column));
  return *index;
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos && without_blanks(text) == text)
    return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c;
    if (c == '"') quoted += c;
  }
  return quoted + "\"";
}

CsvWriter::CsvWriter(const std::vector<std::string>& columns) : columns_(columns.size()) {
  for (const std::string& column : columns) add_text(column);
  end_row();
}

void CsvWriter::add_text(const std::string& field) {
  if (fields_++ > 0) text_ += ',';
  text_ += csv_field(field);
}

void CsvWriter::end_row() {
  if (fields_ != columns_) {
    throw std::logic_error(fmt::format("a row of {} fields in a CSV file of {} columns", fields_, columns_));
  }
  text_ += '\n';
  fields_ = 0;
}

}  // namespace dosa
