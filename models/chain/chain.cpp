#include "dosa/models/chain/chain.hpp"

#include <algorithm>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {

constexpr const char* kChainSchema = "dosa-hardware/2";

// Beyond these a description is a mistake; products of fan-outs stay whole numbers in double precision.
constexpr std::int64_t kMostChildren = std::int64_t{1} << 20, kMostInstances = std::int64_t{1} << 40;
constexpr std::int64_t kMostWords = std::int64_t{1} << 40;
constexpr double kLeastBandwidth = 1e-6, kMostBandwidth = 1e12;
constexpr std::int64_t kMostVectorWords = 1 << 20;
constexpr std::int64_t kMostBuffers = 16;

constexpr DimSet every_dim() {
  DimSet all{};
  for (bool& allowed : all) allowed = true;
  return all;
}

FanOut fan_out_from_json(const JsonInput& json) {
  json.allow_only({"size", "dims"});
  FanOut fan_out;
  fan_out.size = json.at("size").integer(1, kMostChildren);
  fan_out.dims = dims_from_json(json.at("dims"));
  if (letters_of(fan_out.dims).empty()) {
    fail(ErrorId::kValue, "{}: found \"\", expected letters of {}", json.at("dims").where(), kDimNames);
  }
  return fan_out;
}

/// The capacity of one instance; `outermost` levels have none, all others must say theirs.
std::optional<std::int64_t> capacity_from_json(const JsonInput& json, const OperandSet& holds,
                                               bool outermost) {
  const auto built = json.find("capacity_words");
  const auto buffering = json.find("buffering");
  if (outermost) {
    if (built || buffering) {
      fail(ErrorId::kSchema, "{}: found a size at the outermost level, which holds everything; expected none",
           (built ? *built : *buffering).where());
    }
    return std::nullopt;
  }
  const std::int64_t words = json.at("capacity_words").integer(1, kMostWords);
  const std::int64_t buffers = buffering ? buffering->integer(1, kMostBuffers) : 1;
  const auto tensors = static_cast<std::int64_t>(letters_of(holds).size());
  if (words / buffers < tensors) {
    fail(ErrorId::kValue, "{}: found {} words in {} buffers, expected at least one word for each of {}",
         built->where(), words, buffers, letters_of(holds));
  }
  return words / buffers;
}

ChainLevel chain_level_from_json(const JsonInput& json, bool outermost) {
  json.allow_only({"name", "holds", "temporal", "capacity_words", "buffering", "word_bits", "fan_out",
                   "read_words_per_cycle", "write_words_per_cycle", "words_per_cycle", "vector_words",
                   "vector_pj"});
  ChainLevel level;
  level.name = json.at("name").text();
  level.holds = operands_from_json(json.at("holds"));
  if (const std::string held = letters_of(level.holds); outermost ? held != kOperandNames : held.empty()) {
    fail(ErrorId::kValue, "{}: found \"{}\", expected {}", json.at("holds").where(), held,
         outermost ? "WIO: the outermost level holds every tensor" : "at least one letter of WIO");
  }
  const auto temporal = json.find("temporal");
  level.temporal = temporal ? dims_from_json(*temporal) : every_dim();
  if (outermost && level.temporal != every_dim()) {
    fail(ErrorId::kValue, "{}: found \"{}\", expected loops over every dimension at the outermost level",
         temporal->where(), letters_of(level.temporal));
  }
  level.capacity_words = capacity_from_json(json, level.holds, outermost);
  level.word_bits = static_cast<int>(json.at("word_bits").integer(1, 64));
  if (const auto fan_out = json.find("fan_out")) {
    fan_out->allow_only({"X", "Y"});
    for (const MeshAxis axis : mesh_axes()) {
      if (const auto on_axis = fan_out->find(std::string(1, name_of(axis))))
        level.fan_out[static_cast<std::size_t>(axis)] = fan_out_from_json(*on_axis);
    }
  }
  for (const auto& [key, bandwidth] : {std::pair{"read_words_per_cycle", &level.read_words_per_cycle},
                                       std::pair{"write_words_per_cycle", &level.write_words_per_cycle},
                                       std::pair{"words_per_cycle", &level.words_per_cycle}}) {
    if (const auto value = json.find(key)) *bandwidth = value->number(kLeastBandwidth, kMostBandwidth);
  }
  if (const auto vector = json.find("vector_words"))
    level.vector_words = static_cast<double>(vector->integer(1, kMostVectorWords));
  level.vector_pj = json.at("vector_pj").number(0, kMaxPicojoules);
  return level;
}

JsonInput machine_file(const std::string& name_or_path) {
  return JsonInput::from_file(resolve_shipped(name_or_path, "hardware"));
}

}  // namespace

std::string Chain::level_label(int level) const {
  return dosa::level_label(level, levels[static_cast<std::size_t>(level)].holds);
}

std::int64_t Chain::instances(int level) const {
  std::int64_t count = 1;
  for (int outer = dram(); outer > level; --outer)
    count *= levels[static_cast<std::size_t>(outer)].children();
  return count;
}

bool is_chain(const JsonInput& json) {
  if (!json.is_object()) return false;
  const auto schema = json.value().find("schema");
  return schema != json.value().end() && *schema == kChainSchema;
}

bool is_chain(const std::string& name_or_path) { return is_chain(machine_file(name_or_path)); }

Chain load_chain(const std::string& name_or_path) {
  const JsonInput json = machine_file(name_or_path);
  json.require_schema(kChainSchema);
  json.allow_only({"schema", "name", "description", "source", "mac", "levels"});
  Chain chain;
  chain.hash = content_hash(json.value().dump());
  chain.name = json.at("name").text();
  if (const auto text = json.find("description")) chain.description = text->text();
  if (const auto source = json.find("source")) source->text();
  json.at("mac").allow_only({"energy_pj"});
  chain.mac_energy_pj = json.at("mac").at("energy_pj").number(0, kMaxPicojoules);
  const JsonInput levels = json.at("levels");
  const std::vector<JsonInput> items = levels.items();
  if (items.size() < 2 || items.size() > kMostLevels) {
    fail(ErrorId::kValue, "{}: found {} levels, expected 2..{}", levels.where(), items.size(), kMostLevels);
  }
  for (std::size_t l = 0; l < items.size(); ++l)
    chain.levels.push_back(chain_level_from_json(items[l], l + 1 == items.size()));
  double instances = 1;
  for (const ChainLevel& level : chain.levels) instances *= static_cast<double>(level.children());
  if (instances > static_cast<double>(kMostInstances)) {
    fail(ErrorId::kValue, "{}: found fan-outs that multiply to {:g} MACs, expected at most {}",
         levels.where(), instances, kMostInstances);
  }
  return chain;
}

Machine machine_of(Chain chain) {
  Machine machine;
  machine.name = chain.name;
  machine.description = chain.description;
  machine.hash = chain.hash;
  machine.rules = "chain";
  machine.mac_energy_pj = chain.mac_energy_pj;
  machine.default_hardware = machine.min_hardware = machine.max_hardware = {1, 1, 1};
  machine.chain = std::make_shared<const Chain>(std::move(chain));
  return machine;
}

Chain chain_of(const Machine& machine, const ArraySizes& hardware) {
  const auto pe_dim = static_cast<double>(hardware.pe_dim);
  Chain chain{machine.name, machine.description, machine.hash, machine.mac_energy_pj, {}};
  for (const MemoryLevel& memory : machine.levels) {
    ChainLevel level;
    level.name = memory.name;
    level.holds = memory.holds;
    level.temporal = memory.temporal;
    level.word_bits = memory.word_bits;
    if (!letters_of(memory.spatial).empty()) level.fan_out[0] = {hardware.pe_dim, memory.spatial};
    level.vector_words = memory.vector_words.at(pe_dim);
    double word_pj = memory.energy.pj;
    if (memory.sized_by != SizedBy::kNothing) {
      const double instance_kib =
          static_cast<double>(capacity_kib(memory, hardware)) / memory.instances.at(pe_dim);
      word_pj += memory.energy.pj_per_kib * (instance_kib - memory.energy.at_kib);
      level.capacity_words =
          static_cast<std::int64_t>(instance_kib * 1024 * 8 / memory.word_bits / machine.buffering);
    }
    level.vector_pj = word_pj * level.vector_words;
    if (memory.words_per_cycle) level.words_per_cycle = memory.words_per_cycle->at(pe_dim);
    chain.levels.push_back(std::move(level));
  }
  return chain;
}

}  // namespace dosa
