#include "dosa/core/import/importer.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "dosa/core/import/file_kind.hpp"
#include "dosa/core/import/folder.hpp"
#include "dosa/core/import/layer_list.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {
namespace fs = std::filesystem;

constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

/// The files of one import as they are met: all of one format.
class Sources {
 public:
  explicit Sources(std::vector<std::string>& remarks) : remarks_(remarks) {}

  void add(const std::string& path, bool from_folder, std::int64_t count = 1) {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) expect_kind(path, Wanted::kImport);  // a shipped name
    ImportSource source{path, read_start(path, kStart), count};
    const Importer* own = importer_of(source);
    source.content = own != nullptr ? own->content_of(path) : read_file(path);
    if (own == nullptr) own = importer_of(source);
    bytes_ += source.content.size();
    if (bytes_ > kMaxBytes)
      fail(ErrorId::kFile, "{}: found more than the {} MiB that are read at once", path, kMaxBytes >> 20);
    if (own == nullptr && from_folder) {
      remarks_.push_back(fmt::format("{}: left out, a file of no format that can be imported", path));
      return;
    }
    if (own == nullptr) fail_as_unknown(path);
    if (format != nullptr && own != format) {
      fail(ErrorId::kValue, "{}: found a file of {} after one of {}, files of one import are of one format",
           path, own->name(), format->name());
    }
    format = own;
    list.push_back(std::move(source));
  }

  std::vector<ImportSource> list;
  const Importer* format = nullptr;

 private:
  static void fail_as_unknown(const std::string& path) {
    expect_kind(path, Wanted::kImport);  // says what it is where that is known
    std::vector<std::string> known;
    for (const Importer* candidate : importers())
      known.push_back(fmt::format("{} ({})", candidate->name(), candidate->description()));
    fail(ErrorId::kValue, "{}: found a file of no format that can be imported; formats: {}", path,
         fmt::join(known, ", "));
  }

  std::vector<std::string>& remarks_;
  std::size_t bytes_ = 0;
};

}  // namespace

std::string Importer::content_of(const std::string& path) const { return read_file(path); }

const std::vector<const Importer*>& importers() {
  static const std::vector<const Importer*> all{&onnx_importer(),    &timeloop_importer(),
                                                &zigzag_importer(),  &scale_sim_importer(),
                                                &maestro_importer(), &gamma_importer()};
  return all;
}

const Importer* importer_of(const ImportSource& source) {
  const bool binary = std::string_view(source.content).substr(0, kStart).find('\0') != std::string_view::npos;
  for (const Importer* candidate : importers()) {
    if ((candidate->is_binary() || !binary) && candidate->knows(source)) return candidate;
  }
  return nullptr;
}

Imported import_files(const std::vector<std::string>& paths, const ImportOptions& given) {
  ImportOptions options = given;
  std::vector<std::string> remarks;
  Sources sources(remarks);
  for (const std::string& path : paths) {
    std::error_code ignored;
    const bool is_folder = fs::is_directory(path, ignored);
    if (is_folder && paths.size() == 1 && options.name.empty()) options.name = stem_of_path(path);
    if (!is_folder) {
      sources.add(path, false);
      continue;
    }
    const FolderFiles folder = files_of_folder(path, remarks);
    for (const FolderFile& file : folder.files) sources.add(file.path, folder.list.empty(), file.count);
    if (!folder.list.empty() && sources.format != &timeloop_importer()) {
      fail(ErrorId::kValue, "{}: names files of {}, expected Timeloop problems", folder.list,
           sources.format->name());
    }
  }
  if (paths.empty()) fail(ErrorId::kUsage, "import: no file is named");
  if (sources.format == nullptr)
    fail(ErrorId::kFile,
         "{}: is a folder without a file that can be imported, expected a file or files of one format",
         paths.front());
  if (options.has_sizes() && !sources.format->has_open_sizes()) {
    fail(ErrorId::kUsage, "--batch, --sequence, --past, --dim: {} is {}, in which all sizes are fixed",
         sources.list.front().path, sources.format->kind());
  }
  Imported imported = sources.format->read(sources.list, options);
  imported.remarks.insert(imported.remarks.begin(), remarks.begin(), remarks.end());
  return imported;
}

}  // namespace dosa
