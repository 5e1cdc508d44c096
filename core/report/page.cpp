#include "dosa/core/report/page.hpp"

#include <map>
#include <string_view>

#include "dosa/core/report/templates.hpp"

namespace dosa::html {
namespace {

/// A template with markup in the places "{{key}}"; what is put in is not searched for places again.
std::string filled(std::string_view page_template, const std::map<std::string_view, std::string>& values) {
  std::string text;
  while (true) {
    const std::size_t begin = page_template.find("{{"), end = page_template.find("}}", begin);
    text += page_template.substr(0, begin);
    if (begin == std::string_view::npos) return text;
    text += values.at(page_template.substr(begin + 2, end - begin - 2));
    page_template.remove_prefix(end + 2);
  }
}

Markup contents(const Page& page) {
  std::vector<Markup> items;
  for (const Section& section : page.sections)
    items.push_back(element("li", {}, {element("a", {{"href", "#" + section.id}}, {section.heading})}));
  return element("ol", {}, items);
}

Markup as_markup(const Section& section) {
  Markup content = element("h2", {{"id", section.id + "-heading"}}, {section.heading});
  if (!section.intro.empty()) content += element("p", {{"class", "intro"}}, {section.intro});
  content += section.content;
  return element("section", {{"id", section.id}, {"aria-labelledby", section.id + "-heading"}}, {content});
}

}  // namespace

std::string document(const Page& page) {
  Markup body;
  for (const Section& section : page.sections) body += as_markup(section);
  const std::string title = Markup(page.title).text();
  return filled(kPageTemplate, {{"style", kStyleTemplate},
                                {"title", title},
                                {"lead", page.lead.text()},
                                {"contents", contents(page).text()},
                                {"body", body.text()}});
}

Markup table(const std::string& caption, const std::vector<Cell>& titles,
             const std::vector<std::vector<Cell>>& rows, const std::string& style) {
  const auto style_of = [](const Cell& cell) -> Attributes {
    return cell.is_number ? Attributes{{"class", "number"}} : Attributes{};
  };
  std::vector<Markup> head;
  for (const Cell& title : titles) {
    Attributes attributes = style_of(title);
    attributes.emplace_back("scope", "col");
    head.push_back(element("th", attributes, {title.content}));
  }
  std::vector<Markup> body;
  for (const std::vector<Cell>& row : rows) {
    std::vector<Markup> cells;
    for (const Cell& cell : row) {
      Attributes attributes = style_of(cell);
      if (cells.empty()) attributes.emplace_back("scope", "row");
      cells.push_back(element(cells.empty() ? "th" : "td", attributes, {cell.content}));
    }
    body.push_back(element("tr", {}, cells));
  }
  return element("table", style.empty() ? Attributes{} : Attributes{{"class", style}},
                 {element("caption", {}, {caption}), element("thead", {}, {element("tr", {}, head)}),
                  element("tbody", {}, body)});
}

Markup scrolling(const std::string& label, const Markup& content) {
  return element("div",
                 {{"class", "scrolling"}, {"role", "region"}, {"aria-label", label}, {"tabindex", "0"}},
                 {content});
}

Markup code_block(const std::string& text) {
  return element("pre", {{"tabindex", "0"}}, {element("code", {}, {text})});
}

}  // namespace dosa::html
