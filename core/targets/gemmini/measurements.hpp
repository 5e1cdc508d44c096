// Measured latencies: this project's CSV, and the public artefact's with what its columns hide restored.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/library_version.hpp"
#include "dosa/models/array_machine.hpp"
#include "dosa/models/layer.hpp"

namespace dosa {

/// One layer with one tiling on one machine, and how long it took.
struct Measurement {
  Layer layer;
  bool matmul = false;          ///< ran as tiled_matmul
  std::int64_t input_size = 0;  ///< width and height of the (square) input without padding; 0 for a matmul
  DimSizes tile{};              ///< elements per tile; a matmul's may round up to whole blocks of pe_dim
  LoopOrder order{};            ///< of the loops over tiles, innermost first
  std::int64_t pe_dim = 0;
  bool cold = true;   ///< operands were in DRAM, in no cache
  bool keeps = true;  ///< LayerRun::keeps of the library that ran
  double cycles = 0;
  std::optional<double> energy_uj;
  std::int64_t repeats = 1;  ///< recordings that `cycles` is the mean of
  std::string source;
  std::string file;
  std::size_t line = 0;  ///< in the file
};

/// RTL is deterministic, and does not ask how large a buffer is beyond what a tile takes (0.6 % were seen).
inline constexpr double kContradiction = 1.05;

enum class MeasurementFormat { kOwn, kArtefact };

struct Measurements {
  std::vector<std::filesystem::path> files;
  std::string hash;  ///< of the files' content
  MeasurementFormat format = MeasurementFormat::kOwn;
  std::vector<Measurement> rows;
  /// Every array among the rows, ascending, with the largest buffers that it was measured with; 0: unknown,
  /// as the artefact's are.
  std::vector<ArraySizes> hardware;
  /// Rows left out and rows changed, by reason.
  std::map<std::string, std::int64_t> dropped, repaired;

  std::string file() const;  ///< the paths of the files, joined by commas
  /// A number per row, equal for rows of the same layer (call, sizes, strides, padding), counted from 0.
  std::vector<std::int64_t> layer_ids() const;
};

/// Adds hardware to a list like Measurements::hardware, or enlarges the buffers that it has for the array.
void note(std::vector<ArraySizes>& list, const ArraySizes& hardware);

/// Reads either format; the header tells which. Our own, one row per measurement:
///   kind                     conv or matmul
///   R S P Q C K N            sizes of the layer
///   wstride hstride padding  of a convolution; 1, 1, 0 for a matmul
///   in_dim                   width = height of the input without padding; 0 for a matmul
///   tile_R ... tile_N        elements per tile; a matmul's tile_P, tile_C, tile_K may round up to pe_dim
///   scratchpad_kib accumulator_kib pe_dim   the machine
///   cycles                   > 0
/// and optionally id, tiling, hardware, checked, dram_read_bytes (kept out of training), energy_uj, repeats,
/// source, cold (0 or 1, default 1),
///   library                  month of the gemmini-rocc-tests that ran, as 2023-10, in all rows; without such
///   a
///                            column `library`, or today's. Since 2023-05 it keeps operands (kept_operands)
/// and
///   order                    loops over tiles, outermost first (default NQPKSRC, the library's)
/// The artefact's columns are those of ucb-bar/dosa's data/firesim_training_data; the columns that are read
/// are mapping.mapping, prob.*, target.gemmini_cycle, target.edp and target.energy. Its library kept nothing.
///
/// Rows of sizes that do not elaborate, or of a tile that does not fit them, and rows that say of one and the
/// same run that it took cycles more than kContradiction apart are dropped, by file and line. Throws Error
/// with file and line.
Measurements read_measurements(const std::filesystem::path& path,
                               const std::optional<gemmini::LibraryVersion>& library = {});
/// Several files of our own format as one. Throws Error{kValue} where one of them is the artefact's, or where
/// one names the library, another does not, and `library` is not given.
Measurements read_measurements(const std::vector<std::filesystem::path>& paths,
                               const std::optional<gemmini::LibraryVersion>& library = {});

/// Rows in our own format. Without `with_cycles` they are tilings that are still to be measured: in place of
/// cycles stands a library that keeps operands as the measured one did.
std::string measurements_csv(const std::vector<Measurement>& rows, const ArraySizes& hardware,
                             bool with_cycles);

}  // namespace dosa
