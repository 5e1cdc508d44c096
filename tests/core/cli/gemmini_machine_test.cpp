// A Gemmini's machine file means what it says: every number of the shipped one, changed, either is refused by
// file and key or changes a result and is marked. And what of commands compares Gemminis: arrays, baselines,
// areas.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <sstream>
#include <tuple>

#include "dosa/models/base/files.hpp"
#include "dosa/models/base/json_input.hpp"
#include "tests/core/cli/program.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::Finished;

/// A layer of each call, too small to need more than the least buffers, so that their lower bounds bind.
const char* kSmall = R"({"schema": "dosa-workload/1", "name": "small", "layers": [
  {"name": "conv", "count": 2, "dims": {"R": 3, "S": 3, "P": 14, "Q": 14, "C": 32, "K": 32}, "padding": 1},
  {"name": "dense", "dims": {"P": 64, "C": 64, "K": 64}}]})";

class GemminiMachine : public ::testing::Test {
 protected:
  /// `arguments` without quotes: a space stands between two of them.
  Finished dosa(const std::string& arguments) const {
    std::istringstream words(arguments);
    return testing::run_dosa(
        folder_.path(), {std::istream_iterator<std::string>(words), std::istream_iterator<std::string>()});
  }
  Json json_of(const std::string& arguments) const {
    const Finished done = dosa(arguments + " --json");
    EXPECT_EQ(done.code, 0) << arguments << ": " << done.err;
    return done.code == 0 ? Json::parse(done.out) : Json();
  }
  static Json shipped() { return Json::parse(read_file(data_folder() / "hardware" / "gemmini-rtl.json")); }
  void expect_every_number_honoured_or_refused(const Json& machine) const;
  std::string network() const { return folder_.file("small.json", kSmall); }

  testing::TemporaryFolder folder_;
};

/// Calls `visit` with the path of every number, "levels[3].words_per_cycle", and its place.
void for_each_number(const Json& json, const std::string& path,
                     const std::function<void(const std::string&, const Json::json_pointer&)>& visit,
                     const Json::json_pointer& at = Json::json_pointer()) {
  if (json.is_number()) return visit(path, at);
  if (json.is_object()) {
    for (const auto& [key, value] : json.items())
      for_each_number(value, path.empty() ? key : path + "." + key, visit, at / key);
  } else if (json.is_array()) {
    for (std::size_t i = 0; i < json.size(); ++i)
      for_each_number(json[i], path + "[" + std::to_string(i) + "]", visit, at / i);
  }
}

/// What a user reads of a design: totals, sizes, bounds, layers, gains.
Json results_of(const Json& design) {
  Json results{{"totals", design["totals"]},
               {"hardware", design["hardware"]},
               {"comparison", design["default_comparison"]},
               {"options", design["provenance"]["options"]}};
  return results;
}

// A kernel over time and a product that no program can address: neither refuses the network.
TEST_F(GemminiMachine, WhatTheCpuHasToDoIsSaid) {
  folder_.file("speech.json", R"({"schema": "dosa-workload/2", "name": "speech", "layers": [
  {"name": "frames", "dims": {"R": 31, "P": 100, "C": 16, "K": 16}, "padding": {"left": 15, "right": 15}},
  {"name": "huge", "dims": {"P": 4194304, "C": 131072, "K": 1}},
  {"name": "dense", "dims": {"P": 64, "C": 64, "K": 64}}]})");
  const Finished found = dosa("optimize speech.json --target gemmini-rtl -o design.json");
  EXPECT_EQ(found.code, 0) << found.err;
  for (const char* said : {"im2col on the CPU, which is not counted: frames (0.00 % of the MACs)",
                           "left to the CPU, not counted: huge (100.00 % of the MACs)"}) {
    EXPECT_NE(found.out.find(said), std::string::npos) << found.out;
    EXPECT_NE(dosa("map speech.json --default").out.find(said), std::string::npos);
    EXPECT_NE(dosa("evaluate design.json").out.find(said), std::string::npos);
    EXPECT_NE(dosa("export design.json --format gemmini -o out").out.find(said), std::string::npos);
    EXPECT_NE(dosa("explain design.json").out.find(said), std::string::npos);
    for (const char* command : {"diff design.json --set dram.word_pj=50", "predict design.json"})
      EXPECT_NE(dosa(command).err.find(said), std::string::npos) << command;
  }
  EXPECT_EQ(Json::parse(dosa("explain design.json --json").out)["left_to_cpu"][0]["name"], "huge");
  const Json design = Json::parse(read_file(folder_.path() / "design.json"));
  EXPECT_EQ(design["left_to_cpu"][0]["name"], "huge");
  EXPECT_EQ(design["layers"][0]["tile"]["call"], "im2col");
  for (const char* command :
       {"optimize speech.json --target gemmini-rtl --strict", "map speech.json --default --strict",
        "map speech.json --machine gemmini-rtl --strict"}) {
    const Finished refused = dosa(command);
    EXPECT_EQ(refused.code, 2) << refused.out;
    EXPECT_NE(
        refused.err.find("speech: layer frames: gemmini-rtl does not run it without the CPU: tiled_conv has "
                         "one padding for all sides; found padding left 15, right 15, top 0, bottom 0"),
        std::string::npos)
        << refused.err;
  }
  EXPECT_EQ(dosa("optimize " + network() + " --target gemmini-rtl --strict").code, 0);
}

/// What a remark calls the number at a path: "dram.words_per_cycle".
std::string name_in_remark(const Json& machine, std::string path) {
  for (std::size_t l = 0; l < machine["levels"].size(); ++l) {
    const std::string key = "levels[" + std::to_string(l) + "]";
    if (path.rfind(key, 0) == 0)
      path = machine["levels"][l]["name"].get<std::string>() + path.substr(key.size());
  }
  // An energy is compared at the size for which the file gives it.
  return path.substr(0, path.find(".at_kib")) + (path.find(".at_kib") == std::string::npos ? "" : ".pj");
}

void GemminiMachine::expect_every_number_honoured_or_refused(const Json& machine) const {
  // Limits under which a number of the file can tell: they hide one another.
  const auto limits = [](const std::string& path) {
    if (path == "hardware.default.pe_dim" || path == "parameters[0].default") return "";
    return path == "hardware.max.pe_dim" || path == "parameters[0].max" ? " --max-area 3" : " --max-pe 16";
  };
  std::map<std::string, Json> usual;
  int honoured = 0, refused = 0;
  for_each_number(machine, "", [&](const std::string& path, const Json::json_pointer& at) {
    Json changed = machine;
    Json& number = changed[at];
    if (at.back() == "buffering") {
      number = 1;
    } else if (path.rfind("hardware.max", 0) == 0) {
      number = machine["hardware"]["default"][at.back()];
    } else if (at.back() == "max") {
      number = machine[at.parent_pointer()]["default"];
    } else {
      number = number.is_number_integer() ? Json(2 * number.get<int>()) : Json(2 * number.get<double>());
    }
    const std::string file = folder_.file("mine.json", changed.dump());
    const std::string search = "optimize " + network() + limits(path) + " --threads 1 -q --machine ";
    if (usual.count(limits(path)) == 0) usual[limits(path)] = results_of(json_of(search + "gemmini-rtl"));
    const Finished done = dosa(search + file + " --json");
    if (done.code != 0) {
      ++refused;
      EXPECT_EQ(done.code, 2) << path << done.err;
      EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
      // A quantity is named without its parts.
      std::string key = path;
      for (const char* part : {".per_pe_dim", ".times", ".constant"}) key = key.substr(0, key.find(part));
      EXPECT_NE(done.err.find(file), std::string::npos) << path << ": " << done.err;
      EXPECT_NE(done.err.find(key), std::string::npos) << path << ": " << done.err;
      return;
    }
    ++honoured;
    const Json design = Json::parse(done.out);
    EXPECT_NE(results_of(design), usual[limits(path)]) << path;
    ASSERT_TRUE(design.contains("remark")) << path;
    const std::string name = name_in_remark(machine, path);
    EXPECT_NE(design["remark"].get<std::string>().find(name), std::string::npos) << path << design["remark"];
    EXPECT_EQ(design["provenance"]["model"]["remark"], design["remark"]);
    EXPECT_NE(done.err.find("warning: machine gemmini-rtl: "), std::string::npos) << path << done.err;
    EXPECT_NE(done.err.find(name), std::string::npos) << path << done.err;
  });
  EXPECT_GE(honoured, 20);
  EXPECT_GE(refused, 10);
}

TEST_F(GemminiMachine, EveryNumberIsHonouredOrRefused) { expect_every_number_honoured_or_refused(shipped()); }

TEST_F(GemminiMachine, EveryNumberOfSchema1IsHonouredOrRefused) {
  expect_every_number_honoured_or_refused(Json::parse(read_file(testing::gemmini_rtl_of_schema_1())));
}

TEST_F(GemminiMachine, FilesOfBothSchemasGiveTheSameDesign) {
  const std::string old = testing::gemmini_rtl_of_schema_1();
  std::map<std::string, std::string> designs;
  for (const std::string& machine : {std::string("gemmini-rtl"), old}) {
    const Json found =
        json_of("optimize " + network() + " --max-area 2 --max-pe 32 -q -o d.json --machine " + machine);
    EXPECT_FALSE(found.contains("remark"));
    designs[machine] = read_file(folder_.path() / "d.json");
  }
  EXPECT_EQ(designs["gemmini-rtl"], designs[old]);
}

// What is no number, and what only a chain of memories has.
TEST_F(GemminiMachine, WhatTheLibraryFixesIsRefusedByItsKey) {
  const auto at = [](const char* pointer) { return Json::json_pointer(pointer); };
  for (const auto& [pointer, value, key] : std::vector<std::tuple<const char*, Json, std::string>>{
           {"/levels/0/holds", "O", "levels: Gemmini's library runs on a register"},
           {"/levels/0/temporal", "",
            "levels[0].temporal: found none, a Gemmini's library is written for PQ"},
           {"/levels/1/orders/0", "PQNCSRK", "levels[1].orders: found PQNCSRK"},
           {"/levels/3/orders/1", "CRSKPNQ", "levels[3].orders: found CRSKPNQ"},
           {"/levels/1/fan_out/Y/dims", "R", "levels[1].fan_out: found R"},
           {"/levels/2/fan_out/X/dims", "CK", "levels[2].fan_out: found CK"},
           {"/levels/2/temporal", "C", "levels[2]: key 'orders' is missing"},
           {"/levels/2/vector_words", 16, "levels[2].vector_words: found 16"},
           {"/levels/2/words_per_cycle", 32, "levels[2].words_per_cycle: found 32"},
           {"/levels/3/words_per_cycle", nullptr, "levels[3].words_per_cycle: found none"},
           {"/parameters/0/default", 15, "parameters: default: "},
           {"/parameters/1/default", 8, "parameters[1].min: found 16"},
           {"/library", "May", "library: found 'May'"}}) {
    Json changed = shipped();
    changed[at(pointer)] = value;
    folder_.file("mine.json", changed.dump());
    const Finished refused = dosa("optimize " + network() + " -q --machine mine.json");
    EXPECT_EQ(refused.code, 2) << pointer;
    EXPECT_NE(refused.err.find("mine.json: " + key), std::string::npos) << refused.err;
  }
}

// A library that keeps no operands: every tile costs at least as much, and where one is kept, more.
TEST_F(GemminiMachine, TheLibraryIsThatOfTheFile) {
  Json machine = shipped();
  const std::string search = "optimize bert --threads 1 -q --scratchpad 128 --accumulator 64 --machine ";
  const Json usual = json_of(search + "gemmini-rtl");
  machine["library"] = "2023-10";
  folder_.file("mine.json", machine.dump());
  const Json same = json_of(search + "mine.json");
  EXPECT_EQ(results_of(same), results_of(usual));
  EXPECT_FALSE(same.contains("remark"));
  machine["library"] = "2023-04";
  folder_.file("mine.json", machine.dump());
  const Json older = json_of(search + "mine.json -o older.json");
  EXPECT_GT(older["totals"]["energy_uj"].get<double>(), usual["totals"]["energy_uj"].get<double>());
  const std::string remark = older["remark"];
  EXPECT_EQ(remark,
            "machine gemmini-rtl: library 2023-04 (2023-10), which keeps no operands in the scratchpad");
  EXPECT_EQ(json_of("evaluate older.json --machine mine.json")["totals"], older["totals"]);
  for (const std::string command : {"evaluate older.json", "export older.json --format gemmini -o out"}) {
    const Finished refused = dosa(command);
    EXPECT_EQ(refused.code, 2) << command;
    EXPECT_NE(refused.err.find("older.json: provenance.model.library: found '2023-04', but machine "
                               "gemmini-rtl is for the library of 2023-10; --machine takes the file"),
              std::string::npos)
        << refused.err;
  }
  EXPECT_EQ(dosa("export older.json --format gemmini -o out --machine mine.json").code, 0);
  EXPECT_EQ(Json::parse(read_file(folder_.path() / "out/plan.json"))["library"], "2023-04");
  EXPECT_LT(json_of("evaluate older.json --machine gemmini-rtl")["totals"]["energy_uj"].get<double>(),
            older["totals"]["energy_uj"].get<double>());
  EXPECT_NE(json_of("predict older.json --machine mine.json")["predicted_cycles"],
            json_of("predict older.json --machine gemmini-rtl")["predicted_cycles"]);
  machine["library"] = "2023";
  folder_.file("mine.json", machine.dump());
  EXPECT_NE(dosa(search + "mine.json").err.find("library: found '2023', expected the library's month"),
            std::string::npos);
  Json other = Json::parse(read_file(data_folder() / "hardware" / "gemmini-tl.json"));
  other["library"] = "2023-04";
  folder_.file("mine.json", other.dump());
  EXPECT_NE(dosa(search + "mine.json").err.find("library: only a machine with the rules \"gemmini\""),
            std::string::npos);
}

// The name of a machine is not what makes it a Gemmini.
TEST_F(GemminiMachine, AnotherNameIsTheSameGemmini) {
  Json renamed = shipped();
  renamed["name"] = "mine";
  folder_.file("mine.json", renamed.dump());
  const std::string search = "optimize " + network() + " -q -o d.json --machine ";
  const Json usual = json_of(search + "gemmini-rtl"), mine = json_of(search + "mine.json");
  EXPECT_EQ(results_of(mine), results_of(usual));
  EXPECT_EQ(mine["provenance"]["model"], usual["provenance"]["model"]);
  EXPECT_FALSE(mine.contains("remark"));
  EXPECT_EQ(mine["target"], "mine");
  const Json again = json_of("evaluate d.json");  // finds mine.json beside the design
  EXPECT_EQ(again["totals"], mine["totals"]);
  EXPECT_EQ(again["totals_as_recorded"], true);
}

// A faster DRAM never makes anything slower, in predictions and in what they are marked with.
TEST_F(GemminiMachine, AnotherBandwidthIsPricedByThePhysicalBase) {
  json_of("map " + network() + " --default -o default.json");
  double before = 0;
  for (const double words : {1.0, 2.0, 4.0, 7.999, 8.0, 8.001, 16.0, 64.0}) {
    Json machine = shipped();
    machine["levels"][3]["words_per_cycle"] = words;
    folder_.file("mine.json", machine.dump());
    const Json predicted = json_of("predict default.json --machine mine.json");
    const double cycles = predicted["predicted_cycles"];
    if (before > 0) {
      EXPECT_LE(cycles, before * (1 + 1e-12)) << words;
      const bool near = words == 8 || words == 8.001;  // no jump at what was measured
      EXPECT_NEAR(cycles / before, 1, near ? 1e-3 : 1);
    }
    before = cycles;
    for (const Json& layer : predicted["layers"]) {
      EXPECT_GE(layer["predicted_cycles"].get<double>(), layer["floor_cycles"].get<double>());
      EXPECT_EQ(layer.contains("outside_measured"), words != 8) << layer;
      EXPECT_GE(layer["relative_sd"].get<double>(), words != 8 ? 1 - 1e-9 : 0);
    }
    const Finished evaluated = dosa("evaluate default.json --machine mine.json");
    EXPECT_EQ(evaluated.code, 0);
    EXPECT_EQ(evaluated.out.find("DRAM words per cycle") != std::string::npos, words != 8) << evaluated.out;
  }
}

TEST_F(GemminiMachine, AreasAreThoseOfTheChipThatIsBuilt) {
  const Json design =
      json_of("optimize " + network() + " --target gemmini-rtl --max-area 0.6 --pe 16 -q -o d.json");
  const Json& built = design["hardware"];
  const double area = 0.0196 + 0.000422 * 256 + 0.0026 * built["scratchpad_kib"].get<double>() +
                      0.00555 * built["accumulator_kib"].get<double>();
  EXPECT_NEAR(design["totals"]["area_mm2"].get<double>(), area, 1e-9);
  EXPECT_LE(area, 0.6);
  ASSERT_EQ(dosa("export d.json --format gemmini -o out").code, 0);
  const Json plan = Json::parse(read_file(folder_.path() / "out" / "plan.json"));
  EXPECT_EQ(plan["area_mm2"], design["totals"]["area_mm2"]);
  EXPECT_EQ(plan["hardware"], built);
  const std::string scala = read_file(folder_.path() / "out" / "CustomConfigs.scala");
  EXPECT_NE(scala.find("CapacityInKilobytes(" + built["scratchpad_kib"].dump() + ")"), std::string::npos);
  // The paper's machine: a design's buffers are the need of one tile, and what is built is beside it.
  const Json need = json_of("optimize " + network() + " --pe 16 -q");
  const Json& chip = need["as_built"];
  for (const char* size : {"scratchpad_kib", "accumulator_kib"}) {
    EXPECT_GE(chip[size].get<int>(), 2 * need["hardware"][size].get<int>());
    EXPECT_EQ(chip[size].get<int>() & (chip[size].get<int>() - 1), 0);
  }
  EXPECT_GT(chip["area_mm2"].get<double>(), need["totals"]["area_mm2"].get<double>());
  const Finished text = dosa("optimize " + network() + " --pe 16 -q");
  EXPECT_NE(text.out.find("built double-buffered: pe_dim 16, scratchpad "), std::string::npos) << text.out;
  EXPECT_FALSE(design.contains("as_built"));
}

TEST_F(GemminiMachine, ComparesArraysAtEqualArea) {
  const std::string compare = "compare " + network() + " --machine gemmini-rtl --max-area 0.9 -q --pe ";
  const Json json = json_of(compare + "8,16,32");
  ASSERT_EQ(json["arrays"].size(), 3);
  for (const Json& row : json["arrays"]) {
    EXPECT_EQ(row["design"]["hardware"]["pe_dim"], row["pe_dim"]);
    EXPECT_LE(row["design"]["totals"]["area_mm2"].get<double>(), 0.9);
    EXPECT_EQ(row["comparison"]["hardware"]["pe_dim"], row["pe_dim"]) << "the same array";
    EXPECT_GT(row["comparison"]["gain"]["edp"].get<double>(), 1);
  }
  const Finished one =
      dosa("optimize " + network() + " --target gemmini-rtl --max-area 0.9 --pe 8 -q --json");
  EXPECT_EQ(Json::parse(one.out)["totals"], json["arrays"][0]["design"]["totals"]);
  const Finished text = dosa(compare + "8,128");
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_NE(text.out.find("8: default: pe_dim 8, scratchpad 256 KiB, accumulator 64 KiB"), std::string::npos)
      << text.out;
  EXPECT_NE(text.out.find("128: "), std::string::npos) << text.out;  // why nothing fits
  for (const auto& [arguments, part] : std::vector<std::pair<std::string, std::string>>{
           {"8,16 --methods polish", "--methods: --pe with several arrays"},
           {"64,128", "--pe 64: "},
           {"8,0", "--pe"}}) {
    const Finished refused = dosa(compare + arguments);
    EXPECT_EQ(refused.code, 2) << arguments;
    EXPECT_NE(refused.err.find(part), std::string::npos) << refused.err;
  }
}

TEST_F(GemminiMachine, ABaselineStandsInPlaceOfTheDefault) {
  const std::string search = "optimize " + network() + " --target gemmini-rtl --pe 8 -q ";
  const Json against_default = json_of(search + "-o d.json"), mine = json_of(search + "--baseline 8x64/16");
  const Json& comparison = mine["default_comparison"];
  EXPECT_EQ(comparison["hardware"], (Json{{"pe_dim", 8}, {"scratchpad_kib", 64}, {"accumulator_kib", 16}}));
  EXPECT_GE(comparison["gain"]["latency"].get<double>(), 1);
  EXPECT_NE(against_default["default_comparison"]["hardware"], comparison["hardware"]);
  EXPECT_EQ(mine["provenance"]["model"]["baseline"]["name"], "8x64/16");
  // The library's design on these sizes is the baseline itself.
  json_of("map " + network() + " --default --pe 8 --scratchpad 64 --accumulator 16 -o chip.json");
  const Json same = json_of("evaluate chip.json --baseline 8x64/16");
  for (const char* gain : {"latency", "energy", "edp"})
    EXPECT_EQ(same["default_comparison"]["gain"][gain], 1) << gain;
  EXPECT_EQ(same["default_comparison"]["gain"]["probability_slower"], 0);
  const Json by_file = json_of(search + "--baseline chip.json");
  EXPECT_EQ(by_file["totals"], mine["totals"]);
  EXPECT_EQ(by_file["default_comparison"]["gain"], comparison["gain"]);
  EXPECT_NE(by_file["default_comparison"]["reference"].get<std::string>().find("its own tiles"),
            std::string::npos);
  const Finished mapped =
      dosa("map " + network() + " --default --pe 8 --scratchpad 64 --accumulator 16 --baseline d.json");
  EXPECT_NE(mapped.out.find("baseline: pe_dim 8"), std::string::npos) << mapped.out << mapped.err;
  folder_.file("other.json", testing::replaced(kSmall, "\"K\": 64", "\"K\": 48"));
  for (const auto& [arguments, part] : std::vector<std::pair<std::string, std::string>>{
           {network() + " --target gemmini-rtl --baseline 8x60/16", "8x60/16: hardware: rows"},
           {network() + " --target gemmini-rtl --baseline 8x64", "8x64"},
           {network() + " --baseline 8x64/16", "--baseline: gemmini-tl has no software"},
           {"other.json --target gemmini-rtl --pe 8 --baseline chip.json",
            "chip.json has no layer like dense"}}) {
    const Finished refused = dosa("optimize -q " + arguments);
    EXPECT_EQ(refused.code, 2) << arguments;
    EXPECT_NE(refused.err.find(part), std::string::npos) << refused.err;
  }
}

// The first layer of ViT-B/16 has a kernel and a stride that nobody measured; the library's own tile of it
// takes a large share of the default's cycles, the design's a small one. Its factor of two stays in the
// network's gain.
TEST_F(GemminiMachine, AnUnmeasuredLayerThatMakesTheGainMakesItUncertain) {
  const Json json = json_of("optimize vit_b16 --target gemmini-rtl --pe 16 -q");
  const Json& comparison = json["default_comparison"];
  const auto share = [&](const char* of) {
    const Json& patches = comparison["layers"][0];
    return patches[of]["cycles"].get<double>() * patches["count"].get<double>() /
           comparison[of]["cycles"].get<double>();
  };
  ASSERT_FALSE(comparison["layers"][0]["design"]["outside_measured"]["unlike"].empty());
  const double moved = share("default") - share("design");
  EXPECT_GT(moved, 0.2);
  const double sd = comparison["gain"]["latency_sd_log"].get<double>();
  EXPECT_GT(sd, moved * std::log(2.0));
  EXPECT_LT(sd, 2 * moved * std::log(2.0));
}

}  // namespace
}  // namespace dosa
