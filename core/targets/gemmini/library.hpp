// Gemmini as it is built and programmed (target gemmini-rtl): which sizes elaborate, which layers and tiles
// its C library runs, and the tiles that the library picks by itself. Facts from ucb-bar/gemmini and
// ucb-bar/gemmini-rocc-tests at the commits named below.
#pragma once

#include <string>
#include <vector>

#include "dosa/models/array_machine.hpp"
#include "dosa/models/layer.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa::gemmini {

inline constexpr const char* kTarget = "gemmini-rtl";  ///< the machine's name
inline constexpr const char* kHardwareCommit = "ucb-bar/gemmini 8c3f992";

/// A rule that a design breaks, as a user reads it.
struct Violation {
  std::string rule;     ///< "rows per scratchpad bank are a power of two"
  std::string found;    ///< "4016 (scratchpad_kib 251)"
  std::string nearest;  ///< the nearest legal alternative, "scratchpad_kib 256"

  /// "rows per scratchpad bank are a power of two; found 4016 (...); nearest legal: scratchpad_kib 256"
  std::string message() const;
};

/// The first violation's message and how many more there are; empty for none.
std::string summary(const std::vector<Violation>& violations);

// ---- Sizes. In this file Hardware holds what is built: buffers double-buffered, twice the need of a
// mapping.

/// What elaboration writes into gemmini_params.h. Only meaningful for legal sizes.
struct Params {
  std::int64_t dim = 0;
  std::int64_t bank_num = 4;   ///< scratchpad banks
  std::int64_t bank_rows = 0;  ///< rows of dim bytes in one of them
  std::int64_t acc_rows = 0;   ///< rows of dim 32-bit words in both accumulator banks
  /// One tile may use half of each memory while the next one is loaded.
  std::int64_t scratchpad_rows_per_tile() const { return bank_num * bank_rows / 2; }
  std::int64_t accumulator_rows_per_tile() const { return acc_rows / 2; }
};
Params params_of(const ArraySizes& built);

/// Whether these sizes elaborate. The single source of hardware legality. No size may exceed what a file may
/// give (kMaxPeDim, kMaxKib).
bool is_legal(const ArraySizes& built);
/// Why these sizes do not elaborate; empty where is_legal().
std::vector<Violation> check_hardware(const ArraySizes& built);
/// The smallest legal sizes that are at least these, with the array first.
ArraySizes nearest_hardware(const ArraySizes& built);
/// What to build for a single-buffered need: twice the buffers, rounded up to legal sizes.
ArraySizes hardware_for_need(const ArraySizes& need);
/// All legal sizes between `min` and `max` (both included), by array, scratchpad, accumulator.
std::vector<ArraySizes> legal_hardware(const ArraySizes& min, const ArraySizes& max);

// ---- Calls.

/// How the library runs a layer: by tiled_matmul, by tiled_conv, or by tiled_matmul on inputs that the CPU
/// has laid out as im2col does, one row for each output pixel with the R*S*C inputs that it sees.
enum class Call { kMatmul, kConv, kIm2col };
const char* name_of(Call call);  ///< "matmul", "conv" or "im2col"
/// Whether the call is one of tiled_matmul.
inline bool is_product(Call call) { return call != Call::kConv; }

/// A convolution of images of one pixel, with padding. tiled_conv gives wrong values for it or never finishes
/// (seen: 3x3 and 7x7). Where it has one output, it is the matrix product of the pixels with the weights of
/// the one position of the kernel that does not see padding alone (its centre), and runs as that.
bool sees_one_pixel(const Layer& layer);

/// Why the library cannot run the layer by this call; empty when it can.
std::vector<Violation> check_call(const Layer& layer, Call call);
/// Whether a kernel of more than one row or column is dilated.
bool is_dilated(const Layer& layer);
/// The calls that can run the layer, Gemmini's own choice first: a matrix product, a 1x1 stride-1 convolution
/// and one that sees_one_pixel run as matmul. What neither matmul nor conv runs (other than square kernels
/// and strides, sides of different padding, ...), and dilated kernels, for which conv has no costs, runs by
/// im2col alone. Throws Error{kValue} with the reason when nothing runs the layer.
std::vector<Call> calls_for(const Layer& layer);

/// Why no call runs the layer, in a line; empty where one does.
std::string why_not_at_all(const Layer& layer);
/// Why it runs by im2col; empty where the library runs it as it is, or not at all.
std::string why_im2col(const Layer& layer);

/// The loops as the call sees them: a matmul has P*Q*N rows in P and no kernel, an im2col R*S*C products,
/// too.
DimSizes extents(const Layer& layer, Call call);

/// 1x1 stride-2 convolutions without padding on inputs of even size load only every second row and column.
bool downsamples(const Layer& layer);

// ---- Tiles.

/// The tile that a call is given, in elements. They need not divide the layer: the last ones are smaller.
/// A matmul's and an im2col's are P (rows), C (inner), K (columns), in whole blocks of pe_dim, possibly more
/// than the layer has.
struct Tile {
  Call call = Call::kConv;
  DimSizes size{1, 1, 1, 1, 1, 1, 1};

  std::int64_t operator[](Dim dim) const { return size[static_cast<std::size_t>(dim)]; }
  std::int64_t& operator[](Dim dim) { return size[static_cast<std::size_t>(dim)]; }
  bool operator==(const Tile& o) const { return call == o.call && size == o.size; }
};

/// {"call": "conv", "R": 3, "S": 3, ...}; a matmul and an im2col have only P, C and K. Throws Error.
Tile tile_from_json(const JsonInput& json);
Json to_json(const Tile& tile);
/// "conv R3 S3 P7 Q7 C64 K64 N1"
std::string to_string(const Tile& tile);

/// Rows of the two memories that one tile needs, padded to the array.
struct Rows {
  std::int64_t scratchpad = 0, accumulator = 0;
};
Rows rows_needed(const Layer& layer, const Tile& tile, std::int64_t pe_dim);
bool fits(const Layer& layer, const Tile& tile, const Params& params);

/// A kernel tile that meets nothing but padding, further out than an empty window, never finishes on RTL:
/// true if some tile of output rows or columns has such a window.
bool hangs(const Layer& layer, const Tile& tile);

/// Arrays from this size on compute tiles of a single column right: wrong values were seen at 4 and 8, never
/// at 16 and 32, where such tiles were measured. 2 was not measured and is taken for wrong, the safe side.
inline constexpr std::int64_t kRightFromPeDim = 16;
/// Whether some tile gives wrong values on RTL: kernel columns share rows of the array (few channels), the
/// layer is padded, and a single column of outputs meets a single block of output channels, in an array below
/// kRightFromPeDim. Not all such tiles are wrong (one of 32 rows is right), only very small ones were.
bool computes_wrong(const Layer& layer, const Tile& tile, std::int64_t pe_dim);

/// Neither of the two: the one rule of search, sampling, comparison and export.
bool runs_right(const Layer& layer, const Tile& tile, std::int64_t pe_dim);

/// The largest tile of a dimension: the size that the call sees, for a product rounded up to whole blocks.
std::int64_t max_tile(const Layer& layer, Call call, Dim dim, std::int64_t pe_dim);
/// Sizes worth trying for a dimension, ascending: for every number of tiles the smallest size that gives it,
/// rounded up to a multiple of `granule` (pe_dim for a matmul and for channels, else 1).
std::vector<std::int64_t> useful_tile_sizes(std::int64_t extent, std::int64_t granule);

/// Why this tile cannot run: out of range, does not fit, hangs, gives wrong values. Assumes that the call can
/// run the layer and that the sizes are legal.
std::vector<Violation> check_tile(const Layer& layer, const ArraySizes& built, const Tile& tile);
/// Of a tile that check_tile() refuses: whether its sizes are in range and it only does not fit.
bool only_lacks_room(const Layer& layer, const ArraySizes& built, const Tile& tile);
/// The same question as check_tile() without reasons, for inner loops.
bool tile_is_legal(const Layer& layer, const Params& params, const Tile& tile);
/// A legal tile near this one: shrunk as the library does until it fits, then moved to where it runs_right.
/// Throws Error{kCapacity} when not even the smallest tile fits, or none that does runs right.
Tile nearest_tile(const Layer& layer, const ArraySizes& built, const Tile& tile);

// ---- Gemmini's own choice.

/// The tile that the library picks for this call, exactly. Throws Error{kCapacity} where the library would
/// never return because nothing fits. The result always fits; whether it runs_right is check_tile's question.
Tile default_tile(const Layer& layer, const ArraySizes& built, Call call);
/// As in Gemmini's own network programs: by the first of calls_for().
Tile default_tile(const Layer& layer, const ArraySizes& built);

/// The library's choice for this call where it runs_right, else the nearest tile that does. Throws
/// Error{kCapacity} where there is none.
Tile runnable_default_tile(const Layer& layer, const ArraySizes& built, Call call);

/// What the library does with a layer by itself: by the first of calls_for(), its tile, or where that does
/// not run
/// (`problem` says why) the nearest that does. Throws Error{kCapacity} where there is none.
struct LibraryChoice {
  Tile tile;
  std::string problem;  ///< empty: the tile is the library's own
};
LibraryChoice library_choice(const Layer& layer, const ArraySizes& built);

// ---- Mappings.

/// The tile of a mapping on the four-level machine: P, Q from registers and accumulator; R, S, N from the
/// accumulator; C and K with their spatial factor. Throws Error{kMapping} with the reason where the hardware
/// has no such schedule: another loop order (DRAM outermost first N Q P K S R C, accumulator K S R C N Q P)
/// or temporal loops at the scratchpad.
Tile tile_of_mapping(const Mapping& mapping, const Layer& layer, Call call, std::int64_t pe_dim);

}  // namespace dosa::gemmini
