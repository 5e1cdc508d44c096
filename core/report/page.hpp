// A page of its own: one file with its style in it, which needs nothing else and asks nobody for anything.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/report/markup.hpp"

namespace dosa::html {

/// A part of a page, under a heading that the list of contents leads to.
struct Section {
  std::string id;  ///< of the page's own
  std::string heading;
  std::string intro;  ///< what is to be seen and how to read it; may be empty
  Markup content;
};

struct Page {
  std::string title;
  Markup lead;  ///< below the title: what it is about, in a sentence or two
  std::vector<Section> sections;
};

/// The whole file, from templates/page.html and templates/style.css.
std::string document(const Page& page);

/// A cell of a table.
struct Cell {
  Markup content;
  bool is_number = false;
};
inline Cell number_cell(const std::string& text) { return {text, true}; }

/// A table with a caption; the first cell of a row is its heading. `narrow` is a class of style.css.
Markup table(const std::string& caption, const std::vector<Cell>& titles,
             const std::vector<std::vector<Cell>>& rows, const std::string& style = "");

/// Content that scrolls within itself where it is wider than the page; the keyboard can reach it.
Markup scrolling(const std::string& label, const Markup& content);

/// A text to be copied, as a shell or an editor takes it.
Markup code_block(const std::string& text);

}  // namespace dosa::html
