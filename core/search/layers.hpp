// All layers of a network on one shape of the machine, looked at in parallel within a budget.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "dosa/core/search/budget.hpp"
#include "dosa/core/search/problem.hpp"
#include "dosa/core/search/space.hpp"

namespace dosa {

class LayerSearch {
 public:
  /// All references must outlive this. `stop` may be empty.
  LayerSearch(const SearchProblem& problem, const SearchSpace& space, const Shape& shape,
              std::int64_t threads, Budget& budget, std::function<bool()> stop);

  /// Looks at every layer's schedules (LayerSpace::look). False, with nothing done, where the budget has not
  /// the least evaluations for every layer; `first` takes the least in any case.
  bool look(const torch::Tensor& near, std::int64_t limit, bool first);
  /// LayerSpace::improve, with a layer's own of `prices`, on the layers for which that may find something.
  /// False where no evaluations are left.
  bool improve(const std::vector<Objective::Prices>& prices, const Hardware& hardware);

  const std::vector<Frontier>& frontiers() const { return frontiers_; }
  bool complete() const;
  /// Whether improve() may find something.
  bool improvable() const;
  /// Whether the last work on some layer ended for lack of evaluations.
  bool fell_short() const;

  /// Called after each layer's look, one at a time; set before look().
  std::function<void(std::size_t)> looked;
  /// Called with how many layers are done after each look or improvement of one, one at a time.
  std::function<void(std::size_t)> worked;

 private:
  /// Gives every layer an equal part of the evaluations that are left; false where that is less than the
  /// least.
  bool share_out(bool least_in_any_case);
  void work(const std::function<void(std::size_t)>& on_layer);

  const SearchProblem& problem_;
  const SearchSpace& space_;
  Shape shape_;
  std::int64_t threads_;
  Budget& budget_;
  std::function<bool()> stop_;
  std::vector<std::unique_ptr<LayerSpace>> layers_;
  std::vector<Allowance> allowances_;
  std::vector<Frontier> frontiers_;
};

}  // namespace dosa
