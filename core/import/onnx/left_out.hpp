// What a network computes besides its layers.
#pragma once

#include <map>
#include <string>

#include "dosa/models/base/json_input.hpp"

namespace dosa::onnx_import {

/// Operators that are not counted, by their name.
class LeftOut {
 public:
  /// Elements and bytes of `repeats` runs of one node.
  void add(const std::string& operation, double repeats, double elements, double bytes, bool is_unknown);
  /// Elements that the layers write.
  void add_layer(double elements) { layer_elements_ += elements; }

  /// A table: operator, how often, its share of the elements that all operators write, and what it moves
  /// where every operator reads its inputs and writes its outputs once.
  std::string table() const;
  /// One line of it; empty where nothing is left out.
  std::string brief() const;
  Json json() const;

 private:
  struct Entry {
    double count = 0, elements = 0, bytes = 0;
    bool is_unknown = false;
  };
  double all_elements() const;
  std::string unknown_names() const;

  std::map<std::string, Entry> entries_;
  double layer_elements_ = 0;
};

}  // namespace dosa::onnx_import
