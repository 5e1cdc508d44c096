#include "dosa/surrogate/surrogate.hpp"

#include <torch/optim.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "dosa/core/targets/gemmini/relaxed_counts.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/tensor_file.hpp"

namespace dosa {
namespace {

using torch::Tensor;
using namespace counting;

constexpr const char* kSchema = "dosa-surrogate/1";
constexpr const char* kKind = "dosa surrogate";
constexpr double kMinRatio = 1e-6;        // inside logarithms of shares
constexpr double kMinExcess = 1e-4;       // of log(base / E), for its inverse softplus
constexpr double kDramBytesPerCycle = 8;  // of the roofline
constexpr double kMaxDeviations = 4;
constexpr int kLogBase = 0, kLogExcess = 5;  // places among combined_input_names

/// What the base charges for, in order of BaseModel::constants; `initial` in cycles per unit.
struct Term {
  const char* name;
  double initial;
  Tensor (*of)(const Counts&, const Tensor& in_flight, const Tensor& pe_dim);
};
using C = const Counts&;
using T = const Tensor&;
constexpr Term kTerms[] = {
    {"input.instructions", 2, [](C c, T, T) { return c.input.instructions; }},
    {"input.zero_instructions", 2, [](C c, T, T) { return c.zero_instructions; }},
    {"input.latency", 5, [](C c, T q, T) { return c.input.instructions / q; }},
    {"input.zero_rows", 0.5, [](C c, T, T) { return c.zero_rows; }},
    {"input.rows", 0.5, [](C c, T, T) { return c.input.rows; }},
    {"input.requests", 0.5, [](C c, T, T) { return c.input.requests; }},
    {"input.beats", 0.5, [](C c, T, T) { return c.input.beats; }},
    {"input.l2_misses", 4, [](C c, T, T) { return c.input.l2_misses; }},
    {"input.llc_misses", 4, [](C c, T, T) { return c.input.llc_misses; }},
    {"input.page_misses", 4, [](C c, T, T) { return c.input.page_misses; }},
    {"weight.instructions", 2, [](C c, T, T) { return c.weight.instructions; }},
    {"weight.latency", 5, [](C c, T q, T) { return c.weight.instructions / q; }},
    {"weight.rows", 0.5, [](C c, T, T) { return c.weight.rows; }},
    {"weight.requests", 0.5, [](C c, T, T) { return c.weight.requests; }},
    {"weight.beats", 0.5, [](C c, T, T) { return c.weight.beats; }},
    {"weight.l2_misses", 4, [](C c, T, T) { return c.weight.l2_misses; }},
    {"weight.llc_misses", 4, [](C c, T, T) { return c.weight.llc_misses; }},
    {"weight.page_misses", 4, [](C c, T, T) { return c.weight.page_misses; }},
    {"execute.steps", 3, [](C c, T, T) { return c.steps; }},
    {"execute.preloads", 3, [](C c, T, T) { return c.preloads; }},
    {"execute.instructions", 1, [](C c, T, T) { return c.executes; }},
    {"output.instructions", 2, [](C c, T, T) { return c.output.instructions; }},
    {"output.latency", 2, [](C c, T q, T) { return c.output.instructions / q; }},
    {"output.rows", 0.5, [](C c, T, T) { return c.output.rows; }},
    {"output.requests", 1, [](C c, T, T) { return c.output.requests; }},
    {"output.beats", 0.5, [](C c, T, T) { return c.output.beats; }},
    {"output.l2_misses", 2, [](C c, T, T) { return c.output.l2_misses; }},
    {"tiles", 50, [](C c, T, T) { return c.tiles; }},
    {"tiles.pipeline", 5, [](C c, T, T d) { return c.tiles * d / 16; }},
    {"cold.lines", 0.5, [](C c, T, T) { return c.cold_lines; }},
    {"start", 1000, [](C c, T, T) { return torch::ones_like(c.tiles); }},
};
constexpr std::int64_t kTermCount = std::size(kTerms);
constexpr std::int64_t kInputTerms = 10, kWeightTerms = 8, kExecuteTerms = 3, kOutputTerms = 6,
                       kOverheadTerms = 4;
static_assert(kInputTerms + kWeightTerms + kExecuteTerms + kOutputTerms + kOverheadTerms == kTermCount);

Tensor log_of(const Tensor& ratio) { return ratio.clamp_min(kMinRatio).log(); }

Tensor inverse_softplus(const Tensor& value) { return torch::expm1(value.clamp_min(kMinExcess)).log(); }

Tensor float64(const std::vector<double>& values) {
  return torch::tensor(values, torch::TensorOptions(torch::kFloat64));
}

/// Every tensor of a surrogate; `inputs` 0 for the analytical predictor.
std::vector<NamedTensor> tensors_of(Surrogate& s, std::int64_t inputs) {
  const auto f64 = torch::kFloat64;
  const auto f32 = torch::kFloat32;
  Ensemble& e = s.ensemble;
  return {{"base.constants", &s.base.constants, f64, {2, kTermCount}},
          {"base.overlap", &s.base.overlap, f64, {2, kOverlapConstants}},
          {"inputs.mean", &e.mean, f64, {inputs}},
          {"inputs.scale", &e.scale, f64, {inputs}},
          {"inputs.lowest", &e.lowest, f64, {inputs}},
          {"inputs.highest", &e.highest, f64, {inputs}},
          {"networks.w1", &e.w1, f32, {0, inputs, 0}},
          {"networks.b1", &e.b1, f32, {0, 1, 0}},
          {"networks.w2", &e.w2, f32, {0, 0, 0}},
          {"networks.b2", &e.b2, f32, {0, 1, 0}},
          {"networks.w3", &e.w3, f32, {0, 0, 1}},
          {"networks.b3", &e.b3, f32, {0, 1, 1}}};
}

std::vector<std::string> names_in(const JsonInput& list) {
  std::vector<std::string> names;
  for (const JsonInput& item : list.items()) names.push_back(item.text());
  return names;
}

void require_names(const JsonInput& list, const std::vector<std::string>& expected) {
  const std::vector<std::string> found = names_in(list);
  for (std::size_t i = 0; i < std::max(found.size(), expected.size()); ++i) {
    const std::string here = i < found.size() ? found[i] : "nothing";
    const std::string wanted = i < expected.size() ? expected[i] : "nothing";
    if (here != wanted) {
      fail(ErrorId::kSchema, "{}[{}]: found '{}', this program computes '{}'; train the surrogate again",
           list.where(), i, here, wanted);
    }
  }
}

}  // namespace

Predictor predictor_from_name(const std::string& name) {
  for (const Predictor p : {Predictor::kAnalytical, Predictor::kLearned, Predictor::kCombined}) {
    if (name == kPredictorNames[static_cast<int>(p)]) return p;
  }
  fail(ErrorId::kValue, "found '{}', expected analytical, learned or combined", name);
}

Json to_json(const MeasuredTarget& target) {
  return {{"name", target.name},
          {"pe_dim", target.pe_dims},
          {"scratchpad_kib", target.scratchpad_kib},
          {"accumulator_kib", target.accumulator_kib},
          {"first_layer_packing", target.rules.first_layer_packing},
          {"downsampling", target.rules.downsampling},
          {"l2_kib", target.rules.l2_kib},
          {"llc_kib", target.rules.llc_kib}};
}

MeasuredTarget target_from_json(const JsonInput& json) {
  json.allow_only({"name", "pe_dim", "scratchpad_kib", "accumulator_kib", "first_layer_packing",
                   "downsampling", "l2_kib", "llc_kib"});
  MeasuredTarget target;
  target.name = json.at("name").text();
  for (const JsonInput& pe_dim : json.at("pe_dim").items())
    target.pe_dims.push_back(pe_dim.integer(1, 1 << 16));
  target.scratchpad_kib = json.at("scratchpad_kib").integer(0, kMaxKib);
  target.accumulator_kib = json.at("accumulator_kib").integer(0, kMaxKib);
  target.rules.first_layer_packing = json.at("first_layer_packing").boolean();
  target.rules.downsampling = json.at("downsampling").boolean();
  target.rules.l2_kib = json.at("l2_kib").number(1, kMaxKib);
  target.rules.llc_kib = json.at("llc_kib").number(1, kMaxKib);
  return target;
}

const std::vector<std::string>& base_term_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Term& term : kTerms) list.emplace_back(term.name);
    return list;
  }();
  return names;
}

// The first seven come from the base (Surrogate::inputs), the others from Executed::ratios.
const std::vector<std::string>& combined_input_names() {
  static const std::vector<std::string> names{"log base",
                                              "log share of load",
                                              "log share of execute",
                                              "log share of store",
                                              "log share of overhead",
                                              "log base/floor",
                                              "log load/execute",
                                              "log2 pe_dim",
                                              "is matmul",
                                              "log tiles",
                                              "log rows per input mvin",
                                              "log rows per weight mvin",
                                              "log rows per mvout",
                                              "log beats per input request",
                                              "log beats per weight request",
                                              "log L2 misses per input request",
                                              "log L2 misses per weight request",
                                              "log L2 misses per output request",
                                              "log LLC misses per input request",
                                              "log LLC misses per weight request",
                                              "log2 power of two in K",
                                              "log2 power of two in C",
                                              "log2 min(tile K, 64)",
                                              "log2 min(tile C, 64)",
                                              "exceeds L2",
                                              "exceeds LLC",
                                              "runs cold",
                                              "max(0, 1 - K/64)",
                                              "log floor with 8 rows/floor",
                                              "burstiness of stores"};
  return names;
}

const std::vector<std::string>& learned_input_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const char dim : kDimNames) list.push_back(fmt::format("log2 {}", dim));
    for (const char dim : kDimNames) list.push_back(fmt::format("log2 tile {}", dim));
    list.insert(list.end(), {"log2 pe_dim", "log2 stride", "is matmul"});
    return list;
  }();
  return names;
}

Executed Executed::of(const Tensor& tile, const Tensor& pe_dim, const RunBatch& layers, bool relaxed) {
  return of(executed_counts(tile, pe_dim, layers, relaxed), tile, pe_dim, layers, relaxed);
}

Executed Executed::of(const Counts& c, const Tensor& tile, const Tensor& pe_dim_in, const RunBatch& layers,
                      bool relaxed) {
  if (relaxed) {
    const RelaxedInputs inputs = relaxed_inputs(c, pe_dim_in, layers);
    return {inputs.terms, inputs.ratios, inputs.floor, inputs.tiles, layers.matmul, {}, true};
  }
  const Tensor pe_dim = pe_dim_in.expand_as(c.tiles);
  const Tensor in_flight = (kQueueBytes / pe_dim.detach()).floor() + 1;
  std::vector<Tensor> terms;
  for (const Term& term : kTerms) terms.push_back(term.of(c, in_flight, pe_dim));
  const auto size = [&](Dim dim) { return layers.size.select(-1, static_cast<int>(dim)); };
  const Tensor clipped = run_tiles(tile, pe_dim_in, layers, relaxed);
  const auto tile_of = [&](Dim dim) { return clipped.select(-1, static_cast<int>(dim)); };
  const auto misses = [](const Tensor& lines, const Tensor& requests) {
    return log_of(lines / requests + kMissOffset);
  };
  const auto exceeds = [&](double kib) {
    // x^2 / (1 + x^2) of footprint / cache = x
    return torch::sigmoid(2 * (c.footprint / (kib * 1024)).log());
  };
  const std::vector<Tensor> ratios{pe_dim.log2(),
                                   layers.matmul,
                                   log_of(c.tiles),
                                   log_of(c.input.rows / c.input.instructions),
                                   log_of(c.weight.rows / c.weight.instructions),
                                   log_of(c.output.rows / c.output.instructions),
                                   log_of(c.input.beats / c.input.requests),
                                   log_of(c.weight.beats / c.weight.requests),
                                   misses(c.input.l2_misses, c.input.requests),
                                   misses(c.weight.l2_misses, c.weight.requests),
                                   misses(c.output.l2_misses, c.output.requests),
                                   misses(c.input.llc_misses, c.input.requests),
                                   misses(c.weight.llc_misses, c.weight.requests),
                                   layers.pow2.select(-1, 1).log2(),
                                   layers.pow2.select(-1, 0).log2(),
                                   tile_of(Dim::K).clamp_max(64).log2(),
                                   tile_of(Dim::C).clamp_max(64).log2(),
                                   exceeds(layers.rules.l2_kib),
                                   exceeds(layers.rules.llc_kib),
                                   layers.cold,
                                   (1 - size(Dim::K) / 64).clamp_min(0),
                                   log_of(c.floor8 / c.floor),
                                   store_burstiness(tiles_along(clipped, layers).log(), layers)};
  const auto stacked = [&](const std::vector<Tensor>& list) {
    std::vector<Tensor> same;
    for (const Tensor& t : list) same.push_back(t.expand_as(c.tiles));
    return torch::stack(same, -1);
  };
  Executed executed{stacked(terms), stacked(ratios), c.floor, c.tiles, layers.matmul, {}};
  executed.raw = raw_of(clipped, pe_dim_in, layers);
  return executed;
}

Tensor Executed::raw_of(const Tensor& tile, const Tensor& pe_dim, const RunBatch& layers) {
  const Tensor one = tile.select(-1, 0);
  return torch::cat(
      {layers.size.log2().expand_as(tile), tile.log2(), pe_dim.expand_as(one).log2().unsqueeze(-1),
       layers.stride.select(-1, 0).log2().expand_as(one).unsqueeze(-1),
       layers.matmul.expand_as(one).unsqueeze(-1)},
      -1);
}

Executed Executed::select(const Tensor& index) const {
  const auto chosen = [&](const Tensor& t) { return t.index_select(0, index); };
  return {chosen(terms), chosen(ratios), chosen(floor), chosen(tiles), chosen(matmul), chosen(raw)};
}

BaseModel BaseModel::initial() {
  std::vector<double> logs;
  for (const Term& term : kTerms) logs.push_back(std::log(term.initial));
  return {float64(logs).repeat({2, 1}), float64({std::log(2.0), -2, 0, -1, 0}).repeat({2, 1})};
}

namespace {

/// Sums of terms: input, weight, execute, store and overhead, [terms, 5].
const EitherType& term_groups() {
  static const EitherType groups = [] {
    const torch::InferenceMode off(false);
    Tensor built = torch::zeros({kTermCount, 5}, torch::kFloat64);
    std::int64_t from = 0, column = 0;
    for (const std::int64_t terms :
         {kInputTerms, kWeightTerms, kExecuteTerms, kOutputTerms, kOverheadTerms}) {
      built.narrow(0, from, terms).select(1, column++).fill_(1);
      from += terms;
    }
    return EitherType(built);
  }();
  return groups;
}

/// The latency of the base and what its derivative is made of, [B..., layers] unless said otherwise.
struct BaseParts {
  BaseLatency latency;
  Tensor charges;  ///< [layers, terms], cycles per unit
  Tensor input, weight, overlapped, exposed;
  Tensor load_order, order, always, fading;  ///< [layers]

  BaseParts(const BaseModel& base, const Executed& e);
};

BaseParts::BaseParts(const BaseModel& base, const Executed& e) {
  const Tensor kind = e.matmul.to(torch::kInt64);
  const auto type = e.terms.scalar_type();
  const std::vector<Tensor> constant = base.overlap.to(type).index_select(0, kind).unbind(-1);
  charges = base.constants.to(type).exp().index_select(0, kind);
  const std::vector<Tensor> group = torch::matmul(e.terms * charges, term_groups().of(type)).unbind(-1);
  input = group[0];
  weight = group[1];
  latency.execute = group[2] + e.floor;
  latency.store = group[3];
  latency.overhead = group[4];
  // Norms of a fitted order stand between a sum (order 1, no overlap) and a maximum (perfect overlap).
  load_order = 1 + constant[4].exp();
  const Tensor log_load = torch::logaddexp(load_order * input.log(), load_order * weight.log()) / load_order;
  latency.load = log_load.exp();
  order = 1 + constant[0].exp();
  overlapped = (torch::logaddexp(torch::logaddexp(order * log_load, order * latency.execute.log()),
                                 order * latency.store.log()) /
                order)
                   .exp();
  // A share is exposed however many tiles there are, another shrinks with their number.
  always = torch::sigmoid(constant[1]);
  fading = constant[3].exp();
  exposed =
      torch::addcmul(always, (1 - always) * torch::sigmoid(constant[2]), torch::exp(-fading * e.tiles.log()));
  latency.cycles = torch::addcmul(overlapped + latency.overhead, exposed,
                                  latency.load + latency.execute + latency.store - overlapped);
}

/// Numbers whose logarithms make up the inputs that come from the base.
enum BaseLog : int { kCycles, kLoad, kExecute, kStore, kOverhead, kTotal, kFloor };

/// [logs, inputs]; the formulas are those of Surrogate::inputs.
const EitherType& logs_to_inputs() {
  static const EitherType matrix = [] {
    const torch::InferenceMode off(false);
    const Tensor built = torch::tensor({{1., 0., 0., 0., 0., 1., 0.},
                                        {0., 1., 0., 0., 0., 0., 1.},
                                        {0., 0., 1., 0., 0., 0., -1.},
                                        {0., 0., 0., 1., 0., 0., 0.},
                                        {0., 0., 0., 0., 1., 0., 0.},
                                        {0., -1., -1., -1., -1., 0., 0.},
                                        {0., 0., 0., 0., 0., -1., 0.}},
                                       torch::kFloat64);
    return EitherType(built);
  }();
  return matrix;
}

/// The inputs that come from the base, [B..., layers, 7], of terms [B..., layers, terms], the floor and the
/// number of tiles [B..., layers]. Differentiable in these three, not in the base's constants. One node of
/// the graph in place of forty; with the norm V = (L^q + X^q + S^q)^(1/q) of load, execute and store,
///   cycles = V + overhead + u (L + X + S - V), u = always + fades * tiles^-fading
///   dV/dL = (V / L)^(1 - q), du/dtiles = fading (always - u) / tiles.
class FixedBase : public torch::autograd::Function<FixedBase> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& terms, const Tensor& floor,
                        const Tensor& tiles, const Tensor& matmul, const BaseModel* base) {
    const BaseParts b(*base, Executed{terms, {}, floor, tiles, matmul, {}, true});
    const BaseLatency& l = b.latency;
    const Tensor total = l.load + l.execute + l.store + l.overhead;
    const Tensor numbers = torch::stack({l.cycles, l.load, l.execute, l.store, l.overhead, total, floor});
    context->save_for_backward({numbers, tiles, b.charges, b.input, b.weight, b.overlapped, b.exposed,
                                b.load_order, b.order, b.always, b.fading});
    return torch::tensordot(numbers.log(), logs_to_inputs().of(numbers.scalar_type()), {0}, {0});
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const Tensor &numbers = saved[0], &tiles = saved[1], &charges = saved[2], &input = saved[3],
                 &weight = saved[4], &overlapped = saved[5], &exposed = saved[6], &load_order = saved[7],
                 &order = saved[8], &always = saved[9], &fading = saved[10];
    const auto type = numbers.scalar_type();
    const std::vector<Tensor> of = numbers.unbind();
    const std::vector<Tensor> by =
        (torch::tensordot(logs_to_inputs().of(type), gradients[0], {1}, {-1}) / numbers).unbind();
    const Tensor& by_cycles = by[kCycles];
    const Tensor by_overlapped = by_cycles * (1 - exposed);
    const Tensor by_overhead = by_cycles + by[kTotal] + by[kOverhead];
    const Tensor by_sum = torch::addcmul(by[kTotal], by_cycles, exposed);
    const auto by_part = [&](int part) {
      return by[part] + by_sum + through(by_overlapped, overlapped, of[part], order);
    };
    const Tensor by_load = by_part(kLoad), by_execute = by_part(kExecute), by_store = by_part(kStore);
    const Tensor by_exposed = by_cycles * (of[kTotal] - of[kOverhead] - overlapped);
    const Tensor by_groups =
        torch::stack({through(by_load, of[kLoad], input, load_order),
                      through(by_load, of[kLoad], weight, load_order), by_execute, by_store, by_overhead},
                     -1);
    return {torch::matmul(by_groups, term_groups().of(type).t()) * charges, by_execute + by[kFloor],
            by_exposed * (always - exposed) * fading / tiles, Tensor(), Tensor()};
  }

 private:
  /// From the derivative by a norm to that by one of what it is made of.
  static Tensor through(const Tensor& by_norm, const Tensor& norm, const Tensor& part, const Tensor& order) {
    return by_norm * (norm / part).pow(1 - order);
  }
};

}  // namespace

BaseLatency BaseModel::latency(const Executed& e) const { return BaseParts(*this, e).latency; }

BaseModel BaseModel::fit(const Executed& executed, const Tensor& log_cycles, int steps) const {
  constexpr double kRate = 0.08, kDelta = 0.15, kPull = 2e-3;
  BaseModel fitted{constants.detach().clone().requires_grad_(), overlap.detach().clone().requires_grad_()};
  torch::optim::Adam optimizer({fitted.constants, fitted.overlap}, torch::optim::AdamOptions(kRate));
  auto& options = static_cast<torch::optim::AdamOptions&>(optimizer.param_groups()[0].options());
  for (int step = 0; step < steps; ++step) {
    options.lr(kRate * one_cycle(step, steps));
    optimizer.zero_grad();
    const Tensor error = fitted.latency(executed).cycles.log() - log_cycles;
    const Tensor loss =
        torch::huber_loss(error, torch::zeros_like(error), at::Reduction::Mean, kDelta) / kDelta +
        kPull * (fitted.constants - constants).square().mean() +
        kPull * (fitted.overlap - overlap).square().mean();
    loss.backward();
    optimizer.step();
  }
  return {fitted.constants.detach(), fitted.overlap.detach()};
}

double one_cycle(int step, int steps) {
  constexpr double kWarmUp = 0.2, kStart = 1.0 / 25, kEnd = 1e-5;
  const double done = static_cast<double>(step) / std::max(1, steps - 1);
  const auto between = [](double from, double to, double part) {
    return to + (from - to) * (1 + std::cos(M_PI * part)) / 2;
  };
  return done < kWarmUp ? between(kStart, 1, done / kWarmUp)
                        : between(1, kEnd, (done - kWarmUp) / (1 - kWarmUp));
}

Tensor Ensemble::within_range(const Tensor& inputs) const {
  const auto type = inputs.scalar_type();
  const Tensor deviations = kMaxDeviations * scale;
  return torch::clamp(inputs, torch::maximum(lowest, mean - deviations).to(type),
                      torch::minimum(highest, mean + deviations).to(type));
}

Tensor Ensemble::normalise(const Tensor& inputs) const {
  const auto type = inputs.scalar_type();
  return ((inputs - mean.to(type)) / scale.to(type)).to(torch::kFloat32);
}

namespace {

/// log cycles by every network, as combine() of Ensemble of normalised inputs: x [N, inputs] -> [networks,
/// N]. Differentiable in x alone. One node of the graph in place of thirty; with v = log(base / floor), which
/// like log base is an input, and z1, z2 the hidden sums,
///   y = log base - v + softplus(u), u = log(exp(v) - 1) + f
///   dy/du = sigmoid(u), du/dv = 1 / (1 - exp(-v))
///   df/dx = x within the range ? W1 (silu'(z1) * (W2 (silu'(z2) * w3))) / scale : 0.
class FixedNetworks : public torch::autograd::Function<FixedNetworks> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Ensemble* e) {
    const std::int64_t networks = e->w1.size(0), width = e->w1.size(2);
    const Tensor side_by_side = e->w1.transpose(0, 1).reshape({-1, networks * width});
    Tensor within = e->within_range(x);
    const Tensor normalised = e->normalise(within);
    const Tensor inside = within.eq_(x);  // 0 or 1
    const Tensor z1 = torch::addmm(e->b1.reshape({-1}), normalised, side_by_side);
    const Tensor z2 =
        torch::baddbmm(e->b2, torch::silu(z1).view({-1, networks, width}).transpose(0, 1), e->w2);
    const Tensor f = torch::baddbmm(e->b3, torch::silu(z2), e->w3).squeeze(-1);
    const Tensor excess = x.select(1, kLogExcess);
    const Tensor u = inverse_softplus(excess) + f;
    context->save_for_backward(
        {x, u, inside, e->scale.to(x.scalar_type()), z1, z2, side_by_side, e->w2, e->w3});
    return (x.select(1, kLogBase) - excess) + torch::softplus(u);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &u = saved[1], &inside = saved[2], &scale = saved[3], &z1 = saved[4],
                 &z2 = saved[5], &side_by_side = saved[6], &w2 = saved[7], &w3 = saved[8];
    const Tensor by_u = gradients[0] * torch::sigmoid(u);
    const Tensor upper = at::silu_backward(by_u.to(z2.scalar_type()).unsqueeze(-1) * w3.transpose(1, 2),
                                           z2);  // [networks, N, width]
    const Tensor lower =
        at::silu_backward(torch::bmm(upper, w2.transpose(1, 2)).transpose(0, 1).reshape(z1.sizes()), z1);
    Tensor by_x = torch::mm(lower, side_by_side.t()).to(x.scalar_type()).div_(scale).mul_(inside);
    const Tensor direct = gradients[0].sum(0);
    by_x.select(1, kLogBase).add_(direct);
    const Tensor excess = x.select(1, kLogExcess);
    by_x.select(1, kLogExcess)
        .add_(torch::where(excess > kMinExcess, by_u.sum(0) / -torch::expm1(-excess),
                           torch::zeros_like(excess)) -
              direct);
    return {by_x, Tensor()};
  }
};

}  // namespace

Tensor Ensemble::operator()(const Tensor& x) const {
  Tensor hidden;
  if (x.dim() == 3) {
    hidden = torch::baddbmm(b1, x, w1);
  } else {
    // The same inputs for every network: one matrix product.
    const std::int64_t networks = w1.size(0), width = w1.size(2);
    const Tensor side_by_side = w1.transpose(0, 1).reshape({-1, networks * width});
    hidden = torch::addmm(b1.reshape({-1}), x, side_by_side).view({-1, networks, width}).transpose(0, 1);
  }
  const Tensor hidden2 = torch::silu(torch::baddbmm(b2, torch::silu(hidden), w2));
  return torch::baddbmm(b3, hidden2, w3).squeeze(-1);
}

Tensor combine(const Tensor& correction, const Tensor& log_base, const Tensor& log_floor) {
  return log_floor + torch::softplus(inverse_softplus(log_base - log_floor) + correction);
}

Tensor Surrogate::inputs(const Executed& e, const BaseLatency& b) const {
  if (predictor == Predictor::kLearned) return e.raw;
  const Tensor total = b.load + b.execute + b.store + b.overhead;
  const Tensor from_base = torch::stack(
      {b.cycles.log(), log_of(b.load / total), log_of(b.execute / total), log_of(b.store / total),
       log_of(b.overhead / total), log_of(b.cycles / e.floor), log_of(b.load / b.execute)},
      -1);
  return torch::cat({from_base, e.ratios}, -1);
}

Tensor Surrogate::network_log_cycles(const Executed& e, BaseLatency* base_latency) const {
  std::vector<std::int64_t> shape = e.floor.sizes().vec();
  shape.insert(shape.begin(), ensemble.w1.size(0));
  if (e.relaxed && predictor == Predictor::kCombined) {
    const Tensor from_base = FixedBase::apply(e.terms, e.floor, e.tiles, e.matmul, &base);
    return FixedNetworks::apply(torch::cat({from_base, e.ratios}, -1).flatten(0, -2), &ensemble).view(shape);
  }
  BaseLatency b;
  if (predictor == Predictor::kCombined) b = base.latency(e);
  if (base_latency) *base_latency = b;
  const Tensor x = inputs(e, b).flatten(0, -2);
  const Tensor f =
      ensemble(ensemble.normalise(ensemble.within_range(x))).to(e.floor.scalar_type()).view(shape);
  return predictor == Predictor::kLearned ? f : combine(f, b.cycles.log(), e.floor.log());
}

Estimate Surrogate::predict(const Executed& e) const {
  Estimate estimate;
  const Tensor each = network_log_cycles(e, &estimate.base);
  estimate.floor = e.floor;
  estimate.networks = each;
  estimate.log_cycles = each.mean(0);
  if (e.relaxed) return estimate;  // a search asks how the networks differ between tilings
  const Tensor variance = (each - estimate.log_cycles).square().mean(0);
  estimate.log_sd = (sd_scale * sd_scale * variance + sd_floor * sd_floor).sqrt();
  return estimate;
}

Estimate Surrogate::predict(const Tensor& tile, const Tensor& pe_dim, const RunBatch& layers,
                            bool relaxed) const {
  if (predictor == Predictor::kAnalytical) {
    Estimate estimate;
    estimate.log_cycles = roofline_cycles(tile, pe_dim, layers).log();
    if (!relaxed) estimate.log_sd = torch::zeros_like(estimate.log_cycles);
    return estimate;
  }
  const Counts counts = executed_counts(tile, pe_dim, layers, relaxed);
  return predict(counts, tile, pe_dim, layers, relaxed);
}

Estimate Surrogate::predict(const Counts& counts, const Tensor& tile, const Tensor& pe_dim,
                            const RunBatch& layers, bool relaxed) const {
  Executed executed = Executed::of(counts, tile, pe_dim, layers, relaxed);
  if (relaxed && predictor == Predictor::kLearned)
    executed.raw = Executed::raw_of(run_tiles(tile, pe_dim, layers, true), pe_dim, layers);
  return predict(executed);
}

Tensor roofline_cycles(const Tensor& any_tile, const Tensor& pe_dim, const RunBatch& l) {
  const Tensor tile = torch::minimum(any_tile, l.size);
  const auto along = [&](const Tensor& t, Dim dim) { return t.select(-1, static_cast<int>(dim)); };
  const Tensor number = l.size / tile;
  const auto tiles = [&](std::initializer_list<Dim> dims) {
    Tensor product = along(number, *dims.begin());
    for (auto dim = dims.begin() + 1; dim != dims.end(); ++dim) product = product * along(number, *dim);
    return product;
  };
  const Tensor compute = l.size.prod(-1) / (torch::minimum(along(tile, Dim::C), pe_dim) *
                                            torch::minimum(along(tile, Dim::K), pe_dim));
  // Refetches of the library's order (reductions innermost): a tensor in one tile along its own innermost
  // loops stays.
  const Tensor reductions = tiles({Dim::C, Dim::R, Dim::S});
  const Tensor pixels = tiles({Dim::P, Dim::Q, Dim::N});
  const auto volume = [&](const Tensor& t, std::initializer_list<Dim> dims) {
    Tensor product = along(t, *dims.begin());
    for (auto dim = dims.begin() + 1; dim != dims.end(); ++dim) product = product * along(t, *dim);
    return product;
  };
  const Tensor weights =
      volume(l.size, {Dim::R, Dim::S, Dim::C, Dim::K}) *
      torch::where(reductions * along(number, Dim::K) > 1, pixels, torch::ones_like(pixels));
  const Tensor input_tile = along(tile, Dim::C) * along(tile, Dim::N) *
                            ((along(tile, Dim::P) - 1) * l.stride.select(-1, 0) + along(tile, Dim::R)) *
                            ((along(tile, Dim::Q) - 1) * l.stride.select(-1, 1) + along(tile, Dim::S));
  const Tensor inputs = input_tile * pixels * reductions *
                        torch::where(reductions > 1, along(number, Dim::K), torch::ones_like(pixels));
  const Tensor outputs = volume(l.size, {Dim::P, Dim::Q, Dim::K, Dim::N});
  return torch::maximum(compute, (weights + inputs + outputs) / kDramBytesPerCycle);
}

Surrogate Surrogate::lighter(torch::ScalarType type, std::int64_t networks) const {
  Surrogate converted = *this;
  Ensemble& e = converted.ensemble;
  for (Tensor* t : {&e.w1, &e.b1, &e.w2, &e.b2, &e.w3, &e.b3}) {
    if (t->defined()) *t = t->slice(0, 0, networks).contiguous();
  }
  for (Tensor* t :
       {&converted.base.constants, &converted.base.overlap, &e.mean, &e.scale, &e.lowest, &e.highest})
    if (t->defined()) *t = t->to(type);
  return converted;
}

void Surrogate::check_hardware(const Hardware& hardware, const std::string& where) const {
  if (std::find(target.pe_dims.begin(), target.pe_dims.end(), hardware.pe_dim) != target.pe_dims.end())
    return;
  fail(ErrorId::kValue, "{}: pe_dim: found {}, the surrogate was trained on measurements with {}", where,
       hardware.pe_dim, fmt::join(target.pe_dims, ", "));
}

void Surrogate::save(const std::filesystem::path& path) const {
  Surrogate copy = *this;
  const bool has_networks = predictor != Predictor::kAnalytical;
  const Json header{
      {"schema", kSchema},
      {"predictor", kPredictorNames[static_cast<int>(predictor)]},
      {"target", to_json(target)},
      {"terms", base_term_names()},
      {"inputs", predictor == Predictor::kLearned ? learned_input_names() : combined_input_names()},
      {"sd_scale", sd_scale},
      {"sd_floor", sd_floor},
      {"card", card}};
  TensorFile::write(path, kKind, header, tensors_of(copy, has_networks ? ensemble.mean.size(0) : 0));
  std::filesystem::path card_path = path;
  write_file(card_path.replace_extension(".json"), header.dump(2) + "\n");
}

Surrogate Surrogate::load(const std::filesystem::path& path) {
  const TensorFile file(path, kKind);
  const JsonInput& header = file.header();
  file.allow_only({"schema", "predictor", "target", "terms", "inputs", "sd_scale", "sd_floor", "card"});
  header.require_schema(kSchema);
  Surrogate s;
  try {
    s.predictor = predictor_from_name(header.at("predictor").text());
  } catch (const Error& error) {
    throw error.in(header.at("predictor").where());
  }
  s.target = target_from_json(header.at("target"));
  require_names(header.at("terms"), base_term_names());
  const auto& inputs = s.predictor == Predictor::kLearned ? learned_input_names() : combined_input_names();
  require_names(header.at("inputs"), inputs);
  s.sd_scale = header.at("sd_scale").number(0, 1e6);
  s.sd_floor = header.at("sd_floor").number(0, 1e6);
  s.card = header.at("card").value();

  file.read(tensors_of(s, static_cast<std::int64_t>(inputs.size())));
  s.data_hash = file.header().at("data_hash").text();
  const Ensemble& e = s.ensemble;
  const std::int64_t networks = e.w1.size(0), hidden = e.w1.size(2), hidden2 = e.w2.size(2);
  const bool fits = e.b1.size(0) == networks && e.b1.size(2) == hidden && e.w2.size(0) == networks &&
                    e.w2.size(1) == hidden && e.b2.size(0) == networks && e.b2.size(2) == hidden2 &&
                    e.w3.size(0) == networks && e.w3.size(1) == hidden2 && e.b3.size(0) == networks;
  if (!fits)
    fail(ErrorId::kSchema, "{}: tensors: the shapes of the networks do not fit together", path.string());
  if ((e.scale <= 0).any().item<bool>()) {
    fail(ErrorId::kValue, "{}: tensor 'inputs.scale' holds a number that is not positive", path.string());
  }
  return s;
}

}  // namespace dosa
