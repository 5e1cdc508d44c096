#include "dosa/core/import/file_kind.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "dosa/core/import/importer.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {

enum class Kind { kNetwork, kDesign, kMachine, kOther };

/// What a file is, and a hint for whoever wants a network or design of it; {} stands for its path.
struct Known {
  Kind kind = Kind::kOther;
  std::string text;
  std::string hint;
};

struct Schema {
  std::string_view name;  ///< without its version
  Kind kind;
  const char* text;
  const char* hint;
};
constexpr std::array<Schema, 12> kSchemas{{
    {"dosa-workload", Kind::kNetwork, "a network", ""},
    {"dosa-design", Kind::kDesign, "a design", "dosa evaluate {} costs it"},
    {"dosa-hardware", Kind::kMachine, "a machine", "dosa optimize NETWORK --machine {} searches on it"},
    {"dosa-front", Kind::kOther, "a front of designs", "the designs are the files beside it"},
    {"dosa-compare", Kind::kOther, "a comparison of methods", "it is for reading"},
    {"dosa-checkpoint", Kind::kOther, "a checkpoint", "dosa optimize NETWORK --resume {} goes on from it"},
    {"dosa-surrogate", Kind::kOther, "a surrogate", "dosa predict DESIGN --surrogate takes its .safetensors"},
    {"dosa-campaign", Kind::kOther, "a campaign's state", "dosa campaign goes on in its folder"},
    {"dosa-plan", Kind::kOther, "a plan of measurements", "dosa measure runs its folder"},
    {"dosa-run", Kind::kOther, "the state of measurements", "dosa measure goes on in its folder"},
    {"dosa-timeloop", Kind::kOther, "what Timeloop is expected to say", "it lies beside an export"},
    {"dosa-files", Kind::kOther, "a list of an export's files", "dosa writes and reads it itself"},
}};

struct Magic {
  std::size_t at;
  std::string_view bytes;
  const char* text;
  const char* hint;
};
constexpr const char* kToOnnx = "export the network as ONNX";
constexpr std::array<Magic, 7> kMagics{{
    {4, "TFL3", "a TensorFlow Lite model", "convert it to ONNX (tf2onnx does)"},
    {0, "\x89HDF\r\n", "an HDF5 file, as Keras saves models", "convert it to ONNX (tf2onnx does)"},
    {0, "\x93NUMPY", "a NumPy array", kToOnnx},
    {0, "\x80\x02", "a Python pickle, as PyTorch saves weights",
     "export the network as ONNX (torch.onnx.export)"},
    {0, "%PDF", "a PDF document", ""},
    {0, "\x89PNG", "a picture", ""},
    {0,
     "\x7f"
     "ELF",
     "a compiled program", ""},
}};

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// The name of a schema of ours ("dosa-design/1"), wherever its key stands in JSON or YAML.
std::string_view schema_in(std::string_view text) {
  for (std::size_t at = text.find("schema"); at != text.npos; at = text.find("schema", at + 1)) {
    std::size_t value = text.find_first_not_of("\"' \t", at + 6);
    if (value == text.npos || text[value] != ':') continue;
    value = text.find_first_not_of("\"' \t\n\r", value + 1);
    if (value == text.npos || text.substr(value, 5) != "dosa-") continue;
    return text.substr(value, text.find_first_of("\"' \t\n\r,}", value) - value);
  }
  return {};
}

std::optional<Known> known_archive(std::string_view start) {
  if (start.substr(0, 4) != "PK\x03\x04") return std::nullopt;
  if (contains(start, "/code/") || contains(start, "constants.pkl"))
    return Known{Kind::kOther, "a TorchScript archive", "export the network as ONNX (torch.onnx.export)"};
  if (contains(start, "data.pkl"))
    return Known{Kind::kOther, "a PyTorch archive", "export the network as ONNX (torch.onnx.export)"};
  return Known{Kind::kOther, "a zip archive", "unpack it"};
}

std::optional<Known> known_csv(std::string_view start) {
  const std::string_view line = start.substr(0, start.find('\n'));
  if (contains(line, "pe_dim") && contains(line, "cycles") && contains(line, "tile_"))
    return Known{Kind::kOther, "measurements of Gemmini",
                 "dosa train {} -o NAME.safetensors learns from them"};
  if (contains(line, "prob.") && contains(line, "target."))
    return Known{Kind::kOther, "a table of reference results", "dosa validate {} compares the model with it"};
  if (contains(line, "schedule_form"))
    return Known{Kind::kOther, "the CSV form of a design", "dosa reads the design's JSON"};
  return std::nullopt;
}

std::optional<Known> kind_of(const ImportSource& source) {
  const std::string_view start = source.content;
  for (const Magic& magic : kMagics) {
    if (start.substr(std::min(magic.at, start.size()), magic.bytes.size()) == magic.bytes)
      return Known{Kind::kOther, magic.text, magic.hint};
  }
  if (auto archive = known_archive(start)) return archive;
  // A safetensors file: 8 bytes of length, then a JSON object.
  if (start.size() > 10 && start.substr(8, 2) == "{\"" && start[7] == '\0')
    return Known{Kind::kOther, "a safetensors file", "export the network as ONNX"};
  const std::string_view schema = schema_in(start);
  for (const Schema& own : kSchemas) {
    if (schema.substr(0, schema.find('/')) == own.name)
      return Known{own.kind, fmt::format("{} ({})", own.text, schema), own.hint};
  }
  if (auto table = known_csv(start)) return table;
  if (const Importer* importer = importer_of(source)) {
    return Known{Kind::kOther, importer->kind(), "dosa import {} -o FILE converts it"};
  }
  return std::nullopt;
}

}  // namespace

void expect_kind(const std::filesystem::path& path, Wanted wanted) {
  ImportSource source{path.string(), ""};
  try {
    source.content = read_start(path, kStart);
  } catch (const Error&) {
    return;
  }
  const std::optional<Known> known = kind_of(source);
  if (!known) return;
  const bool is_network = known->kind == Kind::kNetwork;
  if (wanted == Wanted::kNetwork && is_network) return;
  if (wanted == Wanted::kDesign && known->kind == Kind::kDesign) return;
  if (wanted == Wanted::kMachine && known->kind == Kind::kMachine) return;
  constexpr std::array<const char*, 4> kWanted{"a network", "a design", "a machine",
                                               "a file of another program"};
  std::string hint = known->hint;
  if (wanted == Wanted::kDesign && is_network) hint = "dosa optimize {} -o design.json makes one of it";
  if (wanted == Wanted::kMachine && is_network) hint = "dosa optimize {} takes it as its network";
  if (wanted == Wanted::kImport && is_network) hint = "dosa optimize {} takes it as it is";
  if (const std::size_t at = hint.find("{}"); at != hint.npos) hint.replace(at, 2, source.path);
  fail(ErrorId::kSchema, "{}: found {}, expected {}{}{}", source.path, known->text,
       kWanted[static_cast<std::size_t>(wanted)], hint.empty() ? "" : "; ", hint);
}

}  // namespace dosa
