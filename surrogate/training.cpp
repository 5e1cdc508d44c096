#include "dosa/surrogate/training.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <tuple>

#include "dosa/models/base/adam.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/random.hpp"
#include "dosa/models/base/text.hpp"
#include "dosa/models/base/threads.hpp"
#include "dosa/surrogate/one_cycle.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr std::int64_t kMinRows = 50;
constexpr std::int64_t kMinTuningRows = 3;
constexpr const char* kFolds[] = {"rows", "layers", "quality"};
enum Folds { kRows, kLayers, kQuality };
constexpr std::int64_t kFastest = 5;  // the fastest of so many tilings, at least one of two, are good ones
constexpr const char* kFinal = "final";
constexpr int kLookEvery = 5;          // epochs between looks at the held-out layers
constexpr double kOrderWeight = 32;    // of the penalty for a wrong order of OrderedPairs, in the loss
constexpr double kOrderMargin = 0.06;  // by which the longer run's log cycles are to be larger
constexpr double kPullToBase = 0.03;   // of the squared distance to log base where nothing was measured
// A row that is longer than the mean counts by this power of how much longer: a network takes the sum of its
// layers' cycles, of which long runs are most.
constexpr double kCyclesPower = 0.25;
constexpr double kScaleOffset = 1e-3;  // added to standard deviations of inputs
constexpr double kMaxDeviations = 4;   // errors count as no larger where an uncertainty is fitted
// Sizes of the runs that a surrogate is trained on to see how it predicts the larger ones, in octaves against
// what was built, and how many rows of those it takes.
constexpr double kExtrapolations[] = {-1, -2};
constexpr std::int64_t kMinLargerRows = 20;

torch::TensorOptions f64() { return torch::TensorOptions(torch::kFloat64); }

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

/// What the networks and combine() see of runs: float32 [rows, ...], normalised already.
struct NetworkInputs {
  Tensor inputs, log_base, log_floor;

  std::int64_t rows() const { return inputs.size(0); }
  /// A choice of rows for each network, [networks, n] -> [networks, n, ...].
  NetworkInputs select(const Tensor& chosen) const {
    return {of(inputs, chosen), of(log_base, chosen), of(log_floor, chosen)};
  }
  static Tensor of(const Tensor& t, const Tensor& chosen) {
    std::vector<std::int64_t> shape{chosen.size(0), chosen.size(1)};
    if (t.dim() == 2) shape.push_back(t.size(1));
    return t.index_select(0, chosen.flatten()).view(shape);
  }
};

/// What one training run sees.
struct TrainingRun {
  NetworkInputs measured;
  Tensor log_cycles, weight;      // float32 [rows]; how much a row counts
  Tensor training;                // [networks, rows], 0 for rows of held-out layers
  NetworkInputs shorter, longer;  // of the OrderedPairs of the rows' layers
};

/// log cycles by every network, [networks, rows].
Tensor predict(const FeatureSurrogate& s, const NetworkInputs& seen) {
  const Tensor f = s.ensemble(seen.inputs);
  return s.predictor == Predictor::kLearned ? f : combine(f, seen.log_base, seen.log_floor);
}

/// Trains the ensemble in place; keeps, per network, the weights that did best on its held-out layers.
void train_networks(FeatureSurrogate& s, const TrainingRun& data, const TrainOptions& o, Random& random,
                    const std::string& run, std::vector<CurvePoint>* curve) {
  Ensemble& e = s.ensemble;
  std::vector<Tensor> weights;
  for (Tensor* w : e.weights()) weights.push_back(w->requires_grad_());
  AdamMinimizer minimizer(weights, o.weight_decay);
  const std::int64_t rows = data.measured.rows(), networks = data.training.size(0);
  const std::int64_t per_epoch = (rows + o.batch - 1) / o.batch;
  const Tensor training = data.training * data.weight, held_out = data.weight - training;
  const bool stops = held_out.sum().item<double>() > 0;
  std::vector<double> best(static_cast<std::size_t>(networks), 1e300);
  std::vector<Tensor> kept;
  for (const Tensor& w : weights) kept.push_back(w.detach().clone());
  int step = 0;
  for (int epoch = 1; epoch <= o.epochs; ++epoch) {
    std::vector<Tensor> orders;
    for (std::int64_t n = 0; n < networks; ++n) orders.push_back(index_tensor(random.permutation(rows)));
    const Tensor order = torch::stack(orders);
    for (std::int64_t from = 0; from < rows; from += o.batch, ++step) {
      const Tensor rows_now = order.slice(1, from, std::min<std::int64_t>(rows, from + o.batch));
      const Tensor use = training.gather(1, rows_now);
      const Tensor error =
          torch::huber_loss(predict(s, data.measured.select(rows_now)),
                            NetworkInputs::of(data.log_cycles, rows_now), at::Reduction::None, o.huber);
      Tensor loss = ((error / o.huber) * use).sum(1) / use.sum(1).clamp_min(1);
      if (data.shorter.inputs.defined()) {  // every step takes the next rows of the pairs
        const Tensor pairs_now = torch::remainder(rows_now + step * o.batch, data.shorter.rows());
        const NetworkInputs longer = data.longer.select(pairs_now);
        const Tensor of_longer = predict(s, longer);
        const Tensor rise = of_longer - predict(s, data.shorter.select(pairs_now));
        loss = loss + kOrderWeight * torch::relu(kOrderMargin - rise).mean(1);
        if (s.predictor == Predictor::kCombined)
          loss = loss + kPullToBase * (of_longer - longer.log_base).square().mean(1);
      }
      minimizer.step(loss.sum(), o.rate * one_cycle(step, static_cast<int>(per_epoch * o.epochs)));
    }
    if (epoch % kLookEvery != 0 && epoch != o.epochs) continue;
    const torch::NoGradGuard no_grad;
    const Tensor error = (predict(s, data.measured) - data.log_cycles).abs();
    const Tensor trained = (error * training).sum(1) / training.sum(1).clamp_min(1);
    const Tensor unseen = (error * held_out).sum(1) / held_out.sum(1).clamp_min(1);
    const std::vector<double> now = to_vector(stops ? unseen : trained);
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

/// Which runs are good ones: the fastest fifth of those of a layer that can be compared, [rows]. One alone is
/// not.
std::vector<bool> fastest(const TrainingSet& set) {
  const std::vector<double> log_cycles = to_vector(set.log_cycles);
  std::map<std::int64_t, std::vector<std::size_t>> groups;
  for (std::size_t row = 0; row < log_cycles.size(); ++row) groups[set.comparable[row]].push_back(row);
  std::vector<bool> good(log_cycles.size());
  for (auto& [group, rows] : groups) {
    std::stable_sort(rows.begin(), rows.end(),
                     [&](std::size_t a, std::size_t b) { return log_cycles[a] < log_cycles[b]; });
    const auto count = static_cast<std::int64_t>(rows.size());
    const std::int64_t best = count < 2 ? 0 : (count + kFastest - 1) / kFastest;
    for (std::int64_t i = 0; i < best; ++i) good[rows[static_cast<std::size_t>(i)]] = true;
  }
  return good;
}

/// One training: of a fold of a cross-validation, of the smaller runs, or the final one.
struct Fit {
  std::string name;
  std::vector<std::int64_t> rows, unseen;
  std::uint64_t seed;
  FeatureSurrogate surrogate{};
  std::vector<CurvePoint> curve{};
};

/// Scalers of the surrogate's inputs, and what the networks see of these rows and of the pairs.
TrainingRun prepared(FeatureSurrogate& s, const Features& features, const Tensor& log_cycles,
                     const OrderedPairs& pairs) {
  const torch::NoGradGuard no_grad;
  const bool has_base = s.predictor == Predictor::kCombined;
  Ensemble& e = s.ensemble;
  const auto base_of = [&](const Features& x) { return has_base ? s.base.latency(x) : BaseLatency{}; };
  const Tensor x = s.inputs(features, base_of(features));
  e.mean = x.mean(0);
  e.scale = x.std(0) + kScaleOffset;
  e.lowest = std::get<0>(x.min(0));
  e.highest = std::get<0>(x.max(0));
  const auto f32 = [](const Tensor& t) { return t.to(torch::kFloat32); };
  const auto see = [&](const Features& runs) -> NetworkInputs {
    const BaseLatency base = base_of(runs);
    const Tensor log_floor = f32(runs.floor.log());
    return {e.normalise(e.within_range(s.inputs(runs, base))), has_base ? f32(base.cycles.log()) : log_floor,
            log_floor};
  };
  const Tensor weight = ((log_cycles - log_cycles.mean()) * kCyclesPower).clamp_min(0).exp();
  TrainingRun run{see(features), f32(log_cycles), f32(weight), {}, {}, {}};
  if (pairs.size() > 0) {
    run.shorter = see(pairs.shorter);
    run.longer = see(pairs.longer);
  }
  return run;
}

/// Random weights, with a last layer of zeros: the untrained surrogate is the base, or, without one, what
/// `bias` says.
void begin_networks(Ensemble& e, const TrainOptions& o, const Tensor& bias, Random& random) {
  const auto normal = [&](std::vector<std::int64_t> shape, std::int64_t fan_in) {
    Tensor t = torch::empty(shape, torch::kFloat32);
    float* p = t.data_ptr<float>();
    for (std::int64_t i = 0; i < t.numel(); ++i) {
      p[i] = static_cast<float>(random.normal() / std::sqrt(static_cast<double>(fan_in)));
    }
    return t;
  };
  const std::int64_t inputs = e.mean.size(0), n = o.networks, h = o.hidden;
  e.w1 = normal({n, inputs, h}, inputs);
  e.b1 = torch::zeros({n, 1, h});
  e.w2 = normal({n, h, h}, h);
  e.b2 = torch::zeros({n, 1, h});
  e.w3 = torch::zeros({n, h, 1});
  e.b3 = torch::zeros({n, 1, 1});
  if (bias.defined()) e.b3 += bias;
}

/// Which rows every network trains on, [networks, rows]: 0 for those of the layers that it is stopped by.
Tensor training_rows(const std::vector<std::int64_t>& layers, const TrainOptions& o, Random& random) {
  const std::set<std::int64_t> known(layers.begin(), layers.end());
  const std::vector<std::int64_t> each(known.begin(), known.end());
  const auto count = static_cast<std::int64_t>(each.size());
  const auto hold =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(o.held_out * static_cast<double>(count)));
  Tensor training = torch::ones({o.networks, static_cast<std::int64_t>(layers.size())});
  for (std::int64_t network = 0; network < o.networks; ++network) {
    const std::vector<std::int64_t> order = random.permutation(count);
    std::set<std::int64_t> out;
    for (std::int64_t i = 0; i < hold && i + 1 < count; ++i)
      out.insert(each[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]);
    for (std::size_t row = 0; row < layers.size(); ++row) {
      if (out.count(layers[row])) training[network][static_cast<std::int64_t>(row)] = 0;
    }
  }
  return training;
}

/// Base, scalers and networks from the rows of a fit, and the pairs of their layers, and no others.
void train_fit(Fit& fit, const TrainingData& data, const FeatureTable& table, const TrainOptions& o) {
  Random random(fit.seed);
  FeatureSurrogate& s = fit.surrogate;
  s.predictor = o.predictor;
  s.base = BaseModel::initial(table);
  const Tensor chosen = index_tensor(fit.rows);
  const Features features = data.set.features.select(chosen);
  const Tensor log_cycles = data.set.log_cycles.index_select(0, chosen);
  const std::vector<std::int64_t> layers = entries_at(data.set.layers, fit.rows);
  if (o.predictor == Predictor::kCombined && o.base_steps > 0)
    s.base = s.base.fit(features, log_cycles, o.base_steps);
  const OrderedPairs pairs = data.pairs.select({layers.begin(), layers.end()});
  TrainingRun run = prepared(s, features, log_cycles, pairs);
  const Tensor bias = o.predictor == Predictor::kLearned ? run.log_cycles.mean() : Tensor();
  begin_networks(s.ensemble, o, bias, random);
  run.training = training_rows(layers, o, random);
  train_networks(s, run, o, random, fit.name, &fit.curve);
}

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

/// -log of how likely errors are that are normal with this standard deviation, but for a constant.
Tensor unlikelihood(const Tensor& error, const Tensor& sd) {
  return sd.log() + 0.5 * (error / sd).square().clamp_max(kMaxDeviations * kMaxDeviations);
}

/// The scale and the floor of sd = sqrt((scale * spread)^2 + floor^2) that make the errors likeliest.
std::pair<double, double> calibrate(const Tensor& error, const Tensor& spread) {
  double best = 1e300, scale = 1, floor = 0.05;
  for (double a = 0; a <= 4; a += 0.25) {
    for (double b = 0.01; b <= 0.3; b *= 1.15) {
      const Tensor sd = (a * a * spread.square() + b * b).sqrt();
      const double loss = unlikelihood(error, sd).mean().item<double>();
      if (loss < best) std::tie(best, scale, floor) = std::make_tuple(loss, a, b);
    }
  }
  return {scale, floor};
}

void check_trainable(const TrainingData& data, std::int64_t least) {
  if (data.set.rows() < least) {
    fail(ErrorId::kValue, "{}: found {} usable rows, training needs at least {}", data.file, data.set.rows(),
         least);
  }
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The fits of each cross-validation. Folds by quality are of whole layers, trained on the slower runs and
/// tested on the good ones, as a search sees them; empty where there are too few of either.
std::vector<std::vector<Fit>> folds_of(const TrainingSet& set, const TrainOptions& o) {
  std::vector<std::vector<Fit>> all;
  if (o.folds == 0) return all;
  const std::vector<bool> good = fastest(set);
  const auto of_quality = [&](const std::vector<std::int64_t>& rows, bool wanted) {
    std::vector<std::int64_t> chosen;
    for (const std::int64_t row : rows) {
      if (good[static_cast<std::size_t>(row)] == wanted) chosen.push_back(row);
    }
    return chosen;
  };
  for (const Folds kind : {kRows, kLayers, kQuality}) {
    const auto parts = split_rows(set, kind != kRows, o.folds, o.seed);
    std::vector<Fit> fits;
    bool enough = true;
    for (std::size_t fold = 0; fold < parts.size(); ++fold) {
      Fit fit{fmt::format("{} {}/{}", kFolds[kind], fold + 1, parts.size()),
              rows_but(parts[fold], set.rows()), parts[fold], o.seed * 1000 + fold + 1};
      if (kind == kQuality) {
        fit.rows = of_quality(fit.rows, false);
        fit.unseen = of_quality(fit.unseen, true);
        enough = enough && static_cast<std::int64_t>(fit.rows.size()) >= kMinRows && fit.unseen.size() > 1;
      }
      fits.push_back(std::move(fit));
    }
    if (enough) all.push_back(std::move(fits));
  }
  return all;
}

/// A fit for each of kExtrapolations that has enough rows on either side; none without a calibration, which
/// cross-validation gives.
std::vector<Fit> extrapolating_fits(const TrainingSet& set, const TrainOptions& o) {
  std::vector<Fit> fits;
  if (o.folds == 0 || !set.octaves.defined()) return fits;
  const std::vector<double> octaves = to_vector(set.octaves);
  for (const double limit : kExtrapolations) {
    std::vector<std::int64_t> larger;
    for (std::int64_t row = 0; row < set.rows(); ++row) {
      if (octaves[static_cast<std::size_t>(row)] > limit) larger.push_back(row);
    }
    const std::vector<std::int64_t> rows = rows_but(larger, set.rows());
    const auto count = static_cast<std::int64_t>(rows.size());
    if (count < kMinRows || set.rows() - count < kMinLargerRows || distinct(entries_at(set.layers, rows)) < 2)
      continue;
    fits.push_back({fmt::format("sizes up to 1/{:.0f}", std::exp2(-limit)), rows, larger,
                    o.seed * 1000 + 500 + fits.size()});
  }
  return fits;
}

/// What a fit says of the rows that it has not seen: log cycles, and the spread of its networks.
std::pair<Tensor, Tensor> unseen_predictions(Fit& fit, const TrainingSet& set) {
  const torch::NoGradGuard no_grad;
  fit.surrogate.sd_scale = 1;
  fit.surrogate.sd_floor = 0;
  const Estimate e = fit.surrogate.predict(set.features.select(index_tensor(fit.unseen)));
  return {e.log_cycles, e.log_sd};
}

/// The folds of one cross-validation. `calibration`: of all its errors.
CrossValidation cross_validated(std::vector<Fit>& fits, const std::string& folds, const TrainingSet& set,
                                std::pair<double, double>* calibration) {
  CrossValidation cv;
  cv.folds = folds;
  for (const Fit& fit : fits) cv.rows.insert(cv.rows.end(), fit.unseen.begin(), fit.unseen.end());
  std::sort(cv.rows.begin(), cv.rows.end());
  cv.fold.resize(cv.rows.size());
  for (std::size_t f = 0; f < fits.size(); ++f) {
    for (const std::int64_t row : fits[f].unseen) {
      const auto at = std::lower_bound(cv.rows.begin(), cv.rows.end(), row) - cv.rows.begin();
      cv.fold[static_cast<std::size_t>(at)] = static_cast<std::int64_t>(f);
    }
  }
  Tensor log_cycles = torch::zeros({set.rows()}, f64()), log_sd = torch::zeros({set.rows()}, f64()),
         spread = torch::zeros({set.rows()}, f64());
  for (Fit& fit : fits) {
    const Tensor rows = index_tensor(fit.unseen);
    const auto [predicted, disagreement] = unseen_predictions(fit, set);
    log_cycles.index_put_({rows}, predicted);
    spread.index_put_({rows}, disagreement);
  }
  // The uncertainty of a fold is calibrated on the errors of the other folds.
  const Tensor error = log_cycles - set.log_cycles;
  const auto calibration_of = [&](const std::vector<std::int64_t>& rows) {
    const Tensor index = index_tensor(rows);
    return calibrate(error.index_select(0, index), spread.index_select(0, index));
  };
  for (const Fit& fit : fits) {
    std::vector<std::int64_t> others;
    std::set_difference(cv.rows.begin(), cv.rows.end(), fit.unseen.begin(), fit.unseen.end(),
                        std::back_inserter(others));
    const Tensor rows = index_tensor(fit.unseen);
    const auto [scale, floor] = calibration_of(others);
    log_sd.index_put_({rows}, (scale * scale * spread.index_select(0, rows).square() + floor * floor).sqrt());
  }
  *calibration = calibration_of(cv.rows);
  const Tensor tested = index_tensor(cv.rows);
  cv.log_cycles = log_cycles.index_select(0, tested);
  cv.log_sd = log_sd.index_select(0, tested);
  cv.accuracy = accuracy_of(cv.log_cycles, cv.log_sd, set.select(cv.rows));
  return cv;
}

/// Errors of runs beyond the largest that a surrogate was trained on, [rows].
struct Beyond {
  Tensor error, log_sd, octaves;
};

/// The growth of the standard deviation per octave, at least 1, that makes these errors likeliest.
double fitted_growth(const Beyond& b) {
  constexpr int kLargest = 400;  // hundredths
  double best = 1e300, fitted = 1;
  for (int hundredths = 100; hundredths <= kLargest; ++hundredths) {
    const double growth = hundredths / 100.0;
    const double loss = unlikelihood(b.error, b.log_sd * torch::pow(growth, b.octaves)).mean().item<double>();
    if (loss < best) std::tie(best, fitted) = std::make_pair(loss, growth);
  }
  return fitted;
}

/// How the surrogate's uncertainty grows with the size of a run, from fits of the smaller ones: the largest
/// of what these say, as a search goes where an uncertainty is too small.
void fit_growth(FeatureSurrogate& s, std::vector<Fit>& fits, const TrainingSet& set, TrainSummary& out) {
  if (!fits.empty()) s.growth_per_octave = 1;
  for (Fit& fit : fits) {
    const double limit = set.octaves.index_select(0, index_tensor(fit.rows)).max().item<double>();
    const TrainingSet larger = set.select(fit.unseen);
    const auto [log_cycles, spread] = unseen_predictions(fit, set);
    const Beyond beyond{log_cycles - larger.log_cycles,
                        (s.sd_scale * s.sd_scale * spread.square() + s.sd_floor * s.sd_floor).sqrt(),
                        larger.octaves - limit};
    out.extrapolations.push_back({limit, static_cast<std::int64_t>(fit.rows.size()),
                                  accuracy_of(log_cycles, beyond.log_sd, larger), fitted_growth(beyond)});
    s.growth_per_octave = std::max(s.growth_per_octave, out.extrapolations.back().growth);
  }
}

Json growth_card(const FeatureSurrogate& s, const std::vector<Extrapolation>& extrapolations) {
  Json sizes = Json::array();
  for (const Extrapolation& e : extrapolations) {
    sizes.push_back({{"largest", std::exp2(e.octaves)},
                     {"rows", e.rows},
                     {"larger", to_json(e.accuracy)},
                     {"growth_per_octave", e.growth}});
  }
  return {{"per_octave", s.growth_per_octave}, {"trained_up_to", sizes}};
}

}  // namespace

std::optional<Accuracy> accuracy_of_chosen(const CrossValidation& validation, const TrainingSet& set,
                                           const std::vector<bool>& chosen) {
  std::vector<std::int64_t> rows, at;
  for (std::size_t i = 0; i < validation.rows.size(); ++i) {
    if (!chosen[static_cast<std::size_t>(validation.rows[i])]) continue;
    rows.push_back(validation.rows[i]);
    at.push_back(static_cast<std::int64_t>(i));
  }
  if (rows.empty()) return std::nullopt;
  const Tensor index = index_tensor(at);
  return accuracy_of(validation.log_cycles.index_select(0, index), validation.log_sd.index_select(0, index),
                     set.select(rows));
}

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

FeatureSurrogate train(const TrainingData& data, const FeatureTable& table, const TrainOptions& o,
                       TrainSummary* summary, const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  one_thread_per_operation();
  o.check();
  const TrainingSet& set = data.set;
  check_trainable(data, kMinRows);
  const std::int64_t layers = distinct(set.layers);
  if (layers < std::max(2, o.folds)) {
    fail(ErrorId::kValue, "{}: all {} rows are of {}, folds of whole layers need at least {}", data.file,
         set.rows(), counted(layers, "layer"), std::max(2, o.folds));
  }
  std::vector<std::vector<Fit>> folds = folds_of(set, o);
  std::vector<Fit> extrapolating = extrapolating_fits(set, o);
  Fit final{kFinal, rows_but({}, set.rows()), {}, o.seed * 1000};
  std::vector<Fit*> all, of_curves;
  for (std::vector<Fit>& list : folds) {
    for (Fit& fit : list) all.push_back(&fit);
  }
  all.push_back(&final);
  of_curves = all;
  for (Fit& fit : extrapolating) all.push_back(&fit);
  std::mutex mutex;
  std::size_t done = 0;  // fits that end together do so in any order
  parallel(static_cast<std::int64_t>(all.size()), o.threads, [&](std::int64_t i) {
    Fit& fit = *all[static_cast<std::size_t>(i)];
    train_fit(fit, data, table, o);
    const std::lock_guard<std::mutex> lock(mutex);
    ++done;
    if (progress) {
      progress(fmt::format("{} of {} done after {:.0f} s: {}", done,
                           counted(static_cast<std::int64_t>(all.size()), "fit"), seconds_since(start),
                           fit.name));
    }
  });

  TrainSummary local;
  TrainSummary& out = summary ? *summary : local;
  for (const Fit* fit : of_curves) out.curve.insert(out.curve.end(), fit->curve.begin(), fit->curve.end());
  FeatureSurrogate s = final.surrogate;
  Json validation = Json::object();
  for (std::size_t kind = 0; kind < folds.size(); ++kind) {
    std::pair<double, double> calibration;
    out.validations.push_back(cross_validated(folds[kind], kFolds[kind], set, &calibration));
    validation[kFolds[kind]] = to_json(out.validations.back().accuracy);
    if (kind != kLayers) continue;
    std::tie(s.sd_scale, s.sd_floor) = calibration;
    CrossValidation& of_layers = out.validations.back();
    const auto of_fastest = accuracy_of_chosen(of_layers, set, fastest(set));
    if (!of_fastest || of_fastest->rows < 2) continue;
    of_layers.fastest = of_fastest;
    validation["layers_fastest"] = to_json(*of_fastest);
  }
  fit_growth(s, extrapolating, set, out);
  s.card = {{"data", data.card},
            {"training", to_json(o)},
            {"validation", validation},
            {"growth", growth_card(s, out.extrapolations)}};
  out.seconds = seconds_since(start);
  return s;
}

FeatureSurrogate fine_tuned(const FeatureSurrogate& from, const TrainingData& data, const TrainOptions& o,
                            TrainSummary* summary, const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  one_thread_per_operation();
  o.check();
  auto said = start;
  constexpr double kRate = 1e-3, kPull = 0.05, kSecondsBetweenLines = 2;
  check_trainable(data, kMinTuningRows);
  if (from.predictor != o.predictor) {
    fail(ErrorId::kValue, "{}: predictor: the surrogate to start from is '{}', asked for '{}'", data.file,
         kPredictorNames[static_cast<int>(from.predictor)], kPredictorNames[static_cast<int>(o.predictor)]);
  }
  FeatureSurrogate s = from;
  std::vector<Tensor> old, weights;
  for (Tensor* w : s.ensemble.weights()) {
    old.push_back(w->detach().clone());
    *w = w->detach().clone().requires_grad_();
    weights.push_back(*w);
  }
  const Tensor target = data.set.log_cycles.unsqueeze(0);
  AdamMinimizer minimizer(weights);
  double before = 0, after = 0;
  for (int epoch = 0; epoch < o.epochs; ++epoch) {
    const Tensor error = s.network_log_cycles(data.set.features, nullptr) - target;
    after = error.detach().mean(0).abs().mean().item<double>();
    if (epoch == 0) before = after;
    Tensor loss = torch::huber_loss(error, torch::zeros_like(error), at::Reduction::Mean, o.huber) / o.huber;
    for (std::size_t i = 0; i < weights.size(); ++i)
      loss = loss + kPull * (weights[i] - old[i]).square().sum().to(torch::kFloat64);
    minimizer.step(loss, kRate);
    if (summary && epoch % kLookEvery == 0) summary->curve.push_back({"fine-tuning", epoch + 1, after, 0});
    if (progress && seconds_since(said) > kSecondsBetweenLines) {
      progress(fmt::format("epoch {}/{} done after {:.0f} s", epoch + 1, o.epochs, seconds_since(start)));
      said = std::chrono::steady_clock::now();
    }
  }
  for (Tensor* w : s.ensemble.weights()) *w = w->detach();
  Json tuned = s.card.contains("fine_tuned") ? s.card["fine_tuned"] : Json::array();
  tuned.push_back({{"data", data.card}, {"error_before", before}, {"error_after", after}});
  s.card["fine_tuned"] = tuned;
  if (summary) summary->seconds = seconds_since(start);
  return s;
}

}  // namespace dosa
