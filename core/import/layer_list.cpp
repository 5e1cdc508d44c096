#include "dosa/core/import/layer_list.hpp"

#include <filesystem>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

constexpr std::size_t kMaxNameLength = 200;

/// Text that is equal for layers of equal shape.
std::string shape_of_layer(Layer layer) {
  layer.name.clear();
  layer.count = 1;
  return to_json(layer).dump();
}

}  // namespace

void LayerList::add(Layer layer, const std::string& where) {
  try {
    check_layer(layer);
    const auto [known, is_new] = by_shape_.emplace(shape_of_layer(layer), layers_.size());
    runs_ += layer.count;
    if (!is_new) {
      Layer& first = layers_[known->second];
      first.count += layer.count;
      check_layer(first);
      return;
    }
  } catch (const Error& error) {
    throw error.in(where);
  }
  if (layers_.size() == kMaxLayers)
    fail(ErrorId::kValue, "{}: found more than {} different layers", where, kMaxLayers);
  std::string name = shortened_in_the_middle(printable(layer.name), kMaxNameLength);
  if (name.empty()) name = fmt::format("layer{}", layers_.size() + 1);
  // A name that got a number may itself be one that the file has.
  std::string own = name;
  while (!names_.emplace(own, 1).second) own = fmt::format("{}.{}", name, ++names_[name]);
  layer.name = own;
  layers_.push_back(std::move(layer));
}

Json workload_of(const LayerList& layers, const std::string& name, const std::string& description) {
  return to_json(Workload{printable(name), description, "", layers.layers()});
}

std::string stem_of_path(const std::string& path) {
  const std::filesystem::path given(path);
  const std::filesystem::path file = given.has_filename() ? given : given.parent_path();
  std::string stem = file.stem().string();
  if (file.extension() == ".gz") stem = std::filesystem::path(stem).stem().string();
  return printable(stem.empty() ? std::string("imported") : stem);
}

}  // namespace dosa
