#include "dosa/core/search/layers.hpp"

#include <algorithm>
#include <mutex>

#include "dosa/models/base/threads.hpp"

namespace dosa {

LayerSearch::LayerSearch(const SearchProblem& problem, const SearchSpace& space, const Shape& shape,
                         std::int64_t threads, Budget& budget, std::function<bool()> stop)
    : problem_(problem),
      space_(space),
      shape_(shape),
      threads_(threads),
      budget_(budget),
      stop_(std::move(stop)),
      layers_(problem.workload.layers.size()),
      allowances_(layers_.size()),
      frontiers_(layers_.size()) {}

bool LayerSearch::share_out(bool least_in_any_case) {
  const std::int64_t left = budget_.left();
  const std::int64_t each = left == kNoLimit ? kNoLimit : left / static_cast<std::int64_t>(layers_.size());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const std::int64_t least = space_.least_evaluations(l);
    if (each < least && !least_in_any_case) return false;
    allowances_[l] = {std::max(each, least), stop_};
  }
  return true;
}

void LayerSearch::work(const std::function<void(std::size_t)>& on_layer) {
  std::vector<std::int64_t> before;
  for (const Frontier& frontier : frontiers_) before.push_back(frontier.evaluated);
  std::mutex mutex;
  std::size_t done = 0;
  parallel(static_cast<std::int64_t>(layers_.size()), threads_, [&](std::int64_t l) {
    on_layer(static_cast<std::size_t>(l));
    const std::lock_guard<std::mutex> lock(mutex);
    ++done;
    if (worked) worked(done);
  });
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    if (layers_[l]) frontiers_[l] = layers_[l]->frontier();
    budget_.spend(frontiers_[l].evaluated - before[l]);
  }
}

bool LayerSearch::look(const torch::Tensor& near, std::int64_t limit, bool first) {
  if (!share_out(first)) return false;
  std::mutex mutex;
  work([&](std::size_t l) {
    if (!first && stop_ && stop_()) return;
    if (!layers_[l]) layers_[l] = space_.layer(l, shape_);
    layers_[l]->look(near, limit, allowances_[l]);
    if (!looked) return;
    const std::lock_guard<std::mutex> lock(mutex);
    frontiers_[l] = layers_[l]->frontier();
    looked(l);
  });
  return true;
}

bool LayerSearch::improve(const std::vector<Objective::Prices>& prices, const Hardware& hardware) {
  if (!share_out(false)) return false;
  work([&](std::size_t l) {
    if (layers_[l] && frontiers_[l].is_improvable()) layers_[l]->improve(prices[l], hardware, allowances_[l]);
  });
  return true;
}

bool LayerSearch::complete() const {
  return std::all_of(frontiers_.begin(), frontiers_.end(), [](const Frontier& f) { return f.complete; });
}

bool LayerSearch::improvable() const {
  return std::any_of(frontiers_.begin(), frontiers_.end(),
                     [](const Frontier& f) { return f.is_improvable(); });
}

bool LayerSearch::fell_short() const {
  return std::any_of(allowances_.begin(), allowances_.end(), [](const Allowance& a) { return a.fell_short; });
}

}  // namespace dosa
