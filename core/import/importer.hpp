// Turning other programs' files into ours: machines, workloads, mappings. Which importer reads a file follows
// from its content. A new format is one file that implements Importer and one line in importers().
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dosa/models/base/json_input.hpp"
#include "dosa/models/machine.hpp"

namespace dosa {

struct ImportSource {
  std::string path;        ///< as the user wrote it
  std::string content;     ///< all of its bytes, or what its importer reads of them
  std::int64_t count = 1;  ///< how often a list beside it says that it runs (files_of_folder)
};

struct ImportOptions {
  /// Of the machine or the workload; empty: that of the file or folder.
  std::string name;
  /// Which tensors a level of an imported machine holds, where the files do not say: name and letters of WIO.
  struct Holds {
    std::string level, operands;
  };
  std::vector<Holds> holds;
  /// The machine that an imported mapping is for; null: the imported one.
  MachinePtr machine;
  /// Sizes of dimensions that a network leaves open: images or texts at once, tokens of a text, and tokens
  /// whose keys and values are already there; others by their name.
  std::optional<std::int64_t> batch, sequence, past;
  std::map<std::string, std::int64_t> dims;

  bool has_sizes() const { return batch || sequence || past || !dims.empty(); }
};

/// What the files describe, as far as they do.
struct Imported {
  std::optional<Json> machine;         ///< the content of a machine's file
  std::optional<Json> workload;        ///< the content of a network's file
  std::optional<std::string> mapping;  ///< as dosa evaluate --mapping takes it
  /// One line each: what of the files has no part in dosa's model, and why. All of it is named.
  std::vector<std::string> remarks;
  /// What a network computes besides its layers: a table for people, with the same as JSON, and one line of
  /// it (empty and null where the format says nothing else).
  std::string left_out, left_out_brief;
  Json left_out_json;
};

/// What is looked at of a file to find its format.
inline constexpr std::size_t kStart = 1 << 16;

class Importer {
 public:
  virtual ~Importer() = default;
  virtual const char* name() const = 0;
  virtual const char* description() const = 0;
  /// What one file is, with its article: "a SCALE-Sim topology".
  virtual const char* kind() const = 0;
  /// Whether its files are binary ones; all others hold no zero byte, and are asked about none that do.
  virtual bool is_binary() const { return false; }
  /// Whether this is a file of its format, by the content, of which only the first kStart bytes may be there.
  virtual bool knows(const ImportSource& source) const = 0;
  /// The content of a file that read() is given: all of it, or what it reads.
  virtual std::string content_of(const std::string& path) const;
  /// Whether its networks leave dimensions open, for ImportOptions to say.
  virtual bool has_open_sizes() const { return false; }
  /// Reads files that belong together. Throws Error with file and key or line, what was found and what is
  /// allowed, for what cannot be said in our files.
  virtual Imported read(const std::vector<ImportSource>& sources, const ImportOptions& options) const = 0;
};

/// Every format, in the order in which they are listed to users.
const std::vector<const Importer*>& importers();

/// The format of this content; null where none is known.
const Importer* importer_of(const ImportSource& source);

/// Reads files of one format that belong together; a folder stands for the files in it, of which those of no
/// known format are passed over with a remark, or for those that a list in it names (files_of_folder). Throws
/// Error{kFile} for one that cannot be read, Error{kValue} for one that no importer knows, Error{kUsage} for
/// sizes that the format has no use for, and as Importer::read().
Imported import_files(const std::vector<std::string>& paths, const ImportOptions& options = {});

// One per file.
const Importer& timeloop_importer();
const Importer& scale_sim_importer();
const Importer& maestro_importer();
const Importer& gamma_importer();
const Importer& zigzag_importer();
const Importer& onnx_importer();

}  // namespace dosa
