// Measured latencies: this project's CSV, and the public artefact's with what its columns hide restored.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dosa/models/layer.hpp"
#include "dosa/models/machine.hpp"

namespace dosa {

/// One layer with one tiling on one machine, and how long it took.
struct Measurement {
  Layer layer;
  bool matmul = false;          ///< ran as tiled_matmul
  std::int64_t input_size = 0;  ///< width and height of the (square) input without padding; 0 for a matmul
  DimSizes tile{};              ///< elements per tile; a matmul's may round up to whole blocks of pe_dim
  LoopOrder order{};            ///< of the loops over tiles, innermost first
  std::int64_t pe_dim = 0;
  bool cold = true;  ///< operands were in DRAM, in no cache
  double cycles = 0;
  std::optional<double> energy_uj;
  std::int64_t repeats = 1;  ///< recordings that `cycles` is the mean of
  std::string source;
  std::size_t line = 0;  ///< in the file
};

enum class MeasurementFormat { kOwn, kArtefact };

struct Measurements {
  std::string file;
  std::string hash;  ///< of the file's content
  MeasurementFormat format = MeasurementFormat::kOwn;
  std::vector<Measurement> rows;
  /// Sizes that all rows share; pe_dim 0 where rows have several. The artefact's buffers are unknown: 0.
  Hardware hardware;
  /// Rows left out and rows changed, by reason.
  std::map<std::string, std::int64_t> dropped, repaired;

  /// A number per row, equal for rows of the same layer (call, sizes, strides, padding), counted from 0.
  std::vector<std::int64_t> layer_ids() const;
  std::vector<std::int64_t> pe_dims() const;  ///< distinct, ascending
};

/// Reads either format; the header tells which. Our own, one row per measurement:
///   kind                     conv or matmul
///   R S P Q C K N            sizes of the layer
///   wstride hstride padding  of a convolution; 1, 1, 0 for a matmul
///   in_dim                   width = height of the input without padding; 0 for a matmul
///   tile_R ... tile_N        elements per tile; a matmul's tile_P, tile_C, tile_K may round up to pe_dim
///   scratchpad_kib accumulator_kib pe_dim   the machine, the same in all rows
///   cycles                   > 0
/// and optionally id, tiling, hardware, checked (kept out of training), energy_uj, repeats, source, cold (0
/// or 1, default 1), and
///   order                    loops over tiles, outermost first (default NQPKSRC, the library's)
/// The artefact's columns are those of ucb-bar/dosa's data/firesim_training_data; the columns that are read
/// are mapping.mapping, prob.*, target.gemmini_cycle, target.edp and target.energy. Throws Error with file
/// and line.
Measurements read_measurements(const std::filesystem::path& path);

/// Rows in our own format. `cycles` is left out when `with_cycles` is false (tilings that are still to be
/// measured).
std::string measurements_csv(const std::vector<Measurement>& rows, const Hardware& hardware,
                             bool with_cycles);

}  // namespace dosa
