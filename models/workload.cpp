#include "dosa/models/workload.hpp"

#include <algorithm>
#include <set>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {

constexpr const char* kFirstSchema = "dosa-workload/1";
constexpr const char* kSecondSchema = "dosa-workload/2";

/// The key of a layer that a file of the first version cannot have, as it has no such layers; null: none.
const char* newer_key(const Layer& layer) {
  if (layer.uneven_padding) return "padding";
  if (layer.kind != LayerKind::kWeights) return "kind";
  return layer.word_bits != WordBits{} ? "word_bits" : nullptr;
}

}  // namespace

Workload load_workload(const std::string& name_or_path) {
  return workload_from_json(JsonInput::from_file(resolve_shipped(name_or_path, "workloads")));
}

Workload workload_from_json(const JsonInput& json) {
  const JsonInput schema = json.at("schema");
  const bool is_first = schema.text() == kFirstSchema;
  if (!is_first && schema.text() != kSecondSchema) {
    fail(ErrorId::kSchema, "{}: found \"{}\", this program reads \"{}\" and \"{}\" here", schema.where(),
         schema.text(), kFirstSchema, kSecondSchema);
  }
  json.allow_only({"schema", "name", "description", "source", "layers"});
  Workload workload;
  workload.name = json.at("name").name();
  if (const auto text = json.find("description")) workload.description = text->text();
  if (const auto text = json.find("source")) workload.source = text->text();
  std::set<std::string> names;
  const std::vector<JsonInput> items = json.at("layers").items();
  if (items.size() > kMaxLayers) {
    fail(ErrorId::kValue, "{}: found {} layers, expected at most {}", json.at("layers").where(), items.size(),
         kMaxLayers);
  }
  for (const JsonInput& item : items) {
    workload.layers.push_back(layer_from_json(item));
    const Layer& layer = workload.layers.back();
    if (const char* key = newer_key(layer); is_first && key != nullptr) {
      fail(ErrorId::kSchema, "{}: found {}, which needs schema \"{}\"", item.at(key).where(),
           layer.uneven_padding ? "a padding for each side" : key, kSecondSchema);
    }
    if (!names.insert(layer.name).second) {
      fail(ErrorId::kValue, "{}: '{}' names an earlier layer too; expected distinct names",
           item.at("name").where(), layer.name);
    }
  }
  if (workload.layers.empty()) {
    fail(ErrorId::kValue, "{}: found an empty list, expected at least one layer", json.at("layers").where());
  }
  return workload;
}

Json to_json(const Workload& workload) {
  const bool needs_second = std::any_of(workload.layers.begin(), workload.layers.end(),
                                        [](const Layer& layer) { return newer_key(layer) != nullptr; });
  Json json{{"schema", needs_second ? kSecondSchema : kFirstSchema}, {"name", workload.name}};
  if (!workload.description.empty()) json["description"] = workload.description;
  if (!workload.source.empty()) json["source"] = workload.source;
  json["layers"] = Json::array();
  for (const Layer& layer : workload.layers) json["layers"].push_back(to_json(layer));
  return json;
}

}  // namespace dosa
