#include "dosa/core/explain/explain.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "dosa/core/explain/priced.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

/// Less than this is no reason: rounded up cycles, a partial vector.
constexpr double kNoticed = 1.005;
/// Words of DRAM beyond the compulsory ones by this factor are worth a word; so is a buffer filled by this
/// much then.
constexpr double kRefetched = 1.05, kFull = 0.9;

constexpr const char* kCompute = "compute";
constexpr const char* kOverhead = "overhead";

/// The tensor of a level that has most of something.
template <typename Of>
Operand most(const LevelBreakdown& level, const Of& of) {
  Operand best = Operand::W;
  double value = -1;
  for (const Operand operand : all_operands()) {
    const auto o = static_cast<std::size_t>(operand);
    if (level.holds[o] && of(operand, level.tensors[o]) > value) {
      value = of(operand, level.tensors[o]);
      best = operand;
    }
  }
  return best;
}

Bound bound_of(const Breakdown& layer) {
  const LevelBreakdown& dram = layer.levels.back();
  const auto words = [](Operand, const TensorAccesses& tensor) { return tensor.words(); };
  if (layer.dominated_by == "load") {
    return {dram.name, most(dram, [](Operand operand, const TensorAccesses& tensor) {
              return operand == Operand::O ? -1 : tensor.reads;
            })};
  }
  if (layer.dominated_by == "store") return {dram.name, Operand::O};
  if (layer.dominated_by == "overhead") return {kOverhead, std::nullopt};
  if (layer.dominated_by == "execute") return {kCompute, std::nullopt};
  const LevelBreakdown* slowest = nullptr;
  for (const LevelBreakdown& level : layer.levels) {
    if (level.cycles > layer.compute_cycles && (slowest == nullptr || level.cycles > slowest->cycles))
      slowest = &level;
  }
  if (slowest == nullptr) return {kCompute, std::nullopt};
  const bool timed = std::any_of(slowest->tensors.begin(), slowest->tensors.end(),
                                 [](const TensorAccesses& tensor) { return tensor.cycles > 0; });
  if (!timed) return {slowest->name, most(*slowest, words)};
  return {slowest->name, most(*slowest, [](Operand, const TensorAccesses& tensor) { return tensor.cycles; })};
}

std::string text_of(const AxisUse& axis, const Layer& layer) {
  if (axis.dims.empty()) return fmt::format("nothing spread over the {:.4g} of {}", axis.size, axis.where);
  const auto dim = axis.dims.size() == 1 ? dim_from_name(axis.dims.front()) : std::nullopt;
  const auto size = dim ? static_cast<double>(layer[*dim]) : 0;
  if (dim && size > axis.used * kNoticed)
    return fmt::format("{} {:.0f} in parts of {:.4g} on {:.4g}", axis.dims, size, axis.used, axis.size);
  return fmt::format("{} fills {:.4g} of {:.4g}", axis.dims, axis.used, axis.size);
}

std::vector<Reason> reasons_of(const LayerAnalysis& analysis) {
  const Breakdown& layer = analysis.breakdown;
  std::vector<Reason> reasons;
  const auto add = [&](Reason::Kind kind, double factor, const std::string& text) {
    if (factor > kNoticed && !text.empty()) reasons.push_back({kind, factor, text});
  };
  add(Reason::Kind::kPadding, 1 / analysis.utilisation.unpadded, "pads " + layer.padding);
  std::string unused;
  for (const AxisUse& axis : layer.axes) {
    if (axis.used * kNoticed < axis.size)
      unused += (unused.empty() ? "" : ", ") + text_of(axis, analysis.layer);
  }
  add(Reason::Kind::kSpread, 1 / analysis.utilisation.spread, unused);
  const double waits = 1 / analysis.utilisation.busy;
  const Bound& bound = analysis.bound;
  if (bound.tensor) {
    add(Reason::Kind::kBandwidth, waits,
        fmt::format("waits for {}, mostly {}", bound.by,
                    kOperandNames[static_cast<std::size_t>(*bound.tensor)]));
  } else {
    add(Reason::Kind::kOverhead, waits,
        bound.by == kOverhead ? "overhead of calls and tiles"
                              : "instructions take longer than their MACs alone");
  }
  const LevelBreakdown& dram = layer.levels.back();
  std::string moved;
  for (const Operand operand : all_operands()) {
    const auto o = static_cast<std::size_t>(operand);
    const double times = dram.tensors[o].words() / layer.compulsory_words[o];
    if (times > kRefetched)
      moved += fmt::format("{}{} {:.3g}x", moved.empty() ? "DRAM moves " : ", ", kOperandNames[o], times);
  }
  const double refetched = analysis.dram_words / analysis.compulsory_words;
  if (refetched < kRefetched) moved.clear();
  add(Reason::Kind::kRefetch, refetched, moved);
  for (std::size_t l = layer.levels.size() - 1; l-- > 0 && !moved.empty();) {
    const LevelBreakdown& level = layer.levels[l];
    if (level.fill() >= kFull) {
      add(Reason::Kind::kFullBuffer, refetched,
          fmt::format("{} {:.0f} % full", level.name, 100 * level.fill()));
      break;
    }
  }
  const auto is_of_words = [](const Reason& reason) {
    return reason.kind == Reason::Kind::kRefetch || reason.kind == Reason::Kind::kFullBuffer;
  };
  std::stable_sort(reasons.begin(), reasons.end(), [&](const Reason& a, const Reason& b) {
    if (is_of_words(a) != is_of_words(b)) return is_of_words(b);
    return a.factor > b.factor;
  });
  return reasons;
}

std::vector<EnergyShare> shares_of(std::vector<EnergyShare> parts, double total) {
  for (EnergyShare& part : parts) part.share = total > 0 ? part.energy_uj / total : 0;
  std::stable_sort(parts.begin(), parts.end(),
                   [](const EnergyShare& a, const EnergyShare& b) { return a.energy_uj > b.energy_uj; });
  return parts;
}

std::vector<EnergyShare> energy_of(const Breakdown& layer, double groups) {
  std::vector<EnergyShare> parts{{"", std::nullopt, layer.mac_energy_uj * groups, 0}};
  for (const LevelBreakdown& level : layer.levels) {
    for (const Operand operand : all_operands()) {
      const auto o = static_cast<std::size_t>(operand);
      if (level.holds[o]) parts.push_back({level.name, operand, level.tensors[o].energy_uj * groups, 0});
    }
  }
  return shares_of(std::move(parts), layer.energy_uj * groups);
}

/// Sums of the layers, each times its count.
void add_totals(DesignAnalysis& analysis) {
  double macs = 0, executed = 0, working = 0, built = 0, cycles = 0;
  std::map<std::pair<std::string, int>, EnergyShare> energy;
  std::map<std::string, DesignAnalysis::CyclesShare> bounds;
  for (const LayerAnalysis& layer : analysis.layers) {
    const auto count = static_cast<double>(layer.layer.count);
    const double runs = count * static_cast<double>(layer.layer.groups);
    macs += runs * static_cast<double>(layer.layer.macs());
    executed += runs * layer.breakdown.macs;
    working += runs * layer.breakdown.compute_cycles * layer.breakdown.multipliers;
    built += count * layer.cycles * layer.breakdown.multipliers;
    cycles += count * layer.cycles;
    analysis.compute_bound_cycles += count * layer.compute_bound_cycles;
    analysis.traffic_bound_cycles += count * layer.traffic_bound_cycles;
    analysis.bound_cycles += count * std::max(layer.compute_bound_cycles, layer.traffic_bound_cycles);
    analysis.dram_words += count * layer.dram_words;
    analysis.compulsory_words += count * layer.compulsory_words;
    for (const EnergyShare& share : layer.energy) {
      EnergyShare& sum = energy[{share.level, share.tensor ? static_cast<int>(*share.tensor) : -1}];
      sum.level = share.level;
      sum.tensor = share.tensor;
      sum.energy_uj += count * share.energy_uj;
    }
    DesignAnalysis::CyclesShare& bound = bounds[layer.bound.text()];
    bound.bound = layer.bound;
    bound.share += count * layer.cycles;
  }
  analysis.utilisation = {macs / executed, executed / working, working / built};
  std::vector<EnergyShare> parts;
  for (auto& [key, share] : energy) parts.push_back(share);
  analysis.energy = shares_of(std::move(parts), analysis.design.totals.energy_uj);
  for (auto& [key, bound] : bounds) {
    bound.share /= cycles;
    analysis.bounds.push_back(bound);
  }
  std::stable_sort(analysis.bounds.begin(), analysis.bounds.end(),
                   [](const auto& a, const auto& b) { return a.share > b.share; });
}

}  // namespace

std::string Bound::text() const {
  return tensor ? fmt::format("{} {}", by, kOperandNames[static_cast<std::size_t>(*tensor)]) : by;
}

std::string EnergyShare::text() const {
  return tensor ? fmt::format("{} {}", level, kOperandNames[static_cast<std::size_t>(*tensor)]) : "MACs";
}

const char* to_string(Reason::Kind kind) {
  switch (kind) {
    case Reason::Kind::kPadding:
      return "padding";
    case Reason::Kind::kSpread:
      return "spread";
    case Reason::Kind::kBandwidth:
      return "bandwidth";
    case Reason::Kind::kOverhead:
      return "overhead";
    case Reason::Kind::kRefetch:
      return "refetch";
    default:
      return "full-buffer";
  }
}

double LayerAnalysis::over_bound() const {
  return cycles / std::max(compute_bound_cycles, traffic_bound_cycles);
}

namespace {

std::vector<LayerAnalysis> analyse_layers(const Design& design, const PricedSchedules& priced) {
  std::vector<LayerAnalysis> layers;
  for (std::size_t i = 0; i < design.layers.size(); ++i) {
    const DesignLayer& entry = design.layers[i];
    const Breakdown& breakdown = priced.breakdowns()[i];
    const auto count = static_cast<double>(entry.layer.count);
    const auto groups = static_cast<double>(entry.layer.groups);
    const auto macs = static_cast<double>(entry.layer.macs());
    LayerAnalysis layer;
    layer.layer = entry.layer;
    layer.schedule = entry.schedule->text();
    layer.breakdown = breakdown;
    layer.cycles = entry.costs.cycles;
    layer.energy_uj = entry.costs.energy_uj;
    layer.share_of_cycles = count * layer.cycles / design.totals.cycles;
    layer.share_of_energy = count * layer.energy_uj / design.totals.energy_uj;
    layer.share_of_edp = (layer.share_of_cycles + layer.share_of_energy) / 2;
    layer.utilisation = {macs / breakdown.macs,
                         breakdown.macs / (breakdown.compute_cycles * breakdown.multipliers),
                         breakdown.compute_cycles / breakdown.cycles};
    layer.bound = bound_of(breakdown);
    layer.compute_bound_cycles = groups * macs / breakdown.multipliers;
    layer.traffic_bound_cycles = groups * breakdown.compulsory_cycles;
    for (const Operand operand : all_operands()) {
      const auto o = static_cast<std::size_t>(operand);
      layer.dram_words += groups * breakdown.levels.back().tensors[o].words();
      layer.compulsory_words += groups * breakdown.compulsory_words[o];
    }
    layer.energy = energy_of(breakdown, groups);
    layer.reasons = reasons_of(layer);
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::unique_ptr<PricedSchedules> price(const Design& design, const Target& target) {
  return target.price(layers_of(design), schedules_of(design), design.hardware);
}

}  // namespace

std::vector<LayerAnalysis> analyse_layers(const Design& design, const Target& target) {
  return analyse_layers(design, *price(design, target));
}

DesignAnalysis analyse(Design design, const Target& target) {
  evaluate(design, target);
  const std::unique_ptr<PricedSchedules> priced = price(design, target);
  DesignAnalysis analysis;
  analysis.layers = analyse_layers(design, *priced);
  analysis.sensitivities = sensitivities(design, *priced);
  analysis.design = std::move(design);
  add_totals(analysis);
  return analysis;
}

}  // namespace dosa
