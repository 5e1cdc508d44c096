// What ONNX models become. The models are written by onnx_models.py, which needs Debian's python3-onnx.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "dosa/core/import/importer.hpp"
#include "dosa/core/import/network.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {
using testing::expect_error;
using testing::TemporaryFolder;

/// The folder with all models; nothing, with the reason, where they cannot be written or read.
struct Models {
  TemporaryFolder folder;
  std::string missing;

  static const Models& get() {
    static const Models models;
    return models;
  }
  std::string path(const std::string& name) const { return (folder.path() / (name + ".onnx")).string(); }

 private:
  Models() {
    const std::string script = DOSA_TEST_SOURCE "/tests/core/import/onnx_models.py";
    if (std::system("/usr/bin/python3 -c 'import onnx' >/dev/null 2>&1") != 0) {
      missing = "/usr/bin/python3 has no onnx (Debian's python3-onnx)";
      return;
    }
    const std::string command =
        fmt::format("/usr/bin/python3 '{}' '{}' >/dev/null", script, folder.path().string());
    if (std::system(command.c_str()) != 0) throw std::runtime_error("onnx_models.py failed");
    try {
      import_files({path("gemm")});
    } catch (const Error& error) {
      if (std::string(error.what()).find("without the library") == std::string::npos) throw;
      missing = "dosa was built without libonnx-dev";
    }
  }
};

class Onnx : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!Models::get().missing.empty()) GTEST_SKIP() << Models::get().missing;
  }
  static std::string path(const std::string& name) { return Models::get().path(name); }
  static Imported import(const std::string& name, const ImportOptions& options = {}) {
    return import_files({path(name)}, options);
  }
  static std::vector<Layer> layers(const std::string& name, const ImportOptions& options = {}) {
    const Imported imported = import(name, options);
    return workload_from_json(JsonInput::from_text(imported.workload->dump(), name)).layers;
  }
};

/// "R3 S3 P112 Q112 C3 K32 N1 stride 2 pad 1", parts that are 1 or unknown left out.
std::string text_of_layer(const Layer& layer) {
  std::string text;
  for (const Dim dim : all_dims()) {
    if (layer[dim] != 1) text += fmt::format("{}{} ", name_of(dim), layer[dim]);
  }
  if (layer.wstride != 1 || layer.hstride != 1)
    text += fmt::format("stride {}x{} ", layer.wstride, layer.hstride);
  if (layer.wdilation != 1 || layer.hdilation != 1)
    text += fmt::format("dilation {}x{} ", layer.wdilation, layer.hdilation);
  if (layer.groups != 1) text += fmt::format("groups {} ", layer.groups);
  if (layer.padding) text += fmt::format("pad {} ", *layer.padding);
  if (layer.uneven_padding) {
    const Sides& s = *layer.uneven_padding;
    text += fmt::format("pad {},{},{},{} ", s.left, s.right, s.top, s.bottom);
  }
  if (layer.known_input_width) text += fmt::format("width {} ", *layer.known_input_width);
  if (layer.known_input_height) text += fmt::format("height {} ", *layer.known_input_height);
  if (layer.count != 1) text += fmt::format("count {} ", layer.count);
  if (!text.empty()) text.pop_back();
  return text;
}

/// How often each shape runs; without the padding and the input's size where the shipped network does not say
/// them.
std::map<std::string, std::int64_t> runs_of(std::vector<Layer> layers, const std::vector<Layer>& like) {
  std::map<std::string, std::int64_t> runs;
  for (Layer& layer : layers) {
    for (const Layer& other : like) {
      if (other.size != layer.size) continue;
      if (!other.padding) layer.padding = std::nullopt;
      if (!other.padding) layer.uneven_padding = std::nullopt;
      if (!other.known_input_width) layer.known_input_width = layer.known_input_height = std::nullopt;
    }
    const std::int64_t count = std::exchange(layer.count, 1);
    runs[text_of_layer(layer)] += count;
  }
  return runs;
}

TEST_F(Onnx, NetworksComeOutAsTheyShip) {
  for (const char* name :
       {"resnet50", "resnext50", "mobilenet_v2", "vgg16", "alexnet", "unet", "retinanet"}) {
    const std::vector<Layer> shipped = load_workload(name).layers;
    EXPECT_EQ(runs_of(layers(name), shipped), runs_of(shipped, shipped)) << name;
  }
}

TEST_F(Onnx, NamesAreThoseOfTheFirstNodes) {
  const std::vector<Layer> own = layers("resnet50");
  EXPECT_EQ(own.at(0).name, "conv1");
  EXPECT_EQ(own.at(1).name, "conv2_1.1x1a");
  EXPECT_EQ(own.at(2).name, "conv2_1.3x3b");
  EXPECT_EQ(own.back().name, "fc");
}

TEST_F(Onnx, BertHasTheProductsOfTwelveBlocks) {
  ImportOptions options;
  options.sequence = 128;
  std::vector<std::string> found;
  for (const Layer& layer : layers("bert_base", options))
    found.push_back(layer.name + ": " + text_of_layer(layer));
  // Four projections a block; of each of 12 heads scores and context.
  EXPECT_EQ(found,
            (std::vector<std::string>{
                "layer0.query: P128 C768 K768 count 48", "layer0.scores: P128 C64 K128 groups 12 count 12",
                "layer0.context: P128 C128 K64 groups 12 count 12", "layer0.expand: P128 C768 K3072 count 12",
                "layer0.contract: P128 C3072 K768 count 12"}));
  // Shapes as shipped, whose counts are those of an evaluation.
  const std::vector<Layer> own = layers("bert_base", options);
  for (const Layer& layer : load_workload("bert").layers) {
    EXPECT_TRUE(std::any_of(own.begin(), own.end(), [&](const Layer& o) { return o.size == layer.size; }))
        << layer.name;
  }
  options.batch = 4;
  EXPECT_EQ(text_of_layer(layers("bert_base", options)[0]), "P512 C768 K768 count 48");
  EXPECT_EQ(text_of_layer(layers("bert_base", options)[1]), "P128 C64 K128 groups 48 count 12");
}

// A file that is written says it, and so do the shipped ones.
TEST_F(Onnx, ProductsOfTwoActivationsSaySo) {
  ImportOptions options;
  options.sequence = 128;
  const auto kinds = [](const std::vector<Layer>& of) {
    std::set<std::string> activations;
    for (const Layer& layer : of) {
      if (layer.kind == LayerKind::kActivations) activations.insert(layer.name.substr(layer.name.rfind('.')));
    }
    return activations;
  };
  EXPECT_EQ(kinds(layers("bert_base", options)), (std::set<std::string>{".scores", ".context"}));
  EXPECT_EQ(kinds(load_workload("bert").layers), (std::set<std::string>{".scores", ".context"}));
  EXPECT_EQ((*import("bert_base", options).workload)["schema"], "dosa-workload/2");
}

TEST_F(Onnx, VisionTransformerHas197Tokens) {
  ImportOptions options;
  options.batch = 2;
  std::vector<std::string> found;
  for (const Layer& layer : layers("vit_b16", options)) found.push_back(text_of_layer(layer));
  EXPECT_EQ(found, (std::vector<std::string>{"R16 S16 P14 Q14 C3 K768 N2 stride 16x16 pad 0",
                                             "P394 C768 K768 count 8", "P197 C64 K197 groups 24 count 2",
                                             "P197 C197 K64 groups 24 count 2", "P394 C768 K3072 count 2",
                                             "P394 C3072 K768 count 2", "P2 C768 K1000"}));
}

TEST_F(Onnx, DecodersTakeTheirPast) {
  ImportOptions options;
  options.sequence = 1;
  options.past = 2047;
  std::vector<std::string> found;
  for (const Layer& layer : layers("llama_block", options))
    found.push_back(layer.name + ": " + text_of_layer(layer));
  EXPECT_EQ(found, (std::vector<std::string>{"q: C4096 K4096 count 2", "k: C4096 K1024 count 2",
                                             "scores: C128 K2048 groups 32", "context: C2048 K128 groups 32",
                                             "gate: C4096 K14336 count 2", "down: C14336 K4096"}));
  expect_error([&] { layers("llama_block"); }, ErrorId::kValue,
               {path("llama_block"), "open dimensions: sequence_length, past_sequence_length",
                "--past N --sequence N"});
}

TEST_F(Onnx, EveryOperatorIsItsLayers) {
  const std::map<std::string, std::vector<std::string>> expected{
      {"conv1d", {"R3 P1500 C80 K384 N2 stride 2x1 pad 1,1,0,0"}},
      {"conv3d_flat", {"R3 S3 P14 Q14 C16 K32 N8 pad 1"}},
      {"conv3d", {"R7 S7 P56 Q56 C9 K64 N16 stride 2x2 pad 3"}},
      {"rectangle", {"R11 S41 P134 Q64 K32 stride 3x2 pad 5,5,20,20 width 400"}},
      {"dilated", {"R3 S3 P64 Q64 C256 K256 dilation 12x12 pad 12"}},
      {"same_upper", {"R3 S3 P112 Q112 C3 K32 stride 2x2 pad 0,1,0,1"}},
      {"same_lower", {"R3 S3 P112 Q112 C3 K32 stride 2x2 pad 1,0,1,0"}},
      {"valid", {"R3 S3 P111 Q111 C3 K32 stride 2x2 pad 0 width 224 height 224"}},
      {"uneven", {"R3 S3 P14 Q10 C8 K8 pad 1,3,0,2"}},
      {"odd_input", {"R3 S3 P29 Q29 C8 K8 stride 2x2 pad 1 width 57 height 57"}},
      // Four filters of one tap; 2 x 2 of the 4 x 4 taps four times; 1 or 2 of 3 taps on each axis.
      {"upconv2", {"P28 Q28 C64 K128"}},
      {"upconv4", {"R2 S2 P16 Q16 C64 K32 count 4"}},
      {"upconv3", {"P16 Q16 C64 K32", "R2 P16 Q16 C64 K32", "S2 P16 Q16 C64 K32", "R2 S2 P16 Q16 C64 K32"}},
      {"gemm", {"P4 C512 K10"}},
      {"matmul3", {"P10 C64 K32"}},
      {"matmul_left", {"P10 C64 K32"}},
      {"matmul_batch", {"P128 C64 K128 groups 24"}},
      {"matmul_shared", {"P1536 C64 K128 groups 2"}},
      {"matmul_vector", {"C64 K32"}},
      {"einsum", {"P128 C64 K100 groups 24"}},
      {"qlinearconv", {"R3 S3 P32 Q32 C3 K16 pad 1"}},
      {"convinteger", {"R3 S3 P32 Q32 C3 K16 pad 1"}},
      {"qlinearmatmul", {"P8 C64 K32"}},
      {"matmulinteger", {"P8 C64 K32"}},
      {"qgemm", {"P8 C64 K32"}},
      {"fusedmatmul", {"P8 C64 K32 groups 2"}},
      {"matmulnbits", {"P7 C4096 K4096"}},
      {"lstm", {"P60 C100 K1024 groups 2", "P3 C256 K1024 groups 2 count 20"}},
      {"attention", {"P256 C768 K2304", "P128 C64 K128 groups 24", "P128 C128 K64 groups 24"}},
      {"mha", {"P128 C64 K77 groups 24", "P128 C77 K64 groups 24"}},
      {"gqa", {"P4 C128 K2049 groups 8", "P4 C2049 K128 groups 8"}},
      {"loop", {"P4 C64 K64 count 10"}},
      {"function", {"P8 C64 K32"}},
      {"newer", {"P2 C8 K5"}},
      {"resized", {"R3 S3 P32 Q32 C8 K4 pad 1"}},
      {"quantized", {"R3 S3 P32 Q32 C3 K8 pad 1"}},
      {"branch", {"P4 C64 K32"}},
      {"scan", {"P4 C64 K32 count 10", "P40 C32 K5"}}};
  for (const auto& [name, texts] : expected) {
    std::vector<std::string> found;
    for (const Layer& layer : layers(name)) found.push_back(text_of_layer(layer));
    EXPECT_EQ(found, texts) << name;
  }
}

/// What a transposed convolution computes, counted: products of an input, a tap and a pair of channels whose
/// output lies within.
TEST_F(Onnx, TransposedConvolutionsMultiplyWhatTheyMustInside) {
  // 16 inputs, 4 taps, stride 2, padding 1: 32 outputs, of which each inner one gets 2 taps an axis.
  for (const auto& [name, taps] : {std::pair{"upconv2", 1.0}, {"upconv4", 4.0}, {"upconv3", 9.0 / 4}}) {
    double macs = 0, outputs = name == std::string("upconv2") ? 56 * 56 : 32 * 32;
    for (const Layer& layer : layers(name)) macs += static_cast<double>(layer.macs() * layer.repetitions());
    EXPECT_EQ(macs, outputs * taps * 64 * 32) << name;
  }
}

TEST_F(Onnx, WhatIsNotCountedIsSaid) {
  const Imported imported = import("resnet50");
  double count = 0, share = 0;
  std::map<std::string, double> counts;
  for (const Json& entry : imported.left_out_json) {
    counts[entry["operator"]] = entry["count"];
    count += entry["count"].get<double>();
    share += entry["elements_share"].get<double>();
    EXPECT_FALSE(entry["unknown"]);
  }
  EXPECT_EQ(counts, (std::map<std::string, double>{
                        {"Add", 16}, {"GlobalAveragePool", 1}, {"MaxPool", 1}, {"Relu", 49}}));
  EXPECT_GT(share, 0);
  EXPECT_LT(share, 1);
  EXPECT_NE(imported.left_out.find("Relu                  49       36.33     73.309\n"), std::string::npos);
  EXPECT_NE(imported.left_out_brief.find("not counted: 67 operators"), std::string::npos);
  EXPECT_NE((*imported.workload)["description"].get<std::string>().find("67 operators"), std::string::npos);
  for (const Json& entry : imported.left_out_json) {
    if (entry["operator"] != "MaxPool") continue;
    EXPECT_EQ(entry["elements"], 64 * 56 * 56);
    EXPECT_EQ(entry["bytes"], 4.0 * 64 * (112 * 112 + 56 * 56));
  }
}

TEST_F(Onnx, UnknownOperatorsAreNamed) {
  const Imported imported = import("custom");
  EXPECT_NE(
      imported.left_out.find("unknown operators, which may hold work that is not counted: com.acme::Swizzle"),
      std::string::npos)
      << imported.left_out;
  EXPECT_NE(imported.left_out_brief.find("unknown: com.acme::Swizzle (1)"), std::string::npos);
  expect_error([] { import("custom_unstated"); }, ErrorId::kValue,
               {"node 'conv2' (Conv)", "'t_custom' are not known"});
}

TEST_F(Onnx, OpenSizesAreAskedFor) {
  expect_error([] { import("open_sizes"); }, ErrorId::kValue,
               {"open dimensions: seq_len, features", "--dim 'features=N'", "--sequence N"});
  expect_error([] { import("unnamed"); }, ErrorId::kValue, {"open dimensions: x[2]", "--dim 'x[2]=N'"});
  ImportOptions options;
  options.dims = {{"features", 64}, {"seq_len", 9}};
  options.batch = 3;
  EXPECT_EQ(text_of_layer(layers("open_sizes", options).at(0)), "P27 C64 K32");
  options = {};
  options.dims = {{"x[2]", 10}};
  EXPECT_EQ(text_of_layer(layers("unnamed", options).at(0)), "R3 S3 P6 Q8 C3 K4 pad 0");
  options.dims["width"] = 4;
  expect_error([&] { import("unnamed", options); }, ErrorId::kUsage,
               {"--dim width", "no such dimension", "x[0], x[2]"});
  options = {};
  options.past = 4;
  expect_error([&] { import("resnet50", options); }, ErrorId::kUsage, {"--past", "open: N"});
  options = {};
  options.batch = 4;
  expect_error([&] { import("vgg16", options); }, ErrorId::kUsage, {"--batch", "open: none"});
}

TEST_F(Onnx, WrongModelsAreOneLine) {
  const std::vector<std::tuple<const char*, ErrorId, std::vector<std::string>>> cases{
      {"zero_stride", ErrorId::kValue, {"node 'conv' (Conv)", "strides 0"}},
      {"no_shapes", ErrorId::kValue, {"node 'conv' (Conv)", "'x' are not known"}},
      {"no_layers", ErrorId::kValue, {"no convolution and no product"}},
      {"huge", ErrorId::kValue, {"more than 2^62"}},
      {"unordered", ErrorId::kValue, {"node 'early' (Relu)", "'later'"}},
      {"bad_data", ErrorId::kValue, {"1 values in the tensor 'c', expected 3"}},
      {"mod_zero", ErrorId::kValue, {"node 'conv' (Conv)", "not known"}},
      {"recursive", ErrorId::kValue, {"more than 16 graphs or functions"}},
      {"open_branch", ErrorId::kValue, {"node 'if' (If)", "layers in a branch"}},
      {"endless", ErrorId::kValue, {"node 'Loop", "length is not known"}}};
  for (const auto& [name, id, parts] : cases) {
    std::vector<std::string> all = parts;
    all.push_back(path(name));
    expect_error([&, own = name] { import(own); }, id, all);
  }
}

// Large weights are stepped over; what is small, and every field beside them, is there as it was.
TEST_F(Onnx, ValuesOfWeightsAreNotRead) {
  std::vector<std::string> texts;
  for (const Layer& layer : layers("valued")) texts.push_back(layer.name + " " + text_of_layer(layer));
  EXPECT_EQ(texts, (std::vector<std::string>{"conv R3 S3 P14 Q14 C128 K128 pad 1", "first P2 C64 K300",
                                             "second P2 C300 K300", "third P2 C300 K512"}));
  const std::string whole = read_file(path("valued"));
  EXPECT_GT(whole.size(), 1'000'000U);
  EXPECT_LT(onnx_importer().content_of(path("valued")).size(), 4096U);
  for (const char* name : {"resnet50", "bert_base", "custom", "branch", "function", "quantized"})
    EXPECT_EQ(onnx_importer().content_of(path(name)), read_file(path(name))) << name;
  const TemporaryFolder folder;
  for (const std::size_t size : {whole.size() / 4, whole.size() / 2, whole.size() - 1}) {
    expect_error([&] { import_files({folder.file("cut.onnx", whole.substr(0, size))}); }, ErrorId::kSyntax,
                 {"cut.onnx", "cut off"});
  }
}

TEST_F(Onnx, CutAndChangedModelsNeverCrash) {
  const std::string good = read_file(path("upconv4")), large = read_file(path("custom"));
  const TemporaryFolder folder;
  expect_error([&] { import_files({folder.file("cut.onnx", large.substr(0, large.size() / 2))}); },
               ErrorId::kSyntax, {"cut.onnx", "cut off"});
  std::mt19937_64 engine(7);
  int read = 0;
  for (int i = 0; i < 120; ++i) {
    std::string bytes = i % 2 == 0 ? good : large;
    for (int change = 0; change < 1 + i % 3; ++change)
      bytes[engine() % bytes.size()] = static_cast<char>(engine());
    const std::string changed = folder.file("changed.onnx", bytes);
    try {
      import_files({changed});
      ++read;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
  EXPECT_GT(read, 0);
}

TEST_F(Onnx, EveryCommandTakesAModel) {
  const LoadedNetwork network = load_network(path("resnet50"));
  EXPECT_EQ(network.workload.name, "resnet50");
  EXPECT_EQ(network.workload.layers.size(), load_workload("resnet50").layers.size());
  ASSERT_EQ(network.remarks.size(), 2u);
  EXPECT_NE(network.remarks[0].find("the batch is open, taken as 1"), std::string::npos);
}

}  // namespace
}  // namespace dosa
