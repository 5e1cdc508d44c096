// Input files for timeloop-model, format version 0.3: one architecture, and per layer a problem and a
// mapping. The format: https://timeloop.csail.mit.edu and the examples of the published DOSA artefact
// (ucb-bar/dosa). scripts/timeloop runs an export in a timeloop-model and compares what that prints.
//
// Factors of this format are perfect: they multiply to the problem. A target whose own schedules need not
// divide the layer gives padded problems (Target::as_mapping), and the totals to expect are those of the
// padded problems by the analytical model.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "dosa/core/export/exporter.hpp"
#include "dosa/core/import/timeloop/names.hpp"
#include "dosa/core/targets/mapping/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/chain/chain.hpp"
#include "dosa/models/chain/nest_model.hpp"

namespace dosa {
namespace {

using timeloop::kCoefficients;
using timeloop::kDataSpaces;
using timeloop::kMac;

/// Text, because Timeloop compares the text; of a number yaml-cpp writes all 17 digits.
constexpr const char* kVersion = "0.3";
/// Timeloop reads the words of a memory and the factors of a mapping as 32-bit numbers.
constexpr std::int64_t kMostEntries = 0xffffffff, kMostFactor = 0x7fffffff;

std::int64_t whole(double value) { return static_cast<std::int64_t>(std::llround(value)); }

/// A file name from a layer's name: letters, digits, dots and dashes stay.
std::string file_stem(std::size_t index, const std::string& name) {
  std::string stem = fmt::format("{:03}_", index);
  for (const char c : name)
    stem += std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' ? c : '_';
  return stem;
}

/// JSON as YAML; lists and objects without objects inside stand in one line. Numbers keep all their digits
/// and no more.
void emit(YAML::Emitter& out, const Json& json) {
  const auto nested = [](const Json& value) {
    return std::any_of(value.begin(), value.end(), [](const Json& member) {
      return member.is_object() ||
             (member.is_array() &&
              std::any_of(member.begin(), member.end(), [](const Json& inner) { return inner.is_object(); }));
    });
  };
  if (json.is_object()) {
    if (!nested(json)) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& [key, value] : json.items()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, value);
    }
    out << YAML::EndMap;
  } else if (json.is_array()) {
    if (!nested(json)) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const Json& value : json) emit(out, value);
    out << YAML::EndSeq;
  } else {
    out << (json.is_number_float() ? fmt::format("{}", json.get<double>())
            : json.is_string()     ? json.get<std::string>()
                                   : json.dump());
  }
}

/// `comment`, if any, is the file's first line.
std::string yaml_of(const Json& json, const std::string& comment = "") {
  YAML::Emitter out;
  if (!comment.empty()) out << YAML::Comment(comment) << YAML::Newline;
  emit(out, json);
  return std::string(out.c_str()) + "\n";
}

/// A machine as Timeloop is told of it.
struct Described {
  Chain chain;                     ///< built with the design's hardware
  std::vector<std::string> names;  ///< of its levels
  /// [level] whether the children of an instance stand in one row. Timeloop's mappings put a dimension on X
  /// or on Y of a level; where one stands on both, they can only be written for a mesh that is one row.
  /// Without link transfers Timeloop counts the same on either.
  std::vector<bool> in_a_row;
  std::vector<std::int64_t> entries;  ///< [level] words of one instance
};

bool on_both_axes(const LevelNest& nest) {
  return std::any_of(nest.spatial.begin(), nest.spatial.end(), [&](const Loop& x) {
    return std::any_of(nest.spatial_y.begin(), nest.spatial_y.end(),
                       [&](const Loop& y) { return x.dim == y.dim; });
  });
}

Described describe(Chain chain, const std::vector<MappedLayer>& layers) {
  Described machine;
  std::vector<std::string> names;
  for (const ChainLevel& level : chain.levels) names.push_back(level.name);
  machine.names = timeloop::exported_names(names);
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
        entries = std::max(entries, whole(model.need_words(model.nest_of(one.mapping), l)));
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

/// Names, sizes, bandwidths and energies of the machine; every level on its own mesh of instances.
std::string architecture(const Described& machine) {
  const Chain& chain = machine.chain;
  std::int64_t columns = 1, rows = 1;
  // Trees from the outermost inwards; a new one where the level above fans out.
  std::vector<Json> trees{{{"name", "System"}, {"local", Json::array()}}};
  const auto fan_out = [&](std::size_t l) {
    const ChainLevel& above = chain.levels[l];
    if (above.children() == 1) return;
    columns *= machine.in_a_row[l] ? above.children() : above.fan_out_on(MeshAxis::X).size;
    rows *= machine.in_a_row[l] ? 1 : above.fan_out_on(MeshAxis::Y).size;
    const std::string name = l == 0 ? std::string("Multiplier") : machine.names[l - 1] + "s";
    trees.push_back(
        {{"name", fmt::format("{}[0..{}]", name, above.children() - 1)}, {"local", Json::array()}});
  };
  for (std::size_t l = chain.levels.size(); l-- > 0;) {
    const ChainLevel& level = chain.levels[l];
    const bool outermost = l + 1 == chain.levels.size();
    Json attributes;
    if (!outermost) attributes["entries"] = machine.entries[l];
    if (level.buffering > 1) attributes["multiple-buffering"] = level.buffering;
    attributes["instances"] = columns * rows;
    attributes["meshX"] = columns;
    attributes["word-bits"] = level.word_bits;
    attributes["block-size"] = whole(level.vector_words);
    if (level.read_words_per_cycle) attributes["read_bandwidth"] = *level.read_words_per_cycle;
    if (level.write_words_per_cycle) attributes["write_bandwidth"] = *level.write_words_per_cycle;
    if (level.words_per_cycle) attributes["shared_bandwidth"] = *level.words_per_cycle;
    attributes["vector-access-energy"] = level.vector_pj;
    trees.back()["local"].push_back({{"name", machine.names[l]},
                                     {"class", outermost ? "DRAM" : "SRAM"},
                                     {"attributes", std::move(attributes)}});
    fan_out(l);
  }
  trees.back()["local"].push_back(
      {{"name", kMac},
       {"class", "intmac"},
       {"attributes", {{"instances", columns * rows}, {"meshX", columns}, {"word-bits", 8}}}});
  std::string path;
  for (const Json& tree : trees) path += tree["name"].get<std::string>() + ".";
  for (std::size_t t = trees.size(); t-- > 1;) trees[t - 1]["subtree"] = Json::array({trees[t]});
  // The attribute "energy" of a MAC is whole picojoules; only the table of energies takes fractions.
  return yaml_of({{"architecture", {{"version", kVersion}, {"subtree", Json::array({trees.front()})}}},
                  {"ERT",
                   {{"version", "0.2"},
                    {"tables", {{path + kMac, {{"mac_random", {{"energy", chain.mac_energy_pj}}}}}}}}}});
}

/// `comment`, if any, is the file's first line.
std::string problem(const Layer& layer, const std::string& comment) {
  const auto terms = [](std::initializer_list<std::vector<const char*>> list) {
    Json axis = Json::array();
    for (const auto& term : list) axis.push_back(term);
    return axis;
  };
  const auto plain = [&](std::initializer_list<const char*> names) {
    Json projection = Json::array();
    for (const char* name : names) projection.push_back(terms({{name}}));
    return projection;
  };
  Json dimensions = Json::array(), coefficients = Json::array(), instance;
  for (const Dim d : all_dims()) {
    dimensions.push_back(std::string(1, name_of(d)));
    instance[std::string(1, name_of(d))] = layer[d];
  }
  for (std::size_t c = 0; c < kCoefficients.size(); ++c) {
    coefficients.push_back({{"name", kCoefficients[c]}, {"default", 1}});
    instance[kCoefficients[c]] = timeloop::coefficients_of(layer)[c];
  }
  Json inputs = plain({"N", "C"});
  inputs.push_back(terms({{"R", "Wdilation"}, {"P", "Wstride"}}));
  inputs.push_back(terms({{"S", "Hdilation"}, {"Q", "Hstride"}}));
  const Json spaces{
      {{"name", kDataSpaces[0]}, {"projection", plain({"C", "K", "R", "S"})}},
      {{"name", kDataSpaces[1]}, {"projection", inputs}},
      {{"name", kDataSpaces[2]}, {"projection", plain({"N", "K", "Q", "P"})}, {"read-write", true}}};
  return yaml_of({{"problem",
                   {{"version", kVersion},
                    {"shape",
                     {{"name", "cnn-layer"},
                      {"dimensions", dimensions},
                      {"coefficients", coefficients},
                      {"data-spaces", spaces}}},
                    {"instance", instance}}}},
                 comment);
}

/// All seven factors; of a dimension that has several loops, their product.
std::string factors_of(const std::vector<Loop>& loops) {
  std::string text;
  for (const Dim d : all_dims()) {
    std::int64_t factor = 1;
    for (const Loop& loop : loops) factor *= loop.dim == d ? loop.factor : 1;
    if (factor > kMostFactor)
      fail(ErrorId::kValue, "found a factor {} of {}, Timeloop reads at most {}", factor, name_of(d),
           kMostFactor);
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name_of(d), factor);
  }
  return text;
}

/// The permutation, innermost first: `inner`, then the dimensions that have no loop, then `outer`. Of a
/// dimension that has several loops the innermost one counts.
std::string order_of(const std::vector<Loop>& inner, const std::vector<Loop>& outer) {
  std::string order;
  const auto add = [&](char name) {
    if (order.find(name) == std::string::npos) order += name;
  };
  const auto has = [](const std::vector<Loop>& loops, Dim d) {
    return std::any_of(loops.begin(), loops.end(), [&](const Loop& loop) { return loop.dim == d; });
  };
  for (auto loop = inner.rbegin(); loop != inner.rend(); ++loop) add(name_of(loop->dim));
  for (const Dim d : all_dims()) {
    if (!has(inner, d) && !has(outer, d)) add(name_of(d));
  }
  for (auto loop = outer.rbegin(); loop != outer.rend(); ++loop) add(name_of(loop->dim));
  return order;
}

std::string mapping_text(const Mapping& mapping, const Described& machine) {
  Json directives = Json::array();
  for (std::size_t l = machine.chain.levels.size(); l-- > 0;) {
    const ChainLevel& level = machine.chain.levels[l];
    const LevelNest& nest = mapping.levels[l];
    directives.push_back({{"target", machine.names[l]},
                          {"type", "temporal"},
                          {"factors", factors_of(nest.temporal)},
                          {"permutation", order_of({}, nest.temporal)}});
    if (level.children() > 1) {
      // Loops on X stand inside those on Y; the first `split` of the permutation are those on X.
      std::vector<Loop> loops = nest.spatial_y, x = nest.spatial, y = nest.spatial_y;
      loops.insert(loops.end(), nest.spatial.begin(), nest.spatial.end());
      if (machine.in_a_row[l]) {
        x = loops;
        y.clear();
      }
      directives.push_back({{"target", machine.names[l]},
                            {"type", "spatial"},
                            {"factors", factors_of(loops)},
                            {"permutation", order_of(x, y)},
                            {"split", kDims - static_cast<int>(y.size())},
                            {"no_link_transfer", kDataSpaces}});
    }
    Json bypass{{"target", machine.names[l]}, {"type", "bypass"}};
    for (const bool keep : {true, false}) {
      Json& names = bypass[keep ? "keep" : "bypass"] = Json::array();
      for (std::size_t o = 0; o < kOperands; ++o) {
        if (level.holds[o] == keep) names.push_back(kDataSpaces[o]);
      }
    }
    directives.push_back(std::move(bypass));
  }
  return yaml_of({{"mapping", std::move(directives)}});
}

constexpr const char* kPaddedNote =
    "Layers with a \"tile\" are written as the library call sees them, padded to whole tiles, because "
    "Timeloop's factors must divide the problem. cycles, energy and totals are those of these padded "
    "problems "
    "by the analytical model; they are not the latency that the surrogate predicts for the design, and not "
    "the design's totals.";

std::string readme(bool padded, const Described& machine) {
  std::string text =
      "# Input of timeloop-model, format 0.3\n\n"
      "architecture.yaml, and per layer NNN_NAME.problem.yaml and NNN_NAME.mapping.yaml, one run of one "
      "group:\n\n"
      "    timeloop-model architecture.yaml 000_NAME.problem.yaml 000_NAME.mapping.yaml\n\n"
      "expected.json has the cycles and the energy to expect of each, and the network's totals (every layer "
      "times its\ncount and groups). Link transfers are switched off, as dosa counts none.\n";
  std::vector<std::string> rows;
  for (std::size_t l = 0; l < machine.names.size(); ++l) {
    if (machine.in_a_row[l]) rows.push_back(machine.names[l]);
  }
  if (!rows.empty()) {
    text += fmt::format(
        "\nTimeloop's mappings cannot spread one dimension along both axes of a mesh, and some layers here "
        "do. So "
        "the\nchildren of {} are written as one row, which changes no count and no cycle.\n",
        fmt::join(rows, ", "));
  }
  if (padded) {
    text +=
        "\n## Padded problems\n\n"
        "The tiles of this design need not divide their layers, and Timeloop's factors must. So each layer "
        "with a tile is\nwritten as the library call sees it (a matrix product has P*Q*N rows in P; a "
        "strided "
        "1x1 convolution that loads\nonly what it needs has stride 1), and every dimension is as many whole "
        "tiles as the call runs; tiles of C and K\nlarger than the array are whole blocks of it. The first "
        "line of each problem says what changed. Such a mapping cannot say that Gemmini puts several kernel "
        "columns "
        "of a\nconvolution with few input channels side by side on the array (3 or 1 channels: three and "
        "more); "
        "its cycles are then\nthat many times more.\n\n"
        "The totals in expected.json are those of these padded problems by the analytical model. They are "
        "not the latency\nthat the surrogate predicts for the design, and not the totals in the design "
        "file.\n";
  }
  return text;
}

/// Costs of what is written: of a chain by its target; of an array by its mappings, which need not be the
/// target's own schedules.
std::vector<LayerCosts> costs_of(const Design& design, const Target& target,
                                 const std::vector<MappedLayer>& written) {
  std::vector<Layer> layers;
  std::vector<Mapping> mappings;
  std::vector<SchedulePtr> schedules;
  for (std::size_t i = 0; i < written.size(); ++i) {
    layers.push_back(written[i].layer);
    mappings.push_back(written[i].mapping);
    schedules.push_back(design.layers[i].schedule);
  }
  if (std::dynamic_pointer_cast<const Chain>(target.shared_machine()))
    return target.costs(layers, schedules, design.hardware);
  return costs_of_mappings(layers, mappings, ArraySizes::of(design.hardware),
                           *as_array_machine(target.shared_machine(), "timeloop"));
}

class TimeloopExporter : public Exporter {
 public:
  const char* name() const override { return "timeloop"; }
  const char* description() const override {
    return "timeloop-model input (v0.3): architecture, problem and mapping per layer, and the totals to "
           "expect";
  }
  std::vector<OutputFile> files(const Design& design, const Target& target,
                                const BatchLimits&) const override {
    const auto chain = std::dynamic_pointer_cast<const Chain>(target.shared_machine());
    const auto array = chain ? nullptr : as_array_machine(target.shared_machine(), "timeloop");
    std::vector<MappedLayer> written;
    bool padded = false;
    for (const DesignLayer& entry : design.layers) {
      try {
        written.push_back(target.as_mapping(entry.layer, entry.schedule, design.hardware));
        if (array) check_mapping(written.back().mapping, written.back().layer, *array);
      } catch (const Error& error) {
        const std::string where = fmt::format("layer {}", entry.layer.name);
        if (std::string(error.what()).rfind(where, 0) == 0) throw;
        throw error.in(where);
      }
      padded = padded || entry.schedule->key() == std::string("tile");
    }
    const std::vector<LayerCosts> costs = costs_of(design, target, written);
    const Described machine = describe(
        chain ? chain->at(design.hardware) : chain_of(*array, ArraySizes::of(design.hardware)), written);
    std::vector<OutputFile> files{{"README.md", readme(padded, machine)},
                                  {"architecture.yaml", architecture(machine)}};
    Json layers = Json::array();
    LayerCosts totals;
    for (std::size_t i = 0; i < written.size(); ++i) {
      const Layer& layer = written[i].layer;
      const auto groups = static_cast<double>(layer.groups), count = static_cast<double>(layer.count);
      const std::string stem = file_stem(i, layer.name);
      files.push_back({stem + ".problem.yaml", problem(layer, written[i].comment)});
      files.push_back({stem + ".mapping.yaml", mapping_text(written[i].mapping, machine)});
      Json entry{{"name", layer.name},
                 {"problem", stem + ".problem.yaml"},
                 {"mapping", stem + ".mapping.yaml"},
                 {"count", layer.count},
                 {"groups", layer.groups},
                 {"cycles", costs[i].cycles / groups},
                 {"energy_uj", costs[i].energy_uj / groups}};
      if (!written[i].comment.empty()) {
        const Layer& own = design.layers[i].layer;
        entry[design.layers[i].schedule->key()] = design.layers[i].schedule->text();
        entry["layer_dims"] = to_json(own)["dims"];
        entry["macs_over_layer"] = static_cast<double>(layer.macs()) / static_cast<double>(own.macs());
      }
      layers.push_back(std::move(entry));
      totals.cycles += costs[i].cycles * count;
      totals.energy_uj += costs[i].energy_uj * count;
    }
    Json expected{{"schema", "dosa-timeloop/1"},
                  {"workload", design.workload},
                  {"run", "timeloop-model architecture.yaml PROBLEM MAPPING"},
                  {"model", "analytical"},
                  {"padded", padded}};
    if (padded) expected["note"] = kPaddedNote;
    expected["totals"] =
        to_json(DesignTotals{totals.cycles, totals.energy_uj, totals.cycles * totals.energy_uj,
                             target.machine().area_mm2(design.hardware)});
    expected["layers"] = std::move(layers);
    files.push_back({"expected.json", expected.dump(2) + "\n"});
    return files;
  }
};

}  // namespace

const Exporter& timeloop_exporter() {
  static const TimeloopExporter exporter;
  return exporter;
}

}  // namespace dosa
