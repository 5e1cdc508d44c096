// Writing whole folders: they appear complete or not at all.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace dosa {

/// A folder that appears under its name when it is complete, or not at all: files are written to a temporary
/// folder beside it, which commit() puts in its place. What stood there is replaced if it may be. What killed
/// programs left of the same folder is removed first.
class NewFolder {
 public:
  /// Whether an entry of a folder that already stands there may be lost.
  using MayReplace = std::function<bool(const std::filesystem::directory_entry& entry)>;

  /// Finds out before any work whether the folder can be written. Throws Error{kFile} where its parent does
  /// not exist or cannot be written, where something else than a folder stands there, or where that folder
  /// holds an entry that may not be replaced. `older` names in the error what may be, for example "an older
  /// front".
  NewFolder(const std::filesystem::path& folder, MayReplace may_replace, std::string older);
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  /// Without commit() nothing is left of it.
  ~NewFolder();

  /// Where to write the files.
  const std::filesystem::path& path() const { return temporary_; }

  /// Puts the folder in its place. Checks again that nothing is lost; throws Error{kFile} otherwise.
  void commit();

 private:
  void check() const;
  void close_lock();

  std::string given_;  ///< the folder as the user wrote it
  std::filesystem::path target_, temporary_;
  MayReplace may_replace_;
  std::string older_;
  int lock_ = -1;  ///< holds the temporary folder (draft.hpp)
};

/// A file of a folder that is written as a whole.
struct OutputFile {
  std::string name;
  std::string content;
};

/// Writes all files into `folder` or none, with a list of them in dosa-files.json. A folder that holds only
/// what an earlier list names is replaced; anything else there is an Error{kFile}. `kind` says in the list
/// what wrote it.
void write_folder(const std::filesystem::path& folder, const std::string& kind,
                  const std::vector<OutputFile>& files);

}  // namespace dosa
