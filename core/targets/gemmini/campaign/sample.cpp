#include "dosa/core/targets/gemmini/campaign/sample.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

using gemmini::Call;
using gemmini::Tile;

ArraySizes smaller(ArraySizes built, std::int64_t divisor) {
  built.scratchpad_kib /= divisor;
  built.accumulator_kib /= divisor;
  return built;
}

/// Collects measurements without repeating one.
class Draw {
 public:
  Draw(Plan& plan, std::size_t count) : plan_(plan), count_(count) {}

  bool full() const { return plan_.measurements.size() >= count_; }
  bool knows(std::size_t layer, const Tile& tile) const {
    return seen_.count(fmt::format("{} {}", layer, gemmini::to_string(tile))) > 0;
  }
  /// False if there already or no room.
  bool add(std::size_t layer, const Tile& tile, const std::string& tiling) {
    if (full() || !seen_.insert(fmt::format("{} {}", layer, gemmini::to_string(tile))).second) return false;
    plan_.measurements.push_back({layer, tile, tiling});
    return true;
  }

 private:
  Plan& plan_;
  std::size_t count_;
  std::set<std::string> seen_;
};

/// A legal tile or nothing.
std::optional<Tile> legal(const Layer& layer, const ArraySizes& built, const std::function<Tile()>& make) {
  try {
    const Tile tile = make();
    if (gemmini::tile_is_legal(layer, gemmini::params_of(built), tile)) return tile;
  } catch (const Error& error) {
    if (error.id() != ErrorId::kCapacity) throw;
  }
  return std::nullopt;
}

}  // namespace

std::string shape_of(const Layer& layer) {
  Layer shape = layer;
  shape.name = "shape";
  shape.count = shape.groups = 1;
  shape.known_input_width = layer.input_width();
  shape.known_input_height = layer.input_height();
  shape.pad(layer.sides());
  return to_json(shape).dump();
}

bool SampleOptions::is_valid(std::string* error) const {
  const auto bad = [&](const char* field, const std::string& found, const char* allowed) {
    *error = fmt::format("{}: found {}, expected {}", field, found, allowed);
    return false;
  };
  if (count < 1 || count > 1000000) return bad("count", std::to_string(count), "an integer in 1..1000000");
  if (max_macs < 1) return bad("max_macs", std::to_string(max_macs), "an integer of at least 1");
  if (!(uncertain_share >= 0 && uncertain_share <= 1))
    return bad("uncertain_share", fmt::format("{}", uncertain_share), "a number in 0..1");
  if (pool < 1 || pool > 10000) return bad("pool", std::to_string(pool), "an integer in 1..10000");
  try {
    batch.check();
  } catch (const Error& wrong) {
    *error = wrong.what();
    return false;
  }
  const auto violations = gemmini::check_hardware(hardware);
  if (!violations.empty()) {
    *error = "hardware: " + gemmini::summary(violations);
    return false;
  }
  return true;
}

std::map<std::string, std::size_t> Sample::kinds() const {
  std::map<std::string, std::size_t> count;
  for (const PlannedCall& m : plan.measurements) ++count[m.tiling];
  return count;
}

std::string Sample::brief_report() const {
  std::string text =
      fmt::format("{} of {} in {}:", counted(plan.measurements.size(), "measurement"),
                  counted(plan.layers.size(), "layer"), counted(plan.programs().size(), "program"));
  for (const auto& [tiling, count] : kinds()) text += fmt::format(" {} {}", count, tiling);
  text += "\n";
  for (const auto& [layer, reason] : left_out)
    text += fmt::format("left out: {}: {}\n", printable(layer), printable(reason));
  if (repeated > 0)
    text += fmt::format("left out as repetitions of an earlier one: {}\n", counted(repeated, "row"));
  for (const std::string& warning : warnings()) text += "warning: " + warning + "\n";
  return text;
}

std::vector<std::string> Sample::warnings() const {
  std::vector<std::string> list;
  const auto all = kinds();
  if (own_tilings == 0) return list;  // of a table
  const std::size_t own = all.count("auto") > 0 ? all.at("auto") : 0;
  if (own < own_tilings) {
    list.push_back(
        fmt::format("{} of the {} tilings that the library chooses by itself are left out; --count {} "
                    "takes all of them",
                    own_tilings - own, own_tilings, own_tilings));
  }
  if (all.size() == 1 && own > 0) {
    list.push_back(full ? fmt::format("these are the library's own tilings alone, from which training learns "
                                      "nothing about others; --count {} or more draws others, too",
                                      2 * own_tilings)
                        : "these are the library's own tilings alone: the layers have no others, so training "
                          "learns nothing about others");
  }
  return list;
}

Tile random_tile(const Layer& layer, const ArraySizes& built, Call call, Random& random) {
  Tile tile;
  tile.call = call;
  for (const Dim d : all_dims()) {
    const bool blocks = gemmini::is_product(call) || d == Dim::C || d == Dim::K;
    std::vector<std::int64_t> sizes = gemmini::useful_tile_sizes(
        gemmini::max_tile(layer, call, d, built.pe_dim),
        blocks && gemmini::extents(layer, call)[static_cast<std::size_t>(d)] > 1 ? built.pe_dim : 1);
    // Few channels may be cut anywhere, many only in whole blocks.
    for (std::int64_t& size : sizes) size = std::min(size, gemmini::max_tile(layer, call, d, built.pe_dim));
    const double span = std::log(static_cast<double>(sizes.back()) / static_cast<double>(sizes.front()));
    const double at = random.uniform();
    const double wanted = static_cast<double>(sizes.front()) * std::exp(at * span);
    tile[d] = *std::min_element(sizes.begin(), sizes.end(), [&](std::int64_t a, std::int64_t b) {
      return std::abs(std::log(static_cast<double>(a) / wanted)) <
             std::abs(std::log(static_cast<double>(b) / wanted));
    });
  }
  return gemmini::nearest_tile(layer, built, tile);
}

std::string not_measurable(const Layer& layer) {
  if (layer.is_matmul() || gemmini::sees_one_pixel(layer)) return "";
  if (layer[Dim::R] > 1 && (layer.wdilation > 1 || layer.hdilation > 1))
    return fmt::format("dilation {}; the measurement format has none",
                       std::max(layer.wdilation, layer.hdilation));
  if (layer.input_width() != layer.input_height() || layer[Dim::P] != layer[Dim::Q]) {
    return fmt::format("input {} x {}, output {} x {}; the measurement format has square images only",
                       layer.input_width(), layer.input_height(), layer[Dim::P], layer[Dim::Q]);
  }
  return "";
}

namespace {

/// The layers of a network that can be measured, every shape once, and by which calls.
struct Measurable {
  Sample sample;
  std::vector<std::vector<Call>> calls;  ///< by layer of the plan
};

Measurable measurable_layers(const Workload& workload, const SampleOptions& options) {
  Measurable found;
  Plan& plan = found.sample.plan;
  plan.workload = workload.name;
  plan.hardware = options.hardware;
  plan.library = options.library;
  std::set<std::string> shapes;
  for (const Layer& layer : workload.layers) {
    std::string reason;
    std::vector<Call> possible;
    try {
      possible = gemmini::calls_for(layer);
      if (possible.back() == Call::kConv) reason = not_measurable(layer);
    } catch (const Error& refused) {
      reason = refused.what();
    }
    if (layer.macs() > options.max_macs)
      reason = fmt::format("{} multiply-accumulates, more than {}", layer.macs(), options.max_macs);
    if (!reason.empty()) {
      found.sample.left_out.emplace_back(layer.name, reason);
    } else if (shapes.insert(shape_of(layer)).second) {
      plan.layers.push_back(layer);
      found.calls.push_back(possible);
    }
  }
  if (plan.layers.empty()) {
    fail(ErrorId::kValue, "{}: no layer can be measured; {}: {}", workload.name,
         found.sample.left_out.front().first, found.sample.left_out.front().second);
  }
  return found;
}

/// Draws tilings of the layers in turn, for the buffers as built and for smaller ones.
class Source {
 public:
  Source(const Measurable& layers, const SampleOptions& options, Random& random)
      : layers_(layers), built_(options.hardware), random_(random) {
    // Tilings for smaller buffers are legal here too and far from the library's taste.
    sizes_.emplace_back(built_, "random");
    for (const std::int64_t divisor : {2, 4}) {
      const ArraySizes small = smaller(built_, divisor);
      if (gemmini::is_legal(small)) sizes_.emplace_back(small, fmt::format("small{}", small.scratchpad_kib));
    }
  }

  /// Every layer with every size of the buffers.
  std::size_t combinations() const { return layers_.calls.size() * sizes_.size(); }

  std::optional<PlannedCall> draw(std::size_t turn) {
    const std::size_t count = layers_.calls.size(), layer = turn % count;
    const auto& [size, tiling] = sizes_[(turn + turn / count) % sizes_.size()];
    const std::vector<Call>& calls = layers_.calls[layer];
    const Call call = calls[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(calls.size())))];
    const bool own = tiling != "random" && random_.below(4) == 0;
    const Layer& shape = layers_.sample.plan.layers[layer];
    const auto tile = legal(shape, built_, [&, &small = size] {
      return own ? gemmini::default_tile(shape, small, call) : random_tile(shape, small, call, random_);
    });
    return tile ? std::optional<PlannedCall>({layer, *tile, tiling}) : std::nullopt;
  }

 private:
  const Measurable& layers_;
  ArraySizes built_;
  Random& random_;
  std::vector<std::pair<ArraySizes, std::string>> sizes_;
};

/// Adds the tilings that the predictor is least sure of, out of many drawn ones.
void draw_uncertain(const SampleOptions& options, Source& source, Plan& plan, Draw& draw) {
  const auto left = static_cast<std::size_t>(options.count) - plan.measurements.size();
  const auto wanted =
      static_cast<std::size_t>(std::lround(static_cast<double>(left) * options.uncertain_share));
  std::vector<PlannedCall> pool;
  std::vector<std::pair<Layer, Tile>> questions;
  for (std::size_t turn = 0; turn < wanted * static_cast<std::size_t>(options.pool); ++turn) {
    if (const auto candidate = source.draw(turn)) {
      pool.push_back(*candidate);
      questions.emplace_back(plan.layers[candidate->layer], candidate->tile);
    }
  }
  std::vector<double> unsure = options.uncertainty(questions);
  // Not a number is no prediction at all, and would put the order in disorder.
  for (double& sd : unsure) sd = std::isnan(sd) ? INFINITY : sd;
  std::vector<std::size_t> order(pool.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return unsure[a] > unsure[b]; });
  const double median = order.empty() ? 0 : unsure[order[order.size() / 2]];
  // No more than a few of one layer, or one strange layer would take them all.
  const std::size_t most = 2 + 2 * wanted / plan.layers.size();
  std::vector<std::size_t> taken(plan.layers.size(), 0);
  std::size_t chosen = 0;
  for (const std::size_t i : order) {
    if (chosen == wanted || unsure[i] < median) break;
    if (taken[pool[i].layer] < most && draw.add(pool[i].layer, pool[i].tile, "uncertain")) {
      ++taken[pool[i].layer];
      ++chosen;
    }
  }
}

}  // namespace

Sample sample_campaign(const Workload& workload, const SampleOptions& options) {
  std::string error;
  if (!options.is_valid(&error)) fail(ErrorId::kValue, "{}", error);
  Measurable layers = measurable_layers(workload, options);
  Sample& sample = layers.sample;
  Plan& plan = sample.plan;
  Random random(options.seed);
  Draw draw(plan, static_cast<std::size_t>(options.count));
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    for (const Call call : layers.calls[i]) {
      const Layer& layer = plan.layers[i];
      const auto tile = legal(layer, options.hardware,
                              [&] { return gemmini::default_tile(layer, options.hardware, call); });
      if (!tile) continue;
      ++sample.own_tilings;
      draw.add(i, *tile, "auto");
    }
  }
  Source source(layers, options, random);
  if (options.uncertainty && !draw.full()) draw_uncertain(options, source, plan, draw);
  // Small layers have few tilings: stop when a whole round brings nothing new.
  const std::size_t round = 8 * source.combinations();
  for (std::size_t turn = 0, last = 0; !draw.full() && turn < last + round; ++turn) {
    const auto candidate = source.draw(turn);
    if (candidate && draw.add(candidate->layer, candidate->tile, candidate->tiling)) last = turn;
  }
  sample.full = draw.full();
  plan.assign_programs(options.batch);
  return sample;
}

}  // namespace dosa
