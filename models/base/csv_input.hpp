// Tables from CSV files (gzip too), by column name; every error names file and line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dosa {

/// A CSV file with a header line. Fields may be quoted ("" for a quote); empty lines are passed over.
class CsvInput {
 public:
  /// Throws Error{kFile} or Error{kSyntax}: no header, a name twice, a row with another number of fields.
  static CsvInput from_file(const std::filesystem::path& path);

  const std::string& file() const { return file_; }
  std::size_t rows() const { return rows_.size(); }
  const std::vector<std::string>& columns() const { return columns_; }
  /// The index of a column, if it is there.
  std::optional<std::size_t> find(const std::string& column) const;
  /// The indices of required columns; Error{kSchema} lists all that are missing and those that are there.
  std::vector<std::size_t> require(const std::vector<std::string>& columns) const;

  std::string_view text(std::size_t row, std::size_t column) const { return rows_[row].fields[column]; }
  /// A finite number in min..max, else Error{kValue} with line, column, what was found and what is allowed.
  double number(std::size_t row, std::size_t column, double min, double max) const;
  std::int64_t integer(std::size_t row, std::size_t column, std::int64_t min, std::int64_t max) const;
  /// "file: line N", the beginning of every error about a row.
  std::string where(std::size_t row) const;

 private:
  struct Row {
    std::size_t line;
    std::vector<std::string> fields;
  };
  std::string file_;
  std::vector<std::string> columns_;
  std::vector<Row> rows_;
};

}  // namespace dosa
