// What a surrogate's measurements covered, so that a prediction for anything else is marked.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/counts.hpp"
#include "dosa/models/base/json_input.hpp"

namespace dosa {

/// The least standard deviation of log cycles of a layer that is unlike any that was measured, ln 2. An
/// assumption: of such layers that were run on RTL, an 11 x 11 stride-4 kernel took 2.2 times its prediction.
inline constexpr double kUnlikeSd = 0.6931471805599453;

/// What of a layer lies outside the measurements, each as "kernel 11 (measured: 1 to 7)".
struct OutsideMeasured {
  std::string layer;  ///< its name
  /// Another kind of work than any that was measured: the kernel, the stride, or fewer channels or pixels
  /// than the least. Predictions were seen to be off by a factor of two there (kUnlikeSd).
  std::vector<std::string> unlike;
  /// More channels, pixels or images than the most. Counts grow with them in a known way, so a prediction is
  /// not widened for them; how far tiles exceed the measured ones is TilingCosts::growth.
  std::vector<std::string> larger;

  bool any() const { return !unlike.empty() || !larger.empty(); }
  /// What the standard deviation of log cycles is at least.
  double least_log_sd() const { return unlike.empty() ? 0 : kUnlikeSd; }
};
/// {"unlike": [...], "larger": [...]}
Json to_json(const OutsideMeasured& outside);
/// Lines that name the layers that are unlike any that was measured and count those that are larger; empty
/// where all of them were measured.
std::string text_of(const std::vector<OutsideMeasured>& layers);

/// The ranges of the layers that were measured, for each call of Gemmini's library.
class MeasuredDomain {
 public:
  void add(const LayerRun& run, std::int64_t pe_dim);
  /// Throws Error{kValue} naming the layer if no run by its call was measured at all: nothing is known then.
  OutsideMeasured outside(const LayerRun& run, std::int64_t pe_dim) const;

  /// {"convolution": {"kernel": [1, 7], ...}, "matrix product": {...}}, only what was measured.
  Json json() const;
  /// Reads json(). Throws Error naming the key.
  static MeasuredDomain from_json(const JsonInput& json);

 private:
  struct Range {
    std::int64_t least, most;
  };
  static constexpr int kQuantities = 8;
  static const std::array<const char*, kQuantities> kNames;
  static std::array<std::int64_t, kQuantities> quantities_of(const LayerRun& run, std::int64_t pe_dim);

  std::map<std::string, std::array<Range, kQuantities>> calls_;
};

}  // namespace dosa
