// What of a folder is read: its files, or those that a list beside them names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dosa {

/// A file and how often what it describes runs.
struct FolderFile {
  std::string path;
  std::int64_t count = 1;
};

struct FolderFiles {
  std::vector<FolderFile> files;
  std::string list;  ///< the file that names them; empty: they are all there are
};

/// The regular files of a folder by name, without hidden ones; the folders in it are not looked into. Where a
/// list of the kind that CoSA and DOSA publish beside their layers is among them, the files that it names,
/// with counts: layer_count.yaml, an object of objects with `name` and `count`, else layers.yaml, a list of
/// names, one for each run; a name stands for NAME.yaml. `remarks` gets a line for what it leaves out. Throws
/// Error{kFile} for a folder that cannot be read or has too many files, Error{kValue} for a name without a
/// file.
FolderFiles files_of_folder(const std::string& folder, std::vector<std::string>& remarks);

}  // namespace dosa
