// A network wherever one is taken: shipped, in a file of ours, or in another program's file.
#pragma once

#include <string>
#include <vector>

#include "dosa/models/workload.hpp"

namespace dosa {

struct LoadedNetwork {
  Workload workload;
  /// One line each: what another program's file holds that is not counted.
  std::vector<std::string> remarks;
};

/// A shipped network's name, a JSON or YAML file of ours, or a file or folder of any format that can be
/// imported. Throws Error; where the file is known to be something else, it says what and which command takes
/// or converts it.
LoadedNetwork load_network(const std::string& name_or_path);

}  // namespace dosa
