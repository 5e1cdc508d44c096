#include "dosa/models/base/files.hpp"

#include <fcntl.h>
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

#include "dosa/models/base/error.hpp"

namespace dosa {
namespace fs = std::filesystem;
namespace {

// Larger files are not ours. Packed data is bounded by what it unpacks to.
constexpr std::size_t kMaxPlain = std::size_t{1} << 30;
constexpr std::size_t kMaxUnpacked = std::size_t{256} << 20;

std::string system_reason() { return std::strerror(errno); }

/// Where the content of `path` really goes: a link stays, the file that it leads to is replaced.
fs::path behind_links(const fs::path& path) {
  std::error_code code;
  const fs::path target = fs::is_symlink(path, code) ? fs::weakly_canonical(path, code) : path;
  return code || target.empty() ? path : target;
}

/// The data that was installed with this program, wherever that is now.
fs::path data_beside_program() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path() / ".." / DOSA_DATA_FROM_PROGRAM;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
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
  const fs::path path = behind_links(given);
  std::string temporary = path.string() + ".XXXXXX";
  const int file = mkstemp(temporary.data());
  if (file < 0) fail(ErrorId::kFile, "{}: cannot be written: {}", path.string(), system_reason());
  std::size_t done = 0;
  bool good = true;
  while (good && done < content.size()) {
    const ssize_t count = write(file, content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) continue;
    good = count > 0;
    if (good) done += static_cast<std::size_t>(count);
  }
  const mode_t mask = umask(0);
  umask(mask);
  good = good && fchmod(file, 0666 & ~mask) == 0 && fsync(file) == 0;
  std::string reason = good ? "" : system_reason();
  if (close(file) != 0 && good) {
    good = false;
    reason = system_reason();
  }
  if (good && std::rename(temporary.c_str(), path.c_str()) != 0) {
    good = false;
    reason = system_reason();
  }
  if (!good) {
    unlink(temporary.c_str());
    fail(ErrorId::kFile, "{}: cannot be written: {}", path.string(), reason);
  }
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
  std::string temporary = path.string() + ".XXXXXX";
  const int file = mkstemp(temporary.data());
  if (file < 0) fail(ErrorId::kFile, "{}: cannot be written: {}", path.string(), system_reason());
  close(file);
  unlink(temporary.c_str());
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

fs::path resolve_shipped(const std::string& name_or_path, const std::string& kind) {
  const std::vector<std::string> names = shipped_names(kind);
  if (std::find(names.begin(), names.end(), name_or_path) != names.end()) {
    return data_folder() / kind / (name_or_path + ".json");
  }
  const bool looks_like_path = name_or_path.find_first_of("/.") != std::string::npos;
  std::error_code ignored;
  if (looks_like_path || fs::exists(name_or_path, ignored)) return name_or_path;
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
