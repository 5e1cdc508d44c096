#include "dosa/models/base/table.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace dosa {
namespace {

constexpr std::size_t kGap = 2;  // blanks between columns
constexpr std::size_t kLeastName = 12;
constexpr std::size_t kLeastProse = 24;
constexpr std::size_t kIndent = 4;  // of what stands below a row

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    columns_[i].title = printable(columns_[i].title);
    const bool last = i + 1 == columns_.size();
    if ((columns_[i].kind == ColumnKind::kProse || columns_[i].kind == ColumnKind::kBelow) && !last)
      throw std::logic_error("prose that is not the last column of its table");
  }
}

void Table::row(std::vector<std::string> cells) {
  if (cells.size() > columns_.size()) throw std::logic_error("more cells than columns in a row of a table");
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths(std::size_t width) const {
  std::vector<std::size_t> widths(columns_.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (columns_[c].kind == ColumnKind::kBelow) continue;
    widths[c] = display_width(columns_[c].title);
    for (const auto& row : rows_) widths[c] = std::max(widths[c], display_width(row[c]));
  }
  const std::size_t total =
      std::accumulate(widths.begin(), widths.end(), std::size_t{0}) + kGap * (columns_.size() - 1);
  std::size_t excess = total > width ? total - width : 0;
  const auto narrow = [&](std::size_t c, std::size_t least) {
    least = std::max(least, display_width(columns_[c].title));
    const std::size_t most = widths[c] > least ? widths[c] - least : 0;
    const std::size_t given = std::min(most, excess);
    widths[c] -= given;
    excess -= given;
  };
  // Prose loses nothing by being broken, so it gives way first.
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (columns_[c].kind == ColumnKind::kProse) narrow(c, kLeastProse);
  }
  // Of several names the widest gives way first.
  while (excess > 0) {
    std::size_t widest = columns_.size();
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const bool can = columns_[c].kind == ColumnKind::kName &&
                       widths[c] > std::max(kLeastName, display_width(columns_[c].title));
      if (can && (widest == columns_.size() || widths[c] > widths[widest])) widest = c;
    }
    if (widest == columns_.size()) break;
    --widths[widest];
    --excess;
  }
  return widths;
}

std::string Table::text(std::size_t width) const {
  const std::vector<std::size_t> wide = widths(width);
  std::string text;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string pad(wide[c] - std::min(wide[c], display_width(cells[c])), ' ');
      line += (c > 0 ? std::string(kGap, ' ') : "") +
              (columns_[c].kind == ColumnKind::kNumber ? pad + cells[c] : cells[c] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  const auto add_row = [&](std::vector<std::string> cells) {
    std::vector<std::string> rest;
    std::string below;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (columns_[c].kind == ColumnKind::kBelow) std::swap(cells[c], below);
      if (columns_[c].kind == ColumnKind::kName) cells[c] = shortened_in_the_middle(cells[c], wide[c]);
      if (columns_[c].kind == ColumnKind::kProse) {
        rest = wrapped(cells[c], wide[c]);
        cells[c] = rest.empty() ? "" : rest.front();
      }
    }
    add_line(cells);
    for (const std::string& line : wrapped(below, width - kIndent))
      text += std::string(kIndent, ' ') + line + "\n";
    for (std::size_t i = 1; i < rest.size(); ++i) {
      std::vector<std::string> next(cells.size());
      next.back() = rest[i];
      add_line(next);
    }
  };
  std::vector<std::string> titles;
  for (const Column& column : columns_)
    titles.push_back(column.kind == ColumnKind::kBelow ? "" : column.title);
  add_row(std::move(titles));
  for (const auto& row : rows_) add_row(row);
  return text;
}

std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (word.empty()) continue;
    if (!lines.empty() && display_width(lines.back()) + 1 + display_width(word) <= width) {
      lines.back().append(" ").append(word);
    } else {
      lines.emplace_back(word);
    }
  }
  return lines;
}

std::string folded(std::string_view text, std::size_t width) {
  std::string result;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size());
    const std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
    const bool is_prose = line.find("  ", indent) == std::string_view::npos;
    if (display_width(line) <= width || indent >= width || !is_prose) {
      result += line;
    } else {
      const std::string blanks(indent, ' ');
      std::string between = blanks;
      for (const std::string& part : wrapped(line.substr(indent), width - indent)) {
        result += between + part;
        between = "\n" + blanks;
      }
    }
    if (!text.empty()) {
      result += '\n';
      text.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace dosa
