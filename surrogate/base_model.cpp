#include "dosa/surrogate/base_model.hpp"

#include <cmath>

#include "dosa/models/base/adam.hpp"
#include "dosa/surrogate/one_cycle.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr double kMinRatio = 1e-6;  // inside logarithms of shares

Tensor log_of(const Tensor& ratio) { return ratio.clamp_min(kMinRatio).log(); }

/// The latency of the base and what its derivative is made of, [B..., layers] unless said otherwise.
struct BaseParts {
  BaseLatency latency;
  Tensor charges;  ///< [layers, terms], cycles per unit
  Tensor input, weight, overlapped, exposed;
  Tensor load_order, order, always, fading;  ///< [layers]

  BaseParts(const BaseModel& base, const Features& e);
};

BaseParts::BaseParts(const BaseModel& base, const Features& e) {
  const Tensor kind = e.kind.to(torch::kInt64);
  const auto type = e.terms.scalar_type();
  const std::vector<Tensor> constant = base.overlap.to(type).index_select(0, kind).unbind(-1);
  charges = base.constants.to(type).exp().index_select(0, kind);
  const std::vector<Tensor> group = torch::matmul(e.terms * charges, base.parts.to(type)).unbind(-1);
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

/// [logs, inputs], to be multiplied with `numbers`; the formulas are those of base_inputs.
Tensor logs_to_inputs(const Tensor& numbers) {
  static const Tensor in_double = [] {
    const torch::InferenceMode off(false);  // whatever the first caller is in, others differentiate
    return torch::tensor({{1., 0., 0., 0., 0., 1., 0.},
                          {0., 1., 0., 0., 0., 0., 1.},
                          {0., 0., 1., 0., 0., 0., -1.},
                          {0., 0., 0., 1., 0., 0., 0.},
                          {0., 0., 0., 0., 1., 0., 0.},
                          {0., -1., -1., -1., -1., 0., 0.},
                          {0., 0., 0., 0., 0., -1., 0.}},
                         torch::kFloat64);
  }();
  static const Tensor in_float = [] {
    const torch::InferenceMode off(false);
    return in_double.to(torch::kFloat32);
  }();
  const Tensor& constant = numbers.scalar_type() == torch::kFloat32 ? in_float : in_double;
  return constant.to(numbers.device());
}

/// The inputs that come from the base, [B..., layers, 7], of terms [B..., layers, terms], the floor and the
/// number of tiles [B..., layers]. Differentiable in these three, not in the base's constants. One node of
/// the graph in place of forty; with the norm V = (L^q + X^q + S^q)^(1/q) of load, execute and store,
///   cycles = V + overhead + u (L + X + S - V), u = always + fades * tiles^-fading
///   dV/dL = (V / L)^(1 - q), du/dtiles = fading (always - u) / tiles.
class FixedBase : public torch::autograd::Function<FixedBase> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& terms, const Tensor& floor,
                        const Tensor& tiles, const Tensor& kind, const BaseModel* base) {
    const BaseParts b(*base, Features{terms, {}, floor, tiles, kind, {}, true});
    const BaseLatency& l = b.latency;
    const Tensor total = l.load + l.execute + l.store + l.overhead;
    const Tensor numbers = torch::stack({l.cycles, l.load, l.execute, l.store, l.overhead, total, floor});
    context->save_for_backward({numbers, tiles, b.charges, b.input, b.weight, b.overlapped, b.exposed,
                                b.load_order, b.order, b.always, b.fading,
                                base->parts.to(terms.scalar_type())});
    return torch::tensordot(numbers.log(), logs_to_inputs(numbers), {0}, {0});
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const Tensor &numbers = saved[0], &tiles = saved[1], &charges = saved[2], &input = saved[3],
                 &weight = saved[4], &overlapped = saved[5], &exposed = saved[6], &load_order = saved[7],
                 &order = saved[8], &always = saved[9], &fading = saved[10], &parts = saved[11];
    const std::vector<Tensor> of = numbers.unbind();
    const std::vector<Tensor> by =
        (torch::tensordot(logs_to_inputs(numbers), gradients[0], {1}, {-1}) / numbers).unbind();
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
    return {torch::matmul(by_groups, parts.t()) * charges, by_execute + by[kFloor],
            by_exposed * (always - exposed) * fading / tiles, Tensor(), Tensor()};
  }

 private:
  /// From the derivative by a norm to that by one of what it is made of.
  static Tensor through(const Tensor& by_norm, const Tensor& norm, const Tensor& part, const Tensor& order) {
    return by_norm * (norm / part).pow(1 - order);
  }
};

}  // namespace

Tensor parts_of(const FeatureTable& table) {
  const Tensor parts = torch::zeros({static_cast<std::int64_t>(table.terms.size()), kParts}, torch::kFloat64);
  for (std::size_t term = 0; term < table.terms.size(); ++term)
    parts[static_cast<std::int64_t>(term)][static_cast<int>(table.terms[term].part)] = 1.0;
  return parts;
}

BaseModel BaseModel::initial(const FeatureTable& table) {
  std::vector<double> logs;
  for (const BaseTerm& term : table.terms) logs.push_back(std::log(term.initial));
  const auto of_kinds = [](const std::vector<double>& values) {
    return torch::tensor(values, torch::kFloat64).repeat({kKinds, 1});
  };
  return {of_kinds(logs), of_kinds({std::log(2.0), -2, 0, -1, 0}), parts_of(table)};
}

BaseLatency BaseModel::latency(const Features& e) const { return BaseParts(*this, e).latency; }

BaseModel BaseModel::fit(const Features& features, const Tensor& log_cycles, int steps) const {
  constexpr double kRate = 0.08, kDelta = 0.15, kPull = 2e-3;
  BaseModel fitted{constants.detach().clone().requires_grad_(), overlap.detach().clone().requires_grad_(),
                   parts};
  AdamMinimizer minimizer({fitted.constants, fitted.overlap});
  for (int step = 0; step < steps; ++step) {
    const Tensor error = fitted.latency(features).cycles.log() - log_cycles;
    const Tensor loss =
        torch::huber_loss(error, torch::zeros_like(error), at::Reduction::Mean, kDelta) / kDelta +
        kPull * (fitted.constants - constants).square().mean() +
        kPull * (fitted.overlap - overlap).square().mean();
    minimizer.step(loss, kRate * one_cycle(step, steps));
  }
  return {fitted.constants.detach(), fitted.overlap.detach(), parts};
}

const std::vector<std::string>& base_input_names() {
  static const std::vector<std::string> names{
      "log base",           "log share of load",     "log share of execute",
      "log share of store", "log share of overhead", "log base/floor",
      "log load/execute"};
  return names;
}

Tensor base_inputs(const BaseLatency& b, const Tensor& floor) {
  const Tensor total = b.load + b.execute + b.store + b.overhead;
  return torch::stack(
      {b.cycles.log(), log_of(b.load / total), log_of(b.execute / total), log_of(b.store / total),
       log_of(b.overhead / total), log_of(b.cycles / floor), log_of(b.load / b.execute)},
      -1);
}

Tensor fused_base_inputs(const BaseModel& base, const Features& e) {
  return FixedBase::apply(e.terms, e.floor, e.tiles, e.kind, &base);
}

}  // namespace dosa
