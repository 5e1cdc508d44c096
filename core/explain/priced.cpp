#include "dosa/core/explain/priced.hpp"

#include <algorithm>

#include "dosa/models/base/error.hpp"

namespace dosa {

using torch::Tensor;

namespace {

/// Numbers in the order of numbers_of(): those that vary, and are not 0, from a tensor, the others as they
/// are.
class FromTensor {
 public:
  FromTensor(const Tensor& values, const Varies& varies) : values_(values.unbind(0)), varies_(varies) {}

  Tensor operator()(const MachineNumber& number) const {
    if (!counts(number, varies_)) return torch::scalar_tensor(number.value, torch::kFloat64);
    return values_.at(next_++);
  }
  static bool counts(const MachineNumber& number, const Varies& varies) {
    return number.kind != NumberKind::kConstant && number.value != 0 && (!varies || varies(number));
  }

 private:
  std::vector<Tensor> values_;
  const Varies& varies_;
  mutable std::size_t next_ = 0;
};

/// The same numbers as a list.
class IntoList {
 public:
  IntoList(std::vector<MachineNumber>& list, const Varies& varies) : list_(list), varies_(varies) {}
  double operator()(const MachineNumber& number) const {
    if (FromTensor::counts(number, varies_)) list_.push_back(number);
    return number.value;
  }

 private:
  std::vector<MachineNumber>& list_;
  const Varies& varies_;
};

/// What `read` makes of the sizes of a hardware.
template <typename Read>
auto sizes_of(const Machine& machine, const Hardware& hardware, const Read& read) {
  std::vector<decltype(read(MachineNumber{}))> sizes;
  for (std::size_t p = 0; p < machine.parameters.size(); ++p) {
    const Parameter& parameter = machine.parameters[p];
    sizes.push_back(read(MachineNumber{NumberKind::kParameter, static_cast<double>(hardware[p]),
                                       parameter.name, parameter.unit}));
  }
  return sizes;
}

/// A result for every layer, [layers], [layers, 1] or the same for all, as numbers; zeros where undefined.
std::vector<double> of_layers(const Tensor& result, std::size_t layers) {
  if (!result.defined()) return std::vector<double>(layers, 0);
  const auto count = static_cast<std::int64_t>(layers);
  const Tensor flat = result.dim() == 0 ? result : result.flatten();
  const Tensor numbers = flat.expand({count}).to(torch::kFloat64).contiguous();
  return {numbers.data_ptr<double>(), numbers.data_ptr<double>() + count};
}

/// The traffic of one operand alone.
template <typename AnyTraffic>
AnyTraffic of_operand(const AnyTraffic& traffic, Operand operand) {
  AnyTraffic alone = traffic;
  for (auto& level : alone.accesses) {
    for (const Operand other : all_operands()) {
      if (other != operand) level[static_cast<std::size_t>(other)] = {};
    }
  }
  return alone;
}

/// "P 197 as 203, C 3 as 4"; empty where nothing is padded.
std::string padding_of(const Layer& layer, const Mapping& mapping) {
  const Layer padded = mapping.padded(layer);
  std::string text;
  for (const Dim dim : all_dims()) {
    if (padded[dim] == layer[dim]) continue;
    text += fmt::format("{}{} {} as {}", text.empty() ? "" : ", ", name_of(dim), layer[dim], padded[dim]);
  }
  return text;
}

/// Energy of every tensor at every level, from the model's costs of it alone.
template <typename AnyCost>
void add_energy_of(Operand operand, const AnyCost& alone, std::vector<Breakdown>& breakdowns) {
  for (std::size_t l = 0; l < alone.level_energy_pj.size(); ++l) {
    const std::vector<double> energy = of_layers(alone.level_energy_pj[l], breakdowns.size());
    for (std::size_t i = 0; i < breakdowns.size(); ++i) {
      LevelBreakdown& level = breakdowns[i].levels[l];
      const auto o = static_cast<std::size_t>(operand);
      if (level.holds[o]) level.tensors[o].energy_uj = energy[i] * 1e-6;
    }
  }
}

/// What all machines have in common.
template <typename AnyTraffic, typename AnyCost>
void add_totals(const AnyTraffic& traffic, const AnyCost& cost, double mac_pj,
                std::vector<Breakdown>& breakdowns) {
  const std::size_t layers = breakdowns.size();
  const std::vector<double> cycles = of_layers(cost.cycles, layers),
                            energy = of_layers(cost.energy_pj, layers),
                            macs = of_layers(traffic.macs, layers),
                            compute = of_layers(traffic.compute_cycles, layers);
  for (std::size_t i = 0; i < layers; ++i) {
    Breakdown& layer = breakdowns[i];
    layer.cycles = cycles[i];
    layer.energy_uj = energy[i] * 1e-6;
    layer.macs = macs[i];
    layer.mac_energy_uj = macs[i] * mac_pj * 1e-6;
    layer.compute_cycles = compute[i];
  }
  for (std::size_t l = 0; l < cost.level_energy_pj.size(); ++l) {
    const std::vector<double> of_level = of_layers(cost.level_energy_pj[l], layers);
    for (std::size_t i = 0; i < layers; ++i) breakdowns[i].levels[l].energy_uj = of_level[i] * 1e-6;
  }
}

double pixels_once(std::int64_t outputs, std::int64_t filter, std::int64_t stride, std::int64_t dilation,
                   std::int64_t extent) {
  const bool gaps = stride > (filter - 1) * dilation + 1 || dilation > 1;
  return static_cast<double>(gaps ? std::min(outputs * filter, extent) : extent);
}

}  // namespace

std::array<double, kOperands> words_once(const Layer& layer, bool padded) {
  const auto product = [&](std::initializer_list<Dim> dims) {
    double words = 1;
    for (const Dim dim : dims) words *= static_cast<double>(layer[dim]);
    return words;
  };
  const double width = pixels_once(layer[Dim::P], layer[Dim::R], layer.wstride, layer.wdilation,
                                   padded ? layer.padded_width() : layer.input_width());
  const double height = pixels_once(layer[Dim::Q], layer[Dim::S], layer.hstride, layer.hdilation,
                                    padded ? layer.padded_height() : layer.input_height());
  return {product({Dim::R, Dim::S, Dim::C, Dim::K}), width * height * product({Dim::C, Dim::N}),
          product({Dim::P, Dim::Q, Dim::K, Dim::N})};
}

PricedArray::PricedArray(CostModel model, Traffic traffic, const ArraySizes& hardware,
                         const std::vector<Layer>& layers, Varies varies)
    : model_(std::move(model)),
      traffic_(std::move(traffic)),
      hardware_(hardware),
      varies_(std::move(varies)) {
  const torch::NoGradGuard no_gradients;
  const ArrayMachine& machine = model_.machine();
  const IntoList list(numbers_, varies_);
  sizes_of(machine, hardware_, list);
  numbers_of(machine, list);

  const HardwareTensors sizes = HardwareTensors::from(hardware_, torch::kFloat64);
  const auto pe_dim = static_cast<double>(hardware_.pe_dim);
  breakdowns_.resize(layers.size());
  double instances = 1;
  std::vector<LevelBreakdown> levels(machine.levels.size());
  for (int l = machine.dram(); l >= 0; --l) {
    const auto index = static_cast<std::size_t>(l);
    const MemoryLevel& memory = machine.levels[index];
    LevelBreakdown& level = levels[index];
    level.name = memory.name;
    level.label = machine.level_label(l);
    level.holds = memory.holds;
    level.instances = instances;
    if (memory.sized_by != SizedBy::kNothing) {
      level.capacity = static_cast<double>(capacity_kib(memory, hardware_)) / machine.buffering;
      level.size_unit = "KiB";
    }
    if (!letters_of(memory.spatial).empty()) instances *= pe_dim;
  }
  const std::optional<Quantity>& dram = machine.levels.back().words_per_cycle;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    Breakdown& layer = breakdowns_[i];
    layer.levels = levels;
    layer.multipliers = instances;
    layer.compulsory_words = words_once(layers[i], machine.rules != "gemmini");
    if (!dram) continue;
    for (const double words : layer.compulsory_words) layer.compulsory_cycles += words / dram->at(pe_dim);
  }
  add_totals(traffic_, model_.cost(traffic_, sizes, {}), machine.mac_energy_pj, breakdowns_);
  for (const Operand operand : all_operands())
    add_energy_of(operand, model_.cost(of_operand(traffic_, operand), sizes, {}), breakdowns_);
  for (int l = 0; l <= machine.dram(); ++l) {
    const auto index = static_cast<std::size_t>(l);
    const MemoryLevel& memory = machine.levels[index];
    const std::vector<double> used = of_layers(traffic_.instances[index], layers.size());
    std::vector<double> need(layers.size(), 0);
    if (memory.sized_by != SizedBy::kNothing)
      need = of_layers(traffic_.need_kib(memory, l, sizes.pe_dim), layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i) {
      breakdowns_[i].levels[index].used_instances = used[i];
      breakdowns_[i].levels[index].used = need[i];
    }
    for (const Operand operand : all_operands()) {
      const auto o = static_cast<std::size_t>(operand);
      const Accesses& accesses = traffic_.accesses[index][o];
      const std::vector<double> reads = of_layers(accesses.reads, layers.size()),
                                writes = of_layers(accesses.writes, layers.size()),
                                updates = of_layers(accesses.updates, layers.size()),
                                at_once = of_layers(accesses.if_all_move_the_most(), layers.size());
      for (std::size_t i = 0; i < layers.size(); ++i) {
        LevelBreakdown& level = breakdowns_[i].levels[index];
        TensorAccesses& tensor = level.tensors[o];
        tensor.reads = reads[i];
        tensor.writes = writes[i];
        tensor.updates = updates[i];
        if (!memory.words_per_cycle) continue;
        tensor.cycles = at_once[i] / (used[i] * memory.words_per_cycle->at(pe_dim));
        level.cycles += tensor.cycles;
      }
    }
  }
}

PricedCosts PricedArray::at(const Tensor& values) const {
  const FromTensor read(values, varies_);
  const std::vector<Tensor> sizes = sizes_of(model_.machine(), hardware_, read);
  const ArrayNumbers<Tensor> numbers = numbers_of(model_.machine(), read);
  const Cost cost =
      model_.cost(traffic_, {sizes[kPeParameter], sizes[kScratchpadParameter], sizes[kAccumulatorParameter]},
                  {}, numbers);
  const auto layers = static_cast<std::int64_t>(breakdowns_.size());
  return {cost.cycles.flatten().expand({layers}),
          cost.energy_pj.flatten().expand({layers}),
          numbers.area.mm2(sizes[kPeParameter], sizes[kScratchpadParameter], sizes[kAccumulatorParameter]),
          {}};
}

std::int64_t PricedArray::place_of(const std::string& name) const {
  const auto found = std::find_if(numbers_.begin(), numbers_.end(),
                                  [&](const MachineNumber& number) { return number.name == name; });
  return found == numbers_.end() ? -1 : found - numbers_.begin();
}

namespace {

class PricedMappings : public PricedArray {
 public:
  PricedMappings(const CostModel& cost_model, Traffic traffic, const ArraySizes& hardware,
                 const std::vector<Layer>& layers, const std::vector<Mapping>& mappings)
      : PricedArray(cost_model, std::move(traffic), hardware, layers, {}) {
    const ArrayMachine& machine = model().machine();
    for (std::size_t i = 0; i < layers.size(); ++i) {
      breakdowns_[i].padding = padding_of(layers[i], mappings[i]);
      for (int l = machine.dram(); l >= 0; --l) {
        const MemoryLevel& memory = machine.levels[static_cast<std::size_t>(l)];
        const std::string dims = letters_of(memory.spatial);
        if (dims.empty()) continue;
        double used = 1;
        for (const Dim dim : all_dims()) used *= static_cast<double>(mappings[i].spatial(l, dim));
        breakdowns_[i].axes.push_back(
            {memory.name, used > 1 ? dims : "", static_cast<double>(hardware.pe_dim), used});
      }
    }
  }
};

class PricedOnChain : public PricedSchedules {
 public:
  PricedOnChain(const Chain& chain, const Hardware& hardware, const std::vector<Layer>& layers,
                const std::vector<Mapping>& mappings)
      : chain_(chain), hardware_(hardware), model_(chain.at(hardware)) {
    const torch::NoGradGuard no_gradients;
    const IntoList list(numbers_, every_);
    const std::vector<double> sizes = sizes_of(chain_, hardware_, list);
    numbers_of(chain_, sizes, list);
    traffic_ = model_.traffic_of(layers, mappings);
    break_down(layers, mappings);
  }

  PricedCosts at(const Tensor& values) const override {
    const FromTensor read(values, every_);
    const std::vector<Tensor> sizes = sizes_of(chain_, hardware_, read);
    const ChainNumbers<Tensor> numbers = numbers_of(chain_, sizes, read);
    const ChainCost cost = model_.cost(traffic_, {}, numbers);
    return {cost.cycles, cost.energy_pj, area_mm2(chain_, numbers), {}};
  }

 private:
  void break_down(const std::vector<Layer>& layers, const std::vector<Mapping>& mappings) {
    const Chain& built = model_.chain();
    breakdowns_.resize(layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i) {
      Breakdown& layer = breakdowns_[i];
      layer.padding = padding_of(layers[i], mappings[i]);
      layer.multipliers = static_cast<double>(built.instances(-1));
      layer.compulsory_words = words_once(layers[i], true);
      layer.compulsory_cycles = dram_cycles(layer.compulsory_words);
      for (int l = 0; l <= built.dram(); ++l) layer.levels.push_back(level_of(l, i));
      for (int l = built.dram(); l >= 0; --l) add_axes(l, mappings[i], layer.axes);
    }
    add_totals(traffic_, model_.cost(traffic_), built.mac_energy_pj, breakdowns_);
    for (const Operand operand : all_operands())
      add_energy_of(operand, model_.cost(of_operand(traffic_, operand)), breakdowns_);
  }

  LevelBreakdown level_of(int l, std::size_t layer) const {
    const Chain& built = model_.chain();
    const auto index = static_cast<std::size_t>(l);
    const ChainLevel& memory = built.levels[index];
    const auto row = static_cast<std::int64_t>(layer);
    LevelBreakdown level;
    level.name = memory.name;
    level.label = built.level_label(l);
    level.holds = memory.holds;
    level.instances = static_cast<double>(built.instances(l));
    level.used_instances = traffic_.used[index][row].item<double>();
    level.used = traffic_.need_words(l)[row].item<double>();
    level.size_unit = "words";
    if (memory.capacity_words) level.capacity = static_cast<double>(*memory.capacity_words);
    double read = 0, written = 0;  // by the instance that moves the most
    for (const Operand operand : all_operands()) {
      const auto o = static_cast<std::size_t>(operand);
      const ChainAccesses& accesses = traffic_.accesses[index][o];
      if (!accesses.reads.defined()) continue;
      const auto words = [&](const Tensor& kind) { return kind[row].item<double>(); };
      const double most_read = words(accesses.read_by_one()), most_written = words(accesses.written_by_one());
      level.tensors[o] = {
          words(accesses.reads) * level.used_instances, words(accesses.fills) * level.used_instances,
          words(accesses.updates) * level.used_instances, 0, port_cycles(memory, most_read, most_written)};
      read += most_read;
      written += most_written;
    }
    level.cycles = port_cycles(memory, read, written);
    return level;
  }

  /// Cycles in which a level moves words; 0 without a bandwidth.
  static double port_cycles(const ChainLevel& memory, double read, double written) {
    double cycles = 0;
    if (memory.read_words_per_cycle) cycles = std::max(cycles, read / *memory.read_words_per_cycle);
    if (memory.write_words_per_cycle) cycles = std::max(cycles, written / *memory.write_words_per_cycle);
    if (memory.words_per_cycle) cycles = std::max(cycles, (read + written) / *memory.words_per_cycle);
    return cycles;
  }

  void add_axes(int l, const Mapping& mapping, std::vector<AxisUse>& axes) const {
    const ChainLevel& memory = model_.chain().levels[static_cast<std::size_t>(l)];
    const LevelNest& nest = mapping.levels[static_cast<std::size_t>(l)];
    for (const MeshAxis axis : mesh_axes()) {
      const FanOut& built = memory.fan_out_on(axis);
      if (built.size == 1) continue;
      AxisUse use{fmt::format("{} {}", memory.name, name_of(axis)), "", static_cast<double>(built.size), 1};
      for (const Loop& loop : axis == MeshAxis::X ? nest.spatial : nest.spatial_y) {
        use.dims += name_of(loop.dim);
        use.used *= static_cast<double>(loop.factor);
      }
      axes.push_back(std::move(use));
    }
  }

  /// Cycles of DRAM for these words: outputs are written, the rest is read.
  double dram_cycles(const std::array<double, kOperands>& words) const {
    return port_cycles(
        model_.chain().levels.back(),
        words[static_cast<std::size_t>(Operand::W)] + words[static_cast<std::size_t>(Operand::I)],
        words[static_cast<std::size_t>(Operand::O)]);
  }

  Chain chain_;
  Hardware hardware_;
  ChainModel model_;  ///< of the chain with the hardware
  ChainTraffic traffic_;
  Varies every_;
};

}  // namespace

std::unique_ptr<PricedSchedules> priced_mappings(const CostModel& model, Traffic traffic,
                                                 const ArraySizes& hardware, const std::vector<Layer>& layers,
                                                 const std::vector<Mapping>& mappings) {
  return std::make_unique<PricedMappings>(model, std::move(traffic), hardware, layers, mappings);
}

std::unique_ptr<PricedSchedules> priced_on_chain(const Chain& chain, const Hardware& hardware,
                                                 const std::vector<Layer>& layers,
                                                 const std::vector<Mapping>& mappings) {
  return std::make_unique<PricedOnChain>(chain, hardware, layers, mappings);
}

}  // namespace dosa
