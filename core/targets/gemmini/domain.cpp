#include "dosa/core/targets/gemmini/domain.hpp"

#include <algorithm>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

constexpr std::array<const char*, 2> kCalls{"convolution", "matrix product"};
constexpr std::size_t kArray = 0, kKernel = 1, kStride = 2;  // among the quantities
constexpr std::int64_t kMostQuantity = std::int64_t{1} << 53;

const char* call_of(const LayerRun& run) { return kCalls[run.matmul ? 1 : 0]; }

}  // namespace

Json to_json(const OutsideMeasured& outside) {
  return {{"unlike", outside.unlike}, {"larger", outside.larger}};
}

std::string text_of(const std::vector<OutsideMeasured>& layers) {
  std::map<std::string, std::vector<std::string>> unlike;  // names of layers by what was not measured of them
  std::size_t larger = 0;
  for (const OutsideMeasured& outside : layers) {
    if (!outside.unlike.empty()) {
      unlike[fmt::format("{}", fmt::join(outside.unlike, ", "))].push_back(outside.layer);
    } else {
      larger += outside.any();
    }
  }
  std::string text;
  for (const auto& [what, names] : unlike) {
    const std::string more = names.size() > 1 ? fmt::format(" and {} more", names.size() - 1) : "";
    text += fmt::format("unlike any layer measured, cycles may be off by 2x: {}{}:\n  {}\n", names.front(),
                        more, what);
  }
  if (larger > 0) {
    text += fmt::format("larger than any layer measured: {} of {} (--json names what)\n", larger,
                        counted(layers.size(), "layer"));
  }
  return text;
}

const std::array<const char*, MeasuredDomain::kQuantities> MeasuredDomain::kNames{
    "pe_dim", "kernel", "stride", "input_channels", "output_channels", "width", "height", "batch"};

// A matrix product has all its rows in P.
std::array<std::int64_t, MeasuredDomain::kQuantities> MeasuredDomain::quantities_of(const LayerRun& run,
                                                                                    std::int64_t pe_dim) {
  const Layer& layer = run.layer;
  return {pe_dim,
          std::max(layer[Dim::R], layer[Dim::S]),
          std::max(layer.wstride, layer.hstride),
          layer[Dim::C],
          layer[Dim::K],
          layer[Dim::P],
          layer[Dim::Q],
          layer[Dim::N]};
}

void MeasuredDomain::add(const LayerRun& run, std::int64_t pe_dim) {
  const auto quantities = quantities_of(run, pe_dim);
  const auto [found, is_new] = calls_.try_emplace(call_of(run));
  for (std::size_t q = 0; q < quantities.size(); ++q) {
    Range& range = found->second[q];
    if (is_new) range = {quantities[q], quantities[q]};
    range = {std::min(range.least, quantities[q]), std::max(range.most, quantities[q])};
  }
}

OutsideMeasured MeasuredDomain::outside(const LayerRun& run, std::int64_t pe_dim) const {
  const auto found = calls_.find(call_of(run));
  if (found == calls_.end()) {
    fail(ErrorId::kValue, "layer {}: it runs as a {}, of which the surrogate's measurements hold none",
         run.layer.name, call_of(run));
  }
  OutsideMeasured outside;
  outside.layer = run.layer.name;
  const auto quantities = quantities_of(run, pe_dim);
  for (std::size_t q = 0; q < quantities.size(); ++q) {
    const Range& range = found->second[q];
    const bool less = quantities[q] < range.least;
    if (!less && quantities[q] <= range.most) continue;
    const bool unlike = less || q == kArray || q == kKernel || q == kStride;
    (unlike ? outside.unlike : outside.larger)
        .push_back(
            fmt::format("{} {} (measured: {} to {})", kNames[q], quantities[q], range.least, range.most));
  }
  return outside;
}

Json MeasuredDomain::json() const {
  Json json = Json::object();
  for (const auto& [call, ranges] : calls_) {
    for (std::size_t q = 0; q < ranges.size(); ++q) json[call][kNames[q]] = {ranges[q].least, ranges[q].most};
  }
  return json;
}

MeasuredDomain MeasuredDomain::from_json(const JsonInput& json) {
  json.allow_only({kCalls[0], kCalls[1]});
  MeasuredDomain domain;
  for (const char* call : kCalls) {
    const auto ranges = json.find(call);
    if (!ranges) continue;
    ranges->allow_only(std::vector<const char*>(kNames.begin(), kNames.end()));
    for (std::size_t q = 0; q < kNames.size(); ++q) {
      const std::vector<JsonInput> ends = ranges->at(kNames[q]).items();
      if (ends.size() != 2) {
        fail(ErrorId::kSchema, "{}: found {} numbers, expected the least and the most",
             ranges->at(kNames[q]).where(), ends.size());
      }
      const std::int64_t least = ends[0].integer(0, kMostQuantity);
      domain.calls_[call][q] = {least, ends[1].integer(least, kMostQuantity)};
    }
  }
  return domain;
}

}  // namespace dosa
