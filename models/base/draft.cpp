#include "dosa/models/base/draft.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <string_view>
#include <system_error>
#include <vector>

namespace dosa {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kMark = ".dosa-";
constexpr std::size_t kDigits = 16;

bool is_draft_of(const std::string& name, const std::string& begin) {
  return name.size() == begin.size() + kDigits && name.compare(0, begin.size(), begin) == 0 &&
         name.find_first_not_of("0123456789abcdef", begin.size()) == std::string::npos;
}

}  // namespace

std::string draft_name(const fs::path& path) {
  std::random_device random;
  return fmt::format("{}{}{:08x}{:08x}", path.string(), kMark, random(), random());
}

bool hold_draft(int descriptor) {
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
  // Before the lock it may have been taken for one that was left.
  struct stat status {};
  return fstat(descriptor, &status) != 0 || status.st_nlink > 0;
}

void remove_left_drafts(const fs::path& path) {
  const std::string begin = path.filename().string() + std::string(kMark);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::error_code code;
  std::vector<fs::path> drafts;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    if (is_draft_of(entry->path().filename().string(), begin)) drafts.push_back(entry->path());
  }
  for (const fs::path& draft : drafts) {
    const int descriptor = open(draft.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0) continue;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) fs::remove_all(draft, code);
    close(descriptor);
  }
}

}  // namespace dosa
