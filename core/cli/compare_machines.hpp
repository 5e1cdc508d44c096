// dosa compare --machines: the best design of a network, or of several together, on each of several machines
// within the same area.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/cli/search_flags.hpp"

namespace dosa::cli {

/// What the searches on several machines have in common.
struct MachinesAsked {
  std::vector<std::string> workloads;  ///< one, or several with weights, that share the hardware
  std::string objective, combine;
  std::vector<std::string> machines;  ///< shipped names or files
  NumberChanges set;                  ///< of each of them
  SizeFlags sizes;
  TargetOptions options;  ///< a surrogate is that of the Gemminis among them
  SearchLimits limits;
  bool quiet = false;
};

/// Searches the network's best design on every machine and prints a row for each, the best by the objective
/// first: area, latency, energy, EDP, how many times the best one's objective (of several networks the area,
/// each one's objective and the joint one); then the sizes found and what
/// tells whether the machines' energies and areas are comparable (Machine::cost_basis). A machine that
/// cannot keep the limits or run a layer has the reason in its row. Throws Error where that holds for all,
/// and, before any search, for machines that cannot be read or are named twice.
void compare_machines(const MachinesAsked& asked, const Output& output);

}  // namespace dosa::cli
