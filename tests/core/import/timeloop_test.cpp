// What Timeloop's files become, and what of them is refused or named.
#include <gtest/gtest.h>

#include <map>

#include "dosa/core/import/importer.hpp"
#include "dosa/core/import/timeloop/stats.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/chain/chain.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {
using testing::expect_error;
using testing::replaced;
using testing::TemporaryFolder;

// Anchors and merges, a range of names, sizes said in three ways, constraints in the architecture.
const char* const kTree = R"(
buffer: &buffer {class: SRAM, attributes: &narrow {word-bits: 8, block-size: 4, read_bandwidth: 4}}
architecture:
  version: 0.3
  subtree:
    - name: system
      attributes: {technology: 45nm}
      local:
        - name: DRAM
          class: LPDDR_DRAM
          attributes: {word-bits: 8, block-size: 8, shared_bandwidth: .5, vector-access-energy: 256}
      subtree:
        - name: chip
          local:
            - <<: *buffer
              name: Buffer
              attributes: {<<: *narrow, word-bits: 16, sizeKB: 2, multiple-buffering: 2, vector-access-energy: 26}
          subtree:
            - name: PE[0..7]
              local:
                - name: Spad
                  class: regfile
                  attributes: {datawidth: 8, width: 16, depth: 12, meshX: 4, n_banks: 2}
                - name: MAC[0..3]
                  class: intmac
                  attributes: {meshX: 8, energy: 2}
  constraints:
    targets:
      - {target: Buffer, type: bypass, keep: [Inputs, Outputs], bypass: [Weights]}
      - {target: Buffer, type: spatial, factors: R=1 S=1 N=1 C<=4, permutation: KPQCRSN, split: 1}
      - {target: Spad, type: temporal, factors: "P=1,Q=1", permutation: RSC}
ERT:
  version: 0.2
  tables:
    system.chip.PE[0..7].Spad:
      read: [{arguments: {address: 0}, energy: 0.5}, {arguments: {address: 1}, energy: 1.25}]
      write: {energy: 1.25}
)";

// The same machine as a list of nodes.
const char* const kNodes = R"(
variables: {version: 0.4, bits: 8}
architecture:
  version: 0.4
  nodes:
  - !Container {name: system, attributes: {technology: 45nm, datawidth: bits}}
  - !Component
    name: DRAM
    class: DRAM
    attributes: {width: 64, shared_bandwidth: 0.5}
  - !Component
    name: Buffer
    class: smartbuffer_SRAM
    attributes: {datawidth: 16, block_size: 4, entries: 1024, multiple_buffering: 2, read_bandwidth: 4}
    constraints:
      dataspace: {keep: [Images, Sums], bypass: [Filters]}
  - !Container
    name: PE
    spatial: {meshX: 4, meshY: 2}
    constraints:
      spatial: {factors: [R=1, S=1, N=1], permutation: [M, P, Q, C, R, S, N], split: 1}
  - !Parallel
    nodes:
    - !Component
      name: Spad
      class: smartbuffer_RF
      attributes: {width: 16, depth: 12}
      constraints:
        dataspace: {keep: [Filters, Images, Sums]}
        temporal: {factors: [P=1, Q=1], permutation: [R, S, C]}
    - !Nothing
  - !Component {name: MAC, class: intmac, spatial: {meshX: 2, meshY: 2}}
ERT:
  version: 0.4
  tables:
    - {name: "system.DRAM[1..1]", actions: [{name: read, energy: 256}, {name: write, energy: 256}]}
    - {name: "system.Buffer[1..1]", actions: [{name: read, energy: 26}, {name: write, energy: 26}, {name: leak, energy: 0}]}
    - {name: "system.Spad[1..8]", actions: [{name: read, energy: 1.25}, {name: write, energy: 1.25}]}
    - {name: "system.MAC[1..32]", actions: [{name: compute, energy: 2}]}
ART: {version: 0.4, tables: [{name: "system.Spad[1..8]", area: 250}]}
)";

const char* const kProblem = R"(
problem:
  version: 0.4
  shape:
    name: conv
    dimensions: [C, M, R, S, N, P, Q]
    coefficients: [{name: Ws, default: 1}, {name: Hs, default: 2}]
    data_spaces:
      - {name: Filters, projection: [[[C]], [[M]], [[R]], [[S]]]}
      - {name: Images, projection: [[[N]], [[C]], [[R], [P, Ws]], [[S], [Q, Hs]]]}
      - {name: Sums, projection: [[[N]], [[M]], [[Q]], [[P]]], read_write: True}
  instance: {C: 3, M: 64, R: 7, S: 5, N: 2, P: 112, Q: 56, Ws: 2}
)";

Imported imported(const std::vector<std::string>& contents, const ImportOptions& options = {}) {
  const TemporaryFolder folder;
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < contents.size(); ++i)
    paths.push_back(folder.file("f" + std::to_string(i) + ".yaml", contents[i]));
  return import_files(paths, options);
}

Chain chain_of_import(const Imported& from) {
  return read_chain(JsonInput::from_text(from.machine->dump(), "imported"));
}

void expect_refused(const std::vector<std::string>& contents, ErrorId id,
                    const std::vector<std::string>& parts, const ImportOptions& options = {}) {
  expect_error([&] { imported(contents, options); }, id, parts);
}

bool has_remark(const Imported& of, const std::string& part, const std::string& other = "") {
  return std::any_of(of.remarks.begin(), of.remarks.end(), [&](const std::string& remark) {
    return remark.find(part) != std::string::npos && remark.find(other) != std::string::npos;
  });
}

TEST(TimeloopImport, ATreeBecomesAChain) {
  const Imported from = imported({kTree});
  const Chain chain = chain_of_import(from);
  ASSERT_EQ(chain.levels.size(), 3u);
  const ChainLevel &spad = chain.levels[0], &buffer = chain.levels[1], &dram = chain.levels[2];
  EXPECT_EQ(chain.name, "f0");
  EXPECT_EQ(chain.mac_energy_pj, 2);
  EXPECT_EQ(chain.instances(-1), 32);
  EXPECT_EQ(chain.instances(0), 8);
  EXPECT_EQ(dram.words_per_cycle, 0.5);
  EXPECT_EQ(dram.vector_pj, 256);
  EXPECT_EQ(buffer.name, "Buffer");
  EXPECT_EQ(letters_of(buffer.holds), "IO");
  EXPECT_EQ(buffer.built_words, 1024) << "2 KiB of 16 bits";
  EXPECT_EQ(buffer.buffering, 2);
  EXPECT_EQ(buffer.word_bits, 16);
  EXPECT_EQ(buffer.vector_words, 4) << "merged";
  EXPECT_EQ(buffer.read_words_per_cycle, 4);
  EXPECT_EQ(buffer.fan_out_on(MeshAxis::X).size, 4);
  EXPECT_EQ(buffer.fan_out_on(MeshAxis::Y).size, 2);
  EXPECT_EQ(letters_of(buffer.fan_out_on(MeshAxis::X).dims), "K");
  EXPECT_EQ(letters_of(buffer.fan_out_on(MeshAxis::Y).dims), "PQC");
  EXPECT_EQ(letters_of(spad.holds), "WIO");
  EXPECT_EQ(letters_of(spad.temporal), "RSCKN");
  EXPECT_EQ(spad.built_words, 24);
  EXPECT_EQ(spad.vector_words, 2);
  EXPECT_EQ(spad.vector_pj, 1.25) << "the dearest of its arguments";
  EXPECT_EQ(spad.fan_out_on(MeshAxis::X).size, 2);
  EXPECT_EQ(spad.fan_out_on(MeshAxis::Y).size, 2);
  // All that has no part in it is named.
  EXPECT_TRUE(has_remark(from, "f0.yaml: buffer", "does not read it"));
  EXPECT_TRUE(has_remark(from, "subtree[0].attributes", "does not read it"));
  EXPECT_TRUE(has_remark(from, "n_banks"));
  EXPECT_TRUE(has_remark(from, "constraints.targets[1].factors", "C<=4"));
  EXPECT_TRUE(has_remark(from, "holds WIO; --holds Spad=LETTERS"));
  EXPECT_EQ(from.remarks.size(), 5u);
}

TEST(TimeloopImport, PermutationsBecomeOrders) {
  const auto order_of = [](const std::string& permutation) {
    const Chain chain = chain_of_import(
        imported({replaced(kTree, "permutation: RSC}", "permutation: " + permutation + "}")}));
    EXPECT_EQ(chain.levels[0].orders.size(), 1u);
    return chain.levels[0].orders[0].text();
  };
  EXPECT_EQ(order_of("RSC"), "RSC");
  EXPECT_EQ(order_of("RS_KC"), "RS_KC");
  EXPECT_EQ(order_of("[R, C]"), "RC");
  EXPECT_EQ(order_of("_N"), "_N");
  expect_error([&] { order_of("RSR"); }, ErrorId::kValue, {"targets[2].permutation: found R twice"});
  const std::string twice = "permutation: RSC}\n      - {target: Spad, type: temporal, permutation: SR}";
  expect_error([&] { imported({replaced(kTree, "permutation: RSC}", twice)}); }, ErrorId::kValue,
               {"targets[3].permutation: found the order SR, another constraint of Spad says RSC"});
}

TEST(TimeloopImport, NodesBecomeTheSameChain) {
  const Imported from = imported({kNodes, kProblem});
  const Imported tree = imported({replaced(kTree, " C<=4, permutation", ", permutation")});
  Json nodes_machine = *from.machine, tree_machine = *tree.machine;
  for (Json* machine : {&nodes_machine, &tree_machine}) {
    machine->erase("name");
    machine->erase("description");
  }
  EXPECT_EQ(nodes_machine["levels"][0]["area_mm2"]["per_instance"], 250e-6);
  nodes_machine["levels"][0].erase("area_mm2");
  EXPECT_EQ(nodes_machine, tree_machine);
  EXPECT_TRUE(has_remark(from, "technology"));
}

TEST(TimeloopImport, HoldsComeFromOptionsConstraintsOrMappings) {
  ImportOptions options;
  options.holds = {{"Spad", "WO"}};
  const Imported from = imported({kTree}, options);
  EXPECT_EQ(letters_of(chain_of_import(from).levels[0].holds), "WO");
  EXPECT_FALSE(has_remark(from, "--holds"));
  options.holds = {{"Buffer", "W"}};
  expect_refused({kTree}, ErrorId::kValue, {"--holds Buffer=W", "constraints.targets[0]", "IO"}, options);
  options.holds = {{"Bufer", "W"}};
  expect_refused({kTree}, ErrorId::kValue, {"--holds", "'Bufer'", "DRAM, Buffer, Spad"}, options);
  options.holds = {{"Spad", "WX"}};
  expect_refused({kTree}, ErrorId::kValue, {"--holds Spad=WX", "'X'", "WIO"}, options);
  const Imported mapped = imported({kTree, R"(
mapping:
  - {target: Buffer, type: bypass, keep: [Inputs, Outputs], bypass: [Weights]}
  - {target: Spad, type: bypass, keep: [Weights], bypass: [Inputs, Outputs]}
  - {target: Buffer, type: temporal, factors: C=2 P=3, permutation: PC}
  - {target: Buffer, type: spatial, factors: K=4 C=2, permutation: KC, split: 1, no_link_transfer: [Weights, Inputs, Outputs]}
)"});
  EXPECT_EQ(letters_of(chain_of_import(mapped).levels[0].holds), "W");
  EXPECT_EQ(*mapped.mapping, "L2[WIO] N1 - L1[IO] C2 P3 C2Y K4X - L0[W] N1");
}

TEST(TimeloopImport, ProblemsBecomeLayersByTheirProjections) {
  const Imported from = imported({kProblem, R"(
problem:
  shape:
    dimensions: [M, N, K]
    data-spaces:
      - {name: A, projection: [M, K]}
      - {name: B, projection: [[[K]], [[N]]]}
      - {name: Z, projection: [M, N], read-write: true}
  instance: {M: 128, N: 768, K: 64, Hpad: 1}
)"});
  const Json& layers = (*from.workload)["layers"];
  EXPECT_EQ(layers[0]["name"], "f0");
  EXPECT_EQ(layers[0]["dims"], (Json{{"R", 7},
                                     {"S", 5},
                                     {"P", 112},
                                     {"Q", 56},
                                     {"C", 3},
                                     {"K", 64},
                                     {"N", 2},
                                     {"wstride", 2},
                                     {"hstride", 2}}));
  // Z[M, N] = A[M, K] B[K, N]: N indexes the weights alone, K is summed over.
  EXPECT_EQ(layers[1]["dims"]["K"], 768);
  EXPECT_EQ(layers[1]["dims"]["C"], 64);
  EXPECT_EQ(layers[1]["dims"]["N"].get<int>() * layers[1]["dims"]["P"].get<int>(), 128);
  EXPECT_TRUE(has_remark(from, "f1.yaml: problem.instance.Hpad"));
  EXPECT_EQ((*from.workload)["name"], "imported");
}

// Of a problem whose shape is a name, what its file says of the shape; of one with densities of 1, that it is
// dense.
TEST(TimeloopImport, ShapesByNameScalarsAndDenseDensities) {
  const auto dims = [](const std::string& problem) { return (*imported({problem}).workload)["layers"][0]; };
  const Json depthwise = dims(
      "problem: {shape: dw-cnn-layer, instance: {C: 96, R: 3, S: 3, P: 14, Q: 7, N: 2, Wstride: 2, "
      "Hdilation: 3}}\n");
  EXPECT_EQ(depthwise["groups"], 96);
  EXPECT_EQ(depthwise["dims"], (Json{{"R", 3},
                                     {"S", 3},
                                     {"P", 14},
                                     {"Q", 7},
                                     {"C", 1},
                                     {"K", 1},
                                     {"N", 2},
                                     {"wstride", 2},
                                     {"hstride", 1},
                                     {"hdilation", 3}}));
  const Json product = dims("problem: {shape: gemm_ABZ, instance: {M: 128, N: 768, K: 64}}\n");
  EXPECT_EQ(product["dims"]["C"], 64);
  EXPECT_EQ(product["dims"]["K"], 768);
  EXPECT_EQ(product["dims"]["N"].get<int>() * product["dims"]["P"].get<int>(), 128);
  const std::string dot = R"(
problem:
  shape:
    dimensions: [S]
    data-spaces:
      - {name: Weights, projection: [[[S]]]}
      - {name: Inputs, projection: [[[S]]]}
      - {name: Outputs, projection: [[]], read-write: true}
  instance: {S: 128, densities: {Inputs: {distribution: fixed-structured, density: 1.0}, Weights: 1}}
)";
  const Json scalar = dims(dot);
  for (const auto& [dim, size] : scalar["dims"].items()) EXPECT_EQ(size, dim == "S" ? 128 : 1) << dim;
  expect_refused({replaced(dot, "density: 1.0", "density: 0.5")}, ErrorId::kValue,
                 {"densities.Inputs.density", "0.5", "sparsity"});
  expect_refused({"problem: {shape: 4d-cnn-layer, instance: {}}\n"}, ErrorId::kValue,
                 {"problem.shape", "4d-cnn-layer", "cnn-layer, dw-cnn-layer, gemm-abz or the shape itself"});
}

// What Timeloop's front-end and Accelergy write into trees: actions to estimate, components that are switched
// off, memories that keep nothing where only a fan-out is meant, and multipliers between the memories.
TEST(TimeloopImport, TreesOfTheFrontEnd) {
  const std::string tree = R"(
architecture:
  version: '0.4'
  subtree:
  - name: system
    local:
    - {name: "DRAM[1..1]", class: DRAM, enabled: true, required_actions: [leak, update, write, read],
       attributes: {width: 64, datawidth: 8, vector_access_energy: 200}}
    - {name: "Buffer[1..1]", class: smartbuffer_SRAM, required_actions: [leak, update, write, read], area_scale: 1,
       attributes: {depth: 1024, width: 64, datawidth: 8, vector_access_energy: 20}}
    - {name: Off, class: SRAM, enabled: false}
    - {name: "Columns[1..4]", class: dummy_storage, enabled: true, attributes: {width: 1, depth: 1, datawidth: 1, meshX: 4}}
    - {name: "MAC[1..32]", class: intmac, subclass: any, required_actions: [compute], attributes: {meshX: 4, energy: 1}}
    - {name: "Spad[1..32]", class: smartbuffer_RF, attributes: {meshX: 4, depth: 12, width: 8, datawidth: 8, vector_access_energy: 1}}
architecture_constraints:
  targets:
  - {target: Buffer, type: spatial, permutation: KRSCNPQ, split: 1}
  - {target: Columns, type: spatial, permutation: CRSKNPQ, split: 0}
  - {target: Columns, type: bypass, bypass: [Weights, Inputs, Outputs]}
)";
  const Imported from = imported({tree});
  const Chain chain = chain_of_import(from);
  ASSERT_EQ(chain.levels.size(), 3u);
  const ChainLevel& buffer = chain.levels[1];
  EXPECT_EQ(chain.levels[0].name, "Spad");
  EXPECT_EQ(buffer.name, "Buffer");
  EXPECT_EQ(buffer.fan_out_on(MeshAxis::X).size, 4);
  EXPECT_EQ(letters_of(buffer.fan_out_on(MeshAxis::X).dims), "K");
  EXPECT_EQ(buffer.fan_out_on(MeshAxis::Y).size, 8);
  EXPECT_EQ(chain.instances(-1), 32);
  EXPECT_TRUE(has_remark(from, "Columns keeps nothing", "Buffer"));
  EXPECT_TRUE(has_remark(from, "local[2].enabled", "switched off"));
  EXPECT_FALSE(has_remark(from, "required_actions"));
  expect_refused({replaced(tree, "area_scale: 1", "area_scale: 2")}, ErrorId::kValue,
                 {"local[1].area_scale", "2", "expected 1"});
  expect_refused({replaced(tree, "[1..4]", "[4..1]")}, ErrorId::kValue, {"local[3].name", "Columns[4..1]"});
  expect_refused({replaced(tree, "[1..4]", "[-9223372036854775807..9223372036854775807]")}, ErrorId::kValue,
                 {"local[3].name", "PE[0..15]"});
  expect_refused({"architecture: {version: 0.4, local: [{name: \"system.DRAM[1..1]\", class: DRAM}]}\n"},
                 ErrorId::kSchema, {"architecture.local", "Accelergy", "tree"});
}

TEST(TimeloopImport, MappingsAreReadForAMachine) {
  ImportOptions options;
  options.machine = load_machine("nvdla");
  const char* const mapping = R"(
mapping:
  - {target: Dram, type: temporal, factors: "Q=56", permutation: Q}
  - {target: 2, type: temporal, factors: K=4 P=4, permutation: PK}
  - {target: 2, type: spatial, factors: K16, permutation: K}
  - {target: 2, type: bypass, bypass: [Outputs]}
  - {target: 1, type: temporal, factors: S=3 R=3 P=14, permutation: PRS}
  - {target: 1, type: spatial, factors: C=0, split: 0}
  - {target: 1, type: bypass, keep: [Outputs], bypass: [Weights, Inputs]}
  - {target: 0, type: bypass, bypass: [Inputs, Outputs]}
)";
  const std::string problem = "problem: {R: 3, S: 3, P: 56, Q: 56, C: 64, K: 64, N: 1}\n";
  const Imported from = imported({mapping, problem}, options);
  EXPECT_EQ(*from.mapping, "L3[WIO] Q56 - L2[WI] K4 P4 K16X - L1[O] S3 R3 P14 C64Y - L0[W] N1");
  EXPECT_TRUE(has_remark(from, "link transfers are not counted"));
  expect_refused({mapping}, ErrorId::kValue, {"mapping[5].factors", "C=0", "problem"}, options);
  expect_refused({mapping}, ErrorId::kUsage, {"f0.yaml: mapping", "--machine"});
  const auto refused = [&](const char* from_text, const char* to, ErrorId id,
                           const std::vector<std::string>& parts) {
    expect_refused({replaced(mapping, from_text, to), problem}, id, parts, options);
  };
  refused("target: Dram", "target: DRAN", ErrorId::kMapping, {"mapping[0].target", "DRAN", "dram"});
  refused("Q=56", "Q=55,56", ErrorId::kValue, {"mapping[0].factors", "last run"});
  refused("Q=56", "Q=28", ErrorId::kMapping, {"f0.yaml: mapping", "Q multiply to 28", "56"});
  refused("Q=56", "Q:56", ErrorId::kSyntax, {"mapping[0].factors", "Q:56"});
  refused("permutation: PK", "permutation: P", ErrorId::kValue, {"mapping[1]", "2 loops", "place"});
  refused("permutation: PK", "permutation: PKX", ErrorId::kValue, {"mapping[1].permutation", "'X'"});
  refused("type: temporal", "type: skew", ErrorId::kValue, {"mapping[0].type", "skew", "temporal"});
  refused("bypass: [Outputs]", "bypass: []", ErrorId::kMapping, {"mapping[3]", "WIO", "WI"});
  refused("- {target: 0, type: bypass, bypass: [Inputs, Outputs]}", "", ErrorId::kMapping,
          {"no bypass", "W"});
  refused("split: 0", "split: 0, no_multicast_no_reduction: [Inputs]", ErrorId::kValue,
          {"mapping[5].no_multicast_no_reduction", "reused"});
}

TEST(TimeloopImport, WhatHasNoCounterpartIsNamedInOneLine) {
  const auto tree = [](const char* from, const char* to, ErrorId id, const std::vector<std::string>& parts) {
    expect_refused({replaced(kTree, from, to)}, id, parts);
  };
  tree("version: 0.3", "version: 0.5", ErrorId::kValue, {"f0.yaml: architecture.version", "0.5", "0.4"});
  tree("class: intmac", "class: adder", ErrorId::kValue, {"no multipliers", "intmac"});
  tree("class: regfile", "class: SimpleMulticast", ErrorId::kValue, {"local[0].class", "network", "none"});
  tree("n_banks: 2", "network_read: noc", ErrorId::kValue, {"attributes.network_read", "noc", "network"});
  tree("n_banks: 2", "router-energy: 0.5", ErrorId::kValue,
       {"attributes.router-energy", "0.5", "expected 0"});
  tree("n_banks: 2", "cluster-size: 4", ErrorId::kValue, {"cluster-size", "4", "expected 1"});
  tree("n_banks: 2", "metadata_datawidth: 4", ErrorId::kValue, {"metadata_datawidth", "sparsity"});
  tree("n_banks: 2", "compression_supported: yes", ErrorId::kValue, {"compression_supported", "sparsity"});
  tree("n_banks: 2", "addr-gen-energy: 1", ErrorId::kValue, {"addr-gen-energy", "expected 0"});
  tree("n_banks: 2", "allow_overbooking: True", ErrorId::kValue, {"allow_overbooking", "tiles must fit"});
  tree("n_banks: 2", "entries: 4", ErrorId::kSchema, {"local[0]", "two of entries, depth and sizeKB"});
  tree("n_banks: 2", "word-bits: 8", ErrorId::kSchema, {"word-bits", "second name", "datawidth"});
  tree("depth: 12", "dept: 12", ErrorId::kSchema, {"local[0]", "'entries'"});
  tree("depth: 12", "depth: rows * 2", ErrorId::kValue, {"depth", "rows * 2", "expressions"});
  tree("meshX: 4,", "meshX: 3,", ErrorId::kValue, {"8 instances", "3 x 2", "product"});
  tree("block-size: 8,", "block-size: 8, entries: 100,", ErrorId::kValue, {"entries", "outermost"});
  tree("vector-access-energy: 26", "bits: 1", ErrorId::kSchema, {"no energy of Buffer", "ERT"});
  tree("write: {energy: 1.25}", "write: {energy: 1.5}", ErrorId::kValue,
       {"1.25 pJ for reads, 1.5", "one energy"});
  tree("type: temporal", "type: temporale", ErrorId::kValue, {"targets[2].type", "temporale", "bypass"});
  tree("target: Spad", "target: Spat", ErrorId::kValue, {"targets[2].target", "Spat", "DRAM, Buffer, Spad"});
  tree("P=1,Q=1", "P=1,Z=1", ErrorId::kValue, {"targets[2].factors", "'Z'", "R S P Q C K N"});
  tree("permutation: RSC", "no_temporal_reuse: [Inputs]", ErrorId::kValue, {"no_temporal_reuse", "Inputs"});
  tree("bypass: [Weights]", "bypass: [Weights, Inputs]", ErrorId::kValue,
       {"targets[0]", "Inputs in keep and"});
  tree("bypass: [Weights]", "bypass: [Filters]", ErrorId::kValue,
       {"targets[0].bypass", "'Filters'", "Weights"});
  tree("- name: chip", "- {name: other}\n        - name: chip", ErrorId::kValue,
       {"subtree[0].subtree", "2 trees"});
  tree("ERT:", "sparse_optimizations: {targets: [1]}\nERT:", ErrorId::kValue,
       {"sparse_optimizations", "sparsity"});
  tree("  constraints:", "  local: []\n  nodes: []\n  constraints:", ErrorId::kSchema,
       {"'subtree' and 'nodes'"});
  const auto nodes = [](const char* from, const char* to, ErrorId id, const std::vector<std::string>& parts) {
    expect_refused({replaced(kNodes, from, to), kProblem}, id, parts);
  };
  nodes("!Parallel", "!Pipelined", ErrorId::kValue, {"nodes[4]", "!Pipelined", "!Parallel"});
  nodes("- !Parallel", "- ", ErrorId::kSchema, {"nodes[4]", "'!' is missing"});
  nodes("spatial: {meshX: 4, meshY: 2}", "networks: [{name: noc}]", ErrorId::kValue, {"networks", "network"});
  nodes("entries: 1024", "sparse: 1", ErrorId::kSchema, {"nodes[2]", "'entries'"});
  nodes("    spatial: {meshX: 4", "    sparse_optimizations: {x: 1}\n    spatial: {meshX: 4", ErrorId::kValue,
        {"nodes[3].sparse_optimizations", "sparsity"});
  nodes("[R=1, S=1, N=1]", "[R=1, S=1, N=1, K=1]", ErrorId::kValue, {"factors", "'K'", "C M R S N P Q"});
  const auto problem = [](const char* from, const char* to, ErrorId id,
                          const std::vector<std::string>& parts) {
    expect_refused({replaced(kProblem, from, to)}, id, parts);
  };
  problem("[P, Ws]", "[P, Q]", ErrorId::kValue,
          {"data_spaces[1].projection[2][1][1]", "\"Q\"", "coefficient"});
  problem("[P, Ws]", "[P, Ws, Hs]", ErrorId::kValue, {"projection[2][1]", "3 factors"});
  problem("[[R], [P, Ws]]", "[[R], [P, Ws], [N]]", ErrorId::kValue, {"projection[2]", "3 terms"});
  problem("[[R], [P, Ws]]", "[[M], [P, Ws]]", ErrorId::kValue,
          {"projection[2][0]", "found M + P*Ws", "weights alone"});
  problem("[[[C]], [[M]]", "[[[C, Ws]], [[M]]", ErrorId::kValue, {"C*Ws", "single dimension"});
  problem(", read_write: True", "", ErrorId::kValue, {"0 tensors with read-write", "one"});
  problem("Ws: 2}", "Ws: 2, densities: {Images: 0.5}}", ErrorId::kValue,
          {"densities.Images", "0.5", "sparsity"});
  problem("C: 3,", "", ErrorId::kSchema, {"problem.instance", "'C' is missing"});
  problem("C: 3,", "C: 0,", ErrorId::kValue, {"problem.instance.C", "0"});
  problem("name: conv", "flatten: [1]", ErrorId::kValue, {"shape.flatten"});
}

TEST(TimeloopImport, ReportsAreReadByTheirTotals) {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& content) {
    return timeloop::read_stats(folder.file("timeloop-mapper.stats.txt", content));
  };
  const std::string report =
      "Level 0\n    Cycles               : 12\n    Energy (total)  : 3.00 pJ\n\nSummary Stats\n"
      "Utilization: 0.05\nCycles: 25165824\nEnergy: 2419.23 uJ\nEDP(J*cycle): 6.09e+04\n";
  const timeloop::Stats stats = read(report);
  EXPECT_EQ(stats.cycles, 25165824);
  EXPECT_EQ(stats.energy_uj, 2419.23);
  EXPECT_DOUBLE_EQ(stats.energy_digit, 0.01);
  expect_error([&] { read(replaced(report, "Energy: 2419.23 uJ", "")); }, ErrorId::kSyntax,
               {"timeloop-mapper.stats.txt", "'Energy: X uJ'"});
  expect_error([&] { read(replaced(report, "2419.23 uJ", "2419.23 pJ")); }, ErrorId::kSyntax,
               {"line 8", "2419.23 pJ", "Energy: NUMBER uJ"});
  expect_error([&] { read(replaced(report, "25165824", "nan")); }, ErrorId::kSyntax, {"line 7", "nan"});
  expect_error([&] { read(replaced(report, "25165824", "-1")); }, ErrorId::kSyntax, {"line 7", "over 0"});
  expect_error([] { timeloop::read_stats("/nowhere.stats.txt"); }, ErrorId::kFile, {"/nowhere.stats.txt"});
}

// Folders as CoSA and DOSA publish them: a list beside the layers says which of them run, and how often.
TEST(TimeloopImport, ListsOfAFolderSayWhatRuns) {
  const auto problem = [](int channels) {
    return fmt::format("problem: {{R: 3, S: 3, P: 14, Q: 14, C: {}, K: 64, N: 1, shape: cnn-layer}}\n",
                       channels);
  };
  const TemporaryFolder folder;
  folder.file("a.yaml", problem(8));
  folder.file("b.1.yaml", problem(16));
  folder.file("same.yaml", problem(16));
  folder.file("example.yaml", problem(1) + "---\n" + problem(2));
  const auto runs = [&](std::vector<std::string>* remarks = nullptr) {
    const Imported from = import_files({folder.path().string()});
    if (remarks != nullptr) *remarks = from.remarks;
    std::map<std::string, std::int64_t> counts;
    for (const Json& layer : (*from.workload)["layers"]) counts[layer["name"]] = layer["count"];
    return counts;
  };
  const auto refused = [&](ErrorId id, const std::vector<std::string>& parts) {
    expect_error([&] { runs(); }, id, parts);
  };
  refused(ErrorId::kSyntax, {"example.yaml", "second document"});
  folder.file("layers.yaml", "- b.1\n- a\n- same\n- a\n");
  using Counts = std::map<std::string, std::int64_t>;
  std::vector<std::string> remarks;
  EXPECT_EQ(runs(&remarks), (Counts{{"a", 2}, {"b.1", 2}}));
  ASSERT_EQ(remarks.size(), 1U);
  EXPECT_NE(remarks[0].find("layers.yaml: left out, since not named there: example.yaml"), std::string::npos);
  folder.file("layer_count.yaml", "'3_3_14': {count: 5, name: a}\n'other': {count: 1, name: same}\n");
  EXPECT_EQ(runs(), (Counts{{"a", 5}, {"same", 1}}));
  folder.file("layer_count.yaml", "'3_3_14': {count: 0, name: a}\n");
  refused(ErrorId::kValue, {"layer_count.yaml", "count", "0"});
  folder.file("layer_count.yaml", "'3_3_14': 5\n");
  EXPECT_EQ(runs(), (Counts{{"a", 2}, {"b.1", 2}})) << "without names it is no list of files";
  folder.file("layers.yaml", "- a\n- ../a\n");
  refused(ErrorId::kValue, {"layers.yaml", "../a.yaml", "no file"});
  folder.file("layers.yaml", "- c\n");
  folder.file("c.yaml", "text\n");
  refused(ErrorId::kValue, {"c.yaml", "no format"});
}

TEST(TimeloopImport, FilesThatExplodeOrSayThingsTwiceAreRefused) {
  expect_refused({"architecture: &a {version: 0.3, subtree: [*a]}\n"}, ErrorId::kSyntax,
                 {"f0.yaml: line 1", "anchor that contains itself"});
  expect_refused({"architecture: &a {<<: *a, version: 0.3}\n"}, ErrorId::kSyntax,
                 {"anchor that contains itself"});
  std::string bomb = "a0: &a0 [1, 1]\n";
  for (int i = 1; i < 40; ++i) bomb += fmt::format("a{0}: &a{0} [*a{1}, *a{1}]\n", i, i - 1);
  expect_refused({bomb + "problem: *a39\n"}, ErrorId::kSyntax, {"values with aliases written out"});
  expect_refused({"problem: {C: 1, C: 2}\n"}, ErrorId::kSyntax, {"line 1", "'C' twice"});
  expect_refused({"problem: {C: 1}\n---\nproblem: {C: 2}\n"}, ErrorId::kSyntax,
                 {"line 3", "second document"});
  expect_refused({"problem: {C: 1, <<: 5}\n"}, ErrorId::kSyntax, {"'<<'", "object"});
  expect_refused({"problem: {C: !big 1}\n"}, ErrorId::kSyntax, {"!big", "objects only"});
  expect_refused({std::string("problem: ") + std::string(100, '[') + std::string(100, ']') + "\n"},
                 ErrorId::kSyntax, {"64"});
  expect_refused({"problem: {{include('x')}}\n"}, ErrorId::kSyntax, {"f0.yaml"});
  expect_refused({"# " + std::string(5 << 20, 'x') + "\nproblem: {}\n"}, ErrorId::kFile, {"4 MiB"});
  expect_refused({"layers: []\n"}, ErrorId::kValue, {"f0.yaml", "no format", "timeloop"});
  expect_refused({"ERT: {version: 0.2, tables: {}}\n"}, ErrorId::kSchema, {"ERT", "no architecture"});
  expect_refused({kTree, kTree}, ErrorId::kSchema, {"f1.yaml: architecture", "f0.yaml: architecture"});
  expect_error([] { import_files({"/nowhere.yaml"}); }, ErrorId::kFile, {"/nowhere.yaml"});
}

}  // namespace
}  // namespace dosa
