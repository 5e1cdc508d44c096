// Everything to build the designed Gemmini, run the network's layers on it and measure them.
#include "dosa/core/targets/gemmini/export.hpp"

#include <algorithm>

#include "dosa/core/export/exporter.hpp"
#include "dosa/core/targets/gemmini/machine_file.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/math.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {
namespace {

class GemminiExporter : public Exporter {
 public:
  const char* name() const override { return "gemmini"; }
  const char* description() const override {
    return "Scala configuration, tile table, bare-metal C programs that run and time every layer, plan.json";
  }
  bool has_programs() const override { return true; }
  std::vector<OutputFile> files(const Design& design, const Target& target,
                                const BatchLimits& batch) const override {
    Plan plan = plan_of(design, target);
    plan.assign_programs(batch);
    return campaign_files(plan);
  }
};

/// "P 56 -> 69, C 20 -> 32" of two sets of sizes; empty where they are the same.
std::string changes(const DimSizes& from, const DimSizes& to) {
  std::string text;
  for (const Dim d : all_dims()) {
    const auto i = static_cast<std::size_t>(d);
    if (from[i] != to[i])
      text += fmt::format("{}{} {} -> {}", text.empty() ? "" : ", ", name_of(d), from[i], to[i]);
  }
  return text;
}

/// What a reader of the problem file must know: how it differs from the layer.
std::string comment_of(const Layer& layer, const gemmini::Tile& tile, const Layer& padded) {
  std::string text = fmt::format("layer {} as the tile {} runs it", layer.name, gemmini::to_string(tile));
  if (gemmini::is_product(tile.call) && !layer.is_matmul()) text += "; P*Q*N are rows in P";
  if (tile.call == gemmini::Call::kIm2col) {
    text += "; of its im2col, R*S*C in C";
  } else if (gemmini::sees_one_pixel(layer)) {
    text += "; of the kernel, the one position that sees the pixel";
  }
  if (tile.call == gemmini::Call::kConv && padded.wstride != layer.wstride)
    text += "; inputs that the stride passes over are not loaded";
  const std::string grown = changes(gemmini::extents(layer, tile.call), padded.size);
  text += grown.empty() ? "; nothing is padded" : "; padded to whole tiles: " + grown;
  for (char& c : text) c = c == '\n' || c == '\r' ? ' ' : c;
  return text;
}

}  // namespace

Plan plan_of(const Design& design, const Target& target) {
  if (!gemmini::is_gemmini(target)) {
    const ArraySizes near = gemmini::hardware_for_need(ArraySizes::of(design.hardware));
    fail(ErrorId::kValue,
         "the design's target is {}; a Gemmini can be built for designs of gemmini-rtl only; nearest legal: "
         "pe_dim {}, "
         "scratchpad_kib {}, accumulator_kib {}, searched with --target gemmini-rtl",
         design.target, near.pe_dim, near.scratchpad_kib, near.accumulator_kib);
  }
  const auto violations = gemmini::check_hardware(ArraySizes::of(design.hardware));
  if (!violations.empty()) fail(ErrorId::kValue, "hardware: {}", gemmini::summary(violations));
  Plan plan;
  plan.workload = design.workload;
  plan.hardware = ArraySizes::of(design.hardware);
  plan.library = gemmini::library_of(*as_array_machine(target.shared_machine(), "export"));
  plan.area_mm2 = target.machine().area_mm2(design.hardware);
  for (const DesignLayer& layer : design.layers) {
    plan.measurements.push_back(
        {plan.layers.size(), gemmini::tile_of(layer.layer, layer.schedule, ArraySizes::of(design.hardware)),
         "design"});
    plan.layers.push_back(layer.layer);
  }
  plan.remarks = cpu_remarks(design);
  plan.assign_programs({});
  return plan;
}

MappedLayer padded_problem(const Layer& layer, const gemmini::Tile& tile, const ArrayMachine& machine,
                           const ArraySizes& built) {
  if (machine.levels.size() != 4)
    fail(ErrorId::kMapping, "{} has {} levels, a tile is a mapping on 4", machine.name,
         machine.levels.size());
  MappedLayer result;
  Layer& padded = result.layer = layer;
  padded.size = gemmini::extents(layer, tile.call);
  padded.padding = padded.known_input_width = padded.known_input_height = std::nullopt;
  padded.uneven_padding = std::nullopt;
  const bool product = gemmini::is_product(tile.call);
  if (product) padded.wdilation = padded.hdilation = 1;
  if (product || gemmini::downsamples(layer)) padded.wstride = padded.hstride = 1;
  DimSizes inner{}, spatial{1, 1, 1, 1, 1, 1, 1};
  const auto at = [](Dim d) { return static_cast<std::size_t>(d); };
  const auto set_blocks = [&](Dim d, std::int64_t size, std::int64_t fan_out) {
    spatial[at(d)] = fan_out;
    inner[at(d)] = round_up(size, fan_out);
  };
  DimSizes tiles{};  // as many as the call runs, although whole blocks may need fewer
  for (const Dim d : all_dims()) {
    inner[at(d)] = std::min(tile[d], padded[d]);
    tiles[at(d)] = ceil_div(padded[d], inner[at(d)]);
  }
  set_blocks(Dim::K, inner[at(Dim::K)], std::min(inner[at(Dim::K)], built.pe_dim));
  // What one tile keeps in the scratchpad, words of a byte: weights and the window of inputs.
  const auto scratchpad_words = [&] {
    const auto window = [&](Dim out, Dim kernel, std::int64_t stride, std::int64_t dilation) {
      return (inner[at(out)] - 1) * stride + (inner[at(kernel)] - 1) * dilation + 1;
    };
    return inner[at(Dim::C)] * (inner[at(Dim::R)] * inner[at(Dim::S)] * inner[at(Dim::K)] +
                                inner[at(Dim::N)] * window(Dim::P, Dim::R, padded.wstride, padded.wdilation) *
                                    window(Dim::Q, Dim::S, padded.hstride, padded.hdilation));
  };
  // The library keeps weights for the channels there are, not for whole blocks; where blocks as wide as the
  // array would not fit, narrower ones do (a divisor pads nothing, so one always does).
  const std::int64_t channels = inner[at(Dim::C)];
  for (std::int64_t fan_out = std::min(channels, built.pe_dim); fan_out >= 1; --fan_out) {
    set_blocks(Dim::C, channels, fan_out);
    if (scratchpad_words() <= built.scratchpad_kib * 1024 / 2) break;
  }
  // One accumulator per column holds 32-bit words, of which a tile may use half.
  const std::int64_t accumulator_words = inner[at(Dim::N)] * inner[at(Dim::P)] * inner[at(Dim::Q)] *
                                         (inner[at(Dim::K)] / spatial[at(Dim::K)]) * built.pe_dim;
  if (scratchpad_words() > built.scratchpad_kib * 1024 / 2 ||
      accumulator_words * 4 > built.accumulator_kib * 1024 / 2) {
    fail(ErrorId::kCapacity,
         "layer {}: the tile {} needs {} bytes of scratchpad and {} of accumulator; half of the memories has "
         "{} and {}",
         layer.name, gemmini::to_string(tile), scratchpad_words(), accumulator_words * 4,
         built.scratchpad_kib * 1024 / 2, built.accumulator_kib * 1024 / 2);
  }
  result.mapping.levels.resize(machine.levels.size());
  const auto add = [](std::vector<Loop>& loops, Dim d, std::int64_t factor) {
    if (factor > 1) loops.push_back({d, factor});
  };
  for (const Dim d : {Dim::N, Dim::Q, Dim::P, Dim::K, Dim::S, Dim::R, Dim::C}) {
    padded[d] = tiles[at(d)] * inner[at(d)];
    add(result.mapping.levels[3].temporal, d, tiles[at(d)]);
  }
  for (const Dim d : {Dim::K, Dim::S, Dim::R, Dim::C, Dim::N, Dim::Q, Dim::P})
    add(result.mapping.levels[1].temporal, d, inner[at(d)] / spatial[at(d)]);
  add(result.mapping.levels[2].spatial, Dim::K, spatial[at(Dim::K)]);
  add(result.mapping.levels[1].spatial, Dim::C, spatial[at(Dim::C)]);
  check_layer(padded);
  result.comment = comment_of(layer, tile, padded);
  return result;
}

const Exporter& gemmini_exporter() {
  static const GemminiExporter exporter;
  return exporter;
}

}  // namespace dosa
