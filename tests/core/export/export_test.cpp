// Does an export build and compute the right thing, does it come back as what it was, and is nothing written
// for a design that cannot run?
#include "dosa/core/targets/gemmini/export.hpp"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>
#include <sstream>

#include "dosa/core/export/exporter.hpp"
#include "dosa/core/targets/gemmini/campaign/sample.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/core/targets/mapping/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/core/export/from_timeloop.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {
namespace fs = std::filesystem;
using testing::content_of;
using testing::layer_from_timeloop;
using testing::mapping_from_timeloop;
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
  layers.push_back(
      layer_json("tall", {1, 5, 9, 4, 7, 20, 2}, 1, 0, {gemmini::Call::kIm2col, {1, 1, 32, 1, 32, 16, 1}}));
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
  const auto [design, target] = load(json);
  return exporter(format).files(design, *target);
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

const char* kFlags = " -std=gnu99 -Wall -Werror -O2 -I" DOSA_TEST_SOURCE "/tests/core/export/stubs -I. ";

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
            "dosa,0,0,1000\ndosa,1,1,1000\ndosa,2,2,1000\ndosa,3,3,1000\ndosa,4,4,1000\ndosa,5,5,1000\n"
            "dosa,6,6,1000\n");
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
  for (const Program& program : plan.programs()) {
    const std::string in_folder = "cd " + (folder.path() / "out").string() + " && ";
    const std::string name = program.name + ".c";
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
  EXPECT_EQ(result.output.rfind("dosa,0,0,1000\ndosa,1,1,1000\ndosa-wrong,2,2,0,", 0), 0u) << result.output;
}

// An output that a tiling does not write is wrong, although an earlier tiling of the layer left the right one
// there.
TEST(GemminiExport, WhatAnEarlierTilingHasLeftIsNoResult) {
  Workload workload;
  workload.layers.resize(1);
  workload.layers[0].size = {1, 1, 64, 1, 48, 80, 1};
  SampleOptions options;
  options.count = 3;
  const Plan plan = sample_campaign(workload, options).plan;
  for (const char* points : {"1", "32", "-1"}) {
    const TemporaryFolder folder;
    write_folder(folder.path() / "out", "sample", campaign_files(plan));
    // A library that works once.
    const fs::path program = folder.path() / "out" / "dosa_batch_000.c";
    write_file(program,
               "#include \"include/gemmini_testutils.h\"\nstatic int calls;\n"
               "#define tiled_matmul(I, ...) \\\n"
               "  do { if ((I) != 64 || calls++ == 0) tiled_matmul(I, __VA_ARGS__); } while (0)\n" +
                   read_file(program));
    const Outcome build = shell("cd " + (folder.path() / "out").string() + " && " + DOSA_HOST_CC + kFlags +
                                "-DDOSA_CHECK_POINTS=" + points + " dosa_batch_000.c -lm -o program");
    ASSERT_EQ(build.code, 0) << build.output;
    const Outcome result = shell((folder.path() / "out" / "program").string());
    EXPECT_EQ(result.output.rfind("dosa,0,0,1000\ndosa-wrong,0,1,0,", 0), 0u) << result.output;
    EXPECT_NE(result.output.find("\ndosa-wrong,0,2,0,"), std::string::npos) << result.output;
  }
}

// Before 2023-05 tiled_conv took no strides of rows.
TEST(GemminiExport, ProgramsAreForTheLibraryThatThePlanNames) {
  Workload workload;
  workload.layers.resize(1);
  workload.layers[0].size = {3, 3, 7, 7, 5, 9, 2};
  workload.layers[0].padding = 1;
  SampleOptions options;
  options.count = 4;
  const auto outcome = [&](const char* month, const char* flags) {
    options.library = {month, "test"};
    const TemporaryFolder folder;
    write_folder(folder.path() / "out", "sample", campaign_files(sample_campaign(workload, options).plan));
    const Outcome build = shell("cd " + (folder.path() / "out").string() + " && " + DOSA_HOST_CC + kFlags +
                                flags + " -DDOSA_CHECK_POINTS=-1 dosa_batch_000.c -lm -o program");
    return build.code != 0 ? build : shell((folder.path() / "out" / "program").string());
  };
  const std::string right = "dosa,0,0,1000\ndosa,0,1,1000\ndosa,0,2,1000\ndosa,0,3,1000\n";
  EXPECT_EQ(outcome("2023-10", "").output, right);
  EXPECT_EQ(outcome("2023-05", "").output, right);
  EXPECT_EQ(outcome("2023-04", "-DSTUB_WITHOUT_STRIDES").output, right);
  EXPECT_NE(outcome("2023-04", "").output.find("too few arguments"), std::string::npos);
  EXPECT_NE(outcome("2023-10", "-DSTUB_WITHOUT_STRIDES").output.find("too many arguments"),
            std::string::npos);
  testing::expect_error([&] { outcome("2023-01", ""); }, ErrorId::kValue,
                        {"library: found 2023-01", "since 2023-02"});
}

TEST(GemminiExport, TheHarnessIsAProgramOfItsOwnWithoutWarnings) {
  const TemporaryFolder folder;
  write_folder(folder.path() / "out", "gemmini", exported(design_json(), "gemmini"));
  // It is the shipped file; and by itself it runs every row.
  EXPECT_EQ(read_file(folder.path() / "out" / "dosa_harness.c"),
            read_file(data_folder() / "gemmini" / "dosa_harness.c"));
  const std::string in_folder = "cd " + (folder.path() / "out").string() + " && ";
  const Outcome build =
      shell(in_folder + DOSA_HOST_CC + kFlags +
            "-Wextra -Wno-sign-compare -Wshadow -Wstrict-prototypes dosa_harness.c -lm -o program");
  ASSERT_EQ(build.code, 0) << build.output;
  const Outcome result = shell(in_folder + "./program");
  EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 7) << result.output;
}

TEST(GemminiExport, TheMakefileCompilesEveryProgramByTheLibrarysRules) {
  const TemporaryFolder folder;
  write_folder(folder.path() / "out", "gemmini", exported(design_json(), "gemmini"));
  const std::string in_folder = "cd " + (folder.path() / "out").string() + " && ";
  const Outcome without = shell(in_folder + "make -n");
  EXPECT_NE(without.code, 0);
  EXPECT_NE(without.output.find("say where the library is: make ROCC_TESTS="), std::string::npos)
      << without.output;
  const Outcome with =
      shell(in_folder + "make -n CFLAGS=-DMORE ROCC_TESTS=" DOSA_TEST_SOURCE "/tests/core/export/stubs");
  EXPECT_EQ(with.code, 0) << with.output;
  EXPECT_NE(with.output.find("riscv64-unknown-elf-gcc -DPREALLOCATE=1"), std::string::npos) << with.output;
  EXPECT_NE(with.output.find("-DMORE dosa_batch_000.c -o dosa_batch_000-baremetal"), std::string::npos)
      << with.output;
}

/// Names that would end a comment, a line or a string and go on as a program of theirs.
std::string hostile_name(std::size_t i) {
  static const std::vector<std::string> names{"*/ int pwned(void); /*",
                                              "/* \\",
                                              "a\n#error pwned\n",
                                              "b\r\nint pwned;",
                                              "*\\\n/ int pwned; //",
                                              "?\?/\nint pwned;",
                                              "\"); } object Pwned { (\"",
                                              "$(shell touch pwned)",
                                              "\nall:\n\ttouch pwned\n",
                                              "$(error pwned)`touch pwned`;",
                                              "\xe2\x80\xae */ \xe2\x80\xa9 int pwned;",
                                              "\x1b[2J\x7f",
                                              "../../pwned",
                                              std::string(990, 'n')};
  return std::to_string(i) + names[i % names.size()];
}
constexpr std::size_t kHostileNames = 14;

/// A design with a product for each of these names, or for harmless ones.
Json design_of_names(bool hostile) {
  Json json = design_json();
  json["layers"] = Json::array();
  for (std::size_t i = 0; i < kHostileNames; ++i) {
    const std::string name = hostile ? hostile_name(i) : "layer" + std::to_string(i);
    json["layers"].push_back(layer_json(name, {1, 1, 37, 1, 50, 41, 1}, 1, 0, matmul(32, 32, 16)));
  }
  json["workload"] = hostile ? hostile_name(0) : "net";
  return json;
}

TEST(GemminiExport, NamesAreNoPartOfThePrograms) {
  const auto written = [](const fs::path& folder, bool hostile) {
    Plan plan = plan_of(load(design_of_names(hostile)).design, *load_target("gemmini-rtl"));
    for (std::size_t i = 0; i < kHostileNames; ++i) {
      plan.measurements[i].tiling = hostile ? hostile_name(i) : "auto";
      plan.remarks.push_back(hostile ? hostile_name(i) : "remark");
    }
    write_folder(folder, "gemmini", campaign_files(plan));
  };
  const TemporaryFolder folder;
  written(folder.path() / "plain", false);
  written(folder.path() / "hostile", true);
  const auto both = [&](const std::string& command) {
    const Outcome plain = shell("cd " + (folder.path() / "plain").string() + " && " + command);
    const Outcome hostile = shell("cd " + (folder.path() / "hostile").string() + " && " + command);
    EXPECT_EQ(plain.code, 0) << plain.output;
    EXPECT_EQ(hostile.output, plain.output) << command;
  };
  // Trigraphs, which older standards have, are what '?' could make.
  both(std::string(DOSA_HOST_CC) + kFlags + "-trigraphs -E -P dosa_batch_000.c");
  both("make -n ROCC_TESTS=" DOSA_TEST_SOURCE "/tests/core/export/stubs");
  both("cat *.scala && ls");
  for (const char* name : {"dosa_batch_000.c", "dosa_tiles.h", "Makefile"}) {
    const std::string text = read_file(folder.path() / "hostile" / name);
    EXPECT_EQ(text.find_first_of("\r\x1b\x7f"), std::string::npos) << name;
    EXPECT_EQ(text.find("\xe2\x80"), std::string::npos) << name;
  }
}

TEST(Timeloop, NamesAreNoPartOfTheFiles) {
  // A problem's first line is a comment that names the layer.
  const auto without_comment = [](const std::string& text) {
    return text.front() == '#' ? text.substr(text.find('\n')) : text;
  };
  for (const char* format : {"timeloop", "timeloop-0.4"}) {
    const auto plain = exported(design_of_names(false), format);
    const auto hostile = exported(design_of_names(true), format);
    ASSERT_EQ(hostile.size(), plain.size());
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const auto& [name, content] = hostile[i];
      EXPECT_LE(name.size(), 255);
      EXPECT_EQ(name.find_first_of("/\\\n\x1b$ "), std::string::npos) << name;
      if (name == "expected.json") continue;  // JSON holds the names, escaped
      EXPECT_EQ(content.find_first_of("\r\x1b\x7f"), std::string::npos) << name;
      EXPECT_EQ(without_comment(content), without_comment(plain[i].content)) << name;
    }
  }
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
    const ArraySizes sizes{16, 256, 64};
    design.hardware = sizes;
    for (const Layer& layer : load_workload(network).layers) {
      DesignLayer entry;
      entry.layer = layer;
      entry.schedule = std::make_shared<gemmini::TileSchedule>(gemmini::default_tile(layer, sizes));
      design.layers.push_back(entry);
    }
    const TemporaryFolder folder;
    write_folder(folder.path() / "out", "gemmini",
                 exporter("gemmini").files(design, *load_target("gemmini-rtl")));
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
       {"dosa_batch_000.c", "dosa_batch_001.c", "dosa_batch_002.c", "dosa_tiles.h", "dosa_harness.c",
        "CustomConfigs.scala", "DosaSoCConfig.scala", "expected_params.json", "plan.json", "Makefile"}) {
    EXPECT_TRUE(names.count(name)) << name;
  }
  EXPECT_FALSE(names.count("dosa_batch_003.c"));
}

TEST(GemminiExport, ThePlanComesBack) {
  const Plan plan = plan_of(load(design_json()).design, *load_target("gemmini-rtl"));
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
  EXPECT_EQ(gemmini::to_string(plan_of(load(json).design, *load_target("gemmini-rtl")).measurements[3].tile),
            "conv R3 S3 P56 Q7 C32 K16 N1");
  layer["mapping"] = "L3[WIO] K4 Q8 C2 - L2[WI] N1 K16X - L1[O] S3 R3 C2 Q7 C16X - L0[W] P56";
  EXPECT_THAT(
      refusal(json),
      ::testing::HasSubstr("layers[3].mapping: layer 3x3: the DRAM loops have K outside of Q; gemmini-rtl "
                           "runs a fixed order, outermost first NQPKSRC; nearest legal: the same factors in "
                           "this order"));
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
  json["layers"].erase(json["layers"].begin() + 1, json["layers"].end());
  json["layers"][0].erase("tile");
  json["layers"][0]["mapping"] = "L3[WIO] P37 C50 K41 - L2[WI] N1 - L1[O] N1 - L0[W] N1";
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
  json["layers"][3]["tile"] =
      gemmini::to_json(conv({kMaxDim, kMaxDim, kMaxDim, kMaxDim, kMaxDim, kMaxDim, kMaxDim}));
  EXPECT_NE(refusal(json).find("a tile of R is in 1..3; found 2147483648"), std::string::npos)
      << refusal(json);
  json = design_json();
  json["layers"][3]["dims"]["S"] = 5;
  EXPECT_NE(refusal(json).find("layer 3x3: tiled_conv has square kernels; found R 3, S 5"),
            std::string::npos);
  EXPECT_EQ(refusal(design_json()), "");
}

TEST(Refusals, UnknownFormatsAndOtherSchemas) {
  try {
    exporter("verilog");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "'verilog' is no export format; formats: gemmini, timeloop, timeloop-0.4, json, csv");
  }
  Json json = design_json();
  json["schema"] = "dosa-design/9";
  EXPECT_NE(refusal(json).find("this program reads \"dosa-design/1\""), std::string::npos);
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
  const ArrayMachine machine = load_array_machine("gemmini-tl");
  Json json = design_json();
  json["target"] = "gemmini-tl";
  json["hardware"] = {{"pe_dim", 64}, {"scratchpad_kib", 4096}, {"accumulator_kib", 4096}};
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
  Design design = load(json).design;
  evaluate(design, *load_target("gemmini-tl"));
  EXPECT_EQ(Json::parse(expected->content)["totals"], to_json(design)["totals"]);
  EXPECT_EQ(Json::parse(expected->content)["padded"], false);
}

/// The exported architecture's components, outermost first, each with its path as a key of the ERT names it.
std::vector<std::pair<std::string, YAML::Node>> components_of(const YAML::Node& architecture) {
  std::vector<std::pair<std::string, YAML::Node>> components;
  const std::function<void(const YAML::Node&, const std::string&)> walk = [&](const YAML::Node& parent,
                                                                              const std::string& path) {
    for (const YAML::Node& tree : parent["subtree"]) {
      const std::string here = path + tree["name"].as<std::string>() + ".";
      for (const YAML::Node& local : tree["local"])
        components.emplace_back(here + local["name"].as<std::string>(), local);
      walk(tree, here);
    }
  };
  walk(architecture, "");
  return components;
}

// Timeloop itself is not run here; these are the readings of its source that an export met and failed at.
TEST(Timeloop, VersionsAreTextThatTimeloopKnows) {
  const auto files = exported(design_json(), "timeloop");
  std::size_t found = 0;
  for (const OutputFile& file : files) {
    const bool problem = file.name.find(".problem.yaml") != std::string::npos;
    if (!problem && file.name != "architecture.yaml") continue;
    const YAML::Node root = YAML::Load(file.content)[problem ? "problem" : "architecture"];
    EXPECT_EQ(root["version"].as<std::string>(), "0.3") << file.name;
    ++found;
  }
  EXPECT_EQ(found, 1 + design_json()["layers"].size());
}

TEST(Timeloop, EnergyOfAMacIsInTheEnergyTable) {
  for (const char* target : {"gemmini-rtl", "gemmini-tl"}) {
    const ArrayMachine machine = load_array_machine(target);
    const YAML::Node root = YAML::Load(
        content_of(exporter("timeloop").files(load(design_json()).design, *load_target("gemmini-rtl")),
                   "architecture.yaml"));
    const auto components = components_of(root["architecture"]);
    ASSERT_EQ(components.size(), machine.levels.size() + 1);
    const auto& [path, mac] = components.back();
    EXPECT_EQ(mac["class"].as<std::string>(), "intmac");
    // Timeloop reads the attribute as a whole number and stops at a fraction.
    EXPECT_FALSE(mac["attributes"]["energy"]);
    EXPECT_DOUBLE_EQ(root["ERT"]["version"].as<double>(), 0.2);
    const YAML::Node tables = root["ERT"]["tables"];
    EXPECT_EQ(tables.size(), 1u);
    ASSERT_TRUE(tables[path]) << path;
    EXPECT_DOUBLE_EQ(tables[path]["mac_random"]["energy"].as<double>(), machine.mac_energy_pj);
    // The last part of the path is the component's name.
    EXPECT_EQ(path.substr(path.rfind('.') + 1), mac["name"].as<std::string>());
  }
}

TEST(Timeloop, FanOutLiesWhereTheSpatialLoopsAre) {
  const auto [design, target] = load(design_json());
  const auto files = exporter("timeloop").files(design, *target);
  const YAML::Node root = YAML::Load(content_of(files, "architecture.yaml"));
  std::vector<std::int64_t> columns, instances;
  for (const auto& [path, component] : components_of(root["architecture"])) {
    const YAML::Node attributes = component["attributes"];
    instances.push_back(attributes["instances"].as<std::int64_t>());
    // Without a mesh, Timeloop puts all instances in one row.
    columns.push_back(attributes["meshX"].as<std::int64_t>(instances.back()));
  }
  // DRAM, scratchpad, an accumulator per column, a register and a MAC per element.
  EXPECT_EQ(instances, (std::vector<std::int64_t>{1, 1, 16, 256, 256}));
  for (std::size_t i = 1; i < instances.size(); ++i) {
    EXPECT_EQ(columns[i] % columns[i - 1], 0);
    // The array's loops are all along X, so no fan-out may lie along Y.
    EXPECT_EQ(columns[i] / columns[i - 1], instances[i] / instances[i - 1]);
  }
  std::size_t spatial = 0;
  for (const OutputFile& file : files) {
    if (file.name.find(".mapping.yaml") == std::string::npos) continue;
    const YAML::Node mapping = YAML::Load(file.content)["mapping"];
    for (const YAML::Node& directive : mapping) {
      if (directive["type"].as<std::string>() != "spatial") continue;
      EXPECT_EQ(directive["split"].as<int>(), kDims) << "all loops along X";
      ++spatial;
    }
  }
  EXPECT_EQ(spatial, 2 * design.layers.size());
}

TEST(Timeloop, TilesBecomeMappingsOfPaddedProblems) {
  const ArrayMachine machine = load_array_machine("gemmini-rtl");
  const auto padded = [&](const Layer& layer, const gemmini::Tile& tile) {
    EXPECT_TRUE(gemmini::check_tile(layer, {16, 256, 64}, tile).empty());
    const MappedLayer problem = padded_problem(layer, tile, machine, {16, 256, 64});
    std::string text;
    for (const Dim d : all_dims()) text += fmt::format("{}{} ", name_of(d), problem.layer[d]);
    return fmt::format("{}s{}: {}", text, problem.layer.wstride, print_mapping(problem.mapping, machine));
  };
  Layer layer;
  layer.name = "conv";
  layer.size = {3, 3, 56, 56, 64, 64, 1};
  layer.padding = 1;
  // Dividing tiles change nothing.
  EXPECT_EQ(padded(layer, conv({3, 3, 28, 14, 64, 16, 1})),
            "R3 S3 P56 Q56 C64 K64 N1 s1: "
            "L3[WIO] Q4 P2 K4 - L2[WI] N1 K16X - L1[O] S3 R3 C4 Q14 P28 C16X - L0[W] N1");
  // Neither P nor Q nor C do here; 24 channels are two blocks of the array, and 64 are three tiles.
  EXPECT_EQ(padded(layer, conv({3, 3, 23, 22, 24, 16, 1})),
            "R3 S3 P69 Q66 C96 K64 N1 s1: "
            "L3[WIO] Q3 P3 K4 C3 - L2[WI] N1 K16X - L1[O] S3 R3 C2 Q22 P23 C16X - L0[W] N1");
  // Fewer channels than the array are one block of their own size.
  layer.size = {7, 7, 12, 12, 3, 20, 1};
  layer.wstride = layer.hstride = 2;
  layer.padding = 3;
  EXPECT_EQ(padded(layer, conv({7, 4, 5, 7, 3, 12, 1})),
            "R7 S8 P15 Q14 C3 K24 N1 s2: "
            "L3[WIO] Q2 P3 K2 S2 - L2[WI] N1 K12X - L1[O] S4 R7 Q7 P5 C3X - L0[W] N1");
  // A strided 1x1 convolution that loads only what it needs.
  layer.size = {1, 1, 7, 7, 24, 40, 1};
  layer.padding = 0;
  EXPECT_EQ(padded(layer, conv({1, 1, 3, 4, 24, 32, 1})),
            "R1 S1 P9 Q8 C32 K64 N1 s1: "
            "L3[WIO] Q2 P3 K2 - L2[WI] N1 K16X - L1[O] K2 C2 Q4 P3 C16X - L0[W] N1");
  // A matrix product has rows: 9 * 9 * 2 = 162, in blocks of 48; 50 of them in one block of 64.
  layer.size = {1, 1, 9, 9, 20, 24, 2};
  layer.wstride = layer.hstride = 1;
  EXPECT_EQ(padded(layer, matmul(48, 32, 32)),
            "R1 S1 P192 Q1 C32 K32 N1 s1: L3[WIO] P4 - L2[WI] N1 K16X - L1[O] K2 C2 P48 C16X - L0[W] N1");
  layer.size = {1, 1, 50, 1, 64, 16, 1};
  EXPECT_EQ(padded(layer, matmul(64, 64, 16)),
            "R1 S1 P50 Q1 C64 K16 N1 s1: L3[WIO] N1 - L2[WI] N1 K16X - L1[O] C4 P50 C16X - L0[W] N1");
  // 77 channels in blocks of 16 would be 80, and their weights would not fit.
  layer.size = {5, 5, 4, 4, 100, 64, 1};
  const gemmini::Tile full = conv({5, 5, 4, 4, 77, 64, 1});
  EXPECT_EQ(gemmini::rows_needed(layer, full, 16).scratchpad, 8020);
  EXPECT_EQ(padded(layer, full),
            "R5 S5 P4 Q4 C156 K64 N1 s1: "
            "L3[WIO] C2 - L2[WI] N1 K16X - L1[O] K4 S5 R5 C6 Q4 P4 C13X - L0[W] N1");
}

// Every kind of layer with tiles of every kind: what is written comes back, fits, and costs what it says.
TEST(Timeloop, SampledTilesComeBackFitAndCostWhatIsWritten) {
  const ArrayMachine machine = load_array_machine("gemmini-rtl");
  const auto kernels = [](const Layer& layer) { return layer.wdilation == 1; };
  for (const ArraySizes& built : {ArraySizes{16, 256, 64}, ArraySizes{8, 16, 8}}) {
    Workload workload;
    workload.name = "mixed";
    for (const auto& layer : load(design_json()).design.layers) {
      if (kernels(layer.layer)) workload.layers.push_back(layer.layer);
    }
    workload.layers.front().groups = 3;
    workload.layers.back().count = 2;
    SampleOptions options;
    options.count = 300;
    options.hardware = built;
    const Plan plan = sample_campaign(workload, options).plan;
    Design design;
    design.workload = "mixed";
    design.target = "gemmini-rtl";
    design.hardware = built;
    for (const PlannedCall& call : plan.measurements) {
      DesignLayer entry;
      entry.layer = plan.layers[call.layer];
      entry.schedule = std::make_shared<gemmini::TileSchedule>(call.tile);
      entry.costs.cycles = entry.costs.energy_uj = 1;  // of some surrogate
      design.layers.push_back(entry);
    }
    const auto files = exporter("timeloop").files(design, *load_target("gemmini-rtl"));
    const Json expected = Json::parse(content_of(files, "expected.json"));
    EXPECT_EQ(expected["padded"], true);
    EXPECT_NE(expected["note"].get<std::string>().find("not the latency that the surrogate predicts"),
              std::string::npos);
    EXPECT_NE(content_of(files, "README.md").find("## Padded problems"), std::string::npos);
    Design read = design;
    const ArraySizes half{built.pe_dim, built.scratchpad_kib / 2, built.accumulator_kib / 2};
    for (std::size_t i = 0; i < design.layers.size(); ++i) {
      const Json& entry = expected["layers"][i];
      const std::string text = content_of(files, entry["problem"].get<std::string>());
      EXPECT_EQ(text.rfind("# layer ", 0), 0u) << text;
      const Layer& own = design.layers[i].layer;
      const gemmini::Tile tile = gemmini::tile_of(own, design.layers[i].schedule, built);
      read.layers[i].layer = layer_from_timeloop(text);
      Layer& padded = read.layers[i].layer;
      padded.name = own.name;
      padded.count = entry["count"].get<std::int64_t>();
      padded.groups = entry["groups"].get<std::int64_t>();
      const Mapping mapping =
          mapping_from_timeloop(content_of(files, entry["mapping"].get<std::string>()), machine);
      read.layers[i].schedule = std::make_shared<MappingSchedule>(mapping, machine);
      EXPECT_EQ(mapping, padded_problem(own, tile, machine, built).mapping);
      // In the library's order, and what is inside is the tile.
      const gemmini::Tile inside = gemmini::tile_of_mapping(mapping, padded, tile.call, built.pe_dim);
      const DimSizes extent = gemmini::extents(own, tile.call);
      for (const Dim d : all_dims()) {
        const std::int64_t size = extent[static_cast<std::size_t>(d)], cut = std::min(tile[d], size);
        const std::int64_t factor =
            mapping.temporal(0, d) * mapping.temporal(1, d) * mapping.spatial(1, d) * mapping.spatial(2, d);
        const bool block = (d == Dim::C || d == Dim::K) && cut > built.pe_dim;
        EXPECT_GE(factor, cut);
        EXPECT_LT(factor, cut + (block ? built.pe_dim : 1));
        if (tile.call == gemmini::Call::kConv) {
          EXPECT_EQ(inside[d], factor);
        }
        EXPECT_EQ(padded[d], (size + cut - 1) / cut * factor) << "as many tiles as the call runs";
      }
      EXPECT_NEAR(entry["macs_over_layer"].get<double>(),
                  static_cast<double>(padded.macs()) / static_cast<double>(own.macs()), 1e-12);
    }
    // On half of the memories: a tile may use no more.
    Design fitting = read;
    fitting.hardware = half;
    const TargetPtr nests = make_mapping_target(std::make_shared<ArrayMachine>(machine), {});
    EXPECT_NO_THROW(evaluate(fitting, *nests));
    evaluate(read, *nests);
    double cycles = 0;
    for (std::size_t i = 0; i < design.layers.size(); ++i) {
      const Json& entry = expected["layers"][i];
      const auto groups = static_cast<double>(read.layers[i].layer.groups);
      EXPECT_DOUBLE_EQ(entry["cycles"].get<double>() * groups, read.layers[i].costs.cycles);
      EXPECT_DOUBLE_EQ(entry["energy_uj"].get<double>() * groups, read.layers[i].costs.energy_uj);
      cycles += entry["cycles"].get<double>() * groups * entry["count"].get<double>();
    }
    EXPECT_DOUBLE_EQ(expected["totals"]["cycles"].get<double>(), cycles);
    EXPECT_DOUBLE_EQ(expected["totals"]["cycles"].get<double>(), read.totals.cycles);
    EXPECT_DOUBLE_EQ(expected["totals"]["energy_uj"].get<double>(), read.totals.energy_uj);
    EXPECT_DOUBLE_EQ(expected["totals"]["edp"].get<double>(), read.totals.edp);
    EXPECT_DOUBLE_EQ(expected["totals"]["area_mm2"].get<double>(), read.totals.area_mm2);
  }
}

TEST(Timeloop, TilesThatCannotRunAreRefused) {
  Json json = design_json();
  json["layers"][2]["tile"] = gemmini::to_json(conv({7, 6, 12, 1, 3, 16, 1}));
  EXPECT_NE(refusal(json, "timeloop").find("layer first: no kernel tile lies wholly in the padding"),
            std::string::npos)
      << refusal(json, "timeloop");
  EXPECT_EQ(refusal(design_json(), "timeloop"), "");
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
      "\"\"net\"\"\",gemmini-rtl,16,256,64,product,1,1,1,1,37,1,50,41,1,1,1,1,1,0,tile,matmul P32 C32 K16,"
      "1000,2.5");
}

}  // namespace
}  // namespace dosa
