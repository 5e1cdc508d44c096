// Turning a design into files for other programs. A new format is one file that implements Exporter and one
// line in exporters().
#pragma once

#include <string>
#include <vector>

#include "dosa/core/design/design.hpp"
#include "dosa/core/targets/gemmini/campaign/plan.hpp"

namespace dosa {

/// The call and tile of a layer of a gemmini-rtl design: as written, else read from its mapping. Throws
/// Error naming rule, layer and nearest legal alternative where the hardware cannot run it.
gemmini::Tile tile_of(const DesignLayer& layer, const Hardware& built);

class Exporter {
 public:
  virtual ~Exporter() = default;
  virtual const char* name() const = 0;
  virtual const char* description() const = 0;
  /// All files of the export. Throws Error for a design that the format cannot hold.
  virtual std::vector<OutputFile> files(const Design& design, const Machine& machine) const = 0;
};

/// Every format, in the order in which they are listed to users.
const std::vector<const Exporter*>& exporters();
/// Throws Error{kValue} with the list for an unknown name.
const Exporter& exporter(const std::string& name);

// One per file.
const Exporter& gemmini_exporter();
const Exporter& timeloop_exporter();
const Exporter& json_exporter();
const Exporter& csv_exporter();

/// The design as a plan with one measurement per layer. Throws as tile_of().
Plan plan_of(const Design& design);

/// A layer with a mapping whose factors multiply to its sizes, as Timeloop wants them.
struct TimeloopProblem {
  Layer layer;  ///< name, count and groups are those of the layer that it stands for
  Mapping mapping;
};
/// A layer as the library call sees it (gemmini::extents; stride 1 where the call loads only what it needs),
/// every dimension as many whole tiles as the call runs, with the tile as a mapping in the library's loop
/// order. Tiles of C and K larger than the array are whole blocks of it; where such blocks of C would not
/// fit, of narrower ones. `tile` is legal on `built`; one larger than its dimension counts as the dimension.
/// Throws Error{kCapacity} where it needs more than half of a memory, and Error{kValue} where the padded
/// problem is too large.
TimeloopProblem padded_problem(const Layer& layer, const gemmini::Tile& tile, const Machine& machine,
                               const Hardware& built);

/// Sizes, strides and dilations of a problem that the timeloop exporter wrote. Throws Error{kSyntax}.
Layer layer_from_timeloop(const std::string& yaml);
/// The mapping that a file written by the timeloop exporter holds.
Mapping mapping_from_timeloop(const std::string& yaml, const Machine& machine);

}  // namespace dosa
