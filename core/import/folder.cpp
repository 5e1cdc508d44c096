#include "dosa/core/import/folder.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/json_input.hpp"

namespace dosa {
namespace {
namespace fs = std::filesystem;

constexpr std::size_t kMaxFiles = 10000;  // of one folder
constexpr std::int64_t kMaxRuns = 1 << 24;
constexpr std::size_t kNamed = 3;  // files left out that a remark names

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    std::error_code ignored;
    if (!entry.is_regular_file(ignored) || entry.path().filename().string().front() == '.') continue;
    paths.push_back(entry.path().string());
    if (paths.size() > kMaxFiles)
      fail(ErrorId::kFile, "{}: found more than the {} files that are allowed", folder, kMaxFiles);
  }
  if (code) fail(ErrorId::kFile, "{}: cannot be read: {}", folder, code.message());
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// A name of a list and how often it runs.
struct Entry {
  JsonInput name;
  std::int64_t count;
};

/// The content of a YAML file that may have any form.
std::optional<JsonInput> yaml_of(const std::string& path) {
  try {
    return JsonInput::from_yaml(read_file(path), path);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// The entries of a list; none where the file has another form.
std::vector<Entry> entries_of(const std::string& path) {
  std::vector<Entry> entries;
  const auto list = yaml_of(path);
  if (list && list->is_array()) {
    for (const JsonInput& name : list->items()) {
      if (!name.is_text()) return {};
      entries.push_back({name, 1});
    }
  } else if (list && list->is_object()) {
    for (const auto& [shape, entry] : list->entries()) {
      if (!entry.is_object() || !entry.find("name") || !entry.find("count")) return {};
      entries.push_back({entry.at("name"), entry.at("count").integer(1, kMaxRuns)});
    }
  }
  return entries;
}

std::optional<FolderFiles> listed_files(const std::vector<std::string>& all,
                                        std::vector<std::string>& remarks) {
  for (const char* name : {"layer_count.yaml", "layers.yaml"}) {
    const auto list = std::find_if(
        all.begin(), all.end(), [&](const std::string& path) { return fs::path(path).filename() == name; });
    const std::vector<Entry> entries = list == all.end() ? std::vector<Entry>{} : entries_of(*list);
    if (entries.empty()) continue;
    FolderFiles listed{{}, *list};
    for (const Entry& entry : entries) {
      const std::string path = (fs::path(*list).parent_path() / (entry.name.text() + ".yaml")).string();
      if (std::find(all.begin(), all.end(), path) == all.end())
        fail(ErrorId::kValue, "{}: found {}, of which the folder has no file", entry.name.where(), path);
      const auto known = std::find_if(listed.files.begin(), listed.files.end(),
                                      [&](const FolderFile& file) { return file.path == path; });
      if (known == listed.files.end()) {
        listed.files.push_back({path, entry.count});
      } else {
        known->count += entry.count;
      }
    }
    std::vector<std::string> others;
    for (const std::string& path : all) {
      if (path != *list && std::none_of(listed.files.begin(), listed.files.end(),
                                        [&](const FolderFile& file) { return file.path == path; }))
        others.push_back(fs::path(path).filename().string());
    }
    if (!others.empty()) {
      const std::size_t more = others.size() - std::min(others.size(), kNamed);
      others.resize(others.size() - more);
      remarks.push_back(fmt::format("{}: left out, since not named there: {}{}", *list,
                                    fmt::join(others, ", "),
                                    more > 0 ? fmt::format(" and {} more", more) : ""));
    }
    return listed;
  }
  return std::nullopt;
}

}  // namespace

FolderFiles files_of_folder(const std::string& folder, std::vector<std::string>& remarks) {
  const std::vector<std::string> all = files_in(folder);
  if (auto listed = listed_files(all, remarks)) return *listed;
  FolderFiles files;
  for (const std::string& path : all) files.files.push_back({path});
  return files;
}

}  // namespace dosa
