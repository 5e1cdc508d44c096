// A design: hardware and one schedule per layer, with what they cost; its JSON form.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dosa/core/design/cpu_layers.hpp"
#include "dosa/core/targets/target.hpp"
#include "dosa/models/layer.hpp"
#include "dosa/models/machine.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa {

struct DesignLayer {
  Layer layer;
  SchedulePtr schedule;  ///< of the design's target; null only while a design is being made
  LayerCosts costs;
};

/// Sums over the network: every layer times its count.
struct DesignTotals {
  double cycles = 0;
  double energy_uj = 0;
  double edp = 0;  ///< uJ * cycles
  double area_mm2 = 0;
};

/// {cycles, energy_uj, edp, area_mm2}
Json to_json(const DesignTotals& totals);

/// A network on a machine. Schema "dosa-design/1" (core/design/README.md).
struct Design {
  std::string workload;  ///< its name
  std::string target;    ///< the machine's name
  MachinePtr machine;
  Hardware hardware;  ///< of the machine
  std::string objective = "edp";
  DesignTotals totals;
  std::vector<DesignLayer> layers;
  std::vector<CpuLayer> left_to_cpu;  ///< layers of the network that the target does not run; in no total
  Json provenance = Json::object();
};

/// Totals from the costs of the layers; the area stays.
void sum_up(Design& design);

/// The layers of a design, and their schedules.
std::vector<Layer> layers_of(const Design& design);
std::vector<SchedulePtr> schedules_of(const Design& design);

/// Evaluates a design exactly: fills in the costs of its layers and its totals. Throws as
/// Target::check_hardware and Target::costs.
void evaluate(Design& design, const Target& target);

/// Reads and checks a design file of one network, or that of a network behind a colon in a file of several
/// ("shared.json:bert"); costs are those in the file. The machine is the one that `target` names,
/// or a file beside the design, with the numbers that the design records as set, or another one where
/// `machine` names one; what `machine` sets is set beside. Its target has no surrogate.
struct LoadedDesign {
  Design design;
  TargetPtr target;
};
LoadedDesign load_design(const std::filesystem::path& path, const MachineChoice& machine = {});
Json to_json(const Design& design);

/// One network of several that share a machine's hardware.
struct SharedNetwork {
  double weight = 1;
  Design design;
  /// {hardware, totals} of the best design known for the network by itself; may be null.
  Json own;
};

/// Designs of several networks on one hardware. Schema "dosa-design/2".
struct SharedDesign {
  std::vector<SharedNetwork> networks;  ///< of the same target, hardware and objective
  std::string combine = "geomean";      ///< how the networks' objectives make one (kCombiningNames)
  double value = 0;                     ///< the joint objective
  Json provenance = Json::object();
};
Json to_json(const SharedDesign& shared);
/// Writes the JSON form atomically.
void save_design(const SharedDesign& shared, const std::filesystem::path& path);

/// What a design file of either form holds: a design for each network, each with the file's provenance.
struct LoadedDesigns {
  SharedDesign shared;     ///< of the first form: one network of weight 1, and no value
  bool is_shared = false;  ///< of the second form
  TargetPtr target;
};
/// Reads and checks a design file of either form, as load_design does, which takes the first only.
LoadedDesigns load_designs(const std::filesystem::path& path, const MachineChoice& machine = {});

/// Writes the JSON form atomically.
void save_design(const Design& design, const std::filesystem::path& path);

}  // namespace dosa
