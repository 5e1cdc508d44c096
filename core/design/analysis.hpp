// What a layer does level by level, from the cost model's numbers.
#pragma once

#include "dosa/core/targets/target.hpp"
#include "dosa/models/chain/chain_model.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

/// KiB that the tiles of row `row` need at a sized level of hardware with this array.
double need_kib(const Traffic& traffic, const MemoryLevel& memory, int level, const Hardware& hardware,
                std::size_t row);
/// The size of the hardware that sizes a level, and its name for people.
std::int64_t capacity_kib(const MemoryLevel& memory, const Hardware& hardware);
const char* capacity_name(const MemoryLevel& memory);

/// A number of a batch of results [rows] or, where it is the same for all, [].
double at(const torch::Tensor& tensor, std::size_t row);

/// `traffic` and `cost` are of this layer alone: one run of one group.
Explanation explain_layer(const Layer& layer, const Schedule& schedule, const Traffic& traffic,
                          const Cost& cost, const Hardware& hardware, const Machine& machine);

/// What a mapping does on a chain of memories, level by level; words are those of all instances in use.
/// Throws Error{kMapping} or Error{kCapacity} with the level, what is needed and what there is, unless it
/// belongs to the layer and fits.
Explanation analyse_mapping(const Layer& layer, const Mapping& mapping, const ChainModel& model);

}  // namespace dosa
