#include "dosa/models/base/tensor_file.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <set>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // what safetensors allows
// Headers are filled up with spaces to a multiple of this: the numbers are then aligned, and no header has a
// length that begins like a gzip file.
constexpr std::size_t kAlignment = 8;
constexpr const char* kMetadata = "__metadata__";
constexpr const char* kKindKey = "kind";
constexpr const char* kHeaderKey = "dosa";
constexpr const char* kHashKey = "data_hash";
constexpr std::int64_t kMaxExtent = 1 << 20;
constexpr std::int64_t kMaxOffset = std::int64_t{1} << 53;  // whole numbers that every JSON reader keeps

std::string little_endian(std::uint64_t number) {
  std::string bytes;
  for (std::size_t i = 0; i < kLengthBytes; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xff);
  return bytes;
}

std::uint64_t from_little_endian(const char* bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) number = number << 8 | static_cast<unsigned char>(bytes[i]);
  return number;
}

const char* name_of(torch::ScalarType type) { return type == torch::kFloat64 ? "F64" : "F32"; }
std::size_t bytes_of(torch::ScalarType type) { return type == torch::kFloat64 ? 8 : 4; }

/// A JSON reader keeps the last of several values of one key, so two tensors of one name are looked for in
/// the text.
void require_distinct_names(const std::string& text, const std::string& where) {
  std::set<std::string> names;
  const auto see = [&](int depth, Json::parse_event_t event, Json& token) {
    if (event == Json::parse_event_t::key && depth == 1 && !names.insert(token.get<std::string>()).second)
      fail(ErrorId::kSchema, "{}: '{}' stands twice", where, token.get<std::string>());
    return true;
  };
  [[maybe_unused]] const Json parsed = Json::parse(text, see);
}

/// The content of a file that is not compressed: a small file may unpack to thousands of times its size, and
/// what is allocated for one of a stranger's is bounded by its size.
std::string plain_content(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) {
    std::array<char, 2> start{};
    std::ifstream(path, std::ios::binary).read(start.data(), start.size());
    if (start == std::array{'\x1f', '\x8b'}) {
      fail(ErrorId::kFile, "{}: is compressed (gzip), expected the file itself; gunzip unpacks it",
           path.string());
    }
  }
  return read_file(path);
}

/// The safetensors header of a file's content, and where the numbers begin.
JsonInput layout_of(const std::string& content, const std::string& path, const std::string& kind,
                    std::size_t* data_begin) {
  if (content.compare(0, kind.size() + 1, kind + "\n") == 0) {
    fail(ErrorId::kSchema,
         "{}: found the layout of earlier versions of dosa, expected safetensors; make the file again: a "
         "surrogate with dosa train, a checkpoint with a new dosa optimize --checkpoint",
         path);
  }
  if (content.size() <= kLengthBytes || content[kLengthBytes] != '{') {
    fail(ErrorId::kSchema, "{}: not a {}: found no header of a safetensors file after the first {} bytes",
         path, kind, kLengthBytes);
  }
  const std::string where = path + ": header";
  const std::uint64_t length = from_little_endian(content.data());
  if (length > kMaxHeaderBytes) {
    fail(ErrorId::kSchema, "{}: found a length of {} bytes, at most {} are allowed", where, length,
         kMaxHeaderBytes);
  }
  if (length > content.size() - kLengthBytes) {
    fail(ErrorId::kSchema, "{}: the file ends after {} bytes, within the header of {}", where, content.size(),
         length);
  }
  *data_begin = kLengthBytes + length;
  const std::string text = content.substr(kLengthBytes, length);
  JsonInput layout = JsonInput::from_text(text, where);
  require_distinct_names(text, where);
  return layout;
}

/// This program's own header.
JsonInput own_header(const JsonInput& layout, const std::string& path, const std::string& kind) {
  const std::optional<JsonInput> metadata = layout.find(kMetadata);
  const std::optional<JsonInput> found = metadata ? metadata->find(kKindKey) : std::nullopt;
  if (!found || found->text() != kind) {
    fail(ErrorId::kSchema, "{}: not a {}: found {} as {}.{}, expected '{}'", path, kind,
         found ? "'" + found->text() + "'" : "nothing", kMetadata, kKindKey, kind);
  }
  return JsonInput::from_text(metadata->at(kHeaderKey).text(), path + ": header");
}

/// The bytes of a tensor within the file's numbers.
struct Span {
  std::string name;
  std::uint64_t begin, end;
};

/// Every byte of the numbers belongs to one tensor.
void require_contiguous(std::vector<Span> spans, std::uint64_t bytes, const std::string& path) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
  std::uint64_t end = 0;
  for (const Span& span : spans) {
    if (span.begin != end) {
      fail(ErrorId::kSchema,
           "{}: header: {}.data_offsets: found a begin of {}, expected {}, where the tensor "
           "before it ends",
           path, span.name, span.begin, end);
    }
    end = span.end;
    if (end > bytes) fail(ErrorId::kSchema, "{}: the file ends within tensor '{}'", path, span.name);
  }
  if (end != bytes) fail(ErrorId::kSchema, "{}: {} bytes follow the last tensor", path, bytes - end);
}

/// Checks an entry of the header against what is expected; the shape that it states.
std::vector<std::int64_t> shape_of(const JsonInput& entry, const NamedTensor& expected) {
  entry.allow_only({"dtype", "shape", "data_offsets"});
  const JsonInput type = entry.at("dtype");
  if (type.text() != name_of(expected.type)) {
    fail(ErrorId::kSchema, "{}: found '{}', expected '{}'", type.where(), type.text(),
         name_of(expected.type));
  }
  std::vector<std::int64_t> shape;
  for (const JsonInput& extent : entry.at("shape").items()) shape.push_back(extent.integer(1, kMaxExtent));
  bool same = shape.size() == expected.shape.size();
  for (std::size_t d = 0; same && d < shape.size(); ++d)
    same = expected.shape[d] == 0 || expected.shape[d] == shape[d];
  if (!same) {
    fail(ErrorId::kSchema, "{}: found [{}], expected [{}] (0 stands for any)", entry.at("shape").where(),
         fmt::join(shape, ", "), fmt::join(expected.shape, ", "));
  }
  return shape;
}

Span span_of(const JsonInput& entry, const NamedTensor& expected, const std::vector<std::int64_t>& shape) {
  const JsonInput place = entry.at("data_offsets");
  const std::vector<JsonInput> offsets = place.items();
  if (offsets.size() != 2)
    fail(ErrorId::kSchema, "{}: found {} numbers, expected 2", place.where(), offsets.size());
  const std::int64_t begin = offsets[0].integer(0, kMaxOffset), end = offsets[1].integer(begin, kMaxOffset);
  std::int64_t bytes = static_cast<std::int64_t>(bytes_of(expected.type));
  for (const std::int64_t extent : shape) bytes = bytes > kMaxOffset / extent ? kMaxOffset : bytes * extent;
  if (end - begin != bytes) {
    fail(ErrorId::kSchema, "{}: found {} bytes, the shape [{}] has {}", place.where(), end - begin,
         fmt::join(shape, ", "), bytes);
  }
  return {expected.name, static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end)};
}

}  // namespace

void TensorFile::write(const std::filesystem::path& path, const std::string& kind, Json header,
                       const std::vector<NamedTensor>& tensors) {
  std::string data;
  Json entries = Json::object();
  for (const NamedTensor& named : tensors) {
    const Tensor t = named.tensor->detach().to(torch::kCPU, named.type).contiguous();
    const std::size_t begin = data.size();
    // Every supported machine is little-endian; the bytes are written as they lie.
    data.append(static_cast<const char*>(t.data_ptr()), t.nbytes());
    entries[named.name] = {
        {"dtype", name_of(named.type)}, {"shape", t.sizes().vec()}, {"data_offsets", {begin, data.size()}}};
  }
  header[kHashKey] = content_hash(data);
  Json layout = Json::object();
  layout[kMetadata] = {{kKindKey, kind}, {kHeaderKey, header.dump()}};
  layout.update(entries);
  std::string text = layout.dump();
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  write_file(path, little_endian(text.size()) + text + data);
}

TensorFile::TensorFile(const std::filesystem::path& path, const std::string& kind)
    : path_(path.string()),
      content_(plain_content(path)),
      layout_(layout_of(content_, path_, kind, &data_begin_)),
      header_(own_header(layout_, path_, kind)) {}

void TensorFile::allow_only(std::vector<const char*> keys) const {
  keys.push_back(kHashKey);
  header_.allow_only(keys);
}

void TensorFile::read(const std::vector<NamedTensor>& tensors) const {
  std::vector<const char*> names{kMetadata};
  for (const NamedTensor& expected : tensors) names.push_back(expected.name.c_str());
  layout_.allow_only(names);
  std::vector<Span> spans;
  std::vector<std::vector<std::int64_t>> shapes;
  for (const NamedTensor& expected : tensors) {
    const JsonInput entry = layout_.at(expected.name);
    shapes.push_back(shape_of(entry, expected));
    spans.push_back(span_of(entry, expected, shapes.back()));
  }
  require_contiguous(spans, content_.size() - data_begin_, path_);
  std::vector<Tensor> found;
  std::string data;  // as write() laid it out, whatever order another program has given it
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const NamedTensor& expected = tensors[i];
    const std::string bytes = content_.substr(data_begin_ + spans[i].begin, spans[i].end - spans[i].begin);
    const Tensor t = torch::empty(shapes[i], torch::TensorOptions(expected.type));
    std::memcpy(t.data_ptr(), bytes.data(), bytes.size());
    if (!torch::isfinite(t).all().item<bool>())
      fail(ErrorId::kValue, "{}: tensor '{}' holds a number that is not finite", path_, expected.name);
    found.push_back(t);
    data += bytes;
  }
  const std::string hash = content_hash(data);
  if (header_.at(kHashKey).text() != hash) {
    fail(ErrorId::kValue, "{}: {}: found {}, the tensors have {}: the file is damaged", path_, kHashKey,
         header_.at(kHashKey).text(), hash);
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    Tensor& to = *tensors[i].tensor;
    to = to.defined() ? found[i].to(to.device()) : found[i];
  }
}

}  // namespace dosa
