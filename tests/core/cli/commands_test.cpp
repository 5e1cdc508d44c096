// Does every command do what its help says? Starting the program takes half a second, so a test asks several
// things.
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "dosa/models/base/files.hpp"
#include "dosa/models/base/text.hpp"
#include "tests/core/cli/program.hpp"

namespace dosa::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class Commands : public ::testing::Test {
 protected:
  Finished run(const std::vector<std::string>& arguments) const {
    return run_well(folder_.path(), arguments);
  }
  std::string content(const std::string& name) const { return content_of(folder_.path() / name); }

  TemporaryFolder folder_;
};

std::vector<std::string> small_search(const std::string& output, std::vector<std::string> more) {
  more.insert(more.begin(), {"optimize", "bert", "--starts", "4", "--steps", "40", "-o", output});
  return more;
}

TEST_F(Commands, OptimizeWritesADesignThatEvaluateReproduces) {
  const Finished optimised = run(small_search("design.json", {}));
  for (const char* part : {"encoder.ffn.expand", "EDP", "pe_dim", "written: design.json"}) {
    EXPECT_THAT(optimised.out, HasSubstr(part));
  }
  const json design = json::parse(content("design.json"));
  EXPECT_EQ(design["schema"], "dosa-design/1");
  EXPECT_EQ(design["workload"], "bert");
  EXPECT_EQ(design["target"], "gemmini-tl");
  EXPECT_EQ(design["layers"].size(), 5U);
  EXPECT_EQ(design["provenance"]["seed"], 0);
  EXPECT_EQ(design["provenance"]["stopped_by"], "end");
  EXPECT_EQ(design["provenance"]["method"], "enumeration");
  double cycles = 0;
  double energy_uj = 0;
  for (const json& layer : design["layers"]) {
    cycles += layer["count"].get<double>() * layer["cycles"].get<double>();
    energy_uj += layer["count"].get<double>() * layer["energy_uj"].get<double>();
  }
  EXPECT_DOUBLE_EQ(design["totals"]["cycles"], cycles);
  EXPECT_DOUBLE_EQ(design["totals"]["energy_uj"], energy_uj);
  EXPECT_DOUBLE_EQ(design["totals"]["edp"], cycles * energy_uj);
  EXPECT_EQ(folder_.count(), 1U) << "only the design is left";

  const json evaluated = json::parse(run({"evaluate", "design.json", "--json"}).out);
  EXPECT_EQ(evaluated["totals_as_recorded"], true);
  EXPECT_EQ(evaluated["totals"], design["totals"]);
  EXPECT_EQ(evaluated["layers"], design["layers"]);
  EXPECT_THAT(run({"evaluate", "design.json", "--details"}).out, HasSubstr("bound by"));

  json other = design;
  other["totals"]["cycles"] = 1;
  folder_.file("other.json", other.dump());
  EXPECT_THAT(run({"evaluate", "other.json"}).out, HasSubstr("the file records other totals: cycles 1,"));
}

// 2 x 57 = 114 for 113: in the text, by name in the design, and as the padded problem in an export.
TEST_F(Commands, PaddedDesignsSaySo) {
  folder_.file("primes.json",
               R"({"schema": "dosa-workload/1", "name": "primes", "layers": [
                   {"name": "primes", "dims": {"P": 113, "C": 257, "K": 509}}]})");
  const Finished mapped = run({"map", "primes.json", "--pe", "128", "-o", "design.json"});
  EXPECT_THAT(mapped.out, AllOf(HasSubstr("/257"), HasSubstr("is padded to what its factors multiply to")));
  json design = json::parse(content("design.json"));
  EXPECT_EQ(design["layers"][0]["remainders"], "padded");
  const json evaluated = json::parse(run({"evaluate", "design.json", "--json"}).out);
  EXPECT_EQ(evaluated["totals_as_recorded"], true);
  EXPECT_LE(evaluated["layers"][0]["cycles"], 40000);
  run({"export", "design.json", "--format", "timeloop", "-o", "timeloop"});
  EXPECT_THAT(content("timeloop/000_primes.problem.yaml"), HasSubstr("for 257"));
  const json expected = json::parse(content("timeloop/expected.json"));
  EXPECT_EQ(expected["totals"]["cycles"], evaluated["totals"]["cycles"]);

  design["layers"][0]["remainders"] = "cut";
  folder_.file("other.json", design.dump());
  const Finished refused = run_dosa(folder_.path(), {"evaluate", "other.json"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("other.json: layers[0].remainders"), HasSubstr("padded")));
}

TEST_F(Commands, CutDesignsSaySo) {
  folder_.file("primes.json",
               R"({"schema": "dosa-workload/1", "name": "primes", "layers": [
                   {"name": "primes", "dims": {"P": 113, "C": 57, "K": 37}}]})");
  const auto edp = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"map", "primes.json", "-q", "--json", "-o", "design.json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json::parse(run(arguments).out)["totals"]["edp"].get<double>();
  };
  for (const std::string machine : {"gemmini-tl", "simba"}) {
    const std::vector<std::string> small =
        machine == "simba" ? std::vector<std::string>{"--samples", "30000"} : std::vector<std::string>{};
    std::vector<std::string> cut{"--machine", machine, "--remainders", "cut"};
    std::vector<std::string> padded{"--machine", machine};
    for (auto* arguments : {&cut, &padded}) arguments->insert(arguments->end(), small.begin(), small.end());
    const double with_padding = edp(padded);
    EXPECT_LT(edp(cut), with_padding);
    const json design = json::parse(content("design.json"));
    EXPECT_EQ(design["layers"][0]["remainders"], "cut");
    const Finished evaluated = run({"evaluate", "design.json"});
    EXPECT_THAT(evaluated.out, HasSubstr("P7,3: the last run of this loop has 3 iterations"));
    EXPECT_EQ(json::parse(run({"evaluate", "design.json", "--json"}).out)["totals_as_recorded"], true);
    EXPECT_THAT(run({"explain", "design.json"}).out, HasSubstr("bound by"));
    run({"export", "design.json", "--format", "timeloop", "-o", "timeloop"});
    const json expected = json::parse(content("timeloop/expected.json"));
    EXPECT_EQ(expected["layers"][0]["remainders"], "cut");
    EXPECT_EQ(expected["totals"]["edp"], design["totals"]["edp"]);
    // The mapping comes back as it was.
    const Finished imported = run({"import", "timeloop/000_primes.problem.yaml",
                                   "timeloop/000_primes.mapping.yaml", "--machine", machine, "--json"});
    EXPECT_EQ(json::parse(imported.out)["mapping"], design["layers"][0]["mapping"]);
  }
  const auto refusal = [&](const std::vector<std::string>& arguments) {
    const Finished refused = run_dosa(folder_.path(), arguments);
    EXPECT_EQ(refused.code, 2);
    return refused.err;
  };
  EXPECT_THAT(refusal({"map", "primes.json", "--machine", "gemmini-rtl", "--remainders", "padded"}),
              HasSubstr("always cut"));
  EXPECT_THAT(refusal({"map", "primes.json", "--remainders", "none"}), HasSubstr("padded,cut"));
}

TEST_F(Commands, OptimizeGivesTheSameBytesForTheSameSeed) {
  run(small_search("a.json", {"--seed", "7", "--threads", "1"}));
  run(small_search("b.json", {"--seed", "7", "--threads", "1"}));
  run(small_search("c.json", {"--seed", "7", "--threads", "2"}));
  EXPECT_EQ(content("a.json"), content("b.json"));
  EXPECT_EQ(content("a.json"), content("c.json")) << "the number of threads may not matter";
  // What is enumerated does not depend on the seed; where a descent of a few steps ends does.
  const auto totals = [&](const std::string& seed) {
    run({"optimize", "bert", "--stages", "descent", "--starts", "1", "--steps", "4", "--seed", seed, "-o",
         "e.json"});
    return json::parse(content("e.json"))["totals"];
  };
  EXPECT_NE(totals("7"), totals("8"));
}

TEST_F(Commands, JsonIsOneObjectOnStdout) {
  const Finished optimised = run(small_search("design.json", {"--json"}));
  json printed = json::parse(optimised.out);  // throws where anything stands around the object
  EXPECT_TRUE(printed.is_object());
  EXPECT_TRUE(printed["provenance"].contains("wall_time_s"));
  printed["provenance"].erase("wall_time_s");
  printed.erase("as_built");
  printed.erase("smaller");
  EXPECT_EQ(printed, json::parse(content("design.json")));
  EXPECT_EQ(run(small_search("design.json", {"--json", "--quiet"})).err, "");
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"workloads", "--json"},
                                             {"workloads", "resnet50", "--json"},
                                             {"evaluate", "design.json", "--json"}}) {
    const Finished finished = run(arguments);
    EXPECT_TRUE(json::parse(finished.out).is_object()) << arguments.front();
    EXPECT_EQ(finished.err, "") << arguments.front();
  }
}

TEST_F(Commands, OptimizeHonoursFixedAndLargestSizes) {
  run(small_search("design.json", {"--pe", "16", "--max-scratchpad", "64", "--accumulator", "32"}));
  const json design = json::parse(content("design.json"));
  EXPECT_EQ(design["hardware"]["pe_dim"], 16);
  EXPECT_LE(design["hardware"]["scratchpad_kib"], 64);
  EXPECT_EQ(design["hardware"]["accumulator_kib"], 32);
}

TEST_F(Commands, OptimizeFollowsALinkToItsOutput) {
  folder_.file("real.json", "old");
  std::filesystem::create_symlink("real.json", folder_.path() / "link.json");
  run(small_search("link.json", {}));
  EXPECT_TRUE(std::filesystem::is_symlink(folder_.path() / "link.json"));
  EXPECT_EQ(json::parse(content("real.json"))["schema"], "dosa-design/1");
}

TEST_F(Commands, WorkloadsListsNetworksAndLayers) {
  const std::string all = run({"workloads"}).out;
  for (const std::string& name : shipped_names("workloads")) EXPECT_THAT(all, HasSubstr(name));
  EXPECT_THAT(run({"workloads", "bert"}).out, HasSubstr("encoder.attention.scores"));
  EXPECT_EQ(run({"workloads", "--show", "bert"}).out, run({"workloads", "bert"}).out);
}

TEST_F(Commands, NetworksOfOtherPrograms) {
  folder_.file("topology.csv",
               "Layer, M, N, K,\nprojection, 128, 768, 768,\nffn, 128, 3072, 768,\nffn2, 128, 3072, 768,\n");
  EXPECT_THAT(run({"import", "topology.csv", "--name", "small", "-o", "net.json"}).out,
              HasSubstr("written: net.json"));
  const json network = json::parse(content("net.json"));
  EXPECT_EQ(network["name"], "small");
  ASSERT_EQ(network["layers"].size(), 2U);
  EXPECT_EQ(network["layers"][1]["count"], 2);
  // The same without a file between.
  const json direct = json::parse(run({"map", "topology.csv", "--pe", "16", "--json"}).out);
  const json between = json::parse(run({"map", "net.json", "--pe", "16", "--json"}).out);
  EXPECT_EQ(direct["totals"], between["totals"]);
  EXPECT_EQ(direct["workload"], "topology");
  const Finished wrong = run_dosa(folder_.path(), {"evaluate", "topology.csv"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err,
              HasSubstr("found a SCALE-Sim topology, expected a design; dosa import topology.csv"));
  EXPECT_THAT(
      run_dosa(folder_.path(), {"evaluate", "net.json"}).err,
      HasSubstr(
          "found a network (dosa-workload/1), expected a design; dosa optimize net.json -o design.json"));
  EXPECT_THAT(run_dosa(folder_.path(), {"map", "bert", "--machine", "net.json"}).err,
              HasSubstr("found a network (dosa-workload/1), expected a machine"));
}

TEST_F(Commands, CompareRunsMethodsWithTheSameBudget) {
  const Finished finished = run({"compare", "bert", "--methods", "random,default", "--samples-per-layer",
                                 "200", "--seeds", "1", "--json", "--quiet"});
  EXPECT_EQ(finished.err, "");
  const json compared = json::parse(finished.out);  // throws where anything stands around the object
  EXPECT_EQ(compared["schema"], "dosa-compare/1");
  EXPECT_EQ(compared["samples"], 200 * compared["layers"].get<int>());
  ASSERT_EQ(compared["methods"].size(), 2U);
  for (const json& method : compared["methods"]) {
    ASSERT_EQ(method["runs"].size(), 1U);
    EXPECT_GT(method["runs"][0]["objective"], 0);
    EXPECT_LE(method["runs"][0]["samples"], compared["samples"]);
  }
  EXPECT_EQ(folder_.count(), 0U) << "no --csv, no file";

  const Finished refused = run_dosa(folder_.path(), {"compare", "bert", "--methods", "random,luck"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(refused.err, HasSubstr("'luck' is not known; allowed: gradient, descent, descent+polish, "
                                     "polish, random, bayes, annealing, default"));
}

TEST_F(Commands, CompareRunsAllMethodsOnAChainOfMemories) {
  const json compared = json::parse(
      run({"compare", "bert", "--machine", "simba", "--samples", "1000", "--seeds", "1", "--json", "-q"})
          .out);
  std::vector<std::string> names;
  for (const json& method : compared["methods"]) {
    names.push_back(method["name"]);
    EXPECT_GT(method["runs"][0]["objective"], 0) << names.back();
    EXPECT_EQ(method["runs"][0]["hardware"].size(), compared["max"].size()) << names.back();
  }
  EXPECT_EQ(names, (std::vector<std::string>{"gradient", "random", "bayes", "annealing", "default"}));
}

TEST_F(Commands, CompareSaysWhereAMethodFoundNothing) {
  const std::vector<std::string> compare{"compare",   "bert", "--methods", "gradient,default",
                                         "--samples", "20",   "--seeds",   "1"};
  std::vector<std::string> as_json = compare;
  as_json.emplace_back("--json");
  const json methods = json::parse(run(as_json).out)["methods"];
  EXPECT_TRUE(methods[0]["objective"]["median"].is_null());
  EXPECT_GT(methods[1]["objective"]["median"], 0);
  EXPECT_TRUE(methods[1]["ratio"].is_null());
  const Finished finished = run(compare);
  EXPECT_THAT(finished.err, HasSubstr("gradient seed 0: best none"));
  EXPECT_THAT(finished.out, HasSubstr("none: no design within these samples"));
  for (const char* bad : {"inf", "nan"}) EXPECT_THAT(finished.out + finished.err, Not(HasSubstr(bad)));
}

TEST_F(Commands, ImportPrintsAFileAndWorkloadsAnother) {
  folder_.file("top.csv", "Layer, M, N, K,\na_layer, 64, 32, 16,\n");
  const json network = json::parse(run({"import", "top.csv"}).out);
  EXPECT_GT(network["description"].get<std::string>().size(), 60U) << "no line is broken";
  folder_.file("net.json", run({"workloads", "bert", "--json"}).out);
  EXPECT_EQ(json::parse(run({"workloads", "net.json", "--json"}).out), json::parse(content("net.json")));
}

TEST_F(Commands, MapIsTheBestOnFixedHardwareAndCertifyAgrees) {
  const Finished mapped = run({"map", "bert", "--accumulator", "16", "-o", "design.json"});
  for (const char* part : {"pe_dim 16, scratchpad 128 KiB, accumulator 16 KiB", "candidates",
                           "none of the candidates is better on this hardware"})
    EXPECT_THAT(mapped.out, HasSubstr(part));
  const json design = json::parse(content("design.json"));
  EXPECT_EQ(design["schema"], "dosa-design/1");
  EXPECT_EQ(design["provenance"]["method"], "exhaustive");
  EXPECT_EQ(design["provenance"]["whole_map_space"], true);
  json printed = json::parse(run({"map", "bert", "--accumulator", "16", "--json"}).out);
  ASSERT_EQ(printed["map_space"]["layers"].size(), design["layers"].size());
  EXPECT_EQ(printed["map_space"]["proven"], true);
  printed.erase("map_space");
  EXPECT_EQ(printed["as_built"]["scratchpad_kib"], 256);
  printed.erase("as_built");
  EXPECT_EQ(printed, design);
  const json certificate = json::parse(run({"map", "design.json", "--certify", "--json"}).out);
  EXPECT_EQ(certificate["proven"], true);
  EXPECT_NEAR(certificate["gap"].get<double>(), 0, 1e-12);
  EXPECT_EQ(certificate["best"], design["totals"]);
  const Finished partly = run({"map", "bert", "--max-nests", "100"});
  EXPECT_THAT(partly.out, HasSubstr("not proven"));
  // The search on the same hardware cannot be better, and says how near it came.
  const json optimised =
      json::parse(run(small_search("found.json", {"--pe", "16", "--scratchpad", "128", "--accumulator", "16",
                                                  "--certify", "--json"}))
                      .out);
  EXPECT_GE(optimised["certificate"]["gap"], -1e-12);
  EXPECT_EQ(optimised["certificate"]["best_value"], certificate["best_value"]);
  EXPECT_FALSE(json::parse(content("found.json")).contains("certificate"));
  // What the library does is a design like any other, and costs what optimize compares with.
  const std::string library = run({"map", "bert", "--default", "-o", "library.json"}).out;
  EXPECT_THAT(library, HasSubstr("encoder.ffn.expand"));
  EXPECT_EQ(json::parse(run({"evaluate", "library.json", "--json"}).out)["totals_as_recorded"], true);
}

TEST_F(Commands, OptimizeKeepsToAnArea) {
  run(small_search("design.json", {"--max-area", "1.25"}));
  const json design = json::parse(content("design.json"));
  EXPECT_LE(design["totals"]["area_mm2"], 1.25);
  EXPECT_EQ(design["provenance"]["options"]["max_area_mm2"], 1.25);
}

// A report says where a much smaller design is nearly as good, and --within takes the smallest.
TEST_F(Commands, OptimizeNamesAndTakesSmallerDesigns) {
  const Finished best = run({"optimize", "bert", "-o", "best.json"});
  EXPECT_THAT(best.out, HasSubstr("--within 1%: "));
  const json printed = json::parse(run({"optimize", "bert", "--json"}).out);
  const json found = json::parse(content("best.json"));
  EXPECT_EQ(found["totals"], printed["totals"]);
  EXPECT_LE(printed["smaller"]["area_mm2"], 0.9 * found["totals"]["area_mm2"].get<double>());
  EXPECT_LE(printed["smaller"]["objective_ratio"], 1.01);

  const Finished smaller = run({"optimize", "bert", "--within", "1%", "-o", "smaller.json"});
  EXPECT_THAT(smaller.out, HasSubstr("against the best, of "));
  const json design = json::parse(content("smaller.json"));
  EXPECT_LE(design["totals"]["area_mm2"], printed["smaller"]["area_mm2"]);
  EXPECT_LE(design["totals"]["edp"], 1.01 * found["totals"]["edp"].get<double>());
  EXPECT_EQ(design["provenance"]["within"], 0.01);
  EXPECT_EQ(design["provenance"]["best"]["totals"], found["totals"]);
}

// A proof holds over a space, which is named for every layer and for the network, of the smallest design that
// is nearly as good and of networks that share hardware, too.
TEST_F(Commands, ProofsNameTheirSpace) {
  folder_.file("late.json", R"({"schema": "dosa-workload/1", "name": "late", "layers": [
    {"name": "conv5", "dims": {"R": 3, "S": 3, "P": 7, "Q": 7, "C": 512, "K": 512}, "padding": 1}]})");
  folder_.file("product.json", R"({"schema": "dosa-workload/1", "name": "product", "layers": [
    {"name": "scores", "dims": {"P": 128, "C": 64, "K": 128}}]})");
  const std::string both =
      run({"optimize", "late.json", "product.json", "--within", "5%", "--certify", "-o", "both.json"}).out;
  const std::size_t second = both.find("\nproduct on gemmini-tl");
  ASSERT_NE(second, std::string::npos);
  const std::string late = both.substr(0, second), product = both.substr(second);
  EXPECT_THAT(late, ContainsRegex("conv5 [^\n]*proven unpadded\n"));
  EXPECT_THAT(late, HasSubstr("unpadded: of padded or cut mappings only those near the best were looked at"));
  EXPECT_THAT(late, ContainsRegex("best on this hardware [^\n]*gap -?[0-9.]+ %, proven[ \n]unpadded\n"));
  EXPECT_THAT(product, ContainsRegex("scores [^\n]*proven\n"));
  EXPECT_THAT(product, ContainsRegex("best on this hardware [^\n]*gap [0-9.]+ %, proven\n"));
  EXPECT_THAT(product, Not(HasSubstr("unpadded")));
  EXPECT_THAT(product, HasSubstr("against the best, of "));
  EXPECT_THAT(product, HasSubstr("all mappings without padding enumerated"));
  EXPECT_THAT(run({"map", "both.json", "--certify"}).out,
              ContainsRegex("this hardware [^\n]*proven[ \n]unpadded\n"));
  const std::string one = run({"optimize", "late.json", "--within", "5%", "--certify"}).out;
  EXPECT_THAT(one, ContainsRegex("best on this hardware [^\n]*gap -?[0-9.]+ %, proven[ \n]unpadded\n"));
  EXPECT_THAT(one, HasSubstr("all mappings without padding enumerated"));
}

// Two small networks on one hardware through every command that takes such a design.
TEST_F(Commands, SeveralNetworksShareOneHardware) {
  const auto network = [&](const std::string& name, int rows, int inputs) {
    json layer{{"name", "a"}, {"dims", {{"P", rows}, {"C", inputs}, {"K", 64}}}};
    folder_.file(name + ".json",
                 json{{"schema", "dosa-workload/1"}, {"name", name}, {"layers", {layer}}}.dump());
  };
  network("tall", 128, 32);
  network("flat", 2, 512);
  const Finished found = run({"optimize", "tall.json", "flat.json:2", "-o", "shared.json"});
  EXPECT_THAT(found.out, AllOf(HasSubstr("loss %"), HasSubstr("geometric mean of edp"), HasSubstr("% lost")));
  const json design = json::parse(content("shared.json"));
  EXPECT_EQ(design["schema"], "dosa-design/2");
  EXPECT_EQ(design["networks"][0]["workload"], "flat");
  EXPECT_EQ(design["networks"][0]["weight"], 2);
  const double flat = design["networks"][0]["totals"]["edp"], tall = design["networks"][1]["totals"]["edp"];
  EXPECT_NEAR(design["value"], std::cbrt(flat * flat * tall), 1e-9 * design["value"].get<double>());
  EXPECT_LE(design["networks"][0]["own"]["totals"]["edp"], flat);

  run({"optimize", "flat.json", "tall.json", "flat.json", "--threads", "1", "-q", "-o", "again.json"});
  EXPECT_EQ(content("again.json"), content("shared.json")) << "whatever the order, and one named twice";

  const json evaluated = json::parse(run({"evaluate", "shared.json", "--json"}).out);
  EXPECT_EQ(evaluated["value_as_recorded"], true);
  EXPECT_EQ(evaluated["networks"][1]["totals"], design["networks"][1]["totals"]);
  EXPECT_THAT(run({"evaluate", "shared.json"}).out, HasSubstr("geometric mean of edp"));
  const json certified = json::parse(run({"map", "shared.json", "--certify", "--json"}).out);
  EXPECT_EQ(certified["networks"][1]["workload"], "tall");
  EXPECT_NEAR(certified["networks"][1]["gap"], 0, 1e-9);
  run({"export", "shared.json", "--format", "json", "-o", "out"});
  EXPECT_EQ(json::parse(content("out/2_tall/design.json"))["totals"], design["networks"][1]["totals"]);

  run({"map", "tall.json", "flat.json:2", "--pe", "8", "-o", "mapped.json"});
  EXPECT_EQ(json::parse(content("mapped.json"))["networks"].size(), 2U);
  run({"optimize", "flat.json", "-q", "-o", "own.json"});
  const Finished given = run({"optimize", "tall.json", "flat.json", "--own", "own.json", "--combine", "sum"});
  EXPECT_THAT(given.out, HasSubstr("weighted sum of edp"));
  const json compared = json::parse(run({"compare", "tall.json", "flat.json:2", "--machines",
                                         "gemmini-tl,gemmini-rtl", "--max-area", "1.2", "--json"})
                                        .out);
  EXPECT_EQ(compared["workload"], "flat + tall");
  EXPECT_EQ(compared["machines"][0]["design"]["networks"].size(), 2U);
  EXPECT_THAT(run({"compare", "tall.json", "flat.json", "--seeds", "1"}).out, HasSubstr("gradient"));

  const auto refused = [&](const std::vector<std::string>& arguments, const std::vector<std::string>& parts) {
    const Finished finished = run_dosa(folder_.path(), arguments);
    EXPECT_EQ(finished.code, 2);
    for (const std::string& part : parts) EXPECT_THAT(finished.err, HasSubstr(part));
  };
  // Commands of one network take one of a shared design.
  EXPECT_EQ(json::parse(run({"explain", "shared.json:tall", "--json"}).out)["workload"], "tall");
  EXPECT_EQ(run({"predict", "shared.json:flat"}).code, 0);
  refused({"predict", "shared.json", "--surrogate", "x"},
          {"shared.json", "a design of 2 networks", "shared.json:flat or shared.json:tall"});
  refused({"diff", "shared.json:flat", "shared.json:bert"}, {"no design of 'bert'", "shared.json:tall"});
  refused({"explain", "none.json:flat"}, {"none.json: No such file"});
  const std::string only_one =
      "takes one network, found 2 (tall.json, flat.json); dosa optimize, map and compare";
  refused({"sample", "tall.json", "flat.json", "-o", "folder"}, {"sample " + only_one});
  refused({"campaign", "tall.json", "flat.json", "-o", "folder", "--simulator", "true"},
          {"campaign " + only_one});
  refused({"optimize", "tall.json", "flat.json", "--own", "shared.json"}, {"a design of 2 networks"});
  refused({"optimize", "tall.json", "bert", "--own", "own.json"}, {"--own: own.json", "a design of flat"});
  refused({"optimize", "tall.json", "flat.json", "--pareto", "front"}, {"a front is of one network"});
  refused({"compare", "tall.json", "flat.json", "--methods", "random"},
          {"random is there for one network only"});
  json broken = design;
  broken["combine"] = "mean";
  folder_.file("broken.json", broken.dump());
  refused({"evaluate", "broken.json"}, {"broken.json: combine", "found 'mean'", "geomean, sum"});
  broken = design;
  broken["networks"].erase(0);
  folder_.file("broken.json", broken.dump());
  refused({"evaluate", "broken.json"}, {"broken.json: networks", "found 1 network,"});
}

TEST_F(Commands, ParetoWritesAFolderOfDesigns) {
  const std::vector<std::string> arguments{"optimize",        "bert", "--max-pe", "8", "--pareto", "front",
                                           "--pareto-points", "5",    "--json",   "-q"};
  const json front = json::parse(run(arguments).out);
  EXPECT_EQ(front["schema"], "dosa-front/1");
  EXPECT_EQ(front, json::parse(content("front/front.json")));
  ASSERT_EQ(front["designs"].size(), 5U);
  for (const json& entry : front["designs"]) {
    const json design = json::parse(content("front/" + entry["file"].get<std::string>()));
    EXPECT_EQ(design["totals"], entry["totals"]);
  }
  EXPECT_THAT(content("front/front.csv"), HasSubstr("\ndesign_05.json,"));
  EXPECT_EQ(json::parse(run({"evaluate", "front/design_03.json", "--json"}).out)["totals_as_recorded"], true);
  std::vector<std::string> fewer = arguments;
  fewer[7] = "3";
  run(fewer);  // an older front is replaced as a whole
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "front/design_04.json"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1)
      << "nothing is left beside";
}

TEST_F(Commands, AnInterruptedFrontIsWrittenWhole) {
  RunningProgram program(folder_.path(), {"optimize", "unet", "--pareto", "front", "--threads", "1"});
  ASSERT_TRUE(program.wait_for_stderr("shape 1/", std::chrono::seconds(120)));
  program.signal(SIGINT);
  const Finished finished = program.finish(std::chrono::seconds(120));
  EXPECT_EQ(finished.code, 130) << finished.err;
  const json front = json::parse(content("front/front.json"));
  EXPECT_EQ(front["stopped_by"], "interrupt");
  EXPECT_EQ(front["whole_map_space"], false);
  ASSERT_GE(front["designs"].size(), 1U);
  for (const json& entry : front["designs"]) {
    EXPECT_EQ(json::parse(content("front/" + entry["file"].get<std::string>()))["totals"], entry["totals"]);
  }
}

TEST_F(Commands, AnInterruptedComparisonReportsWhatItHas) {
  RunningProgram program(folder_.path(), {"compare", "bert", "--methods", "default,random", "--samples",
                                          "1000000000", "--csv", "curves.csv", "--json"});
  ASSERT_TRUE(program.wait_for_stderr("default seed 0", std::chrono::seconds(120)));
  program.signal(SIGINT);
  const Finished finished = program.finish(std::chrono::seconds(120));
  EXPECT_EQ(finished.code, 130) << finished.err;
  const json compared = json::parse(finished.out);
  EXPECT_EQ(compared["interrupted"], true);
  EXPECT_EQ(compared["methods"][0]["runs"].size(), 1U);
  EXPECT_THAT(content("curves.csv"), HasSubstr("default,0,"));
}

TEST_F(Commands, EveryHelpHasAnExample) {
  EXPECT_THAT(run({"--help"}).out, HasSubstr("Exit codes: 0 "));
  for (const std::string command :
       {"campaign", "collect", "compare", "diff", "evaluate", "explain", "export", "import", "map", "measure",
        "optimize", "predict", "report", "sample", "train", "validate", "workloads"}) {
    const Finished help = run({command, "--help"});
    EXPECT_THAT(help.out, HasSubstr("\nUsage: dosa " + command + " ")) << "without the program's folder";
    EXPECT_THAT(help.out, HasSubstr("\n  dosa " + command)) << "an example";
    EXPECT_EQ(help.err, "");
  }
  EXPECT_THAT(run({"--version"}).out, ::testing::StartsWith("0."));
}

// K8 P4 at DRAM, 2 input channels across the array, 4 of them one after the other. By hand:
// - 8 * 4 * 8 = 256 multiply-accumulates on 2 of the 4 elements of the array: 128 cycles of compute.
// - DRAM: weights are 8 * 8 = 64 words, read once, for P does not change them. Inputs are read again for
// every k:
//   8 * 4 * 8 = 256. Outputs are written once: 32. At 8 words a cycle, 352 words take 44 cycles. The energy
//   is 100 pJ a word, and every tensor moves whole vectors of 64: 64 + 256 + 64 words.
// - Scratchpad: what DRAM reads is written, 64 + 256. The registers hold one weight, so that the C loop below
// reads
//   all weights for every p, 8 * 4 * 8 = 256, and as many inputs. 832 words at 2 * 2 words a cycle: 208
//   cycles.
TEST_F(Commands, EvaluateOneLayerByFlags) {
  const std::vector<std::string> arguments{"evaluate",
                                           "-P",
                                           "4",
                                           "-C",
                                           "8",
                                           "-K",
                                           "8",
                                           "--pe",
                                           "2",
                                           "--scratchpad",
                                           "4",
                                           "--accumulator",
                                           "2",
                                           "--mapping",
                                           "L3[WIO] K8 P4 - L2[WI] N1 - L1[O] C4 C2X - L0[W] N1"};
  std::vector<std::string> as_json = arguments;
  as_json.emplace_back("--json");
  const json cost = json::parse(run(as_json).out);
  EXPECT_EQ(cost["cycles"], 208);
  EXPECT_EQ(cost["compute_cycles"], 128);
  EXPECT_EQ(cost["bound"]["by"], "scratchpad");
  EXPECT_DOUBLE_EQ(cost["utilisation"]["value"].get<double>(), 256.0 / (208 * 4));
  const json& dram = cost["levels"][0];
  EXPECT_EQ(dram["name"], "dram");
  EXPECT_EQ(dram["tensors"]["W"]["reads"], 64);
  EXPECT_EQ(dram["tensors"]["I"]["reads"], 256);
  EXPECT_EQ(dram["tensors"]["O"]["updates"], 32);
  EXPECT_EQ(dram["cycles"], 44);
  EXPECT_DOUBLE_EQ(dram["energy_uj"], (64 + 256 + 64) * 100 * 1e-6);
  EXPECT_EQ(cost["levels"][1]["cycles"], 208);
  EXPECT_THAT(run(arguments).out, HasSubstr("208 cycles (bound by scratchpad I, compute alone 128)"));
}

// Simba, 4 outputs of 16 inputs and 4 channels: 8 of the inputs in space on Y (added on the way up), 4
// channels on X (inputs by multicast), then 2 steps for the other inputs, for each of 4 outputs.
TEST_F(Commands, EvaluateAndValidateOnAChain) {
  const std::string mapping = "L5[WIO] P4 - L4[IO] N1 - L3[I] N1 - L2[W] N1 - L1[O] C2 C8Y K4X - L0[W] N1";
  std::vector<std::string> arguments{"evaluate", "--machine", "simba", "-P",        "4",    "-C",
                                     "16",       "-K",        "4",     "--mapping", mapping};
  EXPECT_THAT(run(arguments).out, HasSubstr("layer:\n" + mapping + "\n"));
  arguments.emplace_back("--json");
  const json cost = json::parse(run(arguments).out);
  EXPECT_EQ(cost["compute_cycles"], 8);
  EXPECT_EQ(cost["schedule"], mapping);
  const json& accumulators = cost["levels"][4];
  EXPECT_EQ(accumulators["name"], "accumulation_buffer");
  EXPECT_EQ(accumulators["tensors"]["O"]["updates"], 8 * 4) << "8 partial sums are one update";
  EXPECT_EQ(accumulators["tensors"]["O"]["reads"], 8 * 4 - 16);
  EXPECT_EQ(accumulators["used"], 4);
  EXPECT_EQ(accumulators["capacity"], 1024);
  EXPECT_EQ(accumulators["size_unit"], "words");
  EXPECT_EQ(cost["levels"][2]["tensors"]["I"]["reads"], 8 * 8) << "4 lanes are fed at once";
  EXPECT_EQ(cost["levels"][5]["used_instances"], 32);
  EXPECT_EQ(cost["levels"][5]["instances"], 1024);
  // DRAM moves 64 weights, 64 inputs and 16 outputs at 16 words a cycle.
  EXPECT_EQ(cost["bound"]["by"], "dram");
  EXPECT_EQ(cost["cycles"], 9);

  folder_.file("table.csv", "R,S,P,Q,C,K,N,mapping,L1.O.updates,cycles,energy_uj\n1,1,4,1,16,4,1," + mapping +
                                ",32,9," + cost["energy_uj"].dump() + "\n");
  const json valid = json::parse(run({"validate", "table.csv", "--machine", "simba", "--json"}).out);
  for (const char* key : {"exact_cycles", "exact_energy", "exact_accesses", "access_columns"})
    EXPECT_EQ(valid[key], 1) << key;
}

TEST_F(Commands, MapsOntoAChain) {
  folder_.file("net.json", R"({"schema": "dosa-workload/1", "name": "net", "layers": [
      {"name": "conv", "count": 2, "groups": 2, "dims": {"R": 3, "S": 3, "P": 28, "Q": 28, "C": 32, "K": 64}},
      {"name": "product", "dims": {"P": 64, "C": 128, "K": 128}}]})");
  const Finished mapped = run({"map", "net.json", "--machine", "eyeriss", "--samples", "3000", "--seed", "2",
                               "--threads", "2", "-o", "design.json"});
  EXPECT_THAT(mapped.out, HasSubstr("net on eyeriss"));
  EXPECT_THAT(mapped.out, HasSubstr("least: lower bounds of all mappings"));
  EXPECT_THAT(mapped.out, HasSubstr("written: design.json"));
  std::istringstream lines(mapped.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  const json design = json::parse(content_of(folder_.path() / "design.json"));
  EXPECT_EQ(design["layers"][0]["mapping"].get<std::string>().substr(0, 8), "L4[WIO] ");
  EXPECT_EQ(design["provenance"]["options"]["seed"], 2);
  const json evaluated = json::parse(run({"evaluate", "design.json", "--json"}).out);
  EXPECT_EQ(evaluated["totals"], design["totals"]);
  EXPECT_EQ(evaluated["totals_as_recorded"], true);
  const json certified =
      json::parse(run({"map", "design.json", "--certify", "--samples", "3000", "--json"}).out);
  EXPECT_LT(std::abs(certified["gap"].get<double>()), 0.5);
  const json again = json::parse(
      run({"map", "net.json", "--machine", "eyeriss", "--samples", "3000", "--seed", "2", "--json"}).out);
  EXPECT_EQ(again["layers"], design["layers"]);
  EXPECT_GE(again["map_space"]["gap"].get<double>(), 0);
  EXPECT_GT(again["map_space"]["layers"][0]["least_cycles"].get<double>(), 0);
}

TEST_F(Commands, YamlWorksLikeJson) {
  folder_.file("net.yaml",
               "schema: dosa-workload/1\nname: net\nlayers:\n"
               "  - {name: conv, count: 2, dims: {R: 3, S: 3, P: 8, Q: 8, C: 16, K: 16}, padding: 1}\n"
               "  - name: fc\n    dims: {C: 64, K: 10}\n");
  folder_.file("net.json",
               R"({"schema": "dosa-workload/1", "name": "net", "layers": [
                   {"name": "conv", "count": 2, "dims": {"R": 3, "S": 3, "P": 8, "Q": 8, "C": 16, "K": 16}, "padding": 1},
                   {"name": "fc", "dims": {"C": 64, "K": 10}}]})");
  for (const std::string kind : {"yaml", "json"}) {
    run({"optimize", "net." + kind, "--starts", "2", "--steps", "10", "-o", kind});
  }
  EXPECT_EQ(content("yaml"), content("json"));
}

TEST_F(Commands, EvaluateFindsTheMachineBesideTheDesign) {
  const json shipped =
      json::parse(content_of(std::filesystem::path(DOSA_TEST_DATA) / "hardware/gemmini-tl.json"));
  json mine = shipped;
  mine["name"] = "mine";
  folder_.file("mine.json", mine.dump());
  run(small_search("design.json", {"--machine", "mine.json"}));
  const json evaluated =
      json::parse(run_dosa("/", {"evaluate", (folder_.path() / "design.json").string(), "--json"}).out);
  EXPECT_EQ(evaluated["target"], "mine");
  EXPECT_EQ(evaluated["totals_as_recorded"], true);
}

// Rows 1 to 3 of the reference table, ../shared/data/timeloop_train.csv.gz.
TEST_F(Commands, ValidateReadsBothKindsOfTable) {
  folder_.file(
      "ours.csv",
      "pe_dim,scratchpad_kib,accumulator_kib,R,S,P,Q,C,K,N,wstride,hstride,mapping,cycles,energy_uj\n"
      "32,2,16,7,7,112,112,3,64,1,2,2,L3[WIO] P28 Q56 K8 - L2[WI] N1 K4X - L1[O] K2 S7 R7 Q2 P2 C3X - L0[W] "
      "P2,9834496,1930.771651\n"
      "32,2,16,7,7,112,112,3,64,1,2,2,L3[WIO] P28 Q56 K8 - L2[WI] N1 K4X - L1[O] K2 S7 R7 Q2 P4 C3X - L0[W] "
      "N1,9834496,1930.771651\n"
      "32,2,16,1,1,56,56,64,128,1,1,1,L3[WIO] P28 K16 C16 Q7 - L2[WI] N1 K2X - L1[O] K4 C4 Q8 - L0[W] "
      "P2,14350336,1740.564093\n");
  folder_.file(
      "artefact.csv",
      "prob.R,prob.S,prob.P,prob.Q,prob.C,prob.K,prob.N,prob.Wstride,prob.Hstride,prob.Wdilation,"
      "prob.Hdilation,mapping.mapping,target.cycle,target.energy,arch.meshX,arch.mem2_entries,"
      "arch.mem2_word-bits,arch.mem1_entries,arch.mem1_instances,arch.mem1_word-bits\n"
      "1,1,56,56,64,128,1,1,1,1,1,L3[WIO] P28 K16 C16 Q7 - L2[WI] N1 K2X - L1[O] K4 C4 Q8 - L0[W] P2,"
      "14350336.0,1740.564093,32,2048,8,128,32,32\n"
      "1,1,56,56,64,128,1,1,1,1,1,L3[WIO] P28 K16 C16 Q7 - L2[WI] N1 K2X - L1[O] K4 C4 Q8 - L0[W] P2,"
      "14350335,1740.564093,32,2048,8,128,32,32\n");
  const json ours = json::parse(run({"validate", "ours.csv", "--json"}).out);
  EXPECT_EQ(ours["rows"], 3);
  EXPECT_EQ(ours["exact_cycles"], 3);
  EXPECT_EQ(ours["exact_energy"], 3);
  EXPECT_THAT(run({"validate", "ours.csv"}).out, HasSubstr("3 (100.00 %)"));
  const json artefact = json::parse(run({"validate", "artefact.csv", "--worst", "1", "--json"}).out);
  EXPECT_EQ(artefact["rows"], 2);
  EXPECT_EQ(artefact["exact_cycles"], 1);
  EXPECT_EQ(artefact["exact_energy"], 2);
  ASSERT_EQ(artefact["worst"].size(), 1U);
  EXPECT_EQ(artefact["worst"][0]["where"], "artefact.csv: line 3");
}

// A target means one thing in every command: what map finds on the sizes that optimize chose is what optimize
// found.
TEST_F(Commands, ATargetMeansOneThingInEveryCommand) {
  const json found = json::parse(run({"optimize", "bert", "--target", "gemmini-rtl", "-q", "--json"}).out);
  const json mapped =
      json::parse(run({"map", "bert", "--machine", "gemmini-rtl", "--scratchpad",
                       std::to_string(found["hardware"]["scratchpad_kib"].get<int>()), "--accumulator",
                       std::to_string(found["hardware"]["accumulator_kib"].get<int>()), "-q", "--json"})
                      .out);
  EXPECT_NEAR(mapped["totals"]["edp"].get<double>() / found["totals"]["edp"].get<double>(), 1, 1e-9);
  EXPECT_TRUE(mapped["layers"][0].contains("tile"));
  const Finished refused = run_dosa(folder_.path(), {"compare", "bert", "--machine", "gemmini-rtl",
                                                     "--methods", "random", "--samples", "1000"});
  EXPECT_EQ(refused.code, 2) << refused.out;
  EXPECT_THAT(refused.err,
              HasSubstr("random draws mappings, and gemmini-rtl runs calls of its own with tiles"));
}

TEST_F(Commands, AnInterruptEndsTheSearchWithTheBestDesignSoFar) {
  RunningProgram program(folder_.path(), {"optimize", "bert", "--stages", "descent+polish", "--starts", "2",
                                          "--steps", "10000000", "--patience", "0", "-o", "design.json"});
  ASSERT_TRUE(program.wait_for_stderr("descent", std::chrono::seconds(60)));
  program.signal(SIGINT);
  const Finished finished = program.finish(std::chrono::seconds(60));
  EXPECT_EQ(finished.code, 130) << finished.err;
  const json design = json::parse(content("design.json"));
  EXPECT_EQ(design["provenance"]["stopped_by"], "interrupt");
  EXPECT_LT(design["provenance"]["steps"], 10000000);
  EXPECT_EQ(json::parse(run({"evaluate", "design.json", "--json"}).out)["totals_as_recorded"], true);
}

}  // namespace
}  // namespace dosa::testing
