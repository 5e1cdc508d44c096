// Versions of Gemmini's C library (ucb-bar/gemmini-rocc-tests), by the month of their last commit: what is
// printed is compiled with one, measurements are of one, and what a tiling executes depends on it.
#pragma once

#include <optional>
#include <string>

namespace dosa::gemmini {

/// The month of gemmini-rocc-tests 180c468, for which we print where nothing else is said.
inline constexpr const char* kTodaysLibrary = "2023-10";
/// The last month of which all versions load every operand anew.
inline constexpr const char* kLibraryThatKeepsNothing = "2023-04";

class LibraryVersion {
 public:
  LibraryVersion() = default;
  /// Throws Error{kValue}, beginning with `where`, unless `month` has the form 2023-10.
  LibraryVersion(const std::string& month, const std::string& where);

  const std::string& month() const { return month_; }
  /// Whether operands stay in the scratchpad from one call to the next (kept_operands): since bd7de20 of
  /// 2023-05. All versions of a month count as its last one.
  bool keeps_operands() const { return month_ >= "2023-05"; }
  /// Whether tiled_conv takes the strides of rows in memory: since 36c023a of 2023-05.
  bool takes_strides() const { return month_ >= "2023-05"; }
  /// Whether our programs compile with it: tiled_conv has their arguments since bc3cabb of 2023-02.
  bool runs_programs() const { return month_ >= "2023-02"; }
  /// "ucb-bar/gemmini-rocc-tests 180c468", or "ucb-bar/gemmini-rocc-tests of 2023-04".
  std::string text() const;

  bool operator==(const LibraryVersion& o) const { return month_ == o.month_; }
  bool operator!=(const LibraryVersion& o) const { return !(*this == o); }

 private:
  std::string month_ = kTodaysLibrary;
};

/// The version that a flag names; none where the flag was not given (is empty).
std::optional<LibraryVersion> given_library(const std::string& month, const std::string& flag);

}  // namespace dosa::gemmini
