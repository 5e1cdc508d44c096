// Turning other programs' files into ours: machines, workloads, mappings. Which importer reads a file follows
// from its content. A new format is one file that implements Importer and one line in importers().
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dosa/models/base/json_input.hpp"
#include "dosa/models/machine.hpp"

namespace dosa {

struct ImportSource {
  std::string path;     ///< as the user wrote it
  std::string content;  ///< all of its bytes
};

struct ImportOptions {
  /// Of the machine or the workload; empty: that of the file.
  std::string name;
  /// Which tensors a level of an imported machine holds, where the files do not say: name and letters of WIO.
  struct Holds {
    std::string level, operands;
  };
  std::vector<Holds> holds;
  /// The machine that an imported mapping is for; null: the imported one.
  MachinePtr machine;
};

/// What the files describe, as far as they do.
struct Imported {
  std::optional<Json> machine;         ///< the content of a machine's file
  std::optional<Json> workload;        ///< the content of a network's file
  std::optional<std::string> mapping;  ///< as dosa evaluate --mapping takes it
  /// One line each: what of the files has no part in dosa's model, and why. All of it is named.
  std::vector<std::string> remarks;
};

class Importer {
 public:
  virtual ~Importer() = default;
  virtual const char* name() const = 0;
  virtual const char* description() const = 0;
  /// Whether this is a file of its format, by the content.
  virtual bool knows(const ImportSource& source) const = 0;
  /// Reads files that belong together. Throws Error with file and key or line, what was found and what is
  /// allowed, for what cannot be said in our files.
  virtual Imported read(const std::vector<ImportSource>& sources, const ImportOptions& options) const = 0;
};

/// Every format, in the order in which they are listed to users.
const std::vector<const Importer*>& importers();

/// Reads files of one format that belong together. Throws Error{kFile} for one that cannot be read,
/// Error{kValue} for one that no importer knows, and as Importer::read().
Imported import_files(const std::vector<std::string>& paths, const ImportOptions& options = {});

// One per file.
const Importer& timeloop_importer();

}  // namespace dosa
