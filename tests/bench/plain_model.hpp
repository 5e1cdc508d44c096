// The relaxed cost model once more, as a plain loop in C++ over one nest at a time: what the batched tensor
// operations are measured against. Not used by the program; the benchmark refuses to run when the two differ.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

class PlainModel {
 public:
  struct Result {
    float energy_pj, cycles;
  };

  PlainModel(ArrayMachine machine, std::vector<Slot> slots, std::vector<NestOrder> orders)
      : machine_(std::move(machine)), slots_(std::move(slots)), orders_(std::move(orders)) {
    for (int level = 0; level <= machine_.dram(); ++level) {
      for (const Operand operand : all_operands()) {
        if (machine_.levels[at(level)].holds_operand(operand)) add(level, operand);
      }
    }
  }

  /// One nest: log factors of the slots, the place of the order, the layer, the hardware.
  Result operator()(const float* x, std::size_t order, const Layer& layer, float pe_dim, float scratchpad_kib,
                    float accumulator_kib, float gate) const {
    const auto sum = [&](const std::vector<int>& members) {
      float total = 0;
      for (const int s : members) total += x[s];
      return total;
    };
    float all = 0, temporal = 0, output = 0;
    std::array<float, 8> instances_log{};
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      all += x[s];
      if (!slots_[s].spatial) temporal += x[s];
      if (relevant(Operand::O, slots_[s].dim)) output += x[s];
      for (int level = 0; slots_[s].spatial && level < slots_[s].level; ++level)
        instances_log[at(level)] += x[s];
    }
    const float macs = std::exp(all), compute = std::exp(temporal), outputs = std::exp(output);
    std::array<float, 8> words{};
    std::array<float, kOperands> inner_fill{};
    std::array<bool, kOperands> has_inner{};
    for (const Stay& stay : stays_) {
      const auto o = static_cast<std::size_t>(stay.operand);
      const float shared = sum(stay.shared);
      const float exchanged = has_inner[o]
                                  ? (stay.shared.empty() ? inner_fill[o] : inner_fill[o] / std::exp(shared))
                                  : std::exp(all - shared);
      words[at(stay.level)] += stay.operand == Operand::O ? 2 * exchanged - outputs : exchanged;
      if (stay.level == machine_.dram()) continue;
      const float fill = filled(stay, x, order, layer, gate);
      words[at(stay.level)] += fill;
      inner_fill[o] = fill;
      has_inner[o] = true;
    }
    Result result{macs * static_cast<float>(machine_.mac_energy_pj), compute};
    for (int level = 0; level <= machine_.dram(); ++level) {
      const MemoryLevel& memory = machine_.levels[at(level)];
      const double kib = memory.sized_by == SizedBy::kScratchpad ? scratchpad_kib : accumulator_kib;
      const double instance_kib = kib / memory.instances.at(static_cast<double>(pe_dim));
      const double word =
          memory.energy.pj_per_kib == 0
              ? memory.energy.pj
              : memory.energy.pj + memory.energy.pj_per_kib * (instance_kib - memory.energy.at_kib);
      result.energy_pj += words[at(level)] * static_cast<float>(word);
      if (!memory.words_per_cycle) continue;
      const auto rate = static_cast<float>(memory.words_per_cycle->at(static_cast<double>(pe_dim)));
      result.cycles = std::max(result.cycles, words[at(level)] / (std::exp(instances_log[at(level)]) * rate));
    }
    return result;
  }

 private:
  /// A loop outside a tile and the loops that count when they stand inside it, for every order.
  struct Gate {
    int slot;
    Dim dim;
    std::vector<std::vector<int>> inside;
  };
  /// An operand at a level.
  struct Stay {
    int level;
    Operand operand;
    std::vector<int> shared, product, p, q, r, s;
    std::vector<Gate> reuse, halos;
  };

  static std::size_t at(int level) { return static_cast<std::size_t>(level); }

  void add(int level, Operand operand) {
    Stay stay{level, operand, {}, {}, {}, {}, {}, {}, {}, {}};
    int inner = level - 1;
    while (inner >= 0 && !machine_.levels[at(inner)].holds_operand(operand)) --inner;
    for (int i = 0; i < static_cast<int>(slots_.size()); ++i) {
      const Slot& slot = slots_[static_cast<std::size_t>(i)];
      const bool depends = relevant(operand, slot.dim);
      const bool slides =
          slot.dim == Dim::P || slot.dim == Dim::Q || slot.dim == Dim::R || slot.dim == Dim::S;
      if (slot.spatial && slot.level > inner && slot.level <= level && !depends) stay.shared.push_back(i);
      if (slot.level > level) {
        if (slot.spatial || depends) stay.product.push_back(i);
        if (slot.spatial) continue;
        if (!depends) stay.reuse.push_back({i, slot.dim, inside(i, level, operand, false)});
        if (operand == Operand::I && slides)
          stay.halos.push_back({i, slot.dim, inside(i, level, operand, true)});
      } else if (operand != Operand::I ? depends : slot.dim == Dim::C || slot.dim == Dim::N) {
        stay.product.push_back(i);
      } else if (operand == Operand::I && slides) {
        (slot.dim == Dim::P   ? stay.p
         : slot.dim == Dim::Q ? stay.q
         : slot.dim == Dim::R ? stay.r
                              : stay.s)
            .push_back(i);
      }
    }
    stays_.push_back(std::move(stay));
  }

  std::vector<std::vector<int>> inside(int loop, int level, Operand operand, bool any) const {
    std::vector<std::vector<int>> result;
    const auto place = [&](const NestOrder& order, const Slot& slot) {
      const LoopOrder& of_level = order[at(slot.level)];
      return slot.level * kDims + (std::find(of_level.begin(), of_level.end(), slot.dim) - of_level.begin());
    };
    for (const NestOrder& order : orders_) {
      result.emplace_back();
      for (int i = 0; i < static_cast<int>(slots_.size()); ++i) {
        const Slot& slot = slots_[static_cast<std::size_t>(i)];
        if (slot.spatial || slot.level <= level || !(any || relevant(operand, slot.dim))) continue;
        if (place(order, slot) < place(order, slots_[static_cast<std::size_t>(loop)]))
          result.back().push_back(i);
      }
    }
    return result;
  }

  float filled(const Stay& stay, const float* x, std::size_t order, const Layer& layer, float gate) const {
    const auto sum = [&](const std::vector<int>& members) {
      float total = 0;
      for (const int s : members) total += x[s];
      return total;
    };
    float log_words = sum(stay.product);
    for (const Gate& loop : stay.reuse) {
      const std::vector<int>& inner = loop.inside[order];
      if (!inner.empty()) log_words += x[loop.slot] * (1 - std::exp(-gate * sum(inner)));
    }
    const float words = std::exp(log_words);
    if (stay.operand != Operand::I) return words;
    const float p = std::exp(sum(stay.p)), q = std::exp(sum(stay.q));
    const float r = std::exp(sum(stay.r)), s = std::exp(sum(stay.s));
    const auto wstride = static_cast<float>(layer.wstride), hstride = static_cast<float>(layer.hstride);
    const auto wdilation = static_cast<float>(layer.wdilation),
               hdilation = static_cast<float>(layer.hdilation);
    const float width = (p - 1) * wstride + (r - 1) * wdilation + 1;
    const float height = (q - 1) * hstride + (s - 1) * hdilation + 1;
    float kept = 0;
    for (const Gate& loop : stay.halos) {
      const float step = loop.dim == Dim::P   ? p * wstride
                         : loop.dim == Dim::Q ? q * hstride
                         : loop.dim == Dim::R ? r * wdilation
                                              : s * hdilation;
      const float full = loop.dim == Dim::P || loop.dim == Dim::R ? width : height;
      const float first = std::exp(-gate * sum(loop.inside[order])) * (1 - std::exp(-gate * x[loop.slot]));
      kept += first * std::max(0.0F, 1 - step / full) * (1 - std::exp(-x[loop.slot]));
    }
    return words * width * height * (1 - kept);
  }

  ArrayMachine machine_;
  std::vector<Slot> slots_;
  std::vector<NestOrder> orders_;
  std::vector<Stay> stays_;  ///< by level, so that what is inside comes first
};

}  // namespace dosa
