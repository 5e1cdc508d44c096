// A real Gemmini as a target: sizes that elaborate, layers run by calls of its C library with tiles,
// latencies by a surrogate of measurements where there is one.
#pragma once

#include "dosa/core/targets/array_target.hpp"
#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/core/targets/gemmini/reference.hpp"

namespace dosa {
struct DesignLayer;
}

namespace dosa::gemmini {

/// What the CPU does for layers that run by im2col.
inline constexpr const char* kIm2colWork = "im2col";

class TileSchedule : public Schedule {
 public:
  explicit TileSchedule(const Tile& tile) : tile_(tile) {}

  const Tile& tile() const { return tile_; }
  const char* key() const override { return "tile"; }
  Json json() const override { return to_json(tile_); }
  std::string text() const override { return to_string(tile_); }
  std::string cpu_work() const override { return tile_.call == Call::kIm2col ? kIm2colWork : ""; }

 private:
  Tile tile_;
};

TargetPtr make_gemmini_target(const MachinePtr& machine, const TargetOptions& options);

/// The same Gemmini, whose designs are compared with a baseline in place of the library's tiles on the
/// default hardware, and not to be slower than that. `target` is a Gemmini. Throws Error{kValue} where the
/// baseline cannot be built, or a tile of it not run.
TargetPtr with_baseline(const Target& target, GivenBaseline baseline);
/// With the default buffers on an array of `pe_dim`.
TargetPtr with_default_of_array(const Target& target, std::int64_t pe_dim);
/// What is to be said of all results of a target, a line without a break: which numbers of its machine's file
/// are not the shipped ones, and which latencies are therefore not of what was measured. Empty for none.
std::string remark(const Target& target);
/// Whether a target's layers run as a real Gemmini's.
bool is_gemmini(const Target& target);

/// The tile of a schedule of this target. Throws Error naming rule, layer and nearest legal alternative where
/// the hardware cannot run it.
Tile tile_of(const Layer& layer, const SchedulePtr& schedule, const ArraySizes& built);

}  // namespace dosa::gemmini
