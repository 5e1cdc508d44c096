#include <cctype>
#include <filesystem>
#include <memory>

#include "dosa/core/cli/commands.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/export/exporter.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::cli {
namespace {

/// "2_resnet50": a network's number and its name as far as it goes into the name of a folder.
std::string folder_name(std::size_t number, std::string name) {
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) || c == '-' ? c : '_';
  return fmt::format("{}_{}", number, name.substr(0, 64));
}

/// Throws Error{kFile}.
void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directory(folder, error);
  if (!std::filesystem::is_directory(folder, error))
    fail(ErrorId::kFile, "{}: cannot make this folder", folder.string());
}

}  // namespace

void add_export(CLI::App& app) {
  struct Flags {
    std::string design, format, folder;
    MachineChoice machine;
    BatchLimits batch;
  };
  std::string purpose =
      "Write a design for other programs: all files of an export or none. Of a design of several networks "
      "each "
      "gets a folder in the one given. Formats:";
  for (const Exporter* format : exporters())
    purpose += fmt::format("\n  {:<13} {}", format->name(), format->description());
  CLI::App* command = app.add_subcommand(
      "export", described(purpose, {"dosa export design.json --format gemmini -o out/",
                                    "dosa export design.json --format gemmini --batch 4 -o out/",
                                    "dosa export design.json --format timeloop -o timeloop/"}));
  const auto flags = std::make_shared<Flags>();
  const auto output = std::make_shared<Output>(*command);
  command->add_option("design", flags->design, "A design file of dosa optimize")->required();
  command->add_option("--format", flags->format, "What to write, see above")->required();
  command->add_option("-o,--output", flags->folder, "New folder, or an earlier export to replace")
      ->required();
  add_machine(*command, flags->machine, "--machine",
              "Machine file, where the design's target is not a shipped one");
  const std::vector<CLI::Option*> batch = add_batch(*command, flags->batch);
  command->callback([flags, output, batch] {
    const Exporter& format = exporter(flags->format);
    for (const CLI::Option* option : batch) {
      if (option->count() > 0 && !format.has_programs())
        fail(ErrorId::kUsage, "{}: --format {} writes no programs", option->get_name(), flags->format);
    }
    const LoadedDesigns loaded = load_designs(flags->design, flags->machine);
    // Of several networks a folder for each in the one given; all files are there before the first is
    // written.
    std::vector<std::pair<std::filesystem::path, std::vector<OutputFile>>> folders;
    for (const SharedNetwork& network : loaded.shared.networks) {
      std::filesystem::path folder = flags->folder;
      if (loaded.is_shared) folder /= folder_name(folders.size() + 1, network.design.workload);
      try {
        folders.emplace_back(folder, format.files(network.design, *loaded.target, flags->batch));
      } catch (const Error& error) {
        throw error.in(flags->design);
      }
    }
    if (loaded.is_shared) make_folder(flags->folder);
    Json of_networks = Json::array();
    std::string text;
    for (std::size_t n = 0; n < folders.size(); ++n) {
      const auto& [folder, files] = folders[n];
      const Design& design = loaded.shared.networks[n].design;
      write_folder(folder, flags->format, files);
      Json json{{"format", flags->format}, {"folder", folder.string()}, {"files", Json::array()}};
      for (const OutputFile& file : files) json["files"].push_back(file.name);
      text += fmt::format("{}: {}\n", folder.string(), counted(files.size(), "file"));
      for (const std::string& remark : cpu_remarks(design)) text += remark + "\n";
      for (const CpuLayer& layer : design.left_to_cpu) json["left_to_cpu"].push_back(to_json(layer));
      of_networks.push_back(std::move(json));
    }
    output->print(loaded.is_shared ? Json{{"networks", of_networks}} : of_networks.front(), text);
  });
}

}  // namespace dosa::cli
