// The best design that consists of measured tilings, against the default's measured cycles.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dosa/core/design/design.hpp"
#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/models/cost/objective.hpp"
#include "dosa/models/workload.hpp"

namespace dosa {

/// Measured cycles of tilings, by the shape of the layer.
class MeasuredTilings {
 public:
  struct Entry {
    gemmini::Tile tile;
    double cycles = 0;                ///< of one group
    std::optional<double> predicted;  ///< before it was measured
  };

  static std::string key_of(const Layer& layer, const gemmini::Tile& tile);

  void add(const Layer& layer, const gemmini::Tile& tile, double cycles, std::optional<double> predicted);
  /// A tiling that gave wrong values or did not end.
  void add_failed(const Layer& layer, const gemmini::Tile& tile);

  /// Whether it was measured or failed.
  bool has(const Layer& layer, const gemmini::Tile& tile) const;
  /// Null where it was not measured.
  const Entry* find(const Layer& layer, const gemmini::Tile& tile) const;
  /// All that were measured of a layer of this shape.
  const std::vector<Entry>& of(const Layer& layer) const;
  /// "layer: tile" of all that failed.
  const std::vector<std::string>& failed() const { return failed_names_; }
  /// Measured cycles of the network; layers of which nothing was measured count as the design has them.
  /// Nothing where a tiling of another layer was not measured.
  std::optional<double> network_cycles(const Design& design) const;

 private:
  std::map<std::string, std::vector<Entry>> by_shape_;
  std::map<std::string, bool> failed_;
  std::vector<std::string> failed_names_;
};

struct CampaignEnd {
  Design design;             ///< costs are the measured ones; its provenance.model is "measured"
  bool is_measured = false;  ///< all layers that were measured at all have a default and a design that were
  Json json;
  std::string text;  ///< per layer and in sum, predicted against measured
};

/// Of the tilings that were measured, those that are best together for the objective on the hardware of one
/// of the designs or of the default, `reference` (each layer at a time, until no change helps), and
/// not slower than the default where that is measured and they can be. `own`: the
/// default's tiles, by layer of the workload. Layers of which nothing was measured keep the design's tile and
/// are in no sum. Energies are the model's.
CampaignEnd best_measured(const Workload& workload, const std::vector<Design>& designs,
                          const ArraySizes& reference, const std::vector<gemmini::Tile>& own,
                          const MeasuredTilings& measured, const ArrayMachine& machine,
                          const Objective& objective);

}  // namespace dosa
