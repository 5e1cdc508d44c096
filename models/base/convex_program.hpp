// Lower bounds of convex programs in the logarithms of products: geometric programs whose variables share out
// given totals.
//
// Sums of monomials exp(constant + powers . x) are convex in x (Duffin, Peterson and Zener, Geometric
// Programming, 1967). They are minimised by Newton's method with a logarithmic barrier (Boyd and
// Vandenberghe, Convex Optimization, 2004, section 11.3); what is returned is proven by duality, however well
// that converged.
#pragma once

#include <cstddef>
#include <vector>

namespace dosa {

/// exp(log + powers . x), x the variables of a ConvexProgram; absent powers at the end are 0.
struct Monomial {
  double log = 0;
  std::vector<double> powers;

  /// Multiplies by the variable's exponential, taken to a power.
  Monomial& times(std::size_t variable, double power);
};

/// Minimise a sum of monomials plus an affine function over variables >= 0 that add up to a given total in
/// each of their groups, where sums of monomials are at most 1.
class ConvexProgram {
 public:
  /// Further variables, at least one, that add up to total > 0. Returns the first one's number; the last one
  /// holds all of the total at the point where the search begins.
  std::size_t add_group(double total, std::size_t variables);

  void minimise(const Monomial& monomial) { objective_.push_back(monomial); }
  void minimise(double constant) { constant_ += constant; }
  /// A share of the variable itself.
  void minimise(std::size_t variable, double slope);
  /// The sum of these is at most 1. Where the last variables of the groups hold everything it must be less.
  void at_most_one(std::vector<Monomial> sum) { limits_.push_back(std::move(sum)); }

  /// A number that the objective is above, or at, wherever the limits hold; within about `tolerance` (a
  /// share of the objective) of its minimum unless the search stalls. -infinity where it finds no point to
  /// begin with.
  double lower_bound(double tolerance) const;

 private:
  struct Group {
    std::size_t first, variables;
    double total;
  };
  friend class BarrierSearch;

  std::vector<Group> groups_;
  std::size_t variables_ = 0;
  std::vector<Monomial> objective_;
  std::vector<std::vector<Monomial>> limits_;
  std::vector<double> slopes_;
  double constant_ = 0;
};

}  // namespace dosa
