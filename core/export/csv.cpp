// One row per layer, for spreadsheets.
#include "dosa/models/base/csv.hpp"

#include "dosa/core/export/exporter.hpp"

namespace dosa {
namespace {

class CsvExporter : public Exporter {
 public:
  const char* name() const override { return "csv"; }
  const char* description() const override { return "one row per layer: sizes, mapping, cycles, energy"; }
  std::vector<OutputFile> files(const Design& design, const Machine& machine) const override {
    std::vector<std::string> columns{"workload",        "target", "pe_dim", "scratchpad_kib",
                                     "accumulator_kib", "layer",  "count",  "groups"};
    const auto add_sizes = [&](const std::string& prefix) {
      for (const Dim dim : all_dims()) columns.push_back(prefix + name_of(dim));
    };
    add_sizes("");
    for (const char* name : {"wstride", "hstride", "wdilation", "hdilation", "padding", "mapping", "call"})
      columns.emplace_back(name);
    add_sizes("tile_");
    columns.insert(columns.end(), {"cycles", "energy_uj"});
    CsvWriter csv(columns);
    for (const DesignLayer& d : design.layers) {
      const Layer& l = d.layer;
      csv.add(design.workload, design.target, design.hardware.pe_dim, design.hardware.scratchpad_kib,
              design.hardware.accumulator_kib, l.name, l.count, l.groups);
      for (const Dim dim : all_dims()) csv.add(l[dim]);
      csv.add(l.wstride, l.hstride, l.wdilation, l.hdilation, l.padding ? std::to_string(*l.padding) : "",
              d.mapping.levels.empty() ? "" : print_mapping(d.mapping, machine),
              d.tile ? gemmini::name_of(d.tile->call) : "");
      for (const Dim dim : all_dims()) csv.add(d.tile ? std::to_string((*d.tile)[dim]) : "");
      csv.add(d.cycles, d.energy_uj).end_row();
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
