// What a file is when it is not what was asked for.
#pragma once

#include <filesystem>

namespace dosa {

enum class Wanted { kNetwork, kDesign, kMachine, kImport, kTable };

/// Returns where the file may be what is wanted. Throws Error{kSchema} where its content is known to be
/// something else, its name is that of a shipped network or machine and no file, or neither JSON nor YAML
/// where one of these is wanted: one line that says what it is, what is wanted, and the command that takes or
/// converts it. Only the start of the file is read; one that cannot be read is left to whoever reads it next.
void expect_kind(const std::filesystem::path& path, Wanted wanted);

}  // namespace dosa
