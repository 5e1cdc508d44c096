// The hardware of a design as a block diagram: its memories from DRAM down to the multipliers.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "dosa/core/report/chart.hpp"
#include "dosa/models/layer.hpp"

namespace dosa::html {

/// One memory level.
struct Block {
  std::string name;
  std::string size;  ///< "142 KiB", "64 x 256 words"; empty: unlimited
  OperandSet holds{};
  double most_full = -1, mean_full = 0;  ///< shares of the size; below 0: not limited
  std::string bandwidth;                 ///< "8 words per cycle"; empty: no limit
  double energy_share = 0;               ///< of the design's energy
  std::string colour;                    ///< a class of style.css
};

/// How the multipliers are laid out along one axis.
struct MeshLine {
  std::string where;     ///< "scratchpad": the parts side by side below it
  double size = 1;       ///< built
  double mean_used = 1;  ///< in a mean cycle
};

struct Diagram {
  std::vector<Block> blocks;  ///< DRAM first
  double multipliers = 0, mean_busy = 0;
  double energy_share = 0;  ///< of the multipliers
  std::vector<MeshLine> mesh;
};

Markup draw(const Diagram& diagram, const FigureText& text);

}  // namespace dosa::html
