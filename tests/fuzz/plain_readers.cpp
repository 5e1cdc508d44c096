// The readers that need no tensors.
#include <cmath>
#include <filesystem>

#include "dosa/core/import/file_kind.hpp"
#include "dosa/core/import/importer.hpp"
#include "dosa/core/import/timeloop/stats.hpp"
#include "dosa/models/array_machine.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/chain/chain.hpp"
#include "tests/fuzz/inputs.hpp"
#include "tests/fuzz/readers.hpp"

namespace dosa::testing {
namespace {
namespace fs = std::filesystem;

std::vector<std::string> shipped_machines() {
  std::vector<std::string> contents;
  for (const std::string& name : shipped_names("hardware"))
    contents.push_back(read_file(resolve_shipped(name, "hardware")));
  return contents;
}

void look_at(const Workload& workload, const FurtherLooks& further) {
  const Json json = to_json(workload);
  require(to_json(workload_from_json(JsonInput::from_text(json.dump(), "again"))) == json,
          "a workload is not what its own JSON says");
  for (const Layer& layer : workload.layers) {
    require(layer.macs() >= 1 && layer.repetitions() >= 1, "no multiplications");
    require(layer.input_width() >= 1 && layer.input_height() >= 1, "no input");
  }
  if (further.at_network) further.at_network(workload);
}

void look_at(const MachinePtr& machine, const FurtherLooks& further) {
  for (const Hardware& hardware : {machine->min_hardware, machine->default_hardware, machine->max_hardware}) {
    const double area = machine->area_mm2(hardware);
    require(std::isfinite(area) && area >= 0, "an area is not a finite number");
    require(machine->hardware_from_json(JsonInput::from_text(machine->to_json(hardware).dump(), "again")) ==
                hardware,
            "hardware is not what its own JSON says");
  }
  if (further.at_machine) further.at_machine(machine);
}

/// Reads as dosa import does, and what comes out as every command does.
void import_one(const Importer& importer, const std::string& bytes, const MachinePtr& machine,
                const FurtherLooks& further) {
  const ImportSource source{"input", bytes};
  ImportOptions options;
  if (bytes.find("architecture") == std::string::npos)
    options.machine = machine;  // of mappings that bring none
  static_cast<void>(importer.knows(source));
  const Imported imported = importer.read({source}, options);
  if (imported.workload)
    look_at(workload_from_json(JsonInput::from_text(imported.workload->dump(), "imported")), further);
  if (imported.machine)
    look_at(read_machine(JsonInput::from_text(imported.machine->dump(), "imported")), further);
}

void add_descriptions(std::vector<Reader>& readers, const FurtherLooks& further) {
  readers.push_back({"network", Form::kPlain, corpus_of("workload"), [further](const std::string& bytes) {
                       look_at(workload_from_json(JsonInput::from_text(bytes, "input.json")), further);
                     }});
  readers.push_back({"network_yaml", Form::kPlain, corpus_of("yaml"), [further](const std::string& bytes) {
                       look_at(workload_from_json(JsonInput::from_yaml(bytes, "input.yaml")), further);
                     }});
  readers.push_back({"machine", Form::kPlain, shipped_machines(), [further](const std::string& bytes) {
                       look_at(read_machine(JsonInput::from_text(bytes, "input.json")), further);
                     }});
  readers.push_back({"mapping", Form::kPlain, corpus_of("mapping"), [](const std::string& bytes) {
                       static const ArrayMachine array = load_array_machine("gemmini-tl");
                       static const Chain chain = load_chain("simba");
                       const auto try_on = [&](const auto& machine) {
                         const Mapping mapping = parse_mapping(bytes, machine);
                         require(parse_mapping(print_mapping(mapping, machine), machine) == mapping,
                                 "a mapping is not what its own text says");
                         check_mapping(mapping, small_layer(), machine);
                       };
                       try {
                         try_on(array);
                       } catch (const Error&) {
                         try_on(chain);
                       }
                     }});
}

void add_importers(std::vector<Reader>& readers, const FurtherLooks& further) {
  const MachinePtr machine = load_machine("nvdla");
  for (const auto& [folder, importer] : {std::pair{"timeloop", &timeloop_importer()},
                                         {"zigzag", &zigzag_importer()},
                                         {"scale_sim", &scale_sim_importer()},
                                         {"maestro", &maestro_importer()},
                                         {"gamma", &gamma_importer()},
                                         {"onnx", &onnx_importer()}}) {
    readers.push_back({folder, Form::kPlain, corpus_of(folder),
                       [machine, own = importer, further](const std::string& bytes) {
                         import_one(*own, bytes, machine, further);
                       }});
  }
  readers.push_back(
      {"stats", Form::kPlain, corpus_of("stats"),
       [scratch = Scratch()](const std::string& bytes) { timeloop::read_stats(scratch.with(bytes)); }});
}

void add_kind(std::vector<Reader>& readers) {
  std::vector<std::string> all = corpus_of("design");
  for (const Reader& reader : readers) all.insert(all.end(), reader.right.begin(), reader.right.end());
  readers.push_back(
      {"kind", Form::kPlain, all, [scratch = Scratch()](const std::string& bytes) {
         const fs::path path = scratch.with(bytes);
         for (const Wanted wanted : {Wanted::kNetwork, Wanted::kDesign, Wanted::kMachine, Wanted::kImport})
           expect_kind(path, wanted);
       }});
}

}  // namespace

std::vector<Reader> plain_readers(const FurtherLooks& further) {
  std::vector<Reader> readers;
  add_descriptions(readers, further);
  add_importers(readers, further);
  add_kind(readers);
  readers.push_back({"gzip", Form::kGzip, corpus_of("measured"),
                     [scratch = Scratch()](const std::string& bytes) { read_file(scratch.with(bytes)); },
                     false});
  return readers;
}

}  // namespace dosa::testing
