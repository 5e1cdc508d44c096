#include "dosa/models/mapping.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "dosa/models/base/error.hpp"
#include "dosa/models/machine.hpp"

namespace dosa {
namespace {

/// a * b, or the largest integer where that overflows: no layer is that large.
std::int64_t saturating_product(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<std::int64_t>::max() : product;
}

std::int64_t product_over(const std::vector<Loop>& loops, Dim dim) {
  std::int64_t product = 1;
  for (const Loop& loop : loops) {
    if (loop.dim == dim) product = saturating_product(product, loop.factor);
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

/// "K8" or "C3X".
std::pair<Loop, bool> parse_loop(const std::string& word) {
  const auto dim = dim_from_name(word[0]);
  if (!dim) {
    fail(ErrorId::kMapping, "'{}' names an unknown dimension '{}'; allowed: R S P Q C K N", word, word[0]);
  }
  const bool spatial = word.size() > 1 && word.back() == 'X';
  const char* begin = word.data() + 1;
  const char* end = word.data() + word.size() - (spatial ? 1 : 0);
  std::int64_t factor = 0;
  const auto [stop, code] = std::from_chars(begin, end, factor);
  if (code != std::errc() || stop != end || begin == end || factor < 1 || factor > kMaxDim) {
    fail(ErrorId::kSyntax, "'{}' is not a loop such as K8 or C3X with a factor in 1..{}", word, kMaxDim);
  }
  return {{*dim, factor}, spatial};
}

void check_allowed(const std::vector<Loop>& loops, const std::array<bool, kDims>& allowed, const char* kind,
                   const std::string& label) {
  for (const Loop& loop : loops) {
    if (loop.factor == 1 || allowed[static_cast<std::size_t>(loop.dim)]) continue;
    std::string names;
    for (const Dim dim : all_dims()) {
      if (allowed[static_cast<std::size_t>(dim)]) names += name_of(dim);
    }
    fail(ErrorId::kMapping, "{} has a {} loop over {}; this machine allows there: {}", label, kind,
         name_of(loop.dim), names.empty() ? "none" : names);
  }
}

}  // namespace

std::int64_t Mapping::temporal(int level, Dim dim) const {
  return product_over(levels[static_cast<std::size_t>(level)].temporal, dim);
}

std::int64_t Mapping::spatial(int level, Dim dim) const {
  return product_over(levels[static_cast<std::size_t>(level)].spatial, dim);
}

std::int64_t Mapping::total(Dim dim) const {
  std::int64_t product = 1;
  for (const LevelNest& level : levels) {
    product = saturating_product(product, product_over(level.temporal, dim));
    product = saturating_product(product, product_over(level.spatial, dim));
  }
  return product;
}

std::vector<LabelledNest> parse_nests(const std::string& text) {
  std::vector<LabelledNest> nests;
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
    const auto [loop, spatial] = parse_loop(word);
    if (loop.factor == 1) continue;
    auto& [label, nest] = nests.back();
    auto& loops = spatial ? nest.spatial : nest.temporal;
    for (const Loop& other : loops) {
      if (other.dim == loop.dim) {
        fail(ErrorId::kMapping, "{} has two {} loops over {}; expected at most one", label,
             spatial ? "spatial" : "temporal", name_of(loop.dim));
      }
    }
    loops.push_back(loop);
  }
  if (separated) nests.push_back({"", {}});
  return nests;
}

Mapping parse_mapping(const std::string& text, const Machine& machine) {
  const std::vector<LabelledNest> nests = parse_nests(text);
  Mapping mapping;
  mapping.levels.resize(machine.levels.size());
  for (std::size_t i = 0; i < std::max(nests.size(), mapping.levels.size()); ++i) {
    const int level = machine.dram() - static_cast<int>(i);
    const std::string expected = level >= 0 ? machine.level_label(level) : "the end";
    if (i == nests.size() || nests[i].label.empty())
      fail(ErrorId::kMapping, "the mapping ends where level {} must stand", expected);
    if (nests[i].label != expected) {
      std::string labels;
      for (int l = machine.dram(); l >= 0; --l) labels += machine.level_label(l) + (l > 0 ? " - " : "");
      fail(ErrorId::kMapping, "found '{}' where level {} must stand; levels of {}: {} (outermost first)",
           nests[i].label, expected, machine.name, labels);
    }
    mapping.levels[static_cast<std::size_t>(level)] = nests[i].nest;
  }
  return mapping;
}

std::string print_mapping(const Mapping& mapping, const Machine& machine) {
  std::string text;
  for (int level = machine.dram(); level >= 0; --level) {
    const LevelNest& nest = mapping.levels[static_cast<std::size_t>(level)];
    text += machine.level_label(level);
    bool any = false;
    for (const Loop& loop : nest.temporal) {
      if (loop.factor == 1) continue;
      text += fmt::format(" {}{}", name_of(loop.dim), loop.factor);
      any = true;
    }
    if (!any) text += " N1";
    for (const Loop& loop : nest.spatial) {
      if (loop.factor != 1) text += fmt::format(" {}{}X", name_of(loop.dim), loop.factor);
    }
    if (level > 0) text += " - ";
  }
  return text;
}

void check_mapping(const Mapping& mapping, const Layer& layer, const Machine& machine) {
  if (mapping.levels.size() != machine.levels.size()) {
    fail(ErrorId::kMapping, "found {} levels, {} has {}", mapping.levels.size(), machine.name,
         machine.levels.size());
  }
  for (const Dim dim : all_dims()) {
    if (mapping.total(dim) != layer[dim]) {
      fail(ErrorId::kMapping, "the factors of {} multiply to {}, the layer has {} = {}", name_of(dim),
           mapping.total(dim), name_of(dim), layer[dim]);
    }
  }
  for (int level = 0; level < static_cast<int>(machine.levels.size()); ++level) {
    const LevelNest& nest = mapping.levels[static_cast<std::size_t>(level)];
    const MemoryLevel& memory = machine.levels[static_cast<std::size_t>(level)];
    check_allowed(nest.temporal, memory.temporal, "temporal", machine.level_label(level));
    check_allowed(nest.spatial, memory.spatial, "spatial", machine.level_label(level));
  }
}

}  // namespace dosa
