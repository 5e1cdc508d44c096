#include "dosa/core/design/analysis.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/chain/cut_nest.hpp"

namespace dosa {
namespace {

/// A mapping that is cut, as its model sees it.
struct CutMapping {
  NestModel model;
  ChainNest nest;
  CutNest cut;

  CutMapping(const Layer& layer, const Mapping& mapping, const Chain& chain)
      : model(chain, mapping.padded(layer), Remainders::kCut),
        nest(model.nest_of(mapping)),
        cut(model.cut(nest)) {
    check_mapping(mapping, layer, chain);
    for (int index = 0; index <= chain.dram(); ++index) {
      const ChainLevel& level = chain.levels[static_cast<std::size_t>(index)];
      const double words = model.need_words(nest, static_cast<std::size_t>(index));
      if (level.capacity_words && words > static_cast<double>(*level.capacity_words)) {
        fail(ErrorId::kCapacity, "{} {}: needs {:.0f} words, has {}", chain.level_label(index), level.name,
             words, *level.capacity_words);
      }
    }
  }
};

}  // namespace

NestCost cost_of_cut(const Layer& layer, const Mapping& mapping, const Chain& chain) {
  const CutMapping own(layer, mapping, chain);
  return own.model.cost(own.cut);
}

Explanation analyse_cut(const Layer& layer, const Mapping& mapping, const Chain& chain) {
  const CutMapping own(layer, mapping, chain);
  LevelCosts levels;
  const NestCost cost = own.model.cost(own.cut, &levels);
  ChainExplanation explanation(layer, print_mapping(mapping, chain), chain, cost.cycles, own.cut.cycles(),
                               cost.energy_pj * 1e-6);
  for (int index = chain.dram(); index >= 0; --index) {
    const auto l = static_cast<std::size_t>(index);
    const auto moved = [&](Operand operand) {
      int inner = index - 1;
      while (inner >= 0 && !chain.levels[static_cast<std::size_t>(inner)].holds_operand(operand)) --inner;
      const CutAccesses accesses = own.cut.accesses(operand, l, inner, true);
      return std::array<double, 3>{accesses.reads, accesses.fills, accesses.updates};
    };
    explanation.add(index, {own.cut.used(l), own.model.need_words(own.nest, l), levels.energy_pj[l] * 1e-6,
                            levels.cycles[l], moved});
  }
  return explanation.finish();
}

}  // namespace dosa
