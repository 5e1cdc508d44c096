// Collecting the layers of a network that another program's file describes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "dosa/models/workload.hpp"

namespace dosa {

/// The layers of a network in the order of the file. Equal ones (sizes, strides, dilations, groups, padding,
/// input) become one layer, under the name of the first, whose count is the sum of theirs.
class LayerList {
 public:
  /// `where` stands for the layer in errors. Without a name it is called after its place; a name that an
  /// earlier layer has gets a number. Throws Error{kValue} for sizes that no layer may have, and where there
  /// are more different layers than kMaxLayers.
  void add(Layer layer, const std::string& where);

  bool empty() const { return layers_.empty(); }
  /// How many layers were added, equal ones included, each with its count.
  std::int64_t runs() const { return runs_; }
  const std::vector<Layer>& layers() const { return layers_; }

 private:
  std::vector<Layer> layers_;
  std::map<std::string, std::size_t> by_shape_;  ///< the place in layers_
  std::map<std::string, std::int64_t> names_;    ///< how many layers have asked for a name
  std::int64_t runs_ = 0;
};

/// The content of a workload's file with these layers.
Json workload_of(const LayerList& layers, const std::string& name, const std::string& description);

/// The name of a file without folder and endings, for a network: "nets/resnet.v1.onnx" is "resnet.v1".
std::string stem_of_path(const std::string& path);

}  // namespace dosa
