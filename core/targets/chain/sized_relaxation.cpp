#include "dosa/core/targets/chain/sized_relaxation.hpp"

#include <cmath>

#include "dosa/core/search/network_loss.hpp"

namespace dosa {
namespace {

using torch::Tensor;

/// The numbers of a chain for sizes of one shape. Those that follow from no parameter have shape [].
ChainNumbers<Tensor> numbers_at(const Chain& chain, const std::vector<Tensor>& sizes,
                                const torch::TensorOptions& options) {
  return numbers_of(chain, sizes,
                    [&](const MachineNumber& number) { return torch::scalar_tensor(number.value, options); });
}

/// Log factors and places of the loops of one layer.
std::int64_t numbers_of_nest(const Chain& chain) {
  return static_cast<std::int64_t>(chain.levels.size() * (kLoopKinds + 1) * kDims);
}

}  // namespace

SizedRelaxation::SizedRelaxation(const SearchProblem& problem, const Chain& chain,
                                 const ChainRelaxation& nests, torch::TensorOptions options)
    : problem_(problem),
      chain_(chain),
      nests_(nests),
      options_(options),
      numbers_of_nests_(static_cast<std::int64_t>(problem.workload.layers.size()) * numbers_of_nest(chain)),
      networks_(problem.ranges()),
      joint_(problem.joint()),
      repetitions_(LayerBatch::from(problem.workload.layers, options).repetitions) {}

Tensor SizedRelaxation::random_parameters(std::int64_t starts, torch::Generator generator) const {
  const Tensor nests = nests_.random_parameters(starts, generator).flatten(1);
  const auto shapes = static_cast<std::int64_t>(problem_.machine().shape_parameters);
  return torch::cat({nests, torch::randn({starts, shapes}, generator, torch::kFloat32).to(options_)}, 1);
}

Tensor SizedRelaxation::log_factors(const Tensor& parameters) const {
  return nests_.log_factors(
      parameters.slice(1, 0, numbers_of_nests_)
          .view({parameters.size(0), repetitions_.size(0), static_cast<std::int64_t>(chain_.levels.size()),
                 static_cast<std::int64_t>(kLoopKinds) + 1, kDims}));
}

std::vector<Tensor> SizedRelaxation::shapes(const Tensor& parameters) const {
  std::vector<Tensor> sizes;
  for (std::size_t p = 0; p < problem_.machine().shape_parameters; ++p) {
    const double least = std::log(static_cast<double>(problem_.bounds.min[p]));
    const double most = std::log(static_cast<double>(problem_.bounds.max[p]));
    const Tensor share = parameters.select(1, numbers_of_nests_ + static_cast<std::int64_t>(p)).sigmoid();
    sizes.push_back((least + (most - least) * share).exp());
  }
  return sizes;
}

Tensor SizedRelaxation::need(const ChainTraffic& traffic, std::size_t parameter,
                             const std::vector<Tensor>& instances) const {
  Tensor most = torch::ones_like(traffic.macs);
  for (int l = 0; l < chain_.dram(); ++l) {
    const ChainLevel& level = chain_.levels[static_cast<std::size_t>(l)];
    const std::optional<ByParameter>& rule = level.rules.built_words;
    if (!rule || rule->parameter != parameter) continue;
    const Tensor words = traffic.need_words(l) * static_cast<double>(level.buffering);
    most = torch::maximum(most, rule->least_for(words, instances[static_cast<std::size_t>(l)]));
  }
  return most.view({-1, repetitions_.size(0)});
}

std::vector<Tensor> SizedRelaxation::instances(const std::vector<Tensor>& shape, std::int64_t starts) const {
  std::vector<Tensor> instances(chain_.levels.size());
  Tensor outside = torch::ones({starts}, options_);
  for (std::size_t l = chain_.levels.size(); l-- > 0;) {
    instances[l] = outside.repeat_interleave(repetitions_.size(0));
    const ChainLevel& level = chain_.levels[l];
    for (std::size_t a = 0; a < kAxes; ++a) {
      const std::optional<ByParameter>& rule = level.rules.fan_out[a];
      outside = rule ? outside * (shape[rule->parameter] * rule->times + rule->constant)
                     : outside * static_cast<double>(level.fan_out[a].size);
    }
  }
  return instances;
}

Tensor SizedRelaxation::hardware(const std::vector<Tensor>& sizes) const {
  const Tensor all = torch::stack(sizes, -1).detach().clone();
  for (std::size_t p = 0; p < problem_.machine().shape_parameters; ++p) {
    const Tensor allowed =
        torch::tensor(chain_.shape_values_between(p, problem_.bounds.min[p], problem_.bounds.max[p]))
            .to(options_);
    const Tensor size = all.select(-1, static_cast<std::int64_t>(p));
    size.copy_(allowed.index_select(0, (size.log().unsqueeze(-1) - allowed.log()).abs().argmin(-1)));
  }
  return all;
}

RelaxedCost SizedRelaxation::cost(const Tensor& parameters, const Tensor& gate) const {
  const std::int64_t starts = parameters.size(0), layers = repetitions_.size(0);
  const Sharpness sharpness = Sharpness::relaxed(gate);
  const Tensor log_factors = this->log_factors(parameters);
  const ChainTraffic traffic = nests_.traffic(log_factors, sharpness);

  std::vector<Tensor> sizes = shapes(parameters);
  const std::vector<Tensor> instances = this->instances(sizes, starts);
  Tensor excess = torch::zeros({starts, layers}, options_);
  for (std::size_t p = sizes.size(); p < problem_.bounds.max.size(); ++p) {
    const Tensor of_layers = need(traffic, p, instances);
    const auto least = static_cast<double>(problem_.bounds.min[p]);
    const auto most = static_cast<double>(problem_.bounds.max[p]);
    excess = excess + torch::relu((of_layers / most).log());
    sizes.push_back(of_layers.amax(-1).clamp_min(least));
  }
  const ChainNumbers<Tensor> of_starts = numbers_at(chain_, sizes, options_);
  for (int l = 0; l < chain_.dram(); ++l) {
    const ChainLevel& level = chain_.levels[static_cast<std::size_t>(l)];
    const std::optional<ByParameter>& rule = level.rules.built_words;
    if (!level.capacity_words || (rule && rule->parameter >= problem_.machine().shape_parameters)) continue;
    const Tensor need = traffic.need_words(l).view({starts, layers}) * static_cast<double>(level.buffering);
    const Tensor built = of_starts.levels[static_cast<std::size_t>(l)].built_words.view({-1, 1});
    excess = excess + torch::relu((need / built).log());
  }
  const Tensor on_axes = ChainRelaxation::log_on_axes(log_factors);  // [starts, layers, levels, 2]
  for (std::size_t l = 0; l < chain_.levels.size(); ++l) {
    for (std::size_t a = 0; a < kAxes; ++a) {
      const Tensor used =
          on_axes.select(2, static_cast<std::int64_t>(l)).select(2, static_cast<std::int64_t>(a));
      excess = excess + torch::relu(used - of_starts.levels[l].fan_out[a].log().view({-1, 1}));
    }
  }

  std::vector<Tensor> of_rows;
  for (const Tensor& size : sizes) of_rows.push_back(size.repeat_interleave(layers));
  const ChainCost cost = nests_.model().cost(traffic, sharpness, numbers_at(chain_, of_rows, options_));
  const Tensor energy = cost.energy_pj.view({starts, layers}) * 1e-6 * repetitions_;
  const Tensor cycles = cost.cycles.view({starts, layers}) * repetitions_;

  RelaxedCost result;
  result.hardware = hardware(sizes);
  result.loss = network_loss(problem_, networks_, joint_, energy, cycles, excess);
  if (std::isfinite(problem_.bounds.max_area_mm2))
    result.loss = result.loss + area_loss(problem_, area_mm2(chain_, of_starts));
  return result;
}

Tensor SizedRelaxation::decode(const Tensor& parameters, const Tensor& gate) const {
  return torch::cat({log_factors(parameters).flatten(1), cost(parameters, gate).hardware.log()}, 1);
}

Tensor SizedRelaxation::nest_of(const Tensor& decoded, std::size_t layer, const Chain& chain) {
  const std::int64_t numbers = numbers_of_nest(chain);
  return decoded.narrow(0, static_cast<std::int64_t>(layer) * numbers, numbers).unsqueeze(0).contiguous();
}

Hardware SizedRelaxation::hardware_of(const Tensor& decoded, const Chain& chain) {
  Hardware hardware = chain.default_hardware;
  const auto count = static_cast<std::int64_t>(hardware.size());
  for (std::int64_t p = 0; p < count; ++p) {
    hardware[static_cast<std::size_t>(p)] =
        std::llround(std::exp(decoded[decoded.size(0) - count + p].item<double>()));
  }
  return hardware;
}

}  // namespace dosa
