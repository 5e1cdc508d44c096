// Texts that Timeloop's files take in.
#pragma once

#include <string>

#include "dosa/core/import/importer.hpp"

namespace dosa::timeloop {

/// The content of a file with each line "{{include_text('FILE')}}" replaced by that file, which is named from
/// the folder of the one that takes it in. Of Jinja, which such files are written in, problems need no more.
/// Throws Error{kSyntax} for any other of it outside of comments, and where there are too many includes;
/// Error{kFile} where a file cannot be read or all of them are too long.
std::string with_includes(const ImportSource& source);

}  // namespace dosa::timeloop
