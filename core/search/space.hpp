// What a search knows of the problem it solves: how starts are relaxed, which hardware there is, and which
// schedules a layer has. Implemented by the targets (core/targets); no search knows more.
#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "dosa/core/search/budget.hpp"
#include "dosa/core/search/frontier.hpp"
#include "dosa/core/search/problem.hpp"
#include "dosa/core/targets/target.hpp"
#include "dosa/models/base/torch.hpp"
#include "dosa/models/cost/objective.hpp"

namespace dosa {

/// Costs of the starts of a relaxation, [starts] unless said. Differentiable in the parameters.
struct RelaxedCost {
  torch::Tensor loss;      ///< log objective, and a penalty for needing more than the bounds allow
  torch::Tensor hardware;  ///< [starts, parameters], real numbers
};

/// The temperature at which a relaxation mixes what it may choose among, after a share of the run: it cools.
/// A scalar of a scalar.
inline torch::Tensor mixing_temperature(const torch::Tensor& share) { return 0.5 * torch::pow(0.04, share); }

/// The schedules of one layer on one shape of the machine, as far as they have been looked at.
class LayerSpace {
 public:
  virtual ~LayerSpace() = default;

  const Frontier& frontier() const { return frontier_; }
  /// Schedules that look() would look at without a limit; more than these there are none (but see the target
  /// for what it leaves out and why nothing is lost by it).
  virtual double size() const = 0;
  /// Looks at no more than `limit` schedules, all if there are no more, those nearest to `near` first: a row
  /// of SearchSpace::decode, or undefined for nowhere in particular. Deterministic, unless the allowance's
  /// clock ends it with what was found so far. No gradients.
  virtual void look(const torch::Tensor& near, std::int64_t limit, Allowance& allowance) = 0;
  /// Tries to improve on the entries that are best at and around these prices, and on this hardware where
  /// that matters, where not all was looked at or there are schedules beyond the space (Frontier).
  virtual void improve(const Objective::Prices& /*prices*/, const Hardware& /*hardware*/,
                       Allowance& /*allowance*/) {}

 protected:
  Frontier frontier_;
};

struct MapOptions;

class SearchSpace {
 public:
  virtual ~SearchSpace() = default;

  // ---- Fixed hardware.

  /// What comes before the layers are looked at on hardware that is fixed, as a descent where they cannot be
  /// enumerated. `stop` may end it early.
  virtual void prepare(const MapOptions& /*options*/, const std::function<bool()>& /*stop*/) {}
  /// What no schedule of a layer undercuts, in one run with all its groups; nothing where that is not known.
  virtual std::optional<LayerCosts> lower_bound(std::size_t /*layer*/) const { return std::nullopt; }

  // ---- Hardware.

  /// The shapes that are worth trying, ascending; not empty.
  virtual std::vector<Shape> shapes() const = 0;
  /// Cycles and energy that no design of a shape undercuts, by network; empty where nothing is known of them.
  virtual std::vector<LayerCosts> least_costs(const Shape& /*shape*/) const { return {}; }
  /// The same of designs of any shape between those of two hardware, and with buffers between theirs, both
  /// included; takes a while. Where it is known, a search tries every shape that it leaves room for
  /// (SizeRanges). Threads: 0, one per core.
  virtual std::vector<LayerCosts> least_costs(const Hardware& /*least*/, const Hardware& /*most*/,
                                              std::int64_t /*threads*/) const {
    return {};
  }
  /// Where a search without a descent begins.
  virtual Shape first_shape() const { return shapes().back(); }
  /// Evaluations after which a search tries no further shapes.
  virtual std::int64_t polish_evaluations() const { return 8'000'000; }
  /// How many times as many schedules it looks at on the best shape in the end.
  virtual std::int64_t longer_on_the_best() const { return 1; }
  /// What random numbers of the integer form follow from, where it has any.
  virtual void set_seed(std::uint64_t /*seed*/) {}
  /// The hardware of a shape that can be built; empty: with any whole sizes of buffers within the problem's
  /// bounds.
  virtual std::vector<Hardware> buildable(const Shape& /*shape*/) const { return {}; }

  // ---- The relaxed form.

  /// Parameters of independent random starts, [starts, any].
  virtual torch::Tensor random_starts(std::int64_t starts, at::Generator generator) const = 0;
  /// Parameters -> costs, as soft as befits a `share` of the run: it hardens from 0 to 1. The share is a
  /// scalar in double precision, on the CPU or where the parameters are.
  virtual RelaxedCost relax(const torch::Tensor& parameters, const torch::Tensor& share) const = 0;
  RelaxedCost relax(const torch::Tensor& parameters, double share) const {
    return relax(parameters, torch::scalar_tensor(share, torch::kFloat64));
  }
  /// Whether relax() neither waits for the device nor brings anything to it, so that it can be recorded once
  /// and replayed (RecordedWork).
  virtual bool relax_can_be_recorded() const { return false; }
  /// Where parameters point, [starts, any], float64 on the CPU; its rows go to LayerSpace::look.
  virtual torch::Tensor decode(const torch::Tensor& parameters) const = 0;
  /// Evaluations of the model that one step of one start takes.
  virtual std::int64_t evaluations_per_step() const = 0;

  // ---- The integer form.

  virtual std::unique_ptr<LayerSpace> layer(std::size_t layer, const Shape& shape) const = 0;
  /// Evaluations without which a layer need not be begun.
  virtual std::int64_t least_evaluations(std::size_t layer) const = 0;
  virtual SchedulePtr schedule(std::size_t layer, const torch::Tensor& code) const = 0;
  /// Where to look, as a row of decode(), for schedules that fit if any do; undefined: look() begins with
  /// such.
  virtual torch::Tensor least_demanding() const { return {}; }
  /// A design may take no more than these expected cycles for a network, whatever its objective.
  virtual double most_cycles(std::size_t /*network*/) const {
    return std::numeric_limits<double>::infinity();
  }
  /// What layers' spaces hold in full, for reports.
  virtual const char* enumerated() const { return "all schedules"; }
  /// Loop orders with which every schedule goes.
  virtual std::int64_t orders() const { return 1; }
};

}  // namespace dosa
