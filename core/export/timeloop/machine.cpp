#include "dosa/core/export/timeloop/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "dosa/core/export/timeloop/yaml.hpp"
#include "dosa/core/import/timeloop/names.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/chain/nest_model.hpp"

namespace dosa::timeloop {
namespace {

/// Timeloop reads the words of a memory as a 32-bit number.
constexpr std::int64_t kMostEntries = 0xffffffff;
/// Areas of Timeloop are um^2, ours mm^2.
constexpr double kUm2PerMm2 = 1e6;

std::int64_t whole(double value) { return static_cast<std::int64_t>(std::llround(value)); }

bool on_both_axes(const LevelNest& nest) {
  return std::any_of(nest.spatial.begin(), nest.spatial.end(), [&](const Loop& x) {
    return std::any_of(nest.spatial_y.begin(), nest.spatial_y.end(),
                       [&](const Loop& y) { return x.dim == y.dim; });
  });
}

/// The machine's area, by components: [level] mm^2 of one instance, and last that of a multiplier. What
/// belongs to none stands at the outermost level, of which there is one. Empty where the machine has none.
std::vector<double> areas_of(const Chain& chain) {
  if (chain.area.levels.empty()) return {};
  std::vector<double> areas;
  for (std::size_t l = 0; l < chain.levels.size(); ++l) {
    const ChainLevel& level = chain.levels[l];
    const double kib = static_cast<double>(level.built_words) * level.word_bits / 8 / 1024;
    areas.push_back(chain.area.levels[l].per_instance + chain.area.levels[l].per_kib * kib);
  }
  areas.back() += chain.area.base;
  areas.push_back(chain.area.per_mac);
  return areas;
}

Json energy_table(const std::string& name, std::initializer_list<const char*> actions, double energy) {
  Json list = Json::array();
  for (const char* action : actions)
    list.push_back({{"name", action}, {"arguments", Json::object()}, {"energy", energy}});
  return {{"name", name}, {"actions", std::move(list)}};
}

/// What both formats call alike.
Json bandwidths_of(const ChainLevel& level) {
  Json attributes = Json::object();
  if (level.read_words_per_cycle) attributes["read_bandwidth"] = *level.read_words_per_cycle;
  if (level.write_words_per_cycle) attributes["write_bandwidth"] = *level.write_words_per_cycle;
  if (level.words_per_cycle) attributes["shared_bandwidth"] = *level.words_per_cycle;
  return attributes;
}

const char* class_of(const DescribedMachine& machine, std::size_t level) {
  return level + 1 == machine.chain.levels.size() ? "DRAM" : "SRAM";
}

/// Factors of 1 of the dimensions that have no loop at a place: "R=1 S=1".
std::vector<std::string> excluded(const DimSet& allowed) {
  std::vector<std::string> factors;
  for (const Dim dim : all_dims()) {
    if (!allowed[static_cast<std::size_t>(dim)]) factors.push_back(fmt::format("{}=1", name_of(dim)));
  }
  return factors;
}

/// What a level's loops in time are bound to, as the entries of a constraint: factors of 1, and the order
/// where there is one to write, each a text or a list as the format has it. Empty: nothing.
Json loops_of(const ChainLevel& level, Format format) {
  Json loops = Json::object();
  const bool tree = format == Format::kTree;
  if (const std::vector<std::string> factors = excluded(level.temporal); !factors.empty())
    loops["factors"] = tree ? Json(fmt::format("{}", fmt::join(factors, " "))) : Json(factors);
  if (level.orders.size() == 1 && !is_loosely_ordered(level)) {
    const std::string order = level.orders[0].text();
    loops["permutation"] = order;
    if (!tree) {
      loops["permutation"] = Json::array();
      for (const char dim : order) loops["permutation"].push_back(std::string(1, dim));
    }
  }
  return loops;
}

Json bypass_of(const ChainLevel& level) {
  Json bypass{{"keep", Json::array()}, {"bypass", Json::array()}};
  for (std::size_t o = 0; o < kOperands; ++o)
    bypass[level.holds[o] ? "keep" : "bypass"].push_back(kDataSpaces[o]);
  return bypass;
}

/// Version 0.3: trees from the outermost inwards, a new one where the level above fans out.
Json tree_of(const DescribedMachine& machine) {
  const Chain& chain = machine.chain;
  const std::vector<double> areas = areas_of(chain);
  std::int64_t columns = 1, rows = 1;
  std::vector<Json> trees{{{"name", "System"}, {"local", Json::array()}}};
  std::string path = "System.";
  Json areas_of_parts = Json::array();
  const auto fan_out = [&](std::size_t l) {
    const std::int64_t children = chain.levels[l].children();
    if (children == 1) return;
    columns *= machine.children(l, MeshAxis::X);
    rows *= machine.children(l, MeshAxis::Y);
    const std::string name = l == 0 ? std::string("Multiplier") : machine.names[l - 1] + "s";
    trees.push_back({{"name", fmt::format("{}[0..{}]", name, children - 1)}, {"local", Json::array()}});
    path += trees.back()["name"].get<std::string>() + ".";
  };
  for (std::size_t l = chain.levels.size(); l-- > 0;) {
    const ChainLevel& level = chain.levels[l];
    Json attributes;
    if (l + 1 < chain.levels.size()) attributes["entries"] = machine.entries[l];
    if (level.buffering > 1) attributes["multiple-buffering"] = level.buffering;
    attributes["instances"] = columns * rows;
    attributes["meshX"] = columns;
    attributes["word-bits"] = level.word_bits;
    attributes["block-size"] = whole(level.vector_words);
    attributes.update(bandwidths_of(level));
    attributes["vector-access-energy"] = level.vector_pj;
    trees.back()["local"].push_back(
        {{"name", machine.names[l]}, {"class", class_of(machine, l)}, {"attributes", std::move(attributes)}});
    if (!areas.empty())
      areas_of_parts.push_back({{"name", path + machine.names[l]}, {"area", areas[l] * kUm2PerMm2}});
    fan_out(l);
  }
  trees.back()["local"].push_back(
      {{"name", kMac},
       {"class", "intmac"},
       {"attributes", {{"instances", columns * rows}, {"meshX", columns}, {"word-bits", 8}}}});
  if (!areas.empty()) areas_of_parts.push_back({{"name", path + kMac}, {"area", areas.back() * kUm2PerMm2}});
  for (std::size_t t = trees.size(); t-- > 1;) trees[t - 1]["subtree"] = Json::array({trees[t]});
  // Timeloop compares the versions' text. The attribute "energy" of a MAC is whole picojoules; only the table
  // of energies takes fractions.
  Json file{{"architecture", {{"version", "0.3"}, {"subtree", Json::array({trees.front()})}}},
            {"ERT",
             {{"version", "0.2"},
              {"tables", {{path + kMac, {{"mac_random", {{"energy", chain.mac_energy_pj}}}}}}}}}};
  if (!areas.empty()) file["ART"] = {{"version", "0.3"}, {"tables", std::move(areas_of_parts)}};
  return file;
}

/// Version 0.4: a row of nodes, a container where the level above fans out.
Json nodes_of(const DescribedMachine& machine) {
  const Chain& chain = machine.chain;
  const std::vector<double> areas = areas_of(chain);
  Json nodes = Json::array(), energies = Json::array(), areas_of_parts = Json::array();
  std::int64_t instances = 1;
  const auto add_tables = [&](const std::string& name, std::initializer_list<const char*> actions,
                              double energy, std::size_t part) {
    const std::string all = fmt::format("{}[1..{}]", name, instances);
    energies.push_back(energy_table(all, actions, energy));
    areas_of_parts.push_back({{"name", all}, {"area", areas.empty() ? 0 : areas[part] * kUm2PerMm2}});
  };
  for (std::size_t l = chain.levels.size(); l-- > 0;) {
    const ChainLevel& level = chain.levels[l];
    Json attributes;
    if (l + 1 < chain.levels.size()) attributes["entries"] = machine.entries[l];
    if (level.buffering > 1) attributes["multiple_buffering"] = level.buffering;
    attributes["datawidth"] = level.word_bits;
    attributes["block_size"] = whole(level.vector_words);
    attributes["width"] = whole(level.vector_words) * level.word_bits;
    attributes.update(bandwidths_of(level));
    Json constraints{{"dataspace", bypass_of(level)}};
    if (Json loops = loops_of(level, Format::kNodes); !loops.empty())
      constraints["temporal"] = std::move(loops);
    nodes.push_back({{kYamlTag, "Component"},
                     {"name", machine.names[l]},
                     {"class", class_of(machine, l)},
                     {"attributes", std::move(attributes)},
                     {"constraints", std::move(constraints)}});
    add_tables(machine.names[l], {"read", "write", "update"}, level.vector_pj, l);
    if (level.children() == 1) continue;
    instances *= level.children();
    const Spread spread = spread_of(machine, l);
    Json spatial{{"factors", excluded(spread.allowed)}};
    for (const char dim : spread.order) spatial["permutation"].push_back(std::string(1, dim));
    if (spread.split) spatial["split"] = *spread.split;
    nodes.push_back(
        {{kYamlTag, "Container"},
         {"name", children_name(machine.names[l])},
         {"spatial",
          {{"meshX", machine.children(l, MeshAxis::X)}, {"meshY", machine.children(l, MeshAxis::Y)}}},
         {"constraints", {{"spatial", std::move(spatial)}}}});
  }
  nodes.push_back(
      {{kYamlTag, "Component"}, {"name", kMac}, {"class", "intmac"}, {"attributes", {{"datawidth", 8}}}});
  add_tables(kMac, {"compute"}, chain.mac_energy_pj, chain.levels.size());
  Json file{{"architecture", {{"version", "0.4"}, {"nodes", std::move(nodes)}}},
            {"ERT", {{"version", "0.4"}, {"tables", std::move(energies)}}}};
  // Without areas the front-end drops the energies, too.
  file["ART"] = {{"version", "0.4"}, {"tables", std::move(areas_of_parts)}};
  return file;
}

}  // namespace

std::int64_t DescribedMachine::children(std::size_t level, MeshAxis axis) const {
  const ChainLevel& of = chain.levels[level];
  if (in_a_row[level]) return axis == MeshAxis::X ? of.children() : 1;
  return of.fan_out_on(axis).size;
}

DescribedMachine describe(Chain chain, const std::vector<MappedLayer>& layers) {
  DescribedMachine machine;
  std::vector<std::string> names;
  for (const ChainLevel& level : chain.levels) names.push_back(level.name);
  machine.names = exported_names(names);
  for (std::size_t l = 0; l < chain.levels.size(); ++l) {
    const ChainLevel& level = chain.levels[l];
    machine.in_a_row.push_back(std::any_of(layers.begin(), layers.end(), [&](const MappedLayer& one) {
      return on_both_axes(one.mapping.levels[l]);
    }));
    std::int64_t entries = level.built_words;
    if (entries == 0) {  // no limit here; there, what the mappings need
      entries = 1;
      for (const MappedLayer& one : layers) {
        const NestModel model(chain, one.layer);
        entries = std::max(entries, whole(model.need_words(nest_of(one.mapping), l)));
      }
    }
    if (l + 1 < chain.levels.size() && entries > kMostEntries) {
      fail(ErrorId::kValue, "machine {}: level {} has {} words, Timeloop reads at most {}", chain.name,
           level.name, entries, kMostEntries);
    }
    machine.entries.push_back(entries);
  }
  machine.chain = std::move(chain);
  return machine;
}

Spread spread_of(const DescribedMachine& machine, std::size_t l) {
  const std::array<FanOut, kAxes>& axes = machine.chain.levels[l].fan_out;
  Spread spread;
  std::string x_dims, y_dims;
  bool shared = false, differ = false;
  for (const Dim dim : all_dims()) {
    const auto d = static_cast<std::size_t>(dim);
    const bool x = axes[0].size > 1 && axes[0].dims[d], y = axes[1].size > 1 && axes[1].dims[d];
    spread.allowed[d] = x || y;
    shared = shared || (x && y);
    differ = differ || x != y;
    (x ? x_dims : y_dims) += name_of(dim);
  }
  const bool has_x = machine.children(l, MeshAxis::X) > 1, has_y = machine.children(l, MeshAxis::Y) > 1;
  // On one axis nothing is to be said. (A split there would be no mapping's in timeloop-model, which counts
  // the loops on X.)
  if (!has_x || !has_y) return spread;
  if (shared && differ) {
    spread.loose = true;
  } else if (differ) {
    spread.order = x_dims + y_dims;
    spread.split = static_cast<std::int64_t>(x_dims.size());
  }
  return spread;
}

std::string architecture_file(const DescribedMachine& machine, Format format) {
  return yaml_of(format == Format::kTree ? tree_of(machine) : nodes_of(machine));
}

std::string constraints_file(const DescribedMachine& machine) {
  Json targets = Json::array();
  for (std::size_t l = machine.chain.levels.size(); l-- > 0;) {
    const ChainLevel& level = machine.chain.levels[l];
    Json bypass{{"target", machine.names[l]}, {"type", "bypass"}};
    bypass.update(bypass_of(level));
    targets.push_back(std::move(bypass));
    if (Json loops = loops_of(level, Format::kTree); !loops.empty()) {
      Json temporal{{"target", machine.names[l]}, {"type", "temporal"}};
      temporal.update(loops);
      targets.push_back(std::move(temporal));
    }
    if (level.children() == 1) continue;
    const Spread spread = spread_of(machine, l);
    Json spatial{{"target", machine.names[l]}, {"type", "spatial"}};
    if (const std::vector<std::string> factors = excluded(spread.allowed); !factors.empty())
      spatial["factors"] = fmt::format("{}", fmt::join(factors, " "));
    if (!spread.order.empty()) spatial["permutation"] = spread.order;
    if (spread.split) spatial["split"] = *spread.split;
    spatial["no_link_transfer"] = kDataSpaces;
    targets.push_back(std::move(spatial));
  }
  return yaml_of({{"architecture_constraints", {{"targets", std::move(targets)}}}});
}

bool is_loosely_ordered(const ChainLevel& level) {
  return level.orders.size() > 1 || (level.orders.size() == 1 && !level.orders[0].outer.empty());
}

std::vector<std::string> loosely_constrained(const DescribedMachine& machine) {
  std::vector<std::string> names;
  for (std::size_t l = 0; l < machine.names.size(); ++l) {
    if (machine.chain.levels[l].children() > 1 && spread_of(machine, l).loose)
      names.push_back(machine.chain.levels[l].name);
  }
  return names;
}

}  // namespace dosa::timeloop
