// Everything to build the designed Gemmini, run the network's layers on it and measure them.
#include "dosa/core/export/exporter.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

class GemminiExporter : public Exporter {
 public:
  const char* name() const override { return "gemmini"; }
  const char* description() const override {
    return "Scala configuration, tile table, bare-metal C programs that run and time every layer, plan.json";
  }
  std::vector<OutputFile> files(const Design& design, const Machine&) const override {
    return campaign_files(plan_of(design));
  }
};

}  // namespace

Plan plan_of(const Design& design) {
  if (design.target != gemmini::kTarget) {
    const Hardware near = gemmini::hardware_for_need(design.hardware);
    fail(ErrorId::kValue,
         "the design's target is {}; a Gemmini can be built for designs of gemmini-rtl only; nearest legal: "
         "pe_dim {}, "
         "scratchpad_kib {}, accumulator_kib {}, searched with --target gemmini-rtl",
         design.target, near.pe_dim, near.scratchpad_kib, near.accumulator_kib);
  }
  const auto violations = gemmini::check_hardware(design.hardware);
  if (!violations.empty()) fail(ErrorId::kValue, "hardware: {}", gemmini::summary(violations));
  Plan plan;
  plan.workload = design.workload;
  plan.hardware = design.hardware;
  for (const DesignLayer& layer : design.layers) {
    plan.measurements.push_back({plan.layers.size(), tile_of(layer, design.hardware), "design"});
    plan.layers.push_back(layer.layer);
  }
  return plan;
}

const Exporter& gemmini_exporter() {
  static const GemminiExporter exporter;
  return exporter;
}

}  // namespace dosa
