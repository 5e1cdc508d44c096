#include "dosa/core/targets/gemmini/proposals.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "dosa/core/targets/gemmini/training.hpp"
#include "dosa/models/base/random.hpp"

namespace dosa {

using torch::Tensor;

namespace {

/// The tilings that were drawn of a run so far.
struct Drawn {
  Random random;
  std::set<std::vector<double>> kept{};
  std::vector<double> flat{};

  /// Writes a draw of log-uniform sizes.
  void draw(const LayerRun& run, std::int64_t array, torch::TensorAccessor<double, 1> sizes) {
    for (const Dim dim : all_dims()) {
      const auto size = static_cast<double>(run.layer[dim]);
      double t = std::floor(std::exp(random.uniform() * std::log(size + 0.999)));
      // Half of the draws take the whole dimension where it is a kernel's.
      if ((dim == Dim::R || dim == Dim::S) && random.uniform() < 0.5) t = size;
      const bool blocked = dim == Dim::C || dim == Dim::K || (run.matmul && dim == Dim::P);
      const auto pe_dim = static_cast<double>(array);
      if (blocked && (run.matmul || t > pe_dim)) t = std::max(1.0, std::round(t / pe_dim)) * pe_dim;
      sizes[static_cast<int>(dim)] = run.matmul && blocked ? t : std::min(t, size);
    }
  }
};

}  // namespace

std::vector<Tensor> random_tilings(const std::vector<LayerRun>& runs, const RunRules& rules,
                                   const ArraySizes& buffers, int count,
                                   const std::vector<std::uint64_t>& seeds) {
  const torch::NoGradGuard no_grad;
  std::vector<Drawn> drawn;
  for (const std::uint64_t seed : seeds) drawn.push_back({Random(seed)});
  // Most draws of large layers do not fit and are drawn again.
  constexpr int kRounds = 20;
  const int draws = 8 * count;
  std::vector<std::size_t> open(runs.size());
  std::iota(open.begin(), open.end(), std::size_t{0});
  for (int round = 0; round < kRounds && !open.empty(); ++round) {
    std::vector<LayerRun> now;
    for (const std::size_t i : open) now.push_back(runs[i]);
    const Tensor tile = torch::empty({draws, static_cast<std::int64_t>(open.size()), kDims}, torch::kFloat64);
    const auto value = tile.accessor<double, 3>();
    for (std::size_t at = 0; at < open.size(); ++at) {
      for (int i = 0; i < draws; ++i)
        drawn[open[at]].draw(now[at], buffers.pe_dim, value[i][static_cast<std::int64_t>(at)]);
    }
    const Tensor legal = legal_tilings(tile, RunBatch::of(now, rules), buffers);
    const auto is_legal = legal.accessor<bool, 2>();
    std::vector<std::size_t> still;
    for (std::size_t at = 0; at < open.size(); ++at) {
      Drawn& d = drawn[open[at]];
      for (int i = 0; i < draws && static_cast<int>(d.kept.size()) < count; ++i) {
        const auto column = static_cast<std::int64_t>(at);
        if (!is_legal[i][column]) continue;
        const double* first = value[i][column].data();
        const std::vector<double> sizes(first, first + kDims);
        if (d.kept.insert(sizes).second) d.flat.insert(d.flat.end(), sizes.begin(), sizes.end());
      }
      if (static_cast<int>(d.kept.size()) < count) still.push_back(open[at]);
    }
    open = std::move(still);
  }
  std::vector<Tensor> tilings;
  for (const Drawn& d : drawn) tilings.push_back(torch::tensor(d.flat, torch::kFloat64).view({-1, kDims}));
  return tilings;
}

std::vector<Measurement> propose_measurements(const Surrogate& s, const Measurements& m,
                                              const ArraySizes& buffers, int count, std::uint64_t seed) {
  constexpr int kTilingsPerLayer = 100;
  const torch::NoGradGuard no_grad;
  const std::vector<std::int64_t> layers = m.layer_ids();
  std::map<std::int64_t, std::size_t> first;
  std::map<std::int64_t, double> best;
  std::set<std::pair<std::int64_t, std::vector<double>>> known;
  for (std::size_t i = 0; i < m.rows.size(); ++i) {
    first.emplace(layers[i], i);
    const double log_cycles = std::log(m.rows[i].cycles);
    const auto entry = best.emplace(layers[i], log_cycles).first;
    entry->second = std::min(entry->second, log_cycles);
    known.insert({layers[i], std::vector<double>(m.rows[i].tile.begin(), m.rows[i].tile.end())});
  }
  struct Candidate {
    double gain;
    std::int64_t layer;
    Measurement row;
  };
  std::vector<Candidate> candidates;
  for (const auto& [layer, row] : first) {
    const LayerRun run = run_of(m.rows[row]);
    const Tensor tiles = random_tilings({run}, s.target.rules, buffers, kTilingsPerLayer,
                                        {seed * 1000003 + static_cast<std::uint64_t>(layer)})[0];
    if (tiles.size(0) == 0) continue;
    const Tensor pe_dim = torch::full({}, static_cast<double>(buffers.pe_dim), torch::kFloat64);
    const Estimate e = s.predict(tiles.unsqueeze(1), pe_dim, s.batch({run}), false);
    // Expected improvement of log cycles below the best that was measured.
    const Tensor better = (best[layer] - e.log_cycles) / e.log_sd;
    const Tensor density = (-0.5 * better.square()).exp() / std::sqrt(2 * M_PI);
    const Tensor gain = e.log_sd * (better * (0.5 * (1 + torch::erf(better / std::sqrt(2.0)))) + density);
    for (std::int64_t i = 0; i < tiles.size(0); ++i) {
      const std::vector<double> sizes = to_vector(tiles[i]);
      if (known.count({layer, sizes})) continue;
      Candidate c{gain[i][0].item<double>(), layer, m.rows[row]};
      for (int dim = 0; dim < kDims; ++dim) {
        c.row.tile[static_cast<std::size_t>(dim)] =
            static_cast<std::int64_t>(sizes[static_cast<std::size_t>(dim)]);
      }
      c.row.pe_dim = buffers.pe_dim;
      c.row.cycles = std::round(std::exp(e.log_cycles[i][0].item<double>()));
      c.row.source = "proposed";
      candidates.push_back(std::move(c));
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.gain > b.gain; });
  const int share = std::max(1, count / 5);
  std::map<std::int64_t, int> taken;
  std::vector<Measurement> proposals;
  for (const Candidate& c : candidates) {
    if (static_cast<int>(proposals.size()) == count) break;
    if (taken[c.layer]++ < share) proposals.push_back(c.row);
  }
  return proposals;
}

}  // namespace dosa
