#include "dosa/core/import/onnx/products.hpp"

#include <algorithm>
#include <map>
#include <numeric>

#include "dosa/core/import/onnx/fold.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::onnx_import {
namespace {

using Node = onnx::NodeProto;

/// What the functions below read of a node.
struct Case {
  const Node& node;
  const std::vector<Input>& inputs;
  const std::string& name;
  const std::string& where;

  bool has(std::size_t i) const { return i < inputs.size() && inputs[i].is_there; }
  const Dims& dims(std::size_t i) const {
    if (!has(i)) fail(ErrorId::kValue, "{}: its input {} is missing", where, i);
    if (!inputs[i].dims) {
      fail(ErrorId::kValue,
           "{}: the sizes of its input '{}' are not known; run the exporter with shapes, or name them "
           "with --dim",
           where, node.input(static_cast<int>(i)));
    }
    return *inputs[i].dims;
  }
  /// The same, of so many dimensions.
  const Dims& dims(std::size_t i, std::size_t rank) const {
    const Dims& own = dims(i);
    if (own.size() != rank) {
      fail(ErrorId::kValue, "{}: found its input {} of [{}], expected {} dimensions", where, i,
           fmt::join(own, ", "), rank);
    }
    return own;
  }
  void require(bool holds, const std::string& found, const std::string& expected) const {
    if (!holds) fail(ErrorId::kValue, "{}: found {}, expected {}", where, found, expected);
  }
};

std::int64_t times(std::int64_t a, std::int64_t b, const Case& c) { return elements_of({a, b}, c.where); }

/// A product of matrices: `rows` x `inner` times `inner` x `columns`.
Layer matrix_product(const std::string& name, std::int64_t rows, std::int64_t inner, std::int64_t columns,
                     std::int64_t groups = 1, LayerKind kind = LayerKind::kWeights) {
  Layer layer;
  layer.name = name;
  layer.kind = kind;
  layer[Dim::P] = rows;
  layer[Dim::C] = inner;
  layer[Dim::K] = columns;
  layer.groups = groups;
  return layer;
}

// Convolutions.

/// One axis of a convolution.
struct Window {
  std::int64_t input = 1, filter = 1, stride = 1, dilation = 1, before = 0, after = 0, output = 1;

  std::int64_t reach() const { return (filter - 1) * dilation + 1; }
};

/// An attribute with one number an axis, or `otherwise` for each.
Dims per_axis(const Case& c, const char* attribute, std::size_t count, std::int64_t otherwise,
              std::int64_t least) {
  Dims values = integers_of(c.node, attribute);
  if (values.empty()) values.assign(count, otherwise);
  c.require(values.size() == count, fmt::format("{} numbers in {}", values.size(), attribute),
            fmt::format("{}", count));
  for (const std::int64_t value : values)
    c.require(value >= least && value <= kMaxStep, fmt::format("{} {}", attribute, value),
              fmt::format("{} to {}", least, kMaxStep));
  return values;
}

std::string auto_pad_of(const Node& node) {
  const onnx::AttributeProto* attribute = attribute_of(node, "auto_pad");
  return attribute == nullptr || attribute->s().empty() ? "NOTSET" : attribute->s();
}

/// The axes of the image [N, C, ...] and the filter [K, C, ...], with sizes, strides, dilations and given
/// padding.
std::vector<Window> windows_of(const Case& c, const Dims& image, const Dims& filter) {
  c.require(
      image.size() == filter.size() && image.size() >= 3 && image.size() <= 5,
      fmt::format("an image of [{}] and a filter of [{}]", fmt::join(image, ", "), fmt::join(filter, ", ")),
      "both of 1, 2 or 3 dimensions beside two");
  for (const std::int64_t size : image)
    c.require(size >= 1, fmt::format("an image of [{}]", fmt::join(image, ", ")), "sizes of at least 1");
  for (const std::int64_t size : filter)
    c.require(size >= 1, fmt::format("a filter of [{}]", fmt::join(filter, ", ")), "sizes of at least 1");
  const std::size_t axes = image.size() - 2;
  const Dims strides = per_axis(c, "strides", axes, 1, 1), dilations = per_axis(c, "dilations", axes, 1, 1);
  const Dims pads = per_axis(c, "pads", 2 * axes, 0, 0);
  const bool given = auto_pad_of(c.node) == "NOTSET";
  std::vector<Window> windows;
  for (std::size_t a = 0; a < axes; ++a) {
    c.require(image[a + 2] <= kMaxDim && filter[a + 2] <= kMaxDim, "an axis of more than 2^31", "less");
    windows.push_back({image[a + 2], filter[a + 2], strides[a], dilations[a], given ? pads[a] : 0,
                       given ? pads[a + axes] : 0, 1});
  }
  return windows;
}

/// Padding of `total` rows for SAME_UPPER and SAME_LOWER, which differ in where an odd one goes.
void pad_evenly(Window& window, std::int64_t total, const std::string& mode) {
  const std::int64_t more = (total + 1) / 2;
  window.before = mode == "SAME_LOWER" ? more : total - more;
  window.after = total - window.before;
}

std::int64_t groups_of(const Case& c) {
  const std::int64_t groups = integer_of(c.node, "group", 1);
  c.require(groups >= 1, fmt::format("{} groups", groups), "at least 1");
  return groups;
}

/// The width is the last axis, the height the one before; a third is taken into batch and channels.
Layer layer_of_windows(const Case& c, const std::vector<Window>& windows, std::int64_t batch,
                       std::int64_t channels, std::int64_t filters, std::int64_t groups) {
  Layer layer;
  layer.name = c.name;
  layer.groups = groups;
  layer[Dim::N] = batch;
  layer[Dim::C] = channels;
  layer[Dim::K] = filters;
  const Window& width = windows.back();
  const Window height = windows.size() > 1 ? windows[windows.size() - 2] : Window{};
  layer[Dim::P] = width.output;
  layer[Dim::R] = width.filter;
  layer[Dim::Q] = height.output;
  layer[Dim::S] = height.filter;
  layer.wstride = width.stride;
  layer.hstride = height.stride;
  layer.wdilation = width.filter > 1 ? width.dilation : 1;
  layer.hdilation = height.filter > 1 ? height.dilation : 1;
  if (windows.size() == 3) {
    layer[Dim::N] = times(batch, windows[0].output, c);
    layer[Dim::C] = times(channels, windows[0].filter, c);
  }
  return layer;
}

Products convolution(const Case& c, std::size_t image_at, std::size_t filter_at) {
  const Dims &image = c.dims(image_at), &filter = c.dims(filter_at);
  std::vector<Window> windows = windows_of(c, image, filter);
  const std::int64_t groups = groups_of(c);
  c.require(filter[0] % groups == 0 && elements_of({filter[1], groups}, c.where) == image[1],
            fmt::format("{}, {} and a filter of [{}]", counted(image[1], "channel"), counted(groups, "group"),
                        fmt::join(filter, ", ")),
            "the filter's channels times the groups to be the image's, and groups that divide the filters");
  const std::string mode = auto_pad_of(c.node);
  Products products;
  products.output = Dims{image[0], filter[0]};
  for (Window& w : windows) {
    if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
      const std::int64_t outputs = (w.input + w.stride - 1) / w.stride;
      pad_evenly(w, std::max<std::int64_t>(0, (outputs - 1) * w.stride + w.reach() - w.input), mode);
    }
    const std::int64_t room = w.input + w.before + w.after - w.reach();
    c.require(room >= 0,
              fmt::format("a filter that reaches over {} of {}", w.reach(), w.input + w.before + w.after),
              "one within the padded image");
    w.output = room / w.stride + 1;
    products.output->push_back(w.output);
  }
  Layer layer = layer_of_windows(c, windows, image[0], filter[1], filter[0] / groups, groups);
  const Window& width = windows.back();
  const Window height = windows.size() > 1 ? windows[windows.size() - 2] : Window{};
  layer.pad({width.before, width.after, height.before, height.after});
  if (layer.input_width() != width.input) layer.known_input_width = width.input;
  if (layer.input_height() != height.input) layer.known_input_height = height.input;
  if (windows.size() == 3 && windows[0].filter > 1)
    products.remark =
        fmt::format("its {} taps along the third dimension are counted as channels", windows[0].filter);
  products.layers.push_back(std::move(layer));
  return products;
}

/// Outputs of a transposed convolution along one axis that the same taps of the filter make.
struct Phase {
  std::int64_t taps = 0, dilation = 1, outputs = 0, first_input = 0, repeats = 1;
};

/// Output o gets input i through tap t where o + before = i * stride + t * dilation. So outputs whose place
/// has the same remainder by the stride have the same taps, which lie dilation / gcd inputs apart.
std::vector<Phase> phases_of(const Window& w) {
  const std::int64_t common = std::gcd(w.stride, w.dilation);
  std::vector<Phase> phases;
  for (std::int64_t first = 0; first < std::min(w.stride, w.output); ++first) {
    const std::int64_t remainder = (first + w.before) % w.stride;
    Phase phase;
    phase.dilation = w.dilation / common;
    phase.outputs = (w.output - first + w.stride - 1) / w.stride;
    for (std::int64_t t = 0; t < std::min(w.filter, w.stride / common); ++t) {
      if ((remainder - t * w.dilation) % w.stride != 0) continue;
      phase.taps = (w.filter - t + w.stride / common - 1) / (w.stride / common);
      phase.first_input = (first + w.before - t * w.dilation) / w.stride;
      break;
    }
    if (phase.taps == 0) continue;  // outputs that nothing but the bias reaches
    const auto same = std::find_if(phases.begin(), phases.end(), [&](const Phase& other) {
      return other.taps == phase.taps && other.outputs == phase.outputs &&
             other.first_input == phase.first_input;
    });
    if (same != phases.end()) {
      ++same->repeats;
    } else {
      phases.push_back(phase);
    }
  }
  return phases;
}

void size_transposed(const Case& c, std::vector<Window>& windows) {
  const std::string mode = auto_pad_of(c.node);
  const Dims extra = per_axis(c, "output_padding", windows.size(), 0, 0);
  const Dims given = integers_of(c.node, "output_shape");
  c.require(given.empty() || given.size() == windows.size(),
            counted(given.size(), "size") + " in output_shape", fmt::format("{}", windows.size()));
  for (std::size_t a = 0; a < windows.size(); ++a) {
    Window& w = windows[a];
    const std::int64_t whole = (w.input - 1) * w.stride + w.reach() + extra[a];
    w.output = whole - w.before - w.after;
    const bool same = mode == "SAME_UPPER" || mode == "SAME_LOWER";
    if (!given.empty() || same) {
      w.output = given.empty() ? w.input * w.stride : given[a];
      const std::int64_t total = std::max<std::int64_t>(0, whole - w.output);
      w.before = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
    }
    c.require(w.output >= 1 && w.output <= kMaxDim, fmt::format("{} outputs", w.output), "at least 1");
    c.require(w.stride <= 4096, fmt::format("a stride of {}", w.stride), "at most 4096");
  }
}

/// For each combination of phases an ordinary convolution; phases of the same taps on the same inputs are
/// filters of one. Where the padding lies is left open: the phases differ in it by one row.
Products transposed_convolution(const Case& c, std::size_t image_at, std::size_t filter_at) {
  const Dims &image = c.dims(image_at), &filter = c.dims(filter_at);
  std::vector<Window> windows = windows_of(c, image, filter);
  const std::int64_t groups = groups_of(c);
  c.require(image[1] == filter[0] && image[1] % groups == 0,
            fmt::format("{}, {} and a filter of [{}]", counted(image[1], "channel"), counted(groups, "group"),
                        fmt::join(filter, ", ")),
            "as many channels as the filter, which the groups divide");
  size_transposed(c, windows);
  Products products;
  products.output = Dims{image[0], times(filter[1], groups, c)};
  std::vector<std::vector<Phase>> axes(3 - windows.size(), {Phase{1, 1, 1, 0, 1}});
  for (const Window& w : windows) {
    products.output->push_back(w.output);
    axes.push_back(phases_of(w));
  }
  for (const Phase& depth : axes[0]) {
    for (const Phase& height : axes[1]) {
      for (const Phase& width : axes[2]) {
        std::vector<Window> parts;
        for (const Phase* phase : {&depth, &height, &width})
          parts.push_back({1, phase->taps, 1, phase->dilation, 0, 0, phase->outputs});
        const std::int64_t repeats = elements_of({depth.repeats, height.repeats, width.repeats}, c.where);
        products.layers.push_back(
            layer_of_windows(c, parts, image[0], image[1] / groups, times(filter[1], repeats, c), groups));
      }
    }
  }
  if (windows.size() == 3) products.remark = "its taps along the third dimension are counted as channels";
  return products;
}

// Products of matrices.

/// Which of two operands are weights.
struct Constants {
  bool left = false, right = false;

  bool only_left() const { return left && !right; }
  LayerKind kind() const { return left || right ? LayerKind::kWeights : LayerKind::kActivations; }
};
Constants constants_of(const Case& c, std::size_t left, std::size_t right) {
  return {c.inputs[left].is_constant, c.inputs[right].is_constant};
}

/// Of two stacks of matrices [..., M, K] and [..., K, N].
Products stacked_product(const Case& c, Dims a, Dims b, Constants constants) {
  c.require(!a.empty() && !b.empty(), "a number", "matrices");
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  std::int64_t rows = a[a.size() - 2], columns = b.back(), groups = 1;
  const std::int64_t inner = a.back();
  c.require(inner == b[b.size() - 2], fmt::format("[{}] times [{}]", fmt::join(a, ", "), fmt::join(b, ", ")),
            "as many columns of the first as rows of the second");
  const std::size_t rank = std::max(a.size(), b.size());
  Dims output;
  for (std::size_t i = 0; i + 2 < rank; ++i) {
    const std::int64_t x = i + a.size() >= rank ? a[i + a.size() - rank] : 1;
    const std::int64_t y = i + b.size() >= rank ? b[i + b.size() - rank] : 1;
    c.require(x == y || x == 1 || y == 1,
              fmt::format("[{}] times [{}]", fmt::join(a, ", "), fmt::join(b, ", ")),
              "stacks that can be stretched to each other");
    output.push_back(x == 1 ? y : x);
    // Matrices that share the other side are rows or columns of one.
    std::int64_t& place = x == y ? groups : x == 1 ? columns : rows;
    place = times(place, std::max(x, y), c);
  }
  if (!row) output.push_back(a[a.size() - 2]);
  if (!column) output.push_back(b.back());
  if (constants.only_left()) std::swap(rows, columns);
  return {{matrix_product(c.name, rows, inner, columns, groups, constants.kind())}, output, ""};
}

Dims transposed(Dims dims, bool yes) {
  if (yes && dims.size() >= 2) std::swap(dims[dims.size() - 1], dims[dims.size() - 2]);
  return dims;
}

Products matmul(const Case& c, std::size_t left, std::size_t right) {
  const Node& node = c.node;
  c.require(integer_of(node, "transBatchA", 0) == 0 && integer_of(node, "transBatchB", 0) == 0,
            "a transposed batch", "none");
  const Dims a = transposed(c.dims(left), integer_of(node, "transA", 0) != 0);
  const Dims b = transposed(c.dims(right), integer_of(node, "transB", 0) != 0);
  return stacked_product(c, a, b, constants_of(c, left, right));
}

/// A product with weights that are packed, whose sizes are attributes.
Products packed_product(const Case& c) {
  const Dims& a = c.dims(0);
  const std::int64_t inner = integer_of(c.node, "K", 0), columns = integer_of(c.node, "N", 0);
  c.require(inner >= 1 && columns >= 1, fmt::format("K {} and N {}", inner, columns), "at least 1");
  return stacked_product(c, a, {inner, columns}, {false, true});
}

/// Einsum of two operands: a letter of both and the output is a group, of both alone summed over, of one
/// operand and the output a row or a column.
Products einsum(const Case& c) {
  const onnx::AttributeProto* attribute = attribute_of(c.node, "equation");
  std::string text;
  for (const char letter : attribute == nullptr ? std::string() : attribute->s()) {
    if (letter != ' ') text += letter;
  }
  // Without a result, it is the letters that stand once.
  if (text.find("->") == std::string::npos) {
    std::string once;
    for (char letter = 'A'; letter <= 'z'; ++letter) {
      if (std::count(text.begin(), text.end(), letter) == 1) once += letter;
    }
    text += "->" + once;
  }
  const std::size_t comma = text.find(','), arrow = text.find("->");
  c.require(c.inputs.size() == 2 && comma != std::string::npos && arrow != std::string::npos &&
                comma < arrow && text.find("...") == std::string::npos,
            fmt::format("the equation '{}'", text), "two operands and a result such as bij,bjk->bik");
  const std::string names[2] = {text.substr(0, comma), text.substr(comma + 1, arrow - comma - 1)};
  const std::string output = text.substr(arrow + 2);
  std::map<char, std::int64_t> sizes;
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    const Dims& dims = c.dims(i, names[i].size());
    for (std::size_t a = 0; a < dims.size(); ++a) {
      const auto [known, is_new] = sizes.emplace(names[i][a], dims[a]);
      c.require(is_new || known->second == dims[a], fmt::format("two sizes of {}", names[i][a]), "one");
    }
  }
  std::int64_t rows = 1, inner = 1, columns = 1, groups = 1;
  for (const auto& [letter, size] : sizes) {
    const bool in_a = names[0].find(letter) != std::string::npos,
               in_b = names[1].find(letter) != std::string::npos;
    const bool in_output = output.find(letter) != std::string::npos;
    std::int64_t& place = !in_output ? inner : in_a && in_b ? groups : in_a ? rows : columns;
    place = times(place, size, c);
  }
  const Constants constants = constants_of(c, 0, 1);
  if (constants.only_left()) std::swap(rows, columns);
  Dims shape;
  for (const char letter : output) {
    c.require(sizes.count(letter) > 0, fmt::format("{} in the result", letter), "a letter of an operand");
    shape.push_back(sizes.at(letter));
  }
  return {{matrix_product(c.name, rows, inner, columns, groups, constants.kind())}, shape, ""};
}

// Attention.

/// Sizes of an attention: `heads` of the queries over `kv_heads` of the keys and values.
struct AttentionSizes {
  std::int64_t batch = 1, heads = 1, kv_heads = 1, queries = 1, keys = 1, head = 1, value_head = 1;
};

/// Scores and context. Queries that share their keys (grouped queries) are rows of one product.
void add_attention(const Case& c, const AttentionSizes& s, std::vector<Layer>& layers) {
  c.require(s.heads >= 1 && s.kv_heads >= 1 && s.heads % s.kv_heads == 0,
            fmt::format("{} heads over {} of keys", s.heads, s.kv_heads), "a multiple");
  const std::int64_t groups = times(s.batch, s.kv_heads, c);
  const std::int64_t rows = times(s.queries, s.heads / s.kv_heads, c);
  layers.push_back(matrix_product(c.name + ".scores", rows, s.head, s.keys, groups, LayerKind::kActivations));
  layers.push_back(
      matrix_product(c.name + ".context", rows, s.keys, s.value_head, groups, LayerKind::kActivations));
}

std::int64_t heads_of(const Case& c, const char* attribute, std::int64_t otherwise = 0) {
  const std::int64_t heads = integer_of(c.node, attribute, otherwise);
  c.require(heads >= 1, fmt::format("{} {}", attribute, heads), "at least 1");
  return heads;
}

/// Keys that are there already: the second dimension from the end of [..., keys, head].
std::int64_t past_of(const Case& c, std::size_t at) {
  if (!c.has(at)) return 0;
  const Dims& past = c.dims(at);
  c.require(past.size() >= 3, fmt::format("past keys of [{}]", fmt::join(past, ", ")), "[..., keys, head]");
  return past[past.size() - 2];
}

/// com.microsoft's Attention and QAttention: the projection of queries, keys and values belongs to it.
Products projected_attention(const Case& c, std::size_t past_at) {
  const Dims &input = c.dims(0, 3), &weights = c.dims(1, 2);
  const std::int64_t heads = heads_of(c, "num_heads");
  Dims hidden = integers_of(c.node, "qkv_hidden_sizes");
  if (hidden.empty()) hidden.assign(3, weights[1] / 3);
  c.require(hidden.size() == 3 && hidden[0] % heads == 0 && hidden[2] % heads == 0,
            fmt::format("hidden sizes {} of {}", fmt::join(hidden, ", "), counted(heads, "head")),
            "three that the heads divide");
  Products products;
  const std::int64_t rows = times(input[0], input[1], c);
  products.layers.push_back(matrix_product(c.name + ".projection", rows, input[2], weights[1]));
  add_attention(c,
                {input[0], heads, heads, input[1], input[1] + past_of(c, past_at), hidden[0] / heads,
                 hidden[2] / heads},
                products.layers);
  products.output = Dims{input[0], input[1], hidden[2]};
  return products;
}

/// Queries, keys and values as [batch, tokens, heads * head] or [batch, heads, tokens, head]; past keys in
/// the latter form.
Products separate_attention(const Case& c, std::int64_t heads, std::int64_t kv_heads, std::size_t past_at) {
  const Dims& query = c.dims(0);
  c.require(query.size() == 3 || query.size() == 4, fmt::format("queries of [{}]", fmt::join(query, ", ")),
            "3 or 4 dimensions");
  AttentionSizes s;
  s.batch = query[0];
  const bool split = query.size() == 4;
  s.heads = split ? query[1] : heads;
  s.queries = split ? query[2] : query[1];
  c.require(s.heads >= 1, "no number of heads", "one");
  const bool packed = !c.has(1);
  if (packed) {
    // Queries, keys and values side by side.
    s.kv_heads = kv_heads;
    c.require(!split && query[2] % (heads + 2 * kv_heads) == 0, fmt::format("{} columns", query[2]),
              "a multiple of the heads");
    s.head = s.value_head = query[2] / (heads + 2 * kv_heads);
    s.keys = s.queries;
  } else {
    const Dims &key = c.dims(1), &value = c.dims(2);
    c.require((key.size() == 3 || key.size() == 4) && value.size() == key.size(),
              fmt::format("keys of [{}]", fmt::join(key, ", ")), "3 or 4 dimensions, as many as values");
    s.kv_heads = key.size() == 4 ? key[1] : kv_heads;
    c.require(s.kv_heads >= 1, "no number of heads of keys", "one");
    s.head = split ? query[3] : query[2] / s.heads;
    s.keys = key[key.size() - 2];
    s.value_head = value.size() == 4 ? value[3] : value[2] / s.kv_heads;
  }
  s.keys += past_of(c, past_at);
  Products products;
  add_attention(c, s, products.layers);
  products.output = split ? Dims{s.batch, s.heads, s.queries, s.value_head}
                          : Dims{s.batch, s.queries, times(s.heads, s.value_head, c)};
  return products;
}

// Recurrent networks.

/// X [steps, batch, inputs], W [directions, gates * hidden, inputs], R [directions, gates * hidden, hidden]:
/// the inputs of all steps at once, then a product a step.
Products recurrent(const Case& c) {
  Dims x = c.dims(0, 3);
  const Dims &w = c.dims(1, 3), &r = c.dims(2, 3);
  if (integer_of(c.node, "layout", 0) == 1) std::swap(x[0], x[1]);
  c.require(w[2] == x[2] && r[0] == w[0] && r[1] == w[1],
            fmt::format("weights of [{}] and [{}]", fmt::join(w, ", "), fmt::join(r, ", ")),
            "those of the input");
  Layer inputs = matrix_product(c.name + ".inputs", times(x[0], x[1], c), w[2], w[1], w[0]);
  Layer step = matrix_product(c.name + ".step", x[1], r[2], r[1], r[0]);
  step.count = x[0];
  Products products{{std::move(inputs), std::move(step)}, Dims{x[0], w[0], x[1], r[2]}, ""};
  if (integer_of(c.node, "layout", 0) == 1) products.output = Dims{x[1], x[0], w[0], r[2]};
  return products;
}

using Reader = Products (*)(const Case&);
const std::map<std::string, Reader>& readers() {
  static const std::map<std::string, Reader> all{
      {"Conv", [](const Case& c) { return convolution(c, 0, 1); }},
      {"FusedConv", [](const Case& c) { return convolution(c, 0, 1); }},
      {"ConvInteger", [](const Case& c) { return convolution(c, 0, 1); }},
      {"QLinearConv", [](const Case& c) { return convolution(c, 0, 3); }},
      {"ConvTranspose", [](const Case& c) { return transposed_convolution(c, 0, 1); }},
      {"Gemm", [](const Case& c) { return matmul(c, 0, 1); }},
      {"FusedGemm", [](const Case& c) { return matmul(c, 0, 1); }},
      {"QGemm", [](const Case& c) { return matmul(c, 0, 3); }},
      {"MatMul", [](const Case& c) { return matmul(c, 0, 1); }},
      {"FusedMatMul", [](const Case& c) { return matmul(c, 0, 1); }},
      {"MatMulInteger", [](const Case& c) { return matmul(c, 0, 1); }},
      {"MatMulIntegerToFloat", [](const Case& c) { return matmul(c, 0, 1); }},
      {"DynamicQuantizeMatMul", [](const Case& c) { return matmul(c, 0, 1); }},
      {"QLinearMatMul", [](const Case& c) { return matmul(c, 0, 3); }},
      {"MatMulNBits", packed_product},
      {"MatMulBnb4", packed_product},
      {"Einsum", einsum},
      {"LSTM", recurrent},
      {"GRU", recurrent},
      {"RNN", recurrent},
      {"QAttention", [](const Case& c) { return projected_attention(c, 8); }},
      {"Attention",
       [](const Case& c) {
         if (c.node.domain() == "com.microsoft") return projected_attention(c, 4);
         return separate_attention(c, integer_of(c.node, "q_num_heads", 0),
                                   integer_of(c.node, "kv_num_heads", 0), 4);
       }},
      {"MultiHeadAttention",
       [](const Case& c) {
         const std::int64_t heads = heads_of(c, "num_heads");
         return separate_attention(c, heads, heads, 6);
       }},
      {"GroupQueryAttention", [](const Case& c) {
         return separate_attention(c, heads_of(c, "num_heads"), heads_of(c, "kv_num_heads"), 3);
       }}};
  return all;
}

}  // namespace

std::optional<Products> products_of(const Node& node, const std::vector<Input>& inputs,
                                    const std::string& name, const std::string& where) {
  const std::string& domain = node.domain();
  const auto reader = readers().find(node.op_type());
  if ((!domain.empty() && domain != "ai.onnx" && domain != "com.microsoft") || reader == readers().end())
    return std::nullopt;
  if (node.op_type() == "Einsum" && inputs.size() == 1) return std::nullopt;  // sums and transposes
  return reader->second({node, inputs, name, where});
}

}  // namespace dosa::onnx_import
