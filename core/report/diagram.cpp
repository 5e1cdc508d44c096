#include "dosa/core/report/diagram.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "dosa/models/base/text.hpp"

namespace dosa::html {
namespace {

constexpr double kDiagramWidth = 720;
/// Blocks on the left, and on their right a line for each tensor.
constexpr double kBlockLeft = 8, kBlockWidth = 566, kFirstLane = 612, kLaneStep = 38;
constexpr double kHeader = 34, kBlockHeight = 108, kBlockGap = 16;

double lane_x(std::size_t tensor) { return kFirstLane + kLaneStep * static_cast<double>(tensor); }

Markup diagram_text(double x, double y, const std::string& style, const std::string& text) {
  return element("text", {{"x", coordinate(x)}, {"y", coordinate(y)}, {"class", style}}, {text});
}

Markup rectangle(double x, double y, double width, double height, const std::string& style) {
  return element("rect", {{"x", coordinate(x)},
                          {"y", coordinate(y)},
                          {"width", coordinate(width)},
                          {"height", coordinate(height)},
                          {"class", style}});
}

/// The lines of the three tensors from DRAM down to the multipliers.
Markup lanes(double bottom) {
  Markup marks;
  for (std::size_t tensor = 0; tensor < kOperands; ++tensor) {
    const double x = lane_x(tensor);
    marks += element("line", {{"x1", coordinate(x)},
                              {"x2", coordinate(x)},
                              {"y1", coordinate(kHeader)},
                              {"y2", coordinate(bottom)},
                              {"class", "lane"}});
  }
  marks += diagram_text(kFirstLane + kLaneStep, 20, "tick middle", "holds");
  return marks;
}

Markup block(const Block& level, double top) {
  const double right = kBlockLeft + kBlockWidth;
  Markup marks = rectangle(kBlockLeft, top, kBlockWidth, kBlockHeight, "block");
  marks += rectangle(kBlockLeft, top, 8, kBlockHeight, level.colour);
  constexpr std::size_t kNameLetters = 26;
  marks += diagram_text(kBlockLeft + 20, top + 25, "block-name",
                        shortened_in_the_middle(printable(level.name), kNameLetters));
  marks +=
      diagram_text(right - 12, top + 25, "block-size end", level.size.empty() ? "unlimited" : level.size);
  marks += diagram_text(kBlockLeft + 20, top + 48, "note", percentage(level.energy_share) + " of the energy");
  if (!level.bandwidth.empty()) marks += diagram_text(kBlockLeft + 20, top + 71, "note", level.bandwidth);
  if (level.most_full >= 0) {
    const double width = 190, left = kBlockLeft + 20, bar_top = top + 84;
    marks += rectangle(left, bar_top, width, 12, "gauge");
    marks += rectangle(left, bar_top, width * std::min(1.0, level.most_full), 12, "gauge-most");
    marks += rectangle(left, bar_top, width * std::min(1.0, level.mean_full), 12, level.colour);
    marks += diagram_text(
        left + width + 10, bar_top + 11, "note",
        fmt::format("{} full, {} at most", percentage(level.mean_full), percentage(level.most_full)));
  }
  for (std::size_t tensor = 0; tensor < kOperands; ++tensor) {
    if (!level.holds[tensor]) continue;
    const double x = lane_x(tensor), y = top + kBlockHeight / 2;
    marks +=
        element("circle", {{"cx", coordinate(x)}, {"cy", coordinate(y)}, {"r", "13"}, {"class", "stop"}});
    marks += diagram_text(x, y + 5, "stop-name middle", std::string(1, kOperandNames[tensor]));
  }
  return marks;
}

/// The lines of text beside the grid of multipliers, below their number.
std::vector<std::string> lines_of(const Diagram& diagram) {
  std::vector<std::string> lines{percentage(diagram.mean_busy) + " busy in a mean cycle",
                                 percentage(diagram.energy_share) + " of the energy"};
  for (const MeshLine& axis : diagram.mesh)
    lines.push_back(fmt::format("below {}: {:.3g} of {:.6g} in use", axis.where, axis.mean_used, axis.size));
  return lines;
}

constexpr double kLine = 24;
double height_of_multipliers(const Diagram& diagram) {
  return 20 + kLine * std::max(4.6, static_cast<double>(lines_of(diagram).size() + 1));
}

/// The multipliers, as a grid in which the share that works is filled.
Markup multipliers(const Diagram& diagram, double top) {
  constexpr int kCells = 12;
  constexpr double kCell = 9;
  Markup marks = rectangle(kBlockLeft, top, kBlockWidth, height_of_multipliers(diagram), "block");
  const int busy = static_cast<int>(std::lround(diagram.mean_busy * kCells * kCells));
  for (int i = 0; i < kCells * kCells; ++i) {
    marks += rectangle(kBlockLeft + 16 + kCell * (i % kCells), top + 12 + kCell * (i / kCells), kCell - 1.5,
                       kCell - 1.5, i < busy ? "work" : "cell");
  }
  const double left = kBlockLeft + 16 + kCell * kCells + 16;
  double y = top + 26;
  marks += diagram_text(left, y, "block-name", fmt::format("{:.0f} multipliers", diagram.multipliers));
  for (const std::string& text : lines_of(diagram)) marks += diagram_text(left, y += kLine, "note", text);
  return marks;
}

}  // namespace

Markup draw(const Diagram& diagram, const FigureText& text) {
  double top = kHeader;
  std::vector<Markup> blocks;
  for (const Block& level : diagram.blocks) {
    blocks.push_back(block(level, top));
    top += kBlockHeight + kBlockGap;
  }
  blocks.push_back(multipliers(diagram, top));
  std::vector<Markup> marks{lanes(top)};
  marks.insert(marks.end(), blocks.begin(), blocks.end());
  return figure(text, kDiagramWidth, top + height_of_multipliers(diagram) + 4, marks);
}

}  // namespace dosa::html
