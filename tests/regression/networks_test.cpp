// From network to files: is what is found for every shipped network legal, does it fit, and does it export?
#include <gtest/gtest.h>

#include <algorithm>

#include "dosa/core/export/exporter.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/core/targets/mapping/target.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/core/export/from_timeloop.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

class ShippedNetworks : public ::testing::TestWithParam<std::string> {};

TEST_P(ShippedNetworks, FoundDesignsAreLegalFitAndExport) {
  TargetOptions model;
  model.shipped_surrogate = true;
  const TargetPtr target = load_target(gemmini::kTarget, model);
  const auto array = as_array_machine(target->shared_machine(), "test");
  const ArrayMachine& machine = *array;
  SearchProblem problem;
  problem.workload = load_workload(GetParam());
  problem.target = target;
  problem.bounds = {ArraySizes{16, 16, 4}, ArraySizes{16, 512, 256}};
  problem.objective = Objective::from_name("edp");
  SearchOptions options;
  options.stages = Stages::kDescentAndPolish;
  options.starts = 2;
  options.steps = 10;
  options.round_every = 10;
  options.polish_nests = 200;
  options.threads = 2;
  const Design design = optimize(problem, options).best;
  ASSERT_EQ(design.layers.size(), problem.workload.layers.size());
  ASSERT_TRUE(gemmini::is_legal(ArraySizes::of(design.hardware))) << design.machine->text(design.hardware);
  double macs = 0;
  for (const DesignLayer& entry : design.layers) {
    EXPECT_NO_THROW(gemmini::tile_of(entry.layer, entry.schedule, ArraySizes::of(design.hardware)))
        << entry.layer.name;
    macs += static_cast<double>(entry.layer.macs() * entry.layer.repetitions());
  }
  for (const char* format : {"gemmini", "timeloop"}) {
    const testing::TemporaryFolder folder;
    const std::vector<OutputFile> files = exporter(format).files(design, *target);
    write_folder(folder.path() / "out", format, files);
    for (const OutputFile& file : files)
      EXPECT_EQ(read_file(folder.path() / "out" / file.name), file.content) << file.name;
  }
  // What Timeloop is told: mappings that come back and belong to their problems, on half of the memories.
  Design exported = design;
  const std::vector<OutputFile> files = exporter("timeloop").files(design, *target);
  const auto content = [&](const Json& name) {
    const auto found = std::find_if(files.begin(), files.end(),
                                    [&](const OutputFile& f) { return f.name == name.get<std::string>(); });
    return found == files.end() ? std::string() : found->content;
  };
  const Json expected = Json::parse(content("expected.json"));
  double ratio = 0;
  for (std::size_t i = 0; i < design.layers.size(); ++i) {
    const Json& entry = expected["layers"][i];
    DesignLayer& layer = exported.layers[i];
    layer.layer = testing::layer_from_timeloop(content(entry["problem"]));
    layer.layer.count = entry["count"].get<std::int64_t>();
    layer.layer.groups = entry["groups"].get<std::int64_t>();
    layer.schedule = std::make_shared<MappingSchedule>(
        testing::mapping_from_timeloop(content(entry["mapping"]), machine), machine);
    ratio += static_cast<double>(layer.layer.macs() * layer.layer.repetitions()) / macs;
  }
  const TargetPtr nests = make_mapping_target(array, {});
  evaluate(exported, *nests);
  EXPECT_DOUBLE_EQ(exported.totals.cycles, expected["totals"]["cycles"].get<double>());
  EXPECT_DOUBLE_EQ(exported.totals.energy_uj, expected["totals"]["energy_uj"].get<double>());
  EXPECT_GE(ratio, 1);
  EXPECT_LT(ratio, 3) << "padding";
  RecordProperty("padded_macs_over_macs", fmt::format("{:.3f}", ratio));
  exported.hardware[kScratchpadParameter] /= 2;
  exported.hardware[kAccumulatorParameter] /= 2;
  EXPECT_NO_THROW(evaluate(exported, *nests));
}

INSTANTIATE_TEST_SUITE_P(All, ShippedNetworks, ::testing::ValuesIn(shipped_names("workloads")),
                         [](const auto& network) { return network.param; });

}  // namespace
}  // namespace dosa
