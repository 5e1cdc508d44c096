// Names for people of what a design and a network consist of.
#pragma once

#include <string>

#include "dosa/models/base/json_input.hpp"
#include "dosa/models/layer.hpp"
#include "dosa/models/machine.hpp"

namespace dosa::html {

/// "3 × 3 filter, 64 → 128 channels, 56 × 56 outputs, stride 2" or "512 × 768 times 768 × 3072".
std::string shape_of(const Layer& layer);
/// "weights", "inputs", "outputs".
std::string name_of(Operand tensor);
/// The class of style.css of a memory level; 0 is DRAM.
std::string level_colour(std::size_t levels_from_dram);

/// "pe_dim 16, scratchpad 128 KiB": the sizes of a design, from what its file holds of them.
std::string sizes_text(const Json& hardware);

/// "EDP (energy times delay)": an objective.
std::string aim_in_words(const std::string& objective);

/// What a dimension counts: "input channels".
std::string meaning_of(Dim dim);
/// " (C: input channels; K: output channels)": what the letters of dimensions mean that a text has as words
/// of their own; empty: it has none.
std::string letters_in(const std::string& text);

/// What a size of a machine is: "words in each weight_spad", "parts side by side below global_buffer".
std::string meaning_of(const Machine& machine, std::size_t parameter);

}  // namespace dosa::html
