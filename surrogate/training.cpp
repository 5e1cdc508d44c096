#include "dosa/surrogate/training.hpp"

#include <torch/optim.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <set>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr std::int64_t kMinRows = 50;
constexpr std::int64_t kMinTuningRows = 3;
constexpr const char* kFolds[] = {"rows", "layers"};
constexpr int kLookEvery = 5;          // epochs between looks at the held-out layers
constexpr double kOrderWeight = 4;     // of the penalty for a wrong order of ChannelPairs, in the loss
constexpr double kOrderMargin = 0.03;  // by which the larger layer's log cycles are to be larger
constexpr int kPairTilings = 40;       // per layer, array and doubled dimension
constexpr int kRedraws = 8;            // of every layer, with other channels
constexpr int kRedrawTilings = 5;
constexpr double kMostChannels = 4096;
constexpr std::int64_t kBufferKib = 1024;  // where measurements do not say: more than any tile needs
constexpr double kScaleOffset = 1e-3;      // added to standard deviations of inputs
constexpr double kFloorSlack = 1e-6;       // relative; a measurement below the floor by more is a wrong row

torch::TensorOptions f64() { return torch::TensorOptions(torch::kFloat64); }
torch::TensorOptions i64() { return torch::TensorOptions(torch::kInt64); }

/// Random numbers that are the same everywhere (the standard's distributions are not).
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(uniform() * static_cast<double>(n)); }
  /// 1 ... most, as likely in any octave; every other one a power of two.
  std::int64_t size(double most) {
    const double octaves = uniform() * std::log2(most);
    return std::llround(std::exp2(below(2) == 0 ? octaves : std::round(octaves)));
  }
  double normal() { return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(2 * M_PI * uniform()); }
  std::vector<std::int64_t> permutation(std::int64_t n) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    for (std::int64_t i = n - 1; i > 0; --i) {
      std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(below(i + 1))]);
    }
    return order;
  }

 private:
  std::mt19937_64 engine_;
};

Tensor indices(const std::vector<std::int64_t>& list) { return torch::tensor(list, i64()); }

std::vector<double> numbers(const Tensor& t) {
  const Tensor c = t.to(torch::kFloat64).contiguous();
  return {c.data_ptr<double>(), c.data_ptr<double>() + c.numel()};
}

std::int64_t distinct(const std::vector<std::int64_t>& ids) {
  return std::set<std::int64_t>(ids.begin(), ids.end()).size();
}

std::vector<std::int64_t> picked(const std::vector<std::int64_t>& ids,
                                 const std::vector<std::int64_t>& rows) {
  std::vector<std::int64_t> part;
  for (const std::int64_t row : rows) part.push_back(ids[static_cast<std::size_t>(row)]);
  return part;
}

/// The rows of each fold.
std::vector<std::vector<std::int64_t>> split_rows(const TrainingSet& set, bool by_layer, int folds,
                                                  std::uint64_t seed) {
  Random random(seed);
  std::vector<std::vector<std::int64_t>> parts(static_cast<std::size_t>(folds));
  const std::int64_t units = by_layer ? distinct(set.layers) : set.rows();
  const std::vector<std::int64_t> order = random.permutation(units);
  std::vector<std::size_t> fold(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) fold[static_cast<std::size_t>(order[i])] = i % parts.size();
  for (std::int64_t row = 0; row < set.rows(); ++row) {
    const std::int64_t unit = by_layer ? set.layers[static_cast<std::size_t>(row)] : row;
    parts[fold[static_cast<std::size_t>(unit)]].push_back(row);
  }
  return parts;
}

/// Tilings and the same tiles of layers with twice as many input or output channels in DRAM, of which no
/// measurement is needed to know which one is faster.
struct ChannelPairs {
  Executed single, doubled;          ///< [pairs]
  std::vector<std::int64_t> layers;  ///< measured layer of every pair

  /// Random tilings of every layer of the measurements, and of it with other channels (and other rows, of a
  /// matrix product), on every array among them; the same every time.
  static ChannelPairs of(const Measurements& measurements, const MeasuredTarget& target);
  /// The pairs of these layers.
  ChannelPairs select(const std::set<std::int64_t>& chosen) const;
};

ChannelPairs ChannelPairs::of(const Measurements& m, const MeasuredTarget& target) {
  const torch::NoGradGuard no_grad;
  ChannelPairs pairs;
  const std::vector<std::int64_t> ids = m.layer_ids();
  std::set<std::int64_t> done;
  std::vector<LayerRun> single, doubled;
  std::vector<Tensor> tiles, pe_dims;
  const auto kib = [](std::int64_t known) { return known > 0 ? known : kBufferKib; };
  const auto add = [&](const LayerRun& run, std::int64_t layer, int draw, int tilings) {
    for (const std::int64_t pe_dim : target.pe_dims) {
      const Hardware buffers{pe_dim, kib(target.scratchpad_kib), kib(target.accumulator_kib)};
      const auto seed = static_cast<std::uint64_t>((draw * 100003 + layer) * 1009 + pe_dim);
      const Tensor drawn = random_tilings(run, target.rules, buffers, tilings, seed);
      for (const Dim dim : {Dim::C, Dim::K}) {
        LayerRun larger = run;
        larger.layer[dim] *= 2;
        const auto count = static_cast<std::size_t>(drawn.size(0));
        single.insert(single.end(), count, run);
        doubled.insert(doubled.end(), count, larger);
        pairs.layers.insert(pairs.layers.end(), count, layer);
        tiles.push_back(drawn);
        pe_dims.push_back(torch::full({drawn.size(0)}, static_cast<double>(pe_dim), f64()));
      }
    }
  };
  for (std::size_t row = 0; row < ids.size(); ++row) {
    if (!done.insert(ids[row]).second) continue;
    LayerRun run = run_of(m.rows[row]);
    add(run, ids[row], 0, kPairTilings);
    Random random(static_cast<std::uint64_t>(ids[row]));
    for (int draw = 1; draw <= kRedraws; ++draw) {
      run.layer[Dim::C] = random.size(kMostChannels);
      run.layer[Dim::K] = random.size(kMostChannels);
      if (run.matmul) run.layer[Dim::P] = random.size(kMostChannels);
      add(run, ids[row], draw, kRedrawTilings);
    }
  }
  const auto executed = [&](const std::vector<LayerRun>& runs) {
    return Executed::of(torch::cat(tiles), torch::cat(pe_dims), RunBatch::of(runs, target.rules), false);
  };
  pairs.single = executed(single);
  pairs.doubled = executed(doubled);
  return pairs;
}

ChannelPairs ChannelPairs::select(const std::set<std::int64_t>& chosen) const {
  std::vector<std::int64_t> which;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (chosen.count(layers[i])) which.push_back(static_cast<std::int64_t>(i));
  }
  return {single.select(indices(which)), doubled.select(indices(which)), picked(layers, which)};
}

/// What the networks and combine() see of tilings: float32 [rows, ...], normalised already.
struct Seen {
  Tensor inputs, log_base, log_floor;

  std::int64_t rows() const { return inputs.size(0); }
  /// A choice of rows for each network, [networks, n] -> [networks, n, ...].
  Seen select(const Tensor& chosen) const {
    return {of(inputs, chosen), of(log_base, chosen), of(log_floor, chosen)};
  }
  static Tensor of(const Tensor& t, const Tensor& chosen) {
    std::vector<std::int64_t> shape{chosen.size(0), chosen.size(1)};
    if (t.dim() == 2) shape.push_back(t.size(1));
    return t.index_select(0, chosen.flatten()).view(shape);
  }
};

/// What one training run sees.
struct Batchable {
  Seen measured;
  Tensor log_cycles;     // float32 [rows]
  Tensor training;       // [networks, rows], 0 for rows of held-out layers
  Seen single, doubled;  // ChannelPairs of the rows' layers
};

/// log cycles by every network, [networks, rows].
Tensor predict(const Surrogate& s, const Seen& seen) {
  const Tensor f = s.ensemble(seen.inputs);
  return s.predictor == Predictor::kLearned ? f : combine(f, seen.log_base, seen.log_floor);
}

/// Trains the ensemble in place; keeps, per network, the weights that did best on its held-out layers.
void train_networks(Surrogate& s, const Batchable& data, const TrainOptions& o, Random& random,
                    const std::string& run, std::vector<CurvePoint>* curve) {
  Ensemble& e = s.ensemble;
  std::vector<Tensor> weights;
  for (Tensor* w : e.weights()) weights.push_back(w->requires_grad_());
  torch::optim::AdamW optimizer(weights, torch::optim::AdamWOptions(o.rate).weight_decay(o.weight_decay));
  auto& options = static_cast<torch::optim::AdamWOptions&>(optimizer.param_groups()[0].options());
  const std::int64_t rows = data.measured.rows(), networks = data.training.size(0);
  const std::int64_t per_epoch = (rows + o.batch - 1) / o.batch;
  const Tensor held_out = 1 - data.training;
  const bool stops = held_out.sum().item<double>() > 0;
  std::vector<double> best(static_cast<std::size_t>(networks), 1e300);
  std::vector<Tensor> kept;
  for (const Tensor& w : weights) kept.push_back(w.detach().clone());
  int step = 0;
  for (int epoch = 1; epoch <= o.epochs; ++epoch) {
    std::vector<Tensor> orders;
    for (std::int64_t n = 0; n < networks; ++n) orders.push_back(indices(random.permutation(rows)));
    const Tensor order = torch::stack(orders);
    for (std::int64_t from = 0; from < rows; from += o.batch, ++step) {
      const Tensor rows_now = order.slice(1, from, std::min<std::int64_t>(rows, from + o.batch));
      const Tensor use = data.training.gather(1, rows_now);
      const Tensor error =
          torch::huber_loss(predict(s, data.measured.select(rows_now)), Seen::of(data.log_cycles, rows_now),
                            at::Reduction::None, o.huber);
      Tensor loss = ((error / o.huber) * use).sum(1) / use.sum(1).clamp_min(1);
      if (data.single.rows() > 0) {  // the pairs pass by, a window of them a step
        const Tensor pairs_now = torch::remainder(rows_now + step * o.batch, data.single.rows());
        const Tensor rise =
            predict(s, data.doubled.select(pairs_now)) - predict(s, data.single.select(pairs_now));
        loss = loss + kOrderWeight * torch::relu(kOrderMargin - rise).mean(1);
      }
      options.lr(o.rate * one_cycle(step, static_cast<int>(per_epoch * o.epochs)));
      optimizer.zero_grad();
      loss.sum().backward();
      optimizer.step();
    }
    if (epoch % kLookEvery != 0 && epoch != o.epochs) continue;
    const torch::NoGradGuard no_grad;
    const Tensor error = (predict(s, data.measured) - data.log_cycles).abs();
    const Tensor trained = (error * data.training).sum(1) / data.training.sum(1).clamp_min(1);
    const Tensor unseen = (error * held_out).sum(1) / held_out.sum(1).clamp_min(1);
    const std::vector<double> now = numbers(stops ? unseen : trained);
    for (std::int64_t n = 0; n < networks; ++n) {
      const auto i = static_cast<std::size_t>(n);
      if (now[i] >= best[i]) continue;
      best[i] = now[i];
      for (std::size_t w = 0; w < weights.size(); ++w) kept[w][n].copy_(weights[w][n]);
    }
    if (curve) curve->push_back({run, epoch, trained.mean().item<double>(), unseen.mean().item<double>()});
  }
  std::size_t w = 0;
  for (Tensor* weight : e.weights()) *weight = kept[w++];
}

/// Base, scalers and networks from these rows, and the pairs of their layers, and no others.
Surrogate fit_rows(const TrainingSet& set, const ChannelPairs& pairs, const std::vector<std::int64_t>& rows,
                   const TrainOptions& o, std::uint64_t seed, const std::string& run,
                   std::vector<CurvePoint>* curve) {
  Random random(seed);
  Surrogate s;
  s.predictor = o.predictor;
  s.target = set.target;
  s.base = BaseModel::initial();
  const Tensor chosen = indices(rows);
  const Executed executed = set.executed.select(chosen);
  const Tensor log_cycles = set.log_cycles.index_select(0, chosen);
  const std::vector<std::int64_t> layers = picked(set.layers, rows);
  const std::set<std::int64_t> known(layers.begin(), layers.end());
  const ChannelPairs own = pairs.select(known);
  if (o.predictor == Predictor::kCombined && o.base_steps > 0) {
    s.base = s.base.fit(executed, log_cycles, o.base_steps);
  }
  Ensemble& e = s.ensemble;
  Batchable data;
  {
    const torch::NoGradGuard no_grad;
    const bool has_base = o.predictor == Predictor::kCombined;
    const auto base_of = [&](const Executed& x) { return has_base ? s.base.latency(x) : BaseLatency{}; };
    const Tensor x = s.inputs(executed, base_of(executed));
    e.mean = x.mean(0);
    e.scale = x.std(0) + kScaleOffset;
    e.lowest = std::get<0>(x.min(0));
    e.highest = std::get<0>(x.max(0));
    const auto f32 = [](const Tensor& t) { return t.to(torch::kFloat32); };
    const auto see = [&](const Executed& tilings) -> Seen {
      const BaseLatency base = base_of(tilings);
      const Tensor log_floor = f32(tilings.floor.log());
      return {e.normalise(e.within_range(s.inputs(tilings, base))),
              has_base ? f32(base.cycles.log()) : log_floor, log_floor};
    };
    data = {see(executed), f32(log_cycles), {}, see(own.single), see(own.doubled)};
  }
  // Networks with a last layer of zeros: the untrained surrogate is the base (or the mean, without one).
  const std::int64_t inputs = e.mean.size(0);
  const auto normal = [&](std::vector<std::int64_t> shape, std::int64_t fan_in) {
    Tensor t = torch::empty(shape, torch::kFloat32);
    float* p = t.data_ptr<float>();
    for (std::int64_t i = 0; i < t.numel(); ++i) {
      p[i] = static_cast<float>(random.normal() / std::sqrt(static_cast<double>(fan_in)));
    }
    return t;
  };
  const std::int64_t n = o.networks, h = o.hidden;
  e.w1 = normal({n, inputs, h}, inputs);
  e.b1 = torch::zeros({n, 1, h});
  e.w2 = normal({n, h, h}, h);
  e.b2 = torch::zeros({n, 1, h});
  e.w3 = torch::zeros({n, h, 1});
  e.b3 = torch::zeros({n, 1, 1});
  if (o.predictor == Predictor::kLearned) e.b3 += data.log_cycles.mean();

  const std::vector<std::int64_t> each(known.begin(), known.end());
  const auto hold =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(o.held_out * static_cast<double>(each.size())));
  data.training = torch::ones({n, static_cast<std::int64_t>(rows.size())});
  for (std::int64_t network = 0; network < n; ++network) {
    const std::vector<std::int64_t> order = random.permutation(static_cast<std::int64_t>(each.size()));
    std::set<std::int64_t> out;
    for (std::int64_t i = 0; i < hold && i + 1 < static_cast<std::int64_t>(each.size()); ++i) {
      out.insert(each[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]);
    }
    for (std::size_t row = 0; row < layers.size(); ++row) {
      if (out.count(layers[row])) data.training[network][static_cast<std::int64_t>(row)] = 0;
    }
  }
  train_networks(s, data, o, random, run, curve);
  return s;
}

/// One training: of a fold of a cross-validation, or the final one.
struct Fit {
  std::string name;
  std::vector<std::int64_t> rows, unseen;
  std::uint64_t seed;
  Surrogate surrogate{};
  std::vector<CurvePoint> curve{};
};

/// 0 ... count - 1 without those of `unseen`.
std::vector<std::int64_t> rows_but(const std::vector<std::int64_t>& unseen, std::int64_t count) {
  std::vector<bool> seen(static_cast<std::size_t>(count), true);
  for (const std::int64_t row : unseen) seen[static_cast<std::size_t>(row)] = false;
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < count; ++row) {
    if (seen[static_cast<std::size_t>(row)]) rows.push_back(row);
  }
  return rows;
}

/// sd = sqrt((scale * spread)^2 + floor^2) that makes errors likeliest (normal, errors clipped at 4 sd).
std::pair<double, double> calibrate(const Tensor& error, const Tensor& spread) {
  double best = 1e300, scale = 1, floor = 0.05;
  for (double a = 0; a <= 4; a += 0.25) {
    for (double b = 0.01; b <= 0.3; b *= 1.15) {
      const Tensor sd = (a * a * spread.square() + b * b).sqrt();
      const double loss = (sd.log() + 0.5 * (error / sd).square().clamp_max(16)).mean().item<double>();
      if (loss < best) std::tie(best, scale, floor) = std::make_tuple(loss, a, b);
    }
  }
  return {scale, floor};
}

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> rank(values.size());
  for (std::size_t i = 0; i < order.size();) {
    std::size_t j = i;
    while (j < order.size() && values[order[j]] == values[order[i]]) ++j;
    for (std::size_t k = i; k < j; ++k) rank[order[k]] = static_cast<double>(i + j - 1) / 2;
    i = j;
  }
  return rank;
}

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const auto n = static_cast<double>(a.size());
  const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / n;
  const double mean_b = std::accumulate(b.begin(), b.end(), 0.0) / n;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

double spearman(const std::vector<double>& a, const std::vector<double>& b) {
  return correlation(ranks(a), ranks(b));
}

double kendall(const std::vector<double>& a, const std::vector<double>& b) {
  double agree = 0, pairs_a = 0, pairs_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const int da = (a[i] > a[j]) - (a[i] < a[j]);
      const int db = (b[i] > b[j]) - (b[i] < b[j]);
      agree += da * db;
      pairs_a += da != 0;
      pairs_b += db != 0;
    }
  }
  return pairs_a > 0 && pairs_b > 0 ? agree / std::sqrt(pairs_a * pairs_b) : 0;
}

void check_trainable(const Measurements& m, const TrainingSet& set, std::int64_t least) {
  if (set.rows() < least) {
    fail(ErrorId::kValue, "{}: found {} usable rows, training needs at least {}", m.file, set.rows(), least);
  }
}

Json counted(const std::map<std::string, std::int64_t>& reasons) {
  Json list = Json::object();
  for (const auto& [reason, count] : reasons) list[reason] = count;
  return list;
}

Json data_card(const Measurements& m) {
  return {{"file", std::filesystem::path(m.file).filename().string()},
          {"format", m.format == MeasurementFormat::kOwn ? "dosa measurements" : "ucb-bar/dosa firesim"},
          {"hash", m.hash},
          {"rows", m.rows.size()},
          {"layers", distinct(m.layer_ids())},
          {"dropped", counted(m.dropped)},
          {"repaired", counted(m.repaired)}};
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void TrainOptions::check() const {
  const auto in = [](const char* name, double value, double min, double max) {
    if (!(value >= min && value <= max)) {
      fail(ErrorId::kValue, "{}: found {}, expected a number in {}..{}", name, value, min, max);
    }
  };
  if (predictor == Predictor::kAnalytical)
    fail(ErrorId::kValue, "predictor: analytical has nothing to train");
  in("networks", networks, 2, 32);
  in("hidden", hidden, 1, 1024);
  in("epochs", epochs, 1, 100000);
  in("batch", batch, 1, 65536);
  in("rate", rate, 1e-7, 1);
  in("weight_decay", weight_decay, 0, 1);
  in("huber", huber, 1e-4, 100);
  in("held_out", held_out, 0, 0.5);
  in("base_steps", base_steps, 0, 100000);
  if (folds != 0) in("folds", folds, 2, 20);
}

Json to_json(const TrainOptions& o) {
  return {{"predictor", kPredictorNames[static_cast<int>(o.predictor)]},
          {"networks", o.networks},
          {"hidden", o.hidden},
          {"epochs", o.epochs},
          {"batch", o.batch},
          {"rate", o.rate},
          {"weight_decay", o.weight_decay},
          {"huber", o.huber},
          {"held_out", o.held_out},
          {"base_steps", o.base_steps},
          {"folds", o.folds},
          {"seed", o.seed}};
}

Json to_json(const Accuracy& a) {
  return {{"rows", a.rows},
          {"spearman", a.spearman},
          {"spearman_per_mac", a.spearman_per_mac},
          {"spearman_within_layer", a.spearman_within_layer},
          {"kendall", a.kendall},
          {"mape", a.mape},
          {"median_ape", a.median_ape},
          {"gef", a.gef},
          {"top1_regret", a.top1_regret},
          {"below_floor", a.below_floor},
          {"within_1sd", a.within_1sd ? Json(*a.within_1sd) : Json()},
          {"within_2sd", a.within_2sd ? Json(*a.within_2sd) : Json()}};
}

std::string accuracy_table(const std::vector<std::pair<std::string, Accuracy>>& parts) {
  // Spearman: of all rows, of cycles per MAC, within layers.
  constexpr const char* kRow = "{:<16}{:>6}{:>10}{:>9}{:>11}{:>9}{:>9}{:>9}{:>7}{:>14}{:>13}{:>9}{:>7}\n";
  std::string text = fmt::format(kRow, "", "rows", "Spearman", "per MAC", "in layers", "Kendall", "MAPE",
                                 "median", "GEF", "top-1 regret", "below floor", "in 1 sd", "2 sd");
  const auto percent = [](double share, int digits) { return fmt::format("{:.{}f} %", 100 * share, digits); };
  const auto number = [](double value, int digits) { return fmt::format("{:.{}f}", value, digits); };
  for (const auto& [what, a] : parts) {
    if (a.rows == 0) continue;
    text += fmt::format(kRow, what, a.rows, number(a.spearman, 4), number(a.spearman_per_mac, 4),
                        number(a.spearman_within_layer, 4), number(a.kendall, 4), percent(a.mape, 1),
                        percent(a.median_ape, 1), number(a.gef, 3), number(a.top1_regret, 3),
                        percent(a.below_floor, 1), a.within_1sd ? percent(*a.within_1sd, 0) : "-",
                        a.within_2sd ? percent(*a.within_2sd, 0) : "-");
  }
  return text;
}

LayerRun run_of(const Measurement& m) {
  return {m.layer, m.matmul, m.input_size, m.input_size, m.order, m.cold};
}

TrainingSet TrainingSet::of(const Measurements& m) {
  TrainingSet set;
  const auto rows = static_cast<std::int64_t>(m.rows.size());
  set.target.pe_dims = m.pe_dims();
  set.target.scratchpad_kib = m.hardware.scratchpad_kib;
  set.target.accumulator_kib = m.hardware.accumulator_kib;
  set.target.name = "gemmini-rtl";
  if (m.format == MeasurementFormat::kArtefact) {
    // An older library: neither the first-layer packing nor the downsampling path shows in its latencies.
    set.target.name = "firesim-artefact";
    set.target.rules.first_layer_packing = false;
    set.target.rules.downsampling = false;
  }
  std::vector<LayerRun> runs;
  set.tile = torch::empty({rows, kDims}, f64());
  set.pe_dim = torch::empty({rows}, f64());
  set.log_cycles = torch::empty({rows}, f64());
  set.macs = torch::empty({rows}, f64());
  for (std::int64_t i = 0; i < rows; ++i) {
    const Measurement& row = m.rows[static_cast<std::size_t>(i)];
    runs.push_back(run_of(row));
    for (int dim = 0; dim < kDims; ++dim) {
      set.tile[i][dim] = static_cast<double>(row.tile[static_cast<std::size_t>(dim)]);
    }
    set.pe_dim[i] = static_cast<double>(row.pe_dim);
    set.log_cycles[i] = std::log(row.cycles);
    set.macs[i] = static_cast<double>(row.layer.macs());
  }
  set.runs = RunBatch::of(runs, set.target.rules);
  set.layers = m.layer_ids();
  const torch::NoGradGuard no_grad;
  const Tensor hangs = executed_counts(set.tile, set.pe_dim, set.runs, false).hangs;
  set.executed = Executed::of(set.tile, set.pe_dim, set.runs, false);
  const Tensor log_floor = set.executed.floor.log();
  std::map<std::vector<double>, std::int64_t> tilings;
  const Tensor clipped = torch::minimum(set.tile, set.runs.size);
  for (std::int64_t i = 0; i < rows; ++i) {
    const Measurement& row = m.rows[static_cast<std::size_t>(i)];
    if (hangs[i].item<double>() > 0) {
      fail(ErrorId::kValue, "{}:{}: a tile lies wholly inside the padding; no Gemmini finishes it", m.file,
           row.line);
    }
    if (set.log_cycles[i].item<double>() < log_floor[i].item<double>() - kFloorSlack) {
      fail(ErrorId::kValue, "{}:{}: cycles: found {}, the array alone needs at least {:.0f}", m.file,
           row.line, row.cycles, set.executed.floor[i].item<double>());
    }
    std::vector<double> key = numbers(clipped[i]);
    key.push_back(static_cast<double>(row.pe_dim));
    key.push_back(row.cold ? 1 : 0);
    key.push_back(static_cast<double>(set.layers[static_cast<std::size_t>(i)]));
    for (const Dim dim : row.order) {
      // Loops with one iteration stand anywhere.
      const auto d = static_cast<std::size_t>(dim);
      if (clipped[i][static_cast<int>(dim)].item<double>() < static_cast<double>(row.layer.size[d])) {
        key.push_back(static_cast<double>(d));
      }
    }
    set.tilings.push_back(tilings.emplace(key, static_cast<std::int64_t>(tilings.size())).first->second);
  }
  return set;
}

TrainingSet TrainingSet::select(const std::vector<std::int64_t>& rows) const {
  const Tensor index = indices(rows);
  const auto chosen = [&](const Tensor& t) { return t.index_select(0, index); };
  return {
      target,       runs.select(index),   chosen(tile),          chosen(pe_dim),        chosen(log_cycles),
      chosen(macs), picked(layers, rows), picked(tilings, rows), executed.select(index)};
}

Accuracy accuracy_of(const Tensor& log_predicted, const Tensor& log_sd, const TrainingSet& set) {
  Accuracy a;
  a.rows = set.rows();
  const Tensor error = log_predicted - set.log_cycles;
  const std::vector<double> predicted = numbers(log_predicted), measured = numbers(set.log_cycles);
  a.spearman = spearman(predicted, measured);
  a.spearman_per_mac =
      spearman(numbers(log_predicted - set.macs.log()), numbers(set.log_cycles - set.macs.log()));
  a.kendall = kendall(predicted, measured);
  const Tensor ape = torch::expm1(error).abs();
  a.mape = ape.mean().item<double>();
  a.median_ape = ape.median().item<double>();
  a.gef = std::exp(error.abs().mean().item<double>());
  a.below_floor =
      (log_predicted < set.executed.floor.log() - kFloorSlack).to(torch::kFloat64).mean().item<double>();
  if (log_sd.defined()) {
    const Tensor deviations = error.abs() / log_sd;
    a.within_1sd = (deviations <= 1).to(torch::kFloat64).mean().item<double>();
    a.within_2sd = (deviations <= 2).to(torch::kFloat64).mean().item<double>();
  }
  // Within layers: tilings with their repeats averaged; cold and warm runs are not compared with each other.
  struct Tiling {
    double predicted = 0, measured = 0;
    int rows = 0;
  };
  std::map<std::pair<std::int64_t, bool>, std::map<std::int64_t, Tiling>> layers;
  const std::vector<double> cold = numbers(set.runs.cold);
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    Tiling& t = layers[{set.layers[i], cold[i] > 0}][set.tilings[i]];
    t.predicted += predicted[i];
    t.measured += measured[i];
    ++t.rows;
  }
  double regret = 0, within = 0;
  int regret_layers = 0, within_layers = 0;
  for (const auto& [layer, tilings] : layers) {
    if (tilings.size() < 2) continue;
    std::vector<double> p, m;
    for (const auto& [id, t] : tilings) {
      p.push_back(t.predicted / t.rows);
      m.push_back(t.measured / t.rows);
    }
    const auto chosen = std::min_element(p.begin(), p.end()) - p.begin();
    regret += m[static_cast<std::size_t>(chosen)] - *std::min_element(m.begin(), m.end());
    ++regret_layers;
    if (tilings.size() < 3) continue;
    within += spearman(p, m);
    ++within_layers;
  }
  if (regret_layers > 0) a.top1_regret = std::exp(regret / regret_layers);
  if (within_layers > 0) a.spearman_within_layer = within / within_layers;
  return a;
}

Surrogate train_surrogate(const Measurements& m, const TrainOptions& o, TrainSummary* summary,
                          const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  one_thread_per_operation();
  o.check();
  const TrainingSet set = TrainingSet::of(m);
  check_trainable(m, set, kMinRows);
  const std::int64_t layers = distinct(set.layers);
  if (layers < std::max(2, o.folds)) {
    fail(ErrorId::kValue, "{}: all {} rows are of {} {}, folds of whole layers need at least {}", m.file,
         set.rows(), layers, layers == 1 ? "layer" : "layers", std::max(2, o.folds));
  }
  const ChannelPairs pairs = ChannelPairs::of(m, set.target);
  std::vector<Fit> fits;
  for (const bool by_layer : {false, true}) {
    if (o.folds == 0) break;
    const auto folds = split_rows(set, by_layer, o.folds, o.seed);
    for (std::size_t fold = 0; fold < folds.size(); ++fold) {
      fits.push_back({fmt::format("{} {}/{}", kFolds[by_layer], fold + 1, folds.size()),
                      rows_but(folds[fold], set.rows()), folds[fold], o.seed * 1000 + fold + 1});
    }
  }
  fits.push_back({"final", rows_but({}, set.rows()), {}, o.seed * 1000});
  std::mutex mutex;
  parallel(static_cast<std::int64_t>(fits.size()), o.threads, [&](std::int64_t i) {
    Fit& fit = fits[static_cast<std::size_t>(i)];
    fit.surrogate = fit_rows(set, pairs, fit.rows, o, fit.seed, fit.name, &fit.curve);
    const std::lock_guard<std::mutex> lock(mutex);
    if (progress) progress(fmt::format("fit {} done after {:.0f} s", fit.name, seconds_since(start)));
  });

  TrainSummary local;
  TrainSummary& out = summary ? *summary : local;
  for (const Fit& fit : fits) out.curve.insert(out.curve.end(), fit.curve.begin(), fit.curve.end());
  Json validation = Json::object();
  std::pair<double, double> calibration{1, 0.05};
  for (const bool by_layer : {false, true}) {
    if (o.folds == 0) break;
    CrossValidation cv;
    cv.folds = kFolds[by_layer];
    cv.log_cycles = torch::zeros({set.rows()}, f64());
    cv.log_sd = torch::zeros({set.rows()}, f64());
    Tensor spread = torch::zeros({set.rows()}, f64());
    const auto first = fits.begin() + (by_layer ? o.folds : 0);
    for (auto fit = first; fit != first + o.folds; ++fit) {
      Surrogate& s = fit->surrogate;
      s.sd_scale = 1;
      s.sd_floor = 0;
      const torch::NoGradGuard no_grad;
      const Tensor rows = indices(fit->unseen);
      const Estimate estimate = s.predict(set.executed.select(rows));
      cv.log_cycles.index_put_({rows}, estimate.log_cycles);
      spread.index_put_({rows}, estimate.log_sd);
    }
    // The uncertainty of a fold is calibrated on the errors of the other folds.
    const Tensor error = cv.log_cycles - set.log_cycles;
    for (auto fit = first; fit != first + o.folds; ++fit) {
      const Tensor seen = indices(fit->rows), rows = indices(fit->unseen);
      const auto [scale, floor] = calibrate(error.index_select(0, seen), spread.index_select(0, seen));
      cv.log_sd.index_put_({rows},
                           (scale * scale * spread.index_select(0, rows).square() + floor * floor).sqrt());
    }
    calibration = calibrate(error, spread);
    cv.accuracy = accuracy_of(cv.log_cycles, cv.log_sd, set);
    validation[cv.folds] = to_json(cv.accuracy);
    out.validations.push_back(std::move(cv));
  }
  Surrogate s = std::move(fits.back().surrogate);
  std::tie(s.sd_scale, s.sd_floor) = calibration;
  s.card = {{"data", data_card(m)}, {"training", to_json(o)}, {"validation", validation}};
  out.seconds = seconds_since(start);
  return s;
}

Surrogate fine_tune(const Surrogate& from, const Measurements& m, const TrainOptions& o,
                    TrainSummary* summary, const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  one_thread_per_operation();
  o.check();
  auto said = start;
  constexpr double kRate = 1e-3, kPull = 0.05, kSecondsBetweenLines = 2;
  const TrainingSet set = TrainingSet::of(m);
  check_trainable(m, set, kMinTuningRows);
  if (from.predictor != o.predictor) {
    fail(ErrorId::kValue, "{}: predictor: the surrogate to start from is '{}', asked for '{}'", m.file,
         kPredictorNames[static_cast<int>(from.predictor)], kPredictorNames[static_cast<int>(o.predictor)]);
  }
  const Json known = to_json(from.target), found = to_json(set.target);
  for (const auto& [field, value] : known.items()) {
    if (field != "pe_dim" && found[field] != value) {
      fail(ErrorId::kValue, "{}: {}: found {}, the surrogate to start from has {}", m.file, field,
           found[field].dump(), value.dump());
    }
  }
  for (const std::int64_t pe_dim : set.target.pe_dims) from.check_hardware({pe_dim, 0, 0}, m.file);

  Surrogate s = from;
  std::vector<Tensor> old, weights;
  for (Tensor* w : s.ensemble.weights()) {
    old.push_back(w->detach().clone());
    *w = w->detach().clone().requires_grad_();
    weights.push_back(*w);
  }
  const Tensor target = set.log_cycles.unsqueeze(0);
  torch::optim::Adam optimizer(weights, torch::optim::AdamOptions(kRate));
  double before = 0, after = 0;
  for (int epoch = 0; epoch < o.epochs; ++epoch) {
    const Tensor error = s.network_log_cycles(set.executed, nullptr) - target;
    after = error.detach().mean(0).abs().mean().item<double>();
    if (epoch == 0) before = after;
    Tensor loss = torch::huber_loss(error, torch::zeros_like(error), at::Reduction::Mean, o.huber) / o.huber;
    for (std::size_t i = 0; i < weights.size(); ++i)
      loss = loss + kPull * (weights[i] - old[i]).square().sum().to(torch::kFloat64);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    if (summary && epoch % kLookEvery == 0) summary->curve.push_back({"fine-tuning", epoch + 1, after, 0});
    if (progress && seconds_since(said) > kSecondsBetweenLines) {
      progress(fmt::format("epoch {}/{} done after {:.0f} s", epoch + 1, o.epochs, seconds_since(start)));
      said = std::chrono::steady_clock::now();
    }
  }
  for (Tensor* w : s.ensemble.weights()) *w = w->detach();
  Json tuned = s.card.contains("fine_tuned") ? s.card["fine_tuned"] : Json::array();
  tuned.push_back({{"data", data_card(m)}, {"error_before", before}, {"error_after", after}});
  s.card["fine_tuned"] = tuned;
  if (summary) summary->seconds = seconds_since(start);
  return s;
}

Tensor random_tilings(const LayerRun& run, const RunRules& rules, const Hardware& buffers, int count,
                      std::uint64_t seed) {
  Random random(seed);
  const torch::NoGradGuard no_grad;
  const RunBatch one = RunBatch::of({run}, rules);
  std::set<std::vector<double>> kept;
  std::vector<double> flat;
  // Log-uniform sizes; most draws of large layers do not fit and are drawn again.
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds && static_cast<int>(kept.size()) < count; ++round) {
    const int draws = 8 * count;
    Tensor tile = torch::empty({draws, 1, kDims}, f64());
    auto value = tile.accessor<double, 3>();
    for (int i = 0; i < draws; ++i) {
      for (const Dim dim : all_dims()) {
        const auto size = static_cast<double>(run.layer[dim]);
        double t = std::floor(std::exp(random.uniform() * std::log(size + 0.999)));
        // Half of the draws take the whole dimension where it is a kernel's.
        if ((dim == Dim::R || dim == Dim::S) && random.uniform() < 0.5) t = size;
        const bool blocked = dim == Dim::C || dim == Dim::K || (run.matmul && dim == Dim::P);
        const auto pe_dim = static_cast<double>(buffers.pe_dim);
        if (blocked && (run.matmul || t > pe_dim)) t = std::max(1.0, std::round(t / pe_dim)) * pe_dim;
        value[i][0][static_cast<int>(dim)] = run.matmul && blocked ? t : std::min(t, size);
      }
    }
    const Tensor legal = legal_tilings(tile, one, buffers);
    for (int i = 0; i < draws && static_cast<int>(kept.size()) < count; ++i) {
      if (!legal[i][0].item<bool>()) continue;
      const std::vector<double> sizes = numbers(tile[i][0]);
      if (kept.insert(sizes).second) flat.insert(flat.end(), sizes.begin(), sizes.end());
    }
  }
  return torch::tensor(flat, f64()).view({-1, kDims});
}

std::vector<Measurement> propose_measurements(const Surrogate& s, const Measurements& m,
                                              const Hardware& buffers, int count, std::uint64_t seed) {
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
    const Tensor tiles = random_tilings(run, s.target.rules, buffers, kTilingsPerLayer,
                                        seed * 1000003 + static_cast<std::uint64_t>(layer));
    if (tiles.size(0) == 0) continue;
    const Tensor pe_dim = torch::full({}, static_cast<double>(buffers.pe_dim), f64());
    const Estimate e = s.predict(tiles.unsqueeze(1), pe_dim, s.batch({run}), false);
    // Expected improvement of log cycles below the best that was measured.
    const Tensor better = (best[layer] - e.log_cycles) / e.log_sd;
    const Tensor density = (-0.5 * better.square()).exp() / std::sqrt(2 * M_PI);
    const Tensor gain = e.log_sd * (better * (0.5 * (1 + torch::erf(better / std::sqrt(2.0)))) + density);
    for (std::int64_t i = 0; i < tiles.size(0); ++i) {
      const std::vector<double> sizes = numbers(tiles[i]);
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
