#include "dosa/core/targets/gemmini/reference.hpp"

#include <algorithm>

#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

/// Whether two layers are the same work, whatever they are called and however often they run.
bool same_work(Layer a, const Layer& b) {
  a.name = b.name;
  a.count = b.count;
  return to_json(a) == to_json(b);
}

}  // namespace

ArraySizes default_gemmini(const ArrayMachine& machine, std::int64_t pe_dim) {
  const ArraySizes built = ArraySizes::of(machine.default_hardware);
  return built.pe_dim <= pe_dim ? built : default_of_array(machine, pe_dim);
}

ArraySizes default_of_array(const ArrayMachine& machine, std::int64_t pe_dim) {
  ArraySizes built = ArraySizes::of(machine.default_hardware);
  built.pe_dim = pe_dim;
  return gemmini::nearest_hardware(built);
}

Reference reference_for(const std::vector<Layer>& layers, const ArrayMachine& machine, std::int64_t pe_dim,
                        const std::optional<GivenBaseline>& baseline) {
  Reference reference;
  reference.hardware = baseline ? baseline->hardware : default_gemmini(machine, pe_dim);
  const bool own = !baseline || baseline->tiles.empty();
  for (const Layer& layer : layers) {
    if (own) {
      gemmini::LibraryChoice choice = gemmini::library_choice(layer, reference.hardware);
      reference.tiles.push_back(choice.tile);
      reference.problems.push_back(std::move(choice.problem));
      continue;
    }
    const auto found = std::find_if(baseline->tiles.begin(), baseline->tiles.end(),
                                    [&](const auto& known) { return same_work(known.first, layer); });
    if (found == baseline->tiles.end()) {
      fail(ErrorId::kValue, "--baseline: {} has no layer like {}; expected a design of the same network",
           baseline->name, layer.name);
    }
    reference.tiles.push_back(found->second);
    reference.problems.emplace_back();
  }
  reference.text = fmt::format("{}: {}, {} tiles", baseline ? baseline->label : "default",
                               machine.text(reference.hardware), own ? "the library's" : "its own");
  return reference;
}

}  // namespace dosa
