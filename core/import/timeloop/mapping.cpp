#include "dosa/core/import/timeloop/mapping.hpp"

#include <algorithm>

#include "dosa/core/import/timeloop/names.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa::timeloop {
namespace {

const std::vector<const char*> kTarget{"target", "name"};

/// Directives stand in a list, or in a list under "nodes" or "mapping".
std::vector<JsonInput> directives_of(const JsonInput& json) {
  if (json.is_array()) return json.items();
  json.allow_only({"version", "nodes", "mapping"});
  check_version(json.find("version"));
  const auto nodes = json.find("nodes");
  return (nodes ? *nodes : json.at("mapping")).items();
}

bool is_bypass(const std::string& type) {
  return type == "bypass" || type == "datatype" || type == "dataspace";
}

OperandSet kept_of(const JsonInput& directive, const Shape& shape) {
  OperandSet kept{};
  kept.fill(true);
  if (const auto bypass = directive.find("bypass")) {
    const OperandSet passing = shape.tensors_of(*bypass);
    for (std::size_t o = 0; o < kept.size(); ++o) kept[o] = !passing[o];
  }
  if (const auto keep = directive.find("keep")) {
    const OperandSet keeping = shape.tensors_of(*keep);
    for (std::size_t o = 0; o < kept.size(); ++o) {
      if (keeping[o] && !kept[o]) {
        fail(ErrorId::kValue, "{}: found {} in keep and in bypass, expected it in one", directive.where(),
             shape.tensors[o]);
      }
    }
  }
  return kept;
}

/// The loops of one directive, outermost first.
struct Loops {
  std::vector<Loop> first, rest;  ///< those before the split and those after it
  DimSizes last{};                ///< the last run of a loop, where it is shorter
};

Loops loops_of(const JsonInput& directive, const Shape& shape, const std::optional<Layer>& layer,
               std::int64_t split) {
  std::array<std::int64_t, kDims> factors;
  factors.fill(1);
  Loops nest;
  const auto given = directive.find("factors");
  for (const Factor& factor : given ? factors_of(*given) : std::vector<Factor>{}) {
    const Dim dim = shape.dim(factor.name, given->where());
    if (factor.relation[0] != '=')
      fail(ErrorId::kValue, "{}: found {}{}{}, expected a factor such as {}=4", given->where(), factor.name,
           factor.relation, factor.value, factor.name);
    std::int64_t value = factor.value;
    if (value == 0) {
      if (!layer) {
        fail(ErrorId::kValue, "{}: found {}=0, all of a dimension, of a problem that is not among the files",
             given->where(), factor.name);
      }
      value = (*layer)[dim];
    }
    if (value > kMaxDim)
      fail(ErrorId::kValue, "{}: found {}={}, expected at most {}", given->where(), factor.name, value,
           kMaxDim);
    factors[static_cast<std::size_t>(dim)] = value;
    nest.last[static_cast<std::size_t>(dim)] = factor.last;
  }
  std::vector<Dim> order;
  if (const auto permutation = directive.find("permutation")) {
    for (const std::string& name : permutation_of(*permutation)) {
      order.push_back(shape.dim(name, permutation->where()));
      if (std::count(order.begin(), order.end(), order.back()) > 1)
        fail(ErrorId::kValue, "{}: found {} twice", permutation->where(), name);
    }
  }
  std::size_t placed = 0, loops = 0;
  for (const Dim dim : all_dims()) {
    const bool loop = factors[static_cast<std::size_t>(dim)] > 1;
    loops += loop;
    placed += loop && std::find(order.begin(), order.end(), dim) != order.end();
  }
  if (placed < loops && loops > 1) {
    fail(ErrorId::kValue, "{}: found {} loops and a permutation of {} of them, expected the place of each",
         directive.where(), loops, placed);
  }
  for (const auto& [name, dim] : shape.dims) {  // as Timeloop fills up a permutation
    if (std::find(order.begin(), order.end(), dim) == order.end()) order.push_back(dim);
  }
  for (std::size_t place = order.size(); place-- > 0;) {
    const std::int64_t factor = factors[static_cast<std::size_t>(order[place])];
    if (factor > 1)
      (static_cast<std::int64_t>(place) < split ? nest.first : nest.rest).push_back({order[place], factor});
  }
  return nest;
}

/// Whether a level is named, by its place from the innermost or by a name; its fan-out also by that of the
/// container which an export writes for it.
bool is_level(const JsonInput& target, const MappedLevel& level, std::size_t place, bool spatial) {
  if (target.is_number()) return target.integer(0, 1 << 20) == static_cast<std::int64_t>(place);
  const std::string name = target.text();
  return name == level.name || name == level.exported ||
         (spatial && (name == children_name(level.name) || name == children_name(level.exported)));
}

/// The size to which a dimension is cut by last runs that are shorter, by level; 0 where none is.
std::int64_t cut_size(const Mapping& mapping, const std::vector<DimSizes>& last_in_time,
                      const std::vector<DimSizes>& last_in_space, Dim dim) {
  const auto d = static_cast<std::size_t>(dim);
  std::int64_t size = 1;
  bool is_cut = false;
  for (std::size_t l = mapping.levels.size(); l-- > 0;) {
    const auto level = static_cast<int>(l);
    for (const auto& [factor, last] : {std::pair{mapping.temporal(level, dim), last_in_time[l][d]},
                                       std::pair{mapping.spatial(level, dim), last_in_space[l][d]}}) {
      is_cut = is_cut || last != 0;
      size = std::min((std::min(size, kMaxDim) - 1) * std::min(factor, kMaxDim), kMaxDim) +
             (last != 0 ? last : factor);
    }
  }
  return is_cut ? size : 0;
}

void check_keys(const JsonInput& directive, bool spatial) {
  for (const auto& [key, member] : directive.entries()) {
    const std::string own = key_of(key);
    if (own == "type" || own == "target" || own == "name" || own == "factors" || own == "permutation" ||
        (spatial && (own == "split" || own == "no_link_transfer")))
      continue;
    if (!lists_unreused(own, member)) {
      fail(ErrorId::kSchema, "{}: unknown key; allowed: type, target, factors, permutation{}", member.where(),
           spatial ? ", split, no_link_transfer" : "");
    }
  }
}

}  // namespace

std::vector<MappedLevel> levels_of(const Machine& machine) {
  std::vector<MappedLevel> levels;
  const auto add = [&](const auto& any) {
    for (const auto& level : any.levels) levels.push_back({level.name, "", level.holds});
  };
  if (const auto* chain = dynamic_cast<const Chain*>(&machine)) {
    add(*chain);
  } else if (const auto* array = dynamic_cast<const ArrayMachine*>(&machine)) {
    add(*array);
  } else {
    fail(ErrorId::kValue, "machine {}: has no levels to map onto", machine.name);
  }
  std::vector<std::string> names;
  for (const MappedLevel& level : levels) names.push_back(level.name);
  const std::vector<std::string> exported = exported_names(names);
  for (std::size_t l = 0; l < levels.size(); ++l) levels[l].exported = exported[l];
  return levels;
}

std::vector<std::pair<std::string, OperandSet>> kept_by(const JsonInput& directives, const Shape& shape) {
  std::vector<std::pair<std::string, OperandSet>> kept;
  for (const JsonInput& directive : directives_of(directives)) {
    if (is_bypass(directive.at("type").text()))
      kept.emplace_back(word_of(at_any(directive, kTarget)), kept_of(directive, shape));
  }
  return kept;
}

Mapping mapping_of(const JsonInput& directives, const std::vector<MappedLevel>& levels, const Shape& shape,
                   const std::optional<Layer>& layer, std::vector<std::string>& remarks) {
  Mapping mapping;
  mapping.levels.resize(levels.size());
  struct Seen {
    bool temporal = false, spatial = false, bypass = false;
  };
  std::vector<Seen> seen(levels.size());
  std::vector<DimSizes> last_in_time(levels.size()), last_in_space(levels.size());
  bool passes_on = false;
  for (const JsonInput& directive : directives_of(directives)) {
    const JsonInput target = at_any(directive, kTarget);
    const JsonInput type = directive.at("type");
    const std::string kind = type.text();
    std::size_t place = 0;
    while (place < levels.size() && !is_level(target, levels[place], place, kind == "spatial")) ++place;
    if (place == levels.size()) {
      std::vector<std::string> names;
      for (const MappedLevel& level : levels) names.push_back(level.name);
      fail(ErrorId::kMapping, "{}: found {}, expected one of {}", target.where(), shown(target),
           fmt::join(names, ", "));
    }
    bool* once = is_bypass(kind)     ? &seen[place].bypass
                 : kind == "spatial" ? &seen[place].spatial
                                     : &seen[place].temporal;
    if (*once)
      fail(ErrorId::kMapping, "{}: found a second directive of this type for {}", directive.where(),
           levels[place].name);
    *once = true;
    LevelNest& nest = mapping.levels[place];
    if (kind == "temporal") {
      check_keys(directive, false);
      Loops loops = loops_of(directive, shape, layer, kDims);
      nest.temporal = std::move(loops.first);
      last_in_time[place] = loops.last;
    } else if (kind == "spatial") {
      check_keys(directive, true);
      const auto split = directive.find("split");
      Loops loops = loops_of(directive, shape, layer, split ? integer_of(*split, {}, 0, kMaxDim) : kDims);
      nest.spatial = std::move(loops.first);
      nest.spatial_y = std::move(loops.rest);
      last_in_space[place] = loops.last;
      const auto none = directive.find("no_link_transfer");
      const bool has_loops = !nest.spatial.empty() || !nest.spatial_y.empty();
      passes_on =
          passes_on || (has_loops && !(none && letters_of(shape.tensors_of(*none)).size() == kOperands));
    } else if (is_bypass(kind)) {
      for (const auto& [key, member] : directive.entries()) {
        if (key != "type" && key != "target" && key != "name" && key != "keep" && key != "bypass")
          fail(ErrorId::kSchema, "{}: unknown key; allowed: type, target, keep, bypass", member.where());
      }
      const OperandSet kept = kept_of(directive, shape);
      if (kept != levels[place].holds) {
        fail(ErrorId::kMapping, "{}: found {} kept at {}, expected {}: what a level holds is the machine's",
             directive.where(), letters_of(kept), levels[place].name, letters_of(levels[place].holds));
      }
    } else {
      fail(ErrorId::kValue, "{}: found {}, expected temporal, spatial or bypass", type.where(), shown(type));
    }
  }
  for (std::size_t l = 0; l < levels.size(); ++l) {
    if (!seen[l].bypass && letters_of(levels[l].holds).size() != kOperands) {
      fail(ErrorId::kMapping,
           "{}: found no bypass at {}, so that it keeps WIO; expected {}: what a level holds "
           "is the machine's",
           directives.where(), levels[l].name, letters_of(levels[l].holds));
    }
  }
  for (const Dim dim : all_dims())
    mapping.cut_to[static_cast<std::size_t>(dim)] = cut_size(mapping, last_in_time, last_in_space, dim);
  if (passes_on) {
    remarks.push_back(
        fmt::format("{}: link transfers are not counted: as with no_link_transfer: [{}] in every spatial "
                    "directive",
                    directives.where(), fmt::join(shape.tensors, ", ")));
  }
  return mapping;
}

}  // namespace dosa::timeloop
