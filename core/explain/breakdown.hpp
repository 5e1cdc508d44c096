// Where the cycles and the energy of a layer go, level by level and tensor by tensor, as its target's cost
// model counts them. Without tensors, so that texts and reports can be made of it anywhere.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "dosa/models/layer.hpp"

namespace dosa {

/// What one tensor moves at one level, over all instances in use.
struct TensorAccesses {
  double reads = 0, writes = 0, updates = 0;  ///< words; a write is a fill from the next level outside
  double energy_uj = 0;
  double cycles = 0;  ///< that the level would take for this tensor alone; 0: no bandwidth

  double words() const { return reads + writes + updates; }
};

/// One memory level.
struct LevelBreakdown {
  std::string name;   ///< "scratchpad"
  std::string label;  ///< "L2[WI]"
  OperandSet holds{};
  std::array<TensorAccesses, kOperands> tensors;  ///< by Operand; zeros where not held
  double energy_uj = 0;
  double cycles = 0;  ///< that its bandwidth asks for, not rounded up; 0: no bandwidth
  /// What tiles take and may take, in `size_unit`; no capacity: unlimited.
  double used = 0;
  std::optional<double> capacity;
  std::string size_unit;  ///< "KiB" (all instances together, of one buffer) or "words" (of one instance)
  double used_instances = 0, instances = 0;  ///< a mean where blocks are partial

  /// used / capacity; 0 without a capacity.
  double fill() const { return capacity && *capacity > 0 ? used / *capacity : 0; }
};

/// How much of one axis of the array is used.
struct AxisUse {
  std::string where;  ///< "rows", "columns", "buffer X"
  std::string dims;   ///< the dimensions that stand along it in this layer, "C"; empty: none does
  double size = 1;    ///< what is built
  double used = 1;    ///< a mean where blocks are partial
};

/// One run of one group of a layer.
struct Breakdown {
  double cycles = 0;  ///< those of the design: where there is a surrogate, its prediction
  double energy_uj = 0;
  double mac_energy_uj = 0;
  double macs = 0;                     ///< that are executed, padding included
  double compute_cycles = 0;           ///< of the MACs alone, one a cycle in every multiplier that is used
  double multipliers = 0;              ///< that are built
  std::vector<LevelBreakdown> levels;  ///< innermost first; the last one is DRAM
  std::vector<AxisUse> axes;
  std::string padding;  ///< the sizes that are computed as larger ones, "P 197 as 203"; empty: none
  /// Every element of each tensor that is used, once, by Operand: what moves to or from DRAM at least.
  std::array<double, kOperands> compulsory_words{};
  double compulsory_cycles = 0;  ///< of DRAM for these; 0: it has no bandwidth
  /// Where a surrogate predicts the cycles: what of its physical base takes longest, "load", "execute",
  /// "store" or "overhead"; "unknown" where it has no such base. Empty: cycles are those of the levels.
  std::string dominated_by;
  std::optional<double> cycles_sd_log;  ///< standard deviation of log(cycles), where they are predicted
};

}  // namespace dosa
