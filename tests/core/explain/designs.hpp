// Designs that tests of the analysis look at: every shipped network on every shipped machine, quickly mapped.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/search/exhaustive.hpp"
#include "dosa/core/targets/target.hpp"

namespace dosa::testing {

inline const std::vector<std::string>& all_machines() {
  static const std::vector<std::string> machines{"gemmini-tl", "gemmini-rtl", "eyeriss",
                                                 "simba",      "nvdla",       "tpu"};
  return machines;
}
/// The shipped networks to look at on a machine: of the list of all each third one, so that every network is
/// looked at on two machines of six; all where DOSA_ALL_PAIRS is set in the environment.
std::vector<std::string> networks_for(const std::string& machine);

inline TargetPtr target_of(const MachineChoice& machine) {
  TargetOptions options;
  options.shipped_surrogate = machine.name_or_path == "gemmini-rtl";
  return load_target(machine, options);
}

/// The network on the machine's default hardware: the library's tiles where the target has such a library,
/// else mappings of a short search. Evaluated.
Design quick_design(const std::string& network, const TargetPtr& target);

}  // namespace dosa::testing
