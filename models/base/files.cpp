#include "dosa/models/base/files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <numeric>
#include <optional>

#include "dosa/models/base/draft.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace fs = std::filesystem;
namespace {

// Larger files are not ours. Packed data is bounded by what it unpacks to.
constexpr std::size_t kMaxPlain = std::size_t{1} << 30;
constexpr std::size_t kMaxUnpacked = std::size_t{256} << 20;

std::string system_reason() { return std::strerror(errno); }

/// The data that was installed with this program, wherever that is now.
fs::path data_beside_program() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path() / ".." / DOSA_DATA_FROM_PROGRAM;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Where the content of `path` really goes: a link stays, the file that it leads to is replaced, or made.
fs::path behind_links(const fs::path& path) {
  constexpr int kMostLinks = 40;
  std::error_code ignored;
  fs::path target = path;
  for (int links = 0; fs::is_symlink(target, ignored); ++links) {
    if (links == kMostLinks)
      fail(ErrorId::kFile, "{}: cannot be written: leads through more than {} links", path.string(),
           kMostLinks);
    const fs::path next = fs::read_symlink(target, ignored);
    target = next.is_absolute() ? next : folder_of(target) / next;
  }
  return target;
}

/// Everything, or the first `bytes`.
std::string read_content(const fs::path& path, std::optional<std::size_t> bytes) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    fail(ErrorId::kFile, "{}: is a folder, expected a file", path.string());
  errno = 0;
  // Without waiting for someone who writes to a pipe, which is refused below.
  const int descriptor = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) fail(ErrorId::kFile, "{}: cannot be read: {}", path.string(), system_reason());
  // gzdopen reads plain files as they are and unpacks gzip; it closes the descriptor.
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzdopen(descriptor, "rb"), gzclose);
  if (!file) {
    close(descriptor);
    fail(ErrorId::kFile, "{}: cannot be read: {}", path.string(), system_reason());
  }
  struct stat status {};
  if (fstat(descriptor, &status) != 0)
    fail(ErrorId::kFile, "{}: cannot be read: {}", path.string(), system_reason());
  if (!S_ISREG(status.st_mode)) {
    fail(ErrorId::kFile, "{}: is a pipe or a device, expected a regular file; pipes and devices are not read",
         path.string());
  }
  const auto too_large = [&](const char* verb, std::size_t most) {
    fail(ErrorId::kFile, "{}: {} more than the {} MiB that are allowed", path.string(), verb, most >> 20);
  };
  if (!bytes && static_cast<std::size_t>(status.st_size) > kMaxPlain) too_large("holds", kMaxPlain);
  std::string content;
  // Of a file of hundreds of megabytes every growth would copy all of it.
  content.reserve(std::min<std::size_t>(bytes.value_or(kMaxPlain), static_cast<std::size_t>(status.st_size)));
  std::array<char, 1 << 16> buffer;
  int count = 0;
  while ((count = gzread(file.get(), buffer.data(), buffer.size())) > 0) {
    content.append(buffer.data(), static_cast<std::size_t>(count));
    if (bytes && content.size() >= *bytes) {
      content.resize(*bytes);
      return content;
    }
    const bool plain = gzdirect(file.get()) != 0;
    const std::size_t most = plain ? kMaxPlain : kMaxUnpacked;
    if (content.size() > most) too_large(plain ? "holds" : "unpacks to", most);
  }
  int code = Z_OK;
  const char* reason = gzerror(file.get(), &code);
  if (count < 0 || (code != Z_OK && code != Z_STREAM_END)) {
    fail(ErrorId::kFile, "{}: cannot be read: {}", path.string(), code == Z_ERRNO ? system_reason() : reason);
  }
  return content;
}

/// A file that gets its name once it is complete. Until then it has none, where the file system can do that;
/// elsewhere, and while it replaces an older one, it has a draft_name().
class Draft {
 public:
  explicit Draft(const fs::path& path) : path_(path.string()) {
    file_ = open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (file_ >= 0 && access(as_link().c_str(), F_OK) == 0) {
      flock(file_, LOCK_EX | LOCK_NB);  // for when it gets a draft's name; nobody else has it
      return;
    }
    do {
      close_file();
      name_ = draft_name(path_);
      file_ = open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (file_ < 0 ? errno == EEXIST : !hold_draft(file_));
    if (file_ < 0) {
      name_.clear();
      fail_to_write();
    }
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() {
    close_file();
    if (!name_.empty()) unlink(name_.c_str());
  }

  void write(const std::string& content) {
    for (std::size_t done = 0; done < content.size();) {
      const ssize_t count = ::write(file_, content.data() + done, content.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail_to_write();
      done += static_cast<std::size_t>(count);
    }
  }

  /// Flushed to disk, then in place of what is there.
  void commit() {
    if (fsync(file_) != 0) fail_to_write();
    // Only a link to a name that is free is made in one step.
    while (name_.empty()) {
      if (linkat(AT_FDCWD, as_link().c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) == 0) return;
      if (errno != EEXIST) fail_to_write();
      const std::string name = draft_name(path_);
      if (linkat(AT_FDCWD, as_link().c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
        name_ = name;
      } else if (errno != EEXIST) {
        fail_to_write();
      }
    }
    if (std::rename(name_.c_str(), path_.c_str()) != 0) fail_to_write();
    name_.clear();
  }

 private:
  std::string as_link() const { return fmt::format("/proc/self/fd/{}", file_); }
  void close_file() {
    if (file_ >= 0) close(file_);
    file_ = -1;
  }
  [[noreturn]] void fail_to_write() const {
    fail(ErrorId::kFile, "{}: cannot be written: {}", path_, system_reason());
  }

  std::string path_;
  std::string name_;  ///< while it is temporary; empty: none
  int file_ = -1;
};

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string read_file(const fs::path& path) { return read_content(path, std::nullopt); }

std::string read_start(const fs::path& path, std::size_t bytes) { return read_content(path, bytes); }

void write_file(const fs::path& given, const std::string& content) {
  Draft draft(behind_links(given));
  draft.write(content);
  draft.commit();
}

std::string content_hash(const std::string& bytes) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ULL;
  return fmt::format("{:016x}", hash);
}

void check_writable(const fs::path& given) {
  const fs::path path = behind_links(given);
  const fs::path folder = folder_of(path);
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    fail(ErrorId::kFile, "{}: cannot be written: the folder {} does not exist", path.string(),
         folder.string());
  }
  if (fs::is_directory(path, ignored))
    fail(ErrorId::kFile, "{}: cannot be written: is a folder", path.string());
  // Writing replaces the file, which would do away with a device or a pipe.
  if (fs::exists(path, ignored) && !fs::is_regular_file(path, ignored))
    fail(ErrorId::kFile, "{}: cannot be written: is not a regular file", path.string());
  if (fs::exists(path, ignored) && access(path.c_str(), W_OK) != 0)
    fail(ErrorId::kFile, "{}: cannot be written: {}", path.string(), system_reason());
  const Draft tried(path);
  remove_left_drafts(path);
}

fs::path data_folder() {
  std::vector<fs::path> candidates;
  if (const char* home = std::getenv("DOSA_HOME")) candidates.push_back(fs::path(home) / "data");
  candidates.push_back(data_beside_program());
  candidates.push_back(DOSA_SOURCE_DATA);
  candidates.push_back(DOSA_INSTALLED_DATA);
  std::error_code ignored;
  for (const fs::path& candidate : candidates) {
    if (fs::is_directory(candidate / "hardware", ignored)) return candidate;
  }
  fail(ErrorId::kFile, "{}: dosa's data folder is not there; set DOSA_HOME to the folder that contains data/",
       candidates.back().string());
}

std::vector<std::string> shipped_names(const std::string& kind) {
  std::vector<std::string> names;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(data_folder() / kind, code)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

namespace {
/// What is shipped, by folder, and where a command line takes it.
struct ShippedKind {
  const char* folder;
  const char* text;
  const char* place;
};
constexpr std::array<ShippedKind, 2> kShippedKinds{
    {{"workloads", "a network", "it stands behind the command's name"},
     {"hardware", "a machine", "--machine takes it"}}};

const ShippedKind* shipped_kind(const std::string& name) {
  for (const ShippedKind& kind : kShippedKinds) {
    const std::vector<std::string> names = shipped_names(kind.folder);
    if (std::find(names.begin(), names.end(), name) != names.end()) return &kind;
  }
  return nullptr;
}
}  // namespace

std::string shipped_as(const std::string& name) {
  const ShippedKind* kind = shipped_kind(name);
  return kind != nullptr ? kind->text : "";
}

fs::path resolve_shipped(const std::string& name_or_path, const std::string& kind) {
  const std::vector<std::string> names = shipped_names(kind);
  if (std::find(names.begin(), names.end(), name_or_path) != names.end()) {
    return data_folder() / kind / (name_or_path + ".json");
  }
  const bool looks_like_path = name_or_path.find_first_of("/.") != std::string::npos;
  std::error_code ignored;
  if (looks_like_path || fs::exists(name_or_path, ignored)) return name_or_path;
  if (const ShippedKind* other = shipped_kind(name_or_path)) {
    const auto wanted = std::find_if(kShippedKinds.begin(), kShippedKinds.end(),
                                     [&](const ShippedKind& one) { return one.folder == kind; });
    fail(ErrorId::kValue, "'{}' is {}, expected {}; {}; shipped in data/{}: {}", name_or_path, other->text,
         wanted != kShippedKinds.end() ? wanted->text : "a file", other->place, kind, fmt::join(names, ", "));
  }
  const std::vector<std::string> near = nearest(name_or_path, names);
  fail(ErrorId::kValue, "'{}' is neither a file nor shipped in data/{}; {}: {}", name_or_path, kind,
       near.empty() ? "shipped" : "did you mean", fmt::join(near.empty() ? names : near, ", "));
}

std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::vector<std::pair<std::size_t, std::string>> ranked;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    const bool contained = !word.empty() && candidate.find(word) != std::string::npos;
    if (contained || distance <= std::max<std::size_t>(2, candidate.size() / 3))
      ranked.emplace_back(distance, candidate);
  }
  std::sort(ranked.begin(), ranked.end());
  if (ranked.size() > 3) ranked.resize(3);
  std::vector<std::string> names;
  for (auto& [distance, name] : ranked) names.push_back(std::move(name));
  return names;
}

}  // namespace dosa
