#include "dosa/core/import/timeloop/includes.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::timeloop {
namespace {

constexpr int kMaxIncludes = 16;
constexpr std::size_t kMaxText = std::size_t{4} << 20;

/// FILE of a line that is "{{include_text('FILE')}}" and nothing else.
std::optional<std::string> included_by(const std::string& line) {
  std::size_t at = 0;
  const auto take = [&](const std::string& word) {
    at = std::min(line.find_first_not_of(" \t\r", at), line.size());
    const bool there = line.compare(at, word.size(), word) == 0;
    if (there) at += word.size();
    return there;
  };
  if (!take("{{") || !take("include_text") || !take("(")) return std::nullopt;
  const char quote = take("'") ? '\'' : '"';
  if (quote == '"' && !take("\"")) return std::nullopt;
  const std::size_t start = at;
  at = std::min(line.find(quote, at), line.size());
  const std::string name = line.substr(start, at - start);
  if (name.empty() || !take(std::string(1, quote)) || !take(")") || !take("}}") || !take("") ||
      at != line.size())
    return std::nullopt;
  return name;
}

class Includes {
 public:
  std::string written_out(const std::string& text, const std::string& path) {
    std::string whole;
    for (std::size_t start = 0; start < text.size();) {
      const std::size_t end = std::min(text.find('\n', start), text.size());
      const std::string line = text.substr(start, end - start);
      start = end + 1;
      const std::size_t jinja = line.find("{{");
      if (jinja == std::string::npos || line.find('#') < jinja) {
        whole += line + "\n";
        continue;
      }
      const auto name = included_by(line);
      if (!name) {
        fail(ErrorId::kSyntax,
             "{}: found {}, expected YAML without Jinja but lines {{{{include_text('FILE')}}}}", path,
             shortened_in_the_middle(printable(line.substr(jinja)), 60));
      }
      if (++count_ > kMaxIncludes)
        fail(ErrorId::kSyntax, "{}: found more than {} includes", path, kMaxIncludes);
      const std::string other = (std::filesystem::path(path).parent_path() / *name).string();
      whole += written_out(read_file(other), other);
      if (whole.size() > kMaxText)
        fail(ErrorId::kFile, "{}: found more than {} MiB with what it includes", path, kMaxText >> 20);
    }
    return whole;
  }

 private:
  int count_ = 0;
};

}  // namespace

std::string with_includes(const ImportSource& source) {
  return Includes().written_out(source.content, source.path);
}

}  // namespace dosa::timeloop
