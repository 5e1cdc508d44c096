// Does an export build and compute the right thing, does it come back as what it was, and is nothing written
// for a design that cannot run?
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>

#include "core/export/exporter.hpp"
#include "core/measure/sample.hpp"
#include "models/error.hpp"
#include "models/files.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {
namespace fs = std::filesystem;
using testing::TemporaryFolder;

struct Outcome {
  int code;
  std::string output;
};

Outcome shell(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string output;
  std::array<char, 4096> buffer;
  while (const std::size_t count = fread(buffer.data(), 1, buffer.size(), pipe))
    output.append(buffer.data(), count);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

Json layer_json(const std::string& name, const DimSizes& size, std::int64_t stride, std::int64_t padding,
                const gemmini::Tile& tile) {
  Layer layer;
  layer.name = name;
  layer.size = size;
  layer.wstride = layer.hstride = stride;
  layer.padding = padding;
  Json json = to_json(layer);
  json["tile"] = gemmini::to_json(tile);
  json["cycles"] = 1000;
  json["energy_uj"] = 2.5;
  return json;
}

gemmini::Tile conv(const DimSizes& size) { return {gemmini::Call::kConv, size}; }
gemmini::Tile matmul(std::int64_t rows, std::int64_t inner, std::int64_t columns) {
  return {gemmini::Call::kMatmul, {1, 1, rows, 1, inner, columns, 1}};
}

/// One layer of every kind, with edge tiles, partial kernels, downsampling, few channels and a batch.
Json design_json() {
  Json layers = Json::array();
  layers.push_back(layer_json("product", {1, 1, 37, 1, 50, 41, 1}, 1, 0, matmul(32, 32, 16)));
  layers.push_back(layer_json("pointwise", {1, 1, 9, 9, 20, 24, 2}, 1, 0, matmul(48, 32, 32)));
  layers.push_back(layer_json("first", {7, 7, 12, 12, 3, 20, 1}, 2, 3, conv({7, 4, 5, 7, 3, 16, 1})));
  layers.push_back(layer_json("3x3", {3, 3, 10, 10, 33, 18, 2}, 1, 1, conv({2, 3, 4, 10, 16, 18, 1})));
  layers.push_back(layer_json("down", {1, 1, 7, 7, 24, 40, 1}, 2, 0, conv({1, 1, 3, 4, 24, 32, 1})));
  Json wide = layer_json("wide", {3, 3, 11, 4, 8, 8, 1}, 1, 0, conv({3, 3, 11, 2, 8, 8, 1}));
  wide["dims"]["wdilation"] = wide["dims"]["hdilation"] = 2;
  layers.push_back(wide);
  return {{"schema", "dosa-design/1"},
          {"workload", "small \"net\""},
          {"target", "gemmini-rtl"},
          {"hardware", {{"pe_dim", 16}, {"scratchpad_kib", 256}, {"accumulator_kib", 64}}},
          {"objective", "edp"},
          {"totals", {{"cycles", 6000}, {"energy_uj", 15}, {"edp", 90000}, {"area_mm2", 1.5}}},
          {"layers", layers},
          {"provenance", {{"version", "test"}}}};
}

LoadedDesign load(const Json& json) {
  const TemporaryFolder folder;
  return load_design(folder.file("design.json", json.dump()));
}

std::vector<OutputFile> exported(const Json& json, const char* format) {
  const auto [design, machine] = load(json);
  return exporter(format).files(design, machine);
}

std::string refusal(const Json& json, const char* format = "gemmini") {
  try {
    exported(json, format);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// ---- Does the generated C compile, and is what it computes right?

const char* kFlags = " -std=gnu99 -Wall -Werror -O2 -I" DOSA_TEST_SOURCE "/tests/export/stubs -I. ";

TEST(GemminiExport, ProgramsRunOnTheHostAndEveryOutputIsRight) {
  const TemporaryFolder folder;
  write_folder(folder.path() / "out", "gemmini", exported(design_json(), "gemmini"));
  const std::string in_folder = "cd " + (folder.path() / "out").string() + " && ";
  const Outcome build =
      shell(in_folder + DOSA_HOST_CC + kFlags + "-DDOSA_CHECK_POINTS=-1 dosa_batch_000.c -lm -o program");
  ASSERT_EQ(build.code, 0) << build.output;
  const Outcome result = shell(in_folder + "./program");
  EXPECT_EQ(result.code, 0) << result.output;
  EXPECT_EQ(result.output,
            "dosa,0,0,1000\ndosa,1,1,1000\ndosa,2,2,1000\ndosa,3,3,1000\ndosa,4,4,1000\ndosa,5,5,1000\n");
}

TEST(GemminiExport, SampledTilingsOnASmallMachineFitFinishAndAreRight) {
  // The stub walks the tiles as the library does and stops at what does not fit or never finishes, so this
  // checks the rules as well as the programs. Small buffers, and kernels that are large for the image, meet
  // all of them.
  Workload workload;
  workload.name = "fuzz";
  const auto add = [&](const DimSizes& size, std::int64_t stride, std::int64_t padding) {
    Layer layer;
    layer.name = fmt::format("layer {}", workload.layers.size());
    layer.size = size;
    layer.wstride = layer.hstride = stride;
    layer.padding = padding;
    workload.layers.push_back(layer);
  };
  add({7, 7, 10, 10, 3, 20, 1}, 2, 3);
  add({5, 5, 9, 9, 20, 12, 2}, 1, 4);
  add({3, 3, 12, 12, 24, 40, 1}, 1, 1);
  add({1, 1, 9, 9, 40, 24, 1}, 2, 0);
  add({1, 1, 11, 11, 33, 17, 1}, 1, 0);
  add({1, 1, 100, 1, 70, 50, 1}, 1, 0);
  add({2, 2, 8, 8, 16, 16, 3}, 3, 1);
  SampleOptions options;
  options.count = 250;
  options.hardware = {8, 16, 8};
  const TemporaryFolder folder;
  const Plan plan = sample_campaign(workload, options).plan;
  write_folder(folder.path() / "out", "sample", campaign_files(plan));
  std::string log;
  for (std::size_t program = 0; program < plan.program_count(); ++program) {
    const std::string in_folder = "cd " + (folder.path() / "out").string() + " && ";
    const std::string name = plan.program_of(program * plan.per_program);
    const Outcome build =
        shell(in_folder + DOSA_HOST_CC + kFlags +
              "-DDIM=8 -DBANK_ROWS=512 -DACC_ROWS=256 -DDOSA_CHECK_POINTS=-1 " + name + " -lm -o program");
    ASSERT_EQ(build.code, 0) << build.output;
    const Outcome result = shell(in_folder + "./program");
    ASSERT_EQ(result.code, 0) << result.output;
    log += result.output;
  }
  // Every program printed one line per measurement, all of them right.
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), static_cast<std::ptrdiff_t>(plan.measurements.size()));
  EXPECT_EQ(plan.measurements.size(), 250u);
}

TEST(GemminiExport, AWrongResultIsNoMeasurement) {
  const TemporaryFolder folder;
  write_folder(folder.path() / "out", "gemmini", exported(design_json(), "gemmini"));
  // A library whose convolutions do nothing.
  const fs::path program = folder.path() / "out" / "dosa_batch_000.c";
  write_file(program,
             "#include \"include/gemmini_testutils.h\"\n#define tiled_conv(...) (void)&tiled_conv\n" +
                 read_file(program));
  const std::string in_folder = "cd " + (folder.path() / "out").string() + " && ";
  const Outcome build = shell(in_folder + DOSA_HOST_CC + kFlags + "dosa_batch_000.c -lm -o program");
  ASSERT_EQ(build.code, 0) << build.output;
  const Outcome result = shell(in_folder + "./program");
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.output.rfind("dosa,0,0,1000\ndosa,1,1,1000\ndosa-wrong,2,2,0,85,", 0), 0u)
      << result.output;
}

TEST(GemminiExport, CrossCompiles) {
  if (std::string(DOSA_RISCV_GCC).empty()) GTEST_SKIP() << "riscv64-unknown-elf-gcc is not installed";
  const TemporaryFolder folder;
  write_folder(folder.path() / "out", "gemmini", exported(design_json(), "gemmini"));
  const std::string in_folder = "cd " + (folder.path() / "out").string() + " && ";
  std::string flags = " -DBAREMETAL -mcmodel=medany -fno-common -march=rv64gc -mabi=lp64d";
  // Debian's compiler comes without a C library; picolibc has the headers.
  if (shell(std::string("echo '#include <stdio.h>' | ") + DOSA_RISCV_GCC + " -E -").code != 0)
    flags += " --specs=picolibc.specs";
  if (shell(std::string("echo '#include <stdio.h>' | ") + DOSA_RISCV_GCC + flags + " -E -").code != 0)
    GTEST_SKIP() << "no C library headers for riscv64-unknown-elf-gcc (picolibc-riscv64-unknown-elf)";
  const Outcome build = shell(in_folder + DOSA_RISCV_GCC + flags + kFlags + "-c dosa_batch_000.c");
  EXPECT_EQ(build.code, 0) << build.output;
}

TEST(GemminiExport, OtherParametersFailAtCompileTime) {
  const TemporaryFolder folder;
  write_folder(folder.path() / "out", "gemmini", exported(design_json(), "gemmini"));
  const std::string in_folder = "cd " + (folder.path() / "out").string() + " && ";
  for (const char* skew : {"-DDIM=8", "-DBANK_ROWS=2048", "-DACC_ROWS=512"}) {
    const Outcome build = shell(in_folder + DOSA_HOST_CC + kFlags + skew + " -c dosa_batch_000.c");
    EXPECT_NE(build.code, 0);
    EXPECT_NE(build.output.find("the tiles are for a Gemmini with"), std::string::npos) << build.output;
  }
}

TEST(GemminiExport, EveryShippedNetworkExportsAndCompiles) {
  for (const std::string& network : shipped_names("workloads")) {
    Design design;
    design.workload = network;
    design.target = "gemmini-rtl";
    design.hardware = {16, 256, 64};
    for (const Layer& layer : load_workload(network).layers) {
      DesignLayer entry;
      entry.layer = layer;
      entry.tile = gemmini::default_tile(layer, design.hardware);
      design.layers.push_back(entry);
    }
    const TemporaryFolder folder;
    write_folder(folder.path() / "out", "gemmini",
                 exporter("gemmini").files(design, load_machine("gemmini-rtl")));
    const Outcome build =
        shell("cd " + (folder.path() / "out").string() + " && for p in dosa_batch_*.c; do " + DOSA_HOST_CC +
              kFlags + "-fsyntax-only $p || exit 1; done");
    EXPECT_EQ(build.code, 0) << network << ": " << build.output;
  }
}

TEST(GemminiExport, ManyLayersBecomeSeveralPrograms) {
  Json json = design_json();
  const Json first = json["layers"][0];
  for (int i = 0; i < 30; ++i) {
    json["layers"].push_back(first);
    json["layers"].back()["name"] = "copy " + std::to_string(i);
  }
  std::set<std::string> names;
  for (const OutputFile& file : exported(json, "gemmini")) names.insert(file.name);
  for (const char* name :
       {"dosa_batch_000.c", "dosa_batch_001.c", "dosa_batch_002.c", "dosa_tiles.h", "dosa_harness.h",
        "CustomConfigs.scala", "DosaSoCConfig.scala", "expected_params.json", "plan.json", "Makefile.dosa"}) {
    EXPECT_TRUE(names.count(name)) << name;
  }
  EXPECT_FALSE(names.count("dosa_batch_003.c"));
}

TEST(GemminiExport, ThePlanComesBack) {
  const Plan plan = plan_of(load(design_json()).design);
  const Plan read = plan_from_json(JsonInput::from_text(to_json(plan).dump(), "plan.json"));
  EXPECT_EQ(to_json(read).dump(), to_json(plan).dump());
}

TEST(GemminiExport, EveryFileNamesTheSources) {
  for (const OutputFile& file : exported(design_json(), "gemmini")) {
    EXPECT_NE(file.content.find("ucb-bar/gemmini 8c3f992"), std::string::npos) << file.name;
  }
}

TEST(GemminiExport, MappingsInTheLibrarysOrderAreTiles) {
  Json json = design_json();
  Json& layer = json["layers"][3];
  layer["dims"] = {{"R", 3}, {"S", 3}, {"P", 56}, {"Q", 56}, {"C", 64}, {"K", 64}};
  layer.erase("tile");
  layer["mapping"] = "L3[WIO] Q8 K4 C2 - L2[WI] N1 K16X - L1[O] S3 R3 C2 Q7 C16X - L0[W] P56";
  EXPECT_EQ(gemmini::to_string(plan_of(load(json).design).measurements[3].tile),
            "conv R3 S3 P56 Q7 C32 K16 N1");
  layer["mapping"] = "L3[WIO] K4 Q8 C2 - L2[WI] N1 K16X - L1[O] S3 R3 C2 Q7 C16X - L0[W] P56";
  EXPECT_EQ(refusal(json),
            "layer 3x3: the DRAM loops have K outside of Q; gemmini-rtl runs a fixed order, outermost first "
            "NQPKSRC; "
            "nearest legal: the same factors in this order");
}

// ---- Is nothing exported that the target cannot run?

TEST(Refusals, NameRuleLayerAndNearestLegalAlternative) {
  Json json = design_json();
  json["hardware"] = {{"pe_dim", 16}, {"scratchpad_kib", 251}, {"accumulator_kib", 196}};
  EXPECT_NE(refusal(json).find(
                "hardware: rows per scratchpad bank are a power of two; found 4016 (scratchpad_kib 251); "
                "nearest legal: scratchpad_kib 256"),
            std::string::npos);
  json = design_json();
  json["target"] = "gemmini-tl";
  EXPECT_NE(refusal(json).find("scratchpad_kib 512, accumulator_kib 128, searched with --target gemmini-rtl"),
            std::string::npos);
  json = design_json();
  json["layers"][2]["tile"] = gemmini::to_json(conv({7, 6, 12, 1, 3, 16, 1}));
  EXPECT_NE(
      refusal(json).find("layer first: no kernel tile lies wholly in the padding (the hardware would never "
                         "finish); found conv R7 S6 P12 Q1 C3 K16 N1; nearest legal: conv R7 S7 P12 Q1"),
      std::string::npos)
      << refusal(json);
  json = design_json();
  json["layers"][0]["tile"] = gemmini::to_json(matmul(48, 4096, 48));
  EXPECT_NE(refusal(json).find("layer product: a tile of C is in 1..64; found 4096"), std::string::npos);
  json = design_json();
  json["layers"][3]["dims"] = {{"R", 3}, {"S", 3}, {"P", 200}, {"Q", 200}, {"C", 256}, {"K", 256}};
  json["layers"][3]["tile"] = gemmini::to_json(conv({3, 3, 200, 200, 256, 16, 1}));
  EXPECT_NE(refusal(json).find("fit into half of the scratchpad, 8192 rows"), std::string::npos)
      << refusal(json);
  json = design_json();
  json["layers"][3]["dims"]["S"] = 5;
  EXPECT_NE(refusal(json).find("layer 3x3: Gemmini's library cannot run it: tiled_conv has square kernels"),
            std::string::npos);
  EXPECT_EQ(refusal(design_json()), "");
}

TEST(Refusals, UnknownFormatsAndOtherSchemas) {
  try {
    exporter("verilog");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "'verilog' is no export format; formats: gemmini, timeloop, json, csv");
  }
  Json json = design_json();
  json["schema"] = "dosa-design/2";
  EXPECT_NE(refusal(json).find("this program reads \"dosa-design/1\""), std::string::npos);
}

TEST(Folders, AppearWholeOrNotAtAll) {
  const TemporaryFolder folder;
  const fs::path out = folder.path() / "out";
  // A file name that cannot be created makes the writing fail halfway.
  EXPECT_THROW(write_folder(out, "test", {{"a", "1"}, {"no/such/folder", "2"}}), Error);
  EXPECT_TRUE(fs::is_empty(folder.path()));
  write_folder(out, "test", {{"a", "1"}, {"b", "2"}});
  EXPECT_THROW(write_folder(out, "test", {{"a", "3"}, {"no/such/folder", "2"}}), Error);
  EXPECT_EQ(read_file(out / "a"), "1");
  // An earlier export is replaced as a whole.
  write_folder(out.string() + "/", "test", {{"a", "4"}});
  EXPECT_EQ(read_file(out / "a"), "4");
  EXPECT_FALSE(fs::exists(out / "b"));
  // What is not ours stays.
  write_file(folder.path() / "mine", "x");
  EXPECT_THROW(write_folder(folder.path(), "test", {{"a", "5"}}), Error);
  EXPECT_THROW(write_folder(folder.path() / "mine", "test", {{"a", "5"}}), Error);
  EXPECT_THROW(write_folder(folder.path() / "missing" / "out", "test", {{"a", "5"}}), Error);
  EXPECT_EQ(read_file(folder.path() / "mine"), "x");
}

// ---- Does it come back?

TEST(RoundTrip, JsonIsTheDesign) {
  const auto files = exported(design_json(), "json");
  ASSERT_EQ(files.size(), 1u);
  // Without the order of the keys.
  EXPECT_EQ(nlohmann::json::parse(files[0].content), nlohmann::json::parse(design_json().dump()));
  EXPECT_EQ(exported(Json::parse(files[0].content), "json")[0].content, files[0].content);
}

TEST(RoundTrip, TimeloopMappings) {
  const Machine machine = load_machine("gemmini-tl");
  Json json = design_json();
  json["target"] = "gemmini-tl";
  json["layers"] = Json::array();
  const std::vector<std::string> mappings{
      "L3[WIO] K8 Q28 - L2[WI] N1 K4X - L1[O] K2 S7 R7 Q4 P7 C3X - L0[W] P16",
      "L3[WIO] N1 - L2[WI] N1 K64X - L1[O] S7 R7 C3X - L0[W] Q112 P112",
      "L3[WIO] P2 Q7 K2 - L2[WI] P4 K32X - L1[O] Q16 P14 S7 R7 C3X - L0[W] N1"};
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    Json layer = layer_json("conv " + std::to_string(i), {7, 7, 112, 112, 3, 64, 1}, 2, 3, conv({}));
    layer.erase("tile");
    layer["mapping"] = mappings[i];
    json["layers"].push_back(layer);
  }
  const auto files = exported(json, "timeloop");
  std::size_t found = 0;
  for (const OutputFile& file : files) {
    if (file.name.find(".mapping.yaml") == std::string::npos) continue;
    const Mapping expected = parse_mapping(json["layers"][found]["mapping"].get<std::string>(), machine);
    EXPECT_EQ(print_mapping(mapping_from_timeloop(file.content, machine), machine),
              print_mapping(expected, machine));
    ++found;
  }
  EXPECT_EQ(found, mappings.size());
  const auto expected =
      std::find_if(files.begin(), files.end(), [](const auto& f) { return f.name == "expected.json"; });
  ASSERT_NE(expected, files.end());
  EXPECT_EQ(Json::parse(expected->content)["totals"], json["totals"]);
}

TEST(Timeloop, TilesThatDivideBecomeMappingsAndOthersAreRefused) {
  Json json = design_json();
  json["layers"] =
      Json::array({layer_json("conv", {3, 3, 56, 56, 64, 64, 1}, 1, 1, conv({3, 3, 28, 14, 64, 16, 1}))});
  std::string mapping;
  for (const OutputFile& file : exported(json, "timeloop")) {
    if (file.name == "000_conv.mapping.yaml") mapping = file.content;
  }
  const Machine machine = load_machine("gemmini-rtl");
  EXPECT_EQ(print_mapping(mapping_from_timeloop(mapping, machine), machine),
            "L3[WIO] Q4 P2 K4 - L2[WI] N1 K16X - L1[O] S3 R3 C4 Q14 P28 C16X - L0[W] N1");
  json["layers"][0]["tile"] = gemmini::to_json(conv({3, 3, 23, 22, 64, 16, 1}));
  EXPECT_EQ(refusal(json, "timeloop"),
            "layer conv: Timeloop needs tiles that divide the layer; found a tile of P 23 of 56; nearest "
            "legal: 14");
}

TEST(Csv, OneRowPerLayerWithQuotedText) {
  const auto files = exported(design_json(), "csv");
  std::istringstream text(files.at(0).content);
  std::string header, row;
  std::getline(text, header);
  std::getline(text, row);
  EXPECT_EQ(std::count(header.begin(), header.end(), ','), std::count(row.begin(), row.end(), ','));
  EXPECT_EQ(
      row,
      "\"small "
      "\"\"net\"\"\",gemmini-rtl,16,256,64,product,1,1,1,1,37,1,50,41,1,1,1,1,1,0,,matmul,1,1,32,1,32,16,"
      "1,1000,2.5");
}

}  // namespace
}  // namespace dosa
