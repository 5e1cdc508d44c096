#include "dosa/core/targets/gemmini/relaxation.hpp"

#include <algorithm>
#include <cmath>

namespace dosa {
namespace {

using gemmini::Call;
using torch::Tensor;

// Weight of a layer that needs more than the largest buffers, in the relaxed loss.
constexpr double kExcessWeight = 10;

// Networks of the ensemble that the descent asks: enough for a mean and its uncertainty. What it finds is
// scored by all.
constexpr std::int64_t kNetworks = 2;

/// Of variants in the order of their layers.
NetworkRanges networks_of(const std::vector<RtlVariant>& variants, const SearchProblem& problem) {
  std::vector<std::pair<std::int64_t, std::int64_t>> ranges;
  const auto first_of = [&](std::size_t layer) {
    return std::count_if(variants.begin(), variants.end(),
                         [&](const RtlVariant& variant) { return variant.layer < layer; });
  };
  for (const ProblemNetwork& network : problem.networks())
    ranges.emplace_back(first_of(network.begin), first_of(network.end));
  return NetworkRanges(std::move(ranges));
}

}  // namespace

std::vector<RtlVariant> variants_of(const SearchProblem& problem, const RtlModel& model,
                                    std::int64_t pe_dim) {
  std::vector<RtlVariant> variants;
  for (std::size_t l = 0; l < problem.workload.layers.size(); ++l) {
    const Layer& layer = problem.workload.layers[l];
    for (const Call call : gemmini::calls_for(layer)) {
      RtlVariant v{l, call, model.run(layer, call), {}, {}, 1, false, {}};
      v.batch = model.batch({v.run});
      for (const Dim dim : all_dims()) {
        const std::int64_t most = gemmini::max_tile(layer, call, dim, pe_dim);
        const bool blocks = gemmini::is_product(call) ? most > 1 : dim == Dim::C || dim == Dim::K;
        auto& sizes = v.sizes[static_cast<std::size_t>(dim)];
        for (const std::int64_t size : gemmini::useful_tile_sizes(most, blocks ? pe_dim : 1))
          sizes.push_back(std::min(size, most));
        v.combinations *= static_cast<double>(sizes.size());
      }
      variants.push_back(std::move(v));
    }
  }
  return variants;
}

RtlRelaxation::RtlRelaxation(const SearchProblem& problem, const RtlModel& model,
                             const std::vector<RtlVariant>& variants, const std::vector<Tensor>& anchors,
                             const ArraySizes& largest, double kappa, const torch::TensorOptions& options)
    : problem_(problem),
      surrogate_(model.surrogate() == nullptr
                     ? nullptr
                     : std::make_shared<const Surrogate>(model.surrogate()->lighter(options, kNetworks))),
      model_(model.machine(), surrogate_.get()),
      largest_(largest),
      kappa_(kappa),
      networks_(networks_of(variants, problem)),
      joint_(problem.joint()) {
  const auto count = static_cast<std::int64_t>(variants.size());
  const auto layers = static_cast<std::int64_t>(problem.workload.layers.size());
  std::vector<LayerRun> runs;
  std::vector<Tensor> anchor_rows;
  log_low_ = torch::zeros({count, kDims}, torch::kFloat64);
  log_span_ = torch::zeros({count, kDims}, torch::kFloat64);
  repetitions_ = torch::zeros({count}, torch::kFloat64);
  of_layer_ = torch::zeros({count, layers}, torch::kFloat64);
  for (std::int64_t v = 0; v < count; ++v) {
    const RtlVariant& variant = variants[static_cast<std::size_t>(v)];
    runs.push_back(variant.run);
    if (anchors[variant.layer].defined()) anchor_rows.push_back(anchors[variant.layer]);
    repetitions_[v] = static_cast<double>(problem.workload.layers[variant.layer].repetitions());
    of_layer_[v][static_cast<std::int64_t>(variant.layer)] = 1.0;
    for (int d = 0; d < kDims; ++d) {
      const auto& sizes = variant.sizes[static_cast<std::size_t>(d)];
      log_low_[v][d] = std::log(static_cast<double>(sizes.front()));
      log_span_[v][d] = std::log(static_cast<double>(sizes.back()) / static_cast<double>(sizes.front()));
    }
  }
  batch_ = model.batch(runs).to(options);
  if (!anchor_rows.empty())
    anchors_ = torch::stack(anchor_rows, 1)
                   .unsqueeze(1)
                   .slice(0, 0, kNetworks)
                   .to(options);  // [networks, 1, variants]
  calls_ = torch::matmul(of_layer_, of_layer_.sum(0));
  for (Tensor* t : {&log_low_, &log_span_, &repetitions_, &of_layer_, &calls_}) *t = t->to(options);
  pe_dim_ = torch::full({}, static_cast<double>(largest.pe_dim), options);
}

Tensor RtlRelaxation::tiles(const Tensor& logits) const {
  return (log_low_ + log_span_ * torch::sigmoid(logits)).exp();
}

Tensor RtlRelaxation::random_logits(std::int64_t starts, at::Generator generator) const {
  return (6 * torch::rand({starts, variants(), kDims}, generator, torch::kFloat64) - 3).to(options());
}

RelaxedCost RtlRelaxation::cost(const Tensor& logits, const Tensor& share_of_run) const {
  const Tensor temperature = mixing_temperature(share_of_run);
  const TilingCosts costs = model_.costs(tiles(logits), pe_dim_, batch_, true);
  const Cost at_largest = model_.price(costs.traffic, HardwareTensors::from(largest_, options()), true);
  Tensor cycles = costs.cycles.defined() ? costs.cycles : at_largest.cycles.squeeze(-1);
  if (kappa_ > 0 && costs.networks.defined())
    cycles = cycles * (kappa_ * model_.log_sd_of_ratio(costs.networks, costs.growth, anchors_)).exp();
  // The calls of a layer, mixed by how good each is.
  const Objective& objective = problem_.objective;
  const Tensor quality = objective.log_value(at_largest.energy_pj.squeeze(-1), cycles);
  // A constant of every layer cancels: without the layer's mean nothing overflows, however cool the mixture.
  constexpr double kLargest = 80;
  const auto sum_of_layer = [&](const Tensor& t) {
    return torch::matmul(torch::matmul(t, of_layer_), of_layer_.t());
  };
  const Tensor middle = sum_of_layer(quality.detach()) / calls_;
  const Tensor likely = ((quality - middle) / -temperature).clamp(-kLargest, kLargest).exp();
  const Tensor share = likely / sum_of_layer(likely);
  // Sizes: what the layer that needs most needs, twice for double buffering.
  const auto sized = [&](const Tensor& rows, double bytes, std::int64_t least, std::int64_t most,
                         Tensor& excess) {
    const Tensor kib = rows * (2 * bytes * static_cast<double>(largest_.pe_dim) / 1024);
    const Tensor of_layers = torch::matmul(share * kib, of_layer_);
    excess = torch::relu((of_layers / static_cast<double>(most)).log());
    return of_layers.amax(-1, true).clamp(static_cast<double>(least), static_cast<double>(most));
  };
  Tensor beyond_scratchpad, beyond_accumulator;
  const ArrayBounds bounds = ArrayBounds::of(problem_.bounds);
  const HardwareTensors hardware{
      pe_dim_,
      sized(costs.rows.input + costs.rows.weight, 1, bounds.min.scratchpad_kib, largest_.scratchpad_kib,
            beyond_scratchpad),
      sized(costs.rows.output, 4, bounds.min.accumulator_kib, largest_.accumulator_kib, beyond_accumulator)};
  const Tensor energy = model_.price(costs.traffic, hardware, true).energy_pj.squeeze(-1);
  const Tensor total_energy = networks_.sum(share * energy * repetitions_);
  const Tensor layer_cycles = torch::matmul(share * cycles * repetitions_, of_layer_);
  const NetworkRanges of_layers = problem_.ranges();
  const Tensor total_cycles = of_layers.sum(layer_cycles);
  const Tensor log_values = objective.log_value(total_energy * 1e-6, total_cycles);  // [starts, networks]
  Tensor weight = (layer_cycles / of_layers.spread(total_cycles)).detach();
  if (problem_.is_joint()) weight = weight * of_layers.spread(joint_.shares(log_values.detach()));
  return {joint_.log_value(log_values) +
              kExcessWeight * (weight * (beyond_scratchpad + beyond_accumulator)).sum(-1),
          torch::cat(
              {pe_dim_.expand_as(hardware.scratchpad_kib), hardware.scratchpad_kib, hardware.accumulator_kib},
              -1)};
}

}  // namespace dosa
