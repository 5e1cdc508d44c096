// CSV files: reading tables by column name (gzip too), every error naming file and line, and writing them.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dosa {

/// A CSV file with a header line. Fields may be quoted ("" for a quote); blanks around a field that is not
/// quoted are no part of it; empty lines are passed over.
class CsvInput {
 public:
  /// Throws Error{kFile} or Error{kSyntax}: no header, a name twice, a row with another number of fields.
  static CsvInput from_file(const std::filesystem::path& path);

  const std::string& file() const { return file_; }
  /// content_hash of the whole file.
  const std::string& hash() const { return hash_; }
  std::size_t rows() const { return rows_.size(); }
  /// The line that a row stands in, the header's is usually 1.
  std::size_t line(std::size_t row) const { return rows_[row].line; }
  const std::vector<std::string>& columns() const { return columns_; }
  /// The index of a column, if it is there.
  std::optional<std::size_t> find(std::string_view column) const;
  bool has(std::string_view column) const { return find(column).has_value(); }
  /// The indices of required columns; Error{kSchema} lists all that are missing and those that are there.
  std::vector<std::size_t> require(const std::vector<std::string>& columns) const;

  std::string_view text(std::size_t row, std::size_t column) const { return rows_[row].fields[column]; }
  /// A finite number in min..max, else Error{kValue} with line, column, what was found and what is allowed.
  double number(std::size_t row, std::size_t column, double min, double max) const;
  std::int64_t integer(std::size_t row, std::size_t column, std::int64_t min, std::int64_t max) const;

  // The same by the name of a column that is there: checked with require() or has() before.
  std::string_view text(std::size_t row, std::string_view column) const { return text(row, at(column)); }
  double number(std::size_t row, std::string_view column, double min, double max) const {
    return number(row, at(column), min, max);
  }
  std::int64_t integer(std::size_t row, std::string_view column, std::int64_t min, std::int64_t max) const {
    return integer(row, at(column), min, max);
  }

  /// "file: line N", the beginning of every error about a row.
  std::string where(std::size_t row) const;
  /// "file: line N: column", the beginning of every error about a field.
  std::string where(std::size_t row, std::size_t column) const;
  std::string where(std::size_t row, std::string_view column) const { return where(row, at(column)); }

 private:
  std::size_t at(std::string_view column) const;

  struct Row {
    std::size_t line;
    std::vector<std::string> fields;
  };
  std::string file_, hash_;
  std::vector<std::string> columns_;
  std::vector<Row> rows_;
};

/// A field as RFC 4180 writes it: in quotes where it must be, quotes in it doubled.
std::string csv_field(std::string_view text);

/// Builds the text of a CSV file, a field after the other:
///
///   CsvWriter csv({"layer", "cycles"});
///   csv.add(layer.name, 1024.5).end_row();
///   write_file(path, csv.text());
class CsvWriter {
 public:
  explicit CsvWriter(const std::vector<std::string>& columns);

  /// Fields of the row that is being written: text, or anything that fmt prints; a floating-point number with
  /// as many digits as it takes to read the same number back.
  template <typename... Fields>
  CsvWriter& add(const Fields&... fields) {
    (add_text(fmt::format("{}", fields)), ...);
    return *this;
  }
  /// Ends the row, which must have as many fields as there are columns.
  void end_row();

  const std::string& text() const { return text_; }

 private:
  void add_text(const std::string& field);

  std::size_t columns_, fields_ = 0;
  std::string text_;
};

}  // namespace dosa
