#include "dosa/core/report/command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/search/pareto.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa::html {
namespace {

/// A member of an object, or null.
Json member(const Json& object, const std::string& key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? *found : Json();
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

class Command {
 public:
  explicit Command(std::vector<std::string> words) : words_(std::move(words)) {}

  void add(const std::string& flag, const std::string& value) { words_.insert(words_.end(), {flag, value}); }
  /// The value under a key of `options`, unless it is the default.
  void add_option(const Json& options, const char* key, const std::string& flag, const Json& standard) {
    const Json value = member(options, key);
    if ((value.is_number() || value.is_string()) && value != standard) add(flag, text_of(value));
  }
  void add_sizes(const Machine& machine, const Hardware& sizes) {
    for (std::size_t p = 0; p < machine.parameters.size(); ++p)
      add("--size", fmt::format("{}={}", machine.parameters[p].name, sizes[p]));
  }
  std::string text() const { return shell_command(words_); }

 private:
  std::vector<std::string> words_;
};

/// The sizes under a key of `options`. Throws Error where they are not sizes of the machine.
Hardware sizes_of(const Json& options, const char* key, const Machine& machine) {
  return machine.hardware_from_json(JsonInput::from_text(member(options, key).dump(), key));
}

/// The limits of the sizes as flags: those that the target does not set by itself.
void add_bounds(Command& command, const Json& options, const Target& target, std::string& note) {
  const Machine& machine = target.machine();
  const Hardware min = sizes_of(options, "min", machine), max = sizes_of(options, "max", machine);
  const Json area = member(options, "max_area_mm2");
  HardwareBounds usual{machine.min_hardware, machine.max_hardware};
  if (area.is_number()) {
    usual.max_area_mm2 = area.get<double>();
    command.add("--max-area", text_of(area));
  }
  const Hardware none{std::vector<std::int64_t>(machine.parameters.size(), 0)};
  target.narrow(usual, none, none, [](const std::string&) {});
  for (std::size_t p = 0; p < machine.parameters.size(); ++p) {
    const std::string& name = machine.parameters[p].name;
    if (min[p] == usual.min[p] && max[p] == usual.max[p]) continue;
    if (min[p] == max[p]) {
      command.add("--size", fmt::format("{}={}", name, max[p]));
    } else if (min[p] == usual.min[p]) {
      command.add("--max-size", fmt::format("{}={}", name, max[p]));
    } else {
      note += fmt::format("The search had {} from {} to {}, which no flag says. ", name, min[p], max[p]);
    }
  }
}

/// dosa optimize, with what was not the target's default.
std::string optimize_command(Command command, const Design& design, const Target& target, std::string& note) {
  const SearchOptions usual = target.default_options();
  const Json options = member(design.provenance, "options");
  if (design.objective != "edp") command.add("--objective", design.objective);
  command.add_option(design.provenance, "seed", "--seed", nullptr);
  command.add_option(options, "stages", "--stages", kStagesNames[static_cast<std::size_t>(usual.stages)]);
  command.add_option(options, "starts", "--starts", usual.starts);
  command.add_option(options, "steps", "--steps", usual.steps);
  command.add_option(options, "round_every", "--round-every", usual.round_every);
  command.add_option(options, "patience", "--patience", usual.patience);
  command.add_option(options, "learning_rate", "--learning-rate", usual.learning_rate);
  command.add_option(options, "polish_nests", "--polish-nests", usual.polish_nests);
  command.add_option(member(design.provenance, "model"), "kappa", "--kappa", TargetOptions{}.kappa);
  add_bounds(command, options, target, note);
  return command.text();
}

/// dosa optimize --pareto, into a folder of another name.
std::string pareto_command(Command command, const Design& design, const Target& target, std::string& note) {
  const ParetoOptions usual;
  const Json options = member(design.provenance, "options");
  command.add("--pareto", "front");
  command.add_option(options, "points", "--pareto-points", usual.points);
  command.add_option(options, "polish_nests", "--polish-nests", target.default_options().polish_nests);
  command.add_option(options, "min_area_mm2", "--min-area", usual.min_area_mm2);
  command.add_option(member(design.provenance, "model"), "kappa", "--kappa", TargetOptions{}.kappa);
  add_bounds(command, options, target, note);
  return command.text();
}

/// dosa map: enumeration, or the search on chains, on the design's hardware.
std::string map_command(Command command, const Design& design, const Target& target) {
  const Json options = member(design.provenance, "options");
  command.add_sizes(target.machine(), design.hardware);
  if (design.objective != "edp") command.add("--objective", design.objective);
  for (const char* key : {"stages", "samples", "starts", "steps", "seed"})
    command.add_option(options, key, std::string("--") + key, nullptr);
  const Json nests = member(options, "max_nests");
  if (nests.is_number() && nests != 0) command.add("--max-nests", text_of(nests));
  return command.text();
}

}  // namespace

std::string shell_command(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    const bool is_plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
      return std::isalnum(c) ||
             std::string_view("-_./=,:+@").find(static_cast<char>(c)) != std::string_view::npos;
    });
    std::string quoted = word;
    if (!is_plain) {
      for (std::size_t at = quoted.find('\''); at != std::string::npos; at = quoted.find('\'', at + 4))
        quoted.replace(at, 1, "'\\''");
      quoted = "'" + quoted + "'";
    }
    text += (text.empty() ? "" : " ") + quoted;
  }
  return text;
}

Reproduction reproduction_of(const Design& design, const Target& target) {
  Reproduction result;
  const Json& record = design.provenance;
  const std::string method = text_of(member(record, "method")),
                    stopped = text_of(member(record, "stopped_by"));
  const auto command = [&](const char* name) {
    Command words({"dosa", name, design.workload, name == std::string("map") ? "--machine" : "--target",
                   design.target});
    for (const NumberChange& change : target.machine().set)
      words.add("--set", change.name + "=" + Json(change.value).dump());
    return words;
  };
  try {
    if (method == "default") {
      Command map = command("map");
      map.add_sizes(target.machine(), design.hardware);
      result.command = map.text() + " --default";
    } else if (method == "exhaustive" ||
               (method == "gradient" && member(member(record, "options"), "min").is_null())) {
      result.command = map_command(command("map"), design, target);
    } else if (method == "gradient" || method == "enumeration") {
      result.command = optimize_command(command("optimize"), design, target, result.note);
    } else if (method == "pareto") {
      result.command = pareto_command(command("optimize"), design, target, result.note);
    }
  } catch (const Error&) {  // sizes that are not the machine's
    result = {};
  }
  if (result.command.empty()) {
    result.note = "The design does not record a command that makes it.";
    return result;
  }
  const std::vector<std::string> shipped = shipped_names("workloads");
  if (std::find(shipped.begin(), shipped.end(), design.workload) == shipped.end())
    result.note +=
        "The network is not one that comes with the program: put its file in the place of its name. ";
  if (stopped == "time" || stopped == "evaluations" || stopped == "interrupt")
    result.note += fmt::format("The search was stopped by {}; this command goes on to the end. ", stopped);
  const Json model = member(record, "model");
  if (!member(model, "baseline").is_null())
    result.note += "It was given the baseline that is recorded below. ";
  if (!result.note.empty()) result.note.pop_back();
  return result;
}

}  // namespace dosa::html
