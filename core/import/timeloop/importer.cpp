// Timeloop's input files, versions 0.2 to 0.4: any of them, or all of one run.
#include "dosa/core/import/importer.hpp"

#include <algorithm>
#include <filesystem>

#include "dosa/core/import/layer_list.hpp"
#include "dosa/core/import/timeloop/architecture.hpp"
#include "dosa/core/import/timeloop/includes.hpp"
#include "dosa/core/import/timeloop/mapping.hpp"
#include "dosa/core/import/timeloop/names.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa {
namespace timeloop {
namespace {

/// What stands at the top of a file.
constexpr const char* kRoots[] = {"architecture",
                                  "arch",
                                  "architecture_constraints",
                                  "arch_constraints",
                                  "problem",
                                  "mapping",
                                  "ERT",
                                  "ART",
                                  "sparse_optimizations",
                                  "mapper",
                                  "mapspace_constraints",
                                  "mapspace",
                                  "variables",
                                  "components",
                                  "compound_components"};

/// A problem and the name that its file gives it.
struct NamedProblem {
  JsonInput json;
  std::string name;
  std::int64_t count;
};

/// All files by what they hold.
struct Files {
  ArchitectureInput architecture;
  std::vector<NamedProblem> problems;
  std::optional<JsonInput> mapping;
  std::string machine_name;
};

/// "003_conv1.problem.yaml" is "003_conv1".
std::string stem_of(const std::string& path) {
  std::string stem = std::filesystem::path(path).stem().string();
  for (const char* suffix : {".problem", ".mapping", ".arch"}) {
    const std::size_t at = stem.rfind(suffix);
    if (at != std::string::npos && at > 0 && at + std::string(suffix).size() == stem.size()) stem.resize(at);
  }
  return stem;
}

void set_once(std::optional<JsonInput>& place, const JsonInput& json) {
  if (place)
    fail(ErrorId::kSchema, "{}: found a second one, {} is the first; expected one", json.where(),
         place->where());
  place = json;
}

void add_file(const ImportSource& source, Files& files, std::vector<std::string>& remarks) {
  const JsonInput root = JsonInput::from_yaml(with_includes(source), source.path);
  for (const auto& [key, member] : root.entries()) {
    if (key == "architecture" || key == "arch") {
      set_once(files.architecture.architecture, member);
      files.machine_name = stem_of(source.path);
    } else if (key == "architecture_constraints" || key == "arch_constraints") {
      files.architecture.constraints.push_back(member);
    } else if (key == "problem") {
      files.problems.push_back({member, stem_of(source.path), source.count});
    } else if (key == "mapping") {
      set_once(files.mapping, member);
    } else if (key == "ERT") {
      set_once(files.architecture.ert, member);
    } else if (key == "ART") {
      set_once(files.architecture.art, member);
    } else if (key == "variables") {
      files.architecture.variables.add(member);
    } else if (key == "sparse_optimizations") {
      if (member.value().empty()) continue;
      fail(ErrorId::kValue,
           "{}: found sparse optimizations, expected none: sparsity has no part in the model",
           member.where());
    } else if (key == "mapper" || key == "mapspace" || key == "mapspace_constraints") {
      remarks.push_back(fmt::format("{}: left out: it guides a search of Timeloop's", member.where()));
    } else {
      remarks.push_back(fmt::format("{}: left out: Timeloop's model does not read it", member.where()));
    }
  }
}

std::string workload_name(const Files& files, const ImportOptions& options) {
  if (!options.name.empty()) return options.name;
  return files.problems.size() == 1 ? files.problems.front().name : std::string("imported");
}

}  // namespace
}  // namespace timeloop

namespace {

class TimeloopImporter : public Importer {
 public:
  const char* name() const override { return "timeloop"; }
  const char* kind() const override { return "a file of Timeloop's"; }
  const char* description() const override {
    return "YAML with architecture, problem, mapping, architecture_constraints, ERT, ART or variables";
  }

  bool knows(const ImportSource& source) const override {
    // A key at the start of a line; the file need not be sound.
    for (std::size_t start = 0; start < source.content.size();) {
      const std::size_t end = std::min(source.content.find('\n', start), source.content.size());
      std::string line = source.content.substr(start, std::min<std::size_t>(end - start, 80));
      line.erase(std::remove(line.begin(), line.end(), '"'), line.end());
      const std::string key = line.substr(0, line.find_first_of(": \t\r"));
      if (line.find(':') != std::string::npos &&
          std::find(std::begin(timeloop::kRoots), std::end(timeloop::kRoots), key) !=
              std::end(timeloop::kRoots))
        return true;
      start = end + 1;
    }
    return false;
  }

  Imported read(const std::vector<ImportSource>& sources, const ImportOptions& options) const override {
    Imported imported;
    timeloop::Files files;
    for (const ImportSource& source : sources) timeloop::add_file(source, files, imported.remarks);
    const bool of_architecture = files.architecture.architecture.has_value();
    if (!of_architecture && !options.holds.empty())
      fail(ErrorId::kUsage, "--holds: the files have no architecture");
    if (!of_architecture &&
        (files.architecture.ert || files.architecture.art || !files.architecture.constraints.empty())) {
      const JsonInput& part = files.architecture.ert   ? *files.architecture.ert
                              : files.architecture.art ? *files.architecture.art
                                                       : files.architecture.constraints.front();
      fail(ErrorId::kSchema, "{}: found no architecture that it belongs to among the files", part.where());
    }
    if ((of_architecture || files.mapping) && files.problems.size() > 1) {
      fail(ErrorId::kSchema, "{}: found a second problem beside {}, expected one",
           files.problems[1].json.where(), files.mapping ? "a mapping" : "an architecture");
    }
    const timeloop::Shape shape = files.problems.empty()
                                      ? timeloop::convolution()
                                      : timeloop::shape_of_problem(files.problems.front().json);
    MachinePtr machine = options.machine;
    if (of_architecture) {
      if (machine)
        fail(ErrorId::kUsage, "--machine: found an architecture among the files, expected one machine");
      if (files.mapping) files.architecture.kept = timeloop::kept_by(*files.mapping, shape);
      imported.machine =
          timeloop::machine_of(files.architecture, shape, options,
                               options.name.empty() ? files.machine_name : options.name, imported.remarks);
      // What was read must be a machine; the error names the level.
      machine = std::make_shared<Chain>(read_chain(JsonInput::from_text(
          imported.machine->dump(), files.architecture.architecture->where() + ": as a machine")));
    }
    LayerList layers;
    for (const timeloop::NamedProblem& one : files.problems) {
      Layer layer = timeloop::layer_of_problem(one.json, timeloop::shape_of_problem(one.json), one.name,
                                               imported.remarks);
      layer.count = one.count;
      layers.add(std::move(layer), one.json.where());
    }
    if (!layers.empty()) {
      imported.workload =
          workload_of(layers, timeloop::workload_name(files, options), "Imported from Timeloop problems.");
    }
    if (files.mapping) {
      const auto layer = layers.empty() ? std::nullopt : std::optional(layers.layers().front());
      imported.mapping = mapping_text(*files.mapping, layer, shape, machine, imported.remarks);
    }
    if (!imported.machine && !imported.workload && !imported.mapping) {
      fail(ErrorId::kSchema,
           "{}: found only what has a part beside an architecture, expected an architecture, a problem or a "
           "mapping",
           sources.front().path);
    }
    std::vector<std::string> once;  // attributes of a container are read with each of its components
    for (const std::string& remark : imported.remarks) {
      if (std::find(once.begin(), once.end(), remark) == once.end()) once.push_back(remark);
    }
    imported.remarks = std::move(once);
    return imported;
  }

 private:
  static std::string mapping_text(const JsonInput& directives, const std::optional<Layer>& layer,
                                  const timeloop::Shape& shape, const MachinePtr& machine,
                                  std::vector<std::string>& remarks) {
    if (!machine) {
      fail(ErrorId::kUsage,
           "{}: found a mapping without an architecture; expected --machine, or the architecture among the "
           "files",
           directives.where());
    }
    const Mapping mapping =
        timeloop::mapping_of(directives, timeloop::levels_of(*machine), shape, layer, remarks);
    const auto on = [&](const auto& any) {
      try {
        if (layer) check_mapping(mapping, *layer, any);
      } catch (const Error& error) {
        throw error.in(directives.where());
      }
      return print_mapping(mapping, any);
    };
    if (const auto* chain = dynamic_cast<const Chain*>(machine.get())) return on(*chain);
    return on(dynamic_cast<const ArrayMachine&>(*machine));
  }
};

}  // namespace

const Importer& timeloop_importer() {
  static const TimeloopImporter importer;
  return importer;
}

}  // namespace dosa
