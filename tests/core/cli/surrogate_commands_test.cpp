// The commands train, predict and validate --surrogate, run as a user runs them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <sstream>

#include "dosa/models/base/files.hpp"
#include "dosa/models/base/json_input.hpp"
#include "tests/core/cli/program.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::Finished;
using testing::run_dosa;
using testing::TemporaryFolder;

/// `arguments` without quotes: a space stands between two of them.
Finished dosa(const std::string& arguments) {
  std::istringstream words(arguments);
  return run_dosa(std::filesystem::current_path(),
                  {std::istream_iterator<std::string>(words), std::istream_iterator<std::string>()});
}

std::string shipped(const std::string& name) { return (data_folder() / name).string(); }
const std::string kQuick = " --epochs 3 --networks 2 --hidden 8 --folds 2 ";

/// The shipped measurements' header and first rows.
std::string first_rows(int count) {
  const std::string all = read_file(shipped("measurements/gemmini_rtl.csv"));
  std::size_t end = 0;
  for (int line = 0; line <= count; ++line) end = all.find('\n', end) + 1;
  return all.substr(0, end);
}

TEST(TrainCommand, WritesSurrogateCardCurvesAndProposals) {
  const TemporaryFolder folder;
  const std::string table = folder.file("m.csv", first_rows(120));
  const auto at = [&](const char* name) { return (folder.path() / name).string(); };
  const Finished done =
      dosa("train " + table + kQuick + "-o " + at("s.safetensors") + " --curves " + at("c.csv") +
           " --scatter " + at("x.csv") + " --active 4 --proposals " + at("p.csv") + " --json");
  ASSERT_EQ(done.code, 0);
  const JsonInput json = JsonInput::from_text(done.out, "stdout");
  EXPECT_EQ(json.at("card").at("data").at("rows").integer(0, 1000), 120);
  EXPECT_EQ(json.at("proposals").items().size(), 4);
  EXPECT_TRUE(JsonInput::from_file(at("s.json")).find("card"));
  EXPECT_EQ(read_file(at("c.csv")).rfind("run,epoch,", 0), 0);
  EXPECT_EQ(read_file(at("x.csv")).rfind("folds,file,line,", 0), 0);
  EXPECT_EQ(read_file(at("p.csv")).rfind("kind,R,S,", 0), 0);
  const Finished validated = dosa("validate " + table + " --surrogate " + at("s.safetensors") + " --json");
  ASSERT_EQ(validated.code, 0);
  const JsonInput statistics = JsonInput::from_text(validated.out, "stdout");
  EXPECT_EQ(statistics.at("all").at("rows").integer(0, 1000), 120);
  // The rows are those that the statistics are of.
  double error = 0;
  for (const JsonInput& row : statistics.at("rows").items())
    error += std::abs(row.at("predicted_cycles").number(0) / row.at("measured_cycles").number(1) - 1) / 120;
  EXPECT_EQ(statistics.at("rows").items().size(), 120U);
  EXPECT_NEAR(error, statistics.at("all").at("mape").number(0), 1e-6);
  const Finished without = dosa("validate " + table);
  EXPECT_EQ(without.code, 2);
  EXPECT_NE(without.err.find("--surrogate"), std::string::npos) << without.err;
  // Fine-tuning.
  const Finished tuned = dosa("train " + folder.file("few.csv", first_rows(6)) + " --from " +
                              at("s.safetensors") + " --epochs 5 -q -o " + at("t.safetensors"));
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  EXPECT_EQ(tuned.err, "");
  for (const char* part : {"6 rows of", "before", "after", "written"})
    EXPECT_NE(tuned.out.find(part), std::string::npos) << part << " in " << tuned.out;
}

TEST(TrainCommand, ReportsOnStdoutAndProgressOnStderr) {
  const TemporaryFolder folder;
  const std::string table = folder.file("m.csv", first_rows(120));
  const Finished done = dosa("train " + table + kQuick + "-o " + (folder.path() / "s.safetensors").string());
  ASSERT_EQ(done.code, 0) << done.err;
  for (const char* part : {"120 rows of", "held-out rows", "held-out layers", "GEF", "written"})
    EXPECT_NE(done.out.find(part), std::string::npos) << part << " in " << done.out;
  // Fits end in any order, and are counted.
  std::size_t at = 0;
  for (const char* line : {"1 of 6 fits done", "2 of 6 fits done", "6 of 6 fits done"}) {
    at = done.err.find(line, at);
    EXPECT_NE(at, std::string::npos) << line << " in " << done.err;
  }
  EXPECT_NE(done.err.find(": layers 2/2"), std::string::npos) << done.err;
  EXPECT_EQ(done.out.find("fits done"), std::string::npos) << done.out;
}

TEST(TrainCommand, BadInputLeavesTheOldFile) {
  const TemporaryFolder folder;
  const std::string old = folder.file("s.safetensors", "old");
  const auto refused = [&](const std::string& content, const std::vector<std::string>& parts) {
    const Finished done = dosa("train " + folder.file("m.csv", content) + kQuick + "-o " + old);
    EXPECT_EQ(done.code, 2);
    for (const std::string& part : parts)
      EXPECT_NE(done.err.find(part), std::string::npos) << part << " in " << done.err;
    EXPECT_EQ(read_file(old), "old");
  };
  refused(testing::replaced(first_rows(60), "cycles", "ticks"), {"m.csv", "missing: cycles"});
  refused(first_rows(20), {"20 usable rows", "50"});
  refused(first_rows(60) + "conv,1\n", {"m.csv: line 62", "2 fields"});
  EXPECT_EQ(dosa("train absent.csv -o " + old).code, 2);
  EXPECT_EQ(dosa("train " + shipped("measurements/gemmini_rtl.csv") + " -o /nowhere/s.safetensors").code, 2);
  EXPECT_EQ(dosa("train --predictor guess " + shipped("measurements/gemmini_rtl.csv") + " -o " + old).code,
            2);
}

TEST(PredictCommand, SaysWhatDominates) {
  const TemporaryFolder folder;
  const std::string design = R"({"schema": "dosa-design/1", "workload": "one", "target": "gemmini-tl",
    "hardware": {"pe_dim": 16, "scratchpad_kib": 256, "accumulator_kib": 64}, "objective": "edp",
    "totals": {"cycles": 0, "energy_uj": 0, "edp": 0, "area_mm2": 0},
    "layers": [{"name": "a", "count": 2,
      "dims": {"R": 3, "S": 3, "P": 56, "Q": 56, "C": 64, "K": 64},
      "mapping": "L3[WIO] Q4 P2 K4 - L2[WI] N1 K16X - L1[O] S3 R3 C4 Q14 P28 C16X - L0[W] N1",
      "cycles": 0, "energy_uj": 0}]})";
  const std::string file = folder.file("d.json", design);
  const Finished done = dosa("predict " + file + " --json");
  ASSERT_EQ(done.code, 0) << done.err;
  const JsonInput layer = JsonInput::from_text(done.out, "stdout").at("layers").items().at(0);
  const double floor = layer.at("floor_cycles").number(), cycles = layer.at("predicted_cycles").number();
  EXPECT_GE(floor, 56 * 56 * 9 * 16);
  EXPECT_GT(cycles, floor);
  EXPECT_LT(cycles, 3 * floor);
  EXPECT_EQ(layer.at("dominated_by").text(), "execute");
  const std::string other =
      folder.file("e.json", testing::replaced(design, "\"pe_dim\": 16", "\"pe_dim\": 32"));
  EXPECT_EQ(dosa("predict " + other).out.find("unlike"), std::string::npos);
  const std::string unmeasured =
      folder.file("f.json", testing::replaced(testing::replaced(design, "\"pe_dim\": 16", "\"pe_dim\": 64"),
                                              "\"scratchpad_kib\": 256, \"accumulator_kib\": 64",
                                              "\"scratchpad_kib\": 1024, \"accumulator_kib\": 512"));
  const Finished marked = dosa("predict " + unmeasured);
  EXPECT_EQ(marked.code, 0);
  EXPECT_NE(marked.out.find("unlike any layer measured"), std::string::npos) << marked.out;
  EXPECT_NE(marked.out.find("pe_dim 64 (measured: 4 to 32)"), std::string::npos) << marked.out;
}

// The way of a design to a Gemmini: searched, costed again, predicted, exported.
TEST(OptimizeCommand, GemminiRtlDesignsEvaluatePredictAndExport) {
  const TemporaryFolder folder;
  const std::string network =
      folder.file("n.json", R"({"schema": "dosa-workload/1", "name": "two", "layers": [
    {"name": "conv", "count": 2, "dims": {"R": 3, "S": 3, "P": 14, "Q": 14, "C": 64, "K": 96}, "padding": 1},
    {"name": "dense", "dims": {"P": 100, "C": 200, "K": 300}}]})");
  const auto at = [&](const char* name) { return (folder.path() / name).string(); };
  const Finished found =
      dosa("optimize " + network + " --target gemmini-rtl --pe 16 --steps 20 -q --json -o " + at("d.json"));
  ASSERT_EQ(found.code, 0);
  const Json design = Json::parse(found.out);
  EXPECT_EQ(design["provenance"]["model"]["name"], "combined");
  EXPECT_EQ(design["provenance"]["model"]["kappa"], 1);
  EXPECT_GE(design["default_comparison"]["gain"]["latency"].get<double>(), 1);
  EXPECT_GT(design["layers"][0]["analytical_cycles"].get<double>(), 0);
  const Finished again = dosa("evaluate " + at("d.json") + " --json");
  ASSERT_EQ(again.code, 0);
  const Json evaluated = Json::parse(again.out);
  EXPECT_EQ(evaluated["totals_as_recorded"], true);
  EXPECT_EQ(evaluated["totals"], design["totals"]);
  EXPECT_EQ(evaluated["default_comparison"], design["default_comparison"]);
  const Finished predicted = dosa("predict " + at("d.json") + " --json");
  ASSERT_EQ(predicted.code, 0);
  EXPECT_NEAR(
      Json::parse(predicted.out)["predicted_cycles"].get<double>() / design["totals"]["cycles"].get<double>(),
      1, 1e-9);
  for (const char* format : {"gemmini", "timeloop", "csv", "json"})
    EXPECT_EQ(dosa("export " + at("d.json") + " --format " + format + " -o " + at(format)).code, 0) << format;
  EXPECT_EQ(Json::parse(read_file(folder.path() / "timeloop" / "expected.json"))["padded"], true);
  // A tile of rows as large as a layer: nothing is written, not even in part, and an earlier export stays.
  Json broken = design;
  broken.erase("default_comparison");
  broken["provenance"].erase("wall_time_s");
  broken["layers"][1]["tile"] = {{"call", "matmul"}, {"P", 112}, {"C", 208}, {"K", 304000}};
  const std::string file = folder.file("broken.json", broken.dump());
  const std::size_t entries = folder.count();
  const std::string before = read_file(folder.path() / "timeloop" / "expected.json");
  for (const char* format : {"gemmini", "timeloop"}) {
    for (const char* to : {"new", "timeloop"}) {
      const Finished stopped = dosa("export " + file + " --format " + format + " -o " + at(to));
      EXPECT_EQ(stopped.code, 2);
      EXPECT_NE(stopped.err.find("layer dense: a tile of K is in 1..304"), std::string::npos) << stopped.err;
    }
  }
  const Finished unknown = dosa("export " + at("d.json") + " --format verilog -o " + at("new"));
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.err.find("formats: gemmini, timeloop, timeloop-0.4, json, csv"), std::string::npos)
      << unknown.err;
  EXPECT_EQ(folder.count(), entries);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "new"));
  EXPECT_EQ(read_file(folder.path() / "timeloop" / "expected.json"), before);
  // A design that another surrogate costed says so.
  const std::string other = folder.file(
      "o.json", testing::replaced(read_file(at("d.json")), design["provenance"]["model"]["data_hash"],
                                  "0123456789abcdef"));
  const Finished refused = dosa("evaluate " + other);
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("--surrogate"), std::string::npos) << refused.err;
  EXPECT_EQ(dosa("evaluate " + other + " --surrogate " + shipped("surrogate/gemmini-rtl.safetensors")).code,
            0);
}

// A campaign asks for what the surrogate is least sure of, where there is a surrogate.
TEST(SampleCommand, AsksForWhatTheSurrogateIsLeastSureOf) {
  const TemporaryFolder folder;
  const auto at = [&](const char* name) { return (folder.path() / name).string(); };
  const auto kinds = [&](const std::string& arguments, const char* to) {
    const Finished done = dosa("sample alexnet --count 60 --json " + arguments + " -o " + at(to));
    EXPECT_EQ(done.code, 0) << done.err;
    return done.code == 0 ? Json::parse(done.out)["tilings"] : Json::object();
  };
  const auto plan = [&](const char* of) { return read_file(folder.path() / of / "plan.json"); };
  const Json shipped_one = kinds("", "a");
  EXPECT_GE(shipped_one.value("uncertain", 0), 15) << shipped_one;
  EXPECT_NE(plan("a").find("\"uncertain\""), std::string::npos);
  kinds("--surrogate " + shipped("surrogate/gemmini-rtl.safetensors"), "b");
  EXPECT_EQ(plan("b"), plan("a"));
  kinds("--seed 2", "c");
  EXPECT_NE(plan("c"), plan("a"));
  EXPECT_FALSE(kinds("--uncertain 0", "d").contains("uncertain"));
  EXPECT_TRUE(kinds("--pe 8 --scratchpad 64 --accumulator 16", "e").contains("uncertain"));
  for (const auto& [arguments, part] : std::vector<std::pair<std::string, std::string>>{
           {"--surrogate " + folder.file("s.safetensors", "none"), "s.safetensors"},
           {"--uncertain 1.5", "uncertain_share: found 1.5"}}) {
    const Finished refused = dosa("sample alexnet --count 60 " + arguments + " -o " + at("f"));
    EXPECT_EQ(refused.code, 2) << arguments;
    EXPECT_NE(refused.err.find(part), std::string::npos) << refused.err;
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "f"));
  }
}

TEST(OptimizeCommand, GemminiRtlRefusesWhatItDoesNotKnow) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& arguments, const std::vector<std::string>& parts) {
    const Finished done =
        dosa("optimize bert -q " + arguments + " -o " + (folder.path() / "d.json").string());
    EXPECT_EQ(done.code, 2) << arguments;
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    for (const std::string& part : parts)
      EXPECT_NE(done.err.find(part), std::string::npos) << part << " in " << done.err;
  };
  refused("--target gemmini-rtl --max-pe 2", {"--max-pe", "2", "4"});
  refused("--target gemmini-rtl --scratchpad 100",
          {"power of two", "scratchpad_kib 100", "scratchpad_kib 128"});
  refused("--target gemmini-rtl --scratchpad 16 --accumulator 64", {"accumulator rows", "nearest legal"});
  refused("--surrogate " + shipped("surrogate/gemmini-rtl.safetensors"),
          {"latencies of machine gemmini-tl are analytical"});
  refused("--target gemmini-rtl --surrogate " + folder.file("s.safetensors", "none"),
          {"s.safetensors", "not a dosa surrogate"});
  EXPECT_EQ(folder.count(), 1);
}

}  // namespace
}  // namespace dosa
