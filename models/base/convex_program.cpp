#include "dosa/models/base/convex_program.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace dosa {
namespace {

using Vector = std::vector<double>;

constexpr int kNewtonSteps = 50, kHalvings = 40;
/// By how much the barrier's weight grows each time.
constexpr double kSharpen = 20;

/// Solves A x = b for a symmetric positive definite A [n x n], which it overwrites. False where A is not.
bool solve(Vector& a, Vector& b) {
  const std::size_t n = b.size();
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = j; i < n; ++i) {
      double sum = a[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      if (i == j) {
        if (!(sum > 0)) return false;
        a[i * n + i] = std::sqrt(sum);
      } else {
        a[i * n + j] = sum / a[j * n + j];
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return true;
}

}  // namespace

Monomial& Monomial::times(std::size_t variable, double power) {
  if (powers.size() <= variable) powers.resize(variable + 1);
  powers[variable] += power;
  return *this;
}

std::size_t ConvexProgram::add_group(double total, std::size_t variables) {
  groups_.push_back({variables_, variables, total});
  variables_ += variables;
  return groups_.back().first;
}

void ConvexProgram::minimise(std::size_t variable, double slope) {
  slopes_.resize(std::max(slopes_.size(), variable + 1));
  slopes_[variable] += slope;
}

/// The search in the free variables: all but the last one of each group, which is what they leave.
class BarrierSearch {
 public:
  explicit BarrierSearch(const ConvexProgram& program) : constant_(program.constant_) {
    for (const ConvexProgram::Group& group : program.groups_) {
      groups_.push_back({free_, group.variables - 1, group.total});
      free_ += group.variables - 1;
    }
    Monomial affine;
    affine.powers = program.slopes_;
    const Monomial slopes = free_form(program, affine);
    constant_ += slopes.log;
    slopes_ = slopes.powers;
    for (const Monomial& monomial : program.objective_) objective_.push_back(free_form(program, monomial));
    for (const std::vector<Monomial>& sum : program.limits_) {
      limits_.emplace_back();
      for (const Monomial& monomial : sum) limits_.back().push_back(free_form(program, monomial));
    }
  }

  double lower_bound(double tolerance) {
    if (!begin()) return -std::numeric_limits<double>::infinity();
    double best = proven();
    const auto barriers = static_cast<double>(free_ + groups_.size() + limits_.size());
    const double scale = std::max(std::abs(value(x_)), 1e-300);
    for (double gap = 1;; gap /= kSharpen) {
      weight_ = barriers / (gap * scale);
      descend();
      best = std::max(best, proven());
      if (gap <= tolerance) return best;
    }
  }

 private:
  struct Group {
    std::size_t first, variables;
    double total;
  };
  struct Slopes {
    Vector gradient, hessian;
  };

  Monomial free_form(const ConvexProgram& program, const Monomial& monomial) const {
    const auto power = [&](std::size_t v) { return v < monomial.powers.size() ? monomial.powers[v] : 0.0; };
    Monomial result;
    result.log = monomial.log;
    for (const ConvexProgram::Group& group : program.groups_) {
      const double last = power(group.first + group.variables - 1);
      result.log += last * group.total;
      for (std::size_t i = 0; i + 1 < group.variables; ++i)
        result.powers.push_back(power(group.first + i) - last);
    }
    return result;
  }

  double left(const Group& group, const Vector& x) const {
    double sum = group.total;
    for (std::size_t i = 0; i < group.variables; ++i) sum -= x[group.first + i];
    return sum;
  }

  double exponent(const Monomial& monomial, const Vector& x) const {
    double sum = monomial.log;
    for (std::size_t i = 0; i < free_; ++i) sum += monomial.powers[i] * x[i];
    return sum;
  }

  /// log of a sum of monomials.
  double log_sum(const std::vector<Monomial>& sum, const Vector& x) const {
    double most = -std::numeric_limits<double>::infinity(), all = 0;
    for (const Monomial& monomial : sum) most = std::max(most, exponent(monomial, x));
    for (const Monomial& monomial : sum) all += std::exp(exponent(monomial, x) - most);
    return most + std::log(all);
  }

  double value(const Vector& x) const {
    double sum = constant_;
    for (std::size_t i = 0; i < free_; ++i) sum += slopes_[i] * x[i];
    for (const Monomial& monomial : objective_) sum += std::exp(exponent(monomial, x));
    return sum;
  }

  /// weight * objective - sum of the logarithms of what each limit leaves; infinity where one is exceeded.
  double barrier(const Vector& x) const {
    constexpr double kOutside = std::numeric_limits<double>::infinity();
    double sum = weight_ * value(x);
    const auto keep_above_zero = [&](double slack) { sum = slack > 0 ? sum - std::log(slack) : kOutside; };
    for (const double one : x) keep_above_zero(one);
    for (const Group& group : groups_) keep_above_zero(left(group, x));
    for (const std::vector<Monomial>& limit : limits_) keep_above_zero(-log_sum(limit, x));
    return std::isnan(sum) ? kOutside : sum;
  }

  bool begin() {
    weight_ = 1;
    for (double share = 0.1; share > 1e-9; share /= 10) {
      x_.assign(free_, 0);
      for (const Group& group : groups_) {
        for (std::size_t i = 0; i < group.variables; ++i)
          x_[group.first + i] = share * group.total / static_cast<double>(group.variables);
      }
      if (std::isfinite(barrier(x_))) return true;
    }
    return false;
  }

  /// Adds scale * weight_of_monomial * powers and its products, for a sum of monomials that are to be
  /// multiplied by `factor` each.
  void add(const std::vector<Monomial>& sum, double log_factor, Slopes& to) const {
    for (const Monomial& monomial : sum) {
      const double size = std::exp(exponent(monomial, x_) + log_factor);
      for (std::size_t i = 0; i < free_; ++i) {
        const double along = size * monomial.powers[i];
        if (along == 0) continue;
        to.gradient[i] += along;
        for (std::size_t j = 0; j <= i; ++j) to.hessian[i * free_ + j] += along * monomial.powers[j];
      }
    }
  }

  Slopes zero() const { return {Vector(free_, 0), Vector(free_ * free_, 0)}; }

  /// Gradient and lower half of the Hessian of the barrier function.
  Slopes slopes() const {
    Slopes all = zero();
    add(objective_, 0, all);
    for (double& entry : all.hessian) entry *= weight_;
    for (std::size_t i = 0; i < free_; ++i) {
      all.gradient[i] = weight_ * (all.gradient[i] + slopes_[i]) - 1 / x_[i];
      all.hessian[i * free_ + i] += 1 / (x_[i] * x_[i]);
    }
    for (const Group& group : groups_) {
      const double slack = left(group, x_);
      for (std::size_t i = group.first; i < group.first + group.variables; ++i) {
        all.gradient[i] += 1 / slack;
        for (std::size_t j = group.first; j <= i; ++j) all.hessian[i * free_ + j] += 1 / (slack * slack);
      }
    }
    for (const std::vector<Monomial>& limit : limits_) {
      const double log = log_sum(limit, x_), slack = -log;
      Slopes own = zero();
      add(limit, -log, own);
      for (std::size_t i = 0; i < free_; ++i) {
        all.gradient[i] += own.gradient[i] / slack;
        for (std::size_t j = 0; j <= i; ++j) {
          const double product = own.gradient[i] * own.gradient[j];
          all.hessian[i * free_ + j] +=
              (own.hessian[i * free_ + j] - product) / slack + product / (slack * slack);
        }
      }
    }
    return all;
  }

  void descend() {
    double now = barrier(x_);
    for (int step = 0; step < kNewtonSteps; ++step) {
      Slopes at = slopes();
      Vector direction(free_);
      for (std::size_t i = 0; i < free_; ++i) direction[i] = -at.gradient[i];
      if (!solve(at.hessian, direction)) return;
      double slope = 0;
      for (std::size_t i = 0; i < free_; ++i) slope += at.gradient[i] * direction[i];
      if (!(slope < -1e-10)) return;
      double length = 1;
      Vector next(free_);
      for (int half = 0;; ++half, length /= 2) {
        if (half == kHalvings) return;
        for (std::size_t i = 0; i < free_; ++i) next[i] = x_[i] + length * direction[i];
        const double there = barrier(next);
        if (there <= now + 0.1 * length * slope) {
          now = there;
          x_ = next;
          break;
        }
      }
    }
  }

  /// What the objective cannot be below where the limits hold: that of the Lagrangian, with multipliers from
  /// the barrier, is convex, so its tangent at x is below it everywhere, and the tangent's least value over
  /// the groups is at a corner of each.
  double proven() const {
    Slopes at = zero();
    add(objective_, 0, at);
    double bound = value(x_);
    for (std::size_t i = 0; i < free_; ++i) at.gradient[i] += slopes_[i];
    for (const std::vector<Monomial>& limit : limits_) {
      const double log = log_sum(limit, x_), multiplier = -1 / (weight_ * log);
      Slopes own = zero();
      add(limit, -log, own);
      bound += multiplier * log;
      for (std::size_t i = 0; i < free_; ++i) at.gradient[i] += multiplier * own.gradient[i];
    }
    for (const Group& group : groups_) {
      double least = 0, here = 0;
      for (std::size_t i = group.first; i < group.first + group.variables; ++i) {
        least = std::min(least, at.gradient[i] * group.total);
        here += at.gradient[i] * x_[i];
      }
      bound += least - here;
    }
    return bound;
  }

  std::size_t free_ = 0;
  std::vector<Group> groups_;
  std::vector<Monomial> objective_;
  std::vector<std::vector<Monomial>> limits_;
  Vector slopes_, x_;
  double constant_ = 0, weight_ = 1;
};

double ConvexProgram::lower_bound(double tolerance) const {
  return BarrierSearch(*this).lower_bound(tolerance);
}

}  // namespace dosa
