// What Timeloop's files call things: shared by those who write and those who read them.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "dosa/models/layer.hpp"

namespace dosa::timeloop {

/// The multipliers.
inline constexpr const char* kMac = "MACC";
/// The tensors, by Operand.
inline constexpr std::array<const char*, kOperands> kDataSpaces{"Weights", "Inputs", "Outputs"};
/// Strides and dilations as coefficients of the problem's shape.
inline constexpr std::array<const char*, 4> kCoefficients{"Wstride", "Hstride", "Wdilation", "Hdilation"};
/// The same of a layer, in this order.
std::array<std::int64_t, 4> coefficients_of(const Layer& layer);

/// Names under which a machine's levels are exported, in the order of the levels: words of letters, digits
/// and underscores, none of them twice, with a capital in front.
std::vector<std::string> exported_names(const std::vector<std::string>& names);

/// The container of version 0.4 that stands for the fan-out below an exported level.
inline std::string children_name(const std::string& exported) { return exported + "_children"; }

}  // namespace dosa::timeloop
