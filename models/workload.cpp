#include "dosa/models/workload.hpp"

#include <set>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {

Workload load_workload(const std::string& name_or_path) {
  const JsonInput json = JsonInput::from_file(resolve_shipped(name_or_path, "workloads"));
  json.require_schema("dosa-workload/1");
  json.allow_only({"schema", "name", "description", "source", "layers"});
  Workload workload;
  workload.name = json.at("name").text();
  if (const auto text = json.find("description")) workload.description = text->text();
  if (const auto text = json.find("source")) workload.source = text->text();
  std::set<std::string> names;
  for (const JsonInput& item : json.at("layers").items()) {
    workload.layers.push_back(layer_from_json(item));
    if (!names.insert(workload.layers.back().name).second) {
      fail(ErrorId::kValue, "{}: '{}' names an earlier layer too; expected distinct names",
           item.at("name").where(), workload.layers.back().name);
    }
  }
  if (workload.layers.empty()) {
    fail(ErrorId::kValue, "{}: found an empty list, expected at least one layer", json.at("layers").where());
  }
  return workload;
}

}  // namespace dosa
