// Names for people of what a design and a network consist of.
#pragma once

#include <string>

#include "dosa/models/base/json_input.hpp"
#include "dosa/models/layer.hpp"

namespace dosa::html {

/// "3 × 3 filter, 64 → 128 channels, 56 × 56 outputs, stride 2" or "512 × 768 times 768 × 3072".
std::string shape_of(const Layer& layer);
/// "weights", "inputs", "outputs".
std::string name_of(Operand tensor);
/// The class of style.css of a memory level; 0 is DRAM.
std::string level_colour(std::size_t levels_from_dram);

/// "pe_dim 16, scratchpad_kib 128": the sizes of a design, as its file holds them.
std::string sizes_text(const Json& hardware);

}  // namespace dosa::html
