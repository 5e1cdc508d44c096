// A network: its distinct layers and how often each runs.
#pragma once

#include <string>
#include <vector>

#include "dosa/models/layer.hpp"

namespace dosa {

/// The most layers of a network.
inline constexpr std::size_t kMaxLayers = 10000;

/// Schema "dosa-workload/2": {schema, name, description?, source?, layers: [layer, ...]}. "dosa-workload/1"
/// is the same without padding whose sides differ.
struct Workload {
  std::string name;
  std::string description;
  std::string source;
  std::vector<Layer> layers;
};

/// A shipped network's name or the path of a JSON or YAML file. Throws Error.
Workload load_workload(const std::string& name_or_path);

/// The content of a workload's file. Throws Error with file and key.
Workload workload_from_json(const JsonInput& json);
/// The same form back, of the first version that can say it.
Json to_json(const Workload& workload);

}  // namespace dosa
