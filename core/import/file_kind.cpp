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

enum class Kind { kNetwork, kDesign, kMachine, kTable, kOther };

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
    return Known{Kind::kTable, "measurements of Gemmini",
                 "dosa train {} -o NAME.safetensors learns from them"};
  if (contains(line, "prob.") && contains(line, "target."))
    return Known{Kind::kTable, "a table of reference results", "dosa validate {} compares the model with it"};
  if (contains(line, "schedule_form"))
    return Known{Kind::kOther, "the CSV form of a design", "dosa reads the design's JSON"};
  return std::nullopt;
}

constexpr const char* kBlanks = " \t\r\n";

/// A YAML list of texts and nothing else.
std::optional<Known> known_list(std::string_view start, const std::string& path) {
  std::size_t items = 0;
  for (std::size_t at = 0; at < start.size();) {
    const std::size_t end = std::min(start.find('\n', at), start.size());
    const std::string_view line = start.substr(at, end - at);
    at = end + 1;
    if (line.find_first_not_of(kBlanks) == line.npos || line[0] == '#' || line == "---") continue;
    if (line.substr(0, 2) != "- " || contains(line, ":")) return std::nullopt;
    ++items;
  }
  if (items == 0) return std::nullopt;
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return Known{Kind::kOther, "a list of names, as CoSA keeps of layers that are files beside it",
               fmt::format("dosa import {} -o FILE reads these", folder.empty() ? "." : folder)};
}

/// What can be said of content that nobody knows: that it is none of the two forms of our files.
std::optional<Known> known_as_no_form(std::string_view start, const std::string& path) {
  const std::string ending = std::filesystem::path(path).extension().string();
  const std::size_t first = start.find_first_not_of(kBlanks);
  if (first == start.npos) return Known{Kind::kOther, "an empty file", ""};
  if (ending == ".yaml" || ending == ".yml" || start[first] == '{' || start[first] == '[')
    return std::nullopt;
  return Known{Kind::kOther, "neither JSON nor a file of a format that dosa knows",
               "dosa import --help lists the formats"};
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
  if (auto list = known_list(start, source.path)) return list;
  if (const Importer* importer = importer_of(source)) {
    return Known{Kind::kOther, importer->kind(), "dosa import {} -o FILE converts it"};
  }
  return std::nullopt;
}

/// A name of what comes with dosa, where there is no such file.
std::optional<Known> known_shipped(const std::string& name) {
  std::error_code ignored;
  const std::string text = std::filesystem::exists(name, ignored) ? "" : shipped_as(name);
  if (text.empty()) return std::nullopt;
  for (const Schema& own : kSchemas) {
    if (own.text == text) return Known{own.kind, text + " that comes with dosa", own.hint};
  }
  return std::nullopt;
}

}  // namespace

void expect_kind(const std::filesystem::path& path, Wanted wanted) {
  ImportSource source{path.string(), ""};
  std::optional<Known> known = known_shipped(source.path);
  if (!known) {
    try {
      source.content = read_start(path, kStart);
    } catch (const Error&) {
      return;
    }
    known = kind_of(source);
  }
  // Tables and files of other programs have readers that say more of what they do not know.
  if (!known && wanted != Wanted::kTable && wanted != Wanted::kImport)
    known = known_as_no_form(source.content, source.path);
  if (!known) return;
  const bool is_network = known->kind == Kind::kNetwork;
  if (wanted == Wanted::kNetwork && is_network) return;
  if (wanted == Wanted::kDesign && known->kind == Kind::kDesign) return;
  if (wanted == Wanted::kMachine && known->kind == Kind::kMachine) return;
  if (wanted == Wanted::kTable && known->kind == Kind::kTable) return;
  constexpr std::array<const char*, 5> kWanted{"a network", "a design", "a machine",
                                               "a file of another program", "a table of results (CSV)"};
  std::string hint = known->hint;
  if (wanted == Wanted::kDesign && is_network) hint = "dosa optimize {} -o design.json makes one of it";
  if (wanted == Wanted::kMachine && is_network) hint = "dosa optimize {} takes it as its network";
  if (wanted == Wanted::kImport && is_network) hint = "dosa optimize {} takes it as it is";
  if (const std::size_t at = hint.find("{}"); at != hint.npos) hint.replace(at, 2, source.path);
  fail(ErrorId::kSchema, "{}: found {}, expected {}{}{}", source.path, known->text,
       kWanted[static_cast<std::size_t>(wanted)], hint.empty() ? "" : "; ", hint);
}

}  // namespace dosa
