#include "dosa/core/targets/gemmini/library_version.hpp"

#include <regex>

#include "dosa/models/base/error.hpp"

namespace dosa::gemmini {

LibraryVersion::LibraryVersion(const std::string& month, const std::string& where) : month_(month) {
  static const std::regex form("20[0-9][0-9]-(0[1-9]|1[0-2])");
  if (std::regex_match(month, form)) return;
  fail(ErrorId::kValue, "{}: found '{}', expected the library's month, such as {}", where, month,
       kTodaysLibrary);
}

std::optional<LibraryVersion> given_library(const std::string& month, const std::string& flag) {
  if (month.empty()) return std::nullopt;
  return LibraryVersion(month, flag);
}

std::string LibraryVersion::text() const {
  const std::string repository = "ucb-bar/gemmini-rocc-tests ";
  return repository + (month_ == kTodaysLibrary ? "180c468" : "of " + month_);
}

}  // namespace dosa::gemmini
