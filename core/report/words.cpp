#include "dosa/core/report/words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "dosa/models/chain/chain.hpp"

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
  constexpr std::string_view kKib = "_kib";
  for (const auto& [name, value] : hardware.items()) {
    const bool in_kib = name.size() > kKib.size() && name.substr(name.size() - kKib.size()) == kKib;
    text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ",
                        in_kib ? name.substr(0, name.size() - kKib.size()) : name, value.dump(),
                        in_kib ? " KiB" : "");
  }
  return text.empty() ? "sizes are fixed by its file" : text;
}

std::string aim_in_words(const std::string& objective) {
  return objective == "edp" ? "EDP (energy times delay)" : objective;
}

std::string meaning_of(Dim dim) {
  static constexpr std::array<const char*, kDims> kMeanings{
      "filter width",   "filter height",   "output width", "output height",
      "input channels", "output channels", "batch"};
  return kMeanings[static_cast<std::size_t>(dim)];
}

std::string letters_in(const std::string& text) {
  std::string meanings;
  const auto is_letter = [&](std::size_t at) {
    return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
  };
  for (const Dim dim : all_dims()) {
    for (std::size_t at = text.find(name_of(dim)); at != std::string::npos;
         at = text.find(name_of(dim), at + 1)) {
      if (is_letter(at + 1) || (at > 0 && is_letter(at - 1))) continue;
      meanings += fmt::format("{}{}: {}", meanings.empty() ? " (" : "; ", name_of(dim), meaning_of(dim));
      break;
    }
  }
  return meanings.empty() ? "" : meanings + ")";
}

std::string meaning_of(const Machine& machine, std::size_t parameter) {
  const auto* chain = dynamic_cast<const Chain*>(&machine);
  if (chain == nullptr) {
    return parameter < machine.shape_parameters
               ? "rows, and columns, of the array of multipliers"
               : fmt::format("{} of the memory {}", machine.parameters[parameter].unit,
                             machine.parameters[parameter].label);
  }
  const auto follows = [&](const std::optional<ByParameter>& rule) {
    return rule && rule->parameter == parameter;
  };
  std::string text;
  const auto add = [&](const std::string& meaning) { text += (text.empty() ? "" : "; ") + meaning; };
  for (std::size_t l = chain->levels.size(); l-- > 0;) {
    const ChainLevel& level = chain->levels[l];
    if (follows(level.rules.built_words)) {
      add(level.rules.built_words->shared ? "what every " + level.name + " shares with the others, in words"
                                          : "what one " + level.name + " holds, in words");
    }
    for (const MeshAxis axis : mesh_axes()) {
      if (follows(level.rules.fan_out[static_cast<std::size_t>(axis)]))
        add(fmt::format("how many {} stand side by side below {}, along {}",
                        l == 0 ? "multipliers" : chain->levels[l - 1].name, level.name, name_of(axis)));
    }
  }
  return text.empty() ? "a size of the machine" : text;
}

}  // namespace dosa::html
