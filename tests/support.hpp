// Helpers of the tests: temporary folders, the data folder, and what an error must say.
#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dosa/models/base/error.hpp"

namespace dosa::testing {

/// A new empty folder that goes away with this object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes a file into the folder and returns its path as text.
  std::string file(const std::string& name, const std::string& content) const;
  /// How many files the folder holds.
  std::size_t count() const;

 private:
  std::filesystem::path path_;
};

/// A file of the reference data: in $DOSA_DATA_DIR, else in ../shared/data beside the source tree. Nothing
/// where it is absent; a test then calls DOSA_SKIP_WITHOUT.
std::optional<std::filesystem::path> reference_data(const std::string& name);

#define DOSA_SKIP_WITHOUT(file, name) \
  if (!(file)) GTEST_SKIP() << (name) << " is neither in $DOSA_DATA_DIR nor in ../shared/data"

/// The path of gemmini-rtl's file as it was in schema 1.
std::string gemmini_rtl_of_schema_1();

/// How many random cases a property test draws: `usually`, or as many times that as $DOSA_CASES says.
int cases(int usually);

/// Runs `action` and expects an Error with this id whose message is one line with all these parts.
void expect_error(const std::function<void()>& action, ErrorId id, const std::vector<std::string>& parts);

/// `text` with the first `from` replaced by `to`; a test failure when there is none.
std::string replaced(std::string text, const std::string& from, const std::string& to);

/// One mistake in a file: `from` replaced by `to`, and the Error that it is.
struct Mistake {
  const char* from;
  const char* to;
  ErrorId id;
  std::vector<std::string> parts;
};
/// Expects each of the mistakes in a good file to be refused by `load`, by its path too.
void expect_each_refused(const std::string& good, const std::vector<Mistake>& mistakes,
                         const std::function<void(const std::string& path)>& load);

}  // namespace dosa::testing
