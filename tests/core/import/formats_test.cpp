// Tables and texts of other programs: what they say of the shipped networks comes back, and what is refused.
#include <gtest/gtest.h>

#include <map>

#include "dosa/core/import/importer.hpp"
#include "dosa/core/import/network.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {
using testing::expect_error;
using testing::TemporaryFolder;

class Formats : public ::testing::Test {
 protected:
  Imported import(const std::string& name, const std::string& text) {
    return import_files({folder_.file(name, text)});
  }
  std::vector<Layer> layers(const std::string& name, const std::string& text) {
    const Imported imported = import(name, text);
    return workload_from_json(JsonInput::from_text(imported.workload->dump(), name)).layers;
  }
  void expect_refused(const std::string& text, ErrorId id, const std::vector<std::string>& parts) {
    const std::string path = folder_.file("bad", text);
    std::vector<std::string> all = parts;
    all.push_back(path);
    expect_error([&] { import_files({path}); }, id, all);
  }
  TemporaryFolder folder_;
};

/// Sizes, strides and dilations with how often they run, groups included.
using Runs = std::map<std::string, std::int64_t>;
Runs repetitions_of(const std::vector<Layer>& layers) {
  Runs runs;
  for (const Layer& l : layers) {
    runs[fmt::format("{} {} {} {} {}", fmt::join(l.size, " "), l.wstride, l.hstride, l.wdilation,
                     l.hdilation)] += l.repetitions();
  }
  return runs;
}

bool is_undilated(const Layer& l) { return l.wdilation == 1 && l.hdilation == 1; }
bool has_one_stride(const Layer& l) { return is_undilated(l) && l.wstride == l.hstride; }

/// Every shipped network in one form, a text of its layers, comes back; of those that `can_say` all layers.
void expect_round_trip(const std::function<std::string(const Workload&)>& write,
                       const std::function<std::vector<Layer>(const std::string&)>& read,
                       const std::function<bool(const Layer&)>& can_say) {
  for (const std::string& name : shipped_names("workloads")) {
    const Workload shipped = load_workload(name);
    if (!std::all_of(shipped.layers.begin(), shipped.layers.end(), can_say)) continue;
    EXPECT_EQ(repetitions_of(read(write(shipped))), repetitions_of(shipped.layers)) << name;
  }
}

TEST_F(Formats, ScaleSimSaysTheShippedNetworks) {
  expect_round_trip(
      [](const Workload& network) {
        std::string text =
            "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
            "Strides,\n";
        for (const Layer& l : network.layers) {
          // A depthwise convolution has a row, other groups one each.
          const bool depthwise = l.groups > 1 && l[Dim::C] == 1 && l[Dim::K] == 1;
          for (std::int64_t i = 0; i < (depthwise ? l.count : l.repetitions()); ++i) {
            text += fmt::format("{}{}, {}, {}, {}, {}, {}, {}, {},\n", depthwise ? "DP_" : "", l.name,
                                l.padded_height(), l.padded_width(), l[Dim::S], l[Dim::R],
                                depthwise ? l.groups : l[Dim::C], l[Dim::K], l.wstride);
          }
        }
        return text;
      },
      [&](const std::string& text) { return layers("net.csv", text); }, has_one_stride);
}

TEST_F(Formats, MaestroSaysTheShippedNetworks) {
  expect_round_trip(
      [](const Workload& network) {
        std::string text = "Network net {\n";
        for (const Layer& l : network.layers) {
          for (std::int64_t i = 0; i < l.count; ++i) {
            text += fmt::format(
                "Layer {} {{\nType: {}\nStride {{ X: {}, Y: {} }}\n"
                "Dimensions {{ {}K: {}, C: {}, R: {}, S: {}, Y: {}, X: {} }}\n}}\n",
                l.name, l.groups > 1 ? "NGCONV" : "CONV", l.wstride, l.hstride,
                l.groups > 1 ? fmt::format("G: {}, ", l.groups) : "", l[Dim::K], l[Dim::C], l[Dim::S],
                l[Dim::R], l.padded_height(), l.padded_width());
          }
        }
        return text + "}\n";
      },
      [&](const std::string& text) { return layers("net.m", text); }, is_undilated);
}

TEST_F(Formats, ZigzagSaysTheShippedNetworks) {
  expect_round_trip(
      [](const Workload& network) {
        std::string text;
        int id = 0;
        for (const Layer& l : network.layers) {
          for (std::int64_t i = 0; i < l.count; ++i) {
            text += fmt::format(
                "- id: {}\n  operator_type: Conv\n"
                "  equation: O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]\n"
                "  dimension_relations: [ix={}*ox+1*fx, iy={}*oy+1*fy]\n"
                "  loop_dims: [B, G, K, C, OY, OX, FY, FX]\n  loop_sizes: [{}, {}, {}, {}, {}, {}, {}, {}]\n",
                id++, l.wstride, l.hstride, l[Dim::N], l.groups, l[Dim::K], l[Dim::C], l[Dim::Q], l[Dim::P],
                l[Dim::S], l[Dim::R]);
          }
        }
        return text;
      },
      [&](const std::string& text) { return layers("net.yaml", text); }, is_undilated);
}

TEST_F(Formats, TimeloopSaysTheShippedNetworks) {
  expect_round_trip(
      [](const Workload& network) { return to_json(network).dump(); },
      [&](const std::string& text) {
        const Workload network = workload_from_json(JsonInput::from_text(text, "net"));
        // A folder of problems that share a base, as published.
        const TemporaryFolder problems;
        const std::string inner = (problems.path() / "layers").string();
        std::filesystem::create_directory(inner);
        write_file(problems.path() / "base.yaml", R"(base: &base
  version: 0.4
  shape:
    name: grouped
    dimensions: [C, M, R, S, N, P, Q, G]
    coefficients:
    - {name: Wstride, default: 1}
    - {name: Hstride, default: 1}
    data_spaces:
    - {name: Weights, projection: [[[C]], [[M]], [[R]], [[S]], [[G]]]}
    - {name: Inputs, projection: [[[N]], [[C]], [[R], [P, Wstride]], [[S], [Q, Hstride]], [[G]]]}
    - {name: Outputs, projection: [[[N]], [[M]], [[Q]], [[P]], [[G]]], read_write: true}
  instance: {C: 1, M: 1, R: 1, S: 1, N: 1, P: 1, Q: 1, G: 1, Wstride: 1, Hstride: 1}
)");
        int number = 0;
        for (const Layer& l : network.layers) {
          for (std::int64_t i = 0; i < l.count; ++i) {
            write_file(inner + fmt::format("/{:03d}.yaml", number++),
                       fmt::format("{{{{include_text('../base.yaml')}}}}\nproblem:\n  <<<: *base\n  "
                                   "instance: {{C: {}, M: {}, "
                                   "R: {}, S: {}, P: {}, Q: {}, G: {}, WStride: {}, HStride: {}}}\n",
                                   l[Dim::C], l[Dim::K], l[Dim::R], l[Dim::S], l[Dim::P], l[Dim::Q], l.groups,
                                   l.wstride, l.hstride));
          }
        }
        const Imported imported = import_files({inner});
        return workload_from_json(JsonInput::from_text(imported.workload->dump(), "net")).layers;
      },
      is_undilated);
}

TEST_F(Formats, GammaSaysLayersOfStrideOne) {
  expect_round_trip([](const Workload& network) { return to_json(network).dump(); },
                    [&](const std::string& text) {
                      const Workload network = workload_from_json(JsonInput::from_text(text, "net"));
                      std::string table = "K,C,Y,X,R,S,T\n";
                      std::vector<Layer> strided;
                      for (const Layer& l : network.layers) {
                        const bool depthwise = l.groups > 1 && l[Dim::C] == 1 && l[Dim::K] == 1;
                        if (l.wstride != 1 || (l.groups > 1 && !depthwise)) {
                          strided.push_back(l);
                          continue;
                        }
                        for (std::int64_t i = 0; i < l.count; ++i) {
                          if (l.is_matmul()) {
                            table += fmt::format("{},{},{},1,1,1,3\n", l[Dim::P], l[Dim::K], l[Dim::C]);
                          } else {
                            table += fmt::format("{},{},{},{},{},{},{}\n", l[Dim::K],
                                                 depthwise ? l.groups : l[Dim::C], l.padded_height(),
                                                 l.padded_width(), l[Dim::S], l[Dim::R], depthwise ? 2 : 1);
                          }
                        }
                      }
                      std::vector<Layer> all = layers("net.csv", table);
                      all.insert(all.end(), strided.begin(), strided.end());
                      return all;
                    },
                    is_undilated);
}

TEST_F(Formats, ScaleSimFindsDepthwiseRows) {
  const Imported found =
      import("mobile.csv",
             "\xef\xbb\xbfLayer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, "
             "Channels, Num Filter, Strides,\r\n,,,,\n\"Blocks\",\n"
             "Conv1, 226, 226, 3, 3, 3, 32, 2,\nConv2, 114, 114, 3, 3, 32, 1, 1, # a note\n"
             "Conv3, 112, 112, 1, 1, 32, 64, 1,\nConv4, 112, 112, 3, 3, 64, 1, 2,\n");
  const Json& layers = (*found.workload)["layers"];
  ASSERT_EQ(layers.size(), 4u);
  EXPECT_EQ(layers[1]["groups"], 32);
  EXPECT_EQ(layers[1]["dims"]["C"], 1);
  EXPECT_FALSE(layers[3].contains("groups")) << "nothing says that the last one is depthwise";
  EXPECT_EQ(layers[3]["dims"]["P"], 56) << "SCALE-Sim counts a last window that hangs over";
  ASSERT_EQ(found.remarks.size(), 2u);
  EXPECT_NE(found.remarks[0].find("line 3: 'Blocks': left out"), std::string::npos);
  EXPECT_NE(found.remarks[1].find("line 5: Conv2: one filter over 32 channels, taken as a depthwise"),
            std::string::npos);
  // Filters of one in narrowed networks are none.
  EXPECT_TRUE(
      import("narrow.csv",
             "Layer, IFMAP Width, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides\n"
             "a,8,9,1,1,64,1,1\nb,10,11,3,3,64,1,1\nc,8,9,1,1,64,4,1\n")
          .remarks.empty());
}

TEST_F(Formats, ScaleSimProducts) {
  const std::vector<Layer> found =
      layers("gemm.csv", "Layer, M, N, K, Sparsity,\nffn, 128, 3072, 768, 4:4,\nffn, 128, 3072, 768,\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].count, 2);
  EXPECT_EQ(found[0].size, (DimSizes{1, 1, 128, 1, 768, 3072, 1}));
  expect_refused("Layer,M,N,K,Sparsity\na,8,8,8,2:4\n", ErrorId::kValue, {"line 2", "Sparsity: found '2:4'"});
}

TEST_F(Formats, WrongTables) {
  const std::string header =
      "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n";
  expect_refused(header + "a, 8, 8, 3, 3, H, 4, 1,\n", ErrorId::kValue, {"line 2: Channels: found 'H'"});
  expect_refused(header + "a, 8, 8, 9, 3, 4, 4, 1,\n", ErrorId::kValue,
                 {"line 2: Filter Height: found 9", "input's 8"});
  expect_refused(header + "a, 8, 8, 3,\n", ErrorId::kSyntax, {"line 2: Filter Width is missing"});
  expect_refused(header + "a, 8, 8, 3, 3, 4, 4, 99999999999999999999,\n", ErrorId::kValue,
                 {"line 2: Strides"});
  expect_refused(header + "a, 8, 8, 3, 3, 4, -4, 1,\n", ErrorId::kValue, {"line 2: Num Filter: found '-4'"});
  expect_refused(header, ErrorId::kValue, {"no layer"});
  expect_refused("K,C,Y,X,R,S,T\n8,8,4,4,5,1,1\n", ErrorId::kValue, {"line 2", "5 x 1", "4 x 4"});
  expect_refused("K,C,Y,X,R,S,T\n8,8,4,4,1,1,7\n", ErrorId::kValue, {"line 2: T: found '7'"});
}

TEST_F(Formats, MaestroTypesConstantsAndComments) {
  const Imported found = import("net.m", R"(// A comment
Constant Tokens 128; /* another
of two lines */
Accelerator { PE { NumPEs: 16 } }
Network Small {
  Layer FC { Type: GEMM Dimensions { M: Tokens, N: 3072, K: 768 } Dataflow { SpatialMap(1,1) K; Cluster(4, P); } }
  Layer DW { Type: DSCONV Stride { X: 2, Y: 2 } Dimensions { K 1, C 32, R 3, S 3, Y 113, X 225 } }
  Layer UP { Type: TRCONV Dimensions { K: 8, C: 16, R: 2, S: 2, Y: 28, X: 28 } }
}
)");
  const Json& layers = (*found.workload)["layers"];
  EXPECT_EQ((*found.workload)["name"], "Small");
  EXPECT_EQ(layers[0]["dims"]["P"], 128);
  EXPECT_EQ(layers[1]["groups"], 32);
  EXPECT_EQ(layers[1]["dims"]["P"], 112);
  EXPECT_EQ(layers[1]["dims"]["Q"], 56);
  EXPECT_EQ(layers[2]["dims"]["P"], 27);
  ASSERT_EQ(found.remarks.size(), 2u);
  EXPECT_NE(found.remarks[0].find("Accelerator: left out"), std::string::npos);
  EXPECT_NE(found.remarks[1].find("UP: the transposed convolution"), std::string::npos);
  const auto network = [](const std::string& layer) {
    return "Network n {\nLayer a {\n" + layer + "\n}\n}\n";
  };
  expect_refused(network("Type: LSTM Dimensions { K: 1 }"), ErrorId::kValue, {"line 2: a: Type: found LSTM"});
  expect_refused(network("Type: CONV Dimensions { K: 4, C: 4, R: 3, S: 3, Y: 2, X: 8 }"), ErrorId::kValue,
                 {"a: R: found 3"});
  expect_refused(network("Type: CONV Dimensions { K: 4, C: 4, R: 3, S: 3, Y: 8 }"), ErrorId::kSchema,
                 {"dimension X is missing"});
  expect_refused(network("Dimensions { K: zero }"), ErrorId::kValue, {"line 3", "found 'zero'"});
  expect_refused("Network n {\nLayer a {\nType: CONV\n", ErrorId::kSyntax, {"found the end of the file"});
}

TEST_F(Formats, ZigzagOperatorsAndPadding) {
  const Imported found = import("net.yaml", R"(
- id: 0
  name: stem
  operator_type: Conv
  equation: O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]
  dimension_relations: [ix=2*ox+1*fx, iy=2*oy+3*fy]
  loop_dims: [B, K, C, OY, OX, FY, FX]
  loop_sizes: [1, 64, 3, 112, 112, 3, 7]
  pr_loop_dims: [IX, IY]
  padding: [[2, 3], [3, 3]]
- {id: 1, operator_type: MaxPool, equation: "O[b][g][oy][ox]+=W[fx][fy]*I[b][g][iy][ix]", loop_dims: [B], loop_sizes: [1]}
- id: 2
  operator_type: Gemm
  equation: O[d0][d1]+=I[d0][d2]*W[d2][d1]
  loop_dims: [D0, D1, D2]
  loop_sizes: [128, 256, 512]
)");
  const Json& layers = (*found.workload)["layers"];
  EXPECT_EQ((*found.workload)["schema"], "dosa-workload/2");
  EXPECT_EQ(layers[0]["padding"], (Json{{"left", 2}, {"right", 3}, {"top", 3}, {"bottom", 3}}));
  EXPECT_EQ(layers[0]["dims"]["hdilation"], 3);
  EXPECT_EQ(layers[0]["dims"]["R"], 7);
  EXPECT_EQ(layers[1]["name"], "layer2");
  EXPECT_EQ(layers[1]["dims"]["K"], 256);
  EXPECT_EQ(layers[1]["dims"]["C"], 512);
  ASSERT_EQ(found.remarks.size(), 1u);
  EXPECT_NE(found.remarks[0].find("MaxPool: left out"), std::string::npos);
  const auto layer = [](const std::string& more) { return "- id: 0\n  operator_type: Conv\n" + more; };
  expect_refused(layer("  equation: O[a]+=I[a]*W[z]\n  loop_dims: [A]\n  loop_sizes: [4]\n"), ErrorId::kValue,
                 {"axis Z"});
  expect_refused(layer("  equation: O[a]+=I[a]\n  loop_dims: [A]\n  loop_sizes: [4]\n"), ErrorId::kSyntax,
                 {"2 tensors"});
  expect_refused(layer("  equation: O[a]+=I[a]*W[a]\n  loop_dims: [A, B]\n  loop_sizes: [4]\n"),
                 ErrorId::kValue, {"1 sizes of 2"});
}

TEST_F(Formats, TimeloopSpellings) {
  const std::vector<Layer> found =
      layers("p.yaml",
             "problem: {C: 4, K: 8, R: 3, S: 3, P: 7, Q: 7, N: 1, Hdilation: 0, Wdilation: 0, "
             "HStride: 2, WStride: 2}\n");
  EXPECT_EQ(found[0].hstride, 2);
  EXPECT_EQ(found[0].wstride, 2);
  EXPECT_EQ(found[0].hdilation, 1);
  const Imported twice =
      import("q.yaml",
             "base: &base {instance: {C: 4, K: 8, R: 3, S: 3, P: 7, Q: 7, N: 1, Hstride: 1}}\n"
             "problem: {<<<: *base, shape: cnn-layer, instance: {HStride: 4}}\n");
  EXPECT_EQ((*twice.workload)["layers"][0]["dims"]["hstride"], 4);
  EXPECT_NE(twice.remarks.back().find("Hstride: 1 is left out, another spelling of it is 4"),
            std::string::npos);
  const std::string loop = folder_.file("loop.yaml", "{{include_text('loop.yaml')}}\nproblem: {}\n");
  expect_error([&] { import_files({loop}); }, ErrorId::kSyntax, {loop, "more than 16 includes"});
  const std::string missing =
      folder_.file("missing.yaml", "{{ include_text( \"not there\" ) }}\nproblem: {}\n");
  expect_error([&] { import_files({missing}); }, ErrorId::kFile, {"/not there: cannot be read"});
  expect_refused("problem: {{mine}}\n", ErrorId::kSyntax, {"found {{mine}}", "include_text"});
}

TEST_F(Formats, AFolderIsOneNetwork) {
  folder_.file("README.md", "Problems.\n");
  folder_.file("a.yaml", "problem: {C: 4, K: 8, R: 1, S: 1, P: 7, Q: 7, N: 1}\n");
  folder_.file("b.yaml", "problem: {C: 4, K: 8, R: 1, S: 1, P: 7, Q: 7, N: 1}\n");
  const LoadedNetwork network = load_network(folder_.path().string());
  EXPECT_EQ(network.workload.name, folder_.path().stem());
  ASSERT_EQ(network.workload.layers.size(), 1u);
  EXPECT_EQ(network.workload.layers[0].count, 2);
  ASSERT_EQ(network.remarks.size(), 1u);
  EXPECT_NE(network.remarks[0].find("README.md: left out"), std::string::npos);
  const TemporaryFolder empty;
  expect_error([&] { load_network(empty.path().string()); }, ErrorId::kFile,
               {empty.path().string(), "without a file"});
}

TEST_F(Formats, SizesAreForFormatsThatLeaveThemOpen) {
  ImportOptions options;
  options.batch = 4;
  const std::string path = folder_.file("gemm.csv", "Layer,M,N,K\na,8,8,8\n");
  expect_error([&] { import_files({path}, options); }, ErrorId::kUsage,
               {"--batch", path, "a SCALE-Sim topology"});
}

TEST_F(Formats, WrongKindsAreNamed) {
  const auto refused = [&](const std::string& text, const std::vector<std::string>& parts) {
    const std::string path = folder_.file("file", text);
    expect_error([&] { load_network(path); }, ErrorId::kSchema, parts);
  };
  refused(R"({"schema": "dosa-design/1", "workload": "bert"})",
          {"a design (dosa-design/1)", "expected a network", "dosa evaluate"});
  refused(R"({"schema": "dosa-hardware/2"})", {"a machine", "--machine"});
  refused("id,pe_dim,tile_R,cycles\n1,16,1,4\n", {"measurements of Gemmini", "dosa train"});
  refused(std::string("PK\x03\x04", 4) + "model/code/__torch__.py",
          {"a TorchScript archive", "torch.onnx.export"});
  refused(std::string("\x1c\0\0\0TFL3", 8), {"TensorFlow Lite", "tf2onnx"});
}

TEST_F(Formats, HostileFilesAreOneLine) {
  expect_refused("problem: &a {x: *a}\n", ErrorId::kSyntax, {});
  std::string bomb = "a: &a0 [1,1,1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 9; ++i)
    bomb +=
        fmt::format("b{0}: &a{0} [*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1}]\n", i, i - 1);
  expect_refused(bomb + "problem: *a8\n", ErrorId::kSyntax, {"aliases written out"});
  expect_refused("- {operator_type: Conv, equation: &a {x: *a}, loop_dims: []}\n", ErrorId::kSyntax, {});
  expect_refused("Network n { Layer a { Dataflow " + std::string(100000, '{'), ErrorId::kSyntax, {"line 1"});
  expect_refused(std::string(1000, '\0') + "Layer,M,N,K\n", ErrorId::kValue, {"no format"});
  // An importer may be asked to read what it does not know.
  for (const char* text : {"", "# nothing\n", ",,,\n", "Layer,M\n", "1,2,3\n"}) {
    for (const Importer* importer : importers()) {
      const ImportSource source{"bad", text};
      EXPECT_THROW(static_cast<void>(importer->read({source}, {})), Error)
          << importer->name() << ": " << text;
    }
  }
}

}  // namespace
}  // namespace dosa
