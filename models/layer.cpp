#include "dosa/models/layer.hpp"

#include <algorithm>
#include <vector>

#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

struct DimOption {
  const char* key;
  std::int64_t Layer::*value;
};
constexpr std::array<DimOption, 4> kDimOptions{{{"wstride", &Layer::wstride},
                                                {"hstride", &Layer::hstride},
                                                {"wdilation", &Layer::wdilation},
                                                {"hdilation", &Layer::hdilation}}};
struct InputOption {
  const char* key;
  std::optional<std::int64_t> Layer::*value;
};
constexpr std::array<InputOption, 2> kInputOptions{
    {{"input_width", &Layer::known_input_width}, {"input_height", &Layer::known_input_height}}};
constexpr std::int64_t kMaxRepeat = 1 << 24;  // count and groups

template <typename Set>
Set set_from_json(const JsonInput& json, std::string_view names) {
  Set set{};
  for (const char name : json.text()) {
    const std::size_t index = names.find(name);
    if (index == std::string_view::npos) {
      fail(ErrorId::kValue, "{}: found '{}', expected letters of {}", json.where(), name, names);
    }
    set[index] = true;
  }
  return set;
}

template <typename Set>
std::string letters_in(const Set& set, std::string_view names) {
  std::string letters;
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (set[i]) letters += names[i];
  }
  return letters;
}

/// One axis of a convolution, to relate input and output sizes.
struct Axis {
  std::int64_t outputs, stride, reach;  // reach: (filter - 1) * dilation + 1
  std::int64_t before, after;           // padding

  std::int64_t smallest_input() const { return (outputs - 1) * stride + reach - before - after; }
  bool gives_outputs(std::int64_t input) const {
    return input >= 1 && input >= smallest_input() && input < smallest_input() + stride;
  }
  std::int64_t likely_input() const {
    return gives_outputs(outputs * stride) ? outputs * stride : std::max<std::int64_t>(1, smallest_input());
  }
};
Axis width_axis(const Layer& l) {
  return {l[Dim::P], l.wstride, (l[Dim::R] - 1) * l.wdilation + 1, l.sides().left, l.sides().right};
}
Axis height_axis(const Layer& l) {
  return {l[Dim::Q], l.hstride, (l[Dim::S] - 1) * l.hdilation + 1, l.sides().top, l.sides().bottom};
}

struct SideOption {
  const char* key;
  std::int64_t Sides::*value;
};
constexpr std::array<SideOption, 4> kSideOptions{
    {{"left", &Sides::left}, {"right", &Sides::right}, {"top", &Sides::top}, {"bottom", &Sides::bottom}}};

LayerKind kind_from_json(const JsonInput& json) {
  for (std::size_t kind = 0; kind < kLayerKinds.size(); ++kind) {
    if (json.text() == kLayerKinds[kind]) return static_cast<LayerKind>(kind);
  }
  fail(ErrorId::kValue, "{}: found \"{}\", expected one of {}", json.where(), json.text(),
       fmt::join(kLayerKinds, ", "));
}

/// An object with those of W, I and O that are known.
WordBits word_bits_from_json(const JsonInput& json) {
  json.allow_only({"W", "I", "O"});
  WordBits bits{};
  for (const Operand operand : all_operands()) {
    if (const auto value = json.find(std::string(1, letter_of(operand))))
      bits[static_cast<std::size_t>(operand)] = static_cast<int>(value->integer(1, kMaxWordBits));
  }
  return bits;
}

/// A number for all sides, or an object with those that are not 0.
Sides sides_from_json(const JsonInput& json) {
  Sides sides;
  if (!json.is_object()) {
    sides.left = sides.right = sides.top = sides.bottom = json.integer(0, kMaxStep);
    return sides;
  }
  json.allow_only({"left", "right", "top", "bottom"});
  for (const SideOption& side : kSideOptions) {
    if (const auto value = json.find(side.key)) sides.*side.value = value->integer(0, kMaxStep);
  }
  return sides;
}

}  // namespace

std::optional<Dim> dim_from_name(char name) {
  const std::size_t index = kDimNames.find(name);
  if (index == std::string_view::npos) return std::nullopt;
  return static_cast<Dim>(index);
}

std::int64_t Layer::macs() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : size) product *= extent;
  return product;
}

bool Layer::is_matmul() const {
  const Layer& l = *this;
  return l[Dim::R] == 1 && l[Dim::S] == 1 && l[Dim::Q] == 1 && wstride == 1 && hstride == 1;
}

void Layer::pad(const Sides& sides) {
  padding = std::nullopt;
  uneven_padding = std::nullopt;
  if (sides.are_even()) {
    padding = sides.left;
  } else {
    uneven_padding = sides;
  }
}

Sides Layer::sides() const {
  const std::int64_t all = padding.value_or(0);
  return uneven_padding.value_or(Sides{all, all, all, all});
}

std::int64_t Layer::padded_width() const {
  return ((*this)[Dim::P] - 1) * wstride + ((*this)[Dim::R] - 1) * wdilation + 1;
}
std::int64_t Layer::padded_height() const {
  return ((*this)[Dim::Q] - 1) * hstride + ((*this)[Dim::S] - 1) * hdilation + 1;
}

std::int64_t Layer::input_width() const {
  return known_input_width.value_or(width_axis(*this).likely_input());
}
std::int64_t Layer::input_height() const {
  return known_input_height.value_or(height_axis(*this).likely_input());
}

DimSet dims_from_json(const JsonInput& json) { return set_from_json<DimSet>(json, kDimNames); }

OperandSet operands_from_json(const JsonInput& json) {
  return set_from_json<OperandSet>(json, kOperandNames);
}

std::string letters_of(const DimSet& dims) { return letters_in(dims, kDimNames); }

std::string letters_of(const OperandSet& operands) { return letters_in(operands, kOperandNames); }

Layer layer_from_json(const JsonInput& json, const std::vector<const char*>& extra_keys) {
  std::vector<const char*> keys{"name",        "count",        "dims", "groups",   "padding",
                                "input_width", "input_height", "kind", "word_bits"};
  keys.insert(keys.end(), extra_keys.begin(), extra_keys.end());
  json.allow_only(keys);
  Layer layer;
  layer.name = json.at("name").name();
  if (const auto count = json.find("count")) layer.count = count->integer(1, kMaxRepeat);
  if (const auto groups = json.find("groups")) layer.groups = groups->integer(1, kMaxRepeat);
  if (const auto padding = json.find("padding")) layer.pad(sides_from_json(*padding));
  for (const InputOption& option : kInputOptions) {
    if (const auto value = json.find(option.key)) layer.*option.value = value->integer(1, kMaxDim);
  }
  if (const auto kind = json.find("kind")) layer.kind = kind_from_json(*kind);
  if (const auto bits = json.find("word_bits")) layer.word_bits = word_bits_from_json(*bits);
  const JsonInput dims = json.at("dims");
  dims.allow_only({"R", "S", "P", "Q", "C", "K", "N", "wstride", "hstride", "wdilation", "hdilation"});
  for (const Dim dim : all_dims()) {
    if (const auto extent = dims.find(std::string(1, name_of(dim)))) layer[dim] = extent->integer(1, kMaxDim);
  }
  for (const DimOption& option : kDimOptions) {
    if (const auto value = dims.find(option.key)) layer.*option.value = value->integer(1, kMaxStep);
  }
  try {
    check_layer(layer);
  } catch (const Error& error) {
    throw error.in(dims.where());
  }
  return layer;
}

Json to_json(const Layer& layer) {
  Json dims;
  for (const Dim dim : all_dims()) dims[std::string(1, name_of(dim))] = layer[dim];
  // Strides are always written, dilations only where there is one.
  for (const DimOption& option : kDimOptions) {
    const bool is_stride = option.value == &Layer::wstride || option.value == &Layer::hstride;
    if (is_stride || layer.*option.value != 1) dims[option.key] = layer.*option.value;
  }
  Json json{{"name", layer.name}, {"count", layer.count}, {"dims", dims}};
  if (layer.groups != 1) json["groups"] = layer.groups;
  if (layer.padding) json["padding"] = *layer.padding;
  if (layer.uneven_padding) {
    for (const SideOption& side : kSideOptions) {
      if (const std::int64_t value = *layer.uneven_padding.*side.value; value != 0)
        json["padding"][side.key] = value;
    }
  }
  for (const InputOption& option : kInputOptions) {
    if (layer.*option.value) json[option.key] = *(layer.*option.value);
  }
  if (layer.kind != LayerKind::kWeights) json["kind"] = kLayerKinds[static_cast<std::size_t>(layer.kind)];
  for (const Operand operand : all_operands()) {
    if (const auto bits = layer.word_bits[static_cast<std::size_t>(operand)])
      json["word_bits"][std::string(1, letter_of(operand))] = *bits;
  }
  return json;
}

void check_layer(const Layer& layer) {
  const auto check = [](const std::string& name, std::int64_t value, std::int64_t max) {
    if (value < 1 || value > max) {
      fail(ErrorId::kValue, "{}: found {}, expected an integer in 1..{}", name, value, max);
    }
  };
  std::int64_t macs = 1;
  for (const Dim dim : all_dims()) {
    check(std::string(1, name_of(dim)), layer[dim], kMaxDim);
    if (layer[dim] > kMaxMacs / macs) {
      fail(ErrorId::kValue,
           "R*S*P*Q*C*K*N is more than the {} (2^62) multiply-accumulates that one layer may have", kMaxMacs);
    }
    macs *= layer[dim];
  }
  for (const DimOption& option : kDimOptions) check(option.key, layer.*option.value, kMaxStep);
  const double words = static_cast<double>(layer.padded_width()) *
                       static_cast<double>(layer.padded_height()) * static_cast<double>(layer[Dim::C]) *
                       static_cast<double>(layer[Dim::N]);
  if (words > static_cast<double>(kMaxInputWords)) {
    fail(ErrorId::kValue,
         "the input has {:.4g} words, more than the {} that are counted exactly; split the layer", words,
         kMaxInputWords);
  }
  check("count", layer.count, kMaxRepeat);
  check("groups", layer.groups, kMaxRepeat);
  const auto check_input = [&](const char* key, const std::optional<std::int64_t>& input, const Axis& axis) {
    if (!input || axis.gives_outputs(*input)) return;
    fail(ErrorId::kValue, "{}: found {}, {} outputs of this layer need {}..{} with padding {}", key, *input,
         axis.outputs, std::max<std::int64_t>(1, axis.smallest_input()),
         axis.smallest_input() + axis.stride - 1,
         axis.before == axis.after ? fmt::format("{}", axis.before)
                                   : fmt::format("{} and {}", axis.before, axis.after));
  };
  check_input("input_width", layer.known_input_width, width_axis(layer));
  check_input("input_height", layer.known_input_height, height_axis(layer));
}

}  // namespace dosa
