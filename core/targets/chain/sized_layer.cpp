#include "dosa/core/targets/chain/sized_layer.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/targets/chain/codes.hpp"
#include "dosa/core/targets/chain/rounding.hpp"
#include "dosa/core/targets/chain/sized_relaxation.hpp"

namespace dosa {
namespace {

using torch::Tensor;

// Temperatures of the logarithm of the goal.
constexpr double kFromAnywhere = 0.15, kFromKnown = 0.03, kToEnd = 0.003;
// Prices of a cycle around the one asked for at which a walk's best mappings are kept.
constexpr double kPrices[] = {1, 0.3, 3};

}  // namespace

SizedLayer::SizedLayer(const SearchProblem& problem, const Chain& chain, std::size_t layer,
                       const Shape& shape, std::uint64_t seed)
    : problem_(problem),
      chain_(chain),
      layer_(layer),
      shape_(shape),
      seed_(seed),
      largest_(problem.largest_with(shape)),
      largest_chain_(chain.at(largest_)),
      largest_model_(largest_chain_, this->layer(), chain.remainders),
      range_(BufferRange::of(problem.bounds.min, largest_, problem.buffers())) {
  for (std::size_t b = 0; b < problem.buffers(); ++b) {
    Hardware one = largest_;
    problem.buffer(one, b) = problem.buffer(problem.bounds.min, b);
    Chain built = chain.at(one);
    for (ChainLevel& level : built.levels) level.capacity_words.reset();
    models_.emplace_back(built, this->layer(), chain.remainders);
  }
  frontier_.space = frontier_.candidates = LayerNests(largest_chain_, this->layer()).size();
}

std::vector<Hardware> SizedLayer::around(const Hardware& centre, const std::vector<double>& of_all,
                                         const std::vector<double>& of_one) const {
  std::vector<Hardware> list;
  const auto add = [&](const std::function<double(std::size_t)>& factor) {
    Hardware sizes = problem_.with_shape(centre, shape_);
    for (std::size_t b = 0; b < problem_.buffers(); ++b) {
      std::int64_t& size = problem_.buffer(sizes, b);
      size = std::clamp<std::int64_t>(std::llround(static_cast<double>(size) * factor(b)),
                                      problem_.buffer(problem_.bounds.min, b),
                                      problem_.buffer(problem_.bounds.max, b));
    }
    sizes = problem_.within_area(sizes);
    if (std::find(list.begin(), list.end(), sizes) == list.end()) list.push_back(sizes);
  };
  for (const double factor : of_all) add([&](std::size_t) { return factor; });
  for (std::size_t own = 0; own < problem_.buffers(); ++own) {
    for (const double factor : of_one) add([&](std::size_t b) { return b == own ? factor : 1.0; });
  }
  return list;
}

void SizedLayer::look(const Tensor& near, std::int64_t limit, Allowance& allowance) {
  if (!problem_.has_room_for(shape_)) return;
  limit_ = limit;
  if (near.defined()) near_ = SizedRelaxation::nest_of(near, layer_, chain_);
  const std::vector<Hardware> sizes =
      around(near.defined() ? SizedRelaxation::hardware_of(near, chain_) : chain_.default_hardware,
             {1, 0.5, 2, 0.25, 4}, {0.25, 0.5, 2, 4});
  const LayerGoal goal{problem_.objective.energy, problem_.objective.latency, false};
  const auto walks = static_cast<std::int64_t>(sizes.size());
  const std::int64_t all = std::min(limit, allowance.evaluations);
  allowance.fell_short = all < limit;
  // A walk evaluates its start, too.
  const std::int64_t starts = allowance.evaluations < limit + walks ? 1 : 0;
  const std::int64_t each = std::max<std::int64_t>(all / walks - starts, 1);
  for (const Hardware& hardware : sizes) {
    // Without a mapping yet, one matters more than the clock.
    if (frontier_.numbers.defined() && allowance.is_spent()) break;
    walk(hardware, goal, each, allowance);
  }
}

void SizedLayer::improve(const Objective::Prices& prices, const Hardware& hardware, Allowance& allowance) {
  const LayerGoal goal{prices.energy, prices.cycle, true};
  const std::vector<Hardware> sizes = around(hardware, {1}, {0.5, 0.75, 1.5});
  const std::int64_t each = std::max<std::int64_t>(limit_ / (2 * static_cast<std::int64_t>(sizes.size())), 1);
  for (const Hardware& one : sizes) {
    if (allowance.is_spent()) return;
    walk(one, goal, std::clamp<std::int64_t>(allowance.evaluations - 1, 1, each), allowance);
  }
}

void SizedLayer::walk(const Hardware& hardware, const LayerGoal& goal, std::int64_t evaluations,
                      Allowance& allowance) {
  const LayerNests nests(chain_.at(hardware), layer());
  Random random(seed_ * 1'000'003 + static_cast<std::uint64_t>(walks_));
  ChainNest start = near_.defined() ? round_nest(nests, near_.data_ptr<double>(), 0, random).nest
                                    : nests.random(random).nest;
  bool known = near_.defined();
  if (frontier_.numbers.defined()) {
    const std::vector<double> buffers = buffers_of(hardware, problem_.buffers());
    const Tensor fitting = fits(frontier_.numbers, buffers);
    if (fitting.any().item<bool>()) {
      const Tensor energy = energy_at(frontier_.numbers, buffers);
      const Tensor cycles = frontier_.numbers.select(1, Frontier::kCycles);
      const Tensor value = goal.linear ? (energy * goal.energy + cycles * goal.cycles).log()
                                       : energy.log() * goal.energy + cycles.log() * goal.cycles;
      const std::int64_t best =
          value.masked_fill(~fitting, std::numeric_limits<double>::infinity()).argmin().item<std::int64_t>();
      start = nest_of_code(frontier_.codes[best].contiguous().data_ptr<double>(), chain_.levels.size());
      known = true;
    }
  }
  NestFront front;
  NestWalk walk(nests, seed_ * 1'000'003 + static_cast<std::uint64_t>(1'000'000 + walks_++), front);
  walk.stop = allowance.stop;
  walk.anneal(start, goal, evaluations, known ? kFromKnown : kFromAnywhere, kToEnd);
  frontier_.evaluated += walk.evaluated();
  allowance.spend(walk.evaluated());
  std::vector<ChainNest> best;
  const NestFront::Entry* first = front.best(goal);
  if (first == nullptr) return;
  best.push_back(first->nest);
  const double price = goal.linear ? goal.cycles / goal.energy : first->energy_pj / first->cycles;
  for (const double factor : kPrices) {
    const NestFront::Entry* entry = front.best({1, price * factor, true});
    if (entry != nullptr) best.push_back(entry->nest);
  }
  keep(best);
}

std::vector<double> SizedLayer::numbers_of(const ChainNest& nest) const {
  const auto groups = static_cast<double>(layer().groups);
  const NestCost cost = largest_model_.cost(nest);
  std::vector<double> row{cost.cycles * groups, cost.energy_pj * groups};
  for (std::size_t b = 0; b < problem_.buffers(); ++b) {
    const double need =
        needed_size(largest_chain_, largest_model_, nest, problem_.machine().shape_parameters + b);
    const auto least = static_cast<double>(problem_.buffer(problem_.bounds.min, b));
    const auto most = static_cast<double>(problem_.buffer(largest_, b));
    // Energy is affine in the sizes: two points give the slope. Where both are one point it is of no account.
    const double slope =
        most > least ? (cost.energy_pj - models_[b].cost(nest).energy_pj) * groups / (most - least) : 0;
    row.push_back(std::max(need, least));
    row.push_back(std::max(slope, 0.0));
    row[Frontier::kEnergy] -= row.back() * most;
  }
  return row;
}

void SizedLayer::keep(const std::vector<ChainNest>& nests) {
  const auto count = static_cast<std::int64_t>(nests.size());
  const std::size_t levels = chain_.levels.size();
  const Tensor numbers = torch::empty({count, Frontier::columns(problem_.buffers())}, torch::kFloat64);
  const Tensor codes = torch::empty({count, code_size(levels)}, torch::kFloat64);
  for (std::int64_t i = 0; i < count; ++i) {
    const ChainNest& nest = nests[static_cast<std::size_t>(i)];
    const std::vector<double> row = numbers_of(nest);
    std::copy(row.begin(), row.end(), numbers.data_ptr<double>() + i * numbers.size(1));
    code_of_nest(nest, levels, codes.data_ptr<double>() + i * codes.size(1));
  }
  frontier_.add(numbers, codes, Tensor(), [&](const Tensor& all) { return range_.columns(all); });
  frontier_.looked_at = static_cast<double>(frontier_.evaluated);
}

}  // namespace dosa
