#include "dosa/core/report/words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace dosa::html {
namespace {

/// "3", or "3 × 5" where the two differ.
std::string pair_of(std::int64_t width, std::int64_t height) {
  return width == height ? fmt::format("{}", width) : fmt::format("{} × {}", width, height);
}

}  // namespace

std::string shape_of(const Layer& layer) {
  const std::string groups = layer.groups > 1 ? fmt::format(", in {} groups", layer.groups) : "";
  if (layer.is_matmul() && layer[Dim::N] == 1) {
    return fmt::format("{} × {} times {} × {}{}{}", layer[Dim::P], layer[Dim::C], layer[Dim::C],
                       layer[Dim::K], layer.kind == LayerKind::kActivations ? ", both activations" : "",
                       groups);
  }
  std::string text = fmt::format("{} × {} filter, {} → {} channels, {} × {} outputs", layer[Dim::R],
                                 layer[Dim::S], layer[Dim::C], layer[Dim::K], layer[Dim::P], layer[Dim::Q]);
  if (layer.wstride != 1 || layer.hstride != 1) text += ", stride " + pair_of(layer.wstride, layer.hstride);
  if (layer.wdilation != 1 || layer.hdilation != 1)
    text += ", dilation " + pair_of(layer.wdilation, layer.hdilation);
  if (layer[Dim::N] != 1) text += fmt::format(", batch {}", layer[Dim::N]);
  return text + groups;
}

std::string name_of(Operand tensor) {
  static constexpr std::array<const char*, kOperands> kNames{"weights", "inputs", "outputs"};
  return kNames[static_cast<std::size_t>(tensor)];
}

std::string level_colour(std::size_t levels_from_dram) {
  constexpr std::size_t kColours = 8;
  return fmt::format("l{}", std::min(levels_from_dram, kColours - 1));
}

std::string sizes_text(const Json& hardware) {
  std::string text;
  for (const auto& [name, value] : hardware.items())
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value.dump());
  return text.empty() ? "sizes are fixed by its file" : text;
}

}  // namespace dosa::html
