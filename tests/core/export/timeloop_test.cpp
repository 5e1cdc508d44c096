// Does Timeloop take an export as written, and does it count what the export says? What it counted is
// recorded in timeloop_counts.csv; where a timeloop-model is found, it runs.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "dosa/core/export/exporter.hpp"
#include "dosa/core/import/importer.hpp"
#include "dosa/core/targets/mapping_schedule.hpp"
#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/folder.hpp"
#include "dosa/models/chain/chain.hpp"
#include "tests/core/export/from_timeloop.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

struct Counted {
  double cycles, energy_uj;
};

/// Designs with what Timeloop counted for their layers.
struct Recorded {
  Design design;
  TargetPtr target;
  std::vector<Counted> counted;
};

const std::map<std::string, Recorded>& recorded() {
  static const std::map<std::string, Recorded> all = [] {
    std::map<std::string, Recorded> designs;
    const auto table =
        CsvInput::from_file(std::string(DOSA_TEST_SOURCE) + "/tests/core/export/timeloop_counts.csv");
    const auto text = [&](std::size_t row, const char* column) {
      return std::string(table.text(row, column));
    };
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const std::string machine = text(row, "machine");
      Recorded& of = designs[machine + " " + text(row, "hardware")];
      Design& design = of.design;
      if (!of.target) {
        of.target = load_target(machine);
        design.workload = "recorded";
        design.target = machine;
        design.machine = of.target->shared_machine();
        design.hardware =
            design.machine->hardware_from_json(JsonInput::from_text(text(row, "hardware"), "hardware"));
      }
      DesignLayer entry;
      entry.layer.name = text(row, "workload") + "/" + text(row, "layer");
      const auto size = [&](const std::string& column, std::int64_t most) {
        return table.integer(row, column, 1, most);
      };
      for (const Dim dim : all_dims()) entry.layer[dim] = size(std::string(1, name_of(dim)), kMaxDim);
      entry.layer.wstride = size("wstride", kMaxStep);
      entry.layer.hstride = size("hstride", kMaxStep);
      entry.layer.wdilation = size("wdilation", kMaxStep);
      entry.layer.hdilation = size("hdilation", kMaxStep);
      entry.schedule = of.target->schedule_of(of.target->mapping_from_text(text(row, "mapping")), entry.layer,
                                              design.hardware);
      design.layers.push_back(entry);
      of.counted.push_back({table.number(row, "cycles", 1, 1e15), table.number(row, "energy_uj", 0, 1e15)});
    }
    return designs;
  }();
  return all;
}

/// Loops over one dimension on both axes, which Timeloop's mappings cannot say.
Recorded on_both_axes() {
  Recorded of;
  of.target = load_target("simba");
  of.design.workload = "both";
  of.design.target = "simba";
  of.design.machine = of.target->shared_machine();
  of.design.hardware = of.design.machine->default_hardware;
  DesignLayer entry;
  entry.layer.name = "gemm";
  entry.layer.size = {1, 1, 8, 1, 16, 16, 1};
  entry.schedule = of.target->schedule_of(
      of.target->mapping_from_text("L5[WIO] N1 - L4[IO] N1 K4Y K2X - L3[I] N1 - L2[W] N1 - "
                                   "L1[O] N1 C8Y K2X C2X - L0[W] P8"),
      entry.layer, of.design.hardware);
  of.design.layers.push_back(entry);
  return of;
}

/// README.md of an export as one line.
std::string readme_of(const std::vector<OutputFile>& files) {
  std::string text = testing::content_of(files, "README.md");
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::vector<OutputFile> exported(const Recorded& of, const char* format = "timeloop") {
  return exporter(format).files(of.design, *of.target);
}

TEST(TimeloopExport, SaysWhatTimeloopCounted) {
  EXPECT_GE(recorded().size(), 20u);
  std::size_t layers = 0;
  for (const auto& [name, of] : recorded()) {
    const Json expected = Json::parse(testing::content_of(exported(of), "expected.json"));
    for (std::size_t i = 0; i < of.counted.size(); ++i, ++layers) {
      const Json& entry = expected["layers"][i];
      EXPECT_EQ(entry["cycles"].get<double>(), of.counted[i].cycles) << name << " " << entry["name"];
      EXPECT_NEAR(entry["energy_uj"].get<double>() / of.counted[i].energy_uj, 1, 1e-14)
          << name << " " << entry["name"];
    }
  }
  RecordProperty("layers", static_cast<int>(layers));
}

void expect_mappings_back(const char* format) {
  for (const auto& [name, of] : recorded()) {
    const std::vector<OutputFile> files = exported(of, format);
    const Json expected = Json::parse(testing::content_of(files, "expected.json"));
    const bool in_rows = readme_of(files).find("as one row") != std::string::npos;
    for (std::size_t i = 0; i < of.design.layers.size(); ++i) {
      const Json& entry = expected["layers"][i];
      const Layer layer = testing::layer_from_timeloop(testing::content_of(files, entry["problem"]));
      EXPECT_EQ(layer.size, of.design.layers[i].layer.size);
      const Mapping mapping =
          testing::mapping_from_timeloop(testing::content_of(files, entry["mapping"]), of.target->machine());
      const Mapping& own = mapping_of(of.design.layers[i].schedule);
      for (std::size_t l = 0; l < own.levels.size(); ++l) {
        EXPECT_EQ(mapping.levels[l].temporal, own.levels[l].temporal) << name << " " << entry["name"];
        for (const Dim dim : all_dims())
          EXPECT_EQ(mapping.spatial(static_cast<int>(l), dim), own.spatial(static_cast<int>(l), dim));
        if (!in_rows) {
          EXPECT_EQ(mapping.levels[l], own.levels[l]) << name << " " << entry["name"];
        }
      }
    }
  }
}

TEST(TimeloopExport, MappingsComeBack) {
  expect_mappings_back("timeloop");
  expect_mappings_back("timeloop-0.4");
}

/// The machine of an export as it is imported.
Chain imported(const std::vector<OutputFile>& files) {
  const testing::TemporaryFolder folder;
  std::vector<std::string> paths;
  for (const OutputFile& file : files) {
    if (file.name == "architecture.yaml" || file.name == "constraints.yaml")
      paths.push_back(folder.file(file.name, file.content));
  }
  const Imported back = import_files(paths);
  EXPECT_EQ(back.remarks, std::vector<std::string>{});
  return read_chain(JsonInput::from_text(back.machine->dump(), "imported"));
}

void expect_same_machine(const Chain& back, const Chain& own, const std::string& where) {
  EXPECT_EQ(back.mac_energy_pj, own.mac_energy_pj) << where;
  ASSERT_EQ(back.levels.size(), own.levels.size()) << where;
  for (std::size_t l = 0; l < own.levels.size(); ++l) {
    const ChainLevel &is = back.levels[l], &was = own.levels[l];
    SCOPED_TRACE(where + " " + was.name);
    EXPECT_EQ(is.holds, was.holds);
    EXPECT_EQ(is.temporal, was.temporal);
    EXPECT_EQ(is.capacity_words, was.capacity_words);
    EXPECT_EQ(is.built_words, was.built_words);
    EXPECT_EQ(is.buffering, was.buffering);
    EXPECT_EQ(is.word_bits, was.word_bits);
    for (const MeshAxis axis : mesh_axes()) {
      EXPECT_EQ(is.fan_out_on(axis).size, was.fan_out_on(axis).size);
      if (was.fan_out_on(axis).size > 1) {
        EXPECT_EQ(is.fan_out_on(axis).dims, was.fan_out_on(axis).dims);
      }
    }
    EXPECT_EQ(is.read_words_per_cycle, was.read_words_per_cycle);
    EXPECT_EQ(is.write_words_per_cycle, was.write_words_per_cycle);
    EXPECT_EQ(is.words_per_cycle, was.words_per_cycle);
    EXPECT_EQ(is.vector_words, was.vector_words);
    EXPECT_EQ(is.vector_pj, was.vector_pj);
  }
}

/// A design of one multiplication on a machine of schema 2, with other sizes than the default.
Recorded smallest(const TargetPtr& target) {
  Recorded of;
  of.target = target;
  of.design.workload = "one";
  of.design.target = target->machine().name;
  of.design.machine = target->shared_machine();
  of.design.hardware = target->machine().default_hardware;
  of.design.hardware[of.design.hardware.size() - 1] = target->machine().min_hardware.values.back();
  DesignLayer entry;
  entry.layer.name = "one";
  const Chain chain = dynamic_cast<const Chain&>(target->machine());
  std::string mapping;
  for (std::size_t l = chain.levels.size(); l-- > 0;)
    mapping += chain.level_label(static_cast<int>(l)) + " N1" + (l > 0 ? " - " : "");
  entry.schedule = target->schedule_of(target->mapping_from_text(mapping), entry.layer, of.design.hardware);
  of.design.layers.push_back(entry);
  return of;
}

TEST(TimeloopExport, TheArchitectureIsImportedAsTheSameMachine) {
  for (const char* name : {"simba", "eyeriss", "nvdla", "tpu"}) {
    const Recorded of = smallest(load_target(name));
    const Chain own = dynamic_cast<const Chain&>(*of.design.machine).at(of.design.hardware);
    for (const char* format : {"timeloop", "timeloop-0.4"}) {
      const Chain back = imported(exported(of, format));
      expect_same_machine(back, own, std::string(name) + " " + format);
      EXPECT_NEAR(back.area_mm2({}), own.area_mm2(of.design.hardware), 1e-12) << name << " " << format;
    }
  }
}

/// A machine whose constraints need an order of dimensions, or cannot be said.
TargetPtr changed_simba(const char* x, const char* y) {
  Json json = machine_file("simba").value();
  Json& axes = json["levels"][4]["fan_out"];
  axes["X"]["dims"] = x;
  axes["Y"]["dims"] = y;
  return make_target(std::make_shared<Chain>(read_chain(JsonInput::from_text(json.dump(), "changed"))));
}

TEST(TimeloopExport, DimensionsOfTheTwoAxesComeBackOrAreNamed) {
  for (const char* format : {"timeloop", "timeloop-0.4"}) {
    const Recorded apart = smallest(changed_simba("PK", "QC"));
    const std::vector<OutputFile> files = exported(apart, format);
    expect_same_machine(imported(files),
                        dynamic_cast<const Chain&>(*apart.design.machine).at(apart.design.hardware), format);
    EXPECT_EQ(readme_of(files).find("allow all of them on both"), std::string::npos);

    const std::vector<OutputFile> loose = exported(smallest(changed_simba("PKC", "QC")), format);
    EXPECT_NE(readme_of(loose).find("below global_buffer"), std::string::npos);
    for (const MeshAxis axis : mesh_axes())
      EXPECT_EQ(letters_of(imported(loose).levels[4].fan_out_on(axis).dims), "PQCK");
  }
}

TEST(TimeloopExport, AnOrderOfLoopsComesBackAndSeveralAreNamed) {
  const auto with_orders = [](const std::vector<std::string>& orders) {
    Json json = machine_file("simba").value();
    json["levels"][4]["orders"] = orders;
    return smallest(
        make_target(std::make_shared<Chain>(read_chain(JsonInput::from_text(json.dump(), "changed")))));
  };
  for (const char* format : {"timeloop", "timeloop-0.4"}) {
    for (const char* order : {"PQ", "KCPQRSN"}) {
      const std::vector<OutputFile> files = exported(with_orders({order}), format);
      EXPECT_NE(readme_of(files).find("name the order of the loops of global_buffer."), std::string::npos);
      const Chain back = imported(files);
      ASSERT_EQ(back.levels[4].orders.size(), 1u) << format;
      EXPECT_EQ(back.levels[4].orders[0].text(), order) << format;
    }
    for (const std::vector<std::string>& orders : {std::vector<std::string>{"PQ", "QP"}, {"RS_K"}, {"_N"}}) {
      const std::vector<OutputFile> loose = exported(with_orders(orders), format);
      EXPECT_NE(readme_of(loose).find("the loops of global_buffer run in one of several orders"),
                std::string::npos);
      EXPECT_TRUE(imported(loose).levels[4].orders.empty());
    }
  }
}

TEST(TimeloopExport, ADimensionOnBothAxesStandsInOneRow) {
  const std::vector<OutputFile> files = exported(on_both_axes());
  EXPECT_NE(
      readme_of(files).find("the children of Accumulation_buffer, Global_buffer are written as one row"),
      std::string::npos)
      << testing::content_of(files, "README.md");
  const std::string architecture = testing::content_of(files, "architecture.yaml");
  EXPECT_NE(architecture.find("instances: 16, meshX: 16"), std::string::npos) << architecture;
  EXPECT_NE(architecture.find("instances: 1024, meshX: 1024"), std::string::npos) << architecture;
  const std::string mapping = testing::content_of(files, "000_gemm.mapping.yaml");
  EXPECT_NE(mapping.find("factors: R=1 S=1 P=1 Q=1 C=1 K=8 N=1, permutation: KRSPQCN, split: 7"),
            std::string::npos)
      << mapping;
  EXPECT_NE(mapping.find("factors: R=1 S=1 P=1 Q=1 C=16 K=2 N=1, permutation: CKRSPQN, split: 7"),
            std::string::npos)
      << mapping;
}

/// What a command prints; `code` becomes its exit code.
std::string output_of(const std::string& command, int& code) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  const int status = pclose(pipe);
  code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

// The real tool, on the files as they are written; then also with the constraints, which no mapping violates.
TEST(TimeloopExport, RunsInTimeloopAsWritten) {
  const testing::TemporaryFolder folder;
  std::string folders;
  int place = 0;
  const auto add = [&](const Recorded& of) {
    const auto out = folder.path() / std::to_string(place++);
    write_folder(out, "timeloop", exported(of));
    folders += " " + out.string();
  };
  for (const auto& [name, of] : recorded()) add(of);
  add(on_both_axes());
  for (const char* options : {"", " --constraints"}) {
    int code = 0;
    const std::string output =
        output_of(std::string(DOSA_TEST_SOURCE) + "/scripts/timeloop" + options + folders, code);
    if (code == 77) GTEST_SKIP() << output;
    EXPECT_EQ(code, 0) << output;
  }
}

}  // namespace
}  // namespace dosa
