#include "tests/support.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace dosa::testing {
namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (fs::temp_directory_path() / "dosa-test-XXXXXX").string();
  if (!mkdtemp(pattern.data())) throw std::runtime_error("no temporary folder: " + pattern);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string TemporaryFolder::file(const std::string& name, const std::string& content) const {
  std::ofstream(path_ / name, std::ios::binary) << content;
  return (path_ / name).string();
}

std::size_t TemporaryFolder::count() const {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
}

std::optional<fs::path> reference_data(const std::string& name) {
  const char* folder = std::getenv("DOSA_DATA_DIR");
  const fs::path path = (folder ? fs::path(folder) : fs::path(DOSA_TEST_SOURCE) / "../shared/data") / name;
  if (!fs::exists(path)) return std::nullopt;
  return path;
}

std::string gemmini_rtl_of_schema_1() {
  return fs::path(DOSA_TEST_SOURCE) / "tests/models/chain/gemmini_rtl_schema_1.json";
}

int cases(int usually) {
  const char* times = std::getenv("DOSA_CASES");
  return usually * (times == nullptr ? 1 : std::max(1, std::atoi(times)));
}

void expect_error(const std::function<void()>& action, ErrorId id, const std::vector<std::string>& parts) {
  try {
    action();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(to_string(error.id()), to_string(id)) << message;
    EXPECT_THAT(message, ::testing::Not(::testing::HasSubstr("\n")));
    for (const std::string& part : parts) EXPECT_THAT(message, ::testing::HasSubstr(part));
    return;
  }
  ADD_FAILURE() << "no error; expected one with: " << ::testing::PrintToString(parts);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos) {
    ADD_FAILURE() << "'" << from << "' is not in the text";
    return text;
  }
  return text.replace(at, from.size(), to);
}

void expect_each_refused(const std::string& good, const std::vector<Mistake>& mistakes,
                         const std::function<void(const std::string& path)>& load) {
  const TemporaryFolder folder;
  for (const Mistake& mistake : mistakes) {
    const std::string path = folder.file("bad.json", replaced(good, mistake.from, mistake.to));
    std::vector<std::string> parts = mistake.parts;
    parts.push_back(path);
    expect_error([&] { load(path); }, mistake.id, parts);
  }
}

}  // namespace dosa::testing
