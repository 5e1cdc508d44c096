// The differentiable form of the search for a real Gemmini (space.hpp).
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "dosa/core/search/problem.hpp"
#include "dosa/core/search/space.hpp"
#include "dosa/core/targets/gemmini/model.hpp"

namespace dosa {

/// A layer run by one call, and the tile sizes that are worth a look.
struct RtlVariant {
  std::size_t layer;
  gemmini::Call call;
  LayerRun run;
  RunBatch batch;                                      // of this run alone
  std::array<std::vector<std::int64_t>, kDims> sizes;  // ascending
  double combinations = 1;
  bool complete = false;    // all of them were scored
  std::set<DimSizes> seen;  // scored already, or not legal
};

/// Every call that can run a layer of the problem, with the sizes that are useful on an array of `pe_dim`.
std::vector<RtlVariant> variants_of(const SearchProblem& problem, const RtlModel& model, std::int64_t pe_dim);

/// The differentiable form: per start, variant and dimension, log tile = a point between the logarithms of
/// the smallest and the largest useful size.
class RtlRelaxation {
 public:
  /// `anchors`: by layer, what the networks say of the tiling that gains are counted from, [networks];
  /// undefined without a surrogate. `problem` must outlive this. `options`: of logits and all else.
  RtlRelaxation(const SearchProblem& problem, const RtlModel& model, const std::vector<RtlVariant>& variants,
                const std::vector<torch::Tensor>& anchors, const ArraySizes& largest, double kappa,
                const torch::TensorOptions& options);

  std::int64_t variants() const { return log_low_.size(0); }
  torch::TensorOptions options() const { return log_low_.options(); }

  /// Logits -> tiles [starts, variants, 7], real numbers. Differentiable.
  torch::Tensor tiles(const torch::Tensor& logits) const;

  /// Logits of independent random starts, [starts, variants, 7].
  torch::Tensor random_logits(std::int64_t starts, at::Generator generator) const;
  /// Of the starts, after a `share` of the run: the mixture of calls cools. Differentiable, with subgradients
  /// where maxima meet.
  RelaxedCost cost(const torch::Tensor& logits, const torch::Tensor& share) const;

 private:
  const SearchProblem& problem_;
  std::shared_ptr<const Surrogate> surrogate_;  // of `model`, in this type; may be null
  RtlModel model_;
  ArraySizes largest_;
  double kappa_;
  RunBatch batch_;
  NetworkRanges networks_;  // of the variants
  JointObjective joint_;
  torch::Tensor anchors_;
  torch::Tensor log_low_, log_span_;  // [variants, 7]
  torch::Tensor repetitions_;         // [variants]
  torch::Tensor of_layer_;            // [variants, layers], 0/1
  torch::Tensor calls_;               // [variants], variants of the same layer
  torch::Tensor pe_dim_;
};

}  // namespace dosa
