#include "dosa/models/machine.hpp"

#include <algorithm>

#include "dosa/models/array_machine.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/text.hpp"
#include "dosa/models/chain/array_form.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa {

bool Parameter::allows(std::int64_t value) const {
  return only.empty() ? value > 0 && (value - first) % step == 0
                      : std::binary_search(only.begin(), only.end(), value);
}

std::int64_t Parameter::down(std::int64_t value) const {
  if (!only.empty()) {
    const auto above = std::upper_bound(only.begin(), only.end(), value);
    return above == only.begin() ? only.front() : *(above - 1);
  }
  const std::int64_t least = (first - 1) % step + 1;
  return value <= least ? least : value - (value - least) % step;
}

std::int64_t Parameter::up(std::int64_t value) const {
  const std::int64_t below = down(value);
  if (below >= value) return below;
  if (only.empty()) return below + step;
  const auto above = std::upper_bound(only.begin(), only.end(), below);
  return above == only.end() ? below : *above;
}

std::string Parameter::allowed_text() const {
  if (!only.empty()) return fmt::format("{}", fmt::join(only, ", "));
  const std::int64_t least = down(1);
  return step == 1 ? fmt::format("{}..{}", least, limit)
                   : fmt::format("{} and every {} from there", least, step);
}

std::vector<std::string> Machine::parameter_names() const {
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters) names.push_back(parameter.name);
  return names;
}

std::size_t Machine::parameter(const std::string& name_or_label, const std::string& where) const {
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    if (parameters[p].name == name_or_label || parameters[p].label == name_or_label) return p;
  }
  if (parameters.empty()) fail(ErrorId::kValue, "{}: the sizes of {} are fixed by its file", where, name);
  fail(ErrorId::kValue, "{}: {} has no '{}', allowed: {}", where, name, name_or_label,
       fmt::join(parameter_names(), ", "));
}

Hardware Machine::hardware_from_json(const JsonInput& json) const {
  std::vector<const char*> names;
  for (const Parameter& parameter : parameters) names.push_back(parameter.name.c_str());
  json.allow_only(names);
  Hardware hardware;
  for (const Parameter& parameter : parameters) {
    const JsonInput value = json.at(parameter.name);
    hardware.values.push_back(value.integer(1, parameter.limit));
    if (!parameter.allows(hardware.values.back())) {
      fail(ErrorId::kValue, "{}: found {}, {} is built with {}", value.where(), hardware.values.back(), name,
           parameter.allowed_text());
    }
  }
  return hardware;
}

Json Machine::to_json(const Hardware& hardware) const {
  Json json = Json::object();
  for (std::size_t p = 0; p < parameters.size(); ++p) json[parameters[p].name] = hardware[p];
  return json;
}

std::string Machine::text(const Hardware& hardware) const {
  std::string text;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const Parameter& parameter = parameters[p];
    text += fmt::format("{}{} {}{}{}", p == 0 ? "" : ", ", parameter.label, hardware[p],
                        parameter.unit.empty() ? "" : " ", parameter.unit);
  }
  return text;
}

void read_rules(const JsonInput& json, Machine& machine) {
  if (const auto rules = json.find("rules")) machine.rules = rules->text();
  const bool gemmini = machine.rules == "gemmini";
  if (const auto library = json.find("library")) {
    machine.library = library->text();
    if (!gemmini)
      fail(ErrorId::kValue, "{}: only a machine with the rules \"gemmini\" has one", library->where());
  }
  if (const auto text = json.find("remainders")) {
    const auto remainders = remainders_from_name(text->text());
    if (!remainders) {
      fail(ErrorId::kValue, "{}: found \"{}\", expected \"padded\" or \"cut\"", text->where(),
           printable(text->text()));
    }
    machine.remainders = *remainders;
    if (gemmini) fail(ErrorId::kValue, "{}: the tiles of Gemmini's library are always cut", text->where());
  }
  const std::vector<JsonInput> levels = json.at("levels").items();
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const auto lines = levels[l].find("whole_lines");
    if (!lines || !lines->boolean() || (gemmini && l + 1 == levels.size())) continue;
    fail(ErrorId::kValue, "{}: only the DRAM of a machine with the rules \"gemmini\" moves whole lines",
         lines->where());
  }
}

JsonInput machine_file(const std::string& name_or_path) {
  return JsonInput::from_file(resolve_shipped(name_or_path, "hardware"));
}

std::shared_ptr<Machine> read_machine(const JsonInput& json) {
  if (!is_chain(json)) return std::make_shared<ArrayMachine>(read_array_machine(json));
  auto chain = std::make_shared<Chain>(read_chain(json));
  if (chain->rules != "gemmini") return chain;
  return std::make_shared<ArrayMachine>(array_machine_of(*chain, json));
}

namespace {

MachinePtr machine_of_file(const JsonInput& json, const MachineChoice& choice) {
  const std::shared_ptr<Machine> machine = read_machine(json);
  machine->set = choice.set;
  if (choice.remainders) {
    if (machine->rules == "gemmini" && *choice.remainders == Remainders::kPadded)
      fail(ErrorId::kValue, "remainders: found padded, the tiles of Gemmini's library are always cut");
    machine->remainders = *choice.remainders;
  }
  return machine;
}

}  // namespace

MachinePtr load_machine(const MachineChoice& choice) {
  const JsonInput file = machine_file(choice.name_or_path);
  if (choice.set.empty()) return machine_of_file(file, choice);
  try {
    return machine_of_file(with_changes(file, choice.set), choice);
  } catch (const Error& error) {
    throw error.in(fmt::format("with {} set", printable(to_json(choice.set).dump())));
  }
}

void check_word_bits(const Layer& layer, const Machine& machine) {
  if (layer.word_bits == WordBits{}) return;
  for (const LevelWords& words : machine.level_words()) {
    for (const Operand operand : all_operands()) {
      const auto o = static_cast<std::size_t>(operand);
      const int bits = layer.word_bits[o].value_or(0);
      if (!words.holds[o] || bits <= words.bits) continue;
      fail(ErrorId::kValue, "layer '{}': word_bits.{}: found {}, but {} of {} holds it in words of {} bits",
           layer.name, letter_of(operand), bits, words.level, machine.name, words.bits);
    }
  }
}

}  // namespace dosa
