// A surrogate: latency learned from measurements on top of a physical base, differentiable, never below the
// floor.
//
// log cycles = log E + softplus(softplus^-1(log(base / E)) + f(inputs)) for every network f of an ensemble,
// where E is the compute floor and `base` a model of load, execute, store and overhead with fitted constants.
// With f = 0 that is the base; no f takes it below E. The paper's own predictors are here for comparison: its
// roofline (analytical) and a network on the raw problem and tiling (learned).
//
// Method: DOSA (MICRO 2023, arXiv 2509.10702), section 6.5; inputs and base are this project's.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/counts.hpp"
#include "dosa/models/base/json_input.hpp"
#include "dosa/models/base/torch.hpp"

namespace dosa {

enum class Predictor { kAnalytical, kLearned, kCombined };
inline constexpr const char* kPredictorNames[] = {"analytical", "learned", "combined"};
/// Throws Error{kValue} for another name.
Predictor predictor_from_name(const std::string& name);

/// The hardware that measurements were taken on. A surrogate predicts for nothing else.
struct MeasuredTarget {
  std::string name;                   ///< "gemmini-rtl", "firesim-artefact"
  std::vector<std::int64_t> pe_dims;  ///< every array size among the measurements, ascending
  std::int64_t scratchpad_kib = 0;    ///< 0: unknown
  std::int64_t accumulator_kib = 0;
  RunRules rules;
};
Json to_json(const MeasuredTarget& target);
MeasuredTarget target_from_json(const JsonInput& json);

/// What the base and the networks see of tilings: float64, computed once from the counts.
struct Executed {
  torch::Tensor terms;   ///< [B..., layers, terms]: what each base constant multiplies
  torch::Tensor ratios;  ///< [B..., layers, inputs that do not depend on the base]
  torch::Tensor floor;   ///< [B..., layers], E in cycles
  torch::Tensor tiles;   ///< [B..., layers]
  torch::Tensor matmul;  ///< [layers], 0 or 1
  torch::Tensor raw;  ///< [B..., layers, 17]: logarithms of sizes, tiles and pe_dim; undefined when relaxed
  bool relaxed = false;

  static Executed of(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers,
                     bool relaxed);
  /// The same from the counts of these tilings.
  static Executed of(const Counts& counts, const torch::Tensor& tile, const torch::Tensor& pe_dim,
                     const RunBatch& layers, bool relaxed);
  /// `raw` of tiles as run_tiles gives them.
  static torch::Tensor raw_of(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers);
  /// Of shape [measurements]: those with these indices.
  Executed select(const torch::Tensor& index) const;
};

/// Names of the base's terms ("input.requests") and of the inputs of the networks, in order.
const std::vector<std::string>& base_term_names();
const std::vector<std::string>& combined_input_names();
const std::vector<std::string>& learned_input_names();

/// Latency of the base and what it is made of, in cycles, [B..., layers]. Differentiable in Executed and
/// constants.
struct BaseLatency {
  torch::Tensor cycles, load, execute, store, overhead;
};

/// Constants of the base for convolutions (0) and matrix products (1), as logarithms or unbounded numbers.
struct BaseModel {
  torch::Tensor constants;  ///< [2, terms], log of cycles per unit
  torch::Tensor overlap;    ///< [2, kOverlapConstants]

  static BaseModel initial();
  BaseLatency latency(const Executed& executed) const;
  /// Fits a copy to log cycles [measurements] by Adam on a Huber loss; deterministic.
  BaseModel fit(const Executed& executed, const torch::Tensor& log_cycles, int steps) const;
};
inline constexpr int kOverlapConstants = 5;

/// Networks with two hidden layers, evaluated together. float32.
struct Ensemble {
  torch::Tensor mean, scale, lowest, highest;  ///< [inputs], of the training rows
  torch::Tensor w1, b1, w2, b2, w3, b3;        ///< [networks, in, out] and [networks, 1, out]

  std::vector<torch::Tensor*> weights() { return {&w1, &b1, &w2, &b2, &w3, &b3}; }
  /// [N, inputs] normalised inputs, or [networks, N, inputs] -> [networks, N]. Differentiable.
  torch::Tensor operator()(const torch::Tensor& normalised) const;
  /// Inputs clamped to the range of the training rows, at most four standard deviations from their mean.
  torch::Tensor within_range(const torch::Tensor& inputs) const;
  torch::Tensor normalise(const torch::Tensor& within_range) const;  ///< mean 0, standard deviation 1
};

/// log cycles and its uncertainty, [B..., layers]; the parts of the base say what dominates.
struct Estimate {
  torch::Tensor log_cycles;
  torch::Tensor log_sd;  ///< standard deviation of log cycles; undefined when relaxed
  /// log cycles by every network, [networks, B..., layers]; undefined for the analytical predictor.
  torch::Tensor networks;
  BaseLatency base;  ///< undefined for the analytical and learned predictors, and when relaxed
  torch::Tensor floor;
};

class Surrogate {
 public:
  Predictor predictor = Predictor::kCombined;
  MeasuredTarget target;
  BaseModel base;
  Ensemble ensemble;
  /// log_sd = sqrt((sd_scale * spread of the ensemble)^2 + sd_floor^2), calibrated on held-out layers.
  double sd_scale = 1, sd_floor = 0.05;
  std::string data_hash;  ///< of the tensors, as the file that was loaded states it
  /// Everything a reader wants to know: data, rows used and dropped, options, seed, cross-validation figures.
  Json card = Json::object();

  /// Latency of tilings. `tile` [B..., layers, 7] elements, `pe_dim` broadcasts to [B..., layers]. Relaxed:
  /// differentiable in `tile` (not in pe_dim's DMA queue depth), for searching; else exact, for scoring.
  Estimate predict(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers,
                   bool relaxed) const;
  /// The same from the counts of these tilings; not for the analytical predictor.
  Estimate predict(const Counts& counts, const torch::Tensor& tile, const torch::Tensor& pe_dim,
                   const RunBatch& layers, bool relaxed) const;
  /// The same from what the networks see.
  Estimate predict(const Executed& executed) const;
  /// log cycles of every network, [networks, N], of inputs [N] rows.
  torch::Tensor network_log_cycles(const Executed& executed, BaseLatency* base_latency) const;
  torch::Tensor inputs(const Executed& executed, const BaseLatency& base_latency) const;

  /// For relaxed tiles of this type, with the first `networks` alone: faster, and a little less sure.
  Surrogate lighter(torch::ScalarType type, std::int64_t networks) const;

  /// Layers as this target runs them.
  RunBatch batch(const std::vector<LayerRun>& runs) const { return RunBatch::of(runs, target.rules); }

  /// Throws Error{kValue} naming the field unless the surrogate was trained on such hardware.
  void check_hardware(const Hardware& hardware, const std::string& where) const;

  /// One file: a line with the format's name, the length of the header, a JSON header, raw little-endian
  /// tensors. Loading executes nothing and refuses, by field, what it does not understand. Throws Error.
  static Surrogate load(const std::filesystem::path& path);
  /// Writes the file and its card (the same name with .json in place of its extension), each atomically.
  void save(const std::filesystem::path& path) const;
};

/// Correction of the base by a network, as in the formula on top. Differentiable in all three.
torch::Tensor combine(const torch::Tensor& correction, const torch::Tensor& log_base,
                      const torch::Tensor& log_floor);

/// One-cycle schedule: the share of the highest rate at a step, 1/25 up to 1 in a fifth of the steps, then
/// down.
double one_cycle(int step, int steps);

/// The paper's roofline on a tiling: max(MACs / used PEs, DRAM words / 8), [B..., layers]. Differentiable in
/// `tile`.
torch::Tensor roofline_cycles(const torch::Tensor& tile, const torch::Tensor& pe_dim, const RunBatch& layers);

}  // namespace dosa
