// Does every bad input get one clear line, exit code 2, and nothing written?
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tests/core/cli/program.hpp"

namespace dosa::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kWorkload =
    R"({"schema": "dosa-workload/1", "name": "net", "layers": [
  {"name": "fc", "count": 2, "dims": {"P": 4, "C": 8, "K": 8}}
]})";
const std::string kDesign =
    R"({"schema": "dosa-design/1", "workload": "net", "target": "gemmini-tl", "objective": "edp",
  "hardware": {"pe_dim": 2, "scratchpad_kib": 4, "accumulator_kib": 2},
  "totals": {"cycles": 1, "energy_uj": 1, "edp": 1, "area_mm2": 1},
  "layers": [{"name": "fc", "dims": {"P": 4, "C": 8, "K": 8}, "cycles": 1, "energy_uj": 1,
              "mapping": "L3[WIO] K8 P4 - L2[WI] N1 - L1[O] C4 C2X - L0[W] N1"}]})";
const std::string kTable =
    "pe_dim,scratchpad_kib,accumulator_kib,R,S,P,Q,C,K,N,wstride,hstride,mapping,cycles,energy_uj\n"
    "2,4,2,1,1,4,1,8,8,1,1,1,L3[WIO] K8 P4 - L2[WI] N1 - L1[O] C4 C2X - L0[W] N1,128,1.5\n";

class BadInput : public ::testing::Test {
 protected:
  /// Runs the command and expects one line "dosa: [id] ..." with all parts, code 2, and no change in the
  /// folder.
  void expect(const std::vector<std::string>& arguments, const std::string& id,
              const std::vector<std::string>& parts) const {
    SCOPED_TRACE(::testing::PrintToString(arguments));
    const auto before = snapshot(folder_.path());
    const Finished finished = run_dosa(folder_.path(), arguments);
    EXPECT_EQ(finished.code, 2);
    EXPECT_EQ(finished.out, "");
    EXPECT_THAT(finished.err, StartsWith("dosa: [" + id + "] "));
    EXPECT_EQ(finished.err.find('\n'), finished.err.size() - 1) << "one line: " << finished.err;
    for (const std::string& part : parts) EXPECT_THAT(finished.err, HasSubstr(part));
    EXPECT_EQ(snapshot(folder_.path()), before) << "nothing may be written";
  }
  /// optimize with a good workload in which `from` is replaced, and with an older output that must stay.
  void expect_workload(const std::string& from, const std::string& to, const std::string& id,
                       std::vector<std::string> parts) const {
    folder_.file("net.json", replaced(kWorkload, from, to));
    folder_.file("design.json", "old");
    parts.emplace_back("net.json");
    expect({"optimize", "net.json", "-o", "design.json"}, id, parts);
  }
  void expect_design(const std::string& from, const std::string& to, const std::string& id,
                     std::vector<std::string> parts) const {
    folder_.file("design.json", replaced(kDesign, from, to));
    parts.emplace_back("design.json");
    expect({"evaluate", "design.json"}, id, parts);
  }
  void expect_table(const std::string& from, const std::string& to, const std::string& id,
                    std::vector<std::string> parts) const {
    folder_.file("table.csv", replaced(kTable, from, to));
    parts.emplace_back("table.csv");
    expect({"validate", "table.csv"}, id, parts);
  }

  TemporaryFolder folder_;
};

TEST_F(BadInput, GoodInputPasses) {  // what the other tests break is right otherwise
  folder_.file("net.json", kWorkload);
  folder_.file("design.json", kDesign);
  folder_.file("table.csv", kTable);
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"workloads", "net.json"}, {"evaluate", "design.json"}, {"validate", "table.csv"}}) {
    const Finished finished = run_dosa(folder_.path(), arguments);
    EXPECT_EQ(finished.code, 0) << finished.err;
  }
}

TEST_F(BadInput, Files) {
  expect({"optimize", "none.json", "-o", "design.json"}, "file", {"none.json", "No such file"});
  expect({"evaluate", "none.json"}, "file", {"none.json", "No such file"});
  expect({"validate", "none.csv.gz"}, "file", {"none.csv.gz", "No such file"});
  expect({"workloads", "."}, "file", {"is a folder", "expected a file"});
  expect({"optimize", "bert", "--machine", "none.json"}, "file", {"none.json", "No such file"});
  expect({"workloads", std::string(5000, 'a')}, "value", {"neither a file nor shipped"});
  const std::string secret = folder_.file("secret.json", kWorkload);
  folder_.file("cut.csv.gz", "\x1f\x8b\x08");
  expect({"validate", "cut.csv.gz"}, "file", {"cut.csv.gz"});
  if (geteuid() != 0) {  // root reads everything
    chmod(secret.c_str(), 0);
    const Finished finished = run_dosa(folder_.path(), {"workloads", "secret.json"});
    EXPECT_EQ(finished.code, 2);
    EXPECT_THAT(finished.err, HasSubstr("secret.json: cannot be read: Permission denied"));
    chmod(secret.c_str(), 0600);
  }
}

TEST_F(BadInput, FilesThatWouldNotEnd) {
  expect({"workloads", "/dev/zero"}, "file", {"/dev/zero", "is a pipe or a device"});
  expect({"validate", "/dev/zero"}, "file", {"/dev/zero", "is a pipe or a device"});
  expect({"evaluate", "/dev/stdin"}, "file", {"/dev/stdin", "expected a regular file"});
  folder_.file("net.yaml", "schema: dosa-workload/1\nname: net\nlayers: &a [*a]\n");
  expect({"workloads", "net.yaml"}, "syntax", {"net.yaml: line 3", "an anchor that contains itself"});
  folder_.file("net.json", std::string(100000, '['));
  expect({"workloads", "net.json"}, "syntax", {"net.json: line 1, column 65", "at most 64"});
}

TEST_F(BadInput, ANetworkForAMachineIsNamed) {
  for (const char* command : {"optimize", "map", "compare", "workloads"}) {
    expect({command, "simba"}, "value",
           {"'simba' is a machine, expected a network; --machine takes it", "vgg16"});
  }
  expect({"optimize", "bert", "nvdla:2"}, "value", {"'nvdla' is a machine, expected a network"});
  expect({"optimize", "bert", "--machine", "resnet50"}, "value",
         {"'resnet50' is a network, expected a machine; it stands behind the command's name", "tpu"});
  for (const char* command : {"evaluate", "explain", "predict"}) {
    expect(
        {command, "bert"}, "schema",
        {"bert: found a network that comes with dosa, expected a design; dosa optimize bert -o design.json"});
    expect({command, "simba"}, "schema",
           {"simba: found a machine that comes with dosa, expected a design",
            "dosa optimize NETWORK --machine simba"});
  }
  expect({"import", "bert"}, "schema", {"dosa optimize bert takes it as it is"});
  expect({"validate", "simba"}, "schema", {"expected a table of results"});
  folder_.file("bert", kDesign);  // a file of that name goes first
  EXPECT_EQ(run_dosa(folder_.path(), {"evaluate", "bert"}).code, 0);
}

TEST_F(BadInput, TheWrongKindOfFileIsNamed) {
  folder_.file("net.json", kWorkload);
  folder_.file("design.json", kDesign);
  expect({"evaluate", "net.json"}, "schema",
         {"net.json: found a network (dosa-workload/1), expected a design",
          "dosa optimize net.json -o design.json"});
  expect({"workloads", "design.json"}, "schema",
         {"design.json: found a design (dosa-design/1), expected a network", "dosa evaluate design.json"});
  expect({"optimize", "net.json", "--machine", "./net.json"}, "schema",
         {"net.json: found a network (dosa-workload/1), expected a machine"});
  folder_.file("notes.txt", "to do");
  folder_.file("empty.json", " \n");
  folder_.file("layers.yaml", "- _outputs_72\n- _outputs_77\n");
  for (const auto& [command, wanted] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"optimize"}, "a network"},
           {{"evaluate"}, "a design"},
           {{"map", "net.json", "--machine"}, "a machine"}}) {
    const auto with = [&, &command = command](const char* file) {
      std::vector<std::string> arguments = command;
      arguments.emplace_back(file);
      return arguments;
    };
    expect(with("notes.txt"), "schema", {"notes.txt: found neither JSON nor", "expected " + wanted});
    expect(with("empty.json"), "schema", {"empty.json: found an empty file, expected " + wanted});
    expect(with("layers.yaml"), "schema", {"layers.yaml: found a list of names", "dosa import . -o FILE"});
  }
  const std::string table = "expected a table of results (CSV)";
  expect({"validate", "design.json"}, "schema", {"design.json: found a design (dosa-design/1), " + table});
  expect({"train", "net.json", "-o", "s.safetensors"}, "schema",
         {"net.json: found a network (dosa-workload/1), " + table});
}

TEST_F(BadInput, Names) {
  expect({"optimize", "resnet5", "-o", "design.json"}, "value", {"'resnet5'", "did you mean: resnet50"});
  expect({"workloads", "brt"}, "value", {"'brt'", "did you mean: bert"});
  expect({"optimize", "bert", "--machine", "gemini-tl"}, "value",
         {"'gemini-tl'", "did you mean: gemmini-tl"});
  expect({"optimize", "bert", "--objective", "speed"}, "value", {"'speed'", "allowed: edp, energy, latency"});
}

TEST_F(BadInput, WorkloadSyntaxAndKeys) {
  expect_workload(R"("count": 2,)", R"("count": 2 2,)", "syntax", {"line 2, column 29", "not JSON"});
  expect_workload("]}", "", "syntax", {"line 3", "unexpected end of input"});
  expect_workload("dosa-workload/1", "dosa-workload/9", "schema",
                  {"schema", "\"dosa-workload/9\"", "\"dosa-workload/1\""});
  expect_workload("count", "cuont", "schema", {"layers[0]", "unknown key \"cuont\"", "allowed: name, count"});
  expect_workload(R"("P")", R"("p")", "schema", {"layers[0].dims", "unknown key \"p\"", "allowed: R, S, P"});
  expect_workload(R"("name": "fc", )", "", "schema", {"layers[0]", "key 'name' is missing"});
  expect_workload(R"("name": "net")", R"("name": 5)", "schema", {"name", "found 5", "expected text"});
  expect_workload(R"("P": 4)", R"("P": "four")", "schema",
                  {"layers[0].dims.P", "found \"four\"", "expected an integer in 1.."});
  expect_workload(R"({"P": 4, "C": 8, "K": 8})", "[4, 8]", "schema",
                  {"layers[0].dims", "found [4,8]", "expected an object"});
  folder_.file("net.yaml", "schema: dosa-workload/1\nname: net\nlayers: [{\n");
  expect({"workloads", "net.yaml"}, "syntax", {"net.yaml", "line 4", "not YAML"});
  folder_.file("net.yaml", "schema: dosa-workload/1\nname: \"net\xff\"\nlayers: [{name: a}]\n");
  expect({"workloads", "net.yaml", "--json"}, "syntax", {"net.yaml", "UTF-8"});
}

TEST_F(BadInput, WorkloadValues) {
  const std::string range = "expected an integer in 1..2147483648";
  for (const std::string bad : {"0", "-3", "3.5", "2147483649", "1e30", "99999999999999999999"}) {
    expect_workload(R"("P": 4)", "\"P\": " + bad, "value", {"layers[0].dims.P", "found ", range});
  }
  expect_workload(R"("P": 4)", R"("P": 2147483648, "Q": 2147483648)", "value",
                  {"layers[0].dims", "R*S*P*Q*C*K*N", "4611686018427387904"});
  expect_workload(R"("count": 2)", R"("count": 0)", "value",
                  {"layers[0].count", "found 0", "expected an integer in 1.."});
  expect_workload(R"({"name": "fc", "count": 2, "dims": {"P": 4, "C": 8, "K": 8}})", "", "value",
                  {"layers", "empty list"});
  expect_workload("\n]", R"(, {"name": "fc", "dims": {}}])", "value",
                  {"layers[1].name", "'fc'", "distinct names"});
  // A name cannot break the one line.
  expect_workload("\n]", R"(, {"name": "a\nb", "dims": {}}, {"name": "a\nb", "dims": {}}])", "value",
                  {"layers[2].name"});
}

TEST_F(BadInput, Designs) {
  expect_design("L1[O] C4 C2X", "L1[O] C3 C2X", "mapping",
                {"layers[0].mapping", "factors of C multiply to 6", "C = 8"});
  expect_design("K8 P4", "K8 Z4", "mapping",
                {"layers[0].mapping", "'Z4'", "unknown dimension 'Z'", "R S P Q C K N"});
  expect_design("L2[WI] N1", "L9[WI] N1", "mapping",
                {"layers[0].mapping", "'L9[WI]'", "L2[WI] must stand", "L3[WIO] - L2[WI]"});
  expect_design("C4 C2X", "P4 C8 K2X", "mapping", {"layers[0].mapping", "multiply"});
  expect_design("K8 P4", "K8 P", "syntax", {"layers[0].mapping", "'P'", "is not a loop"});
  expect_design("C4 C2X", "C1 C8X", "capacity", {"layer 'fc'", "spatial factor of 8", "pe_dim 2"});
  expect_design("\"P\": 4, \"C\": 8, \"K\": 8", "\"P\": 4096, \"C\": 8, \"K\": 8", "mapping",
                {"multiply to 4", "P = 4096"});
  folder_.file("design.json", replaced(replaced(kDesign, "\"P\": 4", "\"P\": 4096"),
                                       "K8 P4 - L2[WI] N1 - L1[O] ", "K8 - L2[WI] N1 - L1[O] P4096 "));
  // 4096 words of 4 bytes in each of the 2 instances.
  expect({"evaluate", "design.json"}, "capacity",
         {"design.json", "layer 'fc'", "L1[O] needs 32 KiB of accumulator", "the hardware has 2 KiB"});
  expect_design("\"objective\"", "\"objectiv\"", "schema", {"unknown key \"objectiv\"", "allowed: schema"});
  expect_design("\"pe_dim\": 2", "\"pe_dim\": 0", "value", {"hardware.pe_dim", "found 0", "1..16384"});
  expect_design("gemmini-tl", "gemini-tl", "value", {"target", "did you mean: gemmini-tl"});
  expect_design("\"layers\"", "\"layers\": [], \"provenance\"", "value", {"layers", "empty list"});
}

TEST_F(BadInput, Tables) {
  expect_table(",cycles,energy_uj", ",cycle,energy", "schema",
               {"columns missing: cycles, energy_uj", "found: pe_dim"});
  expect_table(",128,1.5", ",128", "syntax", {"line 2", "found 14 fields", "header has 15"});
  expect_table(",128,", ",many,", "value", {"line 2", "cycles", "found 'many'", "expected a number"});
  expect_table(",128,", ",nan,", "value", {"line 2", "cycles", "found 'nan'"});
  expect_table("1,1,4,1,8", "1,1,4.5,1,8", "value", {"line 2", "P", "found '4.5'", "expected an integer"});
  expect_table("1,1,4,1,8", "1,1,0,1,8", "value", {"line 2", "P", "found '0'"});
  expect_table("K8 P4", "K8 P2", "mapping", {"line 2", "mapping", "factors of P multiply to 2", "P = 4"});
  folder_.file("empty.csv", "");
  expect({"validate", "empty.csv"}, "syntax", {"empty.csv", "expected a header line"});
  folder_.file("head.csv", kTable.substr(0, kTable.find('\n') + 1));
  expect({"validate", "head.csv"}, "value", {"head.csv", "no rows", "at least one"});
}

TEST_F(BadInput, OutputIsCheckedBeforeTheSearch) {
  // So many steps that the search would not end within the limit of run_dosa.
  const auto optimize = [](const std::string& output) {
    return std::vector<std::string>{"optimize", "bert", "--steps", "10000000", "-o", output};
  };
  expect(optimize("none/design.json"), "file",
         {"none/design.json", "cannot be written", "folder none does not exist"});
  expect(optimize("."), "file", {"cannot be written", "is a folder"});
  folder_.file("file", "old");
  expect(optimize("file/design.json"), "file", {"file/design.json", "cannot be written"});
  expect(optimize("/dev/null"), "file", {"/dev/null", "is not a regular file"});
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  expect(optimize("/proc/design.json"), "file", {"/proc/design.json", "cannot be written"});
  if (geteuid() != 0) {  // root writes everything
    chmod((folder_.path() / "file").c_str(), 0400);
    expect(optimize("file"), "file", {"file", "cannot be written", "Permission denied"});
  }
}

TEST_F(BadInput, Bounds) {
  expect({"optimize", "bert", "--pe", "32", "--max-pe", "16"}, "bounds", {"--pe 32", "--max-pe 16"});
  folder_.file("design.json", "old");
  expect({"optimize", "bert", "--pe", "512", "--accumulator", "1", "-o", "design.json"}, "bounds",
         {"encoder.attention.projection", "L1[O] needs at least 2 KiB of accumulator", "allowed are 1"});
  expect({"map", "bert", "--pe", "512", "--accumulator", "1", "-o", "design.json"}, "bounds",
         {"encoder.attention.projection", "L1[O] needs at least 2 KiB of accumulator", "allowed are 1"});
  for (const std::string command : {"optimize", "compare"}) {
    expect({command, "bert", "--pe", "32", "--max-pe", "16"}, "bounds", {"--pe 32", "--max-pe 16"});
    expect({command, "bert", "--pe", "64", "--max-area", "1.5"}, "bounds",
           {"1.5 mm2 at most", "pe_dim 64, scratchpad 1 KiB, accumulator 1 KiB", "has 1.75626 mm2"});
  }
}

TEST_F(BadInput, FixedHardware) {
  expect({"map", "bert", "--certify"}, "schema", {"bert: found a network", "expected a design"});
  folder_.file("design.json", replaced(kDesign, "K8 P4 - L2[WI] N1", "K4 P4 - L2[WI] N1"));
  expect({"map", "design.json", "--certify"}, "mapping", {"design.json", "factors of K multiply to 4"});
  expect({"map", "bert", "--certify", "--pe", "4"}, "usage", {"--pe excludes --certify"});
  expect({"map", "bert", "--default", "--certify"}, "usage", {"excludes"});
  expect({"map", "bert", "--max-nests", "3"}, "usage", {"--max-nests", "found '3'", "64..1000000000000"});
  expect({"map", "bert", "--objective", "speed"}, "value", {"'speed'", "edp, energy, latency, ed2p"});
}

TEST_F(BadInput, UsageErrorsPointToTheHelpOfTheCommand) {
  expect({"map", "bert", "--nonsense"}, "usage", {"--nonsense", "see dosa map --help"});
  expect({"--nonsense"}, "usage", {"see dosa --help"});
}

TEST_F(BadInput, NamesCannotSteerTheTerminal) {
  expect({"workloads", "no\x1b[31m\nnetwork"}, "value",
         {"'no\\x1b[31m\\nnetwork' is neither a file nor shipped"});
}

TEST_F(BadInput, FrontFolder) {
  std::filesystem::create_directory(folder_.path() / "full");
  folder_.file("full/notes.txt", "mine");
  folder_.file("file", "mine");
  expect({"optimize", "bert", "--pareto", "full"}, "file", {"full", "holds 'notes.txt'", "an older front"});
  expect({"optimize", "bert", "--pareto", "file"}, "file", {"file: is no folder"});
  expect({"optimize", "bert", "--pareto", "none/front"}, "file", {"none/front", "cannot be written"});
  expect({"optimize", "bert", "--pareto", "new", "-o", "x.json"}, "usage", {"--output excludes --pareto"});
}

TEST_F(BadInput, Flags) {
  expect({}, "usage", {"subcommand is required"});
  expect({"optimise", "bert"}, "usage", {"unknown command 'optimise'; did you mean: optimize"});
  expect({"train-all-of-it"}, "usage", {"unknown command 'train-all-of-it'", "optimize, evaluate"});
  expect({"evaluate", "a", "b"}, "usage", {"evaluate: found 'b'", "one too many", "it takes 1: design"});
  expect({"diff", "a", "b", "c"}, "usage", {"diff: found 'c'", "it takes 2: first, second"});
  expect({"optimize", "bert", "--max-are", "3"}, "usage",
         {"unknown option '--max-are'; did you mean: --max-area", "see dosa optimize --help"});
  for (const std::string command : {"optimize", "evaluate", "validate", "workloads"}) {
    expect({command, "x", "--no-such-flag"}, "usage", {"--no-such-flag"});
  }
  expect({"optimize"}, "usage", {"workload is required"});
  expect({"evaluate"}, "usage", {"design JSON", "--mapping"});
  expect({"optimize", "bert", "--starts", "0"}, "usage", {"--starts", "found '0'", "1..4096"});
  expect({"optimize", "bert", "--steps", "1e3"}, "usage",
         {"--steps", "found '1e3'", "expected an integer in"});
  expect({"optimize", "bert", "--seed", "-1"}, "usage",
         {"--seed", "found '-1'", "expected an integer in 0.."});
  expect({"optimize", "bert", "--pe", "20000"}, "usage", {"--pe", "found '20000'", "1..16384"});
  expect({"optimize", "bert", "--time", "5x"}, "usage", {"--time", "x", "h,m,s"});
  for (const std::string bad : {"0", "-5", "0m"}) {
    expect({"optimize", "bert", "--time", bad}, "usage", {"--time", "expected a number of seconds over 0"});
  }
  expect({"optimize", "bert", "--samples", "0"}, "usage", {"--samples", "found '0'", "1.."});
  expect({"compare", "bert", "--samples", "0"}, "usage", {"--samples", "found '0'", "1.."});
  for (const std::string bad : {"0", "-1", "nan", "inf", "x"}) {
    expect({"optimize", "bert", "--max-area", bad}, "usage",
           {"--max-area", "found '" + bad + "'", "expected a number of mm2 over 0"});
  }
  for (const std::string bad : {"0", "-1", "nan", "1e400", "x", ""}) {
    expect({"optimize", "alexnet", "bert:" + bad}, "value",
           {"bert:" + bad + ": weight: found '" + bad + "'"});
  }
  expect({"map", "alexnet", "bert:0"}, "value", {"bert:0: weight: found '0'"});
  expect({"compare", "alexnet", "bert:0"}, "value", {"bert:0: weight: found '0'"});
  expect({"optimize", "bert", "alexnet", "--combine", "mean"}, "usage", {"--combine", "mean"});
  expect({"map", "bert", "alexnet", "--certify"}, "usage", {"--certify takes one input, found 2"});
  for (const std::string bad : {"1", "0%", "-1%", "nan%", "1e9%", "%", "1%%"}) {
    expect({"optimize", "bert", "--within", bad}, "usage",
           {"--within", "found '" + bad + "'", "expected a percentage over 0"});
  }
  expect({"optimize", "bert", "--learning-rate", "0"}, "value", {"learning-rate", "found 0"});
  expect({"validate", "x.csv", "--worst", "-1"}, "usage", {"--worst", "found '-1'"});
  for (const std::string bad : {"0", "-2", "1.5", "2147483649", "99999999999999999999"}) {
    expect({"evaluate", "--mapping", "L3[WIO] N1", "-C", bad}, "usage",
           {"-C", "found '" + bad + "'", "expected an integer in 1..2147483648"});
  }
  expect({"evaluate", "--mapping", "L3[WIO] N1", "-P", "2147483648", "-C", "1024", "-K", "2147483648"},
         "value", {"command line", "R*S*P*Q*C*K*N"});
  expect({"evaluate", "--mapping", "L3[WIO] N1"}, "mapping", {"--mapping", "L2[WI] must stand"});
  expect({"evaluate", "design.json", "-C", "4"}, "usage", {"-C requires --mapping"});
}

TEST_F(BadInput, ChainsOfMemories) {
  const auto expect_mapping = [&](const std::string& mapping, const std::string& id,
                                  const std::vector<std::string>& parts) {
    expect({"evaluate", "--machine", "nvdla", "-K", "32", "-P", "64", "-Q", "64", "--mapping", mapping}, id,
           parts);
  };
  expect_mapping("L3[WIO] Q64 - L2[WI] P64 K32X - L1[O] N1 - L0[W] N1", "capacity",
                 {"--mapping", "L2[WI] convolution_buffer", "needs a fan-out of 32 on X", "has 16"});
  expect_mapping("L3[WIO] Q64 - L2[WI] N1 - L1[O] K32 P64 - L0[W] N1", "capacity",
                 {"--mapping", "L1[O] accumulator", "needs 2048 words", "has 512"});
  expect_mapping("L3[WIO] Q64 - L2[WI] P64 Q4X - L1[O] K32 - L0[W] N1", "mapping",
                 {"--mapping", "factors of Q multiply to 256"});
  expect({"evaluate", "--machine", "nvdla", "--pe", "4", "--mapping", "L3[WIO] N1"}, "value",
         {"--pe: nvdla has no 'pe_dim'", "atomic_c"});
  expect({"optimize", "bert", "--target", "simba", "--size", "weight=3"}, "value",
         {"--size weight: simba has no 'weight'", "weight_words"});
  expect({"optimize", "bert", "--target", "simba", "--size", "weight_words=x"}, "usage",
         {"--size", "weight_words=x", "NAME=N"});
  expect({"optimize", "bert", "--target", "simba", "--max-area", "0.1"}, "bounds", {"0.1"});
  expect({"optimize", "bert", "--target", "nvdla", "--size", "atomic_k=32", "--max-size", "atomic_k=16"},
         "bounds", {"--size atomic_k 32 is more than --max-size atomic_k 16"});
  expect({"map", "bert", "--machine", "simba", "--pe", "16"}, "value", {"--pe: simba has no 'pe_dim'"});
  expect({"map", "bert", "--machine", "simba", "--samples", "10"}, "usage", {"--samples", "10", "64"});
  expect({"map", "bert", "--machine", "simba", "--stages", "all"}, "value", {"stages", "'all'", "descent"});
}

}  // namespace
}  // namespace dosa::testing
