// What the readers' functions have in common.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "dosa/models/layer.hpp"
#include "tests/support.hpp"

namespace dosa::testing {

/// The files of a folder of the corpus, in the order of their names.
std::vector<std::string> corpus_of(const std::string& folder);
std::string corpus_file(const std::string& name);

/// For readers that take a path.
class Scratch {
 public:
  std::filesystem::path with(const std::string& bytes, const std::string& name = "input") const;

 private:
  std::shared_ptr<TemporaryFolder> folder_ = std::make_shared<TemporaryFolder>();
};

/// Throws std::logic_error, which no right refusal is.
void require(bool good, const char* what);

/// A layer that every machine runs.
Layer small_layer();

}  // namespace dosa::testing
