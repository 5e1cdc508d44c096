// Is an imported machine the one that Timeloop counted with? Against its tables.
#include <gtest/gtest.h>

#include "dosa/core/design/validate.hpp"
#include "dosa/core/import/importer.hpp"
#include "dosa/models/chain/chain.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

struct Reference {
  const char* name;
  std::vector<ImportOptions::Holds> holds;  // these architectures come without constraints
};

const Reference kReferences[]{
    {"simba",
     {{"WeightReg", "W"},
      {"AccumBuffer", "O"},
      {"WeightBuffer", "W"},
      {"InputBuffer", "I"},
      {"GlobalBuffer", "IO"}}},
    {"eyeriss", {{"WeightSpad", "W"}, {"InputSpad", "I"}, {"PsumSpad", "O"}, {"GlobalBuffer", "IO"}}},
    {"nvdla", {{"WeightReg", "W"}, {"Accumulator", "O"}, {"ConvBuffer", "WI"}}},
    {"tpu", {{"WeightReg", "W"}, {"Accumulator", "O"}, {"WeightFIFO", "W"}, {"UnifiedBuffer", "IO"}}}};

class ImportedReference : public ::testing::TestWithParam<Reference> {};

TEST_P(ImportedReference, EveryCountIsTimeloops) {
  const std::string name = std::string("machines/") + GetParam().name;
  const auto architecture = testing::reference_data(name + ".yaml");
  const auto table = testing::reference_data(name + ".csv.gz");
  DOSA_SKIP_WITHOUT(architecture && table, name);
  ImportOptions options;
  options.holds = GetParam().holds;
  const Imported imported = import_files({architecture->string()}, options);
  EXPECT_TRUE(imported.remarks.empty()) << imported.remarks.front();
  const Chain chain = read_chain(JsonInput::from_text(imported.machine->dump(), "imported"));
  const Json report = validate_table(*table, chain, 5).to_json();
  EXPECT_EQ(report["rows"], 500) << report.dump(1);
  EXPECT_EQ(report["exact_cycles"], 500);
  EXPECT_EQ(report["exact_accesses"], 500);
  EXPECT_EQ(report["exact_energy"], 500);
}

INSTANTIATE_TEST_SUITE_P(All, ImportedReference, ::testing::ValuesIn(kReferences),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace dosa
