// A surrogate: latency learned from measurements on top of a physical base, differentiable, never below the
// floor.
//
// log cycles = log E + softplus(softplus^-1(log(base / E)) + f(inputs)) for every network f of an ensemble,
// where E is the compute floor and `base` a model of load, execute, store and overhead with fitted constants.
// With f = 0 that is the base; no f takes it below E. The paper's own predictors are here for comparison: its
// roofline (analytical) and a network on the raw problem and tiling (learned), whose predictions below E are
// raised to E.
//
// Method: DOSA (MICRO 2023, arXiv 2509.10702), section 6.5; inputs and base are this project's.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "dosa/models/base/json_input.hpp"
#include "dosa/surrogate/base_model.hpp"
#include "dosa/surrogate/ensemble.hpp"

namespace dosa {

enum class Predictor { kAnalytical, kLearned, kCombined };
inline constexpr const char* kPredictorNames[] = {"analytical", "learned", "combined"};
/// Throws Error{kValue} for another name.
Predictor predictor_from_name(const std::string& name);

/// What the inputs of a predictor's networks are called, in order.
std::vector<std::string> input_names(Predictor predictor, const FeatureTable& table);

/// log cycles and its uncertainty, [B..., layers]; the parts of the base say what dominates.
struct Estimate {
  torch::Tensor log_cycles;
  torch::Tensor log_sd;  ///< standard deviation of log cycles; undefined when relaxed
  /// log cycles by every network, [networks, B..., layers]; undefined for the analytical predictor.
  torch::Tensor networks;
  BaseLatency base;  ///< undefined for the analytical and learned predictors, and when relaxed
  torch::Tensor floor;
};

/// A surrogate of any chip: what it predicts from features. A chip's own surrogate derives from it, adds what
/// it was measured on and computes the features.
class FeatureSurrogate {
 public:
  Predictor predictor = Predictor::kCombined;
  BaseModel base;
  Ensemble ensemble;
  /// log_sd = sqrt((sd_scale * spread of the ensemble)^2 + sd_floor^2), calibrated on held-out layers.
  double sd_scale = 1, sd_floor = 0.05;
  /// What log_sd is multiplied by for every doubling of a run beyond the largest that were measured, at least
  /// 1. Training fits it; this is an assumption that stands where it cannot, or where cross-validation is
  /// left out.
  double growth_per_octave = 1.5;
  std::string data_hash;  ///< of the tensors, as the file that was loaded states it
  /// Everything a reader wants to know: data, rows used and dropped, options, seed, cross-validation figures.
  Json card = Json::object();

  Estimate predict(const Features& features) const;
  /// log cycles of every network, [networks, N], of features of N runs; for the learned predictor, not yet
  /// raised to the floor.
  torch::Tensor network_log_cycles(const Features& features, BaseLatency* base_latency) const;
  /// What the networks see, before it is normalised, [B..., layers, inputs].
  torch::Tensor inputs(const Features& features, const BaseLatency& base_latency) const;

 protected:
  /// Brings all numbers to this device and all but the weights to this type, and keeps the first `networks`
  /// alone.
  void lighten(const torch::TensorOptions& options, std::int64_t networks);

  /// Reads a file that save_as() wrote for a chip with these features; `read_target` reads what it was
  /// measured on. Loading executes nothing and refuses, by field, what it does not understand. Throws Error.
  void load_as(const FeatureTable& table, const std::filesystem::path& path,
               const std::function<void(const JsonInput&)>& read_target);
  /// Writes the file (a TensorFile) and its card (the same name with .json in place of its extension), each
  /// atomically.
  void save_as(const FeatureTable& table, const std::filesystem::path& path, const Json& target) const;
};

}  // namespace dosa
