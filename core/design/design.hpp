// A design: hardware and one mapping per layer, with what they cost; its JSON form.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/models/layer.hpp"
#include "dosa/models/machine.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa {

class Surrogate;

struct DesignLayer {
  Layer layer;
  Mapping mapping;  ///< without levels where only the tile says how the layer runs
  /// gemmini-rtl: the library call that runs the layer, with its tile, which need not divide the layer.
  std::optional<gemmini::Tile> tile;
  double cycles = 0;     ///< one run of the layer, all groups
  double energy_uj = 0;  ///< one run of the layer, all groups
  /// Where `cycles` is a surrogate's prediction: what the analytical model says, and the standard deviation
  /// of log(cycles).
  std::optional<double> analytical_cycles, cycles_sd_log;
};

/// The tile if there is one, else the mapping, in their text forms.
std::string schedule_text(const DesignLayer& layer, const Machine& machine);

/// Sums over the network: every layer times its count.
struct DesignTotals {
  double cycles = 0;
  double energy_uj = 0;
  double edp = 0;  ///< uJ * cycles
  double area_mm2 = 0;
};

/// Schema "dosa-design/1".
struct Design {
  std::string workload;  ///< its name
  std::string target;    ///< the machine's name
  Hardware hardware;
  std::string objective = "edp";
  DesignTotals totals;
  std::vector<DesignLayer> layers;
  Json provenance = Json::object();
};

/// Evaluates a design exactly: fills in the costs of its layers and its totals. A layer with a tile is costed
/// by what Gemmini executes for it (core/rtl_model), its latency by the surrogate where one is given; any
/// other by its mapping. Throws Error{kMapping} for a mapping or tile that does not belong to its layer and
/// Error{kCapacity} for one that does not fit, naming the layer, the level, the need and what there is;
/// Error{kValue} for tiles on hardware that cannot be built or that the surrogate does not know.
void evaluate(Design& design, const Machine& machine, const Surrogate* surrogate = nullptr);

/// Reads and checks a design file; costs are those in the file. The machine is the one that `target` names,
/// or a file beside the design, or `machine_override` when it is not empty.
struct LoadedDesign {
  Design design;
  Machine machine;
};
LoadedDesign load_design(const std::filesystem::path& path, const std::string& machine_override = "");
Json to_json(const Design& design, const Machine& machine);

/// Writes the JSON form atomically.
void save_design(const Design& design, const Machine& machine, const std::filesystem::path& path);

/// A table for people: per layer count, mapping, cycles, energy, share of the EDP; totals; hardware.
std::string report(const Design& design, const Machine& machine);

/// What one layer does level by level on some hardware, for people and as JSON.
struct LayerAnalysis {
  Json json;
  std::string text;
};
/// Throws like evaluate; with `must_fit` false a mapping larger than the hardware is analysed all the same.
LayerAnalysis analyse(const Layer& layer, const Mapping& mapping, const Hardware& hardware,
                      const Machine& machine, bool must_fit = true);
/// By its tile where it has one (cycles are then analytical), else by its mapping.
LayerAnalysis analyse(const DesignLayer& layer, const Hardware& hardware, const Machine& machine);

}  // namespace dosa
