// Names of what is being written, beside what it will replace, and the end of those that were left.
#pragma once

#include <filesystem>
#include <string>

namespace dosa {

/// A name beside `path` that cannot be guessed: `path`, ".dosa-" and sixteen hexadecimal digits.
std::string draft_name(const std::filesystem::path& path);

/// Locks a file or folder with a draft_name(), by its descriptor, until that is closed: remove_left_drafts()
/// of another program leaves it alone. False where another program has removed it meanwhile, or is about to.
bool hold_draft(int descriptor);

/// Removes the files and folders with a draft_name() of `path` that nobody holds: what programs left that
/// were killed while they wrote.
void remove_left_drafts(const std::filesystem::path& path);

}  // namespace dosa
