#include "tests/fuzz/inputs.hpp"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "dosa/models/base/files.hpp"

namespace dosa::testing {
namespace fs = std::filesystem;

namespace {

fs::path corpus() { return fs::path(DOSA_TEST_SOURCE) / "tests/fuzz/corpus"; }

}  // namespace

std::vector<std::string> corpus_of(const std::string& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(corpus() / folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> contents;
  for (const fs::path& path : paths) contents.push_back(read_file(path));
  return contents;
}

std::string corpus_file(const std::string& name) { return read_file(corpus() / name); }

fs::path Scratch::with(const std::string& bytes, const std::string& name) const {
  const fs::path path = folder_->path() / name;
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

void require(bool good, const char* what) {
  if (!good) throw std::logic_error(what);
}

Layer small_layer() {
  Layer layer;
  layer.name = "small";
  layer.size = {3, 3, 8, 8, 4, 8, 1};
  layer.padding = 1;
  return layer;
}

}  // namespace dosa::testing
