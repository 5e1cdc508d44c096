// What can go wrong through no fault of the program: errors in what a user gave us.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>  // fmt::join: most errors list what is allowed

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace dosa {

/// The stable identity of a user-facing error; printed in brackets in front of the message.
enum class ErrorId {
  kFile,      ///< "file": a file is missing, unreadable, or cannot be written
  kSyntax,    ///< "syntax": JSON, YAML, CSV or mapping text that does not parse
  kSchema,    ///< "schema": a missing or unknown key or column, a wrong type, another schema version
  kValue,     ///< "value": a number or name outside of what is allowed
  kMapping,   ///< "mapping": a mapping that does not belong to its layer or machine
  kCapacity,  ///< "capacity": a mapping that does not fit into the hardware
  kBounds,    ///< "bounds": limits that contradict each other or leave nothing to search
  kUsage,     ///< "usage": a command line that cannot be understood
};

std::string_view to_string(ErrorId id);

/// An error that the user can mend. The message says where (file, key or line), what was found and what is
/// allowed, in one line. Programming errors are checks (TORCH_CHECK, assert), never this.
class Error : public std::runtime_error {
 public:
  Error(ErrorId id, const std::string& message) : std::runtime_error(message), id_(id) {}

  ErrorId id() const { return id_; }

  /// The same error with `where` in front: how a caller adds the file or line that the callee did not know.
  Error in(std::string_view where) const { return Error(id_, fmt::format("{}: {}", where, what())); }

 private:
  ErrorId id_;
};

/// Throws Error(id) with a formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorId id, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(id, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace dosa
