// What a design is to be good at: one number of energy and latency.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "dosa/models/base/torch.hpp"

namespace dosa {

/// Minimise energy^a * latency^b of the whole network. The only place where this formula stands.
struct Objective {
  std::string name = "edp";
  double energy = 1;   ///< a
  double latency = 1;  ///< b

  /// "edp" (1, 1), "energy" (1, 0), "latency" (0, 1) or "ed2p" (1, 2). Throws Error{kValue}.
  static Objective from_name(const std::string& name);
  static std::vector<std::string> names();

  /// Energy in uJ, latency in cycles.
  double value(double energy_uj, double cycles) const;
  double log_value(double energy_uj, double cycles) const;
  /// Element-wise; differentiable.
  torch::Tensor log_value(const torch::Tensor& energy_uj, const torch::Tensor& cycles) const;

  /// What a little more of each costs: the derivatives of log_value. `energy` is per unit of the energy that
  /// is passed, whatever its unit.
  struct Prices {
    double energy, cycle;
  };
  Prices prices(double energy, double cycles) const;
};

/// The most that a network may count among several.
inline constexpr double kMostWeight = 1e9;

/// How the objectives of several networks make one.
enum class Combining { kGeometricMean, kSum };
inline constexpr std::array<const char*, 2> kCombiningNames{"geomean", "sum"};
/// Throws Error{kValue}.
Combining combining_from_name(const std::string& name);

/// The objective of several networks together: the geometric mean of their values v to the powers of their
/// weights w, the product of all v^(w / sum of w), or the weighted sum of all w v. Of one network it is the
/// network's own.
struct JointObjective {
  Combining combining = Combining::kGeometricMean;
  std::vector<double> weights;  ///< by network, over 0 to kMostWeight; not empty

  /// From the logarithms of the networks' values.
  double log_value(const std::vector<double>& of_networks) const;
  /// [.., networks] -> [..]; differentiable.
  torch::Tensor log_value(const torch::Tensor& of_networks) const;
  /// What a little more of each logarithm adds to that of the joint value: its derivatives, [.., networks].
  torch::Tensor shares(const torch::Tensor& of_networks) const;
};

}  // namespace dosa
