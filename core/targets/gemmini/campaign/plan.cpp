#include "dosa/core/targets/gemmini/campaign/plan.hpp"

#include "dosa/core/targets/gemmini/campaign/program.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

constexpr const char* kSchema = "dosa-plan/1";

}  // namespace

std::size_t Plan::program_count() const { return (measurements.size() + per_program - 1) / per_program; }

std::string Plan::program_of(std::size_t measurement) const {
  return fmt::format("dosa_batch_{:03}.c", measurement / per_program);
}

Plan plan_from_json(const JsonInput& json) {
  json.require_schema(kSchema);
  json.allow_only({"schema", "workload", "hardware", "built_from", "per_program", "layers", "measurements"});
  Plan plan;
  plan.workload = json.at("workload").text();
  plan.hardware = hardware_from_json(json.at("hardware"));
  plan.per_program = static_cast<std::size_t>(json.at("per_program").integer(1, 1 << 20));
  for (const JsonInput& item : json.at("layers").items()) plan.layers.push_back(layer_from_json(item));
  for (const JsonInput& item : json.at("measurements").items()) {
    item.allow_only({"layer", "mapping", "tiling", "tile", "program"});
    PlannedCall measurement;
    measurement.layer = static_cast<std::size_t>(
        item.at("layer").integer(0, static_cast<std::int64_t>(plan.layers.size()) - 1));
    const auto id = static_cast<std::int64_t>(plan.measurements.size());
    item.at("mapping").integer(id, id);  // ids are positions
    measurement.tiling = item.at("tiling").text();
    if (measurement.tiling.find_first_of(",\"\r\n") != std::string::npos) {
      fail(ErrorId::kValue, "{}: found \"{}\", expected a word", item.at("tiling").where(),
           measurement.tiling);
    }
    measurement.tile = gemmini::tile_from_json(item.at("tile"));
    plan.measurements.push_back(measurement);
  }
  return plan;
}

Json to_json(const Plan& plan) {
  Json layers = Json::array(), measurements = Json::array();
  for (const Layer& layer : plan.layers) layers.push_back(to_json(layer));
  for (std::size_t i = 0; i < plan.measurements.size(); ++i) {
    const PlannedCall& m = plan.measurements[i];
    measurements.push_back({{"layer", m.layer},
                            {"mapping", i},
                            {"tiling", m.tiling},
                            {"tile", gemmini::to_json(m.tile)},
                            {"program", plan.program_of(i)}});
  }
  return {{"schema", kSchema},
          {"workload", plan.workload},
          {"hardware", to_json(plan.hardware)},
          {"built_from", Json::array({gemmini::kHardwareCommit, gemmini::kLibraryCommit})},
          {"per_program", plan.per_program},
          {"layers", layers},
          {"measurements", measurements}};
}

void check_plan(const Plan& plan) {
  const auto refuse = [](ErrorId id, const std::string& where,
                         const std::vector<gemmini::Violation>& violations) {
    if (!violations.empty()) fail(id, "{}: {}", where, gemmini::summary(violations));
  };
  refuse(ErrorId::kValue, "hardware", gemmini::check_hardware(plan.hardware));
  for (const PlannedCall& m : plan.measurements) {
    const Layer& layer = plan.layers.at(m.layer);
    const std::string where = fmt::format("layer {}", layer.name);
    refuse(ErrorId::kValue, where, gemmini::check_call(layer, m.tile.call));
    const auto violations = gemmini::check_tile(layer, plan.hardware, m.tile);
    const bool fits = gemmini::fits(layer, m.tile, gemmini::params_of(plan.hardware));
    refuse(fits ? ErrorId::kMapping : ErrorId::kCapacity, where, violations);
  }
}

std::vector<OutputFile> campaign_files(const Plan& plan) {
  check_plan(plan);
  std::vector<OutputFile> files{{"CustomConfigs.scala", scala_config(plan.hardware)},
                                {"DosaSoCConfig.scala", scala_soc(plan.hardware)},
                                {"expected_params.json", expected_params(plan.hardware).dump(2) + "\n"},
                                {"dosa_tiles.h", tile_table(plan)},
                                {"dosa_harness.h", harness()}};
  for (std::size_t program = 0; program < plan.program_count(); ++program) {
    files.push_back({plan.program_of(program * plan.per_program), program_text(plan, program)});
  }
  files.push_back({"Makefile.dosa", makefile_notes(plan)});
  files.push_back({"plan.json", to_json(plan).dump(2) + "\n"});
  return files;
}

}  // namespace dosa
