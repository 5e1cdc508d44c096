#include "dosa/models/machine.hpp"

#include "dosa/models/array_machine.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa {

std::size_t Machine::parameter(const std::string& name_or_label, const std::string& where) const {
  std::vector<std::string> names;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    if (parameters[p].name == name_or_label || parameters[p].label == name_or_label) return p;
    names.push_back(parameters[p].name);
  }
  if (names.empty()) fail(ErrorId::kValue, "{}: the sizes of {} are fixed by its file", where, name);
  fail(ErrorId::kValue, "{}: {} has no '{}', allowed: {}", where, name, name_or_label,
       fmt::join(names, ", "));
}

Hardware Machine::hardware_from_json(const JsonInput& json) const {
  std::vector<const char*> names;
  for (const Parameter& parameter : parameters) names.push_back(parameter.name.c_str());
  json.allow_only(names);
  Hardware hardware;
  for (const Parameter& parameter : parameters)
    hardware.values.push_back(json.at(parameter.name).integer(1, parameter.limit));
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

MachinePtr load_machine(const std::string& name_or_path) {
  if (is_chain(name_or_path)) return std::make_shared<Chain>(load_chain(name_or_path));
  return std::make_shared<ArrayMachine>(load_array_machine(name_or_path));
}

}  // namespace dosa
