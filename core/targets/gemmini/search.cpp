#include "dosa/core/targets/gemmini/search.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <set>

#include "dosa/core/targets/gemmini/relaxation.hpp"
#include "dosa/core/targets/mapping/mapper.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using gemmini::Call;
using gemmini::Tile;
using torch::Tensor;
using Clock = std::chrono::steady_clock;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Starts are descended in groups of this size, whatever the number of threads, so that the result does not
// depend on it.
constexpr std::int64_t kGroup = 4;
// Steps between two looks at the clock, the interrupt and the progress line.
constexpr std::int64_t kSegment = 10;
// Starts that are rounded on the way and at the end, best first.
constexpr std::size_t kRoundedOnTheWay = 1, kRounded = 4;
// Share of a limit of time or evaluations that the descent may take; the rest is the roundings' and the
// polish's.
constexpr double kDescentShare = 0.5;
constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
// Tilings that are scored in one batch.
constexpr std::size_t kChunk = 2048;
// Local moves look for the best tilings at these multiples of the price of a cycle.
constexpr double kPrices[] = {0.5, 1, 2};
// How far a move of two dimensions goes, in places of their lists of sizes.
constexpr int kPairReach = 2;
constexpr int kMostRounds = 100;

/// The tilings of one layer that nothing beats so far.
struct RtlPool {
  std::vector<Tile> tiles;
  Tensor numbers;      // [tiles, columns], as Frontier::numbers; cycles with their uncertainty
  Tensor mean_cycles;  // [tiles], predicted
};

/// Sizes with a tile per layer, and sums over the network.
struct RtlChoice {
  Hardware hardware;
  std::vector<Tile> tiles;
  double energy_pj = 0, cycles = 0, mean_cycles = 0;
  double log_objective = kInfinity;  // of energy and cycles
};

class RtlSearch {
 public:
  RtlSearch(const SearchProblem& problem, const RtlModel& model, const RtlSearchOptions& options,
            const ProgressCallback& progress, const std::atomic<bool>* interrupt)
      : problem_(problem),
        model_(model),
        options_(options.search),
        kappa_(options.kappa),
        progress_(progress),
        interrupt_(interrupt) {
    for (const Hardware& sizes : gemmini::legal_hardware(problem.bounds.min, problem.bounds.max)) {
      if (area_mm2(problem.machine.area, sizes) <= problem.bounds.max_area_mm2) hardware_.push_back(sizes);
    }
    if (hardware_.empty()) {
      const Hardware near = gemmini::nearest_hardware(problem.bounds.min);
      fail(ErrorId::kBounds,
           "no Gemmini can be built within the bounds; the nearest has pe_dim {}, scratchpad_kib {}, "
           "accumulator_kib {}",
           near.pe_dim, near.scratchpad_kib, near.accumulator_kib);
    }
    largest_ = hardware_.front();
    for (const Hardware& sizes : hardware_) {
      largest_.scratchpad_kib = std::max(largest_.scratchpad_kib, sizes.scratchpad_kib);
      largest_.accumulator_kib = std::max(largest_.accumulator_kib, sizes.accumulator_kib);
    }
    variants_ = variants_of(problem, model, largest_.pe_dim);
    pools_.resize(layers());
    start_with_defaults();
  }

  SearchSummary run() {
    descend();
    polish();
    summary_.best = design_of(best_);
    summary_.wall_s = elapsed();
    return std::move(summary_);
  }

 private:
  std::size_t layers() const { return problem_.workload.layers.size(); }
  const Layer& layer(std::size_t l) const { return problem_.workload.layers[l]; }
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  /// Whether `share` of the time or of the evaluations is used up, or the user interrupts. The reason is
  /// kept.
  bool stop(double share) {
    if (interrupt_ != nullptr && *interrupt_) {
      summary_.stopped = "interrupt";
    } else if (options_.time_limit_s > 0 && elapsed() > share * options_.time_limit_s) {
      summary_.stopped = "time";
    } else if (evaluations_left(share) < static_cast<std::int64_t>(layers())) {
      summary_.stopped = "evaluations";
    } else {
      return false;
    }
    return true;
  }
  /// The same from within a thread, without a trace: the clock and the interrupt only.
  bool hurry() const {
    return (interrupt_ != nullptr && *interrupt_) ||
           (options_.time_limit_s > 0 && elapsed() > options_.time_limit_s);
  }

  /// What is left of a share of the limit of evaluations.
  std::int64_t evaluations_left(double share) const {
    if (options_.max_evaluations == 0) return kNoLimit;
    return static_cast<std::int64_t>(share * static_cast<double>(options_.max_evaluations)) -
           summary_.evaluations;
  }

  /// Lets every layer score an equal part of the evaluations that are left: layers are scored at the same
  /// time, and what they find must not depend on which one is first.
  void share_out() {
    const std::int64_t left = evaluations_left(1);
    const auto count = static_cast<std::int64_t>(layers());
    allowed_.assign(layers(), left == kNoLimit ? kNoLimit : std::max<std::int64_t>(left, 0) / count);
  }

  /// Whether work on a layer has to end: no time, or no evaluations.
  bool ends(std::size_t l) const { return hurry() || allowed_[l] == 0; }

  /// The library's own tiles: those on the default hardware, which every tiling is compared with, and those
  /// on every hardware of the search.
  void start_with_defaults() {
    const Hardware built = default_gemmini(model_.machine(), largest_.pe_dim);
    for (std::size_t l = 0; l < layers(); ++l) {
      default_tiles_.push_back(
          gemmini::runnable_default_tile(layer(l), built, gemmini::calls_for(layer(l)).front()));
    }
    const TileCosts costs = model_.costs(problem_.workload.layers, default_tiles_, built);
    summary_.evaluations += static_cast<std::int64_t>(layers());
    allowed_.assign(layers(), kNoLimit);  // the first design is made in any case
    for (std::size_t l = 0; l < layers(); ++l) {
      const auto row = static_cast<std::int64_t>(l);
      anchors_.push_back(costs.networks.defined() ? costs.networks.select(-1, row) : Tensor());
      default_cycles_ += costs.cycles[row].item<double>() * static_cast<double>(layer(l).count);
    }
    parallel(static_cast<std::int64_t>(layers()), options_.threads, [&](std::int64_t l) {
      for_variants(static_cast<std::size_t>(l), [&](RtlVariant& v) {
        std::vector<Tile> tiles;
        if (default_tiles_[v.layer].call == v.call) tiles.push_back(default_tiles_[v.layer]);
        for (const Hardware& sizes : hardware_) {
          try {
            tiles.push_back(gemmini::runnable_default_tile(layer(v.layer), sizes, v.call));
          } catch (const Error& error) {
            if (error.id() != ErrorId::kCapacity) throw;
          }
        }
        score(v, tiles);
      });
    });
    count_scored();
    for (std::size_t l = 0; l < layers(); ++l) {
      if (!pools_[l].tiles.empty()) continue;
      fail(
          ErrorId::kBounds,
          "layer '{}' has no tile that fits a scratchpad of {} KiB and an accumulator of {} KiB, the largest "
          "that are allowed",
          layer(l).name, largest_.scratchpad_kib, largest_.accumulator_kib);
    }
    choose();
  }

  void for_variants(std::size_t l, const std::function<void(RtlVariant&)>& work) {
    for (RtlVariant& v : variants_) {
      if (v.layer == l) work(v);
    }
  }

  /// Scores those of the tiles that are legal and new, as many as the layer may, and adds to the layer's pool
  /// what nothing there beats. Layers may be scored at the same time.
  void score(RtlVariant& v, const std::vector<Tile>& tiles) {
    const torch::InferenceMode no_gradients;
    const gemmini::Params params = gemmini::params_of(largest_);
    std::int64_t& allowed = allowed_[v.layer];
    std::vector<Tile> fresh;
    for (const Tile& tile : tiles) {
      if (static_cast<std::int64_t>(fresh.size()) == allowed) break;
      if (v.seen.insert(tile.size).second && gemmini::tile_is_legal(layer(v.layer), params, tile))
        fresh.push_back(tile);
    }
    if (allowed != kNoLimit) allowed -= static_cast<std::int64_t>(fresh.size());
    for (std::size_t from = 0; from < fresh.size(); from += kChunk) {
      const auto begin = fresh.begin() + static_cast<std::ptrdiff_t>(from);
      score_chunk(v, {begin, begin + static_cast<std::ptrdiff_t>(std::min(kChunk, fresh.size() - from))});
    }
  }

  void score_chunk(RtlVariant& v, const std::vector<Tile>& tiles) {
    const auto count = static_cast<std::int64_t>(tiles.size());
    const Tensor sizes = torch::empty({count, 1, kDims}, torch::kFloat64);
    const Tensor is_default = torch::zeros({count}, torch::kBool);
    auto cell = sizes.accessor<double, 3>();
    for (std::int64_t i = 0; i < count; ++i) {
      const Tile& tile = tiles[static_cast<std::size_t>(i)];
      for (int d = 0; d < kDims; ++d)
        cell[i][0][d] = static_cast<double>(tile.size[static_cast<std::size_t>(d)]);
      if (tile == default_tiles_[v.layer]) is_default[i] = true;
    }
    const auto pe_dim = static_cast<double>(largest_.pe_dim);
    const TilingCosts costs = model_.costs(sizes, torch::full({}, pe_dim, torch::kFloat64), v.batch, false);
    const auto priced = [&](double scratchpad, double accumulator) {
      const auto number = [](double value) { return torch::full({}, value, torch::kFloat64); };
      return model_.price(costs.traffic, {number(pe_dim), number(scratchpad), number(accumulator)}, false);
    };
    const Cost none = priced(0, 0);
    const Tensor energy = none.energy_pj.flatten();
    const Tensor mean = (costs.cycles.defined() ? costs.cycles : none.cycles).flatten();
    Tensor cycles = mean;
    if (costs.networks.defined()) {
      const Tensor sd = model_.log_sd_of_ratio(costs.networks.squeeze(-1), costs.growth.squeeze(-1),
                                               anchors_[v.layer].unsqueeze(-1));
      cycles = mean * (kappa_ * sd.masked_fill(is_default, 0)).exp();
    }
    // The least sizes of the list that do.
    const auto built = [&](const Tensor& rows, double bytes, std::int64_t Hardware::*size) {
      const Tensor need = rows.flatten() * (2 * bytes * pe_dim / 1024);
      Tensor kib = torch::full_like(need, static_cast<double>(largest_.*size));
      for (const Hardware& option : hardware_) {
        const auto option_kib = static_cast<double>(option.*size);
        kib = torch::where(need <= option_kib, kib.clamp_max(option_kib), kib);
      }
      return kib;
    };
    const auto groups = static_cast<double>(layer(v.layer).groups);
    const Tensor numbers =
        torch::stack({built(costs.rows.input + costs.rows.weight, 1, &Hardware::scratchpad_kib),
                      built(costs.rows.output, 4, &Hardware::accumulator_kib), cycles * groups,
                      energy * groups, (priced(1, 0).energy_pj.flatten() - energy) * groups,
                      (priced(0, 1).energy_pj.flatten() - energy) * groups},
                     1);
    scored_ += count;
    RtlPool& pool = pools_[v.layer];
    const Tensor all = pool.tiles.empty() ? numbers : torch::cat({pool.numbers, numbers});
    const Tensor all_means =
        pool.tiles.empty() ? mean * groups : torch::cat({pool.mean_cycles, mean * groups});
    pool.tiles.insert(pool.tiles.end(), tiles.begin(), tiles.end());
    const Tensor kept = std::get<0>(undominated(all).sort());
    std::vector<Tile> kept_tiles;
    for (std::int64_t i = 0; i < kept.size(0); ++i)
      kept_tiles.push_back(pool.tiles[static_cast<std::size_t>(kept[i].item<std::int64_t>())]);
    pool = {std::move(kept_tiles), all.index_select(0, kept), all_means.index_select(0, kept)};
  }

  void count_scored() {
    summary_.evaluations += scored_;
    scored_ = 0;
  }

  void descend() {
    const RtlRelaxation relaxation(problem_, model_, variants_, anchors_, largest_, kappa_, torch::kFloat32);
    std::vector<RtlDescent> descents;
    for (std::int64_t first = 0; first < options_.starts; first += kGroup) {
      descents.emplace_back(relaxation, std::min(kGroup, options_.starts - first),
                            group_generator(options_.seed, first), options_.learning_rate);
    }
    std::int64_t stale = 0;  // roundings without a better design
    const std::int64_t per_step = options_.starts * static_cast<std::int64_t>(variants_.size());
    while (summary_.steps < options_.steps && !stop(kDescentShare)) {
      if (options_.patience > 0 && stale >= options_.patience) {
        summary_.stopped = "patience";
        break;
      }
      const std::int64_t to_rounding = options_.round_every - summary_.steps % options_.round_every;
      const std::int64_t affordable = evaluations_left(kDescentShare) / per_step;
      if (affordable == 0) {
        summary_.stopped = "evaluations";
        break;
      }
      const std::int64_t to =
          std::min({summary_.steps + kSegment, summary_.steps + to_rounding,
                    summary_.steps + std::min(affordable, options_.steps), options_.steps});
      parallel(static_cast<std::int64_t>(descents.size()), options_.threads, [&](std::int64_t group) {
        descents[static_cast<std::size_t>(group)].run(summary_.steps, to, options_.steps);
      });
      summary_.evaluations += per_step * (to - summary_.steps);
      summary_.steps = to;
      if (to % options_.round_every == 0 && to < options_.steps) {
        const double before = best_.log_objective;
        round(descents, kRoundedOnTheWay);
        stale = best_.log_objective < before ? 0 : stale + 1;
      }
      report("descent");
    }
    if (summary_.steps > 0) round(descents, kRounded);
  }

  /// Scores, of the best starts, every combination of the useful sizes next below and above.
  void round(const std::vector<RtlDescent>& descents, std::size_t count) {
    std::vector<std::pair<double, Tensor>> starts;
    const double share = static_cast<double>(summary_.steps) / static_cast<double>(options_.steps);
    for (const RtlDescent& descent : descents) {
      const Tensor loss = descent.loss(share), tiles = descent.tiles();
      for (std::int64_t i = 0; i < loss.size(0); ++i) {
        if (std::isfinite(loss[i].item<double>())) starts.emplace_back(loss[i].item<double>(), tiles[i]);
      }
    }
    std::stable_sort(starts.begin(), starts.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    starts.resize(std::min(starts.size(), count));
    share_out();
    parallel(static_cast<std::int64_t>(layers()), options_.threads, [&](std::int64_t l) {
      std::int64_t index = -1;
      for (RtlVariant& v : variants_) {
        ++index;
        if (v.layer != static_cast<std::size_t>(l)) continue;
        for (const auto& start : starts) score(v, around(v, start.second[index]));
      }
    });
    count_scored();
    choose();
  }

  static std::vector<Tile> around(const RtlVariant& v, const Tensor& real_tile) {
    Tile tile;
    tile.call = v.call;
    std::vector<Tile> tiles{tile};
    for (const Dim dim : all_dims()) {
      const auto& sizes = v.sizes[static_cast<std::size_t>(dim)];
      const double wanted = real_tile[static_cast<int>(dim)].item<double>();
      // The relaxed sizes are float32.
      const auto above = std::lower_bound(sizes.begin(), sizes.end(), wanted * (1 - 1e-5));
      std::vector<std::int64_t> next;
      if (above != sizes.begin()) next.push_back(*(above - 1));
      if (above != sizes.end()) next.push_back(*above);
      std::vector<Tile> wider;
      for (const Tile& so_far : tiles) {
        for (const std::int64_t size : next) {
          wider.push_back(so_far);
          wider.back()[dim] = size;
        }
      }
      tiles = std::move(wider);
    }
    return tiles;
  }

  /// Layers with few tilings are enumerated; of the others the best tilings on every hardware are improved by
  /// local moves until no move helps, at the prices of energy and latency of the design that this leads to.
  void polish() {
    report("polish");
    if (stop(1)) return;
    share_out();
    parallel(static_cast<std::int64_t>(layers()), options_.threads, [&](std::int64_t l) {
      for_variants(static_cast<std::size_t>(l), [&](RtlVariant& v) {
        if (v.combinations <= static_cast<double>(options_.polish_nests)) enumerate(v);
      });
    });
    count_scored();
    choose();
    report("polish");
    for (int round = 0; round < kMostRounds && !stop(1); ++round) {
      const double before = best_.log_objective;
      share_out();
      parallel(static_cast<std::int64_t>(layers()), options_.threads,
               [&](std::int64_t l) { improve(static_cast<std::size_t>(l)); });
      count_scored();
      choose();
      report("polish");
      // A layer that ran out of evaluations is not at its end: others may have left some for it.
      const bool ran_out = std::find(allowed_.begin(), allowed_.end(), 0) != allowed_.end();
      if (!ran_out && !(best_.log_objective < before - 1e-12)) break;
    }
    summary_.polish_complete =
        std::all_of(variants_.begin(), variants_.end(), [](const RtlVariant& v) { return v.complete; });
  }

  /// Scores every legal tiling of useful sizes.
  void enumerate(RtlVariant& v) {
    const gemmini::Params params = gemmini::params_of(largest_);
    std::vector<Tile> tiles;
    Tile tile;
    tile.call = v.call;
    const std::function<void(int)> fill = [&](int d) {
      if (d == kDims) {
        tiles.push_back(tile);
        return;
      }
      for (const std::int64_t size : v.sizes[static_cast<std::size_t>(d)]) {
        tile.size[static_cast<std::size_t>(d)] = size;
        // The dimensions to come are at their smallest: what does not fit now never will.
        Tile least = tile;
        for (int rest = d + 1; rest < kDims; ++rest)
          least.size[static_cast<std::size_t>(rest)] = v.sizes[static_cast<std::size_t>(rest)].front();
        if (!gemmini::fits(layer(v.layer), least, params)) break;
        fill(d + 1);
        if (tiles.size() >= kChunk && !ends(v.layer)) {
          score(v, tiles);
          tiles.clear();
        }
        if (ends(v.layer)) return;
      }
    };
    fill(0);
    score(v, tiles);
    if (!ends(v.layer)) v.complete = true;
  }

  /// Local moves on one layer.
  void improve(std::size_t l) {
    const torch::InferenceMode no_gradients;
    const Objective& objective = problem_.objective;
    std::set<std::pair<int, DimSizes>> expanded;
    for (int round = 0; round < kMostRounds && !ends(l); ++round) {
      // The best tilings for every hardware and price.
      const RtlPool& pool = pools_[l];
      std::set<std::int64_t> rows;
      for (const Hardware& sizes : hardware_) {
        const auto s = static_cast<double>(sizes.scratchpad_kib),
                   a = static_cast<double>(sizes.accumulator_kib);
        const Tensor energy = energy_at(pool.numbers, s, a);
        const Tensor fits = (pool.numbers.select(1, Frontier::kScratchpad) <= s) &
                            (pool.numbers.select(1, Frontier::kAccumulator) <= a);
        if (!fits.any().item<bool>()) continue;
        for (const double price : kPrices) {
          const Tensor value =
              energy * (objective.energy / best_.energy_pj) +
              pool.numbers.select(1, Frontier::kCycles) * (price * objective.latency / best_.cycles);
          rows.insert(value.masked_fill(~fits, kInfinity).argmin().item<std::int64_t>());
        }
      }
      std::vector<Tile> from;
      for (const std::int64_t row : rows) {
        const Tile& tile = pool.tiles[static_cast<std::size_t>(row)];
        if (expanded.insert({static_cast<int>(tile.call), tile.size}).second) from.push_back(tile);
      }
      if (from.empty()) return;
      for_variants(l, [&](RtlVariant& v) {
        if (v.complete) return;
        std::vector<Tile> moves;
        for (const Tile& tile : from) {
          if (tile.call == v.call) add_moves(v, tile, moves);
        }
        score(v, moves);
      });
    }
  }

  /// Every other size of one dimension, and small steps of two at a time.
  static void add_moves(const RtlVariant& v, const Tile& tile, std::vector<Tile>& moves) {
    const auto move = [&](std::initializer_list<std::pair<std::size_t, std::int64_t>> changes) {
      Tile moved = tile;
      for (const auto& [d, size] : changes) moved.size[d] = size;
      moves.push_back(moved);
    };
    const auto nearby = [&](std::size_t d) {
      const auto& sizes = v.sizes[d];
      const auto here = std::lower_bound(sizes.begin(), sizes.end(), tile.size[d]) - sizes.begin();
      std::vector<std::int64_t> list;
      for (auto i = here - kPairReach; i <= here + kPairReach; ++i) {
        if (i >= 0 && i < static_cast<std::ptrdiff_t>(sizes.size()) &&
            sizes[static_cast<std::size_t>(i)] != tile.size[d])
          list.push_back(sizes[static_cast<std::size_t>(i)]);
      }
      return list;
    };
    for (std::size_t d = 0; d < kDims; ++d) {
      for (const std::int64_t size : v.sizes[d]) move({{d, size}});
      for (std::size_t e = d + 1; e < kDims; ++e) {
        for (const std::int64_t first : nearby(d)) {
          for (const std::int64_t second : nearby(e)) move({{d, first}, {e, second}});
        }
      }
    }
  }

  /// The best sizes and tilings of the pools together, no slower in all than the default. Where the objective
  /// would trade latency away, latency counts more and more.
  void choose() {
    const torch::InferenceMode no_gradients;
    std::vector<Frontier> frontiers(layers());
    for (std::size_t l = 0; l < layers(); ++l) frontiers[l].numbers = pools_[l].numbers;
    SearchProblem problem = problem_;
    for (int attempt = 0; attempt < 12; ++attempt) {
      const IntegerDesign integer = best_design_among(problem, frontiers, hardware_);
      if (integer.entry.empty()) {
        fail(ErrorId::kBounds,
             "no sizes within the bounds run every layer: a scratchpad of {} and an accumulator of {} KiB "
             "are the "
             "largest",
             largest_.scratchpad_kib, largest_.accumulator_kib);
      }
      const RtlChoice choice = choice_of(integer);
      const bool fast = choice.mean_cycles <= default_cycles_ * (1 + 1e-12);
      if (fast == best_is_fast_ ? choice.log_objective < best_.log_objective : fast) {
        best_ = choice;
        best_is_fast_ = fast;
      }
      if (fast) return;
      problem.objective.latency = std::max(0.25, 2 * problem.objective.latency);
    }
  }

  RtlChoice choice_of(const IntegerDesign& integer) const {
    RtlChoice choice;
    choice.hardware = integer.hardware;
    const auto s = static_cast<double>(integer.hardware.scratchpad_kib);
    const auto a = static_cast<double>(integer.hardware.accumulator_kib);
    for (std::size_t l = 0; l < layers(); ++l) {
      const RtlPool& pool = pools_[l];
      const std::int64_t row = integer.entry[l];
      const auto count = static_cast<double>(layer(l).count);
      const Tensor numbers = pool.numbers.narrow(0, row, 1);
      choice.tiles.push_back(pool.tiles[static_cast<std::size_t>(row)]);
      choice.cycles += count * numbers.select(1, Frontier::kCycles).item<double>();
      choice.energy_pj += count * energy_at(numbers, s, a).item<double>();
      choice.mean_cycles += count * pool.mean_cycles[row].item<double>();
    }
    choice.log_objective = problem_.objective.energy * std::log(choice.energy_pj) +
                           problem_.objective.latency * std::log(choice.cycles);
    return choice;
  }

  Design design_of(const RtlChoice& choice) const {
    Design design;
    design.workload = problem_.workload.name;
    design.target = problem_.machine.name;
    design.objective = problem_.objective.name;
    design.hardware = choice.hardware;
    for (std::size_t l = 0; l < layers(); ++l) {
      DesignLayer entry;
      entry.layer = layer(l);
      entry.tile = choice.tiles[l];
      design.layers.push_back(std::move(entry));
    }
    evaluate(design, model_.machine(), model_.surrogate());
    return design;
  }

  void report(const char* phase) {
    if (!progress_) return;
    SearchProgress now = summary_.progress(options_, phase, elapsed());
    now.hardware = best_.hardware;
    now.best_objective = std::pow(best_.energy_pj * 1e-6, problem_.objective.energy) *
                         std::pow(best_.mean_cycles, problem_.objective.latency);
    progress_(now);
  }

  const SearchProblem& problem_;
  const RtlModel& model_;
  const SearchOptions& options_;
  double kappa_;
  const ProgressCallback& progress_;
  const std::atomic<bool>* interrupt_;
  std::vector<Hardware> hardware_;  // all that may be chosen
  Hardware largest_;                // element-wise
  std::vector<RtlVariant> variants_;
  std::vector<RtlPool> pools_;       // by layer
  std::vector<Tile> default_tiles_;  // by layer, on the default hardware
  std::vector<Tensor> anchors_;      // by layer, what the networks say of the default tile, [networks]
  double default_cycles_ = 0;        // of the network
  std::atomic<std::int64_t> scored_{0};
  std::vector<std::int64_t> allowed_;  // by layer, tilings that may still be scored
  RtlChoice best_;
  bool best_is_fast_ = false;
  Clock::time_point begin_ = Clock::now();
  SearchSummary summary_;
};

}  // namespace

SearchOptions RtlSearchOptions::default_search() {
  SearchOptions options;
  options.starts = 8;
  options.steps = 150;
  options.round_every = 50;
  options.learning_rate = 0.15;
  options.polish_nests = 20'000;
  return options;
}

bool RtlSearchOptions::is_valid(std::string* error) const {
  if (!(kappa >= 0 && kappa <= 10)) {
    *error = fmt::format("kappa: found {}, expected 0 to 10", kappa);
    return false;
  }
  return search.is_valid(error);
}

Hardware default_gemmini(const Machine& machine, std::int64_t pe_dim) {
  Hardware built = machine.default_hardware;
  if (built.pe_dim == pe_dim) return built;
  built.pe_dim = pe_dim;
  return gemmini::nearest_hardware(built);
}

SearchSummary rtl_search(const SearchProblem& problem, const RtlModel& model, const RtlSearchOptions& options,
                         const ProgressCallback& progress, const std::atomic<bool>* interrupt) {
  std::string error;
  if (!options.is_valid(&error)) fail(ErrorId::kValue, "{}", error);
  TORCH_CHECK(problem.bounds.min.pe_dim == problem.bounds.max.pe_dim, "one array per search");
  if (model.surrogate() != nullptr) model.surrogate()->check_hardware(problem.bounds.max, "hardware");
  one_thread_per_operation();
  return RtlSearch(problem, model, options, progress, interrupt).run();
}

}  // namespace dosa
