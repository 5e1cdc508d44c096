#include "dosa/models/cost/objective.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

struct NamedObjective {
  const char* name;
  double energy, latency;
};
constexpr std::array<NamedObjective, 4> kObjectives{
    {{"edp", 1, 1}, {"energy", 1, 0}, {"latency", 0, 1}, {"ed2p", 1, 2}}};

}  // namespace

Objective Objective::from_name(const std::string& name) {
  for (const NamedObjective& known : kObjectives) {
    if (name == known.name) return {known.name, known.energy, known.latency};
  }
  fail(ErrorId::kValue, "objective '{}' is not known; allowed: {}", name, fmt::join(names(), ", "));
}

std::vector<std::string> Objective::names() {
  std::vector<std::string> names;
  for (const NamedObjective& known : kObjectives) names.emplace_back(known.name);
  return names;
}

double Objective::value(double energy_uj, double cycles) const {
  return std::pow(energy_uj, energy) * std::pow(cycles, latency);
}

double Objective::log_value(double energy_uj, double cycles) const {
  return energy * std::log(energy_uj) + latency * std::log(cycles);
}

torch::Tensor Objective::log_value(const torch::Tensor& energy_uj, const torch::Tensor& cycles) const {
  return energy * energy_uj.log() + latency * cycles.log();
}

Objective::Prices Objective::prices(double total_energy, double cycles) const {
  return {energy / total_energy, latency / cycles};
}

Combining combining_from_name(const std::string& name) {
  const auto* found = std::find(kCombiningNames.begin(), kCombiningNames.end(), name);
  if (found == kCombiningNames.end())
    fail(ErrorId::kValue, "combine: found '{}', allowed: {}", name, fmt::join(kCombiningNames, ", "));
  return static_cast<Combining>(found - kCombiningNames.begin());
}

double JointObjective::log_value(const std::vector<double>& of_networks) const {
  if (weights.size() == 1) return of_networks.front();
  return log_value(torch::tensor(of_networks, torch::kFloat64)).item<double>();
}

torch::Tensor JointObjective::log_value(const torch::Tensor& of_networks) const {
  if (weights.size() == 1) return of_networks.select(-1, 0);
  const torch::Tensor all = torch::tensor(weights, torch::kFloat64).to(of_networks.options());
  if (combining == Combining::kGeometricMean) return (of_networks * (all / all.sum())).sum(-1);
  return torch::logsumexp(of_networks + all.log(), -1);
}

torch::Tensor JointObjective::shares(const torch::Tensor& of_networks) const {
  const torch::Tensor all = torch::tensor(weights, torch::kFloat64).to(of_networks.options());
  if (combining == Combining::kGeometricMean || weights.size() == 1)
    return (all / all.sum()).expand_as(of_networks);
  return torch::softmax(of_networks + all.log(), -1);
}

}  // namespace dosa
