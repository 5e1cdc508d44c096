#include "dosa/core/targets/gemmini/executed_traffic.hpp"

#include "dosa/core/targets/gemmini/machine_file.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr std::size_t kRegister = 0, kAccumulator = 1, kScratchpad = 2, kDram = 3;
constexpr auto kW = static_cast<std::size_t>(Operand::W), kI = static_cast<std::size_t>(Operand::I),
               kO = static_cast<std::size_t>(Operand::O);

void require_gemmini(const ArrayMachine& machine) {
  if (gemmini::has_gemminis_memories(machine)) return;
  fail(ErrorId::kValue,
       "machine {}: Gemmini's library runs on a register (W), an accumulator (O), a scratchpad (WI) and DRAM",
       machine.name);
}

}  // namespace

Traffic executed_traffic(const Counts& c, const TileRows& rows, const Tensor& pe_dim_in, const RunBatch& l,
                         const ArrayMachine& machine) {
  require_gemmini(machine);
  const Tensor pe_dim = pe_dim_in.expand_as(c.tiles);
  const auto column = [&](const Tensor& t) {
    return (t.sizes() == c.tiles.sizes() ? t : t.expand_as(c.tiles)).unsqueeze(-1);
  };
  Traffic traffic;
  traffic.accesses.resize(4);
  traffic.tile_words.resize(4);
  const Tensor macs = l.size.prod(-1);
  const Tensor k = l.channels.select(-1, 1);
  // A product per row and column of the array; used ones are a mean over blocks, some of which are partial.
  const Tensor columns_used = k / c.out_blocks;
  const Tensor elements_used = macs / c.array_rows;
  traffic.macs = column(macs);
  traffic.compute_cycles = column(c.array_rows);
  traffic.pe_dim = column(torch::maximum(columns_used, elements_used / columns_used).clamp_max(pe_dim));
  const Tensor one = torch::ones_like(c.tiles);
  traffic.instances = {column(elements_used), column(columns_used), column(one), column(one)};

  Accesses& in_register = traffic.accesses[kRegister][kW];
  in_register.writes = column(c.weight_uses);  // a tile brings each of its weights into the array once
  in_register.reads = column(macs);
  // One access per output and array pass; sums of the rows are added on the way.
  const Tensor updates = c.output.words * c.reduction_blocks;
  Accesses& in_accumulator = traffic.accesses[kAccumulator][kO];
  in_accumulator.writes = column(c.output.words);
  in_accumulator.updates = column(updates);
  in_accumulator.reads = column(updates - c.output.words);  // the first access of a sum does not read
  Accesses& weights = traffic.accesses[kScratchpad][kW];
  weights.writes = column(c.weight.words);
  weights.reads = column(c.weight_uses);
  Accesses& inputs = traffic.accesses[kScratchpad][kI];
  inputs.writes = column(c.padded_words);
  inputs.reads = column(macs / k * c.out_blocks);  // every block of output channels reads them again
  const MemoryLevel& dram = machine.levels[kDram];
  const auto moved = [&](const Transfers& t) {
    return column(dram.whole_lines ? t.requests * dram.vector_words.constant : t.words);
  };
  traffic.accesses[kDram][kW].reads = moved(c.weight);
  traffic.accesses[kDram][kI].reads = moved(c.input);
  traffic.accesses[kDram][kO].updates = moved(c.output);
  traffic.accesses[kDram][kO].reads =
      column(torch::zeros_like(c.tiles));  // partial sums never leave the chip

  traffic.tile_words[kAccumulator][kO] = column(rows.output);
  traffic.tile_words[kScratchpad][kW] = column(rows.weight * pe_dim);
  traffic.tile_words[kScratchpad][kI] = column(rows.input * pe_dim);
  return traffic;
}

}  // namespace dosa
