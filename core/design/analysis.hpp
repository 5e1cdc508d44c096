// What a layer does level by level, from the cost model's numbers.
#pragma once

#include <array>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "dosa/core/targets/target.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/chain/chain_model.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

/// KiB that the tiles of row `row` need at a sized level of hardware with this array.
double need_kib(const Traffic& traffic, const MemoryLevel& memory, int level, const ArraySizes& hardware,
                std::size_t row);
/// What sizes a level, for people.
const char* capacity_name(const MemoryLevel& memory);

/// A number of a batch of results [rows] or, where it is the same for all, [].
double at(const torch::Tensor& tensor, std::size_t row);

/// The columns of a table of accesses, by level and tensor, and `more` at the end.
Table access_table(std::initializer_list<Table::Column> more);
/// What is to be said of one level: its JSON, which gets "accesses", and its rows in an access_table(), one
/// for each tensor that it holds. `words` gives reads, writes and updates; `more` are the cells of the other
/// columns, in the first row.
struct LevelAccesses {
  std::string name;
  OperandSet holds;
  std::function<std::array<double, 3>(Operand)> words;
  double energy_uj = 0, cycles = 0;
  std::vector<std::string> more;
};
void explain_accesses(const LevelAccesses& level, Json& entry, Table& table);

/// `traffic` and `cost` are of this layer alone: one run of one group.
Explanation explain_layer(const Layer& layer, const Schedule& schedule, const Traffic& traffic,
                          const Cost& cost, const ArraySizes& hardware, const ArrayMachine& machine);

/// What a mapping does on a chain of memories, level by level; words are those of all instances in use.
/// Throws Error{kMapping} or Error{kCapacity} with the level, what is needed and what there is, unless it
/// belongs to the layer and fits.
Explanation analyse_mapping(const Layer& layer, const Mapping& mapping, const ChainModel& model);

}  // namespace dosa
