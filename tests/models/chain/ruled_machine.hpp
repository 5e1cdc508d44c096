// A machine whose numbers follow from its parameters in every way that a file has.
#pragma once

#include <string>

#include "dosa/models/base/json_input.hpp"
#include "dosa/models/machine.hpp"
#include "tests/support.hpp"

namespace dosa::testing {

/// simba with steps, a table, numbers that instances share, and vectors as long as a fan-out is wide.
inline Json ruled_machine() {
  Json json = machine_file("simba").value();
  json["name"] = "ruled";
  for (Json& parameter : json["parameters"]) {
    const std::string name = parameter["name"];
    if (name == "pe_columns") parameter.update({{"min", 2}, {"step", 2}});
    if (name == "weight_words")
      parameter.update({{"min", 4100}, {"default", 32100}, {"max", 131100}, {"step", 500}});
    if (name == "input_words")
      parameter.update({{"min", 17000}, {"default", 131000}, {"max", 1049000}, {"step", 1000}});
  }
  Json& levels = json["levels"];
  levels[1]["vector_pj"] = {{"parameter", "accumulation_words"},
                            {"table", {{"4096", 11.5}, {"256", 3.25}, {"1024", 3.0}}}};
  levels[3]["capacity_words"] = {{"parameter", "input_words"}, {"shared", true}};
  levels[3]["vector_pj"] = {
      {"parameter", "input_words"}, {"times", 0.0001}, {"constant", 1.1}, {"shared", true}};
  levels[4]["vector_words"] = {{"parameter", "pe_columns"}, {"times", 8}};
  levels[4].erase("vector_pj");
  levels[4]["word_pj"] = {{"parameter", "global_words"}, {"times", 0.00000625}, {"constant", 0.4}};
  return json;
}

/// The path of its file, for as long as the program runs.
inline const char* ruled_machine_file() {
  static const TemporaryFolder folder;
  static const std::string path = folder.file("ruled.json", ruled_machine().dump(1));
  return path.c_str();
}

/// `hardware` with the nearest smaller sizes that can be built.
inline Hardware as_built(const Machine& machine, Hardware hardware) {
  for (std::size_t p = 0; p < hardware.size(); ++p) hardware[p] = machine.parameters[p].down(hardware[p]);
  return hardware;
}

}  // namespace dosa::testing
