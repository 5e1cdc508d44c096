#include "dosa/models/mapping.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "dosa/models/array_machine.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/math.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa {
namespace {

std::int64_t product_over(const std::vector<Loop>& loops, Dim dim) {
  std::int64_t product = 1;
  for (const Loop& loop : loops) {
    if (loop.dim == dim) product = saturating_product({product, loop.factor});
  }
  return product;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::size_t start = 0;
  while ((start = text.find_first_not_of(" \t", start)) != std::string::npos) {
    const std::size_t end = std::min(text.find_first_of(" \t", start), text.size());
    words.push_back(text.substr(start, end - start));
    start = end;
  }
  return words;
}

/// "K8", "C3X", "C3Y" or one of these with the size that it is padded from, "K8/61", "C3/5X", or with what
/// its last run is cut to, "K8,5", "C3,2X".
struct ParsedLoop {
  Loop loop;
  std::vector<Loop> LevelNest::*kind;
  std::int64_t padded_from;  ///< 0: nothing said
  std::int64_t last;         ///< iterations of the last run; 0: nothing said
};

ParsedLoop parse_loop(const std::string& word) {
  const auto dim = dim_from_name(word[0]);
  if (!dim) {
    fail(ErrorId::kMapping, "'{}' names an unknown dimension '{}'; allowed: R S P Q C K N", word, word[0]);
  }
  std::vector<Loop> LevelNest::*kind = &LevelNest::temporal;
  if (word.size() > 1 && word.back() == 'X') kind = &LevelNest::spatial;
  if (word.size() > 1 && word.back() == 'Y') kind = &LevelNest::spatial_y;
  const char* begin = word.data() + 1;
  const char* end = word.data() + word.size() - (kind == &LevelNest::temporal ? 0 : 1);
  const auto number = [&](const char* from, const char* to) {
    std::int64_t value = 0;
    const auto [stop, code] = std::from_chars(from, to, value);
    if (code != std::errc() || stop != to || from == to || value < 1 || value > kMaxDim) {
      fail(ErrorId::kSyntax, "'{}' is not a loop such as K8, C3X, K8/61 or K8,5 with numbers in 1..{}", word,
           kMaxDim);
    }
    return value;
  };
  const char* mark = std::find_if(begin, end, [](char c) { return c == '/' || c == ','; });
  ParsedLoop parsed{{*dim, number(begin, mark)}, kind, 0, 0};
  if (mark != end) (*mark == '/' ? parsed.padded_from : parsed.last) = number(mark + 1, end);
  if (parsed.last > parsed.loop.factor)
    fail(ErrorId::kMapping, "'{}': the last run has more iterations than the others", word);
  return parsed;
}

void check_allowed(const std::vector<Loop>& loops, const DimSet& allowed, const char* kind,
                   const std::string& label) {
  for (const Loop& loop : loops) {
    if (loop.factor == 1 || allowed[static_cast<std::size_t>(loop.dim)]) continue;
    const std::string names = letters_of(allowed);
    fail(ErrorId::kMapping, "{} has a {} loop over {}; this machine allows there: {}", label, kind,
         name_of(loop.dim), names.empty() ? "none" : names);
  }
}

void check_order(const std::vector<Loop>& loops, const ChainLevel& level, const std::string& label) {
  std::vector<Dim> inside;  // the innermost first
  std::string found;
  for (auto loop = loops.rbegin(); loop != loops.rend(); ++loop) {
    if (loop->factor == 1) continue;
    inside.push_back(loop->dim);
    found += name_of(loop->dim);
  }
  if (level.allows_order(inside)) return;
  std::vector<std::string> allowed;
  for (const LoopRule& rule : level.orders) allowed.push_back(rule.text());
  fail(ErrorId::kMapping, "{} has loops in the order {}, the innermost first; this machine allows there: {}",
       label, found, fmt::join(allowed, ", "));
}

/// The labels of all levels, innermost first.
template <typename Any>
std::vector<std::string> labels_of(const Any& machine) {
  std::vector<std::string> labels;
  for (int level = 0; level <= machine.dram(); ++level) labels.push_back(machine.level_label(level));
  return labels;
}

Mapping parse_levels(const std::string& text, const std::vector<std::string>& labels,
                     const std::string& machine) {
  const auto [nests, padded_from, cut_to] = parse_nests(text);
  Mapping mapping;
  mapping.padded_from = padded_from;
  mapping.cut_to = cut_to;
  mapping.levels.resize(labels.size());
  for (std::size_t i = 0; i < std::max(nests.size(), labels.size()); ++i) {
    const bool expects = i < labels.size();
    const std::string expected = expects ? labels[labels.size() - 1 - i] : "the end";
    if (i == nests.size() || nests[i].label.empty())
      fail(ErrorId::kMapping, "the mapping ends where level {} must stand", expected);
    if (nests[i].label != expected) {
      const std::vector<std::string> outermost_first(labels.rbegin(), labels.rend());
      fail(ErrorId::kMapping, "found '{}' where level {} must stand; levels of {}: {} (outermost first)",
           nests[i].label, expected, machine, fmt::join(outermost_first, " - "));
    }
    mapping.levels[labels.size() - 1 - i] = nests[i].nest;
  }
  return mapping;
}

std::string print_levels(const Mapping& mapping, const std::vector<std::string>& labels) {
  std::string text;
  DimSizes padded_from = mapping.padded_from;
  for (std::size_t level = labels.size(); level-- > 0;) {
    const LevelNest& nest = mapping.levels[level];
    const auto print = [&](const Loop& loop, const char* axis) {
      if (loop.factor == 1) return false;
      std::int64_t& from = padded_from[static_cast<std::size_t>(loop.dim)];
      const std::int64_t last = mapping.last_run(static_cast<int>(level), *axis != 0, loop.dim);
      text += fmt::format(" {}{}", name_of(loop.dim), loop.factor);
      if (from > 0) text += fmt::format("/{}", from);
      if (last < loop.factor) text += fmt::format(",{}", last);
      text += axis;
      from = 0;  // said once, at the outermost loop
      return true;
    };
    text += labels[level];
    bool any = false;
    for (const Loop& loop : nest.temporal) any = print(loop, "") || any;
    if (!any) text += " N1";
    for (const Loop& loop : nest.spatial_y) print(loop, "Y");
    for (const Loop& loop : nest.spatial) print(loop, "X");
    if (level > 0) text += " - ";
  }
  return text;
}

/// Throws Error{kMapping} unless there is a nest for every level and the factors multiply to the layer's
/// sizes.
void check_sizes(const Mapping& mapping, const Layer& layer, std::size_t levels, const std::string& machine) {
  if (mapping.levels.size() != levels) {
    fail(ErrorId::kMapping, "found {} levels, {} has {}", mapping.levels.size(), machine, levels);
  }
  std::int64_t macs = 1;
  for (const Dim dim : all_dims()) {
    const std::int64_t total = mapping.total(dim), size = layer[dim];
    const std::int64_t cut_to = mapping.cut_to[static_cast<std::size_t>(dim)];
    const std::int64_t declared = std::max(mapping.padded_from[static_cast<std::size_t>(dim)], cut_to);
    macs = saturating_product({macs, cut_to != 0 ? cut_to : total});
    if (declared != 0 && declared != size) {
      fail(ErrorId::kMapping, "{} is {} {}, the layer has {} = {}", name_of(dim),
           cut_to != 0 ? "cut to" : "padded from", declared, name_of(dim), size);
    }
    if (cut_to != 0 && mapping.has_window_in_space(dim)) {
      fail(ErrorId::kMapping,
           "{} is cut, and its window is spread in space along both of its dimensions at one level; there it "
           "can only be padded: {}/{}",
           name_of(dim), name_of(dim), size);
    }
    if (total == size && declared == 0) continue;
    if (total > size && declared == size) continue;
    fail(ErrorId::kMapping, "the factors of {} multiply to {}, the layer has {} = {}{}", name_of(dim), total,
         name_of(dim), size,
         total <= size ? ""
                       : fmt::format("; to pad it, write /{} behind the factor of its outermost loop; to cut "
                                     "a loop, write what is left of it at the end, as in K8,5",
                                     size));
  }
  if (macs > kMaxMacs) fail(ErrorId::kMapping, "the padded layer has more than 2^62 MACs");
}

}  // namespace

const char* name_of(Remainders remainders) { return remainders == Remainders::kCut ? "cut" : "padded"; }

std::optional<Remainders> remainders_from_name(const std::string& name) {
  for (const Remainders remainders : {Remainders::kPadded, Remainders::kCut}) {
    if (name == name_of(remainders)) return remainders;
  }
  return std::nullopt;
}

std::int64_t Mapping::temporal(int level, Dim dim) const {
  return product_over(levels[static_cast<std::size_t>(level)].temporal, dim);
}

std::int64_t Mapping::spatial(int level, Dim dim) const {
  const LevelNest& nest = levels[static_cast<std::size_t>(level)];
  return saturating_product({product_over(nest.spatial, dim), product_over(nest.spatial_y, dim)});
}

std::int64_t Mapping::last_run(int level, bool in_space, Dim dim) const {
  const std::int64_t factor = in_space ? spatial(level, dim) : temporal(level, dim);
  const std::int64_t size = cut_to[static_cast<std::size_t>(dim)];
  if (size == 0) return factor;
  std::int64_t inside = in_space ? 1 : spatial(level, dim);
  for (int inner = 0; inner < level; ++inner)
    inside = saturating_product({inside, temporal(inner, dim), spatial(inner, dim)});
  return (size - 1) / inside % factor + 1;
}

std::int64_t Mapping::total(Dim dim) const {
  std::int64_t product = 1;
  for (const LevelNest& level : levels) {
    product = saturating_product({product, product_over(level.temporal, dim)});
    product = saturating_product({product, product_over(level.spatial, dim)});
    product = saturating_product({product, product_over(level.spatial_y, dim)});
  }
  return product;
}

void Mapping::set_remainders(const Layer& layer, Remainders remainders) {
  padded_from = cut_to = {};
  for (const Dim dim : all_dims()) {
    const auto d = static_cast<std::size_t>(dim);
    if (remainders == Remainders::kPadded || has_window_in_space(dim)) {
      padded_from[d] = total(dim) > layer[dim] ? layer[dim] : 0;
      continue;
    }
    std::int64_t left = layer[dim];
    const auto shorten = [&](std::vector<Loop>& loops) {
      for (Loop& loop : loops) {
        if (loop.dim != dim) continue;
        loop.factor = std::min(loop.factor, left);
        left = ceil_div(left, loop.factor);
      }
      const auto is_gone = [&](const Loop& loop) { return loop.dim == dim && loop.factor == 1; };
      loops.erase(std::remove_if(loops.begin(), loops.end(), is_gone), loops.end());
    };
    for (LevelNest& level : levels) {
      shorten(level.spatial);
      shorten(level.spatial_y);
      shorten(level.temporal);
    }
    cut_to[d] = total(dim) > layer[dim] ? layer[dim] : 0;
  }
}

bool Mapping::has_window_in_space(Dim dim) const {
  for (const auto& [outputs, filter] : {std::pair{Dim::P, Dim::R}, std::pair{Dim::Q, Dim::S}}) {
    if (dim != outputs && dim != filter) continue;
    for (int level = 0; level < static_cast<int>(levels.size()); ++level) {
      if (spatial(level, outputs) > 1 && spatial(level, filter) > 1) return true;
    }
  }
  return false;
}

Layer Mapping::padded(Layer layer) const {
  for (const Dim dim : all_dims()) {
    if (padded_from[static_cast<std::size_t>(dim)] != 0) layer[dim] = total(dim);
  }
  return layer;
}

LabelledNests parse_nests(const std::string& text) {
  LabelledNests parsed;
  std::vector<LabelledNest>& nests = parsed.nests;
  DimSet met{}, cut{};
  DimSizes size;  // of a dimension, if its loops are cut
  size.fill(1);
  bool separated = true;  // a label must follow
  for (const std::string& word : words_of(text)) {
    if (separated) {
      nests.push_back({word, {}});
      separated = false;
      continue;
    }
    if (word == "-") {
      separated = true;
      continue;
    }
    const auto [loop, kind, padded_from, last] = parse_loop(word);
    const auto dim = static_cast<std::size_t>(loop.dim);
    if (padded_from != 0) {
      if (met[dim] || loop.factor == 1) {
        fail(ErrorId::kMapping,
             "'{}': what a dimension is padded from stands at its outermost loop of more than one iteration",
             word);
      }
      parsed.padded_from[dim] = padded_from;
    }
    if (last != 0 && last < loop.factor) {
      if (!met[dim]) {
        fail(ErrorId::kMapping, "'{}': the outermost loop over {} is never cut; expected {}{}", word,
             name_of(loop.dim), name_of(loop.dim), last);
      }
      cut[dim] = true;
    }
    if (loop.factor == 1) continue;
    met[dim] = true;
    size[dim] = saturating_product({size[dim] - 1, loop.factor});
    size[dim] = std::min(size[dim], kMaxDim) + (last != 0 ? last : loop.factor);
    auto& [label, nest] = nests.back();
    auto& loops = nest.*kind;
    for (const Loop& other : loops) {
      if (other.dim == loop.dim) {
        fail(ErrorId::kMapping, "{} has two {} loops over {}{}; expected at most one", label,
             kind == &LevelNest::temporal ? "temporal" : "spatial", name_of(loop.dim),
             kind == &LevelNest::spatial_y ? " on Y" : "");
      }
    }
    loops.push_back(loop);
  }
  if (separated) nests.push_back({"", {}});
  for (const Dim dim : all_dims()) {
    const auto d = static_cast<std::size_t>(dim);
    if (!cut[d]) continue;
    if (parsed.padded_from[d] != 0)
      fail(ErrorId::kMapping, "{} is padded and cut; expected one of them", name_of(dim));
    parsed.cut_to[d] = size[d];
  }
  return parsed;
}

Mapping parse_mapping(const std::string& text, const ArrayMachine& machine) {
  return parse_levels(text, labels_of(machine), machine.name);
}

Mapping parse_mapping(const std::string& text, const Chain& chain) {
  return parse_levels(text, labels_of(chain), chain.name);
}

std::string print_mapping(const Mapping& mapping, const ArrayMachine& machine) {
  return print_levels(mapping, labels_of(machine));
}

std::string print_mapping(const Mapping& mapping, const Chain& chain) {
  return print_levels(mapping, labels_of(chain));
}

void check_mapping(const Mapping& mapping, const Layer& layer, const ArrayMachine& machine) {
  check_sizes(mapping, layer, machine.levels.size(), machine.name);
  for (int level = 0; level < static_cast<int>(machine.levels.size()); ++level) {
    const LevelNest& nest = mapping.levels[static_cast<std::size_t>(level)];
    const MemoryLevel& memory = machine.levels[static_cast<std::size_t>(level)];
    check_allowed(nest.temporal, memory.temporal, "temporal", machine.level_label(level));
    check_allowed(nest.spatial, memory.spatial, "spatial", machine.level_label(level));
    check_allowed(nest.spatial_y, {}, "spatial Y", machine.level_label(level));
  }
}

void check_mapping(const Mapping& mapping, const Layer& layer, const Chain& chain) {
  check_sizes(mapping, layer, chain.levels.size(), chain.name);
  for (int level = 0; level <= chain.dram(); ++level) {
    const LevelNest& nest = mapping.levels[static_cast<std::size_t>(level)];
    const ChainLevel& memory = chain.levels[static_cast<std::size_t>(level)];
    const std::string label = chain.level_label(level);
    check_allowed(nest.temporal, memory.temporal, "temporal", label);
    check_order(nest.temporal, memory, label);
    for (const MeshAxis axis : mesh_axes()) {
      const std::vector<Loop>& loops = axis == MeshAxis::X ? nest.spatial : nest.spatial_y;
      const FanOut& fan_out = memory.fan_out_on(axis);
      check_allowed(loops, fan_out.dims, axis == MeshAxis::X ? "spatial X" : "spatial Y", label);
      std::int64_t needed = 1;
      for (const Loop& loop : loops) needed = saturating_product({needed, loop.factor});
      if (needed > fan_out.size) {
        fail(ErrorId::kCapacity, "{} {}: needs a fan-out of {} on {}, has {}", label, memory.name, needed,
             name_of(axis), fan_out.size);
      }
    }
  }
}

}  // namespace dosa
