// Tables of text for people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dosa/models/base/text.hpp"

namespace dosa {

/// How a column of a Table is set.
enum class ColumnKind {
  kNumber,  ///< to the right, never shortened
  kText,    ///< to the left, never shortened
  kName,    ///< to the left, shortened in the middle where the table would be too wide
  kProse,   ///< to the left, broken between words over several lines; at most one, the last column
  kBelow,   ///< likewise, below the rest of its row, indented, without a title; at most one, the last column
};

/// A table with one line of titles whose columns are as wide as their contents, two blanks apart. Names and
/// titles may come from files: what could steer a terminal is escaped.
///
///   Table table({{"layer", ColumnKind::kName}, {"cycles"}});
///   table.row({layer.name, fmt::format("{:.0f}", cycles)});
///   text += table.text();
class Table {
 public:
  struct Column {
    std::string title;
    ColumnKind kind = ColumnKind::kNumber;
  };

  explicit Table(std::vector<Column> columns);

  /// One cell for each column; cells that are missing at the end stay empty.
  void row(std::vector<std::string> cells);
  std::size_t rows() const { return rows_.size(); }

  /// The table in lines of at most `width` columns, as far as names and prose can give way: a name keeps at
  /// least 12 columns and prose 24. No line ends in blanks.
  std::string text(std::size_t width = kTextWidth) const;

 private:
  std::vector<std::size_t> widths(std::size_t width) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// The text broken between words into lines of at most `width` columns; a longer word has a line of its own.
std::vector<std::string> wrapped(std::string_view text, std::size_t width);

/// The text with every line of prose of more than `width` columns broken between words, as wrapped() does;
/// what goes on is indented as its line is. Lines that fit and rows of tables (two blanks between words) stay
/// as they are.
std::string folded(std::string_view text, std::size_t width = kTextWidth);

}  // namespace dosa
