#include "dosa/core/targets/gemmini/space.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <stdexcept>

#include "dosa/core/search/problem.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

using gemmini::Tile;
using torch::Tensor;

// Tilings that are scored in one batch.
constexpr std::size_t kChunk = 2048;
// Local moves look for the best tilings at these multiples of the price of a cycle.
constexpr double kPrices[] = {0.5, 1, 2};
// How far a move of two dimensions goes, in places of their lists of sizes.
constexpr int kPairReach = 2;
// Rounds of moves on one layer; they end by themselves long before.
constexpr int kMostRounds = 100;

/// A code of the frontier: the call, then the sizes.
Tensor code_of(const Tile& tile) {
  std::vector<double> code{static_cast<double>(tile.call)};
  for (const std::int64_t size : tile.size) code.push_back(static_cast<double>(size));
  return torch::tensor(code, torch::kFloat64);
}

Tile tile_of_code(const Tensor& code) {
  Tile tile;
  tile.call = static_cast<gemmini::Call>(static_cast<int>(code[0].item<double>()));
  for (int d = 0; d < kDims; ++d)
    tile.size[static_cast<std::size_t>(d)] = std::llround(code[d + 1].item<double>());
  return tile;
}

/// The library's own tile for a call, if any tile runs on this hardware.
std::optional<Tile> library_tile(const Layer& layer, const ArraySizes& sizes, gemmini::Call call) {
  try {
    return gemmini::runnable_default_tile(layer, sizes, call);
  } catch (const Error& error) {
    if (error.id() != ErrorId::kCapacity) throw;
    return std::nullopt;
  }
}

/// Every combination of the useful sizes next below and above a real-valued tile [7].
std::vector<Tile> around(const RtlVariant& v, const Tensor& real_tile) {
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

/// Every other size of one dimension, and small steps of two at a time.
void add_moves(const RtlVariant& v, const Tile& tile, std::vector<Tile>& moves) {
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

}  // namespace

// ---- One layer.

TileSearch::TileSearch(const TileScoring& scoring, std::size_t layer, const std::vector<RtlVariant>& variants)
    : scoring_(scoring), layer_(layer) {
  for (std::size_t i = 0; i < variants.size(); ++i) {
    if (variants[i].layer != layer) continue;
    variants_.push_back(variants[i]);
    index_.push_back(static_cast<std::int64_t>(i));
  }
  frontier_.space = frontier_.candidates = size();
}

double TileSearch::size() const {
  double all = 0;
  for (const RtlVariant& v : variants_) all += v.combinations;
  return all;
}

void TileSearch::look(const Tensor& near, std::int64_t limit, Allowance& allowance) {
  for (std::size_t i = 0; i < variants_.size(); ++i) {
    RtlVariant& v = variants_[i];
    score_defaults(v, allowance);
    if (near.defined()) score(v, around(v, near[index_[i]]), allowance);
    if (v.combinations <= static_cast<double>(limit)) enumerate(v, allowance);
  }
  count_coverage();
}

void TileSearch::count_coverage() {
  frontier_.complete = true;
  frontier_.looked_at = 0;
  for (const RtlVariant& v : variants_) {
    frontier_.complete = frontier_.complete && v.complete;
    frontier_.looked_at += v.complete ? v.combinations : static_cast<double>(v.seen.size());
  }
  frontier_.over_capacity = frontier_.looked_at - static_cast<double>(frontier_.evaluated);
}

void TileSearch::score_defaults(RtlVariant& v, Allowance& allowance) {
  std::vector<Tile> tiles;
  const Tile& own = scoring_.reference.tiles[layer_];
  if (own.call == v.call) tiles.push_back(own);
  for (const ArraySizes& sizes : scoring_.hardware) {
    if (const std::optional<Tile> tile = library_tile(layer(), sizes, v.call)) tiles.push_back(*tile);
  }
  score(v, tiles, allowance);
}

void TileSearch::score(RtlVariant& v, const std::vector<Tile>& tiles, Allowance& allowance) {
  const torch::InferenceMode no_gradients;
  const gemmini::Params params = gemmini::params_of(scoring_.largest);
  std::vector<Tile> fresh;
  for (const Tile& tile : tiles) {
    if (static_cast<std::int64_t>(fresh.size()) >= allowance.evaluations) {
      allowance.fell_short = true;
      break;
    }
    if (v.seen.insert(tile.size).second && gemmini::tile_is_legal(layer(), params, tile))
      fresh.push_back(tile);
  }
  allowance.spend(static_cast<std::int64_t>(fresh.size()));
  for (std::size_t from = 0; from < fresh.size(); from += kChunk) {
    const auto begin = fresh.begin() + static_cast<std::ptrdiff_t>(from);
    score_chunk(v, {begin, begin + static_cast<std::ptrdiff_t>(std::min(kChunk, fresh.size() - from))});
  }
}

void TileSearch::score_chunk(RtlVariant& v, const std::vector<Tile>& tiles) {
  const RtlModel& model = scoring_.model;
  std::vector<Tensor> codes;
  std::vector<std::int64_t> own_default;
  for (const Tile& tile : tiles) {
    if (scoring_.reference.hardware.pe_dim == scoring_.largest.pe_dim &&
        tile == scoring_.reference.tiles[layer_])
      own_default.push_back(static_cast<std::int64_t>(codes.size()));
    codes.push_back(code_of(tile));
  }
  const Tensor code = torch::stack(codes);
  const Tensor sizes = code.narrow(1, 1, kDims).unsqueeze(1);
  const auto pe_dim = static_cast<double>(scoring_.largest.pe_dim);
  const TilingCosts costs = model.costs(sizes, torch::full({}, pe_dim, torch::kFloat64), v.batch, false);
  const auto priced = [&](const ArraySizes& hardware) {
    return model.price(costs.traffic, HardwareTensors::from(hardware, torch::kFloat64), false);
  };
  const Cost none = priced({scoring_.largest.pe_dim, 0, 0});
  const Tensor energy = none.energy_pj.flatten();
  const Tensor mean = (costs.cycles.defined() ? costs.cycles : none.cycles).flatten();
  Tensor cycles = mean;
  if (costs.networks.defined()) {
    const Tensor sd = model.log_sd_of_ratio(costs.networks.squeeze(-1), costs.growth.squeeze(-1),
                                            scoring_.reference.networks[layer_].unsqueeze(-1));
    const Tensor trusted = torch::tensor(own_default, torch::kInt64);
    cycles = mean * (scoring_.kappa * sd.index_fill(0, trusted, 0)).exp();
  }
  // The least sizes of the list that do.
  const auto built = [&](const Tensor& rows, double bytes, std::size_t b) {
    const Tensor need = rows.flatten() * (2 * bytes * pe_dim / 1024);
    Tensor kib = torch::full_like(need, static_cast<double>(buffer(scoring_.largest, b)));
    for (const ArraySizes& option : scoring_.hardware) {
      const auto option_kib = static_cast<double>(buffer(option, b));
      kib = torch::where(need <= option_kib, kib.clamp_max(option_kib), kib);
    }
    return kib;
  };
  const auto groups = static_cast<double>(layer().groups);
  std::vector<Tensor> columns{cycles * groups, energy * groups};
  for (std::size_t b = 0; b < kArrayBuffers; ++b) {
    ArraySizes one{scoring_.largest.pe_dim, 0, 0};
    buffer(one, b) = 1;
    columns.push_back(b == 0 ? built(costs.rows.input + costs.rows.weight, 1, b)
                             : built(costs.rows.output, 4, b));
    columns.push_back((priced(one).energy_pj.flatten() - energy) * groups);
  }
  frontier_.evaluated += code.size(0);
  frontier_.add(torch::stack(columns, 1), code, mean * groups, [](const Tensor& numbers) { return numbers; });
}

void TileSearch::enumerate(RtlVariant& v, Allowance& allowance) {
  if (v.complete) return;
  std::vector<Tile> tiles;
  Tile tile;
  tile.call = v.call;
  fill(v, tile, 0, tiles, allowance);
  score(v, tiles, allowance);
  v.complete = !allowance.fell_short && !(allowance.stop && allowance.stop());
}

void TileSearch::fill(RtlVariant& v, Tile& tile, int dim, std::vector<Tile>& tiles, Allowance& allowance) {
  if (dim == kDims) {
    tiles.push_back(tile);
    return;
  }
  const gemmini::Params params = gemmini::params_of(scoring_.largest);
  for (const std::int64_t size : v.sizes[static_cast<std::size_t>(dim)]) {
    tile.size[static_cast<std::size_t>(dim)] = size;
    // The dimensions to come are at their smallest: what does not fit now never will.
    Tile least = tile;
    for (int rest = dim + 1; rest < kDims; ++rest)
      least.size[static_cast<std::size_t>(rest)] = v.sizes[static_cast<std::size_t>(rest)].front();
    if (!gemmini::fits(layer(), least, params)) return;
    fill(v, tile, dim + 1, tiles, allowance);
    if (tiles.size() >= kChunk) {
      score(v, tiles, allowance);
      tiles.clear();
    }
    if (allowance.is_spent()) {
      allowance.fell_short = allowance.fell_short || allowance.evaluations <= 0;
      return;
    }
  }
}

std::vector<Tile> TileSearch::best_tiles(const Objective::Prices& prices) const {
  std::set<std::int64_t> rows;
  for (const ArraySizes& sizes : scoring_.hardware) {
    const std::vector<double> buffers = buffers_of(sizes, kArrayBuffers);
    const Tensor fitting = fits(frontier_.numbers, buffers);
    if (!fitting.any().item<bool>()) continue;
    for (const double factor : kPrices) {
      const Tensor value = energy_at(frontier_.numbers, buffers) * prices.energy +
                           frontier_.numbers.select(1, Frontier::kCycles) * (factor * prices.cycle);
      rows.insert(value.masked_fill(~fitting, kInfinity).argmin().item<std::int64_t>());
    }
  }
  std::vector<Tile> tiles;
  for (const std::int64_t row : rows) tiles.push_back(tile_of_code(frontier_.codes[row]));
  return tiles;
}

void TileSearch::improve(const Objective::Prices& prices, const Hardware&, Allowance& allowance) {
  const torch::InferenceMode no_gradients;
  std::set<std::pair<int, DimSizes>> expanded;
  for (int round = 0; round < kMostRounds && !allowance.is_spent(); ++round) {
    std::vector<Tile> from;
    for (const Tile& tile : best_tiles(prices)) {
      if (expanded.insert({static_cast<int>(tile.call), tile.size}).second) from.push_back(tile);
    }
    if (from.empty()) break;
    for (RtlVariant& v : variants_) {
      if (v.complete) continue;
      std::vector<Tile> moves;
      for (const Tile& tile : from) {
        if (tile.call == v.call) add_moves(v, tile, moves);
      }
      score(v, moves, allowance);
    }
  }
  count_coverage();
}

// ---- All layers.

GemminiSpace::GemminiSpace(const SearchProblem& problem, const RtlModel& model, double kappa,
                           const std::string& device, const std::optional<GivenBaseline>& baseline) {
  set_hardware(problem, model, kappa);
  set_reference(problem, model, baseline);
  for (const std::unique_ptr<OnArray>& array : arrays_)
    array->variants = variants_of(problem, model, array->scoring.largest.pe_dim);
  check_fits();
  const OnArray& relaxed = *arrays_.back();
  relaxation_ = std::make_unique<RtlRelaxation>(problem, model, relaxed.variants, reference_.networks,
                                                relaxed.scoring.largest, kappa,
                                                torch::TensorOptions(torch::kFloat32).device(device));
}

void GemminiSpace::set_hardware(const SearchProblem& problem, const RtlModel& model, double kappa) {
  const ArrayBounds bounds = ArrayBounds::of(problem.bounds);
  const bool several = bounds.min.pe_dim < bounds.max.pe_dim;
  for (const ArraySizes& sizes : gemmini::legal_hardware(bounds.min, bounds.max)) {
    if (problem.machine().area_mm2(sizes) > problem.bounds.max_area_mm2) continue;
    if (several && model.surrogate() && !model.surrogate()->target.knows(sizes.pe_dim)) continue;
    if (arrays_.empty() || arrays_.back()->scoring.largest.pe_dim != sizes.pe_dim)
      arrays_.push_back(
          std::make_unique<OnArray>(OnArray{{problem, model, kappa, reference_, {}, sizes}, {}}));
    TileScoring& scoring = arrays_.back()->scoring;
    scoring.hardware.push_back(sizes);
    for (std::size_t b = 0; b < kArrayBuffers; ++b)
      buffer(scoring.largest, b) = std::max(buffer(scoring.largest, b), buffer(sizes, b));
  }
  if (!arrays_.empty()) return;
  const ArraySizes near = gemmini::nearest_hardware(bounds.min);
  fail(ErrorId::kBounds,
       "no Gemmini can be built within the bounds; the nearest has pe_dim {}, scratchpad_kib {}, "
       "accumulator_kib {}",
       near.pe_dim, near.scratchpad_kib, near.accumulator_kib);
}

std::vector<Shape> GemminiSpace::shapes() const {
  std::vector<Shape> shapes;
  for (const std::unique_ptr<OnArray>& array : arrays_) shapes.push_back({array->scoring.largest.pe_dim});
  return shapes;
}

const GemminiSpace::OnArray& GemminiSpace::on(const Shape& shape) const {
  for (const std::unique_ptr<OnArray>& known : arrays_) {
    if (known->scoring.largest.pe_dim == shape.front()) return *known;
  }
  throw std::logic_error("no such array in the space");
}

void GemminiSpace::set_reference(const SearchProblem& problem, const RtlModel& model,
                                 const std::optional<GivenBaseline>& baseline) {
  const std::vector<Layer>& layers = problem.workload.layers;
  static_cast<Reference&>(reference_) =
      reference_for(layers, model.machine(), arrays_.back()->scoring.largest.pe_dim, baseline);
  if (const Surrogate* surrogate = model.surrogate()) {
    for (const Layer& layer : layers) {
      for (const gemmini::Call call : gemmini::calls_for(layer))
        surrogate->outside(model.run(layer, call), reference_.hardware.pe_dim);
    }
  }
  const TileCosts costs = model.costs(layers, reference_.tiles, reference_.hardware);
  for (const ProblemNetwork& network : problem.networks()) {
    double cycles = 0;
    for (std::size_t l = network.begin; l < network.end; ++l) {
      const auto row = static_cast<std::int64_t>(l);
      reference_.networks.push_back(costs.networks.defined() ? costs.networks.select(-1, row) : Tensor());
      cycles += costs.cycles[row].item<double>() * static_cast<double>(layers[l].count);
    }
    reference_.cycles.push_back(cycles);
  }
}

/// Leaves out arrays on which a layer has no tile. Throws Error{kBounds} where none is left.
void GemminiSpace::check_fits() {
  std::string lacking;
  const auto runs_all = [&](const OnArray& array) {
    const std::vector<ArraySizes>& hardware = array.scoring.hardware;
    for (const Layer& layer : array.scoring.problem.workload.layers) {
      const std::vector<gemmini::Call> calls = gemmini::calls_for(layer);
      const bool any = std::any_of(calls.begin(), calls.end(), [&](gemmini::Call call) {
        return std::any_of(hardware.begin(), hardware.end(), [&](const ArraySizes& sizes) {
          return library_tile(layer, sizes, call).has_value();
        });
      });
      if (any) continue;
      lacking = fmt::format(
          "layer '{}' has no tile that fits a scratchpad of {} KiB and an accumulator of {} KiB, the largest "
          "that are allowed",
          layer.name, array.scoring.largest.scratchpad_kib, array.scoring.largest.accumulator_kib);
      return false;
    }
    return true;
  };
  arrays_.erase(std::remove_if(arrays_.begin(), arrays_.end(), [&](const auto& a) { return !runs_all(*a); }),
                arrays_.end());
  if (arrays_.empty()) fail(ErrorId::kBounds, "{}", lacking);
}

Tensor GemminiSpace::random_starts(std::int64_t starts, at::Generator generator) const {
  return relaxation_->random_logits(starts, std::move(generator));
}

RelaxedCost GemminiSpace::relax(const Tensor& parameters, const Tensor& share) const {
  return relaxation_->cost(parameters, share);
}

Tensor GemminiSpace::decode(const Tensor& parameters) const {
  return relaxation_->tiles(parameters).to(torch::kCPU, torch::kFloat64);
}

std::unique_ptr<LayerSpace> GemminiSpace::layer(std::size_t layer, const Shape& shape) const {
  return std::make_unique<TileSearch>(on(shape).scoring, layer, on(shape).variants);
}

std::int64_t GemminiSpace::least_evaluations(std::size_t layer) const {
  std::int64_t most = 0;
  for (const std::unique_ptr<OnArray>& array : arrays_) {
    const auto calls = std::count_if(array->variants.begin(), array->variants.end(),
                                     [&](const RtlVariant& v) { return v.layer == layer; });
    most = std::max(most, 1 + static_cast<std::int64_t>(array->scoring.hardware.size()) * calls);
  }
  return most;
}

SchedulePtr GemminiSpace::schedule(std::size_t, const Tensor& code) const {
  return std::make_shared<gemmini::TileSchedule>(tile_of_code(code));
}

}  // namespace dosa
