#include "dosa/core/targets/gemmini/machine_file.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::gemmini {
namespace {

/// What is fixed of a level, as the keys of a file say it. A level without a bandwidth never limits.
struct FixedLevel {
  const char *holds, *temporal, *spatial, *search_temporal, *order;
  SizedBy sized_by;
  int word_bits;
  Quantity instances, vector_words;
  std::optional<Quantity> words_per_cycle;  // but the DRAM's, which is free
};

constexpr std::size_t kLevels = 4, kDram = 3;

const std::array<FixedLevel, kLevels>& fixed_levels() {
  static const std::array<FixedLevel, kLevels> levels{{
      {"W", "PQ", "", "", "RSPQCKN", SizedBy::kNothing, 8, {1, 0}, {1, 0}, std::nullopt},
      {"O", "RSPQCKN", "C", "RSPQCKN", "PQNCRSK", SizedBy::kAccumulator, 32, {0, 1}, {1, 0}, Quantity{2, 0}},
      {"WI", "", "K", "", "RSPQCKN", SizedBy::kScratchpad, 8, {1, 0}, {0, 1}, Quantity{0, 2}},
      {"WIO", "RSPQCKN", "", "RSPQCKN", "CRSKPQN", SizedBy::kNothing, 8, {1, 0}, {64, 0}, std::nullopt},
  }};
  return levels;
}

OperandSet operands(const std::string& letters) {
  OperandSet set{};
  for (const Operand operand : all_operands()) {
    const auto o = static_cast<std::size_t>(operand);
    set[o] = letters.find(kOperandNames[o]) != std::string::npos;
  }
  return set;
}

std::string text_of(const LoopOrder& order) {
  std::string letters;
  for (const Dim dim : order) letters += name_of(dim);
  return letters;
}

std::string text_of(const Quantity& q) {
  if (q.per_pe_dim == 0) return fmt::format("{}", q.constant);
  const std::string scaled = q.per_pe_dim == 1 ? "pe_dim" : fmt::format("{} * pe_dim", q.per_pe_dim);
  return q.constant == 0 ? scaled : fmt::format("{} + {}", q.constant, scaled);
}

std::string text_of(const std::optional<Quantity>& q) { return q ? text_of(*q) : "none"; }

/// Throws where the file says another thing than what Gemmini is.
void check_level(const ArrayMachine& machine, std::size_t l) {
  const MemoryLevel& level = machine.levels[l];
  const FixedLevel& fixed = fixed_levels()[l];
  const auto require = [&](const char* key, const std::string& found, const std::string& expected) {
    if (found == expected) return;
    fail(ErrorId::kValue, "levels[{}].{}: found {}, a Gemmini's library is written for {}", l, key,
         found.empty() ? "none" : found, expected.empty() ? "none" : expected);
  };
  const bool chain = machine.of_chain;
  require("temporal", letters_of(level.temporal), fixed.temporal);
  require(chain ? "fan_out" : "spatial", letters_of(level.spatial), fixed.spatial);
  require(chain ? "temporal" : "search_temporal", letters_of(machine.search_temporal[l]),
          fixed.search_temporal);
  for (const LoopOrder& order : machine.search_orders[l])
    require(chain ? "orders" : "search_orders", text_of(order), fixed.order);
  require("word_bits", fmt::format("{}", level.word_bits), fmt::format("{}", fixed.word_bits));
  // On a chain they follow from fan_out.
  if (!chain) require("instances", text_of(level.instances), text_of(fixed.instances));
  require("vector_words", text_of(level.vector_words), text_of(fixed.vector_words));
  if (l != kDram) require("words_per_cycle", text_of(level.words_per_cycle), text_of(fixed.words_per_cycle));
}

/// The key of the bound ("default", "min", "max") of a size, or of all of them.
std::string key_of_bound(const ArrayMachine& machine, const char* bound, std::size_t parameter) {
  return machine.of_chain ? fmt::format("parameters[{}].{}", parameter, bound)
                          : fmt::format("hardware.{}.{}", bound, kArraySizes[parameter].name);
}

/// Sizes to start from that can be built and lie within the bounds.
void check_default(const ArrayMachine& machine) {
  for (std::size_t p = 0; p < kArraySizes.size(); ++p) {
    const std::int64_t size = machine.default_hardware[p];
    const std::int64_t least = machine.min_hardware[p], most = machine.max_hardware[p];
    if (size >= least && size <= most) continue;
    fail(ErrorId::kValue, "{}: found {}, its min and max allow {} to {}", key_of_bound(machine, "default", p),
         size, least, most);
  }
  const auto violations = check_hardware(ArraySizes::of(machine.default_hardware));
  if (!violations.empty()) {
    fail(ErrorId::kValue, "{}: {}", machine.of_chain ? "parameters: default" : "hardware.default",
         summary(violations));
  }
}

/// The numbers that a file is free to choose, and its fixed bandwidths, by key.
std::vector<std::pair<std::string, double>> numbers_in_file(const ArrayMachine& machine) {
  std::vector<std::pair<std::string, double>> numbers;
  numbers_of(machine, [&](const MachineNumber& number) {
    numbers.emplace_back(number.name, number.value);
    return number.value;
  });
  numbers.emplace_back(machine.level_keys()[kDram] + ".whole_lines",
                       machine.levels[kDram].whole_lines ? 1 : 0);
  for (const auto& [bound, sizes] : {std::pair{"default", &machine.default_hardware},
                                     {"min", &machine.min_hardware},
                                     {"max", &machine.max_hardware}}) {
    for (std::size_t p = 0; p < sizes->size(); ++p)
      numbers.emplace_back(key_of_bound(machine, bound, p), static_cast<double>((*sizes)[p]));
  }
  return numbers;
}

}  // namespace

bool has_gemminis_memories(const ArrayMachine& machine) {
  if (machine.levels.size() != kLevels) return false;
  for (std::size_t l = 0; l < kLevels; ++l) {
    const FixedLevel& fixed = fixed_levels()[l];
    if (machine.levels[l].holds != operands(fixed.holds) || machine.levels[l].sized_by != fixed.sized_by)
      return false;
  }
  return true;
}

void check_machine(const ArrayMachine& machine) {
  if (!has_gemminis_memories(machine)) {
    fail(ErrorId::kValue,
         "levels: Gemmini's library runs on a register (W), an accumulator (O), a scratchpad (WI) and DRAM, "
         "of which accumulator_kib and scratchpad_kib size the two in the middle");
  }
  if (machine.buffering != 2) {
    fail(ErrorId::kValue, "buffering: found {}, a Gemmini is double-buffered, expected 2", machine.buffering);
  }
  for (std::size_t l = 0; l < kLevels; ++l) check_level(machine, l);
  dram_words_per_cycle(machine);
  library_of(machine);
  check_default(machine);
}

LibraryVersion library_of(const ArrayMachine& machine) {
  return machine.library.empty() ? LibraryVersion() : LibraryVersion(machine.library, "library");
}

double dram_words_per_cycle(const ArrayMachine& machine) {
  const std::optional<Quantity>& bandwidth = machine.levels.back().words_per_cycle;
  if (!bandwidth || bandwidth->per_pe_dim != 0) {
    fail(ErrorId::kValue,
         "levels[{}].words_per_cycle: found {}, expected a number of words (measured latencies: {}), which "
         "does not grow with the array",
         machine.dram(), text_of(bandwidth), kMeasuredDramWords);
  }
  return bandwidth->constant;
}

std::vector<OtherNumber> other_numbers(const ArrayMachine& machine) {
  static const ArrayMachine shipped = load_array_machine(kTarget);
  ArrayMachine usual = shipped;  // with energies of the sizes for which the file gives its own
  for (std::size_t l = 0; l < kLevels; ++l) {
    const double at_kib = machine.levels[l].energy.at_kib;
    WordEnergy& energy = usual.levels[l].energy;
    energy = {energy.at(at_kib), energy.pj_per_kib, at_kib};
  }
  const auto found = numbers_in_file(machine), expected = numbers_in_file(usual);
  std::vector<OtherNumber> others;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i].second != expected[i].second)
      others.push_back({found[i].first, found[i].second, expected[i].second});
  }
  return others;
}

std::string remark(const ArrayMachine& machine, bool predicts) {
  std::string text;
  const double words = dram_words_per_cycle(machine);
  if (predicts && words != kMeasuredDramWords) {
    text = fmt::format(
        "machine {}: no latency was measured at {}.words_per_cycle {} (measured: {}); predictions "
        "are scaled by the physical base and uncertain by a factor of two",
        machine.name, machine.level_keys()[kDram], words, kMeasuredDramWords);
  }
  if (const LibraryVersion library = library_of(machine); library != LibraryVersion()) {
    text +=
        fmt::format("{}library {} ({}){}", text.empty() ? fmt::format("machine {}: ", machine.name) : "; ",
                    library.month(), kTodaysLibrary,
                    library.keeps_operands() ? "" : ", which keeps no operands in the scratchpad");
  }
  std::vector<std::string> keys;
  for (const OtherNumber& other : other_numbers(machine))
    keys.push_back(fmt::format("{} {} ({})", other.key, other.found, other.shipped));
  if (keys.empty()) return text;
  return fmt::format("{}other numbers than the shipped {}'s: {}",
                     text.empty() ? fmt::format("machine {}: ", machine.name) : text + "; ", kTarget,
                     fmt::join(keys, ", "));
}

}  // namespace dosa::gemmini
