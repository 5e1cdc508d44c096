#include "dosa/core/targets/chain/relaxation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dosa/core/search/network_loss.hpp"
#include "dosa/models/chain/nest_model.hpp"

namespace dosa {
namespace {

using torch::Tensor;

// A power of the objective counts as this at least, so that a descent knows of mappings equal in the other.
constexpr double kLeastPower = 0.05;

}  // namespace

ChainRelaxation::ChainRelaxation(const Chain& chain, const std::vector<Layer>& layers,
                                 const Objective& objective, torch::TensorOptions options)
    : model_(chain),
      layers_(layers),
      energy_power_(std::max(objective.energy, kLeastPower)),
      latency_power_(std::max(objective.latency, kLeastPower)),
      options_(options) {
  const auto levels = static_cast<std::int64_t>(chain.levels.size());
  const Tensor mask = torch::full({levels, static_cast<std::int64_t>(kLoopKinds), kDims},
                                  -std::numeric_limits<float>::infinity());
  const Tensor fan_out = torch::zeros({levels, static_cast<std::int64_t>(kAxes)});
  for (std::int64_t l = 0; l < levels; ++l) {
    const ChainLevel& level = chain.levels[static_cast<std::size_t>(l)];
    for (std::int64_t d = 0; d < kDims; ++d) {
      if (level.temporal[static_cast<std::size_t>(d)]) mask[l][0][d] = 0;
      for (std::int64_t a = 0; a < static_cast<std::int64_t>(kAxes); ++a) {
        const FanOut& axis = level.fan_out[static_cast<std::size_t>(a)];
        fan_out[l][a] = std::log(static_cast<double>(axis.size));
        if (axis.size > 1 && axis.dims[static_cast<std::size_t>(d)]) mask[l][a + 1][d] = 0;
      }
    }
  }
  slot_mask_ = mask.to(options);
  log_fan_out_ = fan_out.to(options);
  log_size_ = LayerBatch::from(layers, options).log_size.view({-1, 1, 1, kDims});
}

Tensor ChainRelaxation::random_parameters(std::int64_t starts, torch::Generator generator) const {
  const std::vector<std::int64_t> shape{starts, log_size_.size(0), slot_mask_.size(0),
                                        static_cast<std::int64_t>(kLoopKinds) + 1, kDims};
  return torch::randn(shape, std::move(generator), torch::kFloat32).to(options_);
}

Tensor ChainRelaxation::log_factors(const Tensor& parameters) const {
  constexpr auto kinds = static_cast<std::int64_t>(kLoopKinds);
  const Tensor logits = parameters.slice(3, 0, kinds) + slot_mask_;
  const Tensor shares = torch::softmax(logits.flatten(2, 3), 2).view_as(logits);
  return torch::cat({shares * log_size_, parameters.slice(3, kinds)}, 3);
}

Tensor ChainRelaxation::excess(const Tensor& log_factors, const ChainTraffic& traffic) const {
  Tensor all = torch::relu(log_on_axes(log_factors).flatten(0, 1) - log_fan_out_).flatten(1).sum(1);
  for (int level = 0; level < model_.chain().dram(); ++level) {
    const auto& capacity = model_.chain().levels[static_cast<std::size_t>(level)].capacity_words;
    if (!capacity) continue;
    all = all + torch::relu((traffic.need_words(level) / static_cast<double>(*capacity)).log());
  }
  return all;
}

Tensor ChainRelaxation::log_on_axes(const Tensor& log_factors) {
  return log_factors.slice(3, 1, static_cast<std::int64_t>(kLoopKinds)).sum(-1);
}

ChainTraffic ChainRelaxation::traffic(const Tensor& log_factors, const Sharpness& sharpness) const {
  const Tensor rows = log_factors.flatten(0, 1);  // [starts * layers, levels, 4, 7]
  std::vector<Layer> layers;
  for (std::int64_t i = 0; i < log_factors.size(0); ++i)
    layers.insert(layers.end(), layers_.begin(), layers_.end());
  const ChainNests nests{
      rows.select(2, 0).exp(), (rows.select(2, 1) + rows.select(2, 2)).exp(), {}, rows.select(2, 3)};
  return model_.traffic(nests, LayerBatch::from(layers, options_), sharpness);
}

Tensor ChainRelaxation::loss(const Tensor& log_factors, const Tensor& gate) const {
  const Sharpness sharpness = Sharpness::relaxed(gate);
  const ChainTraffic traffic = this->traffic(log_factors, sharpness);
  const ChainCost cost = model_.cost(traffic, sharpness);
  const Tensor of_layers = cost.energy_pj.log() * energy_power_ + cost.cycles.log() * latency_power_ +
                           excess(log_factors, traffic) * kExcessWeight;
  return of_layers.view({log_factors.size(0), -1}).sum(1);
}

}  // namespace dosa
