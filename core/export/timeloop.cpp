// Input files for timeloop-model, format version 0.3: one architecture, and per layer a problem and a
// mapping. The format: https://timeloop.csail.mit.edu and the examples of the published DOSA artefact
// (ucb-bar/dosa).
//
// Factors of this format are perfect: they multiply to the problem. A target whose own schedules need not
// divide the layer gives padded problems (Target::as_mapping), and the totals to expect are those of the
// padded problems by the analytical model.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <sstream>

#include "dosa/core/export/exporter.hpp"
#include "dosa/core/targets/mapping/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {
namespace {

constexpr std::array<const char*, kOperands> kDataSpaces{"Weights", "Inputs", "Outputs"};
/// Text, because Timeloop compares the text; of a number yaml-cpp writes all 17 digits.
constexpr const char* kVersion = "0.3";
constexpr const char* kMac = "MACC";

std::string title(std::string name) {
  if (!name.empty()) name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
  return name;
}

std::int64_t whole(double value) { return static_cast<std::int64_t>(std::llround(value)); }

/// A file name from a layer's name: letters, digits, dots and dashes stay.
std::string file_stem(std::size_t index, const std::string& name) {
  std::string stem = fmt::format("{:03}_", index);
  for (const char c : name)
    stem += std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' ? c : '_';
  return stem;
}

/// Names, sizes, bandwidths and energies of the machine; every level on its own mesh of instances. All
/// fan-out lies along X, where a mapping's spatial loops are that split nothing: an accumulator per column in
/// one row, and, as they say no meshX, all registers and MACs in one row.
std::string architecture(const ArrayMachine& machine, const ArraySizes& hardware) {
  const double dim = static_cast<double>(hardware.pe_dim);
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "architecture" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "version" << YAML::Value << kVersion;
  const auto memory = [&](int index) {
    const MemoryLevel& level = machine.levels[static_cast<std::size_t>(index)];
    const double vector = level.vector_words.at(dim);
    std::int64_t instances = whole(level.instances.at(dim));
    if (index == 0) instances = hardware.pe_dim * hardware.pe_dim;  // one register per element
    out << YAML::BeginMap << YAML::Key << "name" << YAML::Value << title(level.name);
    out << YAML::Key << "class" << YAML::Value << (index == machine.dram() ? "DRAM" : "SRAM");
    out << YAML::Key << "attributes" << YAML::Value << YAML::BeginMap;
    double kib = 0;
    if (level.sized_by != SizedBy::kNothing) {
      kib = static_cast<double>(level.sized_by == SizedBy::kScratchpad ? hardware.scratchpad_kib
                                                                       : hardware.accumulator_kib) /
            static_cast<double>(instances);
      out << YAML::Key << "entries" << YAML::Value << whole(kib * 1024 * 8 / level.word_bits);
      if (machine.buffering > 1) out << YAML::Key << "multiple-buffering" << YAML::Value << machine.buffering;
    } else if (index == 0) {
      out << YAML::Key << "entries" << YAML::Value << 1;
    }
    out << YAML::Key << "instances" << YAML::Value << instances;
    if (index != 0 && index != machine.dram())
      out << YAML::Key << "meshX" << YAML::Value << std::min(instances, hardware.pe_dim);
    out << YAML::Key << "word-bits" << YAML::Value << level.word_bits;
    out << YAML::Key << "block-size" << YAML::Value << whole(vector);
    if (level.words_per_cycle)
      out << YAML::Key << "shared_bandwidth" << YAML::Value << level.words_per_cycle->at(dim);
    const WordEnergy& energy = level.energy;
    out << YAML::Key << "vector-access-energy" << YAML::Value
        << (energy.pj + energy.pj_per_kib * (kib - energy.at_kib)) * vector;
    out << YAML::EndMap << YAML::EndMap;
  };
  int open = 0;
  std::string path;
  for (int index = machine.dram(); index >= 0; --index) {
    // The array fans out below the scratchpad into columns, below the accumulator into rows.
    const bool columns =
        index + 1 < machine.dram() &&
        machine.levels[static_cast<std::size_t>(index + 1)].spatial[static_cast<std::size_t>(Dim::K)];
    const bool rows = machine.levels[static_cast<std::size_t>(std::min(index + 1, machine.dram()))]
                          .spatial[static_cast<std::size_t>(Dim::C)];
    std::string name = index == machine.dram() ? "System" : "Chip";
    if (columns) name = fmt::format("Columns[0..{}]", hardware.pe_dim - 1);
    if (rows) name = fmt::format("Rows[0..{}]", hardware.pe_dim - 1);
    path += name + ".";
    out << YAML::Key << "subtree" << YAML::Value << YAML::BeginSeq << YAML::BeginMap;
    ++open;
    out << YAML::Key << "name" << YAML::Value << name;
    out << YAML::Key << "local" << YAML::Value << YAML::BeginSeq;
    memory(index);
    if (index == 0) {
      out << YAML::BeginMap << YAML::Key << "name" << YAML::Value << kMac << YAML::Key << "class"
          << YAML::Value << "intmac" << YAML::Key << "attributes" << YAML::Value << YAML::BeginMap
          << YAML::Key << "instances" << YAML::Value << hardware.pe_dim * hardware.pe_dim << YAML::Key
          << "word-bits" << YAML::Value << 8 << YAML::EndMap << YAML::EndMap;
    }
    out << YAML::EndSeq;
  }
  for (; open > 0; --open) out << YAML::EndMap << YAML::EndSeq;
  out << YAML::EndMap;
  // The attribute "energy" of a MAC is whole picojoules; only the table of energies takes fractions.
  out << YAML::Key << "ERT" << YAML::Value << YAML::BeginMap << YAML::Key << "version" << YAML::Value << "0.2"
      << YAML::Key << "tables" << YAML::Value << YAML::BeginMap << YAML::Key << path + kMac << YAML::Value
      << YAML::BeginMap << YAML::Key << "mac_random" << YAML::Value << YAML::BeginMap << YAML::Key << "energy"
      << YAML::Value << fmt::format("{}", machine.mac_energy_pj) << YAML::EndMap << YAML::EndMap
      << YAML::EndMap << YAML::EndMap << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

/// `comment`, if any, is the file's first line.
std::string problem(const Layer& layer, const std::string& comment) {
  YAML::Emitter out;
  if (!comment.empty()) out << YAML::Comment(comment) << YAML::Newline;
  const auto term = [&](std::initializer_list<const char*> names) {
    out << YAML::BeginSeq;
    for (const char* name : names) out << name;
    out << YAML::EndSeq;
  };
  const auto axis = [&](std::initializer_list<std::initializer_list<const char*>> terms) {
    out << YAML::Flow << YAML::BeginSeq;
    for (const auto& names : terms) term(names);
    out << YAML::EndSeq;
  };
  out << YAML::BeginMap << YAML::Key << "problem" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "version" << YAML::Value << kVersion;
  out << YAML::Key << "shape" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "name" << YAML::Value << "cnn-layer";
  out << YAML::Key << "dimensions" << YAML::Value << YAML::Flow << YAML::BeginSeq;
  for (const Dim d : all_dims()) out << std::string(1, name_of(d));
  out << YAML::EndSeq;
  out << YAML::Key << "coefficients" << YAML::Value << YAML::BeginSeq;
  for (const char* name : {"Wstride", "Hstride", "Wdilation", "Hdilation"}) {
    out << YAML::Flow << YAML::BeginMap << YAML::Key << "name" << YAML::Value << name << YAML::Key
        << "default" << YAML::Value << 1 << YAML::EndMap;
  }
  out << YAML::EndSeq;
  out << YAML::Key << "data-spaces" << YAML::Value << YAML::BeginSeq;
  const auto space = [&](const char* name) {
    out << YAML::BeginMap << YAML::Key << "name" << YAML::Value << name << YAML::Key << "projection"
        << YAML::Value << YAML::BeginSeq;
  };
  space("Weights");
  for (const char* name : {"C", "K", "R", "S"}) axis({{name}});
  out << YAML::EndSeq << YAML::EndMap;
  space("Inputs");
  axis({{"N"}});
  axis({{"C"}});
  axis({{"R", "Wdilation"}, {"P", "Wstride"}});
  axis({{"S", "Hdilation"}, {"Q", "Hstride"}});
  out << YAML::EndSeq << YAML::EndMap;
  space("Outputs");
  for (const char* name : {"N", "K", "Q", "P"}) axis({{name}});
  out << YAML::EndSeq << YAML::Key << "read-write" << YAML::Value << true << YAML::EndMap;
  out << YAML::EndSeq << YAML::EndMap;
  out << YAML::Key << "instance" << YAML::Value << YAML::BeginMap;
  for (const Dim d : all_dims()) out << YAML::Key << std::string(1, name_of(d)) << YAML::Value << layer[d];
  out << YAML::Key << "Wstride" << YAML::Value << layer.wstride << YAML::Key << "Hstride" << YAML::Value
      << layer.hstride << YAML::Key << "Wdilation" << YAML::Value << layer.wdilation << YAML::Key
      << "Hdilation" << YAML::Value << layer.hdilation;
  out << YAML::EndMap << YAML::EndMap << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

/// All seven factors and the permutation, innermost first; loops of factor 1 are put innermost.
std::pair<std::string, std::string> factors_of(const std::vector<Loop>& loops) {
  std::string factors, order;
  for (const Dim d : all_dims()) {
    std::int64_t factor = 1;
    for (const Loop& loop : loops) factor *= loop.dim == d ? loop.factor : 1;
    factors += fmt::format("{}{}={}", factors.empty() ? "" : " ", name_of(d), factor);
    if (std::none_of(loops.begin(), loops.end(), [&](const Loop& loop) { return loop.dim == d; }))
      order += name_of(d);
  }
  for (auto loop = loops.rbegin(); loop != loops.rend(); ++loop) order += name_of(loop->dim);
  return {factors, order};
}

std::string mapping_text(const Mapping& mapping, const ArrayMachine& machine) {
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "mapping" << YAML::Value << YAML::BeginSeq;
  for (int index = machine.dram(); index >= 0; --index) {
    const MemoryLevel& level = machine.levels[static_cast<std::size_t>(index)];
    const LevelNest& nest = mapping.levels[static_cast<std::size_t>(index)];
    const auto directive = [&](const char* type, const std::vector<Loop>& loops) {
      const auto [factors, order] = factors_of(loops);
      out << YAML::BeginMap << YAML::Key << "target" << YAML::Value << title(level.name) << YAML::Key
          << "type" << YAML::Value << type << YAML::Key << "factors" << YAML::Value << factors << YAML::Key
          << "permutation" << YAML::Value << order << YAML::EndMap;
    };
    directive("temporal", nest.temporal);
    if (std::find(level.spatial.begin(), level.spatial.end(), true) != level.spatial.end())
      directive("spatial", nest.spatial);
    out << YAML::BeginMap << YAML::Key << "target" << YAML::Value << title(level.name) << YAML::Key << "type"
        << YAML::Value << "bypass";
    for (const bool keep : {true, false}) {
      out << YAML::Key << (keep ? "keep" : "bypass") << YAML::Value << YAML::Flow << YAML::BeginSeq;
      for (std::size_t o = 0; o < kOperands; ++o) {
        if (level.holds[o] == keep) out << kDataSpaces[o];
      }
      out << YAML::EndSeq;
    }
    out << YAML::EndMap;
  }
  out << YAML::EndSeq << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

constexpr const char* kPaddedNote =
    "Layers with a \"tile\" are written as the library call sees them, padded to whole tiles, because "
    "Timeloop's factors must divide the problem. cycles, energy and totals are those of these padded "
    "problems "
    "by the analytical model; they are not the latency that the surrogate predicts for the design, and not "
    "the design's totals.";

std::string readme(bool padded) {
  std::string text =
      "# Input of timeloop-model, format 0.3\n\n"
      "architecture.yaml, and per layer NNN_NAME.problem.yaml and NNN_NAME.mapping.yaml, one run of one "
      "group:\n\n"
      "    timeloop-model architecture.yaml 000_NAME.problem.yaml 000_NAME.mapping.yaml\n\n"
      "expected.json has the cycles and the energy to expect of each, and the network's totals (every layer "
      "times its\ncount and groups).\n";
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

class TimeloopExporter : public Exporter {
 public:
  const char* name() const override { return "timeloop"; }
  const char* description() const override {
    return "timeloop-model input (v0.3): architecture, problem and mapping per layer, and the totals to "
           "expect";
  }
  std::vector<OutputFile> files(const Design& design, const Target& target,
                                const BatchLimits&) const override {
    const auto array = as_array_machine(target.shared_machine(), "timeloop");
    const ArrayMachine& machine = *array;
    std::vector<MappedLayer> written;
    bool padded = false;
    for (const DesignLayer& entry : design.layers) {
      try {
        written.push_back(target.as_mapping(entry.layer, entry.schedule, design.hardware));
        check_mapping(written.back().mapping, written.back().layer, machine);
      } catch (const Error& error) {
        const std::string where = fmt::format("layer {}", entry.layer.name);
        if (std::string(error.what()).rfind(where, 0) == 0) throw;
        throw error.in(where);
      }
      padded = padded || !written.back().comment.empty();
    }
    std::vector<Layer> problems;
    std::vector<Mapping> mappings;
    for (const MappedLayer& one : written) {
      problems.push_back(one.layer);
      mappings.push_back(one.mapping);
    }
    const std::vector<LayerCosts> costs =
        costs_of_mappings(problems, mappings, ArraySizes::of(design.hardware), machine);
    std::vector<OutputFile> files{
        {"README.md", readme(padded)},
        {"architecture.yaml", architecture(machine, ArraySizes::of(design.hardware))}};
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
                             machine.area_mm2(design.hardware)});
    expected["layers"] = std::move(layers);
    files.push_back({"expected.json", expected.dump(2) + "\n"});
    return files;
  }
};

}  // namespace

Layer layer_from_timeloop(const std::string& yaml) {
  const YAML::Node instance = YAML::Load(yaml)["problem"]["instance"];
  const auto number = [&](const std::string& key) {
    if (!instance || !instance[key]) fail(ErrorId::kSyntax, "problem.instance has no {}", key);
    return instance[key].as<std::int64_t>();
  };
  Layer layer;
  for (const Dim d : all_dims()) layer[d] = number(std::string(1, name_of(d)));
  layer.wstride = number("Wstride");
  layer.hstride = number("Hstride");
  layer.wdilation = number("Wdilation");
  layer.hdilation = number("Hdilation");
  return layer;
}

Mapping mapping_from_timeloop(const std::string& yaml, const ArrayMachine& machine) {
  Mapping mapping;
  mapping.levels.resize(machine.levels.size());
  const YAML::Node root = YAML::Load(yaml);
  for (const YAML::Node& directive : root["mapping"]) {
    const std::string type = directive["type"].as<std::string>();
    if (type == "bypass") continue;
    const std::string target = directive["target"].as<std::string>();
    const auto level = std::find_if(machine.levels.begin(), machine.levels.end(),
                                    [&](const MemoryLevel& l) { return title(l.name) == target; });
    if (level == machine.levels.end())
      fail(ErrorId::kMapping, "'{}' is no level of {}", target, machine.name);
    LevelNest& nest = mapping.levels[static_cast<std::size_t>(level - machine.levels.begin())];
    DimSizes factors{1, 1, 1, 1, 1, 1, 1};
    std::istringstream words(directive["factors"].as<std::string>());
    for (std::string word; words >> word;) {
      const auto dim = dim_from_name(word[0]);
      if (!dim || word.size() < 3 || word[1] != '=')
        fail(ErrorId::kSyntax, "'{}' is no factor such as K=4", word);
      factors[static_cast<std::size_t>(*dim)] = std::stoll(word.substr(2));
    }
    const std::string order = directive["permutation"].as<std::string>();
    for (auto letter = order.rbegin(); letter != order.rend(); ++letter) {
      const auto dim = dim_from_name(*letter);
      if (!dim) fail(ErrorId::kSyntax, "'{}' is no permutation of RSPQCKN", order);
      const std::int64_t factor = factors[static_cast<std::size_t>(*dim)];
      if (factor > 1) (type == "spatial" ? nest.spatial : nest.temporal).push_back({*dim, factor});
    }
  }
  return mapping;
}

const Exporter& timeloop_exporter() {
  static const TimeloopExporter exporter;
  return exporter;
}

}  // namespace dosa
