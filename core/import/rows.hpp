// Tables of other programs, which are less strict than CSV: rows of unequal length, blanks, comments.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "dosa/core/import/importer.hpp"

namespace dosa {

struct Row {
  std::vector<std::string> fields;  ///< without blanks around them and without empty ones at the end
  std::string where;                ///< "file: line N"

  /// A field as an integer in min..max. Throws Error{kValue} with line and `what`.
  std::int64_t integer(std::size_t field, const char* what, std::int64_t min, std::int64_t max) const;
};

/// The rows of a file, at most `most`: fields between commas, or tabs where the first row has no comma. A
/// byte-order mark, rows without any field, and what follows a '#' are passed over.
std::vector<Row> rows_of(const ImportSource& source,
                         std::size_t most = std::numeric_limits<std::size_t>::max());

}  // namespace dosa
