#include "dosa/core/import/timeloop/problem.hpp"

#include <algorithm>
#include <cctype>

#include "dosa/core/import/timeloop/names.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::timeloop {
namespace {

/// The place of P's stride among Shape::coefficients; Q's stride, R's and S's dilation follow.
constexpr std::size_t kStride = 0, kDilation = 2;
constexpr std::int64_t kMaxGroups = 1 << 24;

/// One term of a projection: a dimension, and a coefficient or none.
struct Term {
  std::string dim, coefficient;
  std::string where;
};
using Axis = std::vector<Term>;

/// A tensor of a shape that is being read.
struct Space {
  std::string name;
  std::string where;
  bool written = false;
  std::vector<Axis> axes;

  bool uses(const std::string& dim) const {
    return std::any_of(axes.begin(), axes.end(), [&](const Axis& axis) {
      return std::any_of(axis.begin(), axis.end(), [&](const Term& term) { return term.dim == dim; });
    });
  }
  bool slides() const {
    return std::any_of(axes.begin(), axes.end(), [](const Axis& axis) { return axis.size() > 1; });
  }
};

class ShapeReader {
 public:
  explicit ShapeReader(const JsonInput& shape) : where_(shape.where()) {
    for (const auto& [key, member] : shape.entries()) {
      const std::string own = key_of(key);
      if (own == "flatten") {
        fail(ErrorId::kValue, "{}: found flattened dimensions, expected none", member.where());
      }
      if (own != "name" && own != "dimensions" && own != "coefficients" && own != "data_spaces" &&
          own != "version") {
        fail(ErrorId::kSchema, "{}: unknown key; allowed: name, dimensions, coefficients, data-spaces",
             member.where());
      }
    }
    for (const JsonInput& name : shape.at("dimensions").items()) {
      if (word_of(name).size() != 1)
        fail(ErrorId::kValue, "{}: found {}, expected one letter", name.where(), shown(name));
      names_.push_back(word_of(name));
    }
    if (const auto list = find_any(shape, {"coefficients"})) {
      for (const JsonInput& item : list->items()) {
        item.allow_only({"name", "default"});
        const auto standard = item.find("default");
        shape_.defaults.emplace_back(item.at("name").text(), standard ? standard->integer(1, kMaxStep) : 1);
      }
    }
    const JsonInput list = at_any(shape, {"data_spaces"});
    for (const JsonInput& item : list.items()) spaces_.push_back(space(item));
    if (spaces_.size() != kOperands) {
      fail(ErrorId::kValue, "{}: found {} tensors, expected two that are read and one that is written",
           list.where(), spaces_.size());
    }
  }

  Shape read() {
    const auto written =
        std::find_if(spaces_.begin(), spaces_.end(), [](const Space& s) { return s.written; });
    const auto count =
        std::count_if(spaces_.begin(), spaces_.end(), [](const Space& s) { return s.written; });
    if (count != 1) {
      fail(ErrorId::kValue, "{}: found {} tensors with read-write true, expected one", where_, count);
    }
    std::rotate(written, written + 1, spaces_.end());  // now the last one
    // The inputs are those that a window slides over; else those of that name, or the first.
    if (spaces_[0].slides() ||
        (!spaces_[1].slides() && spaces_[0].name != "Weights" && spaces_[1].name != "Inputs"))
      std::swap(spaces_[0], spaces_[1]);
    for (std::size_t o = 0; o < kOperands; ++o) shape_.tensors[o] = spaces_[o].name;
    for (const std::size_t o : {std::size_t{0}, std::size_t{2}}) {
      for (const Axis& axis : spaces_[o].axes) {
        if (axis.size() > 1 || !axis[0].coefficient.empty()) {
          fail(ErrorId::kValue,
               "{}: found {}, expected a single dimension: a window slides over the inputs alone",
               axis[0].where, text_of(axis));
        }
      }
    }
    for (const Axis& axis : spaces_[1].axes) {
      if (axis.size() > 1) assign_window(axis);
    }
    for (const Axis& axis : spaces_[1].axes) {
      if (axis.size() == 1 && !axis[0].coefficient.empty()) assign_strided(axis);
    }
    for (const std::string& name : names_) {
      const bool grouped =
          std::all_of(spaces_.begin(), spaces_.end(), [&](const Space& space) { return space.uses(name); });
      if (grouped && !known(name)) {
        shape_.groups.push_back(name);
      } else {
        assign_plain(name);
      }
    }
    std::vector<std::pair<std::string, Dim>> ordered;
    for (const std::string& name : names_) {
      if (is_group(name)) continue;
      ordered.push_back(*std::find_if(shape_.dims.begin(), shape_.dims.end(),
                                      [&](const auto& known) { return known.first == name; }));
    }
    shape_.dims = std::move(ordered);
    return std::move(shape_);
  }

 private:
  Space space(const JsonInput& json) const {
    json.allow_only({"name", "projection", "read-write", "read_write"});
    Space space;
    space.name = json.at("name").text();
    space.where = json.where();
    if (const auto written = find_any(json, {"read_write"})) space.written = flag_of(*written, {});
    for (const JsonInput& item : json.at("projection").items()) {
      Axis axis;
      if (!item.is_array()) {  // the short form: a dimension by itself
        axis.push_back({dim_name(item), "", item.where()});
      } else {
        for (const JsonInput& term : item.items()) axis.push_back(read_term(term));
        if (axis.empty()) continue;  // a tensor of one element
      }
      if (axis.size() > 2) {
        fail(ErrorId::kValue, "{}: found {} terms, expected one, or two of a sliding window", item.where(),
             axis.size());
      }
      for (const Term& term : axis) {
        if (space.uses(term.dim))
          fail(ErrorId::kValue, "{}: found {} again, expected each dimension once in a tensor", term.where,
               term.dim);
      }
      space.axes.push_back(std::move(axis));
    }
    return space;
  }

  Term read_term(const JsonInput& json) const {
    if (!json.is_array()) return {dim_name(json), "", json.where()};
    const std::vector<JsonInput> parts = json.items();
    if (parts.empty() || parts.size() > 2) {
      fail(ErrorId::kValue, "{}: found {} factors, expected a dimension, or a dimension and a coefficient",
           json.where(), parts.size());
    }
    Term term{dim_name(parts[0]), "", json.where()};
    if (parts.size() == 2) {
      term.coefficient = word_of(parts[1]);
      const auto known = std::find_if(shape_.defaults.begin(), shape_.defaults.end(),
                                      [&](const auto& one) { return one.first == term.coefficient; });
      if (known == shape_.defaults.end()) {
        fail(ErrorId::kValue,
             "{}: found {}, which is no coefficient; expected a dimension, or a dimension and a coefficient "
             "(projections are sums)",
             parts[1].where(), shown(parts[1]));
      }
    }
    return term;
  }

  std::string dim_name(const JsonInput& json) const {
    const std::string name = word_of(json);
    if (std::find(names_.begin(), names_.end(), name) == names_.end()) {
      fail(ErrorId::kValue, "{}: found {}, expected a dimension of {}", json.where(), shown(json),
           fmt::join(names_, " "));
    }
    return name;
  }

  static std::string text_of(const Axis& axis) {
    std::vector<std::string> terms;
    for (const Term& term : axis)
      terms.push_back(term.coefficient.empty() ? term.dim : term.dim + "*" + term.coefficient);
    return fmt::format("{}", fmt::join(terms, " + "));
  }

  bool known(const std::string& name) const {
    return std::any_of(shape_.dims.begin(), shape_.dims.end(),
                       [&](const auto& one) { return one.first == name; });
  }
  bool taken(Dim dim) const {
    return std::any_of(shape_.dims.begin(), shape_.dims.end(),
                       [&](const auto& one) { return one.second == dim; });
  }
  bool is_group(const std::string& name) const {
    return std::find(shape_.groups.begin(), shape_.groups.end(), name) != shape_.groups.end();
  }
  bool is_output(const std::string& name) const { return spaces_[2].uses(name); }

  /// Two dimensions that slide: one of the outputs with its stride, one of the weights with its dilation.
  void assign_window(const Axis& axis) {
    const Term* output = &axis[0];
    const Term* filter = &axis[1];
    if (is_output(filter->dim)) std::swap(output, filter);
    if (!is_output(output->dim) || is_output(filter->dim) || !spaces_[0].uses(filter->dim) ||
        spaces_[0].uses(output->dim)) {
      fail(ErrorId::kValue,
           "{}: found {}, expected a dimension of the outputs alone plus one of the weights alone",
           axis[0].where, text_of(axis));
    }
    const bool second = taken(Dim::P) || ((output->dim == "Q" || filter->dim == "S") && !taken(Dim::Q));
    if (second && taken(Dim::Q))
      fail(ErrorId::kValue, "{}: found {}, expected at most two sliding windows", axis[0].where,
           text_of(axis));
    shape_.dims.emplace_back(output->dim, second ? Dim::Q : Dim::P);
    shape_.dims.emplace_back(filter->dim, second ? Dim::S : Dim::R);
    shape_.coefficients[kStride + (second ? 1 : 0)] = output->coefficient;
    shape_.coefficients[kDilation + (second ? 1 : 0)] = filter->coefficient;
  }

  /// One dimension with a coefficient: an output with a stride and a filter of 1.
  void assign_strided(const Axis& axis) {
    const Term& term = axis[0];
    const Dim dim = taken(Dim::P) || (term.dim == "Q" && !taken(Dim::Q)) ? Dim::Q : Dim::P;
    if (!is_output(term.dim) || spaces_[0].uses(term.dim) || taken(dim)) {
      fail(ErrorId::kValue, "{}: found {}, expected a coefficient on a dimension of the outputs", term.where,
           text_of(axis));
    }
    shape_.dims.emplace_back(term.dim, dim);
    shape_.coefficients[kStride + (dim == Dim::Q ? 1 : 0)] = term.coefficient;
  }

  /// A dimension without a window, by the tensors that it indexes.
  void assign_plain(const std::string& name) {
    if (known(name)) return;
    const bool w = spaces_[0].uses(name), i = spaces_[1].uses(name), o = spaces_[2].uses(name);
    std::vector<Dim> free;
    if (w && o && !i) free = {Dim::K};
    if (i && o && !w) free = {Dim::N, Dim::P, Dim::Q};
    if (w && i && !o) free = {Dim::C, Dim::R, Dim::S};
    // A filter's dimension that does not slide belongs to an output of 1, an output's to a filter of 1.
    const auto partner = [](Dim dim) {
      return dim == Dim::P ? Dim::R : dim == Dim::Q ? Dim::S : dim == Dim::R ? Dim::P : Dim::Q;
    };
    free.erase(std::remove_if(free.begin(), free.end(),
                              [&](Dim dim) {
                                return taken(dim) || (dim != Dim::N && dim != Dim::C && dim != Dim::K &&
                                                      taken(partner(dim)));
                              }),
               free.end());
    const auto own = std::find_if(free.begin(), free.end(), [&](Dim dim) { return name[0] == name_of(dim); });
    if (free.empty()) {
      std::vector<std::string> users;
      for (const Space& one : spaces_) {
        if (one.uses(name)) users.push_back(one.name);
      }
      fail(ErrorId::kValue,
           "{}: found the dimension {} of {}, which no dimension of a convolution (R S P Q C K N) is like",
           where_, name, users.empty() ? "no tensor" : fmt::format("{}", fmt::join(users, ", ")));
    }
    shape_.dims.emplace_back(name, own != free.end() ? *own : free.front());
  }

  std::string where_;
  std::vector<std::string> names_;
  std::vector<Space> spaces_;
  Shape shape_;
};

/// Densities of 1 are none, however they are distributed.
void check_dense(const JsonInput& json) {
  if (json.is_object()) {
    if (const auto density = json.find("density")) return check_dense(*density);
    for (const auto& [name, member] : json.entries()) check_dense(member);
    return;
  }
  if (!json.value().is_null() && !(json.is_number() && json.value().get<double>() == 1))
    fail(ErrorId::kValue, "{}: found {}, expected dense tensors (1): sparsity has no part in the model",
         json.where(), shown(json));
}

/// Shapes that Timeloop and the sets of problems published with CoSA and DOSA keep in files of their own,
/// which problems name. The convolution is convolution().
struct NamedShape {
  const char* name;  ///< lower case, hyphens
  const char* yaml;
};
constexpr NamedShape kNamedShapes[] = {{"dw-cnn-layer", R"({dimensions: [R, S, P, Q, C, N],
      coefficients: [{name: Wstride}, {name: Hstride}, {name: Wdilation}, {name: Hdilation}],
      data-spaces: [
        {name: Weights, projection: [C, R, S]},
        {name: Inputs, projection: [N, C, [[R, Wdilation], [P, Wstride]], [[S, Hdilation], [Q, Hstride]]]},
        {name: Outputs, projection: [N, C, Q, P], read-write: true}]})"},
                                       {"gemm-abz", R"({dimensions: [M, N, K],
      data-spaces: [
        {name: A, projection: [M, K]},
        {name: B, projection: [N, K]},
        {name: Z, projection: [M, N], read-write: true}]})"}};

}  // namespace

Dim Shape::dim(const std::string& name, const std::string& where) const {
  std::vector<std::string> names;
  for (const auto& [own, dim] : dims) {
    if (own == name) return dim;
    names.push_back(own);
  }
  fail(ErrorId::kValue, "{}: found '{}', expected a dimension of {}", where, name, fmt::join(names, " "));
}

Operand Shape::tensor(const std::string& name, const std::string& where) const {
  for (const Operand operand : all_operands()) {
    if (tensors[static_cast<std::size_t>(operand)] == name) return operand;
  }
  fail(ErrorId::kValue, "{}: found '{}', expected one of {}", where, name, fmt::join(tensors, ", "));
}

OperandSet Shape::tensors_of(const JsonInput& list) const {
  OperandSet set{};
  for (const std::string& name : words_of(list))
    set[static_cast<std::size_t>(tensor(name, list.where()))] = true;
  return set;
}

const Shape& convolution() {
  static const Shape shape = [] {
    Shape own;
    for (const Dim dim : all_dims()) own.dims.emplace_back(std::string(1, name_of(dim)), dim);
    own.dims.emplace_back("M", Dim::K);
    for (std::size_t o = 0; o < kOperands; ++o) own.tensors[o] = kDataSpaces[o];
    own.coefficients = {kCoefficients[0], kCoefficients[1], kCoefficients[2], kCoefficients[3]};
    for (const char* name : kCoefficients) own.defaults.emplace_back(name, 1);
    return own;
  }();
  return shape;
}

Shape shape_of_problem(const JsonInput& problem) {
  const auto shape = find_any(problem, {"shape"});
  if (!shape) return convolution();
  if (shape->is_text()) {
    const std::string name = key_of(lower_case(shape->text()));
    std::vector<std::string> names{"cnn-layer"};
    if (name == "cnn_layer") return convolution();
    for (const NamedShape& known : kNamedShapes) {
      if (name == key_of(known.name)) return ShapeReader(JsonInput::from_yaml(known.yaml, known.name)).read();
      names.emplace_back(known.name);
    }
    fail(ErrorId::kValue, "{}: found {}, expected {} or the shape itself", shape->where(), shown(*shape),
         fmt::join(names, ", "));
  }
  return ShapeReader(*shape).read();
}

Layer layer_of_problem(const JsonInput& problem, const Shape& shape, const std::string& name,
                       std::vector<std::string>& remarks) {
  check_version(find_any(problem, {"version"}));
  const auto nested = find_any(problem, {"instance"});
  const JsonInput& instance = nested ? *nested : problem;
  Layer layer;
  layer.name = name;
  std::array<bool, kDims> given{};
  std::size_t groups_given = 0;
  std::array<bool, 4> coefficient_given{};
  std::array<std::int64_t, 4> coefficients{1, 1, 1, 1};
  for (std::size_t c = 0; c < coefficients.size(); ++c) {
    for (const auto& [key, standard] : shape.defaults) {
      if (key == shape.coefficients[c]) coefficients[c] = standard;
    }
  }
  if (nested) {
    for (const auto& [key, member] : problem.entries()) {
      const std::string own = key_of(key);
      if (own != "version" && own != "shape" && own != "instance" && own != "name")
        fail(ErrorId::kSchema, "{}: unknown key; allowed: version, shape, instance", member.where());
    }
  }
  for (const auto& [key, member] : instance.entries()) {
    if (!nested && (key == "version" || key == "shape" || key == "name")) continue;
    if (key == "densities" || key == "commonDensity") {
      check_dense(member);
      continue;
    }
    const std::string text = key;
    const auto dim = std::find_if(shape.dims.begin(), shape.dims.end(),
                                  [&](const auto& one) { return one.first == text; });
    // Published problems write Hstride, HStride and hstride.
    const auto coefficient = std::find_if(
        shape.coefficients.begin(), shape.coefficients.end(),
        [&](const std::string& one) { return !one.empty() && lower_case(one) == lower_case(text); });
    if (dim != shape.dims.end()) {
      if (given[static_cast<std::size_t>(dim->second)])
        fail(ErrorId::kSchema, "{}: found a second size of {}", member.where(), name_of(dim->second));
      given[static_cast<std::size_t>(dim->second)] = true;
      layer[dim->second] = integer_of(member, {}, 1, kMaxDim);
    } else if (std::find(shape.groups.begin(), shape.groups.end(), text) != shape.groups.end()) {
      ++groups_given;
      layer.groups *= integer_of(member, {}, 1, kMaxGroups / layer.groups);
    } else if (coefficient != shape.coefficients.end()) {
      // A dilation of 0, which DeepBench's tables have, is one of 1. Of two spellings the first one counts:
      // what an instance says stands before what it merges.
      const auto c = static_cast<std::size_t>(coefficient - shape.coefficients.begin());
      const std::int64_t value =
          std::max<std::int64_t>(1, integer_of(member, {}, c >= kDilation ? 0 : 1, kMaxStep));
      if (!coefficient_given[c]) {
        coefficients[c] = value;
      } else if (coefficients[c] != value) {
        remarks.push_back(fmt::format("{}: {} is left out, another spelling of it is {}", member.where(),
                                      value, coefficients[c]));
      }
      coefficient_given[c] = true;
    } else {
      remarks.push_back(
          fmt::format("{}: left out, it is no dimension or coefficient of the shape", member.where()));
    }
  }
  for (const auto& [own, dim] : shape.dims) {
    if (!given[static_cast<std::size_t>(dim)])
      fail(ErrorId::kSchema, "{}: key '{}' is missing", instance.where(), own);
  }
  if (groups_given != shape.groups.size()) {
    fail(ErrorId::kSchema, "{}: expected a size of each of {}", instance.where(),
         fmt::join(shape.groups, ", "));
  }
  layer.wstride = coefficients[kStride];
  layer.hstride = coefficients[kStride + 1];
  layer.wdilation = coefficients[kDilation];
  layer.hdilation = coefficients[kDilation + 1];
  try {
    check_layer(layer);
  } catch (const Error& error) {
    throw error.in(instance.where());
  }
  return layer;
}

std::vector<Factor> factors_of(const JsonInput& json) {
  std::string text;
  if (json.is_array()) {
    for (const JsonInput& item : json.items()) text += word_of(item) + " ";
  } else {
    text = word_of(json);
  }
  std::vector<Factor> factors;
  std::size_t at = 0;
  const auto skip = [&](const char* these) {
    const std::size_t start = at;
    at = std::min(text.find_first_not_of(these, at), text.size());
    return text.substr(start, at - start);
  };
  constexpr const char* kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (skip(" \t\n,"); at < text.size(); skip(" \t\n,")) {
    Factor factor;
    factor.name = skip(kLetters);
    skip(" \t");
    factor.relation = skip("=<>");
    skip(" \t");
    const std::string digits = skip("0123456789");
    if (factor.relation.empty()) factor.relation = "=";
    const bool good = factor.relation == "=" || factor.relation == "==" || factor.relation == "<=" ||
                      factor.relation == "<" || factor.relation == ">" || factor.relation == ">=";
    if (factor.name.empty() || digits.empty() || digits.size() > 10 || !good) {
      fail(ErrorId::kSyntax, "{}: found {}, expected factors such as \"C=4 K=16\"", json.where(),
           shown(json));
    }
    factor.value = std::stoll(digits);
    if (at + 1 < text.size() && text[at] == ',' && std::isdigit(static_cast<unsigned char>(text[at + 1]))) {
      ++at;
      const std::int64_t last = std::stoll(skip("0123456789").substr(0, 10));
      if (last < 1 || last > factor.value) {
        fail(ErrorId::kValue, "{}: found {}, expected of C=4,2 a last run of 1 to 4 iterations", json.where(),
             shown(json));
      }
      factor.last = last < factor.value ? last : 0;
    }
    factors.push_back(std::move(factor));
  }
  return factors;
}

std::vector<std::string> permutation_of(const JsonInput& json) {
  std::vector<std::string> names;
  for (const std::string& word : words_of(json)) {
    for (const char letter : word) names.emplace_back(1, letter);
  }
  return names;
}

}  // namespace dosa::timeloop
