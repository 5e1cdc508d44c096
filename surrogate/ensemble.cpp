#include "dosa/surrogate/ensemble.hpp"

#include "dosa/surrogate/base_model.hpp"

namespace dosa {

using torch::Tensor;

namespace {

constexpr double kMaxDeviations = 4;
constexpr double kMinExcess = 1e-4;  // of log(base / E), for its inverse softplus

Tensor inverse_softplus(const Tensor& value) { return torch::expm1(value.clamp_min(kMinExcess)).log(); }

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

Tensor fused_combined(const Tensor& x, const Ensemble& ensemble) {
  return FixedNetworks::apply(x, &ensemble);
}

}  // namespace dosa
