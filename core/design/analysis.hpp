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
#include "dosa/models/chain/nest_model.hpp"
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

/// The same of a mapping that is cut (Mapping::cut_to), and what it costs: one run of one group.
Explanation analyse_cut(const Layer& layer, const Mapping& mapping, const Chain& chain);
NestCost cost_of_cut(const Layer& layer, const Mapping& mapping, const Chain& chain);

/// The explanation of a layer on a chain of memories, put together level by level.
class ChainExplanation {
 public:
  /// Of one run of one group; the machine must outlive this.
  ChainExplanation(const Layer& layer, std::string mapping, const Chain& chain, double cycles,
                   double compute_cycles, double energy_uj);

  struct LevelNumbers {
    double used = 0, need_words = 0;  ///< instances in use; words of one of them
    double energy_uj = 0, cycles = 0;
    std::function<std::array<double, 3>(Operand)> moved;  ///< reads, writes, updates of all instances
  };
  void add(int index, const LevelNumbers& numbers);
  Explanation finish();

 private:
  const Layer& layer_;
  std::string mapping_;
  const Chain& chain_;
  double cycles_, compute_cycles_, energy_uj_;
  std::string bound_by_ = "compute";
  Json levels_ = Json::array();
  Table table_;
};

}  // namespace dosa
