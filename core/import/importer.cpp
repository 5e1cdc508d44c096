#include "dosa/core/import/importer.hpp"

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {

const std::vector<const Importer*>& importers() {
  static const std::vector<const Importer*> all{&timeloop_importer()};
  return all;
}

Imported import_files(const std::vector<std::string>& paths, const ImportOptions& options) {
  std::vector<ImportSource> sources;
  const Importer* format = nullptr;
  for (const std::string& path : paths) {
    sources.push_back({path, read_file(path)});
    const Importer* own = nullptr;
    std::vector<std::string> known;
    for (const Importer* candidate : importers()) {
      if (own == nullptr && candidate->knows(sources.back())) own = candidate;
      known.push_back(fmt::format("{} ({})", candidate->name(), candidate->description()));
    }
    if (own == nullptr) {
      fail(ErrorId::kValue, "{}: found a file of no format that can be imported; formats: {}", path,
           fmt::join(known, ", "));
    }
    if (format != nullptr && own != format) {
      fail(ErrorId::kValue, "{}: found a file of {} after one of {}, files of one import are of one format",
           path, own->name(), format->name());
    }
    format = own;
  }
  if (format == nullptr) fail(ErrorId::kUsage, "import: no file is named");
  return format->read(sources, options);
}

}  // namespace dosa
