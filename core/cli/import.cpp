#include <charconv>
#include <memory>

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/import/importer.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::cli {
namespace {

struct ImportFlags {
  std::vector<std::string> files, holds, dims;
  std::string output, name;
  MachineChoice machine;
  std::int64_t batch = 0, sequence = 0, past = -1;
};

/// "GlobalBuffer=IO"
ImportOptions::Holds holds_of(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    fail(ErrorId::kUsage, "--holds: found '{}', expected LEVEL=LETTERS such as GlobalBuffer=IO", text);
  return {text.substr(0, equals), text.substr(equals + 1)};
}

/// "height=224"
std::pair<std::string, std::int64_t> dim_of(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  const std::string size = equals == std::string::npos ? "" : text.substr(equals + 1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), value);
  if (equals == 0 || error != std::errc() || end != size.data() + size.size() || value < 0 || value > kMaxDim)
    fail(ErrorId::kUsage, "--dim: found '{}', expected NAME=SIZE such as height=224, at most {}", text,
         kMaxDim);
  return {text.substr(0, equals), value};
}

ImportOptions options_of(const ImportFlags& flags) {
  ImportOptions options;
  options.name = flags.name;
  if (flags.batch > 0) options.batch = flags.batch;
  if (flags.sequence > 0) options.sequence = flags.sequence;
  if (flags.past >= 0) options.past = flags.past;
  for (const std::string& text : flags.dims) options.dims.insert(dim_of(text));
  for (const std::string& text : flags.holds) options.holds.push_back(holds_of(text));
  if (!flags.machine.name_or_path.empty()) options.machine = load_machine(flags.machine);
  return options;
}

void run_import(const ImportFlags& flags, const Output& output) {
  const ImportOptions options = options_of(flags);
  if (!flags.output.empty()) check_writable(flags.output);
  const Imported imported = import_files(flags.files, options);
  // One file is written: the machine, else the mapping, else the network.
  const std::string content = (imported.machine   ? imported.machine->dump(2)
                               : imported.mapping ? *imported.mapping
                                                  : imported.workload->dump(2)) +
                              "\n";
  print_remarks(imported.remarks);
  if (!flags.output.empty()) write_file(flags.output, content);
  // What is said beside the content; standard output may be that.
  std::string beside = imported.machine && imported.mapping ? *imported.mapping + "\n" : std::string();
  beside += imported.left_out;
  if (flags.output.empty()) fmt::print(stderr, "{}", beside);
  Json json = Json::object();
  if (imported.machine) json["machine"] = *imported.machine;
  if (imported.workload) json["workload"] = *imported.workload;
  if (imported.mapping) json["mapping"] = *imported.mapping;
  json["remarks"] = imported.remarks;
  if (!imported.left_out_json.is_null()) json["left_out"] = imported.left_out_json;
  if (!flags.output.empty()) json["written"] = flags.output;
  if (flags.output.empty()) {
    output.print_content(json, content);
  } else {
    output.print(json, beside + fmt::format("written: {}\n", flags.output));
  }
}

}  // namespace

void add_import(CLI::App& app) {
  std::string purpose =
      "Turn other programs' files, or a folder of them, into a machine, a network or a mapping. Files of one "
      "call belong together, as on Timeloop's command line. What has no part in dosa's model is named, a "
      "line "
      "each; what would change costs and has no counterpart is refused. Of an ONNX model convolutions and "
      "products of matrices become layers; a table says what else it computes. Which format a file has is "
      "seen from its content:";
  for (const Importer* format : importers())
    purpose += fmt::format("\n  {:<9} {}", format->name(), format->description());
  CLI::App* command = app.add_subcommand(
      "import",
      described(purpose,
                {"dosa import model.onnx -o model.json",
                 "dosa import decoder.onnx --batch 4 --sequence 1 --past 2048 -o decoder.json",
                 "dosa import topology.csv -o net.json", "dosa import problems/ --name net -o net.json",
                 "dosa import arch.yaml constraints.yaml ERT.yaml -o mine.json",
                 "dosa import arch.yaml --holds GlobalBuffer=IO --holds WeightSpad=W -o mine.json",
                 "dosa import conv1.problem.yaml conv2.problem.yaml --name net -o net.json",
                 "dosa import conv1.mapping.yaml --machine mine.json"}));
  const auto flags = std::make_shared<ImportFlags>();
  const auto output = std::make_shared<Output>(*command);
  command->add_option("files", flags->files, "The files, or folders of files")->required();
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
  command->add_option("--batch", flags->batch, "ONNX: size of an open batch dimension (default: 1)")
      ->check(integer_in(1, kMaxDim));
  command
      ->add_option("--sequence", flags->sequence, "ONNX: tokens, for open dimensions such as sequence_length")
      ->check(integer_in(1, kMaxDim));
  command
      ->add_option("--past", flags->past,
                   "ONNX: tokens whose keys and values are there, for past_sequence_length")
      ->check(integer_in(0, kMaxDim));
  command->add_option("--dim", flags->dims, "ONNX: NAME=SIZE of any other open dimension; may be given again")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1);
  add_machine(*command, flags->machine, "--machine",
              "Machine that a mapping is for: a shipped name or a file");
  command->callback([flags, output] { run_import(*flags, *output); });
}

}  // namespace dosa::cli
