// Bayesian optimisation over the hardware, after the protocol of DOSA (MICRO 2023): a Gaussian process on the
// hardware sizes, the next hardware by the lower confidence bound, on each the best of 100 random mappings
// per layer. Gaussian process: Matern 5/2 kernel with a length per size, lengths and noise by marginal
// likelihood (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, algorithm 2.1).
#include <algorithm>
#include <cmath>
#include <set>

#include "dosa/core/baselines/map_space.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr std::int64_t kMappings = 100;  // per layer and hardware
constexpr std::int64_t kFirst = 20;      // random hardware before the process is asked
constexpr std::int64_t kMostHardware =
    500;  // larger budgets go into more mappings: the process is cubic in it
constexpr std::int64_t kCandidates = 2000, kNear = 500;
constexpr double kBound = 2;  // standard deviations below the mean

/// A zero-mean Gaussian process on standardised values.
class GaussianProcess {
 public:
  explicit GaussianProcess(std::size_t sizes) : lengths_(sizes, 0.4) {}

  /// `x` [n, sizes] in 0..1, `y` [n].
  void fit(const Tensor& x, const Tensor& y, bool choose_parameters) {
    x_ = x;
    mean_ = y.mean().item<double>();
    deviation_ = y.size(0) > 1 ? std::max(1e-9, y.std().item<double>()) : 1;
    y_ = (y - mean_) / deviation_;
    if (choose_parameters) choose();
    condition();
  }

  /// Mean minus `bound` standard deviations at points [m, sizes], in the units of y.
  Tensor lower_bound(const Tensor& points, double bound) const {
    const Tensor across = kernel(points, x_);  // [m, n]
    const Tensor mean = torch::matmul(across, weights_).squeeze(-1);
    const Tensor solved = torch::linalg_solve_triangular(cholesky_, across.t(), /*upper=*/false);
    const Tensor variance = (1 - solved.square().sum(0)).clamp_min(1e-12);
    return (mean - bound * variance.sqrt()) * deviation_ + mean_;
  }

 private:
  Tensor kernel(const Tensor& a, const Tensor& b) const {
    const Tensor scale = torch::tensor(lengths_, torch::kFloat64).reciprocal();
    const Tensor distance = torch::cdist(a * scale, b * scale) * std::sqrt(5.0);
    return (1 + distance + distance.square() / 3) * (-distance).exp();
  }

  double condition() {
    const Tensor covariance = kernel(x_, x_) + (noise_ + 1e-8) * torch::eye(x_.size(0), torch::kFloat64);
    cholesky_ = torch::linalg_cholesky(covariance);
    weights_ = torch::cholesky_solve(y_.unsqueeze(-1), cholesky_);
    return -0.5 * y_.dot(weights_.squeeze(-1)).item<double>() -
           cholesky_.diagonal().log().sum().item<double>();
  }

  /// Lengths and noise of the largest marginal likelihood, one at a time.
  void choose() {
    double best = condition();
    for (int round = 0; round < 2; ++round) {
      for (std::size_t p = 0; p <= lengths_.size(); ++p) {
        double& parameter = p < lengths_.size() ? lengths_[p] : noise_;
        double kept = parameter;
        for (const double value : p < lengths_.size() ? std::vector<double>{0.1, 0.2, 0.4, 0.8, 1.6, 3.2}
                                                      : std::vector<double>{1e-4, 1e-3, 1e-2, 0.1, 0.3}) {
          parameter = value;
          const double likelihood = condition();
          if (likelihood > best) {
            best = likelihood;
            kept = value;
          }
        }
        parameter = kept;
      }
    }
  }

  std::vector<double> lengths_;
  double noise_ = 1e-2;
  double mean_ = 0, deviation_ = 1;
  Tensor x_, y_, cholesky_, weights_;
};

class BayesianOptimisation : public Baseline {
 public:
  std::string name() const override { return "bayes"; }
  std::string description() const override {
    return "Gaussian process over the hardware with lower confidence bound, 100 random mappings per layer on "
           "each";
  }

  void run(const SearchProblem& problem, std::uint64_t seed, std::int64_t threads,
           Recorder& recorder) const override {
    const std::unique_ptr<const MapSpace> space_of_problem = MapSpace::of(problem, threads);
    const MapSpace& space = *space_of_problem;
    Random random(seed);
    const std::int64_t mappings = std::max(kMappings, recorder.budget() / space.layers() / kMostHardware);
    const std::size_t sizes = problem.machine().parameters.size();
    std::vector<double> x;  // [hardware tried, sizes]
    std::vector<double> y;
    std::set<Hardware> seen;
    Hardware best_hardware;
    double best = std::numeric_limits<double>::infinity();
    GaussianProcess process(sizes);
    std::size_t chosen_at = 0;
    // Adds the place of hardware between the bounds to points [n, sizes].
    const auto add_place = [&](const Hardware& hardware, std::vector<double>& points) {
      for (std::size_t p = 0; p < sizes; ++p) {
        const auto size = [&](const Hardware& h) { return std::log(static_cast<double>(h[p])); };
        const double low = size(problem.bounds.min), high = size(problem.bounds.max);
        points.push_back(high > low ? (size(hardware) - low) / (high - low) : 0);
      }
    };
    const auto tensor = [&](const std::vector<double>& points, std::size_t count) {
      return torch::tensor(points, torch::kFloat64)
          .view({static_cast<std::int64_t>(count), static_cast<std::int64_t>(sizes)});
    };
    const auto is_new = [&](const Hardware& h) { return seen.count(h) == 0; };
    while (!recorder.stop(space.layers())) {
      Hardware hardware = space.random_hardware(random);
      if (static_cast<std::int64_t>(y.size()) >= kFirst) {
        const bool choose = y.size() >= chosen_at + chosen_at / 10 + 1;
        if (choose) chosen_at = y.size();
        process.fit(tensor(x, y.size()), torch::tensor(y, torch::kFloat64), choose);
        std::vector<Hardware> hardwares;
        for (std::int64_t i = 0; i < kCandidates; ++i) hardwares.push_back(draw(space, random));
        for (std::int64_t i = 0; i < kNear; ++i) hardwares.push_back(near(space, best_hardware, random));
        std::vector<double> points;
        for (const Hardware& one : hardwares) add_place(one, points);
        const Tensor order = process.lower_bound(tensor(points, hardwares.size()), kBound).argsort();
        for (std::int64_t i = 0; i < order.size(0); ++i) {
          const Hardware& one = hardwares[static_cast<std::size_t>(order[i].item<std::int64_t>())];
          if (!is_new(one) || !space.legal(one)) continue;
          hardware = one;
          break;
        }
      }
      seen.insert(hardware);
      const auto [candidates, scores] = space.random_mappings(
          hardware, std::min(mappings, recorder.left() / space.layers()), random, recorder);
      const NetworkChoice choice = space.best_of(candidates, scores);
      space.offer(hardware, candidates, choice, recorder);
      add_place(hardware, x);
      y.push_back(std::log(choice.objective));
      if (choice.objective < best) {
        best = choice.objective;
        best_hardware = hardware;
      }
    }
  }

 private:
  /// Log-uniform sizes; whether they are legal is asked of the chosen one only.
  static Hardware draw(const MapSpace& space, Random& random) {
    const HardwareBounds& bounds = space.problem().bounds;
    Hardware hardware = bounds.min;
    for (std::size_t p = 0; p < hardware.size(); ++p) {
      const double low = std::log(static_cast<double>(bounds.min[p])),
                   high = std::log(static_cast<double>(bounds.max[p]));
      hardware[p] = space.allowed(p, std::llround(std::exp(low + (high - low) * random.uniform())));
    }
    return hardware;
  }

  static Hardware near(const MapSpace& space, const Hardware& centre, Random& random) {
    Hardware hardware = centre;
    for (std::size_t p = 0; p < hardware.size(); ++p) {
      const double size = static_cast<double>(centre[p]) * std::exp(0.2 * random.normal());
      hardware[p] = space.allowed(p, std::llround(size), centre[p]);
    }
    return hardware;
  }
};

}  // namespace

std::unique_ptr<Baseline> make_bayesian_optimisation() { return std::make_unique<BayesianOptimisation>(); }

}  // namespace dosa
