#include "dosa/core/targets/gemmini/target.hpp"

#include <algorithm>

#include "dosa/core/design/rows.hpp"
#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/targets/gemmini/default_comparison.hpp"
#include "dosa/core/targets/gemmini/export.hpp"
#include "dosa/core/targets/gemmini/machine_file.hpp"
#include "dosa/core/targets/gemmini/priced_tiles.hpp"
#include "dosa/core/targets/gemmini/space.hpp"
#include "dosa/core/targets/mapping/target.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::gemmini {
namespace {

/// Throws where the hardware cannot run the tile.
void check_runs(const Layer& layer, const Tile& tile, const ArraySizes& built) {
  const auto refuse = [&](ErrorId id, const std::vector<Violation>& violations) {
    if (!violations.empty()) fail(id, "layer {}: {}", layer.name, summary(violations));
  };
  calls_for(layer);  // throws where no call runs the layer
  refuse(ErrorId::kValue, check_call(layer, tile.call));
  refuse(only_lacks_room(layer, built, tile) ? ErrorId::kCapacity : ErrorId::kMapping,
         check_tile(layer, built, tile));
}

class GemminiTarget : public ArrayTarget {
 public:
  GemminiTarget(std::shared_ptr<const ArrayMachine> machine, std::optional<Surrogate> surrogate,
                std::string surrogate_path, double kappa, std::optional<GivenBaseline> baseline)
      : ArrayTarget(std::move(machine)),
        surrogate_(std::move(surrogate)),
        surrogate_path_(std::move(surrogate_path)),
        kappa_(kappa),
        baseline_(std::move(baseline)),
        model_(array_machine(), surrogate_ ? &*surrogate_ : nullptr) {}

  TargetPtr with(GivenBaseline baseline) const {
    return std::make_shared<GemminiTarget>(shared_array_machine(), surrogate_, surrogate_path_, kappa_,
                                           std::move(baseline));
  }
  std::string remark() const { return gemmini::remark(array_machine(), surrogate_.has_value()); }

  void check_hardware(const Hardware& hardware) const override {
    const auto violations = gemmini::check_hardware(ArraySizes::of(hardware));
    if (!violations.empty()) fail(ErrorId::kValue, "hardware: {}", summary(violations));
  }

  std::optional<CpuWork> cpu_work(const Layer& layer) const override {
    if (std::string reason = why_not_at_all(layer); !reason.empty())
      return CpuWork{true, "", std::move(reason)};
    if (std::string reason = why_im2col(layer); !reason.empty())
      return CpuWork{false, kIm2colWork, std::move(reason)};
    return std::nullopt;
  }

  std::vector<const char*> schedule_keys() const override { return {"tile", "mapping"}; }

  SchedulePtr read_schedule(const JsonInput& entry, const Layer& layer,
                            const Hardware& hardware) const override {
    if (const auto tile = entry.find("tile")) return std::make_shared<TileSchedule>(tile_from_json(*tile));
    if (!entry.find("mapping")) entry.at("tile");  // says that it is missing
    try {
      return schedule_of(read_mapping(entry, layer, array_machine()), layer, hardware);
    } catch (const Error& error) {
      throw error.in(entry.at("mapping").where());
    }
  }

  SchedulePtr schedule_of(const Mapping& mapping, const Layer& layer,
                          const Hardware& hardware) const override {
    check_mapping(mapping, layer, array_machine());
    try {
      return std::make_shared<TileSchedule>(
          tile_of_mapping(mapping, layer, calls_for(layer).front(), ArraySizes::of(hardware).pe_dim));
    } catch (const Error& error) {
      throw error.in(fmt::format("layer {}", layer.name));
    }
  }

  std::vector<LayerCosts> costs(const std::vector<Layer>& layers, const std::vector<SchedulePtr>& schedules,
                                const Hardware& hardware) const override {
    const ArraySizes sizes = ArraySizes::of(hardware);
    std::vector<Tile> tiles;
    for (std::size_t i = 0; i < layers.size(); ++i) tiles.push_back(tile_of(layers[i], schedules[i], sizes));
    const TileCosts costs = model_.costs(layers, tiles, sizes);
    std::vector<LayerCosts> result;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      result.push_back({at(costs.cycles, i), at(costs.energy_uj, i), {}, {}});
      if (!costs.log_sd.defined()) continue;
      result.back().analytical_cycles = at(costs.analytical_cycles, i);
      result.back().cycles_sd_log = at(costs.log_sd, i);
    }
    return result;
  }

  std::unique_ptr<PricedSchedules> price(const std::vector<Layer>& layers,
                                         const std::vector<SchedulePtr>& schedules,
                                         const Hardware& hardware) const override {
    const ArraySizes sizes = ArraySizes::of(hardware);
    std::vector<Tile> tiles;
    for (std::size_t i = 0; i < layers.size(); ++i) tiles.push_back(tile_of(layers[i], schedules[i], sizes));
    return priced_tiles(model_, layers, tiles, sizes);
  }

  MappedLayer as_mapping(const Layer& layer, const SchedulePtr& schedule,
                         const Hardware& hardware) const override {
    const ArraySizes sizes = ArraySizes::of(hardware);
    return padded_problem(layer, tile_of(layer, schedule, sizes), array_machine(), sizes);
  }

  std::optional<DefaultSchedule> default_schedule(const Layer& layer,
                                                  const Hardware& hardware) const override {
    LibraryChoice choice = library_choice(layer, ArraySizes::of(hardware));
    return DefaultSchedule{std::make_shared<TileSchedule>(choice.tile), std::move(choice.problem)};
  }

  std::optional<Explanation> compare_with_default(const Design& design) const override {
    std::vector<Layer> layers;
    std::vector<Tile> tiles;
    const ArraySizes sizes = ArraySizes::of(design.hardware);
    for (const DesignLayer& entry : design.layers) {
      layers.push_back(entry.layer);
      tiles.push_back(tile_of(entry.layer, entry.schedule, sizes));
    }
    return compare_with(reference_for(layers, array_machine(), sizes.pe_dim, baseline_), design, tiles,
                        model_);
  }

  Json model_record() const override {
    Json record = surrogate_ ? dosa::model_record(*surrogate_, surrogate_path_, kappa_) : Json("analytical");
    if (baseline_) {
      if (!record.is_object()) record = {{"name", record}};
      record["baseline"] = {{"name", baseline_->name}, {"hardware", dosa::to_json(baseline_->hardware)}};
      for (const auto& [layer, tile] : baseline_->tiles) record["baseline"]["tiles"].push_back(to_json(tile));
    }
    const LibraryVersion library = gemmini::library_of(array_machine());
    const bool is_todays = library == LibraryVersion();
    const std::string text = remark();
    if (!record.is_object() && (!is_todays || !text.empty())) record = {{"name", record}};
    if (!is_todays) record["library"] = library.month();
    if (!text.empty()) record["remark"] = text;
    return record;
  }

  void check_model_record(const JsonInput& record) const override {
    if (!record.value().is_object()) return;
    const auto recorded = record.find("library");
    const std::string month = gemmini::library_of(array_machine()).month();
    if (recorded && recorded->text() != month) {
      fail(
          ErrorId::kValue,
          "{}: found '{}', but machine {} is for the library of {}; --machine takes the file that the design "
          "was made with",
          recorded->where(), recorded->text(), machine().name, month);
    }
  }

  /// On the shipped networks a descent before the polish has changed no design (tests/regression), so none is
  /// done unless it is asked for.
  SearchOptions default_options() const override {
    SearchOptions options;
    options.stages = Stages::kPolish;
    options.starts = 8;
    options.steps = 150;
    options.round_every = 50;
    options.learning_rate = 0.15;
    options.polish_nests = 20'000;
    return options;
  }

  std::int64_t enumeration_limit() const override { return 200'000; }

  void narrow(HardwareBounds& all_bounds, const Hardware& all_fixed, const Hardware& all_max,
              const std::function<void(const std::string&)>& warn) const override {
    ArrayBounds bounds = ArrayBounds::of(all_bounds);
    const ArraySizes fixed = ArraySizes::of(all_fixed), max = ArraySizes::of(all_max);
    narrow_array(bounds, fixed, max);
    if (surrogate_) narrow_buffers(bounds, fixed, max, warn);
    // Fixed sizes must be legal as they are; what is free is set to what the others go with.
    const ArraySizes least = nearest_hardware({bounds.min.pe_dim, 1, 1});
    ArraySizes sizes{bounds.min.pe_dim, fixed.scratchpad_kib, fixed.accumulator_kib};
    if (sizes.accumulator_kib == 0) sizes.accumulator_kib = least.accumulator_kib;
    if (sizes.scratchpad_kib == 0)
      sizes.scratchpad_kib = std::max(least.scratchpad_kib, nearest_hardware(sizes).scratchpad_kib);
    const auto violations = gemmini::check_hardware(sizes);
    if (!violations.empty()) fail(ErrorId::kBounds, "hardware: {}", summary(violations));
    all_bounds.min = bounds.min;
    all_bounds.max = bounds.max;
  }

  std::unique_ptr<SearchSpace> space(const SearchProblem& problem, const std::string& device) const override {
    return std::make_unique<GemminiSpace>(problem, model_, kappa_, device, baseline_);
  }

 private:
  /// The array that the user gave; with a limit on the array or the area, those that were measured; else the
  /// default one.
  void narrow_array(ArrayBounds& bounds, const ArraySizes& fixed, const ArraySizes& max) const {
    if (fixed.pe_dim > 0) return;
    const std::int64_t usual = ArraySizes::of(machine().default_hardware).pe_dim;
    if (max.pe_dim == 0 && !std::isfinite(bounds.max_area_mm2) && usual <= bounds.max.pe_dim) {
      bounds.min.pe_dim = bounds.max.pe_dim = usual;
    } else if (surrogate_) {
      const std::vector<ArraySizes>& measured = surrogate_->target.hardware;
      const auto above = std::find_if(measured.begin(), measured.end(),
                                      [&](const ArraySizes& h) { return h.pe_dim > bounds.max.pe_dim; });
      if (above == measured.begin()) {
        fail(ErrorId::kBounds,
             "--max-pe: found {}, the smallest array that the surrogate was trained on has {}; --pe {} asks "
             "for "
             "it all the same",
             bounds.max.pe_dim, measured.front().pe_dim, bounds.max.pe_dim);
      }
      bounds.max.pe_dim = (above - 1)->pe_dim;
      bounds.min.pe_dim = std::max(bounds.min.pe_dim, measured.front().pe_dim);
    } else {
      bounds.max.pe_dim = std::min(bounds.max.pe_dim, usual);
    }
  }

  /// Buffers up to those for which the surrogate's error was tested; a user may go beyond that, with a
  /// warning. A tile may take half of a buffer: in larger buffers than measured, larger tiles than any that
  /// were.
  void narrow_buffers(ArrayBounds& bounds, const ArraySizes& fixed, const ArraySizes& max,
                      const std::function<void(const std::string&)>& warn) const {
    const auto limit = [&](std::int64_t ArraySizes::*size, std::int64_t in_measurements, const char* name) {
      if (in_measurements == 0) return;
      const std::int64_t most = in_measurements << kTestedOctaves;
      const bool given = fixed.*size > 0 || max.*size > 0;
      if (!given) bounds.max.*size = std::min(bounds.max.*size, most);
      if (bounds.max.*size <= most || !warn) return;
      warn(fmt::format(
          "the surrogate was trained on tiles of {} KiB of {}; how it errs was tested up to {} KiB",
          in_measurements, name, most));
    };
    ArraySizes largest;  // that any of the arrays was measured with
    for (const ArraySizes& h : surrogate_->target.hardware) {
      if (h.pe_dim < bounds.min.pe_dim || h.pe_dim > bounds.max.pe_dim) continue;
      largest.scratchpad_kib = std::max(largest.scratchpad_kib, h.scratchpad_kib);
      largest.accumulator_kib = std::max(largest.accumulator_kib, h.accumulator_kib);
    }
    limit(&ArraySizes::scratchpad_kib, largest.scratchpad_kib, "scratchpad");
    limit(&ArraySizes::accumulator_kib, largest.accumulator_kib, "accumulator");
  }

  std::optional<Surrogate> surrogate_;
  std::string surrogate_path_;
  double kappa_;
  std::optional<GivenBaseline> baseline_;
  RtlModel model_;
};

}  // namespace

TargetPtr make_gemmini_target(const MachinePtr& machine, const TargetOptions& options) {
  if (!(options.kappa >= 0 && options.kappa <= 10))
    fail(ErrorId::kValue, "kappa: found {}, expected 0 to 10", options.kappa);
  const auto own = as_array_machine(machine, "rules: gemmini");
  try {
    check_machine(*own);
  } catch (const Error& error) {
    throw error.in(fmt::format("machine {}", machine->name));
  }
  // Every machine with these rules is a Gemmini, whatever its name; it may have another DRAM.
  std::string path = options.surrogate;
  std::optional<Surrogate> surrogate;
  if (options.shipped_surrogate && path.empty()) path = shipped_surrogate(kTarget).string();
  if (!path.empty()) {
    surrogate = Surrogate::load(path);
    if (surrogate->target.name != kTarget) {
      fail(ErrorId::kValue, "{}: target.name: found {}, the search is for {}", path, surrogate->target.name,
           kTarget);
    }
  } else if (!options.recorded.is_null()) {
    surrogate = surrogate_for(options.recorded, kTarget, "");
    if (surrogate) path = shipped_surrogate(kTarget).string();
  }
  if (surrogate) {
    try {
      surrogate = surrogate->for_dram(dram_words_per_cycle(*own));
    } catch (const Error& error) {
      throw error.in(fmt::format("machine {}", machine->name));
    }
  }
  return std::make_shared<GemminiTarget>(own, std::move(surrogate), std::move(path), options.kappa,
                                         std::nullopt);
}

TargetPtr with_baseline(const Target& target, GivenBaseline baseline) {
  const auto* own = dynamic_cast<const GemminiTarget*>(&target);
  if (own == nullptr) {
    fail(ErrorId::kValue, "--baseline: {} has no software that maps layers by itself, only a Gemmini has",
         target.machine().name);
  }
  try {
    own->check_hardware(baseline.hardware);
    for (const auto& [layer, tile] : baseline.tiles) check_runs(layer, tile, baseline.hardware);
  } catch (const Error& error) {
    throw error.in(fmt::format("--baseline: {}", baseline.name));
  }
  return own->with(std::move(baseline));
}

TargetPtr with_default_of_array(const Target& target, std::int64_t pe_dim) {
  const auto own = as_array_machine(target.shared_machine(), "--pe");
  return with_baseline(target,
                       {fmt::format("default of {}", pe_dim), "default", default_of_array(*own, pe_dim), {}});
}

std::string remark(const Target& target) {
  const auto* own = dynamic_cast<const GemminiTarget*>(&target);
  return own == nullptr ? std::string() : own->remark();
}

bool is_gemmini(const Target& target) { return dynamic_cast<const GemminiTarget*>(&target) != nullptr; }

Tile tile_of(const Layer& layer, const SchedulePtr& schedule, const ArraySizes& built) {
  const auto* own = dynamic_cast<const TileSchedule*>(schedule.get());
  TORCH_CHECK(own != nullptr, "the schedule is of another target");
  check_runs(layer, own->tile(), built);
  return own->tile();
}

}  // namespace dosa::gemmini
