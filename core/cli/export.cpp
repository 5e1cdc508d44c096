#include <memory>

#include "dosa/core/cli/commands.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/export/exporter.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::cli {

void add_export(CLI::App& app) {
  struct Flags {
    std::string design, format, folder;
    MachineChoice machine;
    BatchLimits batch;
  };
  std::string purpose = "Write a design for other programs: all files of an export or none. Formats:";
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
    const auto [design, target] = load_design(flags->design, flags->machine);
    std::vector<OutputFile> files;
    try {
      files = format.files(design, *target, flags->batch);
    } catch (const Error& error) {
      throw error.in(flags->design);
    }
    write_folder(flags->folder, flags->format, files);
    Json names = Json::array();
    for (const OutputFile& file : files) names.push_back(file.name);
    std::string text = fmt::format("{}: {} files\n", flags->folder, files.size());
    for (const std::string& remark : cpu_remarks(design)) text += remark + "\n";
    Json json{{"format", flags->format}, {"folder", flags->folder}, {"files", names}};
    for (const CpuLayer& layer : design.left_to_cpu) json["left_to_cpu"].push_back(to_json(layer));
    output->print(json, text);
  });
}

}  // namespace dosa::cli
