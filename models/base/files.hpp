// Reading whole files and replacing them atomically.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace dosa {

/// The whole content of a file; gzip-compressed files (by their first two bytes) are unpacked.
/// Throws Error{kFile} when it is missing, a folder, unreadable or damaged.
std::string read_file(const std::filesystem::path& path);

/// The first `bytes` of what read_file() returns, or all of it where there are fewer; the rest is not read.
std::string read_start(const std::filesystem::path& path, std::size_t bytes);

/// Replaces `path` by `content`: written to a temporary beside it, flushed to disk, then renamed, so that a
/// crash or a full disk leaves the old file. Throws Error{kFile}. A program killed (SIGKILL) in the moment of
/// replacing leaves the temporary, whole, by its draft_name().
void write_file(const std::filesystem::path& path, const std::string& content);

/// FNV-1a of bytes as 16 hexadecimal digits: tells contents apart, not a protection.
std::string content_hash(const std::string& bytes);

/// Throws Error{kFile} unless write_file(path) can be expected to work: called before long work, not after.
/// Removes what programs that were killed left of earlier writes.
void check_writable(const std::filesystem::path& path);

/// The folder with shipped data (workloads/, hardware/, ...): $DOSA_HOME/data, else the source tree that the
/// program was built from, else the installed share folder. Throws Error{kFile} when none of them exists.
std::filesystem::path data_folder();

/// The stems of the files in data_folder()/`kind` that end in .json, sorted.
std::vector<std::string> shipped_names(const std::string& kind);

/// "a network" or "a machine" for the name of one that is shipped; empty for any other text.
std::string shipped_as(const std::string& name);

/// A shipped name ("resnet50") or a path to a JSON or YAML file -> the path. An unknown name is an
/// Error{kValue} that offers the nearest shipped names of this `kind` ("workloads", "hardware"); one of the
/// other kind is told what it is.
std::filesystem::path resolve_shipped(const std::string& name_or_path, const std::string& kind);

/// Candidates nearest to `word` by edit distance, best first, at most three; the rest is too different.
std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace dosa
