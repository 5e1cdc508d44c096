#include "dosa/core/baselines/map_space.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/baselines/array_map_space.hpp"
#include "dosa/core/baselines/chain_map_space.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

// Random hardware of which none is legal, before there is taken to be none.
constexpr int kMostDraws = 100'000;

}  // namespace

std::unique_ptr<MapSpace> MapSpace::of(const SearchProblem& problem, std::int64_t threads) {
  if (dynamic_cast<const Chain*>(&problem.machine()) != nullptr)
    return std::make_unique<ChainMapSpace>(problem, threads);
  return std::make_unique<ArrayMapSpace>(problem, threads);
}

MapSpace::MapSpace(const SearchProblem& problem, std::int64_t threads)
    : problem_(problem), threads_(threads), shape_values_(problem.machine().shape_parameters) {
  for (const Layer& layer : problem.workload.layers) repetitions_.push_back(static_cast<double>(layer.count));
}

double MapSpace::objective(double energy_uj, double cycles) const {
  return problem_.objective.value(energy_uj, cycles);
}

std::int64_t MapSpace::allowed(std::size_t parameter, std::int64_t wanted, std::int64_t from) const {
  const bool is_listed = parameter < shape_values_.size() && !shape_values_[parameter].empty();
  if (!is_listed) {
    const Parameter& steps = problem_.machine().parameters[parameter];
    const std::int64_t min = problem_.bounds.min[parameter], max = problem_.bounds.max[parameter];
    const std::int64_t nearest = std::clamp(steps.down(wanted), min, max);
    if (nearest != from || wanted == from) return nearest;
    return std::clamp(wanted > from ? steps.up(from + 1) : steps.down(from - 1), min, max);
  }
  const std::vector<std::int64_t>& values = shape_values_[parameter];
  const auto distance = [&](std::int64_t value) {
    return std::abs(
        std::log(static_cast<double>(value) / static_cast<double>(std::max<std::int64_t>(wanted, 1))));
  };
  auto nearest = std::min_element(values.begin(), values.end(),
                                  [&](std::int64_t a, std::int64_t b) { return distance(a) < distance(b); });
  if (*nearest == from && wanted > from && nearest + 1 != values.end()) ++nearest;
  if (*nearest == from && wanted < from && nearest != values.begin()) --nearest;
  return *nearest;
}

bool MapSpace::legal(const Hardware& hardware) const {
  if (problem_.machine().area_mm2(hardware) > problem_.bounds.max_area_mm2) return false;
  return score(outermost(), {hardware}).fits.all().item<bool>();
}

Hardware MapSpace::random_hardware(Random& random) const {
  for (int draw = 0; draw < kMostDraws; ++draw) {
    Hardware hardware = problem_.bounds.min;
    for (std::size_t p = 0; p < hardware.size(); ++p) {
      const std::int64_t min = problem_.bounds.min[p], max = problem_.bounds.max[p];
      if (p >= shape_values_.size()) {
        const double low = std::log(static_cast<double>(min)), high = std::log(static_cast<double>(max) + 1);
        const double size = std::exp(low + (high - low) * random.uniform());
        hardware[p] = allowed(p, static_cast<std::int64_t>(size));
      } else if (const std::vector<std::int64_t>& values = shape_values_[p]; !values.empty()) {
        hardware[p] =
            values[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(values.size())))];
      } else {
        hardware[p] = min + random.below(max - min + 1);
      }
    }
    if (!problem_.has_room_for(problem_.shape_of(hardware))) continue;
    if (const Hardware smaller = problem_.within_area(hardware); legal(smaller)) return smaller;
  }
  fail(ErrorId::kBounds, "random sizes: none of {} draws within the bounds runs every layer of {}",
       kMostDraws, problem_.workload.name);
}

NetworkChoice MapSpace::best_of(const Candidates& candidates, const Scores& scores) const {
  const std::int64_t* layer = candidates.layer.data_ptr<std::int64_t>();
  const double* energy = scores.energy_uj.data_ptr<double>();
  const double* cycles = scores.cycles.data_ptr<double>();
  const bool* fits = scores.fits.data_ptr<bool>();
  NetworkChoice best;
  Objective::Prices prices{0, 0};  // of the linearised objective; none yet: each layer's own
  for (int round = 0; round < 12; ++round) {
    std::vector<std::int64_t> entry(repetitions_.size(), -1);
    std::vector<double> lowest(repetitions_.size(), kInfinity);
    for (std::int64_t i = 0; i < candidates.size(); ++i) {
      if (!fits[i]) continue;
      const auto l = static_cast<std::size_t>(layer[i]);
      const double value = round == 0 ? problem_.objective.log_value(energy[i], cycles[i])
                                      : prices.energy * energy[i] + prices.cycle * cycles[i];
      if (value < lowest[l]) {
        lowest[l] = value;
        entry[l] = i;
      }
    }
    double total_energy = 0, total_cycles = 0;
    for (std::size_t l = 0; l < entry.size(); ++l) {
      if (entry[l] < 0) return best;
      total_energy += repetitions_[l] * energy[entry[l]];
      total_cycles += repetitions_[l] * cycles[entry[l]];
    }
    const double value = objective(total_energy, total_cycles);
    if (!(value < best.objective)) break;
    best = {entry, value};
    prices = problem_.objective.prices(total_energy, total_cycles);
  }
  return best;
}

DesignDraft MapSpace::draft(const Hardware& hardware, const Candidates& candidates,
                            const std::vector<std::int64_t>& rows) const {
  const Candidates chosen = candidates.at(torch::tensor(rows, torch::kInt64));
  return {hardware, chosen.codes};
}

void MapSpace::offer(const Hardware& hardware, const Candidates& candidates, const NetworkChoice& choice,
                     Recorder& recorder) const {
  if (choice.entry.empty()) return;
  recorder.offer(choice.objective, draft(hardware, candidates, choice.entry));
  const Hardware smallest = need(hardware, candidates, choice.entry);
  if (smallest == hardware || recorder.stop(layers())) return;
  const Candidates chosen = candidates.at(torch::tensor(choice.entry, torch::kInt64));
  const NetworkChoice smaller = best_of(chosen, score(chosen, {smallest}));
  recorder.evaluated(layers());
  recorder.offer(smaller.objective, draft(smallest, candidates, choice.entry));
}

}  // namespace dosa
