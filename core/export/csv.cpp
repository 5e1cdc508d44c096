// One row per layer, for spreadsheets.
#include "dosa/core/export/exporter.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

/// RFC 4180: quoted where it must be, quotes doubled.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c;
    if (c == '"') quoted += c;
  }
  return quoted + "\"";
}

class CsvExporter : public Exporter {
 public:
  const char* name() const override { return "csv"; }
  const char* description() const override { return "one row per layer: sizes, schedule, cycles, energy"; }
  std::vector<OutputFile> files(const Design& design, const Target&) const override {
    std::string text =
        "workload,target,pe_dim,scratchpad_kib,accumulator_kib,layer,count,groups,R,S,P,Q,C,K,N,wstride,"
        "hstride,"
        "wdilation,hdilation,padding,schedule_form,schedule,cycles,energy_uj\n";
    for (const DesignLayer& d : design.layers) {
      const Layer& l = d.layer;
      text += fmt::format("{},{},{},{},{},{},{},{}", cell(design.workload), cell(design.target),
                          design.hardware.pe_dim, design.hardware.scratchpad_kib,
                          design.hardware.accumulator_kib, cell(l.name), l.count, l.groups);
      for (const Dim dim : all_dims()) text += fmt::format(",{}", l[dim]);
      text += fmt::format(",{},{},{},{},{},{},{},{},{}\n", l.wstride, l.hstride, l.wdilation, l.hdilation,
                          l.padding ? std::to_string(*l.padding) : "", d.schedule->key(),
                          cell(d.schedule->text()), d.costs.cycles, d.costs.energy_uj);
    }
    return {{"design.csv", text}};
  }
};

}  // namespace

const Exporter& csv_exporter() {
  static const CsvExporter exporter;
  return exporter;
}

}  // namespace dosa
