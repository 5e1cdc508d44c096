// ONNX: protocol-buffer files of any exporter. The library that reads them is optional where dosa is built.
#include "dosa/core/import/importer.hpp"

#include <algorithm>
#include <fstream>

#include "dosa/core/import/onnx/without_values.hpp"
#include "dosa/models/base/error.hpp"

#ifdef DOSA_ONNX
#include <google/protobuf/io/coded_stream.h>

#include "dosa/core/import/onnx/graph.hpp"
#include "dosa/models/base/process.hpp"
#include "dosa/models/base/text.hpp"
#endif

namespace dosa {
namespace {

/// Steps over the fields of a protocol-buffer message.
class ProtobufFields {
 public:
  explicit ProtobufFields(std::string_view bytes) : bytes_(bytes) {}

  struct Field {
    std::uint64_t number = 0, kind = 0, value = 0;
  };
  /// The next field; nothing at the end, where it is cut off, and where it is none.
  std::optional<Field> next() {
    const auto tag = varint();
    if (!tag) return std::nullopt;
    Field field{*tag >> 3, *tag & 7, 0};
    if (field.kind != 0 && field.kind != 2) return std::nullopt;
    const auto value = varint();
    if (!value) return std::nullopt;
    field.value = *value;
    if (field.kind == 2)
      at_ = std::min<std::uint64_t>(bytes_.size(), at_ + std::min<std::uint64_t>(field.value, kMost));
    return field;
  }

 private:
  static constexpr std::uint64_t kMost = std::uint64_t{1} << 40;

  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < bytes_.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
  }

  std::string_view bytes_;
  std::uint64_t at_ = 0;
};

/// Whether bytes begin like onnx.ModelProto: ir_version first, then fields that it has, in their wire types.
bool begins_like_model(std::string_view bytes) {
  ProtobufFields fields(bytes);
  const auto first = fields.next();
  if (!first || first->number != 1 || first->kind != 0 || first->value < 1 || first->value > 100)
    return false;
  for (int i = 0; i < 64; ++i) {
    const auto field = fields.next();
    if (!field) return i > 0;
    const bool number = field->number == 5;
    const bool message = field->number == 2 || field->number == 3 || field->number == 4 ||
                         field->number == 6 || field->number == 7 || field->number == 8 ||
                         field->number == 14 || field->number == 20 || field->number == 25 ||
                         field->number == 26;
    if (!(number && field->kind == 0) && !(message && field->kind == 2)) return false;
  }
  return true;
}

#ifdef DOSA_ONNX

constexpr double kMaxSeconds = 120;

/// The library's shape functions may divide by zero or abort on a wrong file; they run in a process of their
/// own, whose answer is text.
Json read_model(const ImportSource& source, const ImportOptions& options) {
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(source.content.data()),
                                                static_cast<int>(source.content.size()));
  onnx::ModelProto model;
  if (!model.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    fail(ErrorId::kSyntax, "{}: not an ONNX model, or cut off: {} bytes are no protocol buffer of one",
         source.path, source.content.size());
  }
  if (!model.has_graph() || model.graph().node_size() == 0)
    fail(ErrorId::kSyntax, "{}: found an ONNX model without nodes", source.path);
  const onnx_import::Network network = onnx_import::read_network(model, source.path, options);
  std::string made_by = model.producer_name();
  if (!made_by.empty()) made_by = fmt::format(" by {}", printable(made_by));
  const std::string brief = network.left_out.brief();
  Json layers = Json::array();
  for (const Layer& layer : network.layers.layers()) layers.push_back(to_json(layer));
  return {{"layers", std::move(layers)},
          {"description", fmt::format("Imported from an ONNX model{}.{}{}", made_by, brief.empty() ? "" : " ",
                                      brief.empty() ? "" : brief + ".")},
          {"graph", printable(model.graph().name())},
          {"remarks", network.remarks},
          {"table", network.left_out.table()},
          {"brief", brief},
          {"left_out", network.left_out.json()}};
}

Imported read_apart(const ImportSource& source, const ImportOptions& options) {
  const std::string answer = run_apart(
      [&] { return read_model(source, options).dump(-1, ' ', false, Json::error_handler_t::replace); },
      kMaxSeconds, fmt::format("{}: not a sound ONNX model: reading it", source.path));
  const Json read = Json::parse(answer);
  Workload workload;
  workload.name = options.name.empty() ? stem_of_path(source.path) : options.name;
  workload.description = read["description"];
  const JsonInput layers = JsonInput::from_text(read["layers"].dump(), source.path);
  for (const JsonInput& layer : layers.items()) workload.layers.push_back(layer_from_json(layer));
  Imported imported;
  imported.workload = to_json(workload);
  imported.remarks = read["remarks"].get<std::vector<std::string>>();
  imported.left_out = read["table"];
  imported.left_out_brief = read["brief"].get<std::string>().empty()
                                ? std::string()
                                : fmt::format("{}: {}", source.path, read["brief"].get<std::string>());
  imported.left_out_json = read["left_out"];
  return imported;
}

#else

Imported read_apart(const ImportSource& source, const ImportOptions&) {
  fail(ErrorId::kFile,
       "{}: is an ONNX model, which this dosa was built without the library for; install libonnx-dev "
       "and libprotobuf-dev and build dosa again",
       source.path);
}

#endif

class OnnxImporter : public Importer {
 public:
  const char* name() const override { return "onnx"; }
  const char* kind() const override { return "an ONNX model"; }
  const char* description() const override { return "ONNX model, with or without its weights"; }
  bool has_open_sizes() const override { return true; }
  bool is_binary() const override { return true; }

  bool knows(const ImportSource& source) const override { return begins_like_model(source.content); }

  std::string content_of(const std::string& path) const override {
    std::ifstream file(path, std::ios::binary);
    const auto content = onnx_import::without_values(file);
    return content ? *content : Importer::content_of(path);  // which says what is wrong, or unpacks
  }

  Imported read(const std::vector<ImportSource>& sources, const ImportOptions& options) const override {
    if (sources.size() > 1) {
      fail(ErrorId::kUsage, "{}: found a second ONNX model beside {}, expected one: import them one by one",
           sources[1].path, sources[0].path);
    }
    return read_apart(sources.front(), options);
  }
};

}  // namespace

const Importer& onnx_importer() {
  static const OnnxImporter importer;
  return importer;
}

}  // namespace dosa
