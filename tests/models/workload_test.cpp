#include "dosa/models/workload.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "dosa/models/base/files.hpp"
#include "dosa/models/machine.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::expect_error;
using testing::replaced;
using testing::TemporaryFolder;

std::int64_t total_macs(const Workload& workload) {
  std::int64_t macs = 0;
  for (const Layer& layer : workload.layers) macs += layer.macs() * layer.repetitions();
  return macs;
}

TEST(Workload, ShippedNetworksAreThePublishedOnes) {
  // Published: VGG-16 15.5 G, ResNet-50 4.1 G (He et al.: 3.8 G with stride 2 in the 1x1 convolutions),
  // ResNeXt-50 4.2 G, MobileNetV2 0.300 G, AlexNet 0.72 G with its two groups; scripts/networks names those
  // of the networks that it writes. The sums are ours.
  const std::vector<std::pair<const char*, std::int64_t>> expected{{"alexnet", 724406816},
                                                                   {"bert", 757071872},
                                                                   {"deeplab_v3", 178721945088},
                                                                   {"dlrm", 629374976},
                                                                   {"efficientnet_b0", 385814752},
                                                                   {"gpt2_decode", 142406400},
                                                                   {"gpt2_prefill", 106339037952},
                                                                   {"llama3_8b_decode", 8041791488},
                                                                   {"llama3_8b_prefill", 3642657603584},
                                                                   {"mobilenet_v2", 300774272},
                                                                   {"mobilenet_v3", 216589760},
                                                                   {"resnet50", 4089184256},
                                                                   {"resnext50", 4230479872},
                                                                   {"retinanet", 3323622400},
                                                                   {"unet", 167322556672},
                                                                   {"vgg16", 15470264320},
                                                                   {"vit_b16", 17563828224},
                                                                   {"whisper_base_decode", 59167232},
                                                                   {"whisper_base_encode", 48402432000}};
  std::vector<std::string> names;
  for (const auto& [name, macs] : expected) {
    names.emplace_back(name);
    const Workload workload = load_workload(name);
    EXPECT_EQ(workload.name, name);
    EXPECT_FALSE(workload.description.empty());
    EXPECT_FALSE(workload.source.empty());
    EXPECT_EQ(total_macs(workload), macs) << name;
  }
  EXPECT_EQ(shipped_names("workloads"), names);
}

TEST(Workload, ShippedShapesAndCountsAreTheEvaluatedOnes) {
  const auto file = testing::reference_data("networks.txt");
  DOSA_SKIP_WITHOUT(file, "networks.txt");
  std::istringstream lines(read_file(*file));
  std::string line, name;
  std::map<std::string, std::vector<std::string>> expected, found;
  while (std::getline(lines, line)) {
    if (line.substr(0, 2) == "# ") {
      name = line.substr(2);
    } else if (!line.empty()) {
      expected[name].push_back(line);
    }
  }
  EXPECT_EQ(expected.size(), 4u);
  for (const auto& [network, ignored] : expected) {
    for (const Layer& layer : load_workload(network).layers) {
      EXPECT_EQ(layer.wstride, layer.hstride);
      found[network].push_back(
          fmt::format("{} {} {}", fmt::join(layer.size, " "), layer.wstride, layer.count));
    }
  }
  EXPECT_EQ(found, expected);
}

class BadWorkload : public ::testing::Test {
 protected:
  void expect(const std::string& text, ErrorId id, std::vector<std::string> parts) {
    const std::string path = folder_.file("net.json", text);
    parts.push_back(path);
    expect_error([&] { load_workload(path); }, id, parts);
  }
  TemporaryFolder folder_;
};

constexpr const char* kGood =
    R"({"schema": "dosa-workload/1", "name": "n", "layers": [{"name": "a", "dims": {"K": 4}}]})";

TEST_F(BadWorkload, PaddingOfEachSideNeedsTheSecondVersion) {
  const std::string uneven = replaced(kGood, "{\"K\": 4}", "{\"R\": 3}, \"padding\": {\"left\": 1}");
  expect(uneven, ErrorId::kSchema, {"layers[0].padding", "dosa-workload/2"});
  const Workload workload = load_workload(folder_.file("second.json", replaced(uneven, "load/1", "load/2")));
  EXPECT_EQ(workload.layers.at(0).sides().left, 1);
  EXPECT_EQ(to_json(workload)["schema"], "dosa-workload/2");
  EXPECT_EQ(to_json(load_workload("resnet50"))["schema"], "dosa-workload/1")
      << "the first version that can say it";
}

TEST_F(BadWorkload, KindAndWordBitsNeedTheSecondVersionAndStay) {
  const char* kSaid = R"({"K": 4}, "kind": "activations", "word_bits": {"W": 4, "O": 16}})";
  const std::string said = replaced(kGood, R"({"K": 4}})", kSaid);
  expect(said, ErrorId::kSchema, {"layers[0].kind", "dosa-workload/2"});
  expect(replaced(said, R"("kind": "activations", )", ""), ErrorId::kSchema, {"layers[0].word_bits"});
  const std::string second = replaced(said, "load/1", "load/2");
  const Workload workload = load_workload(folder_.file("second.json", second));
  EXPECT_EQ(workload.layers.at(0).kind, LayerKind::kActivations);
  EXPECT_EQ(workload.layers.at(0).word_bits, (WordBits{4, std::nullopt, 16}));
  EXPECT_EQ(to_json(workload_from_json(JsonInput::from_text(to_json(workload).dump(), "again"))),
            to_json(workload));
  expect(replaced(second, "activations", "weight"), ErrorId::kValue,
         {"layers[0].kind: found \"weight\"", "weights, activations"});
  expect(replaced(second, "\"O\": 16", "\"O\": 65"), ErrorId::kValue, {"layers[0].word_bits.O: found 65"});
  expect(replaced(second, "\"O\": 16", "\"A\": 16"), ErrorId::kSchema, {"layers[0].word_bits", "A"});
}

// An element takes a word of every level that holds it, on chains and on arrays with two buffers.
TEST(Workload, WiderElementsThanAMachinesWordsAreRefused) {
  Layer layer;
  layer.name = "wide";
  for (const char* name : {"nvdla", "gemmini-tl", "gemmini-rtl"}) {
    const MachinePtr machine = load_machine({name});
    layer.word_bits = WordBits{8, 4, 8};
    check_word_bits(layer, *machine);
    layer.word_bits = WordBits{std::nullopt, 16, std::nullopt};
    expect_error([&] { check_word_bits(layer, *machine); }, ErrorId::kValue,
                 {"'wide'", "word_bits.I: found 16", name, "words of 8 bits"});
  }
  layer.word_bits = WordBits{std::nullopt, std::nullopt, 32};  // accumulators have as many bits, DRAM has not
  expect_error([&] { check_word_bits(layer, *load_machine({"nvdla"})); }, ErrorId::kValue,
               {"word_bits.O: found 32, but dram of nvdla"});
}

TEST_F(BadWorkload, SmallestGoodOne) {
  const Workload workload = load_workload(folder_.file("good.json", kGood));
  EXPECT_EQ(workload.layers.at(0)[Dim::K], 4);
  const Workload yaml = load_workload(folder_.file(
      "good.yaml", "schema: dosa-workload/1\nname: n\nlayers:\n  - {name: a, dims: {K: 4}, count: 2}\n"));
  EXPECT_EQ(yaml.layers.at(0).count, 2);
}

TEST_F(BadWorkload, EachMistakeIsNamed) {
  expect("{", ErrorId::kSyntax, {"line 1"});
  expect("[]", ErrorId::kSchema, {"an object"});
  expect(replaced(kGood, "\"schema\": \"dosa-workload/1\", ", ""), ErrorId::kSchema, {"'schema' is missing"});
  expect(replaced(kGood, "load/1", "load/9"), ErrorId::kSchema, {"dosa-workload/9", "dosa-workload/1"});
  expect(replaced(kGood, "\"name\": \"n\", ", ""), ErrorId::kSchema, {"'name' is missing"});
  expect(replaced(kGood, "\"layers\"", "\"layer\""), ErrorId::kSchema, {"unknown key", "layer"});
  expect(replaced(kGood, R"([{"name": "a", "dims": {"K": 4}}])", "[]"), ErrorId::kValue, {"layers", "empty"});
  expect(replaced(kGood, R"([{"name": "a", "dims": {"K": 4}}])", "3"), ErrorId::kSchema,
         {"layers", "an array"});
  expect(replaced(kGood, R"([{"name")", R"([{"name": "a", "dims": {}}, {"name")"), ErrorId::kValue,
         {"layers[1].name", "'a'", "distinct"});
  expect(replaced(kGood, "\"K\": 4", "\"K\": 0"), ErrorId::kValue, {"layers[0].dims.K: found 0"});
  expect(replaced(kGood, "\"dims\"", "\"count\": 0, \"dims\""), ErrorId::kValue,
         {"layers[0].count: found 0"});
  expect(replaced(kGood, "\"dims\"", "\"stride\": 1, \"dims\""), ErrorId::kSchema, {"layers[0]", "stride"});
}

TEST_F(BadWorkload, TooManyLayers) {
  Json json = Json::parse(kGood);
  for (std::size_t i = 1; i <= kMaxLayers; ++i)
    json["layers"].push_back({{"name", i}, {"dims", Json::object()}});
  expect(json.dump(), ErrorId::kValue, {"layers: found 10001 layers", "at most 10000"});
}

TEST_F(BadWorkload, MissingFileAndUnknownName) {
  const std::string missing = (folder_.path() / "none.json").string();
  expect_error([&] { load_workload(missing); }, ErrorId::kFile, {missing, "No such file"});
  expect_error([] { load_workload("resnet5"); }, ErrorId::kValue, {"'resnet5'", "resnet50"});
}

}  // namespace
}  // namespace dosa
