// ZigZag's workloads: a YAML list of layers, each with the equation of its tensors, the sizes of its loops
// and how the inputs' axes slide (zigzag/parser/workload_validator.py).
#include <algorithm>
#include <cctype>
#include <map>

#include "dosa/core/import/importer.hpp"
#include "dosa/core/import/layer_list.hpp"
#include "dosa/core/import/timeloop/problem.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

/// A tensor of an equation: "W[k][c][fy][fx]".
struct Term {
  std::string name;
  std::vector<std::string> axes;
};

/// The tensors of "O[b][k] += W[k][c] * I[b][c]", the written one first.
std::vector<Term> terms_of(const JsonInput& equation) {
  const std::string text = equation.text();
  std::vector<Term> terms;
  for (std::size_t at = 0; at < text.size();) {
    if (std::isalpha(static_cast<unsigned char>(text[at])) == 0) {
      ++at;
      continue;
    }
    Term term;
    while (at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0)
      term.name += text[at++];
    while (at < text.size() && text[at] == '[') {
      const std::size_t end = text.find(']', at);
      if (end == std::string::npos) fail(ErrorId::kSyntax, "{}: found '[' without ']'", equation.where());
      if (end > at + 1) term.axes.push_back(upper(text.substr(at + 1, end - at - 1)));
      at = end + 1;
    }
    terms.push_back(std::move(term));
  }
  if (terms.size() != 3) {
    fail(ErrorId::kSyntax, "{}: found {} tensors, expected O[...] += W[...] * I[...]", equation.where(),
         terms.size());
  }
  return terms;
}

/// A sliding axis: "ix = 2 * ox + 1 * fx".
struct Relation {
  std::string axis;
  struct Part {
    std::string loop;
    std::int64_t coefficient = 1;
  };
  std::vector<Part> parts;
};

Relation relation_of(const JsonInput& json) {
  std::string text;
  for (const char c : json.text()) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0) text += c;
  }
  const auto wrong = [&] {
    fail(ErrorId::kSyntax, "{}: found '{}', expected a relation such as ix=2*ox+1*fx", json.where(),
         json.text());
  };
  Relation relation;
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) wrong();
  relation.axis = upper(text.substr(0, equals));
  for (std::size_t start = equals + 1; start <= text.size();) {
    const std::size_t end = std::min(text.find('+', start), text.size());
    std::string term = text.substr(start, end - start);
    Relation::Part part;
    if (const std::size_t times = term.find('*'); times != std::string::npos) {
      const std::string digits = term.substr(0, times);
      if (digits.empty() || digits.size() > 6 || digits.find_first_not_of("0123456789") != std::string::npos)
        wrong();
      part.coefficient = std::stoll(digits);
      term = term.substr(times + 1);
    }
    if (term.empty() || part.coefficient < 1 || part.coefficient > kMaxStep) wrong();
    part.loop = upper(term);
    relation.parts.push_back(std::move(part));
    start = end + 1;
  }
  if (relation.parts.size() != 2) wrong();
  return relation;
}

/// One layer as a Timeloop problem, which says the same with other words; the reader of those knows which
/// loop is which of a convolution's.
class ProblemOfLayer {
 public:
  explicit ProblemOfLayer(const JsonInput& layer) : layer_(layer) {
    const auto dims = layer.at("loop_dims").items();
    const auto sizes = layer.at("loop_sizes").items();
    if (dims.size() != sizes.size() || dims.empty() || dims.size() > 26) {
      fail(ErrorId::kValue, "{}: found {} sizes of {} loops, expected as many, at most 26",
           layer.at("loop_sizes").where(), sizes.size(), dims.size());
    }
    for (std::size_t i = 0; i < dims.size(); ++i) {
      const std::string letter = letter_of(upper(dims[i].text()), i);
      if (!letters_.emplace(upper(dims[i].text()), letter).second)
        fail(ErrorId::kValue, "{}: found a loop a second time", dims[i].where());
      names_.push_back(letter);
      instance_[letter] = sizes[i].integer(1, kMaxDim);
    }
    if (const auto relations = layer.find("dimension_relations")) {
      for (const JsonInput& item : relations->items()) relations_.push_back(relation_of(item));
    }
  }

  Json problem() {
    const JsonInput equation = layer_.at("equation");
    std::vector<Term> terms = terms_of(equation);
    Json spaces = Json::array();
    for (std::size_t t = 0; t < terms.size(); ++t) {
      Json projection = Json::array();
      for (const std::string& axis : terms[t].axes) projection.push_back(axis_of(axis, equation.where()));
      Json space{{"name", t == 0                 ? "Outputs"
                          : terms[t].name == "W" ? "Weights"
                                                 : "Inputs"},
                 {"projection", std::move(projection)}};
      if (t == 0) space["read-write"] = true;
      spaces.push_back(std::move(space));
    }
    Json shape{{"dimensions", names_}, {"coefficients", coefficients_}, {"data-spaces", std::move(spaces)}};
    return {{"shape", std::move(shape)}, {"instance", instance_}};
  }

 private:
  /// A dimension's name in a problem is one letter: that of the loop where it is one of a convolution's.
  static std::string letter_of(const std::string& loop, std::size_t place) {
    static const std::map<std::string, std::string> known{{"B", "N"},  {"K", "K"},  {"C", "C"}, {"OX", "P"},
                                                          {"OY", "Q"}, {"FX", "R"}, {"FY", "S"}};
    const auto own = known.find(loop);
    return own != known.end() ? own->second : std::string(1, "ABDEFGHIJLMOTUVWXYZabdefgh"[place]);
  }

  Json axis_of(const std::string& axis, const std::string& where) {
    if (const auto letter = letters_.find(axis); letter != letters_.end())
      return Json::array({Json::array({letter->second})});
    for (const Relation& relation : relations_) {
      if (relation.axis != axis) continue;
      Json sum = Json::array();
      for (const Relation::Part& part : relation.parts) {
        const auto letter = letters_.find(part.loop);
        if (letter == letters_.end()) break;
        Json term = Json::array({letter->second});
        if (part.coefficient != 1) {
          const std::string name = fmt::format("step{}", coefficients_.size());
          coefficients_.push_back({{"name", name}, {"default", part.coefficient}});
          term.push_back(name);
        }
        sum.push_back(std::move(term));
      }
      if (sum.size() == relation.parts.size()) return sum;
    }
    fail(ErrorId::kValue, "{}: found the axis {}, expected a loop or an axis of dimension_relations", where,
         axis);
  }

  const JsonInput& layer_;
  std::map<std::string, std::string> letters_;  ///< loop -> letter
  std::vector<std::string> names_;
  std::vector<Relation> relations_;
  Json instance_ = Json::object(), coefficients_ = Json::array();
};

class ZigzagImporter : public Importer {
 public:
  const char* name() const override { return "zigzag"; }
  const char* kind() const override { return "a ZigZag workload"; }
  const char* description() const override {
    return "ZigZag workload, YAML list of layers with operator_type, equation, loop_dims and loop_sizes";
  }

  bool knows(const ImportSource& source) const override {
    const std::string start = source.content.substr(0, kStart);
    return start.find("loop_dims") != std::string::npos && start.find("equation") != std::string::npos;
  }

  Imported read(const std::vector<ImportSource>& sources, const ImportOptions& options) const override {
    Imported imported;
    LayerList list;
    for (const ImportSource& source : sources) {
      const JsonInput root = JsonInput::from_yaml(source.content, source.path);
      for (const JsonInput& item : root.items()) add(item, list, imported.remarks);
    }
    if (list.empty())
      fail(ErrorId::kValue, "{}: found no layer, expected at least one", sources.front().path);
    const std::string name = !options.name.empty() ? options.name : stem_of_path(sources.front().path);
    imported.workload = workload_of(list, name, "Imported from a ZigZag workload.");
    return imported;
  }

 private:
  static void add(const JsonInput& item, LayerList& list, std::vector<std::string>& remarks) {
    const std::string type = item.at("operator_type").text();
    const auto name = item.find("name");
    const std::string layer_name = name && name->is_text() ? name->text()
                                   : item.find("id")
                                       ? fmt::format("layer{}", item.at("id").integer(0, kMaxDim))
                                       : std::string();
    const std::string lower = timeloop::lower_case(type);
    if (lower == "add" || lower == "max" || lower.find("pool") != std::string::npos) {
      remarks.push_back(
          fmt::format("{}: {}: {}: left out, it is no product", item.where(), layer_name, type));
      return;
    }
    const JsonInput problem = JsonInput::from_text(ProblemOfLayer(item).problem().dump(), item.where());
    Layer layer =
        timeloop::layer_of_problem(problem, timeloop::shape_of_problem(problem), layer_name, remarks);
    if (const auto padding = item.find("padding")) pad(layer, *padding, item);
    list.add(std::move(layer), item.where());
  }

  /// The padding of each of pr_loop_dims: [before, after].
  static void pad(Layer& layer, const JsonInput& padding, const JsonInput& item) {
    const auto axes = item.at("pr_loop_dims").items();
    const auto pairs = padding.items();
    if (axes.size() != pairs.size()) {
      fail(ErrorId::kValue, "{}: found {} pairs for {} axes, expected as many", padding.where(), pairs.size(),
           axes.size());
    }
    Sides sides;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const auto pair = pairs[i].items();
      if (pair.size() != 2) fail(ErrorId::kValue, "{}: expected two numbers", pairs[i].where());
      const std::int64_t before = pair[0].integer(0, kMaxStep), after = pair[1].integer(0, kMaxStep);
      const std::string axis = upper(axes[i].text());
      if (axis == "IX") {
        sides.left = before;
        sides.right = after;
      } else if (axis == "IY") {
        sides.top = before;
        sides.bottom = after;
      } else if (before != 0 || after != 0) {
        fail(ErrorId::kValue, "{}: found padding of {}, expected it of IX and IY", pairs[i].where(), axis);
      }
    }
    layer.pad(sides);
  }
};

}  // namespace

const Importer& zigzag_importer() {
  static const ZigzagImporter importer;
  return importer;
}

}  // namespace dosa
