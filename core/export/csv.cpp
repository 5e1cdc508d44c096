// One row per layer, for spreadsheets.
#include "dosa/models/base/csv.hpp"

#include "dosa/core/export/exporter.hpp"

namespace dosa {
namespace {

/// A number for all sides, "left right top bottom" where they differ, nothing where the padding is not known.
std::string padding_text(const Layer& layer) {
  if (layer.padding) return std::to_string(*layer.padding);
  if (!layer.uneven_padding) return "";
  const Sides& sides = *layer.uneven_padding;
  return fmt::format("{} {} {} {}", sides.left, sides.right, sides.top, sides.bottom);
}

class CsvExporter : public Exporter {
 public:
  const char* name() const override { return "csv"; }
  const char* description() const override { return "one row per layer: sizes, schedule, cycles, energy"; }
  std::vector<OutputFile> files(const Design& design, const Target&, const BatchLimits&) const override {
    std::vector<std::string> columns{"workload", "target"};
    for (const std::string& name : design.machine->parameter_names()) columns.push_back(name);
    columns.insert(columns.end(), {"layer", "count", "groups"});
    for (const Dim dim : all_dims()) columns.emplace_back(1, name_of(dim));
    for (const char* name : {"wstride", "hstride", "wdilation", "hdilation", "padding", "schedule_form",
                             "schedule", "cycles", "energy_uj"})
      columns.emplace_back(name);
    CsvWriter csv(columns);
    for (const DesignLayer& d : design.layers) {
      const Layer& l = d.layer;
      csv.add(design.workload, design.target);
      for (const std::int64_t size : design.hardware.values) csv.add(size);
      csv.add(l.name, l.count, l.groups);
      for (const Dim dim : all_dims()) csv.add(l[dim]);
      csv.add(l.wstride, l.hstride, l.wdilation, l.hdilation, padding_text(l), d.schedule->key(),
              d.schedule->text(), d.costs.cycles, d.costs.energy_uj)
          .end_row();
    }
    return {{"design.csv", csv.text()}};
  }
};

}  // namespace

const Exporter& csv_exporter() {
  static const CsvExporter exporter;
  return exporter;
}

}  // namespace dosa
