#include <memory>

#include "dosa/core/cli/commands.hpp"
#include "dosa/core/import/importer.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::cli {
namespace {

struct ImportFlags {
  std::vector<std::string> files, holds;
  std::string output, machine, name;
};

/// "GlobalBuffer=IO"
ImportOptions::Holds holds_of(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    fail(ErrorId::kUsage, "--holds: found '{}', expected LEVEL=LETTERS such as GlobalBuffer=IO", text);
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void run_import(const ImportFlags& flags, const Output& output) {
  ImportOptions options;
  options.name = flags.name;
  for (const std::string& text : flags.holds) options.holds.push_back(holds_of(text));
  if (!flags.machine.empty()) options.machine = load_machine(flags.machine);
  if (!flags.output.empty()) check_writable(flags.output);
  const Imported imported = import_files(flags.files, options);
  // One file is written: the machine, else the mapping, else the network.
  const std::string content = (imported.machine   ? imported.machine->dump(2)
                               : imported.mapping ? *imported.mapping
                                                  : imported.workload->dump(2)) +
                              "\n";
  std::string text;
  for (const std::string& remark : imported.remarks) fmt::print(stderr, "{}\n", printable(remark));
  if (flags.output.empty()) {
    text = content;
  } else {
    write_file(flags.output, content);
  }
  if (imported.machine && imported.mapping) text += *imported.mapping + "\n";
  if (!flags.output.empty()) text += fmt::format("written: {}\n", flags.output);
  Json json = Json::object();
  if (imported.machine) json["machine"] = *imported.machine;
  if (imported.workload) json["workload"] = *imported.workload;
  if (imported.mapping) json["mapping"] = *imported.mapping;
  json["remarks"] = imported.remarks;
  if (!flags.output.empty()) json["written"] = flags.output;
  output.print(json, text);
}

}  // namespace

void add_import(CLI::App& app) {
  std::string purpose =
      "Turn other programs' files into a machine, a network or a mapping. Files of one call belong "
      "together, as on Timeloop's command line. What has no part in dosa's model is named, a line each; "
      "what would change costs and has no counterpart is refused. Formats:";
  for (const Importer* format : importers())
    purpose += fmt::format("\n  {:<9} {}", format->name(), format->description());
  CLI::App* command = app.add_subcommand(
      "import",
      described(purpose, {"dosa import arch.yaml constraints.yaml ERT.yaml -o mine.json",
                          "dosa import arch.yaml --holds GlobalBuffer=IO --holds WeightSpad=W -o mine.json",
                          "dosa import conv1.problem.yaml conv2.problem.yaml --name net -o net.json",
                          "dosa import conv1.mapping.yaml --machine mine.json"}));
  const auto flags = std::make_shared<ImportFlags>();
  const auto output = std::make_shared<Output>(*command);
  command->add_option("files", flags->files, "The files")->required();
  command->add_option(
      "-o,--output", flags->output,
      "File to write: the machine, else the text of the mapping, else the network (default: standard "
      "output)");
  command->add_option("--name", flags->name, "Name of the machine or network (default: that of the file)");
  command
      ->add_option("--holds", flags->holds,
                   "LEVEL=LETTERS: tensors of W, I and O that a level holds, where no constraint says it")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1);
  command->add_option("--machine", flags->machine, "Machine that a mapping is for: a shipped name or a file");
  command->callback([flags, output] { run_import(*flags, *output); });
}

}  // namespace dosa::cli
