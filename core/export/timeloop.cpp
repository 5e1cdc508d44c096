// Input files for timeloop-model, format version 0.3: one architecture, and per layer a problem and a
// mapping. The format: https://timeloop.csail.mit.edu and the examples of the published DOSA artefact
// (ucb-bar/dosa).
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <sstream>

#include "core/export/exporter.hpp"
#include "models/error.hpp"

namespace dosa {
namespace {

constexpr std::array<const char*, kOperands> kDataSpaces{"Weights", "Inputs", "Outputs"};

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

/// Names, sizes, bandwidths and energies of the machine; every level on its own mesh of instances.
std::string architecture(const Machine& machine, const Hardware& hardware, bool double_buffered) {
  const double dim = static_cast<double>(hardware.pe_dim);
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "architecture" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "version" << YAML::Value << 0.3;
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
      if (double_buffered) out << YAML::Key << "multiple-buffering" << YAML::Value << 2;
    } else if (index == 0) {
      out << YAML::Key << "entries" << YAML::Value << 1;
    }
    out << YAML::Key << "instances" << YAML::Value << instances;
    if (index != machine.dram())
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
    out << YAML::Key << "subtree" << YAML::Value << YAML::BeginSeq << YAML::BeginMap;
    ++open;
    out << YAML::Key << "name" << YAML::Value << name;
    out << YAML::Key << "local" << YAML::Value << YAML::BeginSeq;
    memory(index);
    if (index == 0) {
      out << YAML::BeginMap << YAML::Key << "name" << YAML::Value << "MACC" << YAML::Key << "class"
          << YAML::Value << "intmac" << YAML::Key << "attributes" << YAML::Value << YAML::BeginMap
          << YAML::Key << "instances" << YAML::Value << hardware.pe_dim * hardware.pe_dim << YAML::Key
          << "meshX" << YAML::Value << hardware.pe_dim << YAML::Key << "word-bits" << YAML::Value << 8
          << YAML::Key << "energy" << YAML::Value << machine.mac_energy_pj << YAML::EndMap << YAML::EndMap;
    }
    out << YAML::EndSeq;
  }
  for (; open > 0; --open) out << YAML::EndMap << YAML::EndSeq;
  out << YAML::EndMap << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

std::string problem(const Layer& layer) {
  YAML::Emitter out;
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
  out << YAML::Key << "version" << YAML::Value << 0.3;
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

std::string mapping_text(const Mapping& mapping, const Machine& machine) {
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

std::int64_t largest_divisor(std::int64_t value, std::int64_t limit) {
  for (std::int64_t d = std::min(value, limit); d > 1; --d) {
    if (value % d == 0) return d;
  }
  return 1;
}

/// A tile as a mapping in the library's loop order. Timeloop needs factors that divide.
Mapping mapping_of_tile(const DesignLayer& design, const gemmini::Tile& tile, const Machine& machine,
                        std::int64_t pe_dim) {
  const Layer& layer = design.layer;
  Mapping mapping;
  mapping.levels.resize(machine.levels.size());
  DimSizes inner{}, outer{};
  for (const Dim d : all_dims()) {
    const auto i = static_cast<std::size_t>(d);
    const bool flattened = tile.call == gemmini::Call::kMatmul && (d == Dim::Q || d == Dim::N);
    inner[i] = flattened ? layer[d] : std::min(tile[d], layer[d]);
    if (tile.call == gemmini::Call::kMatmul && d == Dim::P &&
        tile[d] < layer[Dim::P] * layer[Dim::Q] * layer[Dim::N]) {
      // A block of rows of an image or a batch is a product of factors only where nothing is flattened.
      inner[i] = layer[Dim::Q] * layer[Dim::N] == 1 ? tile[d] : 0;
    }
    if (inner[i] == 0 || layer[d] % inner[i] != 0) {
      const std::int64_t near = largest_divisor(layer[d], std::max<std::int64_t>(1, tile[d]));
      fail(ErrorId::kMapping,
           "layer {}: Timeloop needs tiles that divide the layer; found a tile of {} {} of {}; nearest "
           "legal: {}",
           layer.name, name_of(d), tile[d], layer[d], near);
    }
    outer[i] = layer[d] / inner[i];
  }
  const auto add = [](std::vector<Loop>& loops, Dim d, std::int64_t factor) {
    if (factor > 1) loops.push_back({d, factor});
  };
  for (const Dim d : {Dim::N, Dim::Q, Dim::P, Dim::K, Dim::S, Dim::R, Dim::C})
    add(mapping.levels[3].temporal, d, outer[static_cast<std::size_t>(d)]);
  for (const Dim d : {Dim::K, Dim::S, Dim::R, Dim::C, Dim::N, Dim::Q, Dim::P}) {
    std::int64_t factor = inner[static_cast<std::size_t>(d)];
    if (d == Dim::C || d == Dim::K) {
      const std::int64_t spatial = largest_divisor(factor, pe_dim);
      add(mapping.levels[d == Dim::C ? 1 : 2].spatial, d, spatial);
      factor /= spatial;
    }
    add(mapping.levels[1].temporal, d, factor);
  }
  return mapping;
}

class TimeloopExporter : public Exporter {
 public:
  const char* name() const override { return "timeloop"; }
  const char* description() const override {
    return "timeloop-model input (v0.3): architecture, problem and mapping per layer, and the totals to "
           "expect";
  }
  std::vector<OutputFile> files(const Design& design, const Machine& machine) const override {
    const bool rtl = design.target == "gemmini-rtl";
    std::vector<OutputFile> files{{"architecture.yaml", architecture(machine, design.hardware, rtl)}};
    Json layers = Json::array();
    for (std::size_t i = 0; i < design.layers.size(); ++i) {
      const DesignLayer& layer = design.layers[i];
      Mapping mapping;
      try {
        mapping = layer.mapping.levels.empty() ? mapping_of_tile(layer, tile_of(layer, design.hardware),
                                                                 machine, design.hardware.pe_dim)
                                               : layer.mapping;
        check_mapping(mapping, layer.layer, machine);
      } catch (const Error& error) {
        const std::string where = fmt::format("layer {}", layer.layer.name);
        if (std::string(error.what()).rfind(where, 0) == 0) throw;
        throw error.in(where);
      }
      const std::string stem = file_stem(i, layer.layer.name);
      files.push_back({stem + ".problem.yaml", problem(layer.layer)});
      files.push_back({stem + ".mapping.yaml", mapping_text(mapping, machine)});
      layers.push_back({{"name", layer.layer.name},
                        {"problem", stem + ".problem.yaml"},
                        {"mapping", stem + ".mapping.yaml"},
                        {"count", layer.layer.count},
                        {"groups", layer.layer.groups},
                        {"cycles", layer.cycles / static_cast<double>(layer.layer.groups)},
                        {"energy_uj", layer.energy_uj / static_cast<double>(layer.layer.groups)}});
    }
    const Json expected{{"schema", "dosa-timeloop/1"},
                        {"workload", design.workload},
                        {"run", "timeloop-model architecture.yaml PROBLEM MAPPING"},
                        {"totals",
                         {{"cycles", design.totals.cycles},
                          {"energy_uj", design.totals.energy_uj},
                          {"edp", design.totals.edp},
                          {"area_mm2", design.totals.area_mm2}}},
                        {"layers", layers}};
    files.push_back({"expected.json", expected.dump(2) + "\n"});
    return files;
  }
};

}  // namespace

Mapping mapping_from_timeloop(const std::string& yaml, const Machine& machine) {
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
