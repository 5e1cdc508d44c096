#include "dosa/core/targets/gemmini/campaign/plan.hpp"

#include <algorithm>

#include "dosa/core/targets/gemmini/campaign/program.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

constexpr const char* kSchema = "dosa-plan/1";

// Settings of data/gemmini/dosa_harness.c.
constexpr std::int64_t kCheckPoints = 32;
// Lines of 64 bytes in the last-level cache of Chipyard, 512 KiB.
constexpr std::int64_t kCacheLines = 8192;
// What ProgramCycles is made of: an instruction a cycle, and every weight of a compared output in a line of
// its own, half of them in a cache. Telling the cache to give up a line took 16 cycles on RTL (Rocket,
// Gemmini of April 2023) where it had none, and 117 where it wrote one back.
constexpr std::int64_t kStartCycles = 50'000, kSurroundCycles = 20'000, kFillCyclesPerByte = 5,
                       kCheckCyclesPerProduct = 80, kFlushCyclesPerLine = 16, kWriteBackCyclesPerLine = 101;

/// The program of the next measurement as its file names it: the last one's, or the one behind it.
std::size_t program_from_json(const JsonInput& json, const Plan& plan) {
  const std::string found = json.text();
  const std::size_t last = plan.measurements.empty() ? 0 : plan.measurements.back().program;
  if (found == program_name(last) + ".c") return last;
  if (!plan.measurements.empty() && found == program_name(last + 1) + ".c") return last + 1;
  fail(ErrorId::kValue, "{}: found \"{}\", expected \"{}.c\" or the one behind it", json.where(), found,
       program_name(last));
}

}  // namespace

std::string program_name(std::size_t program) { return fmt::format("dosa_batch_{:03}", program); }

void BatchLimits::check() const {
  if (measurements < 1 || measurements > 4096)
    fail(ErrorId::kValue, "batch: found {}, expected 1 to 4096 measurements", measurements);
  if (cycles < 0) fail(ErrorId::kValue, "batch_cycles: found {}, expected 0 or more cycles", cycles);
}

void Plan::assign_programs(const BatchLimits& limits) {
  limits.check();
  std::stable_sort(measurements.begin(), measurements.end(), [](const PlannedCall& a, const PlannedCall& b) {
    return std::pair(a.layer, a.tile.call) < std::pair(b.layer, b.tile.call);
  });
  std::int64_t count = 0, cycles = 0;
  std::size_t program = 0;
  for (std::size_t i = 0; i < measurements.size(); ++i) {
    PlannedCall& m = measurements[i];
    const Layer& layer = layers[m.layer];
    const ProgramCycles around = ProgramCycles::of(layer, m.tile.call);
    const std::int64_t more = least_cycles(layer, m.tile.call, hardware.pe_dim) + around.surround;
    const bool is_prepared =
        count > 0 && measurements[i - 1].layer == m.layer && measurements[i - 1].tile.call == m.tile.call;
    const std::int64_t prepare = is_prepared ? 0 : around.prepare;
    const bool full =
        count == limits.measurements || (limits.cycles > 0 && more + prepare > limits.cycles - cycles);
    if (full && count > 0) {
      ++program;
      count = 0;
    }
    cycles = count == 0 ? around.start + around.prepare + more : cycles + prepare + more;
    m.program = program;
    ++count;
  }
}

std::vector<Program> Plan::programs() const {
  std::vector<Program> list;
  for (std::size_t i = 0; i < measurements.size(); ++i) {
    if (i == 0 || measurements[i].program != measurements[i - 1].program)
      list.push_back({program_name(measurements[i].program), i, 0});
    ++list.back().count;
  }
  return list;
}

OperandBytes operand_bytes(const Layer& l, gemmini::Call call) {
  const DimSizes e = gemmini::extents(l, call);
  const auto at = [&](Dim d) { return e[static_cast<std::size_t>(d)]; };
  const std::int64_t pixels =
      gemmini::is_product(call) ? at(Dim::P) : at(Dim::N) * l.input_height() * l.input_width();
  return {pixels * at(Dim::C), at(Dim::R) * at(Dim::S) * at(Dim::C) * at(Dim::K),
          at(Dim::P) * at(Dim::Q) * at(Dim::N) * at(Dim::K)};
}

std::int64_t least_cycles(const Layer& layer, gemmini::Call call, std::int64_t pe_dim) {
  const DimSizes e = gemmini::extents(layer, call);
  std::int64_t rows = 1;
  for (const Dim d : all_dims()) {
    const std::int64_t size = e[static_cast<std::size_t>(d)];
    rows *= d == Dim::C || d == Dim::K ? ceil_div(size, pe_dim) : size;
  }
  const OperandBytes bytes = operand_bytes(layer, call);
  return std::max({std::int64_t{1}, rows, (bytes.input + bytes.weights + bytes.output) / 8});
}

ProgramCycles ProgramCycles::of(const Layer& layer, gemmini::Call call) {
  const DimSizes e = gemmini::extents(layer, call);
  const auto at = [&](Dim d) { return e[static_cast<std::size_t>(d)]; };
  const OperandBytes bytes = operand_bytes(layer, call);
  const std::int64_t products = std::min(kCheckPoints, bytes.output) * at(Dim::R) * at(Dim::S) * at(Dim::C);
  const std::int64_t lines = ceil_div(bytes.input + bytes.weights + bytes.output, 64);
  return {
      kStartCycles, (bytes.input + bytes.weights) * kFillCyclesPerByte + products * kCheckCyclesPerProduct,
      kSurroundCycles + lines * kFlushCyclesPerLine + std::min(lines, kCacheLines) * kWriteBackCyclesPerLine};
}

Plan plan_from_json(const JsonInput& json) {
  json.require_schema(kSchema);
  json.allow_only({"schema", "workload", "hardware", "library", "area_mm2", "built_from", "layers",
                   "measurements", "remarks"});
  Plan plan;
  plan.workload = json.at("workload").text();
  plan.hardware = sizes_from_json(json.at("hardware"));
  if (const auto library = json.find("library")) plan.library = {library->text(), library->where()};
  if (const auto area = json.find("area_mm2")) plan.area_mm2 = area->number(0);
  if (const auto remarks = json.find("remarks")) {
    for (const JsonInput& remark : remarks->items()) plan.remarks.push_back(remark.text());
  }
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
    measurement.program = program_from_json(item.at("program"), plan);
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
                            {"program", program_name(m.program) + ".c"}});
  }
  Json json{{"schema", kSchema},
            {"workload", plan.workload},
            {"hardware", to_json(plan.hardware)},
            {"library", plan.library.month()},
            {"built_from", Json::array({gemmini::kHardwareCommit, plan.library.text()})},
            {"layers", layers},
            {"measurements", measurements}};
  if (plan.area_mm2 > 0) json["area_mm2"] = plan.area_mm2;
  if (!plan.remarks.empty()) json["remarks"] = plan.remarks;
  return json;
}

void check_plan(const Plan& plan) {
  const auto refuse = [](ErrorId id, const std::string& where,
                         const std::vector<gemmini::Violation>& violations) {
    if (!violations.empty()) fail(id, "{}: {}", where, gemmini::summary(violations));
  };
  refuse(ErrorId::kValue, "hardware", gemmini::check_hardware(plan.hardware));
  if (!plan.library.runs_programs()) {
    fail(ErrorId::kValue, "library: found {}, tiled_conv has the arguments of our programs since 2023-02",
         plan.library.month());
  }
  for (const PlannedCall& m : plan.measurements) {
    const Layer& layer = plan.layers.at(m.layer);
    const std::string where = fmt::format("layer {}", layer.name);
    refuse(ErrorId::kValue, where, gemmini::check_call(layer, m.tile.call));
    const auto violations = gemmini::check_tile(layer, plan.hardware, m.tile);
    refuse(gemmini::only_lacks_room(layer, plan.hardware, m.tile) ? ErrorId::kCapacity : ErrorId::kMapping,
           where, violations);
  }
}

std::vector<OutputFile> campaign_files(const Plan& plan) {
  check_plan(plan);
  std::vector<OutputFile> files{{"CustomConfigs.scala", scala_config(plan)},
                                {"DosaSoCConfig.scala", scala_soc(plan)},
                                {"expected_params.json", expected_params(plan.hardware).dump(2) + "\n"},
                                {"dosa_tiles.h", tile_table(plan)},
                                {"dosa_harness.c", harness()}};
  for (const Program& program : plan.programs())
    files.push_back({program.name + ".c", program_text(plan, program)});
  files.push_back({"Makefile", makefile(plan)});
  files.push_back({"plan.json", to_json(plan).dump(2) + "\n"});
  return files;
}

}  // namespace dosa
