#include "dosa/models/base/tensor_file.hpp"

#include <cstring>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr std::size_t kLengthBytes = 8;

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

const char* name_of(torch::ScalarType type) { return type == torch::kFloat64 ? "float64" : "float32"; }

/// The header of a file's content and where the tensors begin.
JsonInput header_of(const std::string& content, const std::string& path, const std::string& kind,
                    std::size_t* data_begin) {
  if (content.compare(0, kind.size() + 1, kind + "\n") != 0)
    fail(ErrorId::kSchema, "{}: not a {}: it does not begin with '{}'", path, kind, kind);
  const std::size_t begin = kind.size() + 1 + kLengthBytes;
  const std::uint64_t length =
      content.size() < begin ? 0 : from_little_endian(content.data() + kind.size() + 1);
  if (content.size() < begin || length > content.size() - begin) {
    fail(ErrorId::kSchema, "{}: header: the file ends after {} bytes, within the header", path,
         content.size());
  }
  *data_begin = begin + length;
  return JsonInput::from_text(content.substr(begin, length), path + ": header");
}

}  // namespace

void TensorFile::write(const std::filesystem::path& path, const std::string& kind, Json header,
                       const std::vector<NamedTensor>& tensors) {
  std::string data;
  Json listed = Json::array();
  for (const NamedTensor& named : tensors) {
    const Tensor t = named.tensor->detach().to(torch::kCPU, named.type).contiguous();
    listed.push_back({{"name", named.name}, {"type", name_of(named.type)}, {"shape", t.sizes().vec()}});
    // Every supported machine is little-endian; the bytes are written as they lie.
    data.append(static_cast<const char*>(t.data_ptr()), t.nbytes());
  }
  header["data_hash"] = content_hash(data);
  header["tensors"] = std::move(listed);
  const std::string text = header.dump();
  write_file(path, kind + "\n" + little_endian(text.size()) + text + data);
}

TensorFile::TensorFile(const std::filesystem::path& path, const std::string& kind)
    : path_(path.string()),
      content_(read_file(path)),
      header_(header_of(content_, path_, kind, &data_begin_)) {}

void TensorFile::allow_only(std::vector<const char*> keys) const {
  keys.insert(keys.end(), {"tensors", "data_hash"});
  header_.allow_only(keys);
}

void TensorFile::read(const std::vector<NamedTensor>& tensors) const {
  const std::vector<JsonInput> listed = header_.at("tensors").items();
  if (listed.size() != tensors.size()) {
    fail(ErrorId::kSchema, "{}: found {} tensors, expected {}", header_.at("tensors").where(), listed.size(),
         tensors.size());
  }
  std::size_t offset = data_begin_;
  std::vector<Tensor> found;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const JsonInput& entry = listed[i];
    const NamedTensor& expected = tensors[i];
    entry.allow_only({"name", "type", "shape"});
    const auto require = [&](const char* key, const std::string& wanted) {
      const std::string text = entry.at(key).text();
      if (text != wanted)
        fail(ErrorId::kSchema, "{}: found '{}', expected '{}'", entry.at(key).where(), text, wanted);
    };
    require("name", expected.name);
    require("type", name_of(expected.type));
    std::vector<std::int64_t> shape;
    for (const JsonInput& extent : entry.at("shape").items()) shape.push_back(extent.integer(1, 1 << 20));
    bool same = shape.size() == expected.shape.size();
    std::uint64_t bytes = expected.type == torch::kFloat64 ? 8 : 4;
    const std::uint64_t left = content_.size() - offset;
    for (std::size_t d = 0; d < shape.size() && bytes <= left; ++d) {
      same = same && (expected.shape[d] == 0 || expected.shape[d] == shape[d]);
      bytes *= static_cast<std::uint64_t>(shape[d]);
    }
    if (!same) {
      fail(ErrorId::kSchema, "{}: found [{}], expected [{}] (0 stands for any)", entry.at("shape").where(),
           fmt::join(shape, ", "), fmt::join(expected.shape, ", "));
    }
    if (bytes > left) fail(ErrorId::kSchema, "{}: the file ends within tensor '{}'", path_, expected.name);
    const Tensor t = torch::empty(shape, torch::TensorOptions(expected.type));
    std::memcpy(t.data_ptr(), content_.data() + offset, bytes);
    if (!torch::isfinite(t).all().item<bool>())
      fail(ErrorId::kValue, "{}: tensor '{}' holds a number that is not finite", path_, expected.name);
    found.push_back(t);
    offset += bytes;
  }
  if (offset != content_.size())
    fail(ErrorId::kSchema, "{}: {} bytes follow the last tensor", path_, content_.size() - offset);
  const std::string hash = content_hash(content_.substr(data_begin_));
  if (header_.at("data_hash").text() != hash) {
    fail(ErrorId::kValue, "{}: data_hash: found {}, the tensors have {}: the file is damaged", path_,
         header_.at("data_hash").text(), hash);
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) *tensors[i].tensor = found[i];
}

}  // namespace dosa
