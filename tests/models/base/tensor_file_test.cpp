#include "dosa/models/base/tensor_file.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::expect_error;
using testing::replaced;
using testing::TemporaryFolder;
using torch::Tensor;

constexpr const char* kKind = "dosa example";

/// A file with a tensor of either type, and the tensors that are read from it.
class TensorFiles : public ::testing::Test {
 protected:
  std::vector<NamedTensor> tensors() {
    return {{"wide", &wide_, torch::kFloat64, {2, 0}}, {"narrow", &narrow_, torch::kFloat32, {3}}};
  }
  std::filesystem::path path(const char* name = "t.safetensors") const { return folder_.path() / name; }
  std::string written() {
    wide_ = torch::tensor({{1.5, -2.0, 0.1}, {3e300, 0.0, 7.0}}, torch::kFloat64);
    narrow_ = torch::tensor({0.25F, -1.0F, 8.0F});
    TensorFile::write(path(), kKind, {{"schema", "example/1"}, {"note", "with \"quotes\""}}, tensors());
    wide_ = narrow_ = Tensor();
    return read_file(path());
  }
  void read(const std::string& content) {
    const TensorFile file(folder_.file("changed.safetensors", content), kKind);
    file.allow_only({"schema", "note"});
    file.read(tensors());
  }
  void refused(const std::string& content, ErrorId id, const std::vector<std::string>& parts) {
    expect_error([&] { read(content); }, id, parts);
    EXPECT_FALSE(wide_.defined() || narrow_.defined());  // nothing is read from a file that is refused
  }

  TemporaryFolder folder_;
  Tensor wide_, narrow_;
};

std::string with_header(const std::string& header, const std::string& data = "") {
  std::string length(8, '\0');
  for (std::size_t i = 0; i < length.size(); ++i) length[i] = static_cast<char>(header.size() >> (8 * i));
  return length + header + data;
}

TEST_F(TensorFiles, ComeBack) {
  read(written());
  EXPECT_TRUE(torch::equal(wide_, torch::tensor({{1.5, -2.0, 0.1}, {3e300, 0.0, 7.0}}, torch::kFloat64)));
  EXPECT_TRUE(torch::equal(narrow_, torch::tensor({0.25F, -1.0F, 8.0F})));
  const TensorFile file(path(), kKind);
  EXPECT_EQ(file.header().at("note").text(), "with \"quotes\"");
}

TEST_F(TensorFiles, ComeBackToTheDeviceOfTheTensorThatTheyReplace) {
  const std::string content = written();
  narrow_ = torch::empty({3}, torch::TensorOptions(torch::kFloat32).device(torch::kMeta));
  read(content);
  EXPECT_TRUE(narrow_.is_meta());
  EXPECT_TRUE(wide_.is_cpu());
}

TEST_F(TensorFiles, HaveAlignedNumbers) {
  const std::string content = written();
  EXPECT_EQ(content[8], '{');
  EXPECT_EQ((content.size() - 6 * sizeof(double) - 3 * sizeof(float)) % 8, 0);
}

TEST_F(TensorFiles, MayHaveTheirTensorsInAnyOrder) {
  const std::string content = written();
  const std::size_t data = content.size() - 60;
  std::string header = content.substr(8, data - 8);
  header = replaced(header, "\"data_offsets\":[0,48]", "\"data_offsets\":[12,60]");
  header = replaced(header, "\"data_offsets\":[48,60]", "\"data_offsets\":[0,12]");
  read(with_header(header, content.substr(data + 48) + content.substr(data, 48)));
  EXPECT_EQ(wide_[0][0].item<double>(), 1.5);
  EXPECT_EQ(narrow_[2].item<float>(), 8);
}

TEST_F(TensorFiles, AreRefusedByField) {
  const std::string good = written();
  const auto changed = [&](const std::string& from, const std::string& to) {
    EXPECT_EQ(from.size(), to.size());  // the header's length stays
    return replaced(good, from, to);
  };
  refused("", ErrorId::kSchema, {"not a dosa example"});
  refused("PK\3\4 something else", ErrorId::kSchema, {"not a dosa example"});
  refused("dosa example\n12345678{}", ErrorId::kSchema,
          {"earlier versions", "safetensors", "dosa train", "--checkpoint"});
  refused("\x1f\x8b\x08 a gzip file", ErrorId::kFile, {"is compressed (gzip)", "gunzip"});
  refused(good.substr(0, 40), ErrorId::kSchema, {"header", "ends after 40 bytes"});
  std::string huge = good;
  huge[7] = '\x7f';
  refused(huge, ErrorId::kSchema, {"header", "at most 100000000"});
  refused(changed("\"dosa example\"", "\"dosa Example\""), ErrorId::kSchema,
          {"not a dosa example", "__metadata__.kind", "dosa Example"});
  refused(with_header("{}"), ErrorId::kSchema, {"not a dosa example", "nothing"});
  refused(with_header("{\"__metadata__\":{\"kind\":\"dosa example\"}}"), ErrorId::kSchema,
          {"__metadata__", "'dosa' is missing"});
  refused(with_header("{\"__metadata__\":"), ErrorId::kSyntax, {"not JSON"});
  refused(changed("\\\"note\\\"", "\\\"nOte\\\""), ErrorId::kSchema, {"nOte", "allowed"});
  refused(changed("\"narrow\"", "\"nArrow\""), ErrorId::kSchema, {"nArrow", "allowed"});
  refused(changed("\"narrow\":{\"dtype\":\"F32\"", "\"wide\":  {\"dtype\":\"F32\""), ErrorId::kSchema,
          {"'wide' stands twice"});
  refused(changed("\"F64\"", "\"F32\""), ErrorId::kSchema, {"wide.dtype", "found 'F32'", "expected 'F64'"});
  refused(changed("\"F64\"", "\"I64\""), ErrorId::kSchema, {"wide.dtype", "found 'I64'"});
  refused(changed("[2,3]", "[3,2]"), ErrorId::kSchema, {"wide.shape", "[3, 2]", "[2, 0]"});
  refused(changed("[2,3]", "[2,9]"), ErrorId::kSchema, {"wide.data_offsets", "found 48 bytes", "144"});
  refused(changed("[2,3]", "[2,0]"), ErrorId::kValue, {"wide.shape[1]", "1..1048576"});
  refused(changed("\"shape\":[3]", "\"shape\":3  "), ErrorId::kSchema, {"narrow.shape", "array"});
  refused(changed("[48,60]", "[47,59]"), ErrorId::kSchema, {"narrow.data_offsets", "47", "48"});
  refused(changed("[48,60]", "[60,48]"), ErrorId::kValue, {"narrow.data_offsets[1]", "60.."});
  refused(changed("[48,60]", "[60   ]"), ErrorId::kSchema, {"narrow.data_offsets", "1 numbers"});
  refused(good.substr(0, good.size() - 1), ErrorId::kSchema, {"ends within tensor 'narrow'"});
  refused(good + "x", ErrorId::kSchema, {"1 bytes follow"});
  std::string damaged = good;
  damaged[damaged.size() - 1] ^= 1;
  refused(damaged, ErrorId::kValue, {"data_hash", "damaged"});
}

TEST_F(TensorFiles, HoldFiniteNumbersOnly) {
  for (const double bad : {std::nan(""), HUGE_VAL}) {
    Tensor one = torch::full({1}, bad, torch::kFloat64);
    const std::vector<NamedTensor> tensors{{"one", &one, torch::kFloat64, {1}}};
    TensorFile::write(path(), kKind, Json::object(), tensors);
    expect_error([&] { TensorFile(path(), kKind).read(tensors); }, ErrorId::kValue, {"'one'", "not finite"});
  }
}

TEST_F(TensorFiles, AnyTruncationIsAnError) {
  const std::string good = written();
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_THROW(read(good.substr(0, length)), Error) << length;
  }
}

/// What a command prints.
std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) text += static_cast<char>(c);
  return pclose(pipe) == 0 ? text : "";
}

/// A reader that knows the published layout alone. With Python's package safetensors, that reads it too.
constexpr const char* kReader = R"(
import json, struct, sys
content = open(sys.argv[1], 'rb').read()
length = struct.unpack('<Q', content[:8])[0]
header = json.loads(content[8:8 + length])
print(json.loads(header.pop('__metadata__')['dosa'])['note'])
for name, entry in header.items():
    begin, end = entry['data_offsets']
    data = content[8 + length + begin:8 + length + end]
    numbers = struct.unpack('<%d%s' % {'F64': (len(data) // 8, 'd'), 'F32': (len(data) // 4, 'f')}[entry['dtype']], data)
    print(name, entry['shape'], list(numbers))
try:
    from safetensors import safe_open
except ImportError:
    sys.exit()
with safe_open(sys.argv[1], framework='np') as file:
    for name in file.keys():
        assert list(file.get_tensor(name).shape) == header[name]['shape']
)";

TEST_F(TensorFiles, AreReadByPython) {
  if (output_of("python3 -c 'print(1)' 2>/dev/null").empty()) GTEST_SKIP() << "skipped: no python3 here";
  written();
  const std::string script = folder_.file("read.py", kReader);
  EXPECT_EQ(output_of("python3 '" + script + "' '" + path().string() + "'"),
            "with \"quotes\"\n"
            "wide [2, 3] [1.5, -2.0, 0.1, 3e+300, 0.0, 7.0]\n"
            "narrow [3] [0.25, -1.0, 8.0]\n");
}

}  // namespace
}  // namespace dosa
