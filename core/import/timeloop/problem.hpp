// Timeloop's problems: which dimension and tensor of a shape is which of ours, and a layer of its sizes.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dosa/core/import/timeloop/values.hpp"
#include "dosa/models/layer.hpp"

namespace dosa::timeloop {

/// What a problem's shape calls our dimensions and tensors.
struct Shape {
  /// Its name of a dimension, a letter, and ours; in its order.
  std::vector<std::pair<std::string, Dim>> dims;
  /// Dimensions of all three tensors, which a grouped or depthwise convolution has: none of ours, but groups.
  std::vector<std::string> groups;
  std::array<std::string, kOperands> tensors;  ///< by Operand
  /// Names of the coefficients of P, Q, R, S (strides and dilations), empty where there is none.
  std::array<std::string, 4> coefficients;
  /// Values where an instance gives none, by coefficient name.
  std::vector<std::pair<std::string, std::int64_t>> defaults;

  /// Throws Error{kValue} at `where` for a name that the shape does not have.
  Dim dim(const std::string& name, const std::string& where) const;
  Operand tensor(const std::string& name, const std::string& where) const;
  /// Names of a list of tensors as a set.
  OperandSet tensors_of(const JsonInput& list) const;
};

/// Timeloop's own convolution, which it assumes where a problem has no shape: R S P Q C K N (or M for K),
/// Weights, Inputs, Outputs.
const Shape& convolution();

/// The shape of a problem, by its projections, whatever its names: what the weights and the inputs share but
/// not the outputs is summed over (C, R, S), and so on. Throws Error{kValue} with the key for what is no
/// convolution or matrix product of ours.
Shape shape_of_problem(const JsonInput& problem);

/// The layer of one problem, with this name. `remarks` gets a line for what says nothing to us. Throws Error.
Layer layer_of_problem(const JsonInput& problem, const Shape& shape, const std::string& name,
                       std::vector<std::string>& remarks);

/// One factor of a text such as "R=1 C<=4 K2".
struct Factor {
  std::string name;      ///< of a dimension
  std::string relation;  ///< "=" (also where none stands), "<=", "<", ">", ">="
  std::int64_t value = 0;
  std::int64_t last = 0;  ///< the last run of a loop, where it is shorter ("C=4,2"); else 0
};
/// Reads a text or a list of them. Throws Error{kSyntax}; Error{kValue} for a last run that is longer.
std::vector<Factor> factors_of(const JsonInput& json);
/// Reads "RSPQ", "R S P Q" or a list. Names in the order in which they stand, innermost first.
std::vector<std::string> permutation_of(const JsonInput& json);

}  // namespace dosa::timeloop
