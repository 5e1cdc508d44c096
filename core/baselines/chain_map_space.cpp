#include "dosa/core/baselines/chain_map_space.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/targets/chain/codes.hpp"
#include "dosa/core/targets/chain/local_search.hpp"
#include "dosa/models/base/math.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr std::int64_t kRowsOfThread = 256;  // candidates that a thread works on at a time
constexpr std::int64_t kDraws = 50;          // mappings of one stream of random numbers
constexpr std::size_t kMostRecent = 256;     // hardware whose nests are kept
constexpr int kTries = 8;                    // steps tried for one that is within the fan-outs

/// Gives up factors in space, the largest ones first, to the outermost level until all are within the
/// fan-outs.
void narrow(const Chain& chain, ChainNest& nest) {
  for (std::size_t level = 0; level < chain.levels.size(); ++level) {
    for (const LoopKind kind : {LoopKind::kX, LoopKind::kY}) {
      const std::int64_t room = chain.levels[level].fan_out[kind == LoopKind::kX ? 0 : 1].size;
      auto& factors = nest.factors[level][static_cast<std::size_t>(kind)];
      const auto used = [&] {
        double product = 1;
        for (const double factor : factors) product *= factor;
        return product;
      };
      while (used() > static_cast<double>(room)) {
        const auto largest = std::max_element(factors.begin(), factors.end());
        const auto prime = static_cast<double>(prime_factors_of(static_cast<std::int64_t>(*largest)).front());
        *largest /= prime;
        nest.at(chain.levels.size() - 1, LoopKind::kTime, static_cast<Dim>(largest - factors.begin())) *=
            prime;
      }
    }
  }
}

Scores empty_scores(std::int64_t count) {
  return {torch::empty({count}, torch::kFloat64), torch::empty({count}, torch::kFloat64),
          torch::empty({count}, torch::kBool)};
}

void write_score(const LayerNests& nests, const ChainNest& nest, const Scores& scores, std::int64_t row) {
  const bool within = nests.within_fan_outs(nest);
  const NestCost cost = within ? nests.model().cost(nest) : NestCost{};
  const auto groups = static_cast<double>(nests.layer().groups);
  scores.energy_uj.data_ptr<double>()[row] = cost.energy_pj * groups * 1e-6;
  scores.cycles.data_ptr<double>()[row] = cost.cycles * groups;
  scores.fits.data_ptr<bool>()[row] = cost.fits;
}

}  // namespace

ChainMapSpace::ChainMapSpace(const SearchProblem& problem, std::int64_t threads)
    : MapSpace(problem, threads), machine_(static_cast<const Chain&>(problem.machine())) {
  for (std::size_t p = 0; p < machine_.shape_parameters; ++p)
    shape_values_[p] = machine_.shape_values_between(p, problem.bounds.min[p], problem.bounds.max[p]);
}

std::int64_t ChainMapSpace::width() const { return code_size(machine_.levels.size()); }

std::shared_ptr<const ChainMapSpace::Nests> ChainMapSpace::nests_on(const Hardware& hardware) const {
  if (const auto found = recent_.find(hardware); found != recent_.end()) return found->second;
  const Chain built = machine_.at(hardware);
  const auto nests = std::make_shared<Nests>();
  nests->reserve(static_cast<std::size_t>(layers()));
  for (const Layer& layer : problem_.workload.layers) nests->emplace_back(built, layer);
  if (recent_.size() >= kMostRecent) recent_.clear();
  recent_[hardware] = nests;
  return nests;
}

std::vector<std::shared_ptr<const ChainMapSpace::Nests>> ChainMapSpace::nests_on(
    const std::vector<Hardware>& hardware) const {
  std::vector<std::shared_ptr<const Nests>> all;
  for (const Hardware& one : hardware) all.push_back(nests_on(one));
  return all;
}

ChainNest ChainMapSpace::nest_of(const Candidates& candidates, std::int64_t row) const {
  return nest_of_code(candidates.codes.data_ptr<double>() + row * width(), machine_.levels.size());
}

template <typename Work>
void ChainMapSpace::for_each(const Candidates& candidates, const std::vector<Hardware>& hardware,
                             const Work& work) const {
  const std::vector<std::shared_ptr<const Nests>> built = nests_on(hardware);
  const std::int64_t* layer = candidates.layer.data_ptr<std::int64_t>();
  const auto each = candidates.size() / static_cast<std::int64_t>(built.size());
  parallel(ceil_div(candidates.size(), kRowsOfThread), threads_, [&](std::int64_t chunk) {
    const std::int64_t end = std::min(candidates.size(), (chunk + 1) * kRowsOfThread);
    for (std::int64_t row = chunk * kRowsOfThread; row < end; ++row)
      work(row, (*built[static_cast<std::size_t>(row / each)])[static_cast<std::size_t>(layer[row])]);
  });
}

std::pair<Candidates, Scores> ChainMapSpace::random_mappings(const Hardware& hardware, std::int64_t per_layer,
                                                             Random& random, Recorder& recorder) const {
  const std::shared_ptr<const Nests> nests = nests_on(hardware);
  const std::int64_t count = layers() * per_layer;
  const Candidates all{torch::empty({count, width()}, torch::kFloat64),
                       torch::arange(layers()).repeat_interleave(per_layer)};
  const Scores scores = empty_scores(count);
  // Streams of their own, so that threads do not matter.
  const std::int64_t streams = ceil_div(per_layer, kDraws);
  std::vector<std::uint64_t> seeds(static_cast<std::size_t>(layers() * streams));
  for (std::uint64_t& seed : seeds) seed = random.bits();
  double* codes = all.codes.data_ptr<double>();
  parallel(layers() * streams, threads_, [&](std::int64_t i) {
    const std::int64_t layer = i / streams, first = i % streams * kDraws;
    const LayerNests& own = (*nests)[static_cast<std::size_t>(layer)];
    Random stream(seeds[static_cast<std::size_t>(i)]);
    for (std::int64_t draw = first; draw < std::min(per_layer, first + kDraws); ++draw) {
      const std::int64_t row = layer * per_layer + draw;
      const ChainNest nest = own.random(stream).nest;
      code_of_nest(nest, machine_.levels.size(), codes + row * width());
      write_score(own, nest, scores, row);
    }
  });
  recorder.evaluated(count);
  return {all, scores};
}

void ChainMapSpace::move(std::int64_t layer, const Hardware& hardware, Random& random, double* code) const {
  const std::shared_ptr<const Nests> nests = nests_on(hardware);
  const LayerNests& own = (*nests)[static_cast<std::size_t>(layer)];
  const LayerNests::Placed before = own.placed(nest_of_code(code, machine_.levels.size()));
  if (before.primes.empty()) return;
  NestSteps steps(own, random);
  for (int i = 0; i < kTries; ++i) {
    LayerNests::Placed next = before;
    if (!steps.step(next)) continue;
    own.keep_orders(next.nest);
    return code_of_nest(next.nest, machine_.levels.size(), code);
  }
}

Scores ChainMapSpace::cut_down(Candidates& candidates, const std::vector<Hardware>& hardware,
                               Random& /*random*/, Recorder& /*recorder*/) const {
  const Scores scores = empty_scores(candidates.size());
  double* codes = candidates.codes.data_ptr<double>();
  for_each(candidates, hardware, [&](std::int64_t row, const LayerNests& nests) {
    ChainNest nest = nest_of(candidates, row);
    narrow(nests.chain(), nest);
    LayerNests::Placed placed = nests.placed(nest);
    nests.repair(placed);
    nests.keep_orders(placed.nest);
    code_of_nest(placed.nest, machine_.levels.size(), codes + row * width());
    write_score(nests, placed.nest, scores, row);
  });
  return scores;
}

Scores ChainMapSpace::score(const Candidates& candidates, const std::vector<Hardware>& hardware) const {
  const Scores scores = empty_scores(candidates.size());
  for_each(candidates, hardware, [&](std::int64_t row, const LayerNests& nests) {
    write_score(nests, nest_of(candidates, row), scores, row);
  });
  return scores;
}

Candidates ChainMapSpace::outermost() const {
  const Candidates all{torch::empty({layers(), width()}, torch::kFloat64), torch::arange(layers())};
  const std::shared_ptr<const Nests> nests = nests_on(problem_.bounds.max);
  for (std::int64_t l = 0; l < layers(); ++l) {
    code_of_nest((*nests)[static_cast<std::size_t>(l)].outermost().nest, machine_.levels.size(),
                 all.codes.data_ptr<double>() + l * width());
  }
  return all;
}

Hardware ChainMapSpace::need(const Hardware& hardware, const Candidates& candidates,
                             const std::vector<std::int64_t>& rows) const {
  Hardware least = hardware;
  const auto shrink = [&](std::size_t p, double need) {
    const std::int64_t most = hardware[p], size = std::min(most, static_cast<std::int64_t>(need));
    least[p] = allowed(p, size);
    while (least[p] < size) least[p] = allowed(p, size, least[p]);
    least[p] = std::min(least[p], most);
  };
  // What the rows' tiles need of a parameter, on the machine of the sizes so far.
  const auto of_tiles = [&](std::size_t p) {
    const std::shared_ptr<const Nests> nests = nests_on(least);
    double need = 1;
    for (const std::int64_t row : rows) {
      const auto layer = static_cast<std::size_t>(candidates.layer.data_ptr<std::int64_t>()[row]);
      const LayerNests& own = (*nests)[layer];
      need = std::max(need, needed_size(own.chain(), own.model(), nest_of(candidates, row), p));
    }
    return need;
  };
  for (std::size_t p = 0; p < machine_.shape_parameters; ++p) {
    if (const std::optional<double> used = used_of(p, candidates, rows))
      shrink(p, std::max(*used, of_tiles(p)));
  }
  for (std::size_t p = machine_.shape_parameters; p < hardware.size(); ++p) shrink(p, of_tiles(p));
  return least;
}

std::optional<double> ChainMapSpace::used_of(std::size_t parameter, const Candidates& candidates,
                                             const std::vector<std::int64_t>& rows) const {
  std::optional<double> need;
  for (std::size_t l = 0; l < machine_.levels.size(); ++l) {
    for (const LoopKind kind : {LoopKind::kX, LoopKind::kY}) {
      const std::optional<ByParameter>& rule = machine_.levels[l].rules.fan_out[kind == LoopKind::kX ? 0 : 1];
      if (!rule || rule->parameter != parameter) continue;
      for (const std::int64_t row : rows) {
        const ChainNest nest = nest_of(candidates, row);
        double used = 1;
        for (const Dim dim : all_dims()) used *= nest.at(l, kind, dim);
        need = std::max({need.value_or(1), 1.0, std::ceil(rule->least_for(used, 1.0))});
      }
    }
  }
  return need;
}

}  // namespace dosa
