// What limits a design and what a little more of everything would give: the one analysis that the text of
// `dosa explain`, its JSON and the HTML report are made of.
//
// A DesignAnalysis holds, for every layer and for the network (each layer times its count):
//  - utilisation = MACs of the layer / (multipliers built x cycles), and the three factors that it is the
//    product of (Utilisation): the MACs that padding does not waste, the multipliers that work while any
//    does, and the cycles that do not wait for a memory;
//  - what binds latency (Bound): compute, or a level and the tensor that takes most of its bandwidth;
//  - how far the cycles are from two lower bounds: every multiplier busy in every cycle, and every word of
//    every tensor moved from or to DRAM once, at DRAM's bandwidth;
//  - energy by level and tensor, the largest shares first;
//  - why (Reason), the largest loss first;
// and for the design as it is, schedules fixed: d log {EDP, energy, latency, area} / d log of every number of
// the machine (Sensitivity), by autograd through the cost model, beside what the exact model says to 10 %
// more and less of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dosa/core/design/design.hpp"
#include "dosa/core/explain/breakdown.hpp"
#include "dosa/core/targets/target.hpp"

namespace dosa {

/// Shares from 0 to 1; their product is the utilisation. `of_*` each compare with the one before.
struct Utilisation {
  double unpadded = 1;  ///< MACs of the layer / MACs that are executed
  double spread = 1;    ///< multipliers that work while any does / multipliers built
  double busy = 1;      ///< cycles of the MACs alone / cycles
  double value() const { return unpadded * spread * busy; }
};

/// What binds the latency of a layer.
struct Bound {
  std::string by;                 ///< "compute", a level's name, or "overhead" (of calls, by a surrogate)
  std::optional<Operand> tensor;  ///< the one that moves most words through that level
  /// "compute", "dram I": in a table.
  std::string text() const;
};

/// One reason why a layer is above its bounds.
struct Reason {
  enum class Kind { kPadding, kSpread, kBandwidth, kOverhead, kRefetch, kFullBuffer };
  Kind kind;
  double factor;     ///< by how much it raises the cycles (kRefetch, kFullBuffer: the words of DRAM), over 1
  std::string text;  ///< a clause: "C 3 of 128 rows"
};
/// "padding", "spread", "bandwidth", "overhead", "refetch", "full-buffer": in JSON.
const char* to_string(Reason::Kind kind);

/// A share of the energy. Of the MACs where there is no level.
struct EnergyShare {
  std::string level;  ///< empty: the MACs
  std::optional<Operand> tensor;
  double energy_uj = 0;      ///< of one run with all groups; in total: of the network
  double share = 0;          ///< of the layer's (network's) energy
  std::string text() const;  ///< "dram I", "MACs"
};

struct LayerAnalysis {
  Layer layer;
  std::string schedule;  ///< for people
  Breakdown breakdown;   ///< of one group
  double cycles = 0;     ///< of one run with all groups, as all below
  double energy_uj = 0;
  /// What the layer has of the network's cycles and energy, times its count; and the mean of the two, which
  /// is its share of EDP to first order: d log EDP = share_of_cycles d log cycles + share_of_energy d log
  /// energy. Each adds up to 1 over the network.
  double share_of_cycles = 0, share_of_energy = 0, share_of_edp = 0;
  Utilisation utilisation;
  Bound bound;
  double compute_bound_cycles = 0;  ///< all multipliers busy in every cycle
  double traffic_bound_cycles = 0;  ///< every word once at DRAM's bandwidth; 0: DRAM has no bandwidth
  double dram_words = 0;            ///< that move to and from DRAM
  double compulsory_words = 0;      ///< every element of every tensor that is used, once
  std::vector<EnergyShare> energy;  ///< all of it, the largest first
  std::vector<Reason> reasons;      ///< of the cycles, the largest first, then of the words of DRAM
  /// cycles / the larger of the two bounds.
  double over_bound() const;
};

/// What a change of one number does to the design, as changes of the logarithm.
struct Effects {
  double edp = 0, energy = 0, latency = 0, area = 0;
};

/// A number of the machine, named as --set takes it, or a size, as --size does.
struct Sensitivity {
  MachineNumber number;
  Effects slope;  ///< d log(...) / d log(value), by autograd; schedules fixed
  /// Relative changes (0.1: 10 % more) at 1.1 and 0.9 times the value, by the exact model; schedules fixed.
  Effects more, less;
  /// Where an ensemble predicts the latency: standard deviation of slope.latency over its networks.
  std::optional<double> latency_sd;
  /// The search run again with another value, only where that was asked for.
  struct Searched {
    double value = 0;
    Effects change;       ///< relative, to the design
    std::string problem;  ///< why there is none
  };
  std::vector<Searched> searched;
  /// Relative change of EDP that the slope gives for another value.
  double by_slope(double value) const;
  /// Whether a search (without a problem) and the slope give EDP changes of one sign and one size, within a
  /// factor of 1.5 of the logarithm, or both next to nothing.
  bool agrees(const Searched& found) const;
};

struct DesignAnalysis {
  Design design;  ///< evaluated
  std::vector<LayerAnalysis> layers;
  // Of the network, every layer times its count and groups:
  Utilisation utilisation;  ///< weighted by cycles
  double compute_bound_cycles = 0, traffic_bound_cycles = 0;
  double bound_cycles = 0;  ///< sum over layers of the larger of the two
  double dram_words = 0, compulsory_words = 0;
  std::vector<EnergyShare> energy;  ///< by level and tensor, the largest first
  struct CyclesShare {
    Bound bound;
    double share = 0;  ///< of the network's cycles in layers that this binds
  };
  std::vector<CyclesShare> bounds;         ///< the largest first
  std::vector<Sensitivity> sensitivities;  ///< by the size of the slope of EDP, the largest first
  /// What a search finds on the hardware as it is, where search_again() looked.
  std::optional<DesignTotals> searched;
};

/// Analyses the layers of an evaluated design, without what the analysis of a whole design adds. Throws as
/// Target::price().
std::vector<LayerAnalysis> analyse_layers(const Design& design, const Target& target);
/// Evaluates a design on its target and analyses it. Throws as evaluate().
DesignAnalysis analyse(Design design, const Target& target);
/// What the sensitivities are of: the design's schedules with their prices.
std::vector<Sensitivity> sensitivities(const Design& design, const PricedSchedules& priced);

/// The table of a design for people: per layer count, cycles, energy, share of the EDP, utilisation and what
/// binds, with its schedule below; totals; hardware.
std::string report(const Design& design, const Target& target);

/// What one layer does, level by level and tensor by tensor: accesses, energy, cycles, use. One run with all
/// groups.
std::string details(const LayerAnalysis& layer);
/// An object "layer analysis", documented in core/cli/README.md.
Json to_json(const LayerAnalysis& layer);

/// Schema "dosa-explain/1", documented in core/explain/README.md.
Json to_json(const DesignAnalysis& analysis);
/// For people, in 80 columns.
std::string report(const DesignAnalysis& analysis);

}  // namespace dosa
