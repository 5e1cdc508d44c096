#include "dosa/models/base/folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>

#include "dosa/models/base/draft.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/json_input.hpp"

namespace dosa {
namespace fs = std::filesystem;
namespace {

/// The list of files in a folder that write_folder() wrote.
constexpr const char* kManifest = "dosa-files.json";
constexpr const char* kManifestSchema = "dosa-files/1";

/// The files that the list in a folder names, itself among them; none where there is no such list.
std::set<std::string> listed_files(const fs::path& folder) {
  try {
    const JsonInput manifest = JsonInput::from_file(folder / kManifest);
    manifest.require_schema(kManifestSchema);
    std::set<std::string> names{kManifest};
    for (const JsonInput& name : manifest.at("files").items()) names.insert(name.text());
    return names;
  } catch (const Error&) {
    return {};
  }
}

/// Puts `from` where `to` is; afterwards `from` holds what was there. False, with errno, where that failed.
bool exchange(const fs::path& from, const fs::path& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  // A file system that cannot exchange in one step, as many network ones: in three.
  const std::string aside = from.string() + ".old";
  if (std::rename(to.c_str(), aside.c_str()) != 0) return false;
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    const int reason = errno;
    std::rename(aside.c_str(), to.c_str());
    errno = reason;
    return false;
  }
  return std::rename(aside.c_str(), from.c_str()) == 0;
}

}  // namespace

NewFolder::NewFolder(const fs::path& folder, MayReplace may_replace, std::string older)
    : given_(folder.string()),
      target_(fs::absolute(folder).lexically_normal()),
      may_replace_(std::move(may_replace)),
      older_(std::move(older)) {
  // "out/" and "out" are the same folder, and its parent is where the temporary one belongs.
  if (!target_.has_filename()) target_ = target_.parent_path();
  check();
  remove_left_drafts(target_);
  for (int tries = 0; tries < 10; ++tries) {
    temporary_ = draft_name(target_);
    if (mkdir(temporary_.c_str(), 0777) != 0) break;
    lock_ = open(temporary_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock_ >= 0 && hold_draft(lock_)) return;
    rmdir(temporary_.c_str());
    close_lock();
  }
  fail(ErrorId::kFile, "{}: cannot be written: {}", given_, std::strerror(errno));
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
  close_lock();
}

void NewFolder::close_lock() {
  if (lock_ >= 0) close(lock_);
  lock_ = -1;
}

void NewFolder::check() const {
  std::error_code code;
  const fs::path parent = target_.parent_path();
  if (!fs::is_directory(parent, code)) {
    fail(ErrorId::kFile, "{}: cannot be written: the folder {} does not exist", given_, parent.string());
  }
  if (!fs::exists(target_, code)) return;
  if (!fs::is_directory(target_, code))
    fail(ErrorId::kFile, "{}: is no folder, expected a folder to write to", given_);
  for (const fs::directory_entry& entry : fs::directory_iterator(target_, code)) {
    if (may_replace_(entry)) continue;
    fail(ErrorId::kFile, "{}: holds '{}'; expected a new folder, an empty one, or {} alone", given_,
         entry.path().filename().string(), older_);
  }
  if (code) fail(ErrorId::kFile, "{}: cannot be read: {}", given_, code.message());
}

void NewFolder::commit() {
  check();
  std::error_code code;
  const bool replaces = fs::exists(target_, code);
  const bool done =
      replaces ? exchange(temporary_, target_) : std::rename(temporary_.c_str(), target_.c_str()) == 0;
  if (!done) fail(ErrorId::kFile, "{}: cannot be written: {}", given_, std::strerror(errno));
  if (replaces) fs::remove_all(temporary_, code);  // now the old content
  temporary_.clear();
}

void write_folder(const fs::path& folder, const std::string& kind, const std::vector<OutputFile>& files) {
  const std::set<std::string> earlier = listed_files(folder);
  const auto is_listed = [&](const fs::directory_entry& entry) {
    return earlier.count(entry.path().filename().string()) > 0 && !entry.is_directory();
  };
  NewFolder target(folder, is_listed, "an earlier export");
  Json names = Json::array();
  for (const OutputFile& file : files) {
    write_file(target.path() / file.name, file.content);
    names.push_back(file.name);
  }
  write_file(target.path() / kManifest,
             Json{{"schema", kManifestSchema}, {"kind", kind}, {"files", names}}.dump(2) + "\n");
  target.commit();
}

}  // namespace dosa
