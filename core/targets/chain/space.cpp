#include "dosa/core/targets/chain/space.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/search/descent.hpp"
#include "dosa/core/targets/chain/codes.hpp"
#include "dosa/core/targets/chain/rounding.hpp"
#include "dosa/core/targets/chain/sized_layer.hpp"
#include "dosa/core/targets/chain/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using torch::Tensor;

// Rows (starts x layers) that descend in one batch: so many that a step is not all overhead.
constexpr std::int64_t kRowsOfBatch = 64;
constexpr double kLearningRate = 0.5;
/// The gate of the relaxation after a share of the run.
Tensor gate_at(const Tensor& share) { return 1 + 22 * share; }

// Rounded mappings of each start, all but the first with noise.
constexpr std::int64_t kRoundings = 32;
constexpr double kRoundingNoise = 0.3;
// Walks on the integers: as many as this for a layer, unless they would be shorter than that, which those
// that anneal may be and those that temper not; with at least so many evaluations in all, they temper.
constexpr std::int64_t kWalks = 4, kShortestAnnealing = 20'000, kShortestTempering = 200'000;
constexpr std::int64_t kLeastToTemper = 100'000;
constexpr double kEndTemperature = 0.002;
constexpr std::size_t kRandomStarts = 8;  // of a walk

/// The temperature at which a walk of so many evaluations begins: a short one has no time to climb far from
/// where it starts.
double begin_temperature(std::int64_t evaluations) {
  return std::clamp(0.03 * std::sqrt(static_cast<double>(evaluations) / 1000), 0.03, 0.3);
}

/// A layer's mappings, as far as walks have come by them.
class ChainLayer : public LayerSpace {
 public:
  /// Of the problem's layers this one. `starts` [starts, numbers] are where the descent ended, undefined
  /// where there was none; `descended` the evaluations that it took.
  ChainLayer(const SearchProblem& problem, std::size_t layer, const LayerNests& nests,
             const MapOptions& options, Tensor starts, std::int64_t descended, const LayerCosts& least)
      : problem_(problem),
        layer_(layer),
        objective_(problem.objective),
        nests_(nests),
        options_(options),
        starts_(std::move(starts)),
        threads_(problem.workload.layers.size() > 1 ? 1 : options.threads),
        least_(least) {
    frontier_.evaluated = descended;
    frontier_.space = frontier_.candidates = nests.size();
  }

  double size() const override { return frontier_.space; }

  void look(const Tensor& near, std::int64_t /*limit*/, Allowance& allowance) override {
    if (near.defined() && !starts_.defined())
      starts_ = SizedRelaxation::nest_of(near, layer_, nests_.chain());
    const LayerGoal goal{objective_.energy, objective_.latency, false};
    std::int64_t left = within(options_.samples - frontier_.evaluated, allowance);
    const std::vector<ChainNest> rounded = round(goal, left);
    if (options_.stages != Stages::kDescent) {
      const std::int64_t shortest = left < kLeastToTemper ? kShortestAnnealing : kShortestTempering;
      const std::int64_t walks = std::clamp<std::int64_t>(left / shortest, 1, kWalks);
      std::vector<Walk> all;
      for (std::int64_t w = 0; w < walks; ++w) {
        all.push_back({starts_of(w, rounded), goal, left / walks, begin_temperature(left / walks)});
      }
      run(all, allowance);
    }
    publish();
  }

  void improve(const Objective::Prices& prices, const Hardware&, Allowance& allowance) override {
    if (options_.stages == Stages::kDescent) return;
    // Prices of the network's objective: energy in pJ and cycles of one of this layer's runs alike.
    const LayerGoal goal{prices.energy, prices.cycle, true};
    const NestFront::Entry* best = front_.best(goal);
    if (allowance.is_spent()) return;
    const std::int64_t evaluations = within(std::max<std::int64_t>(options_.samples / 8, 1), allowance);
    run({{{best->nest}, goal, evaluations, begin_temperature(evaluations) / 3}}, allowance);
    publish();
  }

 private:
  struct Walk {
    std::vector<ChainNest> starts;
    LayerGoal goal;
    std::int64_t evaluations;
    double temperature;  // at the beginning, where it anneals
  };

  /// So many evaluations, or what is left of the allowance after what walks take beyond theirs: one for a
  /// start where they anneal, a last round of all replicas and their starts where they temper.
  static std::int64_t within(std::int64_t wanted, Allowance& allowance) {
    const std::int64_t beyond = kWalks * (wanted < kLeastToTemper ? 1 : NestWalk::kMostBeyond);
    if (wanted <= allowance.evaluations - beyond) return wanted;
    allowance.fell_short = true;
    return std::max<std::int64_t>(allowance.evaluations - beyond, 1);
  }

  /// Where a walk's replicas begin: at rounded nests, beginning with another one for each walk, or at random.
  std::vector<ChainNest> starts_of(std::int64_t walk, const std::vector<ChainNest>& rounded) const {
    std::vector<ChainNest> starts(rounded.empty() ? kRandomStarts : rounded.size());
    Random random(seed_of(1'000 + walk));
    for (std::size_t i = 0; i < starts.size(); ++i) {
      starts[i] = rounded.empty() ? nests_.random(random).nest
                                  : rounded[(static_cast<std::size_t>(walk) + i) % rounded.size()];
    }
    return starts;
  }

  /// A seed of its own for every stream of random numbers of a layer; equal layers get equal ones.
  std::uint64_t seed_of(std::int64_t stream) const {
    return options_.seed * 1'000'003 + static_cast<std::uint64_t>(stream);
  }

  /// The best rounded mapping of every start of the descent, best first; takes what it evaluates from `left`.
  std::vector<ChainNest> round(const LayerGoal& goal, std::int64_t& left) {
    if (!starts_.defined()) return {};
    struct Rounded {
      double value;
      ChainNest nest;
    };
    std::vector<Rounded> all;
    Random random(seed_of(0));
    const std::int64_t count = starts_.size(0);
    const std::int64_t each = std::clamp<std::int64_t>(left / (2 * count), 1, kRoundings);
    for (std::int64_t s = 0; s < count; ++s) {
      const double* relaxed = starts_.data_ptr<double>() + s * starts_.size(1);
      Rounded best{std::numeric_limits<double>::infinity(), {}};
      for (std::int64_t i = 0; i < each; ++i) {
        const ChainNest nest = round_nest(nests_, relaxed, i == 0 ? 0 : kRoundingNoise, random).nest;
        const NestCost cost = nests_.model().cost(nest);
        front_.offer(cost, nest);
        if (const double value = goal.value(cost.energy_pj, cost.cycles); cost.fits && value < best.value)
          best = {value, nest};
      }
      frontier_.evaluated += each;
      left -= each;
      if (std::isfinite(best.value)) all.push_back(best);
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Rounded& a, const Rounded& b) { return a.value < b.value; });
    std::vector<ChainNest> nests;
    for (const Rounded& rounded : all) nests.push_back(rounded.nest);
    return nests;
  }

  /// Independent walks, merged in their order.
  void run(const std::vector<Walk>& walks, Allowance& allowance) {
    std::vector<NestFront> fronts(walks.size());
    std::vector<std::int64_t> evaluated(walks.size());
    parallel(static_cast<std::int64_t>(walks.size()), threads_, [&](std::int64_t i) {
      const auto w = static_cast<std::size_t>(i);
      NestWalk walk(nests_, seed_of(2'000 + walks_ + i), fronts[w]);
      walk.stop = [&] { return at_least(fronts[w]) || (allowance.stop && allowance.stop()); };
      const auto& [starts, goal, evaluations, temperature] = walks[w];
      if (evaluations < kLeastToTemper) {
        walk.anneal(starts[0], goal, evaluations, temperature, kEndTemperature);
      } else {
        walk.temper(starts, goal, evaluations);
      }
      evaluated[w] = walk.evaluated();
    });
    walks_ += static_cast<std::int64_t>(walks.size());
    for (std::size_t w = 0; w < walks.size(); ++w) {
      front_.merge(fronts[w]);
      frontier_.evaluated += evaluated[w];
      allowance.spend(evaluated[w]);
    }
  }

  void publish() {
    const auto entries = static_cast<std::int64_t>(front_.entries().size());
    if (entries == 0) return;
    const std::size_t levels = nests_.chain().levels.size();
    const auto groups = static_cast<double>(nests_.layer().groups);
    const std::int64_t columns = Frontier::columns(problem_.buffers());
    frontier_.numbers = torch::zeros({entries, columns}, torch::kFloat64);
    frontier_.codes = torch::empty({entries, code_size(levels)}, torch::kFloat64);
    for (std::int64_t i = 0; i < entries; ++i) {
      const NestFront::Entry& entry = front_.entries()[static_cast<std::size_t>(i)];
      double* numbers = frontier_.numbers.data_ptr<double>() + i * columns;
      numbers[Frontier::kCycles] = entry.cycles * groups;
      numbers[Frontier::kEnergy] = entry.energy_pj * groups;
      code_of_nest(entry.nest, levels, frontier_.codes.data_ptr<double>() + i * code_size(levels));
    }
    frontier_.looked_at = static_cast<double>(frontier_.evaluated);
    frontier_.complete = at_least(front_);
  }

  /// Whether a mapping is at both lower bounds: there is nothing left to find.
  bool at_least(const NestFront& front) const {
    if (front.entries().empty()) return false;
    const NestFront::Entry& first = front.entries().front();
    const auto groups = static_cast<double>(nests_.layer().groups);
    return first.cycles * groups <= least_.cycles &&
           first.energy_pj * groups * 1e-6 <= least_.energy_uj * (1 + 1e-9);
  }

  const SearchProblem& problem_;
  std::size_t layer_;
  Objective objective_;
  const LayerNests& nests_;
  MapOptions options_;
  Tensor starts_;
  std::int64_t threads_;
  LayerCosts least_;
  NestFront front_;
  std::int64_t walks_ = 0;  // so far
};

}  // namespace

ChainSpace::ChainSpace(const SearchProblem& problem, const Chain& machine, const std::string& device)
    : problem_(problem),
      machine_(machine),
      chain_(machine.at(problem.bounds.max)),
      relaxation_(chain_, problem.workload.layers, problem.objective,
                  torch::TensorOptions(torch::kFloat32).device(device)),
      sized_relaxation_(problem, machine, relaxation_, torch::TensorOptions(torch::kFloat32).device(device)) {
  for (const Layer& layer : problem.workload.layers) nests_.emplace_back(chain_, layer);
  check_fits();
}

// With every loop at the outermost level, each other one holds the least.
void ChainSpace::check_fits() const {
  problem_.check_area(problem_.bounds.min);
  const torch::InferenceMode no_gradients;
  const ChainModel model(chain_);
  for (const LayerNests& nests : nests_) {
    const Mapping mapping = nests.model().mapping_of(nests.outermost().nest);
    const ChainTraffic traffic =
        model.traffic(model.nests_of({mapping}), LayerBatch::from({nests.layer()}, torch::kFloat64));
    try {
      model.check_fits(traffic, 0);
    } catch (const Error& error) {
      throw error.in(fmt::format("layer '{}' has no mapping that fits", nests.layer().name));
    }
  }
}

void ChainSpace::prepare(const MapOptions& options, const std::function<bool()>& stop) {
  options_ = options;
  least_ = least_of_layers(chain_, options.threads);
  prepares_ = true;
  if (options.stages == Stages::kPolish) return;
  const std::int64_t starts = std::clamp<std::int64_t>(options.samples / 64, 1, options.starts);
  steps_ = std::min(options.steps, options.samples / (2 * starts));
  const std::int64_t group = std::max<std::int64_t>(kRowsOfBatch / evaluations_per_step(), 1);
  std::vector<Tensor> descended(static_cast<std::size_t>((starts + group - 1) / group));
  parallel(static_cast<std::int64_t>(descended.size()), options.threads, [&](std::int64_t g) {
    Descent descent(*this, g * group, std::min(group, starts - g * group), group, options_.seed,
                    kLearningRate);
    for (std::int64_t step = 0; step < steps_ && !(stop && stop()); ++step)
      descent.run(step, step + 1, steps_);
    descended[static_cast<std::size_t>(g)] = descent.decoded();
  });
  descended_ = torch::cat(descended);
}

std::vector<LayerCosts> ChainSpace::least_of_layers(const Chain& chain, std::int64_t threads) const {
  const std::vector<Layer>& layers = problem_.workload.layers;
  std::vector<LayerCosts> least(layers.size());
  parallel(static_cast<std::int64_t>(layers.size()), threads, [&](std::int64_t l) {
    const auto layer = static_cast<std::size_t>(l);
    const ChainBound bound = dosa::lower_bound(chain, layers[layer]);
    const auto groups = static_cast<double>(layers[layer].groups);
    least[layer] = {bound.cycles * groups, bound.energy_pj * groups * 1e-6, {}, {}};
  });
  return least;
}

std::vector<LayerCosts> ChainSpace::least_costs(const Hardware& least, const Hardware& most,
                                                std::int64_t threads) const {
  const std::vector<LayerCosts> of_layers = least_of_layers(most_favourable(machine_, least, most), threads);
  std::vector<LayerCosts> of_networks;
  for (const ProblemNetwork& network : problem_.networks()) {
    LayerCosts& sum = of_networks.emplace_back();
    for (std::size_t l = network.begin; l < network.end; ++l) {
      const auto count = static_cast<double>(problem_.workload.layers[l].count);
      sum.cycles += of_layers[l].cycles * count;
      sum.energy_uj += of_layers[l].energy_uj * count;
    }
  }
  return of_networks;
}

std::optional<LayerCosts> ChainSpace::lower_bound(std::size_t layer) const {
  return least_.empty() ? std::nullopt : std::optional<LayerCosts>(least_[layer]);
}

Tensor ChainSpace::random_starts(std::int64_t starts, at::Generator generator) const {
  return prepares_ ? relaxation_.random_parameters(starts, std::move(generator))
                   : sized_relaxation_.random_parameters(starts, std::move(generator));
}

RelaxedCost ChainSpace::relax(const Tensor& parameters, const Tensor& share) const {
  if (!prepares_) return sized_relaxation_.cost(parameters, gate_at(share));
  RelaxedCost cost;
  cost.loss = relaxation_.loss(relaxation_.log_factors(parameters), gate_at(share));
  return cost;
}

Tensor ChainSpace::decode(const Tensor& parameters) const {
  const Tensor decoded =
      prepares_ ? relaxation_.log_factors(parameters)
                : sized_relaxation_.decode(parameters, gate_at(torch::ones({}, torch::kFloat64)));
  return decoded.to(torch::kCPU, torch::kFloat64);
}

std::int64_t ChainSpace::evaluations_per_step() const {
  return static_cast<std::int64_t>(problem_.workload.layers.size());
}

std::vector<Shape> ChainSpace::shapes() const {
  std::vector<Shape> all{{}};
  for (std::size_t p = 0; p < problem_.machine().shape_parameters; ++p) {
    const std::vector<std::int64_t> values =
        machine_.shape_values_between(p, problem_.bounds.min[p], problem_.bounds.max[p]);
    std::vector<Shape> wider;
    for (const Shape& shape : all) {
      for (const std::int64_t value : values) {
        wider.push_back(shape);
        wider.back().push_back(value);
      }
    }
    all = std::move(wider);
  }
  all.erase(std::remove_if(all.begin(), all.end(),
                           [&](const Shape& shape) { return !problem_.has_room_for(shape); }),
            all.end());
  return all;
}

Shape ChainSpace::first_shape() const {
  const auto distance = [&](const Shape& shape) {
    double sum = 0;
    for (std::size_t p = 0; p < shape.size(); ++p) {
      sum += std::abs(
          std::log(static_cast<double>(shape[p]) / static_cast<double>(machine_.default_hardware[p])));
    }
    return sum;
  };
  const std::vector<Shape> all = shapes();
  return *std::min_element(all.begin(), all.end(),
                           [&](const Shape& a, const Shape& b) { return distance(a) < distance(b); });
}

std::unique_ptr<LayerSpace> ChainSpace::layer(std::size_t layer, const Shape& shape) const {
  if (chooses_sizes()) return std::make_unique<SizedLayer>(problem_, machine_, layer, shape, seed_);
  Tensor starts;
  if (descended_.defined())
    starts = descended_.select(1, static_cast<std::int64_t>(layer)).flatten(1).contiguous();
  const std::int64_t descended = starts.defined() ? starts.size(0) * steps_ : 0;
  const LayerCosts least = lower_bound(layer).value_or(LayerCosts{});
  return std::make_unique<ChainLayer>(problem_, layer, nests_[layer], options_, starts, descended, least);
}

std::int64_t ChainSpace::least_evaluations(std::size_t) const { return 64; }

SchedulePtr ChainSpace::schedule(std::size_t layer, const Tensor& code) const {
  const Tensor numbers = code.contiguous();
  const ChainNest nest = nest_of_code(numbers.data_ptr<double>(), chain_.levels.size());
  Mapping mapping = nests_[layer].model().mapping_of(nest);
  mapping.set_remainders(problem_.workload.layers[layer], chain_.remainders);
  return std::make_shared<MappingSchedule>(mapping, chain_);
}

}  // namespace dosa
