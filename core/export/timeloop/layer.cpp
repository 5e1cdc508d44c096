#include "dosa/core/export/timeloop/layer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "dosa/core/export/timeloop/yaml.hpp"
#include "dosa/core/import/timeloop/names.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::timeloop {
namespace {

/// Timeloop reads the factors of a mapping as 32-bit numbers.
constexpr std::int64_t kMostFactor = 0x7fffffff;

/// All seven factors of a level in time or in space, each with its last run where that is shorter ("P=7,3").
std::vector<std::string> factors_of(const Mapping& mapping, std::size_t level, bool in_space) {
  std::vector<std::string> factors;
  const auto l = static_cast<int>(level);
  for (const Dim d : all_dims()) {
    const std::int64_t factor = in_space ? mapping.spatial(l, d) : mapping.temporal(l, d);
    const std::int64_t last = mapping.last_run(l, in_space, d);
    if (factor > kMostFactor)
      fail(ErrorId::kValue, "found a factor {} of {}, Timeloop reads at most {}", factor, name_of(d),
           kMostFactor);
    factors.push_back(
        fmt::format("{}={}{}", name_of(d), factor, last < factor ? fmt::format(",{}", last) : ""));
  }
  return factors;
}

/// The permutation, innermost first: `inner`, then the dimensions that have no loop, then `outer`. Of a
/// dimension that has several loops the innermost one counts.
std::string order_of(const std::vector<Loop>& inner, const std::vector<Loop>& outer) {
  std::string order;
  const auto add = [&](char name) {
    if (order.find(name) == std::string::npos) order += name;
  };
  const auto has = [](const std::vector<Loop>& loops, Dim d) {
    return std::any_of(loops.begin(), loops.end(), [&](const Loop& loop) { return loop.dim == d; });
  };
  for (auto loop = inner.rbegin(); loop != inner.rend(); ++loop) add(name_of(loop->dim));
  for (const Dim d : all_dims()) {
    if (!has(inner, d) && !has(outer, d)) add(name_of(d));
  }
  for (auto loop = outer.rbegin(); loop != outer.rend(); ++loop) add(name_of(loop->dim));
  return order;
}

}  // namespace

std::string problem_file(const Layer& layer, Format format, const std::string& comment) {
  const auto terms = [](std::initializer_list<std::vector<const char*>> list) {
    Json axis = Json::array();
    for (const auto& term : list) axis.push_back(term);
    return axis;
  };
  const auto plain = [&](std::initializer_list<const char*> names) {
    Json projection = Json::array();
    for (const char* name : names) projection.push_back(terms({{name}}));
    return projection;
  };
  Json dimensions = Json::array(), coefficients = Json::array(), instance;
  for (const Dim d : all_dims()) {
    dimensions.push_back(std::string(1, name_of(d)));
    instance[std::string(1, name_of(d))] = layer[d];
  }
  for (std::size_t c = 0; c < kCoefficients.size(); ++c) {
    coefficients.push_back({{"name", kCoefficients[c]}, {"default", 1}});
    instance[kCoefficients[c]] = coefficients_of(layer)[c];
  }
  Json inputs = plain({"N", "C"});
  inputs.push_back(terms({{"R", "Wdilation"}, {"P", "Wstride"}}));
  inputs.push_back(terms({{"S", "Hdilation"}, {"Q", "Hstride"}}));
  const bool nodes = format == Format::kNodes;
  const char* const read_write = nodes ? "read_write" : "read-write";
  const Json spaces{
      {{"name", kDataSpaces[0]}, {"projection", plain({"C", "K", "R", "S"})}},
      {{"name", kDataSpaces[1]}, {"projection", inputs}},
      {{"name", kDataSpaces[2]}, {"projection", plain({"N", "K", "Q", "P"})}, {read_write, true}}};
  return yaml_of({{"problem",
                   {{"version", nodes ? "0.4" : "0.3"},
                    {"shape",
                     {{"name", "cnn-layer"},
                      {"dimensions", dimensions},
                      {"coefficients", coefficients},
                      {nodes ? "data_spaces" : "data-spaces", spaces}}},
                    {"instance", instance}}}},
                 comment);
}

std::string mapping_file(const Mapping& mapping, const DescribedMachine& machine, Format format) {
  const bool nodes = format == Format::kNodes;
  // Lists where the front-end wants them, texts where timeloop-model does.
  const auto factors = [&](std::size_t level, bool in_space) {
    const std::vector<std::string> list = factors_of(mapping, level, in_space);
    return nodes ? Json(list) : Json(fmt::format("{}", fmt::join(list, " ")));
  };
  const auto permutation = [&](const std::string& order) {
    if (!nodes) return Json(order);
    Json list = Json::array();
    for (const char dim : order) list.push_back(std::string(1, dim));
    return list;
  };
  Json directives = Json::array();
  for (std::size_t l = machine.chain.levels.size(); l-- > 0;) {
    const ChainLevel& level = machine.chain.levels[l];
    const LevelNest& nest = mapping.levels[l];
    directives.push_back({{"target", machine.names[l]},
                          {"type", "temporal"},
                          {"factors", factors(l, false)},
                          {"permutation", permutation(order_of({}, nest.temporal))}});
    if (level.children() > 1) {
      // Loops on X stand inside those on Y; the first `split` of the permutation are those on X.
      std::vector<Loop> loops = nest.spatial_y, x = nest.spatial, y = nest.spatial_y;
      loops.insert(loops.end(), nest.spatial.begin(), nest.spatial.end());
      if (machine.in_a_row[l]) {
        x = loops;
        y.clear();
      }
      const Spread spread = spread_of(machine, l);
      directives.push_back(
          {{"target", nodes ? children_name(machine.names[l]) : machine.names[l]},
           {"type", "spatial"},
           {"factors", factors(l, true)},
           {"permutation", permutation(spread.order.empty() ? order_of(x, y) : spread.order)},
           {"split", spread.split.value_or(kDims - static_cast<int>(y.size()))},
           {"no_link_transfer", kDataSpaces}});
    }
    Json bypass{{"target", machine.names[l]}, {"type", nodes ? "dataspace" : "bypass"}};
    for (const bool keep : {true, false}) {
      Json& names = bypass[keep ? "keep" : "bypass"] = Json::array();
      for (std::size_t o = 0; o < kOperands; ++o) {
        if (level.holds[o] == keep) names.push_back(kDataSpaces[o]);
      }
    }
    directives.push_back(std::move(bypass));
  }
  return yaml_of({{"mapping", std::move(directives)}});
}

}  // namespace dosa::timeloop
