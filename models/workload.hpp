// A network: its distinct layers and how often each runs.
#pragma once

#include <string>
#include <vector>

#include "dosa/models/layer.hpp"

namespace dosa {

/// Schema "dosa-workload/1": {schema, name, description?, source?, layers: [layer, ...]}.
struct Workload {
  std::string name;
  std::string description;
  std::string source;
  std::vector<Layer> layers;
};

/// A shipped network's name or the path of a JSON or YAML file. Throws Error.
Workload load_workload(const std::string& name_or_path);

}  // namespace dosa
