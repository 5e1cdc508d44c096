// Input files for Timeloop: one architecture, and per layer a problem and a mapping, in the form of
// timeloop-model (version 0.3) or of its front-end (version 0.4). The formats: https://timeloop.csail.mit.edu
// and the examples of the published DOSA artefact (ucb-bar/dosa). scripts/timeloop runs an export in a
// timeloop-model and compares what that prints.
//
// Factors of these formats are perfect: they multiply to the problem. A target whose own schedules need not
// divide the layer gives padded problems (Target::as_mapping), and the totals to expect are those of the
// padded problems by the analytical model.
#include "dosa/core/export/exporter.hpp"

#include <cctype>

#include "dosa/core/export/timeloop/layer.hpp"
#include "dosa/core/targets/mapping/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa {
namespace {

using timeloop::DescribedMachine;
using timeloop::Format;

/// The most of a layer's name that is in a file's: file systems take names of 255 bytes.
constexpr std::size_t kMostOfName = 100;

/// A file name from a layer's name: letters, digits, dots and dashes stay, and no more than kMostOfName.
std::string file_stem(std::size_t index, const std::string& name) {
  std::string stem = fmt::format("{:03}_", index);
  for (const char c : name.substr(0, kMostOfName))
    stem += std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' ? c : '_';
  return stem;
}

constexpr const char* kPaddedNote =
    "Layers with a \"tile\" are written as the library call sees them, padded to whole tiles, because "
    "Timeloop's factors must divide the problem. cycles, energy and totals are those of these padded "
    "problems "
    "by the analytical model; they are not the latency that the surrogate predicts for the design, and not "
    "the design's totals.";

std::string paragraph(const std::string& text) {
  return fmt::format("\n{}\n", fmt::join(wrapped(text, 100), "\n"));
}

std::string readme(bool padded, bool cut, const DescribedMachine& machine, Format format) {
  const bool tree = format == Format::kTree;
  std::string text = fmt::format(
      "# Input of {}, format {}\n\narchitecture.yaml, and per layer NNN_NAME.problem.yaml and "
      "NNN_NAME.mapping.yaml, one run of one group:\n\n    {} architecture.yaml 000_NAME.problem.yaml "
      "000_NAME.mapping.yaml\n",
      tree ? "timeloop-model" : "Timeloop's front-end", tree ? "0.3" : "0.4",
      tree ? "timeloop-model" : "timeloop model");
  text += paragraph(
      "expected.json has the cycles and the energy to expect of each, and the network's totals (every layer "
      "times its count and groups). Link transfers are switched off, as dosa counts none.");
  text += paragraph(
      tree ? "constraints.yaml says what each memory holds and which dimensions may loop or be spread where: "
             "for timeloop-mapper, and for dosa import, which makes this machine of the two files "
             "(architecture.yaml constraints.yaml)."
           : "The constraints in architecture.yaml say what each memory holds and which dimensions may loop "
             "or be spread where; dosa import makes this machine of it.");
  const std::vector<std::string> loose = timeloop::loosely_constrained(machine);
  if (!loose.empty()) {
    text += paragraph(fmt::format(
        "Some dimensions may be spread on one axis only below {}, others on both. Constraints cannot say "
        "that, so there they allow all of them on both.",
        fmt::join(loose, ", ")));
  }
  std::vector<std::string> loose_orders, orders;
  for (const ChainLevel& level : machine.chain.levels) {
    if (!level.orders.empty())
      (timeloop::is_loosely_ordered(level) ? loose_orders : orders).push_back(level.name);
  }
  if (!orders.empty()) {
    text += paragraph(fmt::format(
        "The constraints name the order of the loops of {}. timeloop-mapper keeps to it; timeloop-model, if "
        "it is given them, takes loops of one iteration for a part of the order, and refuses mappings that "
        "obey it.",
        fmt::join(orders, ", ")));
  }
  if (!loose_orders.empty()) {
    text += paragraph(fmt::format(
        "On this machine the loops of {} run in one of several orders, or some of them outside the others. "
        "Constraints can name only one order, of the innermost loops, so they name none.",
        fmt::join(loose_orders, ", ")));
  }
  std::vector<std::string> rows;
  for (std::size_t l = 0; l < machine.names.size(); ++l) {
    if (machine.in_a_row[l]) rows.push_back(machine.names[l]);
  }
  if (!rows.empty()) {
    text += paragraph(fmt::format(
        "Timeloop's mappings cannot spread one dimension along both axes of a mesh, and some layers here do. "
        "So the children of {} are written as one row, which changes no count and no cycle.",
        fmt::join(rows, ", ")));
  }
  if (cut) {
    text += paragraph(
        "Loops such as P=7,3 are cut: their last run has 3 iterations. timeloop-model takes them; it counts "
        "what enters the first level that is cut by its largest tile, and computes for all instances of "
        "which some are idle, where dosa counts what is there. So it says somewhat more of these layers "
        "(\"remainders\" in expected.json).");
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
  explicit TimeloopExporter(Format format) : format_(format) {}

  const char* name() const override { return is_tree() ? "timeloop" : "timeloop-0.4"; }
  const char* description() const override {
    return is_tree() ? "timeloop-model input (v0.3): architecture, problem and mapping per layer, and the "
                       "totals to expect"
                     : "the same for Timeloop's front-end (v0.4)";
  }
  std::vector<OutputFile> files(const Design& design, const Target& target,
                                const BatchLimits&) const override {
    const auto chain = std::dynamic_pointer_cast<const Chain>(target.shared_machine());
    const auto array = chain ? nullptr : as_array_machine(target.shared_machine(), "timeloop");
    std::vector<MappedLayer> written;
    bool padded = false, cut = false;
    for (const DesignLayer& entry : design.layers) {
      try {
        written.push_back(target.as_mapping(entry.layer, entry.schedule, design.hardware));
        if (array) check_mapping(written.back().mapping, written.back().layer, *array);
      } catch (const Error& error) {
        const std::string where = fmt::format("layer {}", entry.layer.name);
        if (std::string(error.what()).rfind(where, 0) == 0) throw;
        throw error.in(where);
      }
      cut = cut || written.back().mapping.is_cut();
      padded = padded || entry.schedule->key() == std::string("tile");
    }
    const std::vector<LayerCosts> costs = costs_of(design, target, written);
    const DescribedMachine machine = timeloop::describe(chain_of(target.machine(), design.hardware), written);
    std::vector<OutputFile> files{{"README.md", readme(padded, cut, machine, format_)},
                                  {"architecture.yaml", timeloop::architecture_file(machine, format_)}};
    if (is_tree()) files.push_back({"constraints.yaml", timeloop::constraints_file(machine)});
    Json layers = Json::array();
    LayerCosts totals;
    for (std::size_t i = 0; i < written.size(); ++i) {
      const Layer& layer = written[i].layer;
      const auto groups = static_cast<double>(layer.groups), count = static_cast<double>(layer.count);
      const std::string stem = file_stem(i, layer.name);
      files.push_back({stem + ".problem.yaml", timeloop::problem_file(layer, format_, written[i].comment)});
      files.push_back({stem + ".mapping.yaml", timeloop::mapping_file(written[i].mapping, machine, format_)});
      Json entry{{"name", layer.name},
                 {"problem", stem + ".problem.yaml"},
                 {"mapping", stem + ".mapping.yaml"},
                 {"count", layer.count},
                 {"groups", layer.groups},
                 {"cycles", costs[i].cycles / groups},
                 {"energy_uj", costs[i].energy_uj / groups}};
      if (written[i].mapping.is_cut()) entry["remainders"] = name_of(Remainders::kCut);
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
                  {"run", is_tree() ? "timeloop-model architecture.yaml PROBLEM MAPPING"
                                    : "timeloop model architecture.yaml PROBLEM MAPPING"},
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

 private:
  bool is_tree() const { return format_ == Format::kTree; }

  Format format_;
};

}  // namespace

const Exporter& timeloop_exporter() {
  static const TimeloopExporter exporter(Format::kTree);
  return exporter;
}

const Exporter& timeloop_nodes_exporter() {
  static const TimeloopExporter exporter(Format::kNodes);
  return exporter;
}

}  // namespace dosa
